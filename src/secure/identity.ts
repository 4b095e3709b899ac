/**
 * Who an end is, and whom it believes: a shared key, or X25519 keys. And what follows from that: the keys of the macs that
 * tell a stranger from a peer before anything costly is done.
 * @module
 */
import { configError } from '../core/config.ts'
import type { PatternName } from './noise.ts'
import { ascii, concat, KEY_SIZE, type KeyPair, type SecurePrimitives } from './primitives.ts'
import { MAC_SIZE } from './wire.ts'

/** Both ends know the same 32 random bytes. Who knows them is a peer, and all peers are one. */
export interface SharedKey {
  /** 32 bytes. For pass phrases there is `pskFromPassphrase`. */
  readonly psk: Uint8Array
}

/** A client that knows its server's public key. */
export interface ClientKeys {
  readonly keyPair: KeyPair
  /** The server's public key, 32 bytes. */
  readonly remotePublicKey: Uint8Array
}

/** A server that decides by the client's public key. */
export interface ServerKeys {
  readonly keyPair: KeyPair
  /** Whether the owner of this key (32 bytes, lent for the call) may connect. Must answer at once. */
  readonly authorize: (publicKey: Uint8Array) => boolean
}

export interface Identity {
  readonly pattern: PatternName
  readonly psk: Uint8Array | undefined
  readonly keyPair: KeyPair | undefined
  readonly remotePublicKey: Uint8Array | undefined
  readonly authorize: ((publicKey: Uint8Array) => boolean) | undefined
  /** Key of mac1: whoever can make one knows the psk, or the server's public key. */
  readonly mac1Key: Uint8Array
  /** Key under which cookies travel. */
  readonly cookieKey: Uint8Array
}

/** Names the protocol in everything that is hashed for it. */
const LABEL = 'kcp-io secure 1'
const PROLOGUE = ascii(LABEL)
const REKEY_PROLOGUE = ascii(`${LABEL} rekey`)
const MAC1_LABEL = ascii(`${LABEL} mac1`)
const COOKIE_LABEL = ascii(`${LABEL} cookie`)

/** Throws ERR_KCP_CONFIG unless `security` is what `role` needs. */
export function identityOf(
  security: SharedKey | ClientKeys | ServerKeys,
  role: 'client' | 'server',
  primitives: SecurePrimitives,
): Identity {
  if (typeof security !== 'object' || security === null) {
    throw configError('security', security, 'an object with psk or keyPair')
  }
  const { psk, keyPair, remotePublicKey, authorize } = security as Partial<
    SharedKey & ClientKeys & ServerKeys
  >
  if (psk !== undefined) {
    requireKey('security.psk', psk)
    if (keyPair !== undefined) throw configError('security', 'psk and keyPair', 'one of them')
    return {
      pattern: 'NNpsk0',
      psk: new Uint8Array(psk),
      keyPair: undefined,
      remotePublicKey: undefined,
      authorize: undefined,
      mac1Key: primitives.hmacSha256(psk, MAC1_LABEL),
      cookieKey: primitives.hmacSha256(psk, COOKIE_LABEL),
    }
  }
  requireKey('security.keyPair.publicKey', keyPair?.publicKey)
  requireKey('security.keyPair.privateKey', keyPair?.privateKey)
  if (role === 'client') requireKey('security.remotePublicKey', remotePublicKey)
  else if (typeof authorize !== 'function') throw configError('security.authorize', authorize, 'a function')
  const serverKey = role === 'client' ? remotePublicKey! : keyPair!.publicKey
  return {
    pattern: 'IK',
    psk: undefined,
    keyPair: keyPair!,
    remotePublicKey,
    authorize,
    mac1Key: primitives.sha256(concat(MAC1_LABEL, serverKey)),
    cookieKey: primitives.sha256(concat(COOKIE_LABEL, serverKey)),
  }
}

function requireKey(field: string, key: Uint8Array | undefined): void {
  if (!(key instanceof Uint8Array) || key.length !== KEY_SIZE) {
    // The value is a secret: its type and size say enough.
    const got = key instanceof Uint8Array ? `${key.length} bytes` : typeof key
    throw configError(field, got, `${KEY_SIZE} bytes`)
  }
}

/** The prologue of a first handshake: the protocol, and the head of its initiation. */
export function prologueOf(head: Uint8Array): Uint8Array {
  return concat(PROLOGUE, head)
}

/** The prologue of a later one: bound to the transcript of the keys that it replaces. */
export function rekeyPrologueOf(hash: Uint8Array, head: Uint8Array): Uint8Array {
  return concat(REKEY_PROLOGUE, hash, head)
}

/** A mac of `datagram[0, end)`. */
export function macOf(
  primitives: SecurePrimitives,
  key: Uint8Array,
  datagram: Uint8Array,
  end: number,
): Uint8Array {
  return primitives.hmacSha256(key, datagram.subarray(0, end)).subarray(0, MAC_SIZE)
}
