/**
 * The clock that the peer writes its segments by, as far as we know it. Each end starts its clock at a secret random
 * number, so it tells the peer from a forger, and a peer that restarted from what it was before.
 * @module
 */
import { seqDiff } from '../core/seq.ts'

/** A time that the peer told this long ago, ms, is no better than what a late segment tells. */
const MEMORY = 10_000
/** A segment is this much late at most, ms: reordering, and what waited in a queue. */
const LATE = 10_000
/**
 * This much ahead of what we expect, ms, the peer's clock can still be: our own may have stood still, as a machine that
 * sleeps, for longer than any conversation outlives.
 */
const AHEAD = 3_600_000
/** Longest pause between two segments of one conversation that `fits` can judge, ms: u32 clocks come round after 49 days. */
const PAUSE_MAX = 2 ** 30

export class PeerClock {
  /** Whether the peer ever told a time. */
  known = false
  private ts = 0
  private at = 0
  /** The first time that it told, and when, ms of our clock. */
  private firstTs = 0
  private since = 0

  /**
   * The peer's clock was `ts` when a segment left that arrived at `now`, ms. `repeated`: it was here already, and anybody can
   * make such a one up: it moves the clock by no more than a segment may be late.
   */
  learn(ts: number, now: number, repeated = false): void {
    const age = now - this.at
    if (repeated && this.ahead(ts, now) > LATE) return
    // Of delayed and reordered segments the one that is furthest ahead knows best.
    if (this.known && age < MEMORY && seqDiff(ts, this.ts + age) < 0) return
    if (!this.known) {
      this.firstTs = ts
      this.since = now
    }
    this.ts = ts
    this.at = now
    this.known = true
  }

  /** ms since the peer told a time. */
  age(now: number): number {
    return now - this.at
  }

  /** How far `ts` is ahead of what the peer's clock should be at `now`, ms. */
  ahead(ts: number, now: number): number {
    return seqDiff(ts, Math.floor(this.ts + this.age(now)) >>> 0)
  }

  /**
   * Whether a segment with this ts can be of the same clock: neither older than the last time that is known, nor far in
   * the future. The peer's clock may have stood still since, as that of a machine that sleeps.
   */
  fits(ts: number, now: number): boolean {
    if (!this.known || this.age(now) > PAUSE_MAX) return true
    return seqDiff(ts, this.ts) >= -LATE && this.ahead(ts, now) <= AHEAD
  }

  /** Whether the clock can have shown `ts` at any time since it is known: a copy of an old segment has such a ts. */
  covers(ts: number, now: number): boolean {
    if (!this.known || now - this.since > PAUSE_MAX) return true
    // Counted from its first time: the clock may have jumped ahead since, and copies from before the jump are late.
    return seqDiff(ts, this.firstTs) >= -LATE && this.ahead(ts, now) <= AHEAD
  }
}
