import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { multiply } from '../../src/fec/gf256.ts'
import { coefficients as fillIn } from '../../src/fec/matrix.ts'
import { rsVectors } from './captures.ts'

function coefficients(known: readonly number[], wanted: readonly number[]): Uint8Array {
  const rows = new Uint8Array(known.length * wanted.length)
  fillIn(known, wanted, wanted.length, rows)
  return rows
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

/** The readable twin: a matrix of rows, inverted by Gauss and Jordan. */
function invert(matrix: readonly (readonly number[])[]): number[][] {
  const n = matrix.length
  const rows = matrix.map((row, r) => [...row, ...range(0, n).map((c) => (c === r ? 1 : 0))])
  for (let column = 0; column < n; column++) {
    const pivot = rows.findIndex((row, r) => r >= column && row[column] !== 0)
    const found = rows[pivot]!
    rows[pivot] = rows[column]!
    const inverse = range(1, 256).find((candidate) => multiply(candidate, found[column]!) === 1)!
    rows[column] = found.map((value) => multiply(value, inverse))
    for (let r = 0; r < n; r++) {
      const factor = rows[r]![column]!
      if (r !== column && factor !== 0) {
        rows[r] = rows[r]!.map((value, c) => value ^ multiply(factor, rows[column]![c]!))
      }
    }
  }
  return rows.map((row) => row.slice(n))
}

function timesMatrix(a: readonly (readonly number[])[], b: readonly (readonly number[])[]): number[][] {
  return a.map((row) =>
    range(0, b[0]!.length).map((c) => row.reduce((sum, v, k) => sum ^ multiply(v, b[k]![c]!), 0)),
  )
}

/** kcp-go's generator matrix as its library defines it: V x inverse(top of V), V[r][c] = r^c. */
function generator(dataShards: number, shards: number): number[][] {
  const power = (r: number, c: number): number => range(0, c).reduce((product) => multiply(product, r), 1)
  const vandermonde = range(0, shards).map((r) => range(0, dataShards).map((c) => power(r, c)))
  return timesMatrix(vandermonde, invert(vandermonde.slice(0, dataShards)))
}

test('parity rows are those of the Go library', () => {
  const { parityMatrix } = rsVectors()
  equal(Object.keys(parityMatrix).length, 15)
  for (const [shape, rows] of Object.entries(parityMatrix)) {
    const [d, p] = shape.split('+').map(Number) as [number, number]
    const made = Buffer.from(coefficients(range(0, d), range(d, d + p))).toString('hex')
    equal(made, rows.join(''), shape)
  }
})

test('interpolation gives the rows of the Vandermonde construction', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }), (d, p) => {
      const rows = generator(d, d + p)
      deepEqual(
        rows.slice(0, d),
        range(0, d).map((r) => range(0, d).map((c) => (r === c ? 1 : 0))),
      )
      deepEqual([...coefficients(range(0, d), range(d, d + p))], rows.slice(d).flat())
    }),
    { numRuns: 60 },
  )
})

test('rebuilding by interpolation is what inverting the rows at hand gives', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 16 }),
      fc.integer({ min: 1, max: 16 }),
      fc.infiniteStream(fc.integer({ min: 0, max: 1_000_000 })),
      (d, p, draws) => {
        const places = range(0, d + p)
        const known: number[] = []
        while (known.length < d) known.push(...places.splice(draws.next().value! % places.length, 1))
        const missing = range(0, d).filter((place) => !known.includes(place))
        const rows = generator(d, d + p)
        const inverse = invert(known.map((place) => rows[place]!))
        deepEqual(
          [...coefficients(known, missing)],
          missing.flatMap((place) => inverse[place]!),
        )
      },
    ),
    { numRuns: 60 },
  )
})

test('nothing wanted takes no rows', () => {
  equal(coefficients([0, 1, 2], []).length, 0)
})
