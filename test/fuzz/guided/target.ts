/**
 * The module that jazzer.js loads: every call of `fuzz` is a story for the target that FUZZ_TARGET names. What finds
 * something is kept as a file of the corpus, which `npm test` feeds again without jazzer.js.
 * @module
 */
import { createHash } from 'node:crypto'
import { appendFileSync, writeFileSync } from 'node:fs'
import { seedOf, tell } from './story.ts'

const target = process.env['FUZZ_TARGET'] ?? ''

export function fuzz(story: Uint8Array): void {
  try {
    tell(target, story)
  } catch (error) {
    keep(target, story)
    throw error
  }
}

/** Keeps what a story feeds, and tells where. It is told again for that, as nothing is noted while all goes well. */
export function keep(to: string, story: Uint8Array): void {
  const hash = createHash('sha256').update(story).digest('hex')
  const file = `test/fuzz/corpus/${to}-guided-${hash.slice(0, 12)}.hex`
  writeFileSync(file, `${to} ${seedOf(story)}\n`)
  console.log(`kept as ${file}`)
  try {
    // Each input is on disk before it is fed: the last one may never return.
    tell(to, story, (input) => appendFileSync(file, `${Buffer.from(input).toString('hex')}\n`))
    console.log('nothing is found when it is told again')
  } catch (error) {
    console.log(error)
  }
}
