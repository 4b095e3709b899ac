/** Frames as they stand on the wire, and the parser over any pieces. */
import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { Prng } from '../../src/sim/index.ts'
import {
  FrameCommand,
  FrameParser,
  type SmuxVersion,
  writeFrameHeader,
  writeUpdate,
} from '../../src/smux/frame.ts'
import { bytesOf, hexOf } from './support.ts'

/** What a parser found, as lines; the pieces of a payload joined. */
function parse(version: SmuxVersion, pieces: readonly Uint8Array[]): { lines: string[]; fault?: string } {
  const lines: string[] = []
  const names = ['SYN', 'FIN', 'PSH', 'NOP', 'UPD']
  const parser = new FrameParser(version, {
    onFrame: (command, id, length) => lines.push(`${names[command]} ${id} ${length} `),
    onData: (_, bytes) => {
      lines.push(lines.pop()! + hexOf(bytes))
    },
    onUpdate: (id, consumed, window) => lines.push(`${id} read ${consumed} of ${window}`),
  })
  for (const piece of pieces) {
    let at = 0
    while (at < piece.length && parser.fault === undefined) at = parser.step(piece, at)
  }
  return parser.fault === undefined ? { lines } : { lines, fault: parser.fault }
}

const headers: readonly [string, SmuxVersion, FrameCommand, number, number][] = [
  ['0100000003000000', 1, FrameCommand.Syn, 0, 3],
  ['0101000005000000', 1, FrameCommand.Fin, 0, 5],
  ['0102001003000000', 1, FrameCommand.Push, 4096, 3],
  ['0202ffff04030201', 2, FrameCommand.Push, 65_535, 0x01020304],
  ['0203000000000000', 2, FrameCommand.Nop, 0, 0],
  ['02010000ffffffff', 2, FrameCommand.Fin, 0, 0xffff_ffff],
]

test('headers are eight bytes, little-endian', () => {
  for (const [hex, version, command, length, id] of headers) {
    const bytes = new Uint8Array(10).fill(0xaa)
    equal(writeFrameHeader(bytes, 1, version, command, length, id), 9)
    equal(hexOf(bytes), `aa${hex}aa`)
  }
})

test('a UPD tells what was consumed and the window, modulo 2^32', () => {
  const bytes = new Uint8Array(16)
  // What kcptun's client sends after its first read of five bytes.
  equal(writeUpdate(bytes, 0, 2, 3, 5, 2_097_152), 16)
  equal(hexOf(bytes), '02040800030000000500000000002000')
  writeUpdate(bytes, 0, 2, 3, 2 ** 32 + 7, 65_536)
  equal(hexOf(bytes), '02040800030000000700000000000100')
})

const TALK =
  '0200000003000000 0202050003000000 68656c6c6f 0204080003000000 ffffffff 00000080' +
  '0202000003000000 0203000000000000 0202010003000000 21 0201000003000000'
const SAID = [
  'SYN 3 0 ',
  'PSH 3 5 68656c6c6f',
  'UPD 3 8 ',
  '3 read 4294967295 of 2147483648',
  'PSH 3 0 ',
  'NOP 0 0 ',
  'PSH 3 1 21',
  'FIN 3 0 ',
]

test('frames are found in pieces of any size', () => {
  const bytes = bytesOf(TALK)
  for (let size = 1; size <= bytes.length; size++) {
    const pieces: Uint8Array[] = []
    for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size))
    deepEqual(parse(2, pieces), { lines: SAID }, `pieces of ${size}`)
  }
  for (let seed = 1; seed <= 200; seed++) {
    const prng = new Prng(seed)
    const pieces: Uint8Array[] = []
    for (let at = 0; at < bytes.length; ) {
      const size = prng.int(0, 12)
      pieces.push(bytes.subarray(at, at + size))
      at += size
    }
    deepEqual(parse(2, pieces), { lines: SAID }, `seed ${seed}`)
  }
})

test('what no frame of the version begins with is a fault, told by the first byte', () => {
  for (const hex of ['02', '00', '48545450', '0203000000000000']) {
    deepEqual(parse(1, [bytesOf(hex)]), { lines: [], fault: 'version' }, hex)
  }
  deepEqual(parse(2, [bytesOf('0103000000000000')]), { lines: [], fault: 'version' })
})

test('unknown commands and impossible lengths are faults, after the frames before them', () => {
  const nop = '0203000000000000'
  for (const [hex, fault] of [
    ['0205000003000000', 'command'],
    ['02ff000003000000', 'command'],
    ['0200010003000000', 'length'],
    ['0201000103000000', 'length'],
    ['0203080000000000', 'length'],
    ['0204070003000000', 'length'],
    ['0204000003000000', 'length'],
  ] as const) {
    const pieces = [...bytesOf(nop + hex)].map((byte) => Uint8Array.of(byte))
    deepEqual(parse(2, pieces), { lines: ['NOP 0 0 '], fault }, hex)
    deepEqual(parse(2, [bytesOf(nop + hex)]), { lines: ['NOP 0 0 '], fault }, hex)
  }
  deepEqual(parse(1, [bytesOf('0104080003000000')]), { lines: [], fault: 'command' }, 'UPD in version 1')
})

test('after a fault nothing is taken', () => {
  const parser = new FrameParser(1, {
    onFrame: () => {
      throw new Error('a frame')
    },
    onData: () => undefined,
    onUpdate: () => undefined,
  })
  equal(parser.step(bytesOf('09'), 0), 0)
  equal(parser.step(bytesOf('0103000000000000'), 0), 0)
  equal(parser.fault, 'version')
})
