/**
 * What a stream emits, and what its messages can be told.
 * @module
 */
import { configError } from '../core/config.ts'
import { optionNames, readOptions } from '../core/options.ts'
import type { CloseReason } from '../session/session.ts'

export interface KcpStreamEvents {
  close: [reason: CloseReason]
  data: [chunk: Buffer]
  drain: []
  end: []
  error: [error: Error]
  finish: []
  readable: []
  /** A datagram that the peer sent with `sendUnreliable`. */
  unreliable: [data: Buffer]
}

/** Of one message. */
export interface KcpSendOptions {
  /**
   * The message is dropped, whole, unless it begins to leave within this many ms, up to 2147483647. Message mode only.
   * Default: it waits as long as it takes.
   */
  readonly ttl?: number | undefined
}

/** Longest `ttl`, ms: engines keep times as u32, and compare them within half of that. */
const TTL_MAX = 0x7fff_ffff

/** Of `recv`, `recvInto` and `flushed`. */
export interface KcpReadOptions {
  /** Ends the wait: the promise rejects with the signal's reason. The stream goes on. */
  readonly signal?: AbortSignal | undefined
}

const SEND_NAMES = optionNames({ ttl: true } satisfies Record<keyof KcpSendOptions, true>)

/** The `ttl` of a message. Throws ERR_KCP_CONFIG. */
export function readTtl(options: KcpSendOptions | undefined, mode: 'message' | 'stream'): number | undefined {
  if (options === undefined) return undefined
  const { ttl } = readOptions<KcpSendOptions>('the options of send', options, { names: SEND_NAMES })
  if (ttl === undefined) return undefined
  if (mode === 'stream') throw configError('ttl', ttl, 'left out in stream mode: it is of messages')
  if (!(typeof ttl === 'number' && ttl > 0 && ttl <= TTL_MAX)) {
    throw configError('ttl', ttl, `a number of ms above 0, up to ${TTL_MAX}`)
  }
  return ttl
}
