/**
 * AES (FIPS 197), encryption only, with a table that holds SubBytes and MixColumns in one. What is read from a table
 * depends on the key, so someone who shares the processor's caches may learn about it: where the runtime has AES, take
 * that.
 * @module
 */
import { rotl } from './byte-view.ts'
import type { BlockCipher } from './cfb.ts'
import { requireKey } from './packet-cipher.ts'

/** x^8 + x^4 + x^3 + x + 1, FIPS 197 section 4.2. */
const POLYNOMIAL = 0x11b
const SBOX: Uint8Array = makeSbox()
/** The column that a byte in the top row becomes: S(x) times 2, 1, 1, 3. The other rows' are rotations of it. */
const T0: Int32Array = Int32Array.from(
  SBOX,
  (s) => (double(s) << 24) | (s << 16) | (s << 8) | (double(s) ^ s),
)
const T1: Int32Array = T0.map((word) => rotl(word, 24))
const T2: Int32Array = T0.map((word) => rotl(word, 16))
const T3: Int32Array = T0.map((word) => rotl(word, 8))

/** AES-128, -192 or -256, by the size of the key. */
export class Aes implements BlockCipher {
  readonly blockSize = 16
  readonly littleEndian = false
  readonly #roundKeys: Int32Array

  /** @param key 16, 24 or 32 bytes. */
  constructor(key: Uint8Array) {
    requireKey('AES', key, 16, 24, 32)
    this.#roundKeys = expand(key)
  }

  encrypt(words: Int32Array): void {
    const keys = this.#roundKeys
    let a = words[0]! ^ keys[0]!
    let b = words[1]! ^ keys[1]!
    let c = words[2]! ^ keys[2]!
    let d = words[3]! ^ keys[3]!
    const last = keys.length - 4
    for (let k = 4; k < last; k += 4) {
      const e = T0[a >>> 24]! ^ T1[(b >>> 16) & 0xff]! ^ T2[(c >>> 8) & 0xff]! ^ T3[d & 0xff]! ^ keys[k]!
      const f = T0[b >>> 24]! ^ T1[(c >>> 16) & 0xff]! ^ T2[(d >>> 8) & 0xff]! ^ T3[a & 0xff]! ^ keys[k + 1]!
      const g = T0[c >>> 24]! ^ T1[(d >>> 16) & 0xff]! ^ T2[(a >>> 8) & 0xff]! ^ T3[b & 0xff]! ^ keys[k + 2]!
      const h = T0[d >>> 24]! ^ T1[(a >>> 16) & 0xff]! ^ T2[(b >>> 8) & 0xff]! ^ T3[c & 0xff]! ^ keys[k + 3]!
      a = e
      b = f
      c = g
      d = h
    }
    words[0] = substitute(a, b, c, d) ^ keys[last]!
    words[1] = substitute(b, c, d, a) ^ keys[last + 1]!
    words[2] = substitute(c, d, a, b) ^ keys[last + 2]!
    words[3] = substitute(d, a, b, c) ^ keys[last + 3]!
  }
}

/** SubBytes of one byte from each word: a column after ShiftRows. */
function substitute(a: number, b: number, c: number, d: number): number {
  return (
    (SBOX[a >>> 24]! << 24) |
    (SBOX[(b >>> 16) & 0xff]! << 16) |
    (SBOX[(c >>> 8) & 0xff]! << 8) |
    SBOX[d & 0xff]!
  )
}

/** The key schedule, FIPS 197 section 5.2. */
function expand(key: Uint8Array): Int32Array {
  const size = key.length >> 2
  const words = new Int32Array(4 * (size + 7))
  const view = new DataView(key.buffer, key.byteOffset)
  let constant = 1
  for (let i = 0; i < words.length; i++) {
    if (i < size) {
      words[i] = view.getInt32(4 * i)
      continue
    }
    let word = words[i - 1]!
    if (i % size === 0) {
      word = rotl(word, 8)
      word = substitute(word, word, word, word) ^ (constant << 24)
      constant = double(constant)
    } else if (size === 8 && i % size === 4) {
      word = substitute(word, word, word, word)
    }
    words[i] = words[i - size]! ^ word
  }
  return words
}

/** Times x in the field. */
function double(value: number): number {
  return value < 128 ? value << 1 : (value << 1) ^ POLYNOMIAL
}

/** The inverse in the field, then an affine map of the bits: FIPS 197 section 5.1.1. */
function makeSbox(): Uint8Array {
  const sbox = new Uint8Array(256)
  // 3 generates the field: as p runs through its powers, q runs through their inverses (0xf6 is the inverse of 3).
  let p = 1
  let q = 1
  do {
    p ^= double(p)
    for (const shift of [1, 2, 4]) q ^= q << shift
    q &= 0xff
    if (q >= 128) q ^= 0x09
    const wide = q | (q << 8)
    sbox[p] = q ^ (wide >>> 7) ^ (wide >>> 6) ^ (wide >>> 5) ^ (wide >>> 4) ^ 0x63
  } while (p !== 1)
  sbox[0] = 0x63
  return sbox
}
