/**
 * One peer's conversation: the way to it, forward error correction, what its channels know of the peer together, and the
 * channels themselves, each an ordered session. The same for both roles: a client makes one for its server and gives it
 * every datagram (`connectTo`, `receiveSealed`); a server's acceptor makes one for each conversation, and gives it each
 * datagram that it has decrypted (`receive`).
 *
 *     in    link ─► receive ─► the channel of its conv ─► FEC, and what it rebuilds ─► the channel of its conv
 *     out   channel ─► FEC ─► link
 *
 * @module
 */
import type { MemoryBudget } from '../core/memory-budget.ts'
import { readU32 } from '../core/segment.ts'
import type { PacketCipher } from '../crypto/packet-cipher.ts'
import { FEC_OVERHEAD, FecKind, fecKind, readOutOfBandConv } from '../fec/header.ts'
import type { ResolvedSessionConfig } from './config.ts'
import { ownCipher, type ResolvedFec } from './fec-options.ts'
import type { PeerContact } from './peer-contact.ts'
import { linkMtu, PeerLink } from './peer-link.ts'
import { Pipeline, type Warn } from './pipeline.ts'
import { KcpSession } from './session.ts'
import { Suspicion, unreadable } from './suspicion.ts'
import type { Clock, DatagramTransport, PacketCodec } from './transport.ts'

interface Common {
  readonly config: ResolvedSessionConfig
  /** The first conv, and how many. */
  readonly conv: number
  readonly channels: number
  readonly fec: ResolvedFec | undefined
  /** Random u32 at which the ts clock starts; see SessionOptions. */
  readonly clockOffset: number
  readonly clock: Clock
  /** Has a channel run at the end of the turn: a datagram came for it, or its window opened. */
  readonly touch: (session: KcpSession) => void
  readonly warn: Warn
}

export interface ConnectionOptions<Peer> extends Common {
  readonly role: 'client' | 'server'
  readonly link: PeerLink<Peer>
  /** Largest datagram of the engines. */
  readonly mtu: number
  /** What all conversations of a host may keep together. */
  readonly memory?: MemoryBudget
  /** The conv of the peer's first datagram; undefined where the transport knows its peers. See SessionOptions.begun. */
  readonly begun?: number | undefined
  /** Given where the link carries this connection only: unreadable datagrams then show another configuration. */
  readonly suspicion?: Suspicion
  /** FEC rebuilt segments for a channel that is over. */
  readonly onStray?: () => void
}

export class Connection<Peer> {
  readonly link: PeerLink<Peer>
  readonly pipeline: Pipeline<Peer>
  /** One for each channel, in the order of their convs. */
  readonly sessions: readonly KcpSession[]
  /** The first conv. */
  readonly conv: number
  /** Largest datagram of the engines, as the connection began. */
  readonly mtu: number
  private readonly options: ConnectionOptions<Peer>
  private released = false
  /** Bytes on the wire of the datagram at hand. */
  private wireSize = 0

  constructor(options: ConnectionOptions<Peer>) {
    const { role, link, conv, channels, fec, mtu, clock, warn, memory } = options
    this.options = options
    this.link = link
    this.conv = conv
    this.mtu = mtu
    const now = (): number => clock.now()
    this.pipeline = new Pipeline<Peer>({
      link,
      conv,
      channels,
      fec,
      mtu,
      now,
      warn,
      ...(memory && { memory }),
    })
    // A client chose its peer itself.
    this.pipeline.proven = role === 'client'
    const sessions: KcpSession[] = []
    this.sessions = sessions
    for (let i = 0; i < channels; i++) sessions.push(this.open(conv + i, sessions[0]?.contact))
  }

  /** The channel of a conv, over or not. */
  session(conv: number): KcpSession | undefined {
    return this.sessions[conv - this.conv]
  }

  /** One datagram from the wire. For a client, whose link carries nothing else. */
  receiveSealed(datagram: Uint8Array): void {
    const { refused } = this.link.traffic
    this.wireSize = datagram.length
    this.link.open(datagram, this.take)
    if (this.link.traffic.refused !== refused) this.suspect(true)
  }

  private readonly take = (plain: Uint8Array): void =>
    this.receive(fecKind(plain, 0, plain.length), plain, this.wireSize, this.options.clock.now())

  /**
   * One plain datagram of the peer's, of this kind, which had `wireSize` bytes on the wire. A server has looked this
   * connection up by the conv.
   */
  receive(kind: FecKind, datagram: Uint8Array, wireSize: number, now: number): void {
    const { pipeline } = this
    this.wireSize = wireSize
    if (kind === FecKind.Bare) this.deliver(datagram, now, false)
    else if (kind === FecKind.OutOfBand) {
      const payload = pipeline.takeOutOfBand(datagram)
      if (payload !== undefined) this.session(readOutOfBandConv(datagram, 0))?.receiveUnreliable(payload)
    } else if (kind === FecKind.Malformed) pipeline.takeMalformed()
    else {
      if (kind === FecKind.Data) this.deliver(datagram.subarray(FEC_OVERHEAD), now, false)
      pipeline.takeShard(kind, datagram, now, (segments) => this.deliver(segments, now, true))
    }
  }

  /** Datagrams of `size` bytes, the transport's part included, fit the path to the peer: larger or smaller than before. */
  largerDatagrams(size: number): void {
    // FEC's buffers have the size that they were made with.
    if (this.options.fec !== undefined) return
    for (const session of this.sessions) session.adoptMtu(size - this.link.added)
  }

  /** Gives back what the channels share, once, as soon as all are over; whether this call did. */
  releaseIfOver(): boolean {
    if (this.released || this.sessions.some(({ closed }) => !closed)) return false
    this.released = true
    this.pipeline.release()
    return true
  }

  private deliver(segments: Uint8Array, now: number, recovered: boolean): void {
    const conv = segments.length < 4 ? this.conv : readU32(segments, 0)
    // Channel 0 rejects and counts a datagram that fits no channel.
    const session = this.session(conv) ?? this.sessions[0]!
    if (session.closed) {
      if (recovered) this.options.onStray?.()
      return
    }
    session.receive(segments, now, recovered ? 0 : this.wireSize, recovered)
    this.options.touch(session)
    if (!session.heard && !this.link.sealing) this.suspect(false)
  }

  /** Something from the peer's own address makes no sense. Nobody who was understood is suspected. */
  private suspect(sealed: boolean): void {
    const { suspicion, warn } = this.options
    if (suspicion === undefined || this.sessions[0]!.heard || !suspicion.add('')) return
    warn('KCP_CIPHER', unreadable('the peer', sealed))
  }

  private open(conv: number, contact: PeerContact | undefined): KcpSession {
    const { role, config, mtu, clockOffset, clock, memory, touch, begun } = this.options
    const { pipeline } = this
    const session = new KcpSession({
      conv,
      config,
      role,
      mtu,
      overhead: pipeline.overhead,
      clockOffset,
      now: clock.now(),
      send: pipeline.send,
      flushed: pipeline.flushed,
      path: pipeline,
      wake: touch,
      contact,
      begun: role === 'client' || conv === begun,
      ...(memory && { memory }),
    })
    session.onProven = () => this.proven()
    return session
  }

  /** The peer's address is proven, and so it is for all channels. */
  private proven(): void {
    this.pipeline.proven = true
    for (const session of this.sessions) session.trust()
  }
}

export interface ConnectOptions<Peer> extends Common {
  readonly transport: DatagramTransport<Peer>
  readonly peer: Peer
  readonly codec: PacketCodec<Peer> | undefined
  readonly cipher: PacketCipher | undefined
  /** Largest datagram on the wire. */
  readonly mtu: number
}

/** A client's connection. Throws ERR_KCP_CONFIG when codec, cipher and FEC leave no mtu. */
export function connectTo<Peer>(options: ConnectOptions<Peer>): Connection<Peer> {
  const { transport, peer, codec, cipher, fec } = options
  const link = new PeerLink(transport, peer, codec, ownCipher(cipher))
  const mtu = linkMtu(transport, options.mtu, link.overhead + (fec === undefined ? 0 : FEC_OVERHEAD))
  return new Connection({ ...options, role: 'client', link, mtu, suspicion: new Suspicion() })
}
