/**
 * Serial-number arithmetic on u32 values that wrap (RFC 1982), used alike for segment numbers and for
 * millisecond timestamps.
 * @module
 */

/** How far `a` is ahead of `b`, in -2^31 .. 2^31-1. Negative: `a` is older. */
export function seqDiff(a: number, b: number): number {
  return (a - b) | 0
}

/** `a + n`, wrapped back into u32. */
export function seqAdd(a: number, n: number): number {
  return (a + n) >>> 0
}

/**
 * As `seqAdd`, cut to i32. The same number to `seqDiff`, and what the engine counts in: a small integer to V8, which
 * from 2^31 on a u32 is not, so that it would become an object wherever it is handed over or kept.
 */
export function seqStep(a: number, n: number): number {
  return (a + n) | 0
}

/** Past times are aged once they are older than this, ms: twelve days. `seqDiff` misjudges them from twenty-five on. */
const STALE_AFTER = 2 ** 30
/** A time in the future by more than this is an old one to which the distance has wrapped, ms. */
const STALE_AHEAD = 10_000

/** Whether `at`, which was now or past when it was noted, is so old at `now` that its distance wraps, or soon will. */
export function isStale(now: number, at: number): boolean {
  const age = seqDiff(now, at)
  return age > STALE_AFTER || age < -STALE_AHEAD
}
