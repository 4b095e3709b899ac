import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { AckList } from '../../src/core/ack-list.ts'
import { Prng } from '../../src/sim/prng.ts'

function owed(acks: AckList): [sn: number, ts: number][] {
  return Array.from({ length: acks.count }, (_, i) => [acks.pairs[i * 2]!, acks.pairs[i * 2 + 1]!])
}

test('pairs are listed in order of arrival, repeats included', () => {
  const acks = new AckList()
  acks.push(5, 100)
  acks.push(4, 101)
  acks.push(5, 0xffff_ffff)
  deepEqual(owed(acks), [
    [5, 100],
    [4, 101],
    [5, 0xffff_ffff],
  ])
})

test('the list starts with 8 pairs and doubles', () => {
  const acks = new AckList()
  const capacities = new Set([acks.capacity])
  for (let i = 0; i < 70; i++) {
    acks.push(i, i)
    capacities.add(acks.capacity)
  }
  deepEqual([...capacities], [0, 8, 16, 32, 64, 128])
  equal(owed(acks).length, 70)
})

test('clear keeps the memory; trim gives it back, but not while something is owed', () => {
  const acks = new AckList()
  acks.pushOnce(1, 1)
  acks.trim()
  equal(acks.capacity, 8)
  acks.clear()
  equal(acks.count, 0)
  equal(acks.capacity, 8)
  acks.trim()
  equal(acks.capacity, 0)
  acks.pushOnce(2, 2)
  deepEqual(owed(acks), [[2, 2]])
})

test('pushOnce lists an sn once, with the oldest ts, wherever the clock stands', () => {
  const acks = new AckList()
  for (let round = 0; round < 10; round++) {
    for (let sn = 0xffff_fff0; sn < 0xffff_fff0 + 40; sn++)
      acks.pushOnce(sn >>> 0, (0xffff_fffe + ((round + 5) % 10)) >>> 0)
  }
  equal(acks.count, 40)
  ok(owed(acks).every(([, ts]) => ts === 0xffff_fffe))
})

test('after clear an sn is listed anew', () => {
  const acks = new AckList()
  acks.pushOnce(7, 1)
  acks.pushOnce(8, 1)
  acks.clear()
  acks.pushOnce(8, 2)
  acks.pushOnce(7, 2)
  acks.pushOnce(8, 3)
  deepEqual(owed(acks), [
    [8, 2],
    [7, 2],
  ])
})

test('pushOnce: every sn is listed, the first entry of each has its oldest ts, and few are listed twice', () => {
  for (let seed = 1; seed <= 30; seed++) {
    const prng = new Prng(seed)
    const acks = new AckList()
    const oldest = new Map<number, number>()
    const first = (): Map<number, number> => new Map(owed(acks).reverse())
    const base = prng.u32()
    for (let ts = 0; ts < 5000; ts++) {
      // Two runs of numbers, so that places of the index collide.
      const sn = (base + prng.int(0, 200) + (prng.chance(0.5) ? 2 ** 16 : 0)) >>> 0
      acks.pushOnce(sn, ts)
      if (!oldest.has(sn)) oldest.set(sn, ts)
      if (prng.chance(0.001)) {
        deepEqual(first(), oldest, `seed=${seed} ts=${ts}`)
        acks.clear()
        oldest.clear()
      }
    }
    deepEqual(first(), oldest, `seed=${seed}`)
  }
})

test('pushOnce within a window: the list stays below twice the numbers of the window', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const prng = new Prng(seed)
    const acks = new AckList()
    const base = prng.u32()
    for (let ts = 0; ts < 20_000; ts++) acks.pushOnce((base + prng.int(0, 383)) >>> 0, ts)
    ok(acks.count < 2 * 384, `seed=${seed} count=${acks.count}`)
  }
})
