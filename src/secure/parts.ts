/**
 * Datagrams in parts: a segment that was cut for a larger path keeps its size, so when the path shrinks its datagram goes
 * in several records, and the receiver joins them. The KCP engine above retransmits a datagram of which a part is lost.
 *
 *     0      2            4           6
 *     │ id   │ offset     │ total     │ bytes of the datagram      (numbers are u16, little-endian)
 *
 * @module
 */

/** Bytes in front of the part itself. */
export const PART_HEAD = 6
/** Datagrams that wait for parts at once: as many as a burst of them that a path reorders. */
const DATAGRAMS_MAX = 16
/** Bytes of all of them; the largest datagram fits. */
const BYTES_MAX = 65_536

/** The body of the part that begins at `at` and holds `size` bytes, or what is left. */
export function partOf(datagram: Uint8Array, id: number, at: number, size: number): Uint8Array {
  const part = datagram.subarray(at, at + size)
  const body = new Uint8Array(PART_HEAD + part.length)
  writeU16(body, 0, id)
  writeU16(body, 2, at)
  writeU16(body, 4, datagram.length)
  body.set(part, PART_HEAD)
  return body
}

interface Partial {
  readonly bytes: Uint8Array
  missing: number
}

/** What one peer has sent of its datagrams. It is authenticated, so what a wrong part spoils is its own. */
export class PartStore {
  /** By id, oldest first. */
  private readonly datagrams: Map<number, Partial> = new Map()
  private held = 0

  /** Datagrams that wait for parts, and the bytes that they take. */
  get size(): number {
    return this.datagrams.size
  }
  get bytes(): number {
    return this.held
  }

  /** Takes a part. The datagram when it is complete, null when parts are missing, undefined when the part is malformed. */
  add(body: Uint8Array): Uint8Array | null | undefined {
    const length = body.length - PART_HEAD
    if (length <= 0) return undefined
    const [id, at, total] = [readU16(body, 0), readU16(body, 2), readU16(body, 4)]
    if (at + length > total) return undefined
    let partial = this.datagrams.get(id)
    if (partial?.bytes.length !== total) {
      // Numbers come round: the former datagram of this one is long given up.
      this.drop(id)
      partial = { bytes: new Uint8Array(total), missing: total }
      this.makeRoom(total)
      this.datagrams.set(id, partial)
      this.held += total
    }
    partial.bytes.set(body.subarray(PART_HEAD), at)
    partial.missing -= length
    if (partial.missing > 0) return null
    this.drop(id)
    return partial.bytes
  }

  private makeRoom(bytes: number): void {
    for (const id of this.datagrams.keys()) {
      if (this.datagrams.size < DATAGRAMS_MAX && this.held + bytes <= BYTES_MAX) return
      this.drop(id)
    }
  }

  private drop(id: number): void {
    const partial = this.datagrams.get(id)
    if (partial === undefined) return
    this.held -= partial.bytes.length
    this.datagrams.delete(id)
  }
}

function readU16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8)
}

function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 0xff
  bytes[at + 1] = value >> 8
}
