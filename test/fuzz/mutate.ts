/** Inputs for fuzzing: bytes of any kind, what live traffic is made of with something changed, and hostile headers. */
import { Command, KCP_OVERHEAD, writeHeader } from '../../src/core/segment.ts'
import type { Prng } from '../../src/sim/prng.ts'

/** Numbers where signs, widths and windows end. */
const EDGES = [0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_ffff]
/** Latest datagrams of live traffic that are kept to be changed. */
const KEPT = 32

export function noise(prng: Prng, most: number): Uint8Array {
  const bytes = new Uint8Array(prng.int(0, most))
  for (let i = 0; i < bytes.length; i++) bytes[i] = prng.u32()
  return bytes
}

/** `bytes` with one to four things changed: bits, bytes, words, length. */
export function mutated(prng: Prng, bytes: Uint8Array): Uint8Array {
  let copy = new Uint8Array(bytes)
  for (let left = prng.int(1, 4); left > 0 && copy.length > 0; left--) {
    const at = prng.int(0, copy.length - 1)
    const kind = prng.int(0, 5)
    if (kind === 0) copy[at]! ^= 1 << prng.int(0, 7)
    else if (kind === 1) copy[at] = prng.u32()
    else if (kind === 2 && at + 4 <= copy.length) {
      new DataView(copy.buffer).setUint32(at, EDGES[prng.int(0, EDGES.length - 1)]!, true)
    } else if (kind === 3) copy = copy.slice(0, at)
    else if (kind === 4) copy = joined([copy, copy.subarray(at)])
    else copy = joined([copy.subarray(0, at), noise(prng, 8), copy.subarray(at)])
  }
  return copy
}

export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** Numbers of a conversation that a forger may know. */
export interface Known {
  readonly conv: number
  readonly una: number
  readonly nxt: number
  readonly rcvNxt: number
  readonly now: number
}

/** One to four segments whose every field is right, nearly right, or at an edge. */
export function segments(prng: Prng, known: Known): Uint8Array {
  return joined(
    Array.from({ length: prng.int(1, 4) }, () => {
      const len = prng.chance(0.8) ? prng.int(0, 64) : 0
      const near = (of: number): number =>
        prng.chance(0.8) ? (of + prng.int(-3, 6)) >>> 0 : EDGES[prng.int(0, EDGES.length - 1)]!
      const bytes = new Uint8Array(KCP_OVERHEAD + len)
      const cmd = prng.chance(0.98) ? prng.int(Command.Push, Command.WindowTell) : prng.int(0, 255)
      const sn = near(cmd === Command.Push ? known.rcvNxt : known.una)
      const conv = prng.chance(0.98) ? known.conv : prng.u32()
      const told = prng.chance(0.98) ? len : near(len)
      const frg = prng.chance(0.7) ? prng.int(0, 2) : prng.int(0, 255)
      const una = prng.chance(0.5) ? known.una : near(known.nxt)
      writeHeader(bytes, 0, conv, cmd, frg, prng.int(0, 65_535), near(known.now), sn, una, told)
      return bytes
    }),
  )
}

/** A datagram of one to three PUSHes that is about as long as an mtu, or as its whole lines of a cache. */
export function large(prng: Prng, mtu: number, conv: number, rcvNxt: number): Uint8Array {
  const size = Math.max(KCP_OVERHEAD, Math.ceil(mtu / 64) * 64 + (prng.chance(0.5) ? 0 : prng.int(-70, 6)))
  const bytes = new Uint8Array(size)
  const count = prng.int(1, 3)
  let at = 0
  for (let i = 1; i <= count && at + KCP_OVERHEAD <= size; i++) {
    const left = size - at - KCP_OVERHEAD
    const len = i === count ? left : Math.min(left, prng.chance(0.5) ? 0 : prng.int(0, left))
    const sn = (rcvNxt + prng.int(0, 6)) >>> 0
    writeHeader(bytes, at, conv, Command.Push, 0, 128, 0, sn, 0, len)
    at += KCP_OVERHEAD + len
  }
  return bytes.subarray(0, at)
}

/** Live traffic, from which inputs are made. */
export class Traffic {
  private readonly kept: Uint8Array[] = []
  private next = 0

  keep(datagram: Uint8Array): void {
    this.kept[this.next++ % KEPT] = datagram.slice()
  }

  /** As it was, or changed. */
  pick(prng: Prng, change: boolean): Uint8Array {
    const one = this.kept[prng.int(0, Math.max(0, this.kept.length - 1))]
    if (one === undefined) return noise(prng, 64)
    return change ? mutated(prng, one) : one.slice()
  }
}
