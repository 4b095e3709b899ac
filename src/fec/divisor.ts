/**
 * The divisor that two numbers have in common: groups of n shards begin at multiples of n, so n divides that of all of
 * these.
 * @module
 */

/** The greatest; of 0 and another it is the other. */
export function greatestCommonDivisor(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b]
  return a
}
