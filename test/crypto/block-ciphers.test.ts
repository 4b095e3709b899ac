/** Every block cipher against the vectors that were published with it, and where OpenSSL has it, against that. */
import { equal, throws } from 'node:assert/strict'
import { createCipheriv, getCiphers } from 'node:crypto'
import { test } from 'node:test'
import {
  Aes,
  type BlockCipher,
  Blowfish,
  Cast5,
  Sm4,
  Tea,
  TripleDes,
  Twofish,
  Xtea,
} from '../../src/crypto/index.ts'
import { fromHex, pattern, toHex } from './support.ts'

/** Encrypts a text of whole blocks, each alone. */
function encrypt(cipher: BlockCipher, text: Uint8Array): Uint8Array {
  const out = text.slice()
  const view = new DataView(out.buffer)
  const words = new Int32Array(cipher.blockSize / 4)
  for (let at = 0; at < out.length; at += cipher.blockSize) {
    for (let i = 0; i < words.length; i++) words[i] = view.getInt32(at + 4 * i, cipher.littleEndian)
    cipher.encrypt(words)
    for (let i = 0; i < words.length; i++) view.setInt32(at + 4 * i, words[i]!, cipher.littleEndian)
  }
  return out
}

function encryptHex(cipher: BlockCipher, text: string): string {
  return toHex(encrypt(cipher, fromHex(text)))
}

test('AES: FIPS 197, appendix C', () => {
  const text = '00112233445566778899aabbccddeeff'
  const key = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'
  equal(encryptHex(new Aes(fromHex(key.slice(0, 32))), text), '69c4e0d86a7b0430d8cdb78070b4c55a')
  equal(encryptHex(new Aes(fromHex(key.slice(0, 48))), text), 'dda97ca4864cdfe06eaf70a0ec0d7191')
  equal(encryptHex(new Aes(fromHex(key)), text), '8ea2b7ca516745bfeafc49904b496089')
})

test('SM4: GB/T 32907, appendix A, once and a million times', () => {
  const key = '0123456789abcdeffedcba9876543210'
  equal(encryptHex(new Sm4(fromHex(key)), key), '681edf34d206965e86b3e94f536e4246')
  const cipher = new Sm4(fromHex(key))
  const words = Int32Array.of(0x0123_4567, 0x89ab_cdef, 0xfedc_ba98, 0x7654_3210)
  for (let i = 0; i < 1_000_000; i++) cipher.encrypt(words)
  equal(
    Array.from(words, (word) => (word >>> 0).toString(16).padStart(8, '0')).join(''),
    '595298c7c6fd271f0402f804c33d3f66',
  )
})

test('3DES: the example of NIST SP 800-67', () => {
  const cipher = new TripleDes(fromHex('0123456789abcdef 23456789abcdef01 456789abcdef0123'))
  const text = Uint8Array.from('The qufck brown fox jump', (letter) => letter.charCodeAt(0))
  equal(toHex(encrypt(cipher, text)), 'a826fd8ce53b855fcce21c8112256fe668d5c05dd9b6b900')
})

test('TEA with all its rounds, and XTEA: the vectors that implementations share', () => {
  equal(encryptHex(new Tea(new Uint8Array(16), 32), '0000000000000000'), '41ea3a0a94baa940')
  equal(encryptHex(new Tea(new Uint8Array(16).fill(255), 32), 'ffffffffffffffff'), '319bbefb016abdb2')
  const key = fromHex('000102030405060708090a0b0c0d0e0f')
  equal(encryptHex(new Xtea(key), '4142434445464748'), '497df3d072612cb5')
  equal(encryptHex(new Xtea(new Uint8Array(16)), '4142434445464748'), 'a0390589f8b8efa5')
})

test("Blowfish: the author's vectors", () => {
  for (const [key, text, expected] of [
    ['0000000000000000', '0000000000000000', '4ef997456198dd78'],
    ['ffffffffffffffff', 'ffffffffffffffff', '51866fd5b85ecb8a'],
    ['0123456789abcdef', '1111111111111111', '61f9c3802281b096'],
    ['fedcba9876543210', '0123456789abcdef', '0aceab0fc6a0a28d'],
    ['f0', 'fedcba9876543210', 'f9ad597c49db005e'],
    ['f0e1', 'fedcba9876543210', 'e91d21c1d961a6d6'],
    ['f0e1d2c3b4a5968778695a4b3c2d1e0f0011223344556677', 'fedcba9876543210', '05044b62fa52d080'],
  ] as const) {
    equal(encryptHex(new Blowfish(fromHex(key)), text), expected, key)
  }
})

test('Twofish: the full-key examples, and the 49th of the chains that begin with zeros', () => {
  const text = '00000000000000000000000000000000'
  const key = '0123456789abcdeffedcba987654321000112233445566778899aabbccddeeff'
  equal(encryptHex(new Twofish(new Uint8Array(16)), text), '9f589f5cf6122c32b6bfec2f2ae8c35a')
  equal(encryptHex(new Twofish(fromHex(key.slice(0, 48))), text), 'cfd1d2e5a9be9cdf501f13b892bd2248')
  equal(encryptHex(new Twofish(fromHex(key)), text), '37527be0052334b89f0cfccae87cfa20')
  for (const [size, expected] of [
    [16, '5d9d4eeffa9151575524f115815a12e0'],
    [24, 'e75449212beef9f4a390bd860a640941'],
    [32, '37fe26ff1cf66175f5ddf4c33b97a205'],
  ] as const) {
    // Each text is the last result, each key the last text followed by the key before it.
    let chained: Uint8Array = new Uint8Array(size)
    let plain: Uint8Array = new Uint8Array(16)
    let result: Uint8Array = plain
    for (let i = 1; i <= 49; i++) {
      result = encrypt(new Twofish(chained), plain)
      chained = Uint8Array.of(...plain, ...chained).subarray(0, size)
      plain = result
    }
    equal(toHex(result), expected, `${size} bytes of key`)
  }
})

test('CAST-128: RFC 2144, appendix B.1', () => {
  const cipher = new Cast5(fromHex('0123456712345678234567893456789a'))
  equal(encryptHex(cipher, '0123456789abcdef'), '238b4fe5847e44b2')
})

test('AES, SM4 and 3DES do what OpenSSL does', () => {
  for (const [name, size, make] of [
    ['aes-128-ecb', 16, (key: Uint8Array) => new Aes(key)],
    ['aes-192-ecb', 24, (key: Uint8Array) => new Aes(key)],
    ['aes-256-ecb', 32, (key: Uint8Array) => new Aes(key)],
    ['sm4-ecb', 16, (key: Uint8Array) => new Sm4(key)],
    ['des-ede3-ecb', 24, (key: Uint8Array) => new TripleDes(key)],
  ] as const) {
    if (!getCiphers().includes(name)) continue
    for (let seed = 1; seed <= 20; seed++) {
      const key = pattern(size, seed)
      const text = pattern(256, 1000 * seed)
      const openssl = createCipheriv(name, key, null).setAutoPadding(false)
      equal(toHex(encrypt(make(key), text)), toHex(openssl.update(text)), `${name} seed=${seed}`)
    }
  }
})

test('a key of a wrong size is the caller’s mistake, and the message does not quote it', () => {
  for (const make of [
    () => new Aes(new Uint8Array(15)),
    () => new Sm4(new Uint8Array(15)),
    () => new TripleDes(new Uint8Array(15)),
    () => new Tea(new Uint8Array(15), 8),
    () => new Xtea(new Uint8Array(15)),
    () => new Twofish(new Uint8Array(15)),
    () => new Cast5(new Uint8Array(15)),
  ]) {
    throws(make, /^RangeError: the key of \w+ has [\w ]+ bytes, not 15$/)
  }
  throws(() => new Blowfish(new Uint8Array(0)), RangeError)
  throws(() => new Blowfish(new Uint8Array(57)), RangeError)
})
