/** The edge cases of `send`, `flush`, `update` and `check` (docs/EDGE-CASES.md). */
import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { Kcp } from '../../src/core/kcp.ts'
import { Command } from '../../src/core/segment.ts'
import {
  ikcp_check,
  ikcp_flush,
  ikcp_input,
  ikcp_nodelay,
  ikcp_send,
  ikcp_setmtu,
  ikcp_setoutput,
  ikcp_update,
  ikcp_wndsize,
} from '../../src/sys.ts'
import { CONV, joined, onBoth, Trace } from '../support/trace.ts'

const MSS = 1376

/** Low latency, no congestion window. */
const FAST = { nodelay: 1, interval: 10, nc: true } as const

test('127 full fragments are accepted and one byte more is rejected, whatever the windows (sys)', () => {
  const t = Trace.sys({ rcvWnd: 1024, sndWnd: 1024 })
  equal(t.send(127 * MSS).code, 127 * MSS)
  equal(t.send(127 * MSS + 1).code, -2)
  equal(t.block.nsnd_que, 127)
})

test('a message over the limit is an error that names the limit', () => {
  const { kcp } = new Trace()
  equal(kcp.send(new Uint8Array(127 * MSS)), 127 * MSS)
  throws(() => kcp.send(new Uint8Array(127 * MSS + 1)), {
    name: 'KcpError',
    code: 'ERR_KCP_MESSAGE_TOO_LARGE',
    detail: { size: 127 * MSS + 1, limit: 127 * MSS, fragments: 128, maxFragments: 127 },
    message: /174753 bytes.*limit of 174752/,
  })
  equal(kcp.waitSnd(), 127)
})

test('a maxFragments of 255 allows 255 fragments, numbered 254 down to 0', () => {
  const t = new Trace({ ...FAST, maxFragments: 255, mtu: 50, sndWnd: 255 }).at(0)
  t.input('wins wnd=255').send(255 * 26)
  const frgs = t
    .flush()
    .lines()
    .map((line) => Number(/frg=(\d+)/.exec(line)?.[1]))
  deepEqual(
    frgs,
    Array.from({ length: 255 }, (_, i) => 254 - i),
  )
  throws(() => t.send(255 * 26 + 1), { code: 'ERR_KCP_MESSAGE_TOO_LARGE' })
})

test('128 full segments at once are rejected by an empty stream queue (sys)', () => {
  const t = Trace.sys({ streamMode: true })
  equal(t.send(128 * MSS).code, -2)
  equal(t.block.nsnd_que, 0)
  equal(t.send(127 * MSS).code, 127 * MSS)
})

test('a stream accepts any size at once', () => {
  const t = new Trace({ streamMode: true })
  equal(t.send(1000 * MSS + 5).code, 1000 * MSS + 5)
  equal(t.kcp.waitSnd(), 1001)
})

test('a stream whose last segment has free space fills it, and returns how much it took (sys)', () => {
  const t = Trace.sys({ streamMode: true }).send(100)
  equal(t.send(129 * MSS).code, MSS - 100)
  equal(t.block.nsnd_que, 1)
})

test('a stream whose last segment has free space takes all bytes', () => {
  const t = new Trace({ streamMode: true }).send(100)
  equal(t.send(129 * MSS).code, 129 * MSS)
  equal(t.kcp.waitSnd(), 130)
  equal(t.kcp.stats().sndBytes, 100 + 129 * MSS)
})

onBoth('an empty message is a segment of its own, and zero bytes add nothing to a stream', (make) => {
  const t = make(FAST).at(0).send('')
  equal(t.code, 0)
  t.expect('push sn=0 frg=0 ""')
  const stream = make({ ...FAST, streamMode: true })
    .at(0)
    .send('')
  equal(stream.code, 0)
  stream.expect().send('a', '').expect('push sn=0 "a"')
})

test('a negative length, or one beyond the buffer, is rejected with -1 (sys)', () => {
  const { block } = Trace.sys()
  equal(ikcp_send(block, new Uint8Array(5), -1), -1)
  equal(ikcp_send(block, new Uint8Array(5), 6), -1)
  equal(ikcp_send(block, null, -1), -1)
  equal(block.nsnd_que, 0)
})

test('sending anything but bytes is a TypeError', () => {
  const { kcp } = new Trace()
  for (const wrong of ['text', 5, null, undefined, [1, 2], new ArrayBuffer(2)]) {
    throws(() => kcp.send(wrong as unknown as Uint8Array), TypeError)
  }
  equal(kcp.waitSnd(), 0)
})

test('after a switch to stream mode bytes are appended to the last fragment of a queued message (sys)', () => {
  const t = Trace.sys({ ...FAST, mtu: 50 })
    .at(0)
    .send(30)
  t.block.stream = 1
  t.send('abc').expect('push sn=0 frg=1 <26 B>', 'push sn=1 frg=0 <7 B>')
})

test('the mode is fixed by the first send', () => {
  const { kcp } = new Trace()
  kcp.streamMode = true
  kcp.streamMode = false
  kcp.send(new Uint8Array(1))
  kcp.streamMode = false
  throws(() => {
    kcp.streamMode = true
  }, /streamMode must be false/)
  throws(() => kcp.applyConfig({ streamMode: true }), { code: 'ERR_KCP_CONFIG' })
  equal(kcp.streamMode, false)
  equal(kcp.config.streamMode, false)
})

onBoth('a flush before the first update sends nothing', (make) => {
  const t = make(FAST).send('a').input('push sn=0 "x"')
  t.expect().at(5).sent('ack sn=0 ts=0 | push sn=0 ts=5')
})

onBoth('the first update flushes at once', (make) => {
  make({ ...FAST, interval: 5000 })
    .send('a')
    .at(123)
    .sent('push sn=0 ts=123')
})

onBoth('update flushes when the interval is over, and not before', (make) => {
  const t = make({ nc: true, interval: 100 }).at(1000)
  t.send('a').at(1099).sent().at(1100).sent('push sn=0 ts=1100')
  // One tick late by more than an interval: the next is an interval from now.
  t.at(1350).sent('push sn=0').send('b').at(1449).sent().at(1450).sent('push sn=1')
})

onBoth(
  '10 s behind the schedule, or more than 10 s before it, update flushes once and starts over',
  (make) => {
    for (const [jump, flushes] of [
      [10_000, true],
      [3_600_000, true],
      [-10_000, false],
      [-10_001, true],
      [-3_600_000, true],
    ] as const) {
      const t = make({ nc: true, interval: 100 }).at(10_000_000)
      t.send('a')
        .at(10_000_100 + jump)
        .sent(...(flushes ? [`push sn=0 ts=${10_000_100 + jump}`] : []))
      if (flushes) equal(t.kcp.flushAt, 10_000_200 + jump)
    }
  },
)

onBoth('after a clock step of -5 s nothing leaves for 5 s', (make) => {
  const t = make({ nc: true, interval: 100 }).at(100_000).send('a').at(100_100).sent('push sn=0').send('b')
  for (let now = 95_100; now < 100_200; now += 10) t.at(now).sent()
  t.at(100_200).sent('push sn=1')
  for (let now = 100_210; now < 100_400; now += 10) t.at(now).sent()
  t.at(100_400).sent('push sn=0')
})

onBoth(
  'after a clock step of -1 h new segments leave, but those in flight are retransmitted an hour later',
  (make) => {
    const t = make({ nc: true, interval: 100 }).at(4_000_000).send('a').skip()
    t.at(400_000).send('b').expect('push sn=1').input('ack sn=1 ts=400000')
    for (let now = 400_000; now < 4_000_200; now += 5_000) t.at(now).sent()
    t.at(4_000_300).sent('push sn=0')
  },
)

onBoth(
  'after a clock step of +60 s everything in flight is retransmitted in one flush, and cwnd falls to 1',
  (make) => {
    const t = make({ interval: 10, sndWnd: 64 }).at(0)
    t.kcp.cwnd = 64
    for (let i = 0; i < 50; i++) t.send('a')
    t.skip().at(60_000)
    const resent = t.lines().flatMap((line) => line.split(' | '))
    equal(resent.length, 50)
    equal(t.kcp.cwnd, 1)
    equal(t.kcp.timeouts, 50)
    equal(t.kcp.stats().timeoutResends, 50)
  },
)

for (const edge of [2 ** 32, 2 ** 31]) {
  onBoth(`sn, una and ts continue across ${edge} as across any other number`, (make) => {
    const config = { nodelay: 1, interval: 10, resend: 2, sndWnd: 16 } as const
    const [a, b] = [make(config), make(config)]
    const start = edge - 20
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      from.kcp.snd.sndNxt = start
      from.kcp.sndUna = start
      to.kcp.rcv.rcvNxt = start
    }
    let got = 0
    let echoed = 0
    for (let tick = 0; (tick < 60 || a.kcp.waitSnd() + b.kcp.waitSnd() > 0) && tick < 500; tick++) {
      const now = edge - 100 + tick * 10
      if (tick < 60) a.send(`m${tick}`)
      a.at(now)
      b.at(now)
      // Every fifth datagram of a is lost.
      for (const datagram of a.take()) if (a.kcp.counters.datagramsOut % 5 !== 0) b.input(datagram)
      for (let text = b.recv(); typeof text === 'string'; text = b.recv()) {
        equal(text, `m${got++}`)
        b.send(text)
      }
      for (const datagram of b.take()) a.input(datagram)
      for (let text = a.recv(); typeof text === 'string'; text = a.recv()) equal(text, `m${echoed++}`)
    }
    equal(echoed, 60)
    ok(a.kcp.sndUna === (start + 60) >>> 0 && b.kcp.sndUna === (start + 60) >>> 0)
    ok(a.kcp.srtt >= 0 && a.kcp.srtt < 100)
  })
}

test('check returns now for an RTO due before the next flush, and update does nothing (sys)', () => {
  const t = Trace.sys({ nc: true, interval: 5000 }).at(0).send('a').skip()
  equal(ikcp_check(t.block, 100), 225)
  equal(ikcp_check(t.block, 225), 225)
  equal(ikcp_check(t.block, 300), 300)
  t.at(300).sent()
  equal(ikcp_check(t.block, 300), 300)
  t.at(5000).sent('push sn=0')
})

onBoth('check answers with the next flush, or an earlier end of an RTO, or now', (make) => {
  const t = make({ nc: true, interval: 100 })
  equal(t.kcp.check(77), 77, 'update was not called yet')
  t.at(1000)
  equal(t.kcp.check(1000), 1100)
  equal(t.kcp.check(1050), 1100)
  equal(t.kcp.check(1100), 1100)
  equal(t.kcp.check(1500), 1500, 'overdue')
  t.send('a')
  equal(t.kcp.check(1000), 1100, 'what is queued waits for the flush')
  t.flush()
  equal(t.kcp.check(1020), 1100)
  t.at(1100).at(1200)
  equal(t.kcp.check(1210), 1225)
  equal(t.kcp.check(2 ** 32 + 1210), 1225, 'any number is taken as u32')
  equal(t.kcp.check((1100 - 20_000) >>> 0), (1100 - 20_000) >>> 0, 'the clock jumped: at once')
  equal(t.kcp.check(500), 600, 'never further than an interval')
})

onBoth('after the mtu is lowered larger queued segments go out alone, and new ones are small', (make) => {
  const t = make({ ...FAST })
    .at(0)
    .send(1376, 10, 1000)
  t.kcp.mtu = 200
  t.kcp.mss = 176
  t.send(300)
  const sizes = t
    .flush()
    .take()
    .map(({ length }) => length)
  deepEqual(sizes, [1400, 34, 1024, 200, 148])
})

test('ikcp_setmtu with larger segments queued overruns no buffer (sys)', () => {
  const t = Trace.sys(FAST).at(0).send(1376, 1376)
  equal(ikcp_setmtu(t.block, 50), 0)
  t.send(27)
    .input('push sn=0 "x"')
    .expect(
      'ack sn=0',
      'push sn=0 <1376 B>',
      'push sn=1 <1376 B>',
      'push sn=2 frg=1 <26 B>',
      'push sn=3 frg=0 <1 B>',
    )
})

test('the least mtu is 50 (sys)', () => {
  const { block } = Trace.sys()
  equal(ikcp_setmtu(block, 49), -1)
  deepEqual([block.mtu, block.mss], [1400, 1376])
  equal(ikcp_setmtu(block, 50), 0)
  deepEqual([block.mtu, block.mss], [50, 26])
})

test('an mtu out of range is an error that names it', () => {
  const { kcp } = new Trace()
  for (const mtu of [49, 0, -1, 65_508, 1400.5, Number.NaN]) {
    throws(() => kcp.setMtu(mtu), {
      code: 'ERR_KCP_MTU',
      message: `mtu must be a whole number within 50..65507, got ${mtu}`,
      detail: { mtu, code: -1 },
    })
  }
  kcp.setMtu(50)
  deepEqual([kcp.mtu, kcp.mss], [50, 26])
})

test('the interval is clamped to 10 .. 5000 (sys)', () => {
  const { block } = Trace.sys()
  for (const [given, got] of [
    [1, 10],
    [0, 10],
    [10, 10],
    [5000, 5000],
    [9999, 5000],
  ] as const) {
    ikcp_nodelay(block, -1, given, -1, -1)
    equal(block.interval, got)
  }
  ikcp_nodelay(block, -1, -1, -1, -1)
  equal(block.interval, 5000)
})

test('ikcp_wndsize ignores a window of zero or less, and raises a receive window below 128 to 128 (sys)', () => {
  const { block } = Trace.sys()
  for (const [snd, rcv, then] of [
    [0, 10, [32, 128]],
    [-1, 200, [32, 200]],
    [5, 0, [5, 200]],
    [0, -1, [5, 200]],
    [1, 127, [1, 128]],
  ] as const) {
    equal(ikcp_wndsize(block, snd, rcv), 0)
    deepEqual([block.snd_wnd, block.rcv_wnd], then)
  }
})

test('a receive window of 65536 is advertised as 0 (sys)', () => {
  const t = Trace.sys().at(0)
  ikcp_wndsize(t.block, 0, 65_536)
  t.input('wask').expect('wins wnd=0')
})

test('at most 65535 free slots are advertised (hardened)', () => {
  const t = Trace.hardened({ rcvWnd: 65_535 }).at(0).input('wask').expect('wins wnd=65535')
  t.kcp.rcv.rcvWnd = 65_536
  t.input('wask').expect('wins wnd=65535')
  throws(() => t.kcp.setWindow(32, 65_536), { code: 'ERR_KCP_CONFIG' })
})

onBoth(
  "while the peer's window is 0 nothing new leaves, segments in flight are retransmitted, and probes grow rarer",
  (make) => {
    const t = make({ nodelay: 0, interval: 10, nc: true }).at(0).send('a').skip()
    t.input('wins wnd=0 una=0').send('b')
    const asks: number[] = []
    const resends: number[] = []
    for (let now = 10; now <= 30_000; now += 10) {
      for (const line of t.at(now).lines()) {
        for (const segment of line.split(' | ')) {
          if (segment.startsWith('wask')) asks.push(now)
          else if (segment.startsWith('push sn=0')) resends.push(now)
          else throw new Error(`unexpected at ${now}: ${segment}`)
        }
      }
    }
    deepEqual(asks, [5010, 12_510, 23_760])
    deepEqual(resends, [230, 630, 1430, 3030, 6230, 12_630, 25_430])
    t.input('wins wnd=128 una=0').expect('push sn=1')
    equal(t.kcp.probe.wait, 0)
  },
)

test('the first wait of the probe can be chosen', () => {
  const t = new Trace({ ...FAST, probeInterval: 500 }).at(0).input('wins wnd=0')
  const asks: number[] = []
  for (let now = 10; now <= 4_000; now += 10) if (t.at(now).lines().length > 0) asks.push(now)
  deepEqual(asks, [510, 1260, 2390])
})

onBoth(
  'after dead_link transmissions the link counts as dead for good, and retransmission goes on',
  (make) => {
    const t = make({ ...FAST, deadLink: 3 })
      .at(0)
      .send('a')
      .skip()
    const sent: number[] = []
    for (let now = 10; now < 3_000; now += 10) {
      if (t.at(now).lines().length > 0) sent.push(now)
      equal(t.kcp.dead, sent.length >= 2, `at ${now}, ${sent.length} resends`)
    }
    deepEqual(sent, [200, 500, 950, 1630, 2650])
    t.input('ack sn=0 una=1 ts=2650')
    equal(t.kcp.waitSnd(), 0)
    equal(t.kcp.dead, true)
  },
)

test('on a dead link state is (IUINT32)-1, and may be reset (sys)', () => {
  const t = Trace.sys({ ...FAST, deadLink: 2 })
    .at(0)
    .send('a')
    .skip()
  equal(t.block.state, 0)
  equal(t.at(200).block.state, 0xffff_ffff)
  t.block.state = 0
  equal(t.kcp.dead, false)
  equal(t.at(500).block.state, 0xffff_ffff)
})

/** The RTO of a segment that is never answered, transmission by transmission. */
function backOff(t: Trace, times: number): number[] {
  const rtos: number[] = []
  t.at(0).send('a').flush()
  for (let i = 0; i < times; i++) {
    rtos.push(t.kcp.snd.rtoOf(0))
    t.at(t.kcp.snd.resendAtOf(0)).flush()
  }
  return rtos
}

test('the RTO of a segment doubles without a limit (sys)', () => {
  deepEqual(
    backOff(Trace.sys({ nc: true, interval: 10 }), 12),
    [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 102_400, 204_800, 409_600],
  )
})

test('the RTO of a segment is at most 60 s (hardened)', () => {
  deepEqual(
    backOff(Trace.hardened({ nc: true, interval: 10 }), 12),
    [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000, 60_000],
  )
})

onBoth('with nodelay 1 the RTO grows by half of itself, with 2 by half of the current estimate', (make) => {
  deepEqual(backOff(make({ ...FAST }), 6), [200, 300, 450, 675, 1012, 1518])
  deepEqual(backOff(make({ ...FAST, nodelay: 2 }), 6), [200, 300, 400, 500, 600, 700])
})

/** Segment 0 is lost again and again, while one later segment after the other is acknowledged. */
function holeStory(t: Trace, rounds: number): number {
  t.at(0).send('hole').skip()
  let resends = 0
  for (let i = 1; i <= rounds; i++) {
    t.at(i * 4)
      .send('x')
      .flush()
    t.take()
    t.at(i * 4 + 2).input(`ack sn=${i} una=0 ts=${i * 4}`)
    for (const line of t.flush().lines()) if (line.includes('push sn=0')) resends++
  }
  return resends
}

onBoth('a hole gets as many fast retransmissions as fastLimit allows, then it waits for its RTO', (make) => {
  equal(holeStory(make({ ...FAST, resend: 1 }), 30), 5)
  equal(holeStory(make({ ...FAST, resend: 1, fastLimit: 2 }), 30), 2)
  equal(holeStory(make({ ...FAST, resend: 1, fastLimit: 0 }), 30), 30, '0 is no limit')
  equal(holeStory(make({ ...FAST, resend: 3 }), 30), 5)
  equal(holeStory(make({ ...FAST, resend: 0 }), 30), 0, 'off')
})

onBoth('a fast retransmission resets the count of skips', (make) => {
  const t = make({ ...FAST, resend: 2 })
    .at(0)
    .send('0', '1', '2', '3', '4')
    .skip()
    .at(20)
  t.input('ack sn=1 ts=0').expect()
  t.input('ack sn=2 ts=0').expect('push sn=0 ts=20')
  equal(t.kcp.stats().fastResends, 1)
  deepEqual(t.skips, [0, 0, 0])
  t.input('ack sn=3 ts=0', 'ack sn=4 ts=0').expect()
  deepEqual(t.skips, [0], 'those were sent before the resend, so they say nothing about it')
})

onBoth('a fast retransmission may raise cwnd: to half the flight, at least 2, plus the threshold', (make) => {
  const t = make({ interval: 10, resend: 1, sndWnd: 64 }).at(0)
  t.kcp.cwnd = 2
  t.send('0', '1').skip().at(20).input('ack sn=1 ts=0')
  t.expect('push sn=0')
  deepEqual([t.kcp.cwnd, t.kcp.ssthresh], [3, 2])
})

test('the send queue has no limit, and canSend shows whether more would fit a limit of segments', () => {
  const t = new Trace({ mtu: 124 })
  for (let i = 0; i < 10_000; i++) t.send('a')
  equal(t.kcp.waitSnd(), 10_000)
  equal(t.kcp.canSend(1, 10_001), true)
  equal(t.kcp.canSend(0, 10_000), false)
  equal(t.kcp.canSend(100, 10_001), true)
  equal(t.kcp.canSend(101, 10_001), false)
})

test('between two flushes each copy of a PUSH adds a pending ACK (sys)', () => {
  const t = Trace.sys().at(0)
  for (let i = 0; i < 5000; i++) t.input('push sn=0 "a"')
  equal(t.block.ackcount, 5000)
  equal(t.block.ackblock, 8192)
})

test('between two flushes the pending ACKs are bounded by the numbers that may be acknowledged (hardened)', () => {
  const t = Trace.hardened().at(0)
  for (let round = 0; round < 20; round++) {
    for (let sn = -256; sn < 300; sn++) t.input(`push sn=${sn >>> 0} "a"`)
  }
  // 256 behind the start, 128 to read, 128 early.
  ok(t.kcp.acks.count <= 2 * 512, `${t.kcp.acks.count} owed`)
})

test('the return value of output is ignored (sys)', () => {
  const t = Trace.sys(FAST).at(0)
  ikcp_setoutput(t.block, () => -1)
  t.send('a')
  ikcp_flush(t.block)
  deepEqual(t.inFlight, [0])
})

test('an output that throws loses its datagram: the flush goes on, throws at its end, and retransmits later', () => {
  const cause = new Error('no buffer space')
  let failing = true
  const sent: number[] = []
  const kcp = new Kcp(
    CONV,
    (datagram) => {
      if (failing) throw cause
      sent.push(datagram.length)
    },
    { ...FAST, mtu: 50 },
  )
  kcp.update(0)
  for (let i = 0; i < 3; i++) kcp.send(new Uint8Array(26))
  throws(() => kcp.flush(0), { code: 'ERR_KCP_OUTPUT', cause })
  equal(kcp.stats().outputErrors, 3, 'every datagram was tried')
  equal(kcp.stats().sndBuf, 3)
  failing = false
  kcp.update(210)
  deepEqual(sent, [50, 50, 50])
  equal(kcp.stats().segmentsOut, 6)
})

for (const [name, call] of [
  ['send', (kcp: Kcp) => kcp.send(new Uint8Array(1))],
  ['recv', (kcp: Kcp) => kcp.recv()],
  ['recvInto', (kcp: Kcp) => kcp.recvInto(new Uint8Array(9))],
  ['recvRun', (kcp: Kcp) => kcp.recvRun(new Uint8Array(9))],
  ['expire', (kcp: Kcp) => kcp.expire(0)],
  ['input', (kcp: Kcp) => kcp.input(new Uint8Array(24), 0)],
  ['tryInput', (kcp: Kcp) => kcp.tryInput(new Uint8Array(24), 0)],
  ['update', (kcp: Kcp) => kcp.update(0)],
  ['flush', (kcp: Kcp) => kcp.flush(0)],
] as const) {
  test(`${name} from inside output is an error, and breaks nothing`, () => {
    const seen: unknown[] = []
    const kcp = new Kcp(
      CONV,
      (_, self) => {
        try {
          call(self)
        } catch (error) {
          seen.push((error as { code: unknown }).code)
        }
      },
      FAST,
    )
    kcp.update(0)
    kcp.send(new Uint8Array(5))
    kcp.flush(0)
    deepEqual(seen, ['ERR_KCP_REENTRANT'])
    equal(kcp.stats().sndBuf, 1)
    kcp.flush(0)
    equal(kcp.stats().datagramsOut, 1)
  })
}

test('reads from inside output are allowed', () => {
  const reads: unknown[] = []
  const kcp = new Kcp(
    CONV,
    (_, self) => void reads.push(self.waitSnd(), self.peekSize(), self.check(0)),
    FAST,
  )
  kcp.update(0)
  kcp.send(new Uint8Array(5))
  kcp.flush(0)
  deepEqual(reads, [1, undefined, 10])
})

test('one engine may feed another from its output', () => {
  const b = new Trace(FAST).at(0)
  const a = new Kcp(CONV, (datagram) => {
    b.kcp.input(datagram, 0)
    b.kcp.flush(0)
  })
  a.update(0)
  a.send(new Uint8Array(3000))
  a.setNodelay(1, 10, 0, true)
  a.flush(0)
  equal(b.recv(), 3000)
  b.sent('ack sn=0', 'ack sn=1', 'ack sn=2')
})

test('ikcp_send from inside output queues for the next flush; input, update and flush throw (sys)', () => {
  const t = Trace.sys({ ...FAST, mtu: 50 }).at(0)
  const codes: unknown[] = []
  let sends = 0
  ikcp_setoutput(t.block, () => {
    if (sends++ < 2) codes.push(ikcp_send(t.block, new Uint8Array(1000), 1000))
    for (const call of [() => ikcp_flush(t.block), () => ikcp_update(t.block, 0)]) throws(call)
    throws(() => ikcp_input(t.block, new Uint8Array(24)), { code: 'ERR_KCP_REENTRANT' })
    return 0
  })
  t.send(26, 26, 26).flush()
  equal(sends, 3)
  deepEqual(codes, [1000, 1000])
  equal(t.block.nsnd_que, 2 * 39)
})

test('an engine that is released from inside output ends its flush and sends nothing more', () => {
  for (const resend of [false, true]) {
    let outputs = 0
    const kcp = new Kcp(
      CONV,
      (datagram, self) => {
        ok(datagram.length === 50, `${datagram.length} bytes`)
        if (resend ? outputs++ === 3 : outputs++ === 0) self.release()
      },
      { ...FAST, mtu: 50 },
    )
    kcp.update(0)
    for (let i = 0; i < 3; i++) kcp.send(new Uint8Array(26))
    kcp.flush(0)
    if (resend) kcp.flush(1000)
    equal(outputs, resend ? 4 : 1)
    equal(kcp.stats().sndBytes, 0)
    throws(() => kcp.flush(0), { code: 'ERR_KCP_RELEASED' })
  }
})

onBoth("cwnd does not grow beyond the peer's window", (make) => {
  const t = make({ interval: 10, sndWnd: 64 }).at(0)
  for (let i = 0; i < 20; i++) {
    const { sndNxt } = t.kcp
    t.at(i * 10)
      .send('a')
      .skip()
    t.input(`ack sn=${sndNxt} una=${sndNxt + 1} ts=${i * 10} wnd=3`)
    ok(t.kcp.cwnd <= 3, `cwnd ${t.kcp.cwnd}`)
  }
  equal(t.kcp.cwnd, 3)
})

onBoth('with nodelay 0 only the first transmission waits an eighth of the RTO longer', (make) => {
  const t = make({ nc: true, interval: 10 }).at(0).send('a').skip()
  t.at(220).sent().at(230).sent('push sn=0')
  t.at(620).sent().at(630).sent('push sn=0')
  const fast = make({ ...FAST })
    .at(0)
    .send('a')
    .skip()
  fast.at(190).sent().at(200).sent('push sn=0')
})

onBoth('ACKs come first in a flush, then probes, then resends in order of sn, then new segments', (make) => {
  const t = make({ ...FAST, resend: 1, sndWnd: 8 })
    .at(0)
    .send('0', '1', '2', '3')
    .skip()
    .at(100)
  t.input('ack sn=2 ts=0').send('4', '5').input('push sn=0 "x" | wask').skip()
  deepEqual(t.inFlight, [0, 1, 3, 4, 5])
  t.clock(200).send('6').input('push sn=1 "y" | wask', 'ack sn=5 ts=100')
  t.expect('ack sn=1 | wins | push sn=0 | push sn=1 | push sn=3 | push sn=4 | push sn=6')
})

onBoth('a WASK or WINS behind ACKs repeats the ts and sn of the last of them, as C does', (make) => {
  const t = make().at(0).input('push sn=0 ts=55 "x" | wask')
  t.expect('ack sn=0 ts=55 | wins ts=55').input('wask').expect(`wins una=1 wnd=127`)
  equal(Command.WindowTell, 84)
})

onBoth('segments share a datagram as long as they fit the mtu', (make) => {
  const t = make({ ...FAST, mtu: 100 })
    .at(0)
    .send(28, 24, 24, 76, 1)
  deepEqual(
    t
      .flush()
      .take()
      .map(({ length }) => length),
    [100, 48, 100, 25],
  )
  t.input(joined(5, (i) => `push sn=${i} "x"`)).expect(
    joined(4, (i) => `ack sn=${i}`),
    'ack sn=4',
  )
})

test('windows can be given back only while nothing at all is in them', () => {
  const t = new Trace({ nc: true, interval: 10 }).at(0)
  equal(t.kcp.trimmable, false, 'there is nothing')
  t.send('a')
  equal(t.kcp.trimmable, false, 'queued')
  t.at(10).sent('push sn=0')
  equal(t.kcp.trimmable, false, 'in flight')
  t.at(30).input('ack sn=0 una=1 ts=10')
  equal(t.kcp.trimmable, true)
  t.input('push sn=1 "early"')
  equal(t.kcp.trimmable, false, 'early')
  t.input('push sn=0 "x"')
  t.recv()
  equal(t.kcp.trimmable, false, 'readable')
  t.recv()
  equal(t.kcp.trimmable, true)
})

test('a lower threshold counts at once for what was skipped already', () => {
  const t = new Trace({ nc: true, interval: 10, resend: 3 }).at(0)
  t.send('a', 'b', 'c', 'd').at(10).sent('push sn=0 | push sn=1 | push sn=2 | push sn=3')
  t.at(30).input('ack sn=2 ts=10').input('ack sn=3 ts=10').at(40).sent()
  t.kcp.applyConfig({ resend: 2 })
  t.at(50).sent('push sn=0 | push sn=1')
})

test('a view that says it is longer than it is sends nothing of what lies behind it', () => {
  class Longer extends Uint8Array {
    override get length(): number {
      return 5
    }
  }
  const t = new Trace({ nc: true, interval: 10 }).at(0).send('secret')
  throws(() => t.kcp.send(new Longer(2)), { code: 'ERR_INVALID_ARG_TYPE' })
  t.at(10).sent('push sn=0 "secret"')
})
