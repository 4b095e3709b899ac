/**
 * Everything that an engine can be told, with its presets. Input is parsed once, at the door; what comes out is
 * complete and frozen and is checked nowhere else.
 * @module
 */
import { configError, optionNames, readOptions, requireBoolean, requireInteger } from './options.ts'
import { PROBE_INITIAL } from './window-probe.ts'

/** Lowest mtu, bytes. ikcp_setmtu refuses less: a header and 26 bytes. */
export const MTU_MIN = 50
/** Largest mtu, bytes: what one UDP datagram over IPv4 can carry (65,535 - 20 - 8). */
export const MTU_MAX = 65_507
/** Receive windows below this are raised to it, so that a message of 127 fragments fits. IKCP_WND_RCV. */
export const RCV_WND_MIN = 128
/** Windows travel as u16. */
export const WND_MAX = 65_535
/** Most fragments of a message that every stock receiver accepts. ikcp_send refuses IKCP_WND_RCV or more. */
export const KCP_MAX_FRAGMENTS = 127
/** More repeats than this cost more than the round trip that they save is worth. */
export const REDUNDANCY_MAX = 4
/** `frg` is one byte, and kcp-go mishandles 255: 255 fragments number 254 .. 0. */
const FRAGMENTS_MAX = 255
/** ikcp_nodelay clamps the interval to 10 .. 5000 ms. */
const INTERVAL_MIN = 10
const INTERVAL_MAX = 5_000

/**
 * What the engine may do better than the reference where no honest peer can tell. Off in `kcp-io/sys` and by default
 * in `core` (parity with the C engine); sessions turn all of it on.
 */
export interface KcpHardening {
  /** Drop a segment whose una is beyond snd_nxt: C lets one forged header purge the whole send buffer. */
  readonly strictUna: boolean
  /**
   * An ACK counts, and is timed, only for a segment in flight and with a ts between its first and its latest
   * transmission: C takes any ts, so one forged ACK raises the RTO to 60 s.
   */
  readonly strictAck: boolean
  /**
   * Measure the RTT once per datagram, by its last ACK, as kcp-go does: C measures it by every ACK, so a datagram of
   * many takes their variation for none, and the RTO shrinks below the path's jitter.
   */
  readonly sampleOnce: boolean
  /** Answer a PUSH behind the window only within two windows: C answers 2^31 numbers back. */
  readonly nearAck: boolean
  /** Owe one ACK per sn, with the oldest ts of those that arrived since the last flush: C lists every duplicate. */
  readonly dedupeAcks: boolean
  /**
   * A repeat of what una acknowledges gets no ACK of its own behind one that echoes the same ts, as in a datagram of new
   * segments and repeats: C answers each copy, so repeats cost the way back as much as the way there.
   */
  readonly spareAcks: boolean
  /** Take the peer's window only from segments that are not older than what is known (una). */
  readonly freshWnd: boolean
  /**
   * Fragments must count down by one and fit the receive window: otherwise a message can never be read and both
   * ends stall for ever. A breach sets `protocolError`.
   */
  readonly strictFragments: boolean
  /** Cap the backed-off RTO of a segment at 60 s: C has no cap. */
  readonly capRto: boolean
  /** Advertise at most 65,535 free slots: C truncates, so 65,536 is advertised as 0 and stalls the peer. */
  readonly clampWnd: boolean
  /**
   * Tell a window that was told as 0 as soon as it is open, whatever opened it: a budget that others have a share of, a
   * larger window, another mtu. C tells it after a read of its own, and only if that found the window full.
   */
  readonly tellOpened: boolean
  /**
   * Age times before their distance wraps, which is after 25 days: C takes what is older for what is to come, so that a
   * window probe or an RTO waits for up to 25 days more.
   */
  readonly ageTimes: boolean
}

function hardening(on: boolean): KcpHardening {
  return Object.freeze({
    strictUna: on,
    strictAck: on,
    sampleOnce: on,
    nearAck: on,
    dedupeAcks: on,
    spareAcks: on,
    freshWnd: on,
    strictFragments: on,
    capRto: on,
    clampWnd: on,
    tellOpened: on,
    ageTimes: on,
  })
}

/** Behaviour of the reference engine, datagram for datagram. */
export const PARITY: KcpHardening = hardening(false)
/** Every switch on. */
export const HARDENED: KcpHardening = hardening(true)

/** A complete, checked configuration. */
export interface ResolvedKcpConfig {
  /**
   * Retransmission style. 0: RTO at least 100 ms, doubling. 1: at least 30 ms, growing by half of itself.
   * 2: at least 30 ms, growing by half of the current estimate. Default 0.
   */
  readonly nodelay: 0 | 1 | 2
  /** Flush tick, ms; clamped to 10 .. 5000 as upstream does. Default 100. */
  readonly interval: number
  /** Resend a segment once this many datagrams acknowledged later ones; 0 = never. Default 0. */
  readonly resend: number
  /** true: no congestion window ("no congestion"). Default false. */
  readonly nc: boolean
  /** Largest datagram handed to `output`, headers included, 50 .. 65507 bytes. Default 1400. */
  readonly mtu: number
  /** Most segments in flight, 1 .. 65535. Default 32. */
  readonly sndWnd: number
  /** Most segments that wait for the reader, 1 .. 65535; below 128 it is 128, as upstream. Default 128. */
  readonly rcvWnd: number
  /** true: a byte stream; small writes share segments. false: messages keep their borders. Default false. */
  readonly streamMode: boolean
  /** Lower bound of the RTO, 1 .. 60000 ms. Default 100, or 30 with nodelay. */
  readonly minRto: number
  /** Transmissions of one segment after which the link counts as dead, 1 or more. Default 20. */
  readonly deadLink: number
  /** Most fast resends of one segment; 0 = no cap. Default 5. */
  readonly fastLimit: number
  /**
   * Most fragments of one message, 1 .. 255. Default 127, which every peer accepts; more needs a peer whose receive
   * window is larger than the number of fragments.
   */
  readonly maxFragments: number
  /** First wait before a closed window is probed, 1 .. 120000 ms. Default 5000. */
  readonly probeInterval: number
  /**
   * Most segments in flight that are not acknowledged one by one, 1 .. 65535; 0: as many as the windows allow, which
   * count from the oldest one missing. For bulk over a path of a known size: windows of several round trips, and this
   * for what the path holds. Default 0.
   */
  readonly maxInFlight: number
  /**
   * How a loss is told before the RTO. 'count': by `resend` ACKs for later segments, as upstream. 'time': by an ACK for
   * anything sent later (RFC 8985), with an allowance for reordering; also repeats what it resends once with the next
   * datagram, probes the tail of a flight, resends few segments when an RTO ends though many are in flight, and takes
   * back what a spurious RTO did. Default 'count'.
   */
  readonly lossDetection: 'count' | 'time'
  /**
   * How often each segment goes out again before it could be known to be lost, in the room that datagrams have left:
   * 0 .. 4, fractions for some of them; 'auto': as the measured loss asks for. Default 0.
   */
  readonly redundancy: number | 'auto'
  readonly hardening: KcpHardening
}

/** Overrides on top of a preset; every field is optional. */
export type KcpConfig = {
  readonly [K in Exclude<keyof ResolvedKcpConfig, 'nodelay' | 'hardening'>]?: ResolvedKcpConfig[K] | undefined
} & {
  /** As `ResolvedKcpConfig.nodelay`; `true` is 1. */
  readonly nodelay?: boolean | 0 | 1 | 2 | undefined
  /** All switches at once, or single ones on top of "all off". */
  readonly hardening?: boolean | { readonly [K in keyof KcpHardening]?: boolean | undefined } | undefined
}

export type KcpPresetName = 'default' | 'normal' | 'fast' | 'turbo'

const BASE: ResolvedKcpConfig = Object.freeze({
  nodelay: 0,
  interval: 100,
  resend: 0,
  nc: false,
  mtu: 1400,
  sndWnd: 32,
  rcvWnd: 128,
  streamMode: false,
  minRto: 100,
  deadLink: 20,
  fastLimit: 5,
  maxFragments: KCP_MAX_FRAGMENTS,
  probeInterval: PROBE_INITIAL,
  maxInFlight: 0,
  lossDetection: 'count',
  redundancy: 0,
  hardening: PARITY,
})

/** The numbers of the Rust crate's presets, and `turbo`: upstream's fastest settings with windows for bulk. */
export const presets: Readonly<Record<KcpPresetName, ResolvedKcpConfig>> = Object.freeze({
  default: BASE,
  normal: Object.freeze({ ...BASE, nodelay: 1, interval: 40, resend: 2, sndWnd: 64, minRto: 30 } as const),
  fast: Object.freeze({
    ...BASE,
    nodelay: 1,
    interval: 10,
    resend: 2,
    nc: true,
    sndWnd: 128,
    minRto: 30,
  } as const),
  turbo: Object.freeze({
    ...BASE,
    nodelay: 1,
    interval: 10,
    resend: 2,
    nc: true,
    sndWnd: 1024,
    rcvWnd: 1024,
    minRto: 30,
  } as const),
})

/** `KcpConfig.fast({ mtu: 1200 })`: a preset with overrides, checked and frozen. */
export const KcpConfig: Readonly<Record<KcpPresetName, (overrides?: KcpConfig) => ResolvedKcpConfig>> =
  Object.freeze({
    default: (overrides) => resolveConfig('default', overrides),
    normal: (overrides) => resolveConfig('normal', overrides),
    fast: (overrides) => resolveConfig('fast', overrides),
    turbo: (overrides) => resolveConfig('turbo', overrides),
  })

/** What a whole-number field may hold. */
const RANGES = {
  interval: [0, 0xffff_ffff],
  resend: [0, 0x7fff_ffff],
  mtu: [MTU_MIN, MTU_MAX],
  sndWnd: [1, WND_MAX],
  rcvWnd: [1, WND_MAX],
  minRto: [1, 60_000],
  deadLink: [1, 0xffff_ffff],
  fastLimit: [0, 0x7fff_ffff],
  maxFragments: [1, FRAGMENTS_MAX],
  probeInterval: [1, 120_000],
  maxInFlight: [0, WND_MAX],
} as const

/** The names of all settings of an engine. */
export const KCP_FIELDS: ReadonlySet<string> = optionNames(BASE)

export { configError, requireBoolean, requireInteger }

/** Throws ERR_KCP_CONFIG unless `preset` is one of these names. */
export function requirePreset<T extends string>(preset: unknown, names: readonly T[]): T {
  const quoted = names.map((name) => `'${name}'`)
  const allowed = `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`
  if (typeof preset !== 'string')
    throw configError('preset', preset, `${allowed}; a configuration is spread beside it ({ ...config })`)
  if (!(names as readonly string[]).includes(preset)) throw configError('preset', preset, allowed)
  return preset as T
}

/**
 * A complete configuration from a preset (or a configuration) and overrides on top; `undefined` leaves a field as it
 * is. Throws ERR_KCP_CONFIG for an unknown preset or field, and for a value out of range.
 */
export function resolveConfig(
  base: KcpPresetName | KcpConfig = 'default',
  ...overrides: (KcpConfig | undefined)[]
): ResolvedKcpConfig {
  let config: ResolvedKcpConfig = BASE
  if (typeof base === 'string') {
    config = presets[requirePreset(base, Object.keys(presets) as KcpPresetName[])]
  } else {
    config = apply(config, base)
  }
  for (const override of overrides) config = apply(config, override)
  return Object.freeze(config)
}

function apply(config: ResolvedKcpConfig, overrides: KcpConfig | undefined): ResolvedKcpConfig {
  const next: Record<string, unknown> = { ...config }
  const given = readOptions<KcpConfig>('kcp', overrides, { names: KCP_FIELDS, prefix: 'kcp.' })
  for (const [field, value] of Object.entries(given)) {
    next[field] = parseField(field as keyof ResolvedKcpConfig, value)
  }
  const { nodelay, minRto } = given
  // As ikcp_nodelay: choosing a style sets its lower bound too, unless that is chosen as well.
  if (nodelay !== undefined && minRto === undefined) next['minRto'] = next['nodelay'] === 0 ? 100 : 30
  return next as unknown as ResolvedKcpConfig
}

function parseField(field: keyof ResolvedKcpConfig, value: unknown): unknown {
  switch (field) {
    case 'nodelay':
      return requireInteger('nodelay', typeof value === 'boolean' ? Number(value) : value, 0, 2)
    case 'nc':
    case 'streamMode':
      return requireBoolean(field, value)
    case 'hardening':
      return parseHardening(value)
    case 'lossDetection':
      if (value !== 'count' && value !== 'time') throw configError(field, value, "'count' or 'time'")
      return value
    case 'redundancy':
      if (value === 'auto') return value
      if (typeof value !== 'number' || !(value >= 0 && value <= REDUNDANCY_MAX)) {
        throw configError(field, value, `'auto' or a number within 0..${REDUNDANCY_MAX}`)
      }
      return value
    case 'interval':
      return Math.min(Math.max(requireInteger(field, value, ...RANGES.interval), INTERVAL_MIN), INTERVAL_MAX)
    case 'rcvWnd':
      return Math.max(requireInteger(field, value, ...RANGES.rcvWnd), RCV_WND_MIN)
    default: {
      const [low, high] = RANGES[field]
      return requireInteger(field, value, low, high)
    }
  }
}

function parseHardening(value: unknown): KcpHardening {
  if (typeof value === 'boolean') return value ? HARDENED : PARITY
  const names = optionNames(PARITY)
  const given = readOptions<KcpHardening>('hardening', value, { names, prefix: 'hardening.' })
  const parsed: Record<string, boolean> = { ...PARITY }
  for (const [name, on] of Object.entries(given)) parsed[name] = requireBoolean(`hardening.${name}`, on)
  return Object.freeze(parsed) as unknown as KcpHardening
}
