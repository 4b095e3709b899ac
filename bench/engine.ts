/**
 * What the engine costs per segment, without sockets: two engines in memory, one thread. A step of 10 ms fills the
 * sender's window, flushes it, hands every datagram over (one copy each, as a network would), lets the receiver
 * acknowledge and the application read. Loss hits data and acknowledgements alike.
 * @module
 */
import { performance } from 'node:perf_hooks'
import { Kcp } from '../src/core/index.ts'
import { Prng } from '../src/sim/index.ts'
import { type Effort, inRounds, type Report, show, showRange } from './rounds.ts'

const WINDOWS = [32, 128, 1024, 4096] as const
const LOSSES = [0, 0.1] as const
const MTU = 1400
const STEP = 10

export async function benchEngine(effort: Effort): Promise<Report> {
  const lines: string[][] = []
  const figures: object[] = []
  for (const loss of LOSSES) {
    for (const window of WINDOWS) {
      const pair = new Pair(window, loss)
      const { ns, sent } = await inRounds(effort, () => pair.run(effort.roundMs))
      lines.push([
        String(window),
        `${loss * 100} %`,
        showRange(ns),
        show(1e3 / ns.median),
        sent.median.toFixed(2),
      ])
      figures.push({ window, loss, nsPerSegment: ns, sentPerDelivered: sent.median })
    }
  }
  return {
    name: 'engine',
    what: [
      `ns per segment of ${MTU - 24} bytes, end to end (send, flush, input, acknowledge, read; both ends, one thread),`,
      'nodelay 1, interval 10, resend 2, nc 1; a whole window per 10 ms step; median [min-max]',
    ],
    header: ['window', 'loss', 'ns/segment', 'million/s', 'sent/delivered'],
    lines,
    figures,
  }
}

class Pair {
  readonly #window: number
  readonly #loss: number
  readonly #prng = new Prng(1)
  readonly #sender: Kcp
  readonly #receiver: Kcp
  readonly #toReceiver = new Wire()
  readonly #toSender = new Wire()
  readonly #payload = new Uint8Array(MTU - 24).fill(0x5a)
  readonly #target = new Uint8Array(MTU)
  #now = 0

  constructor(window: number, loss: number) {
    const config = {
      nodelay: 1,
      interval: STEP,
      resend: 2,
      nc: true,
      mtu: MTU,
      sndWnd: window,
      rcvWnd: window,
    } as const
    this.#window = window
    this.#loss = loss
    this.#sender = new Kcp(1, (datagram) => this.#toReceiver.put(datagram), config)
    this.#receiver = new Kcp(1, (datagram) => this.#toSender.put(datagram), config)
  }

  run(ms: number): { readonly ns: number; readonly sent: number } {
    const sentBefore = this.#sender.counters.segmentsOut
    let delivered = 0
    const startedAt = performance.now()
    let elapsed = 0
    do {
      delivered += this.#step()
      elapsed = performance.now() - startedAt
    } while (elapsed < ms || delivered === 0)
    return {
      ns: (elapsed * 1e6) / delivered,
      sent: (this.#sender.counters.segmentsOut - sentBefore) / delivered,
    }
  }

  /** Segments delivered to the application. */
  #step(): number {
    this.#now += STEP
    const now = this.#now
    const sender = this.#sender
    const receiver = this.#receiver
    while (sender.waitSnd() < this.#window) sender.send(this.#payload)
    sender.update(now)
    this.#carry(this.#toReceiver, receiver, now)
    let delivered = 0
    while (receiver.recvInto(this.#target) !== undefined) delivered++
    receiver.update(now)
    this.#carry(this.#toSender, sender, now)
    return delivered
  }

  #carry(wire: Wire, to: Kcp, now: number): void {
    for (let i = 0; i < wire.count; i++) {
      if (this.#loss === 0 || !this.#prng.chance(this.#loss)) to.input(wire.at(i), now)
    }
    wire.count = 0
  }
}

/** Copies of datagrams under way; buffers are used again. */
class Wire {
  count = 0
  readonly #buffers: Uint8Array[] = []
  readonly #sizes: number[] = []

  put(datagram: Uint8Array): void {
    const at = this.count++
    const buffer = (this.#buffers[at] ??= new Uint8Array(MTU))
    buffer.set(datagram)
    this.#sizes[at] = datagram.length
  }

  at(index: number): Uint8Array {
    return this.#buffers[index]!.subarray(0, this.#sizes[index]!)
  }
}
