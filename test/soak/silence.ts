/**
 * Peers that keep their windows shut, and peers whose application does not read: what they cost the others.
 *
 * Honest sessions are measured at two servers that differ in nothing but such peers, in turns of half a second: whatever
 * else the machine does hits both alike. What is judged is the ratio of the p99 of each pair of turns, in processor time
 * (echoes.ts) and with a path of a millisecond: its median, and the limits between which that is with 95 %.
 * @module
 */
import { equal, ok } from 'node:assert/strict'
import { presets } from '../../src/index.ts'
import { type Echoes, HONEST } from './echoes.ts'
import { type Helper, MB, type Part, quantile, type Resources, type Scale, sleep, until } from './part.ts'
import type { ServerReport } from './server.ts'

/** How long the silent ones last, ms: half as long again as by default, for as many turns as there can be. */
const STALL = 90_000
/** What of it is left when the last pair begins, ms. Fewer pairs than these tell nothing. */
const MARGIN = 8_000
const PAIRS_MIN = 20
/** Turns before any that counts: the first ones are those of V8's compilers. */
const WARM_UP = 8
/** Pairs before them, with nobody silent anywhere: what the machine makes of two servers that are the same. */
const CONTROL_PAIRS = 20
/** Added to each p99, ms, as from a host to its neighbour there and back: nobody has sessions with himself. */
const PATH = 1
/** Most that the p99 beside them may be of the p99 without. */
const WORST_RATIO = 1.1
/** Where not even so much more can be ruled out nothing was measured. */
const TELLING_RATIO = 1.25
/** Most processor time that a server with them may take while nobody else asks, ms a second. */
const WORST_COST = 50
/** For this long nobody asks anything, ms, and what is spent is spent on them. */
const QUIET = 4_000
const NEVER = Number.POSITIVE_INFINITY

/**
 * What a silent session may take, bytes: two windows of datagrams, received or to be sent (SECURITY.md), what its stream
 * took for a reader, and objects.
 */
const EACH = 2 * presets.fast.rcvWnd * presets.fast.mtu + 64 * 1024 + 32 * 1024

interface Comparison {
  readonly pairs: number
  /** Medians of the turns' p99 without silent sessions and beside them, ms. */
  readonly wall: readonly [number, number]
  readonly work: readonly [number, number]
  /** Median of the ratios of `work`, path included, and its limits. */
  readonly ratio: number
  readonly low: number
  readonly high: number
}

/** Turns at either server, until there are `most` pairs or it is `endAt`. */
async function compare(alone: Helper, beset: Helper, most: number, endAt: number): Promise<Comparison> {
  const pairs: [alone: Echoes, beside: Echoes][] = []
  const turn = (server: Helper): Promise<Echoes> => server.ask<Echoes>('echoes')
  for (let i = 0; i < most && performance.now() < endAt; i++) {
    // Now the one first, now the other: what grows or wanes favours neither.
    if (i % 2 === 0) {
      const first = await turn(alone)
      pairs.push([first, await turn(beset)])
    } else {
      const first = await turn(beset)
      pairs.push([await turn(alone), first])
    }
  }
  const count = pairs.length
  const ratios = pairs
    .map(([alone, beside]) => (beside.work + PATH) / (alone.work + PATH))
    .sort((a, b) => a - b)
  // Of a binomial distribution: in 95 of 100 cases the true median is between these two of the sorted ratios.
  const rank = Math.max(0, Math.floor((count - 1.96 * Math.sqrt(count)) / 2))
  const median = (numbers: readonly number[]): number => quantile(numbers, 0.5)
  return {
    pairs: count,
    wall: [median(pairs.map(([{ wall }]) => wall)), median(pairs.map(([, { wall }]) => wall))],
    work: [median(pairs.map(([{ work }]) => work)), median(pairs.map(([, { work }]) => work))],
    ratio: median(ratios),
    low: ratios[rank] ?? Number.NaN,
    high: ratios[count - 1 - rank] ?? Number.NaN,
  }
}

function tell({ pairs, wall, work, ratio, low, high }: Comparison): string {
  const both = (two: readonly number[]): string => two.map((ms) => ms.toFixed(2)).join(' and ')
  const limits = `${low.toFixed(2)} to ${high.toFixed(2)}`
  return `${both(work)} ms of processor time, ratio ${ratio.toFixed(2)} (${limits}; ${pairs} pairs of turns), ${both(wall)} ms on the wall`
}

/** Processor time of a server while nobody asks it anything, ms a second. */
async function costOf(servers: readonly Helper[], ms: number): Promise<number[]> {
  const reports = (): Promise<ServerReport[]> =>
    Promise.all(servers.map((server) => server.ask<ServerReport>('stats')))
  const [before, began] = [await reports(), performance.now()]
  await sleep(ms)
  const [after, seconds] = [await reports(), (performance.now() - began) / 1_000]
  return after.map(({ cpu }, i) => (cpu - before[i]!.cpu) / seconds)
}

async function silence(
  { count, short }: Scale,
  use: Resources,
): Promise<{ count: number; findings: string }> {
  // In the short form, which does not wait a minute, and has not the time to let them all fill up at full size.
  const stallTimeout = short ? 4_000 : STALL
  const config = { preset: 'fast', stallTimeout } as const
  const start = (): Helper => use.start('server.js', { ...config, maxPendingPerHost: 512, lookEvery: 5_000 })
  const [alone, beset] = [start(), start()]
  await alone.next('listening')
  const { port } = await beset.next<{ port: number }>('listening')
  const servers = [alone, beset]
  for (const server of servers) {
    for (let i = short ? 1 : WARM_UP; i > 0; i--) await server.ask('echoes')
    await server.ask('baseline')
  }
  const before = await beset.ask<ServerReport>('gc')
  const control = await compare(alone, beset, short ? 2 : CONTROL_PAIRS, NEVER)

  const began = performance.now()
  const attackers = use.start('client.js', { role: 'silent', port, count, config })
  await attackers.next('silent')
  await until(
    async () => (await beset.ask<ServerReport>('stats')).stats.sessions >= count * 0.99 + HONEST,
    40_000,
    `${count} sessions`,
  ).catch((error) => {
    // Where the machine is so slow that the first of them stall before the last is there.
    if (!short) throw error
  })
  // Until the windows are shut.
  await sleep(short ? 500 : 8_000)
  const [idle, cost] = (await costOf(servers, short ? 100 : QUIET)) as [number, number]
  const measured = await compare(alone, beset, short ? 2 : NEVER, short ? NEVER : began + STALL - MARGIN)
  const during = await beset.ask<ServerReport>('stats')
  const pouring = Math.ceil(count / 2)
  if (!short) {
    // Or nothing was measured.
    ok(measured.pairs >= PAIRS_MIN, `too slow a machine: ${measured.pairs} pairs of turns`)
    ok(during.stats.sessions >= count * 0.99 + HONEST, `${during.stats.sessions} sessions at the end`)
    ok(during.shut >= pouring * 0.99, `${during.shut} of ${pouring} windows shut`)
    ok(during.stats.memoryUsed >= (count - pouring) * 0.9 * presets.fast.rcvWnd * 1_000, 'windows not filled')
  }
  // Of who ignores, at most 2 windows of segments; of who pours, at most maxSendBytes, and what Node's streams keep.
  ok(during.stats.memoryUsed <= 256 * MB, `${during.stats.memoryUsed} bytes kept for readers`)
  const most = (count - pouring) * 2 * presets.fast.rcvWnd * (presets.fast.mtu - 24)
  ok(
    during.stats.memoryUsed <= most,
    `${during.stats.memoryUsed} bytes for ${count - pouring} unread sessions`,
  )
  const growth = during.peakRss - before.rss
  ok(growth <= count * EACH + 16 * MB, `resident memory grew by ${(growth / MB).toFixed(0)} MB`)

  await until(
    async () => {
      const { stats, closeEvents } = await beset.ask<ServerReport>('stats')
      return stats.sessions === HONEST && (closeEvents['dead-link'] ?? 0) >= count * 0.45
    },
    stallTimeout * 2 + 30_000,
    'the stalled sessions dropped',
  )
  let after = await beset.ask<ServerReport>('gc')
  const leftOver = (): number => after.heapUsed + after.external - before.heapUsed - before.external
  await until(
    async () => {
      // Buffers go some turns after what held them.
      after = await beset.ask<ServerReport>('gc')
      return leftOver() <= 8 * MB && after.stats.memoryUsed === 0
    },
    20_000,
    'their memory given back',
  )
  equal(after.stats.memoryUsed, 0, 'nothing is kept for readers that are gone')

  const { ratio, high } = measured
  const told =
    `p99 of ${HONEST} others at a server without them and at theirs: ${tell(measured)}; ` +
    `before they came: ${tell(control)}; ${cost.toFixed(0)} ms of processor time a second where they are and nobody else asks, ${idle.toFixed(0)} where they are not`
  if (!short) {
    ok(ratio <= WORST_RATIO, told)
    ok(high <= TELLING_RATIO, `too busy a machine: ${told}`)
    ok(cost <= WORST_COST, told)
  }
  return {
    count,
    findings:
      `${told}; ${during.shut} windows shut, ${(during.stats.memoryUsed / MB).toFixed(0)} MB kept for readers, memory ` +
      `${(before.rss / MB).toFixed(0)} to ${(during.peakRss / MB).toFixed(0)} MB, in the end ` +
      `${(leftOver() / MB).toFixed(1)} MB of objects and buffers more than before; closed: ${JSON.stringify(after.closeEvents)}`,
  }
}

export const silent: Part = {
  name: 'silent',
  what: 'sessions, half of which never read what they asked for, half of which fill one that is not read: memory within the caps, dropped at stallTimeout, p99 of others within 10 %',
  unit: 'sessions',
  short: { count: 100 },
  long: { count: 1_000 },
  run: silence,
}
