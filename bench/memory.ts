/**
 * What an idle session costs a listener. Runs in a process of its own (`node --expose-gc`), so that nothing but the
 * sessions grows: a listener on a transport in memory, and peers that exist only as long as their first exchange.
 * Each sends one message, proves its address, gets the message back, and is never heard again.
 * @module
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Kcp } from '../src/core/index.ts'
import { type DatagramHandler, type DatagramTransport, listen, type PeerAddress } from '../src/index.ts'
import { type Effort, type Report, show } from './rounds.ts'

interface Memory {
  /** Bytes of each kind per session. */
  readonly heapUsed: number
  /** Outside V8's heap: array buffers and what else belongs to objects. */
  readonly external: number
  readonly rss: number
}

interface Measured {
  readonly sessions: number
  readonly perSession: Memory
  /** Share of one core that all of them took while idle, 0..1. */
  readonly idleCpu: number
  /** The same process without any session. */
  readonly emptyCpu: number
}

/** Peers that are introduced at once: below the listener's limits for peers unproven. */
const BATCH = 500
const MESSAGE = 64
/** After so much silence, ms, sessions have given back what they do not need. */
const SILENCE = 3_500

export async function benchMemory({ memorySessions: sessions, idleMs }: Effort): Promise<Report> {
  const child = fork(fileURLToPath(import.meta.url), [String(sessions), String(idleMs)], {
    execArgv: ['--expose-gc'],
  })
  const [[measured]] = (await Promise.race([
    Promise.all([once(child, 'message'), once(child, 'exit')]),
    once(child, 'exit').then(([code]) => {
      if (code !== 0) throw new Error(`the process that holds the sessions ended with ${code}`)
      return new Promise(() => undefined)
    }),
  ])) as [[Measured], unknown]
  const { perSession, idleCpu, emptyCpu } = measured
  return {
    name: 'memory',
    what: [
      `Bytes per idle session: ${sessions.toLocaleString('en')} streams of one listener (preset fast, transport in memory), each after one`,
      `message of ${MESSAGE} bytes each way, after garbage collection; and what share of a core all of them take in the`,
      `${show(idleMs / 1000)} s after that (each asks its silent peer for a sign of life after 10 s).`,
    ],
    header: ['sessions', 'heap', 'external', 'heap+external', 'RSS', 'idle CPU', 'CPU without'],
    lines: [
      [
        sessions.toLocaleString('en'),
        show(perSession.heapUsed),
        show(perSession.external),
        show(perSession.heapUsed + perSession.external),
        show(perSession.rss),
        `${(idleCpu * 100).toFixed(1)} %`,
        `${(emptyCpu * 100).toFixed(1)} %`,
      ],
    ],
    figures: measured,
  }
}

/** The network, seen from the listener: peers are callbacks. */
class MemoryTransport implements DatagramTransport {
  handler: DatagramHandler | undefined
  readonly peers: Map<string, (datagram: Uint8Array) => void> = new Map()

  start(handler: DatagramHandler): void {
    this.handler = handler
  }
  send(datagram: Uint8Array, peer: PeerAddress): void {
    this.peers.get(peer.address)?.(datagram.slice())
  }
  close(): void {}
}

async function measureSessions(count: number, idleMs: number): Promise<Measured> {
  const transport = new MemoryTransport()
  const listener = await listen({ transport, preset: 'fast', maxConnections: count }, (stream) => {
    stream.on('data', (message) => void stream.send(message))
  })
  // One batch that goes again: code is compiled and tables have their first size.
  await introduce(transport, 0, Math.min(BATCH, count))
  listener.closeAllConnections()
  // Their places are free when the peers have answered the close, or have been silent for a second.
  await until(() => listener.stats().sessions === 0, 'the first sessions stayed')
  const emptyCpu = await watchCpu(500)
  const before = await settledMemory()
  for (let from = 1; from <= count; from += BATCH) {
    await introduce(transport, from * 65_536, Math.min(BATCH, count + 1 - from))
  }
  await sleep(SILENCE)
  const after = await settledMemory()
  const { sessions, pending } = listener.stats()
  if (sessions !== count || pending !== 0) {
    throw new Error(`${sessions} of ${count} sessions came up, ${pending} of them unproven`)
  }
  const idleCpu = await watchCpu(idleMs)
  const per = (kind: keyof Memory): number => (after[kind] - before[kind]) / count
  return {
    sessions: count,
    perSession: { heapUsed: per('heapUsed'), external: per('external'), rss: per('rss') },
    idleCpu,
    emptyCpu,
  }
}

/** Peers number `from` and on say one message each, and wait for it to come back. */
async function introduce(transport: MemoryTransport, from: number, count: number): Promise<void> {
  let waiting = count
  for (let i = 0; i < count; i++) {
    const number = from + i
    const address = `10.${(number >>> 16) & 255}.${(number >>> 8) & 255}.${number & 255}`
    const peer: PeerAddress = { address, port: 1 + (number >>> 24), family: 'IPv4' }
    const outbox: Uint8Array[] = []
    const kcp = new Kcp(1 + number, (datagram) => outbox.push(datagram.slice()), 'fast')
    const deliver = (): void => {
      kcp.flush()
      for (const datagram of outbox.splice(0)) transport.handler!.onDatagram(datagram, peer)
    }
    transport.peers.set(address, (datagram) => {
      // What is no segment (a refusal) is dropped, and `until` reports that nothing came back.
      kcp.tryInput(datagram, performance.now() >>> 0)
      if (kcp.recv() !== undefined) waiting--
      // As a socket would: not from inside the listener's send.
      setImmediate(deliver)
    })
    kcp.update(performance.now() >>> 0)
    kcp.send(new Uint8Array(MESSAGE))
    deliver()
  }
  await until(() => waiting === 0, 'messages did not come back')
  await sleep(50)
  transport.peers.clear()
}

async function until(isDone: () => boolean, otherwise: string): Promise<void> {
  const givenUpAt = performance.now() + 30_000
  while (!isDone()) {
    if (performance.now() > givenUpAt) throw new Error(otherwise)
    await turn()
  }
}

async function settledMemory(): Promise<Memory> {
  for (let i = 0; i < 4; i++) {
    await sleep(20)
    globalThis.gc!()
  }
  return process.memoryUsage()
}

async function watchCpu(ms: number): Promise<number> {
  const startedAt = performance.now()
  const before = process.cpuUsage()
  await sleep(ms)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000 / (performance.now() - startedAt)
}

// Forked by benchMemory above.
if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) {
  // A benchmark that was killed leaves nothing running.
  process.on('disconnect', () => process.exit())
  process.send(await measureSessions(Number(process.argv[2]), Number(process.argv[3])))
  process.exit(0)
}
