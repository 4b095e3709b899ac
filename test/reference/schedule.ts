/**
 * A seed makes a schedule: two ends (each of them Twins) with any settings, on a network that loses, doubles, delays,
 * damages and forges, with clocks that wrap and jump, readers that stop and budgets that run out.
 * @module
 */
import { HARDENED, type KcpConfig, type KcpHardening } from '../../src/core/config.ts'
import { Prng } from '../../src/sim/prng.ts'
import { formatDatagram } from '../../src/sim/trace.ts'
import { Difference } from './compare.ts'
import type { Sent } from './engine.ts'
import { Twins } from './twins.ts'
import { ACK, concat, diff, encode, PUSH, u32, WINS } from './wire.ts'

const CONV = 0x11223344
const SWITCHES = Object.keys(HARDENED) as (keyof KcpHardening)[]
/** Datagrams under way; what is more is lost. */
const AIR_MAX = 2_000
/** What a failure shows: the schedule's last lines, of each call's datagrams the last ones, and how much of a line. */
const SHOWN_LINES = 20
const SHOWN_DATAGRAMS = 4
const SHOWN_WIDTH = 240
/** Clocks may go back by this much in all: deadlines further than 2^31 apart have no order. */
const BACK_MAX = 2 ** 30

interface End {
  readonly name: string
  readonly twins: Twins
  /** Its clock minus the schedule's time. */
  offset: number
  reader: 'all' | 'slow' | 'phases' | 'never'
  /** Bytes that may go out for each that came in, until the address is proven: what sessions do. */
  readonly amplification: number
  /** Most bytes that each turn adds to the allowance; 0: there is none. */
  readonly trickle: number
  readonly settings: KcpConfig
}

interface Flying {
  readonly at: number
  readonly to: End
  readonly datagram: Uint8Array
}

/** How a schedule behaves. Rates are chances for each turn of an end. */
interface Habits {
  /** Full windows over a link that is not too bad, rather than a bit of everything. */
  readonly flow: boolean
  readonly calls: number
  readonly step: number
  readonly loss: number
  readonly duplicate: number
  readonly delay: number
  readonly jitter: number
  readonly damage: number
  readonly send: number
  readonly longest: number
  /** Messages that may only wait for so long. */
  readonly expire: number
  readonly forge: number
  /** Datagrams that FEC has rebuilt. */
  readonly recover: number
  readonly repeat: number
  readonly settings: number
  readonly jump: number
  readonly odd: number
  /** Whether ends ask `check` when to go on, or are updated at any time. */
  readonly punctual: boolean
  /** Back-offs that are forgotten. */
  readonly revive: number
}

/** Runs the schedule of a seed; the counters of both ends. Throws a Difference that tells how to see it again. */
export function run(seed: number): Readonly<Record<string, number>> {
  try {
    return new Schedule(seed, null).run()
  } catch (error) {
    // Telling what goes on is slow, so it is done the second time only.
    const story: string[] = []
    try {
      new Schedule(seed, story).run()
    } catch {}
    const why = error instanceof Difference ? error.message : error instanceof Error ? error.stack : error
    throw new Difference(
      [
        `seed ${seed}: ${why}`,
        `again: SEED=${seed} node --test build/test/reference/twin.test.js`,
        ...story.slice(0, 2),
        ...story.slice(2).slice(-SHOWN_LINES),
      ].join('\n  '),
    )
  }
}

class Schedule {
  private readonly prng: Prng
  private readonly story: string[] | null
  private readonly habits: Habits
  private readonly ends: readonly [End, End]
  private air: Flying[] = []
  /** Datagrams that may be repeated later. */
  private readonly old: Uint8Array[] = []
  private t = 0
  private bytesLeft: number
  private wentBack = 0

  constructor(seed: number, story: string[] | null) {
    const prng = new Prng(seed)
    this.prng = prng
    this.story = story
    this.habits = randomHabits(prng)
    this.bytesLeft = prng.chance(0.05) ? 1_500_000 : 200_000
    const shared = prng.chance(0.15) ? prng.int(0, 40_000) : undefined
    this.ends = [this.makeEnd('A', shared), this.makeEnd('B', shared)]
    const [a, b] = this.ends
    if (shared !== undefined) {
      b.twins.fast.rcv.budget = a.twins.fast.rcv.budget
      b.twins.slow.budget = a.twins.slow.budget
    }
    const [snA, snB] = [startOf(prng, 600), startOf(prng, 600)]
    a.twins.startAt(snA, snB)
    b.twins.startAt(snB, snA)
    for (const { name, settings, offset } of this.ends) {
      story?.push(`${name}: clock ${offset}, ${JSON.stringify(settings)}`)
    }
  }

  run(): Readonly<Record<string, number>> {
    const { habits, prng, ends } = this
    while (ends[0].twins.comparison.calls + ends[1].twins.comparison.calls < habits.calls) {
      this.t += prng.int(0, 2 * habits.step)
      if (prng.chance(0.01)) this.t += prng.int(0, 200 * habits.step)
      this.deliver()
      for (const end of ends) this.turn(end)
    }
    const totals: Record<string, number> = {}
    for (const { twins } of ends) {
      twins.comparison.compareFlight()
      for (const [name, count] of Object.entries(twins.fast.counters))
        totals[name] = (totals[name] ?? 0) + count
      for (const name of ['dead', 'proven', 'protocolError'] as const) {
        totals[name] = (totals[name] ?? 0) + Number(twins.fast[name])
      }
    }
    return totals
  }

  // ---- an end's turn -----------------------------------------------------------------------------------------

  private turn(end: End): void {
    const { prng, habits } = this
    const { twins } = end
    if (end.trickle > 0) this.allow(end, prng.int(0, end.trickle))
    if (prng.chance(habits.send)) this.send(end)
    this.read(end)
    if (prng.chance(habits.forge)) this.input(end, forged(prng, end), 'forged')
    if (prng.chance(habits.repeat) && this.old.length > 0) {
      this.input(end, this.old[prng.int(0, this.old.length - 1)]!, 'repeated')
    }
    if (prng.chance(habits.settings)) this.changeSettings(end)
    if (prng.chance(habits.jump)) this.jump(end)
    if (prng.chance(habits.odd)) this.doOdd(end)

    if (!habits.punctual || prng.chance(0.1)) {
      if (prng.chance(0.15)) this.flush(end)
      else if (prng.chance(0.8)) this.update(end)
      return
    }
    const now = this.clockOf(end)
    let at = now
    this.tell(end, 'check', () => {
      at = twins.check(now)
    })
    if (diff(at, now) <= 0) this.update(end)
  }

  private allow(end: End, bytes: number): void {
    this.tell(end, `allowance += ${bytes}`, () =>
      end.twins.change(
        (kcp) => {
          kcp.allowance += bytes
        },
        (engine) => {
          engine.allowance += bytes
        },
      ),
    )
  }

  private update(end: End): void {
    this.tell(end, 'update', () => end.twins.update(this.clockOf(end)))
    this.transmit(end)
  }

  private flush(end: End): void {
    this.tell(end, 'flush', () => end.twins.flush(this.clockOf(end)))
    this.transmit(end)
  }

  private send(end: End): void {
    const { prng, habits } = this
    const { twins } = end
    const { mss, sndWnd } = twins.fast
    for (let i = prng.chance(habits.flow ? 0.5 : 0.2) ? prng.int(1, habits.flow ? 5 : 30) : 1; i > 0; i--) {
      if (twins.fast.waitSnd() > sndWnd + 300) return
      const most = prng.chance(0.1)
        ? habits.longest
        : Math.min(habits.longest, mss * prng.int(1, habits.flow ? 12 : 3))
      const size = prng.int(0, most)
      if (size > this.bytesLeft) return
      this.bytesLeft -= size
      const first = prng.int(0, 255)
      const data = Uint8Array.from({ length: size }, (_, k) => first + k)
      if (!twins.fast.stream && prng.chance(habits.expire)) {
        const until = u32(this.clockOf(end) + prng.int(0, 20 * habits.step))
        this.tell(end, `send ${size} B until ${until}`, () => twins.sendUntil(data, until))
      } else this.tell(end, `send ${size} B`, () => twins.send(data))
    }
    if (prng.chance(habits.expire)) {
      const now = this.clockOf(end)
      this.tell(end, `expire at ${now}`, () => twins.expire(now))
    }
    if (habits.revive > 0 && prng.chance(habits.revive)) {
      const now = this.clockOf(end)
      this.tell(end, `forget back-offs at ${now}`, () => twins.forgetBackoff(now))
    }
  }

  private read(end: End): void {
    const { prng } = this
    const { twins, reader } = end
    if (reader === 'never' || (reader === 'slow' && prng.chance(0.9))) return
    if (reader === 'phases' && Math.floor(this.t / (50 * this.habits.step + 1)) % 2 === 0) return
    for (let i = prng.int(1, 20); i > 0 && twins.slow.rcvQueue.length > 0; i--) {
      const max = prng.chance(0.05) ? prng.int(0, 100) : 1_000_000
      const peek = prng.chance(0.1)
      const keep = prng.chance(0.9)
      const size = twins.slow.peekSize()
      this.tell(end, `recv(${max}${peek ? ', peek' : ''}) of ${size} B`, () => twins.recv(max, peek, keep))
      if (size < 0 || size > max) return
    }
    if (prng.chance(0.1)) this.tell(end, 'recv', () => twins.recv(100, false, true))
  }

  private changeSettings(end: End): void {
    const { prng } = this
    const all = Object.entries(randomConfig(prng, this.habits.flow))
    const some = prng.chance(0.2) ? all : all.filter(() => prng.chance(0.2))
    const { hardening: _, streamMode, ...settings } = Object.fromEntries(some) as KcpConfig
    this.tell(end, `applyConfig ${JSON.stringify(settings)}`, () =>
      end.twins.change((kcp) => kcp.applyConfig(settings)),
    )
    // As in C these two may be anything at any time.
    if (streamMode !== undefined) {
      this.tell(end, `stream = ${streamMode}`, () =>
        end.twins.change((kcp) => {
          kcp.stream = streamMode
        }),
      )
    }
    if (prng.chance(0.1)) {
      const rcvWnd = anySize(prng, 8)
      this.tell(end, `rcvWnd = ${rcvWnd}`, () =>
        end.twins.change((kcp) => {
          kcp.rcv.rcvWnd = rcvWnd
        }),
      )
    }
  }

  private jump(end: End): void {
    const { prng } = this
    let by = prng.chance(0.8) ? prng.int(0, 2 ** prng.int(0, 14)) : prng.int(0, 2 ** prng.int(10, 30))
    if (prng.chance(0.6)) {
      by = -Math.min(by, prng.chance(0.8) ? 3_000 : 86_400_000)
    } else if (prng.chance(0.1)) {
      // To the very edge of what an update takes for a jump.
      by = diff(end.twins.slow.flushAt, this.clockOf(end)) + pick(prng, [-10_001, -10_000, 9_999, 10_000])
    }
    if (this.wentBack - by > BACK_MAX) return
    if (by < 0) this.wentBack -= by
    end.offset = u32(end.offset + by)
    this.story?.push(`${end.name}: its clock jumps by ${by} ms`)
    // An update waits until the clock has caught up.
    if (prng.chance(0.5)) this.flush(end)
  }

  private doOdd(end: End): void {
    const { prng } = this
    const { twins } = end
    const dice = prng.int(0, 6)
    if (dice === 0) {
      this.tell(end, 'trim', () =>
        twins.change(
          (kcp) => kcp.trim(),
          (engine) => engine.trim(),
        ),
      )
    } else if (dice === 1) {
      this.tell(end, 'challenge', () =>
        twins.change(
          (kcp) => kcp.challenge(),
          (engine) => {
            engine.challengePending = true
          },
        ),
      )
    } else if (dice === 2) {
      twins.throwAt = prng.chance(0.5) ? prng.int(0, 3) : -1
      this.story?.push(`${end.name}: output throws at ${twins.throwAt}`)
    } else if (dice === 3) {
      const at = u32(this.clockOf(end) + prng.int(-15_000, 15_000))
      this.tell(end, `check(${at})`, () => void twins.check(at))
    } else if (dice === 4) {
      const allowance = prng.chance(0.6) ? prng.int(0, 6_000) : Number.POSITIVE_INFINITY
      const overhead = prng.chance(0.5) ? prng.int(0, 60) : 0
      this.tell(end, `allowance = ${allowance}, overhead = ${overhead}`, () =>
        twins.change(
          (kcp) => Object.assign(kcp, { allowance, overhead }),
          (engine) => Object.assign(engine, { allowance, overhead }),
        ),
      )
    } else if (dice === 5) {
      const maxBytes = prng.chance(0.7) ? prng.int(0, 40) * prng.int(1, 1500) : Number.POSITIVE_INFINITY
      this.tell(end, `maxBytes = ${maxBytes}`, () =>
        twins.change(
          (kcp) => Object.assign(kcp.rcv, { maxBytes }),
          (engine) => Object.assign(engine, { maxBytes }),
        ),
      )
    } else {
      end.reader = randomReader(prng)
    }
  }

  // ---- the network -------------------------------------------------------------------------------------------

  private deliver(): void {
    const due = this.air.filter(({ at }) => at <= this.t).sort((a, b) => a.at - b.at)
    this.air = this.air.filter(({ at }) => at > this.t)
    for (const { to, datagram } of due) {
      this.input(to, datagram, 'input')
      if (this.prng.chance(0.05)) this.update(to)
    }
  }

  private input(end: End, datagram: Uint8Array, how: string): void {
    const { twins } = end
    if (end.amplification > 0) {
      this.allow(end, twins.fast.proven ? Number.POSITIVE_INFINITY : end.amplification * datagram.length)
    }
    const line = this.story === null ? '' : `${how} ${formatDatagram(datagram, { conv: CONV })}`
    const recovered = this.prng.chance(this.habits.recover)
    const said = recovered ? `recovered ${line}` : line
    this.tell(end, said, () => twins.input(datagram, this.clockOf(end), recovered))
  }

  /** Puts what an end's latest call sent on the way to the other one. */
  private transmit(from: End): void {
    const { prng, habits } = this
    const [a, b] = this.ends
    const to = from === a ? b : a
    for (let datagram of from.twins.comparison.sent) {
      if (this.old.length < 40) this.old.push(datagram)
      else if (prng.chance(0.1)) this.old[prng.int(0, 39)] = datagram
      const last = this.air.at(-1)
      // Some carriers put small datagrams together.
      if (last?.to === to && prng.chance(0.02)) datagram = concat([last.datagram, datagram])
      if (prng.chance(habits.damage)) datagram = damaged(prng, datagram)
      for (let copies = prng.chance(habits.duplicate) ? 2 : 1; copies > 0; copies--) {
        if (prng.chance(habits.loss) || this.air.length >= AIR_MAX) continue
        const late = prng.chance(0.02) ? 10 : 1
        const at = this.t + habits.delay + late * prng.int(0, habits.jitter)
        this.air.push({ at, to, datagram })
      }
    }
  }

  // ---- inside ------------------------------------------------------------------------------------------------

  private makeEnd(name: string, shared: number | undefined): End {
    const { prng } = this
    const settings: KcpConfig = { ...randomConfig(prng, this.habits.flow), hardening: randomHardening(prng) }
    const twins = new Twins(CONV, settings)
    if (shared !== undefined) {
      twins.fast.rcv.budget = { used: 0, limit: shared }
      twins.slow.budget = { used: 0, limit: shared }
    }
    if (prng.chance(0.15)) {
      twins.fast.rcv.maxBytes = twins.slow.maxBytes = prng.int(0, 60) * twins.fast.mss + prng.int(0, 50)
    }
    // sys takes any receive window, people get 128 at least.
    if (prng.chance(0.3)) twins.fast.rcv.rcvWnd = anySize(prng, 7)
    twins.slow.config = twins.fast.config
    const amplification = prng.chance(0.15) ? prng.int(1, 4) : 0
    const trickle = prng.chance(0.15) ? anySize(prng, 12) : 0
    if (amplification + trickle > 0) {
      twins.fast.allowance = twins.slow.allowance = 0
      twins.fast.overhead = twins.slow.overhead = prng.chance(0.5) ? prng.int(0, 60) : 0
    }
    const offset = startOf(prng, 200 * this.habits.step + 2_000)
    return { name, twins, offset, reader: randomReader(prng), amplification, trickle, settings }
  }

  private clockOf(end: End): number {
    return u32(end.offset + this.t)
  }

  /** Makes a call; in a story that is told, says so first. */
  private tell(end: End, what: string, call: () => void): void {
    if (this.story === null) {
      call()
      return
    }
    const { twins, name } = end
    this.story.push(`${name} at ${this.clockOf(end)}: ${what}`.slice(0, SHOWN_WIDTH))
    try {
      call()
    } finally {
      const { sent } = twins.comparison
      if (sent.length > SHOWN_DATAGRAMS) this.story.push(`    -> ${sent.length} datagrams, the last of them:`)
      for (const datagram of sent.slice(-SHOWN_DATAGRAMS)) {
        this.story.push(`    -> ${formatDatagram(datagram, { conv: CONV })}`.slice(0, SHOWN_WIDTH))
      }
    }
  }
}

// ---- chance ---------------------------------------------------------------------------------------------------

function pick<T>(prng: Prng, list: readonly T[]): T {
  return list[prng.int(0, list.length - 1)]!
}

/** 1 .. 2^bits, small ones as likely as large ones. */
function anySize(prng: Prng, bits: number): number {
  return prng.int(1, 2 ** prng.int(0, bits))
}

/** Where numbers start: anywhere, at 0, or `within` before a wrap, of C's signed numbers too. */
function startOf(prng: Prng, within: number): number {
  const wrap = pick(prng, [0, 0, 2 ** 31, 2 ** 32, 2 ** 32])
  return prng.chance(0.3) ? prng.u32() : wrap === 0 ? 0 : u32(wrap - prng.int(0, within))
}

function randomReader(prng: Prng): End['reader'] {
  return pick(prng, ['all', 'all', 'all', 'slow', 'phases', 'never'] as const)
}

function randomHardening(prng: Prng): KcpConfig['hardening'] {
  const dice = prng.int(0, 9)
  if (dice < 3) return false
  if (dice < 6) return true
  if (dice < 8) return { [pick(prng, SWITCHES)]: true }
  return Object.fromEntries(SWITCHES.map((name) => [name, prng.chance(0.5)]))
}

function randomConfig(prng: Prng, flow: boolean): KcpConfig {
  return {
    nodelay: pick(prng, [0, 0, 1, 2] as const),
    interval: pick(prng, [10, 10, 10, 20, 40, 100, prng.int(10, 300), flow ? 10 : 5_000]),
    resend: pick(prng, flow ? [0, 1, 1, 2, 2, 3] : [0, 1, 2, 3, prng.int(0, 20)]),
    nc: prng.chance(flow ? 0.8 : 0.5),
    mtu: pick(prng, [
      50,
      51,
      60,
      100,
      flow ? 70 : 576,
      flow ? 128 : 1400,
      prng.int(50, 150),
      prng.int(50, 1500),
    ]),
    sndWnd: flow ? prng.int(1, 32) * 2 ** prng.int(0, 5) : anySize(prng, 10),
    rcvWnd: flow ? 128 * prng.int(1, 8) : anySize(prng, 10),
    streamMode: prng.chance(0.4),
    minRto: pick(prng, [1, 30, 100, 100, prng.int(1, 60_000)]),
    deadLink: pick(prng, [1, 2, 3, 10, 20]),
    fastLimit: pick(prng, [0, 1, 2, 5, 5]),
    maxFragments: pick(prng, [1, 5, 127, 127, 127, 255]),
    probeInterval: pick(prng, [1, 50, 500, 5_000, 120_000]),
    maxInFlight: prng.chance(0.2) ? anySize(prng, 6) : 0,
    lossDetection: pick(prng, ['count', 'count', 'time'] as const),
    redundancy: pick(prng, [0, 0, 0, 1, 1.5, 4, prng.next() * 4, 'auto'] as const),
  }
}

function randomHabits(prng: Prng): Habits {
  /** A rate that is 0 in most schedules. */
  const seldom = (p: number, most: number): number => (prng.chance(p) ? prng.next() * most : 0)
  const flow = prng.chance(0.5)
  return {
    flow,
    calls: pick(prng, flow ? [150, 300, 500] : [100, 150, 200, 300, 1_000]),
    step: pick(prng, flow ? [2, 5, 5, 10, 20] : [0.5, 5, 10, 20, 50, 100, 1_000, 10_000]),
    loss: pick(prng, flow ? [0, 0.02, 0.1, 0.2, 0.3] : [0, 0.02, 0.1, 0.3, 0.5, 0.95]),
    duplicate: seldom(0.3, 0.4),
    delay: pick(prng, flow ? [0, 10, 30, 60] : [0, 1, 10, 30, 100, 1_000]),
    jitter: pick(prng, flow ? [5, 20, 50, 100] : [0, 0, 5, 20, 100, 1_000]),
    damage: seldom(0.2, 0.1),
    send: pick(prng, flow ? [0.5, 1] : [0.02, 0.2, 0.5, 1]),
    longest: pick(prng, [flow ? 300 : 10, flow ? 600 : 100, 1_400, 6_000, 60_000, 200_000]),
    expire: seldom(0.3, 1),
    forge: seldom(0.3, prng.chance(flow ? 0.6 : 0.3) ? 1 : 0.1),
    repeat: seldom(0.3, 0.2),
    recover: seldom(0.2, 0.2),
    settings: seldom(0.4, 0.1),
    jump: seldom(0.35, prng.chance(0.3) ? 0.3 : 0.1),
    odd: seldom(0.5, 0.1),
    punctual: prng.chance(0.5),
    revive: seldom(0.3, 0.3),
  }
}

/** Near the clock, near a time at which a segment was sent, or half the circle ahead of that, where order ends. */
function forgedTs(prng: Prng, now: number, sent: Sent | undefined): number {
  if (sent === undefined || prng.chance(0.4)) return near(prng, now)
  if (prng.chance(0.3)) return u32(sent.ts + 2 ** 31 - prng.int(0, 2 ** prng.int(0, 11)))
  return near(prng, prng.chance(0.5) ? sent.ts : sent.firstTs)
}

/** A number at which something may happen, or one that is close to it. */
function near(prng: Prng, n: number): number {
  const other = [n, n + prng.int(-2, 3), n + prng.int(-300, 600), n + 2 ** 31 + prng.int(-2, 2), prng.u32()]
  return u32(pick(prng, other))
}

/** One to four segments that nobody sent, most of them nearly right. */
function forged(prng: Prng, { twins }: End): Uint8Array {
  const { slow } = twins
  const { rcvWnd } = slow.config
  return concat(
    Array.from({ length: prng.chance(0.7) ? 1 : prng.int(2, 4) }, () => {
      const cmd = prng.chance(0.02) ? prng.int(0, 255) : prng.chance(0.45) ? ACK : prng.int(PUSH, WINS)
      const flying = slow.sndBuf.length > 0 ? pick(prng, slow.sndBuf) : undefined
      const size = cmd === PUSH ? prng.int(0, 80) : 0
      return encode({
        conv: prng.chance(0.02) ? CONV + 1 : CONV,
        cmd,
        frg: prng.chance(0.7) ? 0 : pick(prng, [1, 2, 3, 127, 200, 255]),
        wnd: pick(prng, [slow.rmtWnd, 0, 1, 128, 1024, 65_535]),
        ts: forgedTs(prng, slow.now, flying),
        sn:
          cmd === ACK
            ? near(prng, pick(prng, [flying?.sn ?? slow.sndNxt, slow.sndMax]))
            : near(prng, slow.rcvNxt - pick(prng, [0, 0, 0, 2 * rcvWnd, -rcvWnd])),
        una: prng.chance(0.8) ? slow.sndUna : near(prng, pick(prng, [slow.sndUna, slow.sndNxt])),
        len: prng.chance(0.02) ? prng.int(0, 100) : size,
        data: new Uint8Array(size).fill(prng.int(0, 255)),
      })
    }),
  )
}

function damaged(prng: Prng, datagram: Uint8Array): Uint8Array {
  if (prng.chance(0.3)) return datagram.slice(0, prng.int(0, datagram.length))
  if (prng.chance(0.2)) return concat([datagram, new Uint8Array(prng.int(1, 30)).fill(prng.int(0, 255))])
  const copy = datagram.slice()
  // Headers are where damage matters.
  const at = prng.chance(0.8) ? prng.int(0, Math.min(47, copy.length - 1)) : prng.int(0, copy.length - 1)
  copy[at]! ^= 1 << prng.int(0, 7)
  return copy
}
