/**
 * The receiving half of the readable engine: what came in, in lists that are sorted and walked.
 * @module
 */

import type { ResolvedKcpConfig } from '../../src/core/config.ts'
import { Incarnation } from '../../src/core/incarnation.ts'
import { KcpCounters } from '../../src/core/stats.ts'
import { concat, diff, HEADER, type Segment, u32 } from './wire.ts'

export interface Received {
  readonly sn: number
  readonly frg: number
  readonly data: Uint8Array
}

/** Bytes that several engines hold together, within those of a larger group. */
export interface ReferenceBudget {
  used: number
  readonly limit: number
  readonly parent?: ReferenceBudget
  /** Of those in which nothing is readable. */
  stuck?: number
}

export abstract class ReferenceReceiver {
  readonly counters: KcpCounters = new KcpCounters()
  // What came in: rcvQueue has all up to rcvNxt, in order; rcvBuf came early.
  rcvQueue: Received[] = []
  rcvBuf: Received[] = []
  rcvNxt = 0
  /** ACKs for the next flush, and how many C would have room for before its list grows. */
  owed: { readonly sn: number; ts: number }[] = []
  owedRoom = 0
  /** Most payload bytes held here, and by all engines that share the budget. */
  maxBytes: number = Number.POSITIVE_INFINITY
  /** The longest payload that was stored. */
  private longestHeard = 0
  budget: ReferenceBudget = { used: 0, limit: Number.POSITIVE_INFINITY }
  /** Of the budget, and of that what counts as stuck. */
  private charged = 0
  private chargedStuck = 0
  readonly peer: Incarnation = new Incarnation()
  protocolError = false

  /** Latest ts of the peer's. */
  heardTs = 0
  /** The peer asked for the window, or believes it closed. */
  tellPending = false
  /** The window that the latest datagram told. */
  protected toldWnd: number | undefined

  abstract now: number
  abstract readonly config: ResolvedKcpConfig

  get mss(): number {
    return this.config.mtu - HEADER
  }

  /** The next message, or why there is none: -1 nothing came, -2 it is incomplete, -3 it is longer than `max`. */
  recv(max: number, peek: boolean): Uint8Array | number {
    if (this.rcvQueue.length === 0) return -1
    const message = this.nextMessage()
    if (message === undefined) return -2
    if (sizeOf(message) > max) return -3
    const wasFull = this.freeSlots() === 0
    if (!peek) {
      this.rcvQueue = this.rcvQueue.slice(message.length)
    }
    this.moveInOrder()
    this.charge()
    // The peer believes that the window is closed: tell it.
    const reopened = this.config.hardening.tellOpened && this.toldWnd === 0
    if ((wasFull || reopened) && this.freeSlots() > 0) this.tellPending = true
    return concat(message.map(({ data }) => data))
  }

  peekSize(): number {
    const message = this.nextMessage()
    return message === undefined ? -1 : sizeOf(message)
  }

  /** Its segments. Where the last one is missing it ends with the queue, as in C. */
  private nextMessage(): Received[] | undefined {
    const first = this.rcvQueue[0]
    if (first === undefined || this.rcvQueue.length < first.frg + 1) return undefined
    const last = this.rcvQueue.findIndex(({ frg }) => frg === 0)
    return last < 0 ? this.rcvQueue : this.rcvQueue.slice(0, last + 1)
  }

  protected acceptPush({ sn, ts, frg, data }: Segment, cautious: boolean): void {
    const { counters } = this
    const { rcvWnd, hardening } = this.config
    const ahead = diff(sn, this.rcvNxt)
    const beyond = diff(sn, this.rcvNxt + rcvWnd) >= 0
    if (!beyond && ahead >= 0 && this.peer.unproven) {
      counters.outOfWindow++
      return
    }
    if (!beyond && (ahead < 0 || cautious) && this.peer.isMisfit(sn, ts, this.now)) {
      counters.outOfWindow++
      return
    }
    if (ahead < 0 && !beyond) counters.duplicates++
    if (beyond || (hardening.nearAck && data.length > 0 && ahead < -2 * rcvWnd)) {
      counters.outOfWindow++
      return
    }
    // Without an ACK it comes again.
    if (ahead >= 0 && !this.admits(ahead, data.length, frg === 0)) {
      counters.overLimit++
      return
    }
    this.heardTs = ts
    // una and the ts of the ACK before say it already.
    if (hardening.spareAcks && ahead < 0 && data.length > 0 && this.owed.at(-1)?.ts === ts) return
    this.owe(sn, ts)
    if (ahead < 0) return
    if (this.rcvBuf.some((one) => one.sn === sn)) {
      counters.duplicates++
    } else {
      this.rcvBuf.push({ sn, frg, data })
      this.rcvBuf.sort((a, b) => diff(a.sn, b.sn))
      this.longestHeard = Math.max(this.longestHeard, data.length)
      counters.segmentsIn++
    }
    this.moveInOrder()
    this.charge()
  }

  /** Whether a segment fits: for one that is early with room left for all that is missing in front of any that is early. */
  private admits(ahead: number, size: number, last: boolean): boolean {
    const held = [...this.rcvQueue, ...this.rcvBuf]
    const bytes = sizeOf(held) + size
    const more = Math.max(bytes, (held.length + 1) * this.mss) - this.charged
    const sticky = !last && this.nextMessage() === undefined
    for (const { used, limit, stuck = 0 } of levels(this.budget)) {
      if (used + more > limit || (sticky && stuck + more > limit / 2)) return false
    }
    if (ahead === 0) return bytes <= this.maxBytes
    const farthest = Math.max(ahead, ...this.rcvBuf.map((one) => diff(one.sn, this.rcvNxt)))
    const missing = farthest - this.rcvBuf.length
    return bytes + missing * Math.max(this.mss, this.longestHeard) <= this.maxBytes
  }

  /** What this end takes of the budget: full segments, as a cell holds one however short it is. */
  private charge(): void {
    const { budget } = this
    // What has no limit is not kept.
    if (budget.limit >= 2 ** 31 - 1) return
    const held = this.rcvQueue.length + this.rcvBuf.length
    const cost = Math.max(this.rcvBytes, held * this.mss)
    const stuck = this.nextMessage() === undefined ? cost : 0
    for (const level of levels(budget)) {
      level.used += cost - this.charged
      level.stuck = (level.stuck ?? 0) + stuck - this.chargedStuck
    }
    this.charged = cost
    this.chargedStuck = stuck
  }

  /** Holds nothing any more. */
  forgetReceived(): void {
    this.rcvQueue = []
    this.rcvBuf = []
    this.charge()
  }

  /** Lists an ACK, or gives the listed one the older ts; of several sn with one place in a table, the latest is found. */
  private owe(sn: number, ts: number): void {
    const places = 2 * this.owedRoom
    const listed = this.owed.findLast((one) => one.sn % places === sn % places)
    if (this.config.hardening.dedupeAcks && listed?.sn === sn) {
      if (diff(ts, listed.ts) < 0) listed.ts = ts
      return
    }
    if (this.owed.length === this.owedRoom) this.owedRoom = Math.max(8, 2 * this.owedRoom)
    this.owed.push({ sn, ts })
  }

  private moveInOrder(): void {
    const { rcvWnd, hardening } = this.config
    while (this.rcvBuf[0]?.sn === this.rcvNxt && this.rcvQueue.length < rcvWnd && !this.protocolError) {
      const { frg } = this.rcvBuf[0]
      const before = this.rcvQueue.at(-1)?.frg ?? 0
      if (hardening.strictFragments && (before > 0 ? frg !== before - 1 : frg >= rcvWnd)) {
        this.protocolError = true
        return
      }
      this.rcvQueue.push(this.rcvBuf.shift()!)
      this.rcvNxt = u32(this.rcvNxt + 1)
    }
  }

  get rcvBytes(): number {
    return sizeOf(this.rcvQueue) + sizeOf(this.rcvBuf)
  }

  /** The window to advertise: full segments that there is room for; at least one if nothing can be read to make room. */
  freeSlots(): number {
    const slots = Math.max(0, this.config.rcvWnd - this.rcvQueue.length)
    const rooms = levels(this.budget).map(({ limit, used }) => limit - used)
    const room = Math.max(0, Math.min(this.maxBytes - this.rcvBytes, ...rooms))
    const size = Math.max(this.mss, this.longestHeard)
    if (slots === 0 || room >= slots * size) return slots
    const fit = Math.floor(room / size)
    return fit === 0 && this.peekSize() < 0 ? 1 : fit
  }
}

/** A budget and those that it is a part of. */
function levels(budget: ReferenceBudget): ReferenceBudget[] {
  return budget.parent === undefined ? [budget] : [budget, ...levels(budget.parent)]
}

/** Payload bytes. */
export function sizeOf(segments: readonly { readonly data: Uint8Array }[]): number {
  return segments.reduce((sum, { data }) => sum + data.length, 0)
}
