/**
 * How large a datagram the path takes: padded probes that nothing depends on, in the manner of RFC 8899. A search raises
 * the size from the base that is known to work. While larger datagrams than the base are sent, a probe confirms their size
 * now and then; when none of these is answered, or the path changes, the size goes back to the base and is searched again.
 * Knows sizes and times, not how a probe is sent.
 * @module
 */

/** MAX_PROBES and PROBE_TIMER of RFC 8899 section 5.1. */
const TRIES = 3
const PROBE_INTERVAL = 1_000
/** The search ends when it could gain no more than this, bytes. */
const PRECISION = 16
/** A size in use is confirmed this often, ms: with three tries a black hole is found within 8 s. */
const CONFIRM_INTERVAL = 5_000
/** PMTU_RAISE_TIMER of RFC 8899 section 5.1: a search that ended below the limit begins anew, ms. */
const RAISE_INTERVAL = 600_000

export class PathMtu {
  /** The largest size that is known to arrive. */
  size: number
  /** The size that is always taken to work. */
  readonly base: number
  /** Names the path of a probe, 0 .. 255: an answer to a probe on a former path says nothing about this one. */
  path = 0
  /** When a probe is due, or Infinity. */
  deadline = 0
  private readonly limit: number
  private ceiling = 0
  private trying = 0
  private tries = 0
  private confirmAt = 0
  private searchedAt = 0

  /** @param base known to work. @param limit the largest to try; not above `base`: nothing is tried. */
  constructor(base: number, limit: number) {
    this.base = base
    this.limit = Math.max(base, limit)
    this.size = base
    this.search(0)
  }

  /** The path has changed: what was found about the former one does not hold. */
  restart(now: number): void {
    this.path = (this.path + 1) & 0xff
    this.size = this.base
    this.search(now)
  }

  /** A datagram larger than the base is sent. */
  use(now: number): void {
    const idle = this.deadline === Number.POSITIVE_INFINITY && this.size > this.base
    if (!idle || now < this.confirmAt) return
    this.trying = this.size
    this.tries = 0
    this.deadline = now
  }

  /** The size of the probe that is due, or undefined. It may have changed `size`. */
  probe(now: number): number | undefined {
    if (this.deadline === Number.POSITIVE_INFINITY && this.size < this.limit) {
      if (now >= this.searchedAt + RAISE_INTERVAL) this.search(now)
    }
    if (now < this.deadline) return undefined
    if (this.tries === TRIES) {
      // Unanswered at the size in use: a black hole.
      if (this.trying === this.size) this.restart(now)
      else {
        this.ceiling = this.trying - 1
        this.aim(now)
      }
      if (now < this.deadline) return undefined
    }
    this.tries++
    this.deadline = now + PROBE_INTERVAL
    return this.trying
  }

  /** A probe of `size` that named `path` arrived. false: that is not what was asked, or nothing new. */
  arrived(size: number, path: number, now: number): boolean {
    if (path !== this.path || size > this.ceiling) return false
    if (size === this.size && this.trying === size && this.deadline !== Number.POSITIVE_INFINITY) {
      this.deadline = Number.POSITIVE_INFINITY
      this.confirmAt = now + CONFIRM_INTERVAL
      return true
    }
    if (size <= this.size) return false
    this.size = size
    this.confirmAt = now + CONFIRM_INTERVAL
    this.aim(now)
    return true
  }

  private search(now: number): void {
    this.ceiling = this.limit
    this.trying = this.limit
    this.tries = 0
    this.deadline = this.trying > this.size ? now : Number.POSITIVE_INFINITY
  }

  private aim(now: number): void {
    this.tries = 0
    const gain = this.ceiling - this.size
    this.trying = gain < PRECISION ? this.size : this.size + Math.ceil(gain / 2)
    this.searchedAt = now
    this.deadline = this.trying > this.size ? now : Number.POSITIVE_INFINITY
  }
}
