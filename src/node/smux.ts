/**
 * SmuxSession: many streams inside one Duplex, as Go's smux has them. Over a KcpStream in stream mode this is what
 * kcptun speaks; any other reliable stream of bytes serves as well.
 *
 * All that happens is noted by the engine's handler and acted upon in `#drive`, outside of the engine: what an
 * application's listener throws can then break nothing.
 * @module
 */
import { captureRejectionSymbol, EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { configError, requireBoolean, requireInteger } from '../core/config.ts'
import { KcpError } from '../core/errors.ts'
import { optionNames, readOptions, requireMethods } from '../core/options.ts'
import type { Clock } from '../session/transport.ts'
import { type ResolvedSmuxConfig, SMUX_DEFAULTS, type SmuxConfig } from '../smux/config.ts'
import { type SmuxCloseReason, SmuxEngine, type SmuxRole, type SmuxStats } from '../smux/engine.ts'
import type { SmuxFlow } from '../smux/flow.ts'
import type { SmuxFault } from '../smux/frame.ts'
import { nodeClock } from './clock.ts'
import { asError, hookReporter, type ReportHook } from './hooks.ts'
import { readSignal, requireClock, requireSignal } from './options.ts'

export interface SmuxSessionOptions extends SmuxConfig {
  /** 'client' for the end that dialled: its streams have odd ids, the server's even ones. Both may open streams. */
  readonly role: SmuxRole
  /** Whether a stream can be written to after its peer ended its side. Default false, as net.Socket. */
  readonly allowHalfOpen?: boolean | undefined
  /** Bytes that a stream takes before `write` returns false. Default 64 KiB: two of the largest frames sent. */
  readonly writableHighWaterMark?: number | undefined
  /** While closing: longest time, ms, for what is written to leave, and then for the Duplex to close. Default 5 s. */
  readonly lingerTimeout?: number | undefined
  /** Ends the session at once. */
  readonly signal?: AbortSignal | undefined
  /** Default: real time. */
  readonly clock?: Clock | undefined
}

export interface SmuxSessionEvents {
  /** The peer opened a stream. With a listener nothing waits for `accept`. */
  stream: [stream: SmuxStream]
  /** The session is over, and so is the Duplex. `error` says more when the reason is neither 'local' nor 'peer'. */
  close: [reason: SmuxCloseReason, error?: KcpError]
}

/** Most bytes that a stream hands up at once. */
const PIECE = 64 * 1024
const TIME_MAX = 0x7fff_ffff
const NAMES = optionNames(
  {
    role: true,
    allowHalfOpen: true,
    writableHighWaterMark: true,
    lingerTimeout: true,
    signal: true,
    clock: true,
  } satisfies Record<Exclude<keyof SmuxSessionOptions, keyof SmuxConfig>, true>,
  SMUX_DEFAULTS,
)

const FAULTS: Readonly<Record<SmuxFault, string>> = {
  version: 'what it sends are no frames of this version: another version, another protocol, or another key',
  command: 'it sent a command that this version does not have',
  length: 'it sent a frame of an impossible length',
  'stream-id': 'it opened a stream with an id of this end: are both ends of the same role?',
  consumed: 'it claims to have read more than was written',
  window: 'it writes beyond the window of a stream',
}

interface AcceptWaiter {
  readonly resolve: (stream: SmuxStream | null) => void
  readonly reject: (error: Error) => void
}

/** What a stream needs of its session. */
interface SessionLink {
  readonly session: SmuxSession
  readonly allowHalfOpen: boolean
  readonly writableHighWaterMark: number
  /** Something was read or written: the engine has work. */
  touch(): void
  /** The stream is destroyed. */
  gone(stream: SmuxStream): void
  closedError(): KcpError
}

export class SmuxSession extends EventEmitter<SmuxSessionEvents> implements AsyncDisposable {
  readonly #duplex: Duplex
  readonly #engine: SmuxEngine
  readonly #clock: Clock
  readonly #link: SessionLink
  readonly #lingerTimeout: number
  readonly #streams = new Set<SmuxStream>()

  readonly #waiters: AcceptWaiter[] = []
  readonly #backlog: SmuxStream[] = []
  /** What the engine told and nobody acted upon yet. */
  readonly #arrived: SmuxStream[] = []
  readonly #readable = new Set<SmuxStream>()
  readonly #drained = new Set<SmuxStream>()
  readonly #aborted = new Set<SmuxStream>()

  /** The Duplex is full until its 'drain'. */
  #full = false
  #driving = false
  #touched = false
  #timer: unknown
  #lastTimer: unknown
  #timerAt = Number.POSITIVE_INFINITY
  #closing: Promise<void> | undefined
  #idle: (() => void) | undefined
  #error: KcpError | undefined
  #overHandled = false
  #closed = false
  #release: () => void = () => undefined
  readonly #report: ReportHook = hookReporter()

  /** Takes `duplex` over: nothing else may read or write it; a TCP socket gets its noDelay. Throws ERR_KCP_CONFIG. */
  constructor(duplex: Duplex, given: SmuxSessionOptions) {
    super({ captureRejections: true })
    const options = readOptions<SmuxSessionOptions>('the options of SmuxSession', given, { names: NAMES })
    const { role, clock = nodeClock } = options
    requireMethods('duplex', duplex, 'a Duplex', ['write', 'on'])
    if (role !== 'client' && role !== 'server') throw configError('role', role, "'client' or 'server'")
    const signal = requireSignal(options.signal)
    requireClock(clock)
    const config: Record<string, unknown> = {}
    for (const field of Object.keys(SMUX_DEFAULTS) as (keyof SmuxConfig)[]) config[field] = options[field]
    this[captureRejectionSymbol] = (error, _event, ...args) => this.#handlerFailed(args[0], error)
    const { allowHalfOpen = false, writableHighWaterMark = 65_536, lingerTimeout = 5_000 } = options
    this.#duplex = duplex
    this.#clock = clock
    this.#lingerTimeout = requireInteger('lingerTimeout', lingerTimeout, 1, TIME_MAX)
    this.#link = {
      session: this,
      allowHalfOpen: requireBoolean('allowHalfOpen', allowHalfOpen),
      writableHighWaterMark: requireInteger('writableHighWaterMark', writableHighWaterMark, 1, TIME_MAX),
      touch: () => this.#touch(),
      gone: (stream) => this.#gone(stream),
      closedError: () => this.#closedError(),
    }
    const handler = {
      onStream: (flow: SmuxFlow) => this.#onStream(flow),
      onReadable: (flow: SmuxFlow) => this.#readable.add(flow.tag as SmuxStream),
      onDrained: (flow: SmuxFlow) => {
        if (flow.tag !== undefined) this.#drained.add(flow.tag as SmuxStream)
      },
      onAborted: (flow: SmuxFlow) => {
        if (flow.tag !== undefined) this.#aborted.add(flow.tag as SmuxStream)
      },
      onOver: () => undefined,
    }
    this.#engine = new SmuxEngine(role, config as SmuxConfig, handler, clock.now(), {
      allocate: (size) => Buffer.allocUnsafeSlow(size),
    })
    this.#attach(signal)
  }

  // ---- what it is --------------------------------------------------------------------------------------------

  get role(): SmuxRole {
    return this.#engine.role
  }
  get config(): ResolvedSmuxConfig {
    return this.#engine.config
  }
  /** Why it is over; undefined while it is not. */
  get closeReason(): SmuxCloseReason | undefined {
    return this.#engine.reason
  }
  /** What is behind a reason that is neither 'local' nor 'peer'. */
  get closeError(): KcpError | undefined {
    return this.#error
  }
  /** Whether 'close' was emitted. */
  get closed(): boolean {
    return this.#closed
  }
  /** Streams that are open. */
  get streams(): ReadonlySet<SmuxStream> {
    return this.#streams
  }
  /** The engine, for experts and tests. */
  get engine(): SmuxEngine {
    return this.#engine
  }
  stats(): SmuxStats {
    return this.#engine.stats()
  }

  // ---- streams -----------------------------------------------------------------------------------------------

  /**
   * A new stream, ready to be written to: the peer learns of it, and answers nothing. Throws ERR_KCP_CLOSED when the
   * session is closing or over, and ERR_KCP_SMUX_STREAMS when it can hold no more.
   */
  open(): SmuxStream {
    if (this.#closing !== undefined || this.#engine.reason !== undefined) throw this.#closedError()
    const stream = new SmuxStream(this.#link, this.#engine.open())
    this.#streams.add(stream)
    this.#touch()
    return stream
  }

  /**
   * The next stream that the peer opened; null once the session is over. Rejects with the error that ended it, or with
   * the signal's reason.
   */
  accept(options: { readonly signal?: AbortSignal } = {}): Promise<SmuxStream | null> {
    return new Promise((resolve, reject) => {
      const signal = readSignal('the options of accept', options)
      signal?.throwIfAborted()
      const stream = this.#backlog.shift()
      if (stream !== undefined) {
        resolve(stream)
        return
      }
      if (this.#closing !== undefined || this.#engine.reason !== undefined) {
        if (this.#error === undefined) resolve(null)
        else reject(this.#error)
        return
      }
      const off = (): void => signal?.removeEventListener('abort', onAbort)
      const waiter: AcceptWaiter = {
        resolve: (stream) => {
          off()
          resolve(stream)
        },
        reject: (error) => {
          off()
          reject(error)
        },
      }
      const onAbort = (): void => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
        reject(signal?.reason as Error)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiters.push(waiter)
    })
  }

  /** Streams as they are opened by the peer, until the session is over. Breaking out closes nothing. */
  async *[Symbol.asyncIterator](): AsyncGenerator<SmuxStream, void> {
    for (let stream = await this.accept(); stream !== null; stream = await this.accept()) yield stream
  }

  // ---- the end -----------------------------------------------------------------------------------------------

  /**
   * Ends every stream, waits until what is written has left (`lingerTimeout` at most), and closes the Duplex. What the
   * peer sends meanwhile can be read; no further stream opens.
   */
  close(): Promise<void> {
    this.#closing ??= this.#shut()
    return this.#closing
  }

  /** Over at once: streams and Duplex are destroyed, what is queued is lost. */
  destroy(error?: Error): void {
    this.#over('local', error)
    this.#duplex.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  // ---- inside ------------------------------------------------------------------------------------------------

  #attach(signal: AbortSignal | undefined): void {
    const duplex = this.#duplex
    // What one turn writes leaves in one piece already; Nagle's algorithm would only hold that back for the peer's ACK.
    ;(duplex as Partial<Socket>).setNoDelay?.(true)
    const listeners = {
      data: (chunk: Buffer) => {
        this.#engine.receive(chunk, this.#clock.now())
        this.#drive()
      },
      drain: () => {
        this.#full = false
        this.#drive()
      },
      end: () => {
        this.#engine.finish(this.#clock.now())
        this.#drive()
      },
      close: () => {
        this.#over('transport')
        this.#finish()
      },
    }
    for (const [event, listener] of Object.entries(listeners)) duplex.on(event, listener)
    duplex.on('error', (error: Error) => this.#over('transport', error))
    const onAbort = (): void => this.destroy(signal?.reason as Error)
    signal?.addEventListener('abort', onAbort, { once: true })
    // The listener for errors stays: a Duplex may fail after its end.
    this.#release = () => {
      for (const [event, listener] of Object.entries(listeners)) duplex.off(event, listener)
      signal?.removeEventListener('abort', onAbort)
    }
    if (signal?.aborted) process.nextTick(onAbort)
    if (duplex.destroyed || duplex.closed) process.nextTick(listeners.close)
    this.#arm()
  }

  #onStream(flow: SmuxFlow): void {
    const waiting = this.#backlog.length + this.#arrived.length
    const { acceptBacklog } = this.config
    if (waiting >= acceptBacklog + this.#waiters.length && this.listenerCount('stream') === 0) {
      this.#engine.refuse(flow)
      return
    }
    const stream = new SmuxStream(this.#link, flow)
    guards.set(stream, (error) => this.#handlerFailed(stream, error))
    stream.emit = guardedEmit
    this.#streams.add(stream)
    this.#arrived.push(stream)
  }

  /** Hands a stream of the peer to who wants it. */
  #announce(stream: SmuxStream): void {
    const waiter = this.#waiters.shift()
    if (waiter !== undefined) waiter.resolve(stream)
    else if (this.listenerCount('stream') > 0) {
      try {
        this.emit('stream', stream)
      } catch (error) {
        this.#handlerFailed(stream, error)
      }
    } else this.#backlog.push(stream)
  }

  /** The program failed while it served a stream of the peer: that stream is destroyed, and the others go on. */
  #handlerFailed(stream: unknown, thrown: unknown): void {
    const error = asError(thrown)
    if (stream instanceof SmuxStream) {
      const ended = stream.destroyed || this.#engine.reason !== undefined
      const own = error === stream.errored || (ended && (KcpError.is(error) || isStreamError(error)))
      stream.destroy(own ? undefined : error)
      if (own) return
    }
    this.#report("a handler of 'stream', or of its stream,", error)
  }

  #gone(stream: SmuxStream): void {
    this.#streams.delete(stream)
    this.#readable.delete(stream)
    this.#drained.delete(stream)
    this.#aborted.delete(stream)
    const at = this.#backlog.indexOf(stream)
    if (at >= 0) this.#backlog.splice(at, 1)
    this.#touch()
  }

  /** The engine has work: at the end of this turn, so that many writes share a frame and a batch. */
  #touch(): void {
    if (this.#touched) return
    this.#touched = true
    process.nextTick(() => {
      this.#touched = false
      this.#drive()
    })
  }

  #drive(): void {
    if (this.#driving) {
      this.#touch()
      return
    }
    this.#driving = true
    try {
      do {
        this.#deliver()
        this.#engine.proceed(this.#clock.now())
        this.#write()
      } while (this.#arrived.length + this.#readable.size + this.#drained.size > 0)
      if (this.#engine.reason !== undefined) this.#over(this.#engine.reason)
      else {
        const { wantsInput } = this.#engine
        if (wantsInput === this.#duplex.isPaused()) wantsInput ? this.#duplex.resume() : this.#duplex.pause()
        if (this.#idle !== undefined && !this.#full && this.#quiet) this.#idle()
      }
      this.#arm()
    } finally {
      this.#driving = false
      // A listener threw: the others still get theirs.
      if (this.#arrived.length + this.#readable.size + this.#drained.size > 0) this.#touch()
    }
  }

  #deliver(): void {
    for (const stream of this.#drained) {
      this.#drained.delete(stream)
      deliver.drained(stream)
    }
    for (let stream = this.#arrived.shift(); stream !== undefined; stream = this.#arrived.shift()) {
      this.#announce(stream)
    }
    for (const stream of this.#readable) {
      this.#readable.delete(stream)
      if (!this.#aborted.has(stream)) deliver.readable(stream)
    }
    for (const stream of this.#aborted) {
      this.#aborted.delete(stream)
      stream.destroy(new KcpError('ERR_KCP_RESET', `the peer broke stream ${stream.id} off`))
    }
  }

  #write(): void {
    while (!this.#full && !this.#duplex.writableEnded && !this.#duplex.destroyed) {
      const batch = this.#engine.pull(this.#clock.now())
      if (batch === undefined) return
      this.#full = !this.#duplex.write(batch)
    }
  }

  /** Whether no stream has anything left to write. */
  get #quiet(): boolean {
    for (const flow of this.#engine.flows()) if (!flow.finished) return false
    return true
  }

  #arm(): void {
    const at = this.#engine.deadline
    if (at === this.#timerAt) return
    // A later deadline lets the timer run: it looks again.
    if (this.#timer !== undefined && at > this.#timerAt && at !== Number.POSITIVE_INFINITY) return
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer)
    this.#timer = undefined
    this.#timerAt = at
    if (at === Number.POSITIVE_INFINITY) return
    const wait = Math.min(TIME_MAX, Math.max(0, Math.ceil(at - this.#clock.now())))
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined
      this.#timerAt = Number.POSITIVE_INFINITY
      // What waits in the socket is heard before anybody is judged.
      this.#clock.soon(() => {
        this.#engine.tick(this.#clock.now())
        this.#drive()
      })
    }, wait)
  }

  /** The session is over, for this reason unless it was already. */
  #over(reason: SmuxCloseReason, cause?: Error): void {
    this.#engine.close(reason)
    if (this.#overHandled) return
    this.#overHandled = true
    this.#error = this.#describe(cause)
    this.#arm()
    for (const waiter of this.#waiters.splice(0)) {
      if (this.#error === undefined) waiter.resolve(null)
      else waiter.reject(this.#error)
    }
    for (const stream of [...this.#streams]) deliver.over(stream)
    this.#idle?.()
    if (this.#engine.reason === 'peer') this.#duplex.end()
    else if (this.#engine.reason !== 'local') this.#duplex.destroy()
    // Some Duplexes never say that they closed.
    this.#lastTimer = this.#clock.setTimeout(() => this.#finish(), this.#lingerTimeout)
    this.#duplex.resume()
  }

  #describe(cause: Error | undefined): KcpError | undefined {
    const { reason, fault } = this.#engine
    const { keepAliveTimeout } = this.config
    switch (reason) {
      case 'timeout':
        return new KcpError('ERR_KCP_TIMEOUT', `nothing was heard for ${keepAliveTimeout} ms`, {
          detail: { timeout: keepAliveTimeout },
        })
      case 'protocol-error':
        return new KcpError('ERR_KCP_PROTOCOL', `the peer breaks smux: ${FAULTS[fault!]}`, {
          detail: { fault: fault! },
        })
      case 'transport':
        return new KcpError('ERR_KCP_IO', `the stream below failed: ${cause?.message ?? 'closed'}`, { cause })
      default:
        return cause === undefined
          ? undefined
          : cause instanceof KcpError
            ? cause
            : new KcpError('ERR_KCP_CLOSED', 'the session was destroyed', { cause })
    }
  }

  #closedError(): KcpError {
    if (this.#error !== undefined) return this.#error
    const { reason } = this.#engine
    const how = reason === undefined ? 'closing' : reason === 'peer' ? 'closed by the peer' : 'closed'
    return new KcpError('ERR_KCP_CLOSED', `the session is ${how}`)
  }

  #finish(): void {
    if (this.#closed) return
    this.#closed = true
    this.#clock.clearTimeout(this.#lastTimer)
    this.#release()
    this.#duplex.destroy()
    if (this.#error === undefined) this.emit('close', this.#engine.reason!)
    else this.emit('close', this.#engine.reason!, this.#error)
  }

  async #shut(): Promise<void> {
    if (this.#closed) return
    const closed = new Promise<void>((resolve) => this.once('close', () => resolve()))
    if (this.#engine.reason === undefined) {
      this.#engine.refusing = true
      for (const waiter of this.#waiters.splice(0)) waiter.resolve(null)
      for (const stream of this.#backlog.splice(0)) stream.destroy()
      for (const stream of this.#streams) stream.end()
      const idle = new Promise<void>((resolve) => (this.#idle = resolve))
      const timer = this.#clock.setTimeout(() => this.#idle?.(), this.#lingerTimeout)
      this.#touch()
      await idle
      this.#idle = undefined
      this.#clock.clearTimeout(timer)
      this.#over('local')
      this.#duplex.end()
    }
    await closed
  }
}

/** What is told of a throw in a handler of a stream that the peer opened. */
const guards: WeakMap<SmuxStream, (error: unknown) => void> = new WeakMap()

/** `emit` of the peer's streams: a throwing handler ends its own stream instead of the process. */
function guardedEmit(this: SmuxStream, event: string | symbol, ...args: unknown[]): boolean {
  try {
    return SmuxStream.prototype.emit.call(this, event as 'data', ...args)
  } catch (error) {
    guards.get(this)?.(error)
    return true
  }
}

/** What calls on a Node stream that is over fail with. */
function isStreamError(error: Error): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ERR_STREAM_DESTROYED'
}

/** How a session reaches into its streams; set by SmuxStream, so that these are no methods of theirs for everybody. */
let deliver: {
  readonly readable: (stream: SmuxStream) => void
  readonly drained: (stream: SmuxStream) => void
  readonly over: (stream: SmuxStream) => void
}

/**
 * One stream of a session: a Duplex of bytes. `end()` sends a FIN behind what is written and reading goes on; `destroy()`
 * sends it at once, and drops what the peer still sends. The wire tells the peer of both alike, so a peer takes
 * a destroyed stream for an ended one.
 */
export class SmuxStream extends Duplex implements AsyncDisposable {
  readonly #link: SessionLink
  readonly #flow: SmuxFlow
  #wanted = false
  #eof = false
  #over = false
  #written: ((error?: Error | null) => void) | undefined

  static {
    deliver = {
      readable: (stream) => stream.#deliver(),
      drained: (stream) => stream.#onDrained(),
      over: (stream) => stream.#onOver(),
    }
  }

  /** Use `open` or `accept` of a session. */
  constructor(link: SessionLink, flow: SmuxFlow) {
    super({
      allowHalfOpen: link.allowHalfOpen,
      autoDestroy: true,
      decodeStrings: true,
      // What waits for the reader waits in the engine, where it counts: what was handed up was consumed.
      readableHighWaterMark: 0,
      writableHighWaterMark: link.writableHighWaterMark,
    })
    this.#link = link
    this.#flow = flow
    flow.tag = this
    // What ends a session is the reason of its 'close': one peer's trouble must not end a process that did not listen
    // for 'error' on every stream.
    this.on('error', () => undefined)
  }

  /** The stream's number on the wire: odd when the client opened it. */
  get id(): number {
    return this.#flow.id
  }
  get session(): SmuxSession {
    return this.#link.session
  }
  /** Whether the peer opened it. */
  get incoming(): boolean {
    return this.#flow.incoming
  }
  get bytesRead(): number {
    return this.#flow.bytesRead
  }
  /** Bytes that are in frames. */
  get bytesWritten(): number {
    return this.#flow.bytesWritten
  }
  /** Bytes that came in and wait in the session for `read`. */
  get bytesWaiting(): number {
    return this.#flow.readable
  }

  /** Ends, discards what still arrives, and resolves when the peer has ended too, or the session is over. */
  close(): Promise<void> {
    if (this.destroyed) return Promise.resolve()
    return new Promise((resolve) => {
      this.once('close', () => resolve())
      this.end()
      this.resume()
    })
  }

  /** Destroys it so that a peer of this package gets ERR_KCP_RESET in place of an end; others see an end. */
  resetAndDestroy(): this {
    this.#flow.abort()
    return this.destroy()
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  override _read(): void {
    this.#wanted = true
    this.#deliver()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send([{ chunk }], done)
  }

  override _writev(
    chunks: readonly { readonly chunk: Buffer }[],
    done: (error?: Error | null) => void,
  ): void {
    this.#send(chunks, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#flow.end()
    if (this.#over || this.#flow.finished) {
      done()
      return
    }
    this.#written = done
    this.#link.touch()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // `for await` destroys its stream at the end (with an AbortError if the writable side is still open): what was written
    // until then must still arrive.
    const iterated = this.readableEnded && (error === null || error.name === 'AbortError')
    if (iterated) this.#flow.end()
    else this.#flow.forget()
    const written = this.#written
    this.#written = undefined
    this.#link.gone(this)
    written?.(error ?? this.#closedError())
    done(error)
  }

  #send(chunks: readonly { readonly chunk: Buffer }[], done: (error?: Error | null) => void): void {
    try {
      for (const { chunk } of chunks) this.#flow.write(chunk)
    } catch {
      done(this.#closedError())
      return
    }
    if (this.#flow.queued === 0) {
      done()
      return
    }
    this.#written = done
    this.#link.touch()
  }

  #closedError(): KcpError {
    return this.session.closeReason === undefined
      ? new KcpError('ERR_KCP_CLOSED', `stream ${this.id} is closed`)
      : this.#link.closedError()
  }

  /** Hands up what came, as far as it is wanted. */
  #deliver(): void {
    const flow = this.#flow
    let read = false
    while (this.#wanted && flow.readable > 0 && !this.destroyed) {
      const bytes = flow.read(PIECE)!
      read = true
      this.#wanted = this.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
    }
    if (read) this.#link.touch()
    if (flow.ended && !this.#eof && !this.destroyed) {
      this.#eof = true
      this.push(null)
      // Nobody may be reading: 'end' must come all the same, or the stream would never close.
      this.read(0)
    }
  }

  /** All that was written is in frames, or never will be. */
  #onDrained(): void {
    if (this.#flow.stuck) {
      this.destroy(
        new KcpError('ERR_KCP_CLOSED', `the peer ended stream ${this.id} and takes nothing more`, {
          detail: { queued: this.#flow.queued },
        }),
      )
      return
    }
    if (this.#flow.queued > 0 || (this.writableEnded && this.writableLength === 0 && !this.#flow.finished))
      return
    const done = this.#written
    this.#written = undefined
    done?.()
  }

  /** The session is over. What came before the peer's FIN can be read yet; anything else fails. */
  #onOver(): void {
    this.#over = true
    if (this.destroyed) return
    const complete = this.#flow.finReceived && this.session.closeReason === 'peer'
    if (!complete || this.#written !== undefined) {
      this.destroy(this.#link.closedError())
      return
    }
    this.#deliver()
  }
}
