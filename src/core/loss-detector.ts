/**
 * Which transmissions are lost, told by time (RACK, RFC 8985). An ACK of KCP echoes the ts of the very transmission that
 * arrived, which is better evidence than TCP has: what was sent before it, and an allowance for reordering earlier, is
 * lost. No count of later ACKs is needed, so it works for sparse traffic too.
 *
 * Also measures what follows from the same evidence: the share of first transmissions that do not arrive, and how far
 * the path reorders. A first transmission that a copy of it overtook is not lost yet: its own ACK may still come, late,
 * and is waited for. Knows numbers and times; the send window knows the segments.
 * @module
 */
import { NO_BYTES } from './memory.ts'
import { isStale, seqAdd, seqDiff } from './seq.ts'

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
/** A first transmission has one more round trip to arrive after the ACK of a copy, and this much more for jitter, ms. */
const HOLD_MORE = 50
/** First transmissions that may be waited for: at more than that, the oldest counts as lost. A power of two. */
const HELD = 64

const NO_NUMBERS = new Int32Array(0)

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
  /** First transmissions that are waited for, oldest first: their sn, ts, and until when. Made with the first of them. */
  private heldSn: Int32Array = NO_NUMBERS
  private heldTs: Int32Array = NO_NUMBERS
  private heldUntil: Int32Array = NO_NUMBERS
  /** 1: the lost ACK of a first transmission that arrived would look alike. */
  private heldDoubtful: Uint8Array = NO_BYTES
  /** Held so far; the newest lies before it. Of these, so many are still waited for. */
  private heldEnd = 0
  private held = 0

  /**
   * An ACK for a segment in flight, at `now`: of its transmission at `ts`; the first was at `firstTs`, the latest at
   * `lastTs`. `eachAnswered`: the peer answers each copy of a segment.
   */
  acked(
    sn: number,
    ts: number,
    now: number,
    firstTs: number,
    lastTs: number,
    srtt: number = 0,
    eachAnswered: boolean = false,
  ): void {
    this.settle(now)
    if (seqDiff(ts, firstTs) === 0) this.count(0)
    else {
      // Of no resend, or of none but an earlier one: a copy went out before the first ACK could be back.
      const doubtful = eachAnswered && seqDiff(ts, lastTs) !== 0
      this.hold(sn, firstTs, seqAdd(now, srtt + HOLD_MORE), doubtful)
    }
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

  /**
   * An ACK for a segment that is not in flight any more. If it names the first transmission, that was late and not lost;
   * so was what went out with it, of which a receiver of ours says nothing more (`spareAcks`).
   */
  late(sn: number, ts: number): void {
    let kept = 0
    const oldest = this.heldEnd - this.held
    for (let i = 0; i < this.held; i++) {
      const from = (oldest + i) & (HELD - 1)
      if (seqDiff(this.heldTs[from]!, ts) === 0 && seqDiff(this.heldSn[from]!, sn) >= 0) {
        this.count(0)
        continue
      }
      const to = (oldest + kept++) & (HELD - 1)
      this.heldSn[to] = this.heldSn[from]!
      this.heldTs[to] = this.heldTs[from]!
      this.heldUntil[to] = this.heldUntil[from]!
      this.heldDoubtful[to] = this.heldDoubtful[from]!
    }
    this.heldEnd = oldest + kept
    this.held = kept
  }

  /** First transmissions that were waited for until `now` are lost. */
  settle(now: number): void {
    while (this.held > 0 && seqDiff(now, this.heldUntil[(this.heldEnd - this.held) & (HELD - 1)]!) >= 0) {
      this.giveUpOldest()
    }
  }

  /**
   * The oldest that is waited for is lost. Where the peer answers each copy, the ACK of a copy comes for a first ACK that
   * was lost as well: with a loss of p each way a share of p (2 - p) look so, and as a share of p each counts 1 / (2 - p).
   */
  private giveUpOldest(): void {
    const doubtful = this.heldDoubtful[(this.heldEnd - this.held) & (HELD - 1)] === 1
    this.held--
    this.count(doubtful ? 1 / (2 - this.loss) : 1)
  }

  /** The clock went on by days: nothing is known any more of what arrives, and in which order. */
  age(now: number): void {
    this.held = 0
    if (this.known && isStale(now, this.ts)) this.known = false
    if (this.reordering > 0 && isStale(now, this.reorderedAt)) this.reordering = 0
    if (!isStale(now, this.currentSince)) return
    this.current = this.previous = Number.POSITIVE_INFINITY
    this.currentSince = now
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

  private hold(sn: number, firstTs: number, until: number, doubtful: boolean): void {
    if (this.heldSn === NO_NUMBERS) {
      this.heldSn = new Int32Array(HELD)
      this.heldTs = new Int32Array(HELD)
      this.heldUntil = new Int32Array(HELD)
      this.heldDoubtful = new Uint8Array(HELD)
    }
    if (this.held === HELD) this.giveUpOldest()
    const at = this.heldEnd++ & (HELD - 1)
    this.heldSn[at] = sn
    this.heldTs[at] = firstTs
    this.heldUntil[at] = until
    this.heldDoubtful[at] = doubtful ? 1 : 0
    this.held++
  }

  /** One more first transmission: 1 if it was lost, and in between where that is as likely as not. */
  private count(lost: number): void {
    this.samples++
    this.loss += Math.max(LOSS_WEIGHT, 1 / (this.samples + LOSS_FIRST)) * (lost - this.loss)
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
