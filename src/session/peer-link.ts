/**
 * The way to one peer: a transport, the peer's address on it, and what seals the datagrams in between: the cipher, and
 * outside of it the user's codec. FEC is inside of both, and not of a link but of a conversation: pipeline.ts.
 *
 *     engine ─► FEC ─► cipher ─► codec ─► transport
 *
 * @module
 */
import { configError, MTU_MAX, MTU_MIN } from '../core/config.ts'
import { isThenable } from '../core/options.ts'
import { OpenResult, type PacketCipher } from '../crypto/packet-cipher.ts'
import type { DatagramTransport, PacketCodec } from './transport.ts'
import { WorkBuffer } from './work-buffer.ts'

/** What passed through one link, or through all links of a listener. */
export class Traffic {
  /** On the wire. */
  datagramsOut = 0
  bytesOut = 0
  /** What the codec refused, either way, and what it returned that is no datagram. */
  codecDrops = 0
  /** Datagrams that the cipher could not seal, and calls of the transport that threw: loss. */
  sendErrors = 0
  /** By the cipher. `refused`: could not be opened. */
  sealed = 0
  opened = 0
  refused = 0
  /** Told of each failure of a codec, cipher or transport that the application has written. */
  onFault: ((hook: string, error: unknown) => void) | undefined
}

type Coded = Uint8Array | readonly Uint8Array[] | null

export class PeerLink<Peer> {
  readonly peer: Peer
  readonly traffic: Traffic = new Traffic()
  private readonly total: Traffic
  private readonly transport: DatagramTransport<Peer>
  private readonly codec: PacketCodec<Peer> | undefined
  /** Bytes that the codec adds at most: as the mtu was reckoned, whatever a fork of it says. */
  private readonly codecOverhead: number
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
    this.codecOverhead = codec?.overhead ?? 0
    this.cipher = cipher
    this.headroom = cipher?.headroom ?? 0
    this.tailroom = cipher?.tailroom ?? 0
    this.total = total
    this.ours = transport.provesPeers === true
    this.batches = transport.sendBatch !== undefined
    this.codec = codec?.fork === undefined ? codec : this.forkOf(codec)
  }

  /** Bytes that cipher and codec add at most. */
  get overhead(): number {
    return this.headroom + this.tailroom + this.codecOverhead
  }

  /** Bytes on the wire that a datagram grows by, the transport's part included. */
  get added(): number {
    return this.overhead + (this.transport.overhead ?? 0)
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
    let decoded: Coded
    try {
      decoded = this.checked('decode', this.codec.decode(datagram, this.peer), MTU_MAX)
    } catch (error) {
      // A codec that throws on what a stranger sent must not stop the others' datagrams.
      this.fault('codec.decode', error)
      decoded = null
    }
    if (decoded === null) this.dropped()
    else if (decoded instanceof Uint8Array) this.unsealed(decoded, each)
    else for (const one of decoded) this.unsealed(one, each)
  }

  private unsealed(datagram: Uint8Array, each: (plain: Uint8Array) => void): void {
    const plain = this.unseal(datagram)
    if (plain !== undefined) each(plain)
  }

  /** A flush has ended: hands over what it produced. */
  readonly flushed = (): void => {
    if (this.batch.length === 0) return
    const { batch } = this
    this.batch = []
    try {
      this.unwaited(this.transport.sendBatch?.(batch))
    } catch (error) {
      this.lost(error)
    }
  }

  /** The plain text of a datagram without the codec's part, opened where it lies; undefined: it could not be. */
  private unseal(datagram: Uint8Array): Uint8Array | undefined {
    const { cipher, traffic, total } = this
    if (cipher === undefined) return datagram
    const end = datagram.length
    let result: unknown
    try {
      result = cipher.open(datagram, 0, end)
      if (isThenable(result)) throw new TypeError(`it returned ${shown(result)}; it must open at once`)
    } catch (error) {
      this.fault('crypto.open', error)
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

  /** Whether it was sealed: what was not must never leave, since it is plain text. */
  private seal(buffer: Uint8Array, start: number, end: number): boolean {
    if (this.cipher === undefined) return true
    try {
      const result: unknown = this.cipher.seal(buffer, start, end)
      if (isThenable(result)) throw new TypeError(`it returned ${shown(result)}; it must seal at once`)
    } catch (error) {
      this.traffic.sendErrors++
      this.total.sendErrors++
      this.fault('crypto.seal', error)
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
    let coded: Coded
    try {
      const limit = Math.min(datagram.length + this.codecOverhead, MTU_MAX)
      coded = this.checked('encode', this.codec.encode(datagram, this.peer), limit)
    } catch (error) {
      // A failure to send is loss.
      this.fault('codec.encode', error)
      coded = null
    }
    if (coded === null) this.dropped()
    else if (coded instanceof Uint8Array) this.transmit(coded, false)
    else for (const each of coded) this.transmit(each, false)
  }

  /** What a codec returned, if that is what it may return. Throws a TypeError. */
  private checked(method: string, coded: unknown, limit: number): Coded {
    if (coded instanceof Uint8Array) return requireDatagram(coded, limit)
    if (coded === null) return null
    if (!Array.isArray(coded)) throw new TypeError(`${method} returned ${shown(coded)}; ${ALLOWED}`)
    for (let i = 0; i < coded.length; i++) {
      if (!(coded[i] instanceof Uint8Array)) {
        throw new TypeError(`${method} returned an array with ${shown(coded[i])}; ${ALLOWED}`)
      }
      requireDatagram(coded[i] as Uint8Array, limit)
    }
    return coded as Uint8Array[]
  }

  /** A codec of this link's own. One that cannot be had lets nothing through: its parent's state is another link's. */
  private forkOf(codec: PacketCodec<Peer>): PacketCodec<Peer> {
    try {
      const fork: unknown = codec.fork!()
      if (isThenable(fork)) throw new TypeError(`it returned ${shown(fork)}; it must return a codec at once`)
      const { encode, decode } = (fork ?? {}) as Partial<PacketCodec<Peer>>
      if (typeof encode === 'function' && typeof decode === 'function') return fork as PacketCodec<Peer>
      throw new TypeError(`it returned ${shown(fork)}; allowed is a codec: { overhead, encode, decode }`)
    } catch (error) {
      this.fault('codec.fork', error)
      return { overhead: 0, encode: () => null, decode: () => null }
    }
  }

  private fault(hook: string, error: unknown): void {
    ;(this.total.onFault ?? this.traffic.onFault)?.(hook, error)
  }

  /** The transport threw, or its promise was rejected. That is loss. */
  private lost(error: unknown): void {
    this.traffic.sendErrors++
    this.total.sendErrors++
    this.fault('transport.send', error)
  }

  /** Nothing waits for a transport; a promise of its may fail all the same. */
  private unwaited(result: unknown): void {
    if (result !== undefined && isThenable(result)) result.then(undefined, (error) => this.lost(error))
  }

  private transmit(datagram: Uint8Array, own: boolean): void {
    const { traffic, total } = this
    traffic.datagramsOut++
    traffic.bytesOut += datagram.length
    total.datagramsOut++
    total.bytesOut += datagram.length
    // Not slice: of a codec's Buffer that would be no copy.
    if (this.batches)
      this.batch.push({ datagram: own ? datagram : new Uint8Array(datagram), peer: this.peer })
    else {
      try {
        this.unwaited(this.transport.send(datagram, this.peer))
      } catch (error) {
        this.lost(error)
      }
    }
  }
}

const ALLOWED = 'allowed are a Uint8Array, an array of them, and null to drop the datagram'

/** Throws a TypeError unless bytes can be a datagram of at most `limit` bytes. A detached buffer has none. */
function requireDatagram(bytes: Uint8Array, limit: number): Uint8Array {
  if (bytes.length === 0) throw new TypeError('it returned no bytes: an empty array, or a detached buffer')
  if (bytes.length > limit) {
    throw new TypeError(`it returned ${bytes.length} bytes where ${limit} are the limit: see codec.overhead`)
  }
  return bytes
}

function shown(value: unknown): string {
  if (isThenable(value)) {
    value.then(undefined, () => undefined)
    return 'a promise'
  }
  return value === null || value === undefined ? String(value) : `a value of type ${typeof value}`
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
