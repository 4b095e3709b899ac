/**
 * The way to one peer: a transport, the peer's address on it, and what seals the datagrams in between: the cipher, and
 * outside of it the user's codec. FEC is inside of both, and not of a link but of a conversation: pipeline.ts.
 *
 *     engine ─► FEC ─► cipher ─► codec ─► transport
 *
 * @module
 */
import { configError, MTU_MIN } from '../core/config.ts'
import { isLater, OpenResult, type PacketCipher } from '../crypto/packet-cipher.ts'
import type { DatagramTransport, PacketCodec } from './transport.ts'
import { WorkBuffer } from './work-buffer.ts'

/** What passed through one link, or through all links of a listener. */
export class Traffic {
  /** On the wire. */
  datagramsOut = 0
  bytesOut = 0
  /** What the codec refused, either way, and what the cipher could not seal. */
  codecDrops = 0
  /** By the cipher. `refused`: could not be opened. */
  sealed = 0
  opened = 0
  refused = 0
}

export class PeerLink<Peer> {
  readonly peer: Peer
  readonly traffic: Traffic = new Traffic()
  private readonly total: Traffic
  private readonly transport: DatagramTransport<Peer>
  private readonly codec: PacketCodec<Peer> | undefined
  private readonly cipher: PacketCipher | undefined
  /** What a sealed datagram has in front and behind; 0 without a cipher. */
  readonly headroom: number
  readonly tailroom: number
  /** Both ends are this package, and the transport has proven the peer: it knows of everything that ours may send. */
  readonly ours: boolean
  /** The transport takes batches, and the datagrams of one are its to keep. */
  private readonly batches: boolean
  /** What was sent since the last `flushed`, for a transport that takes batches; copies, since datagrams are lent. */
  private batch: { readonly datagram: Uint8Array; readonly peer: Peer }[] = []

  /**
   * @param codec the configured one; the link uses a fork of it when it has one.
   * @param total where to count too, with others.
   */
  constructor(
    transport: DatagramTransport<Peer>,
    peer: Peer,
    codec: PacketCodec<Peer> | undefined,
    cipher?: PacketCipher | undefined,
    total: Traffic = new Traffic(),
  ) {
    this.transport = transport
    this.peer = peer
    this.codec = codec?.fork?.() ?? codec
    this.cipher = cipher
    this.headroom = cipher?.headroom ?? 0
    this.tailroom = cipher?.tailroom ?? 0
    this.total = total
    this.ours = transport.provesPeers === true
    this.batches = transport.sendBatch !== undefined
  }

  /** Bytes that cipher and codec add at most. */
  get overhead(): number {
    return this.headroom + this.tailroom + (this.codec?.overhead ?? 0)
  }

  /** Whether there is a cipher. */
  get sealing(): boolean {
    return this.cipher !== undefined
  }

  /** See linkMtu. */
  mtu(wish: number): number {
    return linkMtu(this.transport, wish, this.overhead)
  }

  /** Seals a datagram, if there is a cipher, and sends it. */
  readonly send = (datagram: Uint8Array): void => {
    const { cipher, headroom, tailroom } = this
    if (cipher === undefined) {
      this.encode(datagram, false)
      return
    }
    const work = this.borrow(headroom + datagram.length + tailroom)
    work.bytes.set(datagram, headroom)
    this.sendWork(work, headroom, headroom + datagram.length)
    work.giveBack()
  }

  /** A buffer of this size or larger to make a datagram in, for `sendWork`. */
  borrow(size: number): WorkBuffer {
    // What a batch keeps has to be its own.
    return this.batches && this.codec === undefined ? new WorkBuffer(size, false) : WorkBuffer.borrow(size)
  }

  /** Seals and sends `[start, end)` of a buffer that was borrowed here, with headroom and tailroom around it. */
  sendWork(work: WorkBuffer, start: number, end: number): void {
    const { headroom, tailroom } = this
    if (this.seal(work.bytes, start, end)) this.encode(work.view(start - headroom, end + tailroom), true)
  }

  /** Seals and sends `[start, end)` of somebody's buffer, in which it has headroom in front and tailroom behind. */
  sendInPlace(buffer: Uint8Array, start: number, end: number): void {
    const { headroom, tailroom } = this
    if (this.seal(buffer, start, end)) this.encode(buffer.subarray(start - headroom, end + tailroom), false)
  }

  /** Hands up what a datagram from the wire holds: nothing, one plain datagram or several. */
  open(datagram: Uint8Array, each: (plain: Uint8Array) => void): void {
    if (this.codec === undefined) {
      const plain = this.unseal(datagram)
      if (plain !== undefined) each(plain)
      return
    }
    let decoded: Uint8Array | readonly Uint8Array[] | null
    try {
      decoded = this.codec.decode(datagram, this.peer)
    } catch {
      // A codec that throws on what a stranger sent must not stop the others' datagrams.
      decoded = null
    }
    if (decoded === null) this.dropped()
    else {
      for (const one of decoded instanceof Uint8Array ? [decoded] : decoded) {
        const plain = this.unseal(one)
        if (plain !== undefined) each(plain)
      }
    }
  }

  /** A flush has ended: hands over what it produced. */
  readonly flushed = (): void => {
    if (this.batch.length === 0) return
    const { batch } = this
    this.batch = []
    this.transport.sendBatch?.(batch)
  }

  /** The plain text of a datagram without the codec's part, opened where it lies; undefined: it could not be. */
  private unseal(datagram: Uint8Array): Uint8Array | undefined {
    const { cipher, traffic, total } = this
    if (cipher === undefined) return datagram
    const end = datagram.length
    let result: unknown
    try {
      result = cipher.open(datagram, 0, end)
      isLater(result)
    } catch {
      // A cipher that throws on what a stranger sent has not opened it.
    }
    if (result !== OpenResult.Opened) {
      traffic.refused++
      total.refused++
      return undefined
    }
    traffic.opened++
    total.opened++
    return datagram.subarray(this.headroom, end - this.tailroom)
  }

  /** false: it could not be sealed, and must not leave. That is loss, as with a codec. */
  private seal(buffer: Uint8Array, start: number, end: number): boolean {
    if (this.cipher === undefined) return true
    let sealed = false
    try {
      // A Promise would seal it when it has left already.
      sealed = !isLater(this.cipher.seal(buffer, start, end))
    } catch {}
    if (!sealed) {
      this.dropped()
      return false
    }
    this.traffic.sealed++
    this.total.sealed++
    return true
  }

  private dropped(): void {
    this.traffic.codecDrops++
    this.total.codecDrops++
  }

  /** `own`: it is in a buffer that was borrowed here. */
  private encode(datagram: Uint8Array, own: boolean): void {
    if (this.codec === undefined) {
      this.transmit(datagram, own)
      return
    }
    let coded: Uint8Array | readonly Uint8Array[] | null
    try {
      coded = this.codec.encode(datagram, this.peer)
    } catch {
      // A failure to send is loss.
      coded = null
    }
    if (coded === null) this.dropped()
    else if (coded instanceof Uint8Array) this.transmit(coded, false)
    else for (const each of coded) this.transmit(each, false)
  }

  private transmit(datagram: Uint8Array, own: boolean): void {
    const { traffic, total } = this
    traffic.datagramsOut++
    traffic.bytesOut += datagram.length
    total.datagramsOut++
    total.bytesOut += datagram.length
    if (!this.batches) this.transport.send(datagram, this.peer)
    // Not slice: of a codec's Buffer that would be no copy.
    else this.batch.push({ datagram: own ? datagram : new Uint8Array(datagram), peer: this.peer })
  }
}

/**
 * The largest plain datagram that fits: `wish`, or what the transport carries, less what others add to it (codec,
 * cipher, FEC). Throws ERR_KCP_CONFIG when that leaves no mtu.
 */
export function linkMtu<Peer>(transport: DatagramTransport<Peer>, wish: number, overhead: number): number {
  const path = Math.min(wish, transport.maxDatagramSize ?? wish)
  const added = overhead + (transport.overhead ?? 0)
  if (path - added < MTU_MIN) {
    const why = `${path} fit, transport, codec, cipher and FEC add ${added}`
    throw configError('kcp.mtu', path - added, `${MTU_MIN} or more after what others take (${why})`)
  }
  return path - added
}
