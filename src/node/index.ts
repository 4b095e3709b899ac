/**
 * The Node shell: sockets, clocks and streams around sessions.
 * @module
 */
export type { Address } from './address.ts'
export {
  aeadCipher,
  aesCipher,
  aesGcmCipher,
  blowfishCipher,
  cast5Cipher,
  chacha20Poly1305Cipher,
  type KcptunCrypt,
  kcptunCipher,
  kcptunKey,
  noneCipher,
  nullCipher,
  salsa20Cipher,
  sm4Cipher,
  teaCipher,
  tripleDesCipher,
  twofishCipher,
  xorCipher,
  xteaCipher,
} from './ciphers.ts'
export { nodeClock } from './clock.ts'
export { connect } from './connect.ts'
export type { KcpConnectOptions, KcpStreamOptions } from './dial.ts'
export {
  createServer,
  KcpListener,
  type KcpListenerEvents,
  type KcpListenerOptions,
  type KcpListenerStats,
  type KcpListenOptions,
  listen,
  totalStats,
} from './kcp-listener.ts'
export { KcpStream } from './kcp-stream.ts'
export { type NativeStatus, nativeStatus } from './native.ts'
export { PortGroup, type PortGroupOptions } from './port-group.ts'
export { generateKeyPair, nodePrimitives, pskFromPassphrase, publicKeyOf } from './secure-primitives.ts'
export type { KcpSecurity } from './security.ts'
export {
  SmuxSession,
  type SmuxSessionEvents,
  type SmuxSessionOptions,
  SmuxStream,
} from './smux.ts'
export { KcpReadHalf, KcpWriteHalf } from './stream-halves.ts'
export type { KcpReadOptions, KcpSendOptions, KcpStreamEvents } from './stream-types.ts'
export { type UdpBatchOptions, UdpBatchTransport } from './udp-batch.ts'
export { type UdpOptions, UdpTransport } from './udp-transport.ts'
