/**
 * Datagrams under authenticated encryption, as kcp-go has them since 5.6.49: `nonce | ciphertext | tag`, without
 * associated data. A datagram with a wrong tag is not opened, so nobody without the key can change or forge one; one
 * that was recorded can be sent again, and KCP drops it as a duplicate.
 * @module
 */
import {
  CipherCounters,
  type FillRandom,
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
 */
export function aeadPackets(aead: Aead, random: FillRandom): PacketCipher {
  return new AeadPackets(aead, random)
}

class AeadPackets implements PacketCipher {
  readonly headroom: number
  readonly tailroom: number
  readonly counters: CipherCounters = new CipherCounters()
  readonly #aead: Aead
  readonly #random: FillRandom

  constructor(aead: Aead, random: FillRandom) {
    this.headroom = aead.nonceSize
    this.tailroom = aead.tagSize
    this.#aead = aead
    this.#random = random
  }

  seal(buffer: Uint8Array, start: number, end: number): void {
    requireRoom(this, buffer, start, end)
    const nonceAt = start - this.headroom
    this.#random(buffer, nonceAt, start)
    this.#aead.seal(buffer, nonceAt, start, end)
    this.counters.sealed++
  }

  open(buffer: Uint8Array, start: number, end: number): OpenResult {
    requireWithin(buffer, start, end)
    if (end - start < this.headroom + this.tailroom) {
      this.counters.tooShort++
      return OpenResult.TooShort
    }
    if (!this.#aead.open(buffer, start, start + this.headroom, end - this.tailroom)) {
      this.counters.refused++
      return OpenResult.Refused
    }
    this.counters.opened++
    return OpenResult.Opened
  }
}
