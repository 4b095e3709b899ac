/**
 * The field GF(2^8) that kcp-go's Reed-Solomon code counts in. Adding is XOR; multiplying goes through logarithms.
 * @module
 */

/** x^8 + x^4 + x^3 + x^2 + 1. The powers of 2 run through all 255 elements but 0. */
const POLYNOMIAL = 0x11d

/** Elements other than 0. Exponents count modulo this. */
export const ORDER = 255

/** EXP[i] = 2^i. Twice as long as the cycle, so that the sum of two logarithms needs no modulo. */
export const EXP: Readonly<Uint8Array> = powers()
/** LOG[2^i] = i. LOG[0] means nothing. */
export const LOG: Readonly<Uint8Array> = logarithms()

/** a times b. */
export function multiply(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : EXP[LOG[a]! + LOG[b]!]!
}

function powers(): Uint8Array {
  const table = new Uint8Array(2 * ORDER)
  let power = 1
  for (let i = 0; i < ORDER; i++) {
    table[i] = power
    table[i + ORDER] = power
    power <<= 1
    if (power > 0xff) power ^= POLYNOMIAL
  }
  return table
}

function logarithms(): Uint8Array {
  const table = new Uint8Array(256)
  for (let i = 0; i < ORDER; i++) table[EXP[i]!] = i
  return table
}
