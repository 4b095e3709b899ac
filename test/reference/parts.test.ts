/**
 * The parts of the engine that have no twin of their own beside their tests. Deadline heap, send window, receive
 * window and ACK list have one in test/core; these are held against the readable engine's wire.ts.
 */
import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { DatagramWriter } from '../../src/core/datagram-writer.ts'
import {
  CMD_AT,
  FRG_AT,
  LEN_AT,
  readU16,
  readU32,
  SN_AT,
  TS_AT,
  UNA_AT,
  WND_AT,
} from '../../src/core/segment.ts'
import { Prng } from '../../src/sim/prng.ts'
import { concat, decode, encode, HEADER, type Segment } from './wire.ts'

function randomSegment(prng: Prng, longest: number): Segment {
  const first = prng.int(0, 255)
  const data = Uint8Array.from({ length: prng.int(0, longest) }, (_, i) => first + i)
  return {
    conv: prng.u32(),
    cmd: prng.int(0, 255),
    frg: prng.int(0, 255),
    wnd: prng.int(0, 65_535),
    ts: prng.u32(),
    sn: prng.u32(),
    una: prng.u32(),
    len: data.length,
    data,
  }
}

test('a datagram that the writer built is its segments, one encoded after another, wherever it built it', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const prng = new Prng(seed)
    // Behind payloads that it must not touch, or in a buffer of its own; too small for some datagrams, or not.
    const base = prng.chance(0.5) ? prng.int(0, 5000) : 0
    const arena = new Uint8Array(base + prng.int(0, 3000)).fill(7)
    const writer = prng.chance(0.3)
      ? new DatagramWriter()
      : new DatagramWriter(arena, new DataView(arena.buffer), base)
    for (let round = 0; round < 60; round++) {
      const where = `seed=${seed} round=${round}`
      const mtu = prng.int(50, 1500)
      const { conv, wnd, una } = randomSegment(prng, 0)
      writer.begin(conv, wnd, una, mtu)
      const parts: Uint8Array[] = []
      for (let i = prng.int(1, 6), left = mtu; i > 0 && left >= HEADER; i--) {
        const segment = { ...randomSegment(prng, left - HEADER), conv, wnd, una }
        const { cmd, frg, ts, sn, len, data } = segment
        writer.buffer.set(data, writer.header(cmd, frg, ts, sn, len))
        left -= HEADER + len
        parts.push(encode(segment))
        equal(writer.used, concat(parts).length, where)
      }
      deepEqual(new Uint8Array(writer.take()), concat(parts), where)
    }
    equal(
      arena.subarray(0, base).every((byte) => byte === 7),
      true,
      `seed=${seed}: what lies before is untouched`,
    )
  }
})

test('a header written elsewhere is the same, and nothing around it changes', () => {
  const prng = new Prng(1)
  const writer = new DatagramWriter()
  for (let i = 0; i < 500; i++) {
    const segment = randomSegment(prng, 0)
    const { conv, cmd, frg, wnd, ts, sn, una, len } = segment
    writer.begin(conv, wnd, una, 50)
    const at = prng.int(0, 7)
    const bytes = new Uint8Array(HEADER + 10).fill(7)
    writer.headerIn(new DataView(bytes.buffer), at, cmd, frg, ts, sn, len)
    const around = [new Uint8Array(at).fill(7), encode(segment), new Uint8Array(10 - at).fill(7)]
    deepEqual(bytes, concat(around))
  }
})

test('headers are read as they were written', () => {
  const prng = new Prng(1)
  for (let i = 0; i < 500; i++) {
    const segment = randomSegment(prng, 20)
    const bytes = concat([new Uint8Array(prng.int(0, 7)), encode(segment)])
    const at = bytes.length - HEADER - segment.len
    deepEqual(decode(bytes, at), segment)
    deepEqual(
      {
        conv: readU32(bytes, at),
        cmd: bytes[at + CMD_AT],
        frg: bytes[at + FRG_AT],
        wnd: readU16(bytes, at + WND_AT),
        ts: readU32(bytes, at + TS_AT),
        sn: readU32(bytes, at + SN_AT),
        una: readU32(bytes, at + UNA_AT),
        len: readU32(bytes, at + LEN_AT),
        data: segment.data,
      },
      segment,
    )
  }
})
