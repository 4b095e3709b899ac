/**
 * `npm run bench`: what kcp-io costs on this machine. Compare ratios within one run; absolute figures are the
 * machine's as much as the library's.
 * @module
 */
import { execFileSync } from 'node:child_process'
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { benchBulk } from './bulk.ts'
import { type Contestant, contestants } from './contestants.ts'
import { benchCrypto } from './crypto.ts'
import { benchEcho } from './echo.ts'
import { benchEngine } from './engine.ts'
import { benchFec } from './fec.ts'
import { benchHostile } from './hostile.ts'
import { benchLatency } from './link/latency.ts'
import { benchLongFat } from './link/long-fat.ts'
import { benchLossy } from './link/lossy.ts'
import { benchMemory } from './memory.ts'
import { benchMessages } from './messages.ts'
import { benchPipeline } from './pipeline.ts'
import { asMarkdown, asText, type Effort, FULL, QUICK, type Report } from './rounds.ts'
import { benchSecure } from './secure.ts'
import { benchSessions } from './sessions.ts'
import { benchWorkers } from './workers.ts'

interface Flags {
  readonly peers: boolean
  readonly into?: string | undefined
}
type Part = (effort: Effort, field: readonly Contestant[], flags: Flags) => Promise<Report>

const PARTS: Readonly<Record<string, Part>> = {
  messages: benchMessages,
  engine: benchEngine,
  bulk: benchBulk,
  echo: benchEcho,
  sessions: benchSessions,
  workers: (effort) => benchWorkers(effort),
  pipeline: (effort) => benchPipeline(effort),
  fec: (effort) => benchFec(effort),
  // A quick look at each kind; each cipher has processes of its own.
  crypto: (effort) => benchCrypto(effort, effort === QUICK ? ['aes-128', 'salsa20'] : undefined),
  lossy: (effort, _, { peers }) => benchLossy(effort, { peers }),
  longfat: (effort) => benchLongFat(effort),
  memory: benchMemory,
  hostile: (effort) => benchHostile(effort),
  secure: (effort) => benchSecure(effort),
  latency: (effort, _, { peers, into }) => benchLatency(effort, { peers, into }),
}
/** Only when it is asked for: half an hour. */
const LONG: ReadonlySet<string> = new Set(['latency'])

const HELP = `Measures kcp-io on this machine, and beside it the peers that are here.

  npm run bench                        about a quarter of an hour
  npm run bench -- --quick             some seconds: shows that it runs, no figures to quote
  npm run bench -- --only bulk,echo    parts: ${Object.keys(PARTS).join(', ')}
  npm run bench -- --only latency --into docs/latency
                                       half an hour: latency on lossy links, with tables and plots in that folder
  npm run bench -- --no-peers          only kcp-io and what Node has itself
  npm run bench -- --markdown          tables in Markdown
  npm run bench -- --json              all figures as one JSON object

lossy, longfat and latency make network namespaces: as root, on Linux.
Peers from npm come with: npm run bench:peers
kcp-go comes with:        apt-get install golang-go golang-github-xtaci-kcp-dev (Debian, Ubuntu)
`

process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  let flags: ReturnType<typeof parseFlags>
  try {
    flags = parseFlags(args)
  } catch (error) {
    console.error(`bench: ${(error as Error).message}\nTry: npm run bench -- --help`)
    return 2
  }
  const { quick, json, markdown, parts, help } = flags
  if (help) {
    console.log(HELP)
    return 0
  }
  const machine = {
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    platform: `${process.platform} ${process.arch}`,
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    load: loadavg()[0]!,
  }
  const field = contestants(flags.peers)
  const print = (text: string): void => {
    if (!json) console.log(text)
  }
  print(
    `${machine.cores} x ${machine.cpu}, ${machine.platform}, Node ${machine.node}; ${machine.date}, ${machine.commit};` +
      ` load ${machine.load.toFixed(1)} before the start.\n`,
  )
  for (const one of field.missing) print(`Not here: ${one}.`)
  if (quick) print('Quick: too short for figures to quote.')
  print('')
  const results: Record<string, object> = {}
  for (const name of parts) {
    console.error(`measuring ${name} …`)
    try {
      const report = await PARTS[name]!(quick ? QUICK : FULL, field.contestants, flags)
      results[name] = { what: report.what.join(' '), figures: report.figures }
      print(markdown ? asMarkdown(report) : asText(report))
    } catch (error) {
      // Minutes of other figures are worth having.
      console.error(`${name} failed: ${(error as Error).message}`)
      results[name] = { failure: (error as Error).message }
    }
  }
  if (json) console.log(JSON.stringify({ machine, quick, missing: field.missing, ...results }, null, 2))
  return Object.values(results).some((part) => 'failure' in part) ? 1 : 0
}

function parseFlags(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      markdown: { type: 'boolean', default: false },
      'no-peers': { type: 'boolean', default: false },
      only: { type: 'string' },
      into: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const known = Object.keys(PARTS)
  const parts = values.only?.split(',') ?? known.filter((part) => !LONG.has(part))
  for (const part of parts) {
    if (!known.includes(part)) throw new Error(`--only takes parts out of ${known.join(', ')}, got "${part}"`)
  }
  return { ...values, peers: !values['no-peers'], parts }
}

function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], {
      encoding: 'utf8',
      stdio: 'pipe',
    }).trim()
  } catch {
    return 'no commit'
  }
}
