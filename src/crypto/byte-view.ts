/**
 * Words in byte buffers: the ciphers work on 32-bit words, and a DataView reads those at any offset, in either order,
 * on every machine, as fast as a typed array.
 * @module
 */

/**
 * The DataViews of the two memories that came last: what is sent lies in one, what was received in another. A steady
 * flow thus allocates nothing.
 */
export class ByteView {
  #last: DataView = new DataView(new ArrayBuffer(0))
  #other: DataView = this.#last

  /** Of the memory under `bytes`: positions count from `bytes.byteOffset`. */
  of(bytes: Uint8Array): DataView {
    if (this.#last.buffer === bytes.buffer) return this.#last
    const view = this.#other.buffer === bytes.buffer ? this.#other : new DataView(bytes.buffer)
    this.#other = this.#last
    this.#last = view
    return view
  }
}

/** `x` rotated left by `n`, 1..31. */
export function rotl(x: number, n: number): number {
  return (x << n) | (x >>> (32 - n))
}

/** Xors up to 64 bytes at `at`, before `end`, with 16 little-endian words of key stream. */
export function xorKeyStream(view: DataView, at: number, end: number, words: Int32Array): void {
  if (end - at >= 64) {
    for (let i = 0; i < 16; i++, at += 4) view.setInt32(at, view.getInt32(at, true) ^ words[i]!, true)
    return
  }
  let i = 0
  for (; at + 4 <= end; i++, at += 4) view.setInt32(at, view.getInt32(at, true) ^ words[i]!, true)
  for (let rest = words[i]!; at < end; at++, rest >>>= 8) view.setUint8(at, view.getUint8(at) ^ (rest & 0xff))
}
