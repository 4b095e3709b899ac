/**
 * Whether the peer is still the one that the conversation began with. A peer that restarts comes back at the same address
 * with the same conv, and without the state: it must not get its predecessor's data, nor may its own be taken for that.
 *
 * Two signs tell. It acknowledges what was sent a moment ago, and tells an older una than its predecessor had: that is
 * proof, since una never goes back. And its clock is another one: that is a sign only, as clocks can be set.
 * @module
 */
import { seqDiff } from './seq.ts'

/** After a misfit PUSHes within the window have to fit for so long, ms. */
const CAUTION = 10_000

export class Incarnation {
  /**
   * The newest una that the peer itself wrote beside a time of ours, i32. It may be behind the engine's: segments that
   * wait behind a full receive queue are acknowledged one by one, and an una alone can be forged.
   */
  una = 0
  /** Whether the peer acknowledged a transmission of ours: it knows the conversation, whatever una it wrote then. */
  acknowledged = false
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
  /** What another channel of the peer knows is reason to judge all PUSHes here. */
  wary = false
  /** When the latest came, i32 ms of the engine's clock. */
  private misfitAt = 0
  /**
   * Of a client: nothing of the peer has shown yet that it answers us, and not a client that was here before. Then its una
   * is not ours to believe, nor are its data.
   */
  unproven = false

  /** Whether PUSHes have to be judged before they are taken. */
  get guarded(): boolean {
    return this.unproven || this.wary || this.misfits > 0
  }

  /**
   * The peer wrote `una` in an ACK of a transmission of ours, which came at `now`. Returns whether its una is believed only
   * from here on.
   */
  heard(una: number, now: number): boolean {
    const { unproven } = this
    this.acknowledged = true
    this.unproven = false
    if (seqDiff(una, this.una) > 0) {
      this.una = una
      this.unaAt = now
    }
    return unproven
  }

  /** The peer was asked, and has its state: PUSHes within the window need not fit until the next misfit. */
  settle(): void {
    this.misfits = 0
  }

  /** Whether an ACK of something that was sent at `ts` with this una was made by a peer that lost its state. */
  tellsLoss(una: number, ts: number): boolean {
    return seqDiff(una, this.una) < 0 && seqDiff(ts, this.unaAt) > 0
  }

  /**
   * Whether a PUSH, `ahead` of the next one in order, is not the peer's: the peer has not shown yet that it knows us, or it
   * does not write this ts now.
   */
  rejects(ahead: number, sn: number, ts: number, una: number, now: number): boolean {
    if (ahead >= 0 && (this.unproven || !this.isCautious(una, now))) return this.unproven
    return this.isMisfit(sn, ts, now)
  }

  /** Whether a PUSH within the window is to be judged by its ts, though it is none that is here already. */
  isCautious(una: number, now: number): boolean {
    if (this.wary) return true
    return this.misfits > 0 && (seqDiff(una, this.una) < 0 || seqDiff(now, this.misfitAt) < CAUTION)
  }

  /**
   * Whether a PUSH is not the peer's, and notes it: one that is here already, or one within the window while caution is
   * due.
   */
  isMisfit(sn: number, ts: number, now: number): boolean {
    if (this.fits === null || this.fits(ts)) return false
    this.misfits++
    this.misfitAt = now
    this.misfitSn = sn >>> 0
    this.misfitTs = ts >>> 0
    return true
  }
}
