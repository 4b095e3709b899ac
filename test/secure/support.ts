/**
 * For the tests of the authenticated mode: hex, and primitives whose key pairs and random bytes come from a seed.
 * @module
 */
import { nodePrimitives, publicKeyOf } from '../../src/node/secure-primitives.ts'
import type { KeyPair, SecurePrimitives } from '../../src/secure/index.ts'
import { Prng } from '../../src/sim/index.ts'

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.replace(/\s/g, '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export function keyPairOf(privateKey: Uint8Array): KeyPair {
  return { privateKey, publicKey: publicKeyOf(privateKey) }
}

/** Node's primitives, with chance from a seed: two runs make the same bytes. */
export function seededPrimitives(seed: number, base: SecurePrimitives = nodePrimitives): SecurePrimitives {
  const prng = new Prng(seed)
  const fill = (bytes: Uint8Array, start: number, end: number): void => {
    for (let i = start; i < end; i++) bytes[i] = prng.int(0, 255)
  }
  return {
    ...base,
    random: fill,
    generateKeyPair: () => {
      const privateKey = new Uint8Array(32)
      fill(privateKey, 0, 32)
      return keyPairOf(privateKey)
    },
  }
}
