/** A little of each target of `npm run fuzz`, and all that was ever found. */
import { deepEqual, equal, throws } from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { CASE, replay, runCase } from './cases.ts'
import { TARGETS } from './targets.ts'

const CASES = Number(process.env['CASES'] ?? 40)

for (const target of Object.keys(TARGETS)) {
  test(`${target}: ${CASES * CASE} inputs do only what is documented`, () => {
    for (let seed = 1; seed <= CASES; seed++) {
      const { inputs, finding } = runCase(target, seed)
      equal(finding?.why, undefined, `npm run fuzz -- --target ${target} --seed ${seed} --inputs ${CASE}`)
      equal(inputs, CASE)
    }
  })
}

test('what was found once is not found again', () => {
  const folder = 'test/fuzz/corpus'
  for (const name of readdirSync(folder).filter((one) => one.endsWith('.hex'))) {
    try {
      replay(readFileSync(`${folder}/${name}`, 'utf8'))
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`)
    }
  }
})

test('a finding is told with what led to it, and the same case is the same every time', () => {
  const [once, again] = [runCase('engine', 7), runCase('engine', 7)]
  deepEqual(once, again)
  throws(() => replay('nothing 1\n00'), TypeError)
})
