/** What a target of fuzzing is, and how it says that something was wrong. */
import type { Prng } from '../../src/sim/prng.ts'

export interface Subject {
  /** The next input. */
  make(): Uint8Array
  /** Takes an input; throws for what is not documented. */
  feed(input: Uint8Array): void
}

export type Open = (prng: Prng) => Subject

export class Finding extends Error {}

export function require(holds: boolean, what: string): void {
  if (!holds) throw new Finding(what)
}
