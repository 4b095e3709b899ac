/**
 * For the tests of ciphers: hex, the recorded vectors of kcp-go and kcptun, and what is inside an opened datagram.
 * @module
 */
import { ok } from 'node:assert/strict'
import { pbkdf2Sync } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import {
  type Aead,
  Aes,
  aeadPackets,
  aesGcm,
  Blowfish,
  Cast5,
  cfb,
  chacha20Poly1305,
  classicPackets,
  type FillRandom,
  type PacketCipher,
  type Scrambler,
  Sm4,
  salsa20,
  Tea,
  TripleDes,
  Twofish,
  unscrambled,
  Xtea,
  xorTable,
} from '../../src/crypto/index.ts'

const FOLDER = 'test/vectors/kcpgo-crypto'

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.replace(/\s/g, '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Bytes that look like nothing, and are the same each time. */
export function pattern(size: number, seed: number = 1): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => Math.imul(i + seed, 0x9e37_79b9) >>> 13)
}

/** One cipher call of kcp-go: a whole buffer before and after. */
export interface CryptVector {
  readonly cipher: string
  readonly key: string
  readonly plain: string
  readonly encrypted: string
}

export interface Recorded {
  readonly dir: 'c2s' | 's2c'
  readonly hex: string
  /** What was found inside when it was recorded, for some. */
  readonly nonce?: string
  readonly crc32?: number
}

/** A conversation as it was on the wire. */
export interface Capture {
  readonly name: string
  /** kcp-go's name of the cipher, or kcptun's, which implies a size of key. */
  readonly crypt: string
  readonly keyHex: string
  /** kcptun's --key. */
  readonly passPhrase?: string
  /** What the application wrote, each way, in hex. */
  readonly sent?: { readonly c2s: string; readonly s2c: string }
  readonly datagrams: readonly Recorded[]
}

export function readVectors(name: string): unknown {
  return JSON.parse(gunzipSync(readFileSync(`${FOLDER}/${name}.json.gz`)).toString())
}

export function cryptVectors(): readonly CryptVector[] {
  return (readVectors('crypt-vectors') as { vectors: CryptVector[] }).vectors
}

export function captures(): Capture[] {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith('.json.gz'))
  return names
    .map((name) => readVectors(name.replace('.json.gz', '')) as Capture)
    .filter(({ datagrams }) => datagrams !== undefined)
}

/** The scrambler of this name, in pure TypeScript. kcptun's `aes-128` is `aes` with a key of that size. */
export function pureScrambler(crypt: string, key: Uint8Array): Scrambler {
  switch (crypt) {
    case 'aes':
    case 'aes-128':
    case 'aes-192':
      return cfb(new Aes(key))
    case 'sm4':
      return cfb(new Sm4(key))
    case '3des':
      return cfb(new TripleDes(key))
    case 'tea':
      return cfb(new Tea(key, 8))
    case 'xtea':
      return cfb(new Xtea(key))
    case 'blowfish':
      return cfb(new Blowfish(key))
    case 'twofish':
      return cfb(new Twofish(key))
    case 'cast5':
      return cfb(new Cast5(key))
    case 'salsa20':
      return salsa20(key)
    case 'xor':
      return xorTable(pbkdf2Sync(key, 'sH3CIVoF#rWLtJo6', 32, 1500, 'sha1'))
    case 'none':
      return unscrambled
  }
  throw new Error(`no scrambler ${crypt}`)
}

/** The AEAD of this name, in pure TypeScript; `undefined` when the name is none's. */
export function pureAead(crypt: string, key: Uint8Array): Aead | undefined {
  if (crypt === 'aes-gcm') return aesGcm(key)
  return crypt === 'chacha20-poly1305' ? chacha20Poly1305(key) : undefined
}

export function purePackets(crypt: string, key: Uint8Array, random: FillRandom): PacketCipher {
  const aead = pureAead(crypt, key)
  return aead === undefined ? classicPackets(pureScrambler(crypt, key), random) : aeadPackets(aead, random)
}

/** Randomness that is known beforehand: whatever was put in last. */
export class Chosen {
  bytes: Uint8Array = new Uint8Array(16)
  readonly fill: FillRandom = (bytes, start, end) => {
    for (let i = start; i < end; i++) bytes[i] = this.bytes[i - start]!
  }
}

/** A datagram in the middle of a buffer whose other bytes are known. */
export class Slab {
  readonly buffer: Uint8Array
  readonly start = 61
  readonly end: number

  constructor(datagram: Uint8Array) {
    this.buffer = new Uint8Array(datagram.length + 128).fill(0xa5)
    this.buffer.set(datagram, this.start)
    this.end = this.start + datagram.length
  }

  slice(start: number, end: number): Uint8Array {
    return this.buffer.slice(start, end)
  }

  /** Whether nothing outside of [start, end) was touched. */
  isCleanAround(start: number, end: number): boolean {
    return this.buffer.every((byte, i) => (i >= start && i < end) || byte === 0xa5)
  }
}

/** Bytes of a stream by the number of the segment that carried them; retransmissions carry the same. */
export class Reassembly {
  readonly #segments = new Map<number, string>()

  /** Takes in one opened datagram: KCP segments, alone or behind a header of FEC. Refuses whatever is neither. */
  add(plain: Uint8Array): void {
    const view = new DataView(plain.buffer, plain.byteOffset, plain.length)
    const type = plain.length >= 8 ? view.getUint16(4, true) : 0
    // Parity, and datagrams out of band: no segments in them.
    if (type === 0xf2 || type === 0xf3) return
    let at = 0
    if (type === 0xf1) {
      ok(view.getUint16(6, true) === plain.length - 6, 'the size in front of a data shard is its own')
      at = 8
    }
    ok(at + 24 <= plain.length, 'there is a segment')
    while (at < plain.length) {
      const command = view.getUint8(at + 4)
      const size = view.getUint32(at + 20, true)
      ok(command >= 81 && command <= 84 && at + 24 + size <= plain.length, 'segments are whole')
      if (command === 81) {
        this.#segments.set(view.getUint32(at + 12, true), toHex(plain.subarray(at + 24, at + 24 + size)))
      }
      at += 24 + size
    }
  }

  /** Everything in order; numbers must be without gaps. */
  text(): string {
    const numbers = [...this.#segments.keys()].sort((a, b) => a - b)
    ok(
      numbers.every((sn, i) => sn === i),
      `numbers without gaps: ${numbers.join()}`,
    )
    return numbers.map((sn) => this.#segments.get(sn)).join('')
  }
}
