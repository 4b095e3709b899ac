/**
 * UDP through the addon: what one turn of the event loop sends leaves in one system call, and what has arrived comes in
 * one. A failed send is loss: the protocol repeats what matters. Plain twin: udp-transport.ts, which the same tests
 * hold it to. Benchmark: `npm run bench -- --only bulk`.
 * @module
 */
import { getSystemErrorName } from 'node:util'
import { KcpError } from '../core/errors.ts'
import {
  type DatagramHandler,
  type DatagramTransport,
  PATH_ERRORS,
  type PeerAddress,
} from '../session/transport.ts'
import { familyOf, requirePort } from './address.ts'
import {
  ALL_FEATURES,
  ANY_SPLIT,
  Feature,
  type NativeAddress,
  type NativeCounters,
  type NativeSocket,
  type NativeUdp,
  nativeStatus,
  nativeUdp,
  Row,
  RunResult,
  SocketFlag,
} from './native.ts'
import { ioError, readUdpOptions, type UdpOptions } from './udp-transport.ts'

export interface UdpBatchOptions extends UdpOptions {
  /** Uses less of the kernel than it has: a sum of Feature. For tests and comparisons. */
  readonly features?: number
}

/** Peers remembered by a socket that many talk to; when there are more it forgets them all and begins again. */
const PEERS_MAX = 65_536
/**
 * Peers seen once. What a flood of forged addresses leaves behind here dies young, and costs the garbage collector
 * little; in the large table it would first grow old.
 */
const STRANGERS_MAX = 1_024
/** Views kept per message: the kernel puts at most 64 datagrams into one (UDP_GRO_CNT_MAX). */
const VIEWS_MAX = 64

/** A peer's address with its words at hand. */
class BatchPeer implements PeerAddress {
  readonly address: string
  readonly port: number
  readonly family: 'IPv4' | 'IPv6'
  readonly #key: string
  readonly #family: 4 | 6
  readonly #words: readonly number[]
  /** The route to it takes no runs: each datagram is a message. */
  #single = false

  constructor(family: 4 | 6, address: string, port: number, words: readonly number[]) {
    this.address = address
    this.port = port
    this.family = `IPv${family}`
    this.#key = `${address}|${port}`
    this.#family = family
    this.#words = words
  }

  static is(peer: PeerAddress): peer is BatchPeer {
    return typeof peer === 'object' && peer !== null && #key in peer
  }
  static familyOf(peer: BatchPeer): 4 | 6 {
    return peer.#family
  }
  static key(peer: BatchPeer): string {
    return peer.#key
  }
  static isSingle(peer: BatchPeer): boolean {
    return peer.#single
  }
  static makeSingle(peer: BatchPeer): void {
    peer.#single = true
  }
  static write(peer: BatchPeer, table: Int32Array, row: number): void {
    table[row + Row.Port] = peer.port
    const words = peer.#words
    for (let i = 0; i < words.length; i++) table[row + Row.Address + i] = words[i]!
  }
  /** Whether a row is of this peer. */
  static isAt(peer: BatchPeer, table: Int32Array, row: number): boolean {
    const words = peer.#words
    return (
      table[row + Row.Port] === peer.port &&
      table[row + Row.Address] === words[0] &&
      table[row + Row.Address + 1] === words[1] &&
      table[row + Row.Address + 2] === words[2] &&
      table[row + Row.Address + 3] === words[3]
    )
  }
}

/** What waits to be sent in this turn: of one socket at a time, since a system call serves one. */
class Outbox {
  private readonly bytes: Uint8Array
  private readonly table: Int32Array
  private readonly maxSegments: number
  private readonly maxDatagram: number
  private readonly peers: BatchPeer[] = []
  private owner: UdpBatchTransport | undefined
  private scheduled = false
  /** The process is ending: there is no end of the turn any more. */
  private exiting = false
  private used = 0
  private runs = 0
  /** The latest run: whether it takes more, and how many datagrams it has. */
  private open = false
  private segments = 0

  constructor(udp: NativeUdp) {
    this.bytes = new Uint8Array(udp.sendBytes)
    this.table = new Int32Array(udp.sendTable)
    this.maxSegments = udp.maxSegments
    this.maxDatagram = udp.maxDatagram
  }

  add(owner: UdpBatchTransport, datagram: Uint8Array, peer: BatchPeer): void {
    const size = datagram.length
    const full = this.used + size > this.bytes.length || (this.runs + 1) * Row.Words > this.table.length
    if (full || this.owner !== owner) {
      this.commit()
      this.owner = owner
    }
    // First: it throws for what is no datagram, and nothing is half done then.
    this.bytes.set(datagram, this.used)
    const { table } = this
    let row = (this.runs - 1) * Row.Words
    if (
      this.open &&
      this.peers[this.runs - 1] === peer &&
      size <= table[row + Row.Segment]! &&
      table[row + Row.Bytes]! + size <= this.maxDatagram
    ) {
      table[row + Row.Bytes]! += size
      this.segments++
      // Only the last datagram of a run may be shorter.
      this.open = size === table[row + Row.Segment] && this.segments < this.maxSegments
    } else {
      row = this.runs * Row.Words
      table[row + Row.Offset] = this.used
      table[row + Row.Bytes] = table[row + Row.Segment] = size
      BatchPeer.write(peer, table, row)
      this.peers[this.runs++] = peer
      this.segments = 1
      this.open = owner.takesRuns && !BatchPeer.isSingle(peer)
    }
    this.used += size
    if (this.exiting) this.commit()
    if (this.scheduled || this.exiting) return
    this.scheduled = true
    process.nextTick(this.endOfTurn)
  }

  /** Sends what waits if it is `owner`'s. */
  commitOf(owner: UdpBatchTransport): void {
    if (this.owner === owner) this.commit()
  }

  /** Sends what waits, and from now on everything at once. */
  readonly exit = (): void => {
    this.exiting = true
    this.commit()
  }

  private readonly endOfTurn = (): void => {
    this.scheduled = false
    this.commit()
  }

  private commit(): void {
    const { owner, runs } = this
    this.owner = undefined
    this.used = this.runs = 0
    this.open = false
    if (owner === undefined || runs === 0) return
    if (owner.transmit(runs)) {
      for (let i = 0; i < runs; i++) {
        if (this.table[i * Row.Words + Row.Result] === RunResult.Split) BatchPeer.makeSingle(this.peers[i]!)
      }
    }
  }
}

/** What arrived: views of the addon's buffer, made once as far as they recur. */
class Inbox {
  readonly table: Int32Array
  private readonly bytes: Uint8Array
  private readonly views: Uint8Array[][] = []

  constructor(udp: NativeUdp) {
    this.table = new Int32Array(udp.recvTable)
    this.bytes = new Uint8Array(udp.recvBytes)
  }

  /** The datagram at `offset`, the `index`-th of message `row`. */
  view(row: number, index: number, offset: number, size: number): Uint8Array {
    const views = (this.views[row] ??= [])
    const known = views[index]
    if (known !== undefined && known.length === size && known.byteOffset === offset) return known
    const view = this.bytes.subarray(offset, offset + size)
    if (index < VIEWS_MAX) views[index] = view
    return view
  }
}

let shared: { readonly udp: NativeUdp; readonly outbox: Outbox; readonly inbox: Inbox } | undefined

/** The thread's buffers. Throws ERR_KCP_IO where there is no addon. */
function buffers(): NonNullable<typeof shared> {
  if (shared === undefined) {
    const udp = nativeUdp()
    if (udp === undefined) {
      throw new KcpError('ERR_KCP_IO', `the addon for UDP in batches is not in use: ${nativeStatus().detail}`)
    }
    shared = { udp, outbox: new Outbox(udp), inbox: new Inbox(udp) }
    // A program that ends in this turn has sent its last words, as over node:dgram. One listener for all sockets, and in
    // front of the program's own, which may send yet.
    process.prependListener('exit', shared.outbox.exit)
  }
  return shared
}

export class UdpBatchTransport implements DatagramTransport<PeerAddress> {
  readonly maxDatagramSize: number
  /** Errors that the system reported, such as ECONNREFUSED. */
  socketErrors = 0
  /** Whether several datagrams may leave as one message. */
  takesRuns: boolean
  private readonly socket: NativeSocket
  private readonly udp: NativeUdp
  private readonly outbox: Outbox
  private readonly inbox: Inbox
  private readonly family: 4 | 6
  private connectedTo: BatchPeer | undefined
  /** Peers seen more than once, and those seen once. */
  private readonly peers: Map<number | string, BatchPeer> = new Map()
  private readonly strangers: Map<number | string, BatchPeer> = new Map()
  private handler: DatagramHandler<PeerAddress> | undefined
  private closing: Promise<void> | undefined
  /** Datagrams that no socket could send. */
  private refused = 0

  private constructor(socket: NativeSocket) {
    const { udp, outbox, inbox } = buffers()
    this.socket = socket
    this.udp = udp
    this.outbox = outbox
    this.inbox = inbox
    this.maxDatagramSize = udp.maxDatagram
    this.family = socket.address()[2]
    this.takesRuns = (socket.features() & Feature.Gso) !== 0
  }

  /**
   * A transport over a new socket, bound, or over the descriptor `fd`. Rejects with ERR_KCP_IO (the system's error as
   * `cause`, or no addon), ERR_KCP_CONFIG or the signal's reason.
   */
  static async bind(given: UdpBatchOptions = {}): Promise<UdpBatchTransport> {
    const options = readUdpOptions(given, { features: true })
    const { udp } = buffers()
    options.signal?.throwIfAborted()
    const fd = options.fd ?? -1
    const family = options.family ?? (options.address === undefined ? 4 : (familyOf(options.address) ?? 4))
    const address = options.address ?? (family === 6 ? '::' : '0.0.0.0')
    const flags =
      (options.reuseAddr === true ? SocketFlag.ReuseAddr : 0) |
      (options.reusePort === true ? SocketFlag.ReusePort : 0) |
      (options.ipv6Only === true ? SocketFlag.V6Only : 0)
    let socket: NativeSocket | undefined
    try {
      socket = new udp.Socket(family, address, options.port ?? 0, flags, fd, options.features ?? ALL_FEATURES)
      socket.setBuffers(options.bufferSize ?? 0)
      const transport = new UdpBatchTransport(socket)
      if (fd >= 0) transport.adoptPeer()
      return transport
    } catch (cause) {
      socket?.close()
      const where = fd < 0 ? `${options.address ?? '*'}:${options.port ?? 0}` : `fd ${fd}`
      throw ioError(`cannot bind ${where}`, cause)
    }
  }

  /** Ties the socket to one peer; see UdpTransport.connect. */
  async connect(peer: PeerAddress): Promise<PeerAddress> {
    this.outbox.commitOf(this)
    try {
      this.socket.connect(peer.address, peer.port)
      return this.tie(this.socket.remoteAddress())
    } catch (cause) {
      throw ioError(`cannot reach ${peer.address}:${peer.port}`, cause)
    }
  }

  send(datagram: Uint8Array, peer: PeerAddress): void {
    if (this.closing !== undefined) return
    const to = this.connectedTo ?? this.known(peer)
    const size = datagram.length
    if (to !== undefined && size > 0 && size <= this.maxDatagramSize) this.outbox.add(this, datagram, to)
    else this.refused++
  }

  /** Hands to the system what waits for the end of the turn. */
  flush(): void {
    this.outbox.commitOf(this)
  }

  /** For the outbox: hands runs to the system. Whether a run was split. */
  transmit(runs: number): boolean {
    const result = this.socket.commit(runs)
    if (result === 0) return false
    const split = (result & ANY_SPLIT) !== 0
    if (split) this.takesRuns = (this.socket.features() & Feature.Gso) !== 0
    const errno = result & ~ANY_SPLIT
    const code = errno === 0 ? undefined : getSystemErrorName(-errno)
    if (code === 'ECONNREFUSED' || (this.connectedTo !== undefined && PATH_ERRORS.has(code))) {
      // Not from inside a send: whoever sends is not ready to be told that its peer is gone.
      process.nextTick(this.onErrno, errno)
    }
    return split
  }

  start(handler: DatagramHandler<PeerAddress>): void {
    this.handler = handler
    this.socket.start(this.onBatch, this.onErrno)
  }

  close(): Promise<void> {
    this.closing ??= new Promise((resolve) => {
      this.outbox.commitOf(this)
      this.socket.close(() => {
        // First: what the handler throws is not the closer's.
        resolve()
        this.handler?.onClose()
      })
    })
    return this.closing
  }

  /** The key of a peer's address, made once. */
  peerKey(peer: PeerAddress): string {
    return BatchPeer.is(peer) ? BatchPeer.key(peer) : `${peer.address}|${peer.port}`
  }

  localAddress(): PeerAddress | undefined {
    if (this.closing !== undefined) return undefined
    const [address, port, family] = this.socket.address()
    return { address, port, family: `IPv${family}` }
  }

  /** What the system granted, bytes; Linux caps it at net.core.rmem_max and wmem_max, and doubles it. */
  bufferSizes(): { readonly recv: number; readonly send: number } {
    const [recv, send] = this.socket.setBuffers(0)
    return { recv, send }
  }

  /** Bytes per second that the kernel lets out at most; 0: no limit. Only the fq queueing discipline acts on it. */
  setMaxPacingRate(bytesPerSecond: number): boolean {
    return this.socket.setPacingRate(bytesPerSecond)
  }

  /** The socket's descriptor, to hand to another process. It is closed with the transport. */
  get fd(): number {
    return this.socket.fd()
  }

  /** What the socket uses of the kernel (a sum of Feature), and what it counted. */
  stats(): NativeCounters & { readonly features: number } {
    return { ...this.socket.counters(), features: this.socket.features() }
  }

  /** Datagrams that the system did not take. */
  get sendErrors(): number {
    const { lostFull, lostOther } = this.socket.counters()
    return this.refused + lostFull + lostOther
  }

  ref(): void {
    this.socket.ref()
  }
  unref(): void {
    this.socket.unref()
  }

  // ---- inside ----------------------------------------------------------------------------------------------

  private readonly onBatch = (rows: number): void => {
    const { inbox, connectedTo } = this
    const { table } = inbox
    for (let i = 0; i < rows; i++) {
      const row = i * Row.Words
      // Strangers' datagrams that came before the socket was tied to its peer are still in its queue.
      if (connectedTo !== undefined && !BatchPeer.isAt(connectedTo, table, row)) continue
      const offset = table[row + Row.Offset]!
      const end = offset + table[row + Row.Bytes]!
      const segment = Math.max(1, table[row + Row.Segment]!)
      const peer = connectedTo ?? this.peerAt(row)
      let at = offset
      let index = 0
      do {
        this.deliver(inbox.view(i, index++, at, Math.min(segment, end - at)), peer)
        at += segment
      } while (at < end)
    }
  }

  private deliver(datagram: Uint8Array, peer: PeerAddress): void {
    if (this.closing !== undefined) return
    try {
      this.handler!.onDatagram(datagram, peer)
    } catch (error) {
      // A callback of the application threw: for the process to see, as with an event; the others have their turn.
      process.nextTick(() => {
        throw error
      })
    }
  }

  private readonly onErrno = (errno: number): void => {
    this.socketErrors++
    if (this.closing !== undefined) return
    const code = getSystemErrorName(-errno)
    this.handler?.onError(
      Object.assign(new Error(`recvmsg ${code}`), { code, errno: -errno, syscall: 'recvmsg' }),
    )
  }

  /** The peer of a row of the inbox. */
  private peerAt(row: number): BatchPeer {
    const { table } = this.inbox
    const port = table[row + Row.Port]!
    const a0 = table[row + Row.Address]!
    const a1 = table[row + Row.Address + 1]!
    const a2 = table[row + Row.Address + 2]!
    const a3 = table[row + Row.Address + 3]!
    const scope = table[row + Row.Scope]!
    // IPv4, also mapped into IPv6 (::ffff:a.b.c.d), fits a double.
    const mapped = this.family === 6 && a0 === 0 && a1 === 0 && a2 === MAPPED
    const key =
      this.family === 4 || mapped
        ? ((mapped ? a3 : a0) >>> 0) * 65_536 + port
        : `${a0},${a1},${a2},${a3},${scope},${port}`
    let peer = this.find(key)
    if (peer === undefined) {
      const text = this.udp.addressText(this.family, a0, a1, a2, a3, scope)
      peer = new BatchPeer(this.family, text, port, [a0, a1, a2, a3, scope])
      this.meet(key, peer)
    }
    return peer
  }

  private find(key: number | string): BatchPeer | undefined {
    const peer = this.peers.get(key)
    if (peer !== undefined) return peer
    const stranger = this.strangers.get(key)
    if (stranger === undefined) return undefined
    this.strangers.delete(key)
    if (this.peers.size >= PEERS_MAX) this.peers.clear()
    this.peers.set(key, stranger)
    return stranger
  }

  private meet(key: number | string, peer: BatchPeer): void {
    if (this.strangers.size >= STRANGERS_MAX) this.strangers.clear()
    this.strangers.set(key, peer)
  }

  /** Our form of an address that the caller made; undefined when it is none, or none of this socket's family. */
  private known(peer: PeerAddress): BatchPeer | undefined {
    // One of a socket of the other family is read anew.
    if (BatchPeer.is(peer) && BatchPeer.familyOf(peer) === this.family) return peer
    let key: string
    let known: BatchPeer | undefined
    try {
      key = this.peerKey(peer)
      known = this.find(key)
      if (known !== undefined) return known
      const mapped = this.family === 6 && familyOf(peer.address) === 4
      requirePort(peer.port)
      const words = this.udp.addressWords(this.family, mapped ? `::ffff:${peer.address}` : peer.address)
      known = new BatchPeer(this.family, peer.address, peer.port, words)
    } catch {
      return undefined
    }
    this.meet(key, known)
    return known
  }

  private adoptPeer(): void {
    try {
      this.tie(this.socket.remoteAddress())
    } catch {
      // Not connected.
    }
  }

  private tie([address, port, family]: NativeAddress): BatchPeer {
    this.connectedTo = new BatchPeer(family, address, port, this.udp.addressWords(family, address))
    return this.connectedTo
  }
}

/** The third word of a mapped IPv4 address, as it lies in memory. */
const MAPPED = new Int32Array(new Uint8Array([0, 0, 0xff, 0xff]).buffer)[0]!
