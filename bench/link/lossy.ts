/**
 * A few cells of latency.ts with a few contestants, for a look at how small messages fare on a path that loses.
 * @module
 */
import type { Effort, Report } from '../rounds.ts'
import type { Cell, Pattern } from './cells.ts'
import { benchLatency, LATENCY_CONTESTANTS, type LatencyOptions } from './latency.ts'
import { TOGETHER } from './results.ts'

export interface LossyOptions extends Omit<LatencyOptions, 'cells'> {
  readonly pattern: Pattern
  /** ms. */
  readonly rtts: readonly number[]
  /** 0..1 per packet, each way. */
  readonly losses: readonly number[]
  readonly burst: number
}

/** Not every feature on its own, nor every peer. */
const FEW: ReadonlySet<string> = new Set([
  'kcp-io',
  TOGETHER,
  'TCP cubic',
  'TCP bbr',
  'kcp-go fast',
  'kcp-go FEC 2/1',
  'udx-native',
])

export async function benchLossy(effort: Effort, overrides: Partial<LossyOptions> = {}): Promise<Report> {
  const quick = effort.rounds === 1
  const {
    pattern = '20 ms',
    rtts = quick ? [30] : [30, 100],
    losses = quick ? [0.05] : [0, 0.01, 0.05, 0.1],
    burst = 1,
    ...others
  } = overrides
  const cells: Cell[] = rtts.flatMap((rtt) => losses.map((loss) => ({ pattern, rtt, loss, burst })))
  const contestants = LATENCY_CONTESTANTS.filter(({ name }) => FEW.has(name))
  const report = await benchLatency(effort, { cells, contestants, seconds: quick ? 2 : 20, ...others })
  return { ...report, name: 'lossy' }
}
