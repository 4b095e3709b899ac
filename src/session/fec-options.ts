/**
 * The options `fec` and `crypto`, checked at the door.
 * @module
 */
import { configError, requireBoolean, requireInteger } from '../core/config.ts'
import type { PacketCipher } from '../crypto/packet-cipher.ts'
import { SHARDS_MAX } from '../fec/reed-solomon.ts'

/** Forward error correction; kcp-go's, and kcptun's `--datashard` and `--parityshard`. */
export interface FecOptions {
  /** Data datagrams in a group, 1 .. 255. */
  readonly data: number
  /** Parity datagrams behind each group: so many of all its datagrams may be lost. With `data` at most 256. */
  readonly parity: number
  /**
   * Find out with which numbers the peer sends when they are not these, from datagrams that arrive. Ours stay as they
   * are. Default false.
   */
  readonly autotune?: boolean | undefined
}

export interface ResolvedFec {
  readonly data: number
  readonly parity: number
  readonly autotune: boolean
}

/** Throws ERR_KCP_CONFIG for what is out of range. Absent: no FEC. */
export function requireFec(fec: FecOptions | undefined): ResolvedFec | undefined {
  if (fec === undefined) return undefined
  if (typeof fec !== 'object' || fec === null) throw configError('fec', fec, '{ data, parity }')
  for (const field of Object.keys(fec)) {
    if (!['data', 'parity', 'autotune'].includes(field)) {
      throw configError(
        `fec.${field}`,
        (fec as object as Record<string, unknown>)[field],
        'data, parity, autotune',
      )
    }
  }
  const data = requireInteger('fec.data', fec.data, 1, SHARDS_MAX - 1)
  const parity = requireInteger('fec.parity', fec.parity, 1, SHARDS_MAX - data)
  const autotune = fec.autotune === undefined ? false : requireBoolean('fec.autotune', fec.autotune)
  return { data, parity, autotune }
}

/** Throws ERR_KCP_CONFIG unless `cipher` is a packet cipher, or undefined. */
export function requireCipher(cipher: PacketCipher | undefined): void {
  if (cipher === undefined) return
  const { seal, open, headroom, tailroom } = (cipher ?? {}) as Partial<PacketCipher>
  if (typeof seal !== 'function' || typeof open !== 'function') {
    throw configError('crypto', cipher, 'a packet cipher, such as aesGcmCipher(key)')
  }
  requireInteger('crypto.headroom', headroom, 0, CIPHER_MAX)
  requireInteger('crypto.tailroom', tailroom, 0, CIPHER_MAX)
}

/** More than this in front or behind is no cipher's, bytes. */
const CIPHER_MAX = 1024
