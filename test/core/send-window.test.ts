import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { SendWindow } from '../../src/core/send-window.ts'
import { seqAdd, seqDiff } from '../../src/core/seq.ts'
import { Prng } from '../../src/sim/prng.ts'
import { toBytes } from '../support/trace.ts'

/** Off, as the engine says it. */
const NEVER = 0xffff_ffff

function append(window: SendWindow, ...messages: string[]): void {
  for (const message of messages) window.append(toBytes(message), 0, message.length, 2000, false)
}

/** Queues, admits and sends `count` segments at `now`, due again after 200 ms. */
function launch(window: SendWindow, count: number, now: number): void {
  for (let i = 0; i < count; i++) append(window, `m${i}`)
  for (let i = 0; i < count; i++) window.admit(200, now)
  while (window.fresh !== window.sndNxt) window.launch(window.fresh, now, 200, seqAdd(now, 200))
}

function text(window: SendWindow, sn: number): string {
  const bytes = new Uint8Array(window.lenOf(sn) + 2)
  window.copyOut(sn, bytes, 1)
  return String.fromCharCode(...bytes.subarray(1, -1))
}

function dueAt(window: SendWindow, now: number, resend = NEVER, fastLimit = 5): number[] {
  const count = window.collectDue(now, resend, fastLimit)
  const due = Array.from({ length: count }, (_, i) => window.dueSn(i) >>> 0)
  window.putBack(0)
  return due
}

test('a segment is queued, admitted, sent, and gone when it is acknowledged', () => {
  const window = new SendWindow()
  append(window, 'aaa', 'bb')
  deepEqual([window.queued, window.inFlight, window.bytes, window.sndNxt], [2, 0, 5, 0])
  window.admit(200, 10)
  deepEqual([window.queued, window.inFlight, window.sndNxt, window.fresh], [1, 1, 1, 0])
  window.launch(0, 10, 200, 210)
  deepEqual([window.fresh, window.xmitOf(0), window.tsOf(0), window.resendAtOf(0)], [1, 1, 10, 210])
  equal(text(window, 0), 'aaa')
  ok(window.ack(0, undefined))
  ok(!window.ack(0, undefined), 'once only')
  deepEqual([window.inFlight, window.base, window.bytes, window.ackedBytes], [0, 1, 2, 3])
  equal(window.hasDeadline, false)
})

test('una acknowledges what is before it, an ACK one; the oldest that is left is the base', () => {
  const window = new SendWindow()
  const acked: number[] = []
  launch(window, 6, 0)
  window.ack(3, (sn) => acked.push(sn))
  window.ack(1, (sn) => acked.push(sn))
  equal(window.base, 0)
  window.ackUpTo(1, (sn) => acked.push(sn))
  equal(window.base, 2, '1 was gone already')
  window.ackUpTo(5, (sn) => acked.push(sn))
  equal(window.base, 5)
  window.ackUpTo(2 ** 31, (sn) => acked.push(sn))
  deepEqual([window.base, window.inFlight], [6, 0])
  deepEqual(acked, [3, 1, 0, 2, 4, 5])
})

test('what is due comes in order of sn, whatever the deadlines', () => {
  const window = new SendWindow()
  launch(window, 3, 0)
  launch(window, 3, 50)
  deepEqual(dueAt(window, 199), [])
  deepEqual(dueAt(window, 200), [0, 1, 2])
  window.collectDue(200, NEVER, 5)
  for (const sn of [0, 1, 2]) {
    ok(window.timedOut(sn))
    window.resent(sn, 200, 400, 600, false)
  }
  equal(window.deadline, 250)
  deepEqual(dueAt(window, 600), [0, 1, 2, 3, 4, 5])
})

test('skips count for segments sent no later than what was acknowledged', () => {
  const window = new SendWindow()
  launch(window, 3, 0)
  launch(window, 3, 50)
  window.countSkips(5, 50)
  window.countSkips(2, 0)
  deepEqual(
    [0, 1, 2, 3, 4, 5].map((sn) => window.skipsOf(sn)),
    [2, 2, 1, 1, 1, 0],
  )
  deepEqual(dueAt(window, 60, 2), [0, 1])
  window.collectDue(60, 2, 5)
  ok(!window.timedOut(0))
  window.resent(0, 60, 200, 260, true)
  window.resent(1, 60, 200, 260, true)
  window.countSkips(5, 50)
  deepEqual(
    [0, 1, 2].map((sn) => window.skipsOf(sn)),
    [0, 0, 2],
  )
  window.countSkips(5, 60)
  deepEqual(
    [0, 1, 2].map((sn) => window.skipsOf(sn)),
    [1, 1, 3],
  )
})

test('sentAt knows the times at which a segment was sent', () => {
  const window = new SendWindow()
  launch(window, 2, 100)
  window.beginDatagram()
  ok(window.sentAt(0, 100) && !window.sentAt(0, 99) && !window.sentAt(0, 101))
  window.collectDue(300, NEVER, 5)
  window.resent(0, 300, 400, 700, false)
  window.resent(1, 300, 400, 700, false)
  window.beginDatagram()
  ok(window.sentAt(0, 100) && window.sentAt(0, 200) && window.sentAt(0, 300) && !window.sentAt(0, 301))
  ok(!window.sentAt(2, 100) && !window.sentAt(0xffff_ffff, 100))
  window.ackUpTo(1, undefined)
  ok(window.sentAt(0, 300), 'within the datagram that removed it')
  window.beginDatagram()
  ok(!window.sentAt(0, 300))
})

test('stream bytes extend the last queued segment, also when it lies at the end of the ring', () => {
  const window = new SendWindow()
  append(window, 'a'.repeat(1500), 'b'.repeat(300))
  window.admit(200, 0)
  window.admit(200, 0)
  while (window.fresh !== window.sndNxt) window.launch(window.fresh, 0, 200, 200)
  window.append(toBytes('c'.repeat(240)), 0, 240, 2000, false)
  window.ack(0, undefined)
  window.extend(toBytes('d'.repeat(20)), 0, 20)
  equal(window.lastQueuedLen(), 260)
  window.admit(200, 0)
  equal(text(window, 2), 'c'.repeat(240) + 'd'.repeat(20))
  equal(window.frgOf(2), 0)
  equal(text(window, 1), 'b'.repeat(300))
})

test('the next number can be set while nothing is in flight, and keeps what is queued', () => {
  const window = new SendWindow()
  append(window, 'x', 'y', 'z')
  window.sndNxt = 0xffff_fffe
  launch(window, 0, 0)
  for (let i = 0; i < 3; i++) window.admit(200, 0)
  deepEqual([text(window, 0xffff_fffe), text(window, 0xffff_ffff), text(window, 0)], ['x', 'y', 'z'])
  window.sndNxt = 77
  equal(window.sndNxt, 1, 'not while something is in flight')
})

test('trim gives memory back only when nothing is held; drop forgets everything', () => {
  const window = new SendWindow()
  launch(window, 2, 0)
  window.trim()
  equal(text(window, 1), 'm1')
  window.ackUpTo(2, undefined)
  window.trim()
  launch(window, 1, 0)
  equal(text(window, 2), 'm0')
  append(window, 'queued')
  window.drop()
  deepEqual(
    [window.inFlight, window.queued, window.bytes, window.base, window.hasDeadline],
    [0, 0, 0, 3, false],
  )
})

// ---- the twin -----------------------------------------------------------------------------------------------

interface Segment {
  readonly sn: number
  frg: number
  data: string
  ts: number
  firstTs: number
  rto: number
  xmit: number
  resendAt: number
  skips: number
}

/** The same window, as plainly as the reference has it: two lists that are walked. */
class Twin {
  queue: { frg: number; data: string }[] = []
  flight: Segment[] = []
  /** What the current datagram acknowledged. */
  gone: Segment[] = []
  next = 0
  fresh = 0
  ackedBytes = 0

  get base(): number {
    return this.flight[0]?.sn ?? this.next
  }

  get bytes(): number {
    return [...this.queue, ...this.flight].reduce((sum, { data }) => sum + data.length, 0)
  }

  admit(rto: number, now: number): void {
    const { frg, data } = this.queue.shift()!
    this.flight.push({
      sn: this.next,
      frg,
      data,
      ts: now,
      firstTs: now,
      rto,
      xmit: 0,
      resendAt: now,
      skips: 0,
    })
    this.next = seqAdd(this.next, 1)
  }

  acknowledge(is: (sn: number) => boolean): boolean {
    const gone = this.flight.filter(({ sn }) => is(sn))
    this.flight = this.flight.filter(({ sn }) => !is(sn))
    this.gone.push(...gone)
    for (const { data } of gone) this.ackedBytes += data.length
    if (seqDiff(this.fresh, this.base) < 0) this.fresh = this.base
    return gone.length > 0
  }

  sentAt(sn: number, ts: number): boolean {
    const segment = [...this.flight, ...this.gone].find((one) => one.sn === sn)
    if (segment === undefined || segment.xmit === 0) return false
    return seqDiff(ts, segment.firstTs) >= 0 && seqDiff(ts, segment.ts) <= 0
  }

  countSkips(sn: number, ts: number): void {
    for (const segment of this.flight) {
      if (segment.xmit > 0 && seqDiff(segment.sn, sn) < 0 && seqDiff(ts, segment.ts) >= 0) segment.skips++
    }
  }

  timedOut(segment: Segment, now: number): boolean {
    return seqDiff(now, segment.resendAt) >= 0
  }

  due(now: number, resend: number, fastLimit: number): Segment[] {
    return this.flight.filter((segment) => {
      if (segment.xmit === 0) return false
      if (this.timedOut(segment, now)) return true
      return segment.skips >= resend && (fastLimit <= 0 || segment.xmit <= fastLimit)
    })
  }

  sent(segment: Segment, now: number, rto: number, resendAt: number, fast: boolean): void {
    if (segment.xmit === 0) {
      segment.firstTs = now
      this.fresh = seqAdd(segment.sn, 1)
    }
    if (fast) segment.skips = 0
    segment.ts = now
    segment.xmit++
    segment.rto = rto
    segment.resendAt = resendAt
  }
}

/** What a seed's run is like. */
interface Habits {
  /** How often the clock steps back. */
  readonly backwards: number
  /** How often an ACK tells a ts that we never wrote. */
  readonly forged: number
  /** How often a flush stops midway, as pacing makes it. */
  readonly paced: number
  readonly resend: number
  readonly fastLimit: number
  readonly longest: number
}

function compare(window: SendWindow, twin: Twin, where: string): void {
  deepEqual(
    [window.sndNxt, window.base, window.inFlight, window.queued, window.bytes, window.ackedBytes],
    [twin.next, twin.base, twin.flight.length, twin.queue.length, twin.bytes, twin.ackedBytes],
    where,
  )
  equal(window.lastQueuedLen(), twin.queue.at(-1)?.data.length ?? -1, where)
  const earliest = twin.flight
    .filter(({ xmit }) => xmit > 0)
    .reduce<number | undefined>(
      (a, { resendAt }) => (a === undefined || seqDiff(resendAt, a) < 0 ? resendAt : a),
      undefined,
    )
  equal(window.hasDeadline ? window.deadline : undefined, earliest, where)
  for (const segment of twin.flight) {
    const { sn } = segment
    ok(window.has(sn), where)
    deepEqual(
      {
        frg: window.frgOf(sn),
        len: window.lenOf(sn),
        ts: window.tsOf(sn),
        rto: window.rtoOf(sn),
        xmit: window.xmitOf(sn),
        resendAt: window.resendAtOf(sn),
        skips: window.skipsOf(sn),
      },
      {
        frg: segment.frg,
        len: segment.data.length,
        ts: segment.ts,
        rto: segment.rto,
        xmit: segment.xmit,
        resendAt: segment.resendAt,
        skips: segment.skips,
      },
      `${where} sn=${sn}`,
    )
  }
}

/** One run; both are told the same and must answer the same. */
function run(seed: number, habits: Habits, steps: number): void {
  const prng = new Prng(seed)
  const window = new SendWindow()
  const twin = new Twin()
  const source = new Uint8Array(4000)
  for (let i = 0; i < source.length; i++) source[i] = 33 + (i % 90)
  window.sndNxt = twin.next = twin.fresh = prng.chance(0.3) ? 0xffff_ffe0 : prng.u32()
  let now = prng.chance(0.3) ? 0xffff_f000 : prng.u32()

  const piece = (): [start: number, len: number, data: string] => {
    const start = prng.int(0, 89)
    const len = prng.int(0, prng.chance(0.1) ? habits.longest : 40)
    return [start, len, String.fromCharCode(...source.subarray(start, start + len))]
  }
  const anySn = (): number => seqAdd(twin.base, prng.int(-3, seqDiff(twin.next, twin.base) + 2))

  for (let step = 0; step < steps; step++) {
    const where = `seed=${seed} step=${step}`
    const dice = prng.int(0, 99)
    if (dice < 25) {
      const [start, len, data] = piece()
      const mss = prng.int(20, 1400)
      const stream = prng.chance(0.3)
      window.append(source, start, len, mss, stream)
      const count = Math.max(1, Math.ceil(len / mss))
      for (let i = 0; i < count; i++) {
        twin.queue.push({ frg: stream ? 0 : count - i - 1, data: data.slice(i * mss, (i + 1) * mss) })
      }
    } else if (dice < 32) {
      const last = twin.queue.at(-1)
      if (last !== undefined && last.data.length < 1400) {
        const [start, len, data] = piece()
        const zeros = prng.chance(0.1)
        window.extend(zeros ? null : source, start, len)
        last.data += zeros ? '\0'.repeat(len) : data
        last.frg = 0
      }
    } else if (dice < 70) {
      datagram(where)
    } else if (dice < 97) {
      flush(where)
    } else if (dice === 97) {
      window.trim()
    } else if (dice === 98 && prng.chance(habits.backwards)) {
      now = (now - prng.int(1, 3000)) >>> 0
    } else {
      now = (now + prng.int(100, 2000)) >>> 0
    }
    if (prng.chance(0.7)) now = (now + prng.int(0, 20)) >>> 0
    compare(window, twin, where)
  }

  // Whatever went on, the payloads are what was queued.
  while (twin.queue.length > 0) {
    window.admit(200, now)
    twin.admit(200, now)
  }
  for (const { sn, data } of twin.flight) equal(text(window, sn), data, `seed=${seed} sn=${sn}`)

  function datagram(where: string): void {
    const told: number[] = []
    window.beginDatagram()
    window.ackedBytes = twin.ackedBytes = 0
    twin.gone = []
    if (prng.chance(0.4)) {
      const una = prng.chance(0.9) ? seqAdd(twin.base, prng.int(-2, 4)) : anySn()
      window.ackUpTo(una, (sn) => told.push(sn))
      twin.acknowledge((sn) => seqDiff(sn, una) < 0)
    }
    let newest: [sn: number, ts: number] | undefined
    for (let i = prng.int(0, 3); i > 0; i--) {
      const sn = anySn()
      const segment = twin.flight.find((one) => one.sn === sn)
      let ts = segment === undefined ? now : prng.chance(0.8) ? segment.ts : segment.firstTs
      if (prng.chance(habits.forged)) ts = prng.chance(0.5) ? prng.u32() : seqAdd(ts, prng.int(-500, 500))
      equal(window.sentAt(sn, ts), twin.sentAt(sn, ts), where)
      // The engine asks for what is not before the base only.
      if (seqDiff(sn, twin.base) < 0) continue
      equal(
        window.ack(sn, (one) => told.push(one)),
        twin.acknowledge((one) => one === sn),
        where,
      )
      newest ??= [sn, ts]
    }
    deepEqual(
      told,
      twin.gone.map(({ sn }) => sn),
      where,
    )
    if (newest === undefined || seqDiff(newest[0], twin.base) < 0 || seqDiff(newest[0], twin.next) >= 0)
      return
    window.countSkips(...newest)
    twin.countSkips(...newest)
  }

  function flush(where: string): void {
    for (let i = prng.int(0, 12); i > 0 && twin.queue.length > 0 && twin.flight.length < 150; i--) {
      const rto = prng.int(30, 400)
      window.admit(rto, now)
      twin.admit(rto, now)
    }
    const due = twin.due(now, habits.resend, habits.fastLimit)
    const count = window.collectDue(now, habits.resend, habits.fastLimit)
    deepEqual(
      Array.from({ length: count }, (_, i) => window.dueSn(i) >>> 0),
      due.map(({ sn }) => sn),
      where,
    )
    const paced = prng.chance(habits.paced)
    for (const [i, segment] of due.entries()) {
      if (paced && prng.chance(0.2)) {
        window.putBack(i)
        return
      }
      const fast = !twin.timedOut(segment, now)
      equal(window.timedOut(segment.sn), !fast, where)
      const rto = fast ? segment.rto : segment.rto + 100
      window.resent(segment.sn, now, rto, seqAdd(now, rto), fast)
      twin.sent(segment, now, rto, seqAdd(now, rto), fast)
    }
    for (const segment of twin.flight.filter(({ xmit }) => xmit === 0)) {
      if (paced && prng.chance(0.2)) return
      window.launch(segment.sn, now, segment.rto, seqAdd(now, segment.rto))
      twin.sent(segment, now, segment.rto, seqAdd(now, segment.rto), false)
    }
  }
}

const CALM: Habits = { backwards: 0, forged: 0, paced: 0, resend: 2, fastLimit: 5, longest: 1400 }

for (const [name, habits] of [
  ['on an honest network', CALM],
  ['without fast resends', { ...CALM, resend: NEVER }],
  ['with one skip as threshold and no limit', { ...CALM, resend: 1, fastLimit: 0 }],
  ['with a limit of one', { ...CALM, resend: 1, fastLimit: 1 }],
  ['when the clock steps back', { ...CALM, backwards: 1 }],
  ['when ACKs are forged', { ...CALM, forged: 0.2 }],
  ['when pacing cuts flushes short', { ...CALM, paced: 0.5 }],
  ['when everything happens at once', { ...CALM, backwards: 1, forged: 0.1, paced: 0.3, resend: 1 }],
  ['when segments are tiny', { ...CALM, longest: 41 }],
] as const) {
  test(`the window answers as its list-based twin ${name}`, () => {
    for (let seed = 1; seed <= 12; seed++) run(seed, habits, 500)
  })
}

test('a deep queue: the ring of slots and the ring of bytes grow under way and wrap', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const prng = new Prng(seed)
    const window = new SendWindow()
    const sent: string[] = []
    let next = 0
    window.sndNxt = 0xffff_ff00
    for (let step = 0; step < 3000; step++) {
      const dice = prng.int(0, 3)
      if (dice < 2) {
        const message = String.fromCharCode(33 + (step % 90)).repeat(prng.int(1, 300))
        append(window, message)
        sent.push(message)
      } else if (dice === 2 && window.queued > 0) {
        window.admit(200, step)
        window.launch(window.fresh, step, 200, step + 200)
      } else if (window.inFlight > 0 && window.inFlight > prng.int(0, 60)) {
        equal(text(window, window.base), sent[next], `seed=${seed} step=${step}`)
        window.ackUpTo(seqAdd(window.base, 1), undefined)
        next++
      }
    }
    ok(next > 200, `seed=${seed} next=${next}`)
  }
})

test('of one millisecond, what has a lower sn counts as sent before, whichever flush sent it again', () => {
  for (const start of [0, 0xffff_ffff]) {
    const window = new SendWindow()
    window.sndNxt = start
    launch(window, 4, 0)
    const sn = (i: number): number => seqAdd(start, i)
    // A flush sends the newest again, the next one of the same millisecond three that are older.
    for (const i of [3, 0, 1, 2]) window.resent(sn(i), 100, 200, 300, true)
    window.ack(sn(1), undefined)
    const late = (now: number): number[] => {
      const count = window.collectLate(now, 100, sn(1), 50)
      const due = Array.from({ length: count }, (_, i) => window.dueSn(i) >>> 0)
      window.putBack(0)
      return due
    }
    deepEqual(late(149), [])
    deepEqual([window.hasLate, window.lateAt], [true, 150])
    deepEqual(late(150), [sn(0)])
    equal(window.hasLate, false)
  }
})

test('what a queued message said of its time does not stay where it lay', () => {
  // Moved by a new number, moved up by one that expired, or dropped: who comes there next has no time.
  const window = new SendWindow()
  const said: number[] = []
  window.onOutcome = (ticket) => void said.push(ticket)
  append(window, 'x')
  window.limit(1, 1_000, 7)
  append(window, 'y')
  window.sndNxt = 5
  append(window, 'z')
  for (let i = 0; i < 3; i++) append(window, 'later')
  equal(window.expire(2_000), 1)
  deepEqual([said, window.queued], [[7], 5])

  // The same for a slot that is not the first of the ring.
  const second = new SendWindow()
  append(second, 'x', 'y')
  second.limit(1, 1_000, 1)
  second.sndNxt = 6
  append(second, 'a', 'b', 'c')
  equal(second.expire(2_000), 1)
  equal(second.queued, 4)

  const moved = new SendWindow()
  append(moved, 'gone')
  moved.limit(1, 100, 1)
  append(moved, 'kept')
  moved.limit(1, 1_000, 2)
  equal(moved.expire(100), 1)
  append(moved, 'plain')
  equal(moved.expire(1_000), 1)
  equal(moved.queued, 1)

  const dropped = new SendWindow()
  append(dropped, 'plain', 'gone')
  dropped.limit(1, 100, 1)
  equal(dropped.expire(100), 1)
  append(dropped, 'plain', 'gone')
  dropped.limit(1, 1_000, 2)
  equal(dropped.expire(1_000), 1)
  equal(dropped.queued, 2)
})

test('when the next message expires is known to the millisecond, u32', () => {
  const window = new SendWindow()
  for (const [text, at] of [
    ['a', 3_000_000_101],
    ['b', 3_000_000_301],
    ['c', 3_000_000_201],
  ] as const) {
    append(window, text)
    window.limit(1, at, 0)
  }
  equal(window.expiryAt, 3_000_000_101)
  equal(window.expire(3_000_000_100), 0)
  equal(window.expire(3_000_000_101), 1)
  equal(window.expiryAt, 3_000_000_201)
  equal(window.expire(3_000_000_201), 1)
  equal(window.expiryAt, 3_000_000_301)
})

test('the next number can be set to any, also one less, but not while a single one is in flight', () => {
  const window = new SendWindow()
  window.sndNxt = 1
  window.sndNxt = 0
  equal(window.sndNxt, 0)
  launch(window, 1, 0)
  window.sndNxt = 9
  equal(window.sndNxt, 1)
})

test('times of a segment are u32 to those who look on', () => {
  const window = new SendWindow()
  const seen: number[][] = []
  append(window, 'a', 'b')
  window.sndNxt = 0xffff_ffff
  for (let i = 0; i < 2; i++) window.admit(200, 3_000_000_000)
  window.launch(0xffff_ffff, 3_000_000_000, 3_500_000_000, 3_000_000_200)
  deepEqual(
    [
      window.firstTsOf(0xffff_ffff),
      window.tsOf(0xffff_ffff),
      window.rtoOf(0xffff_ffff),
      window.resendAtOf(0xffff_ffff),
    ],
    [3_000_000_000, 3_000_000_000, 3_500_000_000, 3_000_000_200],
  )
  window.ack(0xffff_ffff, (...it) => void seen.push(it))
  deepEqual(seen, [[0xffff_ffff, 3_000_000_000, 1, 1]])
})

test('an RTO that ends at 0 is one, whatever was sent before', () => {
  const first = new SendWindow()
  launch(first, 1, 2 ** 32 - 200)
  ok(first.hasDeadline)
  deepEqual(dueAt(first, 0), [0])
  const second = new SendWindow()
  launch(second, 1, 2 ** 32 - 300)
  launch(second, 1, 2 ** 32 - 200)
  second.ackUpTo(1, undefined)
  ok(second.hasDeadline)
  deepEqual(dueAt(second, 0), [1])
})

test('a run that is over takes nobody in, also when the clock shows its time again', () => {
  // Given back and begun again within a millisecond.
  const window = new SendWindow()
  launch(window, 1, 10)
  window.ackUpTo(1, undefined)
  window.trim()
  launch(window, 1, 10)
  ok(window.hasDeadline)
  deepEqual(dueAt(window, 210), [1])

  // Resent, acknowledged, and then a clock that was set back.
  const late = new SendWindow()
  launch(late, 1, 1_000)
  equal(late.collectDue(1_200, NEVER, 5), 1)
  late.resent(0, 1_200, 400, 1_600, false)
  late.ackUpTo(1, undefined)
  launch(late, 1, 1_000)
  ok(late.hasDeadline)
  deepEqual(dueAt(late, 1_200), [1])
})

test('what was acknowledged before it was sent breaks no run, whoever led one at its place before', () => {
  // Four slots. sn 1 leads a run and is acknowledged on its own; sn 5 comes to its slot, and is never sent.
  const window = new SendWindow()
  launch(window, 1, 0)
  launch(window, 1, 10)
  launch(window, 1, 20)
  window.ack(1, undefined)
  window.ackUpTo(3, undefined)
  launch(window, 1, 30)
  window.ackUpTo(4, undefined)
  append(window, 'x', 'y', 'z')
  for (let i = 0; i < 3; i++) window.admit(200, 100)
  equal(window.capacity, 4)
  window.ack(5, undefined)
  window.launch(4, 100, 200, 300)
  window.launch(6, 100, 200, 300)
  window.ack(4, undefined)
  ok(window.hasDeadline, 'sn 6 is the next to lead')
  deepEqual(dueAt(window, 300), [6])
})

test('segments that were put back are due once each, also when one of them is gone', () => {
  for (let count = 2; count < 12; count++) {
    const window = new SendWindow()
    launch(window, count, 0)
    const all = Array.from({ length: count }, (_, i) => i)
    for (let again = 0; again < 4; again++) deepEqual(dueAt(window, 200 + again), all)
    window.ack(0, undefined)
    deepEqual(dueAt(window, 300), all.slice(1))
    window.ack(count - 1, undefined)
    deepEqual(dueAt(window, 301), all.slice(1, -1))
    if (count > 4) {
      window.ack(2, undefined)
      window.ackUpTo(2, undefined)
      deepEqual(dueAt(window, 302), all.slice(3, -1))
    }
  }
})

test('an ACK with a ts between two transmissions skips what was sent no later than that', () => {
  const window = new SendWindow()
  launch(window, 1, 10)
  launch(window, 1, 20)
  launch(window, 1, 30)
  window.ack(2, undefined)
  window.countSkips(2, 15)
  deepEqual([window.skipsOf(0), window.skipsOf(1)], [1, 0])
  window.countSkips(2, 30)
  deepEqual([window.skipsOf(0), window.skipsOf(1)], [2, 1])
})

test('a ts half the numbers ahead skips those that are behind it', () => {
  for (const start of [0, 1]) {
    const window = new SendWindow()
    window.sndNxt = start
    for (const now of [10, 1_010, 2_010]) launch(window, 1, now)
    window.ack(start + 2, undefined)
    window.countSkips(start + 2, 10 + 2 ** 31 + 5)
    deepEqual([window.skipsOf(start), window.skipsOf(start + 1)], [0, 1])
  }
})

test('a clock that steps back by a millisecond is noticed', () => {
  const window = new SendWindow()
  launch(window, 1, 10)
  launch(window, 1, 11)
  launch(window, 1, 10)
  window.ack(2, undefined)
  window.countSkips(2, 10)
  deepEqual([window.skipsOf(0), window.skipsOf(1)], [1, 0])

  const resent = new SendWindow()
  launch(resent, 2, 10)
  resent.resent(0, 11, 200, 211, true)
  launch(resent, 2, 10)
  resent.ack(3, undefined)
  resent.countSkips(3, 10)
  deepEqual([resent.skipsOf(0), resent.skipsOf(1), resent.skipsOf(2)], [0, 1, 1])

  const twice = new SendWindow()
  launch(twice, 2, 10)
  twice.resent(0, 11, 200, 211, true)
  twice.resent(1, 10, 200, 210, true)
  launch(twice, 1, 10)
  twice.ack(2, undefined)
  twice.countSkips(2, 10)
  deepEqual([twice.skipsOf(0), twice.skipsOf(1)], [0, 1])
})

test('the order of times comes back when the flight is empty, not with one left', () => {
  const window = new SendWindow()
  launch(window, 2, 10_000)
  launch(window, 1, 5_000)
  window.ack(2, undefined)
  window.ack(0, undefined)
  launch(window, 1, 5_010)
  window.resent(3, 5_210, 400, 5_610, true)
  launch(window, 1, 5_220)
  window.ack(4, undefined)
  window.countSkips(4, 5_220)
  deepEqual([window.skipsOf(1), window.skipsOf(3)], [0, 1])
})
