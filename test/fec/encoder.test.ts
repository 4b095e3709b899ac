import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpError } from '../../src/core/index.ts'
import { readU16 } from '../../src/core/segment.ts'
import { readSeqid, seqidLimit } from '../../src/fec/header.ts'
import { FecEncoder, type FecEncoderOptions, type LentDatagram } from '../../src/fec/index.ts'
import { encode, fromHex, hex, push, taken } from './shards.ts'

const make = (options: Partial<FecEncoderOptions> = {}): FecEncoder =>
  new FecEncoder({ dataShards: 3, parityShards: 2, maxDatagram: 1400, ...options })

/** `0D 1D 2P`: number and kind of each datagram. */
const story = (datagrams: readonly Uint8Array[]): string =>
  datagrams.map((one) => `${readSeqid(one, 0)}${one[4] === 0xf1 ? 'D' : 'P'}`).join(' ')

test('a group is its data as it is sent, and parity right behind the last', () => {
  const made = encode(make(), [push(0), push(1), push(2), push(3)])
  equal(story(made), '0D 1D 2D 3P 4P 5D')
})

test('the header lies in front of the datagram, and all else stays as it was', () => {
  const encoder = make()
  const buffer = new Uint8Array(100).fill(0xee)
  const segment = push(7, 10)
  buffer.set(segment, 30)
  equal(encoder.add(buffer, 30, 30 + segment.length, 0), 0)
  equal(hex(buffer), `${'ee'.repeat(22)}00000000f1002400${hex(segment)}${'ee'.repeat(36)}`)
})

test('parity covers the size field and zeros up to the longest shard', () => {
  const encoder = make({ dataShards: 2, parityShards: 1 })
  const made = encode(encoder, [fromHex('aabb'), fromHex('c0c1c2c3c4')])
  // 3 x 0400aabb0000 00 + 2 x 0700c0c1c2c3c4, byte by byte in GF(2^8)
  equal(hex(made[2]!), '02000000f200' + '02007e4f999b95')
})

test('each parity datagram has the free bytes around it that a cipher needs', () => {
  const encoder = make({ headroom: 20, tailroom: 16, maxDatagram: 1370 })
  encode(encoder, [push(0, 1338), push(1, 1338)])
  const last = push(2, 1338)
  const buffer = new Uint8Array(8 + last.length)
  buffer.set(last, 8)
  equal(encoder.add(buffer, 8, buffer.length, 0), 2)
  const [first, second] = encoder.parity as readonly [LentDatagram, LentDatagram]
  equal(first.end - first.start, 1370)
  ok(first.start >= 20 && first.end + 16 <= second.start - 20)
  ok(second.end + 16 <= second.buffer.length)
  // Sealing one in place must not touch the other.
  const expected = hex(taken(second))
  first.buffer.fill(0xee, first.start - 20, first.end + 16)
  equal(hex(taken(second)), expected)
})

test('numbers run over their end to 0, at the end of a group', () => {
  const limit = seqidLimit(5)
  const encoder = make({ firstSeqid: limit - 5 })
  const made = encode(encoder, [push(0), push(1), push(2), push(3)])
  equal(story(made), `${limit - 5}D ${limit - 4}D ${limit - 3}D ${limit - 2}P ${limit - 1}P 0D`)
})

test('numbers run over their end to 0 also where parity was left out', () => {
  const limit = seqidLimit(5)
  const encoder = make({ firstSeqid: limit - 5 })
  const made = [push(0), push(1), push(2), push(3)].flatMap((one, i) => encode(encoder, [one], i * 600))
  equal(story(made), `${limit - 5}D ${limit - 4}D ${limit - 3}D 0D`)
})

test('no parity when the last two of a group are 500 ms apart, but its numbers are used up', () => {
  const encoder = make()
  const at = (now: number): string => story(encode(encoder, [push(now)], now))
  equal([at(1000), at(1100), at(1600)].join(' '), '0D 1D 2D')
  // Only the gap before the last counts.
  equal([at(5000), at(9000), at(9499)].join(' '), '5D 6D 7D 8P 9P')
  // Nor does the gap between two groups.
  equal([at(20_000), at(20_001), at(20_002)].join(' '), '10D 11D 12D 13P 14P')
})

test('a group of one always has its parity', () => {
  const encoder = make({ dataShards: 1, parityShards: 2 })
  equal(story(encode(encoder, [push(0)], 1000)), '0D 1P 2P')
  equal(story(encode(encoder, [push(1)], 9000)), '3D 4P 5P')
})

test('the clock may run over 2^32', () => {
  const encoder = make()
  const at = (now: number): string => story(encode(encoder, [push(1)], now))
  equal([at(0xffff_ff00), at(0xffff_ff80), at(0x10)].join(' '), '0D 1D 2D 3P 4P')
  equal([at(0xffff_ff00), at(0xffff_ff00), at(0x100)].join(' '), '5D 6D 7D')
})

test('what was in a longer shard before is not in the parity of a shorter one', () => {
  const segments = [push(3, 5), push(4, 1), push(5, 9)]
  const used = make()
  encode(used, [push(0, 1300), push(1, 1200), push(2, 1100)])
  const fresh = make({ firstSeqid: 5 })
  deepEqual(encode(used, segments).map(hex), encode(fresh, segments).map(hex))
})

test('trim between two groups changes nothing', () => {
  const first = [push(0), push(1), push(2)]
  const then = [push(3), push(4, 900), push(5)]
  const trimmed = make()
  const other = make()
  encode(trimmed, first)
  encode(other, first)
  trimmed.trim()
  deepEqual(encode(trimmed, then).map(hex), encode(other, then).map(hex))
})

test('a group that was trimmed gets no parity, the next one does', () => {
  const encoder = make()
  encode(encoder, [push(0)])
  encoder.trim()
  equal(story(encode(encoder, [push(1), push(2), push(3), push(4), push(5)])), '1D 2D 5D 6D 7D 8P 9P')
})

test('any sizes up to the largest, and 256 shards in all', () => {
  const encoder = make({ dataShards: 253, parityShards: 3, maxDatagram: 1500 })
  const made = encode(
    encoder,
    Array.from({ length: 253 }, (_, sn) => push(sn, sn === 100 ? 1468 : sn % 50)),
  )
  equal(made.length, 256)
  for (const one of made.slice(253)) equal(one.length, 1500)
  for (const [i, one] of made.slice(0, 253).entries()) equal(readU16(one, 6), one.length - 6, `${i}`)
})

test('what the caller does wrong is thrown', () => {
  const encoder = make({ maxDatagram: 100 })
  throws(() => encoder.add(new Uint8Array(200), 7, 57, 0), /7 bytes in front of a datagram, 8 needed/)
  throws(() => encoder.add(new Uint8Array(200), 8, 101, 0), /a datagram of 101 bytes, at most 100/)
  equal(encoder.add(new Uint8Array(200), 8, 100, 0), 0)
  for (const wrong of [
    { dataShards: 0 },
    { parityShards: 254 },
    { maxDatagram: 7 },
    { maxDatagram: 65_508 },
    { headroom: -1 },
    { tailroom: 0.5 },
    { firstSeqid: 3 },
    { firstSeqid: seqidLimit(5) },
  ]) {
    throws(
      () => make(wrong),
      (error) => KcpError.is(error, 'ERR_KCP_CONFIG'),
      JSON.stringify(wrong),
    )
  }
})
