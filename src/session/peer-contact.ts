/**
 * What all channels of a conversation know of their peer together: when it was heard, whether it knows of the
 * conversation, its clock and ours. Hearing one channel is hearing all.
 * @module
 */
import { PeerClock } from './peer-clock.ts'

/** A channel of the conversation, as the others see it. */
export interface Channel {
  readonly closed: boolean
  /** Whether data or a challenge was sent on it, so that the peer has something to answer. */
  readonly spoken: boolean
  /** The peer is not the one that the conversation began with: that is so for all channels. */
  peerLost(now: number, message: string): void
}

export class PeerContact {
  /** In the order of their numbers. */
  readonly channels: Channel[] = []

  /** The clock that the peer writes its segments by. */
  readonly clock: PeerClock = new PeerClock()
  /** What the channels' ts is ahead of `now`, ms. */
  readonly clockBase: number
  /** Whether anything valid was ever heard, and when last, ms. */
  heard = false
  heardAt: number
  /** Whether the peer was asked for a sign of life, on any channel. */
  asked = false
  /** Whether the peer knows of the conversation. A server's peer does: it began it. */
  known: boolean
  /** Whether the peer's address is validated, as that of a client's server always is. */
  validated: boolean
  /** Latest time that a PUSH came which the peer does not write now; -Infinity: none, or it has shown that it is there. */
  misfitAt: number = Number.NEGATIVE_INFINITY
  private shiftedAt = Number.NEGATIVE_INFINITY

  constructor(role: 'client' | 'server', clockOffset: number, now: number) {
    this.clockBase = clockOffset - Math.floor(now)
    this.heardAt = now
    this.known = role === 'server'
    this.validated = role === 'client'
  }

  /** Whether channel 0 is open: it asks a silent peer for all. */
  get firstOpen(): boolean {
    return !this.channels[0]!.closed
  }

  /** The event loop was blocked until `now`, see Task.forgive. Each channel reports that; it counts once. */
  shift(later: (at: number) => number, now: number): void {
    if (this.shiftedAt === now) return
    this.shiftedAt = now
    this.heardAt = later(this.heardAt)
  }
}
