import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { EXP, LOG, multiply } from '../../src/fec/gf256.ts'

/** Multiplies polynomials over GF(2) bit by bit, modulo x^8 + x^4 + x^3 + x^2 + 1. */
function longMultiply(a: number, b: number): number {
  let product = 0
  for (let bit = 0; bit < 8; bit++) if ((b >> bit) & 1) product ^= a << bit
  for (let bit = 14; bit >= 8; bit--) if ((product >> bit) & 1) product ^= 0x11d << (bit - 8)
  return product
}

test('every product is that of the polynomials', () => {
  for (let a = 0; a < 256; a++) {
    for (let b = 0; b < 256; b++) equal(multiply(a, b), longMultiply(a, b), `${a} x ${b}`)
  }
})

test('the powers of 2 are all elements but 0, and the logarithms undo them', () => {
  equal(new Set(EXP).size, 255)
  for (let a = 1; a < 256; a++) equal(EXP[LOG[a]!], a)
})
