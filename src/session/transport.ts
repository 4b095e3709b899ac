/**
 * The two things that a session needs from the outside: something that moves datagrams, and a clock.
 * Structural types; UDP, WebRTC data channels, WebTransport datagrams and a test's memory all fit.
 * @module
 */
import { configError, requireInteger } from '../core/config.ts'
import type { KcpError } from '../core/errors.ts'
import { requireMethods } from '../core/options.ts'

/** Where a datagram came from or goes to. Any transport may use its own shape; UDP uses this one. */
export interface PeerAddress {
  readonly address: string
  readonly port: number
  readonly family?: 'IPv4' | 'IPv6'
  /** Its static key, where a transport knows it. */
  readonly publicKey?: Uint8Array | undefined
}

/** Codes by which a system reports that the address of a tied socket is gone, or the network that it was on. */
export const PATH_ERRORS: ReadonlySet<unknown> = new Set([
  'EADDRNOTAVAIL',
  'EHOSTUNREACH',
  'EINVAL',
  'ENETDOWN',
  'ENETUNREACH',
])

/** What a transport calls. A callback never throws into the transport. */
export interface DatagramHandler<Peer = PeerAddress> {
  /**
   * One datagram. `datagram` is lent for this call: who keeps it, copies it. It may come back changed: a cipher opens it
   * where it lies.
   */
  onDatagram(datagram: Uint8Array, peer: Peer): void
  /**
   * A fault of the path, such as ECONNREFUSED. Not the end of the transport.
   * A server ignores it (one peer's fault), a client may take it for its peer's answer.
   */
  onError(error: Error): void
  /** The transport is gone: nothing arrives any more and nothing can be sent. */
  onClose(): void
  /** Of a transport that knows its peers: this one is gone. Without an error it said so itself. */
  onPeerClosed?(peer: Peer, error: KcpError | undefined): void
  /**
   * Datagrams of `size` bytes, what the transport adds included, were found to reach this peer; or no larger ones do any
   * more, and then the transport still takes those that are cut already.
   */
  onLargerDatagrams?(peer: Peer, size: number): void
}

/** Anything that moves datagrams. Losing, repeating and reordering them is allowed; cutting them is not. */
export interface DatagramTransport<Peer = PeerAddress> {
  /** Largest datagram that this path carries, bytes, if known; caps the KCP mtu. */
  readonly maxDatagramSize?: number
  /** Bytes that the transport adds to each datagram before it is on the wire; taken off the KCP mtu. */
  readonly overhead?: number
  /** Peers of this transport are where they say: nothing has to be proven, and nothing of theirs is forged. */
  readonly provesPeers?: boolean
  /**
   * Peers of this transport are known to this process alone, by what was agreed with it: what one of them says began here,
   * and never with a server that is gone.
   */
  readonly knowsPeers?: boolean
  /** Sends and forgets. `datagram` is lent for this call. A failure to send is loss, never a throw. */
  send(datagram: Uint8Array, peer: Peer): void
  /**
   * Optional: takes the place of `send`, with everything that one flush of one session produced. The datagrams are the
   * callee's to keep.
   */
  sendBatch?(batch: readonly { readonly datagram: Uint8Array; readonly peer: Peer }[]): void
  /** Optional: hands to the system at once what `send` took and keeps for the end of the turn. */
  flush?(): void
  /** Starts delivery to `handler`. Called once. */
  start(handler: DatagramHandler<Peer>): void | Promise<void>
  close(): void | Promise<void>
  /** Stable map key of a peer; default `address|port`. */
  peerKey?(peer: Peer): string
  /** A server has sessions with this peer, or none any more. */
  use?(peer: Peer, used: boolean): void
  localAddress?(): Peer | undefined
  /** Whether the transport alone keeps the process alive, as sockets' ref and unref. */
  ref?(): void
  unref?(): void
}

/**
 * A user's own transformation of whole datagrams: encryption, a checksum, a cookie (the Rust crate's
 * `process_outgoing` and `process_incoming`).
 */
export interface PacketCodec<Peer = PeerAddress> {
  /** Bytes that `encode` adds at most; taken off the KCP mtu, so that datagrams still fit the path. */
  readonly overhead: number
  /** One datagram to send, several, or null to drop it. `datagram` is lent for this call. */
  encode(datagram: Uint8Array, peer: Peer): Uint8Array | readonly Uint8Array[] | null
  /** The plain datagram, several, or null to drop it silently (bad tag, not ours). */
  decode(datagram: Uint8Array, peer: Peer): Uint8Array | readonly Uint8Array[] | null
  /** A codec with fresh state for one session (counters, nonces); without it the codec is shared. */
  fork?(): PacketCodec<Peer>
}

/** Time as an argument: real on Node, virtual in tests. */
export interface Clock {
  /** Milliseconds from any origin; never steps back. Fractions are allowed. */
  now(): number
  /** Calls `run` once, `ms` from now. */
  setTimeout(run: () => void, ms: number): unknown
  clearTimeout(timer: unknown): void
  /** Calls `run` after the datagrams that are already waiting were handed up: the end of this turn. */
  soon(run: () => void): void
}

/** `codec`, with an `overhead` that no longer changes. Throws ERR_KCP_CONFIG unless it is a codec, or undefined. */
export function requireCodec<Peer>(codec: PacketCodec<Peer> | undefined): PacketCodec<Peer> | undefined {
  if (codec === undefined) return undefined
  requireMethods('codec', codec, '{ overhead, encode, decode }', ['encode', 'decode'])
  if (codec.fork !== undefined && typeof codec.fork !== 'function') {
    throw configError('codec.fork', codec.fork, 'a method that returns a codec, or absent')
  }
  let overhead: unknown
  try {
    overhead = codec.overhead
  } catch (cause) {
    throw configError('codec.overhead', 'an error', 'a whole number within 0..65507', cause)
  }
  return {
    overhead: requireInteger('codec.overhead', overhead, 0, 65_507),
    encode: (datagram, peer) => codec.encode(datagram, peer),
    decode: (datagram, peer) => codec.decode(datagram, peer),
    ...(codec.fork === undefined ? {} : { fork: () => codec.fork!() }),
  }
}

/** Several codecs as one: the first is applied first when sending, and undone last. */
export function composeCodecs<Peer>(...codecs: readonly PacketCodec<Peer>[]): PacketCodec<Peer> {
  const through = (
    datagram: Uint8Array,
    steps: readonly ((one: Uint8Array) => Uint8Array | readonly Uint8Array[] | null)[],
  ): readonly Uint8Array[] | null => {
    let current: readonly Uint8Array[] = [datagram]
    for (const step of steps) {
      current = current.flatMap((one) => step(one) ?? [])
      if (current.length === 0) return null
    }
    return current
  }
  return {
    overhead: codecs.reduce((sum, codec) => sum + codec.overhead, 0),
    encode: (datagram, peer) =>
      through(
        datagram,
        codecs.map((codec) => (one) => codec.encode(one, peer)),
      ),
    decode: (datagram, peer) =>
      through(datagram, codecs.map((codec) => (one: Uint8Array) => codec.decode(one, peer)).reverse()),
    fork: () => composeCodecs(...codecs.map((codec) => codec.fork?.() ?? codec)),
  }
}
