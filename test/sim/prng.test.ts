import { deepEqual, equal, notDeepEqual, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { Prng } from '../../src/sim/prng.ts'

test("the sequence is that of the authors' reference program (state 1, 2, 3, 4)", () => {
  const prng = Prng.fromState(1, 2, 3, 4)
  const expected = [
    11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
  ]
  deepEqual(draw(prng, expected.length), expected)
})

test('a seed is a sequence', () => {
  deepEqual(draw(new Prng(7), 50), draw(new Prng(7), 50))
  notDeepEqual(draw(new Prng(7), 50), draw(new Prng(8), 50))
  deepEqual(draw(new Prng(-1), 5), draw(new Prng(0xffff_ffff), 5), 'only the low 32 bits count')
})

test('next is uniform in [0, 1)', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const prng = new Prng(seed)
    const tenths = new Array<number>(10).fill(0)
    for (let i = 0; i < 10_000; i++) {
      const x = prng.next()
      ok(x >= 0 && x < 1, `seed=${seed} x=${x}`)
      tenths[Math.floor(x * 10)]!++
    }
    // 1000 expected, standard deviation 30: five of them.
    for (const count of tenths) ok(Math.abs(count - 1000) < 150, `seed=${seed} tenths=${tenths}`)
  }
})

test('int includes both bounds, and nothing beyond', () => {
  const prng = new Prng(3)
  const seen = new Set<number>()
  for (let i = 0; i < 1000; i++) seen.add(prng.int(-2, 3))
  deepEqual(
    [...seen].sort((a, b) => a - b),
    [-2, -1, 0, 1, 2, 3],
  )
  equal(prng.int(5, 5), 5)
  ok(prng.int(0, 0xffff_ffff) <= 0xffff_ffff)
})

test('chance 0 never happens, chance 1 always, and each costs one draw', () => {
  const prng = new Prng(4)
  const twin = new Prng(4)
  for (let i = 0; i < 1000; i++) {
    equal(prng.chance(0), false)
    equal(prng.chance(1), true)
    twin.u32()
    twin.u32()
  }
  equal(prng.u32(), twin.u32())
})

test('a fork goes its own way and leaves its parent where one draw would', () => {
  const parent = new Prng(9)
  const twin = new Prng(9)
  const child = parent.fork()
  twin.u32()
  notDeepEqual(draw(child, 20), draw(parent, 20))
  draw(twin, 20)
  equal(parent.u32(), twin.u32())
})

test('bad arguments are named with their value', () => {
  throws(() => new Prng(1.5), { name: 'RangeError', message: /seed 1\.5/ })
  throws(() => new Prng(Number.NaN), { name: 'RangeError', message: /seed NaN/ })
  throws(() => new Prng(1).int(3, 2), { name: 'RangeError', message: /int\(3, 2\)/ })
  throws(() => new Prng(1).int(0, 2 ** 32), RangeError)
  throws(() => Prng.fromState(0, 0, 0, 0), RangeError)
})

function draw(prng: Prng, count: number): number[] {
  return Array.from({ length: count }, () => prng.u32())
}
