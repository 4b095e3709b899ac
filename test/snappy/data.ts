/**
 * Bytes that compress well, badly and not at all, from seeds; for the tests of the room `snappy` and of the tunnel.
 * @module
 */
import type { Prng } from '../../src/sim/prng.ts'

/** Nothing to compress. */
export function noise(size: number, prng: Prng): Uint8Array {
  const bytes = new Uint8Array(size)
  for (let i = 0; i < size; i++) bytes[i] = prng.u32()
  return bytes
}

/** Words of a small vocabulary: about a third after compression. */
export function prose(size: number, prng: Prng): Uint8Array {
  const words = Array.from({ length: 60 }, () => noise(prng.int(2, 9), prng))
  const bytes = new Uint8Array(size)
  for (let at = 0; at < size; ) {
    const word = words[prng.int(0, words.length - 1)]!
    bytes.set(word.subarray(0, size - at), at)
    at += word.length
  }
  return bytes
}

/** Runs, repeats near and far, noise between them: every kind of element. */
export function patchwork(size: number, prng: Prng): Uint8Array {
  const bytes = new Uint8Array(size)
  for (let at = 0; at < size; ) {
    const length = Math.min(size - at, prng.int(1, prng.chance(0.2) ? 400 : 20))
    const kind = prng.int(0, 3)
    if (kind === 0 || at === 0) bytes.set(noise(length, prng), at)
    else if (kind === 1) bytes.fill(prng.u32(), at, at + length)
    else {
      const from = kind === 2 ? prng.int(Math.max(0, at - 100), at - 1) : prng.int(0, at - 1)
      for (let i = 0; i < length; i++) bytes[at + i] = bytes[from + i]!
    }
    at += length
  }
  return bytes
}
