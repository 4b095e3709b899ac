/**
 * Round-trip time estimation after RFC 6298, with KCP's two departures: the variance floor is the flush interval
 * (acks wait for a flush, so that is the real clock granularity G), and the lower bound of the RTO is 30 or 100 ms
 * where the RFC says 1 s.
 * @module
 */
import { isStale, seqDiff } from './seq.ts'

/** Upper bound of the RTO, ms. RFC 6298 (2.5) asks for at least 60 s. Upstream's IKCP_RTO_MAX. */
export const RTO_MAX = 60_000
/** RTO before the first sample, ms. RFC 6298 (2.1) says 1 s; KCP starts eager. IKCP_RTO_DEF. */
export const RTO_INITIAL = 200
/** Lower bound of the RTO, ms. IKCP_RTO_MIN. */
export const RTO_MIN = 100
/** Lower bound of the RTO with `nodelay`, ms. IKCP_RTO_NDL. */
export const RTO_MIN_NODELAY = 30

/** `value / 2^bits`, cut towards zero as C does, for -2^31 .. 2^32-1. In whole numbers: this runs for every ACK. */
function shifted(value: number, bits: number): number {
  return value < 0 ? -(-value >>> bits) | 0 : value >>> bits
}

export class RttEstimator {
  /** Smoothed RTT, ms. 0: no sample yet (or a first sample of 0, which upstream does not tell apart). */
  srtt = 0
  /** RTT variation, ms. */
  rttvar = 0
  /** Retransmission timeout that a segment gets on its first transmission, ms. */
  rto: number = RTO_INITIAL
  /** Lower bound of `rto`, ms. */
  minRto: number = RTO_MIN
  /**
   * Forget variation once a round trip instead of with each measurement: thousands of them a second would otherwise
   * remember a millisecond, and any queue that grows would end every RTO (RFC 7323 appendix G).
   */
  steady = false
  /** The largest deviation of this round trip, and when it began, u32 ms. */
  private worst = 0
  private tripAt = 0

  /**
   * Folds in one measurement, 0 .. 2^31-1 ms, made at `now`. Divisions truncate and products wrap at 32 bits as in ikcp.c: a forged
   * ts can make `rtt` huge, and parity holds there too.
   */
  sample(rtt: number, interval: number, now = 0): void {
    if (this.srtt === 0) {
      this.srtt = rtt
      this.rttvar = (rtt / 2) | 0
      this.tripAt = now
    } else {
      // RFC 6298 (2.3): RTTVAR is updated before SRTT, from the old SRTT.
      const delta = (rtt - this.srtt) | 0
      const deviation = delta < 0 ? -delta : delta
      if (this.steady) this.vary(deviation, now)
      else this.rttvar = shifted(Math.imul(3, this.rttvar) + deviation, 2)
      this.srtt = shifted((Math.imul(7, this.srtt) + rtt) | 0, 3)
      if (this.srtt < 1) this.srtt = 1
    }
    const variance = Math.imul(4, this.rttvar)
    // Compared as u32: one that wrapped is the larger.
    const margin = variance < 0 || variance > interval ? variance : interval
    const rto = (this.srtt + margin) >>> 0
    this.rto = Math.min(Math.max(this.minRto >>> 0, rto), RTO_MAX)
  }

  /** Takes more variation at once, and less when the round trip was over in which the most was `worst`. */
  private vary(deviation: number, now: number): void {
    this.worst = Math.max(this.worst, deviation)
    const trip = seqDiff(now, this.tripAt) >= this.srtt
    if (trip) {
      this.rttvar = Math.max(this.worst, ((3 * this.rttvar + this.worst) / 4) | 0)
      this.worst = 0
      this.tripAt = now
    } else if (deviation > this.rttvar) this.rttvar = deviation
  }

  /** A round trip that began days ago is over. */
  age(now: number): void {
    if (isStale(now, this.tripAt)) this.tripAt = now
  }

  /** What follows on an RTO of `rto` that was over: doubled, or with `nodelay` half as much more; u32 unless capped. */
  backOff(rto: number, nodelay: number, cap: boolean): number {
    if (nodelay === 0) rto += Math.max(rto, this.rto)
    else if (nodelay === 1) rto += ((rto | 0) / 2) | 0
    else rto += (this.rto / 2) | 0
    return cap ? Math.min(rto, RTO_MAX) : rto >>> 0
  }
}
