/**
 * Finds a peer that keeps a message growing forever, or leaves out a segment forever: what was received would be held
 * without end. A peer that is heard all the time, while nothing becomes readable that was begun, is not a slow one.
 * @module
 */
import type { ReceiveWindow } from '../core/receive-window.ts'

/** Of the time between two datagrams no more than this counts as time in which the peer was heard, ms. */
const STEP = 1_000

export class GrowthWatch {
  private stuckFor = 0
  private lookedAt = 0

  /**
   * After each datagram. `grown`: it let the receive window advance. Returns for how long, ms, the peer was heard while
   * nothing of what it began became readable.
   */
  look(window: ReceiveWindow, grown: boolean, now: number): number {
    const pause = Math.min(now - this.lookedAt, STEP)
    this.lookedAt = now
    const waits = window.queued + window.early > 0 && !grown && window.peekSize() < 0
    this.stuckFor = waits ? this.stuckFor + pause : 0
    return this.stuckFor
  }
}
