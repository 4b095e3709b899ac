/**
 * The limits of a listener: what its tables may hold, in all and for each host.
 * @module
 */
import { requireInteger } from '../core/options.ts'

/** What a server's tables may hold. */
export interface AcceptorLimits {
  /** Conversations at once, those included that are over but hold data that was not read. Default 65536. */
  readonly maxConnections: number
  /**
   * Of these, from one host (IPv6: one /64). Default an eighth of `maxConnections`, but 64 where that is less: a small
   * limit is often that of a server whose peers share a host.
   */
  readonly maxConnectionsPerHost: number
  /** Sessions whose peer did not prove its address yet. Default 512. */
  readonly maxPending: number
  /** Of these, from one host (IPv6: one /64). Default 64. */
  readonly maxPendingPerHost: number
  /**
   * Bytes that all sessions together keep for their readers, a segment counted as a full one at least, and for FEC, at most
   * half of it. Default 256 MiB.
   */
  readonly maxMemory: number
  /**
   * Of these, those of one host (IPv6: one /64). Default an eighth of `maxMemory`, but 1 MiB where that is less, and at most
   * `maxMemory`.
   */
  readonly maxMemoryPerHost: number
  /** ms that an ended conversation stays refused, so that late segments open no ghost; 0 = not. Default 60 s. */
  readonly tombstoneTtl: number
}

/** Least default of `maxConnectionsPerHost`. */
const LEAST_PER_HOST = 64
/** And of `maxMemoryPerHost`, bytes. */
const LEAST_MEMORY_PER_HOST = 1024 * 1024

const DEFAULTS: AcceptorLimits = {
  maxConnections: 65_536,
  maxConnectionsPerHost: 8_192,
  maxPending: 512,
  maxPendingPerHost: 64,
  maxMemory: 256 * 1024 * 1024,
  maxMemoryPerHost: 32 * 1024 * 1024,
  tombstoneTtl: 60_000,
}

export const LIMIT_FIELDS: readonly (keyof AcceptorLimits)[] = Object.keys(
  DEFAULTS,
) as (keyof AcceptorLimits)[]

function eighthOf(total: number, least: number): number {
  return Math.min(total, Math.max(least, Math.floor(total / 8)))
}

/** Complete limits from the fields of `options` that name one. Throws ERR_KCP_CONFIG. */
export function resolveLimits(options: object): AcceptorLimits {
  const limits: Record<string, number> = { ...DEFAULTS }
  for (const field of LIMIT_FIELDS) {
    const value = (options as Record<string, unknown>)[field]
    const low = field === 'tombstoneTtl' ? 0 : 1
    if (value !== undefined) limits[field] = requireInteger(field, value, low, Number.MAX_SAFE_INTEGER)
  }
  if ((options as Partial<AcceptorLimits>).maxConnectionsPerHost === undefined) {
    limits.maxConnectionsPerHost = eighthOf(limits.maxConnections!, LEAST_PER_HOST)
  }
  if ((options as Partial<AcceptorLimits>).maxMemoryPerHost === undefined) {
    limits.maxMemoryPerHost = eighthOf(limits.maxMemory!, LEAST_MEMORY_PER_HOST)
  }
  return limits as unknown as AcceptorLimits
}
