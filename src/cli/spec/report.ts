/**
 * Results of the conformance program as text, and as tables for documents.
 * @module
 */
import type { Level } from './case.ts'
import type { CaseResult, Outcome } from './run.ts'

const LEVELS: readonly Level[] = ['must', 'should', 'may']
const MARKS: Readonly<Record<Outcome, string>> = { passed: '✓', failed: '✗', skipped: '-' }

/** One case in a line; what was expected in a second one when it failed. */
export function resultLine(result: CaseResult): string {
  const line = `  ${MARKS[result.outcome]} ${result.id.padEnd(5)} ${result.level.padEnd(6)} ${result.title}`
  return result.why === undefined ? line : `${line}\n      ${result.why}`
}

/** `must 97 of 97 · should 28 of 28 · may 11 of 12 · 2 skipped` */
export function summaryLine(results: readonly CaseResult[]): string {
  const parts = LEVELS.map((level) => {
    const ran = results.filter((result) => result.level === level && result.outcome !== 'skipped')
    return `${level} ${ran.filter(({ outcome }) => outcome === 'passed').length} of ${ran.length}`
  })
  const skipped = results.filter(({ outcome }) => outcome === 'skipped').length
  return [...parts, ...(skipped === 0 ? [] : [`${skipped} skipped`])].join(' · ')
}

/** A Markdown table with a column for each endpoint; all of them ran the same cases. */
export function asTable(columns: Readonly<Record<string, readonly CaseResult[]>>): string {
  const names = Object.keys(columns)
  const all = Object.values(columns)
  const lines = [
    `| Case | Level | What | ${names.join(' | ')} |`,
    `| ---- | ----- | ---- | ${names.map((name) => `:${'-'.repeat(Math.max(1, name.length - 2))}:`).join(' | ')} |`,
  ]
  let section = ''
  for (const [i, first] of (all[0] ?? []).entries()) {
    if (first.section !== section) {
      section = first.section
      lines.push(`|  |  | **${section}** | ${names.map(() => '').join(' | ')} |`)
    }
    const marks = all.map((results) => MARKS[results[i]!.outcome])
    lines.push(`| ${first.id} | ${first.level} | ${first.title} | ${marks.join(' | ')} |`)
  }
  return lines.join('\n')
}
