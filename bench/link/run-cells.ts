/**
 * Runs cells: all contestants of all cells of a batch at the same time, each on a link of its own, so what disturbs the
 * machine disturbs all of them. Their messages are out of step with one another, evenly, so that they disturb each
 * other as little as can be.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Cell, conditionsOf, taskOf } from './cells.ts'
import type { Child } from './child.ts'
import type { Contestant } from './contestants.ts'
import { type Lateness, latenessOf, type RelayCounters } from './counters.ts'
import type { LatencyDone, LatencyTask } from './end.ts'
import { ImpairedLink } from './link.ts'

export interface RunOptions {
  readonly contestants: readonly Contestant<LatencyTask>[]
  readonly seconds: number
  readonly seed: number
}

/** What one contestant did in one cell. */
export interface Outcome {
  readonly name: string
  /** ms, sorted; Infinity for what had not arrived when the patience was over. */
  readonly samples: readonly number[]
  /** IP packets and their bytes, both ways. */
  readonly packets: number
  readonly bytes: number
  /** What the sender's engine says of itself; only ours do. */
  readonly stats: object | undefined
}

export interface CellResult {
  readonly cell: Cell
  readonly seconds: number
  readonly outcomes: readonly Outcome[]
  readonly failures: readonly string[]
  readonly late: Lateness
}

/** Longest that the last message may be late, ms: TCP backs off to seconds. */
const PATIENCE = 20_000
/** Until all senders have been told when to start, ms. */
const LEAD = 500
/** Links that are set up at a time: two keep two cores busy. */
const AT_ONCE = 3
/** Phases of the messages are spread over this, ms: every interval is a multiple of it. */
const SPREAD = 20
/** Packets under way on one link, a power of two: thousands a second would have room. */
const SLOTS = 1024

interface Flow {
  readonly cell: Cell
  readonly contestant: Contestant<LatencyTask>
  readonly task: LatencyTask
  readonly link: ImpairedLink
  readonly sender: Child
  readonly receiver: Child
}

export async function runBatch(
  cells: readonly Cell[],
  { contestants, seconds, seed }: RunOptions,
): Promise<CellResult[]> {
  const links: ImpairedLink[] = []
  const wanted = cells.flatMap((cell) =>
    contestants
      .filter(({ where }) => where === undefined || where(cell))
      .map((contestant) => ({ cell, contestant })),
  )
  const flows = new Array<Flow>(wanted.length)
  try {
    let next = 0
    const setUpSome = async (): Promise<void> => {
      while (next < wanted.length) {
        const number = next++
        const { cell, contestant } = wanted[number]!
        const conditions = conditionsOf(cell)
        const { congestion } = contestant
        const link = await ImpairedLink.open({
          toFar: conditions,
          toNear: conditions,
          seed,
          congestion,
          slots: SLOTS,
        })
        links.push(link)
        const task = taskOf(cell, seconds)
        const receiver = contestant.start(link, 'receive', task)
        await receiver.next('ready')
        const sender = contestant.start(link, 'send', task)
        await sender.next('ready')
        flows[number] = { cell, contestant, task, link, sender, receiver }
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, setUpSome))
    const startAt = Number(process.hrtime.bigint()) / 1e6 + LEAD
    const results = await Promise.allSettled(
      flows.map((flow, i) => exchange(flow, startAt + (i * SPREAD) / flows.length, seconds * 1000)),
    )
    return cells.map((cell) => {
      const outcomes: Outcome[] = []
      const failures: string[] = []
      const relays: RelayCounters[] = []
      for (const [i, flow] of flows.entries()) {
        if (flow.cell !== cell) continue
        const result = results[i]!
        if (result.status === 'fulfilled') {
          outcomes.push(result.value.outcome)
          relays.push(result.value.relay)
        } else failures.push(`${flow.contestant.name} failed: ${(result.reason as Error).message}`)
      }
      return { cell, seconds, outcomes, failures, late: latenessOf(relays) }
    })
  } finally {
    await Promise.all(links.map((link) => link.close()))
  }
}

async function exchange(
  { cell, contestant, task, link, sender, receiver }: Flow,
  startAt: number,
  forMs: number,
): Promise<{ readonly outcome: Outcome; readonly relay: RelayCounters }> {
  sender.tell(`go ${BigInt(Math.round(startAt * 1e6))}`)
  await sender.next('measuring')
  const before = await link.counters()
  const requests = task.kind === 'requests'
  const reporter = requests ? sender : receiver
  const limit = requests ? forMs : forMs + PATIENCE
  const timer = setTimeout(() => reporter.tell('enough'), limit)
  const { latencies } = await reporter
    .next<LatencyDone>('done', limit + PATIENCE)
    .finally(() => clearTimeout(timer))
  // Until the last acknowledgement is under way.
  await sleep(cell.rtt)
  const relay = await link.counters()
  const dead = [sender, receiver].find(({ over }) => over !== undefined)
  if (dead !== undefined) throw new Error(`it ${dead.over}`)
  let stats: object | undefined
  if (contestant.tells === true) {
    sender.tell('stats')
    stats = (await sender.next<{ readonly stats: object }>('stats')).stats
  }
  const sent = (key: 'offered' | 'offeredBytes'): number =>
    relay.toFar[key] + relay.toNear[key] - before.toFar[key] - before.toNear[key]
  const missing = requests ? 0 : task.flows * task.count - latencies.length
  const samples = [...latencies, ...Array<number>(missing).fill(Number.POSITIVE_INFINITY)]
  samples.sort((a, b) => a - b)
  return {
    outcome: { name: contestant.name, samples, packets: sent('offered'), bytes: sent('offeredBytes'), stats },
    relay,
  }
}
