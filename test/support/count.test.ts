import { deepEqual, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { SendWindow } from '../../src/core/send-window.ts'
import { countSteps } from './count.ts'

/** Steps that it takes to acknowledge `n` segments by una. */
function walk(n: number): number {
  const window = new SendWindow()
  for (let i = 0; i < n; i++) window.append(null, 0, 1, 1, true)
  for (let i = 0; i < n; i++) window.admit(200, 0)
  return countSteps(() => window.ackUpTo(n, undefined))
}

test('the count is that of the rounds of a loop, however often the code ran before', () => {
  const counts = [100, 1000, 10_000, 100, 1000, 10_000].map(walk)
  deepEqual(counts.slice(0, 3), counts.slice(3))
  const [few, more, most] = counts as [number, number, number]
  equal((most - more) / (more - few), 10)
})

test('a run that never enters the engine is a mistake', () => {
  throws(() => countSteps(() => {}), /nothing of src\/core ran/)
})
