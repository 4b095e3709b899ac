/**
 * Equal cells of memory for the segments of one window, in one block. The cell that was given back last is taken
 * first, so a window touches as much memory as it holds segments, however far apart their numbers are.
 *
 * A cell is known by its index: where it lies changes when the block or the cells grow.
 * @module
 */
import { allocate, copyBytes, free, NO_BYTES, NO_WORDS } from './memory.ts'

/** Bytes of a cache line; cells are whole ones. */
const LINE = 64
/** Smallest cell, bytes: a header and a short message. Cells double from here up to `largest`. */
const FIRST_SIZE: number = LINE
/** Cells of the first block. */
const FIRST_CELLS = 2
/** Up to here a loop copies a part of something, which `set` could only with a view: an allocation. */
const SHORT = 128
/** A block of this many bytes belongs to a flow, not to a session that says something now and then: it gets room. */
const ROOMY = 16_384

const NO_CELLS = new Int32Array(0)
const NO_VIEWS: Uint8Array[] = []

export class CellArena {
  /** All cells, back to back; behind them, once they are many, room for the owner. Another block when it grew. */
  bytes: Uint8Array = NO_BYTES
  /** The same, for numbers of 32 bits. */
  words: DataView = NO_WORDS
  /** Bytes of a cell. */
  size = 0
  /** Where the room begins; 0: there is none. */
  roomAt = 0
  /** How much room, bytes. */
  room = 0
  /** Cells grow to this size at once when half of it is too small: that of a full segment. */
  largest: number = FIRST_SIZE
  /** Somebody reads the block: one that grows does not hand the old one back. */
  lent = false
  private cells = 0
  /** Cells that are free, the latest on top. */
  private idle: Int32Array = NO_CELLS
  private idleCount = 0
  /** The latest view of each cell, and where it starts: segments of a steady flow share both. */
  private views: Uint8Array[] = NO_VIEWS
  private starts: Int32Array = NO_CELLS

  /** A cell of at least `size` bytes. */
  take(size: number): number {
    if (this.idleCount === 0 || size > this.size) this.grow(size)
    return this.idle[--this.idleCount]!
  }

  give(cell: number): void {
    this.idle[this.idleCount++] = cell
  }

  /** Makes the cells at least `size` bytes large. */
  widen(size: number): void {
    if (size > this.size) this.relocate(this.cells, size)
  }

  /** Where a cell begins in `bytes`. */
  at(cell: number): number {
    return Math.imul(cell, this.size)
  }

  /** `len` bytes of a cell from `start` on. */
  view(cell: number, start: number, len: number): Uint8Array {
    const view = cell < this.views.length ? this.views[cell]! : NO_BYTES
    if (view.length === len && this.starts[cell] === start) return view
    return this.makeView(cell, start, len)
  }

  /** Copies `len` bytes of `from` (null: zeros), from `start` on, to `at` in `bytes`. */
  copyIn(at: number, from: Uint8Array | null, start: number, len: number): void {
    const { bytes } = this
    if (from === null) bytes.fill(0, at, at + len)
    else if (len === from.length) copyBytes(bytes, from, at)
    else if (len <= SHORT) for (let i = 0; i < len; i++) bytes[at + i] = from[start + i]!
    else bytes.set(from.subarray(start, start + len), at)
  }

  /** Copies `len` bytes of a cell, from `start` on, to `into` at `at`. */
  copyOut(cell: number, start: number, len: number, into: Uint8Array, at: number): void {
    const { bytes } = this
    const from = this.at(cell) + start
    // Within the block nothing but a move is needed; elsewhere `set` needs a view, which a short loop does not.
    if (into === bytes) bytes.copyWithin(at, from, from + len)
    else if (len <= SHORT) for (let i = 0; i < len; i++) into[at + i] = bytes[from + i]!
    else copyBytes(into, this.view(cell, start, len), at)
  }

  /** Gives everything back, the cells that were taken as well. */
  drop(): void {
    free(this.bytes)
    this.bytes = NO_BYTES
    this.words = NO_WORDS
    this.size = this.cells = this.idleCount = this.roomAt = 0
    this.idle = this.starts = NO_CELLS
    this.views = NO_VIEWS
  }

  private grow(size: number): void {
    const { cells } = this
    this.relocate(this.idleCount > 0 ? cells : Math.max(FIRST_CELLS, cells * 2), size)
    if (this.cells === cells) return
    this.idle = new Int32Array(this.cells)
    for (let cell = this.cells - 1; cell >= cells; cell--) this.idle[this.idleCount++] = cell
  }

  /** Moves everything to a block for `cells` cells of at least `needed` bytes. */
  private relocate(cells: number, needed: number): void {
    let size = Math.max(FIRST_SIZE, this.size)
    while (size < needed) size *= 2
    if (size > this.largest) size = Math.max((Math.max(needed, this.largest) + LINE - 1) & -LINE, this.size)
    const used = cells * size
    const room = used >= ROOMY ? this.room : 0
    const bytes = allocate(used + room)
    if (size === this.size) bytes.set(this.bytes.subarray(0, this.cells * size))
    else {
      for (let cell = 0; cell < this.cells; cell++) {
        const at = this.at(cell)
        bytes.set(this.bytes.subarray(at, at + this.size), cell * size)
      }
    }
    if (!this.lent) free(this.bytes)
    this.bytes = bytes
    this.words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.size = size
    this.cells = cells
    this.roomAt = room > 0 ? used : 0
    this.views = NO_VIEWS
  }

  private makeView(cell: number, start: number, len: number): Uint8Array {
    if (this.views.length === 0) {
      this.views = new Array<Uint8Array>(this.cells).fill(NO_BYTES)
      this.starts = new Int32Array(this.cells)
    }
    const at = this.at(cell) + start
    const view = this.bytes.subarray(at, at + len)
    this.views[cell] = view
    this.starts[cell] = start
    return view
  }
}
