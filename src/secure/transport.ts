/**
 * The authenticated mode as transports around a transport: what is above sees datagrams and peers, and nothing of
 * handshakes and records. A server's peers are associations, not addresses: `address` and `port` tell where one is now, and
 * its key stays the same when it moves.
 * @module
 */
import type { KcpError } from '../core/errors.ts'
import {
  type Clock,
  type DatagramHandler,
  type DatagramTransport,
  PATH_ERRORS,
  type PeerAddress,
} from '../session/transport.ts'
import type { Association } from './association.ts'
import { SecureClient } from './client.ts'
import type { Identity } from './identity.ts'
import type { ResolvedLimits, ResolvedTuning, SecureCounters } from './limits.ts'
import type { SecurePrimitives } from './primitives.ts'
import { SecureServer } from './server.ts'
import { RECORD_OVERHEAD } from './wire.ts'

interface Batch<Peer> {
  readonly datagram: Uint8Array
  readonly peer: Peer
}

export interface SecureTransportOptions<Peer> {
  readonly transport: DatagramTransport<Peer>
  /** Whether it is closed with this one. Default true. */
  readonly owned?: boolean
  readonly clock: Clock
  readonly primitives: SecurePrimitives
  readonly identity: Identity
  readonly tuning: ResolvedTuning
  /** The largest datagram, on the wire, that paths are known to carry. */
  readonly mtu: number
  /**
   * A client's: ties the transport below to its peer anew, as the address of this machine, or its route, may have changed.
   * Called when the system reports that, or when the server is silent; then again after twice the time.
   */
  readonly reconnect?: (() => void) | undefined
}

/** First time between two reconnects while nothing is heard, ms; a round trip fits. Doubles up to the last. */
const RECONNECT_INTERVAL = 1_000
const RECONNECT_INTERVAL_MAX = 32_000

/** A timer for what tells its next deadline. */
class Alarm {
  private readonly clock: Clock
  private readonly task: { run(now: number): void; deadline(): number }
  private timer: unknown
  private at: number = Number.POSITIVE_INFINITY

  constructor(clock: Clock, task: Alarm['task']) {
    this.clock = clock
    this.task = task
  }

  /** To be called after anything that may have moved the deadline. */
  set(): void {
    const at = this.task.deadline()
    if (at >= this.at) return
    this.clear()
    if (at === Number.POSITIVE_INFINITY) return
    this.at = at
    this.timer = this.clock.setTimeout(
      () => {
        this.at = Number.POSITIVE_INFINITY
        this.task.run(this.clock.now())
        this.set()
      },
      // Whole ms: less than a clock can tell apart would not move it, and the deadline would never come.
      Math.max(0, Math.ceil(at - this.clock.now())),
    )
  }

  clear(): void {
    if (this.at !== Number.POSITIVE_INFINITY) this.clock.clearTimeout(this.timer)
    this.at = Number.POSITIVE_INFINITY
  }
}

/** What happens before a client's transport has a handler. */
export interface SecureClientEvents {
  /** The handshake is done: datagrams may be sent. */
  readonly onOpen: () => void
  /** It failed: ERR_KCP_HANDSHAKE. Or the transport below was closed: undefined. */
  readonly onFailed: (error: KcpError | undefined) => void
  /** An error of the transport below while the handshake goes on, such as ECONNREFUSED. */
  readonly onError: (error: Error) => void
}

/** A transport to one peer, from `open` on. */
export class SecureClientTransport<Peer> implements DatagramTransport<Peer> {
  /** Bytes that each datagram grows by. */
  readonly overhead: number = RECORD_OVERHEAD
  readonly provesPeers = true
  readonly maxDatagramSize?: number
  readonly peerKey?: (peer: Peer) => string
  readonly sendBatch?: (batch: readonly Batch<Peer>[]) => void
  private readonly options: SecureTransportOptions<Peer>
  private readonly peer: Peer
  private readonly isPeer: (peer: Peer) => boolean
  private readonly events: SecureClientEvents
  private readonly client: SecureClient
  private readonly alarm: Alarm
  private handler: DatagramHandler<Peer> | undefined
  private reconnectAt = Number.NEGATIVE_INFINITY
  private reconnectInterval = RECONNECT_INTERVAL
  private readonly emit: (record: Uint8Array) => void

  /** @param isPeer tells the server's datagrams from others'. Throws ERR_KCP_CONFIG for an unusable key. */
  constructor(
    options: SecureTransportOptions<Peer>,
    peer: Peer,
    isPeer: (peer: Peer) => boolean,
    events: SecureClientEvents,
  ) {
    const { transport, clock } = options
    this.options = options
    this.peer = peer
    this.isPeer = isPeer
    this.events = events
    if (transport.maxDatagramSize !== undefined) this.maxDatagramSize = transport.maxDatagramSize
    if (transport.peerKey !== undefined) this.peerKey = (one) => transport.peerKey!(one)
    if (transport.sendBatch !== undefined) this.sendBatch = (batch) => this.sealBatch(batch)
    this.emit = (record) => transport.send(record, peer)
    this.client = new SecureClient(
      {
        primitives: options.primitives,
        identity: options.identity,
        tuning: options.tuning,
        mtu: options.mtu,
        send: (datagram) => this.transmit(datagram),
        onData: (plain) => this.handler?.onDatagram(plain, this.peer),
        onOpen: () => events.onOpen(),
        onMtu: (mtu) => this.handler?.onLargerDatagrams?.(this.peer, mtu),
        onSilence: () => this.reconnect(),
        onClosed: (error) => this.closed(error),
      },
      clock.now(),
    )
    this.alarm = new Alarm(clock, this.client)
  }

  get counters(): SecureCounters {
    return this.client.counters
  }

  /** Whether the server was heard: its cookie, its response or its records. */
  get heard(): boolean {
    return this.client.heard
  }

  /** Binds to this association what runs inside of it; the same at both ends, 32 bytes. undefined before the handshake. */
  get channelBinding(): Uint8Array | undefined {
    return this.client.hash
  }

  /** Starts the transport below, and the handshake. */
  open(): void | Promise<void> {
    const { options } = this
    const { transport, clock } = options
    const begin = (): void => {
      this.client.run(clock.now())
      this.alarm.set()
    }
    const started = transport.start({
      onDatagram: (datagram, from) => {
        if (from !== this.peer && !this.isPeer(from)) return
        this.client.receive(datagram, clock.now())
        this.alarm.set()
      },
      onError: (error) => {
        const moved = PATH_ERRORS.has((error as { readonly code?: unknown }).code)
        if (moved && options.reconnect !== undefined) this.reconnect()
        else (this.handler ?? this.events).onError(error)
      },
      onClose: () => {
        this.alarm.clear()
        if (this.handler === undefined) this.events.onFailed(undefined)
        else this.handler.onClose()
      },
    })
    if (started === undefined) begin()
    else return started.then(begin)
  }

  start(handler: DatagramHandler<Peer>): void {
    this.handler = handler
  }

  send(datagram: Uint8Array, _peer: Peer): void {
    this.client.sealTo(datagram, this.options.clock.now(), this.emit)
    this.alarm.set()
  }

  /** Tells the server, and is over; the transport below goes on. */
  stop(): void {
    this.client.close(this.options.clock.now())
    this.alarm.clear()
  }

  close(): void | Promise<void> {
    this.handler = undefined
    this.stop()
    if (this.options.owned !== false) return this.options.transport.close()
  }

  localAddress(): Peer | undefined {
    return this.options.transport.localAddress?.()
  }
  ref(): void {
    this.options.transport.ref?.()
  }
  unref(): void {
    this.options.transport.unref?.()
  }

  private sealBatch(batch: readonly Batch<Peer>[]): void {
    const { transport, clock } = this.options
    const now = clock.now()
    const { peer } = this
    const records: Batch<Peer>[] = []
    const emit = (record: Uint8Array): void => {
      records.push({ datagram: new Uint8Array(record), peer })
    }
    for (const { datagram } of batch) this.client.sealTo(datagram, now, emit)
    if (records.length > 0) transport.sendBatch!(records)
    this.alarm.set()
  }

  private transmit(datagram: Uint8Array): void {
    transmit(this.options.transport, datagram, this.peer)
  }

  private reconnect(): void {
    const { clock, reconnect } = this.options
    const now = clock.now()
    if (reconnect === undefined || now < this.reconnectAt) return
    // A new port each time: an answer to the former one is lost, so the next reconnect leaves twice the time for it.
    this.reconnectInterval =
      now - this.reconnectAt > RECONNECT_INTERVAL_MAX
        ? RECONNECT_INTERVAL
        : Math.min(2 * this.reconnectInterval, RECONNECT_INTERVAL_MAX)
    this.reconnectAt = now + this.reconnectInterval
    reconnect()
  }

  private closed(error: KcpError | undefined): void {
    this.alarm.clear()
    if (this.handler === undefined) this.events.onFailed(error)
    else this.handler.onPeerClosed?.(this.peer, error)
  }
}

/** A client of a secure server: where it is, and who. */
export interface SecurePeer extends PeerAddress {
  /** Its X25519 public key, where keys are in use. */
  readonly publicKey: Uint8Array | undefined
  /** Binds to this association what runs inside of it; the same at both ends, 32 bytes. */
  readonly channelBinding: Uint8Array
}

class AssociationPeer<Peer extends PeerAddress> implements SecurePeer {
  readonly association: Association<Peer>
  readonly key: string

  constructor(association: Association<Peer>, key: string) {
    this.association = association
    this.key = key
  }

  get address(): string {
    return this.association.path.address
  }
  get port(): number {
    return this.association.path.port
  }
  get family(): 'IPv4' | 'IPv6' {
    return this.association.path.family ?? (this.address.includes(':') ? 'IPv6' : 'IPv4')
  }
  get publicKey(): Uint8Array | undefined {
    return this.association.remotePublicKey
  }
  get channelBinding(): Uint8Array {
    return this.association.hash
  }
}

/** A server's transport: its peers are those that have finished a handshake. */
export class SecureServerTransport<Peer extends PeerAddress> implements DatagramTransport<PeerAddress> {
  /** Bytes that each datagram grows by. */
  readonly overhead: number = RECORD_OVERHEAD
  readonly provesPeers = true
  readonly knowsPeers = true
  readonly maxDatagramSize?: number
  readonly sendBatch?: (batch: readonly Batch<PeerAddress>[]) => void
  private readonly options: SecureTransportOptions<Peer>
  private readonly server: SecureServer<Peer>
  private readonly alarm: Alarm
  private readonly peers: Map<Association<Peer>, AssociationPeer<Peer>> = new Map()
  private readonly emit: (record: Uint8Array, path: Peer) => void
  private handler: DatagramHandler<PeerAddress> | undefined
  private nextId = 0

  /**
   * @param keyOf what tells one address from another.
   * @param hostOf what one attacker has plenty of addresses of.
   * @param isBlocked whether no handshake is taken from there.
   */
  constructor(
    options: SecureTransportOptions<Peer>,
    limits: ResolvedLimits,
    keyOf: (peer: Peer) => string,
    hostOf: (peer: Peer) => string,
    isBlocked?: (peer: Peer) => boolean,
  ) {
    const { transport, clock } = options
    this.options = options
    if (transport.maxDatagramSize !== undefined) this.maxDatagramSize = transport.maxDatagramSize
    if (transport.sendBatch !== undefined) this.sendBatch = (batch) => this.sealBatch(batch)
    this.emit = (record, path) => transport.send(record, path)
    this.server = new SecureServer<Peer>(
      {
        primitives: options.primitives,
        identity: options.identity,
        tuning: options.tuning,
        limits,
        keyOf,
        hostOf,
        isBlocked,
        mtu: options.mtu,
        send: (datagram, peer) => transmit(transport, datagram, peer),
        onOpen: (association) => {
          this.peers.set(association, new AssociationPeer(association, `secure ${this.nextId++}`))
        },
        onData: (plain, association) => this.handler?.onDatagram(plain, this.peers.get(association)!),
        onMtu: (association) => {
          this.handler?.onLargerDatagrams?.(this.peers.get(association)!, association.mtu)
        },
        onClosed: (association, error) => {
          const peer = this.peers.get(association)!
          this.peers.delete(association)
          this.handler?.onPeerClosed?.(peer, error)
        },
      },
      clock.now(),
    )
    this.alarm = new Alarm(clock, this.server)
  }

  get counters(): SecureCounters {
    return this.server.counters
  }

  /** Peers with keys. */
  get associations(): number {
    return this.server.associations
  }

  start(handler: DatagramHandler<PeerAddress>): void | Promise<void> {
    const { transport, clock } = this.options
    this.handler = handler
    return transport.start({
      onDatagram: (datagram, from) => {
        this.server.receive(datagram, from, clock.now())
        this.alarm.set()
      },
      onError: (error) => handler.onError(error),
      onClose: () => {
        this.alarm.clear()
        handler.onClose()
      },
    })
  }

  /** To one of its peers; to anybody else nothing is sent. */
  send(datagram: Uint8Array, peer: PeerAddress): void {
    if (!(peer instanceof AssociationPeer)) return
    peer.association.sealTo(datagram, this.options.clock.now(), this.emit)
  }

  close(): void | Promise<void> {
    this.alarm.clear()
    this.handler = undefined
    this.server.close(this.options.clock.now())
    if (this.options.owned !== false) return this.options.transport.close()
  }

  peerKey(peer: PeerAddress): string {
    return peer instanceof AssociationPeer ? peer.key : ''
  }

  /** Whether sessions use the keys of this peer; without any they are forgotten after a while. */
  use(peer: PeerAddress, used: boolean): void {
    if (!(peer instanceof AssociationPeer)) return
    this.server.use(peer.association, used, this.options.clock.now())
    this.alarm.set()
  }

  localAddress(): PeerAddress | undefined {
    return this.options.transport.localAddress?.()
  }
  ref(): void {
    this.options.transport.ref?.()
  }
  unref(): void {
    this.options.transport.unref?.()
  }

  private sealBatch(batch: readonly Batch<PeerAddress>[]): void {
    const now = this.options.clock.now()
    const records: Batch<Peer>[] = []
    const emit = (record: Uint8Array, peer: Peer): void => {
      records.push({ datagram: new Uint8Array(record), peer })
    }
    for (const { datagram, peer } of batch) {
      if (peer instanceof AssociationPeer) peer.association.sealTo(datagram, now, emit)
    }
    if (records.length > 0) this.options.transport.sendBatch!(records)
  }
}

/** What belongs to no flush. `datagram` is lent. */
function transmit<Peer>(transport: DatagramTransport<Peer>, datagram: Uint8Array, peer: Peer): void {
  if (transport.sendBatch === undefined) transport.send(datagram, peer)
  else transport.sendBatch([{ datagram: new Uint8Array(datagram), peer }])
}
