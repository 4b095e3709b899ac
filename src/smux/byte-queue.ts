/**
 * Bytes that wait for a reader, in the pieces that they came in as far as that is cheap. A peer chooses the pieces, so
 * what a byte costs in memory has a bound: small pieces are gathered, and a view of a large buffer that it would keep
 * alive is copied.
 * @module
 */

/** Shorter pieces are gathered: an array of their own would cost more than what they hold. */
const KEEP_MIN = 1024
/** Smallest and largest block that pieces are gathered in, bytes; in between as large as what waits already. */
const BLOCK_MIN = 256
const BLOCK_MAX = 16 * 1024

export class ByteQueue {
  #pieces: Uint8Array[] = []
  /** Index of the first piece that is still there. */
  #first = 0
  /** Where small pieces are gathered, behind all of `#pieces`: what waits in it is start .. end. */
  #block: Uint8Array | undefined
  #start = 0
  #end = 0
  #length = 0

  /** Bytes that wait. */
  get length(): number {
    return this.#length
  }

  /** Adds bytes. The queue may keep the view: the caller no longer writes to it. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    if (bytes.length >= KEEP_MIN && bytes.length * 2 >= bytes.buffer.byteLength) {
      this.#seal()
      this.#pieces.push(bytes)
    } else {
      let at = 0
      while (at < bytes.length) {
        if (this.#block === undefined || this.#end === this.#block.length) this.#renew(bytes.length - at)
        const room = this.#block!.length - this.#end
        const part = bytes.subarray(at, at + room)
        this.#block!.set(part, this.#end)
        this.#end += part.length
        at += part.length
      }
    }
    this.#length += bytes.length
  }

  /** The next bytes, at most `max` of them and never across two pieces; undefined when there are none. The caller's to keep. */
  take(max: number): Uint8Array | undefined {
    if (this.#length === 0) return undefined
    let taken: Uint8Array
    if (this.#first < this.#pieces.length) {
      const piece = this.#pieces[this.#first]!
      taken = piece.length <= max ? piece : piece.subarray(0, max)
      if (taken === piece) this.#dropFirst()
      else this.#pieces[this.#first] = piece.subarray(max)
    } else {
      const end = Math.min(this.#end, this.#start + max)
      taken = this.#block!.subarray(this.#start, end)
      this.#start = end
    }
    this.#length -= taken.length
    // An empty queue keeps no memory: there may be thousands.
    if (this.#length === 0) this.clear()
    return taken
  }

  clear(): void {
    this.#pieces = []
    this.#first = this.#start = this.#end = this.#length = 0
    this.#block = undefined
  }

  #dropFirst(): void {
    this.#pieces[this.#first++] = EMPTY
    if (this.#first * 2 > this.#pieces.length) {
      this.#pieces.splice(0, this.#first)
      this.#first = 0
    }
  }

  /** Makes what was gathered a piece, so that another one can follow. */
  #seal(): void {
    const block = this.#block
    if (block === undefined) return
    const used = this.#end - this.#start
    if (used > 0) {
      const piece = block.subarray(this.#start, this.#end)
      this.#pieces.push(used * 2 < block.length ? piece.slice() : piece)
    }
    this.#block = undefined
    this.#start = this.#end = 0
  }

  #renew(wanted: number): void {
    this.#seal()
    this.#block = new Uint8Array(
      Math.max(Math.min(wanted, BLOCK_MAX), Math.min(Math.max(this.#length, BLOCK_MIN), BLOCK_MAX)),
    )
  }
}

const EMPTY = new Uint8Array(0)
