/**
 * Seeded chance. The generator is xoshiro128** 1.1 (Blackman and Vigna, 2018, prng.di.unimi.it): four words of
 * state, u32 arithmetic only, passes the usual statistical batteries. Not for secrets.
 * @module
 */

/** 2^32, the number of values of one draw. */
const U32_VALUES = 0x1_0000_0000

/** Golden ratio in 32 bits: the increment of splitmix (Steele, Lea and Flood, 2014). */
const SPLITMIX_STEP = 0x9e3779b9

export class Prng {
  #a = 0
  #b = 0
  #c = 0
  #d = 0

  /** Any integer is a seed; only its low 32 bits count. Neighbouring seeds give unrelated sequences. */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed)) throw new RangeError(`seed ${seed} is not an integer`)
    seed |= 0
    // mix32 maps distinct inputs to distinct outputs, so at most one word is 0: never the forbidden all-zero state.
    this.#a = mix32((seed + SPLITMIX_STEP) | 0)
    this.#b = mix32((seed + 2 * SPLITMIX_STEP) | 0)
    this.#c = mix32((seed + 3 * SPLITMIX_STEP) | 0)
    this.#d = mix32((seed + 4 * SPLITMIX_STEP) | 0)
  }

  /** The generator in a given state, for checking against published sequences. */
  static fromState(a: number, b: number, c: number, d: number): Prng {
    if ((a | b | c | d) === 0) throw new RangeError('the state 0, 0, 0, 0 never leaves itself')
    const prng = new Prng(0)
    prng.#a = a
    prng.#b = b
    prng.#c = c
    prng.#d = d
    return prng
  }

  /** Uniform in 0 .. 2^32-1. */
  u32(): number {
    const result = Math.imul(rotateLeft(Math.imul(this.#b, 5), 7), 9) >>> 0
    const shifted = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= shifted
    this.#d = rotateLeft(this.#d, 11)
    return result
  }

  /** Uniform in [0, 1), in steps of 2^-32. */
  next(): number {
    return this.u32() / U32_VALUES
  }

  /** Uniform integer in lo .. hi, both included. The bias is below (hi - lo + 1) / 2^32. */
  int(lo: number, hi: number): number {
    if (!Number.isSafeInteger(lo) || !Number.isSafeInteger(hi) || hi < lo || hi - lo >= U32_VALUES) {
      throw new RangeError(`int(${lo}, ${hi}): integers wanted, lo <= hi < lo + 2^32`)
    }
    return lo + Math.floor(this.next() * (hi - lo + 1))
  }

  /** True with probability `p`. Draws once whatever `p` is, so changing a probability shifts no later draw. */
  chance(p: number): boolean {
    return this.next() < p
  }

  /** An independent generator, seeded by one draw from this one. */
  fork(): Prng {
    return new Prng(this.u32())
  }
}

/** One-to-one scrambling of 32 bits: the finalizer of MurmurHash3 (Appleby, public domain). */
export function mix32(word: number): number {
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35)
  return (word ^ (word >>> 16)) >>> 0
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}
