/**
 * TEA and XTEA (Wheeler and Needham, Cambridge 1994 and 1997), with words read big-endian. Two half-rounds are a cycle.
 * @module
 */
import type { BlockCipher } from './cfb.ts'
import { requireKey } from './packet-cipher.ts'

/** 2^32 divided by the golden ratio. */
const DELTA = 0x9e37_79b9

/** The first of the two. Known to be weak: related keys, and each key has three others that do the same. */
export class Tea implements BlockCipher {
  readonly blockSize = 8
  readonly littleEndian = false
  readonly #key: Int32Array
  readonly #cycles: number

  /** @param cycles 32 as published; kcp-go uses 8. */
  constructor(key: Uint8Array, cycles: number) {
    requireKey('TEA', key, 16)
    this.#key = keyWords(key)
    this.#cycles = cycles
  }

  encrypt(words: Int32Array): void {
    const k0 = this.#key[0]!
    const k1 = this.#key[1]!
    const k2 = this.#key[2]!
    const k3 = this.#key[3]!
    let a = words[0]!
    let b = words[1]!
    let sum = 0
    for (let i = 0; i < this.#cycles; i++) {
      sum = (sum + DELTA) | 0
      a = (a + (((b << 4) + k0) ^ (b + sum) ^ ((b >>> 5) + k1))) | 0
      b = (b + (((a << 4) + k2) ^ (a + sum) ^ ((a >>> 5) + k3))) | 0
    }
    words[0] = a
    words[1] = b
  }
}

/** The second, with a better key schedule and 32 cycles. */
export class Xtea implements BlockCipher {
  readonly blockSize = 8
  readonly littleEndian = false
  /** What each half-round adds to its sum: they follow from the key alone. */
  readonly #roundKeys: Int32Array = new Int32Array(64)

  constructor(key: Uint8Array) {
    requireKey('XTEA', key, 16)
    const words = keyWords(key)
    let sum = 0
    for (let i = 0; i < 64; ) {
      this.#roundKeys[i++] = sum + words[sum & 3]!
      sum = (sum + DELTA) | 0
      this.#roundKeys[i++] = sum + words[(sum >>> 11) & 3]!
    }
  }

  encrypt(words: Int32Array): void {
    const keys = this.#roundKeys
    let a = words[0]!
    let b = words[1]!
    for (let i = 0; i < 64; i += 2) {
      a = (a + ((((b << 4) ^ (b >>> 5)) + b) ^ keys[i]!)) | 0
      b = (b + ((((a << 4) ^ (a >>> 5)) + a) ^ keys[i + 1]!)) | 0
    }
    words[0] = a
    words[1] = b
  }

  /** Undoes `encrypt`. */
  decrypt(words: Int32Array): void {
    const keys = this.#roundKeys
    let a = words[0]!
    let b = words[1]!
    for (let i = 62; i >= 0; i -= 2) {
      b = (b - ((((a << 4) ^ (a >>> 5)) + a) ^ keys[i + 1]!)) | 0
      a = (a - ((((b << 4) ^ (b >>> 5)) + b) ^ keys[i]!)) | 0
    }
    words[0] = a
    words[1] = b
  }
}

function keyWords(key: Uint8Array): Int32Array {
  const view = new DataView(key.buffer, key.byteOffset)
  return Int32Array.from({ length: 4 }, (_, i) => view.getInt32(4 * i))
}
