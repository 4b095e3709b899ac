/**
 * Address validation (RFC 9000 §8): until a peer has shown that it receives at its address, it gets at most three times
 * the bytes that it sent, and challenges that ask for a proof. This is the one place that knows the amplification budget
 * of a session; the engine spends from the same number when it flushes.
 * @module
 */
import type { Kcp } from '../core/kcp.ts'
import { KCP_OVERHEAD } from '../core/segment.ts'
import { NEVER } from './session-timers.ts'

/** A peer whose address is not validated gets at most this many times what it sent. RFC 9000 §8. */
const AMPLIFICATION = 3
/** A session whose peer's address is not validated is forgotten after this much silence, ms. */
export const PENDING_TIMEOUT = 5_000
/**
 * Address challenges that a peer gets for nothing: at once, after 250 and 500 ms, then every 750 ms; all within
 * PENDING_TIMEOUT. At 30% loss each way all eight fail once in 200 times.
 */
const CHALLENGES = 8
const CHALLENGE_INTERVAL = 250
const CHALLENGE_INTERVAL_MAX = 750

export class AddressValidation {
  private readonly kcp: Kcp
  private done: boolean
  private challenges = 0
  /** When the next challenge is due, ms. */
  private nextAt = 0
  /**
   * Whether a datagram came for this channel, or is about to. To a peer whose address is not validated a channel that was
   * never used says nothing: the bytes that a forger draws would grow with the number of channels.
   */
  addressed: boolean

  constructor(kcp: Kcp, validated: boolean, addressed = true) {
    this.kcp = kcp
    this.addressed = addressed
    this.done = validated
    if (!validated) kcp.allowance = 0
  }

  get validated(): boolean {
    return this.done
  }

  markValidated(): void {
    this.done = true
    this.kcp.allowance = NEVER
  }

  /** The peer sent so many bytes: they pay for an answer. */
  credit(bytes: number): void {
    this.addressed = true
    if (!this.done) this.kcp.allowance += AMPLIFICATION * bytes
  }

  /** Takes `bytes` from the budget. false: it has not got so many, and the bytes must not be sent. */
  trySpend(bytes: number): boolean {
    if (bytes > this.kcp.allowance) return false
    this.kcp.allowance -= bytes
    return true
  }

  /** Whether the budget lets the oldest unacknowledged segment be sent: what it does not pay for waits for the peer. */
  get affordsOldest(): boolean {
    const { kcp } = this
    return this.done || kcp.allowance >= KCP_OVERHEAD + kcp.snd.lenOf(kcp.snd.base)
  }

  /** When the next challenge is due, ms. Beyond the free ones the bytes that the peer sent have to pay for it. */
  get challengeAt(): number {
    const { kcp } = this
    if (this.done || !this.addressed) return NEVER
    return this.challenges < CHALLENGES || kcp.allowance >= KCP_OVERHEAD + kcp.overhead ? this.nextAt : NEVER
  }

  /** Challenges the address, unless data that goes out now serves as the challenge. */
  challenge(now: number): void {
    const { kcp } = this
    this.nextAt = now + Math.min(CHALLENGE_INTERVAL_MAX, CHALLENGE_INTERVAL * 2 ** this.challenges)
    this.challenges++
    const acks = kcp.acks.count * KCP_OVERHEAD
    const head = kcp.snd.queued > 0 ? KCP_OVERHEAD + kcp.snd.lenOf(kcp.sndNxt) : NEVER
    if (this.challenges > 1 || acks + head > kcp.allowance) kcp.challenge()
  }
}
