/**
 * Tells a peer that is configured differently from the noise of a network: one and the same address that sends again and
 * again what cannot be read. Keeps one address, whoever sends how many.
 * @module
 */

/** Datagrams of one address, more than of all others meanwhile. A client that knocks sends so many in some seconds. */
const ENOUGH = 5

export class Suspicion {
  private key = ''
  private count = 0
  private done = false

  /** Something unreadable came from `key`. true, once: this is no accident. */
  add(key: string): boolean {
    if (this.done) return false
    // A majority vote: it forgets in favour of others one by one.
    if (this.count === 0) this.key = key
    this.count += key === this.key ? 1 : -1
    this.done = this.count >= ENOUGH
    return this.done
  }
}

/** What may be wrong with a peer whose datagrams cannot be opened (`sealed`), or are not KCP. */
export function unreadable(from: string, sealed: boolean): string {
  return sealed
    ? `datagrams from ${from} cannot be opened: probably it has another key or cipher (see the option crypto)`
    : `datagrams from ${from} are not KCP: probably it has a cipher (see the options crypto and security)`
}
