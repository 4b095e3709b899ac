/**
 * `npm run soak`: attacks and long lives, with their limits. Without words all parts in their long form.
 *
 *     --only a,b     these parts           --count N    of what the part counts
 *     --short        as in the tests       --minutes N  for parts that last
 *     --write        the results go to docs/testing/NAME.json and the table in docs/TESTING.md
 *     --list         what there is
 *
 * With `node --max-old-space-size=64 build/test/soak/run.js` this process and the helpers have so little memory.
 * @module
 */
import { parseArgs } from 'node:util'
import { keep, type Result, today } from '../support/results.ts'
import { type Part, Resources } from './part.ts'
import { PARTS } from './parts.ts'

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    count: { type: 'string' },
    minutes: { type: 'string' },
    short: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
})

async function perform(part: Part): Promise<Result> {
  const { short } = values
  const scale = { count: 0, seconds: 0, ...(short ? part.short : part.long), short }
  if (values.count !== undefined) scale.count = Number(values.count)
  if (values.minutes !== undefined) scale.seconds = Number(values.minutes) * 60
  const use = new Resources()
  const began = performance.now()
  let outcome: Result['outcome'] = 'passed'
  let count = 0
  let findings = ''
  try {
    ;({ count, findings } = await part.run(scale, use))
  } catch (error) {
    outcome = 'failed'
    findings = error instanceof Error ? error.message : String(error)
    if (error instanceof Error) console.error(error.stack)
  } finally {
    await use.close()
  }
  const heap = process.execArgv.find((word) => word.startsWith('--max-old-space-size='))?.split('=')[1]
  const { name, what, unit } = part
  return {
    name: heap === undefined ? name : `${name}-heap-${heap}`,
    what: heap === undefined ? what : `${what}; a heap of ${heap} MB for each process`,
    count,
    unit,
    seconds: Math.round((performance.now() - began) / 100) / 10,
    ...today(),
    outcome,
    findings,
  }
}

const wanted = values.only?.split(',')
const unknown = wanted?.filter((name) => !PARTS.some((part) => part.name === name)) ?? []
if (unknown.length > 0) {
  console.error(
    `no part is called ${unknown.join(', ')}; there are ${PARTS.map(({ name }) => name).join(', ')}`,
  )
  process.exit(2)
}
if (values.list) {
  for (const { name, what } of PARTS) console.log(`${name.padEnd(14)} ${what}`)
} else {
  let failed = false
  for (const part of PARTS.filter(({ name }) => wanted?.includes(name) ?? true)) {
    const result = await perform(part)
    failed ||= result.outcome === 'failed'
    const { name, count, unit, seconds, date, outcome, findings } = result
    console.log(
      `| \`${name}\` | ${count} ${unit} | ${seconds} s | ${date} ${result.commit} | ${outcome} | ${findings} |`,
    )
    if (values.write) keep(result)
  }
  process.exitCode = failed ? 1 : 0
}
