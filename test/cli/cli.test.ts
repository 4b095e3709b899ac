/**
 * The command as people call it: answers, exit codes, and a tunnel of two processes that is stopped by a signal.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runCli } from '../../src/cli/cli.ts'
import { version } from '../../src/cli/version.ts'
import { startService, Tunnel, TunnelEnd } from '../interop/kcptun.ts'
import { startNode } from '../support/child.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))

interface Answer {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function run(...words: string[]): Promise<Answer> {
  let [out, err] = ['', '']
  const code = await runCli(words, {
    out: (text) => (out += text),
    err: (text) => (err += text),
    env: {},
  })
  return { code, out, err }
}

test('the version is that of the package', async () => {
  const { version: told } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  equal(version(), told)
  for (const words of [
    ['--version'],
    ['-v'],
    ['tunnel', 'client', '-v'],
    ['tunnel', 'server', '--version'],
  ]) {
    deepEqual(await run(...words), { code: 0, out: `${told}\n`, err: '' })
  }
})

test('help goes to standard output, with code 0', async () => {
  for (const words of [['--help'], ['-h'], ['help']]) {
    const { code, out, err } = await run(...words)
    deepEqual([code, err], [0, ''])
    match(out, /^ {2}tunnel +TCP through KCP/m)
  }
  for (const words of [
    ['tunnel', 'client', '-h'],
    ['help', 'tunnel', 'client'],
    ['tunnel', 'client', '--conn', '2', '--help'],
  ]) {
    const { code, out } = await run(...words)
    equal(code, 0)
    match(out, /^Usage: kcp-io tunnel client/)
    match(out, /--remoteaddr, -r VALUE/)
  }
  match((await run('help', 'tunnel')).out, /kcp-io tunnel server/)
})

test('what cannot be understood is told in a line, with code 2', async () => {
  const complaint = async (...words: string[]): Promise<string> => {
    const { code, out, err } = await run(...words)
    deepEqual([code, out], [2, ''], words.join(' '))
    return err
  }
  match(await complaint(), /^kcp-io: KCP, reliable UDP/)
  match(await complaint('tunnel'), /Usage: kcp-io tunnel client/)
  equal(await complaint('tunel'), 'kcp-io: there is no command "tunel"; kcp-io --help lists them\n')
  equal(await complaint('toString'), 'kcp-io: there is no command "toString"; kcp-io --help lists them\n')
  equal(await complaint('tunnel', 'both'), 'kcp-io: tunnel is a client or a server, not "both"\n')
  equal(
    await complaint('tunnel', 'client', '--tcp'),
    'kcp-io: --tcp cannot be had: it takes raw sockets, and the other end must do it too\n',
  )
  equal(await complaint('tunnel', 'client', '-r', ':5'), 'kcp-io: --remoteaddr needs a host\n')
  match(await complaint('tunnel', 'server', '--ds', '200', '--ps', '57'), /256 together at most/)
  match(
    await complaint('tunnel', 'server', '--smuxbuf', '1000'),
    /--streambuf 2097152 is more than --smuxbuf 1000/,
  )
  match(await complaint('tunnel', 'server', '-l', ':1-2000'), /1024 ports at most/)
})

test('a port that is taken ends it with code 1', async (t) => {
  const service = await startService((socket) => socket.destroy())
  t.after(() => service.close())
  const child = startNode(MAIN, ['tunnel', 'client', '-l', `127.0.0.1:${service.port}`, '-r', '127.0.0.1:9'])
  equal(await child.ended, 1)
  match(child.output(), /error listen EADDRINUSE/)
})

test('a tunnel with a configuration file, its log, its counters and its stop', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kcp-io-cli-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const service = await startService((socket) => void socket.pipe(socket))
  t.after(() => service.close())
  const config = join(folder, 'config.json')
  writeFileSync(
    config,
    JSON.stringify({ crypt: 'aes-128-gcm', smuxver: 2, nocomp: true, dscp: 46, colour: 'blue' }),
  )
  const words = ['-c', config]
  await using tunnel = await Tunnel.open({ client: 'kcp-io', server: 'kcp-io', words, target: service.port })
  const { client, server } = tunnel
  match(client.output, /warn {2}unknown key "colour" in .*: left out/)
  match(client.output, /warn {2}--dscp has no effect: /)
  match(client.output, /smux 2, not compressed/)

  const socket = tunnel.connect()
  socket.write('hello')
  const [answer] = (await once(socket, 'data')) as [Buffer]
  equal(String(answer), 'hello')
  server.child.kill('SIGUSR1')
  await server.says(/counters MaxConn:1 ActiveOpens:0 PassiveOpens:1 CurrEstab:1 BytesSent:\d+/)
  socket.end()
  await once(socket, 'close')
  await client.says(/closed after .*: 5 B up, 5 B down\n/)

  client.child.kill('SIGTERM')
  equal(await client.ended, 0)
  // It was told, and need not wait for silence.
  await server.says(/session .* closed after/)
  server.child.kill('SIGINT')
  equal(await server.ended, 0)
  ok(!client.output.includes('a test'), 'the key is in no line')
})

test('a server that is not there, or has another key: the reason is told, connections are reset', async () => {
  await using client = new TunnelEnd('kcp-io', 'client', [
    '-l',
    '127.0.0.1:0',
    '-r',
    '127.0.0.1:9',
    '--key',
    'k',
  ])
  const [, port] = await client.says(/listening on 127\.0\.0\.1:(\d+)/)
  await client.says(/no session: 127\.0\.0\.1:9: .*refused/)
  const socket = connect({ port: Number(port), host: '127.0.0.1' })
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  equal(error.code, 'ECONNRESET')
  client.child.kill('SIGTERM')
  equal(await client.ended, 0)
})
