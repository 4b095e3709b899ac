/**
 * Segments and datagrams as the tests of FEC need them.
 * @module
 */
import { Command, KCP_OVERHEAD, writeHeader } from '../../src/core/segment.ts'
import type { FecEncoder } from '../../src/fec/encoder.ts'
import type { LentDatagram } from '../../src/fec/lent.ts'

export const CONV = 0x1122_3344

/** One PUSH of `size` bytes that `sn` tells apart. */
export function push(sn: number, size: number = 20, conv: number = CONV): Uint8Array {
  const segment = new Uint8Array(KCP_OVERHEAD + size)
  writeHeader(segment, 0, conv, Command.Push, 0, 128, 5, sn, 0, size)
  for (let i = 0; i < size; i++) segment[KCP_OVERHEAD + i] = sn * 31 + i * 7
  return segment
}

/** A copy of what was lent. */
export function taken({ buffer, start, end }: LentDatagram): Uint8Array {
  return buffer.slice(start, end)
}

export function fromHex(digits: string): Uint8Array {
  return new Uint8Array(Buffer.from(digits, 'hex'))
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** Sends segments through an encoder: every datagram that it makes of them, in order. */
export function encode(encoder: FecEncoder, segments: readonly Uint8Array[], now: number = 0): Uint8Array[] {
  const made: Uint8Array[] = []
  for (const one of segments) {
    const buffer = new Uint8Array(8 + one.length)
    buffer.set(one, 8)
    const count = encoder.add(buffer, 8, buffer.length, now)
    made.push(buffer, ...encoder.parity.slice(0, count).map(taken))
  }
  return made
}
