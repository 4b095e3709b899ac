/**
 * GHASH (NIST SP 800-38D section 6.4): a polynomial over GF(2^128), evaluated at a secret point. Bytes at a time with a
 * table of 256 multiples of that point (Shoup's method); what is read from it depends on secrets.
 * @module
 */

/** The reduction polynomial, its bits in GCM's order: x^7 + x^2 + x + 1 beside x^128. */
const R = 0xe100_0000
/** What falls out at the low end when a product is moved by a byte, folded back to the top 16 bits. */
const FOLD: Int32Array = Int32Array.from({ length: 256 }, (_, byte) => {
  let [a, d] = [0, byte]
  for (let bit = 0; bit < 8; bit++) {
    const low = d & 1
    d = (d >>> 1) | (a << 31)
    a = (a >>> 1) ^ (low === 1 ? R : 0)
  }
  return a
})

export class Ghash {
  /** Byte b times the point: four words for each b, the first holds the lowest powers of x. */
  readonly #table: Int32Array = new Int32Array(1024)
  /** The last block of a text, padded. */
  readonly #last: DataView = new DataView(new ArrayBuffer(16))
  #y0 = 0
  #y1 = 0
  #y2 = 0
  #y3 = 0

  /** @param point H, as four words. */
  constructor(point: Int32Array) {
    const table = this.#table
    let [a, b, c, d] = point as unknown as [number, number, number, number]
    // 0x80 is 1, its bits are counted from the top; each step to the right is a multiplication by x.
    for (let power = 128; power > 0; power >>= 1) {
      table.set([a, b, c, d], 4 * power)
      const low = d & 1
      d = (d >>> 1) | (c << 31)
      c = (c >>> 1) | (b << 31)
      b = (b >>> 1) | (a << 31)
      a = (a >>> 1) ^ (low === 1 ? R : 0)
    }
    for (let power = 2; power < 256; power <<= 1) {
      for (let rest = 1; rest < power; rest++) {
        for (let i = 0; i < 4; i++)
          table[4 * (power + rest) + i] = table[4 * power + i]! ^ table[4 * rest + i]!
      }
    }
  }

  restart(): void {
    this.#y0 = this.#y1 = this.#y2 = this.#y3 = 0
  }

  /** Takes in `view[at, end)`, and zeros up to a multiple of 16 bytes. */
  update(view: DataView, at: number, end: number): void {
    for (; at + 16 <= end; at += 16) this.#block(view, at)
    if (at >= end) return
    for (let i = 0; i < 16; i++) this.#last.setUint8(i, at + i < end ? view.getUint8(at + i) : 0)
    this.#block(this.#last, 0)
  }

  /** Takes in the last block: the sizes in bits of the associated data and the ciphertext, given in bytes. */
  sizes(a: number, b: number): void {
    this.#last.setUint32(0, 0)
    this.#last.setUint32(4, 8 * a)
    this.#last.setUint32(8, 0)
    this.#last.setUint32(12, 8 * b)
    this.#block(this.#last, 0)
  }

  /** The hash, as four words. */
  finish(out: Int32Array): void {
    out[0] = this.#y0
    out[1] = this.#y1
    out[2] = this.#y2
    out[3] = this.#y3
  }

  /** y = (y + block) H, byte for byte from the last: z = z x^8 + byte H. */
  #block(view: DataView, at: number): void {
    const table = this.#table
    let word = this.#y3 ^ view.getInt32(at + 12)
    let from = (word & 0xff) << 2
    let z0 = table[from]!
    let z1 = table[from + 1]!
    let z2 = table[from + 2]!
    let z3 = table[from + 3]!
    for (let i = 14; i >= 0; i--) {
      if ((i & 3) === 3) {
        word = (i === 11 ? this.#y2 : i === 7 ? this.#y1 : this.#y0) ^ view.getInt32(at + i - 3)
      } else {
        word >>>= 8
      }
      from = (word & 0xff) << 2
      const folded = FOLD[z3 & 0xff]!
      z3 = ((z3 >>> 8) | (z2 << 24)) ^ table[from + 3]!
      z2 = ((z2 >>> 8) | (z1 << 24)) ^ table[from + 2]!
      z1 = ((z1 >>> 8) | (z0 << 24)) ^ table[from + 1]!
      z0 = (z0 >>> 8) ^ folded ^ table[from]!
    }
    this.#y0 = z0
    this.#y1 = z1
    this.#y2 = z2
    this.#y3 = z3
  }
}
