import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { Incarnation } from '../../src/core/incarnation.ts'
import { Kcp } from '../../src/core/kcp.ts'
import { parseTrace } from '../../src/sim/trace.ts'
import { Trace } from '../support/trace.ts'

const FAST = { nodelay: 1, interval: 10, resend: 2, nc: true } as const

test('an older una behind an echo of a later time is proof; behind an earlier time it is reordering', () => {
  const peer = new Incarnation()
  peer.heard(5, 1_000)
  equal(peer.tellsLoss(0, 1_001), true)
  equal(peer.tellsLoss(4, 1_001), true)
  equal(peer.tellsLoss(5, 1_001), false)
  equal(peer.tellsLoss(0, 1_000), false, 'sent in the very millisecond')
  equal(peer.tellsLoss(0, 900), false)
  peer.heard(3, 1_500)
  deepEqual([peer.una, peer.tellsLoss(3, 1_200)], [5, true], 'an older una changes nothing')
})

test('caution: for ten seconds after a PUSH that does not fit, until the peer is known to have its state', () => {
  const peer = new Incarnation()
  peer.fits = (ts) => ts >= 100
  equal(peer.isCautious(0, 0), false)
  equal(peer.isMisfit(0, 100, 0), false)
  equal(peer.isMisfit(0, 99, 0), true)
  deepEqual([peer.misfitSn, peer.misfitTs, peer.misfits], [0, 99, 1])
  equal(peer.isCautious(0, 9_999), true)
  equal(peer.isCautious(0, 10_000), false)
  peer.isMisfit(0, 99, 10_100)
  equal(peer.isCautious(0, 20_000), true)
  peer.heard(1, 0)
  equal(peer.isCautious(0, 30_000), true, 'an older una is a sign of its own')
  peer.settle()
  equal(peer.isCautious(0, 30_000), false)
})

test('a client believes no una and takes no data before something of its own was acknowledged to it', () => {
  const t = Trace.hardened(FAST).at(1_000)
  t.kcp.peer.unproven = true
  t.send('mine').skip()
  // What a server sends that has yet to hear that its client restarted.
  t.at(1_010).input('push sn=0 una=1 "answer to another"').expect()
  deepEqual([t.kcp.waitSnd(), t.kcp.rcvNxt, t.kcp.peer.una], [1, 0, 0])
  t.at(1_011).input('push sn=4294967295 una=0 ""').expect('ack sn=4294967295')
  t.at(1_020).input('ack sn=0 una=1 ts=1000 | push sn=0 una=1 "answer"').expect('ack sn=0')
  deepEqual([t.kcp.waitSnd(), t.recv()], [0, 'answer'])
})

test('the ACK of a peer that restarted is not taken: what it names was never delivered', () => {
  const t = Trace.hardened(FAST).at(1_000).send('a', 'b').skip().at(1_020).input('ack sn=1 una=2 ts=1000')
  equal(t.kcp.waitSnd(), 0)
  t.at(1_100).send('c').skip()
  t.at(1_120).input('ack sn=2 una=0 ts=1100')
  equal(t.kcp.peer.lost, true)
  equal(t.kcp.waitSnd(), 1, 'it is still outstanding')
})

test('a late ACK with an old una is only late', () => {
  const t = Trace.hardened(FAST).at(1_000).send('a', 'b', 'c').skip()
  t.at(1_020).input('ack sn=2 una=3 ts=1000').at(1_021).input('ack sn=1 una=0 ts=1000')
  equal(t.kcp.peer.lost, false)
})

test('una of a peer whose queue is full may be behind ours without harm', () => {
  const t = Trace.hardened(FAST).at(1_000).send('a', 'b').skip()
  // Both are acknowledged one by one, and neither was moved to its queue.
  t.at(1_020).input('ack sn=0 una=0 ts=1000 | ack sn=1 una=0 ts=1000')
  deepEqual([t.kcp.waitSnd(), t.kcp.peer.una, t.kcp.peer.lost], [0, 0, false])
  t.at(1_100).send('c').skip().at(1_120).input('ack sn=2 una=0 ts=1100')
  equal(t.kcp.peer.lost, false)
})

test('the reference has no such doubts: without strictAck every ACK counts', () => {
  const t = new Trace(FAST).at(1_000).send('a').skip().at(1_020).input('ack sn=0 una=1 ts=1000')
  t.at(1_100).send('b').skip().at(1_120).input('ack sn=1 una=0 ts=1100')
  deepEqual([t.kcp.peer.lost, t.kcp.waitSnd()], [false, 0])
})

test('a repeat by another clock gets no ACK, and nothing behind it in the datagram is stored', () => {
  const kcp = new Kcp(1, null, { ...FAST })
  kcp.peer.fits = (ts) => ts < 2_000
  kcp.update(0)
  kcp.tryInput(parseTrace('push sn=0 ts=1000 "a"', { conv: 1 }), 0)
  kcp.flush(1)
  equal(kcp.acks.count, 0)
  kcp.tryInput(parseTrace('push sn=0 ts=9000 "x" | push sn=1 ts=9000 "y"', { conv: 1 }), 10)
  deepEqual([kcp.acks.count, kcp.peer.misfits, kcp.rcvNxt], [0, 2, 1])
  kcp.tryInput(parseTrace('push sn=0 ts=1010 "a"', { conv: 1 }), 20)
  equal(kcp.acks.count, 1, "the peer's own repeat is answered")
})
