/**
 * `kcp-io` on Node: streams and listeners over UDP, with the engine and its configuration.
 * @module
 */
export * from './core/index.ts'
export * from './node/index.ts'
export {
  type Clock,
  type CloseReason,
  composeCodecs,
  type DatagramHandler,
  type DatagramTransport,
  KcpSessionConfig,
  type PacketCodec,
  type PeerAddress,
  type ResolvedSessionConfig,
  type SessionStats,
} from './session/index.ts'
