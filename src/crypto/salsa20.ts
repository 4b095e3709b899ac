/**
 * Salsa20/20 (Bernstein, 2005) as kcp-go uses it: the datagram's first 8 bytes are the nonce and stay as they are, the
 * key stream begins behind them.
 * @module
 */
import { ByteView, rotl, xorKeyStream } from './byte-view.ts'
import type { Scrambler } from './classic-packets.ts'

/** Bytes at the front that are the nonce. */
const NONCE = 8
/** "expand 32-byte k". */
const SIGMA: readonly number[] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]

/** @param key up to 32 bytes; kcp-go fills shorter ones with zeros. */
export function salsa20(key: Uint8Array): Scrambler {
  if (key.length < 1 || key.length > 32) {
    throw new RangeError(`the key of Salsa20 has 1 to 32 bytes, not ${key.length}`)
  }
  const padded = new Uint8Array(32)
  padded.set(key)
  const k = new DataView(padded.buffer)
  const state = new Int32Array(16)
  for (let i = 0; i < 4; i++) {
    state[5 * i] = SIGMA[i]!
    state[1 + i] = k.getInt32(4 * i, true)
    state[11 + i] = k.getInt32(16 + 4 * i, true)
  }
  const view = new ByteView()
  const both = (buffer: Uint8Array, start: number, end: number): void =>
    apply(state, view.of(buffer), buffer.byteOffset + start, buffer.byteOffset + end)
  return { encrypt: both, decrypt: both }
}

const stream = new Int32Array(16)

function apply(state: Int32Array, view: DataView, at: number, end: number): void {
  if (end - at < NONCE) return
  state[6] = view.getInt32(at, true)
  state[7] = view.getInt32(at + 4, true)
  state[8] = 0
  for (at += NONCE; at < end; at += 64) {
    salsa20Block(state, stream)
    xorKeyStream(view, at, end, stream)
    state[8] = state[8]! + 1
  }
}

/** One block of key stream: ten times a column round and a row round, added to where it began. */
function salsa20Block(state: Int32Array, out: Int32Array): void {
  let x0 = state[0]!
  let x1 = state[1]!
  let x2 = state[2]!
  let x3 = state[3]!
  let x4 = state[4]!
  let x5 = state[5]!
  let x6 = state[6]!
  let x7 = state[7]!
  let x8 = state[8]!
  let x9 = state[9]!
  let x10 = state[10]!
  let x11 = state[11]!
  let x12 = state[12]!
  let x13 = state[13]!
  let x14 = state[14]!
  let x15 = state[15]!
  for (let i = 0; i < 10; i++) {
    x4 ^= rotl((x0 + x12) | 0, 7)
    x8 ^= rotl((x4 + x0) | 0, 9)
    x12 ^= rotl((x8 + x4) | 0, 13)
    x0 ^= rotl((x12 + x8) | 0, 18)
    x9 ^= rotl((x5 + x1) | 0, 7)
    x13 ^= rotl((x9 + x5) | 0, 9)
    x1 ^= rotl((x13 + x9) | 0, 13)
    x5 ^= rotl((x1 + x13) | 0, 18)
    x14 ^= rotl((x10 + x6) | 0, 7)
    x2 ^= rotl((x14 + x10) | 0, 9)
    x6 ^= rotl((x2 + x14) | 0, 13)
    x10 ^= rotl((x6 + x2) | 0, 18)
    x3 ^= rotl((x15 + x11) | 0, 7)
    x7 ^= rotl((x3 + x15) | 0, 9)
    x11 ^= rotl((x7 + x3) | 0, 13)
    x15 ^= rotl((x11 + x7) | 0, 18)
    x1 ^= rotl((x0 + x3) | 0, 7)
    x2 ^= rotl((x1 + x0) | 0, 9)
    x3 ^= rotl((x2 + x1) | 0, 13)
    x0 ^= rotl((x3 + x2) | 0, 18)
    x6 ^= rotl((x5 + x4) | 0, 7)
    x7 ^= rotl((x6 + x5) | 0, 9)
    x4 ^= rotl((x7 + x6) | 0, 13)
    x5 ^= rotl((x4 + x7) | 0, 18)
    x11 ^= rotl((x10 + x9) | 0, 7)
    x8 ^= rotl((x11 + x10) | 0, 9)
    x9 ^= rotl((x8 + x11) | 0, 13)
    x10 ^= rotl((x9 + x8) | 0, 18)
    x12 ^= rotl((x15 + x14) | 0, 7)
    x13 ^= rotl((x12 + x15) | 0, 9)
    x14 ^= rotl((x13 + x12) | 0, 13)
    x15 ^= rotl((x14 + x13) | 0, 18)
  }
  out[0] = x0 + state[0]!
  out[1] = x1 + state[1]!
  out[2] = x2 + state[2]!
  out[3] = x3 + state[3]!
  out[4] = x4 + state[4]!
  out[5] = x5 + state[5]!
  out[6] = x6 + state[6]!
  out[7] = x7 + state[7]!
  out[8] = x8 + state[8]!
  out[9] = x9 + state[9]!
  out[10] = x10 + state[10]!
  out[11] = x11 + state[11]!
  out[12] = x12 + state[12]!
  out[13] = x13 + state[13]!
  out[14] = x14 + state[14]!
  out[15] = x15 + state[15]!
}
