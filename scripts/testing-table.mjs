/**
 * Writes the table of long runs into docs/TESTING.md, between its two marks, from docs/runs/runs.jsonl: a line of JSON for
 * each run, `{ what, date, commit, amount, cpu, found }`. `--check` only looks whether the table is the one.
 */
import { readFileSync, writeFileSync } from 'node:fs'

const DOCUMENT = 'docs/TESTING.md'
const [BEGIN, END] = ['<!-- runs -->', '<!-- /runs -->']

const runs = readFileSync('docs/runs/runs.jsonl', 'utf8')
  .split('\n')
  .filter(Boolean)
  .map((line) => JSON.parse(line))
const rows = [
  ['what', 'date', 'commit', 'how much', 'CPU', 'found'],
  ...runs.map(({ what, date, commit, amount, cpu, found }) => [what, date, commit, amount, cpu, found]),
]
// As the formatter has tables.
const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)))
const line = (cells) => `| ${cells.join(' | ')} |`
const [head, ...body] = rows.map((row) => line(row.map((cell, i) => cell.padEnd(widths[i]))))
const table = [head, line(widths.map((width) => '-'.repeat(width))), ...body].join('\n')
const text = readFileSync(DOCUMENT, 'utf8')
const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)]
if (from < 0 || to < from) throw new Error(`${DOCUMENT} has no ${BEGIN} … ${END}`)
const next = `${text.slice(0, from + BEGIN.length)}\n\n${table}\n\n${text.slice(to)}`
if (!process.argv.includes('--check')) writeFileSync(DOCUMENT, next)
else if (next !== text)
  throw new Error(`${DOCUMENT} is not what docs/runs says: node scripts/testing-table.mjs`)
