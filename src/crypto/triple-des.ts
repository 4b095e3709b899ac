/**
 * Triple DES (FIPS 46-3): encrypt, decrypt, encrypt with three keys. Slow by design of its age; here for peers that
 * still use it.
 * @module
 */
import { rotl } from './byte-view.ts'
import type { BlockCipher } from './cfb.ts'
import { requireKey } from './packet-cipher.ts'

/** The standard's tables. They number bits from 1, the highest. */
const PC1: readonly number[] = [
  ...[
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44,
    36,
  ],
  ...[
    63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12,
    4,
  ],
]
const PC2: readonly number[] = [
  ...[14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2],
  ...[41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32],
]
const P: readonly number[] = [
  ...[16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10],
  ...[2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25],
]
/** S1 to S8: four rows of sixteen hex digits each. */
const BOXES: readonly string[] = [
  'e4d12fb83a6c59070f74e2d1a6cb953841e8d62bfc973a50fc8249175b3ea06d',
  'f18e6b34972dc05a3d47f28ec01a69b50e7ba4d158c6932fd8a13f42b67c05e9',
  'a09e63f51dc7b428d709346a285ecbf1d6498f30b12c5ae71ad069874fe3b52c',
  '7de3069a1285bc4fd8b56f03472c1ae9a690cb7df13e52843f06a1d8945bc72e',
  '2c417ab6853fd0e9eb2c47d150fa3986421bad78f9c5630eb8c71e2d6f09a453',
  'c1af92680d34e75baf427c9561de0b389ef528c3704a1db6432c95fabe17608d',
  '4b2ef08d3c975a61d0b7491ae35c2f8614bdc37eaf6805926bd814a7950fe23c',
  'd2846fb1a93e50c71fd8a374c56b0e927b419ce206adf35821e74a8dfc90356b',
]
/** How far the halves of the key are turned in each round. */
const TURNS: readonly number[] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1]

/** S and P in one: a table of 64 words for each box, one behind another. */
const SP: Int32Array = makeSp()

export class TripleDes implements BlockCipher {
  readonly blockSize = 8
  readonly littleEndian = false
  /** Two words for each of 48 rounds: the key's parts for boxes 1, 3, 5, 7 and for boxes 2, 4, 6, 8, a byte each. */
  readonly #keys: Int32Array = new Int32Array(96)

  /** @param key 24 bytes: three keys of DES, their parity bits unused. */
  constructor(key: Uint8Array) {
    requireKey('3DES', key, 24)
    for (let i = 0; i < 3; i++) {
      const rounds = schedule(key.subarray(8 * i, 8 * i + 8))
      // The middle one decrypts, which is the same with its round keys in the opposite order.
      for (const [round, pair] of (i === 1 ? rounds.reverse() : rounds).entries()) {
        this.#keys.set(pair, 32 * i + 2 * round)
      }
    }
  }

  encrypt(words: Int32Array): void {
    const keys = this.#keys
    initialPermutation(words)
    let left = words[0]!
    let right = words[1]!
    for (let k = 0; k < 96; k += 4) {
      left ^= feistel(right, keys[k]!, keys[k + 1]!)
      right ^= feistel(left, keys[k + 2]!, keys[k + 3]!)
      // After the last round of each DES the halves change places.
      if ((k & 31) === 28) {
        const swapped = left
        left = right
        right = swapped
      }
    }
    words[0] = left
    words[1] = right
    finalPermutation(words)
  }
}

/** E, the key, the boxes and P. E lets box i see bits 4i - 3 to 4i + 2: a turned word holds every other one at a byte's place. */
function feistel(x: number, oddKey: number, evenKey: number): number {
  const odd = rotl(x, 29) ^ oddKey
  const even = rotl(x, 1) ^ evenKey
  return (
    SP[(odd >>> 24) & 63]! ^
    SP[64 + ((even >>> 24) & 63)]! ^
    SP[128 + ((odd >>> 16) & 63)]! ^
    SP[192 + ((even >>> 16) & 63)]! ^
    SP[256 + ((odd >>> 8) & 63)]! ^
    SP[320 + ((even >>> 8) & 63)]! ^
    SP[384 + (odd & 63)]! ^
    SP[448 + (even & 63)]!
  )
}

/** IP, as exchanges of bits between the halves. */
function initialPermutation(words: Int32Array): void {
  exchange(words, 4, 0x0f0f_0f0f)
  exchange(words, 16, 0x0000_ffff)
  exchangeBack(words, 2, 0x3333_3333)
  exchangeBack(words, 8, 0x00ff_00ff)
  exchange(words, 1, 0x5555_5555)
}

function finalPermutation(words: Int32Array): void {
  exchange(words, 1, 0x5555_5555)
  exchangeBack(words, 8, 0x00ff_00ff)
  exchangeBack(words, 2, 0x3333_3333)
  exchange(words, 16, 0x0000_ffff)
  exchange(words, 4, 0x0f0f_0f0f)
}

/** Exchanges the bits of the second word under `mask` with those of the first that lie `shift` higher. */
function exchange(words: Int32Array, shift: number, mask: number): void {
  const differ = ((words[0]! >>> shift) ^ words[1]!) & mask
  words[1] = words[1]! ^ differ
  words[0] = words[0]! ^ (differ << shift)
}

function exchangeBack(words: Int32Array, shift: number, mask: number): void {
  const differ = ((words[1]! >>> shift) ^ words[0]!) & mask
  words[0] = words[0]! ^ differ
  words[1] = words[1]! ^ (differ << shift)
}

/** The round keys of one DES. */
function schedule(key: Uint8Array): Int32Array[] {
  let c = 0
  let d = 0
  for (let i = 0; i < 28; i++) {
    c = (c << 1) | keyBit(key, PC1[i]!)
    d = (d << 1) | keyBit(key, PC1[28 + i]!)
  }
  return TURNS.map((turn) => {
    c = ((c << turn) | (c >>> (28 - turn))) & 0xfff_ffff
    d = ((d << turn) | (d >>> (28 - turn))) & 0xfff_ffff
    const pair = new Int32Array(2)
    for (let i = 0; i < 48; i++) {
      const from = PC2[i]!
      const bit = from <= 28 ? (c >>> (28 - from)) & 1 : (d >>> (56 - from)) & 1
      const box = Math.floor(i / 6)
      pair[box & 1] = pair[box & 1]! | (bit << (24 - 8 * (box >> 1) + 5 - (i % 6)))
    }
    return pair
  })
}

function keyBit(key: Uint8Array, number: number): number {
  return (key[(number - 1) >> 3]! >>> (7 - ((number - 1) & 7))) & 1
}

function makeSp(): Int32Array {
  const sp = new Int32Array(512)
  for (const [box, digits] of BOXES.entries()) {
    for (let x = 0; x < 64; x++) {
      // The outer bits choose the row, the inner ones the column.
      const row = ((x >>> 4) & 2) | (x & 1)
      const value = Number.parseInt(digits[16 * row + ((x >>> 1) & 15)]!, 16) << (28 - 4 * box)
      for (const [to, from] of P.entries()) {
        if (((value >>> (32 - from)) & 1) === 1) sp[64 * box + x] = sp[64 * box + x]! | (1 << (31 - to))
      }
    }
  }
  return sp
}
