/**
 * The addon called wrongly, with garbage collection at every call, and in threads that end at any moment: no crash, and
 * no errors but the documented ones. `SEEDS=1000 node scripts/test.mjs native-fuzz` takes longer and sees more.
 */
import { equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { startNode } from '../support/child.ts'
import { supportPath, withoutAddon } from '../support/native.ts'

const SEEDS = Number(process.env['SEEDS'] ?? 4)
const patient = { timeout: 60_000 + SEEDS * 20_000, skip: withoutAddon }

/** Runs a program of test/support; gives what it printed, as JSON. */
async function run(name: string, ...words: readonly number[]): Promise<Record<string, number>> {
  const child = startNode('--expose-gc', [supportPath(name), ...words.map(String)])
  equal(await child.ended, 0, `${name} ${words.join(' ')}:\n${child.output()}`)
  return JSON.parse(child.output().trim().split('\n').at(-1)!)
}

test('wrong calls of every kind', patient, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const kinds = await run('native-fuzz', seed, 1_500)
    // Chance reaches what it is meant to reach.
    for (const kind of ['ok', 'TypeError', 'system', 'mine']) {
      ok((kinds[kind] ?? 0) > 0, `seed=${seed} ${kind} ${JSON.stringify(kinds)}`)
    }
  }
})

test('threads that end with open sockets in the middle of traffic', patient, async () => {
  // Two programs: one whose main thread has the addon, and one where it comes and goes with each thread.
  for (let seed = 1; seed <= Math.max(2, SEEDS / 4); seed++) {
    const ends = await run('native-workers', seed, 50)
    equal(
      Object.values(ends).reduce((sum, count) => sum + count),
      50,
    )
    ok(Object.keys(ends).length === 4)
  }
})
