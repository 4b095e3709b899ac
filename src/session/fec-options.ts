/**
 * The options `fec` and `crypto`, checked at the door.
 * @module
 */
import { requireBoolean, requireInteger } from '../core/config.ts'
import { KcpError } from '../core/errors.ts'
import { optionNames, readOptions } from '../core/options.ts'
import { isLater, type PacketCipher } from '../crypto/packet-cipher.ts'
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

/** Throws ERR_KCP_CONFIG unless `cipher` is a packet cipher, or undefined. What it is instead may be a secret: not shown. */
export function requireCipher(cipher: PacketCipher | undefined): void {
  if (cipher === undefined) return
  const given: unknown = cipher
  if (typeof given !== 'object' || given === null || given instanceof Uint8Array) {
    const hint = typeof given === 'function' ? '; call the function with the key' : ''
    refuseCipher('crypto', `${kindOf(given)}${hint}`, A_CIPHER)
  }
  if (isLater(given)) {
    refuseCipher('crypto', 'a Promise; await it first', A_CIPHER)
  }
  const { seal, open, fork, headroom, tailroom } = partsOf(cipher)
  requireMethod('seal', seal)
  requireMethod('open', open)
  if (fork !== undefined) requireMethod('fork', fork)
  requireRoom('headroom', headroom)
  requireRoom('tailroom', tailroom)
}

/** The cipher of one end: it does not take for the peer's what it sealed itself. Throws ERR_KCP_CONFIG. */
export function ownCipher(cipher: PacketCipher | undefined): PacketCipher | undefined {
  if (cipher?.fork === undefined) return cipher
  const own: PacketCipher | undefined = cipher.fork()
  if (own === undefined) refuseCipher('crypto.fork()', 'undefined', A_CIPHER)
  requireCipher(own)
  if (own.headroom !== cipher.headroom || own.tailroom !== cipher.tailroom) {
    const got = `one with ${own.headroom} and ${own.tailroom} bytes`
    refuseCipher(
      'crypto.fork()',
      got,
      `a cipher with ${cipher.headroom} bytes in front and ${cipher.tailroom} behind`,
    )
  }
  return own
}

function partsOf(cipher: PacketCipher): Partial<PacketCipher> {
  try {
    const { seal, open, fork, headroom, tailroom } = cipher
    return { seal, open, headroom, tailroom, ...(fork === undefined ? {} : { fork }) }
  } catch {
    return refuseCipher('crypto', 'an object that throws when it is read', A_CIPHER)
  }
}

const A_CIPHER = 'a packet cipher, such as aesGcmCipher(key)'

function requireMethod(name: string, value: unknown): void {
  const allowed = 'a function that returns its result, and no Promise'
  if (typeof value !== 'function') refuseCipher(`crypto.${name}`, kindOf(value), allowed)
  // What it would seal later leaves unsealed now.
  if (Object.prototype.toString.call(value) === '[object AsyncFunction]') {
    refuseCipher(`crypto.${name}`, 'an async function', allowed)
  }
}

function requireRoom(name: string, value: unknown): void {
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > CIPHER_MAX) {
    const got = typeof value === 'number' ? String(value) : kindOf(value)
    refuseCipher(`crypto.${name}`, got, `a whole number within 0..${CIPHER_MAX}`)
  }
}

function refuseCipher(field: string, got: string, allowed: string): never {
  throw new KcpError('ERR_KCP_CONFIG', `${field} must be ${allowed}, got ${got}`, {
    detail: { field, value: got, allowed },
  })
}

/** What a value is, without a character of it. */
function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (value instanceof Uint8Array) return `${value.length} bytes`
  if (typeof value === 'string') return `a text of ${value.length} characters`
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

/** More than this in front or behind is no cipher's, bytes. */
const CIPHER_MAX = 1024
