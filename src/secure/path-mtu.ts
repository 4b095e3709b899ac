/**
 * How large a datagram the path takes: padded probes that nothing depends on, in the manner of RFC 8899. Only raises what
 * is known to work. Knows sizes and times, not how a probe is sent.
 * @module
 */

/** MAX_PROBES and PROBE_TIMER of RFC 8899 section 5.1. */
const TRIES = 3
const PROBE_INTERVAL = 1_000
/** The search ends when it could gain no more than this, bytes. */
const PRECISION = 16

export class PathMtu {
  /** The largest size that is known to arrive. */
  size: number
  private ceiling: number
  private trying: number
  private tries = 0
  private probeAt = 0

  /** @param size known to work. @param limit the largest to try; not above `size`: nothing is tried. */
  constructor(size: number, limit: number) {
    this.size = size
    this.ceiling = Math.max(size, limit)
    this.trying = this.ceiling
  }

  get done(): boolean {
    return this.trying <= this.size
  }

  /** When to probe again. */
  get deadline(): number {
    return this.done ? Number.POSITIVE_INFINITY : this.probeAt
  }

  /** The size of the probe that is due, or undefined. */
  probe(now: number): number | undefined {
    if (this.done || now < this.probeAt) return undefined
    if (this.tries === TRIES) {
      this.ceiling = this.trying - 1
      this.aim()
      if (this.done) return undefined
    }
    this.tries++
    this.probeAt = now + PROBE_INTERVAL
    return this.trying
  }

  /** A probe of `size` arrived. true: more fits than was known. */
  arrived(size: number, now: number): boolean {
    if (size <= this.size || size > this.ceiling) return false
    this.size = size
    this.probeAt = now
    this.aim()
    return true
  }

  private aim(): void {
    this.tries = 0
    const gain = this.ceiling - this.size
    this.trying = gain < PRECISION ? this.size : this.size + Math.ceil(gain / 2)
  }
}
