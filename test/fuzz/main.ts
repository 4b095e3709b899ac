/**
 * `npm run fuzz -- --inputs 2000000 [--seed 1] [--target engine] [--jobs 2] [--log FILE]
 * [--write NAME]`
 *
 * Feeds so many inputs to the targets in turn, in cases of 250. What is found is told and kept in test/fuzz/corpus. With
 * `--log` a line of JSON is appended to FILE for each 1,000 cases, and what is there already is not run again. With `--write` the
 * result goes to docs/testing/NAME.json and into the table of docs/TESTING.md.
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { isMainThread, parentPort } from 'node:worker_threads'
import { parseArgs, wholeNumber } from '../support/args.ts'
import { each } from '../support/jobs.ts'
import { keep, today } from '../support/results.ts'
import { CASE, runCase } from './cases.ts'
import { TARGETS } from './targets.ts'

const OPTIONS = ['inputs', 'seed', 'target', 'jobs', 'log', 'write']
/** Cases of a line of the log. */
const PART = 1_000
/** Findings of one part that are kept: the others are mostly the same. */
const KEPT = 3

interface Part {
  readonly target: string
  readonly from: number
  readonly to: number
}

interface Result {
  inputs: number
  /** Of the clock. */
  seconds: number
  slowest: number
  slowestSeed: number
  findings: { seed: number; why: string; corpus: string }[]
}

if (isMainThread) await main()
else parentPort!.on('message', (part: Part) => parentPort!.postMessage(runPart(part)))

function runPart({ target, from, to }: Part): Result {
  const result: Result = { inputs: 0, seconds: 0, slowest: 0, slowestSeed: 0, findings: [] }
  const startedAt = performance.now()
  for (let seed = from; seed <= to; seed++) {
    const { inputs, slowest, finding } = runCase(target, seed, () => performance.now())
    result.inputs += inputs
    if (slowest > result.slowest) Object.assign(result, { slowest, slowestSeed: seed })
    if (finding !== undefined && result.findings.length < KEPT) result.findings.push({ seed, ...finding })
  }
  result.seconds = (performance.now() - startedAt) / 1000
  return result
}

async function main(): Promise<void> {
  const args = parseArgs(process.argv.slice(2), OPTIONS)
  const only = args.values.get('target')
  if (only !== undefined && TARGETS[only] === undefined) {
    throw new TypeError(`there is no target ${only}; there are ${Object.keys(TARGETS).join(', ')}`)
  }
  const targets = only === undefined ? Object.keys(TARGETS) : [only]
  const first = wholeNumber(args, 'seed', 1)
  const cases = Math.ceil(wholeNumber(args, 'inputs', 100_000) / CASE / targets.length)
  const log = args.values.get('log')
  const done = new Map<string, Result>()
  if (log !== undefined && existsSync(log)) {
    for (const line of readFileSync(log, 'utf8').split('\n').filter(Boolean)) {
      const { target, from, result } = JSON.parse(line) as Part & { readonly result: Result }
      done.set(`${target} ${from}`, result)
    }
  }
  const results = [...done].map(([name, result]) => ({ target: name.split(' ')[0]!, result }))
  const size = log === undefined ? Math.min(PART, Math.ceil(cases / 4)) : PART
  const parts: Part[] = []
  for (let from = first; from < first + cases; from += size) {
    for (const target of targets) {
      if (!done.has(`${target} ${from}`)) {
        parts.push({ target, from, to: Math.min(from + size, first + cases) - 1 })
      }
    }
  }
  const jobs = wholeNumber(args, 'jobs', 1)
  await each<Part, Result>(import.meta.url, undefined, parts, jobs, (part, result) => {
    results.push({ target: part.target, result })
    if (log !== undefined) appendFileSync(log, `${JSON.stringify({ ...part, result })}\n`)
    for (const { seed, why, corpus } of result.findings) {
      const file = `test/fuzz/corpus/${part.target}-${seed}.hex`
      writeFileSync(file, corpus)
      console.log(`${part.target}, case ${seed}: ${why}\n  kept as ${file}`)
      console.log(`  again: npm run fuzz -- --target ${part.target} --seed ${seed} --inputs ${CASE}\n`)
    }
  })
  const sum = (of: (result: Result) => number, among = results): number =>
    among.reduce((all, { result }) => all + of(result), 0)
  const found = sum(({ findings }) => findings.length)
  for (const target of targets) {
    const mine = results.filter((one) => one.target === target)
    const slowest = Math.max(0, ...mine.map(({ result }) => result.slowest))
    const [inputs, findings] = [sum((one) => one.inputs, mine), sum((one) => one.findings.length, mine)]
    console.log(
      `${target.padEnd(9)} ${inputs} inputs, ${findings} findings, slowest input ${slowest.toFixed(1)} ms`,
    )
  }
  const [inputs, seconds] = [sum((one) => one.inputs), sum((one) => one.seconds)]
  console.log(`${inputs} inputs, ${seconds.toFixed(1)} s of all jobs`)
  if (found > 0) process.exitCode = 1
  const name = args.values.get('write')
  if (name === undefined) return
  keep({
    name,
    what: `fuzzing of ${targets.join(', ')}`,
    count: inputs,
    unit: 'inputs',
    seconds,
    ...today(),
    outcome: found === 0 ? 'passed' : 'failed',
    findings: `${found === 0 ? 'nothing' : `${found} findings`}, in ${targets.length} targets: ${targets.join(', ')}`,
  })
}
