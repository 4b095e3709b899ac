/**
 * Datagrams under authenticated encryption, as kcp-go has them since 5.6.49: `nonce | ciphertext | tag`, without
 * associated data. A datagram with a wrong tag is not opened, so nobody without the key can change or forge one; one
 * that was recorded can be sent again, and KCP drops it as a duplicate.
 * @module
 */
import { OWN_NONCE, OwnNonces } from './own-nonces.ts'
import {
  CipherCounters,
  type FillRandom,
  isLater,
  OpenResult,
  type PacketCipher,
  requireRoom,
  requireWithin,
} from './packet-cipher.ts'

/**
 * An AEAD with its key, in place: the nonce lies at `nonceAt`, the text is `buffer[start, end)`, the tag comes at `end`.
 * Any library's fits behind this.
 */
export interface Aead {
  readonly nonceSize: number
  readonly tagSize: number
  seal(buffer: Uint8Array, nonceAt: number, start: number, end: number): void
  /** False when the tag is wrong; what is then in `buffer[start, end)` is nobody's plain text. */
  open(buffer: Uint8Array, nonceAt: number, start: number, end: number): boolean
}

/**
 * A `PacketCipher` around any AEAD, with a random nonce for each datagram. Nonces of 12 bytes repeat by chance sooner
 * or later, and a repeated one breaks the cipher: seal fewer than 2^32 datagrams with a key, all sessions together.
 * Forks, which the ends of connections make, repeat none of their own and know them again (nonces of 8 bytes or more).
 */
export function aeadPackets(aead: Aead, random: FillRandom): PacketCipher {
  return new AeadPackets(aead, random)
}

class AeadPackets implements PacketCipher {
  readonly headroom: number
  readonly tailroom: number
  readonly counters: CipherCounters
  readonly #aead: Aead
  readonly #random: FillRandom
  /** Of an end: what tells its own datagrams. */
  readonly #own: OwnNonces | undefined

  constructor(
    aead: Aead,
    random: FillRandom,
    counters: CipherCounters = new CipherCounters(),
    own?: OwnNonces,
  ) {
    this.counters = counters
    this.#own = own
    this.headroom = aead.nonceSize
    this.tailroom = aead.tagSize
    this.#aead = aead
    this.#random = random
  }

  seal(buffer: Uint8Array, start: number, end: number): void {
    requireRoom(this, buffer, start, end)
    const nonceAt = start - this.headroom
    this.#own?.write(buffer, nonceAt)
    this.#random(buffer, this.#own === undefined ? nonceAt : nonceAt + OWN_NONCE, start)
    const sealed: unknown = this.#aead.seal(buffer, nonceAt, start, end)
    if (isLater(sealed)) throw new TypeError('seal of an AEAD returned a Promise: the text is not sealed yet')
    this.counters.sealed++
  }

  open(buffer: Uint8Array, start: number, end: number): OpenResult {
    requireWithin(buffer, start, end)
    if (end - start < this.headroom + this.tailroom) {
      this.counters.tooShort++
      return OpenResult.TooShort
    }
    if (this.#own?.owns(buffer, start) === true || !this.#opens(buffer, start, end)) {
      this.counters.refused++
      return OpenResult.Refused
    }
    this.counters.opened++
    return OpenResult.Opened
  }

  #opens(buffer: Uint8Array, start: number, end: number): boolean {
    try {
      const opened: unknown = this.#aead.open(buffer, start, start + this.headroom, end - this.tailroom)
      isLater(opened)
      return opened === true
    } catch {
      // Many libraries throw for a wrong tag.
      return false
    }
  }

  fork(): PacketCipher {
    // A nonce that is shorter than the mark has no room for it.
    const own = this.headroom < OWN_NONCE ? undefined : new OwnNonces(this.#random)
    return new AeadPackets(this.#aead, this.#random, this.counters, own)
  }
}
