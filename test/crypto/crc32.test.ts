import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import * as zlib from 'node:zlib'
import { crc32, makeCrc32 } from '../../src/crypto/crc32.ts'
import { pattern } from './support.ts'

test('the check value that every catalogue of checksums gives', () => {
  const digits = Uint8Array.from('123456789', (digit) => digit.charCodeAt(0))
  equal(crc32(digits, 0, 9) >>> 0, 0xcbf4_3926)
  equal(crc32(digits, 4, 4), 0)
})

test("Castagnoli's polynomial gives the check value of CRC-32C", () => {
  const digits = Uint8Array.from('123456789', (digit) => digit.charCodeAt(0))
  equal(makeCrc32(0x82f6_3b78)(digits, 0, 9) >>> 0, 0xe306_9283)
})

test('every size and offset within a buffer, against one byte at a time', () => {
  const bytes = pattern(80).subarray(3)
  for (let start = 0; start < 9; start++) {
    for (let end = start; end < 70; end++)
      equal(crc32(bytes, start, end), plainCrc32(bytes.subarray(start, end)))
  }
})

test("a datagram's, against zlib's", { skip: typeof zlib.crc32 !== 'function' }, () => {
  const bytes = pattern(1500)
  equal(crc32(bytes, 20, 1500) >>> 0, zlib.crc32(bytes.subarray(20)))
})

/** As the standard words it: bit by bit. */
function plainCrc32(bytes: Uint8Array): number {
  let crc = 0xffff_ffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1
  }
  return ~crc
}
