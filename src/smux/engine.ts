/**
 * A multiplexed session without I/O: many streams inside one, after smux 1 and 2. Bytes of the underlying stream come
 * in by `receive` and are fetched by `pull`; time is an argument. It never throws for what a peer does: a breach of the
 * protocol is the end of the session, with its reason, as it runs inside a reliable stream and so can only mean a peer
 * of another kind.
 *
 * What its owner does after any call: `pull` while there is room below, `proceed`, read on below only while
 * `wantsInput`, and call `tick` at `deadline`.
 * @module
 */
import { KcpError } from '../core/errors.ts'
import { type ResolvedSmuxConfig, resolveSmuxConfig, type SmuxConfig } from './config.ts'
import { SmuxFlow, type StreamOwner } from './flow.ts'
import {
  FRAME_HEADER,
  FrameCommand,
  FrameParser,
  type FrameSink,
  type SmuxFault,
  UPDATE_LENGTH,
  writeFrameHeader,
  writeUpdate,
} from './frame.ts'
import { SendOrder } from './send-order.ts'

/** The client's streams have odd ids, the server's even ones. */
export type SmuxRole = 'client' | 'server'

/** Why a session is over. */
export type SmuxCloseReason = 'local' | 'peer' | 'timeout' | 'protocol-error' | 'transport'

/**
 * What an engine tells its owner, from inside `receive`, `proceed`, `pull`, `tick` and `close`. May call the streams; must
 * not throw.
 */
export interface SmuxHandler {
  /** The peer opened a stream. */
  onStream(flow: SmuxFlow): void
  /** There is something to read, or the peer's FIN came. */
  onReadable(flow: SmuxFlow): void
  /** Everything written is in frames, or (`flow.stuck`) will never be. */
  onDrained(flow: SmuxFlow): void
  /** The peer broke the stream off: what it sent is not all that it would have sent. */
  onAborted?(flow: SmuxFlow): void
  /** The session is over: `reason` and `fault` say why. */
  onOver(): void
}

/** Plain numbers; bytes are those of payloads unless they say wire. */
export interface SmuxStats {
  readonly streams: number
  /** Streams that we, and that the peer, opened so far; and those of the peer that were refused. */
  readonly opened: number
  readonly accepted: number
  readonly refused: number
  readonly framesIn: number
  readonly framesOut: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly wireIn: number
  readonly wireOut: number
  readonly nopsIn: number
  readonly nopsOut: number
  readonly updatesIn: number
  readonly updatesOut: number
  /** Bytes that wait for the readers of all streams. */
  readonly unread: number
  /** How often reading stopped because of them. */
  readonly stalls: number
  /** Frames for streams that are over or never were, and bytes of payload dropped with them. */
  readonly strayFrames: number
  readonly strayBytes: number
  /** PSH beyond a stream's window (version 2); up to twice the window is taken. */
  readonly windowOverruns: number
  /** Streams given up because their peer ended its side and no longer opened its window. */
  readonly stuck: number
}

type Counters = { -readonly [K in keyof SmuxStats]: SmuxStats[K] }

/** Bytes that one `pull` puts together at most: what a write to a socket carries well. */
export const BATCH: number = 64 * 1024
/** A frame that would carry less than this for want of room in the batch waits for the next one. */
const FRAME_ROOM_MIN = 512
/** Refusals that wait to be sent; beyond that no further frame is taken in, so that SYNs cannot grow the list. */
const REFUSALS_MAX = 1024
/** A peer that has more than so many windows unread on its stream does not look at windows at all. */
const OVERRUN_MAX = 2
/**
 * How long a peer that sent its FIN may keep a full window closed, ms: then its FIN meant that it reads no more either, as
 * it always does in smux before half-closing came, and no UPD will follow. As keepAliveTimeout's default.
 */
export const STUCK_TIMEOUT = 30_000
/** A tick that comes later than this means that the process was stopped: the peer's silence is forgiven. As in sessions. */
const LATE = 1_000
const ID_MAX = 0xffff_ffff

export interface SmuxEngineOptions {
  /** Where buffers come from; default a new Uint8Array. */
  readonly allocate?: (size: number) => Uint8Array
  /** Id of the first stream that we open; default 3 for a client and 2 for a server, as smux. */
  readonly firstId?: number
}

export class SmuxEngine {
  readonly role: SmuxRole
  readonly config: ResolvedSmuxConfig
  readonly #handler: SmuxHandler
  readonly #allocate: (size: number) => Uint8Array
  readonly #parser: FrameParser
  readonly #order: SendOrder<SmuxFlow>
  readonly #owner: StreamOwner
  readonly #flows = new Map<number, SmuxFlow>()
  #nextId: number

  /** What came in and is not parsed yet. */
  #held: Uint8Array[] = []
  #heldAt = 0
  #parsing = false
  #current: SmuxFlow | undefined
  #stalled = false
  #now: number

  /** Streams with a SYN or UPD to send, and ids to refuse. */
  #control: SmuxFlow[] = []
  #refusals: number[] = []
  #nopDue = false
  #scratch: Uint8Array | undefined
  readonly #drained: SmuxFlow[] = []

  #heardAt: number
  #sentAt: number
  /** Since when a peer's FIN and closed window hold streams back; in order of time, as each waits equally long. */
  readonly #stuckSince = new Map<SmuxFlow, number>()

  /** Refuses further streams of the peer. */
  refusing = false
  #reason: SmuxCloseReason | undefined
  readonly #counters: Counters = {
    streams: 0,
    opened: 0,
    accepted: 0,
    refused: 0,
    framesIn: 0,
    framesOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    wireIn: 0,
    wireOut: 0,
    nopsIn: 0,
    nopsOut: 0,
    updatesIn: 0,
    updatesOut: 0,
    unread: 0,
    stalls: 0,
    strayFrames: 0,
    strayBytes: 0,
    windowOverruns: 0,
    stuck: 0,
  }
  #fault: SmuxFault | undefined

  /** `now` in ms from any origin. Throws ERR_KCP_CONFIG. */
  constructor(
    role: SmuxRole,
    config: SmuxConfig,
    handler: SmuxHandler,
    now: number,
    options: SmuxEngineOptions = {},
  ) {
    this.role = role
    this.config = resolveSmuxConfig(config)
    this.#handler = handler
    this.#allocate = options.allocate ?? ((size) => new Uint8Array(size))
    this.#nextId = options.firstId ?? (role === 'client' ? 3 : 2)
    this.#now = this.#heardAt = this.#sentAt = now
    this.#order = new SendOrder(this.config.maxFrameSize)
    const sink: FrameSink = {
      onFrame: (command, id, length) => this.#onFrame(command, id, length),
      onData: (_, bytes) => this.#onData(bytes),
      onUpdate: (id, consumed, window) => this.#onUpdate(id, consumed, window),
    }
    this.#parser = new FrameParser(this.config.version, sink)
    this.#owner = {
      config: this.config,
      isOver: () => this.#reason !== undefined,
      onSendable: (flow) => this.#onSendable(flow),
      onFreed: (bytes) => this.#onFreed(bytes),
      onUpdateDue: (flow) => this.#wantControl(flow, false),
      onEnded: (flow) => this.#settle(flow),
      onAbort: (flow) => {
        if (this.#reason !== undefined) return
        if (!(flow.synDue || flow.updateDue || flow.abortDue)) this.#control.push(flow)
        flow.abortDue = true
      },
    }
  }

  // ---- reads -------------------------------------------------------------------------------------------------

  /** Why it is over; undefined while it is not. */
  get reason(): SmuxCloseReason | undefined {
    return this.#reason
  }
  /** What the peer did wrong, once the reason is `protocol-error`. */
  get fault(): SmuxFault | undefined {
    return this.#fault
  }
  /** Streams that are not over. */
  get streams(): number {
    return this.#flows.size
  }
  /** Whether more bytes may be received. While false the owner should not read below. */
  get wantsInput(): boolean {
    return this.#reason === undefined && this.#held.length === 0 && !this.#full
  }
  /** Earliest time at which `tick` has something to do; Infinity when there is none. */
  get deadline(): number {
    if (this.#reason !== undefined) return Number.POSITIVE_INFINITY
    const { keepAliveInterval, keepAliveTimeout } = this.config
    let at = Number.POSITIVE_INFINITY
    if (keepAliveInterval > 0 && !this.#nopDue) at = this.#sentAt + keepAliveInterval
    if (keepAliveTimeout > 0 && !this.#deaf) at = Math.min(at, this.#heardAt + keepAliveTimeout)
    for (const since of this.#stuckSince.values()) return Math.min(at, since + STUCK_TIMEOUT)
    return at
  }

  stats(): SmuxStats {
    return { ...this.#counters, streams: this.#flows.size }
  }

  /** The streams that are not over. */
  flows(): IterableIterator<SmuxFlow> {
    return this.#flows.values()
  }

  // ---- below and clock ---------------------------------------------------------------------------------------

  /** Bytes of the underlying stream, in order. The engine may keep the view: the caller no longer writes to it. */
  receive(bytes: Uint8Array, now: number): void {
    if (this.#reason !== undefined || bytes.length === 0) return
    this.#heardAt = now
    this.#counters.wireIn += bytes.length
    this.#held.push(bytes)
    this.proceed(now)
  }

  /** Goes on with what was received and had to wait for readers. */
  proceed(now: number): void {
    this.#parse(now, false)
  }

  /** Nothing more will be received: takes in what waits, however slow the readers are, and is over. */
  finish(now: number): void {
    this.#parse(now, true)
    this.close('peer')
  }

  #parse(now: number, all: boolean): void {
    this.#now = now
    // A handler that gets here again finds a parser in the middle of its step.
    if (this.#parsing) return
    this.#parsing = true
    while (this.#held.length > 0 && (all || !this.#full) && this.#reason === undefined) {
      const bytes = this.#held[0]!
      this.#heldAt = this.#parser.step(bytes, this.#heldAt)
      if (this.#parser.fault !== undefined) this.#refuse(this.#parser.fault)
      else if (this.#heldAt === bytes.length) {
        this.#held.shift()
        this.#heldAt = 0
      }
    }
    this.#parsing = false
    if (this.#deaf !== this.#stalled) {
      this.#stalled = !this.#stalled
      if (this.#stalled) this.#counters.stalls++
      // The silence was ours.
      else this.#heardAt = now
    }
  }

  /**
   * Bytes to write below, at most `limit` (64 KiB, and never less than a frame of 1 KiB): whole frames, in the order in
   * which they must go. Undefined when there is nothing. The caller's to keep.
   */
  pull(now: number, limit: number = BATCH): Uint8Array | undefined {
    if (this.#reason !== undefined) return undefined
    limit = Math.max(limit, 1024 + FRAME_HEADER)
    if (this.#control.length === 0 && this.#refusals.length === 0 && !this.#nopDue) {
      if (this.#order.next() === undefined) return undefined
    }
    if (this.#scratch === undefined || this.#scratch.length < limit) this.#scratch = this.#allocate(limit)
    const to = this.#scratch
    let at = this.#pullControl(to, limit)
    at = this.#pullData(to, at, limit)
    if (at === 0) return undefined
    this.#sentAt = now
    this.#nopDue = false
    this.#counters.wireOut += at
    for (const flow of this.#drained.splice(0)) this.#handler.onDrained(flow)
    if (at * 2 >= to.length) {
      this.#scratch = undefined
      return to.subarray(0, at)
    }
    // Not slice(): what `allocate` gives may be a Buffer, whose slice is a view.
    const bytes = this.#allocate(at)
    bytes.set(to.subarray(0, at))
    return bytes
  }

  /** Keep-alive and time limits. Harmless when early. */
  tick(now: number): void {
    if (this.#reason !== undefined) return
    const deadline = this.deadline
    if (now < deadline) return
    this.#now = now
    const { keepAliveInterval, keepAliveTimeout } = this.config
    if (now - deadline > LATE) {
      // And what waits below may be heard yet.
      this.#heardAt = Math.max(this.#heardAt + now - deadline, now - keepAliveTimeout + LATE)
    }
    if (keepAliveTimeout > 0 && !this.#deaf && now >= this.#heardAt + keepAliveTimeout) {
      this.close('timeout')
      return
    }
    if (keepAliveInterval > 0 && now >= this.#sentAt + keepAliveInterval) this.#nopDue = true
    for (const [flow, since] of this.#stuckSince) {
      if (now < since + STUCK_TIMEOUT) break
      this.#stuckSince.delete(flow)
      this.#counters.stuck++
      flow.giveUp()
      this.#handler.onDrained(flow)
    }
  }

  // ---- for the application -----------------------------------------------------------------------------------

  /**
   * Opens a stream; it can be written to at once. Throws ERR_KCP_CLOSED when the session is over, ERR_KCP_SMUX_STREAMS
   * when there are `maxStreams` or when all ids were used: then a new session is needed.
   */
  open(): SmuxFlow {
    if (this.#reason !== undefined) throw new KcpError('ERR_KCP_CLOSED', 'the session is over')
    const { maxStreams } = this.config
    if (this.#flows.size >= maxStreams) {
      throw new KcpError('ERR_KCP_SMUX_STREAMS', `there are ${maxStreams} streams, the limit`, {
        detail: { streams: this.#flows.size, limit: maxStreams },
      })
    }
    if (this.#nextId > ID_MAX) {
      throw new KcpError('ERR_KCP_SMUX_STREAMS', 'every stream id was used: a new session is needed', {
        detail: { streams: this.#flows.size, limit: ID_MAX },
      })
    }
    const flow = new SmuxFlow(this.#owner, this.#nextId, false)
    this.#nextId += 2
    this.#flows.set(flow.id, flow)
    this.#counters.opened++
    this.#wantControl(flow, true)
    return flow
  }

  /** The session is over. Nothing is sent: smux has no frame for it. What streams have unread can still be read. */
  close(reason: SmuxCloseReason): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    this.#held = []
    this.#control = []
    this.#refusals = []
    this.#scratch = undefined
    this.#stuckSince.clear()
    for (const flow of this.#flows.values()) flow.dropQueue()
    this.#handler.onOver()
  }

  /** Refuses a stream that was handed to `onStream`: the peer gets a FIN. */
  refuse(flow: SmuxFlow): void {
    this.#counters.refused++
    flow.forget()
  }

  // ---- frames that came in -----------------------------------------------------------------------------------

  /** The readers have too much to do. */
  get #deaf(): boolean {
    return this.#counters.unread >= this.config.maxReceiveBuffer
  }

  get #full(): boolean {
    return this.#deaf || this.#refusals.length >= REFUSALS_MAX
  }

  #onFrame(command: FrameCommand, id: number, length: number): void {
    this.#counters.framesIn++
    switch (command) {
      case FrameCommand.Nop:
        this.#counters.nopsIn++
        if (id !== 0) this.#onAbort(id)
        return
      case FrameCommand.Syn:
        this.#onSyn(id)
        return
      case FrameCommand.Fin:
        this.#onFin(id)
        return
      case FrameCommand.Push: {
        const flow = this.#flows.get(id)
        // After its FIN a stream takes nothing more.
        this.#current = flow === undefined || flow.forgotten || flow.finReceived ? undefined : flow
        if (this.#current === undefined) this.#counters.strayFrames++
        else if (this.config.version === 2) this.#checkWindow(this.#current, length)
        return
      }
      default: // A UPD is taken when it is complete.
    }
  }

  #onSyn(id: number): void {
    // Ids of the peer are of the other kind than ours; 0 is none, it stands in NOPs.
    const ours = (id & 1) === (this.role === 'client' ? 1 : 0)
    if (ours || id === 0) {
      this.#refuse('stream-id')
      return
    }
    if (this.#flows.has(id)) {
      this.#counters.strayFrames++
      return
    }
    if (this.refusing || this.#flows.size >= this.config.maxStreams) {
      this.#counters.refused++
      this.#refusals.push(id)
      return
    }
    const flow = new SmuxFlow(this.#owner, id, true)
    this.#flows.set(id, flow)
    this.#counters.accepted++
    this.#handler.onStream(flow)
  }

  /** A NOP with a stream's id, which means nothing to others: the stream was broken off. */
  #onAbort(id: number): void {
    const flow = this.#flows.get(id)
    if (flow !== undefined && !flow.forgotten) this.#handler.onAborted?.(flow)
  }

  #onFin(id: number): void {
    const flow = this.#flows.get(id)
    if (flow === undefined || flow.finReceived) {
      this.#counters.strayFrames++
      return
    }
    flow.receiveFin()
    if (flow.blocked) this.#stuckSince.set(flow, this.#now)
    if (!flow.forgotten) this.#handler.onReadable(flow)
    this.#settle(flow)
  }

  #checkWindow(flow: SmuxFlow, length: number): void {
    const unread = flow.readable + length
    if (unread <= flow.allowance) return
    this.#counters.windowOverruns++
    // Several writers of one stream may each use the window that they see (smux locks nothing there), so a little more
    // than one window can come from an honest peer.
    if (unread > flow.allowance * OVERRUN_MAX) this.#refuse('window')
  }

  #onData(bytes: Uint8Array): void {
    const flow = this.#current
    // The reader may have gone in the middle of a frame.
    if (flow === undefined || flow.forgotten) {
      this.#counters.strayBytes += bytes.length
      return
    }
    this.#counters.bytesIn += bytes.length
    this.#counters.unread += bytes.length
    flow.receive(bytes)
    this.#handler.onReadable(flow)
  }

  #onUpdate(id: number, consumed: number, window: number): void {
    this.#counters.updatesIn++
    const flow = this.#flows.get(id)
    if (flow === undefined) {
      this.#counters.strayFrames++
      return
    }
    if (!flow.receiveUpdate(consumed, window)) {
      this.#refuse('consumed')
      return
    }
    // A UPD after a FIN: only the peer's writing is over.
    if (this.#stuckSince.delete(flow) && flow.blocked) this.#stuckSince.set(flow, this.#now)
    this.#onSendable(flow)
  }

  #refuse(fault: SmuxFault): void {
    if (this.#reason !== undefined) return
    this.#fault = fault
    this.close('protocol-error')
  }

  // ---- frames to send ----------------------------------------------------------------------------------------

  #wantControl(flow: SmuxFlow, syn: boolean): void {
    if (this.#reason !== undefined) return
    const listed = flow.synDue || flow.updateDue || flow.abortDue
    if (syn) flow.synDue = true
    else flow.updateDue = true
    if (!listed) this.#control.push(flow)
  }

  #onSendable(flow: SmuxFlow): void {
    if (this.#reason !== undefined) return
    if (flow.sendable) this.#order.add(flow)
    else if (flow.blocked && flow.finReceived && !this.#stuckSince.has(flow)) {
      this.#stuckSince.set(flow, this.#now)
    }
  }

  /** SYN, UPD, NOP and refusals go ahead of data: they are small, and others wait for them. */
  #pullControl(to: Uint8Array, limit: number): number {
    const { version, maxStreamBuffer } = this.config
    const counters = this.#counters
    let at = 0
    let taken = 0
    for (const flow of this.#control) {
      if (at + 3 * FRAME_HEADER + UPDATE_LENGTH > limit) break
      taken++
      if (flow.synDue) {
        at = writeFrameHeader(to, at, version, FrameCommand.Syn, 0, flow.id)
        counters.framesOut++
      }
      // Who sends no more needs no window.
      if (flow.updateDue && !flow.finReceived && !flow.forgotten) {
        at = writeUpdate(to, at, version, flow.id, flow.consumed, maxStreamBuffer)
        counters.framesOut++
        counters.updatesOut++
      }
      if (flow.abortDue) {
        at = writeFrameHeader(to, at, version, FrameCommand.Nop, 0, flow.id)
        counters.framesOut++
        counters.nopsOut++
      }
      flow.synDue = flow.updateDue = flow.abortDue = false
    }
    this.#control.splice(0, taken)
    taken = 0
    for (const id of this.#refusals) {
      if (at + FRAME_HEADER > limit) break
      taken++
      at = writeFrameHeader(to, at, version, FrameCommand.Fin, 0, id)
      counters.framesOut++
    }
    this.#refusals.splice(0, taken)
    if (this.#nopDue && at === 0) {
      at = writeFrameHeader(to, at, version, FrameCommand.Nop, 0, 0)
      counters.framesOut++
      counters.nopsOut++
    }
    return at
  }

  #pullData(to: Uint8Array, at: number, limit: number): number {
    const { version, maxFrameSize } = this.config
    const counters = this.#counters
    for (let flow = this.#order.next(); flow !== undefined; flow = this.#order.next()) {
      // A SYN that found no room above: its stream waits too.
      if (flow.synDue) break
      const room = limit - at - FRAME_HEADER
      const wanted = Math.min(flow.queued, flow.window, maxFrameSize)
      if (room < Math.min(wanted, FRAME_ROOM_MIN)) break
      const size = Math.min(wanted, room)
      if (flow.queued === 0) {
        at = writeFrameHeader(to, at, version, FrameCommand.Fin, 0, flow.id)
        this.#order.charge(flow, FRAME_HEADER)
        flow.finIsSent()
        this.#drained.push(flow)
      } else {
        at = writeFrameHeader(to, at, version, FrameCommand.Push, size, flow.id)
        flow.fill(to, at, size)
        at += size
        counters.bytesOut += size
        this.#order.charge(flow, FRAME_HEADER + size)
        if (flow.queued === 0) this.#drained.push(flow)
        else if (flow.blocked) this.#onSendable(flow)
      }
      counters.framesOut++
    }
    return at
  }

  // ---- the end of a stream -----------------------------------------------------------------------------------

  #onFreed(bytes: number): void {
    this.#counters.unread -= bytes
  }

  /** Forgets a stream that is over both ways. It counts until its FIN left, so that a peer that reads nothing fills no list. */
  #settle(flow: SmuxFlow): void {
    if (flow.forgotten) this.#stuckSince.delete(flow)
    if (flow.finished && (flow.ended || flow.forgotten)) this.#flows.delete(flow.id)
  }
}
