/**
 * What all conversations of a listener may hold for their readers, and what those of one host may. When it is full, who has
 * to give way.
 * @module
 */
import { largestHolder, type MemoryBudget } from '../core/memory-budget.ts'
import type { KcpSession } from './session.ts'

/** Least time between two looks at every conversation for the one that holds the most, ms. */
const LOOK_INTERVAL = 10
/**
 * Conversations that hold what their readers have not read are ended only when others wanted for room this long, ms: a
 * reader that is slow for a while holds the senders back, as it should.
 */
const READER_PATIENCE = 10_000
/** A pause of so long between two that want for room is the end of a shortage, ms: a sender asks again ever more rarely. */
const SHORTAGE_PAUSE = 10_000

interface Host {
  readonly budget: MemoryBudget
  /** Conversations that use it. */
  users: number
}

/** The conversation that gives way, and the limit that demands it. */
export interface Victim {
  readonly session: KcpSession
  readonly option: 'maxMemory' | 'maxMemoryPerHost'
  readonly limit: number
}

export class ListenerMemory {
  readonly total: MemoryBudget
  private readonly perHost: number
  private readonly hosts: Map<string, Host> = new Map()
  private readonly sessions: Set<KcpSession> = new Set()
  private readonly byWindow: WeakMap<object, KcpSession> = new WeakMap()
  private lookedAt: number = Number.NEGATIVE_INFINITY
  /** Since when conversations want for room, and when one did last. */
  private shortSince = 0
  private shortAt: number = Number.NEGATIVE_INFINITY

  constructor(limit: number, perHost: number) {
    this.total = { used: 0, limit }
    this.perHost = perHost
  }

  /** Hosts that have conversations. */
  get size(): number {
    return this.hosts.size
  }

  /** The budget of a host's conversations, for one more of them; `leave` is its end. */
  enter(host: string): MemoryBudget {
    let found = this.hosts.get(host)
    if (found === undefined) {
      found = { budget: { used: 0, limit: this.perHost, parent: this.total }, users: 0 }
      this.hosts.set(host, found)
    }
    found.users++
    return found.budget
  }

  leave(host: string): void {
    const found = this.hosts.get(host)
    if (found !== undefined && --found.users === 0) this.hosts.delete(host)
  }

  add(session: KcpSession): void {
    this.sessions.add(session)
    this.byWindow.set(session.kcp.rcv, session)
  }

  delete(session: KcpSession): void {
    this.sessions.delete(session)
  }

  /**
   * A conversation of a host needs room, and nothing of it is readable: the largest that is stuck likewise gives way, of
   * the same host where it is the host's share that is used up. The one to end, and the limit; undefined: readers may
   * still make room.
   */
  victim(budget: MemoryBudget, need: number, now: number): Victim | undefined {
    if (now - this.shortAt > SHORTAGE_PAUSE) this.shortSince = now
    this.shortAt = now
    const full = [this.total, budget].find(
      ({ used, limit, stuck = 0 }) => used + need > limit || 2 * (stuck + need) > limit,
    )
    if (full === undefined) return undefined
    const { limit } = full
    const option = full === this.total ? 'maxMemory' : 'maxMemoryPerHost'
    const stuck = largestHolder(full, ({ readable }) => !readable)
    let session = stuck && this.byWindow.get(stuck)
    if (session === undefined && now - this.lookedAt >= LOOK_INTERVAL) {
      this.lookedAt = now
      session = this.look(full, (one) => !one.readable)
      if (session === undefined && full === this.total && now - this.shortSince >= READER_PATIENCE) {
        const largest = largestHolder(full)
        session = (largest && this.byWindow.get(largest)) ?? this.look(full, () => true)
      }
    }
    return session && { session, option, limit }
  }

  /** The same among those that hold little each. */
  private look(full: MemoryBudget, wanted: (session: KcpSession) => boolean): KcpSession | undefined {
    let found: KcpSession | undefined
    let most = 0
    for (const session of this.sessions) {
      const { rcv } = session.kcp
      if (rcv.bytes <= most || !wanted(session)) continue
      if (full !== this.total && rcv.budget !== full) continue
      found = session
      most = rcv.bytes
    }
    return found
  }
}
