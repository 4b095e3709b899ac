/**
 * How everything here is measured: several rounds, of which the first only warms up, and the median of the others
 * with their range. What is compared is measured in turn within one round, and the ratio is taken there: what disturbs
 * the machine then disturbs all of it.
 * @module
 */

export interface Effort {
  /** Rounds that count. */
  readonly rounds: number
  /** How long one figure is measured in one round, ms. */
  readonly roundMs: number
  /** Sessions held at once. */
  readonly sessions: number
  /** How long their CPU is watched while nothing happens, ms. */
  readonly idleMs: number
}

export const FULL: Effort = { rounds: 5, roundMs: 200, sessions: 10_000, idleMs: 12_000 }
/** Shows that everything runs; too short for figures to quote. */
export const QUICK: Effort = { rounds: 1, roundMs: 30, sessions: 1_000, idleMs: 500 }

export interface Figure {
  readonly median: number
  readonly min: number
  readonly max: number
}

export function figureOf(values: readonly number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}

/** The figures of `measure`, by its keys, over all rounds. */
export async function inRounds<K extends string>(
  { rounds }: Effort,
  measure: () => Promise<Record<K, number>> | Record<K, number>,
): Promise<Record<K, Figure>> {
  await measure()
  const values: Record<string, number[]> = {}
  for (let round = 0; round < rounds; round++) {
    for (const [key, value] of Object.entries<number>(await measure())) (values[key] ??= []).push(value)
  }
  return Object.fromEntries(Object.entries(values).map(([key, all]) => [key, figureOf(all)])) as Record<
    K,
    Figure
  >
}

/** One part of the benchmark: what was measured and how, a table, and its figures. */
export interface Report {
  readonly name: string
  readonly what: readonly string[]
  readonly header: readonly string[]
  readonly lines: readonly (readonly string[])[]
  readonly figures: unknown
}

export function printReport({ name, what, header, lines }: Report): void {
  const rows = [header, ...lines]
  const widths = header.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)))
  const table = rows.map((row) => row.map((cell, at) => cell.padStart(widths[at]!)).join('  '))
  console.log([`== ${name}`, ...what, '', ...table, ''].join('\n'))
}

/** 12,345 · 123 · 4.56: about three digits, or all before the point. */
export function show(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en')
  return value.toPrecision(3)
}

/** `median [min-max]`. */
export function showRange({ median, min, max }: Figure): string {
  return `${show(median)} [${show(min)}-${show(max)}]`
}
