/**
 * The ACKs that are owed to the peer: (sn, ts) pairs in order of arrival, emptied by the next flush.
 * @module
 */

const NONE = new Uint32Array(0)
const NO_INDEX = new Int32Array(0)

/** Upstream's first block, in pairs; doubles from there. */
const FIRST_CAPACITY = 8

export class AckList {
  /** sn at 2i, ts at 2i+1. */
  pairs: Uint32Array = NONE
  /** Pairs owed. */
  count = 0
  private spare = false
  private spareSn = 0
  private spareTs = 0
  /** Where an sn was listed, for `pushOnce`: position + 1 at sn modulo the length; a hint, checked on use. */
  private index: Int32Array = NO_INDEX

  /** Pairs that fit before the list grows. */
  get capacity(): number {
    return this.pairs.length >>> 1
  }

  push(sn: number, ts: number): void {
    if (this.count * 2 === this.pairs.length) this.grow()
    this.pairs[this.count * 2] = sn
    this.pairs[this.count * 2 + 1] = ts
    this.count++
  }

  /**
   * As `push`, but an sn that is listed already only gets the newer ts. Two sn that share a place of the index may be
   * listed again; the index grows with the list, so the list stays within twice the number of distinct sn.
   */
  pushOnce(sn: number, ts: number): void {
    if (this.renew(sn, ts)) return
    this.push(sn, ts)
    if (this.index.length < this.pairs.length) this.reindex()
    else this.index[sn & (this.index.length - 1)] = this.count
  }

  /** Gives an sn that is listed the newer ts; false: it is not listed. */
  private renew(sn: number, ts: number): boolean {
    const listed = this.index.length === 0 ? 0 : this.index[sn & (this.index.length - 1)]!
    if (listed === 0 || listed > this.count || this.pairs[(listed - 1) * 2] !== sn) return false
    this.pairs[(listed - 1) * 2 + 1] = ts
    return true
  }

  /**
   * A repeat of what una acknowledges anyway: any other ACK of the flush says it too, so this one goes only if there is
   * none.
   */
  pushSpare(sn: number, ts: number): void {
    if (this.renew(sn, ts)) return
    this.spare = true
    this.spareSn = sn
    this.spareTs = ts
  }

  /** Lists the spare ACK if nothing else is owed. */
  settle(): void {
    if (this.spare && this.count === 0) this.push(this.spareSn, this.spareTs)
    this.spare = false
  }

  /** Whether anything is owed. */
  get owed(): boolean {
    return this.count > 0 || this.spare
  }

  clear(): void {
    this.count = 0
  }

  /** Gives the memory back when nothing is owed. */
  trim(): void {
    if (this.count > 0) return
    this.pairs = NONE
    this.index = NO_INDEX
  }

  private grow(): void {
    const grown = new Uint32Array(Math.max(FIRST_CAPACITY * 2, this.pairs.length * 2))
    grown.set(this.pairs)
    this.pairs = grown
  }

  private reindex(): void {
    this.index = new Int32Array(this.pairs.length)
    const mask = this.index.length - 1
    for (let i = 0; i < this.count; i++) this.index[this.pairs[i * 2]! & mask] = i + 1
  }
}
