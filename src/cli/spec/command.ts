/**
 * `kcp-io spec HOST:PORT`: holds any KCP endpoint to what the protocol says, as h2spec does for HTTP/2.
 * @module
 */
import { parseArgs } from 'node:util'
import { requireInteger } from '../../core/config.ts'
import { parseAddress } from '../../node/address.ts'
import { resultLine, summaryLine } from './report.ts'
import { PATIENCE, runSpec } from './run.ts'

export const SPEC_HELP: string = `Holds a KCP endpoint to the protocol: says what a KCP peer may say, and what none would, and looks at the answers.

  kcp-io spec HOST:PORT [options]

The endpoint should be a server that sends back what it gets (kcp-io echo is one); without an echo only the cases about
acknowledgements and windows run. Every case has sockets and a conversation of its own.

  --only ID,ID       sections or cases: 2 or 2.4
  --slow             the cases too that take up to 20 s
  --timeout MS       longest wait for an answer (default ${PATIENCE})
  --jobs N           cases at a time (default 16)
  --trace            what was said and heard in the cases that failed
  --json             the results as JSON

must: without it stock peers cannot talk to the endpoint. should: what the reference engine does, or what keeps an
endpoint well on a bad network. may: a difference to know of, right either way.
Ends with 1 when a "must" failed.
`

/** Returns the exit code. Throws for bad arguments (ERR_PARSE_ARGS_…, ERR_KCP_CONFIG) and when nobody answers. */
export async function specCommand(args: readonly string[], print: (text: string) => void): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      only: { type: 'string' },
      slow: { type: 'boolean', default: false },
      timeout: { type: 'string' },
      jobs: { type: 'string' },
      trace: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help || positionals.length !== 1) {
    print(SPEC_HELP)
    return values.help ? 0 : 2
  }
  const { host, port } = parseAddress(positionals[0]!)
  let section = ''
  const results = await runSpec({
    host: host ?? '127.0.0.1',
    port,
    slow: values.slow,
    ...(values.only === undefined ? {} : { only: values.only.split(',') }),
    ...(values.timeout === undefined
      ? {}
      : { patience: requireInteger('--timeout', Number(values.timeout), 1, 600_000) }),
    ...(values.jobs === undefined ? {} : { jobs: requireInteger('--jobs', Number(values.jobs), 1, 1000) }),
    onResult: (result) => {
      if (values.json) return
      if (result.section !== section) {
        section = result.section
        print(`\n${section}`)
      }
      print(resultLine(result))
      if (values.trace) for (const line of result.trace ?? []) print(`        ${line}`)
    },
  })
  print(values.json ? JSON.stringify(results, undefined, 1) : `\n${summaryLine(results)}`)
  return results.some(({ level, outcome }) => level === 'must' && outcome === 'failed') ? 1 : 0
}
