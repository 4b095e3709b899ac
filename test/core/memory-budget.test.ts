import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import {
  awaitRoom,
  giveBack,
  largestHolder,
  type MemoryBudget,
  type MemoryHolder,
  MemoryShare,
  roomIn,
  stopWaiting,
  takeFrom,
  wouldStick,
} from '../../src/core/memory-budget.ts'

function holder(readable = true, slotSize = 100): { readable: boolean; slotSize: number } & MemoryHolder {
  return { readable, slotSize }
}

function nested(limit: number, part: number): { readonly total: MemoryBudget; readonly host: MemoryBudget } {
  const total: MemoryBudget = { used: 0, limit }
  return { total, host: { used: 0, limit: part, parent: total } }
}

test('what is taken from a part is taken from the whole, and the narrower of both is the room', () => {
  const { total, host } = nested(1_000, 400)
  equal(roomIn(host), 400)
  takeFrom(host, 300)
  takeFrom(total, 650)
  deepEqual([host.used, total.used, roomIn(host), roomIn(total)], [300, 950, 50, 50])
  giveBack(host, 300)
  deepEqual([host.used, total.used], [0, 650])
})

test('half of a part, and half of the whole, may be stuck', () => {
  const { total, host } = nested(1_000, 400)
  equal(wouldStick(host, 200), false)
  equal(wouldStick(host, 201), true)
  total.stuck = 450
  equal(wouldStick(host, 50), false)
  equal(wouldStick(host, 51), true)
})

test('a share counts as stuck while nothing of its holder is readable', () => {
  const { total, host } = nested(1_000, 400)
  const share = new MemoryShare()
  const one = holder(false)
  share.budget = host
  share.settle(one, 150)
  deepEqual([host.used, total.used, host.stuck, total.stuck], [150, 150, 150, 150])
  one.readable = true
  share.settle(one, 150)
  deepEqual([host.used, host.stuck, total.stuck], [150, 0, 0])
  share.settle(one, 0)
  deepEqual([host.used, total.used], [0, 0])
})

test('holders of much are found by size, within a part and in the whole; those of little are not listed', () => {
  const total: MemoryBudget = { used: 0, limit: 10_000_000 }
  const parts = [1, 2].map((): MemoryBudget => ({ used: 0, limit: 5_000_000, parent: total }))
  const sizes = [16_383, 16_384, 70_000, 300_000]
  const held = sizes.map((size, i) => {
    const share = new MemoryShare()
    share.budget = parts[i % 2]!
    const one = holder(i !== 2)
    share.settle(one, size)
    return { share, one }
  })
  equal(largestHolder(total), held[3]!.one)
  equal(largestHolder(parts[0]!), held[2]!.one)
  equal(
    largestHolder(total, ({ readable }) => !readable),
    held[2]!.one,
  )
  held[3]!.share.settle(held[3]!.one, 0)
  equal(largestHolder(parts[1]!), held[1]!.one)
  for (const { share, one } of held) share.settle(one, 0)
  equal(largestHolder(total), undefined)
  equal(total.used, 0)
})

test('who waits for a part waits for the part, and else for the whole; both call when there is room', () => {
  const { total, host } = nested(1_000, 400)
  const called: string[] = []
  const [a, b] = [holder(), holder()]
  awaitRoom(host, a, () => called.push('none is needed'))
  takeFrom(host, 350)
  awaitRoom(host, a, () => called.push('a'))
  takeFrom(total, 600)
  const other: MemoryBudget = { used: 0, limit: 400, parent: total }
  awaitRoom(other, b, () => called.push('b'))
  deepEqual([host.waiting?.size, total.waiting?.size, other.waiting], [1, 1, undefined])
  giveBack(host, 50)
  deepEqual(called, ['a', 'b'], 'the room of the whole is enough for one of it')
  awaitRoom(other, b, () => called.push('again'))
  stopWaiting(other, b)
  giveBack(total, 600)
  ok(!called.includes('again'))
})
