/**
 * `npm run sim -- --seeds 2000 [--seed 1] [--profile all] [--set redundancy=2] [--jobs 2] [--trace] [--log FILE]
 * [--plain] [--write NAME]`
 *
 * Runs the simulation of so many seeds from `--seed` on. With `--trace` every datagram of a seed is told. With `--log` a
 * line of JSON is appended to FILE for each thousand seeds, and what is there already is not run again. Beside every
 * engine runs the readable one of test/reference; `--plain` leaves it out, for the speed. With `--write` the result goes to
 * docs/testing/NAME.json and into the table of docs/TESTING.md.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { parseArgs, wholeNumber } from '../support/args.ts'
import { each } from '../support/jobs.ts'
import { keep, today } from '../support/results.ts'
import { checkOverrides, type Overrides, PROFILES, planOf } from './plan.ts'
import { count, describe, merge, noTotals, type Totals } from './summary.ts'
import { runPlan } from './world.ts'

const OPTIONS = ['seeds', 'seed', 'profile', 'set', 'jobs', 'trace', 'log', 'plain', 'write']
/** Seeds that a worker takes at a time, and that a line of the log is for. */
const PART = 1_000
/** One in so many seeds runs twice, and must do the same. */
const TWICE_EVERY = 100
/** Failures that are told in full. */
const TOLD = 10

interface Part {
  readonly from: number
  readonly to: number
}

/** What all parts have in common. */
interface Work {
  readonly overrides: Overrides
  readonly twin: boolean
}

if (isMainThread) await main()
else work(workerData as Work)

/** Runs what the main thread asks for, part by part. */
function work({ overrides, twin }: Work): void {
  parentPort!.on('message', ({ from, to }: Part) => {
    parentPort!.postMessage(runPart(from, to, overrides, twin))
  })
}

function runPart(from: number, to: number, overrides: Overrides, twin: boolean): Totals {
  const totals = noTotals()
  const startedAt = performance.now()
  for (let seed = from; seed <= to; seed++) {
    try {
      const plan = planOf(seed, overrides)
      const outcome = runPlan(plan, { twin })
      if (seed % TWICE_EVERY === 0 && runPlan(plan, { twin }).hash !== outcome.hash) {
        throw new Error('the same seed went another way the second time')
      }
      count(totals, seed, outcome)
    } catch (error) {
      totals.seeds++
      totals.failed.push({ seed, why: error instanceof Error ? error.message : String(error) })
    }
  }
  totals.seconds = (performance.now() - startedAt) / 1000
  return totals
}

async function main(): Promise<void> {
  const args = parseArgs(process.argv.slice(2), OPTIONS)
  const seeds = wholeNumber(args, 'seeds', 100)
  const first = wholeNumber(args, 'seed', 1)
  const profile = args.values.get('profile') ?? 'all'
  if (PROFILES[profile] === undefined) {
    throw new TypeError(`there is no profile ${profile}; there are ${Object.keys(PROFILES).join(', ')}`)
  }
  const overrides: Record<string, unknown> = { ...PROFILES[profile] }
  for (const [name, value] of args.sets) overrides[name] = parsed(value)
  checkOverrides(overrides)
  const again = [
    ...(profile === 'all' ? [] : ['--profile', profile]),
    ...args.sets.flatMap(([name, value]) => ['--set', `${name}=${value}`]),
  ].join(' ')

  if (args.values.has('trace')) {
    trace(first, overrides, !args.values.has('plain'))
    return
  }
  const log = args.values.get('log')
  const twin = !args.values.has('plain')
  const totals = noTotals()
  const done = new Set<number>()
  if (log !== undefined && existsSync(log)) {
    for (const line of readFileSync(log, 'utf8').split('\n').filter(Boolean)) {
      const part = JSON.parse(line) as Part & { readonly totals: Totals }
      done.add(part.from)
      merge(totals, part.totals)
    }
  }
  const parts: Part[] = []
  const size = log === undefined ? Math.min(PART, Math.ceil(seeds / 20)) : PART
  for (let from = first; from < first + seeds; from += size) {
    if (!done.has(from)) parts.push({ from, to: Math.min(from + size, first + seeds) - 1 })
  }
  const jobs = wholeNumber(args, 'jobs', 1)
  await each<Part, Totals>(import.meta.url, { overrides, twin }, parts, jobs, (part, result) => {
    merge(totals, result)
    if (log !== undefined) appendFileSync(log, `${JSON.stringify({ ...part, totals: result })}\n`)
  })
  const said = describe(totals)
  console.log(`${totals.seeds} seeds, ${totals.seconds.toFixed(1)} s of all jobs\n${said.join('\n')}`)
  console.log(`${totals.failed.length} failed`)
  for (const { seed, why } of totals.failed.slice(0, TOLD)) {
    console.log(`\nseed ${seed}: ${why}\n  again: npm run sim -- --seed ${seed} ${again} --trace`)
  }
  if (totals.failed.length > 0) process.exitCode = 1
  const name = args.values.get('write')
  if (name === undefined) return
  keep({
    name,
    what: `simulation: npm run sim -- --seeds ${seeds} --seed ${first} ${again}${twin ? '' : ' --plain'}`,
    count: totals.seeds,
    unit: 'seeds',
    seconds: totals.seconds,
    ...today(),
    outcome: totals.failed.length === 0 ? 'passed' : 'failed',
    findings: [...totals.failed.map(({ seed }) => `seed ${seed} failed`), ...said].join('; '),
  })
}

/** Tells a seed. */
function trace(seed: number, overrides: Overrides, twin: boolean): void {
  const plan = planOf(seed, overrides)
  const { traffic, ...rest } = plan
  console.log(JSON.stringify(rest, undefined, 2))
  for (const side of ['client', 'server'] as const) {
    console.log(`${side} writes ${traffic[side].map(({ sizes }) => `${sizes.length} messages`).join(', ')}`)
  }
  try {
    console.log(JSON.stringify(runPlan(plan, { twin, story: (line) => console.log(line) })))
  } catch (error) {
    console.log(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}

function parsed(value: string): unknown {
  try {
    return JSON.parse(value)
  } catch {
    return value
  }
}
