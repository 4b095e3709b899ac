/** The AEADs against their standards, against OpenSSL, and against everyone who tampers. */
import { equal, ok, throws } from 'node:assert/strict'
import { createCipheriv } from 'node:crypto'
import { test } from 'node:test'
import { chacha20Block, chacha20State } from '../../src/crypto/chacha20.ts'
import { type Aead, aesGcm, chacha20Poly1305 } from '../../src/crypto/index.ts'
import { Poly1305 } from '../../src/crypto/poly1305.ts'
import { fromHex, pattern, Slab, toHex } from './support.ts'

/** Ciphertext and tag of a text under a nonce, in hex. */
function sealHex(aead: Aead, nonce: Uint8Array, text: Uint8Array): string {
  const buffer = new Uint8Array(12 + text.length + 16)
  buffer.set(nonce)
  buffer.set(text, 12)
  aead.seal(buffer, 0, 12, 12 + text.length)
  return toHex(buffer.subarray(12))
}

test('the block function of ChaCha20: RFC 8439, section 2.3.2', () => {
  const state = chacha20State(Uint8Array.from({ length: 32 }, (_, i) => i))
  state.set([1, 0x0900_0000, 0x4a00_0000, 0], 12)
  const out = new Int32Array(16)
  chacha20Block(state, out)
  const bytes = new DataView(new ArrayBuffer(64))
  for (const [i, word] of out.entries()) bytes.setInt32(4 * i, word, true)
  equal(
    toHex(new Uint8Array(bytes.buffer)),
    '10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e' +
      'd2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e',
  )
})

test('Poly1305 where carries are hard: RFC 8439, appendix A.3', () => {
  const zeros = '00'.repeat(16)
  const ones = 'ff'.repeat(16)
  const small = (value: string) => value.padEnd(32, '0')
  for (const [name, r, s, text, tag] of [
    ['1', zeros, zeros, '00'.repeat(64), zeros],
    ['7: 2^130 - 1', small('02'), zeros, ones, small('03')],
    ['8: s + tag over 2^128', small('02'), ones, small('02'), small('03')],
    ['9', small('01'), zeros, `${ones}f0${'ff'.repeat(15)}${small('11')}`, small('05')],
    ['10', small('01'), zeros, `${ones}fb${'fe'.repeat(15)}${'01'.repeat(16)}`, zeros],
    ['11', small('02'), zeros, `fd${'ff'.repeat(15)}`, `fa${'ff'.repeat(15)}`],
    [
      '12',
      small('010000000000000004'),
      zeros,
      `e33594d7505e43b900000000000000003394d7505e4379cd01000000000000000000000000000000000000000000000001${'00'.repeat(15)}`,
      small('140000000000000055'),
    ],
    [
      '13',
      small('010000000000000004'),
      zeros,
      'e33594d7505e43b900000000000000003394d7505e4379cd010000000000000000000000000000000000000000000000',
      small('13'),
    ],
  ] as const) {
    const words = (hex: string) => {
      const view = new DataView(fromHex(hex).buffer)
      return Array.from({ length: 4 }, (_, i) => view.getInt32(4 * i, true))
    }
    const poly = new Poly1305()
    poly.restart(Int32Array.of(...words(r), ...words(s)))
    const bytes = new DataView(fromHex(text).buffer)
    poly.update(bytes, 0, bytes.byteLength)
    const out = new Int32Array(4)
    poly.finish(out)
    equal([...out].join(), words(tag).join(), name)
  }
})

test('Poly1305 against big integers, with limbs as full as they get', () => {
  const prime = (1n << 130n) - 5n
  for (let seed = 1; seed <= 200; seed++) {
    const random = pattern(32 + 16 * 20, seed)
    // Long runs of ones and zeros reach carries that random bytes do not.
    const text = random
      .slice(32)
      .map((byte, i) => ((seed + (i >> 4)) % 3 === 0 ? byte : seed % 2 === 0 ? 255 : 0))
    const key = seed % 4 === 0 ? new Uint8Array(32).fill(255) : random.subarray(0, 32)
    const keyWords = Int32Array.from({ length: 8 }, (_, i) =>
      new DataView(key.slice().buffer).getInt32(4 * i, true),
    )
    const number = (bytes: Uint8Array) => BigInt(`0x${toHex(bytes.slice().reverse())}`)
    const r = number(key.slice(0, 16)) & 0x0ffffffc_0ffffffc_0ffffffc_0fffffffn
    let h = 0n
    for (let at = 0; at < text.length; at += 16) {
      h = ((h + number(text.slice(at, at + 16)) + (1n << 128n)) * r) % prime
    }
    const tag = (h + number(key.slice(16))) & ((1n << 128n) - 1n)
    const poly = new Poly1305()
    poly.restart(keyWords)
    poly.update(new DataView(text.buffer), 0, text.length)
    const out = new Int32Array(4)
    poly.finish(out)
    const got = [...out].reduceRight((sum, word) => (sum << 32n) | BigInt(word >>> 0), 0n)
    equal(got, tag, `seed=${seed}`)
  }
})

test('ChaCha20-Poly1305: RFC 8439, section 2.8.2 and appendix A.5', () => {
  const letters = (text: string) => new TextEncoder().encode(text)
  const key = Uint8Array.from({ length: 32 }, (_, i) => 0x80 + i)
  equal(
    sealHex(
      chacha20Poly1305(key, fromHex('50515253c0c1c2c3c4c5c6c7')),
      fromHex('070000004041424344454647'),
      letters(
        "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, " +
          'sunscreen would be it.',
      ),
    ),
    'd31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6' +
      '3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36' +
      '92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc' +
      '3ff4def08e4b7a9de576d26586cec64b6116' +
      '1ae10b594f09e26a7e902ecbd0600691',
  )
  const tag = sealHex(
    chacha20Poly1305(
      fromHex('1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0'),
      fromHex('f33388860000000000004e91'),
    ),
    fromHex('000000000102030405060708'),
    letters(
      'Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or ' +
        'obsoleted by other documents at any time. It is inappropriate to use Internet-Drafts as reference ' +
        'material or to cite them other than as /“work in progress./”',
    ),
  ).slice(-32)
  equal(tag, 'eead9d67890cbb22392336fea1851f38')
})

test('AES-GCM: the test cases of the specification with nonces of 12 bytes', () => {
  const key = 'feffe9928665731c6d6a8f9467308308'
  const nonce = 'cafebabefacedbaddecaf888'
  const text =
    'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72' +
    '1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255'
  const associated = 'feedfacedeadbeeffeedfacedeadbeefabaddad2'
  const zeros = '00'.repeat(32)
  const none = zeros.slice(0, 24)
  for (const [number, k, n, a, t, expected] of [
    [1, zeros.slice(0, 32), none, '', '', '58e2fccefa7e3061367f1d57a4e7455a'],
    [
      2,
      zeros.slice(0, 32),
      none,
      '',
      zeros.slice(0, 32),
      '0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf',
    ],
    [3, key, nonce, '', text, '4d5c2af327cd64a62cf35abd2ba6fab4'],
    [4, key, nonce, associated, text.slice(0, 120), '5bc94fbc3221a5db94fae95ae7121a47'],
    [7, zeros.slice(0, 48), none, '', '', 'cd33b28ac773f74ba00ed1f312572435'],
    [
      8,
      zeros.slice(0, 48),
      none,
      '',
      zeros.slice(0, 32),
      '98e7247c07f0fe411c267e4384b0f6002ff58d80033927ab8ef4d4587514f0fb',
    ],
    [9, key + key.slice(0, 16), nonce, '', text, '9924a7c8587336bfb118024db8674a14'],
    [10, key + key.slice(0, 16), nonce, associated, text.slice(0, 120), '2519498e80f1478f37ba55bd6d27618c'],
    [13, zeros, none, '', '', '530f8afbc74536b9a963b4f1c4cb738b'],
    [
      14,
      zeros,
      none,
      '',
      zeros.slice(0, 32),
      'cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919',
    ],
    [15, key + key, nonce, '', text, 'b094dac5d93471bdec1a502270e3cc6c'],
    [16, key + key, nonce, associated, text.slice(0, 120), '76fc6ece0f4e1768cddf8853bb2d551b'],
  ] as const) {
    const sealed = sealHex(aesGcm(fromHex(k), fromHex(a)), fromHex(n), fromHex(t))
    equal(sealed.slice(-expected.length), expected, `test case ${number}`)
    equal(sealed.length, t.length + 32)
  }
  equal(
    sealHex(aesGcm(fromHex(key)), fromHex(nonce), fromHex(text)).slice(0, 128),
    '42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e' +
      '21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985',
    'test case 3, its ciphertext',
  )
})

const AEADS = [
  ['aes-128-gcm', 16, aesGcm],
  ['aes-192-gcm', 24, aesGcm],
  ['aes-256-gcm', 32, aesGcm],
  ['chacha20-poly1305', 32, chacha20Poly1305],
] as const

test('they do what OpenSSL does, for texts of any size, in place between neighbours', () => {
  for (const [name, size, make] of AEADS) {
    for (let length = 0; length < 300; length = length < 140 ? length + 1 : length + 23) {
      const key = pattern(size, length)
      const nonce = pattern(12, 3 * length)
      const text = pattern(length, 7 * length)
      const associated = pattern(length % 37, length)
      const openssl = createCipheriv(name as 'aes-128-gcm', key, nonce, { authTagLength: 16 })
      openssl.setAAD(associated, { plaintextLength: length })
      const expected = toHex(openssl.update(text)) + toHex(openssl.final()) + toHex(openssl.getAuthTag())
      const aead = make(key, associated)
      const slab = new Slab(Uint8Array.of(...nonce, ...text, ...new Uint8Array(16)))
      const [start, end] = [slab.start + 12, slab.end - 16]
      aead.seal(slab.buffer, slab.start, start, end)
      equal(toHex(slab.slice(start, slab.end)), expected, `${name} ${length}`)
      equal(aead.open(slab.buffer, slab.start, start, end), true)
      equal(toHex(slab.slice(start, end)), toHex(text))
      ok(slab.isCleanAround(slab.start, slab.end))
    }
  }
})

test('one wrong bit anywhere is refused, and the text stays sealed', () => {
  for (const [name, size, make] of AEADS) {
    const aead = make(pattern(size))
    const sealed = new Uint8Array(12 + 37 + 16)
    sealed.set(pattern(49))
    aead.seal(sealed, 0, 12, 49)
    for (let bit = 0; bit < 8 * sealed.length; bit++) {
      const forged = sealed.slice()
      forged[bit >> 3] = forged[bit >> 3]! ^ (1 << (bit & 7))
      const before = toHex(forged)
      equal(aead.open(forged, 0, 12, 49), false, `${name} bit ${bit}`)
      equal(toHex(forged), before)
    }
    equal(make(pattern(size), pattern(1)).open(sealed, 0, 12, 49), false, 'other associated data')
    equal(aead.open(sealed, 0, 12, 49), true)
  }
})

test('keys of a wrong size are refused', () => {
  throws(() => chacha20Poly1305(new Uint8Array(16)), /the key of ChaCha20-Poly1305 has 32 bytes, not 16/)
  throws(() => aesGcm(new Uint8Array(20)), /the key of AES has 16 or 24 or 32 bytes, not 20/)
})
