/**
 * `kcp-io spec HOST:PORT`: holds any KCP endpoint to what the protocol says, as h2spec does for HTTP/2.
 * @module
 */
import { requireInteger } from '../../core/config.ts'
import { parseAddress } from '../../node/address.ts'
import { type Command, ExitCode, type Io, parseWords, UsageError } from '../command.ts'
import { asTable, resultLine, summaryLine } from './report.ts'
import { PATIENCE, runSpec, type SpecOptions } from './run.ts'

const HELP = `Holds a KCP endpoint to the protocol: says what a KCP peer may say, and what none would, and looks at the answers.

Usage: kcp-io spec HOST:PORT [OPTIONS]

The endpoint should be a server that sends back what it gets (kcp-io echo is one); without an echo only the cases about
acknowledgements and windows run. Every case has sockets and a conversation of its own.

  --only ID,ID       sections or cases: 2 or 2.4
  --slow             the cases too that take up to 20 s
  --timeout MS       longest wait for an answer (default ${PATIENCE})
  --jobs N           cases at a time (default 16)
  --trace            what was said and heard in the cases that failed
  --markdown         the results as a table
  --json             the results as JSON

must: without it stock peers cannot talk to the endpoint. should: what the reference engine does, or what keeps an
endpoint well on a bad network. may: a difference to know of, right either way.
Ends with 1 when a "must" failed.
`

export const spec: Command = {
  summary: 'hold a KCP endpoint to the protocol',
  async run(words, io) {
    const { values, positionals } = parseWords(words, OPTIONS)
    if (values.help) {
      io.out(HELP)
      return ExitCode.Good
    }
    const [at, ...more] = positionals
    if (at === undefined || more.length > 0) throw new UsageError('spec takes one HOST:PORT')
    const { json = false, markdown = false, trace = false } = values
    const options = optionsOf(at, values)
    const results = await runSpec({
      ...options,
      ...(json || markdown ? {} : { onResult: printer(io, trace) }),
    })
    if (json) io.out(`${JSON.stringify(results, undefined, 1)}\n`)
    else if (markdown) io.out(`${asTable({ [at]: results })}\n`)
    else io.out(`\n${summaryLine(results)}\n`)
    return results.some(({ level, outcome }) => level === 'must' && outcome === 'failed')
      ? ExitCode.Failed
      : ExitCode.Good
  },
}

const OPTIONS = {
  only: { type: 'string' },
  slow: { type: 'boolean' },
  timeout: { type: 'string' },
  jobs: { type: 'string' },
  trace: { type: 'boolean' },
  markdown: { type: 'boolean' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

type Values = ReturnType<typeof parseWords<typeof OPTIONS>>['values']

function optionsOf(at: string, { only, slow, timeout, jobs }: Values): SpecOptions {
  const { host, port } = parseAddress(at)
  return {
    host: host ?? '127.0.0.1',
    port,
    slow: slow === true,
    ...(only === undefined ? {} : { ids: only.split(',') }),
    ...(timeout === undefined ? {} : { patience: requireInteger('--timeout', Number(timeout), 1, 600_000) }),
    ...(jobs === undefined ? {} : { jobs: requireInteger('--jobs', Number(jobs), 1, 1000) }),
  }
}

/** Prints each result below the name of its section. */
function printer(io: Io, trace: boolean): NonNullable<SpecOptions['onResult']> {
  let section = ''
  return (result) => {
    if (result.section !== section) {
      section = result.section
      io.out(`\n${section}\n`)
    }
    io.out(`${resultLine(result)}\n`)
    if (trace) for (const line of result.trace ?? []) io.out(`        ${line}\n`)
  }
}
