import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { IntList } from '../../src/core/int-list.ts'
import { Prng } from '../../src/sim/prng.ts'

function valuesOf(list: IntList): number[] {
  return Array.from({ length: list.length }, (_, i) => list.at(i))
}

test('what is pushed is there, sorted on demand, at any length', () => {
  const prng = new Prng(1)
  const list = new IntList()
  for (const length of [0, 1, 2, 8, 9, 100, 5]) {
    const numbers = Array.from({ length }, () => prng.u32() | 0)
    list.clear()
    for (const number of numbers) list.push(number)
    deepEqual(valuesOf(list), numbers)
    list.sort()
    deepEqual(
      valuesOf(list),
      numbers.sort((a, b) => a - b),
    )
  }
})

test('a list that was dropped begins anew', () => {
  const list = new IntList()
  list.push(1)
  list.drop()
  equal(list.length, 0)
  list.push(2)
  deepEqual(valuesOf(list), [2])
})
