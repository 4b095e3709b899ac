/**
 * The way of a client to its peer and back: link and pipeline, and which of its sessions a datagram is for. What the
 * acceptor is for a server.
 * @module
 */
import { readU32 } from '../core/segment.ts'
import type { PacketCipher } from '../crypto/packet-cipher.ts'
import { FEC_OVERHEAD, FecKind, fecKind, readOutOfBandConv } from '../fec/header.ts'
import { ownCipher, type ResolvedFec } from './fec-options.ts'
import { linkMtu, PeerLink } from './peer-link.ts'
import { Pipeline, type Warn } from './pipeline.ts'
import type { KcpSession } from './session.ts'
import { Suspicion } from './suspicion.ts'
import type { Clock, DatagramTransport, PacketCodec } from './transport.ts'

export interface ClientPathOptions<Peer> {
  readonly transport: DatagramTransport<Peer>
  readonly peer: Peer
  readonly codec: PacketCodec<Peer> | undefined
  readonly cipher: PacketCipher | undefined
  readonly fec: ResolvedFec | undefined
  /** Largest datagram on the wire. */
  readonly mtu: number
  /** The first conv, and how many. */
  readonly conv: number
  readonly channels: number
  readonly clock: Clock
  /** Something came for a session: it wants its turn. */
  readonly touch: (session: KcpSession) => void
  readonly warn: Warn
}

export class ClientPath<Peer> {
  readonly pipeline: Pipeline<Peer>
  /** Largest datagram of the engines. */
  readonly mtu: number
  /** One for each channel, in order; whoever makes them adds them. */
  readonly sessions: KcpSession[] = []
  private readonly link: PeerLink<Peer>
  private readonly conv: number
  private readonly fec: boolean
  /** Bytes that a datagram of the engine grows by. */
  private readonly added: number
  private readonly clock: Clock
  private readonly touch: (session: KcpSession) => void
  private readonly warn: Warn
  private readonly suspicion: Suspicion = new Suspicion()
  /** Bytes on the wire of the datagram at hand, until something of it was given to a session. */
  private wireSize = 0

  /** Throws ERR_KCP_CONFIG when codec, cipher and FEC leave no mtu. */
  constructor(options: ClientPathOptions<Peer>) {
    const { transport, fec, conv, channels, clock, warn } = options
    const link = new PeerLink(transport, options.peer, options.codec, ownCipher(options.cipher))
    this.link = link
    this.mtu = linkMtu(transport, options.mtu, link.overhead + (fec === undefined ? 0 : FEC_OVERHEAD))
    this.fec = fec !== undefined
    this.added = link.overhead + (transport.overhead ?? 0)
    const now = (): number => clock.now()
    this.pipeline = new Pipeline<Peer>({ link, conv, channels, fec, mtu: this.mtu, now, warn })
    // It chose its peer itself.
    this.pipeline.proven = true
    this.conv = conv
    this.clock = clock
    this.touch = options.touch
    this.warn = warn
  }

  /** Datagrams of `size` bytes, the transport's part included, fit the path to the peer: larger or smaller than before. */
  largerDatagrams(size: number): void {
    // FEC's buffers have the size that they were made with.
    if (this.fec) return
    for (const session of this.sessions) session.adoptMtu(size - this.added)
  }

  /** One datagram from the peer's address. */
  receive(datagram: Uint8Array): void {
    const { refused } = this.link.traffic
    this.wireSize = datagram.length
    this.link.open(datagram, this.take)
    if (this.link.traffic.refused !== refused)
      this.suspect('cannot be opened: probably it has another key or cipher (see the option crypto)')
  }

  private readonly take = (datagram: Uint8Array): void => {
    const { pipeline } = this
    const kind = fecKind(datagram, 0, datagram.length)
    if (kind === FecKind.Bare) this.deliver(datagram, false)
    else if (kind === FecKind.OutOfBand) {
      const payload = pipeline.takeOutOfBand(datagram)
      if (payload !== undefined) this.sessionOf(readOutOfBandConv(datagram, 0))?.receiveUnreliable(payload)
    } else if (kind === FecKind.Malformed) pipeline.takeMalformed()
    else {
      if (kind === FecKind.Data) this.deliver(datagram.subarray(FEC_OVERHEAD), false)
      pipeline.takeShard(kind, datagram, this.clock.now(), this.deliverRecovered)
    }
  }

  private readonly deliverRecovered = (segments: Uint8Array): void => this.deliver(segments, true)

  private deliver(segments: Uint8Array, recovered: boolean): void {
    const conv = segments.length < 4 ? this.conv : readU32(segments, 0)
    // What is of none of them is channel 0's to refuse, and to count.
    const lead = this.sessions[0]!
    const session = this.sessionOf(conv) ?? lead
    if (session.closed) return
    session.receive(segments, this.clock.now(), recovered ? 0 : this.wireSize, recovered)
    this.touch(session)
    if (!lead.heard && !this.link.sealing)
      this.suspect('are not KCP: probably it has a cipher (see the options crypto and security)')
  }

  private sessionOf(conv: number): KcpSession | undefined {
    return this.sessions[conv - this.conv]
  }

  /** Something from the peer's own address makes no sense. Nobody who was understood is suspected. */
  private suspect(why: string): void {
    if (this.sessions[0]?.heard === true || !this.suspicion.add('')) return
    this.warn('KCP_CIPHER', `the peer's datagrams ${why}`)
  }
}
