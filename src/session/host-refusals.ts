/**
 * Refusals of the peer's host (ICMP port unreachable). Before the peer was heard one is the answer to a connect. Later it
 * is a hint: anybody can forge ICMP, and firewalls stumble (RFC 5927, RFC 9000 §14.2.1). The peer is asked, and only a host
 * that refuses again and again, while nothing valid is heard, is gone.
 * @module
 */
import { NEVER } from './session-timers.ts'

/**
 * A host that was heard before is gone when it refuses this often, an RTO apart at least, and the peer answers none of the
 * questions that each refusal causes. At 10% loss each way all eight answers of a peer that is there are missing once in
 * 600,000 times.
 */
const REFUSALS = 8
/** The same for a peer that has said all, and has all of ours, where only the answer to our Fin is missing. */
const REFUSALS_AT_THE_END = 3
/** After so long without a refusal they are counted anew, ms. */
const MEMORY = 10_000
/** Least time between two refusals that count, ms. */
const INTERVAL = 100

export class HostRefusals {
  /** Since the peer was heard last. */
  private count = 0
  /** When the latest counted, ms. */
  private latestAt = Number.NEGATIVE_INFINITY

  /**
   * The host refused. `heardAt`: when the peer was heard last. 'gone': believe it; 'ask': it is the first one, so the peer
   * is to be asked; 'wait' otherwise. `atTheEnd`: both ends have said all.
   */
  add(
    now: number,
    { heardAt, rto, atTheEnd }: { heardAt: number; rto: number; atTheEnd: boolean },
  ): 'gone' | 'ask' | 'wait' {
    if (heardAt > this.latestAt || now - this.latestAt > MEMORY) this.count = 0
    if (now - this.latestAt < intervalOf(rto)) return 'wait'
    this.latestAt = now
    this.count++
    if (this.count >= (atTheEnd ? REFUSALS_AT_THE_END : REFUSALS)) return 'gone'
    return this.count === 1 && !atTheEnd ? 'ask' : 'wait'
  }

  /** When to ask the peer again, once for each refusal, ms; `askedAt`: when it was asked last. */
  askAt(heardAt: number, askedAt: number, rto: number): number {
    const at = this.latestAt + intervalOf(rto)
    return this.count > 0 && this.latestAt > heardAt && askedAt < at ? at : NEVER
  }
}

function intervalOf(rto: number): number {
  return Math.max(INTERVAL, rto)
}
