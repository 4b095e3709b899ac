/**
 * One stream of a multiplexed session: what waits to be read, what waits to be sent, both windows and both ends. Knows
 * nothing of the other streams; whose turn it is the engine decides.
 * @module
 */
import { assert } from '../core/assert.ts'
import { KcpError } from '../core/errors.ts'
import { seqAdd, seqDiff } from '../core/seq.ts'
import { ByteQueue } from './byte-queue.ts'
import type { ResolvedSmuxConfig } from './config.ts'
import type { Turn } from './send-order.ts'

/** Version 2: bytes that may be on their way before the peer's first UPD. The same in every smux. */
export const INITIAL_WINDOW = 262_144

/** What a stream tells its session. */
export interface StreamOwner {
  readonly config: ResolvedSmuxConfig
  isOver(): boolean
  /** There is data or a FIN to send. */
  onSendable(stream: SmuxFlow): void
  /** A reader took bytes, or nobody will any more. */
  onFreed(bytes: number): void
  /** The peer is to be told what was read. */
  onUpdateDue(stream: SmuxFlow): void
  /** The stream may have come to its end. */
  onEnded(stream: SmuxFlow): void
  /** The peer is to hear that the stream was broken off. */
  onAbort(stream: SmuxFlow): void
}

export class SmuxFlow implements Turn {
  readonly id: number
  /** Whether the peer opened it. */
  readonly incoming: boolean
  /** For who made a stream of it: a value of theirs. */
  tag: unknown = undefined
  /** Bytes of payload that were read, and that were put into frames. */
  bytesRead = 0
  bytesWritten = 0

  readonly #owner: StreamOwner
  readonly #unread = new ByteQueue()
  /** Version 2: bytes that the reader took, u32; and how many since the last UPD. */
  #consumed = 0
  #sinceUpdate = 0
  #finReceived = false

  /** What is written and not yet in a frame; of the first chunk `#sent` bytes are. */
  #queue: Uint8Array[] = []
  #first = 0
  #sent = 0
  #queued = 0
  /** Version 2: bytes put into frames, and of these taken by the peer's reader, u32; and the window that it keeps. */
  #written = 0
  #peerConsumed = 0
  #peerWindow = INITIAL_WINDOW
  #finWanted = false
  #finSent = false
  #forgotten = false
  #stuck = false

  // As a Turn.
  deficit = 0
  listed = false
  next: Turn | undefined = undefined
  /** Frames that go ahead of data: the engine's notes. */
  synDue = false
  updateDue = false
  abortDue = false

  constructor(owner: StreamOwner, id: number, incoming: boolean) {
    this.#owner = owner
    this.id = id
    this.incoming = incoming
  }

  // ---- for the application -----------------------------------------------------------------------------------

  /** Bytes that can be read. */
  get readable(): number {
    return this.#unread.length
  }
  /** Bytes written that are in no frame yet. */
  get queued(): number {
    return this.#queued
  }
  /** Whether everything that the peer sent was read, its FIN included. */
  get ended(): boolean {
    return this.#finReceived && this.#unread.length === 0
  }
  get finReceived(): boolean {
    return this.#finReceived
  }
  /** Whether everything written, and the FIN behind it, is in frames. */
  get finished(): boolean {
    return this.#finSent
  }
  /** Whether `forget` was called. */
  get forgotten(): boolean {
    return this.#forgotten
  }
  /** The peer wrote its FIN, keeps its window closed and says nothing more: what is queued will never leave. */
  get stuck(): boolean {
    return this.#stuck
  }

  /** The next bytes, at most `max`, which are the caller's to keep; undefined when there are none. */
  read(max: number = 0x7fff_ffff): Uint8Array | undefined {
    const bytes = this.#unread.take(max)
    if (bytes === undefined) return undefined
    const { length } = bytes
    this.bytesRead += length
    this.#owner.onFreed(length)
    if (this.#owner.config.version === 2) {
      this.#consumed = seqAdd(this.#consumed, length)
      this.#sinceUpdate += length
      // The first UPD tells our window, the others keep it open while the peer is sending: half of it is still to go
      // when one leaves.
      const due =
        this.bytesRead === length || this.#sinceUpdate >= Math.floor(this.#owner.config.maxStreamBuffer / 2)
      if (due && !this.#finReceived) {
        this.#sinceUpdate = 0
        this.#owner.onUpdateDue(this)
      }
    }
    if (this.ended) this.#owner.onEnded(this)
    return bytes
  }

  /** Queues bytes, which are lent until the engine says that all is in frames. Throws ERR_KCP_CLOSED after the end. */
  write(bytes: Uint8Array): void {
    if (this.#finWanted || this.#owner.isOver()) {
      throw new KcpError('ERR_KCP_CLOSED', `stream ${this.id} is ${this.#finWanted ? 'ended' : 'over'}`)
    }
    if (bytes.length === 0) return
    this.#queue.push(bytes)
    this.#queued += bytes.length
    this.#owner.onSendable(this)
  }

  /** No more writes: a FIN follows what is queued. Reading goes on. */
  end(): void {
    if (this.#finWanted) return
    this.#finWanted = true
    this.#owner.onSendable(this)
  }

  /** Wants nothing more of this stream: what is unread or queued is dropped, and the peer gets a FIN. */
  forget(): void {
    if (this.#forgotten) return
    this.#forgotten = true
    const dropped = this.#unread.length
    this.#unread.clear()
    if (dropped > 0) this.#owner.onFreed(dropped)
    this.dropQueue()
    // Opened and given up in one turn: the peer need not hear of it.
    if (this.synDue) {
      this.#finWanted = this.#finSent = true
      this.synDue = false
    } else {
      this.#finWanted = true
      // Also when it was ended before: its FIN may stand behind a queue that a closed window held back.
      this.#owner.onSendable(this)
    }
    this.#owner.onEnded(this)
  }

  /**
   * As `forget`, and an end of this package hears that the stream was broken off and has not come to its end. Others take
   * the sign for a NOP.
   */
  abort(): void {
    // A stream that the peer never heard of.
    if (!this.#forgotten && !this.synDue) this.#owner.onAbort(this)
    this.forget()
  }

  // ---- for the engine ----------------------------------------------------------------------------------------

  /** Bytes that the peer lets us send. */
  get window(): number {
    if (this.#owner.config.version === 1) return Number.MAX_SAFE_INTEGER
    return this.#peerWindow - this.#outstanding
  }

  /** Version 2: what the peer's reader has not taken yet. */
  get #outstanding(): number {
    return (this.#written - this.#peerConsumed) >>> 0
  }

  get sendable(): boolean {
    if (this.#queued > 0) return !this.#stuck && this.window > 0
    return this.#finWanted && !this.#finSent
  }

  /** Whether the peer's window, and nothing else, holds back what is queued. */
  get blocked(): boolean {
    return this.#queued > 0 && !this.#stuck && this.window <= 0
  }

  /** Bytes that the peer may have sent and nobody read, at most: it begins with its own idea of our window. */
  get allowance(): number {
    return Math.max(INITIAL_WINDOW, this.#owner.config.maxStreamBuffer)
  }

  get consumed(): number {
    return this.#consumed
  }

  receive(bytes: Uint8Array): void {
    this.#unread.push(bytes)
  }

  receiveFin(): void {
    this.#finReceived = true
  }

  /** Takes a UPD; false when the peer claims to have read what was never written. */
  receiveUpdate(consumed: number, window: number): boolean {
    if (seqDiff(this.#written, consumed) < 0) return false
    this.#peerConsumed = consumed
    this.#peerWindow = window
    return true
  }

  /** Moves the next `size` bytes of the queue to `target`. */
  fill(target: Uint8Array, at: number, size: number): void {
    assert(size <= this.#queued, 'more wanted than queued')
    this.#queued -= size
    this.bytesWritten += size
    this.#written = seqAdd(this.#written, size)
    while (size > 0) {
      const chunk = this.#queue[this.#first]!
      const part =
        this.#sent === 0 && chunk.length <= size ? chunk : chunk.subarray(this.#sent, this.#sent + size)
      target.set(part, at)
      at += part.length
      size -= part.length
      this.#sent += part.length
      if (this.#sent === chunk.length) {
        this.#first++
        this.#sent = 0
      }
    }
    if (this.#first === this.#queue.length) {
      this.#queue = []
      this.#first = 0
    }
  }

  finIsSent(): void {
    this.#finSent = true
    this.#owner.onEnded(this)
  }

  giveUp(): void {
    this.#stuck = true
  }

  dropQueue(): void {
    this.#queue = []
    this.#first = this.#sent = this.#queued = 0
    this.#stuck = false
  }
}
