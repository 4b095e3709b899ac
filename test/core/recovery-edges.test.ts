/** Edges of telling losses by time, of repeats and of budgets that no other test holds; found by `npm run mutation`. */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import type { KcpConfig } from '../../src/core/config.ts'
import type { Repeats } from '../../src/core/repeats.ts'
import { Trace } from '../support/trace.ts'

/** No window in the way, no RTO for a second, and a first round trip of 100 ms. */
function begun(config: KcpConfig): Trace {
  const t = new Trace({ nodelay: 1, interval: 10, nc: true, minRto: 1_000, sndWnd: 128, ...config }).at(0)
  t.send('first').expect('push sn=0').at(100).input('ack sn=0 una=1 ts=0').skip()
  return t
}

const timed = (config: KcpConfig = {}): Trace => begun({ lossDetection: 'time', ...config })

/** Leaves `bytes` of what repeats may cost at `now`. */
function leave(t: Trace, bytes: number, now: number): void {
  const { repeats } = t.kcp as unknown as { repeats: Repeats }
  ok(repeats.afford(16_384 - bytes, now))
}

test('a repeat costs its bytes, and one that leaves alone the headers of a datagram too', () => {
  // A header of KCP, one byte, and 28 of IPv4 and UDP.
  for (const [left, goes] of [
    [53, true],
    [52, false],
  ] as const) {
    const t = begun({ redundancy: 1 })
    t.send('a').at(200).expect('push sn=1')
    leave(t, left, 220)
    t.at(220).expect(...(goes ? ['push sn=1 ts=220 "a"'] : []))
  }
  for (const [left, goes] of [
    [25, true],
    [24, false],
  ] as const) {
    const t = begun({ redundancy: 1 })
    t.send('a').at(200).expect('push sn=1')
    leave(t, left, 210)
    t.send('b')
      .at(210)
      .expect(goes ? 'push sn=2 | push sn=1 ts=210 "a"' : 'push sn=2')
  }
})

test('what could not be paid for is not repeated later either, but what is sent after it is', () => {
  for (const unpaid of ['budget', 'allowance']) {
    const t = begun({ redundancy: 1 })
    t.send('a').at(200).expect('push sn=1')
    if (unpaid === 'budget') leave(t, 0, 210)
    else t.kcp.allowance = 24
    t.at(210).expect()
    t.kcp.allowance = Number.POSITIVE_INFINITY
    t.at(400).expect()
    t.send('b').at(410).expect('push sn=2')
    t.at(420).expect('push sn=2 ts=420 "b"').at(440).expect()
  }
})

test('a repeat counts against the allowance', () => {
  const t = begun({ redundancy: 1 })
  t.send('a').at(200).expect('push sn=1')
  t.kcp.allowance = 25
  t.at(210).expect('push sn=1 ts=210 "a"')
  equal(t.kcp.allowance, 0)
})

test('nothing is repeated with more than 8 KiB in flight, or on a round trip twice and 10 ms above the shortest', () => {
  for (const [bytes, goes] of [
    [8_192, true],
    [8_193, false],
  ] as const) {
    const t = begun({ redundancy: 1 })
    t.send(bytes).at(200).skip()
    t.at(220).skip()
    equal(t.kcp.counters.repeats > 0, goes, `${bytes}`)
  }
  for (const [srtt, goes] of [
    [210, true],
    [211, false],
  ] as const) {
    const t = begun({ redundancy: 1 })
    t.kcp.rtt.srtt = srtt
    t.send('a').at(200).skip()
    equal(t.kcp.repeatAt !== undefined, goes, `${srtt}`)
    t.at(240).expect(...(goes ? ['push sn=1 ts=240 "a"'] : []))
  }
})

test('with a fraction, and losses told by count, what is resent is not repeated for that', () => {
  const t = begun({ redundancy: 0.1, resend: 1, minRto: 5_000 })
  t.send('a').at(200).expect('push sn=1')
  t.send('b').at(210).expect('push sn=2')
  t.at(310).input('ack sn=2 una=1 ts=210').expect('push sn=1 ts=310')
  t.at(350).expect()
  equal(t.kcp.repeatAt, undefined)
})

test('without losses by time and without repeats nothing is measured or repeated any more', () => {
  const t = timed({ redundancy: 2 })
  t.send('a').at(110).expect('push sn=1')
  t.send('b').at(150).expect('push sn=2 | push sn=1')
  t.at(250).input('ack sn=2 una=1 ts=150 | ack sn=1 una=3 ts=150')
  t.at(400)
  ok(t.kcp.stats().loss > 0)
  t.send('c').skip()
  ok(t.kcp.repeatAt !== undefined)
  t.kcp.applyConfig({ lossDetection: 'count', redundancy: 0 })
  deepEqual([t.kcp.config.redundancy, t.kcp.stats().redundancy, t.kcp.stats().loss], [0, 0, 0])
  equal(t.kcp.repeatAt, undefined)
  t.at(450).expect()
})

test('other settings leave the time at which something counts as lost', () => {
  const t = timed()
  t.send('a', 'b').at(110).expect('push sn=1 | push sn=2')
  t.at(210).input('ack sn=2 una=1 ts=110').expect()
  equal(t.kcp.timerAt, 110 + 104)
  t.kcp.applyConfig({ sndWnd: 64 })
  equal(t.kcp.timerAt, 110 + 104)
})

test('the share that is lost is taken as measured while nothing was repeated', () => {
  const t = timed({ hardening: true })
  t.send('a').at(110).expect('push sn=1')
  t.send('b').at(150).expect('push sn=2')
  t.at(250).input('ack sn=2 una=1 ts=150').expect('push sn=1 ts=250')
  t.at(251).input('ack sn=1 una=3 ts=250')
  t.at(401)
  const { loss } = t.kcp.stats()
  ok(loss > 0)
  t.input('ack sn=1 una=3 ts=250', 'ack sn=2 una=3 ts=150')
  deepEqual([t.kcp.counters.staleAcks, t.kcp.counters.repeats, t.kcp.stats().loss], [2, 0, loss])
})

test('after an ACK the tail of a flight may be probed again', () => {
  const t = timed({ redundancy: 0 })
  t.send('a', 'b').at(110).skip()
  t.at(310).expect('push sn=2 ts=310')
  // What the probe tells is resent, and the silence after that is probed.
  t.at(410).input('ack sn=2 una=1 ts=310').expect('push sn=1 ts=410')
  t.at(412).input('wins una=1').skip()
  equal(t.kcp.counters.tailProbes, 1)
  t.at(700).skip()
  equal(t.kcp.counters.tailProbes, 2)
})

test('the tail is probed after 10 ms at the earliest', () => {
  const t = timed()
  t.kcp.rtt.srtt = 3
  t.send('a').at(110).skip()
  equal(t.kcp.timerAt, 120)
})

/** A controller that allows so many bytes a flush. */
function paced(t: Trace, bytes: number): { bytes: number } {
  const budget = { bytes }
  t.kcp.setCongestion({ name: 'budget', budget: () => budget.bytes })
  t.kcp.cwnd = 100
  return budget
}

test('the newest that was sent and is not acknowledged is probed: nothing that waits to be sent', () => {
  const t = timed()
  const budget = paced(t, -1)
  t.send('a', 'b', 'c', 'd').at(110).expect('push sn=1 | push sn=2 | push sn=3 | push sn=4')
  budget.bytes = 0
  t.send('e', 'f')
  t.at(210).input('ack sn=4 una=1 ts=110').expect()
  equal(t.kcp.waitSnd(), 5)
  t.at(310).expect('push sn=3 ts=310 "c"')
  t.at(320).expect()
  equal(t.kcp.snd.fresh, 5)
  budget.bytes = -1
  t.at(330).expect('push sn=1 | push sn=2 | push sn=5 | push sn=6')
})

test('a tail that the allowance has no room for is not probed, but later', () => {
  const t = timed()
  t.send('a').at(110).expect('push sn=1')
  t.kcp.allowance = 24
  t.at(310).expect()
  equal(t.kcp.counters.tailProbes, 0)
  t.kcp.allowance = 25
  t.at(320).expect('push sn=1 ts=320')
})

test('a budget of payload bytes holds for resends and for what is new, and none of it lets nothing go', () => {
  const t = new Trace({ nodelay: 1, interval: 10 }).at(0)
  const budget = paced(t, 5)
  t.send('aa', 'bb', 'cc', 'd').expect('push sn=0 | push sn=1')
  budget.bytes = 3
  t.at(10).expect('push sn=2 | push sn=3')
  budget.bytes = 0
  t.send('e').at(20).expect()
  budget.bytes = 5
  t.clock(215).expect('push sn=0 | push sn=1')
  equal(t.kcp.waitSnd(), 5)
  budget.bytes = 2
  t.clock(600).expect('push sn=0').expect('push sn=1').expect('push sn=2')
})

test('only the RTO that was the latest reason to resend is taken back', () => {
  const t = new Trace({ nodelay: 1, interval: 10, minRto: 100, lossDetection: 'time', sndWnd: 64 }).at(0)
  t.send('first').skip().at(100).input('ack sn=0 una=1 ts=0').skip()
  t.kcp.cwnd = 20
  t.send('a', 'b').at(110).skip()
  const { rto } = t.kcp.rtt
  while (t.kcp.counters.timeoutResends === 0) t.at(t.kcp.timerAt).skip()
  const resentAt = t.now
  ok(resentAt >= 110 + rto)
  equal(t.kcp.cwnd, 1)
  // The other one was resent as well, as the tail.
  equal(t.kcp.counters.tailProbes, 1)
  t.clock(resentAt + 100).input(`ack sn=1 una=2 ts=${resentAt}`)
  t.input('ack sn=2 una=3 ts=110')
  equal(t.kcp.counters.spuriousResends, 1)
  ok(t.kcp.cwnd < 5, `${t.kcp.cwnd}`)
})

test("losses told by count keep KCP's own rules: an RTO is not taken back", () => {
  const t = new Trace({ nodelay: 1, interval: 10, minRto: 100, redundancy: 1, sndWnd: 64 }).at(0)
  t.send('first').skip().at(100).input('ack sn=0 una=1 ts=0').skip()
  t.kcp.cwnd = 20
  t.send('a').at(110).skip()
  while (t.kcp.counters.timeoutResends === 0) t.at(t.now + 10).skip()
  equal(t.kcp.cwnd, 1)
  t.input('ack sn=1 una=2 ts=110')
  equal(t.kcp.counters.spuriousResends, 1)
  ok(t.kcp.cwnd < 5, `${t.kcp.cwnd}`)
})

test('a ring that is full to the last slot is looked through once', () => {
  const t = timed()
  t.send('a', 'b', 'c').at(110).expect('push sn=1 | push sn=2 | push sn=3')
  t.send('d').at(150).expect('push sn=4')
  equal(t.kcp.snd.capacity, 4)
  t.at(250).input('ack sn=4 una=1 ts=150').expect('push sn=1 | push sn=2 | push sn=3')
})

test('the ACK of a repeat counts with the very ts of the repeat, and with none behind it', () => {
  for (const [ts, good] of [
    [220, true],
    [221, false],
  ] as const) {
    const t = begun({ redundancy: 1, hardening: true })
    t.send('a').at(200).expect('push sn=1')
    t.send('b').at(220).expect('push sn=2 | push sn=1 ts=220')
    t.clock(320).input(`ack sn=1 una=1 ts=${ts}`)
    deepEqual(t.inFlight, good ? [2] : [1, 2])
    equal(t.kcp.counters.staleAcks, good ? 0 : 1)
  }
})
