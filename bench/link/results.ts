/**
 * What is made of the samples: figures, tables, and what they say beside the aims. Pure.
 * @module
 */
import { type Cell, cellName, percent, SIZE } from './cells.ts'
import type { CellResult, Outcome } from './run-cells.ts'
import { type Summary, summarise } from './summary.ts'

export interface Figures extends Summary {
  readonly name: string
  readonly samples: number
  /** Bytes of IP packets both ways for each byte of payload that was delivered. */
  readonly bytesPerByte: number
  /** IP packets both ways for each message, or each request with its answer. */
  readonly packetsPerMessage: number
}

/** Fewer samples have no p99.9 but their greatest. */
const P999_SAMPLES = 1000

export function figuresOf(cell: Cell, { name, samples, packets, bytes }: Outcome): Figures {
  const delivered = samples.filter(Number.isFinite).length
  const payload = delivered * SIZE * (cell.pattern === 'requests' ? 2 : 1)
  return {
    name,
    samples: samples.length,
    ...summarise(samples),
    bytesPerByte: bytes / payload,
    packetsPerMessage: packets / delivered,
  }
}

/** `123.4`, or that it never came. */
export function ms(value: number): string {
  return Number.isFinite(value) ? value.toFixed(1) : 'never'
}

export const HEADER: readonly string[] = [
  'who',
  'mean',
  'p50',
  'p95',
  'p99',
  'p99.9',
  'max',
  'bytes/byte',
  'packets/msg',
  'samples',
]

/** One line for each contestant of a cell, under HEADER. */
export function rowsOf({ cell, outcomes }: CellResult): string[][] {
  return outcomes.map((outcome) => {
    const { name, samples, mean, p50, p95, p99, p999, max, bytesPerByte, packetsPerMessage } = figuresOf(
      cell,
      outcome,
    )
    return [
      name,
      ...[mean, p50, p95, p99].map(ms),
      samples < P999_SAMPLES ? '–' : ms(p999),
      ms(max),
      bytesPerByte.toFixed(2),
      packetsPerMessage.toFixed(2),
      samples.toLocaleString('en'),
    ]
  })
}

/** Of several runs of a cell the one with the more punctual relays. */
export function quieter(results: readonly CellResult[]): CellResult[] {
  const best = new Map<string, CellResult>()
  for (const result of results) {
    const name = cellName(result.cell)
    const other = best.get(name)
    if (other === undefined || result.late.p99 < other.late.p99) best.set(name, result)
  }
  return [...best.values()]
}

/** As in a Markdown document, columns of one width. */
export function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((_, at) => Math.max(3, ...[header, ...rows].map((row) => row[at]!.length)))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!))).join(' | ')} |`
  const rule = widths.map((width, at) => (at === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  return [line(header), line(rule), ...rows.map(line)].join('\n')
}

/** Contestants downwards, cells across: one figure of each. */
export function matrix(
  results: readonly CellResult[],
  show: (figures: Figures) => string,
): { readonly header: string[]; readonly rows: string[][] } {
  const names = [...new Set(results.flatMap(({ outcomes }) => outcomes.map(({ name }) => name)))]
  const rows = names.map((name) => [
    name,
    ...results.map(({ cell, outcomes }) => {
      const outcome = outcomes.find((one) => one.name === name)
      return outcome === undefined ? '–' : show(figuresOf(cell, outcome))
    }),
  ])
  const heads = results.map(({ cell: { rtt, loss, burst } }) =>
    [`${rtt}`, percent(loss), ...(burst === 1 ? [] : [`x${burst}`])].join(' / '),
  )
  return { header: ['who', ...heads], rows }
}

export interface Aim {
  readonly what: string
  readonly aim: string
  readonly got: string
  readonly met: boolean
}

/** Contestants that the aims are about. */
export const OFF = 'kcp-io'
export const AUTO = 'kcp-io, auto'
export const TOGETHER = 'kcp-io, time + auto'
const KCP_GO = 'kcp-go fast'

/**
 * What was aimed at, for a message each 20 ms, and what came of it; only what was measured. Sums are above the p99 of
 * the same contestant without loss in the same run.
 */
export function aimsOf(results: readonly CellResult[]): Aim[] {
  const of = (rtt: number, loss: number, name: string): Figures | undefined => {
    const found = results.find(
      ({ cell }) =>
        cell.pattern === '20 ms' && cell.rtt === rtt && Math.abs(cell.loss - loss) < 1e-9 && cell.burst === 1,
    )
    const outcome = found?.outcomes.find((one) => one.name === name)
    return found && outcome && figuresOf(found.cell, outcome)
  }
  const aims: Aim[] = []
  const add = (what: string, value: number, aim: number, show: (value: number) => string): void => {
    aims.push({ what, aim: `<= ${show(aim)}`, got: show(value), met: value <= aim })
  }
  for (const name of [AUTO, TOGETHER]) {
    for (const [rtt, loss, above] of [
      [100, 0.05, 12],
      [30, 0.05, 20],
      [100, 0.1, 35],
    ] as const) {
      const [clean, lossy] = [of(rtt, 0, name), of(rtt, loss, name)]
      if (clean === undefined || lossy === undefined) continue
      const where = `${name}: RTT ${rtt}, ${percent(loss)}`
      add(`${where}: p99, ms`, lossy.p99, clean.p99 + above, ms)
      if (rtt === 100 && loss === 0.05)
        add(`${where}: bytes per byte`, lossy.bytesPerByte, 4.6, (v) => v.toFixed(2))
      if (loss === 0.1) add(`${where}: longest, ms`, lossy.max, 200, ms)
    }
    const [off, on] = [of(100, 0, OFF), of(100, 0, name)]
    if (off !== undefined && on !== undefined) {
      const where = `${name}: RTT 100, 0 %: bytes beside ${OFF}`
      add(where, on.bytesPerByte / off.bytesPerByte, 1.02, (value) => value.toFixed(3))
    }
  }
  const theirs = of(100, 0.05, KCP_GO)
  for (const name of [OFF, 'kcp-io, time']) {
    const own = of(100, 0.05, name)
    if (own === undefined || theirs === undefined) continue
    add(
      `${name}: RTT 100, 5 %: p99 beside ${KCP_GO}`,
      own.p99 / theirs.p99,
      0.8,
      (value) => `${value.toFixed(2)}x`,
    )
  }
  return aims
}
