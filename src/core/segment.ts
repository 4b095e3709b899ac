/**
 * The one thing that KCP puts on the wire: a 24-byte little-endian header, then the payload.
 * A datagram is one or more of these, back to back.
 *
 *      0       4   5   6       8
 *      ├───────┼───┼───┼───────┤
 *      │ conv  │cmd│frg│  wnd  │     conv  conversation id, the same both ways
 *      ├───────┴───┴───┼───────┤     frg   fragments of this message that still follow
 *    8 │      ts       │  sn   │     wnd   free receive slots of the sender of this segment
 *      ├───────────────┼───────┤     ts    PUSH: sender's clock, ms · ACK: the ts of the PUSH it answers
 *   16 │      una      │  len  │     sn    PUSH: its number · ACK: the number it answers
 *      ├───────────────┴───────┤     una   next sn that the sender of this segment expects
 *   24 │ payload: len bytes    │
 *      └───────────────────────┘
 *
 * This file knows the layout and nothing of its meaning.
 * @module
 */

/** Bytes of a segment's header. */
export const KCP_OVERHEAD = 24

/** What a segment is. Upstream's IKCP_CMD_*; anything else is refused. */
export const Command = {
  /** Data. */
  Push: 81,
  /** One PUSH arrived. */
  Ack: 82,
  /** "How large is your window?" (WASK) */
  WindowAsk: 83,
  /** "My window is this large." (WINS) */
  WindowTell: 84,
} as const

/** Byte offsets inside the header. */
export const CMD_AT = 4
export const FRG_AT = 5
export const WND_AT = 6
export const TS_AT = 8
export const SN_AT = 12
export const UNA_AT = 16
export const LEN_AT = 20

export function readU16(from: Uint8Array, at: number): number {
  return from[at]! | (from[at + 1]! << 8)
}

export function readU32(from: Uint8Array, at: number): number {
  return (from[at]! | (from[at + 1]! << 8) | (from[at + 2]! << 16) | (from[at + 3]! << 24)) >>> 0
}

export function writeU16(into: Uint8Array, at: number, value: number): void {
  into[at] = value
  into[at + 1] = value >>> 8
}

export function writeU32(into: Uint8Array, at: number, value: number): void {
  into[at] = value
  into[at + 1] = value >>> 8
  into[at + 2] = value >>> 16
  into[at + 3] = value >>> 24
}

/**
 * Writes one header as six words, of which `word` is cmd, frg << 8 and wnd << 16. As `writeHeader`, to which a test holds
 * it, at a third of the cost for who has a DataView: `npm run bench -- --only engine`.
 */
export function putHeader(
  into: DataView,
  at: number,
  conv: number,
  word: number,
  ts: number,
  sn: number,
  una: number,
  len: number,
): void {
  into.setInt32(at, conv, true)
  into.setInt32(at + CMD_AT, word, true)
  into.setInt32(at + TS_AT, ts, true)
  into.setInt32(at + SN_AT, sn, true)
  into.setInt32(at + UNA_AT, una, true)
  into.setInt32(at + LEN_AT, len, true)
}

/** Writes one header at `at`. Every number is cut to its field's width, as C's casts do. */
export function writeHeader(
  into: Uint8Array,
  at: number,
  conv: number,
  cmd: number,
  frg: number,
  wnd: number,
  ts: number,
  sn: number,
  una: number,
  len: number,
): void {
  writeU32(into, at, conv)
  into[at + CMD_AT] = cmd
  into[at + FRG_AT] = frg
  writeU16(into, at + WND_AT, wnd)
  writeU32(into, at + TS_AT, ts)
  writeU32(into, at + SN_AT, sn)
  writeU32(into, at + UNA_AT, una)
  writeU32(into, at + LEN_AT, len)
}
