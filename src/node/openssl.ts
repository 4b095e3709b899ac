/**
 * The ciphers of Node's OpenSSL in the shapes of the room `crypto`. An object of `node:crypto` costs 1 µs and more to
 * make, which is as long as it takes to encrypt a datagram; so wherever the mode allows it, one object serves all.
 * @module
 */
import {
  type Cipher,
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  getCiphers,
  type KeyObject,
  randomFillSync,
} from 'node:crypto'
import * as zlib from 'node:zlib'
import {
  type Aead,
  type BlockCipher,
  type Checksum,
  cfb,
  crc32,
  KCP_GO_IV,
  type Scrambler,
} from '../crypto/index.ts'

/** Whether this OpenSSL has all of these: a distribution may leave out some, and Electron's BoringSSL has few. */
export function opensslHas(...names: readonly string[]): boolean {
  known ??= new Set(getCiphers())
  return names.every((name) => known!.has(name))
}
let known: Set<string> | undefined

/** kcp-go's scrambler around a block cipher: OpenSSL's of this name, or without it the one that `fallback` makes. */
export function blockScrambler(
  name: string,
  blockSize: 8 | 16,
  key: Uint8Array,
  fallback: (key: Uint8Array) => BlockCipher,
  has: typeof opensslHas = opensslHas,
): Scrambler {
  return has(`${name}-cbc`, `${name}-ecb`) ? new OpensslCfb(name, blockSize, key) : cfb(fallback(key))
}

/** OpenSSL's AEAD of this name, or without it the one that `fallback` makes. */
export function aeadOf(
  name: AeadName,
  key: Uint8Array,
  fallback: (key: Uint8Array) => Aead,
  has: typeof opensslHas = opensslHas,
): Aead {
  return has(name) ? new OpensslAead(name, key) : fallback(key)
}

/** CRC-32 by zlib where Node has it (20.15, 22.2): half the time of ours. */
export const checksum: Checksum =
  typeof zlib.crc32 === 'function' ? (bytes, start, end) => zlib.crc32(bytes.subarray(start, end)) : crc32

/** Bytes of randomness fetched at once: a call costs some µs whether it is for 16 bytes or for these. */
const POOL = 4096
const pool = new Uint8Array(POOL)
let used = POOL

/** Fills `bytes[start, end)` with random bytes of the system. */
export function fillRandom(bytes: Uint8Array, start: number, end: number): void {
  if (end - start > POOL) {
    randomFillSync(bytes, start, end - start)
    return
  }
  if (used + end - start > POOL) {
    randomFillSync(pool)
    used = 0
  }
  // A nonce has 16 bytes: a loop is done before a view of them is made.
  while (start < end) bytes[start++] = pool[used++]!
}

/**
 * CFB with kcp-go's initial vector, without OpenSSL's CFB, which would take an object for each datagram.
 *
 * Encrypting: block i of the key stream is E(block i - 1 of the text xor block i - 1 of the key stream), which is CBC
 * with the key stream's first block, a constant, as its initial vector. A CBC object that is never finished carries its
 * last block over instead; to be rid of that, it is xored into the first block of the text.
 *
 * Decrypting: block i of the key stream is E(block i - 1 of the datagram). All are known at once, so ECB makes them, and
 * where the processor has AES it works on many blocks at a time.
 */
export class OpensslCfb implements Scrambler {
  readonly #cbc: Cipher
  readonly #ecb: Cipher
  readonly #blockSize: number
  /** First block of every key stream. */
  readonly #first: DataView
  /** What the CBC object carries over: the last block that came out of it. */
  readonly #carried: DataView

  /** @param name as OpenSSL's, without the mode. */
  constructor(name: string, blockSize: 8 | 16, key: Uint8Array) {
    const zero = new Uint8Array(blockSize)
    this.#cbc = createCipheriv(`${name}-cbc`, key, zero).setAutoPadding(false)
    this.#ecb = createCipheriv(`${name}-ecb`, key, null).setAutoPadding(false)
    this.#blockSize = blockSize
    this.#first = viewOf(this.#ecb.update(KCP_GO_IV.subarray(0, blockSize)))
    this.#carried = viewOf(zero)
  }

  encrypt(buffer: Uint8Array, start: number, end: number): void {
    const view = viewOf(buffer)
    const size = this.#blockSize
    xorInto(view, start, end, this.#first)
    // The key stream's blocks behind the first: for every byte behind the first block.
    const rest = end - start - size
    if (rest <= 0) return
    const text = start + Math.ceil(rest / size) * size
    xorInto(view, start, start + size, this.#carried)
    const stream = viewOf(this.#cbc.update(buffer.subarray(start, text)))
    xorInto(view, start, start + size, this.#carried)
    const last = stream.byteLength - size
    for (let i = 0; i < size; i += 4) this.#carried.setInt32(i, stream.getInt32(last + i))
    xorInto(view, start + size, end, stream)
  }

  decrypt(buffer: Uint8Array, start: number, end: number): void {
    const view = viewOf(buffer)
    const size = this.#blockSize
    const rest = end - start - size
    if (rest > 0) {
      const text = start + Math.ceil(rest / size) * size
      xorInto(view, start + size, end, viewOf(this.#ecb.update(buffer.subarray(start, text))))
    }
    xorInto(view, start, end, this.#first)
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Xors `view[at, end)` with `stream`, as far as that goes. */
function xorInto(view: DataView, at: number, end: number, stream: DataView): void {
  const size = Math.min(end - at, stream.byteLength)
  let i = 0
  for (; i + 4 <= size; i += 4)
    view.setInt32(at + i, view.getInt32(at + i, true) ^ stream.getInt32(i, true), true)
  for (; i < size; i++) view.setUint8(at + i, view.getUint8(at + i) ^ stream.getUint8(i))
}

/** Bytes of nonce and tag: the sizes that GCM and ChaCha20-Poly1305 are made for. */
const NONCE = 12
const TAG = 16
const OPTIONS = { authTagLength: TAG } as const

type AeadName = CipherGCMTypes | 'chacha20-poly1305'

/** An AEAD of OpenSSL's. Each nonce takes an object: Node has no way to give one a new nonce. */
export class OpensslAead implements Aead {
  readonly nonceSize: number = NONCE
  readonly tagSize: number = TAG
  /** ChaCha20-Poly1305 is called the same way; Node's types tell them apart. */
  readonly #name: CipherGCMTypes
  readonly #key: KeyObject

  constructor(name: AeadName, key: Uint8Array) {
    this.#name = name as CipherGCMTypes
    this.#key = createSecretKey(key)
  }

  seal(buffer: Uint8Array, nonceAt: number, start: number, end: number): void {
    const cipher = createCipheriv(this.#name, this.#key, buffer.subarray(nonceAt, nonceAt + NONCE), OPTIONS)
    buffer.set(cipher.update(buffer.subarray(start, end)), start)
    cipher.final()
    buffer.set(cipher.getAuthTag(), end)
  }

  open(buffer: Uint8Array, nonceAt: number, start: number, end: number): boolean {
    const nonce = buffer.subarray(nonceAt, nonceAt + NONCE)
    const decipher = createDecipheriv(this.#name, this.#key, nonce, OPTIONS)
    decipher.setAuthTag(buffer.subarray(end, end + TAG))
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
