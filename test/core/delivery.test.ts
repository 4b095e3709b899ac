/**
 * Two engines over a network that loses, repeats and reorders, by seeds: everything arrives, once, in order and with
 * its borders. A failure names its seed; `run(seed, …)` tells it again.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Kcp, type KcpConfig } from '../../src/core/index.ts'
import { KCP_OVERHEAD, writeHeader } from '../../src/core/segment.ts'
import { seqAdd, seqDiff } from '../../src/core/seq.ts'
import { Prng } from '../../src/sim/prng.ts'
import { CONV } from '../support/trace.ts'

/** Long enough for the worst seed, ms of virtual time. */
const TIME_MAX = 3_600_000

interface Weather {
  readonly loss: number
  readonly repeat: number
  /** Delays are spread over this many ms, so datagrams overtake one another. */
  readonly jitter: number
  /** Forged segments for every honest datagram. */
  readonly forged: number
}

class End {
  readonly kcp: Kcp
  /** What was sent and what came, as one text each with a mark between messages. */
  readonly sent: string[] = []
  readonly got: string[] = []

  constructor(send: (datagram: Uint8Array) => void, config: KcpConfig) {
    this.kcp = new Kcp(CONV, send, config)
  }

  get received(): string[] {
    return this.kcp.streamMode ? [this.got.join('')] : this.got
  }

  get expected(): string[] {
    return this.kcp.streamMode ? [this.sent.join('')] : this.sent
  }
}

function randomConfig(prng: Prng): KcpConfig {
  const mtu = prng.int(50, prng.chance(0.5) ? 200 : 1500)
  return {
    nodelay: prng.int(0, 2) as 0 | 1 | 2,
    interval: prng.int(10, 60),
    resend: prng.int(0, 4),
    nc: prng.chance(0.5),
    mtu,
    sndWnd: prng.int(1, 200),
    rcvWnd: prng.int(1, 200),
    streamMode: prng.chance(0.4),
    fastLimit: prng.int(0, 6),
    hardening: true,
  }
}

/** What must hold after every call. */
function check(kcp: Kcp, where: string): void {
  const { snd, rcv } = kcp
  ok(seqDiff(snd.base, kcp.sndUna) === 0, `${where}: sndUna is the oldest in flight`)
  ok(
    seqDiff(snd.fresh, snd.base) >= 0 && seqDiff(snd.sndNxt, snd.fresh) >= 0,
    `${where}: base, fresh, sndNxt`,
  )
  ok(snd.inFlight <= seqDiff(snd.sndNxt, snd.base), `${where}: in flight`)
  ok(rcv.queued <= kcp.rcvWnd && rcv.early < kcp.rcvWnd, `${where}: windows`)
  ok(kcp.rtt.rto >= kcp.rtt.minRto && kcp.rtt.rto <= 60_000, `${where}: rto ${kcp.rtt.rto}`)
  ok(kcp.cwnd >= 0 && Number.isInteger(kcp.cwnd), `${where}: cwnd ${kcp.cwnd}`)
}

function run(seed: number, weather: Weather): End[] {
  const prng = new Prng(seed)
  const path: { at: number; to: End; datagram: Uint8Array }[] = []
  const ends: End[] = []
  const messages = prng.int(1, 120)
  // A clock and numbers that often wrap under way.
  const origin = prng.chance(0.5) ? 2 ** 32 - prng.int(0, 5000) : prng.u32()
  const firstSn = prng.chance(0.5) ? 2 ** 32 - prng.int(0, 100) : prng.u32()
  let ms = 0
  for (const other of [1, 0]) {
    const send = (datagram: Uint8Array): void => {
      const to = ends[other]!
      for (let copies = prng.chance(weather.repeat) ? 2 : 1; copies > 0; copies--) {
        if (prng.chance(weather.loss)) continue
        path.push({ at: ms + prng.int(5, 5 + weather.jitter), to, datagram: datagram.slice() })
      }
    }
    ends.push(new End(send, randomConfig(prng)))
  }
  for (const { kcp } of ends) {
    kcp.snd.sndNxt = firstSn
    kcp.sndUna = firstSn
    kcp.rcv.rcvNxt = firstSn
  }
  // Streams join what they are sent; both ends must be told the same.
  ends[1]!.kcp.streamMode = ends[0]!.kcp.streamMode
  const done = (): boolean =>
    ends.every(({ kcp, sent }) => sent.length === messages && kcp.waitSnd() === 0) &&
    ends.every((end, i) => end.got.join('').length === ends[1 - i]!.sent.join('').length)
  const work = prng.fork()
  while (!done()) {
    const now = (origin + ms) >>> 0
    const where = `seed=${seed} ms=${ms}`
    ok(ms < TIME_MAX, `${where}: stuck`)
    for (const end of ends) {
      const { kcp } = end
      if (end.sent.length < messages && work.chance(0.3)) {
        const size = work.int(1, work.chance(0.1) ? Math.min(20 * kcp.mss, 4000) : 60)
        const message = String.fromCharCode(33 + (end.sent.length % 90)).repeat(size)
        kcp.send(Uint8Array.from(message, (character) => character.charCodeAt(0)))
        end.sent.push(message)
      }
      kcp.update(now)
      if (work.chance(0.1)) kcp.flush(now)
      check(kcp, where)
    }
    for (let i = path.length - 1; i >= 0; i--) {
      const { at, to, datagram } = path[i]!
      if (at > ms) continue
      path.splice(i, 1)
      for (let left = weather.forged; left > 0; left--) to.kcp.tryInput(forge(work, to.kcp), now)
      equal(to.kcp.tryInput(datagram, now), 0)
      check(to.kcp, where)
    }
    for (const [i, end] of ends.entries()) {
      // A reader that sometimes sleeps.
      if (work.chance(0.2)) continue
      for (;;) {
        const message = end.kcp.recv()
        if (message === undefined) break
        end.got.push(String.fromCharCode(...message))
      }
      if (!end.kcp.streamMode) {
        deepEqual(
          end.got.at(-1),
          end.got.length > 0 ? ends[1 - i]!.sent[end.got.length - 1] : undefined,
          where,
        )
      }
    }
    ms += work.int(1, 20)
  }
  deepEqual(ends[0]!.received, ends[1]!.expected, `seed=${seed}`)
  deepEqual(ends[1]!.received, ends[0]!.expected, `seed=${seed}`)
  return ends
}

/**
 * A segment by somebody who knows the conversation and sees nothing: any command but PUSH (data can be forged by
 * whoever guesses sn; KCP has no defence), any numbers but a una that is in flight.
 */
function forge(prng: Prng, victim: Kcp): Uint8Array {
  const bytes = new Uint8Array(KCP_OVERHEAD)
  const near = (): number => seqAdd(victim.sndUna, prng.int(-300, 300))
  let una = prng.chance(0.5) ? near() : prng.u32()
  while (seqDiff(una, victim.sndUna) >= 0 && seqDiff(una, victim.snd.fresh) <= 0) una = prng.u32()
  const ts = prng.chance(0.5) ? seqAdd(victim.now, prng.int(-100_000, 100_000)) : prng.u32()
  writeHeader(bytes, 0, CONV, prng.int(82, 84), prng.int(0, 255), prng.int(0, 3), ts, near(), una, 0)
  return bytes
}

for (const [name, weather, seeds] of [
  ['a calm network', { loss: 0, repeat: 0, jitter: 0, forged: 0 }, 30],
  ['10 % loss and reordering', { loss: 0.1, repeat: 0.02, jitter: 60, forged: 0 }, 40],
  ['30 % loss', { loss: 0.3, repeat: 0.1, jitter: 200, forged: 0 }, 20],
  ['every datagram twice, in any order', { loss: 0, repeat: 1, jitter: 500, forged: 0 }, 20],
] as const) {
  test(`everything arrives once and in order: ${name}`, () => {
    for (let seed = 1; seed <= seeds; seed++) run(seed, weather)
  })
}

test('forged ACKs, probes and window updates neither lose data nor spoil the RTT', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const ends = run(seed, { loss: 0.05, repeat: 0.02, jitter: 40, forged: 5 })
    for (const { kcp } of ends) {
      // Delays are 5 to 45 ms, ACKs wait for a flush of up to 60 ms, and a resend may be acknowledged late.
      ok(kcp.srtt < 1000, `seed=${seed} srtt=${kcp.srtt}`)
      equal(kcp.stats().inputErrors, 0)
    }
  }
})

test('a seed is a story: told twice it is the same', () => {
  const weather = { loss: 0.2, repeat: 0.1, jitter: 100, forged: 1 }
  const [first, second] = [run(7, weather), run(7, weather)]
  deepEqual(
    first.map(({ kcp }) => kcp.stats()),
    second.map(({ kcp }) => kcp.stats()),
  )
})
