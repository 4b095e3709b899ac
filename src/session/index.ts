/**
 * `kcp-io/session`: one peer, whole, without I/O; for shells other than Node's (a browser, a simulator, a worker).
 * @module
 */
export { Acceptor, type AcceptorOptions, DropCounters } from './acceptor.ts'
export {
  CloseCode,
  type CloseNotice,
  decodeNotice,
  encodeNotice,
  NOTICE_SIZE,
  NoticeKind,
} from './close-notice.ts'
export {
  KcpSessionConfig,
  pickSessionConfig,
  type ResolvedSessionConfig,
  refuseUnknown,
  resolveSessionConfig,
  type SessionPresetName,
} from './config.ts'
export { Connection, type ConnectionOptions, type ConnectOptions, connectTo } from './connection.ts'
export { type FecOptions, type ResolvedFec, requireCipher, requireFec } from './fec-options.ts'
export { type AcceptorLimits, LIMIT_FIELDS, resolveLimits } from './listener-limits.ts'
export type { Expiring } from './message-expiry.ts'
export { peerKey, requireConv } from './peer.ts'
export { PeerContact } from './peer-contact.ts'
export { PeerLink, Traffic } from './peer-link.ts'
export { FecStats, type PathStats, Pipeline, type PipelineOptions, type Warn } from './pipeline.ts'
export { Scheduler, type Task } from './scheduler.ts'
export {
  type CloseReason,
  KcpSession,
  type SessionOptions,
  type SessionPath,
  type SessionStats,
} from './session.ts'
export {
  type Clock,
  composeCodecs,
  type DatagramHandler,
  type DatagramTransport,
  type PacketCodec,
  type PeerAddress,
} from './transport.ts'
