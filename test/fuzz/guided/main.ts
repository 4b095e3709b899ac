/**
 * `npm run fuzz:guided -- --target engine [--seconds 60] [--seed 1] [--write NAME] [--keep FILE]`
 *
 * Fuzzes one target, guided by what of src its inputs reach: jazzer.js instruments the compiled sources and has libFuzzer
 * change the inputs that went further than others. It goes on where the last run of the target ended; what it knows is in
 * build/fuzz-guided. A finding ends the run and is kept in test/fuzz/corpus. `--keep` does that with a file that libFuzzer
 * left for an input that was too slow or took too much memory. With `--write` the result goes to docs/testing/NAME.json and into
 * the table of docs/TESTING.md.
 * @module
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { parseArgs, wholeNumber } from '../../support/args.ts'
import { keep as keepResult, today } from '../../support/results.ts'
import { TARGETS } from '../targets.ts'
import { beginnings, STORY_MAX } from './story.ts'
import { keep } from './target.ts'

/** Seeds of the first corpus. */
const SEEDS = 100
/** No story of so few inputs may take so long, ms: the slowest takes some tens. */
const TIMEOUT = 5_000
const REPORT_EVERY = 10_000
/** Of the log, what is shown of a finding: its stack and its bytes. */
const FINDING = 4_000

const args = parseArgs(process.argv.slice(2), ['target', 'seconds', 'seed', 'write', 'keep'])
const target = args.values.get('target') ?? ''
const story = args.values.get('keep')
if (TARGETS[target] === undefined) {
  console.log(`--target is one of ${Object.keys(TARGETS).join(', ')}`)
  process.exitCode = 2
} else if (story !== undefined) keep(target, readFileSync(story))
else {
  const missing = whatIsMissing()
  if (missing === undefined) run()
  else {
    console.log(missing)
    process.exitCode = 2
  }
}

function jazzer(): NodeJS.Require {
  return createRequire(join(process.cwd(), 'test/fuzz/guided/package.json'))
}

function whatIsMissing(): string | undefined {
  if (!existsSync('test/fuzz/guided/node_modules')) return 'jazzer.js is missing: npm run fuzz:guided:install'
  try {
    jazzer()('@jazzer.js/fuzzer')
  } catch (error) {
    return `jazzer.js does not load (on Linux it needs glibc 2.38, as of Debian 13): ${(error as Error).message}`
  }
  return undefined
}

function run(): void {
  const folder = `build/fuzz-guided/${target}`
  mkdirSync(`${folder}/corpus`, { recursive: true })
  for (const [i, bytes] of beginnings(target, SEEDS).entries()) {
    writeFileSync(`${folder}/corpus/begin-${i}`, bytes)
  }
  // A file: of what libFuzzer writes to a pipe that Node has made non-blocking a part is lost.
  const log = `${folder}/log`
  const seconds = wholeNumber(args, 'seconds', 60)
  const child = spawn(
    process.execPath,
    [
      join(dirname(jazzer().resolve('@jazzer.js/core')), 'cli.js'),
      'build/test/fuzz/guided/target.js',
      `${folder}/corpus`,
      '--sync',
      '--includes=build/src/',
      // They look for what a program does to its system, and cost time.
      '--disableBugDetectors=.*',
      `--timeout=${TIMEOUT}`,
      '--',
      `-max_total_time=${seconds}`,
      `-seed=${wholeNumber(args, 'seed', 0)}`,
      `-max_len=${STORY_MAX}`,
      `-artifact_prefix=${folder}/`,
    ],
    { env: { ...process.env, FUZZ_TARGET: target }, stdio: ['inherit', 'inherit', openSync(log, 'w')] },
  )
  const timer = setInterval(() => console.log(summary(readFileSync(log, 'utf8'))), REPORT_EVERY)
  child.on('close', (code) => {
    clearInterval(timer)
    const text = readFileSync(log, 'utf8')
    console.log(summary(text))
    const name = args.values.get('write')
    if (name !== undefined) {
      keepResult({
        name,
        what: 'fuzzing guided by coverage',
        count: Number(toldIn(text).at(-1)?.[1] ?? 0),
        unit: 'stories',
        seconds,
        ...today(),
        outcome: code === 0 ? 'passed' : 'failed',
        findings: summary(text),
      })
    }
    if (code === 0) return
    process.exitCode = 1
    console.log(text.slice(-FINDING))
    console.log(
      `ended with ${code}; if nothing was kept: npm run fuzz:guided -- --target ${target} --keep FILE`,
    )
  })
}

/** What libFuzzer told, in a line: from what its first corpus reached to what was reached in the end. */
function summary(log: string): string {
  const told = toldIn(log)
  const first = told.find(([, , what]) => what === 'INITED')
  const last = told.at(-1)
  if (first === undefined || last === undefined) return `${target}: the corpus is read`
  const [, stories, , edges, features] = last
  return `${target}: ${stories} stories, edges ${first[3]} to ${edges}, features ${first[4]} to ${features}`
}

/** Each line that says how far it got: stories, what happened, edges, features. */
function toldIn(log: string): RegExpExecArray[] {
  return [...log.matchAll(/^#(\d+)\s+(\w+)\s+cov: (\d+) ft: (\d+)/gm)]
}
