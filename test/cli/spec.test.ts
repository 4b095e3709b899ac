import { deepEqual, equal, fail, match, ok, rejects } from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { test } from 'node:test'
import { runCli } from '../../src/cli/cli.ts'
import { asTable, summaryLine } from '../../src/cli/spec/report.ts'
import { type CaseResult, numbered, runSpec } from '../../src/cli/spec/run.ts'
import { type KcpListener, listen } from '../../src/index.ts'

async function echoServer(echo: boolean): Promise<KcpListener> {
  const server = await listen({ host: '127.0.0.1', port: 0, preset: 'fast' })
  server.on('connection', (stream) => {
    stream.on('data', (message: Uint8Array) => {
      if (echo) stream.send(message).catch(() => {})
    })
  })
  return server
}

/** Everything that a KCP is held to, but for what takes long. */
test('our own listener does what a KCP endpoint must and should do', async () => {
  await using server = await echoServer(true)
  const results = await runSpec({ host: '127.0.0.1', port: server.address()!.port, patience: 5000, jobs: 8 })
  ok(results.length > 90, `${results.length} cases`)
  const failed = results.filter(({ level, outcome }) => level !== 'may' && outcome === 'failed')
  deepEqual(
    failed.map(({ id, title, why, trace }) => `${id} ${title}: ${why}\n${trace?.join('\n')}`),
    [],
  )
  ok(results.filter(({ outcome }) => outcome === 'passed').length > 90)
})

test('an endpoint that does not echo is held to its acknowledgements', async () => {
  await using server = await echoServer(false)
  const results = await runSpec({ host: '127.0.0.1', port: server.address()!.port, ids: ['2.1', '3.1'] })
  deepEqual(
    results.map(({ id, outcome, why }) => ({ id, outcome, why })),
    [
      { id: '2.1', outcome: 'passed', why: undefined },
      { id: '3.1', outcome: 'skipped', why: 'the endpoint does not echo' },
    ],
  )
})

/** A peer with faults that the cases must find: it acknowledges everything with ts=0 and una=0, and knows no windows. */
test('an endpoint with faults fails the cases that are about them, and the command says so', async () => {
  const socket = createSocket('udp4')
  socket.on('message', (datagram, { port }) => {
    if (datagram.length < 24 || datagram[4] !== 81) return
    const ack = Buffer.from(datagram.subarray(0, 24))
    ack[4] = 82
    ack.writeUInt32LE(0, 8)
    ack.writeUInt32LE(0, 16)
    ack.writeUInt32LE(0, 20)
    socket.send(ack, port, '127.0.0.1')
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const printed: string[] = []
  const at = `127.0.0.1:${socket.address().port}`
  try {
    const words = ['spec', at, '--only', '2.1,2.9,2.13,5.1', '--timeout', '300', '--trace']
    const io = { out: (text: string) => printed.push(text), err: fail, env: {} }
    equal(await runCli(words, io), 1)
  } finally {
    socket.close()
  }
  const text = printed.join('')
  match(text, /✓ 2\.1 /)
  match(text, /✗ 2\.9 .*una tells.*\n.*expected una=1, got 0/)
  match(text, /✗ 2\.13 .*2\^32 - 1\n.*expected ts=4294967295 in the ACK, got 0/)
  match(text, /✗ 5\.1 .*WASK.*\n.*expected a WINS within 300 ms/)
  match(text, /> push sn=0/)
  match(text, /must 1 of 4/)
})

test('arguments that make no sense end with 2', async () => {
  for (const words of [
    [],
    ['a:1', 'b:2'],
    ['nowhere'],
    ['127.0.0.1:9', '--jobs', '0'],
    ['127.0.0.1:9', '--nonsense'],
  ]) {
    const complaints: string[] = []
    const io = { out: fail, err: (text: string) => complaints.push(text), env: {} }
    equal(await runCli(['spec', ...words], io), 2, words.join(' '))
    match(complaints.join(''), /^kcp-io: /)
  }
})

test('nobody there is said at once, not by a hundred failures', async () => {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  try {
    await rejects(runSpec({ host: '127.0.0.1', port, patience: 50 }), /nothing there acknowledges/)
  } finally {
    socket.close()
  }
})

test('every case has a title of its own, and a stable place', () => {
  const cases = numbered()
  equal(new Set(cases.map(({ one }) => one.title)).size, cases.length)
  equal(cases[0]!.id, '1.1')
  equal(new Set(cases.map(({ id }) => id)).size, cases.length)
})

test('a table has a column for each endpoint', () => {
  const result = (id: string, outcome: CaseResult['outcome']): CaseResult => ({
    id,
    section: 'Datagrams',
    level: 'must',
    title: 'does it',
    outcome,
  })
  const table = asTable({ ours: [result('1.1', 'passed')], theirs: [result('1.1', 'failed')] })
  match(table, /\| Case \| Level \| What \| ours \| theirs \|/)
  match(table, /\| 1\.1 \| must \| does it \| ✓ \| ✗ \|/)
  equal(
    summaryLine([result('1.1', 'failed'), result('1.2', 'skipped')]),
    'must 0 of 1 · should 0 of 0 · may 0 of 0 · 1 skipped',
  )
})
