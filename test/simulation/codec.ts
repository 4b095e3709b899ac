/**
 * Codecs such as users write, for the simulation: each is outside of everything else, and none keeps a datagram that was
 * only borrowed.
 * @module
 */
import { crc32 } from '../../src/crypto/crc32.ts'
import type { PacketCodec, PeerAddress } from '../../src/session/transport.ts'
import type { Prng } from '../../src/sim/prng.ts'

/**
 * - sum: a checksum in front, and everything mixed with a pattern.
 * - grow: up to FILL_MAX bytes of nothing in front.
 * - drop: one datagram in ten is dropped, when it leaves or when it comes; the rest is returned as a list.
 */
export type CodecKind = 'sum' | 'grow' | 'drop'
export const CODECS: readonly CodecKind[] = ['sum', 'grow', 'drop']

const FILL_MAX = 32
const DROPPED = 0.1

/** Bytes that a codec adds at most. */
export function codecOverhead(kind: CodecKind | undefined): number {
  return kind === 'sum' ? 4 : kind === 'grow' ? 1 + FILL_MAX : 0
}

/** `healed`: from then on nothing is dropped. */
export function codecOf(
  kind: CodecKind | undefined,
  prng: Prng,
  healed: () => boolean,
): PacketCodec<PeerAddress> | undefined {
  if (kind === undefined) return undefined
  const overhead = codecOverhead(kind)
  if (kind === 'sum')
    return { overhead, encode: summed, decode: unsummed, fork: () => codecOf(kind, prng, healed)! }
  if (kind === 'grow') return { overhead, encode: (datagram) => filled(datagram, prng), decode: emptied }
  const pass = (datagram: Uint8Array): readonly Uint8Array[] | null =>
    !healed() && prng.chance(DROPPED) ? null : [datagram]
  return { overhead, encode: pass, decode: pass }
}

function summed(datagram: Uint8Array): Uint8Array {
  const out = new Uint8Array(datagram.length + 4)
  out.set(datagram, 4)
  new DataView(out.buffer).setInt32(0, crc32(datagram, 0, datagram.length))
  return mixed(out)
}

function unsummed(datagram: Uint8Array): Uint8Array | null {
  if (datagram.length < 4) return null
  const plain = mixed(datagram)
  const said = new DataView(plain.buffer).getInt32(0)
  return said === (crc32(plain, 4, plain.length) | 0) ? plain.subarray(4) : null
}

function mixed(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes, (byte, i) => byte ^ (i * 29 + 0x5a))
}

function filled(datagram: Uint8Array, prng: Prng): Uint8Array {
  const fill = prng.int(0, FILL_MAX)
  const out = new Uint8Array(1 + fill + datagram.length).fill(0xee)
  out[0] = fill
  out.set(datagram, 1 + fill)
  return out
}

function emptied(datagram: Uint8Array): Uint8Array | null {
  const from = 1 + datagram[0]!
  return from > datagram.length ? null : datagram.subarray(from)
}
