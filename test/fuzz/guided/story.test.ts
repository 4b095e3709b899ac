/** The stories of the guided fuzzer: that they are what they seem, and that what one finds is found without it again. */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Prng } from '../../../src/sim/prng.ts'
import { CASE, opened, replay } from '../cases.ts'
import { noise } from '../mutate.ts'
import { TARGETS } from '../targets.ts'
import { beginnings, STORY_MAX, seedOf, storyOf, tell } from './story.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** What a story feeds, in hex. */
function fedBy(target: string, story: Uint8Array): string[] {
  const fed: string[] = []
  tell(target, story, (input) => fed.push(hex(input)))
  return fed
}

/** The first `count` inputs that a case makes, in hex. */
function madeBy(target: string, seed: number, count: number): string[] {
  const subject = opened(target, seed)
  return Array.from({ length: count }, () => {
    const input = subject.make()
    const text = hex(input)
    subject.feed(input)
    return text
  })
}

test('a piece is what was made, that written over, or bytes of its own', () => {
  const made = madeBy('engine', 0x0105, 6)
  const [own, changed] = ['010203', `${made[4]!.slice(0, 2)}ffee${made[4]!.slice(6)}`]
  // Two as made, three bytes, one more as made, one with its second and third byte changed; and the end of the story.
  const story = Uint8Array.of(0x05, 0x01, 0x04, 0x02, 3, 1, 2, 3, 0x00, 0x05, 1, 0xff, 0xee, 0x03)
  ok(made[4]!.length > 6)
  const fed = fedBy('engine', story)
  equal(seedOf(story), 0x0105)
  // Bytes of its own change the conversation, so only what comes before them is surely as it was made.
  deepEqual(fed.slice(0, 3), [made[0], made[1], own])
  equal(fed.length, 6)
  equal(fed.at(-1), '')
  const calm = Uint8Array.of(0x05, 0x01, 0x0c, 0x05, 1, 0xff, 0xee)
  deepEqual(fedBy('engine', calm), [...made.slice(0, 4), changed])
})

test('any bytes are a story, of no more inputs than a case has', () => {
  const prng = new Prng(1)
  for (const target of Object.keys(TARGETS)) {
    for (let i = 0; i < 20; i++) tell(target, noise(prng, 300))
    tell(target, new Uint8Array())
    equal(fedBy(target, Uint8Array.of(1, 0, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc)).length, CASE)
  }
})

test('the first corpus is what the blind fuzzer makes, written out and in brief', () => {
  for (const target of Object.keys(TARGETS)) {
    const [long, brief] = beginnings(target, 1)
    const made = madeBy(target, 1, 64)
    const fed = fedBy(target, long!)
    deepEqual(fedBy(target, brief!), made)
    ok(long!.length <= STORY_MAX && fed.length > 0)
    deepEqual(fed, made.slice(0, fed.length))
  }
})

test('what a story feeds is a file of the corpus that feeds the same', () => {
  const open = TARGETS['api']!
  const seen: string[] = []
  const spied = TARGETS as Record<string, typeof open>
  spied['spied'] = (prng) => {
    const subject = open(prng)
    return {
      make: () => subject.make(),
      feed(input) {
        seen.push(hex(input))
        subject.feed(input)
      },
    }
  }
  const story = Uint8Array.of(9, 2, 0x04, 0x02, 4, 0, 9, 2, 5, 0x01, 0, 7, 0x00)
  const fed = fedBy('spied', story)
  const once = seen.splice(0)
  replay(`spied ${seedOf(story)}\n${fed.join('\n')}\n`)
  delete spied['spied']
  deepEqual(seen, once)
  equal(seen.length, 5)
})

test('a story of given inputs leaves out what has no room', () => {
  const inputs = [new Uint8Array(2000), new Uint8Array(2000).fill(1), new Uint8Array(200)]
  equal(storyOf(3, inputs).length, 2 + 2 * 2002)
  deepEqual(
    storyOf(0x203, [new Uint8Array(0x123).fill(7)]).subarray(0, 5),
    Uint8Array.of(3, 2, 0x06, 0x23, 7),
  )
})
