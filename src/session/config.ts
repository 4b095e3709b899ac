/**
 * Everything that a session can be told, beyond its engine's settings; with the crate's presets. Parsed once, at the
 * door.
 * @module
 */
import {
  configError,
  HARDENED,
  KCP_FIELDS,
  type KcpConfig,
  type KcpPresetName,
  MTU_MIN,
  type ResolvedKcpConfig,
  requireBoolean,
  requireInteger,
  requirePreset,
  resolveConfig,
} from '../core/config.ts'
import {
  namesIn,
  nearestName,
  optionNames,
  plainName,
  readOptions,
  readSafely,
  requireOptions,
  unknownOption,
} from '../core/options.ts'

/** A complete, checked configuration of sessions. Times in ms, sizes in bytes unless they say segments. */
export interface ResolvedSessionConfig {
  /** The engine's settings; unless told otherwise with all hardening on, and a probeInterval of 500 ms. */
  readonly kcp: ResolvedKcpConfig
  /** Least time between two checks for retransmissions. Default: the engine's interval. */
  readonly flushInterval: number
  /**
   * A session that hears nothing valid for this long is over (`timeout`); 0 = never. Presets: 0, 60 s, 30 s, 30 s. A listener
   * that is given none has 60 s in the preset 'default'.
   */
  readonly idleTimeout: number
  /** Send what is written at the end of the turn; false: at the next flush interval. Default true. */
  readonly flushWrite: boolean
  /** Bytes that a stream takes from the engine ahead of its reader. Default 65536. */
  readonly recvBufferSize: number
  /** SO_RCVBUF and SO_SNDBUF to ask for on sockets that the library opens; 0 = the system's. Default 4 MiB. */
  readonly socketBufferSize: number
  /** Segments queued or in flight above which a write waits. Default twice the send window. */
  readonly sendQueueLimit: number
  /** Payload bytes queued or in flight above which a write waits. Default 4 MiB. */
  readonly maxSendBytes: number
  /**
   * Payload bytes kept for the reader at most; above it the window is closed, and a message that cannot fit ends the session
   * (`limit`). Default 2 x receive window x mss.
   */
  readonly maxRecvBytes: number
  /**
   * After this much silence the peer is asked for a sign of life, which every KCP gives; 0 = off. Default: 15 s, or a
   * third of `idleTimeout` when that is less; off without an idle timeout.
   */
  readonly keepAlive: number
  /**
   * Data outstanding, but no acknowledgement for this long: the link is dead; 0 = never. Default 60 s. A message that does not
   * grow for as long while its peer is heard ends the session too.
   */
  readonly stallTimeout: number
  /**
   * While closing: longest time without an acknowledgement before what is left is given up. Default 5 s. After `end()`
   * a peer whose window is closed is waited for until `stallTimeout`: its reader is slow.
   */
  readonly lingerTimeout: number
  /** 'fin': tell the peer about a close or a refusal (stock peers ignore it). 'none': nothing but upstream's wire. */
  readonly lifecycle: 'fin' | 'none'
  /**
   * Keep to what every kcp-go takes: no empty message (its reader would stop for ever), no message of more fragments than
   * its default window of 32 until it told a larger one, no mtu above 1500. Default false.
   */
  readonly kcpGoPeer: boolean
}

/** The engine's presets, and `kcpGo`. */
export type SessionPresetName = KcpPresetName | 'kcpGo'

/** Overrides on top of a preset; every field is optional. */
export type KcpSessionConfig = {
  /** Which preset to start from. Default 'default'. */
  readonly preset?: SessionPresetName | undefined
  readonly kcp?: KcpConfig | undefined
} & { readonly [K in Exclude<keyof ResolvedSessionConfig, 'kcp'>]?: ResolvedSessionConfig[K] | undefined }

/**
 * `KcpSessionConfig.fast({ idleTimeout: 10_000 })`: overrides on top of a preset, checked and frozen. `kcpGo` is `fast`
 * with the habits of kcp-go: `kcpGoPeer`, `lifecycle: 'none'`, and an RTO that grows as kcp-go's (`nodelay: 2`).
 */
export const KcpSessionConfig: Readonly<
  Record<SessionPresetName, (overrides?: KcpSessionConfig) => ResolvedSessionConfig>
> = Object.freeze({
  default: (overrides) => resolvePreset('default', overrides),
  normal: (overrides) => resolvePreset('normal', overrides),
  fast: (overrides) => resolvePreset('fast', overrides),
  turbo: (overrides) => resolvePreset('turbo', overrides),
  kcpGo: (overrides) => resolvePreset('kcpGo', overrides),
})

function resolvePreset(preset: SessionPresetName, overrides: unknown): ResolvedSessionConfig {
  const where = `KcpSessionConfig.${preset}`
  const given = readOptions<KcpSessionConfig>(`the argument of ${where}`, overrides, SESSION)
  if (given.preset !== undefined && given.preset !== preset) {
    throw configError('preset', given.preset, `left out, or '${preset}', in ${where}()`)
  }
  return resolveSessionConfig({ ...given, preset })
}

/** The crate's timeouts (none, 60 s, 30 s); `turbo` and `kcpGo` are not in the crate. */
const IDLE_TIMEOUTS: Readonly<Record<SessionPresetName, number>> = {
  default: 0,
  normal: 60_000,
  fast: 30_000,
  turbo: 30_000,
  kcpGo: 30_000,
}

/** kcp-go's RTO grows by half of the current estimate, and it repeats a segment however often. */
const KCP_GO: KcpConfig = { nodelay: 2, fastLimit: 0 }
/** kcp-go reads datagrams into buffers of this size. */
const KCP_GO_MTU = 1500

/** Most keep-alive silence, ms: NAT mappings for UDP live 30 s or more. */
const KEEP_ALIVE = 15_000
/** First wait before a closed window is asked for, ms: a lost WINS must not cost 5 s. As kcp-go since 5.6.43. */
const PROBE_INTERVAL = 500
/** Longest timer that setTimeout takes. */
const TIME_MAX = 0x7fff_ffff
const SIZE_MAX = Number.MAX_SAFE_INTEGER
/** Sizes of sockets are an int to the system. */
const SOCKET_BUFFER_MAX = 0x7fff_ffff

/** The names of a session's options. */
const FIELDS: ReadonlySet<string> = optionNames({
  preset: true,
  kcp: true,
  flushInterval: true,
  idleTimeout: true,
  flushWrite: true,
  recvBufferSize: true,
  socketBufferSize: true,
  sendQueueLimit: true,
  maxSendBytes: true,
  maxRecvBytes: true,
  keepAlive: true,
  stallTimeout: true,
  lingerTimeout: true,
  lifecycle: true,
  kcpGoPeer: true,
} satisfies Record<keyof KcpSessionConfig, true>)

/** Options that stand beside a session's configuration, in the calls of shells such as Node's. */
const BESIDE: ReadonlySet<string> = new Set([
  'allowHalfOpen',
  'channels',
  'clock',
  'codec',
  'crypto',
  'fec',
  'readableHighWaterMark',
  'security',
  'writableHighWaterMark',
])

/** The crate's names, and those of other libraries, as `plainName` writes them. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['timeout', 'idleTimeout'],
  ['sessionexpire', 'idleTimeout'],
  ['keepaliveinterval', 'keepAlive'],
  ['stream', 'kcp.streamMode'],
  ['wndsize', 'kcp.sndWnd and kcp.rcvWnd'],
  ['window', 'kcp.sndWnd and kcp.rcvWnd'],
  ['noc', 'kcp.nc'],
  ['nocongestion', 'kcp.nc'],
  ['cipher', 'crypto'],
  ['key', 'crypto or security'],
  ['psk', 'security: { psk }'],
  ['keypair', 'security: { keyPair }'],
  ['remotepublickey', 'security: { remotePublicKey }'],
  ['authorize', 'security: { authorize }'],
])

/** For an unknown name: the option of a session, or of its engine, that was probably meant. */
export function sessionHint(name: string, names: ReadonlySet<string> = FIELDS): string | undefined {
  const plain = plainName(name)
  const alias = ALIASES.get(plain)
  if (alias !== undefined) return `did you mean ${alias}?`
  const engine = [...KCP_FIELDS].find((one) => plainName(one) === plain)
  if (engine !== undefined) return `did you mean kcp.${engine}?`
  if (nearestName(name, names) !== undefined) return undefined
  const near = nearestName(name, KCP_FIELDS)
  return near === undefined ? undefined : `did you mean kcp.${near}?`
}

const SESSION = {
  names: FIELDS,
  hint: (name: string): string | undefined =>
    BESIDE.has(name)
      ? `a session's configuration does not hold it: give it to connect or listen, beside the configuration, ` +
        `as in { ...KcpSessionConfig.fast(), ${name}: … }`
      : sessionHint(name),
}

/** The fields of a session configuration in `options`, which may hold others too. */
export function pickSessionConfig(options: object): KcpSessionConfig {
  requireOptions('options', options)
  const picked: Record<string, unknown> = {}
  for (const field of FIELDS) {
    const value = readSafely(field, () => (options as Record<string, unknown>)[field])
    if (value !== undefined) picked[field] = value
  }
  return picked
}

/** Throws ERR_KCP_CONFIG when `options` has a field that is neither a session's nor one of `known`. */
export function refuseUnknown(options: object, known: Iterable<string> = []): void {
  requireOptions('options', options)
  const names = new Set([...FIELDS, ...known])
  for (const name of namesIn('options', options)) {
    if (names.has(name)) continue
    throw unknownOption(name, (options as Record<string, unknown>)[name], names, '', sessionHint(name, names))
  }
}

/** The names of a session's options and of those that stand beside them, with hints for all others. */
export function sessionNames(...beside: readonly ReadonlySet<string>[]): ReadonlySet<string> {
  return new Set([...FIELDS, ...beside.flatMap((names) => [...names])])
}

/** Refuses a session's options among those of its engine: they stand one level up. */
function requireEngineOptions(kcp: unknown): void {
  if (typeof kcp !== 'object' || kcp === null) return
  for (const name of namesIn('kcp', kcp)) {
    if (!KCP_FIELDS.has(name) && FIELDS.has(name)) {
      const value = (kcp as Record<string, unknown>)[name]
      throw unknownOption(name, value, KCP_FIELDS, 'kcp.', `did you mean ${name}, beside kcp?`)
    }
  }
}

/** A complete configuration. Throws ERR_KCP_CONFIG with the field, the value and what is allowed. */
export function resolveSessionConfig(options: KcpSessionConfig = {}): ResolvedSessionConfig {
  const config = readOptions<KcpSessionConfig>('options', options, SESSION)
  const preset =
    config.preset === undefined
      ? 'default'
      : requirePreset(config.preset, Object.keys(IDLE_TIMEOUTS) as SessionPresetName[])
  const kcpGo = preset === 'kcpGo'
  requireEngineOptions(config.kcp)
  const engine = { hardening: HARDENED, probeInterval: PROBE_INTERVAL, ...(kcpGo ? KCP_GO : {}) }
  const kcp = resolveConfig(kcpGo ? 'fast' : preset, engine, config.kcp)
  const kcpGoPeer = config.kcpGoPeer === undefined ? kcpGo : requireBoolean('kcpGoPeer', config.kcpGoPeer)
  if (kcpGoPeer) requireInteger('kcp.mtu', kcp.mtu, MTU_MIN, KCP_GO_MTU)
  const mss = kcp.mtu - 24
  const time = (field: keyof KcpSessionConfig, fallback: number, low = 0): number =>
    config[field] === undefined ? fallback : requireInteger(field, config[field], low, TIME_MAX)
  const size = (field: keyof KcpSessionConfig, fallback: number, low: number, high = SIZE_MAX): number =>
    config[field] === undefined ? fallback : requireInteger(field, config[field], low, high)
  const idleTimeout = time('idleTimeout', IDLE_TIMEOUTS[preset])
  const lifecycle = config.lifecycle === undefined ? (kcpGo ? 'none' : 'fin') : config.lifecycle
  if (lifecycle !== 'fin' && lifecycle !== 'none')
    throw configError('lifecycle', lifecycle, "'fin' or 'none'")
  return Object.freeze({
    kcp,
    flushInterval: time('flushInterval', kcp.interval, 1),
    idleTimeout,
    flushWrite: config.flushWrite === undefined ? true : requireBoolean('flushWrite', config.flushWrite),
    recvBufferSize: size('recvBufferSize', 65_536, 1),
    socketBufferSize: size('socketBufferSize', 4 * 1024 * 1024, 0, SOCKET_BUFFER_MAX),
    sendQueueLimit: size('sendQueueLimit', kcp.sndWnd * 2, 1),
    maxSendBytes: size('maxSendBytes', 4 * 1024 * 1024, 1),
    maxRecvBytes: size('maxRecvBytes', 2 * kcp.rcvWnd * mss, 1),
    keepAlive: time('keepAlive', idleTimeout === 0 ? 0 : Math.min(KEEP_ALIVE, Math.ceil(idleTimeout / 3))),
    stallTimeout: time('stallTimeout', 60_000),
    lingerTimeout: time('lingerTimeout', 5_000, 1),
    lifecycle,
    kcpGoPeer,
  })
}
