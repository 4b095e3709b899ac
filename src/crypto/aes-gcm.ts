/**
 * AES-GCM (NIST SP 800-38D) with nonces of 12 bytes, without a runtime's help. It reads tables at places that depend on
 * secrets; someone who shares the processor's caches may learn from that. Where ends may choose, ChaCha20-Poly1305 has
 * no such leak and is faster.
 * @module
 */
import type { Aead } from './aead-packets.ts'
import { Aes } from './aes.ts'
import { ByteView } from './byte-view.ts'
import { Ghash } from './ghash.ts'

const NO_DATA = new Uint8Array()

/**
 * @param key 16, 24 or 32 bytes.
 * @param associated data that both ends know and that tags cover, the same for all texts; kcp-go has none.
 */
export function aesGcm(key: Uint8Array, associated: Uint8Array = NO_DATA): Aead {
  return new AesGcm(new Aes(key), associated)
}

class AesGcm implements Aead {
  readonly nonceSize = 12
  readonly tagSize = 16
  readonly #aes: Aes
  readonly #ghash: Ghash
  /** The nonce in three words; the block under encryption, which is it and the counter; and what masks the tag. */
  readonly #nonce: Int32Array = new Int32Array(3)
  readonly #block: Int32Array = new Int32Array(4)
  readonly #mask: Int32Array = new Int32Array(4)
  readonly #tag: Int32Array = new Int32Array(4)
  readonly #associated: DataView
  readonly #view = new ByteView()

  constructor(aes: Aes, associated: Uint8Array) {
    this.#aes = aes
    this.#aes.encrypt(this.#block)
    this.#ghash = new Ghash(this.#block)
    this.#associated = new DataView(associated.slice().buffer)
  }

  seal(buffer: Uint8Array, nonceAt: number, start: number, end: number): void {
    const view = this.#view.of(buffer)
    const base = buffer.byteOffset
    this.#begin(view, base + nonceAt)
    this.#crypt(view, base + start, base + end)
    this.#authenticate(view, base + start, base + end)
    for (let i = 0; i < 4; i++) view.setInt32(base + end + 4 * i, this.#tag[i]!)
  }

  open(buffer: Uint8Array, nonceAt: number, start: number, end: number): boolean {
    const view = this.#view.of(buffer)
    const base = buffer.byteOffset
    this.#begin(view, base + nonceAt)
    this.#authenticate(view, base + start, base + end)
    let differ = 0
    for (let i = 0; i < 4; i++) differ |= view.getInt32(base + end + 4 * i) ^ this.#tag[i]!
    if (differ !== 0) return false
    this.#crypt(view, base + start, base + end)
    return true
  }

  /** The block with counter 1 masks the tag. */
  #begin(view: DataView, nonceAt: number): void {
    for (let i = 0; i < 3; i++) this.#nonce[i] = view.getInt32(nonceAt + 4 * i)
    this.#keyStream(1)
    for (let i = 0; i < 4; i++) this.#mask[i] = this.#block[i]!
  }

  /** The block of key stream with this counter. */
  #keyStream(counter: number): void {
    const block = this.#block
    block[0] = this.#nonce[0]!
    block[1] = this.#nonce[1]!
    block[2] = this.#nonce[2]!
    block[3] = counter
    this.#aes.encrypt(block)
  }

  #crypt(view: DataView, at: number, end: number): void {
    const block = this.#block
    let counter = 2
    for (; at + 16 <= end; at += 16) {
      this.#keyStream(counter++)
      for (let i = 0; i < 4; i++) view.setInt32(at + 4 * i, view.getInt32(at + 4 * i) ^ block[i]!)
    }
    if (at === end) return
    this.#keyStream(counter)
    for (let i = 0; at < end; at++, i++) {
      view.setUint8(at, view.getUint8(at) ^ ((block[i >> 2]! >>> (24 - 8 * (i & 3))) & 0xff))
    }
  }

  #authenticate(view: DataView, start: number, end: number): void {
    this.#ghash.restart()
    this.#ghash.update(this.#associated, 0, this.#associated.byteLength)
    this.#ghash.update(view, start, end)
    this.#ghash.sizes(this.#associated.byteLength, end - start)
    this.#ghash.finish(this.#tag)
    for (let i = 0; i < 4; i++) this.#tag[i] = this.#tag[i]! ^ this.#mask[i]!
  }
}
