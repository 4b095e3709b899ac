import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { collapse, grow, SSTHRESH_INITIAL, shrinkOnSkip } from '../../../src/core/congestion/classic.ts'
import type { CongestionState } from '../../../src/core/congestion/controller.ts'
import { Prng } from '../../../src/sim/prng.ts'

function state(change: Partial<CongestionState> = {}): CongestionState {
  return {
    cwnd: 1,
    ssthresh: SSTHRESH_INITIAL,
    cwndBytes: 1000,
    mss: 1000,
    sndWnd: 128,
    rmtWnd: 128,
    srtt: 0,
    now: 0,
    ...change,
  }
}

test('below the threshold every advance of snd_una opens the window by one (slow start)', () => {
  const s = state({ ssthresh: 8 })
  for (let cwnd = 2; cwnd <= 8; cwnd++) {
    grow(s)
    deepEqual([s.cwnd, s.cwndBytes], [cwnd, cwnd * 1000])
  }
})

test('above the threshold bytes are counted until they make a segment more, which is then rounded up', () => {
  const s = state({ cwnd: 10, cwndBytes: 10_000, ssthresh: 2 })
  let advances = 0
  while (s.cwnd === 10) {
    grow(s)
    advances++
  }
  // mss²/bytes + mss/16 = 100 + 62 bytes and falling: 1000 of them make a segment.
  equal(advances, 7)
  ok(s.cwndBytes > 11_000 && s.cwndBytes < 12_000)
  equal(s.cwnd, 12)
})

test("the window stops at the peer's", () => {
  const s = state({ cwnd: 5, cwndBytes: 5000, ssthresh: 100, rmtWnd: 6 })
  grow(s)
  grow(s)
  deepEqual([s.cwnd, s.cwndBytes], [6, 6000])
  const above = state({ cwnd: 9, cwndBytes: 9000, rmtWnd: 6 })
  grow(above)
  equal(above.cwnd, 9, 'a window above it is left alone')
})

test('a byte counter below one segment is raised to one', () => {
  const s = state({ cwnd: 2, cwndBytes: 0, ssthresh: 2 })
  grow(s)
  equal(s.cwndBytes, 1000 + 1000 + 62)
})

test('a fast resend halves the flight, keeps at least 2, and adds the threshold of skips', () => {
  const s = state({ cwnd: 40 })
  shrinkOnSkip(s, 30, 2)
  deepEqual([s.ssthresh, s.cwnd, s.cwndBytes], [15, 17, 17_000])
  shrinkOnSkip(s, 3, 3)
  deepEqual([s.ssthresh, s.cwnd, s.cwndBytes], [2, 5, 5000])
})

test('a timeout starts over with one segment, and half the window as threshold', () => {
  const s = state({ cwnd: 40, cwndBytes: 40_000 })
  collapse(s, 40)
  deepEqual([s.ssthresh, s.cwnd, s.cwndBytes], [20, 1, 1000])
  collapse(s, 1)
  equal(s.ssthresh, 2)
})

test('cwnd never passes rmtWnd by growing, and the byte counter follows it', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const prng = new Prng(seed)
    const s = state({ rmtWnd: prng.int(1, 300), mss: prng.int(26, 1476) })
    for (let i = 0; i < 500; i++) {
      const dice = prng.int(0, 99)
      if (dice === 0) collapse(s, s.cwnd)
      else if (dice === 1) shrinkOnSkip(s, prng.int(0, Math.min(s.cwnd, s.rmtWnd)), prng.int(1, 3))
      else {
        const before = s.cwnd
        grow(s)
        ok(s.cwnd >= before || s.cwnd === s.rmtWnd, `seed=${seed} i=${i}`)
        if (s.cwnd > before) ok(s.cwnd <= s.rmtWnd, `seed=${seed} i=${i} cwnd=${s.cwnd} rmtWnd=${s.rmtWnd}`)
      }
      ok(s.cwnd >= 1 && Number.isInteger(s.cwnd))
    }
  }
})

test('all numbers are u32, and a window that meets the one of the peer keeps its bytes', () => {
  // A segment of 65,000 bytes, and 40,000 of them: above 2^31, and the square of the former too.
  const [mss, cwnd] = [65_000, 40_000]
  const slow = state({ mss, cwnd, cwndBytes: cwnd * mss, ssthresh: 50_000, rmtWnd: 60_000 })
  grow(slow)
  deepEqual([slow.cwnd, slow.cwndBytes], [40_001, 40_001 * mss])
  const wraps = state({ mss, cwnd: 1, cwndBytes: 2 ** 32 - 1_000, ssthresh: 9 })
  grow(wraps)
  equal(wraps.cwndBytes, 64_000)
  // mss² / bytes + mss / 16: one and 4,062 bytes.
  const calm = state({ mss, cwnd, cwndBytes: cwnd * mss, ssthresh: 2, rmtWnd: 60_000 })
  grow(calm)
  deepEqual([calm.cwnd, calm.cwndBytes], [cwnd, cwnd * mss + 1 + 4_062])
  const more = state({ mss, cwnd, cwndBytes: cwnd * mss + 64_999, ssthresh: 2, rmtWnd: 60_000 })
  grow(more)
  deepEqual([more.cwnd, more.cwndBytes], [40_002, cwnd * mss + 64_999 + 4_063])
  const above = state({ mss, cwnd: 39_999, cwndBytes: 2_700_000_000, ssthresh: 2, rmtWnd: cwnd })
  grow(above)
  deepEqual([above.cwnd, above.cwndBytes], [cwnd, cwnd * mss])
  const skipped = state({ mss })
  shrinkOnSkip(skipped, 80_000, 1)
  deepEqual([skipped.cwnd, skipped.cwndBytes], [40_001, 40_001 * mss])
  shrinkOnSkip(skipped, 80_000, 3_000_000_000)
  equal(skipped.cwnd, 3_000_040_000)

  const meets = state({ cwnd: 5, cwndBytes: 9_000, ssthresh: 100, rmtWnd: 6 })
  grow(meets)
  deepEqual([meets.cwnd, meets.cwndBytes], [6, 10_000])
})
