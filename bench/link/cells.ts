/**
 * What is measured: a cell is a traffic pattern on a path. Which cells there are, what the ends of one are told, and
 * which may run at the same time.
 * @module
 */
import type { LinkConditions } from '../../src/sim/index.ts'
import type { LatencyTask } from './end.ts'
import { burstLoss } from './link.ts'

/**
 * A message at that interval, one way; `single`: one, then a second of silence; `requests`: there and back, one at a
 * time, after a short pause.
 */
export type Pattern = `${number} ms` | 'single' | 'requests'

export interface Cell {
  readonly pattern: Pattern
  /** ms. */
  readonly rtt: number
  /** 0..1 per packet, each way. */
  readonly loss: number
  /** Packets that a loss takes in a row on average; 1: every packet is lost or not on its own. */
  readonly burst: number
}

/** Bytes of a message. */
export const SIZE = 64
/** Silence around a single shot, ms. */
const SINGLE = 1000
/** Pause between an answer and the next request, ms. */
const THINK = 10
/**
 * Messages of a cell per second, where its pattern is slower than that by several conversations on the one link: p99.9
 * of 100 s is the fifth from the top then.
 */
const RATE = 50
/** Conversations of a cell at most: each is a socket at each end. */
const FLOWS_MAX = 20
/** Before what counts: code is compiled and round trips are measured by then, ms; and messages of each flow. */
const WARM_UP = 1000
const WARM_UP_MESSAGES = 3
/** More requests than fit: they end when the time is over. */
const ENDLESS = 1_000_000

export function cellName({ pattern, rtt, loss, burst }: Cell): string {
  return `${pattern}, RTT ${rtt}, ${percent(loss)}${burst === 1 ? '' : ` in bursts of ${burst}`}`
}

/** Name of a cell in file names. */
export function cellSlug({ pattern, rtt, loss, burst }: Cell): string {
  const stem = pattern.replace(' ', '')
  return `${stem}-rtt${rtt}-loss${Number((loss * 100).toFixed(3))}${burst === 1 ? '' : `-burst${burst}`}`
}

export function percent(loss: number): string {
  return `${Number((loss * 100).toFixed(3))} %`
}

export function conditionsOf({ rtt, loss, burst }: Cell): LinkConditions {
  return { delayMs: rtt / 2, ...(burst === 1 ? { loss } : { burst: burstLoss(loss, burst) }) }
}

/** What the ends of a cell do in that many seconds. */
export function taskOf({ pattern, rtt }: Cell, seconds: number): LatencyTask {
  if (pattern === 'requests') {
    const roundMs = rtt + THINK
    const flows = Math.min(Math.ceil((RATE * roundMs) / 1000), FLOWS_MAX)
    return { kind: 'requests', size: SIZE, flows, warmUp: warmUp(roundMs), count: ENDLESS, thinkMs: THINK }
  }
  const intervalMs = pattern === 'single' ? SINGLE : Number.parseFloat(pattern)
  const flows = Math.min(Math.max(Math.round((RATE * intervalMs) / 1000), 1), FLOWS_MAX)
  const count = Math.max(Math.floor((seconds * 1000) / intervalMs), 1)
  return { kind: 'messages', size: SIZE, flows, warmUp: warmUp(intervalMs), count, intervalMs }
}

function warmUp(everyMs: number): number {
  return Math.max(Math.ceil(WARM_UP / everyMs), WARM_UP_MESSAGES)
}

/** Messages per second of one contestant, those of the other direction too. */
export function rateOf(cell: Cell): number {
  const task = taskOf(cell, 1)
  return task.kind === 'requests'
    ? (2 * task.flows * 1000) / (cell.rtt + task.thinkMs)
    : (task.flows * 1000) / task.intervalMs
}

/** Cells in groups of at most `rate` messages per second and contestant, but one cell at least; in their order. */
export function batchesOf(cells: readonly Cell[], rate: number): Cell[][] {
  const batches: { readonly cells: Cell[]; rate: number }[] = []
  for (const cell of cells) {
    const own = rateOf(cell)
    const free = batches.find((batch) => batch.rate + own <= rate)
    if (free === undefined) batches.push({ cells: [cell], rate: own })
    else {
      free.cells.push(cell)
      free.rate += own
    }
  }
  return batches.map((batch) => batch.cells)
}

function across(
  patterns: readonly Pattern[],
  rtts: readonly number[],
  losses: readonly number[],
  burst: number,
): Cell[] {
  return patterns.flatMap((pattern) =>
    rtts.flatMap((rtt) => losses.map((loss) => ({ pattern, rtt, loss, burst }))),
  )
}

/** A message each 20 ms on short and middling paths: what the aims are about. */
export const MAIN_CELLS: readonly Cell[] = across(['20 ms'], [30, 100], [0, 0.01, 0.05, 0.1], 1)
/** Some of everything. */
export const DEFAULT_CELLS: readonly Cell[] = [
  ...MAIN_CELLS,
  ...across(['20 ms'], [30, 100], [0.2], 1),
  ...across(['20 ms'], [200], [0, 0.05], 1),
  ...across(['20 ms'], [30, 100], [0.05], 3),
  ...across(['100 ms', 'single', 'requests'], [30, 100], [0.05], 1),
]
/** Everything with everything: hours. Bursts are bursts of one conversation's packets, so of the 20 ms pattern only. */
export const WHOLE_GRID: readonly Cell[] = [
  ...across(['20 ms', '100 ms', 'single', 'requests'], [30, 100, 200], [0, 0.01, 0.05, 0.1, 0.2], 1),
  ...across(['20 ms'], [30, 100, 200], [0.01, 0.05, 0.1, 0.2], 3),
]
