/**
 * The measurements on the impaired link with other conditions: `node build/bench/link/run.js --help`.
 * @module
 */
import { parseArgs } from 'node:util'
import { asMarkdown, asText, FULL, QUICK, type Report } from '../rounds.ts'
import { MAIN_CELLS, type Pattern, WHOLE_GRID } from './cells.ts'
import { benchAgain, benchLatency, LATENCY_CONTESTANTS, type LatencyOptions } from './latency.ts'
import { benchLongFat } from './long-fat.ts'
import { benchLossy, type LossyOptions } from './lossy.ts'

const HELP = `Measures on an impaired link between two network namespaces. Linux, root, ip and python3 are needed.

  node build/bench/link/run.js latency                               the latency of small messages, all of it: half an hour
       --main             a message each 20 ms, RTT 30 and 100, no loss to 10 %, only
       --whole            every pattern on every path: hours
  node build/bench/link/run.js lossy --rtt 30,100 --loss 0,1,5,10    the same of some cells
       --burst 3          packets that a loss takes in a row on average (1)
       --pattern '20 ms'  a message at that interval; or single, or requests
  both: --only 'TCP bbr'  contestants whose names hold one of these words, by commas; '=kcp-io' for one name
        --all             of lossy, every contestant
        --seconds 100     how long each cell is measured
        --rate 100        messages per second and contestant of the cells that run side by side
        --into FOLDER     tables, figures and plots
        --save FILE       all samples
  node build/bench/link/run.js again FILE... --into FOLDER           tables and plots of what was saved, the quieter of each cell
  node build/bench/link/run.js longfat --rtt 100 --loss 1 --rate 20  bulk; rate in MB/s
       --megabytes 1000   bytes
  all: --seed 1, --quick, --json, --markdown
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rtt: { type: 'string' },
    loss: { type: 'string' },
    burst: { type: 'string' },
    pattern: { type: 'string' },
    only: { type: 'string' },
    all: { type: 'boolean' },
    main: { type: 'boolean' },
    whole: { type: 'boolean' },
    seconds: { type: 'string' },
    into: { type: 'string' },
    save: { type: 'string' },
    rate: { type: 'string' },
    megabytes: { type: 'string' },
    seed: { type: 'string' },
    quick: { type: 'boolean' },
    json: { type: 'boolean' },
    markdown: { type: 'boolean' },
    help: { type: 'boolean' },
  },
})

const effort = values.quick === true ? QUICK : FULL
const numbers = (list: string | undefined): number[] | undefined => list?.split(',').map(Number)
const one = (value: string | undefined): number | undefined =>
  value === undefined ? undefined : Number(value)
/** Without what was not given. */
const given = <T extends object>(options: { [K in keyof T]: T[K] | undefined }): Partial<T> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>

const seed = one(values.seed)
const percents = numbers(values.loss)?.map((each) => each / 100)

/** What latency and lossy share. */
function shared(): Partial<Omit<LatencyOptions, 'cells'>> {
  const words = values.only?.split(',')
  const wanted = ({ name }: { readonly name: string }): boolean =>
    words?.some((word) => (word.startsWith('=') ? name === word.slice(1) : name.includes(word))) ?? true
  return given({
    seed,
    seconds: one(values.seconds),
    rate: one(values.rate),
    into: values.into,
    save: values.save,
    contestants: words || values.all ? LATENCY_CONTESTANTS.filter(wanted) : undefined,
  })
}

const PARTS: Readonly<Record<string, (names: readonly string[]) => Promise<Report> | Report>> = {
  latency() {
    const cells = values.whole === true ? WHOLE_GRID : values.main === true ? MAIN_CELLS : undefined
    return benchLatency(effort, { ...shared(), ...given({ cells }) })
  },
  lossy() {
    const paths: Partial<LossyOptions> = given({
      rtts: numbers(values.rtt),
      losses: percents,
      burst: one(values.burst),
      pattern: values.pattern as Pattern | undefined,
    })
    return benchLossy(effort, { ...shared(), ...paths })
  },
  again: (files) => benchAgain(files, values.into),
  longfat: () =>
    benchLongFat(
      effort,
      given({
        seed,
        rtt: one(values.rtt),
        loss: percents?.[0],
        bytesPerSec: values.rate === undefined ? undefined : Number(values.rate) * 1e6,
        bytes: values.megabytes === undefined ? undefined : Number(values.megabytes) * 1e6,
      }),
    ),
}

const [what, ...names] = positionals
const part = what === undefined ? undefined : PARTS[what]
if (values.help === true || part === undefined) {
  console.log(HELP)
  process.exitCode = values.help === true ? 0 : 2
} else {
  const report = await part(names)
  if (values.json === true) console.log(JSON.stringify(report.figures, null, 2))
  else console.log(values.markdown === true ? asMarkdown(report) : asText(report))
}
