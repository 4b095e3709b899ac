/**
 * The option `security`: the authenticated mode around a client's or a listener's transport.
 * @module
 */
import { configError } from '../core/config.ts'
import { KcpError } from '../core/errors.ts'
import { optionNames, requireOptions, unknownOption } from '../core/options.ts'
import {
  type ClientKeys,
  identityOf,
  resolveSecureLimits,
  resolveTuning,
  SecureClientTransport,
  type SecureLimits,
  SecureServerTransport,
  type SecureTuning,
  type ServerKeys,
  type SharedKey,
} from '../secure/index.ts'
import { hostOf, peerKey } from '../session/peer.ts'
import type { Clock, DatagramTransport, PeerAddress } from '../session/transport.ts'
import { nodePrimitives, publicKeyOf } from './secure-primitives.ts'

/**
 * `security` of either end: a shared key (`psk`), or a key pair, beside which a client has the server's public key
 * (`remotePublicKey`) and a listener a judge of its clients' (`authorize`). Limits are the listener's; a client has none.
 */
export type KcpSecurity = Partial<SharedKey & ClientKeys & ServerKeys> & SecureTuning & SecureLimits

/** Those that only a listener has. */
const LIMITS: ReadonlySet<string> = optionNames({
  cookies: true,
  handshakesPerSecond: true,
  maxHandshakes: true,
  maxHandshakesPerHost: true,
  maxAssociations: true,
  maxAssociationsPerHost: true,
  maxRemembered: true,
} satisfies Record<keyof SecureLimits, true>)

/** The names of its fields. */
export const SECURITY_NAMES: ReadonlySet<string> = new Set([
  'psk',
  'keyPair',
  'remotePublicKey',
  'authorize',
  'cipher',
  'handshakeTimeout',
  'rekeyAfterRecords',
  'rekeyAfterMs',
  'probeMtu',
  ...LIMITS,
])

/** Throws ERR_KCP_CONFIG unless `security` is one for this role, or undefined. */
export function requireSecurity(security: KcpSecurity | undefined, role: 'client' | 'server'): void {
  if (security === undefined) return
  requireOptions('security', security)
  for (const name of Object.keys(security)) {
    const value = security[name as keyof KcpSecurity]
    if (!SECURITY_NAMES.has(name)) throw unknownOption(name, value, SECURITY_NAMES, 'security.')
    if (role === 'client' && LIMITS.has(name)) {
      throw configError(`security.${name}`, value, "absent on a client: it is a listener's")
    }
  }
  const { keyPair } = identityOf(security as SharedKey, role, nodePrimitives)
  if (keyPair !== undefined && !equalKeys(publicKeyOf(keyPair.privateKey), keyPair.publicKey)) {
    throw configError(
      'security.keyPair.publicKey',
      'another one',
      'the public key of its privateKey, as generateKeyPair() and publicKeyOf() make it',
    )
  }
  resolveTuning(security)
  resolveSecureLimits(security)
}

function equalKeys(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i])
}

export interface SecureDial {
  readonly transport: DatagramTransport
  readonly owned: boolean
  readonly peer: PeerAddress
  readonly security: KcpSecurity
  readonly clock: Clock
  /** The largest datagram on the wire. */
  readonly mtu: number
  readonly signal: AbortSignal | undefined
  /** Ties the transport to the peer again: see SecureTransportOptions. */
  readonly reconnect?: (() => void) | undefined
}

/**
 * A transport to the peer, once the handshake is done. Rejects with ERR_KCP_HANDSHAKE, ERR_KCP_CONNECT, ERR_KCP_IO or the
 * signal's reason; then nothing of it is left but the transport below.
 */
export async function secureClient(options: SecureDial): Promise<SecureClientTransport<PeerAddress>> {
  const { transport, peer, security, clock, mtu, signal } = options
  const key = peerKey(transport, peer)
  let settle: { readonly resolve: () => void; readonly reject: (error: unknown) => void }
  const done = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject }
  })
  const secure = new SecureClientTransport<PeerAddress>(
    {
      transport,
      owned: options.owned,
      clock,
      mtu: Math.min(mtu, transport.maxDatagramSize ?? mtu),
      primitives: nodePrimitives,
      identity: identityOf(security as SharedKey, 'client', nodePrimitives),
      tuning: resolveTuning(security),
      reconnect: options.reconnect,
    },
    peer,
    (from) => peerKey(transport, from) === key,
    {
      onOpen: () => settle.resolve(),
      onFailed: (error) => settle.reject(error ?? new KcpError('ERR_KCP_IO', 'the transport was closed')),
      onError: (error) => {
        // Anybody can forge it, so it is no answer once the server itself was heard.
        if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED' || secure.heard) return
        const refused = `${peer.address}:${peer.port} refused: nobody listens there`
        settle.reject(new KcpError('ERR_KCP_CONNECT', refused, { cause: error }))
      },
    },
  )
  const onAbort = (): void => settle.reject(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.all([secure.open(), done])
    return secure
  } catch (error) {
    secure.stop()
    throw error
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}

/** A listener's transport: its peers are those that have finished a handshake. Throws ERR_KCP_CONFIG. */
export function secureServer(
  transport: DatagramTransport,
  owned: boolean,
  security: KcpSecurity,
  clock: Clock,
  mtu: number,
  isBlocked?: (peer: PeerAddress) => boolean,
): SecureServerTransport<PeerAddress> {
  const keyOf = (peer: PeerAddress): string => peerKey(transport, peer)
  return new SecureServerTransport<PeerAddress>(
    {
      transport,
      owned,
      clock,
      mtu: Math.min(mtu, transport.maxDatagramSize ?? mtu),
      primitives: nodePrimitives,
      identity: identityOf(security as SharedKey, 'server', nodePrimitives),
      tuning: resolveTuning(security),
    },
    resolveSecureLimits(security),
    keyOf,
    (peer) => hostOf(peer, keyOf(peer)),
    isBlocked,
  )
}
