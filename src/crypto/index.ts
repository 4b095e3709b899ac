/**
 * Packet ciphers without a runtime: the framings of kcp-go and every cipher in them, as pure functions of key, bytes and
 * random bytes.
 * @module
 */
export { type Aead, aeadPackets } from './aead-packets.ts'
export { Aes } from './aes.ts'
export { aesGcm } from './aes-gcm.ts'
export { Blowfish } from './blowfish.ts'
export { Cast5 } from './cast5.ts'
export { type BlockCipher, cfb, KCP_GO_IV } from './cfb.ts'
export { chacha20Poly1305 } from './chacha20-poly1305.ts'
export { type Checksum, classicPackets, type Scrambler, unscrambled } from './classic-packets.ts'
export { crc32 } from './crc32.ts'
export {
  CipherCounters,
  type FillRandom,
  OpenResult,
  type PacketCipher,
  plainPackets,
} from './packet-cipher.ts'
export { salsa20 } from './salsa20.ts'
export { Sm4 } from './sm4.ts'
export { Tea, Xtea } from './tea.ts'
export { TripleDes } from './triple-des.ts'
export { Twofish } from './twofish.ts'
export { xorTable } from './xor-table.ts'
