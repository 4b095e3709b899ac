/**
 * What long runs came to: each leaves docs/testing/NAME.json, and the table in docs/TESTING.md is made of these.
 * @module
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** One run, as docs/testing keeps it. */
export interface Result {
  readonly name: string
  readonly what: string
  readonly count: number
  readonly unit: string
  /** Of the clock, or of all jobs together; of some early runs not known. */
  readonly seconds?: number
  readonly date: string
  readonly commit: string
  readonly outcome: 'passed' | 'failed'
  readonly findings: string
}

const DOCUMENT = 'docs/TESTING.md'
const FOLDER = 'docs/testing'
const BEGIN = '<!-- runs -->\n\n'
const END = '\n<!-- /runs -->'

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

/** Keeps a result, instead of the one of its name that is there, and makes the table anew. */
export function keep(result: Result): void {
  writeFileSync(join(FOLDER, `${result.name}.json`), `${JSON.stringify(result, null, 2)}\n`)
  writeFileSync(DOCUMENT, withTable(readDocument()))
}

/** When a run ends, and of what it was: today and the commit. */
export function today(): Pick<Result, 'date' | 'commit'> {
  return { date: new Date().toISOString().slice(0, 10), commit: commit() }
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  } catch {
    return 'unknown'
  }
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
    seconds === undefined ? '–' : `${Math.round(seconds)} s`,
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
