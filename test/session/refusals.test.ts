/**
 * Refusals of the peer's host (ICMP): the answer to a connect, and later a hint that anybody can forge.
 */
import { equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpError } from '../../src/core/errors.ts'
import { type LinkConditions, SessionPair } from '../../src/sim/index.ts'

function established(link: LinkConditions): SessionPair {
  const pair = new SessionPair({ seed: 1, config: { preset: 'fast' }, link })
  pair.write(pair.client, new Uint8Array(10))
  pair.clock.advance(500)
  equal(pair.client.drained, true)
  pair.read(pair.server!)
  return pair
}

/** The client's host reports a refusal each `interval` ms, for `ms` in all or until the session is over; how many. */
function refuse(pair: SessionPair, ms: number, interval: number, final?: boolean): number {
  const { client, clock, scheduler } = pair
  let count = 0
  for (let at = 0; at < ms && !client.closed; at += interval) {
    client.refused(new KcpError('ERR_KCP_RESET', 'refused'), clock.now(), final)
    scheduler.touch(client)
    count++
    clock.advance(interval)
  }
  return count
}

test('before the peer was heard one refusal is the answer', () => {
  const pair = new SessionPair({ seed: 1, config: { preset: 'fast' } })
  equal(refuse(pair, 100, 10), 1)
  equal(pair.client.closeReason, 'reset')
})

test('forged refusals end no conversation whose peer answers, however many come', () => {
  for (const link of [{ delayMs: 50 }, { delayMs: 50, loss: 0.1 }, { delayMs: 200, loss: 0.1 }]) {
    const pair = established(link)
    refuse(pair, 20_000, 10)
    equal(pair.client.closeReason, undefined)
    pair.write(pair.client, Uint8Array.of(1))
    pair.clock.advance(5_000)
    equal(pair.read(pair.server!)?.length, 1)
  }
})

test('a host that is gone refuses eight times, an RTO apart, and then the conversation is over', () => {
  const pair = established({ delayMs: 20 })
  pair.network.filter = () => false
  const began = pair.clock.now()
  refuse(pair, 20_000, 10)
  equal(pair.client.closeReason, 'reset')
  const took = pair.clock.now() - began
  ok(took >= 7 * 100 && took < 3_000, `${took} ms`)
})

test('seven refusals are not enough, and an answer in between begins the count anew', () => {
  const pair = established({ delayMs: 20 })
  const { client, clock } = pair
  pair.network.filter = () => false
  for (let round = 0; round < 3; round++) {
    // One counts each 100 ms or RTO: the interval is longer than either.
    equal(refuse(pair, 7 * 300, 300), 7)
    equal(client.closeReason, undefined)
    pair.network.filter = undefined
    pair.write(client, Uint8Array.of(1))
    clock.advance(2_000)
    pair.read(pair.server!)
    pair.network.filter = () => false
  }
})

test('a refusal that may not end the session never does', () => {
  const pair = established({ delayMs: 20 })
  pair.network.filter = () => false
  refuse(pair, 20_000, 50, false)
  equal(pair.client.closeReason, undefined)
})
