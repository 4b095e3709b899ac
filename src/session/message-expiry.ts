/**
 * Messages with a time to live: each one is sent in time, expires, or ends with its session, and its sender learns which.
 * A message may wait in front of the engine or in its queue; both are watched here.
 * @module
 */
import type { Kcp } from '../core/kcp.ts'
import { NEVER } from './session-timers.ts'

/** A message that is not worth sending after some time. */
export interface Expiring {
  /** From this time on it is not sent any more, whole ms of the session's clock. */
  readonly expiresAt: number
  /**
   * Called once: the message goes out now, its time was over before, or the session was. The call comes from inside the
   * session, which it must not call.
   */
  readonly settled: (outcome: 'sent' | 'expired' | 'closed') => void
}

/** Tickets are i32 and not 0. */
const TICKET_MAX = 0x7fff_ffff

export class MessageExpiry {
  /** No message expires before this time, ms. */
  at: number = NEVER
  private readonly kcp: Kcp
  private readonly messages: Map<number, Expiring> = new Map()
  private lastTicket = 0

  constructor(kcp: Kcp) {
    this.kcp = kcp
    kcp.onOutcome = (ticket, sent) => this.settle(ticket, sent ? 'sent' : 'expired')
  }

  /** Watches a message from here on. Returns its ticket. */
  add(message: Expiring): number {
    this.lastTicket = (this.lastTicket % TICKET_MAX) + 1
    this.messages.set(this.lastTicket, message)
    this.at = Math.min(this.at, message.expiresAt)
    return this.lastTicket
  }

  /** The message of a ticket; undefined when its outcome is known already. */
  find(ticket: number): Expiring | undefined {
    return this.messages.get(ticket)
  }

  /** Gives up the messages whose time is over. `ts`: the time by the engine's clock. */
  run(now: number, ts: number): void {
    const { kcp } = this
    kcp.expire(ts)
    this.at = NEVER
    for (const [ticket, { expiresAt }] of this.messages) {
      if (now < expiresAt) this.at = Math.min(this.at, expiresAt)
      else {
        // The engine did not have it yet.
        kcp.counters.expired++
        this.settle(ticket, 'expired')
      }
    }
  }

  /** The session is over. */
  close(): void {
    for (const ticket of this.messages.keys()) this.settle(ticket, 'closed')
  }

  private settle(ticket: number, outcome: 'sent' | 'expired' | 'closed'): void {
    const message = this.messages.get(ticket)
    this.messages.delete(ticket)
    if (this.messages.size === 0) this.at = NEVER
    message?.settled(outcome)
  }
}
