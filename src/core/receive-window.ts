/**
 * What arrived and was not read yet: a ring by sn that holds the in-order queue and, behind it, the segments that
 * arrived early.
 *
 *        head              rcvNxt                      rcvNxt + rcvWnd
 *         │  in order: readable │  early, with holes        │
 *     ────┼─────────────────────┼──▓▓───▓─────▓▓▓───────────┼──── sn
 *         └── queued ───────────┘  └── early (count) ──┘
 *
 * A slot owns the buffer that its payloads are copied into and keeps it for the next segment that falls on it, so a
 * steady flow allocates nothing. Knows nothing of headers, ACKs or clocks.
 * @module
 */
import { allocate, free, NO_BYTES } from './memory.ts'
import { seqAdd, seqDiff } from './seq.ts'

/** Words of a slot. */
const STRIDE = 4
const LEN = 0
/** frg + 1; 0 marks an empty slot. */
const MARK = 1
/** Where the payload starts in the slot's buffer. */
const START = 2

const NO_SLOTS = new Int32Array(0)
/** Slots of a window's first ring. */
const FIRST_CAPACITY = 8
/** A byte count that several windows share, and its limit. */
export interface MemoryBudget {
  used: number
  readonly limit: number
}

/** A slot's buffer is rounded up to this many bytes, so that sizes that vary a little reuse it. */
const ROUND = 64
/** Up to here a loop copies; a longer run wants `set`, which takes a view where it is part of something. */
const SHORT = 128

export class ReceiveWindow {
  /** Next sn expected in order. */
  rcvNxt = 0
  /** Most segments in the in-order queue, and most beyond rcvNxt. */
  rcvWnd = 128
  /** Segments in the in-order queue; upstream's nrcv_que. */
  queued = 0
  /** Segments that arrived early; upstream's nrcv_buf. */
  early = 0
  /** Payload bytes held. */
  bytes = 0
  /** Most payload bytes held. */
  maxBytes: number = Number.POSITIVE_INFINITY
  /** Payload bytes that a slot is counted with while the byte limits are near; 0: none. */
  segmentSize = 0
  /** What all windows of a listener hold together. */
  budget: MemoryBudget = { used: 0, limit: Number.POSITIVE_INFINITY }
  /** Refuse fragments that do not count down, or cannot fit. See KcpHardening.strictFragments. */
  strictFragments = false
  /** Set when strict fragments were broken: nothing further becomes readable. */
  broken = false
  /** Fragments that the message at the in-order queue's end still lacks. */
  private expected = 0

  private meta: Int32Array = NO_SLOTS
  private blocks: Uint8Array[] = []
  /** The payload of the slot's latest segment, as a view: segments of a steady flow share it. */
  private views: Uint8Array[] = []
  private mask = -1

  /**
   * Free slots to advertise: no more than the byte limits have room for, or the peer would send what is then dropped.
   * While nothing is readable it is at least one, or a message larger than the limits could never be completed.
   */
  get unused(): number {
    const slots = this.rcvWnd - this.queued
    if (slots <= 0) return 0
    const room = Math.min(this.maxBytes - this.bytes, this.budget.limit - this.budget.used)
    if (room > 0 && room >= slots * this.segmentSize) return slots
    const fit = room > 0 ? Math.floor(room / this.segmentSize) : 0
    return fit > 0 || this.peekSize() >= 0 ? fit : 1
  }

  /** Whether `len` more bytes stay within the byte limits. */
  hasRoom(len: number): boolean {
    return this.bytes + len <= this.maxBytes && this.budget.used + len <= this.budget.limit
  }

  /**
   * Stores the segment `sn`, copying `len` bytes of `from`. false: it lies outside the window, or is here already.
   * What has become in-order moves to the readable queue, as far as that has room.
   */
  store(sn: number, frg: number, from: Uint8Array, start: number, len: number): boolean {
    const ahead = seqDiff(sn, this.rcvNxt)
    if (ahead < 0 || seqDiff(sn, seqAdd(this.rcvNxt, this.rcvWnd)) >= 0) return false
    if (this.queued + ahead > this.mask) this.grow(this.queued + ahead + 1)
    const slot = sn & this.mask
    if (this.meta[slot * STRIDE + MARK] !== 0) {
      // A repeat. The window may have grown since the last look, so what waits behind the queue may fit now.
      this.advance()
      return false
    }
    // A datagram that is little more than this segment is copied whole: part of it would need a view.
    const whole = len > SHORT && from.length <= len * 2
    const needed = whole ? from.length : len
    let block = this.blocks[slot]!
    if (block.length < needed) {
      free(block)
      block = this.blocks[slot] = allocate((needed + ROUND - 1) & -ROUND)
      this.views[slot] = NO_BYTES
    }
    if (whole) block.set(from)
    else if (len <= SHORT) for (let i = 0; i < len; i++) block[i] = from[start + i]!
    else block.set(from.subarray(start, start + len))
    this.meta[slot * STRIDE + START] = whole ? start : 0
    this.meta[slot * STRIDE + LEN] = len
    this.meta[slot * STRIDE + MARK] = frg + 1
    this.early++
    this.bytes += len
    this.budget.used += len
    this.advance()
    return true
  }

  /** Moves what is next in order from the early segments to the queue. */
  advance(): void {
    while (this.early > 0 && this.queued < this.rcvWnd && !this.broken) {
      const mark = this.meta[(this.rcvNxt & this.mask) * STRIDE + MARK]!
      if (mark === 0) break
      if (this.strictFragments && !this.follows(mark - 1)) break
      this.early--
      this.queued++
      this.rcvNxt = seqAdd(this.rcvNxt, 1)
    }
  }

  /** Bytes of the next message; -1 when none is complete. A message without its last fragment ends with the queue. */
  peekSize(): number {
    if (this.queued === 0) return -1
    let sn = seqAdd(this.rcvNxt, -this.queued)
    const frg = this.meta[(sn & this.mask) * STRIDE + MARK]! - 1
    if (this.queued < frg + 1) return -1
    let size = 0
    for (let left = this.queued; left > 0; left--) {
      const word = (sn & this.mask) * STRIDE
      size += this.meta[word + LEN]!
      if (this.meta[word + MARK] === 1) break
      sn = seqAdd(sn, 1)
    }
    return size
  }

  /**
   * Bytes of the messages that are complete at the queue's head, as many of them as fit into `limit` together; of the
   * first one, if even that does not fit. -1 when none is complete.
   */
  runSize(limit: number): number {
    let size = this.peekSize()
    if (size < 0) return size
    let left = this.queued
    let sn = this.head
    // The last message that is complete may be followed by the first fragments of another.
    for (let rest = 0, skip = true; left > 0; left--) {
      const word = (sn & this.mask) * STRIDE
      rest += this.meta[word + LEN]!
      if (this.meta[word + MARK] === 1) {
        if (!skip) {
          if (size + rest > limit) break
          size += rest
        }
        skip = false
        rest = 0
      }
      sn = seqAdd(sn, 1)
    }
    return size
  }

  /**
   * Copies the next message into `into` from `at` on (null: nowhere) and removes it unless `peek`. Only when peekSize()
   * allows. Returns its bytes. Calls `seen` with each sn when given.
   */
  take(into: Uint8Array | null, peek: boolean, seen?: (sn: number) => void, at = 0): number {
    let sn = seqAdd(this.rcvNxt, -this.queued)
    let size = 0
    for (let left = this.queued; left > 0; left--) {
      const slot = sn & this.mask
      const word = slot * STRIDE
      const len = this.meta[word + LEN]!
      const last = this.meta[word + MARK] === 1
      if (into !== null && len > 0) {
        if (len > SHORT) into.set(this.viewOf(slot), at + size)
        else {
          const block = this.blocks[slot]!
          const start = this.meta[word + START]!
          for (let i = 0; i < len; i++) into[at + size + i] = block[start + i]!
        }
      }
      size += len
      seen?.(sn)
      if (!peek) {
        this.meta[word + MARK] = 0
        this.queued--
        this.bytes -= len
        this.budget.used -= len
      }
      if (last) break
      sn = seqAdd(sn, 1)
    }
    return size
  }

  /** Number of the segment at the head of the queue. */
  get head(): number {
    return seqAdd(this.rcvNxt, -this.queued)
  }

  /** frg of the segment `sn`, or -1 when it is not here. */
  frgOf(sn: number): number {
    return this.meta.length === 0 ? -1 : this.meta[(sn & this.mask) * STRIDE + MARK]! - 1
  }

  /** Payload of a segment that is here; a view that lives until it is read. */
  dataOf(sn: number): Uint8Array {
    return this.viewOf(sn & this.mask)
  }

  /** Slots of the ring; a segment may be held up to this far behind the queue's head. */
  get capacity(): number {
    return this.mask + 1
  }

  /** Gives all memory back when nothing is held. */
  trim(): void {
    if (this.queued === 0 && this.early === 0) this.drop()
  }

  /** Forgets everything. */
  drop(): void {
    for (const block of this.blocks) free(block)
    this.budget.used -= this.bytes
    this.meta = NO_SLOTS
    this.blocks = []
    this.views = []
    this.mask = -1
    this.queued = 0
    this.early = 0
    this.bytes = 0
  }

  /** The payload in a slot. */
  private viewOf(slot: number): Uint8Array {
    const len = this.meta[slot * STRIDE + LEN]!
    const start = this.meta[slot * STRIDE + START]!
    const block = this.blocks[slot]!
    const view = this.views[slot]!
    if (view.length === len && view.byteOffset === block.byteOffset + start) return view
    const made = block.subarray(start, start + len)
    this.views[slot] = made
    return made
  }

  /** Whether a segment with `frg` may follow what is queued; marks the window as broken otherwise. */
  private follows(frg: number): boolean {
    const ok = this.expected > 0 ? frg === this.expected - 1 : frg < this.rcvWnd
    if (ok) this.expected = frg
    else this.broken = true
    return ok
  }

  private grow(needed: number): void {
    let capacity = Math.max(FIRST_CAPACITY, this.mask + 1)
    while (capacity < needed) capacity *= 2
    const meta = new Int32Array(capacity * STRIDE)
    const blocks = new Array<Uint8Array>(capacity).fill(NO_BYTES)
    const views = new Array<Uint8Array>(capacity).fill(NO_BYTES)
    // Old slots cover one run of sn from the head on, so every one of them has its place in the new ring.
    const head = this.head
    for (let i = 0; i <= this.mask; i++) {
      const sn = seqAdd(head, i)
      const from = sn & this.mask
      const to = sn & (capacity - 1)
      meta[to * STRIDE + LEN] = this.meta[from * STRIDE + LEN]!
      meta[to * STRIDE + MARK] = this.meta[from * STRIDE + MARK]!
      meta[to * STRIDE + START] = this.meta[from * STRIDE + START]!
      blocks[to] = this.blocks[from]!
      views[to] = this.views[from]!
    }
    this.meta = meta
    this.blocks = blocks
    this.views = views
    this.mask = capacity - 1
  }
}
