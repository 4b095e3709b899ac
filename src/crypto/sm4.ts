/**
 * SM4 (GB/T 32907-2016), encryption only, for runtimes whose OpenSSL was built without it.
 * @module
 */
import { rotl } from './byte-view.ts'
import type { BlockCipher } from './cfb.ts'
import { requireKey } from './packet-cipher.ts'

/** x^8 + x^7 + x^6 + x^5 + x^4 + x^2 + 1. */
const POLYNOMIAL = 0x1f5
const SBOX: Uint8Array = makeSbox()
/** T of a byte in the highest place: the box, then the linear map L. Other places are rotations of it. */
const T: Int32Array = Int32Array.from(SBOX, (s) => {
  const word = s << 24
  return word ^ rotl(word, 2) ^ rotl(word, 10) ^ rotl(word, 18) ^ rotl(word, 24)
})
const T1: Int32Array = T.map((word) => rotl(word, 24))
const T2: Int32Array = T.map((word) => rotl(word, 16))
const T3: Int32Array = T.map((word) => rotl(word, 8))

/** FK, the family key. */
const FK: readonly number[] = [0xa3b1_bac6, 0x56aa_3350, 0x677d_9197, 0xb270_22dc]

export class Sm4 implements BlockCipher {
  readonly blockSize = 16
  readonly littleEndian = false
  readonly #roundKeys: Int32Array = new Int32Array(32)

  constructor(key: Uint8Array) {
    requireKey('SM4', key, 16)
    const view = new DataView(key.buffer, key.byteOffset)
    const k = FK.map((word, i) => word ^ view.getInt32(4 * i))
    for (let i = 0; i < 32; i++) {
      const word = substitute(k[1]! ^ k[2]! ^ k[3]! ^ constant(i))
      const next = k[0]! ^ word ^ rotl(word, 13) ^ rotl(word, 23)
      this.#roundKeys[i] = next
      k.shift()
      k.push(next)
    }
  }

  encrypt(words: Int32Array): void {
    const keys = this.#roundKeys
    let a = words[0]!
    let b = words[1]!
    let c = words[2]!
    let d = words[3]!
    for (let i = 0; i < 32; i += 4) {
      a ^= mix(b ^ c ^ d ^ keys[i]!)
      b ^= mix(c ^ d ^ a ^ keys[i + 1]!)
      c ^= mix(d ^ a ^ b ^ keys[i + 2]!)
      d ^= mix(a ^ b ^ c ^ keys[i + 3]!)
    }
    words[0] = d
    words[1] = c
    words[2] = b
    words[3] = a
  }
}

function mix(x: number): number {
  return T[x >>> 24]! ^ T1[(x >>> 16) & 0xff]! ^ T2[(x >>> 8) & 0xff]! ^ T3[x & 0xff]!
}

function substitute(x: number): number {
  return (
    (SBOX[x >>> 24]! << 24) |
    (SBOX[(x >>> 16) & 0xff]! << 16) |
    (SBOX[(x >>> 8) & 0xff]! << 8) |
    SBOX[x & 0xff]!
  )
}

/** CK: byte j of word i is (4i + j) times 7. */
function constant(i: number): number {
  return [0, 1, 2, 3].reduce((word, j) => (word << 8) | (((4 * i + j) * 7) & 0xff), 0)
}

/** An affine map, the inverse in the field, and the same affine map again. */
function makeSbox(): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, x) => affine(inverse(affine(x))))
}

function affine(x: number): number {
  let y = 0xd3
  for (const turn of [0, 1, 3, 6, 7]) y ^= (x << turn) | (x >>> (8 - turn))
  return y & 0xff
}

/** x^254: the inverse, and 0 for 0. */
function inverse(x: number): number {
  let product = 1
  for (let i = 0; i < 254; i++) product = times(product, x)
  return product
}

function times(a: number, b: number): number {
  let product = 0
  for (; b !== 0; b >>>= 1) {
    if ((b & 1) === 1) product ^= a
    a <<= 1
    if (a >= 256) a ^= POLYNOMIAL
  }
  return product
}
