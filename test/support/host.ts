/**
 * A process that can stand still, as under SIGSTOP or in a long computation: while it does, its timers, its end-of-turn
 * callbacks and the datagrams for its socket wait. Afterwards they come as an event loop hands them up: timers first,
 * then 32 datagrams and the end of the turn, then the next 32.
 */
import type { Clock, DatagramHandler, DatagramTransport } from '../../src/session/transport.ts'
import type { VirtualClock } from '../../src/sim/clock.ts'

/** What libuv reads from a socket in one go. */
const BATCH = 32

interface Held {
  run: (() => void) | undefined
}

export class Host implements Clock {
  readonly #virtual: VirtualClock
  #still = false
  readonly #timers: Held[] = []
  #soon: (() => void)[] = []
  readonly #datagrams: (() => void)[] = []

  constructor(virtual: VirtualClock) {
    this.#virtual = virtual
  }

  now(): number {
    return this.#virtual.now()
  }

  setTimeout(run: () => void, ms: number): unknown {
    const held: Held = { run }
    this.#virtual.setTimeout(() => {
      if (this.#still) this.#timers.push(held)
      else fire(held)
    }, ms)
    return held
  }

  clearTimeout(timer: unknown): void {
    if (timer !== undefined) (timer as Held).run = undefined
  }

  soon(run: () => void): void {
    if (this.#still) this.#soon.push(run)
    else {
      this.#virtual.soon(() => {
        if (this.#still) this.#soon.push(run)
        else run()
      })
    }
  }

  /** The host's socket. */
  attach<Peer>(transport: DatagramTransport<Peer>): DatagramTransport<Peer> {
    return {
      ...(transport.maxDatagramSize === undefined ? {} : { maxDatagramSize: transport.maxDatagramSize }),
      send: (datagram, peer) => transport.send(datagram, peer),
      close: () => transport.close(),
      peerKey: (peer) => transport.peerKey?.(peer) ?? String(peer),
      localAddress: () => transport.localAddress?.(),
      start: (handler: DatagramHandler<Peer>) =>
        transport.start({
          ...handler,
          onDatagram: (datagram, peer) => {
            if (!this.#still && this.#datagrams.length === 0) handler.onDatagram(datagram, peer)
            else {
              const copy = datagram.slice()
              this.#datagrams.push(() => handler.onDatagram(copy, peer))
            }
          },
        }),
    }
  }

  /** Datagrams that wait. */
  get waiting(): number {
    return this.#datagrams.length
  }

  /** Stands still for `ms` from now on. */
  standStill(ms: number): void {
    this.#still = true
    this.#virtual.setTimeout(() => {
      this.#still = false
      for (const timer of this.#timers.splice(0)) fire(timer)
      this.#turn()
    }, ms)
  }

  /** One turn of the loop after the timers. */
  #turn(): void {
    for (const deliver of this.#datagrams.splice(0, BATCH)) deliver()
    const soon = this.#soon
    this.#soon = []
    for (const run of soon) this.#virtual.soon(run)
    if (this.#datagrams.length > 0) this.#virtual.soon(() => this.#turn())
  }
}

function fire(held: Held): void {
  const { run } = held
  held.run = undefined
  run?.()
}
