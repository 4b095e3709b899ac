/** The readable engine against KCP 2.x: what agrees with it must agree with C, not only with our other engine. */
import { fail, ok } from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { describe, replay, type Schedule } from '../sys/replay.ts'
import { referenceBlock } from './c-names.ts'

let replayed = 0
let left = 0

for (const folder of ['ikcp', 'ikcp-extra']) {
  for (const file of readdirSync(join('test/vectors', folder)).sort()) {
    if (!file.endsWith('.json.gz')) continue
    const text = gunzipSync(readFileSync(join('test/vectors', folder, file))).toString()
    const schedule = JSON.parse(text) as Schedule
    // It has no pluggable controllers: what follows the installation of one is left out.
    const steered = schedule.steps.findIndex(({ op }) => op === 'setcc')
    const steps = steered < 0 ? schedule.steps : schedule.steps.slice(0, steered)
    const part = steered < 0 ? '' : `, up to step ${steered}`
    test(`${folder}/${file} comes out as the reference engine recorded it${part}`, () => {
      const difference = replay({ ...schedule, steps }, referenceBlock)
      if (difference !== null) fail(describe(difference))
      replayed += steps.length
      left += schedule.steps.length - steps.length
    })
  }
}

test('most of what was recorded needs no controller', () => {
  ok(replayed > 8 * left, `${replayed} steps replayed, ${left} left out`)
})
