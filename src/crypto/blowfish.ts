/**
 * Blowfish (Schneier, FSE 1993). Its tables begin as the digits of pi, so they are computed and not listed here: 1042
 * words, once, when the first key comes. A key schedule is 521 encryptions.
 * @module
 */
import type { BlockCipher } from './cfb.ts'

/** Words of the P-array, and of the four boxes behind it. */
const P = 18
const BOXES = 1024

export class Blowfish implements BlockCipher {
  readonly blockSize = 8
  readonly littleEndian = false
  readonly #p: Int32Array
  /** The four boxes, one behind another. */
  readonly #s: Int32Array

  /** @param key 1 to 56 bytes. */
  constructor(key: Uint8Array) {
    if (key.length < 1 || key.length > 56) {
      throw new RangeError(`the key of Blowfish has 1 to 56 bytes, not ${key.length}`)
    }
    const pi = piWords()
    this.#p = pi.slice(0, P)
    this.#s = pi.slice(P)
    for (let i = 0, at = 0; i < P; i++) {
      let word = 0
      for (let j = 0; j < 4; j++, at++) word = (word << 8) | key[at % key.length]!
      this.#p[i] = this.#p[i]! ^ word
    }
    const block = new Int32Array(2)
    for (const table of [this.#p, this.#s]) {
      for (let i = 0; i < table.length; i += 2) {
        this.encrypt(block)
        table.set(block, i)
      }
    }
  }

  encrypt(words: Int32Array): void {
    const p = this.#p
    const s = this.#s
    let left = words[0]! ^ p[0]!
    let right = words[1]!
    for (let i = 1; i < P - 1; i += 2) {
      right ^= p[i]! ^ feistel(s, left)
      left ^= p[i + 1]! ^ feistel(s, right)
    }
    words[0] = right ^ p[P - 1]!
    words[1] = left
  }
}

function feistel(s: Int32Array, x: number): number {
  const sum = (s[x >>> 24]! + s[256 + ((x >>> 16) & 0xff)]!) ^ s[512 + ((x >>> 8) & 0xff)]!
  return (sum + s[768 + (x & 0xff)]!) | 0
}

let pi: Int32Array | undefined

/** The fraction of pi, 32 bits a word: 243f6a88 85a308d3 … */
function piWords(): Int32Array {
  if (pi !== undefined) return pi
  /** Some thousand roundings: 64 bits hold what they add up to, with room. */
  const guard = 64n
  const bits = 32n * BigInt(P + BOXES)
  const digits = piDigits(1n << (bits + guard)) >> guard
  pi = Int32Array.from({ length: P + BOXES }, (_, i) =>
    Number(BigInt.asIntN(32, digits >> (bits - 32n * BigInt(i + 1)))),
  )
  return pi
}

/** Pi, in units of 1/one, by the formula of D. and G. Chudnovsky: a term is worth 47 bits. */
function piDigits(one: bigint): bigint {
  let sum = 0n
  for (let term = one, k = 0n; term !== 0n; ) {
    sum += term * (13_591_409n + 545_140_134n * k)
    k++
    // (6k)! / ((3k)! k!^3 (-640320)^3k), from one k to the next.
    term = (-term * (6n * k - 5n) * (2n * k - 1n) * (6n * k - 1n)) / (k * k * k * 10_939_058_860_032_000n)
  }
  return (426_880n * squareRoot(10_005n * one * one) * one) / sum
}

/** Rounded down, by Newton's method from above. */
function squareRoot(n: bigint): bigint {
  let root = n
  for (let next = 1n << BigInt(2 * n.toString(16).length + 1); next < root; ) {
    root = next
    next = (root + n / root) >> 1n
  }
  return root
}
