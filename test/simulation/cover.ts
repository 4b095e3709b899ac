/** What protects datagrams against damage in the simulation: ciphers of the package, with seeded nonces. */
import { aeadPackets, chacha20Poly1305, classicPackets, unscrambled } from '../../src/crypto/index.ts'
import type { PacketCipher } from '../../src/crypto/packet-cipher.ts'
import type { Prng } from '../../src/sim/prng.ts'
import type { Plan } from './plan.ts'

export function cipherOf(cover: Plan['cover'], prng: Prng): PacketCipher | undefined {
  if (cover === 'none') return undefined
  const random = (bytes: Uint8Array, start: number, end: number): void => {
    for (let i = start; i < end; i++) bytes[i] = prng.u32()
  }
  if (cover === 'checksum') return classicPackets(unscrambled, random)
  return aeadPackets(chacha20Poly1305(new Uint8Array(32).fill(7)), random)
}
