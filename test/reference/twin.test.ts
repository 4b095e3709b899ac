/**
 * The fast engine against the readable one, a seed a schedule. `SEEDS=20000` runs more of them, `SEED=17` that one:
 * `SEEDS=20000 node --test build/test/reference/twin.test.js`.
 */
import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { run } from './schedule.ts'

const ONLY = process.env['SEED']
const SEEDS = Number(process.env['SEEDS'] ?? 1000)

if (ONLY !== undefined) {
  test(`the engine does what the readable one does: seed ${ONLY}`, () => void run(Number(ONLY)))
} else {
  test(`the engine does what the readable one does, call by call: ${SEEDS} seeds`, () => {
    const totals: Record<string, number> = {}
    for (let seed = 1; seed <= SEEDS; seed++) {
      for (const [name, count] of Object.entries(run(seed))) totals[name] = (totals[name] ?? 0) + count
    }
    // What never happens in any schedule is not compared either.
    const never = Object.keys(totals).filter((name) => totals[name] === 0)
    if (SEEDS >= 100) deepEqual(never, [])
  })
}
