/**
 * Runs the close matrix (test/support/close-cell.ts) under other runtimes and prints where their ends see something else than
 * under this Node, after a build:
 *
 *     node scripts/close-runtimes.mjs bun 'deno run -A' [--how end,destroy]
 *
 * A cell that differs runs once more; some cells have more than one right outcome. The addon is off: only Node loads it.
 */
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'

const CELL = 'build/test/support/close-cell.js'
/** Longer than a cell is watched, ms. */
const TIMEOUT = 40_000

const { values, positionals: runtimes } = parseArgs({
  allowPositionals: true,
  options: { how: { type: 'string' } },
})
if (runtimes.length === 0) throw new TypeError('name the runtimes: commands that run a .js file')
const { cells } = await import(`../${CELL}`)
const hows = values.how?.split(',')

function run(runtime, { who, how, state }, kind) {
  const [command, ...words] = runtime.split(' ')
  const { status, signal, stdout, stderr } = spawnSync(command, [...words, CELL, kind, who, how, state], {
    encoding: 'utf8',
    timeout: TIMEOUT,
    env: { ...process.env, KCP_IO_NO_NATIVE: '1' },
  })
  if (status === 0) return JSON.parse(stdout)
  return { failed: { why: signal ?? stderr.trim().split('\n')[0] ?? String(status) } }
}

/** What one run shows and the other does not, as `end.field: this Node > there`. */
function differences(here, there) {
  const ends = new Set([...Object.keys(here), ...Object.keys(there)])
  return [...ends].flatMap((end) => {
    const [a, b] = [here[end] ?? {}, there[end] ?? {}]
    const fields = new Set([...Object.keys(a), ...Object.keys(b)])
    return [...fields].filter((f) => a[f] !== b[f]).map((f) => `${end}.${f}: ${a[f]} > ${b[f]}`)
  })
}

let [count, different] = [0, 0]
for (const cell of cells()) {
  if (hows !== undefined && !hows.includes(cell.how)) continue
  for (const kind of ['message', 'stream']) {
    const here = run(process.execPath, cell, kind)
    for (const runtime of runtimes) {
      count++
      if (differences(here, run(runtime, cell, kind)).length === 0) continue
      const found = differences(run(process.execPath, cell, kind), run(runtime, cell, kind))
      if (found.length === 0) continue
      different++
      console.log(`${runtime} | ${kind}, ${cell.state}, ${cell.who}, ${cell.how} | ${found.join('; ')}`)
    }
  }
}
console.log(`${different} of ${count} cells differ`)
