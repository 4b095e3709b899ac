/**
 * KcpListener: one transport, many peers. Streams are taken by `accept()`, by iteration, or by a 'connection'
 * listener.
 * @module
 */
import type { Socket } from 'node:dgram'
import { captureRejectionSymbol, EventEmitter } from 'node:events'
import type { BlockList } from 'node:net'
import { requireInteger } from '../core/config.ts'
import { KcpError } from '../core/errors.ts'
import { SecureCounters, type SecureServerTransport } from '../secure/index.ts'
import {
  Acceptor,
  type AcceptorLimits,
  DropCounters,
  LIMIT_FIELDS,
  resolveLimits,
  unmapped,
} from '../session/acceptor.ts'
import {
  type KcpSessionConfig,
  pickSessionConfig,
  type ResolvedSessionConfig,
  refuseUnknown,
  resolveSessionConfig,
} from '../session/config.ts'
import { type ResolvedFec, requireCipher, requireFec } from '../session/fec-options.ts'
import { FecStats } from '../session/pipeline.ts'
import type { KcpSession } from '../session/session.ts'
import { type DatagramTransport, type PeerAddress, requireCodec } from '../session/transport.ts'
import { type Address, familyOf, parseAddress, requirePort } from './address.ts'
import { nodeClock, schedulerOf } from './clock.ts'
import {
  type KcpStreamOptions,
  randomU32,
  requireChannels,
  STREAM_FIELDS,
  warn,
  warnOfClamping,
} from './dial.ts'
import { KcpStream } from './kcp-stream.ts'
import { requireSecurity, secureServer } from './security.ts'
import { bindServer, bindUdp } from './udp.ts'
import { UdpTransport } from './udp-transport.ts'

export type KcpListenerOptions = KcpSessionConfig &
  KcpStreamOptions &
  Partial<AcceptorLimits> & {
    /** Streams that wait to be accepted before new peers are refused. Default 511, as node:net. */
    readonly backlog?: number
    /**
     * Addresses that may not open a conversation; it may change while the listener runs. With `security` it is asked
     * before anything is computed for a handshake, and again when a conversation begins.
     */
    readonly blockList?: BlockList
    /**
     * Says whether a peer may open the conversation `conv`, from its first datagram (the segments alone, lent for
     * the call). Nothing proves its address yet. Must answer at once.
     */
    readonly verifyClient?: (info: {
      readonly peer: PeerAddress
      readonly conv: number
      readonly datagram: Uint8Array
    }) => boolean
  }

export interface KcpListenOptions {
  /** 0 or absent: the system chooses. */
  readonly port?: number
  /** Absent: all addresses, IPv6 and IPv4 where the system has both. */
  readonly host?: string
  readonly ipv6Only?: boolean
  readonly reuseAddr?: boolean
  /** SO_REUSEPORT: with the addon (see `nativeStatus`), or on Node 22.12 and later. */
  readonly reusePort?: boolean
  /** A bound UDP socket's descriptor to take over, such as one of a PortGroup; closed with the listener. */
  readonly fd?: number
  /** A socket of yours, bound; not closed with the listener unless `ownsTransport`. */
  readonly socket?: Socket
  /** A transport of yours; not closed with the listener unless `ownsTransport`. */
  readonly transport?: DatagramTransport
  readonly ownsTransport?: boolean
  /** Cancels a listen that has not finished. */
  readonly signal?: AbortSignal
}

const LISTEN_FIELDS = [
  'port',
  'host',
  'ipv6Only',
  'reuseAddr',
  'reusePort',
  'fd',
  'socket',
  'transport',
  'ownsTransport',
  'signal',
]

export interface KcpListenerEvents {
  listening: []
  connection: [stream: KcpStream]
  close: []
  error: [error: Error]
}

export interface KcpListenerStats {
  /** Streams alive; of these, peers whose address is not proven yet. */
  readonly sessions: number
  readonly pending: number
  /** Streams that wait to be accepted. */
  readonly backlog: number
  /** Sessions opened so far. */
  readonly accepted: number
  readonly datagramsIn: number
  readonly datagramsOut: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** Datagrams of strangers, and what sessions dropped, by reason. */
  readonly drops: Readonly<DropCounters>
  /** Peers without a place that were asked to prove their address, and how often one did. */
  readonly challenged: number
  readonly challengesAnswered: number
  /** Payload bytes kept for readers. */
  readonly memoryUsed: number
  /** Datagrams of all peers and strangers: sealed, opened, and such as could not be opened. */
  readonly crypto: { readonly sealed: number; readonly opened: number; readonly refused: number }
  /** Of all conversations so far. */
  readonly fec: Readonly<FecStats>
  /** Ended conversations that are remembered. */
  readonly tombstones: number
  /** What the authenticated mode did and refused; all 0 without it. */
  readonly security: Readonly<SecureCounters>
  /** Errors that the transport reported; one peer's trouble never stops a listener. */
  readonly transportErrors: number
}

interface AcceptWaiter {
  readonly resolve: (stream: KcpStream | null) => void
  readonly reject: (error: Error) => void
}

/** Default of `backlog`: node:net's. */
const BACKLOG = 511
/** What calls on a stream reject with when it has ended: ours, and those of Node's streams. */
const ENDED: ReadonlySet<unknown> = new Set([
  'ERR_KCP_CLOSED',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_STREAM_DESTROYED',
])

export class KcpListener
  extends EventEmitter<KcpListenerEvents>
  implements AsyncDisposable, AsyncIterable<KcpStream>
{
  readonly config: ResolvedSessionConfig
  readonly #options: KcpListenerOptions
  readonly #limits: AcceptorLimits
  readonly #backlogLimit: number
  readonly #channels: number
  readonly #fec: ResolvedFec | undefined
  readonly #streams: Set<KcpStream> = new Set()
  readonly #backlog: KcpStream[] = []
  readonly #waiters: AcceptWaiter[] = []
  #acceptor: Acceptor<PeerAddress> | undefined
  #transport: DatagramTransport | undefined
  #secure: SecureServerTransport<PeerAddress> | undefined
  #opening = false
  #owned = false
  #closing: Promise<void> | undefined
  #allClosed: (() => void) | undefined
  #transportErrors = 0

  /** @param options of the sessions and the limits. Throws ERR_KCP_CONFIG. */
  constructor(options: KcpListenerOptions = {}, onConnection?: (stream: KcpStream) => void) {
    super({ captureRejections: true })
    this[captureRejectionSymbol] = (error, _event, ...args) => this.#onRejection(error, args)
    refuseUnknown(options, [
      ...STREAM_FIELDS,
      ...LIMIT_FIELDS,
      'backlog',
      'security',
      'blockList',
      'verifyClient',
    ])
    this.config = resolveSessionConfig(pickSessionConfig(options))
    warnOfClamping(options, this.config)
    requireCodec(options.codec)
    requireCipher(options.crypto)
    this.#fec = requireFec(options.fec)
    requireSecurity(options.security, 'server')
    this.#limits = resolveLimits(options)
    this.#channels = requireChannels(options.channels)
    this.#backlogLimit =
      options.backlog === undefined
        ? BACKLOG
        : requireInteger('backlog', options.backlog, 1, Number.MAX_SAFE_INTEGER)
    this.#options = options
    if (onConnection !== undefined) this.on('connection', onConnection)
  }

  /** A listener bound to `address`: `'host:port'`, `':port'`, `'[v6]:port'`. */
  static override async bind(
    address: Address,
    options: KcpListenerOptions & Omit<KcpListenOptions, 'host' | 'port'> = {},
  ): Promise<KcpListener> {
    const { host, port } = parseAddress(address)
    return listen({ ...options, port, ...(host === undefined ? {} : { host }) })
  }

  /** Binds. Rejects with ERR_KCP_IO (`cause`: the system's error, such as EADDRINUSE). */
  listen(options: KcpListenOptions): Promise<this>
  listen(port?: number, host?: string): Promise<this>
  async listen(first: KcpListenOptions | number = {}, host?: string): Promise<this> {
    const options: KcpListenOptions =
      typeof first === 'number' ? { port: first, ...(host === undefined ? {} : { host }) } : first
    if (this.#opening || this.#transport !== undefined || this.#closing !== undefined) {
      throw new KcpError('ERR_KCP_CLOSED', 'a listener listens once')
    }
    options.signal?.throwIfAborted()
    this.#opening = true
    const below = await this.#open(options).finally(() => (this.#opening = false))
    const { security, clock = nodeClock, blockList } = this.#options
    const blocked = blockList && (({ address }: PeerAddress) => isBlocked(blockList, address))
    const secure =
      security && secureServer(below.transport, below.owned, security, clock, this.config.kcp.mtu, blocked)
    const transport = secure ?? below.transport
    // What is around somebody's transport is ours.
    const owned = below.owned || secure !== undefined
    if (this.#closing !== undefined) {
      if (owned) await transport.close()
      throw new KcpError('ERR_KCP_CLOSED', 'the listener was closed')
    }
    const scheduler = schedulerOf(clock)
    let acceptor: Acceptor<PeerAddress>
    try {
      acceptor = new Acceptor({
        transport,
        config: this.config,
        limits: this.#limits,
        codec: this.#options.codec,
        cipher: this.#options.crypto,
        fec: this.#fec,
        warn,
        scheduler,
        random: randomU32,
        admit: (peer, conv, datagram) => this.#admits(peer, conv, datagram),
        hasBacklog: () => this.listenerCount('connection') > 0 || this.#backlog.length < this.#backlogLimit,
        channels: this.#channels,
        onSessions: (sessions, peer) => this.#onSessions(sessions, peer),
      })
    } catch (error) {
      if (owned) await transport.close()
      throw error
    }
    this.#transport = transport
    this.#secure = secure
    this.#owned = owned
    this.#acceptor = acceptor
    await transport.start({
      onDatagram: (datagram, peer) => acceptor.receive(datagram, peer, scheduler.clock.now()),
      onError: () => {
        this.#transportErrors++
      },
      onClose: () => {
        acceptor.fail(new KcpError('ERR_KCP_IO', 'the transport was closed'))
        void this.close()
      },
      onPeerClosed: (peer, error) => acceptor.peerClosed(peer, error),
      onLargerDatagrams: (peer, size) => acceptor.largerDatagrams(peer, size),
    })
    this.emit('listening')
    return this
  }

  get listening(): boolean {
    return this.#transport !== undefined && this.#closing === undefined
  }
  /** Streams alive. */
  get connections(): ReadonlySet<KcpStream> {
    return this.#streams
  }
  /** Where it listens; null before and after. */
  address(): PeerAddress | null {
    return this.#transport?.localAddress?.() ?? null
  }
  /** The same, by the crate's name. */
  get localAddress(): PeerAddress | null {
    return this.address()
  }

  /** The next stream; null once the listener has closed. Not for use beside a 'connection' listener. */
  accept(options: { readonly signal?: AbortSignal } = {}): Promise<KcpStream | null> {
    const { signal } = options
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const stream = this.#backlog.shift()
      if (stream !== undefined || this.#closing !== undefined) {
        resolve(stream ?? null)
        return
      }
      const waiter: AcceptWaiter = {
        resolve: (stream) => {
          signal?.removeEventListener('abort', onAbort)
          resolve(stream)
        },
        reject,
      }
      const onAbort = (): void => {
        const at = this.#waiters.indexOf(waiter)
        if (at >= 0) this.#waiters.splice(at, 1)
        reject(signal?.reason as Error)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiters.push(waiter)
    })
  }

  /** Streams as they come, until the listener closes. Start their work without awaiting it, or it runs one by one. */
  async *[Symbol.asyncIterator](): AsyncGenerator<KcpStream, void> {
    for (let stream = await this.accept(); stream !== null; stream = await this.accept()) yield stream
  }

  /** Takes no new peers; resolves when every stream has closed and the transport is let go, as net.Server. */
  close(): Promise<void> {
    this.#closing ??= this.#shut()
    return this.#closing
  }

  /** Destroys every stream. */
  closeAllConnections(): void {
    for (const stream of [...this.#streams]) stream.destroy()
  }

  /** Closes gracefully: every stream, then the listener. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.close()
    await Promise.all([...this.#streams].map((stream) => stream.close()))
    await closed
  }

  stats(): KcpListenerStats {
    const acceptor = this.#acceptor
    return {
      sessions: acceptor?.sessions ?? 0,
      pending: acceptor?.pendingSessions ?? 0,
      backlog: this.#backlog.length,
      accepted: acceptor?.accepted ?? 0,
      datagramsIn: acceptor?.datagramsIn ?? 0,
      datagramsOut: acceptor?.traffic.datagramsOut ?? 0,
      bytesIn: acceptor?.bytesIn ?? 0,
      bytesOut: acceptor?.traffic.bytesOut ?? 0,
      drops: { ...(acceptor?.totalDrops() ?? new DropCounters()) },
      challenged: acceptor?.challenged ?? 0,
      challengesAnswered: acceptor?.challengesAnswered ?? 0,
      memoryUsed: acceptor?.memoryUsed ?? 0,
      crypto: {
        sealed: acceptor?.traffic.sealed ?? 0,
        opened: acceptor?.traffic.opened ?? 0,
        refused: acceptor?.traffic.refused ?? 0,
      },
      fec: acceptor?.fecStats() ?? new FecStats(),
      tombstones: acceptor?.tombstones ?? 0,
      security: { ...(this.#secure?.counters ?? new SecureCounters()) },
      transportErrors: this.#transportErrors,
    }
  }

  ref(): this {
    this.#transport?.ref?.()
    return this
  }
  unref(): this {
    this.#transport?.unref?.()
    return this
  }

  // ---- inside ----------------------------------------------------------------------------------------------

  async #open(options: KcpListenOptions): Promise<{ transport: DatagramTransport; owned: boolean }> {
    if (options.transport !== undefined) {
      return { transport: options.transport, owned: options.ownsTransport ?? false }
    }
    if (options.socket !== undefined) {
      const ownsSocket = options.ownsTransport ?? false
      return { transport: new UdpTransport(options.socket, { ownsSocket }), owned: true }
    }
    const { fd, host, ipv6Only, reuseAddr, reusePort, signal } = options
    const bufferSize = this.config.socketBufferSize
    const cancel = signal === undefined ? {} : { signal }
    if (fd !== undefined) return { transport: await bindUdp({ fd, bufferSize, ...cancel }), owned: true }
    const common = {
      port: requirePort(options.port ?? 0),
      bufferSize,
      ...(ipv6Only === undefined ? {} : { ipv6Only }),
      ...(reuseAddr === undefined ? {} : { reuseAddr }),
      ...(reusePort === undefined ? {} : { reusePort }),
      ...cancel,
    }
    const transport = await bindServer((address) => bindUdp({ ...common, address }), host)
    return { transport, owned: true }
  }

  #admits(peer: PeerAddress, conv: number, datagram: Uint8Array): boolean {
    const { blockList, verifyClient } = this.#options
    if (blockList !== undefined && isBlocked(blockList, peer.address)) return false
    return verifyClient === undefined || verifyClient({ peer, conv, datagram })
  }

  #onSessions(sessions: readonly KcpSession[], peer: PeerAddress): void {
    const {
      clock = nodeClock,
      allowHalfOpen = false,
      readableHighWaterMark,
      writableHighWaterMark,
    } = this.#options
    const transport = this.#transport!
    let alive = sessions.length
    const stream: KcpStream = KcpStream.join(
      sessions.map((session) => ({
        session,
        scheduler: schedulerOf(clock),
        peer,
        localAddress: () => transport.localAddress?.(),
        allowHalfOpen,
        readableHighWaterMark,
        writableHighWaterMark,
        // The socket is the listener's.
        ref: () => undefined,
        unref: () => undefined,
        released: () => {
          if (--alive === 0) this.#forget(stream)
        },
      })),
    )
    this.#streams.add(stream)
    if (this.listenerCount('connection') > 0) {
      this.emit('connection', stream)
      return
    }
    const waiter = this.#waiters.shift()
    if (waiter === undefined) this.#backlog.push(stream)
    else waiter.resolve(stream)
  }

  #forget(stream: KcpStream): void {
    this.#streams.delete(stream)
    const at = this.#backlog.indexOf(stream)
    if (at >= 0) this.#backlog.splice(at, 1)
    if (this.#streams.size === 0) this.#allClosed?.()
  }

  /**
   * An async 'connection' listener failed. With the end of its own stream (`for await` throws it, `send` rejects with
   * it) that says nothing new, and one peer's trouble must not end the process; anything else is the program's fault.
   */
  #onRejection(error: Error, args: readonly unknown[]): void {
    const [stream] = args
    const own = stream instanceof KcpStream ? stream : undefined
    if (own === undefined || (error !== own.errored && !ENDED.has((error as NodeJS.ErrnoException).code))) {
      own?.destroy()
      this.emit('error', error)
    } else own.destroy()
  }

  async #shut(): Promise<void> {
    if (this.#acceptor !== undefined) this.#acceptor.accepting = false
    for (const waiter of this.#waiters.splice(0)) waiter.resolve(null)
    // Nobody will take these any more.
    const closed = new KcpError('ERR_KCP_CLOSED', 'the listener was closed before it took this stream')
    for (const stream of this.#backlog.splice(0)) stream.destroy(closed)
    if (this.#streams.size > 0) await new Promise<void>((resolve) => (this.#allClosed = resolve))
    if (this.#owned) await this.#transport?.close()
    this.emit('close')
  }
}

/** What several listeners counted together: those of a PortGroup's workers. */
export function totalStats(all: Iterable<KcpListenerStats>): KcpListenerStats {
  const total: Record<string, number> = {}
  const drops: Record<string, number> = {}
  const crypto: Record<string, number> = {}
  const fec: Record<string, number> = {}
  const security: Record<string, number> = {}
  const add = (to: Record<string, number>, from: object): void => {
    for (const [name, value] of Object.entries(from)) {
      if (typeof value === 'number') to[name] = (to[name] ?? 0) + value
    }
  }
  for (const stats of all) {
    add(total, stats)
    add(drops, stats.drops)
    add(crypto, stats.crypto)
    add(fec, stats.fec)
    add(security, stats.security)
  }
  return { ...total, drops, crypto, fec, security } as unknown as KcpListenerStats
}

/** Whether a list holds an address; an IPv4 peer of a dual-stack socket counts as what it is. */
function isBlocked(list: BlockList, address: string): boolean {
  const [plain = ''] = unmapped(address).split('%')
  const family = familyOf(plain)
  return family !== undefined && list.check(plain, `ipv${family}`)
}

/** A bound listener: the crate's KcpListener::bind, and net's listen as a promise. */
export async function listen(
  options: KcpListenerOptions & KcpListenOptions,
  onConnection?: (stream: KcpStream) => void,
): Promise<KcpListener> {
  const forListen: Record<string, unknown> = {}
  const forListener: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(options)) {
    if (LISTEN_FIELDS.includes(field)) forListen[field] = value
    else forListener[field] = value
  }
  return new KcpListener(forListener as KcpListenerOptions, onConnection).listen(
    forListen as KcpListenOptions,
  )
}

/** A listener that is not bound yet, in the manner of net.createServer. */
export function createServer(onConnection?: (stream: KcpStream) => void): KcpListener
export function createServer(
  options?: KcpListenerOptions,
  onConnection?: (stream: KcpStream) => void,
): KcpListener
export function createServer(
  first: KcpListenerOptions | ((stream: KcpStream) => void) = {},
  second?: (stream: KcpStream) => void,
): KcpListener {
  return typeof first === 'function' ? new KcpListener({}, first) : new KcpListener(first, second)
}
