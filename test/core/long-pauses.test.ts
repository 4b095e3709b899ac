/**
 * Times of 32 bits over pauses of weeks: what is older than 25 days must not look as if it were to come. The clock of
 * each story jumps, or the engine is asked something now and then.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { LossDetector } from '../../src/core/loss-detector.ts'
import { Repeats } from '../../src/core/repeats.ts'
import { isStale } from '../../src/core/seq.ts'
import { Trace } from '../support/trace.ts'

const DAY = 86_400_000
const PAUSES = [20, 25, 30, 40, 49] as const
const STARTS = [0, 0x7fff_ff00, 0xffff_ff00] as const

/** Calls `story` for each pause and beginning, once with a jump and once with a look each day. */
function each(story: (pass: (t: Trace) => Trace, start: number, what: string) => void): void {
  for (const days of PAUSES) {
    for (const start of STARTS) {
      story((t) => t.at(t.now + days * DAY), start, `${days} days from ${start}`)
      story(
        (t) => {
          for (let i = 0; i < days; i++) t.at(t.now + DAY)
          return t
        },
        start,
        `${days} days from ${start}, a look a day`,
      )
    }
  }
}

test('a window probe that is overdue by weeks is sent', () => {
  for (const days of PAUSES) {
    for (const start of STARTS) {
      const t = Trace.hardened({ nc: true, probeInterval: 500 }).at(start)
      t.input('wins una=0 wnd=0').send('x').skip()
      t.at(start + days * DAY).sent('wask')
    }
  }
  // As the reference: it waits until the distance is what it seems.
  const t = new Trace({ nc: true }).at(0)
  t.input('wins una=0 wnd=0').send('x').skip()
  t.at(30 * DAY).sent()
})

test('what is in flight over weeks is sent again, and its ACK counts', () => {
  for (const lossDetection of ['count', 'time'] as const) {
    for (const days of PAUSES) {
      for (const start of STARTS) {
        const t = Trace.hardened({ nc: true, lossDetection }).at(start).send('a', 'b').skip()
        t.at(start + days * DAY)
        const told = `${days} days from ${start}`
        equal(t.take().length, 1, told)
        equal(t.kcp.snd.xmitOf(0), 2, told)
        t.at(start + days * DAY + 50).input(`ack sn=1 una=0 ts=${(start + days * DAY) >>> 0}`)
        deepEqual([t.kcp.snd.inFlight, t.kcp.counters.staleAcks], [1, 0], told)
        ok(t.kcp.srtt <= 50, told)
        // And what is sent from here on is as always.
        t.send('c').skip()
        t.input(`ack sn=2 una=3 ts=${t.now}`)
        equal(t.kcp.waitSnd(), 0, told)
      }
    }
  }
})

test('a segment that nobody acknowledges for weeks is known by its latest times', () => {
  const t = Trace.hardened({ nc: true, deadLink: 1_000_000 }).at(0).send('a').skip()
  for (let day = 1; day <= 60; day++) t.at(day * DAY).skip()
  t.input(`ack sn=0 una=0 ts=${t.now}`)
  equal(t.kcp.waitSnd(), 0)
  equal(t.kcp.counters.staleAcks, 0)
})

test('losses are told by time after a pause of weeks as before it', () => {
  each((pass, start, what) => {
    const t = Trace.hardened({ nodelay: 1, nc: true, lossDetection: 'time', minRto: 1_000 }).at(start)
    t.send('a').skip()
    t.at(start + 100).input(`ack sn=0 una=1 ts=${start}`)
    pass(t).take()
    const now = t.now
    t.send('b').skip()
    t.at(now + 20)
      .send('c')
      .skip()
    t.at(now + 120).input(`ack sn=2 una=1 ts=${(now + 20) >>> 0}`)
    t.expect(`push sn=1 ts=${(now + 120) >>> 0}`)
    equal(t.kcp.counters.fastResends, 1, what)
  })
})

test('a message whose time is over by weeks is not sent', () => {
  for (const days of PAUSES) {
    const t = Trace.hardened({ nc: true }).at(5)
    t.input('wins una=0 wnd=0')
    t.kcp.send(new Uint8Array(3), 1_000)
    t.kcp.send(new Uint8Array(4), 1_000)
    t.at(5 + days * DAY).take()
    equal(t.kcp.waitSnd(), 0, `${days} days`)
    equal(t.kcp.counters.expired, 2)
  }
})

test('an ACK that names a time to come is none, however old the latest repeat is', () => {
  each((pass, start, what) => {
    const t = Trace.hardened({ nodelay: 1, nc: true, redundancy: 1 }).at(start)
    t.send('a').skip()
    t.at(start + 100).input(`ack sn=0 una=1 ts=${start}`)
    t.send('b').skip()
    t.at(start + 120)
      .send('c')
      .skip()
    equal(t.kcp.counters.repeats, 1)
    t.at(start + 220).input(`ack sn=2 una=3 ts=${(start + 120) >>> 0}`)
    pass(t).take()
    t.send('d').skip()
    t.input(`ack sn=3 una=3 ts=${(t.now + 1_000) >>> 0}`)
    deepEqual([t.kcp.waitSnd(), t.kcp.counters.staleAcks], [1, 1], what)
  })
})

test('repeats go on after a pause of weeks, with a full budget', () => {
  for (const days of PAUSES) {
    const repeats = new Repeats()
    equal(repeats.afford(16_384, 1_000), true)
    const now = (1_000 + days * DAY) >>> 0
    repeats.level = 1
    repeats.note(1, 1_000, true)
    repeats.age(now)
    equal(repeats.pending, false)
    equal(repeats.afford(16_384, now), true, `${days} days`)
    repeats.note(2, now, true)
    ok(((repeats.loneAt(100) - now) | 0) >= 0)
  }
})

test('the order of arrivals, and the shortest round trip, are forgotten with the time', () => {
  for (const days of PAUSES) {
    const detector = new LossDetector()
    detector.acked(2, 100, 200, 100, 100)
    detector.acked(1, 90, 240, 90, 90)
    const now = (240 + days * DAY) >>> 0
    detector.age(now)
    deepEqual([detector.known, detector.shortest], [false, Number.POSITIVE_INFINITY], `${days} days`)
    equal(detector.allowance(100, now), 100 / 32)
    detector.acked(3, now, (now + 30) >>> 0, now, now)
    deepEqual([detector.ts, detector.shortest], [now, 30])
  }
})

test('a round trip that began weeks ago is over', () => {
  each((pass, start, what) => {
    const t = Trace.hardened({ nodelay: 1, nc: true, lossDetection: 'time' }).at(start)
    const trip = (rtt: number): void => {
      const sentAt = t.now
      const sn = t.kcp.sndNxt
      t.send('x').skip()
      t.at(sentAt + rtt).input(`ack sn=${sn} una=${sn + 1} ts=${sentAt}`)
    }
    trip(300)
    pass(t).take()
    for (let i = 0; i < 60; i++) trip(20)
    ok(t.kcp.rtt.rttvar < 40, `${what}: ${t.kcp.rtt.rttvar}`)
  })
})

test('a time is old from twelve days on, and ten seconds ahead it is one that wrapped', () => {
  for (const now of STARTS) {
    equal(isStale(now, now), false)
    equal(isStale(now, (now + 10_000) >>> 0), false)
    equal(isStale(now, (now + 10_001) >>> 0), true)
    equal(isStale(now, (now - 2 ** 30) >>> 0), false)
    equal(isStale(now, (now - 2 ** 30 - 1) >>> 0), true)
  }
})
