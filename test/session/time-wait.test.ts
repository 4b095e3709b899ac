import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { TimeWait } from '../../src/session/time-wait.ts'

const answer = Uint8Array.of(1, 2, 3)

test('a conversation is remembered for its time, with the answer to a repeated Fin', () => {
  const wait = new TimeWait(60_000)
  wait.bury('a|1|7', 1_000, answer)
  wait.bury('a|1|8', 1_500, undefined)
  deepEqual(wait.find('a|1|7', 60_999)?.finAck, answer)
  equal(wait.find('a|1|8', 60_999)?.finAck, undefined)
  ok(wait.find('a|1|8', 60_999))
  equal(wait.find('a|1|9', 2_000), undefined)
  equal(wait.find('a|1|7', 61_000), undefined)
  equal(wait.size(61_000), 1, 'and is forgotten then')
})

test('burying frees what has expired, so an idle table shrinks with use', () => {
  const wait = new TimeWait(1_000)
  for (let i = 0; i < 100; i++) wait.bury(String(i), i, undefined)
  equal(wait.size(100), 100)
  wait.bury('later', 1_050, undefined)
  equal(wait.size(1_050), 100 - 51 + 1)
})

test('looking at the size frees what has expired too', () => {
  const wait = new TimeWait(1_000)
  wait.bury('a', 0, answer)
  equal(wait.size(999), 1)
  equal(wait.size(1_000), 0)
})

test('a second burial starts the time anew', () => {
  const wait = new TimeWait(1_000)
  wait.bury('a', 0, undefined)
  wait.bury('b', 500, undefined)
  wait.bury('a', 900, answer)
  equal(wait.size(900), 2)
  ok(wait.find('a', 1_899))
  equal(wait.find('b', 1_899), undefined)
})

test('ttl 0 remembers nothing', () => {
  const wait = new TimeWait(0)
  wait.bury('a', 0, answer)
  equal(wait.size(0), 0)
  equal(wait.find('a', 0), undefined)
})

test('at most 65,536: the oldest make room', () => {
  const wait = new TimeWait(60_000)
  for (let i = 0; i < 65_536 + 10; i++) wait.bury(String(i), 0, undefined)
  equal(wait.size(0), 65_536)
  equal(wait.find('9', 1), undefined)
  ok(wait.find('10', 1))
  ok(wait.find(String(65_545), 1))
})
