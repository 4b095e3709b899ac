import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { SipHash } from '../../src/session/siphash.ts'

/** The key of the paper's vectors: bytes 0 .. 15. */
const KEY = [0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c]

test('the published vectors: messages 00 01 02 … of each length', () => {
  const hash = new SipHash(KEY)
  const message = Uint8Array.from({ length: 64 }, (_, i) => i)
  // The first four bytes, little-endian, of the eight that the authors' list has for these lengths.
  const expected: readonly (readonly [number, number])[] = [
    [0, 0xdd0e0e31],
    [1, 0x93dc67fd],
    [2, 0xd9a94f5a],
    [7, 0x8b01d137],
    [8, 0x9a932462],
    [9, 0x0ba9e4b0],
    [15, 0x49be45e5],
    [16, 0x57c29bdb],
    [63, 0xeb064572],
  ]
  for (const [length, low] of expected) equal(hash.hash(message, length).toString(16), low.toString(16))
})

test('key, every byte and the length change the hash', () => {
  const message = Uint8Array.from({ length: 23 }, (_, i) => 255 - i)
  const all = new Set<number>()
  for (let length = 0; length <= 23; length++) all.add(new SipHash(KEY).hash(message, length))
  for (let i = 0; i < 23; i++) {
    const other = message.slice()
    other[i]! ^= 0x80
    all.add(new SipHash(KEY).hash(other))
  }
  for (let i = 0; i < 4; i++) {
    const key = [...KEY]
    key[i]! ^= 1
    all.add(new SipHash(key).hash(message))
  }
  equal(all.size, 24 + 23 + 4)
})
