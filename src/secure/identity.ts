/**
 * Who an end is, and whom it believes: a shared key, or X25519 keys. And what follows from that: the keys of the macs that
 * tell a stranger from a peer before anything costly is done.
 * @module
 */
import { configError } from '../core/config.ts'
import { requireObject, typeName } from './limits.ts'
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
  /**
   * Whether the owner of this key (32 bytes) may connect, and whether it gets new keys later. Only `true`, at once, admits:
   * a promise, any other value or a throw refuses.
   */
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
  requireObject(security)
  const { psk, keyPair, remotePublicKey, authorize } = security as Partial<
    SharedKey & ClientKeys & ServerKeys
  >
  if (psk !== undefined) {
    requireKey('security.psk', psk)
    if (keyPair !== undefined) throw configError('security', 'psk and keyPair', 'one of them')
    // They would look like a check of the peer's key, and check nothing.
    refuse('security.remotePublicKey', remotePublicKey, 'absent beside psk: it belongs to keyPair')
    refuse('security.authorize', authorize, 'absent beside psk: it belongs to keyPair')
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
  if (keyPair === undefined) {
    // The usual cause is a variable of the environment that nobody set.
    throw configError(
      'security',
      'neither',
      'an object with a psk of 32 bytes or a keyPair (undefined is none)',
    )
  }
  requireKey('security.keyPair.publicKey', (keyPair as KeyPair | null)?.publicKey)
  requireKey('security.keyPair.privateKey', keyPair.privateKey)
  if (role === 'client') {
    requireKey('security.remotePublicKey', remotePublicKey)
    refuse('security.authorize', authorize, 'absent on a client: remotePublicKey is the key that it believes')
  } else {
    refuse('security.remotePublicKey', remotePublicKey, 'absent on a listener: authorize decides about keys')
    // A promise is no answer, so each client would be refused.
    if (typeof authorize !== 'function' || isAsync(authorize)) {
      const got = typeof authorize === 'function' ? 'an async function' : typeName(authorize)
      throw configError('security.authorize', got, 'a function that returns true or false at once')
    }
  }
  const own = {
    publicKey: new Uint8Array(keyPair.publicKey),
    privateKey: new Uint8Array(keyPair.privateKey),
  }
  const remote = role === 'client' ? new Uint8Array(remotePublicKey!) : undefined
  const serverKey = remote ?? own.publicKey
  return {
    pattern: 'IK',
    psk: undefined,
    keyPair: own,
    remotePublicKey: remote,
    authorize,
    mac1Key: primitives.sha256(concat(MAC1_LABEL, serverKey)),
    cookieKey: primitives.sha256(concat(COOKIE_LABEL, serverKey)),
  }
}

/**
 * Whether `authorize` answers true for this key. Anything else refuses: an application that throws, or that returns a
 * promise, has not said yes, and it must not stop the datagrams of others.
 */
export function isAuthorized(identity: Identity, publicKey: Uint8Array): boolean {
  const { authorize } = identity
  try {
    const answer: unknown = authorize?.(new Uint8Array(publicKey))
    // A rejected promise that nobody handles would end the process.
    if (typeof answer === 'object' && answer !== null) Promise.resolve(answer).catch(() => undefined)
    return answer === true
  } catch {
    return false
  }
}

function requireKey(field: string, key: Uint8Array | undefined): void {
  if (!(key instanceof Uint8Array) || key.length !== KEY_SIZE) {
    // The value is a secret: its type and size say enough.
    throw configError(field, typeName(key), `${KEY_SIZE} bytes`)
  }
}

function refuse(field: string, value: unknown, allowed: string): void {
  if (value !== undefined) throw configError(field, typeName(value), allowed)
}

function isAsync(hook: unknown): boolean {
  return Object.prototype.toString.call(hook) === '[object AsyncFunction]'
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
