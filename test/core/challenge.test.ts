/** The proof of a peer's address that no stock peer notices, and the bytes that may be sent until it is there. */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Kcp } from '../../src/core/kcp.ts'
import { joined, onBoth, Trace } from '../support/trace.ts'

const FAST = { nodelay: 1, interval: 10, nc: true } as const
const LAST = 2 ** 32 - 1

test('a challenge is an empty PUSH below every number in use, once per call', () => {
  const t = Trace.hardened(FAST).at(5000)
  t.kcp.challenge()
  t.expect(`push sn=${LAST} una=0 ts=5000 frg=0 ""`).expect()
  t.send('a', 'b', 'c').skip().at(5020).input('ack sn=2 una=3 ts=5000')
  const u = Trace.hardened(FAST).at(5000).send('a', 'b', 'c').skip().at(5020).input('wins una=3')
  u.kcp.challenge()
  u.expect(`push sn=${LAST} ts=5020 ""`)
  equal(u.kcp.waitSnd(), 0, 'it is not in flight')
  equal(u.kcp.stats().segmentsOut, 3)
})

onBoth('a peer answers a challenge with an ACK that echoes its ts, and delivers nothing', (make) => {
  const server = Trace.hardened(FAST).at(5000)
  server.kcp.challenge()
  const [challenge] = server.flush().take()
  const peer = make(FAST).at(77).input(challenge!)
  equal(peer.code, 0)
  equal(peer.recv(), -1)
  equal(peer.peekSize(), -1)
  const [answer] = peer.expect(`ack sn=${LAST} una=0 ts=5000`).input(challenge!).flush().take()
  equal(server.kcp.proven, false)
  server.at(5030).input(answer!)
  equal(server.kcp.proven, true)
  equal(server.kcp.srtt, 30, 'and it is the first RTT measured')
})

onBoth('a peer that has read much already answers a challenge too', (make) => {
  const server = Trace.hardened(FAST).at(5000)
  const peer = make(FAST).at(77)
  for (let i = 0; i < 300; i++) {
    for (const datagram of server.send(`m${i}`).flush().take()) peer.input(datagram)
    equal(peer.recv(), `m${i}`)
    peer.take()
    server.input(`wins una=${i + 1}`)
  }
  equal(server.kcp.proven, false, 'una proves nothing: anybody can count')
  server.kcp.challenge()
  for (const datagram of server.flush().take()) peer.input(datagram)
  for (const datagram of peer.flush().take()) server.input(datagram)
  equal(server.kcp.proven, true)
})

test('a ts that was not sent proves nothing, nor does another sn', () => {
  const t = Trace.hardened(FAST).at(5000)
  t.kcp.challenge()
  t.skip().at(5100)
  t.input(
    `ack sn=${LAST} ts=4999`,
    `ack sn=${LAST} ts=5001`,
    `ack sn=${LAST - 1} ts=5000`,
    'ack sn=0 ts=5000',
  )
  t.input('wins', 'wask', 'push sn=0 ts=5000 "x"', 'wins una=0')
  equal(t.kcp.proven, false)
  t.input(`ack sn=${LAST} ts=5000`)
  equal(t.kcp.proven, true)
})

test('a repeated challenge keeps its sn, and any ts from the first to the latest is good', () => {
  for (const [ts, good] of [
    [4999, false],
    [5000, true],
    [5250, true],
    [5500, true],
    [5501, false],
  ] as const) {
    const t = Trace.hardened(FAST).at(5000)
    t.kcp.challenge()
    t.skip().send('a').skip().at(5100).input('wins una=1').at(5500)
    t.kcp.challenge()
    t.expect(`push sn=${LAST} ts=5500 ""`).at(5600).input(`ack sn=${LAST} una=1 ts=${ts}`)
    equal(t.kcp.proven, good, `ts=${ts}`)
  }
})

test('without a challenge an ACK for the sn before the first proves nothing', () => {
  const t = Trace.hardened(FAST).at(0).input(`ack sn=${LAST} ts=0`)
  equal(t.kcp.proven, false)
})

onBoth('an ordinary ACK of a segment in flight with its ts is proof', (make) => {
  const t = make(FAST).at(5000).send('a', 'b').skip().at(5020)
  t.input('wins una=1', 'ack sn=1 una=1 ts=4980', 'ack sn=5 una=1 ts=5000')
  equal(t.kcp.proven, false)
  const honest = make(FAST).at(5000).send('a', 'b').skip().at(5020).input('ack sn=0 una=1 ts=5000')
  equal(honest.kcp.proven, true)
})

test('challenges work across the wrap of sn and of the clock', () => {
  const t = Trace.hardened(FAST)
  t.kcp.snd.sndNxt = t.kcp.sndUna = 2 ** 31
  t.at(2 ** 32 - 5)
  t.kcp.challenge()
  t.expect(`push sn=${2 ** 31 - 1} ts=${2 ** 32 - 5}`).at(10)
  t.kcp.challenge()
  t.expect(`push sn=${2 ** 31 - 1} ts=10`)
    .at(30)
    .input(`ack sn=${2 ** 31 - 1} ts=3`)
  equal(t.kcp.proven, true)
})

test('no more than the allowance leaves, and what is kept back goes as a first transmission later', () => {
  const t = new Trace({ ...FAST, mtu: 50 }).at(0)
  t.kcp.allowance = 149
  t.send(26, 26, 26, 26).expect('push sn=0', 'push sn=1')
  equal(t.kcp.allowance, 49)
  deepEqual([t.kcp.snd.fresh, t.kcp.snd.xmitOf(2)], [2, 0])
  t.at(100).sent()
  t.kcp.allowance += 51
  t.expect('push sn=2 ts=100', 'push sn=3 ts=100')
  equal(t.kcp.snd.xmitOf(3), 1)
  equal(t.kcp.timeouts, 0)
  equal(t.kcp.allowance, 0)
})

test('ACKs and window probes go out regardless of the allowance, and count', () => {
  const t = Trace.hardened(FAST).at(0)
  t.kcp.allowance = 0
  t.send('a').input('push sn=0 "x" | wask').expect('ack sn=0 | wins')
  equal(t.kcp.allowance, -48)
})

test('resends wait for the allowance too, in order of sn', () => {
  const t = new Trace({ ...FAST, mtu: 50 }).at(0).send(26, 26, 26).skip()
  t.kcp.allowance = 60
  t.at(200).sent('push sn=0 ts=200')
  equal(t.kcp.allowance, 10)
  equal(t.kcp.timeouts, 1)
  t.kcp.allowance = 50
  t.at(210).sent('push sn=1 ts=210')
  t.kcp.allowance = Number.POSITIVE_INFINITY
  t.at(220).sent('push sn=2 ts=220')
  equal(t.kcp.timeouts, 3)
})

test('a segment is written whole or not at all', () => {
  for (let allowance = 0; allowance < 200; allowance += 7) {
    const t = new Trace({ ...FAST, mtu: 100 }).at(0)
    t.kcp.allowance = allowance
    t.send(20, 30, 40, 10).flush()
    const bytes = t.take().reduce((sum, { length }) => sum + length, 0)
    ok(bytes <= allowance, `${bytes} of ${allowance}`)
    t.kcp.allowance = Number.POSITIVE_INFINITY
    t.flush()
    const lines = t.lines().join(' | ')
    equal(t.kcp.stats().segmentsOut, 4, lines)
  }
})

test('the bytes that a codec adds count for every datagram', () => {
  for (let allowance = 0; allowance < 300; allowance += 5) {
    const t = new Trace({ ...FAST, mtu: 100 }).at(0)
    t.kcp.overhead = 20
    t.kcp.allowance = allowance
    t.send(20, 30, 40, 10, 76).flush()
    const bytes = t.take().reduce((sum, { length }) => sum + length + 20, 0)
    ok(bytes <= allowance, `${bytes} of ${allowance}`)
    equal(t.kcp.allowance, allowance - bytes)
  }
})

test('what is spent on parity for one datagram is missing for the next', () => {
  for (let allowance = 0; allowance < 700; allowance += 5) {
    let bytes = 0
    const output = ({ length }: Uint8Array): void => {
      bytes += length
      if (length > kcp.allowance) return
      kcp.allowance -= length
      bytes += length
    }
    const kcp: Kcp = new Kcp(1, output, { ...FAST, mtu: 100 })
    kcp.update(0)
    kcp.allowance = allowance
    for (const size of [20, 30, 40, 10, 76]) kcp.send(new Uint8Array(size))
    kcp.flush(0)
    ok(bytes <= allowance, `${bytes} of ${allowance}`)
    equal(kcp.allowance, allowance - bytes)
  }
})

test('with plenty allowed nothing is kept back', () => {
  const t = new Trace(FAST).at(0)
  t.kcp.allowance = 1e9
  t.send('a', 'b', 'c').expect(joined(3, (i) => `push sn=${i}`))
})
