/**
 * The options `fec` and `crypto`, checked at the door.
 * @module
 */
import { configError, requireBoolean, requireInteger } from '../core/config.ts'
import { optionNames, readOptions, requireMethods } from '../core/options.ts'
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

const FEC_NAMES = optionNames({ data: true, parity: true, autotune: true } satisfies Record<
  keyof FecOptions,
  true
>)

/** A copy. Throws ERR_KCP_CONFIG for what is out of range. Absent: no FEC. */
export function requireFec(options: FecOptions | undefined): ResolvedFec | undefined {
  if (options === undefined) return undefined
  const fec = readOptions<FecOptions>('fec', options, { names: FEC_NAMES, prefix: 'fec.' })
  const data = requireInteger('fec.data', fec.data, 1, SHARDS_MAX - 1)
  const parity = requireInteger('fec.parity', fec.parity, 1, SHARDS_MAX - data)
  const autotune = fec.autotune === undefined ? false : requireBoolean('fec.autotune', fec.autotune)
  return Object.freeze({ data, parity, autotune })
}

/** Throws ERR_KCP_CONFIG unless `cipher` is a packet cipher, or undefined. */
export function requireCipher(cipher: PacketCipher | undefined): void {
  if (cipher === undefined) return
  const allowed = 'a packet cipher, such as aesGcmCipher(key)'
  // A text is somebody's key: it belongs in no message.
  if (typeof cipher === 'string') throw configError('crypto', 'a text', allowed)
  const { headroom, tailroom } = requireMethods('crypto', cipher, allowed, ['seal', 'open']) as PacketCipher
  requireInteger('crypto.headroom', headroom, 0, CIPHER_MAX)
  requireInteger('crypto.tailroom', tailroom, 0, CIPHER_MAX)
}

/** More than this in front or behind is no cipher's, bytes. */
const CIPHER_MAX = 1024
