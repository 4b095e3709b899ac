/**
 * `npm run fuzz -- --inputs 2000000 [--seed 1] [--target engine] [--jobs 2] [--log FILE]`
 *
 * Feeds so many inputs to the targets in turn, in cases of 250. What is found is told and kept in test/fuzz/corpus. With
 * `--log` a line of JSON is appended to FILE for each 1,000 cases, and what is there already is not run again.
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { parseArgs, wholeNumber } from '../simulation/args.ts'
import { CASE, runCase } from './cases.ts'
import { TARGETS } from './targets.ts'

const OPTIONS = ['inputs', 'seed', 'target', 'jobs', 'log']
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
  slowest: number
  slowestSeed: number
  findings: { seed: number; why: string; corpus: string }[]
}

if (isMainThread) await main()
else parentPort!.on('message', (part: Part) => parentPort!.postMessage(runPart(part)))

function runPart({ target, from, to }: Part): Result {
  const result: Result = { inputs: 0, slowest: 0, slowestSeed: 0, findings: [] }
  for (let seed = from; seed <= to; seed++) {
    const { inputs, slowest, finding } = runCase(target, seed, () => performance.now())
    result.inputs += inputs
    if (slowest > result.slowest) Object.assign(result, { slowest, slowestSeed: seed })
    if (finding !== undefined && result.findings.length < KEPT) result.findings.push({ seed, ...finding })
  }
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
  const startedAt = performance.now()
  await each(parts, Math.max(1, wholeNumber(args, 'jobs', 1)), (part, result) => {
    results.push({ target: part.target, result })
    if (log !== undefined) appendFileSync(log, `${JSON.stringify({ ...part, result })}\n`)
    for (const { seed, why, corpus } of result.findings) {
      const file = `test/fuzz/corpus/${part.target}-${seed}.hex`
      writeFileSync(file, corpus)
      console.log(`${part.target}, case ${seed}: ${why}\n  kept as ${file}`)
      console.log(`  again: npm run fuzz -- --target ${part.target} --seed ${seed} --inputs ${CASE}\n`)
    }
  })
  for (const target of targets) {
    const mine = results.filter((one) => one.target === target).map(({ result }) => result)
    const inputs = mine.reduce((sum, one) => sum + one.inputs, 0)
    const found = mine.reduce((sum, one) => sum + one.findings.length, 0)
    const slowest = Math.max(0, ...mine.map((one) => one.slowest))
    console.log(
      `${target.padEnd(9)} ${inputs} inputs, ${found} findings, slowest input ${slowest.toFixed(1)} ms`,
    )
    if (found > 0) process.exitCode = 1
  }
  const { user, system } = process.cpuUsage()
  console.log(
    `${((performance.now() - startedAt) / 1000).toFixed(1)} s, ${((user + system) / 1e6).toFixed(1)} s of CPU`,
  )
}

/** Has workers run the parts. */
async function each(
  parts: readonly Part[],
  jobs: number,
  done: (part: Part, result: Result) => void,
): Promise<void> {
  let next = 0
  const one = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL(import.meta.url))
      let part: Part | undefined
      const go = (): void => {
        part = parts[next++]
        if (part === undefined) void worker.terminate().then(() => resolve())
        else worker.postMessage(part)
      }
      worker.on('message', (result: Result) => {
        done(part!, result)
        go()
      })
      worker.on('error', reject)
      go()
    })
  await Promise.all(Array.from({ length: Math.min(jobs, parts.length) }, one))
}
