/**
 * What a stream emits, and what its messages can be told.
 * @module
 */
import { configError } from '../core/config.ts'
import { argumentType } from '../core/errors.ts'
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

/** The `ttl` of a message. Throws ERR_KCP_CONFIG, or ERR_INVALID_ARG_TYPE when `options` is no object. */
export function readTtl(options: KcpSendOptions | undefined, mode: 'message' | 'stream'): number | undefined {
  if (options === undefined) return undefined
  requireFields(options, 'ttl')
  const { ttl } = options
  if (ttl === undefined) return undefined
  if (mode === 'stream') throw configError('ttl', ttl, 'left out in stream mode: it is of messages')
  if (!(typeof ttl === 'number' && ttl > 0 && ttl <= TTL_MAX)) {
    throw configError('ttl', ttl, `a number of ms above 0, up to ${TTL_MAX}`)
  }
  return ttl
}

/** The signal of a wait. Throws as `readTtl`. */
export function readSignal(options: KcpReadOptions | undefined): AbortSignal | undefined {
  if (options === undefined) return undefined
  requireFields(options, 'signal')
  const { signal } = options
  if (signal !== undefined && !(typeof signal === 'object' && signal !== null && 'aborted' in signal)) {
    throw argumentType('options.signal', signal, 'an AbortSignal')
  }
  return signal
}

function requireFields(options: object, known: string): void {
  if (typeof options !== 'object' || options === null) throw argumentType('options', options, 'an object')
  for (const field of Object.keys(options)) {
    if (field !== known)
      throw configError(field, (options as Record<string, unknown>)[field], `absent; the option is ${known}`)
  }
}
