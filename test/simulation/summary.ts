/** What many runs came to, and the worst of them. Adds up, so that parts of a long run can be put together. */
import type { Outcome } from './parts.ts'

/** A figure and the seed that it is of. */
export interface Worst {
  value: number
  seed: number
}

export interface Totals {
  seeds: number
  /** Of the clock, of all jobs together. */
  seconds: number
  virtualMs: number
  datagrams: number
  wireBytes: number
  bytes: number
  segments: number
  pushes: number
  repeats: number
  runs: number
  unreliable: number
  changes: number
  ends: Record<string, number>
  worst: Record<WorstName, Worst>
  failed: { seed: number; why: string }[]
}

/**
 * - perByte: bytes on the wire, both ways, for each byte that arrived.
 * - perPush: PUSHes sent for each segment that arrived.
 * - patience: of the time that the rest may take after the path has healed, how much it took.
 */
export type WorstName = 'perByte' | 'perPush' | 'patience' | 'datagrams'

/** What arrived must be worth a comparison: in a conversation of a few bytes the closing alone is more. */
const BYTES_MIN = 10_000
const SEGMENTS_MIN = 100

export function noTotals(): Totals {
  const none = (): Worst => ({ value: 0, seed: 0 })
  return {
    seeds: 0,
    seconds: 0,
    virtualMs: 0,
    datagrams: 0,
    wireBytes: 0,
    bytes: 0,
    segments: 0,
    pushes: 0,
    repeats: 0,
    runs: 0,
    unreliable: 0,
    changes: 0,
    ends: {},
    worst: { perByte: none(), perPush: none(), patience: none(), datagrams: none() },
    failed: [],
  }
}

const SUMS = [
  'virtualMs',
  'datagrams',
  'wireBytes',
  'bytes',
  'segments',
  'pushes',
  'repeats',
  'runs',
  'unreliable',
  'changes',
] as const satisfies readonly (keyof Totals & keyof Outcome)[]

export function count(totals: Totals, seed: number, outcome: Outcome): void {
  totals.seeds++
  for (const name of SUMS) totals[name] += outcome[name]
  addEnds(totals, outcome.ends)
  const { wireBytes, bytes, pushes, segments, patience, datagrams } = outcome
  worse(totals, 'datagrams', { value: datagrams, seed })
  worse(totals, 'patience', { value: patience, seed })
  if (bytes >= BYTES_MIN) worse(totals, 'perByte', { value: wireBytes / bytes, seed })
  if (segments >= SEGMENTS_MIN) worse(totals, 'perPush', { value: pushes / segments, seed })
}

export function merge(totals: Totals, more: Totals): void {
  totals.seeds += more.seeds
  totals.seconds += more.seconds
  for (const name of SUMS) totals[name] += more[name]
  addEnds(totals, more.ends)
  for (const name of Object.keys(totals.worst) as WorstName[]) worse(totals, name, more.worst[name])
  totals.failed.push(...more.failed)
}

function addEnds(totals: Totals, ends: Readonly<Record<string, number>>): void {
  for (const [why, many] of Object.entries(ends)) totals.ends[why] = (totals.ends[why] ?? 0) + many
}

function worse({ worst }: Totals, name: WorstName, one: Worst): void {
  if (one.value > worst[name].value) worst[name] = one
}

/** What there is to say of a run, but for how many seeds it had: a line each. */
export function describe(totals: Totals): readonly string[] {
  const { virtualMs, datagrams, bytes, wireBytes, segments, pushes, ends, worst } = totals
  const { unreliable, changes } = totals
  const of = ({ value, seed }: Worst): string => `${value.toFixed(2)} (seed ${seed})`
  return [
    `${(virtualMs / 3_600_000).toFixed(1)} virtual hours, ${datagrams} datagrams, ${bytes} bytes delivered`,
    `bytes sent per byte delivered ${(wireBytes / bytes).toFixed(2)}, worst ${of(worst.perByte)}`,
    `PUSHes per segment ${(pushes / segments).toFixed(2)}, worst ${of(worst.perPush)}`,
    `longest wait after healing, of what is allowed: ${of(worst.patience)}`,
    `${unreliable} messages came out of band; settings of a conversation were changed ${changes} times`,
    `sessions ended: ${Object.entries(ends)
      .map(([why, many]) => `${why} ${many}`)
      .join(', ')}`,
  ]
}
