/**
 * The dearest datagrams that one can think of, 64 KB each, for an engine whose windows of 8192 segments are full: how long
 * the worst of them keeps a process busy. test/core/cost.test.ts counts the steps of the same datagrams.
 *
 *     npm run bench -- --only hostile
 *
 * @module
 */
import { Kcp, type KcpConfig } from '../src/core/index.ts'
import { Command, KCP_OVERHEAD, writeHeader } from '../src/core/segment.ts'
import { Prng } from '../src/sim/prng.ts'
import { type Effort, figureOf, type Report, show } from './rounds.ts'

const CONV = 7
export const HOSTILE_WINDOW = 8_192
/** Headers that fit into the largest datagram of UDP, 65,507 bytes. */
export const HOSTILE_SEGMENTS: number = Math.floor(65_507 / KCP_OVERHEAD)
const SENT_AT = 1_000
/** Flushes that the flight left in. */
const RUNS = 8
/** When all of it is due again, ms: the first RTO is 200. */
const RTO_OVER = 400

interface Segment {
  readonly cmd: number
  readonly sn: number
  readonly una?: number
  readonly ts?: number
}

function datagram(make: (i: number) => Segment): Uint8Array {
  const bytes = new Uint8Array(HOSTILE_SEGMENTS * KCP_OVERHEAD)
  for (let i = 0; i < HOSTILE_SEGMENTS; i++) {
    const { cmd, sn, una = 0, ts = SENT_AT } = make(i)
    writeHeader(bytes, i * KCP_OVERHEAD, CONV, cmd, 0, HOSTILE_WINDOW, ts, sn, una, 0)
  }
  return bytes
}

const prng = new Prng(7)
const anywhere = (): number => prng.int(0, HOSTILE_WINDOW - 1)
const ack = (sn: number, una = 0): Segment => {
  return { cmd: Command.Ack, sn, una, ts: SENT_AT + Math.floor((sn * RUNS) / HOSTILE_WINDOW) }
}
const push = (sn: number, una = 0): Segment => ({ cmd: Command.Push, sn, una })

/** What each is, and the datagram. */
export const HOSTILE: Readonly<Record<string, Uint8Array>> = {
  'ACKs, oldest first': datagram((i) => ack(i)),
  'ACKs, newest first': datagram((i) => ack(HOSTILE_WINDOW - 1 - i)),
  'ACKs, every third': datagram((i) => ack(3 * i)),
  // 3205 and 8192 have no common divisor.
  'ACKs in any order': datagram((i) => ack((i * 3205) % HOSTILE_WINDOW)),
  'ACKs of the newest, again and again': datagram(() => ack(HOSTILE_WINDOW - 1)),
  'ACKs that name other times': datagram((i) => ({ ...ack(anywhere()), ts: i })),
  'una from one to the next': datagram((i) => ({ cmd: Command.WindowTell, sn: 0, una: 3 * i })),
  'una back and forth': datagram((i) => ({ cmd: Command.WindowTell, sn: 0, una: i % 2 === 0 ? 3 * i : 0 })),
  'PUSHes, highest first': datagram((i) => push(HOSTILE_WINDOW - 1 - i)),
  'PUSHes, every third': datagram((i) => push(3 * i)),
  'PUSHes, every third, highest first': datagram((i) => push(HOSTILE_WINDOW - 1 - 3 * i)),
  'PUSHes in any order': datagram(() => push(anywhere())),
  'the same PUSH again and again': datagram(() => push(1)),
  'all at once': datagram((i) => (i % 2 === 0 ? ack(anywhere(), i) : push(anywhere(), i))),
}

/** Settings that do the most for each ACK. */
export const HOSTILE_SETTINGS: Readonly<Record<string, KcpConfig>> = {
  count: { resend: 2 },
  time: { lossDetection: 'time' },
  'count, redundancy 4': { resend: 2, redundancy: 4 },
  'time, redundancy auto': { lossDetection: 'time', redundancy: 'auto' },
}

/** An engine with a full window in flight; `resent`: for the second time, or put off, as far as an RTO does it. */
export function besieged(settings: KcpConfig, resent: boolean): Kcp {
  const kcp = new Kcp(CONV, () => undefined, {
    nodelay: 1,
    interval: 10,
    nc: true,
    mtu: 50,
    sndWnd: HOSTILE_WINDOW,
    rcvWnd: HOSTILE_WINDOW,
    ...settings,
  })
  kcp.update(SENT_AT)
  kcp.input(
    datagram(() => ({ cmd: Command.WindowTell, sn: 0 })),
    SENT_AT,
  )
  // In runs, a millisecond each.
  for (let run = 0; run < RUNS; run++) {
    for (let i = 0; i < HOSTILE_WINDOW / RUNS; i++) kcp.send(new Uint8Array(26))
    kcp.flush(SENT_AT + run)
  }
  if (resent) kcp.flush(SENT_AT + RTO_OVER)
  return kcp
}

export async function benchHostile({ rounds }: Effort): Promise<Report> {
  const names = Object.keys(HOSTILE)
  const besiegers = Object.values(HOSTILE_SETTINGS).flatMap((settings) =>
    [false, true].map((resent) => () => besieged(settings, resent)),
  )
  const figures: { what: string; input: number; flush: number; worst: number }[] = []
  for (const what of names) {
    const [input, flush]: [number[], number[]] = [[], []]
    // The first run is warming up.
    for (let round = -1; round < 2 * rounds; round++) {
      for (const make of besiegers) {
        const kcp = make()
        const now = kcp.now + 20
        const from = performance.now()
        kcp.tryInput(HOSTILE[what]!, now)
        const between = performance.now()
        kcp.flush(now)
        if (round < 0) continue
        input.push(between - from)
        flush.push(performance.now() - between)
      }
    }
    const [reading, answering] = [figureOf(input), figureOf(flush)]
    figures.push({ what, input: reading.median, flush: answering.median, worst: reading.max })
  }
  return {
    name: 'hostile',
    what: [
      `ms that a datagram of ${HOSTILE_SEGMENTS} segments takes at windows of ${HOSTILE_WINDOW}, and the flush after it:`,
      'what it acknowledges, asks for, or shows to be lost leaves then.',
    ],
    header: ['', 'input', 'worst input', 'flush'],
    lines: figures.map(({ what, input, worst, flush }) => [what, show(input), show(worst), show(flush)]),
    figures,
  }
}
