/**
 * Everything that a multiplexed session can be told. Defaults are those of Go's smux where it has the setting
 * (its `DefaultConfig`, the same from 1.5.16 on).
 * @module
 */
import { configError, requireInteger } from '../core/config.ts'
import { optionNames, readOptions } from '../core/options.ts'
import { FRAME_MAX, type SmuxVersion } from './frame.ts'

/** A complete, checked configuration. Times in ms, sizes in bytes. */
export interface ResolvedSmuxConfig {
  /** 1 or 2; both ends must have the same. 2 gives each stream a window of its own. Default 1, as smux. */
  readonly version: SmuxVersion
  /** After this long without anything sent a NOP is; 0 = never. Default 10 s, as smux. */
  readonly keepAliveInterval: number
  /** A session that hears nothing for this long is over (`timeout`); 0 = never. Default 30 s, as smux. */
  readonly keepAliveTimeout: number
  /** Most bytes of one frame that we send, 1 .. 65535. What a peer sends may be larger. Default 32768, as smux. */
  readonly maxFrameSize: number
  /**
   * Bytes that may wait for the readers of all streams together. Once they do nothing more is read, of no stream, until
   * a reader goes on: that is all the back-pressure that version 1 has. Default 4 MiB, as smux.
   */
  readonly maxReceiveBuffer: number
  /**
   * Version 2: the window of each stream, up to `maxReceiveBuffer`. A peer begins with 256 KiB all the same, as nothing on
   * the wire tells it otherwise. Default 64 KiB, as smux; kcptun takes 2 MiB.
   */
  readonly maxStreamBuffer: number
  /**
   * Streams open at once, the peer's and ours together; more of the peer's are refused with a FIN. smux has no such
   * limit. Default 16384: as many as one address has dynamic ports (RFC 6335) for connections to be forwarded.
   */
  readonly maxStreams: number
  /** Streams of the peer that wait for `accept` before further ones are refused. Default 1024, where smux stops reading. */
  readonly acceptBacklog: number
}

/** Overrides on top of the defaults; every field is optional. */
export type SmuxConfig = { readonly [K in keyof ResolvedSmuxConfig]?: ResolvedSmuxConfig[K] | undefined }

export const SMUX_DEFAULTS: ResolvedSmuxConfig = Object.freeze({
  version: 1,
  keepAliveInterval: 10_000,
  keepAliveTimeout: 30_000,
  maxFrameSize: 32_768,
  maxReceiveBuffer: 4 * 1024 * 1024,
  maxStreamBuffer: 65_536,
  maxStreams: 16_384,
  acceptBacklog: 1024,
})

/** Longest timer that setTimeout takes; windows are told as u32 and compared as i32. */
const I32_MAX = 0x7fff_ffff

const RANGES: Readonly<Record<keyof ResolvedSmuxConfig, readonly [number, number]>> = {
  version: [1, 2],
  keepAliveInterval: [0, I32_MAX],
  keepAliveTimeout: [0, I32_MAX],
  maxFrameSize: [1, FRAME_MAX],
  maxReceiveBuffer: [1, I32_MAX],
  maxStreamBuffer: [1, I32_MAX],
  maxStreams: [1, I32_MAX],
  acceptBacklog: [1, I32_MAX],
}

/** The names of all settings. */
export const SMUX_FIELDS: readonly string[] = Object.keys(RANGES)

const NAMES = optionNames(RANGES)

/** A complete configuration. Throws ERR_KCP_CONFIG for an unknown field and for a value out of range. */
export function resolveSmuxConfig(config: SmuxConfig = {}): ResolvedSmuxConfig {
  const resolved: Record<string, unknown> = { ...SMUX_DEFAULTS }
  const given = readOptions<ResolvedSmuxConfig>('the configuration of smux', config, { names: NAMES })
  for (const [field, value] of Object.entries(given)) {
    resolved[field] = requireInteger(field, value, ...RANGES[field as keyof ResolvedSmuxConfig])
  }
  const { keepAliveInterval, keepAliveTimeout, maxStreamBuffer, maxReceiveBuffer } =
    resolved as unknown as ResolvedSmuxConfig
  if (keepAliveTimeout > 0 && keepAliveTimeout < keepAliveInterval) {
    throw configError(
      'keepAliveTimeout',
      keepAliveTimeout,
      `0 or at least keepAliveInterval, ${keepAliveInterval}`,
    )
  }
  if (maxStreamBuffer > maxReceiveBuffer) {
    throw configError('maxStreamBuffer', maxStreamBuffer, `at most maxReceiveBuffer, ${maxReceiveBuffer}`)
  }
  return Object.freeze(resolved) as unknown as ResolvedSmuxConfig
}
