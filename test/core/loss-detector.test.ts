import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Kcp } from '../../src/core/kcp.ts'
import { LossDetector } from '../../src/core/loss-detector.ts'
import { parseTrace } from '../../src/sim/trace.ts'
import { CONV, Trace } from '../support/trace.ts'

/** `lossDetection: 'time'`, no window in the way, and a first round trip of 100 ms. */
function timed(settings = {}): Trace {
  const t = new Trace({ nodelay: 1, interval: 10, nc: true, lossDetection: 'time', ...settings }).at(0)
  t.send('first').expect('push sn=0').at(100).input('ack sn=0 una=1 ts=0').skip()
  return t
}

test('one ACK for something sent later is enough, without any count', () => {
  const t = timed()
  t.send('a').at(110).expect('push sn=1')
  t.send('b').at(150).expect('push sn=2')
  // sn 2 was sent at 150 and arrived; sn 1 was sent 40 ms before it.
  t.at(250).input('ack sn=2 una=1 ts=150').expect('push sn=1 ts=250')
  equal(t.kcp.counters.fastResends, 1)
  equal(t.kcp.counters.timeoutResends, 0)
})

test('what was sent just before waits for the allowance, and is resent when it is over', () => {
  const t = timed()
  t.send('a', 'b').at(110).expect('push sn=1 | push sn=2')
  t.at(210).input('ack sn=2 una=1 ts=110').expect()
  // 100 ms of round trip and a thirty-second of it.
  equal(t.kcp.timerAt, 110 + 104)
  t.at(213).expect()
  t.at(214).expect('push sn=1 ts=214')
})

test('a path that reorders gets more time, and loses it again', () => {
  const detector = new LossDetector()
  detector.acked(1, 100, 200, 100, 100)
  equal(detector.allowance(100, 200), 100 / 32)
  // sent before sn 1, and acknowledged 40 ms after it
  detector.acked(0, 90, 240, 90, 90)
  ok(detector.allowance(100, 240) >= 40, String(detector.allowance(100, 240)))
  ok(detector.allowance(100, 240) <= 100, 'a round trip at most')
  equal(detector.allowance(100, 240 + 1_601), 100 / 32)
})

test('the share of first transmissions that do not arrive is measured by the ts that come back', () => {
  const detector = new LossDetector()
  for (let i = 0; i < 2_000; i++) {
    const sentAt = i * 20
    const again = i % 10 === 0 ? sentAt + 20 : sentAt
    detector.acked(i, again, again + 100, sentAt, again)
  }
  ok(Math.abs(detector.loss - 0.1) < 0.06, String(detector.loss))
  equal(detector.spurious, 0)
  equal(detector.shortest, 100)
})

test('a first transmission that a copy of it overtook is not lost while it may still come', () => {
  for (const start of [0, 0x7fff_ff00, 0x8000_0000, 0xffff_ff00]) {
    const detector = new LossDetector()
    const at = (ms: number): number => (start + ms) >>> 0
    detector.acked(1, at(20), at(120), at(0), at(0), 100)
    equal(detector.loss, 0)
    detector.settle(at(120 + 149))
    equal(detector.loss, 0, 'one round trip and 50 ms')
    detector.settle(at(120 + 150))
    ok(detector.loss > 0, `from ${start}`)
  }
  const late = new LossDetector()
  late.acked(1, 20, 120, 0, 0, 100)
  late.late(1, 21)
  late.late(2, 0)
  late.late(1, 0)
  late.settle(1_000)
  equal(late.loss, 0, 'its own ACK came')
})

test('the ACK of a late datagram answers for all that it began with', () => {
  const detector = new LossDetector()
  for (const sn of [4, 5, 6]) detector.acked(sn, 20, 120, 0, 0, 100)
  detector.acked(7, 20, 120, 1, 1, 100)
  detector.late(5, 0)
  detector.settle(1_000)
  // sn 4 and sn 7 were lost: two of four.
  ok(Math.abs(detector.loss - 2 / 67) < 0.002, String(detector.loss))
})

test('sixty-four first transmissions are waited for; of more the oldest counts as lost', () => {
  const detector = new LossDetector()
  for (let sn = 0; sn < 64; sn++) detector.acked(sn, 500, 600, 400 + sn, 400 + sn, 100)
  equal(detector.loss, 0)
  detector.acked(64, 500, 600, 464, 464, 100)
  const one = detector.loss
  ok(one > 0 && one < 0.02)
  detector.late(0, 400)
  equal(detector.loss, one, 'that was given up')
  for (let sn = 1; sn < 65; sn++) detector.late(sn, 400 + sn)
  ok(detector.loss < one)
  detector.settle(10_000)
  ok(detector.loss < one)
})

test('copies that arrive before the first transmission, or with it, are no losses, whoever receives', () => {
  for (const hardening of [true, false]) {
    const t = new Trace({ nodelay: 1, interval: 10, nc: true, hardening: true, redundancy: 1 }).at(0)
    t.send('zero').expect('push sn=0').at(100).input('ack sn=0 una=1 ts=0').skip()
    let out: Uint8Array[] = []
    const peer = new Kcp(CONV, (datagram) => out.push(datagram.slice()), { hardening })
    peer.update(0)
    peer.tryInput(parseTrace('push sn=0 ts=0 "zero"', { conv: CONV }), 0)
    peer.flush(0)
    // Each datagram of ours waits 45 ms when it is an odd one: the next one, with the copy, overtakes it or comes along.
    let way: { at: number; datagram: Uint8Array }[] = []
    for (let i = 0, now = 200; i < 1_200; i++, now += 10) {
      if (i % 2 === 0) {
        t.at(now).send('x').flush()
        for (const datagram of t.take()) way.push({ at: now + (i % 4 === 0 ? 45 : 20), datagram })
      }
      const due = way.filter(({ at }) => at <= now)
      way = way.filter(({ at }) => at > now)
      for (const { datagram } of due) peer.tryInput(datagram, now)
      if (due.length > 0) peer.flush(now)
      t.clock(now)
      for (const datagram of out) t.input(datagram)
      out = []
    }
    ok(t.kcp.counters.repeats > 100, `${t.kcp.counters.repeats} copies`)
    equal(t.kcp.stats().loss, 0, `hardening ${hardening}`)
  }
})

test('the shortest round trip is one of late, wherever the clock stands', () => {
  for (const start of [0, 0x7fff_f000, 0x8000_0000, 0xffff_f000]) {
    const detector = new LossDetector()
    const acked = (after: number, rtt: number): void => {
      const now = (start + after) >>> 0
      detector.acked(after, now - rtt, now, now - rtt, now - rtt)
    }
    for (let after = 0; after < 5_000; after += 100) acked(after, 20)
    for (let after = 5_000; after < 16_000; after += 100) acked(after, 50)
    equal(detector.shortest, 20, `from ${start}`)
    for (let after = 16_000; after < 30_000; after += 100) acked(after, 50)
    equal(detector.shortest, 50, `from ${start}`)
  }
})

test('nothing is lost where everything arrives, wherever the clock of the session stands', () => {
  for (const start of [0, 0x7fff_ff00, 0x8000_0000, 0xc000_0000, 0xffff_ff00]) {
    const t = new Trace({ nodelay: 1, interval: 10, nc: true, lossDetection: 'time', redundancy: 'auto' })
    t.at(start)
    for (let i = 0; i < 100; i++) {
      const sentAt = t.now
      t.send('x').skip()
      t.at(sentAt + 10)
        .input(`ack sn=${i} una=${i + 1} ts=${sentAt}`)
        .skip()
    }
    const { loss, redundancy, repeats } = t.kcp.stats()
    deepEqual([loss, redundancy, repeats], [0, 0, 0], `from ${start}`)
  }
})

test('a resend that an earlier transmission made useless is counted, and the window comes back', () => {
  const t = timed({ nc: false, minRto: 30 })
  for (let i = 0; i < 6; i++) {
    t.send('x')
      .at(110 + i * 100)
      .skip()
    t.input(`ack sn=${i + 1} una=${i + 2} ts=${110 + i * 100}`)
  }
  const before = t.kcp.cwnd
  t.send('late').at(1_000).skip()
  const rto = t.kcp.rtt.rto
  t.at(1_000 + rto).expect(`push sn=7 ts=${1_000 + rto}`)
  equal(t.kcp.cwnd, 1, 'the timeout took the window')
  t.input('ack sn=7 una=8 ts=1000')
  equal(t.kcp.counters.spuriousResends, 1)
  ok(t.kcp.cwnd >= before, `${t.kcp.cwnd} of ${before}`)
})

test('of many segments whose RTO is over only the oldest sixteen are repeated', () => {
  const t = timed({ sndWnd: 256 })
  t.send(...Array(40).fill('x'))
    .at(110)
    .skip()
  // The tail is probed first.
  while (t.kcp.counters.timeoutResends === 0) t.at(t.kcp.timerAt).skip()
  const resendAt = t.now
  equal(t.kcp.counters.timeoutResends, 16)
  const before = t.kcp.counters.segmentsOut - 16
  // Their ACKs tell that the others are lost: those follow at once.
  t.at(resendAt + 100)
    .input(`ack sn=1 una=1 ts=${resendAt}`)
    .skip()
  ok(t.kcp.counters.segmentsOut - before > 16)
})

test('two round trips of silence probe the tail of a flight, once', () => {
  const t = timed({ minRto: 1_000 })
  t.send('a', 'b').at(110).skip()
  equal(t.kcp.timerAt, 110 + 200)
  t.at(310).expect('push sn=2 ts=310')
  equal(t.kcp.counters.tailProbes, 1)
  t.at(900).expect()
})

test('what is resent goes out once more with the next datagram, or soon on its own', () => {
  const t = timed()
  t.send('a').at(110).expect('push sn=1')
  t.send('b').at(130).expect('push sn=2')
  t.at(230).input('ack sn=2 una=1 ts=130').expect('push sn=1 ts=230')
  t.send('c').at(235).expect('push sn=3 "c" | push sn=1 ts=235 "a"')
  // It is a repeat, not a transmission; and only one.
  deepEqual([t.kcp.snd.xmitOf(1), t.kcp.counters.repeats], [2, 1])
  t.send('d').at(245).expect('push sn=4')
})

test('an RTO leaves the ACK of the next message the time to come', () => {
  const t = new Trace({ nodelay: 1, interval: 10, nc: true, lossDetection: 'time' }).at(0)
  let now = 0
  for (let sn = 0; sn < 60; sn++, now += 20) {
    t.at(now).send('x').skip()
    if (sn >= 5) t.input(`ack sn=${sn - 5} una=${sn - 4} ts=${now - 100}`).skip()
  }
  // Nothing is heard any more. A hundred ms of round trip, ten of variation, and twenty until the next message.
  const { rtt, snd } = t.kcp
  deepEqual([rtt.srtt, rtt.rto], [100, 110])
  const last = snd.tsOf(59)
  ok(Math.abs(snd.resendAtOf(59) - last - 130) <= 1, `${snd.resendAtOf(59) - last}`)
})

test('before the first ACK nothing counts as lost but what an RTO says, wherever the clock stands', () => {
  for (const start of [0, 0x7fff_ff00, 0x8000_0000, 0xc000_0000, 0xffff_ff00]) {
    const t = new Trace({ nodelay: 1, interval: 10, nc: true, lossDetection: 'time' }).at(start)
    t.send('a').expect('push sn=0')
    for (let after = 20; after < 200; after += 20) {
      t.at(start + after)
        .send('x')
        .expect(`push sn=${after / 20}`)
    }
    equal(t.kcp.counters.segmentsOut, 10, `from ${start}`)
  }
})

test('losses that are not told by time any more set no timer', () => {
  const t = timed()
  t.send('a', 'b').at(110).expect('push sn=1 | push sn=2')
  t.at(210).input('ack sn=2 una=1 ts=110').expect()
  equal(t.kcp.timerAt, 110 + 104)
  t.kcp.applyConfig({ lossDetection: 'count' })
  const { deadline } = t.kcp.snd
  equal(t.kcp.timerAt, deadline)
  t.at(220).expect()
  equal(t.kcp.check(221), 230)
})

test('an ACK of an earlier transmission tells a resend that was in vain', () => {
  const detector = new LossDetector()
  detector.acked(1, 100, 200, 100, 100)
  equal(detector.spurious, 0)
  detector.acked(2, 100, 250, 100, 220)
  equal(detector.spurious, 1)
  detector.acked(3, 220, 300, 100, 220)
  equal(detector.spurious, 1, 'of the latest one it was not')
})

test('the newest transmission that arrived is the latest, and of one millisecond the one with the higher sn', () => {
  const detector = new LossDetector()
  const newest = (sn: number, ts: number): number[] => {
    detector.acked(sn, ts, ts + 50, ts, ts)
    return [detector.ts, detector.sn]
  }
  deepEqual(newest(5, 100), [100, 5])
  deepEqual(newest(6, 100), [100, 6])
  deepEqual(newest(4, 100), [100, 6])
  deepEqual(newest(3, 101), [101, 3])
  deepEqual(newest(7, 100), [101, 3])
})

test('the time for reordering: one more than was seen, a quarter of the round trip at least, one millisecond at least', () => {
  const detector = new LossDetector()
  detector.acked(2, 100, 200, 100, 100)
  equal(detector.allowance(10, 200), 1)
  equal(detector.patience(10, 200), 101)
  // Sent in the same millisecond: that is none.
  detector.acked(1, 100, 240, 100, 100)
  equal(detector.allowance(64, 240), 2)
  detector.acked(0, 99, 240, 99, 99)
  equal(detector.allowance(100, 240), 42, 'it took 141 ms, and the newer one 100')
  equal(detector.patience(100, 240), 142)
  equal(detector.allowance(400, 240), 100)
  equal(detector.allowance(30, 240), 30, 'a round trip at most')
})

test('reordering of one millisecond is forgotten too, after more than sixteen round trips', () => {
  const detector = new LossDetector()
  detector.acked(1, 100, 200, 100, 100)
  detector.acked(0, 99, 200, 99, 99)
  equal(detector.allowance(100, 200), 25)
  equal(detector.allowance(100, 200 + 1_600), 25)
  equal(detector.allowance(100, 200 + 1_601), 100 / 32)
})
