import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  areSegments,
  FecKind,
  fecKind,
  OUT_OF_BAND_OVERHEAD,
  readOutOfBandConv,
  readSeqid,
  seqidLimit,
  skipFec,
  writeDataHeader,
  writeOutOfBandHeader,
  writeParityHeader,
} from '../../src/fec/header.ts'
import { readCapture } from './captures.ts'
import { CONV, fromHex, hex, push } from './shards.ts'

const kindOf = (datagram: string): FecKind => {
  const bytes = fromHex(datagram)
  return fecKind(bytes, 0, bytes.length)
}

test('headers are written as kcp-go writes them', () => {
  const bytes = new Uint8Array(40)
  writeDataHeader(bytes, 10, 35, 0xfffffff4)
  equal(hex(bytes.subarray(0, 12)), '0000f4fffffff1001b000000')
  writeParityHeader(bytes, 6, 0x01020304)
  equal(hex(bytes.subarray(0, 6)), '04030201f200')
  writeOutOfBandHeader(bytes, 12, 17, 0xa1448baf)
  equal(hex(bytes.subarray(0, 12)), 'fffffffff3000b00af8b44a1')
})

test('the four kinds are told apart', () => {
  equal(kindOf('00000000f1001b0042102428510080000000000000000000000000000100000000'), FecKind.Data)
  equal(kindOf('0a000000f200aabbcc'), FecKind.Parity)
  equal(kindOf('fffffffff3000600af8b44a1'), FecKind.OutOfBand)
  equal(kindOf(hex(push(1))), FecKind.Bare)
  equal(kindOf(''), FecKind.Bare)
  // Offset 4 of a segment is its command; this is one cut off, of a conversation that looks like a seqid.
  equal(kindOf('0000000051'), FecKind.Bare)
})

test('a size that is not that of the datagram is no FEC of anybody', () => {
  equal(kindOf('00000000f1001a0042102428510080000000000000000000000000000100000000'), FecKind.Malformed)
  equal(kindOf('00000000f1001c0042102428510080000000000000000000000000000100000000'), FecKind.Malformed)
  equal(kindOf('00000000f100'), FecKind.Malformed)
  equal(kindOf('00000000f10000'), FecKind.Malformed)
  equal(kindOf('00000000f2000a'), FecKind.Malformed)
  equal(kindOf('fffffffff3000500af8b44'), FecKind.Malformed)
  equal(kindOf('fffffffff3000700af8b44a1'), FecKind.Malformed)
})

test('an end without FEC takes bare segments and data, and nothing else', () => {
  const skip = (datagram: string): number => {
    const bytes = fromHex(datagram)
    return skipFec(bytes, 0, bytes.length)
  }
  equal(skip(hex(push(1))), 0)
  equal(skip(`00000000f1002e00${hex(push(1))}`), 8)
  equal(skip(`00000000f1002f00${hex(push(1))}`), -1)
  equal(skip(`00000000f2002e00${hex(push(1))}`), -1)
  equal(skip('fffffffff3000600af8b44a1'), -1)
})

test('nothing behind the datagram is looked at', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 40 }),
      fc.uint8Array({ minLength: 8, maxLength: 8 }),
      (bytes, rest) => {
        if (bytes.length > 5) bytes.set([0xf1 + (bytes[4]! % 4), 0], 4)
        const one = new Uint8Array([...rest, ...bytes, ...rest])
        const other = new Uint8Array([...rest, ...bytes, ...rest.map((byte) => ~byte)])
        equal(fecKind(one, 8, 8 + bytes.length), fecKind(other, 8, 8 + bytes.length))
        equal(areSegments(one, 8, 8 + bytes.length, CONV), areSegments(other, 8, 8 + bytes.length, CONV))
      },
    ),
  )
})

for (const name of ['oob-nil', 'oob-aes', 'oob-aes-gcm']) {
  test(`${name}: out-of-band datagrams are read, and made the same again`, () => {
    const { datagrams } = readCapture(name)
    const found = datagrams.filter(({ bytes }) => fecKind(bytes, 0, bytes.length) === FecKind.OutOfBand)
    const payloads = found.map(({ bytes }) => bytes.subarray(OUT_OF_BAND_OVERHEAD))
    equal(payloads[0]!.length, 5)
    equal(Buffer.from(payloads[0]!).toString(), 'hello')
    equal(payloads[1]!.length, 0)
    ok(payloads[2]!.length >= 1360)
    equal(payloads.length, 3)
    for (const { bytes } of found) {
      const conv = readOutOfBandConv(bytes, 0)
      equal(conv, readOutOfBandConv(datagrams[0]!.bytes, 0), 'the conv of the segments at the same offset')
      const again = new Uint8Array(bytes.length)
      again.set(bytes.subarray(OUT_OF_BAND_OVERHEAD), OUT_OF_BAND_OVERHEAD)
      writeOutOfBandHeader(again, OUT_OF_BAND_OVERHEAD, again.length, conv)
      deepEqual(again, bytes)
      equal(readSeqid(again, 0), 0xffff_ffff)
    }
  })
}

test('seqids end at a multiple of the group', () => {
  equal(seqidLimit(4), 4_294_967_292)
  equal(seqidLimit(13), 4_294_967_287)
  for (let shards = 2; shards <= 256; shards++) {
    equal(seqidLimit(shards) % shards, 0)
    ok(seqidLimit(shards) <= 0xffff_ffff && seqidLimit(shards) + shards > 0xffff_ffff)
  }
})

test('segments are whole, of one conversation, and nothing lies behind them', () => {
  const two = new Uint8Array([...push(1, 3), ...push(2, 0)])
  const holds = (bytes: Uint8Array): boolean => areSegments(bytes, 0, bytes.length, CONV)
  ok(holds(two))
  ok(areSegments(new Uint8Array([9, ...two, 9]), 1, 1 + two.length, CONV))
  ok(!areSegments(two, 0, two.length, CONV + 1))
  ok(!holds(new Uint8Array(0)))
  for (let size = 1; size < two.length; size++) equal(holds(two.subarray(0, size)), size === 27)
  ok(!holds(new Uint8Array([...two, 0])))
  for (const [at, value] of [
    [0, 0x45],
    [4, 80],
    [4, 85],
    [20, 4],
    [23, 1],
    [27, 0],
    [31, 0],
    [47, 1],
    [50, 0x80],
  ] as const) {
    const changed = two.slice()
    changed[at] = value
    ok(!holds(changed), `byte ${at}`)
  }
})
