/** Messages that expire in the queue: what is dropped, what is not, and that the peer sees nothing of it. */
import { deepEqual, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import type { KcpConfig } from '../../src/core/config.ts'
import { Trace, toBytes } from '../support/trace.ts'

const FAST = { nodelay: 1, interval: 10, nc: true, mtu: 50 } as const

/** A story with messages that expire; what became of each, by its first letter. */
function story(config: KcpConfig = {}): {
  t: Trace
  until: (at: number, text: string) => void
  told: string[]
} {
  const t = new Trace({ ...FAST, ...config }).at(0)
  const told: string[] = []
  t.kcp.onOutcome = (ticket, sent) =>
    void told.push(`${String.fromCharCode(ticket)} ${sent ? 'sent' : 'dropped'} at ${t.now}`)
  const until = (at: number, text: string): void =>
    void t.kcp.send(toBytes(text), at >>> 0, text.charCodeAt(0))
  return { t, until, told }
}

test('what waits longer than it may is dropped, and no number is missing', () => {
  const { t, until, told } = story({ sndWnd: 1 })
  t.send('0')
  until(50, 'a')
  until(500, 'b')
  t.send('1').expect('push sn=0 "0"')
  t.at(60).expect()
  t.at(70).input('ack sn=0 una=1 ts=0').expect('push sn=1 "b"')
  t.at(80).input('ack sn=1 una=2 ts=70').expect('push sn=2 "1"')
  deepEqual(told, ['a dropped at 60', 'b sent at 70'])
  equal(t.kcp.counters.expired, 1)
  equal(t.kcp.waitSnd(), 1)
})

test('it is dropped at its very millisecond, and sent in the one before', () => {
  for (const [at, outcome] of [
    [49, 'a sent at 49'],
    [50, 'a dropped at 50'],
  ] as const) {
    const { t, until, told } = story()
    t.input('wins wnd=0')
    until(50, 'a')
    t.clock(at).input('wins wnd=9').flush()
    deepEqual(told, [outcome])
  }
})

test('a message of several fragments goes whole or not at all', () => {
  const { t, until, told } = story({ sndWnd: 2 })
  // 26 bytes fit: three fragments each.
  until(50, 'a'.repeat(60))
  until(50, 'b'.repeat(60))
  t.send('end').expect('push sn=0 frg=2', 'push sn=1 frg=1')
  // Two fragments of the first were sent: the third follows, however late.
  t.at(100).input('ack sn=0 una=2 ts=0').expect('push sn=2 frg=0 "aaaaaaaa"', 'push sn=3 frg=0 "end"')
  deepEqual(told, ['a sent at 0', 'b dropped at 100'])
  equal(t.kcp.snd.bytes, 8 + 3)
})

test('what is in the middle of the queue goes at once, and its memory is used again', () => {
  const { t, until, told } = story({ sndWnd: 1 })
  t.send('0').skip()
  for (let round = 0; round < 50; round++) {
    t.send('keep')
    until(round * 10 + 5, 'x'.repeat(40))
    until(round * 10 + 3, 'y'.repeat(20))
    until(1_000_000, 'z')
    t.clock(round * 10 + 5).flush()
  }
  equal(t.kcp.snd.queued, 100)
  equal(t.kcp.snd.bytes, 1 + 50 * 5)
  equal(t.kcp.counters.expired, 100)
  deepEqual(told.slice(0, 2), ['x dropped at 5', 'y dropped at 5'])
  // Far fewer slots than messages that were ever queued.
  equal(t.kcp.snd.capacity, 128)
  t.skip()
  for (let i = 0; i < 100; i++) {
    t.input(`ack sn=${i} una=${i + 1} ts=${t.now}`).expect(
      `push sn=${i + 1} ${i % 2 === 0 ? '"keep"' : '"z"'}`,
    )
  }
})

test('expire drops without a flush, and tells how many', () => {
  const { t, until, told } = story()
  t.input('wins wnd=0')
  until(20, 'a')
  until(30, 'b')
  equal(t.kcp.expire(19), 0)
  equal(t.kcp.expire(20), 1)
  deepEqual(told, ['a dropped at 0'])
  equal(t.kcp.expire(1_000), 1)
  equal(t.kcp.waitSnd(), 0)
  deepEqual(t.lines(), [])
})

test('the clock wraps between a send and its end', () => {
  const { t, until, told } = story()
  t.at(0xffff_fff0).input('wins wnd=0')
  until(0xffff_fff0 + 32, 'a')
  t.clock(0xffff_ffff).flush().clock(0xf).flush()
  deepEqual(told, [])
  t.clock(0x10).flush()
  deepEqual(told, ['a dropped at 16'])
})

test('numbers given by hand before the first flush keep what expires', () => {
  const { t, until, told } = story()
  t.send('0')
  until(50, 'a')
  t.send('1')
  t.kcp.snd.sndNxt = 0xffff_ffff
  t.kcp.sndUna = 0xffff_ffff
  t.at(60).expect('push sn=4294967295 "0" | push sn=0 "1"')
  deepEqual(told, ['a dropped at 60'])
})

test('a message that expires starts a repeat, an RTO and a dead link like any other', () => {
  const { t, until } = story({ redundancy: 1 })
  t.send('0').skip().at(40).input('ack sn=0 una=1 ts=0')
  until(1_000, 'a')
  t.expect('push sn=1 ts=40 "a"')
  t.send('b').at(60).expect('push sn=2 ts=60 "b" | push sn=1 ts=60 "a"')
  t.at(5_000).expect('push sn=1 "a" | push sn=2 "b"')
  equal(t.kcp.counters.expired, 0)
})

test('nothing expires in a stream, and a time is a u32', () => {
  const stream = new Trace({ streamMode: true }).at(0)
  throws(() => stream.kcp.send(toBytes('a'), 50), { code: 'ERR_KCP_CONFIG' })
  const t = new Trace().at(0)
  for (const at of [-1, 0.5, 2 ** 32, Number.NaN]) {
    throws(() => t.kcp.send(toBytes('a'), at), { code: 'ERR_KCP_CONFIG', message: /^expiresAt must/ })
  }
  equal(t.kcp.waitSnd(), 0)
})
