/**
 * Cipher feedback over whole blocks, begun anew for each datagram with the same initial vector: kcp-go's way with every
 * block cipher. What makes datagrams differ is the random nonce that is their first 16 bytes. Only the encrypting
 * direction of the block cipher is needed.
 * @module
 */
import { ByteView } from './byte-view.ts'
import type { Scrambler } from './classic-packets.ts'

/** A block cipher with its key. */
export interface BlockCipher {
  /** Bytes. */
  readonly blockSize: 8 | 16
  /** How the cipher reads bytes as words. */
  readonly littleEndian: boolean
  /** Encrypts one block, as 2 or 4 words, in place. */
  encrypt(words: Int32Array): void
}

/** The initial vector of all kcp-go peers; ciphers with blocks of 8 bytes use its first half. */
export const KCP_GO_IV: Uint8Array = Uint8Array.of(
  ...[167, 115, 79, 156, 18, 172, 27, 1, 164, 21, 242, 193, 252, 120, 230, 107],
)

/** The scrambler that `block` makes. */
export function cfb(block: BlockCipher): Scrambler {
  return new Cfb(block)
}

class Cfb implements Scrambler {
  readonly #block: BlockCipher
  readonly #littleEndian: boolean
  /** Words in a block. */
  readonly #words: number
  /** The encrypted initial vector: the first block of key stream of every datagram. */
  readonly #first: Int32Array
  /** Key stream of the block under work; then its ciphertext, which makes the next. */
  readonly #register: Int32Array
  readonly #view = new ByteView()

  constructor(block: BlockCipher) {
    this.#block = block
    this.#littleEndian = block.littleEndian
    this.#words = block.blockSize >> 2
    const iv = new DataView(KCP_GO_IV.buffer)
    this.#first = Int32Array.from({ length: this.#words }, (_, i) => iv.getInt32(4 * i, block.littleEndian))
    block.encrypt(this.#first)
    this.#register = new Int32Array(this.#words)
  }

  encrypt(buffer: Uint8Array, start: number, end: number): void {
    const view = this.#view.of(buffer)
    const register = this.#register
    const words = this.#words
    const littleEndian = this.#littleEndian
    const stop = buffer.byteOffset + end
    let at = buffer.byteOffset + start
    this.#restart()
    for (; at + 4 * words <= stop; at += 4 * words) {
      for (let i = 0; i < words; i++) {
        register[i] = register[i]! ^ view.getInt32(at + 4 * i, littleEndian)
        view.setInt32(at + 4 * i, register[i]!, littleEndian)
      }
      this.#block.encrypt(register)
    }
    this.#tail(view, at, stop)
  }

  decrypt(buffer: Uint8Array, start: number, end: number): void {
    const view = this.#view.of(buffer)
    const register = this.#register
    const words = this.#words
    const littleEndian = this.#littleEndian
    const stop = buffer.byteOffset + end
    let at = buffer.byteOffset + start
    this.#restart()
    for (; at + 4 * words <= stop; at += 4 * words) {
      for (let i = 0; i < words; i++) {
        const word = view.getInt32(at + 4 * i, littleEndian)
        view.setInt32(at + 4 * i, word ^ register[i]!, littleEndian)
        register[i] = word
      }
      this.#block.encrypt(register)
    }
    this.#tail(view, at, stop)
  }

  #restart(): void {
    for (let i = 0; i < this.#words; i++) this.#register[i] = this.#first[i]!
  }

  /** The last bytes, less than a block, are xored with the beginning of the key stream: the same both ways. */
  #tail(view: DataView, at: number, stop: number): void {
    for (let i = 0; at < stop; at++, i++) {
      const shift = this.#littleEndian ? 8 * (i & 3) : 24 - 8 * (i & 3)
      view.setUint8(at, view.getUint8(at) ^ ((this.#register[i >> 2]! >>> shift) & 0xff))
    }
  }
}
