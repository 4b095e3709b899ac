/**
 * The table of runs in docs/TESTING.md, made of docs/testing/*.json: never written by hand.
 * @module
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** One run, as docs/testing keeps it. */
export interface Result {
  readonly name: string
  readonly what: string
  readonly count: number
  readonly unit: string
  readonly seconds: number
  readonly date: string
  readonly commit: string
  readonly outcome: 'passed' | 'failed'
  readonly findings: string
}

const DOCUMENT = 'docs/TESTING.md'
const FOLDER = 'docs/testing'
const BEGIN = '<!-- soak -->\n\n'
const END = '\n<!-- /soak -->'

/** The document as it should be. */
export function withTable(text: string): string {
  const from = text.indexOf(BEGIN)
  const to = text.indexOf(END)
  if (from < 0 || to < from) throw new Error(`${DOCUMENT} has no place for the table`)
  return text.slice(0, from + BEGIN.length) + table(results()) + text.slice(to)
}

export function readDocument(): string {
  return readFileSync(DOCUMENT, 'utf8')
}

export function writeTable(): void {
  writeFileSync(DOCUMENT, withTable(readDocument()))
}

function results(): Result[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as Result)
}

function table(all: readonly Result[]): string {
  const rows = all.map(({ name, count, unit, seconds, date, commit, outcome, findings }) => [
    `\`${name}\``,
    `${count.toLocaleString('en')} ${unit}`,
    `${Math.round(seconds)} s`,
    `${date}, ${commit}`,
    outcome,
    findings.replaceAll('|', '/'),
  ])
  const head = ['Run', 'How much', 'Took', 'When', 'Outcome', 'Measured']
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |\n`
  return line(head) + line(widths.map((width) => '-'.repeat(width))) + rows.map(line).join('')
}
