import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Prng } from '../../src/sim/prng.ts'
import { BLOCK_MAX, decodeBlock, decodedSize, encodeBlock, encodedBound } from '../../src/snappy/block.ts'
import { noise, patchwork, prose } from './data.ts'

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** The decoded bytes; undefined when the block is refused. */
function decode(block: Uint8Array): Uint8Array | undefined {
  const size = decodedSize(block, 0, block.length)
  if (size < 0 || size > BLOCK_MAX) return undefined
  const output = new Uint8Array(size)
  return decodeBlock(block, 0, block.length, output) ? output : undefined
}

function encode(bytes: Uint8Array): Uint8Array {
  const output = new Uint8Array(encodedBound(bytes.length))
  return output.subarray(0, encodeBlock(bytes, 0, bytes.length, output, 0))
}

test('every kind of element decodes', () => {
  const story: readonly (readonly [string, string])[] = [
    // Nothing at all.
    ['00', ''],
    // A literal of one byte.
    ['01 00 61', '61'],
    // A literal of 61 bytes: its size in one byte.
    [`3d f0 3c ${'62'.repeat(61)}`, '62'.repeat(61)],
    // In two, three and four bytes.
    [`05 f4 0400 ${'63'.repeat(5)}`, '63'.repeat(5)],
    [`05 f8 040000 ${'63'.repeat(5)}`, '63'.repeat(5)],
    [`05 fc 04000000 ${'63'.repeat(5)}`, '63'.repeat(5)],
    // A short copy that reaches into itself: a, then eleven more.
    ['0c 00 61 1d 01', '61'.repeat(12)],
    // A copy with an offset of two bytes, and one of four.
    ['06 08 616263 0a 0300', '616263616263'],
    ['06 08 616263 0b 03000000', '616263616263'],
  ]
  for (const [block, plain] of story) equal(hexOf(decode(bytesOf(block)) ?? bytesOf('ff')), plain, block)
})

test('what is no block is refused, whatever it claims', () => {
  const broken = {
    'no size': '',
    'a size without an end': '80 80',
    'a size of more than 32 bits': 'ff ff ff ff 10 00 61',
    'more than 65536 bytes': '81 80 04 00 61',
    'less than it says': '05 00 61',
    'more than it says': '01 04 6162',
    'a literal that is not there': '05 10 6162',
    'a literal whose size is not there': '05 f4 04',
    'a literal of 2^31 bytes': '05 fc 00000080 0000',
    'a literal of 2^32 bytes': '05 fc ffffffff 61',
    'a copy without its offset': '05 00 61 01',
    'a long copy without its offset': '05 00 61 0e 01',
    'a copy of offset 0': '05 00 61 0e 0000',
    'a copy from before the beginning': '05 00 61 0e 0200',
    'a copy from 2^31 bytes back': '05 00 61 0f 00000080',
    'a copy beyond the end': '03 00 61 0e 0100',
  }
  for (const [what, block] of Object.entries(broken)) equal(decode(bytesOf(block)), undefined, what)
})

test('what repeats is encoded as copies, and noise as one literal', () => {
  const text = Buffer.from('abcdabcdabcdabcdabcdabcdabcd')
  // 28 bytes: the literal abcd, a copy of 24 from 4 back.
  equal(hexOf(encode(text)), '1c' + '0c61626364' + '5e0400')
  const random = noise(300, new Prng(1))
  equal(hexOf(encode(random)), `ac02f42b01${hexOf(random)}`)
})

test('everything comes back: all sizes, compressible or not, at any offset of a buffer', () => {
  const seed = 7
  const prng = new Prng(seed)
  const sizes = [
    ...Array.from({ length: 130 }, (_, i) => i),
    255,
    256,
    257,
    258,
    4104,
    16_384,
    65_535,
    65_536,
  ]
  for (const make of [noise, prose, patchwork]) {
    for (const size of sizes) {
      const bytes = make(size, prng)
      const block = encode(bytes)
      ok(block.length <= encodedBound(size))
      deepEqual(decode(block), bytes, `seed ${seed}, ${make.name}, ${size} bytes`)
      const [lead, tail] = [prng.int(0, 9), prng.int(0, 9)]
      const within = new Uint8Array(lead + size + tail).fill(0xee)
      within.set(bytes, lead)
      const output = new Uint8Array(3 + encodedBound(size))
      const end = encodeBlock(within, lead, lead + size, output, 3)
      deepEqual(decode(output.subarray(3, end)), bytes, `seed ${seed}, ${make.name}, within a buffer`)
    }
  }
})

test('it is worth it: prose shrinks to less than two thirds, a run to a twentieth', () => {
  const prng = new Prng(3)
  const size = 60_000
  ok(encode(prose(size, prng)).length < (size * 2) / 3)
  ok(encode(new Uint8Array(size)).length < size / 20)
})

test('damaged blocks are refused or decode to as much as they say, and nothing is read beyond them', () => {
  let decoded = 0
  let refused = 0
  for (let seed = 1; seed <= 300; seed++) {
    const prng = new Prng(seed)
    const block = encode(patchwork(prng.int(1, 2000), prng))
    for (let i = prng.int(1, 4); i > 0; i--) block[prng.int(0, block.length - 1)]! ^= 1 << prng.int(0, 7)
    const cut = prng.chance(0.5) ? block : block.subarray(0, prng.int(1, block.length))
    const plain = decode(cut)
    // The same in the middle of other bytes: they must make no difference.
    const within = new Uint8Array(cut.length + 20).fill(0x0d)
    within.set(cut, 10)
    const size = decodedSize(within, 10, 10 + cut.length)
    const output = size < 0 || size > BLOCK_MAX ? undefined : new Uint8Array(size)
    const good = output !== undefined && decodeBlock(within, 10, 10 + cut.length, output)
    deepEqual(good ? output : undefined, plain, `seed ${seed}`)
    if (plain === undefined) refused++
    else decoded++
  }
  ok(refused > 100 && decoded > 5, `${refused} refused, ${decoded} decoded`)
})
