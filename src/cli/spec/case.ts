/**
 * What a case of the conformance program is, and what cases share.
 * @module
 */
import { isAck, type Probe, SpecFailure } from './probe.ts'

/**
 * must: without it stock peers cannot talk to the endpoint. should: what the reference engine does, or what keeps an
 * endpoint well on a bad network. may: a difference to know of, right either way.
 */
export type Level = 'must' | 'should' | 'may'

export interface SpecCase {
  readonly level: Level
  readonly title: string
  /** 'echo': needs an application that sends back what it gets. Default: only the engine's own answers. */
  readonly needs?: 'echo'
  /** Takes more than some seconds: only with `--slow`. */
  readonly slow?: boolean
  /** conv of the first probe, where that is the point. */
  readonly conv?: number
  /** @param another opens one more probe, with its own socket. */
  run(probe: Probe, another: (conv?: number) => Promise<Probe>): Promise<void>
}

export interface SpecSection {
  readonly name: string
  readonly cases: readonly SpecCase[]
}

export const must = (title: string, run: SpecCase['run']): SpecCase => ({ level: 'must', title, run })
export const should = (title: string, run: SpecCase['run']): SpecCase => ({ level: 'should', title, run })
export const may = (title: string, run: SpecCase['run']): SpecCase => ({ level: 'may', title, run })
/** The same case, for an endpoint that echoes. */
export const echo = (one: SpecCase): SpecCase => ({ ...one, needs: 'echo' })
export const slow = (one: SpecCase): SpecCase => ({ ...one, slow: true })
export const withConv = (conv: number, one: SpecCase): SpecCase => ({ ...one, conv })

/** How long nothing may happen before it is taken for refused, ms: several flushes of an untuned engine (100 ms). */
export const QUIET = 400

/** Fails the case unless `holds`. */
export function check(holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new SpecFailure(sentence)
}

/** Opens the conversation with one message, and waits until that was acknowledged. */
export async function open(probe: Probe): Promise<void> {
  await tell(probe, 'spec')
}

/** Opens the conversation, and waits until the endpoint's echo was acknowledged too: nothing is in flight then. */
export async function openBothWays(probe: Probe): Promise<void> {
  await open(probe)
  await probe.expectText('spec')
  // The endpoint gets our ACK of its echo within this time.
  await probe.pause(50)
}

/** Says one message until it is acknowledged; says it again as an engine would. */
export async function tell(probe: Probe, text: string): Promise<void> {
  const sn = probe.say(text)
  const tries = 3
  for (let i = 0; i < tries; i++) {
    if ((await probe.hear(isAck(sn), probe.patience / tries)) !== undefined) return
    probe.sndNxt = sn
    probe.say(text)
  }
  throw new SpecFailure(`expected an ACK of sn=${sn} within ${probe.patience} ms`)
}

/** After something odd: the conversation still goes on. */
export async function stillAlive(probe: Probe): Promise<void> {
  try {
    await tell(probe, 'still')
  } catch (error) {
    throw new SpecFailure(`the conversation did not go on: ${(error as Error).message}`)
  }
}
