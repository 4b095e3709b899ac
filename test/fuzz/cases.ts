/** A case of fuzzing: so many inputs for one subject, all from one seed. And the corpus: inputs that found something. */
import { mix32, Prng } from '../../src/sim/prng.ts'
import { Finding, type Subject } from './subject.ts'
import { TARGETS } from './targets.ts'

/** Inputs of a case: enough for a conversation to get somewhere, few enough to look at. */
export const CASE = 250

export interface CaseResult {
  inputs: number
  /** The longest that one input took, ms. */
  slowest: number
  /** What was found, and the inputs that led to it. */
  finding?: { readonly why: string; readonly corpus: string }
}

/** A new subject of a target: what it does follows from the seed and its inputs. */
export function opened(target: string, seed: number): Subject {
  return TARGETS[target]!(new Prng(mix32(seed)))
}

/** Runs a case. `clock` measures; without it nothing is. */
export function runCase(target: string, seed: number, clock?: () => number): CaseResult {
  const subject = opened(target, seed)
  const inputs: string[] = []
  const result: CaseResult = { inputs: 0, slowest: 0 }
  const past: Uint8Array[] = []
  try {
    for (; result.inputs < CASE; result.inputs++) {
      const input = subject.make()
      past.push(input.slice())
      const before = clock?.() ?? 0
      subject.feed(input)
      if (clock !== undefined) result.slowest = Math.max(result.slowest, clock() - before)
    }
  } catch (error) {
    const why =
      error instanceof Finding ? error.message : error instanceof Error ? `${error.stack}` : `${error}`
    for (const one of past) inputs.push(Buffer.from(one).toString('hex'))
    return { ...result, finding: { why, corpus: `${target} ${seed}\n${inputs.join('\n')}\n` } }
  }
  return result
}

/** Feeds what a file of the corpus holds: `target seed`, then an input in hex a line. Throws what it finds. */
export function replay(corpus: string): void {
  const [head = '', ...lines] = corpus.trimEnd().split('\n')
  const [target = '', seed] = head.split(' ')
  const subject = opened(target, Number(seed))
  for (const line of lines) {
    // What the subject itself does to make the next input belongs to the story.
    subject.make()
    subject.feed(Uint8Array.from(Buffer.from(line, 'hex')))
  }
}
