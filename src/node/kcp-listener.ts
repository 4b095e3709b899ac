/**
 * KcpListener: one transport, many peers. Streams are taken by `accept()`, by iteration, or by a 'connection'
 * listener.
 * @module
 */
import type { Socket } from 'node:dgram'
import { captureRejectionSymbol, EventEmitter } from 'node:events'
import type { BlockList } from 'node:net'
import { configError, requireInteger } from '../core/config.ts'
import { KcpError } from '../core/errors.ts'
import { isThenable } from '../core/options.ts'
import { SecureCounters, type SecureServerTransport } from '../secure/index.ts'
import { Acceptor, DropCounters } from '../session/acceptor.ts'
import {
  type KcpSessionConfig,
  pickSessionConfig,
  type ResolvedSessionConfig,
  resolveSessionConfig,
} from '../session/config.ts'
import { type ResolvedFec, requireFec } from '../session/fec-options.ts'
import { type AcceptorLimits, resolveLimits } from '../session/listener-limits.ts'
import { unmapped } from '../session/peer.ts'
import { FecStats } from '../session/pipeline.ts'
import type { KcpSession } from '../session/session.ts'
import type { DatagramTransport, PeerAddress } from '../session/transport.ts'
import { type Address, familyOf, parseAddress } from './address.ts'
import { nodeClock, schedulerOf } from './clock.ts'
import {
  type KcpStreamOptions,
  quietly,
  randomU32,
  requireChannels,
  unlessAborted,
  warn,
  warnOfClamping,
} from './dial.ts'
import { GuardedTransport } from './guarded-transport.ts'
import { asError, hookReporter, type ReportHook, settleQuietly } from './hooks.ts'
import { KcpStream } from './kcp-stream.ts'
import {
  readBothOptions,
  readListenerOptions,
  readListenOptions,
  readSignal,
  refuseSurplus,
  withArguments,
} from './options.ts'
import { secureServer } from './security.ts'
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
     * the call). Nothing proves its address yet. Must answer at once: only `true` admits, and anything else, a promise
     * and a throw too, refuses.
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
  /** Errors that the transport reported, and sends of it that threw; one peer's trouble never stops a listener. */
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
  /** What the application has given as a transport, if it has. */
  #guard: GuardedTransport | undefined
  #flush: () => void = () => undefined
  readonly #report: ReportHook = hookReporter()
  #secure: SecureServerTransport<PeerAddress> | undefined
  #opening = false
  #owned = false
  #closing: Promise<void> | undefined
  #allClosed: (() => void) | undefined
  #transportErrors = 0

  /** @param given the options of the sessions, and the limits; copied. Throws ERR_KCP_CONFIG. */
  constructor(
    given: KcpListenerOptions = {},
    onConnection?: (stream: KcpStream) => void,
    ...surplus: readonly never[]
  ) {
    super({ captureRejections: true })
    refuseSurplus('KcpListener', surplus)
    this[captureRejectionSymbol] = (error, event, ...args) => this.#onRejection(error, event, args)
    const options = readListenerOptions(given)
    if (onConnection !== undefined && typeof onConnection !== 'function') {
      throw configError('onConnection', onConnection, 'a function that takes a stream')
    }
    this.config = withIdleTimeout(resolveSessionConfig(pickSessionConfig(options)), options.idleTimeout)
    warnOfClamping(options, this.config)
    this.#fec = requireFec(options.fec)
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
    ...surplus: readonly never[]
  ): Promise<KcpListener> {
    refuseSurplus('bind', surplus)
    const { host, port } = parseAddress(address)
    return listen(withArguments('the options of bind', options, { port, host }))
  }

  /**
   * Binds. Rejects with ERR_KCP_IO (`cause`: the system's error, such as EADDRINUSE). With a callback, which listens once
   * for 'listening', a failure is an 'error' too, as of a net.Server.
   */
  listen(options: KcpListenOptions, callback?: () => void): Promise<this>
  listen(port?: number, host?: string, callback?: () => void): Promise<this>
  listen(port: number, callback?: () => void): Promise<this>
  listen(...words: readonly unknown[]): Promise<this> {
    const rest = words.filter((word, i) => word !== undefined || i === 0)
    const last = rest.at(-1)
    const callback = typeof last === 'function' ? (rest.pop() as () => void) : undefined
    const listening = this.#listen(rest)
    if (callback !== undefined) {
      this.once('listening', callback)
      listening.catch((error: Error) => {
        this.off('listening', callback)
        this.#fail(error)
      })
    }
    return listening
  }

  async #listen(words: readonly unknown[]): Promise<this> {
    const options = parseListenArguments(words)
    if (this.#opening || this.#transport !== undefined || this.#closing !== undefined) {
      throw new KcpError('ERR_KCP_CLOSED', 'a listener listens once')
    }
    options.signal?.throwIfAborted()
    this.#opening = true
    const below = await this.#open(options).finally(() => (this.#opening = false))
    const { security, clock = nodeClock, blockList } = this.#options
    const blocked = blockList && (({ address }: PeerAddress) => this.#isBlocked(address))
    let transport: DatagramTransport = below.transport
    let owned = below.owned
    try {
      if (security !== undefined) {
        const { mtu } = this.config.kcp
        this.#secure = secureServer(transport, owned, security, clock, mtu, blocked)
        transport = this.#secure
        // What is around somebody's transport is ours.
        owned = true
      }
      if (this.#closing !== undefined) throw new KcpError('ERR_KCP_CLOSED', 'the listener was closed')
      await this.#start(transport, below.transport, owned, options.signal)
    } catch (error) {
      this.#transport = this.#acceptor = undefined
      if (owned) await quietly(() => transport.close())
      throw error
    }
    this.#tell('listening')
    return this
  }

  async #start(
    transport: DatagramTransport,
    below: DatagramTransport,
    owned: boolean,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { clock = nodeClock } = this.#options
    const scheduler = schedulerOf(clock)
    const acceptor = new Acceptor<PeerAddress>({
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
    acceptor.traffic.onFault = this.#report
    this.#transport = transport
    this.#flush = () => below.flush?.()
    this.#guard = below instanceof GuardedTransport ? below : undefined
    this.#owned = owned
    this.#acceptor = acceptor
    const started = transport.start({
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
    if (started !== undefined) await unlessAborted(started, signal)
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
    return new Promise((resolve, reject) => {
      const signal = readSignal('the options of accept', options)
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
      transportErrors:
        this.#transportErrors + (this.#guard?.sendErrors ?? 0) + (acceptor?.traffic.sendErrors ?? 0),
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
      const guard = new GuardedTransport(options.transport, this.#options.clock ?? nodeClock, this.#report)
      return { transport: guard, owned: options.ownsTransport ?? false }
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
      port: options.port ?? 0,
      bufferSize,
      ...(ipv6Only === undefined ? {} : { ipv6Only }),
      ...(reuseAddr === undefined ? {} : { reuseAddr }),
      ...(reusePort === undefined ? {} : { reusePort }),
      ...cancel,
    }
    const transport = await bindServer((address) => bindUdp({ ...common, address }), host)
    return { transport, owned: true }
  }

  /** Only a plain yes admits: what fails here is asked by strangers, and must not let them in. */
  #admits(peer: PeerAddress, conv: number, datagram: Uint8Array): boolean {
    const { blockList, verifyClient } = this.#options
    if (blockList !== undefined && this.#isBlocked(peer.address)) return false
    if (verifyClient === undefined) return true
    try {
      const admitted: unknown = verifyClient({ peer, conv, datagram })
      if (typeof admitted === 'boolean') return admitted
      settleQuietly(admitted)
      const what = isThenable(admitted) ? 'a promise' : `a value of type ${typeof admitted}`
      throw new TypeError(`it returned ${what}, which refuses; it must return true or false at once`)
    } catch (error) {
      this.#report('verifyClient', error)
      return false
    }
  }

  /** Whether the block list holds an address; an IPv4 peer of a dual-stack socket counts as what it is. */
  #isBlocked(address: string): boolean {
    try {
      const [plain = ''] = unmapped(address).split('%')
      const family = familyOf(plain)
      if (family === undefined) return false
      const blocked: unknown = this.#options.blockList!.check(plain, `ipv${family}`)
      if (typeof blocked === 'boolean') return blocked
      settleQuietly(blocked)
      throw new TypeError(`check returned a value of type ${typeof blocked}, which refuses`)
    } catch (error) {
      this.#report('blockList', error)
      return true
    }
  }

  #onSessions(sessions: readonly KcpSession[], peer: PeerAddress): void {
    const {
      clock = nodeClock,
      allowHalfOpen = false,
      readableHighWaterMark,
      writableHighWaterMark,
    } = this.#options
    const transport = this.#transport!
    const stream: KcpStream = new KcpStream({
      sessions,
      scheduler: schedulerOf(clock),
      peer,
      localAddress: () => transport.localAddress?.(),
      allowHalfOpen,
      readableHighWaterMark,
      writableHighWaterMark,
      // The socket is the listener's.
      ref: () => undefined,
      unref: () => undefined,
      flush: this.#flush,
      handlerFailed: (error) => this.#handlerFailed(stream, error),
      released: () => this.#forget(stream),
    })
    this.#streams.add(stream)
    if (this.listenerCount('connection') > 0) {
      try {
        this.emit('connection', stream)
      } catch (error) {
        this.#handlerFailed(stream, error)
      }
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

  /** An async listener failed; that of a 'connection' takes its stream with it. */
  #onRejection(error: unknown, event: unknown, args: readonly unknown[]): void {
    const [stream] = args
    if (stream instanceof KcpStream) this.#handlerFailed(stream, error)
    else {
      this.#report(`a listener of '${String(event)}'`, error)
      if (event !== 'error') this.#fail(asError(error))
    }
  }

  /**
   * The program failed while it served a stream: the stream is destroyed, and the others go on. With the end of the
   * stream itself (`for await` throws it, `send` rejects with it) that says nothing new; anything else is the program's
   * fault, and told.
   */
  #handlerFailed(stream: KcpStream, thrown: unknown): void {
    const error = asError(thrown)
    if (isEndOf(stream, error)) {
      stream.destroy()
      return
    }
    stream.destroy(error)
    this.#report("a handler of 'connection', or of its stream,", error)
    if (this.listenerCount('error') > 0) this.#tell('error', error)
  }

  /** An 'error' that nobody listens for must not end the process: a peer can cause one. */
  #fail(error: Error): void {
    if (this.listenerCount('error') > 0) this.#tell('error', error)
    else this.#report('the listener', error)
  }

  /** Emits; what a listener throws is reported. */
  #tell(event: 'listening' | 'close'): void
  #tell(event: 'error', error: Error): void
  #tell(event: 'listening' | 'close' | 'error', ...args: [] | [Error]): void {
    try {
      this.emit(event, ...(args as []))
    } catch (error) {
      this.#report(`a listener of '${event}'`, error)
    }
  }

  async #shut(): Promise<void> {
    if (this.#acceptor !== undefined) this.#acceptor.accepting = false
    for (const waiter of this.#waiters.splice(0)) waiter.resolve(null)
    // Nobody will take these any more.
    const closed = new KcpError('ERR_KCP_CLOSED', 'the listener was closed before it took this stream')
    for (const stream of this.#backlog.splice(0)) stream.destroy(closed)
    if (this.#streams.size > 0) await new Promise<void>((resolve) => (this.#allClosed = resolve))
    if (this.#owned) await quietly(() => this.#transport?.close())
    this.#tell('close')
  }
}

/** Silence that ends a conversation of a listener whose preset names none, ms: what strangers leave must not stay. */
const IDLE_TIMEOUT = 60_000

/** A listener's configuration: with an idle timeout, and what follows from it, unless one was `asked` for. */
function withIdleTimeout(config: ResolvedSessionConfig, asked: number | undefined): ResolvedSessionConfig {
  if (asked !== undefined || config.idleTimeout > 0) return config
  const { keepAlive, ...rest } = config
  const derived = resolveSessionConfig({ idleTimeout: IDLE_TIMEOUT }).keepAlive
  return Object.freeze({ ...rest, idleTimeout: IDLE_TIMEOUT, keepAlive: keepAlive > 0 ? keepAlive : derived })
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

/** What ends a conversation, by our codes: nothing of it is a program's fault once its stream is over. */
const ENDINGS: ReadonlySet<string> = new Set([
  'ERR_KCP_CONNECT',
  'ERR_KCP_DEAD_LINK',
  'ERR_KCP_IO',
  'ERR_KCP_PROTOCOL',
  'ERR_KCP_RESET',
  'ERR_KCP_TIMEOUT',
])

/** Whether a handler failed with the end of its own stream, which may be the cause of what it threw. */
function isEndOf(stream: KcpStream, error: Error): boolean {
  if (error === stream.errored || ENDED.has((error as NodeJS.ErrnoException).code)) return true
  if (error.cause !== undefined && error.cause === stream.errored) return true
  return stream.destroyed && KcpError.is(error) && ENDINGS.has(error.code)
}

/** The arguments of `listen`, as net.Server takes them: options, or port and host. */
function parseListenArguments(words: readonly unknown[]): KcpListenOptions {
  const [first, host, ...more] = words
  if (typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first))) {
    if (more.length > 0) throw configError('the third argument of listen', more[0], 'a function, or absent')
    return readListenOptions({ port: Number(first), ...(host === undefined ? {} : { host }) })
  }
  if (host !== undefined) throw configError('the second argument of listen', host, 'absent beside options')
  return readListenOptions(first)
}

/** A bound listener: the crate's KcpListener::bind, and net's listen as a promise. */
export async function listen(
  options: KcpListenerOptions & KcpListenOptions = {},
  onConnection?: (stream: KcpStream) => void,
  ...surplus: readonly never[]
): Promise<KcpListener> {
  refuseSurplus('listen', surplus)
  const both = readBothOptions(options)
  return new KcpListener(both.listener, onConnection).listen(both.listen)
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
  ...surplus: readonly never[]
): KcpListener {
  refuseSurplus('createServer', surplus)
  if (typeof first !== 'function') return new KcpListener(first, second)
  refuseSurplus('createServer, behind the handler,', [second])
  return new KcpListener({}, first)
}
