import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { Kcp } from '../../src/core/kcp.ts'
import {
  Command,
  KCP_OVERHEAD,
  putHeader,
  readU16,
  readU32,
  writeHeader,
  writeU16,
  writeU32,
} from '../../src/core/segment.ts'
import { Prng } from '../../src/sim/prng.ts'

/** Bytes of `text`, in which spaces are for the reader. */
function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
}

test('a header is 24 bytes: conv, cmd, frg, wnd, ts, sn, una, len, little-endian', () => {
  const bytes = new Uint8Array(26).fill(0xee)
  writeHeader(bytes, 1, 0x11223344, Command.Push, 2, 0x0180, 0x0a0b0c0d, 7, 0xfffffffe, 0x500)
  //               conv     cmd frg wnd  ts       sn       una      len
  deepEqual(bytes, hex('ee 44332211 51  02  8001 0d0c0b0a 07000000 feffffff 00050000 ee'))
  equal(KCP_OVERHEAD, 24)
})

test('every number is cut to the width of its field', () => {
  const bytes = new Uint8Array(24)
  writeHeader(bytes, 0, 2 ** 32 + 1, 256 + 82, 257, 65_536, -1, -2, 2 ** 32, 2 ** 33 + 5)
  deepEqual(bytes, hex('01000000 52 01 0000 ffffffff feffffff 00000000 05000000'))
})

test('the commands are 81 to 84', () => {
  deepEqual(Command, { Push: 81, Ack: 82, WindowAsk: 83, WindowTell: 84 })
})

test('what is written is read, at any offset', () => {
  const bytes = new Uint8Array(16)
  for (const value of [0, 1, 0x7f, 0x80, 0xffff, 0x8000_0000, 0xffff_ffff]) {
    writeU32(bytes, 3, value)
    equal(readU32(bytes, 3), value)
    writeU16(bytes, 5, value)
    equal(readU16(bytes, 5), value & 0xffff)
  }
})

test('a header of words is the header of bytes, for any numbers', () => {
  const prng = new Prng(7)
  for (let i = 0; i < 2000; i++) {
    const at = prng.int(0, 7)
    const [conv, ts, sn, una, len] = Array.from({ length: 5 }, () => prng.u32()) as [
      number,
      number,
      number,
      number,
      number,
    ]
    const [cmd, frg, wnd] = [prng.int(81, 84), prng.int(0, 255), prng.int(0, 70_000)]
    const plain = new Uint8Array(KCP_OVERHEAD + 8)
    writeHeader(plain, at, conv, cmd, frg, wnd, ts, sn, una, len)
    const fast = new Uint8Array(KCP_OVERHEAD + 8)
    putHeader(new DataView(fast.buffer), at, conv, cmd | (frg << 8) | (wnd << 16), ts, sn, una, len)
    deepEqual(fast, plain)
  }
})

test('an engine sends these bytes, and no others', () => {
  const sent: string[] = []
  const kcp = new Kcp(0x01020304, (datagram) => void sent.push(Buffer.from(datagram).toString('hex')), 'fast')
  kcp.update(0x100)
  kcp.send(hex('616263'))
  kcp.input(hex('04030201 51 00 2000 05000000 00000000 00000000 01000000 7a'), 0x101)
  kcp.input(hex('04030201 53 00 2000 00000000 00000000 00000000 00000000'), 0x101)
  kcp.flush(0x102)
  deepEqual(sent, [
    [
      '04030201 52 00 7f00 05000000 00000000 01000000 00000000',
      '04030201 54 00 7f00 05000000 00000000 01000000 00000000',
      '04030201 51 00 7f00 02010000 00000000 01000000 03000000 616263',
    ]
      .join('')
      .replaceAll(' ', ''),
  ])
})
