/**
 * Conversations that are over, remembered for a while (RFC 9293's TIME-WAIT): a late segment must not open a ghost,
 * and a peer whose Fin was answered, but did not hear it, gets the answer again. Bounded in number and time.
 * @module
 */

/** Most conversations remembered; the oldest make room. */
const CAPACITY = 65_536

interface Tombstone {
  readonly until: number
  /** The answer to a repeated Fin. */
  readonly finAck: Uint8Array | undefined
}

export class TimeWait {
  private readonly ttl: number
  /** In order of burial, so the first to expire come first. */
  private readonly tombstones: Map<string, Tombstone> = new Map()

  /** @param ttl ms that a conversation is remembered; 0: not at all. */
  constructor(ttl: number) {
    this.ttl = ttl
  }

  /** Conversations remembered at `now`. */
  size(now: number): number {
    this.expire(now)
    return this.tombstones.size
  }

  bury(key: string, now: number, finAck: Uint8Array | undefined): void {
    if (this.ttl === 0) return
    this.expire(now)
    this.tombstones.delete(key)
    if (this.tombstones.size >= CAPACITY) {
      for (const oldest of this.tombstones.keys()) {
        this.tombstones.delete(oldest)
        break
      }
    }
    this.tombstones.set(key, { until: now + this.ttl, finAck })
  }

  /** The tombstone of a conversation that ended less than the ttl ago. */
  find(key: string, now: number): Tombstone | undefined {
    const found = this.tombstones.get(key)
    if (found === undefined || found.until > now) return found
    this.expire(now)
    return undefined
  }

  private expire(now: number): void {
    for (const [key, { until }] of this.tombstones) {
      if (until > now) break
      this.tombstones.delete(key)
    }
  }
}
