/**
 * Hosts that fill a listener's memory: messages that never end, numbers that are missing, and messages that are not read for a while.
 * @module
 */
import { ok } from 'node:assert/strict'
import type { Socket } from 'node:dgram'
import { Command, KCP_OVERHEAD, writeHeader } from '../../src/core/segment.ts'
import { resolveLimits } from '../../src/session/listener-limits.ts'
import { Prng } from '../../src/sim/prng.ts'
import { HonestClients, tellServed } from './honest.ts'
import { type Helper, MB, type Part, type Resources, type Scale, sleep, until } from './part.ts'
import type { ServerReport } from './server.ts'
import { silentSocket } from './sockets.ts'

const SEED = 71
const SERVER = '127.0.0.1'
const MAX_MEMORY = 8 * MB
const CONFIG = { preset: 'fast', idleTimeout: 2_500, keepAlive: 500 } as const
/** Payload of a fragment: as much as a datagram holds; more than the server's mtu, which does not bind its peers. */
const LARGEST = 60_000
/** Of a message: fewer than the window of the preset, or the server does not believe in it. */
const FRAGMENTS = 100
/** Segments beyond the server's una. */
const AHEAD = 90
/** The server reads what follows on this message only later. */
const DOZE: Uint8Array = Buffer.from('doze')
/** Conversations of each host at once. */
const CONVERSATIONS = 24
/** Honest echoes hold one message for a moment each. */
const HONEST_SHARE = 64 * 1024
/** Resident memory beyond `maxMemory` is garbage and objects of conversations that came and went. */
const GARBAGE = 96 * MB

/** How a conversation fills memory. */
type Way = 'fragments' | 'small fragments' | 'gap' | 'slow reader'
const WAYS: readonly Way[] = [
  'fragments',
  'fragments',
  'small fragments',
  'gap',
  'slow reader',
  'slow reader',
]

interface Conversation {
  readonly conv: number
  readonly way: Way
  /** Next sn, and the server's una. */
  next: number
  una: number
  proven: boolean
}

/** One host: it proves its address, and begins another conversation for each that is ended. */
class Hog {
  readonly #socket: Socket
  readonly #port: number
  readonly #prng: Prng
  readonly #conversations: Map<number, Conversation> = new Map()
  readonly #bytes = new Uint8Array(KCP_OVERHEAD + LARGEST)
  sentBytes = 0
  ended = 0

  constructor(socket: Socket, port: number, prng: Prng) {
    this.#socket = socket
    this.#port = port
    this.#prng = prng
    socket.on('message', (datagram) => this.#hear(datagram))
  }

  /** Another datagram of each conversation, and as many conversations as there were. */
  push(): void {
    while (this.#conversations.size < CONVERSATIONS) {
      const conv = this.#prng.int(1, 0xffff_fffe)
      const way = WAYS[this.#prng.int(0, WAYS.length - 1)]!
      this.#conversations.set(conv, { conv, way, next: 0, una: 0, proven: false })
    }
    for (const one of this.#conversations.values()) this.#fill(one)
  }

  #fill(one: Conversation): void {
    const { conv, way, una } = one
    const whole = way === 'slow reader'
    // An opening is small, as a forged one is.
    if (!one.proven) {
      this.#send(conv, Command.Push, whole ? 0 : FRAGMENTS, 0, 0, whole ? DOZE.length : 1)
      return
    }
    // What the window or a budget refused is sent again.
    if (one.next - una >= AHEAD || this.#prng.chance(0.2)) one.next = una
    const sn = Math.max(one.next, una, 1) + (way === 'gap' ? 1 : 0)
    one.next = Math.max(one.next, una, 1) + 1
    const size = way === 'small fragments' ? 1_200 : LARGEST
    this.#send(conv, Command.Push, whole ? 0 : Math.max(1, FRAGMENTS - sn), sn, 0, size)
  }

  #hear(datagram: Buffer): void {
    if (datagram.length < KCP_OVERHEAD) {
      // The end of one of them, as the listener says it.
      if (datagram.length >= 4 && this.#conversations.delete(datagram.readUInt32LE(0))) this.ended++
      return
    }
    for (let at = 0; at + KCP_OVERHEAD <= datagram.length; ) {
      const one = this.#conversations.get(datagram.readUInt32LE(at))
      const una = datagram.readUInt32LE(at + 16)
      if (one !== undefined && una > one.una && una < 10_000) one.una = una
      if (one !== undefined && datagram[at + 4] === Command.Push) {
        one.proven = true
        const [ts, sn] = [datagram.readUInt32LE(at + 8), datagram.readUInt32LE(at + 12)]
        this.#send(one.conv, Command.Ack, 0, sn, ts, 0)
      }
      at += KCP_OVERHEAD + datagram.readUInt32LE(at + 20)
    }
  }

  #send(conv: number, cmd: number, frg: number, sn: number, ts: number, length: number): void {
    const clock = cmd === Command.Ack ? ts : Math.floor(performance.now())
    if (length === DOZE.length) this.#bytes.set(DOZE, KCP_OVERHEAD)
    writeHeader(this.#bytes, 0, conv, cmd, frg, 128, clock, sn, 0, length)
    const size = KCP_OVERHEAD + length
    this.sentBytes += size
    // A copy: the socket keeps it until the system has taken it.
    this.#socket.send(this.#bytes.slice(0, size), this.#port, SERVER)
  }
}

/** Hosts 127.0.`net`.1 and up fill memory for so long. What the server held at most, and what was sent. */
async function fill(
  server: Helper,
  port: number,
  use: Resources,
  { net, hosts, seconds }: { readonly net: number; readonly hosts: number; readonly seconds: number },
): Promise<{ peak: number; sent: number; ended: number; rss: number }> {
  await server.ask('baseline')
  const hogs: Hog[] = []
  for (let i = 1; i <= hosts; i++) {
    const socket = await silentSocket(use, `127.0.${net}.${i}`)
    hogs.push(new Hog(socket, port, new Prng(SEED + 1_000 * net + i)))
  }
  const end = performance.now() + seconds * 1_000
  while (performance.now() < end) {
    for (const hog of hogs) {
      hog.push()
      // In portions that socket buffers hold: what is lost there attacks nobody.
      await sleep(4)
    }
  }
  const { peakMemory: peak, peakRss: rss } = await server.ask<ServerReport>('stats')
  const sum = (of: (hog: Hog) => number): number => hogs.reduce((total, hog) => total + of(hog), 0)
  return { peak, rss, sent: sum(({ sentBytes }) => sentBytes), ended: sum(({ ended }) => ended) }
}

async function hog({ count, seconds }: Scale, use: Resources): Promise<{ count: number; findings: string }> {
  const { maxMemoryPerHost } = resolveLimits({ maxMemory: MAX_MEMORY })
  const server = use.start('server.js', { ...CONFIG, maxMemory: MAX_MEMORY, lookEvery: 2 })
  const { port } = await server.next<{ port: number }>('listening')
  const client = (localAddress: string) => ({ ...CONFIG, host: SERVER, port, localAddress })
  const honest = await HonestClients.start(
    use,
    ['127.0.0.1', '127.0.0.2', '127.0.0.3', '127.0.0.4'].map(client),
  )
  const before = await server.ask<ServerReport>('baseline')

  const one = await fill(server, port, use, { net: 1, hosts: 1, seconds: seconds / 3 })
  honest.check()
  const kb = (bytes: number): string => `${Math.round(bytes / 1024)} KB`
  ok(
    one.peak <= maxMemoryPerHost + HONEST_SHARE,
    `one host held ${kb(one.peak)} of ${kb(maxMemoryPerHost)}, seed ${SEED}`,
  )
  ok(one.peak >= maxMemoryPerHost / 4, `one host held only ${kb(one.peak)}: no attack, seed ${SEED}`)

  const all = await fill(server, port, use, { net: 2, hosts: count, seconds: (seconds * 2) / 3 })
  const served = await honest.stop()
  ok(all.peak <= MAX_MEMORY, `${count} hosts held ${kb(all.peak)} of ${kb(MAX_MEMORY)}, seed ${SEED}`)
  ok(all.peak >= MAX_MEMORY / 4, `${count} hosts held only ${kb(all.peak)}: no attack, seed ${SEED}`)
  const growth = Math.max(one.rss, all.rss) - before.rss
  ok(growth <= MAX_MEMORY + GARBAGE, `resident memory grew by ${kb(growth)}, seed ${SEED}`)
  await until(
    async () => (await server.ask<ServerReport>('stats')).stats.memoryUsed === 0,
    CONFIG.idleTimeout + 15_000,
    'the memory of peers that are gone given back',
  )
  return {
    count: one.ended + all.ended,
    findings:
      `one host held ${kb(one.peak)} of ${kb(maxMemoryPerHost)} at most, ${count} hosts ${kb(all.peak)} of ${kb(MAX_MEMORY)}, ` +
      `with ${((one.sent + all.sent) / MB).toFixed(0)} MB sent; resident memory + ${(growth / MB).toFixed(0)} MB; ${tellServed(served)}; all memory given back`,
  }
}

export const hogs: Part = {
  name: 'hogs',
  what: 'fragments of 60 KB of messages that never end, numbers that are missing, messages that are not read for a while, from one host and from many: maxMemory and maxMemoryPerHost hold, honest clients go on',
  unit: 'conversations ended by a limit',
  short: { count: 12, seconds: 1.8 },
  long: { count: 60, seconds: 120 },
  run: hog,
}
