import { equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { REPLAY_WINDOW, ReplayWindow } from '../../src/secure/index.ts'
import { Prng } from '../../src/sim/index.ts'

test('the window is 2,048 counters wide, to the bit', () => {
  for (const newest of [2_047, 2_048, 2_049, 2_079, 2_080, 5_000, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 31]) {
    const window = new ReplayWindow()
    window.mark(newest)
    equal(window.isFresh(newest), false)
    equal(window.isFresh(newest - REPLAY_WINDOW), false, 'one behind the window')
    ok(window.isFresh(newest - REPLAY_WINDOW + 1), 'the oldest of the window')
    for (let i = newest - REPLAY_WINDOW + 1; i < newest; i++) {
      ok(window.isFresh(i), `${i}`)
      window.mark(i)
      equal(window.isFresh(i), false, `${i} again`)
    }
    equal(window.newest, newest)
  }
})

test('a step forward forgets only what falls out, whatever its length', () => {
  for (const step of [1, 31, 32, 33, 63, 64, 65, 2_047, 2_048, 2_049, 2_079, 2_080, 2_081, 10_000, 2 ** 33]) {
    const window = new ReplayWindow()
    for (let i = 0; i < 3_000; i++) window.mark(i)
    const newest = 2_999 + step
    window.mark(newest)
    for (let i = newest - REPLAY_WINDOW - 40; i <= newest; i++) {
      const inside = i > newest - REPLAY_WINDOW
      equal(window.isFresh(i), inside && i > 2_999 && i < newest, `step ${step}, counter ${i}`)
    }
    ok(window.isFresh(newest + 1))
  }
})

test('says the same as a set of all counters', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const prng = new Prng(seed)
    const window = new ReplayWindow()
    const seen = new Set<number>()
    let newest = -1
    for (let i = 0; i < 5_000; i++) {
      const counter = Math.max(0, newest + prng.int(-2_100, prng.chance(0.01) ? 5_000 : 20))
      const fresh = !seen.has(counter) && counter > newest - REPLAY_WINDOW
      equal(window.isFresh(counter), fresh, `seed ${seed}, step ${i}, counter ${counter}, newest ${newest}`)
      if (!fresh) continue
      window.mark(counter)
      seen.add(counter)
      newest = Math.max(newest, counter)
    }
  }
})
