/**
 * Nonces by which an end knows its own datagrams again, and nobody else does. A key that both ends share says nothing of
 * the direction: what somebody on the path sends back would open as well as what the peer sent. So a nonce holds a
 * counter and a mark, encrypted under a secret of this end: random bytes to the peer and to whoever watches.
 *
 * - Of one end no two are the same. Those of n ends, m each, are as likely to meet as random ones of as many bytes.
 * - A datagram of the peer bears the mark by chance, and is lost, once in 2^32 at most; less often while few were sent.
 * @module
 */
import type { FillRandom } from './packet-cipher.ts'
import { Xtea } from './tea.ts'

/** Bytes that are written: a block of the cipher. */
export const OWN_NONCE = 8
/** Counters are u32. */
const PER_SECRET = 2 ** 32

export class OwnNonces {
  readonly #random: FillRandom
  readonly #perSecret: number
  /** The block at work: the counter, and 0 for the mark. */
  readonly #words = new Int32Array(2)
  #secret: Xtea
  /** The secret before; whatever bears the mark of an older one was sealed more than 2^32 datagrams ago. */
  #former: Xtea | undefined
  #count = 0

  /** @param perSecret nonces before another secret is drawn; for tests. */
  constructor(random: FillRandom, perSecret: number = PER_SECRET) {
    this.#random = random
    this.#perSecret = perSecret
    this.#secret = this.#draw()
  }

  /** Writes the next nonce to the OWN_NONCE bytes at `at`. */
  write(bytes: Uint8Array, at: number): void {
    if (this.#count === this.#perSecret) {
      this.#former = this.#secret
      this.#secret = this.#draw()
      this.#count = 0
    }
    const words = this.#words
    words[0] = this.#count++
    words[1] = 0
    this.#secret.encrypt(words)
    for (let i = 0; i < OWN_NONCE; i++) bytes[at + i] = words[i >> 2]! >>> (8 * (i & 3))
  }

  /** Whether `write` wrote what lies at `at`. */
  owns(bytes: Uint8Array, at: number): boolean {
    const counter = this.#counterOf(this.#secret, bytes, at)
    if (counter >= 0 && counter < this.#count) return true
    return this.#former !== undefined && this.#counterOf(this.#former, bytes, at) >= 0
  }

  /** -1: it bears no mark of this secret. */
  #counterOf(secret: Xtea, bytes: Uint8Array, at: number): number {
    const words = this.#words
    for (let i = 0; i < 2; i++) {
      const from = at + 4 * i
      words[i] = bytes[from]! | (bytes[from + 1]! << 8) | (bytes[from + 2]! << 16) | (bytes[from + 3]! << 24)
    }
    secret.decrypt(words)
    return words[1] === 0 ? words[0]! >>> 0 : -1
  }

  #draw(): Xtea {
    const key = new Uint8Array(16)
    this.#random(key, 0, 16)
    return new Xtea(key)
  }
}
