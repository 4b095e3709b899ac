/**
 * The coefficients of kcp-go's code. Its generator matrix is V x inverse(top of V), where V is the Vandermonde matrix
 * V[r][c] = r^c. Read as a polynomial that is interpolation, and needs no inverse: at each byte position the d data
 * shards are the values of one polynomial of degree < d at the points 0 .. d-1, and parity shard i is its value at
 * d + i. Any d shards determine it, so encoding and rebuilding are the same question asked at different points.
 * @module
 */
import { EXP, LOG, ORDER } from './gf256.ts'

/** Logarithms of denominators, while coefficients are made. */
const denominators = new Uint8Array(256)

/**
 * How the shards at the first `count` points of `wanted` follow from those at the points `known`: writes a row for each
 * wanted shard, with a column for each known one, row after row into `rows`. Row w, column k is Lagrange's basis
 * polynomial k at w: the product over all other known m of (w - m) / (k - m).
 *
 * All points differ, and are below 256. Costs known² + wanted x known steps.
 */
export function coefficients(
  known: ArrayLike<number>,
  wanted: ArrayLike<number>,
  count: number,
  rows: Uint8Array,
): void {
  const columns = known.length
  // Logarithms throughout; a difference is an XOR, and never 0 as all points differ.
  for (let k = 0; k < columns; k++) {
    let sum = 0
    for (let m = 0; m < columns; m++) if (m !== k) sum += LOG[known[k]! ^ known[m]!]!
    denominators[k] = sum % ORDER
  }
  for (let w = 0; w < count; w++) {
    let numerator = 0
    for (let m = 0; m < columns; m++) numerator += LOG[wanted[w]! ^ known[m]!]!
    for (let k = 0; k < columns; k++) {
      const log = numerator - LOG[wanted[w]! ^ known[k]!]! + ORDER - denominators[k]!
      rows[w * columns + k] = EXP[log % ORDER]!
    }
  }
}
