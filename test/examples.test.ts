/**
 * Every example runs, as a process of its own, and ends by itself.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { connect, nativeStatus } from '../src/index.ts'
import { Prng } from '../src/sim/index.ts'
import { type Child, startNode } from './support/child.ts'

const withoutAddon = nativeStatus().available ? false : `no addon: ${nativeStatus().detail}`
const folder = mkdtempSync(join(tmpdir(), 'kcp-io-examples-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function example(name: string, ...words: readonly string[]): Child {
  return startNode(fileURLToPath(new URL(`../examples/${name}.js`, import.meta.url)), words)
}

/** Ends well: with exit code 0. */
async function ends(run: Child): Promise<void> {
  assert.equal(await run.ended, 0, run.output())
}

test('every example has its test here', () => {
  const here = readFileSync(fileURLToPath(import.meta.url), 'utf8')
  const missing = readdirSync(new URL('../examples', import.meta.url))
    .filter((file) => file.endsWith('.js'))
    .map((file) => file.slice(0, -3))
    .filter((name) => !here.includes(`example('${name}'`))
  assert.deepEqual(missing, [])
})

test('echo-server and echo-client: five messages come back, and both ends close', async () => {
  const server = example('echo-server', '--once')
  const [, port] = await server.says(/listening on port (\d+)/)
  const client = example('echo-client', port!)
  await ends(client)
  assert.equal(client.output().match(/^message \d came back after/gm)?.length, 5, client.output())
  await ends(server)
  assert.match(server.output(), /closed \(peer\)/)
})

test('echo-server ends gracefully when asked to', { skip: process.platform === 'win32' }, async () => {
  const server = example('echo-server')
  await server.says(/listening on port/)
  server.process.kill('SIGTERM')
  await ends(server)
})

test('echo-client tells that nobody listens', async () => {
  // A port that was free a moment ago.
  const server = example('echo-server')
  const [, port] = await server.says(/listening on port (\d+)/)
  server.process.kill('SIGKILL')
  await server.ended
  const client = example('echo-client', port!)
  assert.equal(await client.ended, 1, client.output())
  assert.match(client.output(), /^ERR_KCP_(CONNECT|TIMEOUT): /)
})

test('cluster: two workers answer on one port', { skip: withoutAddon }, async () => {
  // What becomes of a worker's clients when it dies: test/live/cluster.test.ts.
  const run = example('cluster', '0', '2')
  const [, port] = await run.says(/listening on port (\d+) with 2 workers/)
  const client = await connect({ host: '127.0.0.1', port: Number(port), preset: 'fast', waitForPeer: true })
  await client.send('hello')
  assert.match(String(await client.recv()), /^\d+: hello$/)
  await client.close()
  run.process.kill('SIGTERM')
  await ends(run)
})

test('split-halves: reading and writing go on side by side', async () => {
  const run = example('split-halves')
  await ends(run)
  assert.match(run.output(), /\d+ inputs sent, 20 snapshots read/)
})

test('custom-transport: sealed datagrams cross a transport that loses some, and a stranger stays out', async () => {
  const run = example('custom-transport')
  await ends(run)
  assert.match(run.output(), /50 echoes; the client sent \d+ datagrams, of which [1-9]\d* were lost/)
  assert.match(run.output(), /a stranger: the peer did not answer/)
  assert.match(run.output(), /the server dropped [1-9]\d* of its datagrams/)
})

test('smux: many requests share one conversation, and a bulk transfer holds none up', async () => {
  const run = example('smux')
  await ends(run)
  assert.match(run.output(), /20 answers while 8000000 bytes were on their way/)
  assert.match(run.output(), /closed \(peer\) after 21 streams/)
})

test('fec-and-crypto: what was lost is rebuilt from parity', async () => {
  const run = example('fec-and-crypto')
  await ends(run)
  assert.match(run.output(), /200 echoes; \d+ datagrams sealed/)
  assert.match(run.output(), /rebuilt from parity: [1-9]\d* by the server, [1-9]\d* by the client/)
  assert.match(run.output(), /out of band: seen mouse at 17,4/)
})

test('file-transfer: the received file has the same bytes', async () => {
  const from = join(folder, 'from')
  const to = join(folder, 'to')
  const prng = new Prng(20260)
  writeFileSync(
    from,
    Uint8Array.from({ length: 1_500_001 }, () => prng.next() * 256),
  )
  const receiver = example('file-transfer', 'receive', to)
  const [, port] = await receiver.says(/waiting on port (\d+)/)
  const sender = example('file-transfer', 'send', from, port!)
  await Promise.all([ends(sender), ends(receiver)])
  assert.match(sender.output(), /both ends have the same bytes/)
  assert.deepEqual(readFileSync(to), readFileSync(from))
})

test('file-transfer explains itself when called wrongly', async () => {
  const run = example('file-transfer')
  assert.equal(await run.ended, 2)
  assert.match(run.output(), /^usage: /)
})
