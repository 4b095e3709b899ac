/**
 * The ACKs that are owed to the peer: (sn, ts) pairs in order of arrival, emptied by the next flush.
 * @module
 */
import { seqDiff } from './seq.ts'

const NONE = new Uint32Array(0)
const NO_INDEX = new Int32Array(0)

/** Upstream's first block, in pairs; doubles from there. */
const FIRST_CAPACITY = 8

export class AckList {
  /** sn at 2i, ts at 2i+1. */
  pairs: Uint32Array = NONE
  /** Pairs owed. */
  count = 0
  /** Where an sn was listed, for `pushOnce`: position + 1 at sn modulo the length; a hint, checked on use. */
  private index: Int32Array = NO_INDEX

  /** Pairs that fit before the list grows. */
  get capacity(): number {
    return this.pairs.length >>> 1
  }

  /** Owes one more; `once`: see `pushOnce`. */
  list(sn: number, ts: number, once: boolean): void {
    if (once) this.pushOnce(sn, ts)
    else this.push(sn, ts)
  }

  push(sn: number, ts: number): void {
    if (this.count * 2 === this.pairs.length) this.grow()
    this.pairs[this.count * 2] = sn
    this.pairs[this.count * 2 + 1] = ts
    this.count++
  }

  /**
   * As `push`, but an sn that is listed already only gets the older ts: it answers the first transmission, so that the
   * peer does not take that for lost when copies of it arrive together. Two sn that share a place of the index may be
   * listed again; the index grows with the list, so the list stays within twice the number of distinct sn.
   */
  pushOnce(sn: number, ts: number): void {
    const place = sn & (this.index.length - 1)
    const listed = this.index.length === 0 ? 0 : this.index[place]!
    if (listed !== 0 && listed <= this.count && seqDiff(this.pairs[(listed - 1) * 2]!, sn) === 0) {
      const at = (listed - 1) * 2 + 1
      if (seqDiff(ts, this.pairs[at]!) < 0) this.pairs[at] = ts
      return
    }
    this.push(sn, ts)
    if (this.index.length < this.pairs.length) this.reindex()
    else this.index[place] = this.count
  }

  /** Whether the latest ACK owed echoes `ts`. */
  echoes(ts: number): boolean {
    return this.count > 0 && seqDiff(this.pairs[this.count * 2 - 1]!, ts) === 0
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
