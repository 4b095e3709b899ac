/**
 * CAST-128 (RFC 2144) with keys of 16 bytes, hence 16 rounds.
 * @module
 */
import { CAST5_BOXES as S } from './cast5-boxes.ts'
import type { BlockCipher } from './cfb.ts'
import { requireKey } from './packet-cipher.ts'

const S1 = 0
const S2 = 256
const S3 = 512
const S4 = 768
const S5 = 1024
const S6 = 1280
const S7 = 1536
const S8 = 1792

/**
 * The key schedule of RFC 2144 section 2.4, in its order and with its numbers of bytes. A line of TO_Z makes four bytes
 * of z: four of x from the first number on, xored with S5, S6, S7 and S8 of one byte of z or x each, and with the last
 * box of a byte of x. 0 to 15 are the bytes of x, 16 to 31 those of z.
 */
const TO_Z: readonly (readonly number[])[] = [
  [0, 13, 15, 12, 14, S7, 8],
  [8, 16, 18, 17, 19, S8, 10],
  [12, 23, 22, 21, 20, S5, 9],
  [4, 26, 25, 27, 24, S6, 11],
]
/** The same from z to x. */
const TO_X: readonly (readonly number[])[] = [
  [24, 21, 23, 20, 22, S7, 16],
  [16, 0, 2, 1, 3, S8, 18],
  [20, 7, 6, 5, 4, S5, 17],
  [28, 10, 9, 11, 8, S6, 19],
]
/** Four keys each: S5, S6, S7, S8 of a byte, and S5 of one for the first, S6 for the second, and so on. */
const KEYS_1: readonly (readonly number[])[] = [
  [24, 25, 23, 22, 18],
  [26, 27, 21, 20, 22],
  [28, 29, 19, 18, 25],
  [30, 31, 17, 16, 28],
]
const KEYS_5: readonly (readonly number[])[] = [
  [3, 2, 12, 13, 8],
  [1, 0, 14, 15, 13],
  [7, 6, 8, 9, 3],
  [5, 4, 10, 11, 7],
]
const KEYS_9: readonly (readonly number[])[] = [
  [19, 18, 28, 29, 25],
  [17, 16, 30, 31, 28],
  [23, 22, 24, 25, 18],
  [21, 20, 26, 27, 22],
]
const KEYS_13: readonly (readonly number[])[] = [
  [8, 9, 7, 6, 3],
  [10, 11, 5, 4, 7],
  [12, 13, 3, 2, 8],
  [14, 15, 1, 0, 13],
]

export class Cast5 implements BlockCipher {
  readonly blockSize = 8
  readonly littleEndian = false
  /** Km, then Kr: what masks, and by how much it is rotated. */
  readonly #keys: Int32Array

  constructor(key: Uint8Array) {
    requireKey('CAST5', key, 16)
    this.#keys = schedule(key)
  }

  encrypt(words: Int32Array): void {
    const keys = this.#keys
    let left = words[0]!
    let right = words[1]!
    // Three kinds of rounds in turn, section 2.2: 16 are five times three and one.
    for (let k = 0; ; k += 3) {
      let i = rotate(keys[k]! + right, keys[k + 16]!)
      const a =
        left ^
        ((S[S1 + (i >>> 24)]! ^ S[S2 + ((i >>> 16) & 0xff)]!) -
          S[S3 + ((i >>> 8) & 0xff)]! +
          S[S4 + (i & 0xff)]!)
      if (k === 15) {
        words[0] = a
        words[1] = right
        return
      }
      i = rotate(keys[k + 1]! ^ a, keys[k + 17]!)
      const b =
        right ^
        ((S[S1 + (i >>> 24)]! - S[S2 + ((i >>> 16) & 0xff)]! + S[S3 + ((i >>> 8) & 0xff)]!) ^
          S[S4 + (i & 0xff)]!)
      i = rotate(keys[k + 2]! - b, keys[k + 18]!)
      const c =
        a ^
        (((S[S1 + (i >>> 24)]! + S[S2 + ((i >>> 16) & 0xff)]!) ^ S[S3 + ((i >>> 8) & 0xff)]!) -
          S[S4 + (i & 0xff)]!)
      left = b
      right = c
    }
  }
}

/** Rotated left by 0..31; JavaScript shifts by n modulo 32, which makes 32 - 0 right as well. */
function rotate(x: number, n: number): number {
  return (x << n) | (x >>> (32 - n))
}

function schedule(key: Uint8Array): Int32Array {
  const bytes = new Uint8Array(32)
  bytes.set(key)
  const view = new DataView(bytes.buffer)
  const mix = (steps: readonly (readonly number[])[], to: number): void => {
    for (const [i, [from, a, b, c, d, box, e]] of steps.entries()) {
      view.setInt32(to + 4 * i, view.getInt32(from!) ^ lookUp(bytes, a!, b!, c!, d!) ^ S[box! + bytes[e!]!]!)
    }
  }
  const keys = new Int32Array(32)
  let n = 0
  const derive = (lines: readonly (readonly number[])[]): void => {
    for (const [i, [a, b, c, d, e]] of lines.entries()) {
      keys[n++] = lookUp(bytes, a!, b!, c!, d!) ^ S[S5 + 256 * i + bytes[e!]!]!
    }
  }
  while (n < 32) {
    mix(TO_Z, 16)
    derive(KEYS_1)
    mix(TO_X, 0)
    derive(KEYS_5)
    mix(TO_Z, 16)
    derive(KEYS_9)
    mix(TO_X, 0)
    derive(KEYS_13)
  }
  for (let i = 16; i < 32; i++) keys[i] = keys[i]! & 31
  return keys
}

function lookUp(bytes: Uint8Array, a: number, b: number, c: number, d: number): number {
  return S[S5 + bytes[a]!]! ^ S[S6 + bytes[b]!]! ^ S[S7 + bytes[c]!]! ^ S[S8 + bytes[d]!]!
}
