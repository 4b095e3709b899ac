/**
 * What kcp-go's FEC puts in front of the segments of a datagram. Little-endian.
 *
 *      0       4     6     8
 *      ├───────┼─────┼─────┼──────────┐
 *      │ seqid │ f1  │size │ segments │   data      size = 2 + bytes of segments
 *      ├───────┼─────┼─────┴──────────┤
 *      │ seqid │ f2  │ parity         │   parity    of everything from `size` on
 *      ├───────┼─────┼─────┬──────┬───┴─────┐
 *      │ffffffff│ f3 │size │ conv │ payload │   out of band      size = 6 + bytes of payload
 *      └───────┴─────┴─────┴──────┴─────────┘
 *
 * A datagram without FEC has a segment's command at offset 4, so the four kinds can be told apart, and mixed.
 * This file knows the layout; `encoder.ts` and `decoder.ts` know what it means.
 * @module
 */
import {
  CMD_AT,
  Command,
  KCP_OVERHEAD,
  LEN_AT,
  readU16,
  readU32,
  writeU16,
  writeU32,
} from '../core/segment.ts'

/** seqid and type: what is in front of a shard. */
export const SHARD_AT = 6
/** Bytes in front of the segments of a data datagram; taken off the mtu. */
export const FEC_OVERHEAD = 8
/** Bytes in front of the payload of an out-of-band datagram. */
export const OUT_OF_BAND_OVERHEAD = 12

const TYPE_AT = 4
const SIZE_AT = 6
const CONV_AT = 8

const TYPE_DATA = 0xf1
const TYPE_PARITY = 0xf2
const TYPE_OUT_OF_BAND = 0xf3

/**
 * seqids run below this and then begin again at 0: the largest multiple of a group's `shards` that fits, so that groups
 * always begin at multiples.
 */
export function seqidLimit(shards: number): number {
  return Math.floor(0xffff_ffff / shards) * shards
}

/** The seqid of out-of-band datagrams, which are in no group. */
const NO_SEQID = 0xffff_ffff

/** What a datagram is, before anything in it is believed. */
export const FecKind = {
  /** No FEC: segments, or nothing of ours. The engine will tell. */
  Bare: 0,
  /** Segments behind FEC_OVERHEAD bytes. */
  Data: 1,
  Parity: 2,
  /** A payload behind OUT_OF_BAND_OVERHEAD bytes. */
  OutOfBand: 3,
  /** The type says FEC, and the lengths say otherwise. */
  Malformed: 4,
} as const
export type FecKind = (typeof FecKind)[keyof typeof FecKind]

/** What the datagram `buffer[start, end)` is. Looks at nothing outside of it. */
export function fecKind(buffer: Uint8Array, start: number, end: number): FecKind {
  const size = end - start
  if (size < SHARD_AT) return FecKind.Bare
  switch (readU16(buffer, start + TYPE_AT)) {
    case TYPE_DATA:
      if (size < FEC_OVERHEAD || readU16(buffer, start + SIZE_AT) !== size - SIZE_AT) return FecKind.Malformed
      return FecKind.Data
    case TYPE_PARITY:
      // Less than a size field cannot be the parity of anything.
      return size < FEC_OVERHEAD ? FecKind.Malformed : FecKind.Parity
    case TYPE_OUT_OF_BAND:
      if (size < OUT_OF_BAND_OVERHEAD || readU16(buffer, start + SIZE_AT) !== size - SIZE_AT) {
        return FecKind.Malformed
      }
      return FecKind.OutOfBand
    default:
      return FecKind.Bare
  }
}

/**
 * For an end without FEC whose peer has it: bytes in front of the segments of `buffer[start, end)`, or -1 when it has none
 * for the engine. Data datagrams hold all that the peer says; parity helps only who knows how it was made.
 */
export function skipFec(buffer: Uint8Array, start: number, end: number): number {
  const kind = fecKind(buffer, start, end)
  return kind === FecKind.Bare ? 0 : kind === FecKind.Data ? FEC_OVERHEAD : -1
}

/** The number of the data or parity datagram at `start`. */
export function readSeqid(buffer: Uint8Array, start: number): number {
  return readU32(buffer, start)
}

/** Writes the FEC_OVERHEAD bytes in front of the segments `buffer[start, end)`. */
export function writeDataHeader(buffer: Uint8Array, start: number, end: number, seqid: number): void {
  const at = start - FEC_OVERHEAD
  writeU32(buffer, at, seqid)
  writeU16(buffer, at + TYPE_AT, TYPE_DATA)
  writeU16(buffer, at + SIZE_AT, end - at - SIZE_AT)
}

/** Writes the SHARD_AT bytes in front of the parity at `start`. */
export function writeParityHeader(buffer: Uint8Array, start: number, seqid: number): void {
  writeU32(buffer, start - SHARD_AT, seqid)
  writeU16(buffer, start - SHARD_AT + TYPE_AT, TYPE_PARITY)
}

/** Writes the OUT_OF_BAND_OVERHEAD bytes in front of the payload `buffer[start, end)`. */
export function writeOutOfBandHeader(buffer: Uint8Array, start: number, end: number, conv: number): void {
  const at = start - OUT_OF_BAND_OVERHEAD
  writeU32(buffer, at, NO_SEQID)
  writeU16(buffer, at + TYPE_AT, TYPE_OUT_OF_BAND)
  writeU16(buffer, at + SIZE_AT, end - at - SIZE_AT)
  writeU32(buffer, at + CONV_AT, conv)
}

/** The conversation of the out-of-band datagram at `start`. */
export function readOutOfBandConv(buffer: Uint8Array, start: number): number {
  return readU32(buffer, start + CONV_AT)
}

/** Whether `buffer[start, end)` is segments of `conv` from the first to the last: at least one, and nothing behind. */
export function areSegments(buffer: Uint8Array, start: number, end: number, conv: number): boolean {
  if (start === end) return false
  let at = start
  while (at < end) {
    if (end - at < KCP_OVERHEAD || readU32(buffer, at) !== conv) return false
    const cmd = buffer[at + CMD_AT]!
    if (cmd < Command.Push || cmd > Command.WindowTell) return false
    const len = readU32(buffer, at + LEN_AT)
    if (len > end - at - KCP_OVERHEAD) return false
    at += KCP_OVERHEAD + len
  }
  return true
}
