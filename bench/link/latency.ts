/**
 * How late small messages arrive on paths that lose: every feature of ours alone and together, with our own receiver
 * and with a stock one, beside TCP, kcp-go and udx-native; several traffic patterns, round trips and kinds of loss.
 * Prints tables, and writes tables, figures and plots into a folder. `npm run bench -- --only latency`.
 * @module
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Effort, Report } from '../rounds.ts'
import {
  batchesOf,
  type Cell,
  cellName,
  cellSlug,
  DEFAULT_CELLS,
  percent,
  rateOf,
  SIZE,
  taskOf,
} from './cells.ts'
import { type Contestant, kcpGo, ours, present, tcp, toKcpGo, udx } from './contestants.ts'
import type { LatencyTask } from './end.ts'
import { whyNoLink } from './link.ts'
import { drawPlot } from './plot.ts'
import {
  AUTO,
  aimsOf,
  figuresOf,
  HEADER,
  markdownTable,
  matrix,
  ms,
  OFF,
  quieter,
  rowsOf,
  TOGETHER,
} from './results.ts'
import { type CellResult, runBatch } from './run-cells.ts'
import { noLink } from './summary.ts'

export interface LatencyOptions {
  readonly cells: readonly Cell[]
  /** How long each cell is measured, s. */
  readonly seconds: number
  /** Messages per second and contestant of the cells that run side by side. */
  readonly rate: number
  readonly seed: number
  readonly contestants: readonly Contestant<LatencyTask>[]
  /** With those that take more than this project, Node and the system. */
  readonly peers: boolean
  /** Folder for tables, figures and plots. */
  readonly into: string | undefined
  /** File for all samples, which `benchAgain` reads. */
  readonly save: string | undefined
}

const FAST = { preset: 'fast' } as const
const EVERYTHING = { ...FAST, kcp: { lossDetection: 'time', redundancy: 'auto' } } as const

/** A new one is a line here; plots name theirs below. */
export const LATENCY_CONTESTANTS: readonly Contestant<LatencyTask>[] = [
  ours(OFF, { session: FAST }),
  ours('kcp-io, time', { session: { ...FAST, kcp: { lossDetection: 'time' } } }),
  ours('kcp-io, repeat 1', { session: { ...FAST, kcp: { redundancy: 1 } } }),
  ours('kcp-io, repeat 2', { session: { ...FAST, kcp: { redundancy: 2 } } }),
  ours(AUTO, { session: { ...FAST, kcp: { redundancy: 'auto' } } }),
  ours(TOGETHER, { session: EVERYTHING }),
  toKcpGo('kcp-io to kcp-go', { session: FAST }),
  toKcpGo('kcp-io, time + auto, to kcp-go', { session: EVERYTHING }),
  tcp('cubic'),
  tcp('bbr'),
  kcpGo(),
  kcpGo([10, 3]),
  kcpGo([2, 1]),
  udx(),
  { ...kcpGo([3, 1]), where: forFec },
  ...[
    { data: 10, parity: 3 },
    { data: 3, parity: 1 },
  ].map((fec) => ({
    ...ours(`kcp-io FEC ${fec.data}/${fec.parity}`, { session: { ...FAST, fec } }),
    where: forFec,
  })),
]
/** Where forward error correction is looked at more closely; elsewhere it would take time from the others. */
function forFec({ pattern, rtt, loss, burst }: Cell): boolean {
  return pattern === '20 ms' && rtt === 100 && loss > 0 && loss < 0.2 && burst === 1
}

/** What is drawn together: file name's end, and who. */
const PLOTS: Readonly<Record<string, readonly string[]>> = {
  others: [
    TOGETHER,
    OFF,
    'kcp-io, repeat 1',
    'kcp-go fast',
    'kcp-go FEC 10/3',
    'kcp-go FEC 2/1',
    'TCP bbr',
    'udx-native',
  ],
  features: [
    TOGETHER,
    OFF,
    'kcp-io, time',
    'kcp-io, repeat 1',
    'kcp-io, repeat 2',
    AUTO,
    'kcp-io, time + auto, to kcp-go',
    'kcp-io to kcp-go',
  ],
}
/** Cells that are drawn, by slug. */
const DRAWN: Readonly<Record<string, readonly string[]>> = {
  '20ms-rtt30-loss5': ['others'],
  '20ms-rtt100-loss5': ['others', 'features'],
  '20ms-rtt100-loss10': ['others'],
  '20ms-rtt100-loss5-burst3': ['others'],
  '100ms-rtt100-loss5': ['others'],
  'single-rtt100-loss5': ['others'],
  'requests-rtt100-loss5': ['others'],
}

export async function benchLatency(effort: Effort, overrides: Partial<LatencyOptions> = {}): Promise<Report> {
  const quick = effort.rounds === 1
  const options: LatencyOptions = {
    cells: quick ? DEFAULT_CELLS.slice(0, 1) : DEFAULT_CELLS,
    seconds: quick ? 2 : 100,
    rate: 100,
    seed: 1,
    contestants: LATENCY_CONTESTANTS,
    peers: true,
    into: undefined,
    save: undefined,
    ...overrides,
  }
  const impossible = whyNoLink()
  if (impossible !== undefined) return noLink('latency', impossible)
  const contestants = present(options.contestants.filter(({ peer }) => options.peers || peer !== true))
  const results: CellResult[] = []
  for (const batch of batchesOf(options.cells, options.rate)) {
    console.error(`  ${batch.map(cellName).join('; ')} …`)
    results.push(...(await runBatch(batch, { ...options, contestants: contestants.present })))
    // Whatever happens later, this was measured.
    if (options.save !== undefined) writeFileSync(options.save, JSON.stringify(results))
  }
  return report(inOrder(results, options.cells), contestants.absent, options.into)
}

/** The report of runs that were saved; of a cell that was run more than once, the quieter. */
export function benchAgain(files: readonly string[], into: string | undefined): Report {
  const results = files.flatMap((file) => {
    // JSON has no Infinity: it comes back as null.
    const revive = (_: string, value: unknown): unknown => (value === null ? Number.POSITIVE_INFINITY : value)
    return JSON.parse(readFileSync(file, 'utf8'), revive) as CellResult[]
  })
  return report(quieter(results), [], into)
}

function inOrder(results: readonly CellResult[], cells: readonly Cell[]): CellResult[] {
  const place = (result: CellResult): number => cells.indexOf(result.cell)
  return [...results].sort((a, b) => place(a) - place(b))
}

function report(results: readonly CellResult[], absent: readonly string[], into?: string): Report {
  if (into !== undefined) writeInto(into, results)
  const failures = results.flatMap(({ cell, failures }) =>
    failures.map((line) => `${cellName(cell)}: ${line}`),
  )
  const aims = aimsOf(results).map(
    ({ what, aim, got, met }) => `${met ? 'met    ' : 'not met'} ${what}: ${got} (aim ${aim})`,
  )
  return {
    name: 'latency',
    what: [...METHOD, ...lateLines(results), ...absent, ...failures, ...aims],
    header: ['pattern', 'RTT', 'loss', ...HEADER],
    lines: results.flatMap((result) => {
      const { pattern, rtt, loss, burst } = result.cell
      const kind = `${percent(loss)}${burst === 1 ? '' : ` x${burst}`}`
      return rowsOf(result).map((row) => [pattern, String(rtt), kind, ...row])
    }),
    figures: figures(results),
  }
}

const METHOD: readonly string[] = [
  `Messages of ${SIZE} bytes through two network namespaces and a relay: half the RTT (ms) each way, no jitter, loss of IP`,
  'packets each way, on their own or (xN) in bursts of N on average. ms from send to delivery, one way; of requests, until',
  'the answer is there. Bytes of IP packets both ways per byte of payload; packets both ways per message or request. All',
  'contestants of a cell at the same time, each on a link of its own with the same seed.',
]

function figures(results: readonly CellResult[]): object[] {
  return results.map(({ cell, seconds, outcomes, late }) => ({
    ...cell,
    seconds,
    relayLate: late,
    contestants: outcomes.map((outcome) => {
      const { loss, redundancy } = (outcome.stats ?? {}) as { loss?: number; redundancy?: number }
      return { ...figuresOf(cell, outcome), ...(outcome.stats && { measuredLoss: loss, redundancy }) }
    }),
  }))
}

/** How late the relays were in the worst and in the middling cell. */
function lateLines(results: readonly CellResult[]): string[] {
  if (results.length === 0) return []
  const byLate = [...results].sort((a, b) => a.late.p99 - b.late.p99)
  const show = ({ cell, late }: CellResult): string =>
    `${late.p50.toFixed(2)} ms at the median, ${late.p99.toFixed(2)} at p99, ${late.p999.toFixed(2)} at p99.9 (${cellName(cell)})`
  const refused = results.reduce((sum, { late }) => sum + late.refused, 0)
  return [
    `The relays were late by, in the middling cell, ${show(byLate[byLate.length >> 1]!)};`,
    `in the worst, ${show(byLate.at(-1)!)}.${refused === 0 ? '' : ` They had no room for ${refused} packets: the machine is too busy.`}`,
  ]
}

function writeInto(folder: string, results: readonly CellResult[]): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'TABLES.md'), tables(results))
  writeFileSync(join(folder, 'figures.json'), `${JSON.stringify(figures(results), null, 2)}\n`)
  for (const { cell, outcomes, seconds } of results) {
    const slug = cellSlug(cell)
    for (const kind of DRAWN[slug] ?? []) {
      const lines = PLOTS[kind]!.flatMap((name) => {
        const outcome = outcomes.find((one) => one.name === name)
        return outcome === undefined ? [] : [{ name, samples: outcome.samples, strong: name === TOGETHER }]
      })
      if (lines.length === 0) continue
      const roundTrips = cell.pattern === 'requests'
      const plot = drawPlot({
        title: titleOf(cell),
        subtitle: `${SIZE} bytes, ${seconds} s, ${outcomes[0]!.samples.length.toLocaleString('en')} ${roundTrips ? 'exchanges' : 'messages'} each; lower is better`,
        label: roundTrips ? 'ms until the answer' : 'ms until delivered',
        lines,
      })
      writeFileSync(join(folder, `${slug}-${kind}.svg`), plot)
    }
  }
}

function titleOf({ pattern, rtt, loss, burst }: Cell): string {
  const what = {
    single: 'Single shots, a second apart',
    requests: 'Request and reply',
  }[pattern as string]
  const path = `RTT ${rtt} ms, ${percent(loss)} loss${burst === 1 ? '' : ` in bursts of ${burst}`}`
  return `${what ?? `A message each ${pattern}`}: ${path}`
}

/** Everything that was measured, as a document. */
export function tables(results: readonly CellResult[]): string {
  const parts = [
    '# Latency: all tables',
    '',
    'Written by `npm run bench -- --only latency --into docs/latency`; [LATENCY.md](../LATENCY.md) says what they mean.',
    '',
    ...METHOD,
    ...lateLines(results),
    '',
  ]
  const aims = aimsOf(results)
  if (aims.length > 0) {
    parts.push('## Aims', '')
    const rows = aims.map(({ what, aim, got, met }) => [what, aim, got, met ? 'yes' : 'no'])
    parts.push(markdownTable(['what', 'aim', 'got', 'met'], rows), '')
  }
  const steady = results.filter(({ cell }) => cell.pattern === '20 ms')
  if (steady.length > 0) {
    parts.push('## A message each 20 ms, at a glance', '', 'Heads: RTT, ms / loss (/ xN: bursts of N).', '')
    for (const [what, show] of [
      ['p99, ms', ({ p99 }) => ms(p99)],
      ['bytes per byte', ({ bytesPerByte }) => bytesPerByte.toFixed(2)],
    ] as const satisfies readonly (readonly [string, Parameters<typeof matrix>[1]])[]) {
      const { header, rows } = matrix(steady, show)
      parts.push(`### ${what}`, '', markdownTable(header, rows), '')
    }
  }
  parts.push('## Each cell', '')
  for (const result of results) {
    const { cell, seconds, late } = result
    const { flows } = taskOf(cell, seconds)
    parts.push(
      `### ${cellName(cell)}`,
      '',
      `${seconds} s, ${flows === 1 ? 'one conversation' : `${flows} conversations`}, ${Math.round(rateOf(cell))} messages/s; relay late by ${late.p50.toFixed(2)} ms at the median, ${late.p99.toFixed(2)} at p99.`,
      '',
      markdownTable(HEADER, rowsOf(result)),
      '',
    )
  }
  return parts.join('\n')
}
