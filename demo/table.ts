/**
 * The demo's result as a table.
 * @module
 */
import type { DemoResult, Row } from './run.ts'

const COLUMNS: readonly (readonly [title: string, cell: (row: Row) => string])[] = [
  ['', ({ work }) => work],
  ['preset', ({ preset }) => preset],
  ['goodput', ({ goodput }) => (goodput === null ? '-' : `${(goodput / 1e6).toFixed(2)} MB/s`)],
  ['srtt', ({ srtt }) => `${srtt} ms`],
  ['retransmitted', ({ retransmitted }) => percent(retransmitted)],
  ['datagrams', ({ datagrams }) => datagrams.toLocaleString('en')],
  ['lost', ({ lost }) => percent(lost)],
  ['echo p50', ({ p50 }) => milliseconds(p50)],
  ['echo p99', ({ p99 }) => milliseconds(p99)],
]
/** Columns of words; numbers stand to the right. */
const WORDS = 2

export function formatResult({ rows, echoes, file, differences }: DemoResult): string[] {
  const cells = [COLUMNS.map(([title]) => title), ...rows.map((row) => COLUMNS.map(([, cell]) => cell(row)))]
  const widths = COLUMNS.map((_, at) => Math.max(...cells.map((line) => line[at]!.length)))
  const table = cells.map((line) =>
    line
      .map((cell, at) => (at < WORDS ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)))
      .join('  ')
      .trimEnd(),
  )
  const legend = [
    '',
    'retransmitted: share of the data segments; datagrams and lost: at the relay, both ways;',
    'echo: from the moment that a message is due until it is back.',
  ]
  if (differences.length > 0) return [...table, ...legend]
  const echoed = (echoes * (rows.length - 1)).toLocaleString('en')
  const bytes = file.bytes.toLocaleString('en')
  return [
    ...table,
    ...legend,
    '',
    `${bytes} bytes and ${echoed} echoes arrived: nothing missing, nothing changed.`,
  ]
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}

function milliseconds(value: number | null): string {
  return value === null ? '-' : `${value.toFixed(0)} ms`
}
