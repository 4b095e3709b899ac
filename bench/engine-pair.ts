/**
 * Two engines in memory, one thread, and what a segment costs them. A step of 10 ms fills the sender's window, flushes
 * it, hands every datagram over (one copy each, as a network would), lets the receiver acknowledge and the application
 * read. Loss hits data and acknowledgements alike. bench/peers/go/engine.go is the same in Go.
 * @module
 */
import { Prng } from '../src/sim/index.ts'
import { type EngineEnd, FAST, MTU } from './driver.ts'

export interface EngineCost {
  /** ns per segment delivered, both ends. */
  readonly ns: number
  /**
   * Datagrams of the sender for each segment delivered, since the pair began; each holds one. A short round alone may
   * deliver more than it sends: what waited behind a hole.
   */
  readonly sent: number
}

export type MakeEngine = (window: number, output: (datagram: Uint8Array) => void) => EngineEnd

export class EnginePair {
  readonly window: number
  readonly loss: number
  readonly #prng = new Prng(1)
  readonly #sender: EngineEnd
  readonly #receiver: EngineEnd
  readonly #toReceiver = new Wire()
  readonly #toSender = new Wire()
  readonly #payload = new Uint8Array(MTU - 24).fill(0x5a)
  readonly #target = new Uint8Array(MTU)
  #now = 0
  /** Segments so far. */
  #delivered = 0

  constructor(make: MakeEngine, window: number, loss: number) {
    this.window = window
    this.loss = loss
    this.#sender = make(window, (datagram) => this.#toReceiver.put(datagram))
    this.#receiver = make(window, (datagram) => this.#toSender.put(datagram))
  }

  run(ms: number): EngineCost {
    let delivered = 0
    const startedAt = performance.now()
    let elapsed = 0
    do {
      delivered += this.#step()
      elapsed = performance.now() - startedAt
    } while (elapsed < ms || delivered === 0)
    this.#delivered += delivered
    return { ns: (elapsed * 1e6) / delivered, sent: this.#toReceiver.total / this.#delivered }
  }

  /** Segments delivered to the application. */
  #step(): number {
    this.#now += FAST.interval
    const now = this.#now
    const sender = this.#sender
    const receiver = this.#receiver
    while (sender.waitSnd() < this.window) sender.send(this.#payload)
    sender.update(now)
    this.#carry(this.#toReceiver, receiver, now)
    let delivered = 0
    while (receiver.recvInto(this.#target) !== undefined) delivered++
    receiver.update(now)
    this.#carry(this.#toSender, sender, now)
    return delivered
  }

  #carry(wire: Wire, to: EngineEnd, now: number): void {
    for (let i = 0; i < wire.count; i++) {
      if (this.loss === 0 || !this.#prng.chance(this.loss)) to.input(wire.at(i), now)
    }
    wire.count = 0
  }
}

/** Copies of datagrams under way; buffers are used again. */
class Wire {
  count = 0
  /** Datagrams so far. */
  total = 0
  readonly #buffers: Uint8Array[] = []
  readonly #sizes: number[] = []

  put(datagram: Uint8Array): void {
    this.total++
    const at = this.count++
    const buffer = (this.#buffers[at] ??= new Uint8Array(MTU))
    buffer.set(datagram)
    this.#sizes[at] = datagram.length
  }

  at(index: number): Uint8Array {
    return this.#buffers[index]!.subarray(0, this.#sizes[index]!)
  }
}
