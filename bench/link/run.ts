/**
 * The measurements on the impaired link with other conditions: `node build/bench/link/run.js --help`.
 * @module
 */
import { parseArgs } from 'node:util'
import { asText, FULL, QUICK } from '../rounds.ts'
import { benchLongFat } from './long-fat.ts'
import { benchLossy, LOSSY_CONTESTANTS } from './lossy.ts'

const HELP = `Measures on an impaired link between two network namespaces. Linux, root, ip and python3 are needed.

  node build/bench/link/run.js lossy --rtt 30,100 --loss 0,1,5,10    one-way latency of small messages
       --burst 3          packets that a loss takes in a row on average (1)
       --interval 20      ms between two messages
       --count 1200       messages
       --only 'TCP bbr'   contestants whose names hold one of these words, by commas
  node build/bench/link/run.js longfat --rtt 100 --loss 1 --rate 20  bulk; rate in MB/s
       --megabytes 1000   bytes
  both: --seed 1, --quick, --json
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rtt: { type: 'string' },
    loss: { type: 'string' },
    burst: { type: 'string' },
    interval: { type: 'string' },
    count: { type: 'string' },
    only: { type: 'string' },
    rate: { type: 'string' },
    megabytes: { type: 'string' },
    seed: { type: 'string' },
    quick: { type: 'boolean' },
    json: { type: 'boolean' },
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

const [what] = positionals
if (values.help === true || (what !== 'lossy' && what !== 'longfat')) {
  console.log(HELP)
  process.exitCode = values.help === true ? 0 : 2
} else {
  const seed = one(values.seed)
  const percent = numbers(values.loss)?.map((each) => each / 100)
  const words = values.only?.split(',')
  const report =
    what === 'lossy'
      ? await benchLossy(
          effort,
          given({
            seed,
            rtts: numbers(values.rtt),
            losses: percent,
            burst: one(values.burst),
            intervalMs: one(values.interval),
            count: one(values.count),
            contestants:
              words && LOSSY_CONTESTANTS.filter(({ name }) => words.some((word) => name.includes(word))),
          }),
        )
      : await benchLongFat(
          effort,
          given({
            seed,
            rtt: one(values.rtt),
            loss: percent?.[0],
            bytesPerSec: values.rate === undefined ? undefined : Number(values.rate) * 1e6,
            bytes: values.megabytes === undefined ? undefined : Number(values.megabytes) * 1e6,
          }),
        )
  if (values.json === true) console.log(JSON.stringify(report.figures, null, 2))
  else console.log(asText(report))
}
