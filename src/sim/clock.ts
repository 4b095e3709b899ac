/**
 * Time that moves only when told to. Everything that waits is in one heap; between two events no time passes
 * and nothing else runs, so a run is the same every time.
 *
 * `advance`, `runUntil` and `runUntilIdle` are synchronous: for engines and sessions. `run` and `until` also let
 * promises and streams settle between events: for what sits on top of those.
 * @module
 */
import type { Clock } from '../session/transport.ts'

export interface VirtualClockOptions {
  /**
   * Awaited between events by `run` and `until`, so that code on promises gets its turn. The default lets
   * microtasks run; who tests streams passes one turn of the event loop, on Node
   * `() => new Promise((done) => setImmediate(done))`.
   */
  readonly settle?: () => Promise<void>
}

/** Microtask turns of the default settle: a chain of that many awaits finishes between two events. */
const MICROTASK_TURNS = 16

/** How often `until` settles with nothing left to run before it says so: foreign I/O may still be on its way. */
const IDLE_SETTLES = 64

/** Callbacks at one instant before the clock says that time will never move. Far above any real burst. */
const CALLBACKS_PER_INSTANT = 1_000_000

/** Where `runUntilIdle` gives up by default: one hour, longer than any timeout of a session. */
const IDLE_LIMIT_MS = 3_600_000

interface Timer {
  readonly at: number
  /** Order of creation: breaks ties. */
  readonly order: number
  readonly run: () => void
  /** Place in the heap; -1 once fired or cleared. */
  index: number
}

export class VirtualClock implements Clock {
  #now: number
  /** Binary min-heap by (at, order). */
  readonly #timers: Timer[] = []
  #order = 0
  #soon: (() => void)[] = []
  /** Callbacks run since time last moved. */
  #atThisInstant = 0
  /** What is moving the clock now; a second mover would make time run backwards for the first. */
  #mover = ''
  readonly #settle: () => Promise<void>

  constructor(startAt = 0, options: VirtualClockOptions = {}) {
    if (!Number.isFinite(startAt)) throw new RangeError(`start time ${startAt} is not finite`)
    this.#now = startAt
    this.#settle = options.settle ?? settleMicrotasks
  }

  // ---- what a session asks of any clock

  now(): number {
    return this.#now
  }

  /** A negative `ms` counts as 0. A timer of 0 still fires only when the clock is moved, be it by `advance(0)`. */
  setTimeout(run: () => void, ms: number): unknown {
    // Real clocks turn these into "at once", a busy loop; here it is a bug of the caller that a test should see.
    if (!Number.isFinite(ms)) throw new RangeError(`a timer of ${ms} ms`)
    const timer: Timer = {
      at: this.#now + Math.max(0, ms),
      order: this.#order++,
      run,
      index: this.#timers.length,
    }
    this.#timers.push(timer)
    this.#siftUp(timer)
    return timer
  }

  /** Does nothing for a timer that fired, was cleared, or never was one. */
  clearTimeout(timer: unknown): void {
    // The handle is opaque to callers; only a timer of this clock is in the heap at its own index.
    const known = timer as Timer | null | undefined
    if (known && this.#timers[known.index] === known) this.#remove(known)
  }

  /** Runs `run` after the callback that is running now, before any other timer and before time moves. */
  soon(run: () => void): void {
    this.#soon.push(run)
  }

  // ---- what a test asks of this one

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.length
  }

  /** When the next timer fires; Infinity without one. */
  get nextAt(): number {
    return this.#timers[0]?.at ?? Number.POSITIVE_INFINITY
  }

  /** Moves time forward by `ms`, running everything that becomes due, the end included. */
  advance(ms: number): void {
    this.runUntil(this.#now + ms)
  }

  /** Moves time forward to `at`, running everything that becomes due, the end included. */
  runUntil(at: number): void {
    this.#checkForward(at)
    this.#exclusively('runUntil', () => {
      this.#runSoon()
      while (this.nextAt <= at) this.#runNext()
      this.#moveTo(at)
    })
  }

  /** Runs until nothing waits; returns the milliseconds that took. Throws when something still waits after `limitMs`. */
  runUntilIdle(options: { readonly limitMs?: number } = {}): number {
    const startAt = this.#now
    const limitMs = options.limitMs ?? IDLE_LIMIT_MS
    this.#checkForward(startAt + limitMs)
    this.#exclusively('runUntilIdle', () => {
      this.#runSoon()
      while (this.#timers.length > 0) {
        if (this.nextAt > startAt + limitMs) {
          throw new Error(
            `not idle after ${limitMs} ms: ${this.pending} timers wait, the next for t=${this.nextAt}`,
          )
        }
        this.#runNext()
      }
    })
    return this.#now - startAt
  }

  /** `advance`, letting promises settle between events. */
  async run(ms: number): Promise<void> {
    const endAt = this.#now + ms
    this.#checkForward(endAt)
    await this.#exclusivelyAsync('run', async () => {
      await this.#runSoonAndSettle()
      while (this.nextAt <= endAt) {
        this.#runNext()
        await this.#runSoonAndSettle()
      }
      this.#moveTo(endAt)
    })
  }

  /**
   * Runs event by event, letting promises settle, until `predicate` holds. Rejects when it does not within
   * `limitMs`, or when nothing is left that could make it hold.
   */
  async until(predicate: () => boolean, limitMs: number = IDLE_LIMIT_MS): Promise<void> {
    const startAt = this.#now
    this.#checkForward(startAt + limitMs)
    await this.#exclusivelyAsync('until', async () => {
      await this.#runSoonAndSettle()
      let idleSettles = 0
      while (!predicate()) {
        if (this.nextAt === Number.POSITIVE_INFINITY) {
          if (idleSettles++ === IDLE_SETTLES) throw new Error(`nothing left to wait for at t=${this.#now}`)
        } else if (this.nextAt > startAt + limitMs) {
          throw new Error(`not within ${limitMs} ms: t=${this.#now}, the next timer is at t=${this.nextAt}`)
        } else {
          idleSettles = 0
          this.#runNext()
        }
        await this.#runSoonAndSettle()
      }
    })
  }

  // ---- running

  /** Fires the first timer, then what it wanted soon. */
  #runNext(): void {
    const timer = this.#timers[0]!
    this.#remove(timer)
    this.#moveTo(timer.at)
    this.#countCallback()
    timer.run()
    this.#runSoon()
  }

  #runSoon(): void {
    while (this.#soon.length > 0) {
      // Taken as a batch: shift() per callback would be quadratic. What they add runs in the next round.
      const batch = this.#soon
      this.#soon = []
      for (let i = 0; i < batch.length; i++) {
        this.#countCallback()
        try {
          batch[i]!()
        } catch (error) {
          this.#soon = [...batch.slice(i + 1), ...this.#soon]
          throw error
        }
      }
    }
  }

  async #runSoonAndSettle(): Promise<void> {
    do {
      this.#runSoon()
      await this.#settle()
    } while (this.#soon.length > 0)
  }

  #moveTo(at: number): void {
    if (at > this.#now) {
      this.#now = at
      this.#atThisInstant = 0
    }
  }

  #countCallback(): void {
    if (++this.#atThisInstant > CALLBACKS_PER_INSTANT) {
      throw new Error(`${CALLBACKS_PER_INSTANT} callbacks at t=${this.#now} and time has not moved`)
    }
  }

  #checkForward(at: number): void {
    if (!(at >= this.#now && at < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`cannot move time from ${this.#now} to ${at}`)
    }
  }

  #exclusively(mover: string, move: () => void): void {
    this.#begin(mover)
    try {
      move()
    } finally {
      this.#mover = ''
    }
  }

  async #exclusivelyAsync(mover: string, move: () => Promise<void>): Promise<void> {
    this.#begin(mover)
    try {
      await move()
    } finally {
      this.#mover = ''
    }
  }

  #begin(mover: string): void {
    if (this.#mover !== '') throw new Error(`${mover} while ${this.#mover} is moving the clock`)
    this.#mover = mover
    this.#atThisInstant = 0
  }

  // ---- the heap

  #remove(timer: Timer): void {
    const last = this.#timers.pop()!
    if (last !== timer) {
      this.#place(last, timer.index)
      this.#siftUp(last)
      this.#siftDown(last)
    }
    timer.index = -1
  }

  #siftUp(timer: Timer): void {
    while (timer.index > 0) {
      const parent = this.#timers[(timer.index - 1) >> 1]!
      if (!isBefore(timer, parent)) return
      this.#swap(timer, parent)
    }
  }

  #siftDown(timer: Timer): void {
    for (;;) {
      const left = this.#timers[2 * timer.index + 1]
      const right = this.#timers[2 * timer.index + 2]
      const child = left && right && isBefore(right, left) ? right : left
      if (!child || !isBefore(child, timer)) return
      this.#swap(timer, child)
    }
  }

  #swap(a: Timer, b: Timer): void {
    const index = a.index
    this.#place(a, b.index)
    this.#place(b, index)
  }

  #place(timer: Timer, index: number): void {
    this.#timers[index] = timer
    timer.index = index
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

async function settleMicrotasks(): Promise<void> {
  for (let turn = 0; turn < MICROTASK_TURNS; turn++) await Promise.resolve()
}
