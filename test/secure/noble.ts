/**
 * The primitives of the authenticated mode from the noble libraries, which are pure JavaScript: what a browser would use.
 * Nothing here is Node's. Three packages: @noble/ciphers, @noble/curves, @noble/hashes.
 * @module
 */
import { gcm } from '@noble/ciphers/aes.js'
import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { type SecurePrimitives, TAG_SIZE } from '../../src/secure/index.ts'

/** The most that getRandomValues fills in a call, bytes (Web Cryptography API). */
const RANDOM_MAX = 65_536

export const noblePrimitives: SecurePrimitives = {
  sha256,
  hmacSha256: (key, data) => hmac(sha256, key, data),
  generateKeyPair: () => {
    const { publicKey, secretKey } = x25519.keygen()
    return { publicKey, privateKey: secretKey }
  },
  x25519: (privateKey, publicKey) => {
    try {
      return x25519.getSharedSecret(privateKey, publicKey)
    } catch {
      // A point of low order.
      return undefined
    }
  },
  aead: (cipher, key) => {
    const aead = cipher === 'ChaChaPoly' ? chacha20poly1305 : gcm
    return {
      seal: (nonce, associated, buffer, start, end) => {
        buffer.set(aead(key, nonce, associated).encrypt(buffer.subarray(start, end)), start)
      },
      open: (nonce, associated, buffer, start, end) => {
        try {
          buffer.set(aead(key, nonce, associated).decrypt(buffer.subarray(start, end + TAG_SIZE)), start)
          return true
        } catch {
          return false
        }
      },
    }
  },
  random: (bytes, start, end) => {
    for (let at = start; at < end; at += RANDOM_MAX) {
      globalThis.crypto.getRandomValues(bytes.subarray(at, Math.min(at + RANDOM_MAX, end)))
    }
  },
}
