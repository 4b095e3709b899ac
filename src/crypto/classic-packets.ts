/**
 * kcp-go's classic datagrams: `nonce 16 | crc32 4 | plain text`, and then all of it, nonce included, through a cipher
 * without a nonce of its own. The checksum covers the plain text only and is not a secret: this finds damage and wrong
 * keys, never a forger. Read `cfb.ts` next.
 * @module
 */
import { crc32 } from './crc32.ts'
import { OWN_NONCE, OwnNonces } from './own-nonces.ts'
import {
  CipherCounters,
  type FillRandom,
  OpenResult,
  type PacketCipher,
  requireRoom,
  requireWithin,
} from './packet-cipher.ts'

/** Random bytes in front: they make equal datagrams look different. The receiver does not look at them. */
const NONCE = 16
/** The nonce and the checksum, u32 little-endian. */
const HEADER = 20

/** Turns a whole datagram into an unreadable one of the same size and back, in place. */
export interface Scrambler {
  encrypt(buffer: Uint8Array, start: number, end: number): void
  decrypt(buffer: Uint8Array, start: number, end: number): void
}

/** CRC-32 of `bytes[start, end)`, signed or not. */
export type Checksum = (bytes: Uint8Array, start: number, end: number) => number

/** Leaves datagrams as they are; with the header around them that is kcp-go's cipher `none`. */
export const unscrambled: Scrambler = { encrypt() {}, decrypt() {} }

/** A `PacketCipher` of the classic kind around any scrambler. `checksum` may be a faster CRC-32 than ours. */
export function classicPackets(
  scrambler: Scrambler,
  random: FillRandom,
  checksum: Checksum = crc32,
): PacketCipher {
  return new ClassicPackets(scrambler, random, checksum)
}

class ClassicPackets implements PacketCipher {
  readonly headroom: number = HEADER
  readonly tailroom: number = 0
  readonly counters: CipherCounters
  readonly #scrambler: Scrambler
  readonly #random: FillRandom
  readonly #checksum: Checksum
  /** Of an end: what tells its own datagrams. */
  readonly #own: OwnNonces | undefined

  constructor(
    scrambler: Scrambler,
    random: FillRandom,
    checksum: Checksum,
    counters: CipherCounters = new CipherCounters(),
    own?: OwnNonces,
  ) {
    this.counters = counters
    this.#own = own
    this.#scrambler = scrambler
    this.#random = random
    this.#checksum = checksum
  }

  seal(buffer: Uint8Array, start: number, end: number): void {
    requireRoom(this, buffer, start, end)
    const from = start - HEADER
    const crc = this.#checksum(buffer, start, end)
    // In the first bytes, which are all of the nonce that Salsa20 uses, and must not repeat.
    this.#own?.write(buffer, from)
    this.#random(buffer, this.#own === undefined ? from : from + OWN_NONCE, from + NONCE)
    buffer[from + 16] = crc
    buffer[from + 17] = crc >>> 8
    buffer[from + 18] = crc >>> 16
    buffer[from + 19] = crc >>> 24
    this.#scrambler.encrypt(buffer, from, end)
    this.counters.sealed++
  }

  open(buffer: Uint8Array, start: number, end: number): OpenResult {
    requireWithin(buffer, start, end)
    if (end - start < HEADER) {
      this.counters.tooShort++
      return OpenResult.TooShort
    }
    this.#scrambler.decrypt(buffer, start, end)
    const said =
      buffer[start + 16]! |
      (buffer[start + 17]! << 8) |
      (buffer[start + 18]! << 16) |
      (buffer[start + 19]! << 24)
    const reflected = this.#own?.owns(buffer, start) === true
    if (reflected || said !== (this.#checksum(buffer, start + HEADER, end) | 0)) {
      this.counters.refused++
      return OpenResult.Refused
    }
    this.counters.opened++
    return OpenResult.Opened
  }

  /** Keeps out a mirror; not one that changes bits, as nothing here is authenticated. */
  fork(): PacketCipher {
    const own = new OwnNonces(this.#random)
    return new ClassicPackets(this.#scrambler, this.#random, this.#checksum, this.counters, own)
  }
}
