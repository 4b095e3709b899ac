/**
 * The edge cases of `input` (docs/EDGE-CASES.md): what the reference does, and what hardening changes where no honest peer
 * can notice.
 */
import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { Kcp } from '../../src/core/kcp.ts'
import { readU32, writeU32 } from '../../src/core/segment.ts'
import { parseTrace } from '../../src/sim/trace.ts'
import { ikcp_create, ikcp_input, ikcp_recv } from '../../src/sys.ts'
import { CONV, joined, onBoth, Trace } from '../support/trace.ts'

/** Everything that a refused datagram must not touch. */
function stateOf(t: Trace): unknown {
  const { kcp } = t
  return {
    sndUna: kcp.sndUna,
    sndNxt: kcp.sndNxt,
    rcvNxt: kcp.rcvNxt,
    rmtWnd: kcp.rmtWnd,
    cwnd: kcp.cwnd,
    srtt: kcp.srtt,
    rto: kcp.rtt.rto,
    acks: kcp.acks.count,
    probe: [kcp.probe.askPending, kcp.probe.tellPending],
    received: [kcp.rcv.queued, kcp.rcv.early],
    inFlight: t.inFlight,
    skips: t.skips,
  }
}

/** A datagram with single bytes or u32 words replaced, for what trace lines cannot say. */
function datagram(line: string, change: { readonly cmd?: number; readonly len?: number }): Uint8Array {
  const bytes = parseTrace(line, { conv: CONV })
  if (change.cmd !== undefined) bytes[4] = change.cmd
  if (change.len !== undefined) writeU32(bytes, 20, change.len)
  return bytes
}

test('null is rejected with -1 (sys)', () => {
  equal(ikcp_input(ikcp_create(CONV), null), -1)
})

onBoth('fewer bytes than a header are rejected with -1', (make) => {
  const t = make().at(0)
  const before = stateOf(t)
  for (const size of [0, 1, 4, 23]) {
    t.input(new Uint8Array(size))
    equal(t.code, -1, `${size} bytes`)
  }
  deepEqual(stateOf(t), before)
  equal(t.kcp.stats().inputErrors, 4)
})

onBoth('another conv in the first segment is rejected, and nothing changes', (make) => {
  const t = make({ nc: true }).at(0).send('aaa').skip()
  const before = stateOf(t)
  for (const line of [
    'push conv=1 sn=0 una=1 wnd=5 "x"',
    'ack conv=1 sn=0 una=1 wnd=5',
    'wask conv=1 una=1 wnd=5',
  ]) {
    t.input(line)
    equal(t.code, -1, line)
  }
  deepEqual(stateOf(t), before)
})

onBoth(
  'another conv in the second segment is rejected: the first stays applied, skips and cwnd do not change',
  (make) => {
    const [t, whole] = [make({ resend: 2 }), make({ resend: 2 })]
    for (const story of [t, whole]) {
      story.at(0).kcp.cwnd = 4
      story.send('aaa', 'bbb', 'ccc', 'ddd').skip().at(20)
    }
    const first = 'ack sn=2 una=1 wnd=77 ts=0 | push sn=0 una=1 wnd=77 "x"'
    whole.input(first)
    deepEqual([whole.code, whole.inFlight, whole.skips, whole.kcp.cwnd], [0, [1, 3], [1, 0], 4])
    equal(whole.kcp.cwndBytes, 1376 + 1376 + 86, 'congestion avoidance counted the ACK')

    t.input(`${first} | push conv=9 sn=1 una=4 "y"`)
    equal(t.code, -1)
    deepEqual(t.inFlight, [1, 3], 'una and the ACK count')
    equal(t.kcp.rmtWnd, 77)
    equal(t.kcp.srtt, 20)
    equal(t.recv(), 'x')
    deepEqual(t.skips, [0, 0], 'no skip was counted')
    equal(t.kcp.cwndBytes, 1376, 'nor did cwnd grow')
  },
)

onBoth('a length beyond the datagram is rejected with -2', (make) => {
  for (const len of [4, 5, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
    const t = make({ nc: true }).at(0).send('aaa').skip()
    const before = stateOf(t)
    t.input(datagram('push sn=0 una=1 wnd=9 "abc"', { len }))
    equal(t.code, -2, `len=${len}`)
    deepEqual(stateOf(t), before)
  }
})

onBoth('an unknown command is rejected with -3, and with -2 when its length is bad too', (make) => {
  const t = make({ nc: true }).at(0).send('aaa').skip()
  const before = stateOf(t)
  for (const cmd of [0, 1, 80, 85, 255]) {
    equal(t.input(datagram('push sn=0 una=1 wnd=9 "abc"', { cmd })).code, -3, `cmd=${cmd}`)
    equal(t.input(datagram('push sn=0 una=1 wnd=9 "abc"', { cmd, len: 4 })).code, -2, `cmd=${cmd}, too long`)
  }
  deepEqual(stateOf(t), before)
})

onBoth('up to 23 bytes behind the last segment are ignored, and counted', (make) => {
  const t = make().at(0)
  for (let size = 1; size <= 23; size++) {
    t.input(`push sn=${size - 1} "a" | ? <${size} B>`)
    equal(t.code, 0, `${size} bytes`)
    equal(t.recv(), 'a')
    equal(t.kcp.stats().inputErrors, size)
  }
  t.input('push sn=23 "a" | ? <24 B>')
  equal(t.code, -1, 'one more is a header, of conversation 0')
  equal(t.recv(), 'a')
  equal(t.kcp.stats().inputErrors, 24)
})

onBoth('when the second segment is cut short, the first has been applied', (make) => {
  const t = make().at(0)
  const bytes = parseTrace('push sn=0 "aaa" | push sn=1 "bbb"', { conv: CONV })
  t.input(bytes.subarray(0, bytes.length - 1))
  equal(t.code, -2)
  equal(t.recv(), 'aaa')
  equal(t.recv(), -1)
  t.expect('ack sn=0 una=1')
})

onBoth('a PUSH one past the window is dropped and not acknowledged', (make) => {
  const t = make().at(0).input('push sn=128 "x"')
  equal(t.code, 0)
  equal(t.kcp.rcv.early, 0)
  equal(t.kcp.stats().outOfWindow, 1)
  t.expect()
})

onBoth("a PUSH on the window's last place is kept and acknowledged", (make) => {
  const t = make().at(0).input('push sn=127 ts=5 "x"')
  equal(t.kcp.rcv.early, 1)
  t.expect('ack sn=127 una=0 ts=5')
})

onBoth('a PUSH that arrived before is acknowledged again and not delivered again', (make) => {
  const t = make().at(0)
  t.input(joined(5, (i) => `push sn=${i} "m${i}"`)).skip()
  for (let i = 0; i < 5; i++) equal(t.recv(), `m${i}`)
  t.input('push sn=2 ts=7 "m2"').expect('ack sn=2 una=5 ts=7')
  t.input(`push sn=${2 ** 32 - 100} ts=8 "old"`).expect(`ack sn=${2 ** 32 - 100} una=5 ts=8`)
  equal(t.recv(), -1)
})

test('the reference acknowledges old PUSHes from as far back as half the sequence space (sys)', () => {
  const t = Trace.sys().at(0)
  const farthest = 2 ** 31 + 128
  t.input(`push sn=${farthest} "x"`).expect(`ack sn=${farthest} una=0`)
  t.input(`push sn=${farthest - 1} "x"`).expect()
  equal(t.recv(), -1)
})

test('a PUSH about 2^31 away counts as old and is acknowledged (sys)', () => {
  const t = Trace.sys().at(0)
  t.input(`push sn=${2 ** 31 + 200} ts=3 "x"`).expect(`ack sn=${2 ** 31 + 200} una=0 ts=3`)
  equal(t.kcp.rcv.early, 0)
})

test('an old PUSH is acknowledged again only within two windows behind (hardened)', () => {
  const t = Trace.hardened().at(0)
  for (const sn of [2 ** 31 + 200, 2 ** 31, 2 ** 32 - 257]) t.input(`push sn=${sn} "x"`).expect()
  equal(t.kcp.stats().outOfWindow, 3)
  t.input(`push sn=${2 ** 32 - 256} "x"`).expect(`ack sn=${2 ** 32 - 256}`)
})

test('one PUSH twice in a datagram gets two ACKs and is delivered once (sys)', () => {
  const t = Trace.sys().at(0)
  t.input('push sn=0 ts=1 "a" | push sn=0 ts=2 "a"').expect('ack sn=0 una=1 ts=1 | ack sn=0 una=1 ts=2')
  equal(t.recv(), 'a')
  equal(t.recv(), -1)
})

test('one PUSH twice in a datagram gets one ACK with the older ts and is delivered once (hardened)', () => {
  const t = Trace.hardened().at(0)
  t.input('push sn=0 ts=1 "a" | push sn=0 ts=2 "a"').expect('ack sn=0 una=1 ts=1')
  equal(t.recv(), 'a')
  equal(t.recv(), -1)
})

test('a thousand copies of a PUSH get a thousand ACKs, 24,000 bytes in 18 datagrams (sys)', () => {
  const t = Trace.sys().at(0)
  for (let i = 0; i < 1000; i++) t.input('push sn=0 "a"')
  const out = t.flush().take()
  equal(out.length, 18)
  equal(
    out.reduce((sum, { length }) => sum + length, 0),
    24_000,
  )
})

test('a thousand copies of a PUSH get one ACK, with the oldest ts (hardened)', () => {
  const t = Trace.hardened().at(0)
  for (let i = 0; i < 1000; i++) t.input(`push sn=0 ts=${i} "a"`)
  t.expect('ack sn=0 una=1 ts=0')
  equal(t.kcp.stats().duplicates, 999)
})

for (const command of ['push sn=9 "x"', 'ack sn=9', 'wask', 'wins']) {
  // Three are in flight, and una must still be ahead of the first of them.
  for (const beyond of [1, 1000, 2 ** 31 - 4]) {
    const [kind, ...rest] = command.split(' ')
    const line = [kind, rest[0] ?? '', `una=${3 + beyond}`, 'wnd=7', rest[1] ?? ''].join(' ')

    test(`una ${beyond} beyond snd_nxt in a ${kind} deletes everything in flight (sys)`, () => {
      const t = Trace.sys({ nc: true }).at(0).send('aaa', 'bbb', 'ccc').skip()
      t.input(line)
      equal(t.code, 0)
      deepEqual(t.inFlight, [])
      equal(t.block.snd_una, 3)
      t.at(10_000).sent(...(kind === 'push' ? ['ack sn=9'] : kind === 'wask' ? ['wins'] : []))
    })

    test(`a ${kind} with una ${beyond} beyond snd_nxt is dropped and counted (hardened)`, () => {
      const t = Trace.hardened({ nc: true }).at(0).send('aaa', 'bbb', 'ccc').skip()
      const before = stateOf(t)
      t.input(line)
      equal(t.code, 0)
      deepEqual(stateOf(t), before)
      equal(t.kcp.stats().forgedUna, 1)
    })
  }
}

test('the segments behind a forged one in its datagram are still read (hardened)', () => {
  const t = Trace.hardened({ nc: true }).at(0).send('aaa').skip().at(5)
  t.input('push sn=0 una=2 "evil" | push sn=0 una=0 "good" | ack sn=0 una=1 ts=0')
  equal(t.recv(), 'good')
  deepEqual(t.inFlight, [])
})

onBoth('una 2^31 ahead of snd_una acknowledges nothing', (make) => {
  const t = make({ nc: true })
    .at(0)
    .send('aaa', 'bbb')
    .skip()
    .input(`wins una=${2 ** 31}`)
  equal(t.code, 0)
  deepEqual(t.inFlight, [0, 1])
  equal(t.kcp.sndUna, 0)
})

onBoth('una behind snd_una acknowledges nothing', (make) => {
  const t = make({ nc: true }).at(0).send('aaa', 'bbb', 'ccc').skip().input('wins una=2')
  deepEqual(t.inFlight, [2])
  for (const una of [1, 0, 2 ** 32 - 1, 2 ** 31 + 2]) t.input(`wins una=${una}`)
  deepEqual(t.inFlight, [2])
  equal(t.kcp.sndUna, 2)
})

test('one ACK that names no segment, with an old ts, raises the RTO to 60 s, and 75 honest ones lower it (sys)', () => {
  const t = Trace.sys({ nodelay: 1, interval: 10, nc: true }).at(600_000).input('ack sn=999 ts=100000')
  equal(t.block.rx_srtt, 500_000)
  equal(t.block.rx_rto, 60_000)
  let samples = 0
  for (let now = 601_000; t.block.rx_rto > 200; now += 100) {
    const { sndNxt } = t.kcp
    t.at(now)
      .send('a')
      .skip()
      .at(now + 20)
      .input(`ack sn=${sndNxt} una=${sndNxt + 1} ts=${now}`)
    samples++
  }
  equal(samples, 75)
})

test('an ACK gives an RTT sample only for a segment in flight and a ts that was sent with it (hardened)', () => {
  const t = Trace.hardened({ nodelay: 1, interval: 10, nc: true }).at(600_000)
  t.send('aaa', 'bbb').skip().at(600_020)
  const before = stateOf(t)
  t.input('ack sn=999 ts=100000', 'ack sn=1 ts=100000', 'ack sn=2 ts=600000', 'ack sn=1 ts=600001')
  deepEqual(stateOf(t), before)
  equal(t.kcp.stats().staleAcks, 4)
  t.input('ack sn=1 ts=600000')
  equal(t.kcp.srtt, 20)
  deepEqual(t.inFlight, [0])
})

test('after a retransmission any ts from the first to the latest transmission is accepted (hardened)', () => {
  for (const [ts, taken] of [
    [99, false],
    [100, true],
    [300, true],
    [301, false],
  ] as const) {
    const t = Trace.hardened({ nodelay: 1, interval: 10, nc: true }).at(100).send('a').skip()
    t.at(300).sent('push sn=0 ts=300').at(320).input(`ack sn=0 ts=${ts}`)
    equal(t.inFlight.length, taken ? 0 : 1, `ts=${ts}`)
  }
})

test('an ACK whose own una removed its segment still gives an RTT sample (hardened)', () => {
  const t = Trace.hardened({ nc: true }).at(100).send('a', 'b').skip().at(150)
  t.input('ack sn=0 una=2 ts=100 | ack sn=1 una=2 ts=100')
  equal(t.kcp.srtt, 50)
  equal(t.kcp.stats().staleAcks, 0)
  t.input('ack sn=0 una=2 ts=100')
  equal(t.kcp.stats().staleAcks, 1, 'a later repeat is stale')
})

test('an ACK of a segment that was never sent skips none that were (sys)', () => {
  const t = Trace.sys({ resend: 1, nc: true }).at(0).send('a', 'b').skip().at(20)
  t.input('ack sn=2 ts=0', 'ack sn=77 ts=0', `ack sn=${2 ** 32 - 1} ts=0`)
  deepEqual(t.skips, [0, 0])
  t.expect()
})

test('an ACK from the future of our clock acknowledges, and gives no RTT sample (sys)', () => {
  const t = Trace.sys({ nc: true }).at(100).send('a').skip().at(120).input('ack sn=0 ts=121')
  equal(t.block.rx_srtt, 0)
  equal(t.block.rx_rto, 200)
  deepEqual(t.inFlight, [])
})

test('an ACK with a ts from the future does not count (hardened)', () => {
  const t = Trace.hardened({ nc: true }).at(100).send('a').skip().at(120).input('ack sn=0 ts=121')
  deepEqual(t.inFlight, [0])
  equal(t.kcp.srtt, 0)
})

onBoth('a round trip of 0 ms leaves srtt at 0, and each further one counts as the first', (make) => {
  for (const [interval, rto] of [
    [10, 30],
    [40, 40],
  ] as const) {
    const t = make({ nodelay: 1, interval, nc: true })
    for (let i = 0; i < 3; i++) {
      t.at(1000 + i * 100)
        .send('a')
        .skip()
        .input(`ack sn=${i} una=${i + 1} ts=${1000 + i * 100}`)
      equal(t.kcp.srtt, 0)
      equal(t.kcp.rtt.rto, rto)
    }
    t.at(2000).send('a').skip().at(2016).input('ack sn=3 una=4 ts=2000')
    equal(t.kcp.srtt, 16, 'not smoothed')
  }
})

onBoth('of two ACKs with one ts the first counts for skips, even if the second has the larger sn', (make) => {
  const t = make({ resend: 1, nc: true }).at(0).send('0', '1', '2', '3', '4').skip().at(30)
  t.input('ack sn=2 una=2 ts=0 | ack sn=4 una=2 ts=0')
  deepEqual(t.inFlight, [3])
  deepEqual(t.skips, [0], 'segment 3 was passed by 4, and yet not skipped')
})

onBoth('of two ACKs the larger sn counts for skips when its ts is newer too', (make) => {
  const t = make({ resend: 9, nc: true }).at(0).send('0', '1', '2').skip()
  t.at(10).send('3', '4').skip().at(30)
  t.input('ack sn=2 una=2 ts=0 | ack sn=4 una=2 ts=10')
  deepEqual(t.inFlight, [3])
  deepEqual(t.skips, [1])
})

onBoth('three ACKs in one datagram count as one skip, in three datagrams as three', (make) => {
  const start = (): Trace => make({ resend: 9, nc: true }).at(0).send('0', '1', '2', '3').skip().at(30)
  const one = start().input('ack sn=1 ts=0 | ack sn=2 ts=0 | ack sn=3 ts=0')
  deepEqual(one.skips, [1])
  const three = start().input('ack sn=1 ts=0', 'ack sn=2 ts=0', 'ack sn=3 ts=0')
  deepEqual(three.skips, [3])
})

test("an old segment that comes late overwrites the peer's window (sys)", () => {
  const t = Trace.sys({ nc: true }).at(0).send('a', 'b').skip()
  t.input('wins una=2 wnd=100', 'wins una=1 wnd=0')
  equal(t.block.rmt_wnd, 0)
})

test("a segment with an older una does not change the peer's window (hardened)", () => {
  const t = Trace.hardened({ nc: true }).at(0).send('a', 'b').skip()
  t.input('wins una=2 wnd=100', 'wins una=1 wnd=0')
  equal(t.kcp.rmtWnd, 100)
  t.input('wins una=2 wnd=0')
  equal(t.kcp.rmtWnd, 0)
})

onBoth('a thousand WASKs before a flush are answered by one WINS', (make) => {
  const t = make().at(0)
  for (let i = 0; i < 10; i++) t.input(joined(100, () => 'wask'))
  t.expect('wins una=0 wnd=128').expect()
})

onBoth('a WINS changes only the window and una', (make) => {
  const t = make({ nc: true }).at(0).send('a', 'b').skip().at(20)
  t.input('wins sn=0 una=1 wnd=55 ts=19 frg=3 "payload"')
  equal(t.code, 0)
  equal(t.kcp.rmtWnd, 55)
  deepEqual(t.inFlight, [1])
  equal(t.kcp.srtt, 0)
  equal(t.recv(), -1)
  t.expect()
})

test('an ACK before the first update is timed against a clock of 0 (sys)', () => {
  const t = Trace.sys().clock(4_000_000_000).input('ack sn=0 ts=3999999980')
  equal(t.block.rx_srtt, 2 ** 32 - 3_999_999_980)
  equal(t.block.rx_rto, 60_000)
})

test('an ACK is timed by the clock given with its datagram, and only if its segment was sent (hardened)', () => {
  const t = Trace.hardened().clock(4_000_000_000).input('ack sn=0 ts=3999999980')
  equal(t.kcp.now, 4_000_000_000)
  equal(t.kcp.srtt, 0)
  const parity = new Trace().clock(4_000_000_000).input('ack sn=0 ts=3999999980')
  equal(parity.kcp.srtt, 20)
})

onBoth('a PUSH without payload is an empty message', (make) => {
  const t = make().at(0).input('push sn=0 ""').expect('ack sn=0 una=1')
  equal(t.peekSize(), 0)
  equal(t.recv(), '')
  equal(t.peekSize(), -1)
  equal(t.recv(), -1)
})

onBoth('a PUSH longer than our own mtu is accepted', (make) => {
  const t = make({ mtu: 50 }).at(0).input('push sn=0 <65483 B>')
  equal(t.code, 0)
  equal(t.recv(), 65_483)
})

/** The largest UDP datagram, full of empty PUSHes. */
const PUSHES_PER_DATAGRAM = 2729

test('2,729 empty PUSHes in one datagram are answered with as many bytes in 48 datagrams (sys)', () => {
  const t = Trace.sys().at(0)
  t.input(joined(PUSHES_PER_DATAGRAM, () => 'push sn=0 ""'))
  const out = t.flush().take()
  equal(out.length, 48)
  equal(
    out.reduce((sum, { length }) => sum + length, 0),
    65_496,
  )
})

test('2,729 empty PUSHes in one datagram get one ACK for each sn (hardened)', () => {
  const t = Trace.hardened().at(0)
  t.input(joined(PUSHES_PER_DATAGRAM, (i) => `push sn=${i % 300} ""`))
  const out = t.flush().take()
  equal(t.kcp.stats().acksOut, 256, '128 to read in order, 128 beyond')
  equal(out.length, Math.ceil(256 / 58))
})

onBoth('2,700 ACKs of one segment in one datagram count as one', (make) => {
  const t = make({ nc: true, sndWnd: 4, resend: 9 }).at(0).send('0', '1', '2', '3').skip().at(20)
  t.input(joined(2700, () => 'ack sn=3 ts=0'))
  equal(t.code, 0)
  deepEqual(t.inFlight, [0, 1, 2])
  deepEqual(t.skips, [1, 1, 1])
})

onBoth('PUSHes that arrive highest first are read in order', (make) => {
  const t = make({ rcvWnd: 1000 }).at(0)
  for (let sn = 999; sn >= 0; sn--) t.input(`push sn=${sn} "m${sn}"`)
  for (let sn = 0; sn < 1000; sn++) equal(t.recv(), `m${sn}`)
  equal(t.recv(), -1)
  equal(t.kcp.rcvNxt, 1000)
})

onBoth(
  'a peer that acknowledges only its newest segment, and the rest by una, gets no retransmissions',
  (make) => {
    const t = make({ nc: true, nodelay: 1, interval: 10 })
    for (let i = 0; i < 50; i++) {
      t.at(i * 20)
        .send('a', 'b', 'c')
        .skip()
        .at(i * 20 + 15)
      t.input(`ack sn=${i * 3 + 2} una=${i * 3 + 3} ts=${i * 20}`)
      deepEqual(t.inFlight, [])
    }
    equal(t.kcp.srtt, 15)
    equal(t.kcp.stats().segmentsOut, 150, 'nothing was resent')
  },
)

onBoth('a message of 255 fragments arrives when the receive window has space for it', (make) => {
  const t = make({ rcvWnd: 256 }).at(0)
  for (let i = 0; i < 255; i++) t.input(`push sn=${i} frg=${254 - i} <100 B>`)
  equal(t.recv(), 25_500)
  equal(t.kcp.protocolError, false)
})

onBoth(
  'towards a peer that never answers everything is kept and retransmitted, and nothing grows',
  (make) => {
    const t = make({ nc: true, nodelay: 2, interval: 10, sndWnd: 8 }).at(0)
    for (let i = 0; i < 20; i++) t.send('a')
    for (let now = 0; now < 60_000; now += 50) t.at(now)
    equal(t.inFlight.length, 8)
    equal(t.kcp.waitSnd(), 20)
    ok(t.kcp.dead)
    const resent = t.take().length
    ok(resent > 30 && resent < 40, `an RTO that grows by 100 ms: ${resent}`)
    t.at(60_010)
      .input(`wins una=8`)
      .expect(joined(8, (i) => `push sn=${i + 8}`))
  },
)

onBoth('foreign framing on the wire is rejected and counted', (make) => {
  const t = make().at(0)
  // kcp-go's FEC header: group number, then 0xf1 (data) or 0xf2 (parity), then the size.
  for (const type of [0xf1, 0xf2]) {
    const bytes = new Uint8Array(60)
    bytes[4] = type
    t.input(bytes)
    equal(t.code, -1)
    writeU32(bytes, 0, CONV)
    t.input(bytes)
    equal(t.code, -3)
  }
  equal(t.kcp.stats().inputErrors, 4)
})

test('a refusal as an error names the code, or the conversations', () => {
  const kcp = new Kcp(CONV, () => {})
  const push = parseTrace('push sn=0 "aaa"', { conv: CONV })
  equal(kcp.input(push, 0), push.length)
  throws(() => kcp.input(push.subarray(0, 3)), { code: 'ERR_KCP_INPUT', detail: { code: -1, size: 3 } })
  throws(() => kcp.input(push.subarray(0, 26)), { code: 'ERR_KCP_INPUT', detail: { code: -2, size: 26 } })
  throws(() => kcp.input(datagram('push sn=0', { cmd: 99 })), {
    code: 'ERR_KCP_INPUT',
    detail: { code: -3, size: 24 },
  })
  throws(() => kcp.input(parseTrace('push sn=0', { conv: 5 })), {
    code: 'ERR_KCP_CONV_MISMATCH',
    detail: { expected: CONV, got: 5 },
  })
  equal(readU32(push, 0), CONV, 'the datagram is only read')
})

test('the C names take a part of a buffer, and no more than it has (sys)', () => {
  const block = ikcp_create(CONV)
  const push = parseTrace('push sn=0 "abc" | push sn=1 "def"', { conv: CONV })
  equal(ikcp_input(block, push, 27), 0)
  equal(ikcp_input(block, push, push.length + 1), -1)
  equal(ikcp_input(block, push, -1), -1)
  equal(ikcp_recv(block, new Uint8Array(3), 3), 3)
  equal(block.rcv_nxt, 1)
})
