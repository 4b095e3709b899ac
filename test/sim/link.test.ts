import { deepEqual, equal, notDeepEqual, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { type Delivery, Link, type LinkConditions, type LinkOptions } from '../../src/sim/link.ts'
import { Prng } from '../../src/sim/prng.ts'
import { type ProfileName, profiles } from '../../src/sim/profiles.ts'

const SEEDS = 20
const DATAGRAMS = 5000

test('without conditions every datagram arrives once, at once', () => {
  const link = new Link()
  for (let i = 0; i < 100; i++) deepEqual(link.plan(1400, i), [{ afterMs: 0, flippedBit: -1 }])
  equal(link.counters.delivered, 100)
  equal(link.counters.deliveredBytes, 140_000)
})

test('the same seed gives the same schedule, another seed another one', () => {
  const conditions = profiles.awful
  const schedule = (seed: number): (readonly Delivery[])[] => send(new Link({ ...conditions, seed }), 500)
  deepEqual(schedule(11), schedule(11))
  notDeepEqual(schedule(11), schedule(12))
  deepEqual(send(new Link({ ...conditions, prng: new Prng(11) }), 500), schedule(11))
})

test('loss, duplication, reordering and corruption happen as often as asked', () => {
  const options = { delayMs: 30, loss: 0.1, duplicate: 0.05, reorder: 0.02, corrupt: 0.03 }
  for (let seed = 1; seed <= SEEDS; seed++) {
    const link = new Link({ ...options, seed })
    send(link, DATAGRAMS)
    const { counters } = link
    const arrived = counters.offered - counters.lost
    near(counters.lost, counters.offered, options.loss, `seed=${seed} lost`)
    near(counters.duplicated, arrived, options.duplicate, `seed=${seed} duplicated`)
    near(counters.reordered, arrived, options.reorder, `seed=${seed} reordered`)
    near(counters.corrupted, arrived, options.corrupt, `seed=${seed} corrupted`)
    equal(counters.delivered, arrived + counters.duplicated, `seed=${seed}`)
  }
})

test('at a higher loss the same datagrams are lost, and more; the others keep their jitter', () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const few = send(new Link({ seed, loss: 0.05, jitterMs: 10 }), 500, 20)
    const many = send(new Link({ seed, loss: 0.2, jitterMs: 10 }), 500, 20)
    for (let i = 0; i < few.length; i++)
      if (many[i]!.length > 0) deepEqual(many[i], few[i], `seed=${seed} i=${i}`)
  }
})

test('bursts: the mean loss and the mean length of a run are those of the chain', () => {
  const burst = { pEnter: 0.01, pLeave: 0.25, lossGood: 0, lossBad: 1 }
  let lost = 0
  let runs = 0
  for (let seed = 1; seed <= SEEDS; seed++) {
    const plans = send(new Link({ seed, burst }), DATAGRAMS)
    lost += plans.filter((plan) => plan.length === 0).length
    runs += plans.filter((plan, i) => plan.length === 0 && plans[i - 1]?.length !== 0).length
  }
  // Share of the bad state: 0.01 / (0.01 + 0.25) = 3.8 %; length of a stay: 1 / 0.25 = 4.
  ok(Math.abs(lost / (SEEDS * DATAGRAMS) - 0.01 / 0.26) < 0.006, `lost=${lost}`)
  ok(Math.abs(lost / runs - 4) < 0.4, `mean run=${lost / runs}`)
})

test('jitter stays within its bounds and nobody overtakes', () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const link = new Link({ seed, delayMs: 30, jitterMs: 15 })
    let lastArrivalAt = 0
    for (let i = 0; i < 2000; i++) {
      const now = i * 1.7
      const [delivery] = link.plan(100, now)
      const { afterMs } = delivery!
      ok(afterMs >= 30 && afterMs <= 45.000001, `seed=${seed} i=${i} afterMs=${afterMs}`)
      ok(now + afterMs >= lastArrivalAt, `seed=${seed} i=${i} overtakes`)
      lastArrivalAt = now + afterMs
    }
  }
})

test('a datagram that is held back is overtaken by those behind it', () => {
  const link = new Link({ seed: 2, delayMs: 10, reorder: 0.1, reorderMs: 25 })
  const plans = send(link, 200, 10)
  const heldBack = plans.filter(([delivery]) => delivery!.afterMs === 35)
  equal(heldBack.length, link.counters.reordered)
  ok(heldBack.length > 5)
  ok(
    plans.every(([delivery]) => delivery!.afterMs === 10 || delivery!.afterMs === 35),
    'the others do not wait for it',
  )
})

test('a second copy never arrives before the first', () => {
  const link = new Link({ seed: 3, delayMs: 10, jitterMs: 10, duplicate: 1, reorder: 0.2 })
  for (const plan of send(link, 1000, 3)) {
    equal(plan.length, 2)
    ok(plan[1]!.afterMs >= plan[0]!.afterMs)
  }
})

test('at a given rate datagrams leave one after another, to the millisecond', () => {
  // 1000 bytes at 100,000 B/s take 10 ms.
  const link = new Link({ delayMs: 40, rateBytesPerSec: 100_000, queueBytes: 10_000 })
  const after = (now: number): number | undefined => link.plan(1000, now)[0]?.afterMs
  deepEqual([after(0), after(0), after(5)], [50, 60, 65])
  equal(link.queuedBytes(5), 2000)
  equal(link.queuedBytes(10), 1000)
  equal(link.queuedBytes(29), 0)
  equal(after(30), 50, 'an idle hop starts at once')
  link.set({ rateBytesPerSec: Number.POSITIVE_INFINITY })
  equal(after(35), 45, 'what was accepted at the old rate still goes first')
  equal(after(41), 40)
})

test('what finds no room in the queue is dropped whole, and room comes back as datagrams start', () => {
  const link = new Link({ rateBytesPerSec: 100_000, queueBytes: 2500 })
  const offer = (size: number, now: number): number => link.plan(size, now)[0]?.afterMs ?? -1
  deepEqual([offer(1000, 0), offer(1000, 0), offer(1000, 0)], [10, 20, 30])
  equal(offer(1000, 0), -1, '2000 wait: no room for another 1000')
  equal(offer(500, 0), 35, 'but for 500')
  equal(offer(1, 9), -1)
  equal(offer(1000, 10), 35, 'the second one has started')
  equal(link.counters.tailDropped, 2)
  equal(link.counters.offered, link.counters.delivered + link.counters.tailDropped)
})

test('a queue of 0 carries what comes while nothing is being sent', () => {
  const link = new Link({ rateBytesPerSec: 1000, queueBytes: 0 })
  equal(link.plan(100, 0).length, 1)
  equal(link.plan(100, 99).length, 0)
  equal(link.plan(100, 100).length, 1)
})

test('an overloaded hop passes its rate, however long the run', () => {
  const link = new Link({ rateBytesPerSec: 1_000_000, queueBytes: 20_000 })
  // 2 MB/s offered for 10 s: 1 MB/s passes, plus at the most what waits at the end.
  for (let i = 0; i < 20_000; i++) link.plan(1000, i * 0.5)
  const { deliveredBytes } = link.counters
  ok(deliveredBytes >= 10_000_000 && deliveredBytes <= 10_021_000, `deliveredBytes=${deliveredBytes}`)
})

test('datagrams above the mtu vanish', () => {
  const link = new Link({ mtu: 1200 })
  equal(link.plan(1200, 0).length, 1)
  equal(link.plan(1201, 0).length, 0)
  equal(link.counters.oversized, 1)
})

test('set changes what it names: a blackout and its end', () => {
  const link = new Link({ seed: 5, delayMs: 20, burst: { pEnter: 1, pLeave: 0, lossGood: 0, lossBad: 1 } })
  equal(link.plan(10, 0).length, 0)
  link.set({ burst: null })
  equal(link.plan(10, 0).length, 1)
  link.set({ loss: 1 })
  for (let i = 0; i < 100; i++) equal(link.plan(10, i).length, 0)
  link.set({ loss: 0 })
  deepEqual(link.plan(10, 200), [{ afterMs: 20, flippedBit: -1 }])
  equal(link.conditions.delayMs, 20)
})

test('transmit copies, and flips the one bit that the plan names', () => {
  const link = new Link({ seed: 6, corrupt: 1, duplicate: 1 })
  const datagram = Buffer.from('lent for the call')
  const copies: Uint8Array[] = []
  link.transmit(datagram, 0, (copy) => copies.push(copy))
  equal(copies.length, 2)
  for (const copy of copies) {
    const flipped = copy.reduce((bits, byte, i) => bits + ones(byte ^ datagram[i]!), 0)
    equal(flipped, 1)
    equal(copy.constructor, Uint8Array)
  }
  copies[0]!.fill(0)
  equal(datagram.toString(), 'lent for the call')
  new Link({ corrupt: 1 }).transmit(new Uint8Array(0), 0, (copy) => equal(copy.length, 0))
})

test('every profile carries most of what it is given, and counts all of it', () => {
  for (const [name, conditions] of Object.entries(profiles) as [ProfileName, LinkConditions][]) {
    const link = new Link({ ...conditions, seed: 7 })
    send(link, DATAGRAMS, 20)
    const { counters } = link
    const dropped = counters.oversized + counters.tailDropped + counters.lost
    equal(counters.offered, dropped + counters.delivered - counters.duplicated, name)
    ok(dropped < (name === 'awful' ? 0.25 : 0.02) * DATAGRAMS, `${name}: ${dropped} of ${DATAGRAMS} dropped`)
  }
})

test('bad conditions are named with their value', () => {
  const bad: [object, RegExp][] = [
    [{ loss: 1.5 }, /loss 1\.5 is not a number in 0\.\.1/],
    [{ loss: Number.NaN }, /loss .* is not a number in 0\.\.1/],
    [{ duplicate: -0.1 }, /duplicate -0\.1/],
    [{ reorder: 2 }, /reorder 2/],
    [{ corrupt: '0.5' }, /corrupt "0\.5"/],
    [{ delayMs: -1 }, /delayMs -1/],
    [{ delayMs: Number.POSITIVE_INFINITY }, /delayMs/],
    [{ jitterMs: -1 }, /jitterMs -1/],
    [{ reorderMs: -1 }, /reorderMs -1/],
    [{ rateBytesPerSec: 0 }, /rateBytesPerSec 0/],
    [{ queueBytes: -1 }, /queueBytes -1/],
    [{ mtu: 0 }, /mtu 0/],
    [{ seed: 0.5 }, /seed 0\.5/],
    [{ burst: { pEnter: 0.1, pLeave: 2, lossGood: 0, lossBad: 1 } }, /burst\.pLeave 2/],
    [{ burst: { pEnter: 0.1, pLeave: 0.1, lossGood: 0 } }, /burst\.lossBad undefined/],
    [{ burst: true }, /burst true/],
  ]
  for (const [options, message] of bad) {
    throws(() => new Link(options as LinkOptions), { name: 'RangeError', message }, JSON.stringify(options))
  }
  throws(() => new Link({ delay: 5 } as LinkOptions), {
    name: 'TypeError',
    message: /unknown link option delay/,
  })
  const link = new Link({ loss: 0.5 })
  throws(() => link.set({ delayMs: 5, loss: 7 }), RangeError)
  equal(link.conditions.delayMs, 0, 'nothing of a bad set is taken')
})

function send(link: Link, count: number, everyMs = 1): (readonly Delivery[])[] {
  return Array.from({ length: count }, (_, i) => link.plan(1000, i * everyMs))
}

/** Within five standard deviations of a binomial distribution. */
function near(count: number, of: number, p: number, what: string): void {
  const deviation = Math.sqrt(of * p * (1 - p))
  ok(Math.abs(count - of * p) < 5 * deviation, `${what}: ${count} of ${of}, expected ${of * p}`)
}

function ones(byte: number): number {
  return byte.toString(2).replaceAll('0', '').length
}
