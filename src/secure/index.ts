/**
 * The authenticated mode without a runtime: handshakes, records and the transports that wear them, as pure functions of
 * keys, bytes, time and primitives.
 * @module
 */
export { CipherState, type HandshakeOptions, type HandshakeResult, HandshakeState } from './noise.ts'
export {
  type CipherName,
  KEY_SIZE,
  type KeyPair,
  type RecordCipher,
  type SecurePrimitives,
  TAG_SIZE,
} from './primitives.ts'
export { REPLAY_WINDOW, ReplayWindow } from './replay-window.ts'
