/**
 * KcpStream: a session as a Node Duplex, and as promises. In message mode one write is one message and one chunk
 * read is one message; in stream mode bytes flow.
 *
 * The one conversation between the two sides is `#drive`, called after every touch of the session: hand up what became
 * readable, resume what became writable, finish what is over.
 * @module
 */
import { captureRejectionSymbol } from 'node:events'
import { Duplex } from 'node:stream'
import type { ResolvedKcpConfig } from '../core/config.ts'
import { argumentType, bufferTooSmall, KcpError, messageExpired } from '../core/errors.ts'
import type { Kcp } from '../core/kcp.ts'
import type { Expiring } from '../session/message-expiry.ts'
import type { CloseReason, KcpSession, SessionStats } from '../session/session.ts'
import type { PeerAddress } from '../session/transport.ts'
import type { Address } from './address.ts'
import { dial, type KcpConnectOptions, parseConnectAddress, type StreamBase } from './dial.ts'
import { readSignal, refuseSurplus, withArguments } from './options.ts'
import { KcpReadHalf, KcpWriteHalf } from './stream-halves.ts'
import { type KcpReadOptions, type KcpSendOptions, type KcpStreamEvents, readTtl } from './stream-types.ts'
import { enlist, handled, type Waiter } from './waiters.ts'

/** Most bytes that enter the send queue, or leave the receive queue, at once in stream mode: its limits hold for any chunk. */
const PIECE = 64 * 1024
/** Longest timer, ms. */
const PATIENCE_MAX = 2 ** 30
/** Messages that are taken from the engine ahead of the reader, per recvBufferSize of 64 KiB: Node's default of 16. */
const BYTES_PER_MESSAGE = 4096

interface ReadWaiter extends Waiter<Buffer | number | null> {
  readonly target: Uint8Array | undefined
}

/** One for all streams: each is small while it is idle. */
function ignore(): void {}

export class KcpStream extends Duplex implements AsyncDisposable {
  readonly #base: StreamBase
  readonly #session: KcpSession
  /** The readable side wants more (`_read` was called and no push refused since). */
  #wanted = false
  #eof = false
  /** Rest of a chunk that recvInto took only a part of (stream mode). */
  #rest: Buffer | undefined
  readonly #readers: ReadWaiter[] = []
  /** Tickets of messages that expire and wait on the writable side; made with the first one. */
  #tickets: WeakMap<Uint8Array, number> | undefined
  /** A write that waits for room in the send queue. */
  #blocked: (() => void) | undefined
  #writeFailed: ((error: Error) => void) | undefined
  #finalDone: ((error?: Error | null) => void) | undefined
  readonly #drainWaiters: Waiter<void>[] = []
  /** Promises of `send` whose message waits on the writable side. */
  readonly #senders: Set<Waiter<number>> = new Set()
  #closing = false
  /** Why the reading side ended before the peer's end was read. */
  #cut: Error | undefined
  /** Somebody has called `recv` or one of its kind. */
  #received = false
  /** Set while the session is over and its reader still has something to read; runs out without a read. */
  #readerTimer: unknown
  #destroyed: ((error?: Error | null) => void) | undefined
  /** The streams of all channels of the connection, this one included. */
  readonly #channels: readonly KcpStream[]
  /** Of the first of several channels: Node's streams, and not the program, may be about to destroy it. */
  #ending = false
  #driving = false
  #again = false
  #released = false

  /** Use `connect`, `KcpStream.connect` or a listener. That of channel 0 makes the streams of the others. */
  constructor(base: StreamBase, channel = 0, channels: KcpStream[] = []) {
    const { sessions } = base
    const session = sessions[channel]!
    const message = !session.kcp.stream
    const { recvBufferSize } = session.config
    super({
      allowHalfOpen: base.allowHalfOpen,
      // 'close' carries a reason, so it is emitted here, as net.Socket does.
      emitClose: false,
      // Node's streams take it; their types lack it.
      ...({ captureRejections: base.handlerFailed !== undefined } as object),
      autoDestroy: true,
      decodeStrings: true,
      readableObjectMode: message,
      readableHighWaterMark:
        base.readableHighWaterMark ??
        (message ? Math.max(1, Math.ceil(recvBufferSize / BYTES_PER_MESSAGE)) : recvBufferSize),
      ...(base.writableHighWaterMark === undefined
        ? {}
        : { writableHighWaterMark: base.writableHighWaterMark }),
    })
    this.#base = base
    this.#session = session
    session.onChange = () => this.#drive()
    session.onUnreliable = (payload) => {
      // Nobody wants it: no copy.
      if (!this.destroyed && this.listenerCount('unreliable') > 0)
        this.emit('unreliable', Buffer.from(payload))
    }
    // What ends a session also rejects its promises and is the reason of its 'close': one peer's trouble must not
    // end a process that did not listen for 'error' too.
    this.on('error', ignore)
    if (base.handlerFailed !== undefined) this[captureRejectionSymbol] = base.handlerFailed
    channels.push(this)
    this.#channels = channels
    if (channel > 0) return
    while (channels.length < sessions.length) new KcpStream(base, channels.length, channels)
    if (sessions.length > 1) this.#leadOthers(sessions)
  }

  #leadOthers(sessions: readonly KcpSession[]): void {
    // Right after these two Node's streams call `destroy`, also of a stream that is destroyed.
    const ending = (): void => {
      this.#ending = true
      process.nextTick(() => (this.#ending = false))
    }
    this.on('end', ending).on('finish', ending)
    // What ends the first for a reason of the path has ended all. When the peer closes, each is told on its own, but for
    // those of which the peer never heard.
    this.once('close', () => {
      const { closeReason, closeError } = this.#session
      for (const session of sessions) {
        if (closeError === undefined && session.used) continue
        session.fail(closeReason!, closeError)
        session.onChange?.()
      }
    })
  }

  // ---- how to get one --------------------------------------------------------------------------------------

  /** `connect` with everything in one object. */
  static async open(options: KcpConnectOptions, ...surplus: readonly never[]): Promise<KcpStream> {
    refuseSurplus('open', surplus)
    const { base, start } = await dial(options)
    const stream = new KcpStream(base)
    try {
      await start()
    } catch (error) {
      stream.destroy()
      throw error
    }
    return stream
  }

  /** A stream to `address`; resolves once the local socket is ready (see `waitForPeer`). The conv is random. */
  static async connect(
    address: Address,
    options: Partial<KcpConnectOptions> = {},
    ...surplus: readonly never[]
  ): Promise<KcpStream> {
    refuseSurplus('connect', surplus)
    return KcpStream.open(
      withArguments('the options of connect', options, { ...parseConnectAddress(address) }),
    )
  }

  /** As `connect`, with a conv that both sides agreed on, 1 .. 4294967295. */
  static async connectWithConv(
    address: Address,
    conv: number,
    options: Partial<KcpConnectOptions> = {},
    ...surplus: readonly never[]
  ): Promise<KcpStream> {
    refuseSurplus('connectWithConv', surplus)
    return KcpStream.connect(address, withArguments('the options of connect', options, { conv }))
  }

  /** As `connect`, over anything that moves datagrams. */
  static async connectWithTransport(
    address: Address,
    options: Partial<KcpConnectOptions>,
    transport: NonNullable<KcpConnectOptions['transport']>,
    conv?: number,
    ...surplus: readonly never[]
  ): Promise<KcpStream> {
    refuseSurplus('connectWithTransport', surplus)
    return KcpStream.connect(address, withArguments('the options of connect', options, { transport, conv }))
  }

  // ---- what it is ------------------------------------------------------------------------------------------

  /** Conversation id. */
  get conv(): number {
    return this.#session.conv
  }
  get remoteAddress(): string {
    return this.#base.peer.address
  }
  get remotePort(): number {
    return this.#base.peer.port
  }
  get remoteFamily(): 'IPv4' | 'IPv6' {
    return this.#base.peer.family ?? 'IPv4'
  }
  /** The peer's X25519 key, proven, where `security` has key pairs. */
  get remotePublicKey(): Uint8Array | undefined {
    return this.#base.peer.publicKey
  }
  get localAddress(): string | undefined {
    return this.address()?.address
  }
  get localPort(): number | undefined {
    return this.address()?.port
  }
  /**
   * The channels of this conversation, each a stream with an order of its own; [this] unless `channels` asked for more.
   * Closing or destroying the first does it to all.
   */
  get channels(): readonly KcpStream[] {
    return this.#channels
  }
  /** The local address. */
  address(): PeerAddress | undefined {
    return this.#base.localAddress()
  }
  get mode(): 'message' | 'stream' {
    return this.#session.kcp.stream ? 'stream' : 'message'
  }
  /** The engine's settings. */
  get config(): ResolvedKcpConfig {
    return this.#session.kcp.config
  }
  /** The engine itself, for experts and tests. */
  get kcp(): Kcp {
    return this.#session.kcp
  }
  /** Why it is over; undefined while it is not. */
  get closeReason(): CloseReason | undefined {
    return this.#session.closeReason
  }
  get bytesRead(): number {
    return this.#session.bytesRead
  }
  get bytesWritten(): number {
    return this.#session.bytesWritten
  }
  get readyState(): 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.destroyed || this.#session.closed) return 'closed'
    if (this.readableEnded || (this.#eof && this.readableLength === 0))
      return this.writableEnded ? 'closed' : 'writeOnly'
    return this.writableEnded ? 'readOnly' : 'open'
  }
  /** Most bytes of one message; see KcpSession. */
  get maxMessageSize(): number {
    return this.#session.maxMessageSize
  }
  /** Most bytes that `sendUnreliable` takes; -1 without `fec`. */
  get maxUnreliableSize(): number {
    return this.#session.maxUnreliableSize
  }
  stats(): SessionStats & { readonly bytesRead: number; readonly bytesWritten: number } {
    const { bytesRead, bytesWritten } = this
    return { ...this.#session.stats(this.#now()), bytesRead, bytesWritten }
  }
  /** Lets the socket keep the process alive (the default), or not. For a listener's streams this is the listener's. */
  ref(): this {
    this.#base.ref()
    return this
  }
  unref(): this {
    this.#base.unref()
    return this
  }

  // ---- messages as promises --------------------------------------------------------------------------------

  /**
   * Queues one message (in stream mode: bytes) and resolves with its length once the send queue has room again.
   * Rejects with ERR_KCP_MESSAGE_TOO_LARGE (nothing queued, the stream lives on) or ERR_KCP_CLOSED.
   *
   * With a `ttl` it resolves when the message begins to leave, that is, when the windows have room for it; from then on
   * it is delivered like any other. If that takes `ttl` ms, nothing of it is sent, and the promise rejects with
   * ERR_KCP_EXPIRED (`ttl`). The stream and the messages around it go on.
   */
  send(data: Uint8Array | string, options?: KcpSendOptions): Promise<number> {
    return handled(this.#send(data, options))
  }

  async #send(data: Uint8Array | string, options: KcpSendOptions | undefined): Promise<number> {
    const ttl = readTtl(options, this.mode)
    const bytes = this.#accept(data)
    if (this.#idle && ttl === undefined && (this.mode === 'message' || bytes.length <= PIECE)) {
      this.#write(bytes)
      return bytes.length
    }
    // It may wait, and the caller may write to its buffer meanwhile.
    const own = bytes === data ? Buffer.from(bytes) : bytes
    if (ttl !== undefined) return this.#sendWithin(own, ttl)
    return new Promise((resolve, reject) => {
      const waiter = { resolve, reject }
      this.#senders.add(waiter)
      this.write(own, (error) => {
        this.#senders.delete(waiter)
        if (error) reject(error)
        else resolve(own.length)
      })
    })
  }

  /**
   * Queues one message unless that would mean waiting: false, and nothing queued, while the send queue is at its limit.
   * Throws as `send` rejects. What expires after its `ttl` is counted (`stats().expired`), nobody else is told.
   */
  trySend(data: Uint8Array | string, options?: KcpSendOptions): boolean {
    const ttl = readTtl(options, this.mode)
    const bytes = this.#accept(data)
    if (!this.#idle) return false
    this.#write(bytes, ttl === undefined ? 0 : this.#expect(ttl, () => undefined))
    return true
  }

  /**
   * Sends one datagram beside the conversation, at once: it may be lost, repeated or overtaken, and nothing tells. Needs
   * `fec`, and a peer that has it too (kcp-go since 5.6.60, or this package: event 'unreliable'); others drop it.
   * false: not sent, since the peer's address is not proven yet. Throws ERR_KCP_CLOSED, ERR_KCP_CONFIG without `fec`,
   * ERR_KCP_MESSAGE_TOO_LARGE above `maxUnreliableSize`.
   */
  sendUnreliable(data: Uint8Array | string): boolean {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data
    if (!(bytes instanceof Uint8Array)) throw argumentType('a message', data, 'a Uint8Array or a string')
    return this.#session.sendUnreliable(bytes)
  }

  /**
   * The next message (in stream mode: the next bytes); null at the end. Not to be mixed with 'data' or `for await`.
   * Rejects with the error that ended the stream, or with the signal's reason.
   */
  recv(options?: KcpReadOptions): Promise<Buffer | null> {
    return handled(this.#receive(undefined, options) as Promise<Buffer | null>)
  }

  /**
   * Copies the next message into `target` and resolves with its length; null at the end. A message longer than
   * `target` stays queued: ERR_KCP_RECV_BUFFER_TOO_SMALL (`need`, `got`). In stream mode as many bytes as there are.
   */
  recvInto(target: Uint8Array, options?: KcpReadOptions): Promise<number | null> {
    if (!(target instanceof Uint8Array)) {
      return Promise.reject(argumentType('target', target, 'a Uint8Array'))
    }
    return handled(this.#receive(target, options) as Promise<number | null>)
  }

  /** Sends what is queued now instead of at the end of the turn (or, with `flushWrite: false`, of the interval). */
  flush(): void {
    if (this.#session.closed) return
    this.#session.requestFlush()
    this.#session.run(this.#now())
    this.#base.flush()
    this.#touch()
  }

  /** Resolves once the peer has acknowledged everything written so far; rejects when the stream ends before. */
  flushed(options?: KcpReadOptions): Promise<void> {
    return handled(
      new Promise((resolve, reject) => {
        const signal = readSignal('the options of flushed', options)
        if (this.writableLength === 0 && this.#session.drained) resolve()
        else if (this.destroyed || this.#session.closed) reject(this.#closedError())
        else enlist(this.#drainWaiters, { resolve, reject }, signal)
      }),
    )
  }

  /** Ends the stream, and destroys it once everything written is acknowledged; as node:net. */
  destroySoon(): void {
    if (!this.writableEnded) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  /**
   * Ends gracefully: no more writes, everything queued is delivered and acknowledged (see `lingerTimeout`), the peer is
   * told, and the stream is destroyed; what arrives meanwhile is discarded. Resolves with 'close'.
   */
  async close(): Promise<void> {
    const { channels } = this
    await Promise.all(channels[0] === this ? channels.map((channel) => channel.#close()) : [this.#close()])
  }

  #close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#released) {
        resolve()
        return
      }
      this.once('close', () => resolve())
      if (this.destroyed) return
      this.#closing = true
      if (!this.writableEnded) this.end()
      // Otherwise _final does it, once what was written before is in the engine.
      if (this.writableFinished || this.#finalDone !== undefined) this.#session.close(this.#now())
      this.#touch()
    })
  }

  /** Two owners for two tasks. Closing the writer closes the stream. */
  split(): { readonly reader: KcpReadHalf; readonly writer: KcpWriteHalf } {
    return { reader: new KcpReadHalf(this), writer: new KcpWriteHalf(this) }
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  // ---- Duplex ----------------------------------------------------------------------------------------------

  override _read(): void {
    this.#wanted = true
    this.#drive()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const piece = this.mode === 'message' ? chunk.length : PIECE
    const ticket = this.#tickets?.get(chunk)
    let at = 0
    // An empty message is one, too.
    let begun = false
    // Runs until everything is in the engine; again whenever there is room.
    const step = (): void => {
      this.#writeFailed = undefined
      if (this.#session.closed) {
        // It fails when the reader has what came before: see #over.
        this.#writeFailed = done
        this.#touch()
        return
      }
      try {
        while (!begun || at < chunk.length) {
          this.#write(chunk.subarray(at, at + piece), ticket)
          begun = true
          at += piece
          if (!this.#session.writable) {
            this.#writeFailed = done
            this.#blocked = step
            return
          }
        }
      } catch (error) {
        done(error as Error)
        return
      }
      done()
    }
    step()
  }

  override _final(done: (error?: Error | null) => void): void {
    const now = this.#now()
    if (this.#closing) this.#session.close(now)
    else this.#session.end(now)
    this.#finalDone = done
    this.#touch()
    this.#drive()
  }

  // biome-ignore lint/suspicious/noExplicitAny: the signature of Readable
  override read(size?: number): any {
    const chunk: unknown = super.read(size)
    if (chunk !== null && this.#readerTimer !== undefined) this.#readOn()
    return chunk
  }

  /** Destroying the first channel destroys all, also when it is over itself. */
  override destroy(error?: Error): this {
    if (this.destroyed && !this.#ending) this.#destroyOthers(error)
    return super.destroy(error)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#destroyed = done
    const session = this.#session
    const failure = error ?? this.#closedError()
    if (!this.#eof || this.readableLength > 0) this.#cut = failure
    // The end of the first channel is the end of no other, if both said that they are done.
    const ended = (this.#closing && session.closed) || (this.readableEnded && this.writableFinished)
    // What ended the session for a reason of the path ends the others by itself.
    if (!ended && session.closeError === undefined) this.#destroyOthers()
    let acknowledged = false
    if (!session.closed) {
      const finished = this.writableFinished && this.#closing
      // `for await` destroys its stream at the end (with an AbortError if the writable side is still open): what was
      // written until then must still arrive.
      const iterated = this.readableEnded && (error === null || error.name === 'AbortError')
      acknowledged = error === null && this.writableLength === 0 && session.drained && session.used
      if (iterated || acknowledged) session.close(this.#now())
      else if (error !== null || !finished) {
        session.abort(this.#now(), error instanceof KcpError ? error : undefined)
      }
    }
    this.#failWaiters(failure)
    // Otherwise the session says goodbye on its own, and 'close' comes when it has.
    if (session.closed) this.#finish(error)
    else {
      // Nothing but the Fin is missing, and the process may end in this turn.
      if (acknowledged) session.run(this.#now())
      this.#touch()
    }
  }

  #destroyOthers(error?: Error): void {
    const [lead, ...others] = this.channels
    if (lead === this) for (const other of others) other.destroy(error)
  }

  // ---- inside ----------------------------------------------------------------------------------------------

  #now(): number {
    return this.#base.scheduler.clock.now()
  }

  #touch(): void {
    this.#base.scheduler.touch(this.#session)
  }

  /** Whether a write would neither wait nor overtake another. */
  get #idle(): boolean {
    return this.writableLength === 0 && this.#session.writable
  }

  /** The bytes of a message that may be sent. */
  #accept(data: Uint8Array | string): Uint8Array {
    if (this.destroyed || this.writableEnded || !this.#session.open) throw this.#closedError()
    const bytes = typeof data === 'string' ? Buffer.from(data) : data
    if (!(bytes instanceof Uint8Array)) throw argumentType('a message', data, 'a Uint8Array or a string')
    this.#session.requireFit(bytes.length)
    return bytes
  }

  #write(bytes: Uint8Array, ticket?: number): void {
    if (bytes.length === 0 && this.mode === 'stream') return
    this.#session.write(bytes, this.#now(), ticket)
    this.#touch()
  }

  #sendWithin(bytes: Uint8Array, ttl: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const ticket = this.#expect(ttl, (outcome) => {
        if (outcome === 'sent') resolve(bytes.length)
        else reject(outcome === 'expired' ? messageExpired(ttl) : this.#closedError())
      })
      if (this.#idle) {
        this.#write(bytes, ticket)
        return
      }
      // A view of its own, by which `_write` knows it.
      const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
      this.#tickets ??= new WeakMap()
      this.#tickets.set(chunk, ticket)
      this.write(chunk, (error) => {
        if (error) reject(error)
      })
      this.#touch()
    })
  }

  /** A message that expires is on its way to the session; its ticket. */
  #expect(ttl: number, settled: Expiring['settled']): number {
    return this.#session.expect({ expiresAt: Math.ceil(this.#now() + ttl), settled })
  }

  #closedError(): KcpError {
    return this.#session.closedError()
  }

  #receive(
    target: Uint8Array | undefined,
    options: KcpReadOptions | undefined,
  ): Promise<Buffer | number | null> {
    this.#received = true
    return new Promise((resolve, reject) => {
      const signal = readSignal('the options of recv', options)
      signal?.throwIfAborted()
      const waiter: ReadWaiter = { resolve, reject, target }
      if (this.#readers.length > 0 || !this.#serve(waiter)) enlist(this.#readers, waiter, signal)
    })
  }

  /** Settles a reader if something is there for it. */
  #serve({ target, resolve, reject }: ReadWaiter): boolean {
    if (this.destroyed && (this.#cut !== undefined || this.#rest === undefined)) {
      // What was not read by then is gone, and that is not the end.
      if (this.#cut === undefined) resolve(null)
      else reject(this.#cut)
      return true
    }
    try {
      // Chunks that the readable side holds already come first.
      let chunk = this.readableLength > 0 ? (this.read() as Buffer | null) : this.#take(target)
      if (typeof chunk === 'number') {
        resolve(chunk)
        return true
      }
      if (chunk === null || chunk === undefined) {
        if (!this.#atEnd()) return false
        resolve(null)
        return true
      }
      if (target === undefined) {
        resolve(chunk)
        return true
      }
      if (chunk.length > target.length) {
        if (this.mode === 'message') {
          this.unshift(chunk)
          throw bufferTooSmall(chunk.length, target.length)
        }
        this.#rest = chunk.subarray(target.length)
        chunk = chunk.subarray(0, target.length)
      }
      target.set(chunk)
      resolve(chunk.length)
    } catch (error) {
      reject(error as Error)
    }
    return true
  }

  /** The next message out of the engine: as a buffer, or in message mode copied into `target`. */
  #take(target: Uint8Array | undefined): Buffer | number | undefined {
    if (this.#rest !== undefined) {
      const rest = this.#rest
      this.#rest = undefined
      return rest
    }
    const session = this.#session
    const { rcv } = session.kcp
    const message = this.mode === 'message'
    const size = message ? rcv.peekSize() : rcv.runSize(PIECE)
    if (size < 0) return undefined
    try {
      if (!message) {
        const run = Buffer.allocUnsafe(size)
        session.recvRun(run)
        return run
      }
      if (target !== undefined) return session.recvInto(target)
      const chunk = Buffer.allocUnsafe(size)
      session.recvInto(chunk)
      return chunk
    } finally {
      if (this.#readerTimer !== undefined) this.#readOn()
      else this.#touch()
    }
  }

  /** Whether everything that the peer sent was taken from the engine; tells the readable side, which may hold some yet. */
  #atEnd(): boolean {
    if (this.#eof) return true
    const session = this.#session
    const over = session.ended || (session.closed && session.closeError === undefined && !session.readable)
    if (!over || this.#rest !== undefined) return false
    this.#eof = true
    this.push(null)
    // Nobody may be reading: 'end' must come all the same, or the stream would never close.
    this.read(0)
    return true
  }

  #drive(): void {
    // A callback below may touch the session again: once more then, instead of deeper.
    this.#again = true
    if (this.#driving) return
    this.#driving = true
    try {
      while (this.#again && !this.#released) {
        this.#again = false
        if (!this.destroyed) this.#deliver()
        this.#resume()
        if (this.#session.closed) this.#over()
      }
    } finally {
      this.#driving = false
    }
  }

  /** Hands up what is readable, to waiting readers first. */
  #deliver(): void {
    while (this.#readers.length > 0 && this.#serve(this.#readers[0]!)) this.#readers.shift()
    while (this.#wanted && !this.#eof && !this.destroyed) {
      const chunk = this.#take(undefined) as Buffer | undefined
      if (chunk === undefined) break
      this.#wanted = this.push(chunk)
    }
    // Closing, and nobody has read for a whole window: what waits is dropped, or two ends that close at once would
    // each wait for the other to read.
    if (this.#closing && this.#session.kcp.rcv.unused === 0) while (this.#take(undefined) !== undefined);
    if (!this.destroyed) this.#atEnd()
  }

  /** Resumes who waits for room, or for acknowledgements. */
  #resume(): void {
    const session = this.#session
    if (this.#blocked !== undefined && session.writable && !session.closed) {
      const resume = this.#blocked
      this.#blocked = undefined
      resume()
    }
    if (!session.drained) return
    if (this.#finalDone !== undefined) {
      const done = this.#finalDone
      this.#finalDone = undefined
      done()
    }
    if (this.#drainWaiters.length > 0 && this.writableLength === 0) {
      for (const waiter of this.#drainWaiters.splice(0)) waiter.resolve()
    }
  }

  /** Whether something was written that nobody will acknowledge any more. */
  get #unsent(): boolean {
    return this.#writeFailed !== undefined || this.#finalDone !== undefined || this.writableLength > 0
  }

  /** Whether there is nothing left to read, and nobody who has yet to hear that. */
  get #exhausted(): boolean {
    if (this.#closing) return true
    if (this.#eof) return this.readableEnded
    return this.readableLength === 0 && this.#rest === undefined && !this.#session.readable
  }

  /**
   * The session is over: the stream follows. The reader gets first what had come by then, and the error behind it; promises
   * of writing fail at once.
   */
  #over(): void {
    if (this.#destroyed !== undefined) {
      this.#finish(null)
      return
    }
    const { closeError } = this.#session
    const error = closeError ?? (this.#unsent ? this.#closedError() : undefined)
    if (error !== undefined) {
      const failure = this.#closedError()
      for (const waiter of this.#senders) waiter.reject(failure)
      for (const waiter of this.#drainWaiters.splice(0)) waiter.reject(failure)
      this.#senders.clear()
      if (this.#exhausted || this.#readerPatience === 0) this.destroy(error)
      else this.#waitForReader(error)
    } else if (this.#closing) this.destroy()
    // With allowHalfOpen: there is nobody to write to.
    else if (!this.writableEnded && this.#eof && this.readableEnded) this.end()
    else if (!this.#exhausted) this.#waitForReader(undefined)
  }

  /**
   * How long a session that is over is kept for its reader, ms since the latest read. After a proper end that is no matter
   * of time, as with TCP; but nobody may have begun to read, or the reader may wait for a write that cannot go on, and what
   * an error ended must not be kept forever for a program that reads no more.
   */
  get #readerPatience(): number {
    const { stallTimeout } = this.#session.config
    // Nobody may have sent it, or its memory is what others need.
    if (!this.#session.proven || this.#session.closeReason === 'limit') return 0
    const reads = this.readableFlowing !== null || this.#received || this.listenerCount('readable') > 0
    // Nobody reads, and a write waits to hear that it failed.
    if (this.#unsent && !reads) return 0
    const clean = this.#session.closeError === undefined && !this.#unsent
    if (stallTimeout === 0 || (reads && clean)) return Number.POSITIVE_INFINITY
    return stallTimeout
  }

  readonly #readEnded = (): void => this.#drive()

  #waitForReader(error: Error | undefined): void {
    if (this.#readerTimer !== undefined) return
    // Each read starts the timer anew; the listener stays.
    if (this.#eof && !this.listeners('end').includes(this.#readEnded)) this.once('end', this.#readEnded)
    const { clock } = this.#base.scheduler
    const patience = this.#readerPatience
    const wait = Math.min(patience, PATIENCE_MAX)
    this.#readerTimer = clock.setTimeout(() => {
      this.#readerTimer = undefined
      // Somebody may have begun to read, or to write, meanwhile.
      if (this.#readerPatience > patience || patience > wait) this.#drive()
      else this.destroy(error)
    }, wait)
  }

  /** The reader of a session that is over has read: it may pause again, or has all. */
  #readOn(): void {
    this.#base.scheduler.clock.clearTimeout(this.#readerTimer)
    this.#readerTimer = undefined
    this.#touch()
  }

  #failWaiters(error: Error): void {
    const failed = this.#writeFailed
    this.#writeFailed = this.#blocked = undefined
    failed?.(error)
    for (const waiter of this.#drainWaiters.splice(0)) waiter.reject(error)
    const final = this.#finalDone
    this.#finalDone = undefined
    final?.(error)
    for (const reader of this.#readers.splice(0)) {
      if (this.#cut === undefined) reader.resolve(null)
      else reader.reject(error)
    }
  }

  /** Lets go of the session and emits 'close'. */
  #finish(error: Error | null): void {
    const done = this.#destroyed
    if (done === undefined || this.#released) return
    this.#released = true
    this.#base.scheduler.clock.clearTimeout(this.#readerTimer)
    this.#readerTimer = undefined
    const session = this.#session
    this.#base.scheduler.remove(session)
    session.onChange = session.onUnreliable = undefined
    session.release()
    const finish = (): void => {
      done(error)
      process.nextTick(() => this.emit('close', session.closeReason))
    }
    // Who hears of the end may want the port.
    const last = this.#channels.every((stream) => stream.#released)
    const released = last ? this.#base.released() : undefined
    if (released === undefined) finish()
    else released.then(finish, finish)
  }

  // ---- typed events ----------------------------------------------------------------------------------------

  /** A throwing handler ends its own stream where its listener says so, and not the process. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    const { handlerFailed } = this.#base
    if (handlerFailed === undefined) return super.emit(event, ...args)
    try {
      return super.emit(event, ...args)
    } catch (error) {
      handlerFailed(error)
      return true
    }
  }

  override on<K extends keyof KcpStreamEvents>(
    event: K,
    listener: (...args: KcpStreamEvents[K]) => void,
  ): this
  // biome-ignore lint/suspicious/noExplicitAny: the signature of EventEmitter
  override on(event: string | symbol, listener: (...args: any[]) => void): this
  // biome-ignore lint/suspicious/noExplicitAny: the signature of EventEmitter
  override on(event: string | symbol, listener: (...args: any[]) => void): this {
    return super.on(event, listener)
  }

  override once<K extends keyof KcpStreamEvents>(
    event: K,
    listener: (...args: KcpStreamEvents[K]) => void,
  ): this
  // biome-ignore lint/suspicious/noExplicitAny: the signature of EventEmitter
  override once(event: string | symbol, listener: (...args: any[]) => void): this
  // biome-ignore lint/suspicious/noExplicitAny: the signature of EventEmitter
  override once(event: string | symbol, listener: (...args: any[]) => void): this {
    return super.once(event, listener)
  }
}
