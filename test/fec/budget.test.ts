/** Decoders that share a budget of memory with others, and with what is no FEC. */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { AUTOTUNE_DATA_MAX } from '../../src/fec/autotune.ts'
import { AutotuneDecoder, FecDecoder, FecEncoder } from '../../src/fec/index.ts'
import { CONV, encode, push } from './shards.ts'

const SHAPE = { dataShards: 3, parityShards: 2 }

/** Groups of three data and two parity, without the second of the data. */
function groups(count: number): Uint8Array[] {
  const encoder = new FecEncoder({ ...SHAPE, maxDatagram: 1400 })
  const sent = Array.from({ length: 3 * count }, (_, i) => push(i, 20))
  return encode(encoder, sent).filter((_, i) => i % 5 !== 1)
}

function give(decoder: FecDecoder | AutotuneDecoder, datagrams: readonly Uint8Array[], now = 0): number {
  let rebuilt = 0
  for (const one of datagrams) rebuilt += decoder.add(one, 0, one.length, now)
  return rebuilt
}

function believing(budget: { used: number; limit: number }): FecDecoder {
  const decoder = new FecDecoder({ ...SHAPE, conv: CONV, budget })
  decoder.believe()
  return decoder
}

test('shards are counted while they are kept, with all that is made for them', () => {
  const budget = { used: 0, limit: 1_000_000 }
  const decoder = believing(budget)
  equal(give(decoder, groups(4)), 4)
  // One group at a time: its three shards, two places for what is rebuilt, notes of 32 groups.
  equal(budget.used, 3 * 1536 + 2 * 1536 + 32 * 8)
  ok(budget.used >= decoder.heldBytes)
  decoder.trim()
  equal(budget.used, 0)
  decoder.trim()
  equal(budget.used, 0)
  equal(give(decoder, groups(4)), 4)
})

test('many decoders fill half of a budget and no more; those that get nothing do without', () => {
  const budget = { used: 0, limit: 100_000 }
  const decoders = Array.from({ length: 50 }, () => believing(budget))
  // Half of each of many groups: all of them wait.
  const waiting = groups(8).filter((_, i) => i % 4 < 2)
  for (const decoder of decoders) {
    give(decoder, waiting)
    ok(budget.used <= budget.limit / 2, String(budget.used))
  }
  ok(budget.used > budget.limit / 2 - 3 * 1536 - 2 * 1536 - 32 * 8, String(budget.used))
  const without = decoders.at(-1)!
  deepEqual([without.heldBytes, without.counters.abandoned], [0, 8])
  equal(give(without, groups(2)), 0)
  for (const decoder of decoders) decoder.trim()
  equal(budget.used, 0)
  equal(give(without, groups(2)), 2)
})

test('what others hold leaves that much less; one group that has memory goes on with it', () => {
  const budget = { used: 0, limit: 100_000 }
  const decoder = believing(budget)
  equal(give(decoder, groups(1)), 1)
  budget.used += 60_000
  equal(give(decoder, groups(3).slice(4)), 2)
  equal(give(believing(budget), groups(3)), 0)
})

test('groups of more data than kcptun is told are not believed, and cost nothing', () => {
  for (const [dataShards, found] of [
    [AUTOTUNE_DATA_MAX, true],
    [AUTOTUNE_DATA_MAX + 1, false],
    [200, false],
  ] as const) {
    const budget = { used: 0, limit: 10_000_000 }
    const encoder = new FecEncoder({ dataShards, parityShards: 2, maxDatagram: 1400 })
    const decoder = new AutotuneDecoder({ conv: CONV, budget })
    const sent = Array.from({ length: 6 * dataShards }, (_, i) => push(i, 1))
    give(decoder, encode(encoder, sent))
    equal(decoder.shape !== undefined, found, `${dataShards}`)
    equal(budget.used > 0, found)
    ok(budget.used <= 5 * 128 * 1024 + 32 * 256, String(budget.used))
  }
})

test('a group that is older than 25 days is old', () => {
  for (const days of [1, 25, 40]) {
    const decoder = believing({ used: 0, limit: 1_000_000 })
    give(decoder, groups(1).slice(0, 1), 5)
    decoder.expire(5 + days * 86_400_000)
    equal(decoder.counters.abandoned, 1, `${days} days`)
  }
})
