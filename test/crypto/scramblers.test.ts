/** Whole datagrams through every scrambler, against what kcp-go's own cipher objects made of them. */
import { equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { Aes, cfb, salsa20, unscrambled, xorTable } from '../../src/crypto/index.ts'
import { cryptVectors, fromHex, pattern, pureScrambler, readVectors, Slab, toHex } from './support.ts'

test('every recorded call of a kcp-go cipher, both ways, in place between neighbours', () => {
  const seen = new Set<string>()
  for (const { cipher, key, plain, encrypted } of cryptVectors()) {
    const scrambler = pureScrambler(cipher, fromHex(key))
    const slab = new Slab(fromHex(plain))
    scrambler.encrypt(slab.buffer, slab.start, slab.end)
    equal(toHex(slab.slice(slab.start, slab.end)), encrypted, `${cipher} ${key.length / 2}`)
    scrambler.decrypt(slab.buffer, slab.start, slab.end)
    equal(toHex(slab.slice(slab.start, slab.end)), plain)
    ok(slab.isCleanAround(slab.start, slab.end), cipher)
    seen.add(cipher)
  }
  equal([...seen].sort().join(), '3des,aes,blowfish,cast5,none,salsa20,sm4,tea,twofish,xor,xtea')
})

test('datagrams of any size, down to nothing, come back', () => {
  for (const crypt of ['aes', 'twofish', 'xtea', 'salsa20', 'xor', 'none']) {
    const scrambler = pureScrambler(crypt, pattern(crypt === 'xtea' ? 16 : 32))
    for (let size = 0; size < 150; size++) {
      const slab = new Slab(pattern(size))
      scrambler.encrypt(slab.buffer, slab.start, slab.end)
      const scrambled = slab.slice(slab.start, slab.end)
      equal(
        toHex(scrambled) === toHex(pattern(size)),
        crypt === 'none' || size < (crypt === 'salsa20' ? 9 : 1),
      )
      scrambler.decrypt(slab.buffer, slab.start, slab.end)
      equal(toHex(slab.slice(slab.start, slab.end)), toHex(pattern(size)), `${crypt} ${size}`)
      ok(slab.isCleanAround(slab.start, slab.end))
    }
  }
})

test('a view into memory is worked on where it lies', () => {
  const memory = new ArrayBuffer(300)
  const view = new Uint8Array(memory, 101, 60).fill(1)
  const alone = new Uint8Array(60).fill(1)
  for (const scrambler of [cfb(new Aes(pattern(16))), salsa20(pattern(32)), xorTable(pattern(1500))]) {
    scrambler.encrypt(view, 7, 53)
    scrambler.encrypt(alone, 7, 53)
    equal(toHex(view), toHex(alone))
  }
  equal(
    new Uint8Array(memory).findIndex((byte) => byte !== 0),
    101,
  )
})

test('Salsa20: the first of the ECRYPT vectors for 256 bits', () => {
  const key = fromHex('80'.padEnd(64, '0'))
  const datagram = new Uint8Array(8 + 64)
  salsa20(key).encrypt(datagram, 0, 72)
  equal(
    toHex(datagram.subarray(8)),
    'e3be8fdd8beca2e3ea8ef9475b29a6e7003951e1097a5c38d23b7a5fad9f6844' +
      'b22c97559e2723c7cbbd3fe4fc8d9a0744652a83e72a9c461876af4d7ef1a117',
  )
  throws(() => salsa20(new Uint8Array(33)), RangeError)
  throws(() => salsa20(new Uint8Array(0)), RangeError)
})

test("xor's table is the one that kcp-go makes of a key", () => {
  const { xorTable: vectors } = readVectors('kdf-vectors') as {
    xorTable: { keyHex: string; first64Hex: string; last16Hex: string }[]
  }
  for (const { keyHex, first64Hex, last16Hex } of vectors) {
    const zeros = new Uint8Array(1500)
    pureScrambler('xor', fromHex(keyHex)).encrypt(zeros, 0, 1500)
    equal(toHex(zeros.subarray(0, 64)), first64Hex)
    equal(toHex(zeros.subarray(1484)), last16Hex)
  }
})

test('xor leaves what is longer than its table as it is', () => {
  const bytes = new Uint8Array(12)
  xorTable(new Uint8Array(10).fill(255)).encrypt(bytes, 0, 12)
  equal(toHex(bytes), 'ffffffffffffffffffff0000')
})

test('no scrambler is the identity', () => {
  const bytes = pattern(40)
  unscrambled.encrypt(bytes, 0, 40)
  unscrambled.decrypt(bytes, 0, 40)
  equal(toHex(bytes), toHex(pattern(40)))
})
