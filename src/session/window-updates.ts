/**
 * Window updates: a window that opened again is advertised until data arrives. A lost WINS costs the peer up to 5 s, as it
 * asks no sooner.
 * @module
 */
import type { Kcp } from '../core/kcp.ts'
import { NEVER } from './session-timers.ts'

/** Advertisements of one opening. */
const UPDATES = 5

export class WindowUpdates {
  /** When the next update is due, ms. */
  at: number = NEVER
  private left = 0

  /** The window opened. The engine advertises it in the next flush, `flushedAt` is the time of the latest one. */
  opened(kcp: Kcp, flushedAt: number): void {
    this.left = UPDATES
    this.at = flushedAt + kcp.rtt.rto
  }

  /** Data came: the peer knows that the window is open. */
  received(): void {
    this.left = 0
    this.at = NEVER
  }

  /** Has the engine advertise the window in the next flush. */
  advertise(kcp: Kcp, now: number): void {
    this.left--
    this.at = this.left > 0 ? now + kcp.rtt.rto : NEVER
    kcp.probe.tellPending = true
  }
}
