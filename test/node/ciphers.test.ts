/** Ciphers as a program gets them: OpenSSL where it has them, by kcptun's names, with keys that are checked. */
import { deepEqual, equal, match, notEqual, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import {
  Aes,
  aeadPackets,
  aesGcm,
  type Checksum,
  chacha20Poly1305,
  classicPackets,
  crc32,
  OpenResult,
  type PacketCipher,
  Sm4,
  TripleDes,
} from '../../src/crypto/index.ts'
import {
  aeadCipher,
  aesCipher,
  aesGcmCipher,
  blowfishCipher,
  cast5Cipher,
  chacha20Poly1305Cipher,
  type KcptunCrypt,
  kcptunCipher,
  kcptunKey,
  noneCipher,
  nullCipher,
  salsa20Cipher,
  sm4Cipher,
  teaCipher,
  tripleDesCipher,
  twofishCipher,
  xorCipher,
  xteaCipher,
} from '../../src/node/ciphers.ts'
import {
  aeadOf,
  blockScrambler,
  checksum,
  fillRandom,
  OpensslAead,
  OpensslCfb,
  opensslHas,
} from '../../src/node/openssl.ts'
import {
  type Capture,
  Chosen,
  captures,
  fromHex,
  pattern,
  pureScrambler,
  Reassembly,
  readVectors,
  Slab,
  toHex,
} from '../crypto/support.ts'

/** kcp-go's constructors as ours. */
const BY_GO: Readonly<Record<string, (key: Uint8Array) => PacketCipher>> = {
  aes: aesCipher,
  sm4: sm4Cipher,
  '3des': tripleDesCipher,
  tea: teaCipher,
  xtea: xteaCipher,
  blowfish: blowfishCipher,
  twofish: twofishCipher,
  cast5: cast5Cipher,
  salsa20: salsa20Cipher,
  xor: xorCipher,
  none: noneCipher,
  'aes-gcm': aesGcmCipher,
  'chacha20-poly1305': chacha20Poly1305Cipher,
}

function cipherOf({ crypt, keyHex, passPhrase }: Capture): PacketCipher {
  return passPhrase === undefined
    ? BY_GO[crypt]!(fromHex(keyHex))
    : kcptunCipher(crypt as KcptunCrypt, passPhrase)
}

/** The same over OpenSSL with the nonces that `chosen` gives; `undefined` for what OpenSSL has no part in. */
function opensslOf({ crypt, keyHex }: Capture, chosen: Chosen): PacketCipher | undefined {
  const key = fromHex(keyHex)
  const bits = 8 * key.length
  switch (crypt) {
    case 'aes':
    case 'aes-128':
    case 'aes-192':
      return classicPackets(blockScrambler(`aes-${bits}`, 16, key, never), chosen.fill, checksum)
    case 'sm4':
      if (!opensslHas('sm4-cbc', 'sm4-ecb')) return undefined
      return classicPackets(blockScrambler('sm4', 16, key, never), chosen.fill, checksum)
    case '3des':
      return classicPackets(blockScrambler('des-ede3', 8, key, never), chosen.fill, checksum)
    case 'aes-gcm':
      return aeadPackets(aeadOf(`aes-${bits}-gcm` as 'aes-128-gcm', key, never), chosen.fill)
    case 'chacha20-poly1305':
      return aeadPackets(aeadOf(crypt, key, never), chosen.fill)
  }
  return undefined
}

function never(): never {
  throw new Error('OpenSSL was expected to have it')
}

test('every recorded conversation of kcp-go and kcptun is opened and read', () => {
  const all = captures()
  equal(all.length, 39)
  for (const capture of all) {
    const cipher = cipherOf(capture)
    const texts = { c2s: new Reassembly(), s2c: new Reassembly() }
    for (const { dir, hex } of capture.datagrams) {
      const slab = new Slab(fromHex(hex))
      equal(cipher.open(slab.buffer, slab.start, slab.end), OpenResult.Opened, capture.name)
      ok(slab.isCleanAround(slab.start, slab.end), capture.name)
      texts[dir].add(slab.slice(slab.start + cipher.headroom, slab.end - cipher.tailroom))
    }
    const streams = { c2s: texts.c2s.text(), s2c: texts.s2c.text() }
    if (capture.sent !== undefined) deepEqual(streams, capture.sent, capture.name)
  }
})

test('OpenSSL seals what was recorded to the same bytes, given the same nonces', () => {
  const seen = new Set<string>()
  for (const capture of captures()) {
    const chosen = new Chosen()
    const cipher = opensslOf(capture, chosen)
    if (cipher === undefined) continue
    seen.add(capture.crypt)
    for (const { hex } of capture.datagrams) {
      const slab = new Slab(fromHex(hex))
      equal(cipher.open(slab.buffer, slab.start, slab.end), OpenResult.Opened, capture.name)
      const [start, end] = [slab.start + cipher.headroom, slab.end - cipher.tailroom]
      chosen.bytes = slab.slice(slab.start, start)
      cipher.seal(slab.buffer, start, end)
      equal(toHex(slab.slice(slab.start, slab.end)), hex, capture.name)
      ok(slab.isCleanAround(slab.start, slab.end), capture.name)
    }
  }
  ok(seen.has('aes') && seen.has('3des') && seen.has('aes-gcm') && seen.has('chacha20-poly1305'))
})

test('OpenSSL’s scrambler is the pure one, for datagrams of any size and one after another', () => {
  for (const [name, blockSize, keySize, make] of [
    ['aes-128', 16, 16, (key: Uint8Array) => new Aes(key)],
    ['aes-256', 16, 32, (key: Uint8Array) => new Aes(key)],
    ['sm4', 16, 16, (key: Uint8Array) => new Sm4(key)],
    ['des-ede3', 8, 24, (key: Uint8Array) => new TripleDes(key)],
  ] as const) {
    if (!opensslHas(`${name}-cbc`, `${name}-ecb`)) continue
    const key = pattern(keySize)
    const openssl = blockScrambler(name, blockSize, key, never)
    const pure = blockScrambler(name, blockSize, key, make, () => false)
    for (let size = 0; size < 120; size++) {
      const one = new Slab(pattern(size, size))
      const other = new Slab(pattern(size, size))
      openssl.encrypt(one.buffer, one.start, one.end)
      pure.encrypt(other.buffer, other.start, other.end)
      equal(toHex(one.buffer), toHex(other.buffer), `${name} ${size}`)
      openssl.decrypt(one.buffer, one.start, one.end)
      equal(toHex(one.buffer), toHex(new Slab(pattern(size, size)).buffer), `${name} ${size}`)
    }
  }
})

test('where OpenSSL lacks a cipher, ours takes its place', () => {
  const key = pattern(16)
  const without = (): boolean => false
  const aead = aeadOf('aes-128-gcm', key, aesGcm, without)
  ok(!(aead instanceof OpensslAead))
  const scrambler = blockScrambler('sm4', 16, key, (own) => new Sm4(own), without)
  ok(!(scrambler instanceof OpensslCfb))
  const [one, other] = [new Slab(pattern(50)), new Slab(pattern(50))]
  scrambler.encrypt(one.buffer, one.start, one.end)
  pureScrambler('sm4', key).encrypt(other.buffer, other.start, other.end)
  equal(toHex(one.buffer), toHex(other.buffer))
  equal(opensslHas('no-such-cipher'), false)
  equal(opensslHas('aes-128-ecb', 'no-such-cipher'), false)
})

/** Every cipher that a program can ask for. */
const ALL: readonly (readonly [name: string, make: (seed: number) => PacketCipher, overhead: number])[] = [
  ['null', () => nullCipher(), 0],
  ['none', () => noneCipher(), 20],
  ['aes-128', (seed) => aesCipher(pattern(16, seed)), 20],
  ['aes-192', (seed) => aesCipher(pattern(24, seed)), 20],
  ['aes-256', (seed) => aesCipher(pattern(32, seed)), 20],
  ['sm4', (seed) => sm4Cipher(pattern(16, seed)), 20],
  ['3des', (seed) => tripleDesCipher(pattern(24, seed)), 20],
  ['salsa20', (seed) => salsa20Cipher(pattern(32, seed)), 20],
  ['xor', (seed) => xorCipher(pattern(32, seed)), 20],
  ['tea', (seed) => teaCipher(pattern(16, seed)), 20],
  ['xtea', (seed) => xteaCipher(pattern(16, seed)), 20],
  ['blowfish', (seed) => blowfishCipher(pattern(32, seed)), 20],
  ['twofish', (seed) => twofishCipher(pattern(32, seed)), 20],
  ['cast5', (seed) => cast5Cipher(pattern(16, seed)), 20],
  ['aes-128-gcm', (seed) => aesGcmCipher(pattern(16, seed)), 28],
  ['aes-192-gcm', (seed) => aesGcmCipher(pattern(24, seed)), 28],
  ['aes-256-gcm', (seed) => aesGcmCipher(pattern(32, seed)), 28],
  ['chacha20-poly1305', (seed) => chacha20Poly1305Cipher(pattern(32, seed)), 28],
  ['any AEAD', (seed) => aeadCipher(chacha20Poly1305(pattern(32, seed))), 28],
]

test('each opens what another value of the same cipher and key sealed, and the overhead is that of the wire', () => {
  for (const [name, make, overhead] of ALL) {
    const [sender, receiver] = [make(1), make(1)]
    equal(sender.headroom + sender.tailroom, overhead, name)
    for (const size of [0, 1, 24, 500, 1480]) {
      const slab = new Slab(pattern(size))
      sender.seal(slab.buffer, slab.start, slab.end)
      const [start, end] = [slab.start - sender.headroom, slab.end + sender.tailroom]
      equal(receiver.open(slab.buffer, start, end), OpenResult.Opened, `${name} ${size}`)
      equal(toHex(slab.slice(slab.start, slab.end)), toHex(pattern(size)))
      ok(slab.isCleanAround(start, end), name)
    }
    deepEqual({ ...receiver.counters }, { sealed: 0, opened: 5, tooShort: 0, refused: 0 })
  }
})

test('another key, damage, a missing end, too little: refused and counted, never thrown', () => {
  for (const [name, make, overhead] of ALL) {
    if (name === 'null') continue
    const sender = make(1)
    const slab = new Slab(pattern(300))
    sender.seal(slab.buffer, slab.start, slab.end)
    const sealed = slab.slice(slab.start - sender.headroom, slab.end + sender.tailroom)
    const receiver = make(1)
    const open = (cipher: PacketCipher, datagram: Uint8Array) => cipher.open(datagram, 0, datagram.length)
    if (name !== 'none') equal(open(make(9), sealed.slice()), OpenResult.Refused, name)
    equal(open(receiver, sealed.slice(0, -1)), OpenResult.Refused, name)
    const damaged = sealed.slice()
    damaged[200] = damaged[200]! ^ 1
    equal(open(receiver, damaged), OpenResult.Refused, name)
    equal(open(receiver, sealed.slice(0, overhead - 1)), OpenResult.TooShort, name)
    equal(open(receiver, new Uint8Array()), OpenResult.TooShort, name)
    equal(open(receiver, sealed.slice()), OpenResult.Opened, name)
    deepEqual({ ...receiver.counters }, { sealed: 0, opened: 1, tooShort: 2, refused: 2 }, name)
  }
})

test('the same text never leaves twice the same: each datagram has its own nonce', () => {
  for (const [name, make] of ALL) {
    if (name === 'null') continue
    const cipher = make(1)
    const seen = new Set<string>()
    // More than one pool of randomness holds.
    for (let i = 0; i < 700; i++) {
      const slab = new Slab(pattern(10))
      cipher.seal(slab.buffer, slab.start, slab.end)
      seen.add(toHex(slab.slice(slab.start - cipher.headroom, slab.end + cipher.tailroom)))
    }
    equal(seen.size, 700, name)
  }
})

test('randomness fills what it was asked to, and nothing else', () => {
  const counts = new Array<number>(256).fill(0)
  for (let i = 0; i < 2_000; i++) {
    const bytes = new Uint8Array(20)
    fillRandom(bytes, 2, 18)
    equal(bytes[0]! + bytes[1]! + bytes[18]! + bytes[19]!, 0)
    for (const byte of bytes.subarray(2, 18)) counts[byte] = counts[byte]! + 1
  }
  const many = new Uint8Array(10_000)
  fillRandom(many, 10, 9_990)
  equal(
    [...many.subarray(0, 10), ...many.subarray(9_990)].some((byte) => byte !== 0),
    false,
  )
  ok(
    many.subarray(5_000, 5_100).some((byte) => byte !== 0) && many.subarray(9_900).some((byte) => byte !== 0),
  )
  // 125 of each are expected; 40 are 7 sigma away.
  ok(Math.min(...counts) > 40 && Math.max(...counts) < 210, counts.join())
})

test('checksums are CRC-32, from zlib or from us', () => {
  const digits = Uint8Array.from('123456789', (digit) => digit.charCodeAt(0))
  const both: readonly Checksum[] = [checksum, crc32]
  for (const one of both) {
    equal(one(digits, 0, 9) >>> 0, 0xcbf4_3926)
    equal(one(pattern(100), 20, 100) | 0, crc32(pattern(100), 20, 100))
  }
})

test("kcptun's keys follow from its pass phrases", () => {
  const { kcptun } = readVectors('kdf-vectors') as { kcptun: { passPhrase: string; keyHex: string }[] }
  equal(kcptun.length, 5)
  for (const { passPhrase, keyHex } of kcptun) equal(toHex(kcptunKey(passPhrase)), keyHex, passPhrase)
  throws(() => kcptunKey(undefined as unknown as string), { code: 'ERR_KCP_CONFIG' })
})

test("each of kcptun's names is a cipher, and an unknown one is refused instead of taken for AES", () => {
  const names: readonly KcptunCrypt[] = [
    'aes',
    'aes-128',
    'aes-192',
    'aes-128-gcm',
    'salsa20',
    'blowfish',
    'twofish',
    'cast5',
    '3des',
    'tea',
    'xtea',
    'sm4',
    'xor',
    'none',
    'null',
  ]
  for (const name of names) {
    const cipher = kcptunCipher(name, "it's a secrect")
    const slab = new Slab(pattern(100))
    cipher.seal(slab.buffer, slab.start, slab.end)
    const [start, end] = [slab.start - cipher.headroom, slab.end + cipher.tailroom]
    equal(kcptunCipher(name, "it's a secrect").open(slab.buffer, start, end), OpenResult.Opened, name)
  }
  for (const name of ['aes-256', 'AES', '', 'toString', undefined]) {
    throws(() => kcptunCipher(name as KcptunCrypt, 'key'), { code: 'ERR_KCP_CONFIG', message: /aes-128/ })
  }
})

test('a key of a wrong size or kind is refused, without quoting it', () => {
  const secret = pattern(15)
  for (const make of Object.values(BY_GO)) {
    if (make === noneCipher) continue
    throws(
      () => make('a secret text' as unknown as Uint8Array),
      (error: Error & { code: string }) => {
        equal(error.code, 'ERR_KCP_CONFIG')
        ok(!JSON.stringify([error.message, error]).includes('a secret'))
        return true
      },
    )
    if (make === xorCipher || make === salsa20Cipher || make === blowfishCipher) {
      throws(() => make(new Uint8Array()), { code: 'ERR_KCP_CONFIG' })
    } else {
      throws(
        () => make(secret),
        (error: Error & { code: string }) => {
          equal(error.code, 'ERR_KCP_CONFIG')
          match(error.message, /^key\.length must be [\d or]+, got 15$/)
          return true
        },
      )
    }
  }
  throws(() => salsa20Cipher(new Uint8Array(33)), /key\.length must be 1\.\.32, got 33/)
  throws(() => blowfishCipher(new Uint8Array(57)), /key\.length must be 1\.\.56, got 57/)
})

test('a key may be overwritten once the cipher is made', () => {
  for (const make of Object.values(BY_GO)) {
    const key =
      make === tripleDesCipher ? pattern(24) : make === chacha20Poly1305Cipher ? pattern(32) : pattern(16)
    const cipher = make(key)
    const same = make(key.slice())
    key.fill(0)
    const slab = new Slab(pattern(60))
    cipher.seal(slab.buffer, slab.start, slab.end)
    const [start, end] = [slab.start - cipher.headroom, slab.end + cipher.tailroom]
    equal(same.open(slab.buffer, start, end), OpenResult.Opened)
    notEqual(toHex(slab.slice(slab.start, slab.end)), '')
  }
})
