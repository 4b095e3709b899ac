import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { DeadlineHeap } from '../../src/core/deadline-heap.ts'
import { seqDiff } from '../../src/core/seq.ts'
import { Prng } from '../../src/sim/prng.ts'

test('the earliest deadline comes first', () => {
  const heap = new DeadlineHeap()
  heap.reserve(4)
  heap.set(0, 30)
  heap.set(3, 10)
  heap.set(1, 20)
  equal(heap.size, 3)
  equal(heap.first(), 3)
  equal(heap.firstAt(), 10)
  heap.set(3, 40)
  equal(heap.first(), 1)
  heap.delete(1)
  equal(heap.first(), 0)
  ok(!heap.has(1) && heap.has(3))
  equal(heap.at(3), 40)
})

test('deadlines wrap at 2^32', () => {
  const heap = new DeadlineHeap()
  heap.reserve(3)
  heap.set(0, 5)
  heap.set(1, 0xffff_fff0)
  heap.set(2, 0x7000_0000)
  equal(heap.first(), 1)
  heap.delete(1)
  equal(heap.firstAt(), 5)
})

test('deleting what is not there, or beyond the capacity, is nothing', () => {
  const heap = new DeadlineHeap()
  heap.reserve(2)
  heap.set(0, 1)
  heap.delete(1)
  equal(heap.has(99), false)
  equal(heap.size, 1)
})

test('an id that is as large as the capacity is not there, and less room asked for changes nothing', () => {
  const heap = new DeadlineHeap()
  heap.reserve(8)
  heap.set(0, 7)
  heap.set(6, 5)
  equal(heap.has(8), false)
  heap.reserve(4)
  deepEqual([heap.has(0), heap.has(6), heap.first(), heap.firstAt()], [true, true, 6, 5])
})

test('clear forgets everything', () => {
  const heap = new DeadlineHeap()
  heap.reserve(2)
  heap.set(1, 1)
  heap.clear()
  equal(heap.size, 0)
  equal(heap.has(1), false)
  heap.reserve(2)
  heap.set(0, 7)
  equal(heap.first(), 0)
})

test('random sets, moves, deletes and growth: always the earliest of a sorted model, around the wrap too', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const prng = new Prng(seed)
    const heap = new DeadlineHeap()
    const model = new Map<number, number>()
    let capacity = 4
    heap.reserve(capacity)
    // Starting anywhere, and every fourth time just before the wrap.
    let now = seed % 4 === 0 ? 0xffff_ff00 : prng.u32()
    for (let step = 0; step < 1500; step++) {
      const where = `seed=${seed} step=${step}`
      const id = prng.int(0, capacity - 1)
      const dice = prng.int(0, 9)
      if (dice < 6) {
        const at = (now + prng.int(0, 5000)) >>> 0
        heap.set(id, at)
        model.set(id, at)
      } else if (dice < 9) {
        heap.delete(id)
        model.delete(id)
      } else if (capacity < 200) {
        capacity += prng.int(1, 10)
        heap.reserve(capacity)
      }
      now = (now + prng.int(0, 3)) >>> 0
      equal(heap.size, model.size, where)
      equal(heap.has(id), model.has(id), where)
      if (model.has(id)) equal(heap.at(id), model.get(id), where)
      if (model.size === 0) continue
      const earliest = [...model.values()].reduce((a, b) => (seqDiff(a, b) <= 0 ? a : b))
      equal(heap.firstAt(), earliest, where)
      equal(model.get(heap.first()), earliest, where)
    }
    let last = -Infinity
    const origin = now
    while (heap.size > 0) {
      const at = seqDiff(heap.firstAt(), origin)
      ok(at >= last, `seed=${seed}: ${at} after ${last}`)
      last = at
      model.delete(heap.first())
      heap.delete(heap.first())
    }
    equal(model.size, 0)
  }
})
