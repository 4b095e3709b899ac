/**
 * Snappy's block format, both ways: literals, and copies of what came up to 64 KiB before. Knows nothing of chunks and
 * checksums; see `frames.ts`.
 *
 *     block = decoded size (varint) | elements
 *     literal  xxxxxx00  size - 1 in the upper six bits; from 60 on in the next 1..4 bytes
 *     copy     ooolll01  size - 4 (3 bits), offset (11 bits: these three, then a byte)
 *     copy     llllll10  size - 1, offset in 2 bytes          llllll11  the same with 4 bytes
 *
 * @module
 */
import { ByteView } from '../crypto/byte-view.ts'

/** A block that is encoded here has at most so many bytes, so that offsets fit 2 bytes and positions the table. */
export const BLOCK_MAX = 65_536
/** Copies shorter than a literal's tag and themselves save nothing. */
const MATCH_MIN = 4
/** No search that near the end: four bytes are read ahead of every place that is looked at. */
const MARGIN = 15
/** Entries of the table of places: 256 for small blocks, which then need not clear more. */
const TABLE_BITS_MIN = 8
const TABLE_BITS_MAX = 14
/** 2^32 / golden ratio, odd (Knuth, 6.4): spreads four bytes over the table. */
const SPREAD = 0x9e37_79b1
/** After so many places without a match two are left out at a time, and so on: noise costs little. As 2^SKIP_BITS. */
const SKIP_BITS = 5
/** Below this a loop is faster than a view and `set`. */
const LOOP_MAX = 24

/** Most bytes that `encodeBlock` writes for `size` bytes: all literal, and what a search may waste. */
export function encodedBound(size: number): number {
  return 32 + size + Math.floor(size / 6)
}

/** The size that a block says it decodes to; -1 when that is no varint of 32 bits. */
export function decodedSize(input: Uint8Array, start: number, end: number): number {
  let size = 0
  for (let i = 0; i < 5 && start + i < end; i++) {
    const byte = input[start + i]!
    if (i === 4 && byte > 0x0f) return -1
    size += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return size
  }
  return -1
}

/**
 * Decodes `input[start, end)` into `output`, which is as long as `decodedSize` said. False unless every element lies
 * within the input, refers to what is there, and all together fill the output exactly.
 */
export function decodeBlock(input: Uint8Array, start: number, end: number, output: Uint8Array): boolean {
  let at = start
  while (at < end && input[at]! >= 0x80) at++
  at++
  const size = output.length
  let to = 0
  while (at < end) {
    const tag = input[at++]!
    let length = (tag >>> 2) + 1
    if ((tag & 3) === 0) {
      if (length > 60) {
        const bytes = length - 60
        if (at + bytes > end) return false
        length = littleEndian(input, at, bytes) + 1
        at += bytes
      }
      if (length > end - at || length > size - to) return false
      if (length <= LOOP_MAX) {
        for (let i = 0; i < length; i++) output[to + i] = input[at + i]!
      } else output.set(input.subarray(at, at + length), to)
      at += length
      to += length
      continue
    }
    let offset: number
    if ((tag & 3) === 1) {
      if (at >= end) return false
      length = ((tag >>> 2) & 7) + 4
      offset = ((tag >>> 5) << 8) | input[at]!
      at++
    } else {
      const bytes = (tag & 3) === 2 ? 2 : 4
      if (at + bytes > end) return false
      offset = littleEndian(input, at, bytes)
      at += bytes
    }
    if (offset === 0 || offset > to || length > size - to) return false
    // One by one: a copy may reach into what it writes, which repeats.
    for (let i = 0; i < length; i++) output[to + i] = output[to - offset + i]!
    to += length
  }
  return to === size
}

const view = new ByteView()
/** Where four bytes with this hash were last, from the block's start. */
const table = new Uint16Array(1 << TABLE_BITS_MAX)

/**
 * Encodes `input[start, end)`, up to `BLOCK_MAX` bytes, into `output` from `at`, which has room for `encodedBound`.
 * Returns where it ended.
 */
export function encodeBlock(
  input: Uint8Array,
  start: number,
  end: number,
  output: Uint8Array,
  at: number,
): number {
  const size = end - start
  at = writeVarint(size, output, at)
  let literal = start
  if (size > MARGIN) {
    const words = view.of(input)
    const base = input.byteOffset
    let bits = TABLE_BITS_MIN
    while (bits < TABLE_BITS_MAX && 1 << bits < size) bits++
    const shift = 32 - bits
    table.fill(0, 0, 1 << bits)
    const limit = end - MARGIN
    let here = start + 1
    let skip = 1 << SKIP_BITS
    while (here <= limit) {
      const word = words.getInt32(base + here, true)
      const slot = Math.imul(word, SPREAD) >>> shift
      const there = start + table[slot]!
      table[slot] = here - start
      if (there >= here || words.getInt32(base + there, true) !== word) {
        here += skip++ >>> SKIP_BITS
        continue
      }
      let length = MATCH_MIN
      while (here + length < end && input[there + length] === input[here + length]) length++
      at = writeLiteral(input, literal, here, output, at)
      at = writeCopy(here - there, length, output, at)
      here += length
      literal = here
      skip = 1 << SKIP_BITS
      // The place before the next one too: what repeats often begins one byte earlier.
      if (here <= limit) {
        table[Math.imul(words.getInt32(base + here - 1, true), SPREAD) >>> shift] = here - 1 - start
      }
    }
  }
  return literal < end ? writeLiteral(input, literal, end, output, at) : at
}

function writeLiteral(input: Uint8Array, start: number, end: number, output: Uint8Array, at: number): number {
  const length = end - start
  if (length === 0) return at
  if (length <= 60) output[at++] = (length - 1) << 2
  else {
    const bytes = length <= 256 ? 1 : 2
    output[at++] = (59 + bytes) << 2
    output[at++] = length - 1
    if (bytes === 2) output[at++] = (length - 1) >>> 8
  }
  if (length <= LOOP_MAX) {
    for (let i = 0; i < length; i++) output[at + i] = input[start + i]!
  } else output.set(input.subarray(start, end), at)
  return at + length
}

function writeCopy(offset: number, length: number, output: Uint8Array, at: number): number {
  // What is left after pieces of 64 must be 4 at least, for the short form.
  while (length >= 68) {
    at = writeLongCopy(offset, 64, output, at)
    length -= 64
  }
  if (length > 64) {
    at = writeLongCopy(offset, 60, output, at)
    length -= 60
  }
  if (length >= 12 || offset >= 2048) return writeLongCopy(offset, length, output, at)
  output[at] = 1 | ((length - 4) << 2) | ((offset >>> 8) << 5)
  output[at + 1] = offset
  return at + 2
}

function writeLongCopy(offset: number, length: number, output: Uint8Array, at: number): number {
  output[at] = 2 | ((length - 1) << 2)
  output[at + 1] = offset
  output[at + 2] = offset >>> 8
  return at + 3
}

function writeVarint(value: number, output: Uint8Array, at: number): number {
  while (value >= 0x80) {
    output[at++] = value | 0x80
    value >>>= 7
  }
  output[at++] = value
  return at
}

/** An unsigned number of `bytes` bytes. */
function littleEndian(input: Uint8Array, at: number, bytes: number): number {
  let value = 0
  for (let i = bytes - 1; i >= 0; i--) value = value * 256 + input[at + i]!
  return value
}
