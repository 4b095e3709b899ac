/**
 * Conversations that are over, remembered for a while (RFC 9293's TIME-WAIT): a late segment must not open a ghost,
 * and a peer whose Fin was answered, but did not hear it, gets the answer again. Bounded in number, by host, and in time.
 * @module
 */
import { KeyedCounter } from './keyed-counter.ts'
import type { PeerClock } from './peer-clock.ts'

/** Most conversations remembered; the oldest make room. */
const CAPACITY = 65_536
/** Of these, of one host; what is beyond them is not remembered. */
const CAPACITY_PER_HOST = 8_192
/**
 * Most conversations remembered whose peer never proved its address. They have places of their own: a flood of forged
 * addresses makes room among its own kind.
 */
const UNPROVEN = 4_096
const UNPROVEN_PER_HOST = 256

export interface Tombstone {
  readonly until: number
  readonly host: string
  /** The answer to a repeated Fin. */
  readonly finAck: Uint8Array | undefined
  /** What its peer's segments were dated by: a successor of the peer has another clock (as RFC 6191). */
  readonly clock: PeerClock
}

/** One more conversation that is over. */
export interface Burial {
  readonly key: string
  /** What one peer has plenty of addresses of. */
  readonly host: string
  readonly proven: boolean
  readonly finAck: Uint8Array | undefined
  readonly clock: PeerClock
}

export class TimeWait {
  private readonly ttl: number
  private readonly proven: Graves = new Graves(CAPACITY, CAPACITY_PER_HOST)
  private readonly unproven: Graves = new Graves(UNPROVEN, UNPROVEN_PER_HOST)

  /** @param ttl ms that a conversation is remembered; 0: not at all. */
  constructor(ttl: number) {
    this.ttl = ttl
  }

  /** Conversations remembered at `now`. */
  size(now: number): number {
    return this.proven.size(now) + this.unproven.size(now)
  }

  bury({ key, host, proven, finAck, clock }: Burial, now: number): void {
    if (this.ttl === 0) return
    const graves = proven ? this.proven : this.unproven
    graves.add(key, { until: now + this.ttl, host, finAck, clock }, now)
  }

  /** The tombstone of a conversation that ended less than the ttl ago. */
  find(key: string, now: number): Tombstone | undefined {
    return this.proven.find(key, now) ?? this.unproven.find(key, now)
  }

  /** A successor of the peer begins the conversation anew. */
  forget(key: string): void {
    this.proven.delete(key)
    this.unproven.delete(key)
  }
}

class Graves {
  /** In order of burial, so the first to expire come first. */
  private readonly stones: Map<string, Tombstone> = new Map()
  private readonly byHost: KeyedCounter = new KeyedCounter()
  private readonly capacity: number
  private readonly perHost: number

  constructor(capacity: number, perHost: number) {
    this.capacity = capacity
    this.perHost = perHost
  }

  size(now: number): number {
    this.expire(now)
    return this.stones.size
  }

  add(key: string, stone: Tombstone, now: number): void {
    this.expire(now)
    this.delete(key)
    // A host that has its share keeps what it has: its older conversations are as good as its newer ones.
    if (this.byHost.get(stone.host) >= this.perHost) return
    if (this.stones.size >= this.capacity) {
      for (const oldest of this.stones.keys()) {
        this.delete(oldest)
        break
      }
    }
    this.stones.set(key, stone)
    this.byHost.add(stone.host, 1)
  }

  find(key: string, now: number): Tombstone | undefined {
    const found = this.stones.get(key)
    if (found === undefined || found.until > now) return found
    this.expire(now)
    return undefined
  }

  delete(key: string): void {
    const stone = this.stones.get(key)
    if (stone === undefined) return
    this.stones.delete(key)
    this.byHost.add(stone.host, -1)
  }

  private expire(now: number): void {
    for (const [key, { until }] of this.stones) {
      if (until > now) break
      this.delete(key)
    }
  }
}
