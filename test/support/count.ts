/**
 * Counts what code does, so that a test can tell linear from quadratic without a stopwatch: V8 counts how often each
 * function and each block inside it ran, the same on every machine and under any load.
 *
 * Importing this file slows its process down, so only tests about cost do. It must come before the first call of what
 * is counted: V8 gives a function its counters when it compiles it.
 * @module
 */
import { Session } from 'node:inspector'
import { setFlagsFromString } from 'node:v8'

// An optimised caller inlines what it calls, and then nobody counts the calls.
setFlagsFromString('--no-opt')
setFlagsFromString('--no-maglev')
const session = new Session()
session.connect()
session.post('Profiler.enable')
session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })

/** How often functions of the engine, and blocks inside them, ran while `run` did. */
export function countSteps(run: () => void): number {
  takeCounts()
  run()
  const total = takeCounts()
  if (total === 0) throw new Error('nothing of src/core ran, or the profiler did not answer')
  return total
}

/** What ran since the last look. */
function takeCounts(): number {
  let total = 0
  // A session within its own thread answers before `post` returns.
  session.post('Profiler.takePreciseCoverage', (error, coverage) => {
    if (error !== null) throw error
    for (const { url, functions } of coverage.result) {
      if (!url.includes('/src/core/')) continue
      for (const { ranges } of functions) for (const { count } of ranges) total += count
    }
  })
  return total
}
