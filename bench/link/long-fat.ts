/**
 * How much of a long, fast path that loses a bulk transfer gets: ours with windows sized to the path, and TCP on the
 * same link. One after the other, as each takes all of the link.
 * @module
 */
import type { LinkConditions } from '../../src/sim/index.ts'
import { type Effort, type Report, show } from '../rounds.ts'
import { type Contestant, ours, present, tcp } from './contestants.ts'
import { type RelayCounters, relayLine } from './counters.ts'
import type { BulkDone, BulkTask } from './end.ts'
import { ImpairedLink, whyNoLink } from './link.ts'
import type { KcpEndOptions } from './protocols.ts'
import { noLink } from './summary.ts'

export interface Path {
  /** ms. */
  readonly rtt: number
  /** 0..1 per packet, each way. */
  readonly loss: number
  /** Of IP packets, each way. */
  readonly bytesPerSec: number
}

export interface LongFatOptions extends Path {
  readonly bytes: number
  readonly seed: number
  readonly contestants: readonly Contestant<BulkTask>[]
}

const PATH: Path = { rtt: 100, loss: 0.01, bytesPerSec: 20_000_000 }
const MTU = 1400
/** A transfer ends after this many times the time that the link itself needs, whatever has arrived. */
const PATIENCE = 1.4
/** Time that the first byte may take on top, ms. */
const START = 10_000
/** IPv4 and UDP. */
const IP_OVERHEAD = 28

/**
 * Segments in flight, as a multiple of what the path holds. 1.05 to 1.5 do alike; less leaves the link idle, and from
 * 1.7 on its queue of 1 overflows.
 */
const FLIGHT = 1.25
/**
 * How far the newest segment may be ahead of the oldest, in the same unit. A segment that is lost again waits another
 * round trip while the others go on, and at 1 % loss that happens five times in a row to one of 10^10.
 */
const WINDOW = 6

/** Settings for a path whose rate and round trip are known. */
export function sizedTo({ rtt, bytesPerSec }: Path): KcpEndOptions {
  const holds = (bytesPerSec * rtt) / 1000 / (MTU + IP_OVERHEAD)
  const window = Math.ceil(holds * WINDOW)
  return {
    session: {
      preset: 'turbo',
      kcp: {
        mtu: MTU,
        sndWnd: window,
        rcvWnd: window,
        maxInFlight: Math.ceil(holds * FLIGHT),
        lossDetection: 'time',
        streamMode: true,
      },
      sendQueueLimit: window,
      maxSendBytes: 2 * window * MTU,
    },
  }
}

export async function benchLongFat(effort: Effort, overrides: Partial<LongFatOptions> = {}): Promise<Report> {
  const path = { ...PATH, ...overrides }
  const options: LongFatOptions = {
    bytes: effort.rounds === 1 ? 20_000_000 : 1_000_000_000,
    seed: 1,
    contestants: [
      ours('kcp-io', sizedTo(path)),
      ours('kcp-io turbo', { session: { preset: 'turbo', kcp: { streamMode: true } } }),
      tcp('cubic'),
      tcp('bbr'),
    ],
    ...path,
  }
  const impossible = whyNoLink()
  if (impossible !== undefined) return noLink('longfat', impossible)
  const contestants = present(options.contestants)
  const lines: string[][] = []
  const figures: object[] = []
  const relays: RelayCounters[] = []
  for (const contestant of contestants.present) {
    const { bytes, seconds, counters, stats } = await runOne(contestant, options)
    relays.push(counters)
    const share = bytes / seconds / options.bytesPerSec
    const sent = counters.toFar.offeredBytes / bytes
    const back = counters.toNear.offeredBytes / bytes
    lines.push([
      contestant.name,
      show(bytes / seconds / 1e6),
      share.toFixed(3),
      sent.toFixed(3),
      back.toFixed(3),
      counters.toFar.tailDropped.toLocaleString('en'),
    ])
    figures.push({
      name: contestant.name,
      bytes,
      seconds,
      share,
      sentPerDelivered: sent,
      backPerDelivered: back,
      lost: counters.toFar.lost,
      tailDropped: counters.toFar.tailDropped,
      stats,
    })
  }
  const { rtt, loss, bytesPerSec, bytes, seed } = options
  return {
    name: 'longfat',
    what: [
      `${show(bytes / 1e6)} MB, or what arrives in ${PATIENCE} times the time that the link needs for it, through two network namespaces`,
      `and a relay: RTT ${rtt} ms, ${loss * 100} % of IP packets lost each way (seed ${seed}), ${show(bytesPerSec / 1e6)} MB/s of IP packets, a tail-drop`,
      'queue of one bandwidth-delay product. Share: of that rate, as payload delivered. Sent: bytes of IP packets on the',
      `way there per byte delivered; back: on the way back. kcp-io: ${FLIGHT} of what the path holds in flight, windows of ${WINDOW},`,
      `losses told by time; kcp-io turbo: the preset as it is.`,
      relayLine(relays),
      ...contestants.absent,
    ],
    header: ['who', 'MB/s', 'share', 'sent/delivered', 'back/delivered', 'queue drops'],
    lines,
    figures,
  }
}

async function runOne(
  { congestion, start }: Contestant<BulkTask>,
  { rtt, loss, bytesPerSec, bytes, seed }: LongFatOptions,
): Promise<BulkDone & { readonly counters: RelayCounters; readonly stats: object }> {
  const limitMs = (bytes / bytesPerSec) * 1000 * PATIENCE
  const task: BulkTask = { kind: 'bulk', bytes, limitMs }
  const conditions: LinkConditions = {
    delayMs: rtt / 2,
    loss,
    rateBytesPerSec: bytesPerSec,
    queueBytes: (bytesPerSec * rtt) / 1000,
  }
  const link = await ImpairedLink.open({ toFar: conditions, toNear: conditions, seed, congestion })
  try {
    const receiver = start(link, 'receive', task)
    await receiver.next('ready')
    const sender = start(link, 'send', task)
    await sender.next('ready')
    sender.tell('go')
    const done = await receiver.next<BulkDone>('done', limitMs + START)
    const counters = await link.counters()
    sender.tell('stats')
    const { stats } = await sender.next<{ readonly stats: object }>('stats')
    return { ...done, counters, stats }
  } finally {
    await link.close()
  }
}
