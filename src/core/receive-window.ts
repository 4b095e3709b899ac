/**
 * What arrived and was not read yet: a ring by sn that holds the in-order queue and, behind it, the segments that
 * arrived early.
 *
 *        head              rcvNxt                      rcvNxt + rcvWnd
 *         │  in order: readable │  early, with holes        │
 *     ────┼─────────────────────┼──▓▓───▓─────▓▓▓───────────┼──── sn
 *         └── queued ───────────┘  └── early (count) ──┘
 *
 * Payloads lie in cells of one arena, so a steady flow allocates nothing. Knows nothing of headers, ACKs or clocks.
 * @module
 */
import { CellArena } from './cell-arena.ts'
import { allocate, copyBytes, free } from './memory.ts'
import {
  awaitRoom,
  type MemoryBudget,
  type MemoryHolder,
  MemoryShare,
  NO_LIMIT,
  roomIn,
  stopWaiting,
  wouldStick,
} from './memory-budget.ts'
import { KCP_OVERHEAD } from './segment.ts'
import { seqDiff, seqStep } from './seq.ts'

/** Words of a slot. */
const STRIDE = 4
const LEN = 0
/** frg + 1; 0 marks an empty slot. */
const MARK = 1
/** Where the payload starts in its cell. */
const START = 2
const CELL = 3
/** CELL of a segment that is too long for a cell. */
const APART = -1

const NO_SLOTS = new Int32Array(0)
/** Slots of a window's first ring. */
const FIRST_CAPACITY = 4

/**
 * Cells grow to what a frame of Ethernet carries, or to our own mtu if that is more. What is longer lies apart: a peer
 * must not blow up every cell with one segment.
 */
const CELL_MAX = 1536

/** Bytes of a desk: any UDP datagram fits. */
const DESK = 65_536
/** Desks that are free. Reading may nest (a congestion controller that feeds another engine), so each takes its own. */
const desks: Desk[] = []

/** Where datagrams are read that have no cell; shared by all windows, like the writer of a flush. */
class Desk {
  readonly bytes: Uint8Array
  readonly words: DataView

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
    this.words = new DataView(this.bytes.buffer)
  }

  static borrow(size: number): Desk {
    return size > DESK ? new Desk(size) : (desks.pop() ?? new Desk(DESK))
  }

  giveBack(): void {
    if (this.bytes.length === DESK) desks.push(this)
  }
}

/** The budget of windows that share none. */
const UNLIMITED: MemoryBudget = Object.freeze({ used: 0, limit: NO_LIMIT })

export class ReceiveWindow implements MemoryHolder {
  /** Next sn expected in order, as i32 (see seqStep). */
  private nextSn = 0
  /** Most segments in the in-order queue, and most beyond rcvNxt. */
  rcvWnd = 128
  /** Segments in the in-order queue; upstream's nrcv_que. */
  queued = 0
  /** Segments that arrived early; upstream's nrcv_buf. */
  early = 0
  /** Payload bytes held. */
  bytes = 0
  /** Most payload bytes held. */
  maxBytes: number = NO_LIMIT
  /** Payload bytes that a slot is counted with while the byte limits are near, unless the peer's are larger; 0: none. */
  segmentSize = 0
  /** The longest payload stored so far. */
  private longest = 0
  /** Refuse fragments that do not count down, or cannot fit. See KcpHardening.strictFragments. */
  strictFragments = false
  /** Set when strict fragments were broken: nothing further becomes readable. */
  broken = false
  /** Fragments that the message at the in-order queue's end still lacks. */
  private expected = 0

  /** The cell of the datagram that is taken in; APART when it has none. */
  private cell: number = APART
  /** What it has of a budget with a limit; one without is not kept up to date. */
  private share: MemoryShare | undefined
  /** The segment that is farthest ahead, i32; meaningful while something is early. */
  private farthest = 0
  /**
   * Why the segment that is next in order could not be taken though nothing is readable, so that only an end makes room:
   * `own` limit, or the `shared` one.
   */
  starved: 'own' | 'shared' | undefined
  /** A payload stays in that cell. */
  private taken = false
  /** Where the datagram lies if it has no cell. */
  private desk: Desk | undefined

  private meta: Int32Array = NO_SLOTS
  private mask = -1
  private readonly cells: CellArena = new CellArena()
  /** Payloads that are too long for a cell, by sn. */
  private apart: Map<number, Uint8Array> | undefined

  /** What it shares with others, such as all windows of a listener. Set before anything is stored. */
  get budget(): MemoryBudget {
    return this.share?.budget ?? UNLIMITED
  }
  set budget(budget: MemoryBudget) {
    this.share ??= new MemoryShare()
    this.share.budget = budget
  }

  /** Next sn expected in order. */
  get rcvNxt(): number {
    return this.nextSn >>> 0
  }
  set rcvNxt(sn: number) {
    this.nextSn = sn | 0
  }

  /**
   * Free slots to advertise: no more than the byte limits have room for, or the peer would send what is then dropped.
   * While nothing is readable it is at least one, or a message larger than the limits could never be completed.
   */
  get unused(): number {
    const slots = this.rcvWnd - this.queued
    if (slots <= 0) return 0
    return this.limited ? this.slotsWithin(slots) : slots
  }

  /** How many of `slots` the byte limits leave. */
  private slotsWithin(slots: number): number {
    const { share } = this
    const own = this.maxBytes - this.bytes
    const room = share === undefined ? own : Math.min(own, roomIn(share.budget))
    const size = this.slotSize
    if (room > 0 && room >= slots * size) return slots
    const fit = room > 0 ? Math.floor(room / size) : 0
    return fit > 0 || this.peekSize() >= 0 ? fit : 1
  }

  /** Bytes that a slot is counted with while the byte limits are near. */
  get slotSize(): number {
    // A peer with a larger mtu than ours would fill the limits with what is early, and nothing could close the gap.
    return this.segmentSize === 0 ? 0 : Math.max(this.longest, this.segmentSize)
  }

  /** If the shared budget is full: has `call` be called, once, when it has room again; not after a `drop`. */
  awaitRoom(call: () => void): void {
    // What closes it otherwise, a read of its own or a setting opens.
    awaitRoom(this.budget, this, call)
  }

  /** Whether a byte limit of its own or of a budget may refuse a segment: `admits` tells. */
  get limited(): boolean {
    return this.share !== undefined || this.maxBytes !== NO_LIMIT
  }

  /**
   * Whether a segment of `len` bytes may be taken that is `ahead` of the next one. What is early is acknowledged, and can
   * not be given up again: so it leaves room for all that is missing in front of it. What is next is refused while a
   * reader can make room; when none can, `starved` says so. `last`: it ends a message.
   */
  admits(ahead: number, len: number, last: boolean): boolean {
    const { maxBytes } = this
    const bytes = this.bytes + len
    const fits = this.share === undefined || this.fits(this.share, len, last)
    if (ahead > 0) {
      if (!fits || maxBytes === NO_LIMIT) return fits
      const { slotSize } = this
      // First what needs no look at what is missing.
      return bytes + this.rcvWnd * slotSize <= maxBytes || bytes + this.missing(ahead) * slotSize <= maxBytes
    }
    if (fits && bytes <= maxBytes) return true
    if (!this.readable) this.starved = bytes > maxBytes ? 'own' : 'shared'
    return false
  }

  /** Whether the budget has room for a segment of `len` bytes. */
  private fits({ budget, taken }: MemoryShare, len: number, last: boolean): boolean {
    const more = this.costOf(1, len) - taken
    // The end of a message makes it readable.
    return more <= roomIn(budget) && (last || this.readable || !wouldStick(budget, more))
  }

  /** Whether something can be read: `peekSize` without the sum. */
  get readable(): boolean {
    if (this.queued === 0) return false
    return this.queued >= this.meta[(seqStep(this.nextSn, -this.queued) & this.mask) * STRIDE + MARK]!
  }

  /** Segments that are missing up to one that is `ahead`, or up to the farthest that is here. */
  private missing(ahead: number): number {
    const span = this.early === 0 ? ahead : Math.max(ahead, seqDiff(this.farthest, this.nextSn))
    return span - this.early
  }

  /** What this window costs with `count` segments and `len` bytes more: a cell is used up by a single byte. */
  private costOf(count: number, len: number): number {
    return Math.max(this.bytes + len, (this.queued + this.early + count) * this.segmentSize)
  }

  /** Brings the budget up to date. */
  private charge(): void {
    this.share?.settle(this, this.costOf(0, 0))
  }

  /**
   * Takes a datagram in, to be read in `words` from `at` on: into a cell, where a payload of it can stay. A window that
   * holds no memory gets none for a datagram that may carry nothing, such as an answer to a question. Every `begin`
   * needs its `end`.
   */
  begin(datagram: Uint8Array): void {
    const { cells } = this
    const size = datagram.length
    this.taken = false
    if (size > cells.size) {
      cells.largest = this.segmentSize + KCP_OVERHEAD
      if (cells.size === 0 || (size > CELL_MAX && size > cells.largest)) {
        this.cell = APART
        this.desk = Desk.borrow(size)
        copyBytes(this.desk.bytes, datagram, 0)
        return
      }
    }
    this.cell = cells.take(size)
    copyBytes(cells.bytes, datagram, cells.at(this.cell))
  }

  /** The datagram was read. */
  end(): void {
    if (this.cell !== APART) {
      if (!this.taken) this.cells.give(this.cell)
      return
    }
    this.desk!.giveBack()
    this.desk = undefined
  }

  /** Where the datagram can be read. Another view after a `store`, which may find that the arena has to grow. */
  get words(): DataView {
    return this.cell === APART ? this.desk!.words : this.cells.words
  }

  /** Where it begins there. */
  get at(): number {
    return this.cell === APART ? 0 : this.cells.at(this.cell)
  }

  /**
   * Stores the segment `sn`, whose `len` bytes start at `start` in the datagram. false: it lies outside the window, or
   * is here already. What has become in-order moves to the readable queue, as far as that has room.
   */
  store(sn: number, frg: number, start: number, len: number): boolean {
    const ahead = seqDiff(sn, this.nextSn)
    if (ahead < 0 || ahead >= this.rcvWnd) return false
    if (this.queued + ahead > this.mask) this.grow(this.queued + ahead + 1)
    const word = (sn & this.mask) * STRIDE
    if (this.meta[word + MARK] !== 0) {
      // A repeat. The window may have grown since the last look, so what waits behind the queue may fit now.
      this.advance()
      return false
    }
    if (this.taken || this.cell === APART) this.copyIn(sn, word, start, len)
    else {
      // The first payload of a datagram stays where it is.
      this.meta[word + CELL] = this.cell
      this.meta[word + START] = start
      this.taken = true
    }
    this.meta[word + LEN] = len
    this.meta[word + MARK] = frg + 1
    if (len > this.longest) this.longest = len
    this.bytes += len
    if (ahead === 0 && this.early === 0 && this.takesNext(frg)) {
      this.charge()
      return true
    }
    this.early++
    if (this.early === 1 || seqDiff(sn, this.farthest) > 0) this.farthest = sn | 0
    this.advance()
    return true
  }

  /** Moves what is next in order from the early segments to the queue. */
  advance(): void {
    while (this.early > 0) {
      const mark = this.meta[(this.nextSn & this.mask) * STRIDE + MARK]!
      if (mark === 0 || !this.takesNext(mark - 1)) break
      this.early--
    }
    this.charge()
  }

  /** The next segment in order is here: whether the queue takes it. */
  private takesNext(frg: number): boolean {
    if (this.queued >= this.rcvWnd || this.broken) return false
    if (this.strictFragments && !this.follows(frg)) return false
    this.queued++
    this.nextSn = seqStep(this.nextSn, 1)
    return true
  }

  /** Bytes of the next message; -1 when none is complete. A message without its last fragment ends with the queue. */
  peekSize(): number {
    if (this.queued === 0) return -1
    let sn = seqStep(this.nextSn, -this.queued)
    const mark = this.meta[(sn & this.mask) * STRIDE + MARK]!
    if (mark === 1) return this.meta[(sn & this.mask) * STRIDE + LEN]!
    if (this.queued < mark) return -1
    let size = 0
    for (let left = this.queued; left > 0; left--) {
      const word = (sn & this.mask) * STRIDE
      size += this.meta[word + LEN]!
      if (this.meta[word + MARK] === 1) break
      sn = seqStep(sn, 1)
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
      sn = seqStep(sn, 1)
    }
    return size
  }

  /**
   * Copies the next message into `into` from `at` on (null: nowhere) and removes it unless `peek`. Only when peekSize()
   * allows. Returns its bytes. Calls `seen` with each sn when given.
   */
  take(into: Uint8Array | null, peek: boolean, seen?: (sn: number) => void, at = 0): number {
    let sn = seqStep(this.nextSn, -this.queued)
    let size = 0
    for (let left = this.queued; left > 0; left--) {
      const word = (sn & this.mask) * STRIDE
      const len = this.meta[word + LEN]!
      const last = this.meta[word + MARK] === 1
      if (into !== null && len > 0) this.copyOut(sn, word, len, into, at + size)
      size += len
      seen?.(sn >>> 0)
      if (!peek) {
        this.release(sn, word)
        this.meta[word + MARK] = 0
        this.queued--
        this.bytes -= len
      }
      if (last) break
      sn = seqStep(sn, 1)
    }
    if (!peek) this.charge()
    return size
  }

  /** Number of the segment at the head of the queue. */
  get head(): number {
    return seqStep(this.nextSn, -this.queued) >>> 0
  }

  /** frg of the segment `sn`, or -1 when it is not here. */
  frgOf(sn: number): number {
    return this.meta.length === 0 ? -1 : this.meta[(sn & this.mask) * STRIDE + MARK]! - 1
  }

  /** Payload of a segment that is here; a view that lives until it is read. */
  dataOf(sn: number): Uint8Array {
    const word = (sn & this.mask) * STRIDE
    const cell = this.meta[word + CELL]!
    const len = this.meta[word + LEN]!
    if (cell === APART) return this.apart!.get(sn | 0)!.subarray(0, len)
    return this.cells.view(cell, this.meta[word + START]!, len)
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
    this.cells.drop()
    if (this.apart !== undefined) for (const block of this.apart.values()) free(block)
    this.apart = undefined
    stopWaiting(this.budget, this)
    this.meta = NO_SLOTS
    this.mask = -1
    this.queued = 0
    this.early = 0
    this.bytes = 0
    this.charge()
  }

  private copyOut(sn: number, word: number, len: number, into: Uint8Array, at: number): void {
    const { cells } = this
    const cell = this.meta[word + CELL]!
    const start = this.meta[word + START]!
    if (cell === APART) into.set(this.apart!.get(sn | 0)!.subarray(0, len), at)
    else cells.copyOut(cell, start, len, into, at)
  }

  /** Gives back what holds the payload of `sn`. */
  private release(sn: number, word: number): void {
    const cell = this.meta[word + CELL]!
    if (cell !== APART) {
      this.cells.give(cell)
      return
    }
    free(this.apart!.get(sn | 0)!)
    this.apart!.delete(sn | 0)
  }

  /** Finds the payload of a segment a place of its own. */
  private copyIn(sn: number, word: number, start: number, len: number): void {
    const { meta, cells } = this
    if (len > CELL_MAX && len > this.segmentSize) {
      const block = allocate(len)
      // Cells may be as large as an mtu that was lowered since, and are whole cache lines: the datagram may lie in one.
      const [from, base] = this.cell === APART ? [this.desk!.bytes, 0] : [cells.bytes, this.at]
      block.set(from.subarray(base + start, base + start + len))
      this.apart ??= new Map()
      this.apart.set(sn | 0, block)
      meta[word + CELL] = APART
      return
    }
    // As it will come: with a header.
    const cell = cells.take(KCP_OVERHEAD + len)
    if (this.cell === APART) cells.copyIn(cells.at(cell), this.desk!.bytes, start, len)
    else cells.bytes.copyWithin(cells.at(cell), this.at + start, this.at + start + len)
    meta[word + CELL] = cell
    meta[word + START] = 0
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
    // Old slots cover one run of sn from the head on, so every one of them has its place in the new ring.
    const head = this.head
    for (let i = 0; i <= this.mask; i++) {
      const sn = seqStep(head, i)
      const from = (sn & this.mask) * STRIDE
      const to = (sn & (capacity - 1)) * STRIDE
      meta[to + LEN] = this.meta[from + LEN]!
      meta[to + MARK] = this.meta[from + MARK]!
      meta[to + START] = this.meta[from + START]!
      meta[to + CELL] = this.meta[from + CELL]!
    }
    this.meta = meta
    this.mask = capacity - 1
  }
}
