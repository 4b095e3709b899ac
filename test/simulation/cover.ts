/** What protects datagrams against damage in the simulation: the ciphers of the package, as a codec of datagrams. */
import {
  aeadPackets,
  chacha20Poly1305,
  classicPackets,
  OpenResult,
  unscrambled,
} from '../../src/crypto/index.ts'
import type { PacketCipher } from '../../src/crypto/packet-cipher.ts'
import type { PacketCodec } from '../../src/session/transport.ts'
import type { Prng } from '../../src/sim/prng.ts'
import type { Plan } from './plan.ts'

export function codecOf(cover: Plan['cover'], prng: Prng): PacketCodec<unknown> | undefined {
  if (cover === 'none') return undefined
  const random = (bytes: Uint8Array, start: number, end: number): void => {
    for (let i = start; i < end; i++) bytes[i] = prng.u32()
  }
  const cipher: PacketCipher =
    cover === 'checksum'
      ? classicPackets(unscrambled, random)
      : aeadPackets(chacha20Poly1305(new Uint8Array(32).fill(7)), random)
  const { headroom, tailroom } = cipher
  return {
    overhead: headroom + tailroom,
    encode(datagram) {
      const sealed = new Uint8Array(headroom + datagram.length + tailroom)
      sealed.set(datagram, headroom)
      cipher.seal(sealed, headroom, headroom + datagram.length)
      return sealed
    },
    decode(datagram) {
      const opened = datagram.slice()
      if (cipher.open(opened, 0, opened.length) !== OpenResult.Opened) return null
      return opened.subarray(headroom, opened.length - tailroom)
    },
  }
}
