/**
 * `npm run demo`: a file and echo messages over KCP, from a client process to a listener process, on real UDP through
 * a relay that behaves like a bad network. This process starts the other two, is the network between them, and shows
 * what happened. Exit code 0: every byte arrived and is the same.
 *
 *     client process ──UDP──► relay (here) ──UDP──► listener process
 *
 * Read options.ts for the flags, then client.ts and server.ts.
 * @module
 */
import { type DemoOptions, describeFile, describeLink, HELP, parseOptions, UsageError } from './options.ts'
import { type DemoResult, runDemo } from './run.ts'
import { Screen } from './screen.ts'
import { formatResult } from './table.ts'

/** The demo ends within a minute of `npm run demo`, whose build takes some seconds of it. */
const TIME_LIMIT = 52_000

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  let options: DemoOptions | undefined
  try {
    options = parseOptions(args)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`demo: ${error.message}\nTry: npm run demo -- --help`)
    return 2
  }
  if (options === undefined) {
    console.log(HELP)
    return 0
  }
  // With --json, stdout holds the result and nothing else.
  const screen = new Screen(options.json ? process.stderr : process.stdout)
  screen.line(
    'kcp-io demo: a client process talks KCP to a listener process on this machine, over real UDP,',
    'through a relay that behaves like a bad network:',
    `  ${describeLink(options)}`,
    '',
  )
  const watch = new AbortController()
  const watchdog = setTimeout(() => {
    const cause = 'the network is too bad, or the file too large (see --size), for a demo'
    watch.abort(new Error(`not done after ${TIME_LIMIT / 1000} s: ${cause}`))
    // Should even the clean-up hang.
    setTimeout(() => process.exit(1), 2_000).unref()
  }, TIME_LIMIT)
  let result: DemoResult
  try {
    result = await runDemo(options, describeFile(options), screen, watch.signal)
  } catch (error) {
    screen.fail(`demo: FAILED: ${(error as Error).message}`)
    return 1
  } finally {
    clearTimeout(watchdog)
  }
  if (options.json) console.log(JSON.stringify(result, null, 2))
  else screen.line('', ...formatResult(result))
  for (const difference of result.differences) screen.fail(`demo: DIFFERENT: ${difference}`)
  return result.differences.length === 0 ? 0 : 1
}
