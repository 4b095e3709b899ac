/**
 * A machine of the simulation: its clock, which may jump ahead, and its event loop, which may stand still or end.
 * @module
 */
import type { Clock } from '../../src/session/transport.ts'
import type { VirtualClock } from '../../src/sim/clock.ts'

interface Handle {
  readonly run: () => void
  cleared: boolean
  timer: unknown
}

export class HostClock implements Clock {
  private readonly world: VirtualClock
  private ahead = 0
  private standing = false
  private over = false
  /** What became due while the process stood still, in order: timers first, then datagrams. */
  private timers: Handle[] = []
  private arrivals: { readonly bytes: number; readonly run: () => void }[] = []
  private waiting = 0
  private readonly socketBytes: number
  /** Datagrams that found no room in the socket. */
  overflowed = 0

  constructor(world: VirtualClock, socketBytes: number) {
    this.world = world
    this.socketBytes = socketBytes
  }

  now(): number {
    return this.world.now() + this.ahead
  }

  setTimeout(run: () => void, ms: number): unknown {
    const handle: Handle = { run, cleared: false, timer: undefined }
    handle.timer = this.world.setTimeout(() => {
      if (this.standing) this.timers.push(handle)
      else this.enter(handle)
    }, ms)
    return handle
  }

  clearTimeout(timer: unknown): void {
    const handle = timer as Handle | undefined
    if (handle === undefined) return
    handle.cleared = true
    this.world.clearTimeout(handle.timer)
  }

  soon(run: () => void): void {
    this.world.soon(() => {
      if (!this.over) run()
    })
  }

  /** A datagram of so many bytes has come. */
  arrive(bytes: number, run: () => void): void {
    if (this.over) return
    if (!this.standing) {
      run()
    } else if (this.waiting + bytes > this.socketBytes) {
      this.overflowed++
    } else {
      this.waiting += bytes
      this.arrivals.push({ bytes, run })
    }
  }

  step(ms: number): void {
    this.ahead += ms
  }

  get stalled(): boolean {
    return this.standing
  }

  stall(): void {
    this.standing = true
  }

  /** The loop goes on, as Node's does: timers, then what the socket holds, then the end of the turn. */
  resume(): void {
    if (!this.standing) return
    this.standing = false
    const { timers, arrivals } = this
    this.timers = []
    this.arrivals = []
    this.waiting = 0
    for (const handle of timers) this.enter(handle)
    for (const { run } of arrivals) if (!this.over) run()
  }

  /** The process ends: nothing of it runs any more. */
  kill(): void {
    this.over = true
    this.timers = []
    this.arrivals = []
  }

  private enter(handle: Handle): void {
    if (!handle.cleared && !this.over) handle.run()
  }
}
