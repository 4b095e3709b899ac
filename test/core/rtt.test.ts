import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { RTO_INITIAL, RTO_MAX, RttEstimator } from '../../src/core/rtt.ts'
import { Prng } from '../../src/sim/prng.ts'

test('before the first sample the RTO is 200 ms', () => {
  const rtt = new RttEstimator()
  deepEqual([rtt.srtt, rtt.rttvar, rtt.rto, rtt.minRto], [0, 0, RTO_INITIAL, 100])
})

test('the first sample sets srtt, and half of it the variation (RFC 6298 2.2)', () => {
  const rtt = new RttEstimator()
  rtt.sample(81, 10)
  deepEqual([rtt.srtt, rtt.rttvar, rtt.rto], [81, 40, 81 + 4 * 40])
})

test('later samples weigh an eighth, and their deviation from the old srtt a quarter, cut to whole ms', () => {
  const rtt = new RttEstimator()
  rtt.sample(80, 10)
  rtt.sample(121, 10)
  deepEqual([rtt.rttvar, rtt.srtt], [Math.trunc((3 * 40 + 41) / 4), Math.trunc((7 * 80 + 121) / 8)])
  equal(rtt.rto, 85 + 4 * 40)
})

test('the variation counts as at least the flush interval, for acks wait for a flush', () => {
  const rtt = new RttEstimator()
  rtt.minRto = 30
  for (let i = 0; i < 100; i++) rtt.sample(40, 100)
  // Truncation keeps the variation from going below 0 only; a steady path has none.
  deepEqual([rtt.srtt, rtt.rttvar, rtt.rto], [40, 0, 140])
})

test('a steady estimate forgets variation round trip by round trip, wherever the clock stands', () => {
  for (const start of [0, 0x7fff_f000, 0x8000_0000, 0xffff_f000]) {
    const rtt = new RttEstimator()
    rtt.steady = true
    rtt.minRto = 30
    for (let i = 0; i < 200; i++) rtt.sample(100, 10, (start + i * 20) >>> 0)
    deepEqual([rtt.srtt, rtt.rttvar, rtt.rto], [100, 0, 110], `from ${start}`)
  }
})

test('an srtt that falls below 1 ms becomes 1: 0 would mean that nothing was measured', () => {
  const rtt = new RttEstimator()
  rtt.sample(2, 10)
  for (let i = 0; i < 10; i++) rtt.sample(0, 10)
  equal(rtt.srtt, 1)
})

test('rto stays within minRto .. RTO_MAX whatever is measured', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const prng = new Prng(seed)
    const rtt = new RttEstimator()
    rtt.minRto = prng.int(1, 500)
    for (let i = 0; i < 200; i++) {
      rtt.sample(prng.int(0, prng.chance(0.1) ? 0x7fff_ffff : 200_000), 10)
      ok(rtt.rto >= rtt.minRto && rtt.rto <= RTO_MAX, `seed=${seed} i=${i} rto=${rtt.rto}`)
    }
  }
})

test('with moderate samples it is the plain formula', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const prng = new Prng(seed)
    const rtt = new RttEstimator()
    let [srtt, rttvar] = [0, 0]
    for (let i = 0; i < 200; i++) {
      const sample = prng.int(0, 3000)
      const interval = prng.int(10, 100)
      rtt.sample(sample, interval)
      if (srtt === 0) [srtt, rttvar] = [sample, Math.trunc(sample / 2)]
      else {
        rttvar = Math.trunc((3 * rttvar + Math.abs(sample - srtt)) / 4)
        srtt = Math.max(1, Math.trunc((7 * srtt + sample) / 8))
      }
      deepEqual(
        [rtt.srtt, rtt.rttvar, rtt.rto],
        [srtt, rttvar, Math.min(60_000, Math.max(100, srtt + Math.max(interval, 4 * rttvar)))],
        `seed=${seed} i=${i}`,
      )
    }
  }
})

test('a timeout doubles the RTO, or with nodelay adds half of it, or half of the estimate', () => {
  const rtt = new RttEstimator()
  equal(rtt.rto, 200)
  const next = (rto: number): number[] => [0, 1, 2].map((nodelay) => rtt.backOff(rto, nodelay, false))
  deepEqual(next(300), [600, 450, 400])
  deepEqual(next(101), [301, 151, 201])
  deepEqual(
    [0, 1, 2].map((nodelay) => rtt.backOff(59_990, nodelay, true)),
    [RTO_MAX, RTO_MAX, RTO_MAX],
  )
  equal(rtt.backOff(0xffff_ff00, 2, false), (0xffff_ff00 + 100) >>> 0)
})

test('forged times make numbers that wrap at 32 bits and are cut towards zero, as those of C', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const prng = new Prng(seed)
    const rtt = new RttEstimator()
    let [srtt, rttvar] = [0, 0]
    for (let i = 0; i < 100; i++) {
      const sample = prng.int(0, 3) === 0 ? prng.int(0, 100) : prng.int(0, 2 ** 31 - 1)
      rtt.sample(sample, 10)
      if (srtt === 0) [srtt, rttvar] = [sample, Math.trunc(sample / 2)]
      else {
        rttvar = Math.trunc((Math.imul(3, rttvar) + Math.abs((sample - srtt) | 0)) / 4)
        srtt = Math.max(1, Math.trunc(((Math.imul(7, srtt) + sample) | 0) / 8))
      }
      deepEqual([rtt.srtt, rtt.rttvar], [srtt, rttvar], `seed=${seed} i=${i}`)
    }
  }
})

test('a lower bound above 2^31 is one, and so is an RTO with half of itself added', () => {
  const rtt = new RttEstimator()
  rtt.minRto = -1
  rtt.sample(80, 10)
  equal(rtt.rto, RTO_MAX)
  equal(rtt.backOff(0xffff_fffc, 1, false), 0xffff_fffa)
})

test('a round trip below a millisecond counts as one from the second measurement on', () => {
  const rtt = new RttEstimator()
  rtt.sample(1, 10)
  rtt.sample(0, 10)
  equal(rtt.srtt, 1)
})

test('where all round trips are the same nothing varies', () => {
  const rtt = new RttEstimator()
  rtt.steady = true
  for (let now = 0; now < 20; now++) rtt.sample(1, 10, now)
  deepEqual([rtt.srtt, rtt.rttvar], [1, 0])
})
