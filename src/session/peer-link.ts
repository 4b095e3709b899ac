/**
 * The way to one peer: a transport, the peer's address on it, and the user's codec in between.
 * @module
 */
import { configError, MTU_MIN } from '../core/config.ts'
import type { DatagramTransport, PacketCodec } from './transport.ts'

export class PeerLink<Peer> {
  readonly peer: Peer
  /** Datagrams and bytes on the wire, and what the codec refused. */
  datagramsOut = 0
  bytesOut = 0
  codecDrops = 0
  private readonly transport: DatagramTransport<Peer>
  private readonly codec: PacketCodec<Peer> | undefined
  /** What was sent since the last `flushed`, for a transport that takes batches; copies, since datagrams are lent. */
  private batch: { readonly datagram: Uint8Array; readonly peer: Peer }[] = []

  /** @param codec the configured one; the link uses a fork of it when it has one. */
  constructor(transport: DatagramTransport<Peer>, peer: Peer, codec: PacketCodec<Peer> | undefined) {
    this.transport = transport
    this.peer = peer
    this.codec = codec?.fork?.() ?? codec
  }

  /** Bytes that the codec adds at most. */
  get overhead(): number {
    return this.codec?.overhead ?? 0
  }

  /** See linkMtu. */
  mtu(wish: number): number {
    return linkMtu(this.transport, this.codec, wish)
  }

  readonly send = (datagram: Uint8Array): void => {
    if (this.codec === undefined) {
      this.transmit(datagram)
      return
    }
    let coded: Uint8Array | readonly Uint8Array[] | null
    try {
      coded = this.codec.encode(datagram, this.peer)
    } catch {
      // A failure to send is loss.
      coded = null
    }
    if (coded === null) this.codecDrops++
    else if (coded instanceof Uint8Array) this.transmit(coded)
    else for (const each of coded) this.transmit(each)
  }

  /** Hands up what a datagram from the wire holds: nothing, one plain datagram or several. */
  open(datagram: Uint8Array, each: (plain: Uint8Array) => void): void {
    if (this.codec === undefined) {
      each(datagram)
      return
    }
    let plain: Uint8Array | readonly Uint8Array[] | null
    try {
      plain = this.codec.decode(datagram, this.peer)
    } catch {
      // A codec that throws on what a stranger sent must not stop the others' datagrams.
      plain = null
    }
    if (plain === null) this.codecDrops++
    else if (plain instanceof Uint8Array) each(plain)
    else for (const one of plain) each(one)
  }

  /** A flush has ended: hands over what it produced. */
  readonly flushed = (): void => {
    if (this.batch.length === 0) return
    const { batch } = this
    this.batch = []
    this.transport.sendBatch?.(batch)
  }

  private transmit(datagram: Uint8Array): void {
    this.datagramsOut++
    this.bytesOut += datagram.length
    if (this.transport.sendBatch === undefined) this.transport.send(datagram, this.peer)
    else this.batch.push({ datagram: datagram.slice(), peer: this.peer })
  }
}

/**
 * The largest plain datagram that fits: `wish`, or what the transport carries, less what the codec adds. Throws
 * ERR_KCP_CONFIG when that leaves no mtu.
 */
export function linkMtu<Peer>(
  transport: DatagramTransport<Peer>,
  codec: PacketCodec<Peer> | undefined,
  wish: number,
): number {
  const path = Math.min(wish, transport.maxDatagramSize ?? wish)
  const overhead = codec?.overhead ?? 0
  if (path - overhead < MTU_MIN) {
    const why = `the transport carries ${path}, the codec adds ${overhead}`
    throw configError('kcp.mtu', path - overhead, `${MTU_MIN} or more after what others take (${why})`)
  }
  return path - overhead
}
