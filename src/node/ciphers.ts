/**
 * Packet ciphers by name, with the system's randomness: what both ends of a kcp-go conversation are configured with.
 * OpenSSL does the work where it can (`openssl.ts`), the room `crypto` elsewhere.
 *
 * The two AEADs protect; of the classic ciphers none does. Those are for peers that have nothing better: they hide a
 * protocol from someone who does not look closely. All of them, the AEADs too, let a recorded datagram in a second
 * time, which KCP drops as a duplicate while the conversation lasts.
 * @module
 */
import { type CipherGCMTypes, pbkdf2Sync } from 'node:crypto'
import { configError, requireInteger } from '../core/config.ts'
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
  type PacketCipher,
  plainPackets,
  type Scrambler,
  Sm4,
  salsa20,
  Tea,
  TripleDes,
  Twofish,
  unscrambled,
  Xtea,
  xorTable,
} from '../crypto/index.ts'
import { aeadOf, blockScrambler, checksum, fillRandom } from './openssl.ts'

/**
 * AES-GCM, AES-128, -192 or -256 by the size of the key (16, 24 or 32 bytes): secrecy and integrity. kcp-go 5.6.49 and
 * later; kcptun calls it `aes-128-gcm`. Nonces are random: seal fewer than 2^32 datagrams with a key.
 */
export function aesGcmCipher(key: Uint8Array): PacketCipher {
  requireKey(key, 16, 24, 32)
  const name = `aes-${8 * key.length}-gcm` as CipherGCMTypes
  return aeadCipher(aeadOf(name, key, aesGcm))
}

/**
 * ChaCha20-Poly1305 with a key of 32 bytes: secrecy and integrity. kcp-go 5.6.49 and later. Nonces are random: seal
 * fewer than 2^32 datagrams with a key.
 */
export function chacha20Poly1305Cipher(key: Uint8Array): PacketCipher {
  requireKey(key, 32)
  return aeadCipher(aeadOf('chacha20-poly1305', key, chacha20Poly1305))
}

/** Any other AEAD in kcp-go's framing; what it protects is its own affair. Each datagram gets a random nonce. */
export function aeadCipher(aead: Aead): PacketCipher {
  requireAead(aead)
  return aeadPackets(aead, fillRandom)
}

/**
 * kcp-go's classic AES (CFB with a known initial vector), AES-128, -192 or -256 by the size of the key (16, 24 or 32
 * bytes). Obfuscation that an eavesdropper without the key cannot read; no integrity: whoever is on the path can flip
 * chosen bits, and no protection against replay.
 */
export function aesCipher(key: Uint8Array): PacketCipher {
  requireKey(key, 16, 24, 32)
  return classicCipher(blockScrambler(`aes-${8 * key.length}`, 16, key, (own) => new Aes(own)))
}

/** kcp-go's classic SM4, with a key of 16 bytes. Obfuscation: no integrity, no protection against replay. */
export function sm4Cipher(key: Uint8Array): PacketCipher {
  requireKey(key, 16)
  return classicCipher(blockScrambler('sm4', 16, key, (own) => new Sm4(own)))
}

/**
 * kcp-go's classic Triple DES, with a key of 24 bytes. Obfuscation: no integrity, no protection against replay, and
 * blocks of 64 bits, which repeat within some GB. The slowest of all.
 */
export function tripleDesCipher(key: Uint8Array): PacketCipher {
  requireKey(key, 24)
  return classicCipher(blockScrambler('des-ede3', 8, key, (own) => new TripleDes(own)))
}

/**
 * kcp-go's Salsa20, with a key of 32 bytes (kcp-go fills shorter ones with zeros, and so does this). Obfuscation: no
 * integrity (whoever is on the path can flip chosen bits, checksum included), no protection against replay, and its
 * nonces of 8 random bytes repeat after some billions of datagrams. The fastest of the classic ones after AES.
 */
export function salsa20Cipher(key: Uint8Array): PacketCipher {
  requireKeyWithin(key, 1, 32)
  return classicCipher(salsa20(key))
}

/**
 * kcp-go's `xor`, with a key of any size: all datagrams are xored with the same bytes. Hides nothing: any two datagrams
 * give it away.
 */
export function xorCipher(key: Uint8Array): PacketCipher {
  requireKeyWithin(key, 1, Number.MAX_SAFE_INTEGER)
  return classicCipher(xorTable(pbkdf2Sync(key, XOR_SALT, XOR_ROUNDS, XOR_TABLE, 'sha1')))
}

/**
 * kcp-go's TEA, with a key of 16 bytes and a quarter of the rounds that its authors published. Obfuscation: no
 * integrity, no protection against replay, blocks of 64 bits, a weak cipher.
 */
export function teaCipher(key: Uint8Array): PacketCipher {
  requireKey(key, 16)
  return classicCipher(cfb(new Tea(key, TEA_CYCLES)))
}

/** kcp-go's XTEA, with a key of 16 bytes. Obfuscation: no integrity, no protection against replay, blocks of 64 bits. */
export function xteaCipher(key: Uint8Array): PacketCipher {
  requireKey(key, 16)
  return classicCipher(cfb(new Xtea(key)))
}

/**
 * kcp-go's Blowfish, with a key of 1 to 56 bytes (kcptun's has 32). Obfuscation: no integrity, no protection against
 * replay, blocks of 64 bits.
 */
export function blowfishCipher(key: Uint8Array): PacketCipher {
  requireKeyWithin(key, 1, 56)
  return classicCipher(cfb(new Blowfish(key)))
}

/**
 * kcp-go's Twofish, with a key of 16, 24 or 32 bytes (kcptun's has 32). Obfuscation: no integrity, no protection against
 * replay.
 */
export function twofishCipher(key: Uint8Array): PacketCipher {
  requireKey(key, 16, 24, 32)
  return classicCipher(cfb(new Twofish(key)))
}

/** kcp-go's CAST-128, with a key of 16 bytes. Obfuscation: no integrity, no protection against replay, blocks of 64 bits. */
export function cast5Cipher(key: Uint8Array): PacketCipher {
  requireKey(key, 16)
  return classicCipher(cfb(new Cast5(key)))
}

/**
 * kcp-go's `none`: the header of the classic ciphers (20 bytes: random ones and a checksum) and nothing encrypted.
 * Protects nothing; the checksum finds damage.
 */
export function noneCipher(): PacketCipher {
  return classicCipher(unscrambled)
}

/** No cipher and no header: kcp-go without a block cipher, kcptun's `null`. Protects nothing. */
export function nullCipher(): PacketCipher {
  return plainPackets()
}

/** The names that kcptun's `--crypt` takes. */
export type KcptunCrypt =
  | 'aes'
  | 'aes-128'
  | 'aes-192'
  | 'aes-128-gcm'
  | 'salsa20'
  | 'blowfish'
  | 'twofish'
  | 'cast5'
  | '3des'
  | 'tea'
  | 'xtea'
  | 'sm4'
  | 'xor'
  | 'none'
  | 'null'

/**
 * The cipher that kcptun uses for `--crypt` and `--key`. A name that kcptun does not know makes it use AES-256; here it
 * throws ERR_KCP_CONFIG. `null` and `aes-128-gcm` are newer than some kcptuns, which then use AES-256.
 */
export function kcptunCipher(crypt: KcptunCrypt, key: string): PacketCipher {
  if (!Object.hasOwn(KCPTUN, crypt)) {
    throw configError('crypt', crypt, `one of ${Object.keys(KCPTUN).join(', ')}`)
  }
  return KCPTUN[crypt](kcptunKey(key))
}

/** The 32 bytes that kcptun makes of its `--key`: PBKDF2-HMAC-SHA1. Takes some ms. Ciphers use the first of them. */
export function kcptunKey(key: string): Uint8Array {
  if (typeof key !== 'string') throw configError('key', typeof key, 'a text')
  return new Uint8Array(pbkdf2Sync(key, KCPTUN_SALT, KCPTUN_ROUNDS, 32, 'sha1'))
}

/** Both fixed by kcptun. So few rounds and one salt for all: a weak pass phrase is found by trying. */
const KCPTUN_SALT = 'kcp-go'
const KCPTUN_ROUNDS = 4096

/** All fixed by kcp-go. */
const XOR_SALT = 'sH3CIVoF#rWLtJo6'
const XOR_ROUNDS = 32
const XOR_TABLE = 1500
const TEA_CYCLES = 8

/** What each name does with the 32 bytes of the key. */
const KCPTUN: Readonly<Record<KcptunCrypt, (key: Uint8Array) => PacketCipher>> = {
  aes: aesCipher,
  'aes-128': (key) => aesCipher(key.subarray(0, 16)),
  'aes-192': (key) => aesCipher(key.subarray(0, 24)),
  'aes-128-gcm': (key) => aesGcmCipher(key.subarray(0, 16)),
  salsa20: salsa20Cipher,
  blowfish: blowfishCipher,
  twofish: twofishCipher,
  cast5: (key) => cast5Cipher(key.subarray(0, 16)),
  '3des': (key) => tripleDesCipher(key.subarray(0, 24)),
  tea: (key) => teaCipher(key.subarray(0, 16)),
  xtea: (key) => xteaCipher(key.subarray(0, 16)),
  sm4: (key) => sm4Cipher(key.subarray(0, 16)),
  xor: xorCipher,
  none: noneCipher,
  null: nullCipher,
}

function classicCipher(scrambler: Scrambler): PacketCipher {
  return classicPackets(scrambler, fillRandom, checksum)
}

/** Throws ERR_KCP_CONFIG unless `aead` has all its parts, and none of them is asynchronous. */
function requireAead(aead: Aead): void {
  const { seal, open, nonceSize, tagSize } = (aead ?? {}) as Partial<Aead>
  for (const [name, method] of Object.entries({ seal, open })) {
    const kind = Object.prototype.toString.call(method)
    if (typeof method !== 'function' || kind === '[object AsyncFunction]') {
      throw configError(`aead.${name}`, kind, 'a function that returns its result, and no Promise')
    }
  }
  requireInteger('aead.nonceSize', nonceSize, 1, 255)
  requireInteger('aead.tagSize', tagSize, 0, 255)
}

/** Throws ERR_KCP_CONFIG; keys themselves are never in a message. */
function requireKey(key: Uint8Array, ...sizes: readonly number[]): void {
  requireBytes(key)
  if (!sizes.includes(key.length)) throw configError('key.length', key.length, sizes.join(' or '))
}

function requireKeyWithin(key: Uint8Array, low: number, high: number): void {
  requireBytes(key)
  if (key.length < low || key.length > high) throw configError('key.length', key.length, `${low}..${high}`)
}

function requireBytes(key: Uint8Array): void {
  if (!(key instanceof Uint8Array)) throw configError('key', typeof key, 'a Uint8Array')
}
