/** Edges that one comparison or one call keeps, and no other test of the engine would miss; found by `npm run mutation`. */
import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import type { ReceiveWindow } from '../../src/core/receive-window.ts'
import { onBoth, Trace, toBytes } from '../support/trace.ts'

const FAST = { nodelay: 1, interval: 10, nc: true } as const

/** Bytes that a window holds its payloads in. */
function roomOf(window: ReceiveWindow): number {
  window.begin(new Uint8Array(24))
  const room = window.words.byteLength
  window.end()
  return room
}

onBoth('datagrams without payload leave no memory behind, however many come', (make) => {
  const t = make(FAST).at(0).input('push sn=0 "a"')
  const room = roomOf(t.kcp.rcv)
  for (let i = 0; i < 2000; i++) t.input('ack sn=7 ts=0', 'wins')
  equal(roomOf(t.kcp.rcv), room)
  // Behind one that had some.
  t.input('push sn=1 "b"')
  const held = roomOf(t.kcp.rcv)
  for (let i = 0; i < 2000; i++) t.input('ack sn=7 ts=0', 'wins')
  equal(roomOf(t.kcp.rcv), held)
})

test('as many whole messages are read at once as fit, to the byte', () => {
  const t = Trace.hardened(FAST).at(0)
  t.input('push sn=0 "ab"', 'push sn=1 "cde"', 'push sn=2 "f"', 'push sn=3 frg=1 "gh"')
  const { rcv } = t.kcp
  deepEqual(
    [0, 2, 4, 5, 6, 99].map((limit) => rcv.runSize(limit)),
    [2, 2, 2, 5, 6, 6],
  )
  const into = new Uint8Array(6).fill(46)
  equal(t.kcp.recvRun(into.subarray(0, 5)), 5)
  equal(String.fromCharCode(...into), 'abcde.')
  equal(t.kcp.recvRun(into.subarray(5)), 1)
  equal(String.fromCharCode(...into), 'abcdef')
  equal(t.kcp.recvRun(into), 0)
})

test('a fastLimit that is raised lets what was skipped already go in the next flush', () => {
  const t = new Trace({ ...FAST, resend: 2, fastLimit: 1, minRto: 5000 }).at(0)
  t.send('a', 'b', 'c').skip()
  t.at(10).input('ack sn=1 ts=0', 'ack sn=2 ts=0').expect('push sn=0 "a"')
  t.at(20).send('d', 'e').skip()
  t.at(30).input('ack sn=3 ts=20', 'ack sn=4 ts=20').expect()
  t.kcp.applyConfig({ fastLimit: 2 })
  t.at(40).expect('push sn=0 "a"')
})

test('a message expires on a clock in its later half too', () => {
  const start = 3_000_000_000
  const t = new Trace({ ...FAST, sndWnd: 1 }).at(start)
  t.send('0').skip()
  t.kcp.send(toBytes('late'), start + 50, 1)
  t.send('1')
  equal(t.at(start + 40).flush().kcp.counters.expired, 0)
  equal(t.at(start + 60).flush().kcp.counters.expired, 1)
})

test('two segments that fill a datagram to the byte are paid for as one', () => {
  const t = new Trace({ ...FAST, mtu: 50 }).at(0)
  t.kcp.overhead = 10
  t.kcp.allowance = 60
  t.send('a', 'b').expect('push sn=0 "a" | push sn=1 "b"')
  equal(t.kcp.allowance, 0)
})

test('of those that are left in the queue the first to expire is dropped in time', () => {
  const t = new Trace({ ...FAST, sndWnd: 1 }).at(0).send('0').skip()
  for (const at of [50, 100, 200]) t.kcp.send(toBytes('late'), at, at)
  const dropped: number[] = []
  t.kcp.onOutcome = (ticket, sent) => void (sent || dropped.push(ticket))
  t.at(60).flush().at(110).flush()
  deepEqual(dropped, [50, 100])
})

test('an empty message is read into a buffer as any other', () => {
  const t = Trace.hardened(FAST).at(0).input('push sn=0 ""', 'push sn=1 "a"')
  const into = new Uint8Array(1)
  deepEqual([t.kcp.recvInto(into), t.kcp.recvInto(into), t.kcp.recvInto(into)], [0, 1, undefined])
})
