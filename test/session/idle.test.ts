/**
 * What a session costs while nothing happens: memory that grew with use is given back, and questions to silent peers
 * are asked for many sessions at once.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import type { KcpSession } from '../../src/session/session.ts'
import { SessionPair } from '../../src/sim/pair.ts'

/** Slots of the windows and of the ACK list. */
function capacities({ kcp }: KcpSession): number[] {
  return [kcp.snd.capacity, kcp.rcv.capacity, kcp.acks.capacity]
}

test('a session that never sent holds no window; one that sent a whole window gives it back', () => {
  for (const keepAlive of [0, 15_000]) {
    const pair = new SessionPair({
      seed: 1,
      config: { preset: 'turbo', keepAlive, idleTimeout: 0 },
      link: { delayMs: 5 },
    })
    const { client, clock } = pair
    deepEqual(capacities(client), [0, 0, 0])
    let read = 0
    pair.onChange = (session) => {
      while (pair.read(session) !== undefined) read++
    }
    for (let i = 0; i < 1_024; i++) pair.write(client, new Uint8Array(1_000))
    clock.advance(1_000)
    equal(read, 1_024)
    const server = pair.server!
    ok(client.kcp.snd.capacity >= 1_024)
    ok(client.kcp.snd.cells.bytes.length > 1_024 * 1_000)
    ok(server.kcp.rcv.capacity > 0)
    // Something now and then keeps them.
    for (let i = 0; i < 5; i++) {
      pair.write(client, new Uint8Array(10))
      clock.advance(2_000)
      ok(client.kcp.snd.capacity >= 1_024)
    }
    clock.advance(1_100)
    for (const session of [client, server]) {
      deepEqual(capacities(session), [0, 0, 0])
      equal(session.kcp.snd.cells.bytes.length, 0)
    }
    // They grow again with use, no further than that.
    pair.write(client, new Uint8Array(10))
    clock.advance(100)
    equal(read, 1_030)
    ok(client.kcp.snd.capacity <= 16)
  }
})

test('a reader that waits keeps what it has not read', () => {
  const pair = new SessionPair({ seed: 1, config: { preset: 'fast', idleTimeout: 0 } })
  pair.write(pair.client, Uint8Array.of(1, 2, 3))
  pair.clock.advance(60_000)
  deepEqual([...pair.read(pair.server!)!], [1, 2, 3])
  pair.clock.advance(5_000)
  deepEqual(capacities(pair.server!), [0, 0, 0])
})

test('sessions that fell silent at different times are asked together; short silences are kept exactly', () => {
  for (const [keepAlive, together] of [
    [2_000, true],
    [500, false],
  ] as const) {
    const pairs = [3, 41, 87].map((startAt) => {
      const pair = new SessionPair({
        seed: 1,
        config: { preset: 'fast', keepAlive, idleTimeout: 0 },
        startAt,
      })
      pair.write(pair.client, Uint8Array.of(1))
      return pair
    })
    const asked = pairs.map((pair) => {
      pair.clock.advance(300)
      let at = 0
      pair.network.tap = ({ event, from }, datagram, now) => {
        if (at === 0 && event === 'send' && from.address === 'client' && datagram[4] === 81) at = now
      }
      pair.clock.advance(keepAlive + 200)
      return at
    })
    ok(asked.every((at) => at > keepAlive))
    equal(new Set(asked).size, together ? 1 : 3, asked.join(' '))
  }
})
