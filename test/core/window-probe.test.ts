import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { PROBE_INITIAL, PROBE_LIMIT, WindowProbe } from '../../src/core/window-probe.ts'

/** When a probe asks while the window stays closed, followed every 100 ms from `start` on. */
function asks(probe: WindowProbe, start: number, until: number): number[] {
  const times: number[] = []
  for (let ms = 0; ms <= until; ms += 100) {
    probe.follow(0, (start + ms) >>> 0)
    if (probe.askPending) times.push(ms)
    probe.askPending = false
  }
  return times
}

test('an open window needs no question', () => {
  const probe = new WindowProbe()
  for (let now = 0; now < 100_000; now += 1000) probe.follow(1, now)
  deepEqual([probe.askPending, probe.wait, probe.at], [false, 0, 0])
})

test('a closed window is asked after 5 s, then after half as long again each time, up to 120 s', () => {
  const times = asks(new WindowProbe(), 0, 1_000_000)
  const waits = times.map((time, i) => time - (times[i - 1] ?? 0))
  equal(waits[0], PROBE_INITIAL)
  deepEqual(waits.slice(0, 5), [5000, 7500, 11_300, 16_900, 25_400])
  equal(waits.at(-1), PROBE_LIMIT)
})

test('the wrap of the clock does not matter', () => {
  deepEqual(asks(new WindowProbe(), 0xffff_ffff - 6000, 60_000), asks(new WindowProbe(), 0, 60_000))
})

test('a window that opens ends the questions, and the next closing starts anew', () => {
  const probe = new WindowProbe()
  asks(probe, 0, 20_000)
  probe.follow(5, 20_100)
  equal(probe.wait, 0)
  deepEqual(asks(probe, 30_000, 10_000), [5000])
})

test('the first wait can be chosen', () => {
  const probe = new WindowProbe()
  probe.initial = 500
  deepEqual(asks(probe, 0, 3000), [500, 1300, 2500])
})
