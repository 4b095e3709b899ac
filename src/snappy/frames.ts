/**
 * Snappy's framing format over a stream of bytes: what kcptun puts between smux and KCP. Each direction of a session is
 * one such stream. Every byte is judged before anything is allocated for it.
 *
 *     stream = ff 06 00 00 "sNaPpY" | chunks
 *     chunk  = type u8 | size of the body u24 | body
 *     00  compressed: masked CRC-32C u32, block         01  as it is: masked CRC-32C u32, bytes
 *     80..fd  to be skipped   fe  padding   ff  the identifier again   02..7f  not to be understood
 *
 * @module
 */
import { KcpError } from '../core/errors.ts'
import { makeCrc32 } from '../crypto/crc32.ts'
import { BLOCK_MAX, decodeBlock, decodedSize, encodeBlock, encodedBound } from './block.ts'

const IDENTIFIER: Uint8Array = Uint8Array.of(0xff, 6, 0, 0, 0x73, 0x4e, 0x61, 0x50, 0x70, 0x59)
const COMPRESSED = 0x00
const RAW = 0x01
/** Types from here on are skipped, but for the identifier. */
const SKIPPABLE = 0x80
const IDENTIFIED = 0xff
/** Type and size. */
const HEADER = 4
const CHECKSUM = 4
/** The format's limit on what one chunk holds, uncompressed. */
const CHUNK_MAX = BLOCK_MAX
/** So a longer body is no sensible compressed chunk, whatever wrote it. */
const BODY_MAX = CHECKSUM + encodedBound(CHUNK_MAX)
/** Less is not worth a search: a tag of a copy, four bytes to copy from, and the block's size. */
const WORTH_TRYING = 18
/** Longest run of chunks that are not tried once compression has failed again and again. */
const PAUSE_MAX = 32

/** Castagnoli's polynomial (RFC 3720), lowest bit first. */
const crc32c: (bytes: Uint8Array, start: number, end: number) => number = makeCrc32(0x82f6_3b78)

/** The format's mask: a checksum of data that holds checksums is a poor one. */
function maskedCrc(bytes: Uint8Array, start: number, end: number): number {
  const crc = crc32c(bytes, start, end)
  return (((crc >>> 15) | (crc << 17)) + 0xa282_ead8) | 0
}

/** Where a block is tried before it is known to be worth its place. */
const scratch: Uint8Array = new Uint8Array(encodedBound(CHUNK_MAX))

/** One direction, outward. */
export class SnappyEncoder {
  #begun = false
  /** Attempts in a row that saved too little, and chunks still to be sent without one. */
  #misses = 0
  #pause = 0

  /**
   * Chunks that hold `bytes`, in a buffer of their own; the stream's first begin with its identifier. As Go's writer
   * does, a chunk is compressed when that saves an eighth at least.
   */
  encode(bytes: Uint8Array): Uint8Array {
    const chunks = Math.ceil(bytes.length / CHUNK_MAX)
    const output = new Uint8Array(
      (this.#begun ? 0 : IDENTIFIER.length) + bytes.length + chunks * (HEADER + CHECKSUM),
    )
    let at = 0
    if (!this.#begun) {
      this.#begun = true
      output.set(IDENTIFIER)
      at = IDENTIFIER.length
    }
    for (let start = 0; start < bytes.length; start += CHUNK_MAX) {
      at = this.#chunk(bytes, start, Math.min(start + CHUNK_MAX, bytes.length), output, at)
    }
    return output.subarray(0, at)
  }

  #chunk(bytes: Uint8Array, start: number, end: number, output: Uint8Array, at: number): number {
    const crc = maskedCrc(bytes, start, end)
    const packed = this.#tryBlock(bytes, start, end)
    const size = packed === 0 ? end - start : packed
    writeHeader(output, at, packed === 0 ? RAW : COMPRESSED, CHECKSUM + size)
    at += HEADER
    for (let i = 0; i < CHECKSUM; i++) output[at++] = crc >>> (8 * i)
    output.set(packed === 0 ? bytes.subarray(start, end) : scratch.subarray(0, packed), at)
    return at + size
  }

  /** Size of the block in `scratch`, or 0 when it would not pay. */
  #tryBlock(bytes: Uint8Array, start: number, end: number): number {
    const size = end - start
    if (size < WORTH_TRYING) return 0
    if (this.#pause > 0) {
      this.#pause--
      return 0
    }
    const packed = encodeBlock(bytes, start, end, scratch, 0)
    if (packed < size - (size >>> 3)) {
      this.#misses = 0
      return packed
    }
    this.#pause = Math.min(2 ** this.#misses - 1, PAUSE_MAX)
    this.#misses = Math.min(this.#misses + 1, 16)
    return 0
  }
}

/** One direction, inward. Keeps at most one chunk. */
export class SnappyDecoder {
  /** Body of the chunk that is coming in pieces, when it must be seen whole. */
  #body: Uint8Array = new Uint8Array(0)
  readonly #header: Uint8Array = new Uint8Array(HEADER)
  /** Bytes of the header, then of the body, that are there. */
  #headed = 0
  #filled = 0
  /** Bytes of a body that are still to be passed over. */
  #skip = 0
  #begun = false
  #failed: KcpError | undefined

  /**
   * What `bytes` complete, in order; some may be views of `bytes`, the others are the caller's. Throws ERR_KCP_PROTOCOL
   * at a breach of the format, and from then on again: what follows cannot be understood any more.
   */
  decode(bytes: Uint8Array): Uint8Array[] {
    if (this.#failed !== undefined) throw this.#failed
    const output: Uint8Array[] = []
    let at = 0
    while (at < bytes.length) {
      if (this.#skip > 0) {
        const some = Math.min(this.#skip, bytes.length - at)
        this.#skip -= some
        at += some
        continue
      }
      if (this.#headed < HEADER) {
        this.#header[this.#headed++] = bytes[at++]!
        if (this.#headed === HEADER) this.#begin()
        continue
      }
      const size = this.#size
      if (this.#filled === 0 && bytes.length - at >= size) {
        this.#finish(bytes, at, output)
        at += size
        continue
      }
      const some = Math.min(size - this.#filled, bytes.length - at)
      if (this.#filled === 0) this.#body = new Uint8Array(size)
      this.#body.set(bytes.subarray(at, at + some), this.#filled)
      this.#filled += some
      at += some
      if (this.#filled === size) this.#finish(this.#body, 0, output)
    }
    return output
  }

  /** Size of the body that the header tells. */
  get #size(): number {
    return this.#header[1]! | (this.#header[2]! << 8) | (this.#header[3]! << 16)
  }

  /** The header is there: is its chunk acceptable? */
  #begin(): void {
    const type = this.#header[0]!
    const size = this.#size
    if (!this.#begun && type !== IDENTIFIED) {
      this.#fail(`it does not begin with the identifier of snappy's framing, but with a byte ${type}`)
    }
    this.#filled = 0
    if (type === IDENTIFIED) {
      if (size !== IDENTIFIER.length - HEADER) this.#fail(`an identifier of ${size} bytes`)
    } else if (type === COMPRESSED || type === RAW) {
      const most = type === RAW ? CHECKSUM + CHUNK_MAX : BODY_MAX
      if (size < CHECKSUM || size > most) this.#fail(`a chunk of type ${type} with ${size} bytes`)
    } else if (type >= SKIPPABLE) {
      this.#skip = size
      this.#headed = 0
    } else this.#fail(`a chunk of type ${type}, which cannot be skipped`)
  }

  /** The body lies in `bytes` from `at`. */
  #finish(bytes: Uint8Array, at: number, output: Uint8Array[]): void {
    const type = this.#header[0]!
    const end = at + this.#size
    this.#headed = 0
    this.#filled = 0
    this.#body = NOTHING
    if (type === IDENTIFIED) {
      for (let i = HEADER; i < IDENTIFIER.length; i++) {
        if (bytes[at + i - HEADER] !== IDENTIFIER[i]) this.#fail('an identifier that is not sNaPpY')
      }
      this.#begun = true
      return
    }
    const start = at + CHECKSUM
    let plain: Uint8Array
    if (type === RAW) plain = bytes.subarray(start, end)
    else {
      const size = decodedSize(bytes, start, end)
      if (size < 0 || size > CHUNK_MAX) this.#fail(`a compressed chunk of ${size} bytes`)
      plain = new Uint8Array(size)
      if (!decodeBlock(bytes, start, end, plain)) this.#fail('a compressed chunk that is no block')
    }
    const crc = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    if (maskedCrc(plain, 0, plain.length) !== crc) this.#fail('a chunk with a wrong checksum')
    if (plain.length > 0) output.push(plain)
  }

  #fail(what: string): never {
    this.#failed = new KcpError('ERR_KCP_PROTOCOL', `the compressed stream is broken: ${what}`)
    throw this.#failed
  }
}

const NOTHING: Uint8Array = new Uint8Array(0)

function writeHeader(output: Uint8Array, at: number, type: number, size: number): void {
  output[at] = type
  output[at + 1] = size
  output[at + 2] = size >>> 8
  output[at + 3] = size >>> 16
}
