/**
 * `kcp-io` on Node: streams and listeners over UDP, with the engine and its configuration.
 * @module
 */
export * from './core/index.ts'
export { CipherCounters, OpenResult, type PacketCipher } from './crypto/index.ts'
export * from './node/index.ts'
export {
  type Clock,
  type CloseReason,
  composeCodecs,
  type DatagramHandler,
  type DatagramTransport,
  type FecOptions,
  FecStats,
  KcpSessionConfig,
  type PacketCodec,
  type PathStats,
  type PeerAddress,
  type ResolvedSessionConfig,
  type SessionPresetName,
  type SessionStats,
} from './session/index.ts'
