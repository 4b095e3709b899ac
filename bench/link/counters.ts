/**
 * What the relay is told and what it counts.
 * @module
 */
import type { LinkCounters, LinkOptions } from '../../src/sim/index.ts'

export interface RelayOptions {
  readonly toFar: LinkOptions
  readonly toNear: LinkOptions
  /** Packets under way at most, in each direction; a power of two. */
  readonly slots?: number | undefined
}

/** What the relay counted in one direction. */
export interface DirectionCounters extends LinkCounters {
  /** Packets that the relay itself had no room for or could not hand over: more than a few, and it was too slow. */
  refused: number
  /** How long after their time packets were handed over: packets by steps of LATE_STEP ms, the last one open. */
  late: readonly number[]
}

export interface RelayCounters {
  readonly toFar: DirectionCounters
  readonly toNear: DirectionCounters
}

/** ms. */
export const LATE_STEP = 0.02
export const LATE_STEPS = 1000

/** How late the relay handed packets over, ms, at a share `p` of them. */
export function lateness(counters: readonly RelayCounters[], p: number): number {
  const steps: number[] = []
  for (const { toFar, toNear } of counters) {
    for (const { late } of [toFar, toNear]) {
      for (const [i, packets] of late.entries()) steps[i] = (steps[i] ?? 0) + packets
    }
  }
  let left = p * steps.reduce((sum, packets) => sum + packets, 0)
  const at = steps.findIndex((packets) => (left -= packets) <= 0)
  return (at + 1) * LATE_STEP
}

/** How exact a link was, ms and packets. */
export interface Lateness {
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly refused: number
}

export function latenessOf(relays: readonly RelayCounters[]): Lateness {
  const refused = relays.reduce((sum, { toFar, toNear }) => sum + toFar.refused + toNear.refused, 0)
  const [p50, p99, p999] = [0.5, 0.99, 0.999].map((p) => lateness(relays, p))
  return { p50: p50!, p99: p99!, p999: p999!, refused }
}

/** For a report: how exact the link was. */
export function relayLine(relays: readonly RelayCounters[]): string {
  const { p50, p99, refused } = latenessOf(relays)
  const line = `The relay was ${p50.toFixed(2)} ms late at the median and ${p99.toFixed(2)} ms at p99`
  return refused === 0
    ? `${line}.`
    : `${line}, and had no room for ${refused} packets: the machine is too busy.`
}
