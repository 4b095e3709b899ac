/**
 * The authenticated mode without a runtime: handshakes, records and the transports that wear them, as pure functions of
 * keys, bytes, time and primitives.
 * @module
 */
export { Association } from './association.ts'
export { SecureClient, type SecureClientOptions } from './client.ts'
export {
  type ClientKeys,
  type Identity,
  identityOf,
  type ServerKeys,
  type SharedKey,
} from './identity.ts'
export {
  type ResolvedLimits,
  type ResolvedTuning,
  resolveSecureLimits,
  resolveTuning,
  SecureCounters,
  type SecureLimits,
  type SecureTuning,
} from './limits.ts'
export { CipherState, type HandshakeOptions, type HandshakeResult, HandshakeState } from './noise.ts'
export { PathMtu } from './path-mtu.ts'
export {
  type CipherName,
  KEY_SIZE,
  type KeyPair,
  type RecordCipher,
  type SecurePrimitives,
  TAG_SIZE,
} from './primitives.ts'
export { REPLAY_WINDOW, ReplayWindow } from './replay-window.ts'
export { SecureServer, type SecureServerOptions } from './server.ts'
export {
  type SecureClientEvents,
  SecureClientTransport,
  type SecurePeer,
  SecureServerTransport,
  type SecureTransportOptions,
} from './transport.ts'
export { ControlKind, DatagramType, RECORD_OVERHEAD } from './wire.ts'
