/** Datagrams that come back to the end that sealed them. */
import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Aead,
  aeadPackets,
  aesGcm,
  OpenResult,
  type PacketCipher,
  Xtea,
} from '../../src/crypto/index.ts'
import { OwnNonces } from '../../src/crypto/own-nonces.ts'
import { Prng } from '../../src/sim/prng.ts'
import { pattern, purePackets, toHex } from './support.ts'

function chance(seed: number): (bytes: Uint8Array, start: number, end: number) => void {
  const prng = new Prng(seed)
  return (bytes, start, end) => {
    for (let i = start; i < end; i++) bytes[i] = prng.int(0, 255)
  }
}

test('XTEA undoes what it did', () => {
  const xtea = new Xtea(pattern(16))
  for (let i = 0; i < 100; i++) {
    const words = Int32Array.of(Math.imul(i, 0x9e37_79b9), i - 50)
    const before = [...words]
    xtea.encrypt(words)
    notEqual(words.join(), before.join())
    xtea.decrypt(words)
    deepEqual([...words], before)
  }
})

test('no nonce of an end repeats, each is known again, and nobody else knows it', () => {
  const [one, other] = [new OwnNonces(chance(1)), new OwnNonces(chance(2))]
  const seen = new Set<string>()
  for (let i = 0; i < 5_000; i++) {
    const bytes = new Uint8Array(12)
    one.write(bytes, 3)
    ok(one.owns(bytes, 3))
    equal(other.owns(bytes, 3), false)
    seen.add(toHex(bytes.subarray(3, 11)))
    deepEqual([bytes[2], bytes[11]], [0, 0])
  }
  equal(seen.size, 5_000)
})

test('to others they are random bytes: no byte tells the end, nor the order', () => {
  const one = new OwnNonces(chance(3))
  const counts = Array.from({ length: 8 }, () => new Uint32Array(256))
  for (let i = 0; i < 25_600; i++) {
    const bytes = new Uint8Array(8)
    one.write(bytes, 0)
    for (const [at, byte] of bytes.entries()) counts[at]![byte]!++
  }
  for (const [at, count] of counts.entries())
    ok(Math.max(...count) < 170, `byte ${at}: ${Math.max(...count)}`)
})

test('when the counter of a secret is used up another one is drawn, and the former is known still', () => {
  const one = new OwnNonces(chance(4), 4)
  const all = Array.from({ length: 12 }, () => {
    const bytes = new Uint8Array(8)
    one.write(bytes, 0)
    return bytes
  })
  equal(new Set(all.map(toHex)).size, 12)
  deepEqual(
    all.map((bytes) => one.owns(bytes, 0)),
    [...Array(4).fill(false), ...Array(8).fill(true)],
  )
})

const CRYPTS = [
  ['none', 32],
  ['aes', 16],
  ['sm4', 16],
  ['3des', 24],
  ['xtea', 16],
  ['blowfish', 32],
  ['salsa20', 32],
  ['xor', 32],
  ['aes-gcm', 32],
  ['chacha20-poly1305', 32],
] as const

function sealed(cipher: PacketCipher, text: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(cipher.headroom + text.length + cipher.tailroom)
  bytes.set(text, cipher.headroom)
  cipher.seal(bytes, cipher.headroom, cipher.headroom + text.length)
  return bytes
}

test('an end opens what other ends of its cipher sealed, and refuses what it sealed itself', () => {
  for (const [crypt, keySize] of CRYPTS) {
    const cipher = purePackets(crypt, pattern(keySize), chance(5))
    const [one, other] = [cipher.fork!(), cipher.fork!()]
    deepEqual([one.headroom, one.tailroom], [cipher.headroom, cipher.tailroom])
    const open = (by: PacketCipher, datagram: Uint8Array): OpenResult =>
      by.open(datagram.slice(), 0, datagram.length)
    for (const text of [pattern(0), pattern(1), pattern(300)]) {
      const datagram = sealed(one, text)
      equal(open(one, datagram), OpenResult.Refused, crypt)
      equal(open(other, datagram), OpenResult.Opened, crypt)
      equal(open(cipher, datagram), OpenResult.Opened, crypt)
      // A stock peer's nonces are random.
      equal(open(one, sealed(cipher, text)), OpenResult.Opened, crypt)
      notEqual(toHex(sealed(one, text)), toHex(datagram))
    }
    deepEqual({ ...cipher.counters }, { sealed: 9, opened: 9, tooShort: 0, refused: 3 }, crypt)
    equal(one.counters, cipher.counters)
  }
})

test('a mirror that changes the nonce does not get through an AEAD, nor a cipher of 16-byte blocks', () => {
  for (const [crypt, keySize] of [
    ['aes', 16],
    ['sm4', 16],
    ['aes-gcm', 32],
    ['chacha20-poly1305', 32],
  ] as const) {
    const end = purePackets(crypt, pattern(keySize), chance(6)).fork!()
    for (let bit = 0; bit < 96; bit++) {
      const datagram = sealed(end, pattern(50))
      datagram[bit >> 3] = datagram[bit >> 3]! ^ (1 << (bit & 7))
      equal(end.open(datagram, 0, datagram.length), OpenResult.Refused, `${crypt} bit ${bit}`)
    }
  }
})

test('an AEAD that throws, or answers with anything but true, has opened nothing; one that seals later has not sealed', () => {
  const good = aesGcm(pattern(16))
  const datagram = sealed(aeadPackets(good, chance(7)), pattern(20))
  for (const open of [
    () => Promise.resolve(true),
    () => Promise.reject(new Error('no')),
    () => 1,
    () => undefined,
    () => {
      throw new Error('wrong tag')
    },
  ]) {
    const cipher = aeadPackets(
      { nonceSize: 12, tagSize: 16, seal: () => undefined, open } as unknown as Aead,
      chance(8),
    )
    equal(cipher.open(datagram.slice(), 0, datagram.length), OpenResult.Refused)
    equal(cipher.counters.refused, 1)
  }
  const later = {
    nonceSize: 12,
    tagSize: 16,
    seal: () => Promise.resolve(),
    open: () => true,
  } as unknown as Aead
  const cipher = aeadPackets(later, chance(9))
  let why = ''
  try {
    sealed(cipher, pattern(20))
  } catch (error) {
    why = (error as Error).message
  }
  ok(why.includes('Promise'), why)
  equal(cipher.counters.sealed, 0)
})
