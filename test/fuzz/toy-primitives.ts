/**
 * Primitives for fuzzing the authenticated mode: the same shapes and sizes, a hundredth of the price, and no secrecy
 * at all. A change of a byte changes every hash and tag, which is all that is asked of them here.
 * @module
 */
import type { KeyPair, RecordCipher, SecurePrimitives } from '../../src/secure/index.ts'
import { mix32, type Prng } from '../../src/sim/prng.ts'

/** FNV's prime (32 bits): odd, so that each step is one-to-one. */
const PRIME = 0x0100_0193

/** 32 bytes of all the parts, their lengths included. */
function hash(...parts: readonly Uint8Array[]): Uint8Array {
  let [a, b] = [0x811c_9dc5, 0x9e37_79b9]
  for (const part of parts) {
    a = Math.imul(a ^ part.length, PRIME)
    for (let i = 0; i < part.length; i++) {
      a = Math.imul(a ^ part[i]!, PRIME)
      b = Math.imul((b << 5) | (b >>> 27), PRIME) ^ a
    }
  }
  const words = new Uint32Array(8)
  for (let i = 0; i < 8; i++) words[i] = mix32((i & 1 ? a : b) + Math.imul(i + 1, PRIME)) ^ mix32(a ^ i)
  return new Uint8Array(words.buffer)
}

function publicOf(privateKey: Uint8Array): Uint8Array {
  return hash(privateKey)
}

class ToyCipher implements RecordCipher {
  readonly #key: Uint8Array

  constructor(key: Uint8Array) {
    this.#key = key
  }

  seal(nonce: Uint8Array, associated: Uint8Array, buffer: Uint8Array, start: number, end: number): void {
    this.#cover(nonce, buffer, start, end)
    buffer.set(this.#tag(nonce, associated, buffer, start, end), end)
  }

  open(nonce: Uint8Array, associated: Uint8Array, buffer: Uint8Array, start: number, end: number): boolean {
    const tag = this.#tag(nonce, associated, buffer, start, end)
    if (!tag.every((byte, i) => byte === buffer[end + i])) return false
    this.#cover(nonce, buffer, start, end)
    return true
  }

  #tag(nonce: Uint8Array, associated: Uint8Array, buffer: Uint8Array, start: number, end: number) {
    return hash(this.#key, nonce, associated, buffer.subarray(start, end)).subarray(0, 16)
  }

  #cover(nonce: Uint8Array, buffer: Uint8Array, start: number, end: number): void {
    const pad = hash(this.#key, nonce)
    for (let i = start; i < end; i++) buffer[i]! ^= pad[(i - start) & 31]!
  }
}

export function toyPair(privateKey: Uint8Array): KeyPair {
  return { privateKey, publicKey: publicOf(privateKey) }
}

export function toyPrimitives(prng: Prng): SecurePrimitives {
  const random = (bytes: Uint8Array, start: number, end: number): void => {
    for (let i = start; i < end; i++) bytes[i] = prng.u32()
  }
  return {
    sha256: (data) => hash(data),
    hmacSha256: (key, data) => hash(key, data),
    generateKeyPair: () => {
      const privateKey = new Uint8Array(32)
      random(privateKey, 0, 32)
      return toyPair(privateKey)
    },
    // Both ends have the same two public keys. All zeros stand for the points of low order.
    x25519: (privateKey, publicKey) =>
      publicKey.every((byte) => byte === 0)
        ? undefined
        : hash(publicOf(privateKey).map((byte, i) => byte ^ publicKey[i]!)),
    aead: (_, key) => new ToyCipher(key),
    random,
  }
}
