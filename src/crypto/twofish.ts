/**
 * Twofish (Schneier, Kelsey, Whiting, Wagner, Hall, Ferguson, 1998), with the key's boxes worked into four tables of
 * words, so that a round costs eight look-ups. Words are little-endian. Names as in the paper.
 * @module
 */
import { rotl } from './byte-view.ts'
import type { BlockCipher } from './cfb.ts'
import { requireKey } from './packet-cipher.ts'

/** x^8 + x^6 + x^5 + x^3 + 1 and x^8 + x^6 + x^3 + x^2 + 1, sections 4.3.2 and 4.3.1. */
const MDS_POLYNOMIAL = 0x169
const RS_POLYNOMIAL = 0x14d

const MDS: readonly (readonly number[])[] = [
  [0x01, 0xef, 0x5b, 0x5b],
  [0x5b, 0xef, 0xef, 0x01],
  [0xef, 0x5b, 0x01, 0xef],
  [0xef, 0x01, 0xef, 0x5b],
]
const RS: readonly (readonly number[])[] = [
  [0x01, 0xa4, 0x55, 0x87, 0x5a, 0x58, 0xdb, 0x9e],
  [0xa4, 0x56, 0x82, 0xf3, 0x1e, 0xc6, 0x68, 0xe5],
  [0x02, 0xa1, 0xfc, 0xc1, 0x47, 0xae, 0x3d, 0x19],
  [0xa4, 0x55, 0x87, 0x5a, 0x58, 0xdb, 0x9e, 0x03],
]

/** The byte permutations q0 and q1, made of four permutations of nibbles each: section 4.3.5. */
const Q: readonly Uint8Array[] = [
  makeQ('817d6f320b59eca4', 'ecb81235f4a6709d', 'ba5e6d90c8f32471', 'd7f4126e9b3085ca'),
  makeQ('28bdf76e31940ac5', '1e2b4c376da5f908', '4c75169a0ed82b3f', 'b951c3de647f208a'),
]

/** Which q each byte of h meets, from the last step to the first: figure 2 of the paper. */
const STEPS: readonly (readonly number[])[] = [
  [1, 0, 1, 0],
  [0, 0, 1, 1],
  [0, 1, 0, 1],
  [1, 1, 0, 0],
  [1, 0, 0, 1],
]

export class Twofish implements BlockCipher {
  readonly blockSize = 16
  readonly littleEndian = true
  /** K: four words before, four after, two in each round. */
  readonly #keys: Int32Array = new Int32Array(40)
  /** g: a table of 256 words for each byte of its argument, one behind another. */
  readonly #g: Int32Array = new Int32Array(1024)

  /** @param key 16, 24 or 32 bytes. */
  constructor(key: Uint8Array) {
    requireKey('Twofish', key, 16, 24, 32)
    const parts = key.length >> 3
    const even: Uint8Array[] = []
    const odd: Uint8Array[] = []
    const sbox: Uint8Array[] = []
    for (let i = 0; i < parts; i++) {
      even.push(key.subarray(8 * i, 8 * i + 4))
      odd.push(key.subarray(8 * i + 4, 8 * i + 8))
      sbox.unshift(multiply(RS, key.subarray(8 * i, 8 * i + 8), RS_POLYNOMIAL))
    }
    for (let i = 0; i < 20; i++) {
      const a = h(2 * i, even)
      const b = rotl(h(2 * i + 1, odd), 8)
      this.#keys[2 * i] = a + b
      this.#keys[2 * i + 1] = rotl(a + 2 * b, 9)
    }
    for (let x = 0; x < 256; x++) {
      for (let place = 0; place < 4; place++) this.#g[256 * place + x] = column(x, place, sbox)
    }
  }

  encrypt(words: Int32Array): void {
    const keys = this.#keys
    const g = this.#g
    let a = words[0]! ^ keys[0]!
    let b = words[1]! ^ keys[1]!
    let c = words[2]! ^ keys[2]!
    let d = words[3]! ^ keys[3]!
    for (let k = 8; k < 40; k += 4) {
      let t0 =
        g[a & 0xff]! ^ g[256 + ((a >>> 8) & 0xff)]! ^ g[512 + ((a >>> 16) & 0xff)]! ^ g[768 + (a >>> 24)]!
      let t1 =
        g[b >>> 24]! ^ g[256 + (b & 0xff)]! ^ g[512 + ((b >>> 8) & 0xff)]! ^ g[768 + ((b >>> 16) & 0xff)]!
      c = rotl(c ^ (t0 + t1 + keys[k]!), 31)
      d = rotl(d, 1) ^ (t0 + 2 * t1 + keys[k + 1]!)
      t0 = g[c & 0xff]! ^ g[256 + ((c >>> 8) & 0xff)]! ^ g[512 + ((c >>> 16) & 0xff)]! ^ g[768 + (c >>> 24)]!
      t1 = g[d >>> 24]! ^ g[256 + (d & 0xff)]! ^ g[512 + ((d >>> 8) & 0xff)]! ^ g[768 + ((d >>> 16) & 0xff)]!
      a = rotl(a ^ (t0 + t1 + keys[k + 2]!), 31)
      b = rotl(b, 1) ^ (t0 + 2 * t1 + keys[k + 3]!)
    }
    words[0] = c ^ keys[4]!
    words[1] = d ^ keys[5]!
    words[2] = a ^ keys[6]!
    words[3] = b ^ keys[7]!
  }
}

/** h of four equal bytes under the words of `list`. */
function h(byte: number, list: readonly Uint8Array[]): number {
  return column(byte, 0, list) ^ column(byte, 1, list) ^ column(byte, 2, list) ^ column(byte, 3, list)
}

/** What the byte at `place` adds to h: through the q's with the words of `list` between them, then its column of MDS. */
function column(byte: number, place: number, list: readonly Uint8Array[]): number {
  let value = byte
  for (let i = list.length; i > 0; i--) value = Q[STEPS[i]![place]!]![value]! ^ list[i - 1]![place]!
  value = Q[STEPS[0]![place]!]![value]!
  let word = 0
  for (let row = 3; row >= 0; row--) word = (word << 8) | times(MDS[row]![place]!, value, MDS_POLYNOMIAL)
  return word
}

function multiply(matrix: readonly (readonly number[])[], bytes: Uint8Array, polynomial: number): Uint8Array {
  return Uint8Array.from(matrix, (row) =>
    row.reduce((sum, factor, i) => sum ^ times(factor, bytes[i]!, polynomial), 0),
  )
}

/** A product in GF(2^8). */
function times(a: number, b: number, polynomial: number): number {
  let product = 0
  for (; b !== 0; b >>>= 1) {
    if ((b & 1) === 1) product ^= a
    a <<= 1
    if (a >= 256) a ^= polynomial
  }
  return product
}

function makeQ(...tables: readonly string[]): Uint8Array {
  const t = tables.map((digits) => Array.from(digits, (digit) => Number.parseInt(digit, 16)))
  const rotated = (nibble: number) => ((nibble >>> 1) | (nibble << 3)) & 0xf
  return Uint8Array.from({ length: 256 }, (_, x) => {
    let a = x >>> 4
    let b = x & 0xf
    for (const step of [0, 2]) {
      const mixed = (a ^ rotated(b) ^ (8 * a)) & 0xf
      a = t[step]![a ^ b]!
      b = t[step + 1]![mixed]!
    }
    return (b << 4) | a
  })
}
