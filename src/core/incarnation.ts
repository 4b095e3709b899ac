/**
 * Whether the peer is still the one that the conversation began with. A peer that restarts comes back at the same address
 * with the same conv, and without the state: it must not get its predecessor's data, nor may its own be taken for that.
 *
 * Two signs tell. It acknowledges what was sent a moment ago, and tells an older una than its predecessor had: that is
 * proof, since una never goes back. And its clock is another one: that is a sign only, as clocks can be set.
 * @module
 */
import { seqDiff, seqStep } from './seq.ts'

/** Least time between two rounds of caution, ms: a peer whose clock was set back must not be shut out by its own repeats. */
const CAUTION_PAUSE = 10_000

export class Incarnation {
  /**
   * The newest una that the peer itself wrote, i32. It may be behind the engine's: segments that wait behind a full
   * receive queue are acknowledged one by one.
   */
  una = 0
  /** When it was written, i32 ms of the engine's clock. */
  private unaAt = 0
  /** The peer has proven that it knows nothing of this conversation. Stays set. */
  lost = false
  /** Whether a PUSH with this ts can be the peer's; null: any can. */
  fits: ((ts: number) => boolean) | null = null
  /** PUSHes that `fits` refused; sn and ts of the latest. */
  misfits = 0
  misfitSn = 0
  misfitTs = 0
  /** Until then PUSHes within the window have to fit too, i32 ms. */
  private cautiousUntil = 0
  private cautious = false

  /** The peer wrote `una` in a segment that came at `now`. */
  heard(una: number, now: number): void {
    if (seqDiff(una, this.una) <= 0) return
    this.una = una
    this.unaAt = now
  }

  /** Whether an ACK of something that was sent at `ts` with this una was made by a peer that lost its state. */
  tellsLoss(una: number, ts: number): boolean {
    return seqDiff(una, this.una) < 0 && seqDiff(ts, this.unaAt) > 0
  }

  /** Whether a PUSH within the window is to be judged by its ts, though it is none that is here already. */
  isCautious(una: number, now: number): boolean {
    if (this.misfits === 0) return false
    return seqDiff(una, this.una) < 0 || (this.cautious && seqDiff(now, this.cautiousUntil) < 0)
  }

  /**
   * Whether a PUSH is not the peer's, and notes it: one that is here already, or one within the window while caution is
   * due. `rto`: caution lasts as long, ms.
   */
  isMisfit(sn: number, ts: number, now: number, rto: number): boolean {
    if (this.fits === null || this.fits(ts)) return false
    if (this.misfits++ === 0 || seqDiff(now, this.cautiousUntil) > CAUTION_PAUSE) {
      this.cautious = true
      this.cautiousUntil = seqStep(now, rto)
    }
    this.misfitSn = sn >>> 0
    this.misfitTs = ts >>> 0
    return true
  }
}
