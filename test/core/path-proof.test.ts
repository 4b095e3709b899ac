import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { PathProof } from '../../src/core/path-proof.ts'

test('a challenge goes out under the sn before the oldest unacknowledged one, the same at every repeat', () => {
  const proof = new PathProof()
  equal(proof.challenge(0, 1000), 0xffff_ffff)
  equal(proof.challenge(5, 1500), 0xffff_ffff)
})

test('its answer proves the address, and only with a ts between its first and its latest transmission', () => {
  const proof = new PathProof()
  proof.judge(0xffff_ffff, 1000)
  equal(proof.proven, false, 'before there was a challenge')
  proof.challenge(0, 1000)
  proof.challenge(0, 1500)
  proof.judge(0xffff_ffff, 999)
  proof.judge(0xffff_ffff, 1501)
  proof.judge(0, 1200)
  equal(proof.proven, false)
  proof.judge(0xffff_ffff, 1500)
  equal(proof.proven, true)
})

test('the newest echo is kept, across the wrap of the clock; before there is one, the first ts sent', () => {
  const proof = new PathProof()
  proof.sent(0xffff_fff0)
  proof.sent(0xffff_fffa)
  equal(proof.echoedTs, 0xffff_fff0)
  proof.sent(5)
  equal(proof.sentTs, 5)
  proof.echoed(5)
  proof.echoed(0xffff_fffa)
  equal(proof.echoedTs, 5)
  equal(proof.proven, true)
})

test('an echo one millisecond newer is the newest', () => {
  const proof = new PathProof()
  proof.sent(5)
  proof.sent(6)
  proof.echoed(6)
  equal(proof.echoedTs, 6)
})

const DAY = 86_400_000

test('after a pause of days an echo of what was sent since is the newest, and what was sent before is still known', () => {
  for (const days of [1, 24, 25, 30, 40, 49, 60]) {
    const before = 0xffff_0000
    const proof = new PathProof()
    proof.sent(before)
    proof.echoed(before)
    equal(proof.hasSent(before, 10_000), true, `${days} days`)
    const after = (before + days * DAY) >>> 0
    proof.sent(after)
    // The peer may not have heard it yet.
    for (const [ts, known] of [
      [before, true],
      [before - 9_000, true],
      [before - 11_000, false],
      [before + 1, false],
      [before + (days * DAY) / 2, false],
      [after - 1, false],
      [after, true],
      [after + 1, false],
    ] as const) {
      equal(proof.hasSent(ts >>> 0, 10_000), known, `${days} days: ${ts - before} after the first`)
    }
    proof.echoed(after)
    equal(proof.echoedTs, after, `${days} days`)
    equal(proof.hasSent(before, 10_000), false, `${days} days: the peer is past that`)
  }
})

test('a challenge that is repeated for months is answered by its latest hour or two only', () => {
  const proof = new PathProof()
  let now = 0
  const sn = proof.challenge(5, 0)
  for (let at = 0; at <= 60 * DAY; at += DAY / 96) {
    now = at >>> 0
    proof.challenge(5, now)
  }
  equal(proof.judge(sn, now), true)
  equal(proof.judge(sn, (now - DAY / 48) >>> 0), true)
  equal(proof.judge(sn, (now - DAY) >>> 0), false)
  equal(proof.judge(sn, (now - 30 * DAY) >>> 0), false)
  equal(proof.judge(sn, (now + 1) >>> 0), false)
})
