/**
 * A transport that the application has written, as the library may call it: nothing that it does throws into a timer,
 * ends a process or keeps a stream from closing. A failure to send is loss, a failure to close is a close.
 * @module
 */
import { KcpError } from '../core/errors.ts'
import { isThenable } from '../core/options.ts'
import type { Clock, DatagramHandler, DatagramTransport, PeerAddress } from '../session/transport.ts'
import { asError, messageOf, type ReportHook, settleQuietly } from './hooks.ts'

/** Longest wait for a transport to close, ms: 'close' of a stream must come. */
const CLOSE_TIMEOUT = 1_000

type Batch = Parameters<NonNullable<DatagramTransport['sendBatch']>>[0]

export class GuardedTransport implements DatagramTransport<PeerAddress> {
  readonly maxDatagramSize?: number
  readonly overhead?: number
  readonly provesPeers: boolean
  readonly knowsPeers: boolean
  readonly sendBatch?: (batch: Batch) => void
  readonly peerKey?: (peer: PeerAddress) => string
  /** Calls of its `send` or `sendBatch` that threw or were rejected. */
  sendErrors = 0
  private readonly inner: DatagramTransport
  private readonly clock: Clock
  private readonly report: ReportHook
  private closing: Promise<void> | undefined
  /** Calls of `send` that have not returned: a transport may hand up an answer from inside of one. */
  private sending = 0

  /** @param inner was checked by requireTransport. */
  constructor(inner: DatagramTransport, clock: Clock, report: ReportHook) {
    const { maxDatagramSize, overhead } = inner
    this.inner = inner
    this.clock = clock
    this.report = report
    if (maxDatagramSize !== undefined) this.maxDatagramSize = maxDatagramSize
    if (overhead !== undefined) this.overhead = overhead
    this.provesPeers = inner.provesPeers === true
    this.knowsPeers = inner.knowsPeers === true
    if (inner.sendBatch !== undefined) {
      this.sendBatch = (batch) => {
        this.sending++
        this.attempt(() => inner.sendBatch!(batch))
        this.sending--
      }
    }
    if (inner.peerKey !== undefined) this.peerKey = (peer) => this.keyOf(peer) ?? ''
  }

  send(datagram: Uint8Array, peer: PeerAddress): void {
    this.sending++
    try {
      const result: unknown = this.inner.send(datagram, peer)
      if (result !== undefined) settleQuietly(result, this.lost)
    } catch (error) {
      this.lost(error)
    } finally {
      this.sending--
    }
  }

  /** Throws, or rejects with, ERR_KCP_IO. */
  start(handler: DatagramHandler): void | Promise<void> {
    const guarded: DatagramHandler = {
      onDatagram: (datagram, peer) => this.receive(handler, datagram, peer),
      onError: (error) => this.callback(() => handler.onError(asError(error))),
      onClose: () => this.callback(() => handler.onClose()),
      onPeerClosed: (peer, error) =>
        this.callback(() => {
          if (isPeer(peer) && this.keyOf(peer) !== undefined) handler.onPeerClosed?.(peer, error)
        }),
      onLargerDatagrams: (peer, size) =>
        this.callback(() => {
          if (isPeer(peer) && this.keyOf(peer) !== undefined && Number.isInteger(size)) {
            handler.onLargerDatagrams?.(peer, size)
          }
        }),
    }
    let started: unknown
    try {
      started = this.inner.start(guarded)
    } catch (cause) {
      throw notStarted(cause)
    }
    if (!isThenable(started)) return
    return Promise.resolve(started).then(
      () => undefined,
      (cause) => {
        throw notStarted(cause)
      },
    )
  }

  /** Never rejects, and resolves within a second. */
  close(): Promise<void> {
    this.closing ??= new Promise((resolve) => {
      const timer = this.clock.setTimeout(() => {
        this.report('transport.close', new Error(`it did not settle within ${CLOSE_TIMEOUT} ms`))
        resolve()
      }, CLOSE_TIMEOUT)
      const done = (): void => {
        this.clock.clearTimeout(timer)
        resolve()
      }
      const failed = (error: unknown): void => {
        this.report('transport.close', error)
        done()
      }
      try {
        const closed: unknown = this.inner.close()
        if (isThenable(closed)) Promise.resolve(closed).then(done, failed)
        else done()
      } catch (error) {
        failed(error)
      }
    })
    return this.closing
  }

  use(peer: PeerAddress, used: boolean): void {
    this.attempt(() => this.inner.use?.(peer, used), 'transport.use')
  }

  localAddress(): PeerAddress | undefined {
    let address: PeerAddress | undefined
    this.attempt(() => (address = this.inner.localAddress?.()), 'transport.localAddress')
    return isPeer(address) ? address : undefined
  }

  ref(): void {
    this.attempt(() => this.inner.ref?.(), 'transport.ref')
  }
  unref(): void {
    this.attempt(() => this.inner.unref?.(), 'transport.unref')
  }
  flush(): void {
    this.attempt(() => this.inner.flush?.(), 'transport.flush')
  }

  // ---- inside ----------------------------------------------------------------------------------------------

  private readonly lost = (error: unknown): void => {
    this.sendErrors++
    this.report('transport.send', error)
  }

  /** Calls the transport. A promise that nobody waits for may be rejected too. */
  private attempt(call: () => unknown, hook?: string): void {
    const failed = hook === undefined ? this.lost : (error: unknown): void => this.report(hook, error)
    try {
      settleQuietly(call(), failed)
    } catch (error) {
      failed(error)
    }
  }

  /** The map key of a peer; undefined when the transport has none for it. */
  private keyOf(peer: PeerAddress): string | undefined {
    if (this.inner.peerKey === undefined) return ''
    try {
      const key: unknown = this.inner.peerKey(peer)
      if (typeof key === 'string') return key
      throw new TypeError(`it returned a value of type ${typeof key}; allowed is a text`)
    } catch (error) {
      this.report('transport.peerKey', error)
      return undefined
    }
  }

  private receive(handler: DatagramHandler, datagram: unknown, peer: unknown): void {
    if (!(datagram instanceof Uint8Array) || !isPeer(peer)) {
      const what = `onDatagram(${typeof datagram}, ${typeof peer}): allowed are a Uint8Array and a peer`
      this.report('the transport', new TypeError(what))
      return
    }
    if (this.keyOf(peer) === undefined) return
    if (this.sending === 0) {
      this.callback(() => handler.onDatagram(datagram, peer))
      return
    }
    // An engine in the middle of its flush takes nothing in. The bytes are borrowed for this call.
    const copy = new Uint8Array(datagram)
    process.nextTick(() => handler.onDatagram(copy, peer))
  }

  /** A callback of the application threw below: for the process to see, as with an event, and not for the transport. */
  private callback(call: () => void): void {
    try {
      call()
    } catch (error) {
      process.nextTick(() => {
        throw error
      })
    }
  }
}

/** Any transport may have its own shape of peers, but for nothing at all. */
function isPeer(peer: unknown): peer is PeerAddress {
  return peer !== undefined && peer !== null
}

function notStarted(cause: unknown): KcpError {
  if (cause instanceof KcpError) return cause
  return new KcpError('ERR_KCP_IO', `the transport did not start: ${messageOf(cause)}`, { cause })
}
