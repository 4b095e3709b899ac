/**
 * What the authenticated mode needs from whoever runs it: five primitives and chance. All answer at once, as datagrams
 * are sealed in the middle of a flush. `kcp-io` has them from Node's OpenSSL; in a browser any well-kept library will do.
 * @module
 */
import type { FillRandom } from '../crypto/index.ts'

/** Bytes of keys, of hashes, and of what X25519 yields. */
export const KEY_SIZE = 32
/** Bytes of an AEAD's tag. */
export const TAG_SIZE = 16

/** An X25519 key pair (RFC 7748), 32 bytes each. */
export interface KeyPair {
  readonly publicKey: Uint8Array
  readonly privateKey: Uint8Array
}

/** The AEADs, by Noise's names: RFC 8439, and AES-256 in GCM (NIST SP 800-38D). */
export type CipherName = 'ChaChaPoly' | 'AESGCM'

/** An AEAD with its key, in place. Nonces have 12 bytes; the tag lies behind the text. */
export interface RecordCipher {
  /** Encrypts `buffer[start, end)`, and writes the tag to `buffer[end, end + 16)`. */
  seal(nonce: Uint8Array, associated: Uint8Array, buffer: Uint8Array, start: number, end: number): void
  /** Decrypts `buffer[start, end)` whose tag is `buffer[end, end + 16)`; false when the tag is wrong. */
  open(nonce: Uint8Array, associated: Uint8Array, buffer: Uint8Array, start: number, end: number): boolean
}

export interface SecurePrimitives {
  /** SHA-256 (FIPS 180-4). */
  readonly sha256: (data: Uint8Array) => Uint8Array
  /** HMAC-SHA-256 (RFC 2104). */
  readonly hmacSha256: (key: Uint8Array, data: Uint8Array) => Uint8Array
  /** A fresh X25519 key pair. */
  readonly generateKeyPair: () => KeyPair
  /** X25519; undefined when the result is all zeros (a point of low order). */
  readonly x25519: (privateKey: Uint8Array, publicKey: Uint8Array) => Uint8Array | undefined
  readonly aead: (cipher: CipherName, key: Uint8Array) => RecordCipher
  /** Random bytes for secrets: the system's. */
  readonly random: FillRandom
}

/** Whether two byte strings are equal, in a time that tells nothing of where they differ. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let differ = 0
  for (let i = 0; i < a.length; i++) differ |= a[i]! ^ b[i]!
  return differ === 0
}

/** The parts, one behind the other. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** The bytes of a text in ASCII. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0x7f)
}
