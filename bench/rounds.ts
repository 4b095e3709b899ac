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
  /** The same where two processes talk: before it counts, and while it does, ms. */
  readonly warmMs: number
  readonly flowMs: number
  /** Windows of the bulk part, segments. */
  readonly windows: readonly number[]
  /** Sessions of the smaller load, of the larger one, and of the memory part. */
  readonly fewSessions: number
  readonly sessions: number
  readonly memorySessions: number
  /** Rounds of each load; fewer, as each opens all sessions anew. */
  readonly sessionRounds: number
  /** How long the load settles before it counts, and how long it counts, ms. */
  readonly settleMs: number
  readonly loadMs: number
  /** How long idle sessions are watched, ms: longer than the 10 s after which kcp-io asks silent peers. */
  readonly idleMs: number
}

export const FULL: Effort = {
  rounds: 5,
  roundMs: 200,
  warmMs: 300,
  flowMs: 800,
  windows: [128, 1024],
  fewSessions: 1_000,
  sessions: 10_000,
  memorySessions: 10_000,
  sessionRounds: 3,
  settleMs: 1_000,
  loadMs: 2_500,
  idleMs: 12_000,
}
/** Shows that everything runs; too short for figures to quote. */
export const QUICK: Effort = {
  rounds: 1,
  roundMs: 20,
  warmMs: 50,
  flowMs: 100,
  windows: [128],
  fewSessions: 10,
  sessions: 50,
  memorySessions: 500,
  sessionRounds: 1,
  settleMs: 20,
  loadMs: 100,
  idleMs: 100,
}

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

/** What each contestant made in each round; one that fails twice in a row drops out with its reason. */
export class Contest<K extends string> {
  readonly #values: Map<string, Record<K, number>[]> = new Map()
  /** Why a contestant has no figures. */
  readonly failures: Map<string, string> = new Map()

  /**
   * All in turn within each round. Everything that `measure` needs to warm up is its own business.
   * @throws what `measure` throws for one of ours.
   */
  async run<C extends { readonly name: string; readonly ours: boolean }>(
    rounds: number,
    contestants: readonly C[],
    measure: (contestant: C) => Promise<Record<K, number>>,
  ): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      for (const contestant of contestants) {
        const { name, ours } = contestant
        if (this.failures.has(name)) continue
        try {
          // Once more: ratios need every round, and a peer may stall for as long as one takes.
          const values = await measure(contestant).catch(() => measure(contestant))
          const all = this.#values.get(name)
          if (all === undefined) this.#values.set(name, [values])
          else all.push(values)
        } catch (error) {
          if (ours) throw new Error(`${name}: ${(error as Error).message}`, { cause: error })
          this.failures.set(name, (error as Error).message)
        }
      }
    }
  }

  figure(name: string, key: K): Figure | undefined {
    const values = this.#of(name)?.map((round) => round[key])
    return values && figureOf(values)
  }

  /** All figures of one. */
  figures(name: string): Record<string, Figure> {
    const keys = Object.keys(this.#of(name)?.[0] ?? {}) as K[]
    return Object.fromEntries(keys.map((key) => [key, this.figure(name, key)!]))
  }

  /** How often `base` is in `name`, taken in each round; the median. */
  ratio(name: string, base: string, key: K): number | undefined {
    const [ours, theirs] = [this.#of(name), this.#of(base)]
    return ours && theirs && figureOf(ours.map((round, i) => round[key] / theirs[i]![key])).median
  }

  #of(name: string): Record<K, number>[] | undefined {
    return this.failures.has(name) ? undefined : this.#values.get(name)
  }
}

/** For a report: who dropped out and why. */
export function failures(contest: Contest<string>): string[] {
  return [...contest.failures].map(([name, reason]) => `${name} failed: ${reason}`)
}

/** One part of the benchmark: what was measured and how, a table, and its figures. */
export interface Report {
  readonly name: string
  readonly what: readonly string[]
  readonly header: readonly string[]
  readonly lines: readonly (readonly string[])[]
  readonly figures: unknown
}

/** As text, in columns. */
export function asText({ name, what, header, lines }: Report): string {
  const rows = [header, ...lines]
  const widths = header.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)))
  const pad = (cell: string, at: number): string =>
    at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)
  return [`== ${name}`, ...what, '', ...rows.map((row) => row.map(pad).join('  ').trimEnd()), ''].join('\n')
}

/** As a section of a Markdown document. */
export function asMarkdown({ name, what, header, lines }: Report): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const rule = header.map((_, at) => (at === 0 ? '---' : '--:'))
  return [`### ${name}`, '', ...what, '', row(header), row(rule), ...lines.map(row), ''].join('\n')
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

/** `0.83x`, or a dash where there is nothing to compare. */
export function showRatio(ratio: number | undefined): string {
  return ratio === undefined ? '–' : `${show(ratio)}x`
}
