/**
 * Links over KCP on loopback: both ends in this process.
 */
import { deepEqual, equal, match, rejects } from 'node:assert/strict'
import type { Duplex } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { Counters } from '../../src/cli/tunnel/counters.ts'
import { reset } from '../../src/cli/tunnel/forward.ts'
import { dialer, listenKcp } from '../../src/cli/tunnel/kcp-link.ts'
import type { Link } from '../../src/cli/tunnel/link.ts'
import { clientSettings, serverSettings } from '../../src/cli/tunnel/settings.ts'
import { nodeClock } from '../../src/node/clock.ts'
import { connect } from '../../src/node/connect.ts'
import { freePort } from '../interop/kcptun.ts'
import { readAll } from './support.ts'

interface Pair {
  readonly dial: (...words: string[]) => Promise<Link>
  /** The server's links, as they come; their streams are echoed. */
  readonly links: Link[]
  readonly counters: Counters
  readonly ports: readonly number[]
}

async function pair(t: TestContext, ...serverWords: string[]): Promise<Pair> {
  const links: Link[] = []
  const counters = new Counters()
  const settings = serverSettings(['-l', '127.0.0.1:0', '--key', 'k', ...serverWords], {})
  const listeners = await listenKcp(settings, counters, (link) => {
    links.push(link)
    link.onStream((stream) => void stream.pipe(stream))
  })
  const ports = listeners.map((listener) => listener.address()!.port)
  const dialled: Link[] = []
  t.after(async () => {
    for (const link of [...dialled, ...links]) link.destroy()
    for (const listener of listeners) listener.closeAllConnections()
    await Promise.all(listeners.map((listener) => listener.close()))
  })
  const dial = async (...words: string[]): Promise<Link> => {
    const port = `${ports[0]}${ports.length > 1 ? `-${ports.at(-1)}` : ''}`
    const client = clientSettings(['-r', `127.0.0.1:${port}`, '--key', 'k', ...words], {})
    const link = await dialer(client, counters)()
    dialled.push(link)
    return link
  }
  return { dial, links, counters, ports }
}

async function echoed(stream: Duplex, text: string): Promise<string> {
  stream.end(text)
  return String(await readAll(stream))
}

test('a server that is not told a version of smux takes either', async (t) => {
  const { dial, counters } = await pair(t)
  for (const version of ['1', '2']) {
    equal(await echoed((await dial('--smuxver', version)).open(), `version ${version}`), `version ${version}`)
  }
  match(counters.line(), /^MaxConn:4 ActiveOpens:2 PassiveOpens:2 CurrEstab:4 BytesSent:\d+ /)
})

test('ends that differ in --nocomp or --smuxver: the session ends, and says what to look at', async (t) => {
  const { dial, links } = await pair(t, '--smuxver', '1')
  for (const words of [['--nocomp'], ['--smuxver', '2']]) {
    const link = await dial(...words)
    link
      .open()
      .on('error', () => undefined)
      .write('hello')
    while (links.length === 0) await new Promise((done) => setTimeout(done, 5))
    match(await links.pop()!.closed, /have both ends the same --nocomp and --smuxver\?/)
  }
})

test('another key gets no answer, and the reason is told', { timeout: 20_000 }, async (t) => {
  const { dial, links } = await pair(t)
  await rejects(
    dial('--key', 'other'),
    /no answer from 127\.0\.0\.1:\d+: is the server there, and has it the same --key/,
  )
  equal(links.length, 0)
})

test('more sessions than --maxsessions are not served; when one ends there is room', {
  timeout: 20_000,
}, async (t) => {
  const { dial, links } = await pair(t, '--maxsessions', '1')
  const first = await dial()
  equal(await echoed(first.open(), 'one'), 'one')
  const second = await dial().catch(() => undefined)
  const stream = second?.open().on('error', () => undefined)
  stream?.write('two')
  await new Promise((done) => setTimeout(done, 500))
  equal(links.length, 1)
  await first.close()
  await links[0]!.closed
  equal(await echoed((await dial()).open(), 'three'), 'three')
})

test('more streams than --maxstreams are refused at both ends', async (t) => {
  const { dial, links } = await pair(t, '--maxstreams', '2')
  const link = await dial()
  const streams = [link.open(), link.open(), link.open()]
  const third = readAll(streams[2]!)
  for (const stream of streams) stream.write('x')
  await Promise.all(streams.slice(0, 2).map((stream) => new Promise((done) => stream.once('data', done))))
  equal(String(await third), '', 'the third ends without a word')
  equal(links[0]!.streams, 2)
  const narrow = await dial('--maxstreams', '1')
  narrow.open()
  let refused = ''
  try {
    narrow.open()
  } catch (error) {
    refused = (error as { code: string }).code
  }
  equal(refused, 'ERR_KCP_SMUX_STREAMS')
})

test('a range of ports: all are listened at', async (t) => {
  const low = await freePort()
  const { dial, ports } = await pair(t, '-l', `127.0.0.1:${low}-${low + 2}`)
  equal(ports.join(), [low, low + 1, low + 2].join())
  const names = new Set<string>()
  for (let i = 0; i < 12; i++) names.add((await dial()).name.split(' ')[0]!)
  // Twelve times the same of three: once in 177,147 runs.
  equal(names.size > 1, true)
})

test('the limit on sessions holds over all ports together', { timeout: 20_000 }, async (t) => {
  const low = await freePort()
  const { dial, links, ports } = await pair(t, '-l', `127.0.0.1:${low}-${low + 1}`, '--maxsessions', '1')
  const first = await dial('-r', `127.0.0.1:${ports[0]}`)
  equal(await echoed(first.open(), 'one'), 'one')
  const second = await dial('-r', `127.0.0.1:${ports[1]}`).catch(() => undefined)
  second
    ?.open()
    .on('error', () => undefined)
    .write('two')
  await new Promise((done) => setTimeout(done, 500))
  equal(links.length, 1)
})

test('a client that says nothing which smux could judge is given up after 30 s', {
  timeout: 20_000,
}, async (t) => {
  const timers: { readonly run: () => void; readonly ms: number }[] = []
  const clock = {
    ...nodeClock,
    setTimeout: (run: () => void, ms: number): unknown => timers.push({ run, ms }),
    clearTimeout: () => undefined,
  }
  const settings = serverSettings(['-l', '127.0.0.1:0', '--key', 'k'], {})
  const [listener] = await listenKcp(settings, new Counters(), () => undefined, clock)
  t.after(() => {
    listener!.closeAllConnections()
    return listener!.close()
  })
  const client = await connect({ ...settings.session, host: '127.0.0.1', port: listener!.address()!.port })
  t.after(() => client.destroy())
  const closed = new Promise((done) => client.once('close', done))
  // Half of the first chunk of a compressed stream.
  client.write(Uint8Array.of(0xff))
  for (let i = 0; i < 1_000 && timers.length === 0; i++) await new Promise((done) => setTimeout(done, 5))
  deepEqual(
    timers.map(({ ms }) => ms),
    [30_000],
  )
  timers[0]!.run()
  await closed
})

test('a stream that is broken off is broken off at the other end, and not ended', {
  timeout: 20_000,
}, async (t) => {
  for (const version of ['1', '2']) {
    const { dial, links } = await pair(t)
    const link = await dial('--smuxver', version)
    const stream = link.open().on('error', () => undefined)
    stream.write('half of it')
    while (links.length === 0) await new Promise((done) => setTimeout(done, 5))
    const failed = new Promise<Error>((done) => links[0]!.onStream((far) => far.once('error', done)))
    const second = link.open().on('error', () => undefined)
    second.write('half of it')
    await new Promise((done) => second.once('data', done))
    reset(second)
    equal(((await failed) as { code?: string }).code, 'ERR_KCP_RESET')
  }
})
