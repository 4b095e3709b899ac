import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { PeerClock } from '../../src/session/peer-clock.ts'

test('a clock that jumped ahead has shown the times before its jump all the same', () => {
  const clock = new PeerClock()
  clock.learn(1_000, 0)
  clock.learn(701_500, 500)
  equal(clock.covers(1_000, 600), true)
  equal(clock.covers(701_600, 600), true)
  equal(clock.covers(4_400_000, 600), false, 'more than an hour ahead')
  equal(clock.covers(0xfff0_0000, 600), false, 'long before its first time')
})

test('a clock of which nothing is known can have shown anything', () => {
  equal(new PeerClock().covers(123, 456), true)
  equal(new PeerClock().fits(123, 456), true)
})
