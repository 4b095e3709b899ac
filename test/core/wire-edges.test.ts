/** Edges that one comparison or one call keeps, and no other test of the engine would miss; found by `npm run mutation`. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import type { CongestionControl } from '../../src/core/congestion/controller.ts'
import { Kcp } from '../../src/core/kcp.ts'
import { KCP_LOG } from '../../src/core/log.ts'
import { setAllocator } from '../../src/core/memory.ts'
import type { MemoryBudget } from '../../src/core/memory-budget.ts'
import type { ReceiveWindow } from '../../src/core/receive-window.ts'
import { parseTrace } from '../../src/sim/trace.ts'
import { ikcp_send, ikcp_setoutput } from '../../src/sys.ts'
import { CONV, joined, onBoth, Trace, toBytes } from '../support/trace.ts'

afterEach(() => setAllocator())

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

test('a WASK and a datagram of two parts are paid for to the byte', () => {
  for (const [allowance, goes] of [
    [34, true],
    [33, false],
  ] as const) {
    const t = new Trace({ ...FAST, probeInterval: 500 }).at(0).input('wins wnd=0').skip()
    t.kcp.overhead = 10
    t.kcp.allowance = allowance
    t.at(600).expect(...(goes ? ['wask'] : []))
  }
  // Behind an ACK of 24 bytes a full segment takes a second datagram.
  for (const [allowance, goes] of [
    [24 + 10 + 50 + 10, true],
    [24 + 10 + 50 + 9, false],
  ] as const) {
    const t = new Trace({ ...FAST, mtu: 50 }).at(0)
    t.kcp.overhead = 10
    t.kcp.allowance = allowance
    t.send(26).input('push sn=0 "a"')
    t.expect('ack sn=0', ...(goes ? ['push sn=0 <26 B>'] : []))
  }
})

onBoth('what has no payload fills a datagram to the byte', (make) => {
  const t = make({ ...FAST, mtu: 72 }).at(0)
  t.input('push sn=0 "a" | push sn=1 "b" | wask').expect('ack sn=0 | ack sn=1 | wins')
  t.input('push sn=2 "a" | push sn=3 "b" | push sn=4 "c" | wask')
  t.expect('ack sn=2 | ack sn=3 | ack sn=4', 'wins')
})

test('a snd_una that was set by hand is put right by the next datagram (sys)', () => {
  for (const una of [0, 1, 5]) {
    const t = Trace.sys(FAST).at(0)
    t.kcp.sndUna = 5
    equal(t.input(`wins una=${una}`).kcp.sndUna, 0)
    t.send('a').skip()
    t.kcp.sndUna = 1
    t.input('wins una=1')
    deepEqual([t.kcp.sndUna, t.inFlight], [1, []])
  }
})

test('of two ACKs in a datagram the second counts, be it one number and one millisecond later', () => {
  const t = new Trace({ ...FAST, resend: 9 }).at(0).clock(10).send('0', '1').skip()
  t.clock(11).send('2', '3').skip()
  deepEqual(t.clock(30).input('ack sn=1 ts=10 | ack sn=3 ts=11').skips, [1, 1])
  const u = new Trace({ ...FAST, resend: 9 }).at(0).send('0', '1').skip()
  u.clock(200).send('2').expect('push sn=0 | push sn=1 | push sn=2')
  deepEqual(u.clock(230).input('ack sn=1 ts=0 | ack sn=2 ts=200').skips, [1])
})

onBoth('an ACK for the next number skips nothing', (make) => {
  const t = make({ ...FAST, resend: 9 })
    .at(0)
    .send('0', '1')
    .skip()
  deepEqual(t.at(10).input('ack sn=2 ts=0').skips, [0, 0])
})

test('an answer to a challenge that was lost and rebuilt measures no time', () => {
  const t = Trace.hardened(FAST).at(5000)
  t.kcp.challenge()
  t.skip().at(5030)
  const answer = new Trace(FAST)
    .at(0)
    .input(`push sn=${2 ** 32 - 1} ts=5000 ""`)
    .flush()
    .take()[0]!
  equal(t.kcp.tryInput(answer, 5030, true), 0)
  deepEqual([t.kcp.proven, t.kcp.srtt], [true, 0])
  t.kcp.tryInput(answer, 5030)
  equal(t.kcp.srtt, 30)
})

onBoth(
  'check takes any number as u32, and a clock 10 s behind the next flush for a clock that is late',
  (make) => {
    const t = make({ nc: true, interval: 100 })
    equal(t.kcp.check(2 ** 32 + 77), 77)
    equal(t.kcp.check(-1), 2 ** 32 - 1)
    t.at(20_000)
    equal(t.kcp.check(20_100 - 10_000), 10_200)
    equal(t.kcp.check(20_100 - 10_001), 10_099)
    equal(t.kcp.check(2 ** 32 + 20_150), 20_150)
  },
)

test('check looks for what is admitted and not sent, whichever of it was acknowledged (sys)', () => {
  const t = Trace.sys({ nc: true, interval: 100 }).at(0).send('0').skip()
  t.kcp.allowance = 0
  t.send('1').flush()
  equal(t.kcp.check(5), 5)
  t.input('ack sn=1')
  equal(t.kcp.check(5), 100)
  t.send('2', '3').flush().input('ack sn=2')
  equal(t.kcp.check(5), 5)
})

test('what was acknowledged before it was sent is not sent, and proves nothing (sys)', () => {
  const t = Trace.sys(FAST).at(10)
  t.kcp.allowance = 0
  t.send('0', '1', '2', '3').flush().sent()
  t.input('ack sn=0 una=1 ts=10', 'ack sn=2 una=1 ts=10')
  equal(t.kcp.proven, false)
  equal(t.kcp.snd.fresh, 1)
  t.kcp.allowance = Number.POSITIVE_INFINITY
  t.expect('push sn=1 "1" | push sn=3 "3"')
})

test('what output sends from inside leaves the datagram that was lent to it alone (sys)', () => {
  const t = Trace.sys({ ...FAST, mtu: 200, sndWnd: 300 })
    .at(0)
    .input('wins wnd=300')
  // An arena with room in it, and with free cells for all that follows.
  for (let i = 0; i < 200; i++) t.send(176)
  t.flush().input('wins una=200 wnd=300').skip()
  let changed = 0
  let calls = 0
  ikcp_setoutput(t.block, (datagram) => {
    const before = datagram.slice()
    if (calls++ < 4) equal(ikcp_send(t.block, new Uint8Array(1_000).fill(0xff), 1_000), 1_000)
    if (!datagram.every((byte, i) => byte === before[i])) changed++
    return 0
  })
  for (let i = 0; i < 40; i++) t.send(20)
  t.flush()
  deepEqual([calls, changed], [10, 0])
})

test('an engine with much to send may flush another one from its output', () => {
  const other = new Kcp(CONV + 1, null, { ...FAST, mtu: 200, sndWnd: 1 })
  other.update(0)
  const sent: Uint8Array[] = []
  const t = new Trace({ ...FAST, mtu: 200, sndWnd: 300 }).at(0).input('wins wnd=300')
  t.kcp.output = (datagram) => {
    const before = datagram.slice()
    other.send(new Uint8Array(9))
    other.input(toOther(`push sn=${other.rcvNxt} "x"`), 0)
    other.flush(0)
    sent.push(before, datagram.slice())
  }
  for (let round = 1; round <= 3; round++) {
    for (let i = 0; i < 100; i++) t.send(20 + (i % 30))
    t.flush().input(`wins una=${round * 100} wnd=300`)
  }
  ok(sent.length > 100)
  for (let i = 0; i < sent.length; i += 2) {
    deepEqual(sent[i + 1], sent[i])
    equal(Kcp.getConv(sent[i]!), t.kcp.conv)
  }
})

/** A line as a datagram of the conversation after every story's. */
function toOther(line: string): Uint8Array {
  return parseTrace(line, { conv: CONV + 1 })
}

/** Notes the names of the calls that matter to how a controller ends. */
function noted(calls: string[]): CongestionControl {
  return {
    name: 'noted',
    release: () => void calls.push('release'),
    onTick: () => void calls.push('onTick'),
    onAppLimited: () => void calls.push('onAppLimited'),
  }
}

test('a controller is let go when its engine is, after the flush that runs, and hears nothing more', () => {
  const calls: string[] = []
  const t = new Trace(FAST).at(0)
  t.kcp.setCongestion(noted(calls))
  t.kcp.release()
  deepEqual(calls, ['release'])
  equal(t.kcp.congestion, null)
  t.kcp.release()
  deepEqual(calls, ['release'])

  const within: string[] = []
  const u = new Trace({ ...FAST, mtu: 72 }).at(0)
  u.kcp.setCongestion(noted(within))
  u.kcp.output = (_, self) => self.release()
  u.input(joined(5, (i) => `push sn=${i} "x"`)).flush()
  deepEqual(within, ['onTick', 'onAppLimited', 'release'])
})

test('what is owed is forgotten, and all memory given back, when an engine is released or trimmed', () => {
  const t = new Trace(FAST).at(0).send('a').input('push sn=0 "x"')
  equal(t.kcp.acks.count, 1)
  t.kcp.release()
  deepEqual([t.kcp.acks.count, t.kcp.trimmable], [0, false])
  for (const use of ['send', 'receive', 'repeat']) {
    const u = Trace.sys(FAST).at(0)
    if (use === 'send') u.send('a').skip().input('wins una=1')
    if (use === 'receive') u.input('push sn=0 "x"').skip().recv()
    if (use === 'repeat') u.input(`push sn=${2 ** 32 - 1} "x"`).skip()
    equal(u.kcp.trimmable, true, use)
    u.kcp.trim()
    equal(u.kcp.trimmable, false, use)
  }
})

test('nothing is let in over the byte limits; where no reader can make room, that is told', () => {
  const t = Trace.hardened(FAST).at(0)
  t.kcp.rcv.maxBytes = 3_000
  t.input('push sn=3 <400 B>').expect()
  equal(t.kcp.counters.overLimit, 1, 'three full segments are missing before it')
  t.input('push sn=1 <1376 B>').expect('ack sn=1')
  t.input('push sn=0 <1376 B>').expect('ack sn=0')
  t.input('push sn=2 <400 B>').expect()
  deepEqual([t.kcp.counters.overLimit, t.kcp.rcv.starved], [2, undefined], 'a reader can make room')
  t.recv()
  t.input('push sn=2 <400 B>').expect('ack sn=2 | wins')

  const u = Trace.hardened(FAST).at(0)
  u.kcp.rcv.maxBytes = 3_000
  u.input('push sn=0 frg=2 <1376 B> | push sn=1 frg=1 <1376 B>').expect('ack sn=0 | ack sn=1')
  u.input('push sn=2 frg=0 <400 B>').expect()
  equal(u.kcp.rcv.starved, 'own', 'the message can never be read')
})

test('of a shared budget half can be held by what cannot be read, and the end of a message may use the rest', () => {
  const budget: MemoryBudget = { used: 0, limit: 8 * 1376 }
  const [a, b, c] = [1, 2, 3].map(() => Trace.hardened(FAST).at(0)) as [Trace, Trace, Trace]
  for (const { kcp } of [a, b, c]) kcp.rcv.budget = budget
  a.input('push sn=0 frg=3 "a" | push sn=1 frg=2 "b"').skip()
  b.input('push sn=0 frg=3 "a" | push sn=1 frg=2 "b"').skip()
  deepEqual([budget.used, budget.stuck], [4 * 1376, 4 * 1376], 'a segment costs what a full one does')
  c.input('push sn=0 frg=1 "x"').expect()
  equal(c.kcp.rcv.starved, 'shared')
  c.input('push sn=0 frg=0 "whole"').expect('ack sn=0')
  equal(budget.stuck, 4 * 1376)
  a.input('push sn=2 frg=1 "c"').expect()
  equal(a.kcp.rcv.starved, 'shared')
  b.kcp.release()
  deepEqual([budget.used, budget.stuck], [3 * 1376, 2 * 1376])
  a.input('push sn=2 frg=1 "c" | push sn=3 frg=0 "d"').expect('ack sn=2 | ack sn=3')
  equal(budget.stuck, 0)
})

test('of a repeat with one byte the ACK may be spared, of an empty one never', () => {
  const t = Trace.hardened(FAST).at(0).input('push sn=0 ts=5 "a" | push sn=1 ts=5 ""').skip()
  t.input('push sn=2 ts=9 "c" | push sn=0 ts=9 "a"').expect('ack sn=2 ts=9')
  t.input('push sn=3 ts=11 "c" | push sn=1 ts=11 ""').expect('ack sn=3 ts=11 | ack sn=1 ts=11')
})

test('numbers and times are u32 to a controller, and an rtt is -1 when the clock is behind', () => {
  const t = new Trace({ ...FAST, resend: 0 })
  const heard: number[][] = []
  t.kcp.setCongestion({
    name: 'heard',
    onSent: (_, ...it) => void heard.push(it),
    onAcked: (_, ...it) => void heard.push(it),
  })
  t.kcp.cwnd = 9
  const start = 0xffff_fff0
  t.kcp.snd.sndNxt = t.kcp.sndUna = start
  t.at(4_000_000_000).send('abc', 'd').skip()
  deepEqual(heard.splice(0), [
    [start, 4_000_000_000, 3, 2, 1],
    [start + 1, 4_000_000_000, 1, 2, 1],
  ])
  t.clock(3_999_999_000).input(`ack sn=${start} una=${start} ts=4000000000`)
  deepEqual(heard, [[start, 4_000_000_000, 3, -1, 1]])
})

test('a controller whose budget is none keeps a single byte back', () => {
  const t = new Trace(FAST).at(0)
  t.kcp.setCongestion({ name: 'none', budget: () => 0 })
  t.kcp.cwnd = 9
  t.send('a').expect()
})

test('cwnd is 1 at least, and its bytes are a u32, when a controller leaves or cannot come', () => {
  const { kcp } = new Trace({ mtu: 65_507 })
  const fails = {
    name: 'fails',
    init(): void {
      throw new Error('no')
    },
  }
  for (const [cwnd, then] of [
    [0, 1],
    [1, 1],
    [2, 2],
    [40_000, 40_000],
  ] as const) {
    kcp.cwnd = cwnd
    kcp.setCongestion(null)
    deepEqual([kcp.cwnd, kcp.cwndBytes], [then, then * 65_483])
    kcp.cwnd = cwnd
    throws(() => kcp.setCongestion(fails), /no/)
    deepEqual([kcp.cwnd, kcp.cwndBytes], [then, then * 65_483])
  }
})

test('segments of one datagram are read from where it lies, wherever the window moves it', () => {
  setAllocator(
    (size) => new Uint8Array(size),
    (block) => void block.fill(0xee),
  )
  const t = Trace.hardened(FAST).at(0).input('push sn=0 "a"')
  t.input(joined(40, (i) => `push sn=${i + 1} "m${i}"`))
  equal(t.code, 0)
  equal(t.recv(), 'a')
  for (let i = 0; i < 40; i++) equal(t.recv(), `m${i}`)
})

test('memory of what was acknowledged, dropped or read is used again', () => {
  const t = Trace.hardened({ ...FAST, sndWnd: 1 }).at(0)
  t.send('0', '1').input('push sn=0 "x" | push sn=1 "x"').skip()
  t.recv()
  t.recv()
  t.input('wins una=1').skip()
  t.input('wins una=2')
  const rooms = (): number[] => [t.kcp.snd.cells.bytes.length, roomOf(t.kcp.rcv)]
  const before = rooms()
  for (let i = 2; i < 500; i++) {
    t.clock(i * 10)
      .send('m')
      .input(`push sn=${i} "x"`)
      .skip()
    t.kcp.send(toBytes('late'), i * 10 + 5)
    t.clock(i * 10 + 5).skip()
    equal(t.recv(), 'x')
    t.input(`wins una=${i + 1}`)
  }
  equal(t.kcp.counters.expired, 498)
  deepEqual(rooms(), before)
})

test('what is read is logged with its number', () => {
  const t = new Trace(FAST).at(0)
  const lines: string[] = []
  t.kcp.rcv.rcvNxt = 2 ** 32 - 1
  t.kcp.setLog(KCP_LOG.RECV, (line) => void lines.push(line))
  t.input(`push sn=${2 ** 32 - 1} "a" | push sn=0 "b"`)
  t.recv()
  t.recv()
  deepEqual(lines, ['recv sn=4294967295', 'recv sn=0'])
})

test('a flush that a controller breaks off leaves nothing behind in the next datagram', () => {
  const t = new Trace(FAST).at(0)
  let breaks = true
  t.kcp.setCongestion({
    name: 'breaks',
    onAppLimited() {
      if (breaks) throw new Error('broken')
    },
  })
  throws(() => t.input('push sn=0 "a"').flush(), /broken/)
  breaks = false
  t.input('push sn=1 "b"').expect('ack sn=1')
  const other = new Kcp(CONV + 1, (datagram) => equal(datagram.length, 25))
  other.update(0)
  other.send(new Uint8Array(1))
  other.flush(0)
})

onBoth('what una leaves of a flush has its RTO, also behind messages of two fragments', (make) => {
  for (let una = 0; una < 7; una++) {
    const t = make({ ...FAST, mtu: 50 })
      .at(0)
      .send(52, 52, 52, 'x')
      .skip()
    t.input(`wins una=${una}`).at(200)
    deepEqual(
      t.lines().flatMap((line) => /push sn=\d/g.exec(line) ?? []),
      [0, 1, 2, 3, 4, 5, 6].slice(una).map((sn) => `push sn=${sn}`),
    )
  }
})

onBoth('after its windows were given back an engine waits for RTOs as before', (make) => {
  const t = make(FAST).at(500).send('a').skip().input('wins una=1')
  t.kcp.trim()
  t.send('b').skip()
  equal(t.kcp.timerAt, 700)
})

test('a clock that steps back changes nothing of what is resent later', () => {
  const t = Trace.hardened({ ...FAST, sndWnd: 64 }).at(10_000)
  const messages = Array.from({ length: 40 }, (_, i) => `m${i}`)
  t.send(...messages).skip()
  t.clock(5_000).send('after').expect('push sn=40 "after"')
  const resent = t
    .clock(10_200)
    .flush()
    .lines()
    .flatMap((line) => line.match(/(?<=")\w+(?=")/g) ?? [])
  deepEqual(resent, [...messages, 'after'])
})

test('a second ACK for what was never sent skips what was sent no later than its ts (sys)', () => {
  const t = Trace.sys(FAST).at(10).send('0', '1').skip()
  t.kcp.allowance = 0
  t.at(30).send('2', '3', '4').flush()
  t.input('ack sn=0 una=0 ts=100 | ack sn=3 una=0 ts=10')
  t.kcp.allowance = Number.POSITIVE_INFINITY
  t.at(50).sent('push sn=2 ts=50 | push sn=4 ts=50')
  deepEqual(t.input('ack sn=3 una=1 ts=40').skips, [1, 0, 0])
})
