/**
 * What a seed has beside its story: a codec of the user, FEC that finds the peer's numbers, an application that destroys
 * its session early or thinks for long, refusals of hosts, mirrors. Each is drawn from a generator of its own.
 * @module
 */
import { mix32, Prng } from '../../src/sim/prng.ts'
import { CODECS, type CodecKind } from './codec.ts'
import { type CrowdPlan, crowdOf } from './crowd.ts'
import type { Overrides, Side, Story, Traffic } from './plan.ts'

/** When an application destroys its session, and whether it does so with an error. */
export interface Destroy {
  /**
   * written: right after a message was written · flushed: once what was written is acknowledged · finished: once that is
   * so after the end of writing · time: at some time.
   */
  readonly when: 'written' | 'flushed' | 'finished' | 'time'
  /** Which share of its messages it writes before; for `time`, which share of the time until the path heals. */
  readonly share: number
  readonly error: boolean
}

export interface Extras {
  readonly codec: CodecKind | undefined
  /** Whether each end finds out the numbers of the peer's FEC. */
  readonly autotune: Readonly<Record<Side, boolean>>
  readonly destroy: Readonly<Record<Side, Destroy | undefined>>
  /** A side that says nothing for so long, ms, while the other has ended. */
  readonly think: { readonly side: Side; readonly ms: number } | undefined
  /** When somebody forges refusals of the server's host, ms from the start. */
  readonly refusals: readonly number[]
  /** Whether the host of a process that is gone refuses what comes for it. */
  readonly icmp: boolean
  /** Whether somebody sends both ends their own datagrams back, until the path heals. */
  readonly mirror: boolean
  /** A host that opens many conversations with messages that never end. */
  readonly crowd: CrowdPlan | undefined
}

/** Below the eight refusals after which a session believes in the end of its peer. */
const REFUSALS_MAX = 7
/** Less than the fifteen minutes for which a steady end waits for a peer that tells nobody of its end, ms. */
const THINK_MAX = 600_000

/** Stories of sessions without the authenticated mode. */
export const EXTRA_STORIES: ReadonlySet<Story> = new Set<Story>(['destroyed', 'gone', 'renewed', 'mirrored'])

/** The story of a seed whose own one would be `steady`: in some seeds one of these. */
export function extraStoryOf(prng: Prng, story: Story, overrides: Overrides): Story {
  const at = prng.next()
  const secure = 'security' in overrides && overrides['security'] !== 'none'
  if (story !== 'steady' || secure || 'story' in overrides || overrides['extras'] === false) return story
  if (at < 0.05) return 'destroyed'
  if (at < 0.07) return 'gone'
  return at < 0.09 ? 'renewed' : at < 0.1 ? 'mirrored' : story
}

/** `secure`: it has the authenticated mode. */
export function extrasOf(
  seed: number,
  {
    story,
    healAt,
    overrides,
    secure,
  }: { story: Story; healAt: number; overrides: Overrides; secure: boolean },
): Extras {
  const part = (number: number): Prng => new Prng(mix32((seed ^ Math.imul(number, 0x9e3779b9)) >>> 0))
  const off = overrides['extras'] === false
  const codecs = part(41)
  const drawn = CODECS[codecs.int(0, CODECS.length - 1)]
  const coded = codecs.chance(0.15) && !secure && story !== 'damaged' && !off ? drawn : undefined
  const tuning = part(42)
  const autotune = { client: tuning.chance(0.5) && !off, server: tuning.chance(0.5) && !off }
  const thinking = part(43)
  const side: Side = thinking.chance(0.5) ? 'client' : 'server'
  const think = { side, ms: Math.round(1_000 * (THINK_MAX / 1_000) ** thinking.next()) }
  const thinks = thinking.chance(0.1) && story === 'steady' && !secure && !off
  const forged = part(44)
  // Under the authenticated mode no number of them ends a session.
  const most = secure ? 200 : REFUSALS_MAX
  const refusals = Array.from({ length: forged.int(1, most) }, () => forged.int(0, healAt))
  const forges = forged.chance(0.15) && !off
  const rest = part(45)
  const icmp = rest.chance(0.6) && !off
  const mirror = rest.chance(0.3) && !off
  const dies = part(46)
  const first = destroyOf(dies)
  const second = destroyOf(dies)
  const who = dies.next()
  return {
    codec: 'codec' in overrides ? (overrides['codec'] as CodecKind | undefined) : coded,
    autotune,
    destroy: {
      client: story === 'destroyed' && who < 0.6 ? first : undefined,
      server: story === 'destroyed' && who > 0.4 ? second : undefined,
    },
    think: thinks ? think : undefined,
    refusals: forges ? refusals.sort((a, b) => a - b) : [],
    icmp,
    mirror: mirror || story === 'mirrored',
    crowd: off || secure || story !== 'steady' ? undefined : crowdOf(part(47), healAt),
  }
}

function destroyOf(prng: Prng): Destroy {
  const when = (['written', 'flushed', 'finished', 'time'] as const)[prng.int(0, 3)]!
  return { when, share: prng.chance(0.3) ? 0 : prng.chance(0.3) ? 1 : prng.next(), error: prng.chance(0.25) }
}

/** What a side writes that thinks first: everything that much later. */
export function afterThought(side: Side, traffic: readonly Traffic[], { think }: Extras): readonly Traffic[] {
  if (think?.side !== side) return traffic
  return traffic.map(({ sizes, at }) => ({ sizes, at: at.map((ms) => ms + think.ms) }))
}
