/**
 * What the bytes of a coverage-guided fuzzer mean: a story, told to a subject of the blind one. The first two are the seed
 * of the case; pieces follow, each of them inputs: what the subject itself would have made next, that with bytes of it
 * written over, or bytes that are all the fuzzer's. Any bytes are a story. What was fed in it is a file of the corpus.
 *
 * A piece begins with a byte, of which the low two bits say what it is:
 *
 *     0      made      the upper six: how many more than one
 *     1      changed   three bits: how many bytes more than one; three: high bits of where; then where, and the bytes
 *     2, 3   own       three bits: high bits of the length; then the length, and the bytes
 * @module
 */
import { CASE, opened } from '../cases.ts'

/** Longest story, bytes: room for some forty datagrams of the length that most have. */
export const STORY_MAX = 4096
/** Bytes of the seed. */
const HEAD = 2
const [MADE, CHANGED, OWN] = [0, 1, 2]
/** What three high bits and a byte can tell. */
const OWN_MAX = 0x7ff

/** Tells `story` to a new subject of `target`, of each input to `note` first. Throws what it finds. */
export function tell(target: string, story: Uint8Array, note?: (input: Uint8Array) => void): void {
  // A copy: inputs are the subject's to change, and a Buffer's `slice` copies nothing.
  const bytes = new Uint8Array(story)
  const subject = opened(target, seedOf(story))
  let inputs = 0
  const feed = (input: Uint8Array): void => {
    inputs++
    note?.(input)
    subject.feed(input)
  }
  for (let at = HEAD; at < bytes.length && inputs < CASE; ) {
    const kind = bytes[at]! & 3
    const upper = bytes[at++]! >> 2
    if (kind === MADE) {
      for (let left = upper; left >= 0 && inputs < CASE; left--) feed(subject.make())
      continue
    }
    // What the subject itself does to make the next input belongs to every story, as it does to those of the corpus.
    const made = subject.make()
    const low = bytes[at++] ?? 0
    if (kind === CHANGED) {
      const input = made.slice()
      const from = ((upper >> 3) << 8) | low
      for (let i = 0; i <= (upper & 7) && at < bytes.length; i++, at++) {
        if (from + i < input.length) input[from + i] = bytes[at]!
      }
      feed(input)
    } else {
      const end = at + (((upper & 7) << 8) | low)
      feed(bytes.slice(at, end))
      at = end
    }
  }
}

export function seedOf(story: Uint8Array): number {
  return (story[0] ?? 0) | ((story[1] ?? 0) << 8)
}

/** A story that tells the inputs of a file of the corpus byte by byte: as many of them as there is room for. */
export function storyOf(seed: number, inputs: readonly Uint8Array[]): Uint8Array {
  const story = [seed & 0xff, (seed >> 8) & 0xff]
  for (const input of inputs) {
    if (input.length > OWN_MAX || story.length + 2 + input.length > STORY_MAX) break
    story.push(OWN | ((input.length >> 8) << 2), input.length & 0xff, ...input)
  }
  return Uint8Array.from(story)
}

/**
 * What a guided run begins with, two stories for each seed: inputs as the blind fuzzer makes them, written out so that there
 * is something to change; and a longer case of them in as few bytes as can be.
 */
export function beginnings(target: string, seeds: number): Uint8Array[] {
  const stories: Uint8Array[] = []
  for (let seed = 1; seed <= seeds; seed++) {
    const brief = Uint8Array.of(seed & 0xff, seed >> 8, MADE | (63 << 2))
    const inputs: Uint8Array[] = []
    tell(target, brief, (input) => inputs.push(input.slice()))
    stories.push(storyOf(seed, inputs), brief)
  }
  return stories
}
