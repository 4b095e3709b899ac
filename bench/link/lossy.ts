/**
 * How late a small message arrives on a path that loses: one-way delivery over the impaired link, ours beside TCP and
 * others. In each cell all contestants run at the same time, each on a link of its own with the same conditions, so
 * what disturbs the machine disturbs all of them.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { LinkConditions } from '../../src/sim/index.ts'
import type { Effort, Report } from '../rounds.ts'
import type { Child } from './child.ts'
import { type Contestant, kcpGo, ours, present, tcp, udx } from './contestants.ts'
import { type RelayCounters, relayLine } from './counters.ts'
import type { MessagesDone, MessagesTask } from './end.ts'
import { burstLoss, ImpairedLink, whyNoLink } from './link.ts'
import { noLink, type Summary, summarise } from './summary.ts'

export interface LossyOptions {
  /** ms. */
  readonly rtts: readonly number[]
  /** 0..1 per packet, each way. */
  readonly losses: readonly number[]
  /** Packets that a loss takes in a row on average; 1: every packet is lost or not on its own. */
  readonly burst: number
  readonly intervalMs: number
  readonly count: number
  readonly seed: number
  readonly contestants: readonly Contestant<MessagesTask>[]
}

const SIZE = 64
/** Time before what counts: code is compiled and round trips are measured by then, ms. */
const WARM_UP = 1000
/** Longest that the last message may be late, ms: TCP backs off to seconds. */
const PATIENCE = 60_000

export const LOSSY_CONTESTANTS: readonly Contestant<MessagesTask>[] = [
  ours('kcp-io fast', { session: { preset: 'fast' } }),
  tcp('cubic'),
  tcp('bbr'),
  kcpGo(),
  kcpGo([10, 3]),
  kcpGo([2, 1]),
  udx(),
]
/** Others are compared with this one. */
const YARDSTICK = 'TCP bbr'

interface Result {
  readonly latencies: Summary
  /** IP packets and their bytes, both ways. */
  readonly packets: number
  readonly bytes: number
  readonly relay: RelayCounters
}

export async function benchLossy(effort: Effort, overrides: Partial<LossyOptions> = {}): Promise<Report> {
  const quick = effort.rounds === 1
  const options: LossyOptions = {
    rtts: quick ? [30] : [30, 100],
    losses: quick ? [0.05] : [0, 0.01, 0.05, 0.1],
    burst: 1,
    intervalMs: 20,
    count: quick ? 100 : 240 * effort.rounds,
    seed: 1,
    contestants: LOSSY_CONTESTANTS,
    ...overrides,
  }
  const impossible = whyNoLink()
  if (impossible !== undefined) return noLink('lossy', impossible)
  const contestants = present(options.contestants)
  const lines: string[][] = []
  const figures: object[] = []
  const failures: string[] = []
  const relays: RelayCounters[] = []
  for (const rtt of options.rtts) {
    for (const loss of options.losses) {
      const results = await runCell(contestants.present, rtt, loss, options)
      const yardstick = results.get(YARDSTICK)
      for (const [name, result] of results) {
        const cell = `${rtt} ms, ${loss * 100} %`
        if (result instanceof Error) {
          failures.push(`${name} failed at ${cell}: ${result.message}`)
          continue
        }
        const { latencies } = result
        const perYardstick = yardstick instanceof Error ? undefined : yardstick?.latencies.p99
        const bytesPerByte = result.bytes / (options.count * SIZE)
        const packetsPerMessage = result.packets / options.count
        lines.push([
          String(rtt),
          `${loss * 100} %`,
          name,
          ...Object.values(latencies).map((ms: number) => ms.toFixed(1)),
          perYardstick === undefined ? '-' : (latencies.p99 / perYardstick).toFixed(2),
          bytesPerByte.toFixed(2),
          packetsPerMessage.toFixed(2),
        ])
        figures.push({ rtt, loss, name, ...latencies, bytesPerByte, packetsPerMessage })
        relays.push(result.relay)
      }
    }
  }
  return {
    name: 'lossy',
    what: [
      `One-way delivery, ms, of ${options.count} messages of ${SIZE} bytes, one every ${options.intervalMs} ms, through two network namespaces and a`,
      `relay: half the RTT (ms) each way, no jitter, loss of IP packets each way (${lossModel(options.burst)}; seed ${options.seed}). All of a`,
      'cell at the same time. Bytes of IP packets both ways per byte of payload, and packets both ways per message.',
      relayLine(relays),
      ...contestants.absent,
      ...failures,
    ],
    header: [
      'RTT',
      'loss',
      'who',
      'mean',
      'p50',
      'p95',
      'p99',
      'max',
      'p99/bbr',
      'bytes/byte',
      'packets/msg',
    ],
    lines,
    figures,
  }
}

function lossModel(burst: number): string {
  return burst === 1 ? 'each on its own' : `bursts of ${burst} on average`
}

/** All contestants at once; what became of each, by name. */
async function runCell(
  contestants: readonly Contestant<MessagesTask>[],
  rtt: number,
  loss: number,
  { burst, intervalMs, count, seed }: LossyOptions,
): Promise<Map<string, Result | Error>> {
  const conditions: LinkConditions = {
    delayMs: rtt / 2,
    ...(burst === 1 ? { loss } : { burst: burstLoss(loss, burst) }),
  }
  const warmUp = Math.ceil(WARM_UP / intervalMs)
  const task: MessagesTask = { kind: 'messages', size: SIZE, intervalMs, warmUp, count }
  const links: ImpairedLink[] = []
  try {
    const starts = new Map<string, () => Promise<Result>>()
    for (const contestant of contestants) {
      const { name, congestion } = contestant
      const link = await ImpairedLink.open({ toFar: conditions, toNear: conditions, seed, congestion })
      links.push(link)
      const receiver = contestant.start(link, 'receive', task)
      await receiver.next('ready')
      const sender = contestant.start(link, 'send', task)
      await sender.next('ready')
      starts.set(name, () => exchange(link, sender, receiver, rtt, task))
    }
    const results = await Promise.allSettled([...starts.values()].map((start) => start()))
    return new Map(
      [...starts.keys()].map((name, i) => {
        const result = results[i]!
        return [name, result.status === 'fulfilled' ? result.value : (result.reason as Error)]
      }),
    )
  } finally {
    await Promise.all(links.map((link) => link.close()))
  }
}

async function exchange(
  link: ImpairedLink,
  sender: Child,
  receiver: Child,
  rtt: number,
  { count, intervalMs }: MessagesTask,
): Promise<Result> {
  sender.tell('go')
  await sender.next('measuring')
  const before = await link.counters()
  const { latencies } = await receiver.next<MessagesDone>('done', count * intervalMs + PATIENCE)
  // Until the last acknowledgement is under way.
  await sleep(rtt)
  const relay = await link.counters()
  const sent = (key: 'offered' | 'offeredBytes'): number =>
    relay.toFar[key] + relay.toNear[key] - before.toFar[key] - before.toNear[key]
  return { latencies: summarise(latencies), packets: sent('offered'), bytes: sent('offeredBytes'), relay }
}
