/**
 * Poly1305 (RFC 8439 section 2.5) for AEADs: what it authenticates is padded with zeros to whole blocks.
 *
 * The accumulator is six limbs of 22 bits in floating-point numbers: their products, and sums of six of those with the
 * factor of the reduction, stay below 2^53 and hence exact, and 36 multiplications make a block where 13-bit limbs in
 * 32-bit integers take 100. No branch depends on a secret.
 * @module
 */

/** 2^22 and 2^20: a limb, and the limb at the top, which ends at bit 130. */
const LIMB = 4_194_304
const TOP = 1_048_576
const MASK = 0x3f_ffff

export class Poly1305 {
  #h0 = 0
  #h1 = 0
  #h2 = 0
  #h3 = 0
  #h4 = 0
  #h5 = 0
  #r0 = 0
  #r1 = 0
  #r2 = 0
  #r3 = 0
  #r4 = 0
  #r5 = 0
  /** What is added at the end. */
  readonly #s: Int32Array = new Int32Array(4)
  /** The last block of a text, padded. */
  readonly #last: DataView = new DataView(new ArrayBuffer(16))

  /** Begins anew with a key for one use: words 0 to 3 are r, words 4 to 7 s. */
  restart(key: Int32Array): void {
    // Section 2.5.1: these bits of r are cleared.
    const w0 = key[0]! & 0x0fff_ffff
    const w1 = key[1]! & 0x0fff_fffc
    const w2 = key[2]! & 0x0fff_fffc
    const w3 = key[3]! & 0x0fff_fffc
    this.#r0 = w0 & MASK
    this.#r1 = ((w0 >>> 22) | (w1 << 10)) & MASK
    this.#r2 = ((w1 >>> 12) | (w2 << 20)) & MASK
    this.#r3 = (w2 >>> 2) & MASK
    this.#r4 = ((w2 >>> 24) | (w3 << 8)) & MASK
    this.#r5 = w3 >>> 14
    for (let i = 0; i < 4; i++) this.#s[i] = key[4 + i]!
    this.#h0 = this.#h1 = this.#h2 = this.#h3 = this.#h4 = this.#h5 = 0
  }

  /** Takes in `view[at, end)`, and zeros up to a multiple of 16 bytes. */
  update(view: DataView, at: number, end: number): void {
    const whole = at + ((end - at) & ~15)
    this.#blocks(view, at, whole)
    if (whole === end) return
    for (let i = 0; i < 16; i++) this.#last.setUint8(i, whole + i < end ? view.getUint8(whole + i) : 0)
    this.#blocks(this.#last, 0, 16)
  }

  /** Takes in the block that ends an AEAD's input: two sizes in bytes, u64 each. */
  sizes(a: number, b: number): void {
    this.#last.setUint32(0, a, true)
    this.#last.setUint32(4, 0)
    this.#last.setUint32(8, b, true)
    this.#last.setUint32(12, 0)
    this.#blocks(this.#last, 0, 16)
  }

  /** The tag, as four words. */
  finish(tag: Int32Array): void {
    let h0 = this.#h0
    let h1 = this.#h1
    let h2 = this.#h2
    let h3 = this.#h3
    let h4 = this.#h4
    let h5 = this.#h5
    // Two passes: the second takes what the first carried round from the top.
    for (let pass = 0; pass < 2; pass++) {
      h1 += h0 >>> 22
      h2 += h1 >>> 22
      h3 += h2 >>> 22
      h4 += h3 >>> 22
      h5 += h4 >>> 22
      h0 = (h0 & MASK) + 5 * (h5 >>> 20)
      h1 &= MASK
      h2 &= MASK
      h3 &= MASK
      h4 &= MASK
      h5 &= TOP - 1
    }
    // The same minus 2^130 - 5, taken when it is not negative.
    const g0 = h0 + 5
    const g1 = h1 + (g0 >>> 22)
    const g2 = h2 + (g1 >>> 22)
    const g3 = h3 + (g2 >>> 22)
    const g4 = h4 + (g3 >>> 22)
    const g5 = h5 + (g4 >>> 22) - TOP
    const keep = g5 >> 31
    h0 = (h0 & keep) | (g0 & MASK & ~keep)
    h1 = (h1 & keep) | (g1 & MASK & ~keep)
    h2 = (h2 & keep) | (g2 & MASK & ~keep)
    h3 = (h3 & keep) | (g3 & MASK & ~keep)
    h4 = (h4 & keep) | (g4 & MASK & ~keep)
    h5 = (h5 & keep) | (g5 & ~keep)
    const s = this.#s
    let sum = ((h0 | (h1 << 22)) >>> 0) + (s[0]! >>> 0)
    tag[0] = sum
    sum = (((h1 >>> 10) | (h2 << 12)) >>> 0) + (s[1]! >>> 0) + Math.floor(sum / 0x1_0000_0000)
    tag[1] = sum
    sum = (((h2 >>> 20) | (h3 << 2) | (h4 << 24)) >>> 0) + (s[2]! >>> 0) + Math.floor(sum / 0x1_0000_0000)
    tag[2] = sum
    sum = (((h4 >>> 8) | (h5 << 14)) >>> 0) + (s[3]! >>> 0) + Math.floor(sum / 0x1_0000_0000)
    tag[3] = sum
  }

  /** h = (h + block + 2^128) r mod 2^130 - 5, for each block of `view[at, end)`. */
  #blocks(view: DataView, at: number, end: number): void {
    const r0 = this.#r0
    const r1 = this.#r1
    const r2 = this.#r2
    const r3 = this.#r3
    const r4 = this.#r4
    const r5 = this.#r5
    // A product of limbs i + j >= 6 is worth 2^132 more, which is 4 * 5.
    const s1 = 20 * r1
    const s2 = 20 * r2
    const s3 = 20 * r3
    const s4 = 20 * r4
    const s5 = 20 * r5
    let h0 = this.#h0
    let h1 = this.#h1
    let h2 = this.#h2
    let h3 = this.#h3
    let h4 = this.#h4
    let h5 = this.#h5
    for (; at < end; at += 16) {
      const w0 = view.getUint32(at, true)
      const w1 = view.getUint32(at + 4, true)
      const w2 = view.getUint32(at + 8, true)
      const w3 = view.getUint32(at + 12, true)
      h0 += w0 & MASK
      h1 += ((w0 >>> 22) | (w1 << 10)) & MASK
      h2 += ((w1 >>> 12) | (w2 << 20)) & MASK
      h3 += (w2 >>> 2) & MASK
      h4 += ((w2 >>> 24) | (w3 << 8)) & MASK
      h5 += (w3 >>> 14) | 0x4_0000
      const d0 = h0 * r0 + h1 * s5 + h2 * s4 + h3 * s3 + h4 * s2 + h5 * s1
      let d1 = h0 * r1 + h1 * r0 + h2 * s5 + h3 * s4 + h4 * s3 + h5 * s2
      let d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s5 + h4 * s4 + h5 * s3
      let d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s5 + h5 * s4
      let d4 = h0 * r4 + h1 * r3 + h2 * r2 + h3 * r1 + h4 * r0 + h5 * s5
      let d5 = h0 * r5 + h1 * r4 + h2 * r3 + h3 * r2 + h4 * r1 + h5 * r0
      let carry = Math.floor(d0 / LIMB)
      h0 = d0 - carry * LIMB
      d1 += carry
      carry = Math.floor(d1 / LIMB)
      h1 = d1 - carry * LIMB
      d2 += carry
      carry = Math.floor(d2 / LIMB)
      h2 = d2 - carry * LIMB
      d3 += carry
      carry = Math.floor(d3 / LIMB)
      h3 = d3 - carry * LIMB
      d4 += carry
      carry = Math.floor(d4 / LIMB)
      h4 = d4 - carry * LIMB
      d5 += carry
      carry = Math.floor(d5 / TOP)
      h5 = d5 - carry * TOP
      h0 += 5 * carry
      // Up to 2^35 now; what is over goes one limb up, and no further.
      carry = Math.floor(h0 / LIMB)
      h0 -= carry * LIMB
      h1 += carry
    }
    this.#h0 = h0
    this.#h1 = h1
    this.#h2 = h2
    this.#h3 = h3
    this.#h4 = h4
    this.#h5 = h5
  }
}
