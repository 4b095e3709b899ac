/**
 * The primitives of the authenticated mode from Node's OpenSSL, and keys.
 * @module
 */
import {
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  scrypt,
} from 'node:crypto'
import { configError } from '../core/config.ts'
import {
  type CipherName,
  KEY_SIZE,
  type KeyPair,
  type RecordCipher,
  type SecurePrimitives,
  TAG_SIZE,
} from '../secure/index.ts'
import { fillRandom } from './openssl.ts'

/** A new X25519 key pair for `security: { keyPair }`; keep the private key to yourself. */
export function generateKeyPair(): KeyPair {
  // The generator encodes the keys. An export afterwards can hang the process (Node 20.20): it holds the key's lock, and the
  // collector waits for that lock when it frees the generator meanwhile.
  const { publicKey, privateKey } = generateKeyPairSync('x25519', AS_JWK) as unknown as KeyPairJwk
  const pair = { publicKey: fromBase64Url(publicKey.x), privateKey: fromBase64Url(privateKey.d) }
  PRIVATE_KEYS.set(pair.privateKey, createPrivateKey({ key: privateKey, format: 'jwk' }))
  return pair
}

/** The runtimes take this encoding of a generated pair; Node's types know it for exports only. */
const AS_JWK = { publicKeyEncoding: { format: 'jwk' }, privateKeyEncoding: { format: 'jwk' } } as const
interface KeyPairJwk {
  readonly publicKey: JsonWebKey & { readonly x: string }
  readonly privateKey: JsonWebKey & { readonly d: string }
}

/** The public key that belongs to a private X25519 key of 32 bytes. Throws ERR_KCP_CONFIG. */
export function publicKeyOf(privateKey: Uint8Array): Uint8Array {
  if (!(privateKey instanceof Uint8Array) || privateKey.length !== KEY_SIZE) {
    throw configError('privateKey', typeof privateKey, `${KEY_SIZE} bytes`)
  }
  const { x } = createPublicKey(importPrivate(privateKey)).export({ format: 'jwk' })
  return fromBase64Url(x!)
}

/**
 * scrypt's cost (RFC 7914): the first choice of OWASP's Password Storage Cheat Sheet, N = 2^17, r = 8, p = 1. Takes
 * 128 MiB and some tenths of a second, so that guessing takes that for each guess.
 */
const SCRYPT = { N: 2 ** 17, r: 8, p: 1, maxmem: 2 ** 28 } as const

/**
 * A key for `security: { psk }` from a pass phrase, by scrypt. `salt` is the same at both ends and should be no other
 * deployment's: a name of yours with some random letters, 8 bytes at least. A key of 32 random bytes is better than any
 * phrase.
 */
export function pskFromPassphrase(passphrase: string, salt: string): Promise<Uint8Array> {
  if (typeof passphrase !== 'string' || passphrase === '') {
    throw configError('passphrase', typeof passphrase, 'a text')
  }
  if (typeof salt !== 'string' || Buffer.byteLength(salt) < 8) {
    throw configError('salt', salt, 'a text of 8 bytes or more')
  }
  return new Promise((resolve, reject) => {
    scrypt(passphrase.normalize('NFC'), salt, KEY_SIZE, SCRYPT, (error, key) => {
      if (error) reject(error)
      else resolve(new Uint8Array(key))
    })
  })
}

export const nodePrimitives: SecurePrimitives = {
  sha256: (data) => createHash('sha256').update(data).digest(),
  hmacSha256: (key, data) => createHmac('sha256', key).update(data).digest(),
  generateKeyPair,
  x25519: (privateKey, publicKey) => {
    try {
      return diffieHellman({ privateKey: importPrivate(privateKey), publicKey: importPublic(publicKey) })
    } catch {
      // OpenSSL refuses a result of all zeros.
      return undefined
    }
  },
  aead: (cipher, key) => new OpensslRecordCipher(cipher, key),
  random: fillRandom,
}

/** Key objects by the bytes that they were made of: making one of a static key costs more than using it. */
const PRIVATE_KEYS = new WeakMap<Uint8Array, KeyObject>()

function importPrivate(privateKey: Uint8Array): KeyObject {
  let key = PRIVATE_KEYS.get(privateKey)
  if (key === undefined) {
    // PKCS #8 (RFC 8410) for X25519, in front of the key itself.
    const der = Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), privateKey])
    key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    PRIVATE_KEYS.set(privateKey, key)
  }
  return key
}

/** JWK: OpenSSL takes 10 µs for it, and 75 for DER (measured with Node 20). */
function importPublic(publicKey: Uint8Array): KeyObject {
  const x = Buffer.from(publicKey).toString('base64url')
  return createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' })
}

function fromBase64Url(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64url'))
}

const NAMES: Readonly<Record<CipherName, string>> = {
  ChaChaPoly: 'chacha20-poly1305',
  AESGCM: 'aes-256-gcm',
}
const OPTIONS = { authTagLength: TAG_SIZE } as const

/** Each nonce takes an object: Node has no way to give one a new nonce. */
class OpensslRecordCipher implements RecordCipher {
  /** ChaCha20-Poly1305 is called the same way; Node's types tell them apart. */
  readonly #name: CipherGCMTypes
  readonly #key: KeyObject

  constructor(cipher: CipherName, key: Uint8Array) {
    this.#name = NAMES[cipher] as CipherGCMTypes
    this.#key = createSecretKey(key)
  }

  seal(nonce: Uint8Array, associated: Uint8Array, buffer: Uint8Array, start: number, end: number): void {
    const cipher = createCipheriv(this.#name, this.#key, nonce, OPTIONS)
    cipher.setAAD(associated, { plaintextLength: end - start })
    buffer.set(cipher.update(buffer.subarray(start, end)), start)
    cipher.final()
    buffer.set(cipher.getAuthTag(), end)
  }

  open(nonce: Uint8Array, associated: Uint8Array, buffer: Uint8Array, start: number, end: number): boolean {
    const decipher = createDecipheriv(this.#name, this.#key, nonce, OPTIONS)
    decipher.setAAD(associated, { plaintextLength: end - start })
    decipher.setAuthTag(buffer.subarray(end, end + TAG_SIZE))
    const text = decipher.update(buffer.subarray(start, end))
    try {
      decipher.final()
    } catch {
      return false
    }
    buffer.set(text, start)
    return true
  }
}
