/**
 * Doubt about the peer: PUSHes came that it does not write now. They are old copies, or forged, or a successor has its
 * address, as a process that restarted with the same port and conv. The peer is asked; it has some seconds to answer.
 * @module
 */
import { NEVER } from './session-timers.ts'

/** A peer whose successor was heard has this long to show that it is there yet, ms. */
const DOUBT_TIMEOUT = 5_000
/** Least time between two answers to Resets that are not believed, ms. */
const OBJECTION_INTERVAL = 1_000
const NONE = Number.NEGATIVE_INFINITY

export class SuccessorDoubt {
  /** When the first PUSH came that was not the peer's, since it was last known to have its state. */
  private since: number = NONE
  /** When the latest came. */
  private misfitAt: number = NONE
  /** When a Reset that was not believed was answered last. */
  private objectedAt: number = NONE

  /** Whether PUSHes came that are not the peer's, and it did not show since that it has its state. */
  get active(): boolean {
    return this.since !== NONE
  }

  /** A PUSH came that is not the peer's. Returns whether the doubt begins with it. */
  add(now: number): boolean {
    this.misfitAt = now
    if (this.active) return false
    this.since = now
    return true
  }

  /** The peer has shown that it is there. */
  end(): void {
    this.since = NONE
  }

  /** Whether to answer a Reset that was not believed: at most once a second, and once an RTO. */
  object(now: number, rto: number): boolean {
    if (now - this.objectedAt < Math.max(OBJECTION_INTERVAL, rto)) return false
    this.objectedAt = now
    return true
  }

  /** When a doubted peer is given up, ms. */
  get endsAt(): number {
    return this.active ? this.since + DOUBT_TIMEOUT : NEVER
  }

  /**
   * The time is over. Returns whether the peer is lost. It is not if it was heard (`heardAt`), and there was a PUSH or two,
   * and no more: those were old copies, or forged. The doubt ends then.
   */
  judge(now: number, heardAt: number): boolean {
    if (now < this.endsAt) return false
    const fewCopies = heardAt > this.since && this.misfitAt < this.since + DOUBT_TIMEOUT / 2
    if (fewCopies) this.end()
    return !fewCopies
  }

  /** The event loop was blocked: see Task.forgive. */
  shift(later: (at: number) => number): void {
    if (this.active) this.since = later(this.since)
  }
}
