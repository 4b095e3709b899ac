/**
 * Which transmissions are lost, told by time (RACK, RFC 8985). An ACK of KCP echoes the ts of the very transmission that
 * arrived, which is better evidence than TCP has: what was sent before it, and an allowance for reordering earlier, is
 * lost. No count of later ACKs is needed, so it works for sparse traffic too.
 *
 * Also measures what follows from the same evidence: the share of first transmissions that do not arrive, and how far
 * the path reorders. Knows numbers and times; the send window knows the segments.
 * @module
 */
import { seqDiff } from './seq.ts'

/** Share of srtt that is allowed for reordering on a path that was seen to reorder (RFC 8985 §6.2: min_RTT / 4). */
const ALLOWANCE = 1 / 4
/** And while none was seen: some, since datagrams of one flush may overtake each other unseen within a millisecond. */
const ALLOWANCE_UNSEEN = 1 / 32
/** Reordering is forgotten after this many round trips without any (RFC 8985 §6.2: 16 recoveries). */
const FORGET_AFTER = 16
/** How long the shortest round trip is remembered at least, ms: as BBR's probes for it. */
const SHORTEST_OVER = 10_000
/** Weight of one segment in the estimate of loss: of a message each 20 ms the latest five seconds count. */
const LOSS_WEIGHT = 1 / 256
/** The first ones weigh more, as if so many had arrived before. */
const LOSS_FIRST = 64

export class LossDetector {
  /** Share of first transmissions that did not arrive, 0 .. 1, smoothed. Counts lost ACKs that nothing made up for. */
  loss = 0
  /** Transmissions that were repeated although they had arrived: an earlier one was acknowledged. */
  spurious = 0
  private samples = 0
  /** Whether anything was acknowledged yet: before, nothing is told. */
  known = false
  /** ts and sn of the newest transmission that arrived, and the round trip that it took, ms. */
  ts = 0
  sn = 0
  private rtt = 0
  /** The shortest round trip of the current and the previous SHORTEST_OVER, ms. */
  private current: number = Number.POSITIVE_INFINITY
  private previous: number = Number.POSITIVE_INFINITY
  private currentSince = 0
  /** Furthest that an ACK was seen behind one for something sent later, ms; 0: never. */
  private reordering = 0
  private reorderedAt = 0

  /**
   * An ACK for a segment in flight, at `now`: of its transmission at `ts`; the first was at `firstTs`, the latest at
   * `lastTs`.
   */
  acked(sn: number, ts: number, now: number, firstTs: number, lastTs: number): void {
    this.samples++
    this.loss +=
      Math.max(LOSS_WEIGHT, 1 / (this.samples + LOSS_FIRST)) *
      ((seqDiff(ts, firstTs) === 0 ? 0 : 1) - this.loss)
    if (seqDiff(ts, lastTs) < 0) this.spurious++
    const rtt = Math.max(0, seqDiff(now, ts))
    this.watch(rtt, now)
    const newer = seqDiff(ts, this.ts)
    if (!this.known || newer > 0 || (newer === 0 && seqDiff(sn, this.sn) > 0)) {
      this.known = true
      this.ts = ts
      this.sn = sn
      this.rtt = rtt
    } else if (newer < 0) {
      this.reordering = Math.max(this.reordering, rtt - this.rtt)
      this.reorderedAt = now
    }
  }

  /** Time that a transmission may arrive after one that was sent later, ms. */
  allowance(srtt: number, now: number): number {
    if (this.reordering > 0 && seqDiff(now, this.reorderedAt) > FORGET_AFTER * srtt) this.reordering = 0
    if (this.reordering === 0) return Math.max(1, srtt * ALLOWANCE_UNSEEN)
    return Math.min(srtt, Math.max(this.reordering + 1, srtt * ALLOWANCE))
  }

  /** How long after its transmission a segment that was overtaken counts as lost, ms. */
  patience(srtt: number, now: number): number {
    return Math.ceil(this.rtt + this.allowance(srtt, now))
  }

  /** The shortest round trip of late, ms. */
  get shortest(): number {
    return Math.min(this.current, this.previous)
  }

  private watch(rtt: number, now: number): void {
    if (!this.known) this.currentSince = now
    else if (seqDiff(now, this.currentSince) > SHORTEST_OVER) {
      this.previous = this.current
      this.current = Number.POSITIVE_INFINITY
      this.currentSince = now
    }
    this.current = Math.min(this.current, rtt)
  }
}
