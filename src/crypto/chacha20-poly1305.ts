/**
 * ChaCha20-Poly1305 (RFC 8439 section 2.8) without a runtime's help, for where there is no synchronous one: browsers
 * have none at all. Takes the same time whatever is secret.
 * @module
 */
import type { Aead } from './aead-packets.ts'
import { ByteView, xorKeyStream } from './byte-view.ts'
import { chacha20Block, chacha20State } from './chacha20.ts'
import { requireKey } from './packet-cipher.ts'
import { Poly1305 } from './poly1305.ts'

const NO_DATA = new Uint8Array()

/**
 * @param key 32 bytes.
 * @param associated data that both ends know and that tags cover, the same for all texts; kcp-go has none.
 */
export function chacha20Poly1305(key: Uint8Array, associated: Uint8Array = NO_DATA): Aead {
  requireKey('ChaCha20-Poly1305', key, 32)
  return new ChaCha20Poly1305(key, associated)
}

class ChaCha20Poly1305 implements Aead {
  readonly nonceSize = 12
  readonly tagSize = 16
  readonly #state: Int32Array
  readonly #stream: Int32Array = new Int32Array(16)
  readonly #poly: Poly1305 = new Poly1305()
  readonly #tag: Int32Array = new Int32Array(4)
  readonly #associated: DataView
  readonly #view = new ByteView()

  constructor(key: Uint8Array, associated: Uint8Array) {
    this.#state = chacha20State(key)
    this.#associated = new DataView(associated.slice().buffer)
  }

  seal(buffer: Uint8Array, nonceAt: number, start: number, end: number): void {
    const view = this.#view.of(buffer)
    const base = buffer.byteOffset
    this.#begin(view, base + nonceAt)
    this.#crypt(view, base + start, base + end)
    this.#authenticate(view, base + start, base + end)
    for (let i = 0; i < 4; i++) view.setInt32(base + end + 4 * i, this.#tag[i]!, true)
  }

  open(buffer: Uint8Array, nonceAt: number, start: number, end: number): boolean {
    const view = this.#view.of(buffer)
    const base = buffer.byteOffset
    this.#begin(view, base + nonceAt)
    this.#authenticate(view, base + start, base + end)
    let differ = 0
    for (let i = 0; i < 4; i++) differ |= view.getInt32(base + end + 4 * i, true) ^ this.#tag[i]!
    if (differ !== 0) return false
    this.#crypt(view, base + start, base + end)
    return true
  }

  /** Block 0 of the key stream is the key of the tag. */
  #begin(view: DataView, nonceAt: number): void {
    this.#state[12] = 0
    for (let i = 0; i < 3; i++) this.#state[13 + i] = view.getInt32(nonceAt + 4 * i, true)
    chacha20Block(this.#state, this.#stream)
    this.#poly.restart(this.#stream)
  }

  #crypt(view: DataView, start: number, end: number): void {
    this.#state[12] = 0
    for (let at = start; at < end; at += 64) {
      this.#state[12] = this.#state[12]! + 1
      chacha20Block(this.#state, this.#stream)
      xorKeyStream(view, at, end, this.#stream)
    }
  }

  #authenticate(view: DataView, start: number, end: number): void {
    this.#poly.update(this.#associated, 0, this.#associated.byteLength)
    this.#poly.update(view, start, end)
    this.#poly.sizes(this.#associated.byteLength, end - start)
    this.#poly.finish(this.#tag)
  }
}
