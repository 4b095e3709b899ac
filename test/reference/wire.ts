/**
 * What the readable engine puts on the wire and takes from it, and the arithmetic of numbers that wrap. Shares nothing
 * with src: a mistake there must not be repeated here.
 * @module
 */

export const HEADER = 24
export const PUSH = 81
export const ACK = 82
export const WASK = 83
export const WINS = 84

export interface Segment {
  readonly conv: number
  readonly cmd: number
  readonly frg: number
  readonly wnd: number
  readonly ts: number
  readonly sn: number
  readonly una: number
  /** As the header says; of a datagram that was cut short there are fewer bytes of `data`. */
  readonly len: number
  readonly data: Uint8Array
}

/** Header and payload; a number that is too wide for its field loses its upper bits, as in C. */
export function encode(segment: Segment): Uint8Array {
  const { conv, cmd, frg, wnd, ts, sn, una, len, data } = segment
  const bytes = new Uint8Array(HEADER + data.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, conv, true)
  view.setUint8(4, cmd)
  view.setUint8(5, frg)
  view.setUint16(6, wnd, true)
  for (const [i, word] of [ts, sn, una, len].entries()) view.setUint32(8 + 4 * i, word, true)
  bytes.set(data, HEADER)
  return bytes
}

/** The segment that begins at `at`, where at least a header must be. */
export function decode(datagram: Uint8Array, at: number): Segment {
  const view = new DataView(datagram.buffer, datagram.byteOffset + at, HEADER)
  const [ts, sn, una, len] = [8, 12, 16, 20].map((i) => view.getUint32(i, true)) as [
    number,
    number,
    number,
    number,
  ]
  const data = datagram.slice(at + HEADER, at + HEADER + len)
  const [cmd, frg] = [view.getUint8(4), view.getUint8(5)]
  return { conv: view.getUint32(0, true), cmd, frg, wnd: view.getUint16(6, true), ts, sn, una, len, data }
}

/** C's IUINT32 and IINT32. */
export const u32 = (value: number): number => value >>> 0
export const i32 = (value: number): number => value | 0

/** How far `a` is ahead of `b`, for numbers and times alike; negative: behind. */
export function diff(a: number, b: number): number {
  return i32(a - b)
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** Whether a time of the past is more than 2^30 ms old, or seems to lie more than ten seconds ahead as it wrapped. */
export function isOld(at: number, now: number): boolean {
  const age = diff(now, at)
  return age > 2 ** 30 || age < -10_000
}
