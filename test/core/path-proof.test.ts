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
  proof.echoed(6)
  equal(proof.echoedTs, 6)
})
