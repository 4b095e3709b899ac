/**
 * Runs the cases against one endpoint, each over sockets and a conversation of its own, several at a time.
 * @module
 */
import { resolveHost } from '../../node/address.ts'
import { ACKNOWLEDGEMENTS } from './acknowledgements.ts'
import type { Level, SpecCase, SpecSection } from './case.ts'
import { CONVERSATIONS } from './conversations.ts'
import { DATAGRAMS } from './datagrams.ts'
import { DELIVERY } from './delivery.ts'
import { isAck, Probe, SpecFailure } from './probe.ts'
import { SENDING } from './sending.ts'
import { WINDOWS } from './windows.ts'

export const SECTIONS: readonly SpecSection[] = [
  DATAGRAMS,
  ACKNOWLEDGEMENTS,
  DELIVERY,
  SENDING,
  WINDOWS,
  CONVERSATIONS,
]

export type Outcome = 'passed' | 'failed' | 'skipped'

export interface CaseResult {
  /** Section and case, as `2.4`. */
  readonly id: string
  readonly section: string
  readonly level: Level
  readonly title: string
  readonly outcome: Outcome
  /** What was expected, or why it was skipped. */
  readonly why?: string
  /** What was said and heard, when it failed. */
  readonly trace?: readonly string[]
}

export interface SpecOptions {
  readonly host: string
  readonly port: number
  /** Only cases whose id begins with one of these; all when empty. */
  readonly ids?: readonly string[]
  /** The cases too that take up to 20 s. */
  readonly slow?: boolean
  /** Longest wait for an answer, ms. Default 1500. */
  readonly patience?: number
  /** Cases at a time. Default 16: more would measure the endpoint's speed. */
  readonly jobs?: number
  /** Called with each result, in the order of the ids. */
  readonly onResult?: (result: CaseResult) => void
}

/** Upstream's first RTO is 200 ms and its flush interval 100 ms; a busy machine adds to both. */
export const PATIENCE = 1500
const JOBS = 16

/** Throws a SpecFailure when the endpoint answers nothing at all. */
export async function runSpec(options: SpecOptions): Promise<readonly CaseResult[]> {
  const { address: host, family } = await resolveHost(options.host)
  const patience = options.patience ?? PATIENCE
  const open = (conv?: number): Promise<Probe> =>
    Probe.open({ host, family, port: options.port, patience, ...(conv === undefined ? {} : { conv }) })
  const echoes = await calibrate(open)
  const cases = numbered().filter(
    ({ id }) =>
      !options.ids?.length || options.ids.some((start) => id === start || id.startsWith(`${start}.`)),
  )
  const results: (CaseResult | undefined)[] = cases.map(() => undefined)
  let next = 0
  let told = 0
  const work = async (): Promise<void> => {
    for (let i = next++; i < cases.length; i = next++) {
      results[i] = await runCase(cases[i]!, open, echoes, options.slow === true)
      for (let done = results[told]; done !== undefined; done = results[++told]) options.onResult?.(done)
    }
  }
  await Promise.all(Array.from({ length: options.jobs ?? JOBS }, work))
  return results.map((result) => result!)
}

interface NumberedCase {
  readonly id: string
  readonly section: string
  readonly one: SpecCase
}

export function numbered(): readonly NumberedCase[] {
  return SECTIONS.flatMap(({ name, cases }, s) =>
    cases.map((one, c) => ({ id: `${s + 1}.${c + 1}`, section: name, one })),
  )
}

/** Whether there is an endpoint, and whether it echoes. */
async function calibrate(open: () => Promise<Probe>): Promise<boolean> {
  const probe = await open()
  const tries = 3
  try {
    for (let i = 0; i < tries; i++) {
      probe.send('push sn=0 "calibration"')
      if ((await probe.hear(isAck(0))) === undefined) continue
      return await probe.expectText('calibration').then(
        () => true,
        () => false,
      )
    }
  } finally {
    probe.close()
  }
  throw new SpecFailure(
    'nothing there acknowledges a first message: no KCP endpoint, one that speaks FEC or a cipher, or no room left',
  )
}

async function runCase(
  { id, section, one }: NumberedCase,
  open: (conv?: number) => Promise<Probe>,
  echoes: boolean,
  slow: boolean,
): Promise<CaseResult> {
  const { level, title } = one
  const base = { id, section, level, title }
  if (one.needs === 'echo' && !echoes)
    return { ...base, outcome: 'skipped', why: 'the endpoint does not echo' }
  if (one.slow && !slow) return { ...base, outcome: 'skipped', why: 'slow: asked for by --slow' }
  const probes = [await open(one.conv)]
  try {
    await one.run(probes[0]!, async (conv) => {
      const probe = await open(conv)
      probes.push(probe)
      return probe
    })
    return { ...base, outcome: 'passed' }
  } catch (error) {
    if (!(error instanceof SpecFailure)) throw error
    return { ...base, outcome: 'failed', why: error.message, trace: probes.flatMap(({ trace }) => trace) }
  } finally {
    for (const probe of probes) probe.close()
  }
}
