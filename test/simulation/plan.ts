/**
 * What a seed means: settings of both ends, two directions of a network, what is sent, and what goes wrong when. Each
 * part draws from a generator of its own, so that a setting that is fixed from outside leaves the rest as it was.
 * @module
 */
import { HARDENED, type KcpConfig, type KcpHardening, MTU_MIN } from '../../src/core/config.ts'
import { FEC_OVERHEAD } from '../../src/fec/header.ts'
import { RECORD_OVERHEAD } from '../../src/secure/wire.ts'
import type { KcpSessionConfig } from '../../src/session/config.ts'
import type { FecOptions } from '../../src/session/fec-options.ts'
import type { LinkConditions } from '../../src/sim/link.ts'
import { mix32, Prng } from '../../src/sim/prng.ts'
import { codecOverhead } from './codec.ts'
import { afterThought, EXTRA_STORIES, type Extras, extraStoryOf, extrasOf } from './extras.ts'
import { later, movesOf, type SecurityPlan, securityOf } from './secure.ts'
import { INDEX_SIZE } from './unreliable.ts'

/**
 * What is asked of a run.
 *
 * - steady: whatever happens is survived. Everything arrives, and both ends close in peace.
 * - mortal: real timeouts. What arrives is a beginning of what was sent, and both ends get to know the end.
 * - vanish: the client's process ends without a word. The server gets to know.
 * - restart: the server's process ends, and another one takes its place that knows nothing. The client gets to know.
 * - gone: the server's process ends, and none takes its place. The client gets to know.
 * - reborn: the client's process ends, and another one takes its place, with the same port and conversation. Each reader
 *   gets what one of the two wrote, and writes to that one.
 * - renewed: the same, with another conversation, which is survived.
 * - destroyed: one application, or both, destroys its session early. What was acknowledged before still arrives.
 * - mirrored: there is no server, and somebody sends the client its own datagrams back. It hears nobody.
 * - damaged: bits flip, and nothing protects the datagrams. Nothing but order is asked for: KCP has no checksum.
 */
export const STORIES = [
  'steady',
  'mortal',
  'vanish',
  'restart',
  'gone',
  'reborn',
  'renewed',
  'destroyed',
  'mirrored',
  'damaged',
] as const
export type Story = (typeof STORIES)[number]
export type Side = 'client' | 'server'

/** One thing that happens. `at` counts from the start, ms. */
export type Fault =
  /** Nothing passes, in one direction or both. */
  | { readonly kind: 'blackout'; readonly at: number; readonly ms: number; readonly way: Way | 'both' }
  /** The path is another one from now on. */
  | { readonly kind: 'reroute'; readonly at: number; readonly way: Way; readonly conditions: LinkConditions }
  /** A process stands still: timers and datagrams wait. */
  | { readonly kind: 'stall'; readonly at: number; readonly ms: number; readonly side: Side }
  /** A clock that counts while the machine sleeps: it jumps ahead. */
  | { readonly kind: 'step'; readonly at: number; readonly ms: number; readonly side: Side }
  /** Nobody reads. */
  | { readonly kind: 'deaf'; readonly at: number; readonly ms: number; readonly side: Side }
  /** A process ends; another one takes its place `ms` later, or none. */
  | { readonly kind: 'kill'; readonly at: number; readonly ms: number; readonly side: Side }
  /** The client has another address; only where that is allowed for, with security. */
  | { readonly kind: 'move'; readonly at: number }
  /** The application sets something else on its engines. */
  | { readonly kind: 'change'; readonly at: number; readonly side: Side; readonly settings: KcpConfig }

export type Way = 'toServer' | 'toClient'

/** What one end sends on one channel: sizes, bytes, and when each is there to be written, ms from the start. */
export interface Traffic {
  readonly sizes: readonly number[]
  readonly at: readonly number[]
}

/** How many of a side's messages have so little time, and how much of it, ms. */
export interface Ttl {
  readonly share: number
  readonly ms: number
}

export interface Plan {
  readonly seed: number
  readonly story: Story
  readonly client: KcpSessionConfig
  readonly server: KcpSessionConfig
  readonly channels: number
  /** How datagrams are protected against damage: not at all, by a checksum, or by an AEAD. */
  readonly cover: 'none' | 'checksum' | 'aead'
  /** The authenticated mode; then there is no other cover, and nothing is damaged. */
  readonly security: SecurityPlan | undefined
  /** Forward error correction; each end has its own numbers, and takes the other's when they are told or found out. */
  readonly fec: Readonly<Record<Side, FecOptions | undefined>>
  readonly toServer: LinkConditions
  readonly toClient: LinkConditions
  /** Bytes that wait for a process that stands still; more are lost, as in a socket. */
  readonly socketBytes: number
  readonly startAt: number
  /** Where both directions begin to count; undefined: at 0, through the door of a server. */
  readonly startSn: { readonly client: number; readonly server: number } | undefined
  /** From here on the path loses nothing, ms from the start. */
  readonly healAt: number
  readonly faults: readonly Fault[]
  /** By channel. */
  readonly traffic: Readonly<Record<Side, readonly Traffic[]>>
  /** Messages that are only sent within a time. In a stream there are none. */
  readonly ttl: Readonly<Record<Side, Ttl | undefined>>
  /** What is sent out of band, by channel; where there is no FEC nothing is. */
  readonly unreliable: Readonly<Record<Side, readonly Traffic[]>>
  /** The seed of a side's congestion controller, if it has one. */
  readonly steered: Readonly<Record<Side, number | undefined>>
  /** Payload bytes that a server's sessions may keep together; undefined: plenty. */
  readonly maxMemory: number | undefined
  /** Messages that a reader takes in one turn. */
  readonly readsPerTurn: number
  readonly extras: Extras
}

/** Fixed from outside: settings of the engine, of sessions and of the plan, by name. */
export type Overrides = Readonly<Record<string, unknown>>

/** What the 10,000 seeds of each option fix. */
export const PROFILES: Readonly<Record<string, Overrides>> = {
  all: {},
  plain: { redundancy: 0, lossDetection: 'count', channels: 1, maxInFlight: 0 },
  'redundancy-1': { redundancy: 1 },
  'redundancy-2': { redundancy: 2 },
  'redundancy-auto': { redundancy: 'auto' },
  time: { lossDetection: 'time' },
  channels: { channels: 4 },
  fec: { fec: { data: 3, parity: 1 } },
  crypto: { cover: 'aead' },
  secure: { security: 'drawn' },
  together: { redundancy: 'auto', lossDetection: 'time', channels: 4 },
}

/** What an AEAD takes of a datagram, bytes. */
const CIPHER_ROOM = 28

const PLAN_FIELDS = [
  'story',
  'channels',
  'cover',
  'security',
  'fec',
  'ttl',
  'segments',
  'readsPerTurn',
  'loss',
  'healAt',
  'changes',
  'unreliable',
  'steered',
  'maxMemory',
  'extras',
  'codec',
] as const
const SESSION_FIELDS: ReadonlySet<string> = new Set([
  'preset',
  'flushInterval',
  'idleTimeout',
  'flushWrite',
  'sendQueueLimit',
  'maxSendBytes',
  'maxRecvBytes',
  'keepAlive',
  'stallTimeout',
  'lingerTimeout',
  'lifecycle',
  'kcpGoPeer',
])
const KCP_FIELDS: ReadonlySet<string> = new Set([
  'nodelay',
  'interval',
  'resend',
  'nc',
  'mtu',
  'sndWnd',
  'rcvWnd',
  'streamMode',
  'minRto',
  'fastLimit',
  'maxFragments',
  'probeInterval',
  'maxInFlight',
  'lossDetection',
  'redundancy',
  'hardening',
])

/** Throws a TypeError for a name that no override has. */
export function checkOverrides(overrides: Overrides): void {
  for (const name of Object.keys(overrides)) {
    if (
      !(PLAN_FIELDS as readonly string[]).includes(name) &&
      !SESSION_FIELDS.has(name) &&
      !KCP_FIELDS.has(name)
    )
      throw new TypeError(
        `nothing is called ${name}; there are ${[...PLAN_FIELDS, ...SESSION_FIELDS, ...KCP_FIELDS].join(', ')}`,
      )
  }
}

/** The plan of a seed. Sides have different settings, but for what both have to agree on. */
export function planOf(seed: number, overrides: Overrides = {}): Plan {
  const part = (number: number): Prng => new Prng(mix32((seed ^ Math.imul(number, 0x9e3779b9)) >>> 0))
  const wished = (overrides['story'] as Story | undefined) ?? storyOf(part(1))
  const drawn = extraStoryOf(part(40), wished, overrides)
  const streamMode = (overrides['streamMode'] as boolean | undefined) ?? part(2).chance(0.5)
  const channels = (overrides['channels'] as number | undefined) ?? channelsOf(part(3))
  const timing = part(8)
  const healAt = (overrides['healAt'] as number | undefined) ?? timing.int(1_000, 40_000)
  const unsecured = 'cover' in overrides || EXTRA_STORIES.has(drawn)
  const security = securityOf(part(30), unsecured ? 'none' : overrides['security'], drawn, healAt)
  // Damage is no story of its own where nothing damaged is taken.
  const story = security !== undefined && drawn === 'damaged' ? 'steady' : drawn
  const cover =
    security !== undefined
      ? 'none'
      : ((overrides['cover'] as Plan['cover'] | undefined) ?? coverOf(part(7), story))
  const extras = extrasOf(seed, { story, healAt, overrides, secure: security !== undefined })
  const fec = tuned(fecsOf(part(14), part(17), overrides), extras)
  const links = part(6)
  const damage = story === 'damaged' ? 0.01 + links.next() * 0.09 : cover === 'none' ? 0 : links.next() * 0.1
  // A checksum covers no nonce: who changes one bit of that makes an end's own datagram somebody else's.
  const exact = story === 'mirrored' && cover === 'checksum'
  const corrupt = exact ? 0 : (security?.corrupt ?? damage)
  const alike = links.chance(0.5)
  const toServer = path(links, corrupt, overrides)
  const toClient = alike ? toServer : path(links, corrupt, overrides)
  const { faults, calmAt } = faultsOf(part(9), story, healAt)
  const fixed = {
    streamMode,
    narrow: [toServer, toClient, ...reroutes(faults)].some((way) => way.rateBytesPerSec !== undefined),
    least:
      MTU_MIN +
      (cover === 'none' ? 0 : CIPHER_ROOM) +
      codecOverhead(extras.codec) +
      (security === undefined ? 0 : RECORD_OVERHEAD) +
      (fec.client === undefined ? 0 : FEC_OVERHEAD),
    mortal: !LASTING.has(story),
  }
  const client = sessionConfig(part(4), part(18), fixed, overrides)
  const server = sessionConfig(part(5), part(19), fixed, overrides)
  const changes = changesOf(part(20), healAt, fixed, { client, server }, overrides)
  const where = part(10)
  const mss = Math.min(client.kcp!.mtu!, server.kcp!.mtu!) - 24
  const volume = part(11)
  const segments = (overrides['segments'] as number | undefined) ?? Math.floor(4 * 100 ** volume.next())
  const traffic = (prng: Prng): Traffic[] =>
    Array.from({ length: channels }, () => trafficOf(prng, mss, Math.ceil(segments / channels), healAt))
  const socketBytes = 2 ** where.int(16, 22)
  const startAt = clockStart(where)
  const startSn =
    channels === 1 && !DOORS.has(story) && where.chance(0.2) && security === undefined
      ? { client: nearWrap(where), server: nearWrap(where) }
      : undefined
  // It speaks plain KCP, and needs a listener.
  const crowd =
    cover === 'none' && extras.codec === undefined && fec.server === undefined && startSn === undefined
      ? extras.crowd
      : undefined
  return {
    seed,
    story,
    client,
    server,
    channels,
    cover,
    security,
    fec,
    toServer,
    toClient,
    socketBytes,
    startAt,
    startSn,
    healAt: Math.max(healAt, calmAt),
    faults: [...faults, ...movesOf(security), ...changes],
    traffic: {
      client: afterThought('client', later(traffic(part(12)), security), extras),
      server: afterThought('server', traffic(part(13)), extras),
    },
    ttl: streamMode
      ? { client: undefined, server: undefined }
      : { client: ttlOf(part(15), overrides), server: ttlOf(part(16), overrides) },
    // Without a door any datagram opens the server's end, and what is out of band would open it in vain.
    unreliable: {
      client: startSn !== undefined ? [] : unreliableOf(part(21), channels, healAt, overrides),
      server: unreliableOf(part(22), channels, healAt, overrides),
    },
    steered: { client: steeredOf(part(23), overrides), server: steeredOf(part(24), overrides) },
    maxMemory: maxMemoryOf(part(25), overrides) ?? (crowd === undefined ? undefined : CROWDED_MEMORY),
    readsPerTurn:
      (overrides['readsPerTurn'] as number | undefined) ?? (where.chance(0.3) ? where.int(1, 3) : 1e9),
    extras: { ...extras, crowd },
  }
}

/** Stories whose timeouts outlive every fault. */
const LASTING: ReadonlySet<Story> = new Set<Story>(['steady', 'renewed', 'destroyed'])
/** Stories whose server needs a door: numbers that begin elsewhere than at 0 come through none. */
const DOORS: ReadonlySet<Story> = new Set<Story>(['restart', 'reborn', 'renewed', 'destroyed'])

function tuned({ client, server }: Plan['fec'], { autotune }: Extras): Plan['fec'] {
  if (client === undefined || server === undefined) return { client, server }
  return {
    client: autotune.client ? { ...client, autotune: true } : client,
    server: autotune.server ? { ...server, autotune: true } : server,
  }
}

function storyOf(prng: Prng): Story {
  const at = prng.next()
  if (at < 0.8) return 'steady'
  if (at < 0.88) return 'mortal'
  if (at < 0.92) return 'vanish'
  if (at < 0.95) return 'restart'
  return at < 0.97 ? 'reborn' : 'damaged'
}

function channelsOf(prng: Prng): number {
  return prng.chance(0.8) ? 1 : prng.int(2, 8)
}

function coverOf(prng: Prng, story: Story): Plan['cover'] {
  const at = prng.next()
  if (story === 'damaged') return 'none'
  if (story === 'mirrored') return at < 0.5 ? 'checksum' : 'aead'
  return at < 0.75 ? 'none' : at < 0.95 ? 'checksum' : 'aead'
}

function fecsOf(prng: Prng, others: Prng, overrides: Overrides): Plan['fec'] {
  if ('fec' in overrides) {
    const both = overrides['fec'] as FecOptions | undefined
    return { client: both, server: both }
  }
  const shape = (from: Prng): FecOptions => ({ data: from.int(1, 12), parity: from.int(1, 4) })
  const client = shape(prng)
  if (!prng.chance(0.15)) return { client: undefined, server: undefined }
  return { client, server: others.chance(0.5) ? client : shape(others) }
}

function ttlOf(prng: Prng, overrides: Overrides): Ttl | undefined {
  const drawn = prng.chance(0.3) ? { share: prng.next(), ms: spread(prng, 1, 5_000) } : undefined
  return 'ttl' in overrides ? (overrides['ttl'] as Ttl | undefined) : drawn
}

/** Mostly nothing; else a few small datagrams, of up to what a large one holds. */
function unreliableOf(prng: Prng, channels: number, healAt: number, overrides: Overrides): Traffic[] {
  const drawn = (): Traffic => {
    const count = prng.chance(0.5) ? 0 : prng.int(1, 50)
    const sizes = Array.from({ length: count }, () => spread(prng, INDEX_SIZE, 1_500))
    return { sizes, at: sizes.map(() => prng.int(0, healAt)).sort((a, b) => a - b) }
  }
  const all = Array.from({ length: channels }, drawn)
  return overrides['unreliable'] === false ? [] : all
}

function steeredOf(prng: Prng, overrides: Overrides): number | undefined {
  const seed = prng.u32()
  return ((overrides['steered'] as boolean | undefined) ?? prng.chance(0.05)) ? seed : undefined
}

function maxMemoryOf(prng: Prng, overrides: Overrides): number | undefined {
  // What cannot be read may fill half of it, and a message must fit into that.
  const drawn = prng.chance(0.05)
    ? spread(prng, 4_000, 200_000) + 2 * CHANNELS_MOST * LARGEST_MESSAGE
    : undefined
  return 'maxMemory' in overrides ? (overrides['maxMemory'] as number | undefined) : drawn
}

/** Enough for the client's windows and an eighth for the crowd, which can fill that. */
const CROWDED_MEMORY = 8_000_000
/** 255 fragments of a frame of Ethernet. */
const LARGEST_MESSAGE = 255 * 1_500
/** Most channels that a plan has. */
const CHANNELS_MOST = 8

/** Mostly all switches, as sessions have them; else none, or any. */
function hardeningOf(prng: Prng): KcpHardening {
  const kind = prng.next()
  const names = Object.keys(HARDENED) as (keyof KcpHardening)[]
  const on = (): boolean => kind < 0.85 || (kind > 0.9 && prng.chance(0.5))
  return Object.fromEntries(names.map((name) => [name, on()])) as unknown as KcpHardening
}

function reroutes(faults: readonly Fault[]): LinkConditions[] {
  return faults.flatMap((fault) => (fault.kind === 'reroute' ? [fault.conditions] : []))
}

/** What an application sets while conversations run: any of what it may have begun with. Nothing above its first mtu. */
function changesOf(
  prng: Prng,
  healAt: number,
  fixed: Fixed,
  sides: Readonly<Record<Side, { readonly kcp: KcpConfig }>>,
  overrides: Overrides,
): Fault[] {
  const count = prng.chance(0.85) ? 0 : prng.int(1, 4)
  const changes = Array.from({ length: count }, (): Fault => {
    const side: Side = prng.chance(0.5) ? 'client' : 'server'
    const at = prng.int(0, healAt)
    const { kcp } = sessionConfig(prng.fork(), prng.fork(), fixed, overrides)
    const settings: Record<string, unknown> = {}
    for (const [name, value] of Object.entries(kcp)) {
      if (name === 'streamMode' || name === 'hardening' || prng.chance(0.7)) continue
      settings[name] = name === 'mtu' ? Math.min(value as number, sides[side].kcp.mtu!) : value
    }
    return { kind: 'change', at, side, settings: settings as KcpConfig }
  })
  return overrides['changes'] === false ? [] : changes
}

/** Some seeds begin shortly before a u32 or an i32 of ms is full. */
function clockStart(prng: Prng): number {
  return prng.chance(0.3) ? 2 ** prng.int(31, 33) - prng.int(0, 30_000) : prng.int(0, 1000)
}

function nearWrap(prng: Prng): number {
  return (2 ** prng.int(31, 32) - prng.int(0, 300)) % 2 ** 32
}

/** From `low` to `high`, small ones as likely as large ones. */
function spread(prng: Prng, low: number, high: number): number {
  return Math.round(low * (high / low) ** prng.next())
}

/** What all configurations of a seed have in common. */
interface Fixed {
  readonly streamMode: boolean
  /**
   * Whether a hop drops what a whole window is too much for, each time that it is sent: RTOs without a cap would double
   * until every timeout is shorter.
   */
  readonly narrow: boolean
  /** Smallest mtu. */
  readonly least: number
  readonly mortal: boolean
}

function sessionConfig(
  prng: Prng,
  switches: Prng,
  fixed: Fixed,
  overrides: Overrides,
): KcpSessionConfig & { readonly kcp: KcpConfig } {
  const { streamMode, least, mortal } = fixed
  const kcp: Record<string, unknown> = {
    streamMode,
    mtu: Math.max(least, prng.chance(0.2) ? prng.int(50, 200) : prng.int(200, 1500)),
    sndWnd: spread(prng, 1, 1024),
    rcvWnd: spread(prng, 128, 1024),
    nodelay: prng.int(0, 2),
    interval: spread(prng, 10, prng.chance(0.05) ? 5_000 : 200),
    nc: prng.chance(0.6),
    resend: prng.int(0, 3),
    fastLimit: prng.int(0, 5),
    minRto: prng.chance(0.2) ? prng.int(1, 500) : 30,
    maxFragments: prng.chance(0.2) ? prng.int(1, 127) : 127,
    probeInterval: prng.chance(0.3) ? spread(prng, 100, 7_000) : 500,
    lossDetection: prng.chance(0.5) ? 'time' : 'count',
    redundancy: ([0, 0, 1, 1.5, 2, 4, 'auto'] as const)[prng.int(0, 6)]!,
    maxInFlight: prng.chance(0.2) ? prng.int(1, 60) : 0,
    hardening: fixed.narrow ? { ...hardeningOf(switches), capRto: true } : hardeningOf(switches),
  }
  const session: Record<string, unknown> = {
    preset: (['default', 'normal', 'fast', 'turbo'] as const)[prng.int(0, 3)]!,
    flushWrite: prng.chance(0.8),
    lifecycle: prng.chance(0.9) ? 'fin' : 'none',
    // Steady ones outlive every fault; keep-alive works at any rate.
    idleTimeout: mortal ? (prng.chance(0.7) ? prng.int(5_000, 60_000) : 0) : 0,
    keepAlive: prng.chance(0.5) ? prng.int(200, 20_000) : 0,
    stallTimeout: mortal ? prng.int(5_000, 60_000) : 900_000,
    lingerTimeout: mortal ? prng.int(1_000, 10_000) : 300_000,
  }
  if (prng.chance(0.2)) session['sendQueueLimit'] = spread(prng, 1, 100)
  if (prng.chance(0.2)) session['maxSendBytes'] = spread(prng, 100, 100_000)
  if (prng.chance(0.2)) {
    // A message that cannot fit would end its conversation.
    session['maxRecvBytes'] = spread(prng, 8_000, 200_000) + LARGEST_MESSAGE
  }
  if (switches.chance(0.1)) session['flushInterval'] = spread(switches, 1, 200)
  if (switches.chance(0.05)) session['kcpGoPeer'] = true
  for (const [name, value] of Object.entries(overrides)) {
    if (KCP_FIELDS.has(name)) kcp[name] = value
    if (SESSION_FIELDS.has(name)) session[name] = value
  }
  return { ...session, kcp: kcp as KcpConfig }
}

function path(prng: Prng, corrupt: number, overrides: Overrides): LinkConditions {
  const kind = prng.next()
  const loss = kind < 0.25 ? 0 : kind < 0.95 ? prng.next() * 0.3 : 0.5
  const slow = prng.chance(0.25)
  const rate = spread(prng, 5_000, 2_000_000)
  const queue = prng.int(4, 256) * prng.int(200, 1500)
  return {
    delayMs: prng.chance(0.9) ? spread(prng, 1, 400) - 1 : prng.int(400, 3_000),
    jitterMs: prng.chance(0.5) ? 0 : spread(prng, 1, 200),
    loss: (overrides['loss'] as number | undefined) ?? loss,
    burst: prng.chance(0.2) ? { pEnter: 0.02, pLeave: 0.3, lossGood: 0, lossBad: 0.9 } : null,
    duplicate: prng.chance(0.5) ? 0 : prng.next() * 0.2,
    reorder: prng.chance(0.5) ? 0 : prng.next() * 0.3,
    reorderMs: spread(prng, 1, 1_000),
    corrupt,
    ...(slow ? { rateBytesPerSec: rate, queueBytes: queue } : {}),
  }
}

/** Up to three things that go wrong, and when the last of them is over. */
function faultsOf(
  prng: Prng,
  story: Story,
  healAt: number,
): { readonly faults: readonly Fault[]; readonly calmAt: number } {
  const faults: Fault[] = []
  const when = (): number => prng.int(0, healAt)
  const side = (): Side => (prng.chance(0.5) ? 'client' : 'server')
  const way = (): Way => (prng.chance(0.5) ? 'toServer' : 'toClient')
  const count = prng.chance(0.4) ? 0 : prng.int(1, 3)
  for (let i = 0; i < count; i++) {
    const kind = prng.int(0, 4)
    if (kind === 0) {
      const both = prng.chance(0.5)
      faults.push({ kind: 'blackout', at: when(), ms: spread(prng, 100, 60_000), way: both ? 'both' : way() })
    } else if (kind === 1) {
      faults.push({ kind: 'reroute', at: when(), way: way(), conditions: path(prng, 0, {}) })
    } else if (kind === 2) {
      faults.push({ kind: 'stall', at: when(), ms: spread(prng, 10, 20_000), side: side() })
    } else if (kind === 3) {
      faults.push({ kind: 'step', at: when(), ms: spread(prng, 1, 86_400_000), side: side() })
    } else {
      faults.push({ kind: 'deaf', at: when(), ms: spread(prng, 100, 120_000), side: side() })
    }
  }
  const back = prng.int(0, 5_000)
  if (story === 'vanish') faults.push({ kind: 'kill', at: when(), ms: -1, side: 'client' })
  if (story === 'restart') faults.push({ kind: 'kill', at: when(), ms: back, side: 'server' })
  if (story === 'gone') faults.push({ kind: 'kill', at: when(), ms: -1, side: 'server' })
  if (story === 'mirrored') faults.push({ kind: 'kill', at: 0, ms: -1, side: 'server' })
  if (story === 'reborn' || story === 'renewed')
    faults.push({ kind: 'kill', at: when(), ms: back, side: 'client' })
  const calmAt = Math.max(
    0,
    ...faults.map((one) => one.at + ('ms' in one && one.kind !== 'step' ? one.ms : 0)),
  )
  return { faults, calmAt }
}

/** Some `segments` full segments: a transfer, messages at a pace, or bursts of them. */
function trafficOf(prng: Prng, mss: number, segments: number, healAt: number): Traffic {
  const kind = prng.next()
  const sizes: number[] = []
  const at: number[] = []
  const every = spread(prng, 5, 500)
  const burst = prng.int(2, 30)
  const small = prng.chance(0.5) ? 64 : mss
  let now = kind < 0.2 ? prng.int(0, healAt) : 0
  for (let left = segments; left > 0; ) {
    const many = prng.chance(0.1) ? prng.int(1, Math.min(40, left)) : 1
    const size =
      many > 1 ? prng.int(0, many * mss) : prng.chance(0.02) ? 0 : prng.int(1, prng.chance(0.5) ? small : mss)
    sizes.push(size)
    at.push(now)
    left -= Math.max(1, Math.ceil(size / mss))
    if (kind < 0.4) continue
    if (kind < 0.8) now += every
    else if (sizes.length % burst === 0) now += every * burst
  }
  return { sizes, at }
}
