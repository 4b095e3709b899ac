import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { PeerClock } from '../../src/session/peer-clock.ts'
import { TimeWait } from '../../src/session/time-wait.ts'

const answer = Uint8Array.of(1, 2, 3)
const clock = new PeerClock()

/** Every conversation of these tests has a host of its own, unless one is given. */
function bury(wait: TimeWait, key: string, now: number, finAck?: Uint8Array, host: string = key): void {
  wait.bury({ key, host, proven: true, finAck, clock }, now)
}

test('a conversation is remembered for its time, with the answer to a repeated Fin', () => {
  const wait = new TimeWait(60_000)
  bury(wait, 'a|1|7', 1_000, answer)
  bury(wait, 'a|1|8', 1_500)
  deepEqual(wait.find('a|1|7', 60_999)?.finAck, answer)
  equal(wait.find('a|1|8', 60_999)?.finAck, undefined)
  ok(wait.find('a|1|8', 60_999))
  equal(wait.find('a|1|9', 2_000), undefined)
  equal(wait.find('a|1|7', 61_000), undefined)
  equal(wait.size(61_000), 1, 'and is forgotten then')
})

test('burying frees what has expired, so an idle table shrinks with use', () => {
  const wait = new TimeWait(1_000)
  for (let i = 0; i < 100; i++) bury(wait, String(i), i)
  equal(wait.size(100), 100)
  bury(wait, 'later', 1_050)
  equal(wait.size(1_050), 100 - 51 + 1)
})

test('looking at the size frees what has expired too', () => {
  const wait = new TimeWait(1_000)
  bury(wait, 'a', 0, answer)
  equal(wait.size(999), 1)
  equal(wait.size(1_000), 0)
})

test('a second burial starts the time anew', () => {
  const wait = new TimeWait(1_000)
  bury(wait, 'a', 0)
  bury(wait, 'b', 500)
  bury(wait, 'a', 900, answer)
  equal(wait.size(900), 2)
  ok(wait.find('a', 1_899))
  equal(wait.find('b', 1_899), undefined)
})

test('ttl 0 remembers nothing', () => {
  const wait = new TimeWait(0)
  bury(wait, 'a', 0, answer)
  equal(wait.size(0), 0)
  equal(wait.find('a', 0), undefined)
})

test('at most 65,536: the oldest make room', () => {
  const wait = new TimeWait(60_000)
  for (let i = 0; i < 65_536 + 10; i++) bury(wait, String(i), 0)
  equal(wait.size(0), 65_536)
  equal(wait.find('9', 1), undefined)
  ok(wait.find('10', 1))
  ok(wait.find(String(65_545), 1))
})

test('one host fills no more than its share: 8,192 of proven peers, and 256 of others', () => {
  const wait = new TimeWait(60_000)
  for (let i = 0; i < 10_000; i++) bury(wait, String(i), 0, undefined, 'host')
  equal(wait.size(0), 8_192)
  bury(wait, 'other', 0)
  ok(wait.find('other', 1))
  for (let i = 0; i < 1_000; i++) {
    wait.bury({ key: `u${i}`, host: 'host', proven: false, finAck: undefined, clock }, 0)
  }
  equal(wait.size(0), 8_192 + 1 + 256)
})

test('peers that proved nothing fill 4,096 places of their own, and push no proven one out', () => {
  const wait = new TimeWait(60_000)
  bury(wait, 'proven', 0)
  for (let i = 0; i < 10_000; i++) {
    wait.bury({ key: `u${i}`, host: `h${i}`, proven: false, finAck: undefined, clock }, 1)
  }
  equal(wait.size(1), 1 + 4_096)
  ok(wait.find('proven', 1))
})

test('places that expired are free again for their host', () => {
  const wait = new TimeWait(1_000)
  for (let i = 0; i < 8_192; i++) bury(wait, String(i), 0, undefined, 'host')
  bury(wait, 'late', 1_500, undefined, 'host')
  ok(wait.find('late', 1_600))
  wait.forget('late')
  equal(wait.find('late', 1_600), undefined)
})
