/**
 * `npm run bench`: what kcp-io costs on this machine. Compare ratios within one run; absolute figures are the
 * machine's as much as the library's.
 * @module
 */
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { benchEngine } from './engine.ts'
import { benchMessages } from './messages.ts'
import { type Effort, FULL, printReport, QUICK, type Report } from './rounds.ts'
import { benchSessions } from './sessions.ts'

const PARTS: Readonly<Record<string, (effort: Effort) => Promise<Report>>> = {
  messages: benchMessages,
  engine: benchEngine,
  sessions: benchSessions,
}

const HELP = `Measures kcp-io on this machine.

  npm run bench                      about a minute
  npm run bench -- --quick           some seconds: shows that it runs, no figures to quote
  npm run bench -- --only engine     one part: ${Object.keys(PARTS).join(', ')}
  npm run bench -- --json            all figures as one JSON object
`

process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  let flags: ReturnType<typeof parseFlags>
  try {
    flags = parseFlags(args)
    if (flags.only !== undefined && !Object.hasOwn(PARTS, flags.only)) {
      throw new Error(`--only takes one of ${Object.keys(PARTS).join(', ')}, got "${flags.only}"`)
    }
  } catch (error) {
    console.error(`bench: ${(error as Error).message}\nTry: npm run bench -- --help`)
    return 2
  }
  const { quick = false, json = false, only, help } = flags
  if (help === true) {
    console.log(HELP)
    return 0
  }
  const machine = {
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    platform: `${process.platform} ${process.arch}`,
  }
  if (!json) {
    console.log(`${machine.cores} x ${machine.cpu}, ${machine.platform}, Node ${machine.node}`)
    console.log(quick ? 'Quick: too short for figures to quote.\n' : '')
  }
  const results: Record<string, unknown> = {}
  for (const [name, bench] of Object.entries(PARTS)) {
    if (only !== undefined && only !== name) continue
    const report = await bench(quick ? QUICK : FULL)
    results[name] = { what: report.what.join(' '), figures: report.figures }
    if (!json) printReport(report)
  }
  if (json) console.log(JSON.stringify({ machine, quick, ...results }, null, 2))
  return 0
}

function parseFlags(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean' },
      json: { type: 'boolean' },
      only: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  return values
}
