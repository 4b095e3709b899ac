/**
 * The timers of a session as a table: when each is armed for, and what it does when it is due. `deadline` asks the table
 * for the earliest, `run` fires those that are due, in this order. A new timer is one entry here.
 *
 * Times are derived from what the session knows, so a timer is never armed or stopped by hand. When the event loop was
 * blocked, the times that these are derived from are moved: see KcpSession.forgive.
 * @module
 */

/** When a timer that is not armed is due. */
export const NEVER: number = Number.POSITIVE_INFINITY

export const SessionTimer = {
  /** A message's time to live is over: armed while there are such messages. Fires before the application is asked for more. */
  Expiry: 0,
  /** Nothing valid was heard for `idleTimeout`: armed while the peer may still have something to say. */
  Idle: 1,
  /** PUSHes came that are not the peer's, and it did not show that it is there. */
  Doubt: 2,
  /** Address validation failed: armed until it has succeeded. */
  Pending: 3,
  /** The first segment never came: armed from the birth of a server's session until it is here. */
  Orphan: 4,
  /** Nothing outstanding was acknowledged for `stallTimeout`: armed while something is outstanding. */
  Stall: 5,
  /** What was left at the close was not acknowledged for `lingerTimeout`: armed while draining. */
  Linger: 6,
  /** The next address challenge: armed until the address is validated. */
  Challenge: 7,
  /** The peer was silent for `keepAlive`, or left data unacknowledged for as long as an outage takes. */
  KeepAlive: 8,
  /** The peer left the last bytes unacknowledged: armed while draining. */
  AskForLast: 9,
  /** The peer is doubted, and was not asked for a while. */
  AskDoubted: 10,
  /** The peer's host refused, and the peer was not asked since. */
  AskRefused: 11,
  /** Empty windows give their memory back: armed while there is memory to give. */
  Trim: 12,
  /** A window that opened is advertised again: armed until data comes. */
  WindowUpdate: 13,
  /** A retransmission, a window probe, or data that a budget held back, but not before the flush interval is over. */
  Retransmit: 14,
  /** Data that was written with `flushWrite: false`. */
  DelayedWrite: 15,
  /** Redundant copies that found no datagram to leave in. */
  Redundancy: 16,
  /** The next Fin: armed while notifying. */
  Fin: 17,
  /** The peer answers no Fin: armed while it may still send. */
  Mute: 18,
} as const
export type SessionTimer = (typeof SessionTimer)[keyof typeof SessionTimer]

/** What the table needs of a session. */
export interface TimedSession {
  readonly closed: boolean
  /** When a timer is armed for, ms of the session's clock; Infinity: it is not. `now`: a time near by, as the engine's clock is u32. */
  timerAt(timer: SessionTimer, now: number): number
  fire(timer: SessionTimer, now: number): void
}

const COUNT = Object.keys(SessionTimer).length

/** When the first of all timers is due, ms; Infinity: none is armed. */
export function earliest(session: TimedSession, now: number): number {
  let at = NEVER
  for (let timer = 0; timer < COUNT; timer++) at = Math.min(at, session.timerAt(timer as SessionTimer, now))
  return at
}

/** Fires what is due from `first` on, in the order of the table, until the session is over. */
export function fireDue(session: TimedSession, now: number, first: SessionTimer): void {
  for (let timer: number = first; timer < COUNT && !session.closed; timer++) {
    if (now >= session.timerAt(timer as SessionTimer, now)) session.fire(timer as SessionTimer, now)
  }
}
