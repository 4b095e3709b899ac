/**
 * KcpSession: one peer, whole, without I/O. An engine, and what the protocol lacks around it: liveness, back-pressure,
 * proof of the peer's address, and an end. Time comes in as `now` (ms of any clock that never steps back), chance as
 * `clockOffset`; datagrams leave through `send`.
 *
 * A shell feeds `receive`, reads with `recv`, writes with `write`, and lets a Scheduler call `run`; after each of its
 * calls `onChange` says that something became readable, writable or over.
 *
 * Its parts have their own state: address validation, the close handshake, what channels know of their peer together,
 * message expiry and others beside this file. Its timers are a table: session-timers.ts.
 *
 * @module
 */

import { configError, MTU_MIN } from '../core/config.ts'
import { InputResult } from '../core/engine.ts'
import { KcpError, messageTooLarge } from '../core/errors.ts'
import { Kcp } from '../core/kcp.ts'
import type { MemoryBudget } from '../core/memory-budget.ts'
import { KCP_OVERHEAD, readU32, UNA_AT } from '../core/segment.ts'
import { seqDiff } from '../core/seq.ts'
import type { KcpStats } from '../core/stats.ts'
import { AddressValidation, PENDING_TIMEOUT } from './address-validation.ts'
import { CloseHandshake, type CloseHost, PARTING_FINS } from './close-handshake.ts'
import {
  CloseCode,
  type CloseNotice,
  decodeNotice,
  encodeNotice,
  NOTICE_SIZE,
  NoticeKind,
} from './close-notice.ts'
import type { ResolvedSessionConfig } from './config.ts'
import { GrowthWatch } from './growth-watch.ts'
import { HostRefusals } from './host-refusals.ts'
import { Liveness, type LivenessHost } from './liveness.ts'
import { type Expiring, MessageExpiry } from './message-expiry.ts'
import { NoticeJudge } from './notice-judge.ts'
import type { PeerClock } from './peer-clock.ts'
import { type Channel, PeerContact } from './peer-contact.ts'
import type { PathStats } from './pipeline.ts'
import type { Task } from './scheduler.ts'
import { earliest, fireDue, NEVER, SessionTimer, type TimedSession } from './session-timers.ts'
import { SuccessorDoubt } from './successor-doubt.ts'
import { WindowUpdates } from './window-updates.ts'

/**
 * Why a session is over. `local`: we closed it. `peer`: the peer closed it. `timeout`: nothing was heard for
 * `idleTimeout`, or what was left at the close stayed unacknowledged. `dead-link`: data stayed unacknowledged for
 * `stallTimeout`. `protocol-error`: the peer broke the rules. `reset`: the peer gave up on, or does not know, the
 * conversation, or its host refused. `refused`: a listener did not let it begin. `limit`: it needed more memory than it
 * may have.
 */
export type CloseReason =
  | 'local'
  | 'peer'
  | 'timeout'
  | 'dead-link'
  | 'protocol-error'
  | 'reset'
  | 'refused'
  | 'limit'

export interface SessionOptions {
  readonly conv: number
  readonly config: ResolvedSessionConfig
  /** A server proves its peer's address before it sends much; a client chose its peer itself. */
  readonly role: 'client' | 'server'
  /** Largest datagram that `send` takes; at most the configuration's mtu. */
  readonly mtu?: number
  /**
   * Random u32 at which the session's ts clock starts; that of the first channel is the clock of all. A secret: a peer that
   * echoes it receives what we send.
   */
  readonly clockOffset: number
  readonly now: number
  /** Gets every datagram; lent for the call. `kcp` is who made it. */
  readonly send: (datagram: Uint8Array, kcp: Kcp) => void
  /** Called after a run of `send`s, for those who gather them. */
  readonly flushed?: () => void
  /** Bytes that others add to each datagram at most; counted while the peer's address is unproven. */
  readonly overhead?: number
  /** What else the way to the peer can do. */
  readonly path?: SessionPath
  /** What all sessions of a listener may keep for their readers together. */
  readonly memory?: MemoryBudget
  /** Has this session be run at the end of the turn: something that it does not know of asks for it. */
  readonly wake?: (session: KcpSession) => void
  /** That of channel 0, when this is another channel of the same conversation. */
  readonly contact?: PeerContact | undefined
  /**
   * Of a server's session: whether its peer began it, with a datagram that comes right after. Its other channels were
   * opened with it, and may not be used for a long time, or ever. Default true.
   */
  readonly begun?: boolean
}

/** A session's way to its peer, beyond `send`; a Pipeline is one. */
export interface SessionPath {
  /** Sends what is no datagram of the engine: no FEC for it. */
  sendNotice(notice: Uint8Array): void
  /** Bytes that an out-of-band payload grows by on the wire; -1: there are none without FEC. */
  readonly outOfBandOverhead: number
  /** Of these, what the engine's mtu has not left out. */
  readonly outOfBandInside: number
  sendOutOfBand(conv: number, payload: Uint8Array): void
  /** Whether `trim` would give memory back, and doing it. */
  readonly trimmable: boolean
  trim(): void
  stats(): PathStats
}

export interface SessionStats extends KcpStats, PathStats {
  readonly state: 'open' | 'draining' | 'closed'
  readonly closeReason: CloseReason | undefined
  /** ms since something valid was heard. */
  readonly idleMs: number
  /** Whether the peer's address is proven (always true for a client). */
  readonly proven: boolean
  /** Close notices dropped because they proved nothing. */
  readonly forgedNotices: number
}

/**
 * A server's session that has heard later segments, but for this long not the first, was born in the middle of a
 * conversation: it began with a server that is gone. An honest first segment is sent five times in this time, ms.
 */
const HEADLESS_TIMEOUT = 10_000
/** Copies of a Reset: nothing repeats it when it is lost. */
const RESETS = 3
/**
 * The smallest receive window known (kcp-go's default). Until the peer told its own, no more than this is sent at once:
 * upstream guesses 128, and what a smaller window drops backs off again and again. Messages of this many fragments are
 * taken in any case: an early, partly filled window is no reason to refuse them.
 */
const SMALLEST_WINDOW = 32
/** Empty windows give their memory back after this much silence, ms: longer than the pauses of a conversation. */
const TRIM_AFTER = 3_000
/** So long after a PUSH that does not fit the peer's clock, those of all channels have to, ms. */
const CAUTION = 10_000
/** ACKs owed at most before they are sent: a 65,507-byte datagram can carry 2,729 PUSH headers. */
const MAX_ACKS = 1024

export class KcpSession implements Task, Channel, CloseHost, LivenessHost, TimedSession {
  readonly conv: number
  readonly config: ResolvedSessionConfig
  readonly role: 'client' | 'server'
  readonly kcp: Kcp
  private readonly notices: NoticeJudge
  /** Called after anything that may have changed what is readable, writable or over. */
  onChange: (() => void) | undefined
  /** Called once, when the peer's address is proven. */
  onProven: (() => void) | undefined
  /** Called with each out-of-band payload, which is lent for the call. */
  onUnreliable: ((payload: Uint8Array) => void) | undefined
  /** Called once, when the session is over. */
  onClosed: (() => void) | undefined
  /** Called when the memory that it shares with others has no room for what it needs to go on. */
  onStarved: (() => void) | undefined
  /** Called once, when its memory was given back. */
  onReleased: (() => void) | undefined

  /** Why it is over; undefined while it is not. */
  closeReason: CloseReason | undefined
  /** The error behind a close that nobody asked for. */
  closeError: KcpError | undefined
  /** Whether anything valid was ever heard on this channel. */
  private ownHeard = false
  /** Whether something written was not acknowledged when the session ended. */
  private lost = false
  /** Bytes of application data taken and delivered. */
  bytesWritten = 0
  bytesRead = 0

  readonly closing: CloseHandshake
  private flushing = false
  /** Whether a PUSH of the peer's came on this channel, by itself or from FEC: a notice can echo its ts. */
  private heardPush = false
  /** Time of the latest `receive`. */
  private receivedAt = 0
  private readonly growth = new GrowthWatch()

  private readonly sendDatagram: (datagram: Uint8Array, kcp: Kcp) => void
  private readonly path: SessionPath | undefined
  private readonly flushed: (() => void) | undefined
  private readonly wake: ((session: KcpSession) => void) | undefined
  readonly contact: PeerContact
  readonly isFirst: boolean
  private readonly liveness: Liveness
  private readonly refusals = new HostRefusals()
  private readonly doubt = new SuccessorDoubt()
  private flushedAt: number

  private readonly address: AddressValidation
  /** When the session was born, until the peer's first segment is here; then Infinity. */
  private headlessSince: number
  private readonly windowUpdates = new WindowUpdates()
  /** The largest window that the peer told, segments. */
  private bestWnd = 0
  /** Something other than a lazy write waits for the next run. */
  private urgent = true
  /** A datagram came, and was not answered by a flush yet. */
  private answering = false
  /** Its ACKs have waited a turn already. */
  private acksWaited = false
  /** When lazily written data is due (`flushWrite: false`). */
  private writeAt = NEVER
  /** Made with the first message that may expire. */
  private expiry: MessageExpiry | undefined

  constructor(options: SessionOptions) {
    const { config, now } = options
    this.conv = options.conv
    this.config = config
    this.role = options.role
    this.sendDatagram = options.send
    this.flushed = options.flushed
    this.path = options.path
    this.contact = options.contact ?? new PeerContact(options.role, options.clockOffset, now)
    this.isFirst = options.contact === undefined
    this.flushedAt = now
    this.kcp = new Kcp(options.conv, options.send, config.kcp)
    this.closing = new CloseHandshake(this, now)
    this.liveness = new Liveness(this, now)
    this.contact.channels.push(this)
    this.notices = new NoticeJudge(this.kcp, this.contact.clock)
    // `now` of the call at hand: an engine's clock is u32, and ours is not.
    this.kcp.peer.fits = (ts) => this.contact.clock.fits(ts, this.receivedAt)
    if (options.mtu !== undefined && options.mtu < config.kcp.mtu) this.kcp.setMtu(options.mtu)
    this.kcp.rcv.maxBytes = config.maxRecvBytes
    this.wake = options.wake
    this.kcp.onWindowOpened = () => {
      if (this.closed) return
      this.windowOpened()
      this.wake?.(this)
    }
    this.kcp.overhead = options.overhead ?? 0
    this.kcp.rmtWnd = SMALLEST_WINDOW
    if (options.memory !== undefined) this.kcp.rcv.budget = options.memory
    // One address: what validated it for one channel validated it for all.
    this.address = new AddressValidation(this.kcp, this.contact.validated, options.begun !== false)
    // A channel that was never used here may have been used by nobody.
    this.headlessSince = options.role === 'client' || options.begun === false ? NEVER : now
    // The first flush of an engine only opens its congestion window.
    this.kcp.update(this.ts(now))
  }

  // ---- reads -----------------------------------------------------------------------------------------------

  get closed(): boolean {
    return this.closeReason !== undefined
  }

  /** Whether a message (in stream mode: bytes) can be read. */
  get readable(): boolean {
    return this.kcp.rcv.peekSize() >= 0
  }

  /** Whether the peer finished sending and everything of it was read. */
  get ended(): boolean {
    return this.closing.peerFinal === this.kcp.rcvNxt && this.kcp.rcv.queued === 0
  }

  /** Whether more may be written without waiting. */
  get writable(): boolean {
    return this.kcp.waitSnd() < this.config.sendQueueLimit && this.kcp.snd.bytes < this.config.maxSendBytes
  }

  /** Whether everything written was acknowledged. */
  get drained(): boolean {
    return this.kcp.waitSnd() === 0 && !this.lost
  }

  /** Whether writing is still possible. */
  get open(): boolean {
    return this.closing.state === 'open' && !this.closed
  }

  /** Whether anything valid was ever heard, on any channel. */
  get heard(): boolean {
    return this.contact.heard
  }

  /** Whether there was a PUSH either way: without one there is no conversation that the peer could know of. */
  get used(): boolean {
    return this.kcp.proof.sentPush || this.heardPush
  }

  get spoken(): boolean {
    return this.kcp.proof.sentPush
  }

  /** The retransmission timeout, ms. */
  get rto(): number {
    return this.kcp.rtt.rto
  }

  /** Whether the peer knows of the conversation. It waits on all of its channels then, also on those that carried nothing. */
  get peerKnows(): boolean {
    return this.used || this.contact.known
  }

  /** Whether the peer's address is proven. */
  get proven(): boolean {
    return this.address.validated
  }

  /** The clock that the peer writes its segments by. */
  get peerClock(): PeerClock {
    return this.contact.clock
  }

  /** Close notices dropped because they proved nothing. */
  get forgedNotices(): number {
    return this.notices.dropped
  }

  /** Most bytes that one message can have towards this peer. In stream mode there is no limit. */
  get maxMessageSize(): number {
    const { maxFragments, mss } = this.kcp
    // A message with more fragments than the peer's window has slots could never be read there.
    const guess = this.config.kcpGoPeer ? SMALLEST_WINDOW : 127
    const room = this.bestWnd > 0 ? Math.max(this.bestWnd, SMALLEST_WINDOW) : guess
    return Math.min(maxFragments, room) * mss
  }

  /** Throws ERR_KCP_MESSAGE_TOO_LARGE when a message of `size` bytes cannot be sent to this peer, ERR_KCP_SEND when none can. */
  requireFit(size: number): void {
    const { stream, mss } = this.kcp
    const limit = this.maxMessageSize
    if (size === 0 && !stream && this.config.kcpGoPeer) {
      throw new KcpError('ERR_KCP_SEND', 'an empty message would stop a kcp-go reader for ever', {
        detail: { code: -1 },
      })
    }
    if (!stream && size > limit) throw messageTooLarge(size, mss, limit / mss)
  }

  stats(now: number): SessionStats {
    return {
      ...this.kcp.stats(),
      state: this.closed ? 'closed' : this.closing.state === 'open' ? 'open' : 'draining',
      closeReason: this.closeReason,
      idleMs: Math.max(0, now - this.contact.heardAt),
      proven: this.proven,
      forgedNotices: this.forgedNotices,
      ...this.path?.stats(),
    }
  }

  /** Most bytes of an out-of-band payload; -1 without FEC (or security). */
  get maxUnreliableSize(): number {
    if (this.path === undefined || this.path.outOfBandOverhead < 0) return -1
    // What a full datagram has for segments, less what stands in front of the payload.
    return this.kcp.mtu - this.path.outOfBandInside
  }

  // ---- application -----------------------------------------------------------------------------------------

  /**
   * Takes one message, or bytes in stream mode; copies them. Returns the length. Does not look at `writable`: that is
   * the caller's back-pressure. Throws ERR_KCP_CLOSED, or ERR_KCP_MESSAGE_TOO_LARGE.
   *
   * `ticket`: what `expect` gave for it. Nothing is taken when its time is over already: 0.
   */
  write(data: Uint8Array, now: number, ticket = 0): number {
    if (!this.open) throw this.closedError()
    this.requireFit(data.length)
    const { kcp } = this
    const message = this.expiry?.find(ticket)
    if (ticket !== 0 && message === undefined) return 0
    if (kcp.waitSnd() === 0) this.liveness.progressAt = now
    if (message === undefined) kcp.send(data)
    else kcp.send(data, this.ts(message.expiresAt) >>> 0, ticket)
    this.bytesWritten += data.length
    if (this.config.flushWrite) this.urgent = true
    else if (this.writeAt === NEVER) this.writeAt = Math.max(now, this.flushedAt + this.config.flushInterval)
    return data.length
  }

  /**
   * A message that expires is going to be written: now, or when there is room. Returns its ticket for `write`. From here
   * on it is told in time, wherever it waits.
   */
  expect(message: Expiring): number {
    if (!this.open) throw this.closedError()
    this.expiry ??= new MessageExpiry(this.kcp)
    return this.expiry.add(message)
  }

  /**
   * Sends `data` beside the conversation: at once, unnumbered, and not again when it is lost. false: not sent, as the
   * peer's address is not proven and this would be more than it is worth, or as the peer does not know the conversation
   * yet: a client's begins with its first reliable message, once that is acknowledged. Throws ERR_KCP_CLOSED, ERR_KCP_CONFIG without
   * FEC, ERR_KCP_MESSAGE_TOO_LARGE above `maxUnreliableSize`.
   */
  sendUnreliable(data: Uint8Array): boolean {
    if (!this.open) throw this.closedError()
    const { path, maxUnreliableSize } = this
    if (path === undefined || maxUnreliableSize < 0) {
      throw configError('fec', undefined, '{ data, parity }, or security, for messages out of band')
    }
    if (data.length > maxUnreliableSize) {
      throw new KcpError(
        'ERR_KCP_MESSAGE_TOO_LARGE',
        `an unreliable message of ${data.length} bytes is over the limit of ${maxUnreliableSize}`,
        { detail: { size: data.length, limit: maxUnreliableSize, fragments: 1, maxFragments: 1 } },
      )
    }
    // The listener knows nothing of a conversation that no reliable message has opened, and would drop this one.
    if (!this.contact.known) return false
    if (!this.address.trySpend(data.length + path.outOfBandOverhead)) return false
    path.sendOutOfBand(this.conv, data)
    return true
  }

  /** The next message, or undefined. Works after the close too, until everything was read. */
  recv(): Uint8Array | undefined {
    const told = this.kcp.probe.tellPending
    const message = this.kcp.recv()
    if (message !== undefined) this.afterRead(message.length, told)
    return message
  }

  /** Copies the next message into `target`; see Kcp.recvInto. */
  recvInto(target: Uint8Array): number | undefined {
    const told = this.kcp.probe.tellPending
    const size = this.kcp.recvInto(target)
    if (size !== undefined) this.afterRead(size, told)
    return size
  }

  /** Copies as many whole messages as fit; see Kcp.recvRun. */
  recvRun(target: Uint8Array): number {
    const told = this.kcp.probe.tellPending
    const size = this.kcp.recvRun(target)
    this.afterRead(size, told)
    return size
  }

  /** Has the next run send what is queued, also with `flushWrite: false`. */
  requestFlush(): void {
    this.urgent = true
  }

  /**
   * Asks the peer for a sign of life. Every KCP answers a question for its window. Once the peer has acknowledged
   * something it gets a challenge instead, which every KCP answers too, and by whose answer a peer that lost its state
   * gives itself away.
   */
  ask(now: number): void {
    const known = this.kcp.peer.acknowledged && this.proven
    // What is in flight may be all that the peer has not heard of: then both.
    if (!known || this.kcp.snd.inFlight > 0) this.kcp.probe.askPending = true
    if (known) this.kcp.challenge()
    this.contact.asked = true
    this.liveness.askedAt = now
    this.urgent = true
  }

  /** No more writes: what is queued is still delivered, then the peer is told. Reading goes on. */
  end(now: number): void {
    if (!this.open) return
    this.closing.end()
    this.liveness.progressAt = now
    this.urgent = true
  }

  /** Neither writes nor reads any more: as `end`, and over as soon as everything is acknowledged. */
  close(now: number): void {
    this.end(now)
    this.closing.endWhole(now)
    this.urgent = true
  }

  /**
   * Over now. What is queued is sent as far as the windows allow, and never again; then the peer is told that something may
   * be missing.
   */
  abort(now: number, error?: KcpError): void {
    if (this.closed) return
    // Not from inside `send`.
    if (error === undefined && this.kcp.waitSnd() > 0 && !this.flushing) this.flush(now)
    this.giveUp(now, 'local', error)
  }

  /** Over now for a reason of the path, such as ECONNREFUSED. */
  fail(reason: CloseReason, error: KcpError | undefined): void {
    if (!this.closed) this.finish(reason, error)
  }

  /**
   * The peer's host says that nobody listens there (ICMP). Before the peer was heard that is the answer to a connect.
   * Later it is a hint: the peer is asked, and only a host that refuses again and again, while nothing valid is heard, is
   * gone. `final`: whether it may end the session at all.
   */
  refused(error: KcpError, now: number, final = true): void {
    if (this.closed) return
    if (!this.contact.heard && final) {
      this.finish('reset', error)
      return
    }
    const { rto, allSaid } = this
    const verdict = this.refusals.add(now, { heardAt: this.contact.heardAt, rto, atTheEnd: allSaid })
    if (verdict === 'ask') this.ask(now)
    else if (verdict === 'gone' && allSaid) {
      // Only the answer to our Fin is missing: its process was done. If it is there all the same it may have lost our Fins.
      this.sendFins(PARTING_FINS, now)
      this.finish(this.closing.endedFirst ?? 'peer', undefined)
    } else if (verdict === 'gone' && final) this.finish('reset', error)
  }

  /**
   * The peer left, and its transport knows. What it said before its Fin is all that it had to say; a peer that answers no
   * Fins has none, and its leaving is its only end.
   */
  peerLeft(error: KcpError): void {
    if (this.closed) return
    const mute = this.closing.state === 'finished' && !this.closing.finAcked
    if ((this.closing.peerFinal !== undefined || mute) && this.kcp.waitSnd() === 0)
      this.finish(this.closing.endedFirst ?? 'peer', undefined)
    else this.finish('reset', error)
  }

  // ---- network ---------------------------------------------------------------------------------------------

  /**
   * One datagram of this conversation. `wireSize`: its bytes on the wire, if those are others. `recovered`: it was lost,
   * and rebuilt from others.
   */
  receive(
    datagram: Uint8Array,
    now: number,
    wireSize: number = datagram.length,
    recovered: boolean = false,
  ): void {
    if (this.closed) return
    const { kcp, contact } = this
    this.answering = true
    this.receivedAt = now
    this.address.credit(wireSize)
    if (datagram.length < KCP_OVERHEAD) {
      const notice = decodeNotice(datagram)
      const ours = notice?.conv === this.conv && this.config.lifecycle === 'fin'
      if (ours) this.heed(notice, now)
      else kcp.counters.inputErrors++
      return
    }
    const stored = kcp.counters.segmentsIn
    const heardTs = kcp.proof.heardTs
    const outstanding = kcp.waitSnd()
    const shut = kcp.rmtWnd === 0
    // A peer that has answered one channel has answered all. One that speaks first has nothing to answer.
    const spokenTo = this.spoken || contact.channels[0]!.spoken
    kcp.peer.unproven = this.role === 'client' && spokenTo && !contact.known
    // Where another channel knows the peer's clock, the first PUSH of this one has to fit it; so have all while any is in doubt.
    kcp.peer.wary = contact.clock.known && (!this.heardPush || now - contact.misfitAt < CAUTION)
    const { told } = kcp.probe
    const { answers } = kcp.proof
    const { misfits } = kcp.peer
    const { rcvNxt } = kcp
    // A peer that lost its state (a restart) starts at una 0 again: that is no sign of life of this conversation.
    const current = seqDiff(readU32(datagram, UNA_AT), kcp.peer.una) >= 0
    const result = kcp.tryInput(datagram, this.ts(now), recovered)
    if (kcp.peer.lost) {
      this.losePeer(now, 'the peer lost its state: it restarted')
      return
    }
    // Its una came with data of its own, and what it names is no longer in flight to be acknowledged one by one.
    if (kcp.sndUna !== 0 && kcp.rcvNxt !== 0) kcp.peer.acknowledged = true
    if (kcp.proof.answers !== answers && this.doubt.active && kcp.peer.una !== 0) this.reassure()
    if (kcp.peer.misfits > misfits) this.onMisfit(now)
    else if (result === InputResult.Accepted && current) {
      const answered = kcp.probe.told !== told || kcp.proof.answers !== answers
      if (this.liveness.revive(kcp.waitSnd() < outstanding, answered, now, this.ts(now))) this.ask(now)
      this.ownHeard = contact.heard = true
      contact.heardAt = this.liveness.heardAt = now
    }
    if (!kcp.peer.unproven && (kcp.peer.una !== 0 || this.contact.clock.known)) contact.known = true
    if (kcp.rcv.starved !== undefined) this.starve(now)
    if (this.closed) return
    this.watchGrowth(kcp.rcvNxt !== rcvNxt, now)
    if (kcp.rmtWnd > this.bestWnd && this.ownHeard) this.bestWnd = kcp.rmtWnd
    if (kcp.waitSnd() < outstanding) this.liveness.progressAt = now
    if (shut && kcp.rmtWnd > 0) this.liveness.openedAt = now
    if (kcp.rcvNxt !== 0) this.headlessSince = NEVER
    if (kcp.counters.segmentsIn !== stored) {
      this.closing.received(now)
      this.windowUpdates.received()
    }
    // Repeats too: of what waited while this process stood still only the last tell what the peer's clock is by now. But
    // not for a beginning: an empty challenge of a server that knows nothing yet is no clock to hold a Reset against.
    const again = this.contact.clock.known && kcp.proof.heardTs !== heardTs
    if (kcp.counters.segmentsIn !== stored || again) {
      this.heardPush = true
      if (!recovered) {
        // By the clock that is known: the peer is there.
        this.doubt.end()
        this.contact.clock.learn(kcp.proof.heardTs, now, kcp.counters.segmentsIn === stored)
      }
    }
    if (kcp.proven) this.trust()
    if (kcp.protocolError) {
      this.giveUp(
        now,
        'protocol-error',
        new KcpError('ERR_KCP_PROTOCOL', 'the peer sent fragments that cannot be a message'),
      )
    }
    // An ACK costs as much as the PUSH header that caused it, but a list of them must not grow without end.
    if (kcp.acks.count >= MAX_ACKS) this.flush(now)
  }

  /**
   * A PUSH came that the peer does not write now: it is an old copy, or a successor has the peer's address. That one is told
   * that its conversation is not known, by the ts of its own PUSH; the peer is asked whether it is there yet.
   */
  private onMisfit(now: number): void {
    const { misfitSn, misfitTs } = this.kcp.peer
    if (this.config.lifecycle === 'fin' && !this.peerClock.covers(misfitTs, now)) {
      const reset = { conv: this.conv, kind: NoticeKind.Reset, sn: misfitSn, done: true } as const
      this.transmit(encodeNotice({ ...reset, code: CloseCode.Unknown, ts: undefined, echo: misfitTs }))
    }
    this.contact.misfitAt = now
    if (this.doubt.add(now)) this.ask(now)
  }

  /**
   * A Reset that is not believed may be what the peer says to an end that it takes for our successor (see `onMisfit`), and the
   * peer ends the conversation unless it hears us. A challenge shows it our clock; where it has sent nothing that could be
   * acknowledged, nothing else can.
   */
  private objectTo({ kind, ts }: CloseNotice, now: number): void {
    if (kind !== NoticeKind.Reset || ts !== undefined || this.kcp.peer.una === 0) return
    if (this.doubt.object(now, this.rto)) this.ask(now)
  }

  /**
   * The peer has its state, and answers: what did not fit was forged, or written by a clock that was set. Until the next one
   * what fits the window is taken, as ever.
   */
  private reassure(): void {
    this.kcp.peer.settle()
    this.doubt.end()
    this.contact.misfitAt = Number.NEGATIVE_INFINITY
  }

  /** Whether both ends have said all, and have it: only the answer to our Fin may be missing. */
  private get allSaid(): boolean {
    return this.closing.peerFinal !== undefined && this.closing.state !== 'open' && this.kcp.waitSnd() === 0
  }

  /** The peer that the conversation began with is gone. A successor knows none of its channels. */
  private losePeer(now: number, message: string): void {
    for (const channel of this.contact.channels) channel.peerLost(now, message)
  }

  peerLost(now: number, message: string): void {
    if (this.closed) return
    this.giveUp(now, 'reset', resetError(message))
    if (this.wake === undefined) this.onChange?.()
    else this.wake(this)
  }

  /** What is next in order found no room, and no reader can make any. */
  private starve(now: number): void {
    const { rcv } = this.kcp
    const { starved } = rcv
    rcv.starved = undefined
    // Its beginning came, if that is what found no room.
    this.headlessSince = NEVER
    if (starved === 'own') this.exceed(now, 'maxRecvBytes', rcv.maxBytes)
    else this.onStarved?.()
  }

  /** Over: it needs more memory than there is for it. */
  exceed(now: number, option: 'maxRecvBytes' | 'maxMemory' | 'maxMemoryPerHost', limit: number): void {
    if (this.closed) return
    const error = new KcpError(
      'ERR_KCP_LIMIT',
      `the conversation needs more than ${option}: ${limit} bytes`,
      {
        detail: { limit },
      },
    )
    this.giveUp(now, 'limit', error)
  }

  /**
   * A message that never ends, or a number that never comes, would be held for ever. A peer that is heard all the time,
   * and lets the conversation go on by nothing for `stallTimeout`, is not a slow one.
   */
  private watchGrowth(grown: boolean, now: number): void {
    const { stallTimeout } = this.config
    if (stallTimeout > 0 && this.growth.look(this.kcp.rcv, grown, now) >= stallTimeout) {
      this.timeOut(now, `an incomplete message did not grow for ${stallTimeout} ms`, stallTimeout)
    }
  }

  /** An out-of-band payload, lent. No sign of life: anybody can make one. */
  receiveUnreliable(payload: Uint8Array): void {
    if (!this.closed) this.onUnreliable?.(payload)
  }

  /**
   * The path carries datagrams of `mtu` bytes of the engine's: more than was known, or less. Segments that are cut already
   * keep their size; a transport that lowers the mtu takes their datagrams all the same.
   */
  adoptMtu(mtu: number): void {
    // A path that is too narrow for any segment is loss.
    if (!this.closed && mtu !== this.kcp.mtu && mtu >= MTU_MIN) this.kcp.setMtu(mtu)
  }

  /** The peer's address is proven, here or on another channel. */
  trust(): void {
    // Its listener let go of one that is over.
    if (this.proven || this.closed) return
    this.address.markValidated()
    this.contact.validated = true
    this.urgent = true
    this.onProven?.()
  }

  // ---- time (Task) -----------------------------------------------------------------------------------------

  run(now: number): boolean {
    this.kcp.keepTime(this.ts(now))
    // Before the application is asked for more: what expired made room.
    if (now >= this.timerAt(SessionTimer.Expiry, now) && !this.closed) this.fire(SessionTimer.Expiry, now)
    // What arrived in this turn is read, and what it made room for is written, before the flush that answers it.
    this.onChange?.()
    if (this.closed) return false
    fireDue(this, now, SessionTimer.Idle)
    let again = false
    if (!this.closed) {
      if (this.urgent) this.flush(now)
      else if (this.answering) again = this.answer(now)
      const end = this.closing.run(now)
      if (end === 'over') this.finish(this.closing.endedFirst ?? 'local', undefined)
      else if (end === 'mute')
        this.timeOut(now, `the peer sent nothing for ${this.idleLimit} ms, and no end`, this.idleLimit)
    }
    if (this.closed) this.onChange?.()
    return again
  }

  deadline(): number {
    return this.closed ? NEVER : earliest(this, this.flushedAt)
  }

  timerAt(timer: SessionTimer, now: number): number {
    switch (timer) {
      case SessionTimer.Expiry:
        return this.expiry?.at ?? NEVER
      case SessionTimer.Idle:
        return this.liveness.idleAt
      case SessionTimer.Doubt:
        return this.doubt.endsAt
      case SessionTimer.Pending:
        return this.pendingUntil
      case SessionTimer.Orphan:
        return this.headlessSince + HEADLESS_TIMEOUT
      case SessionTimer.Stall:
        return this.liveness.stallAt
      case SessionTimer.Linger:
        return this.liveness.lingerAt
      case SessionTimer.Challenge:
        return this.address.challengeAt
      case SessionTimer.KeepAlive:
        return this.liveness.askAt
      case SessionTimer.AskForLast:
        return this.liveness.askForLastAt
      case SessionTimer.AskDoubted:
        return this.doubt.active ? this.liveness.askAgainAt : NEVER
      case SessionTimer.AskRefused:
        return this.allSaid
          ? NEVER
          : this.refusals.askAt(this.contact.heardAt, this.liveness.askedAt, this.rto)
      case SessionTimer.Trim:
        return this.trimAt
      case SessionTimer.WindowUpdate:
        return this.windowUpdates.at
      case SessionTimer.Retransmit:
        return this.retransmitAt(now)
      case SessionTimer.DelayedWrite:
        return this.writeAt
      case SessionTimer.Redundancy:
        return this.repeatAt(now)
      case SessionTimer.Fin:
        return this.closing.finAt
      case SessionTimer.Mute:
        return this.closing.muteAt
    }
  }

  fire(timer: SessionTimer, now: number): void {
    const { config, kcp } = this
    switch (timer) {
      case SessionTimer.Expiry:
        this.expiry?.run(now, this.ts(now))
        break
      case SessionTimer.Idle:
        this.timeOut(now, `nothing was heard for ${this.idleLimit} ms`, this.idleLimit)
        break
      case SessionTimer.Doubt:
        if (this.doubt.judge(now, this.contact.heardAt))
          this.losePeer(now, "another peer has taken the peer's address")
        break
      case SessionTimer.Pending:
        this.timeOut(now, `the peer did not prove its address within ${PENDING_TIMEOUT} ms`, PENDING_TIMEOUT)
        break
      case SessionTimer.Orphan:
        this.giveUp(
          now,
          'reset',
          resetError("the conversation's beginning never came: it began with another server"),
        )
        break
      case SessionTimer.Stall:
        this.giveUp(now, 'dead-link', deadLinkError(kcp.snd.bytes, config.stallTimeout))
        break
      case SessionTimer.Linger:
        this.timeOut(now, `${kcp.snd.bytes} bytes were not acknowledged while closing`, config.lingerTimeout)
        break
      case SessionTimer.Challenge:
        this.address.challenge(now)
        this.urgent = true
        break
      case SessionTimer.KeepAlive:
      case SessionTimer.AskForLast:
      case SessionTimer.AskDoubted:
      case SessionTimer.AskRefused:
        this.ask(now)
        break
      case SessionTimer.Trim:
        this.trim()
        break
      case SessionTimer.WindowUpdate:
        this.windowUpdates.advertise(kcp, now)
        this.urgent = true
        break
      case SessionTimer.Retransmit:
      case SessionTimer.DelayedWrite:
      case SessionTimer.Redundancy:
        this.urgent = true
        break
      case SessionTimer.Fin:
      case SessionTimer.Mute:
      // The close handshake looks at both after the flush of each run.
    }
  }

  forgive(ms: number, now: number): void {
    // What came before anybody noticed the pause has its time already.
    const later = (at: number): number => Math.min(at + ms, Math.max(at, now))
    this.contact.shift(later, now)
    this.liveness.shift(later)
    this.closing.shift(later)
    this.doubt.shift(later)
    this.headlessSince = later(this.headlessSince)
  }

  /** The answer to a Fin that comes again after the end; undefined when the peer sent none. */
  farewell(): Uint8Array | undefined {
    if (this.closing.peerFinal === undefined) return undefined
    return this.notice(NoticeKind.FinAck, this.flushedAt)
  }

  /** Frees the engine's memory; the session must be over, and read. */
  release(): void {
    this.kcp.release()
    const { onReleased } = this
    this.onReleased = undefined
    onReleased?.()
  }

  // ---- inside ----------------------------------------------------------------------------------------------

  /** The session's clock, which goes out as ts; as i32, see seqStep. */
  private ts(now: number): number {
    return (Math.floor(now) + this.contact.clockBase) | 0
  }

  /**
   * Answers what arrived. If that needs nothing but ACKs, they wait one turn more: an application that answers from a
   * promise writes after this one, and ACKs and answer share a datagram then. true: wants that turn.
   */
  private answer(now: number): boolean {
    if (!this.acksWaited && this.kcp.acks.count > 0 && this.kcp.snd.queued === 0) {
      this.acksWaited = true
      return true
    }
    this.flush(now)
    return false
  }

  private flush(now: number): void {
    this.urgent = this.answering = this.acksWaited = false
    this.writeAt = NEVER
    this.flushedAt = now
    this.flushing = true
    try {
      this.kcp.flush(this.ts(now))
    } finally {
      this.flushing = false
    }
    this.flushed?.()
  }

  /** When a timer has to flush: for an RTO or a window probe, but not before the flush interval is over. */
  private retransmitAt(now: number): number {
    const { kcp, flushedAt } = this
    // What the peer's unproven address is not worth waits for a datagram of the peer.
    if (!this.address.affordsOldest) return NEVER
    let wait = NEVER
    const ts = this.ts(now)
    if (kcp.hasTimer) wait = seqDiff(kcp.timerAt, ts)
    if (kcp.snd.queued > 0 && kcp.probe.wait > 0) wait = Math.min(wait, seqDiff(kcp.probe.at, ts))
    // What a pacing budget held back goes on at the next interval; so does what a controller may let go by then.
    if (kcp.snd.fresh !== kcp.sndNxt || (kcp.snd.queued > 0 && kcp.congestion !== null)) wait = 0
    return Math.max(Math.floor(now) + wait, flushedAt + this.config.flushInterval)
  }

  /** When repeats leave on their own. */
  private repeatAt(now: number): number {
    const at = this.kcp.repeatAt
    return at === undefined || !this.proven ? NEVER : Math.floor(now) + seqDiff(at, this.ts(now))
  }

  /** When a peer whose address is not proven is forgotten. */
  private get pendingUntil(): number {
    // Both have finished; only the answer to our Fin is missing, and that is waited for in any case.
    const over = this.closing.peerFinal !== undefined && this.closing.state === 'notifying'
    return this.proven || over ? NEVER : this.contact.heardAt + PENDING_TIMEOUT
  }

  private timeOut(now: number, message: string, timeout: number): void {
    this.giveUp(now, 'timeout', new KcpError('ERR_KCP_TIMEOUT', message, { detail: { timeout } }))
  }

  /** Silence that ends the session, ms; 0: none. */
  get idleLimit(): number {
    return this.liveness.idleLimit
  }

  /** When empty windows are given back. */
  private get trimAt(): number {
    if (!this.kcp.trimmable && this.path?.trimmable !== true) return NEVER
    // All channels share the way to the peer.
    return Math.max(this.flushedAt, this.contact.heardAt) + TRIM_AFTER
  }

  private trim(): void {
    if (this.kcp.trimmable) this.kcp.trim()
    this.path?.trim()
  }

  /** `told`: whether the window was to be told anyway, before this read. */
  private afterRead(size: number, told: boolean): void {
    this.bytesRead += size
    // The window was closed, and this read opened it.
    if (!told && this.kcp.probe.tellPending) this.windowOpened()
  }

  private windowOpened(): void {
    this.urgent = true
    this.windowUpdates.opened(this.kcp, this.flushedAt)
  }

  // ---- the end ---------------------------------------------------------------------------------------------

  sendFins(copies: number, now: number): void {
    for (let i = copies; i > 0; i--) this.sendNotice(NoticeKind.Fin, now)
  }

  private sendNotice(kind: NoticeKind, now: number, code: number = CloseCode.None): void {
    // A forger can say that it has finished; what that draws has to be paid for.
    if (kind !== NoticeKind.Reset && !this.address.trySpend(NOTICE_SIZE + this.kcp.overhead)) return
    this.transmit(this.notice(kind, now, code))
  }

  private transmit(notice: Uint8Array): void {
    if (this.path !== undefined) {
      this.path.sendNotice(notice)
      return
    }
    this.sendDatagram(notice, this.kcp)
    this.flushed?.()
  }

  private notice(kind: NoticeKind, now: number, code: number = CloseCode.None): Uint8Array {
    return encodeNotice({
      conv: this.conv,
      kind,
      code,
      sn: this.kcp.sndNxt,
      done: !this.closing.half,
      ts: this.ts(now),
      echo: this.heardPush ? this.kcp.proof.heardTs : undefined,
    })
  }

  private sendReset(now: number, code: number): void {
    // The peer may wait on a channel that carried nothing. An address that is not validated gets no Reset of those.
    const expected = this.contact.heard && (this.proven || this.address.addressed)
    if (this.config.lifecycle !== 'fin' || !(this.kcp.proof.sentPush || expected)) return
    // A peer whose address is unproven is not worth more than one.
    for (let i = this.proven ? RESETS : 1; i > 0; i--) this.sendNotice(NoticeKind.Reset, now, code)
  }

  private heed(notice: CloseNotice, now: number): void {
    const refusal = notice.kind === NoticeKind.Reset ? refusalOf(notice.code) : undefined
    // The answer to a question: there is no time of ours that it could echo yet.
    const { asked, heard } = this.contact
    const answersQuestion = refusal !== undefined && asked && !this.used && !heard && notice.ts === undefined
    if (!answersQuestion && !this.notices.believes(notice, now)) {
      this.objectTo(notice, now)
      return
    }
    this.contact.heardAt = now
    // It names a ts that went to this address only.
    if (notice.echo !== undefined && this.kcp.proof.sentPush) this.trust()
    if (notice.kind === NoticeKind.FinAck) {
      this.closing.finAcked = true
      this.kcp.peer.acknowledged = true
    } else if (notice.kind === NoticeKind.Fin) {
      this.sendNotice(NoticeKind.FinAck, now)
      const over = this.closing.onFin(notice, now)
      if (over) this.finish(this.closing.endedFirst ?? 'peer', undefined)
    } else if (refusal !== undefined && this.kcp.peer.una === 0 && this.role === 'client') {
      this.finish(
        'refused',
        new KcpError('ERR_KCP_REFUSED', `the listener refused: ${refusal.text}`, {
          detail: { why: refusal.why },
        }),
      )
    } else if (this.allSaid) {
      // It is over there already.
      this.finish(this.closing.endedFirst ?? 'peer', undefined)
    } else {
      this.finish('reset', resetError('the peer reset the conversation'))
    }
  }

  /** Over, though the peer may think otherwise: it is told. */
  private giveUp(now: number, reason: CloseReason, error: KcpError | undefined): void {
    this.sendReset(now, reason === 'limit' ? CloseCode.Limit : CloseCode.None)
    this.finish(reason, error)
  }

  private finish(reason: CloseReason, error: KcpError | undefined): void {
    if (this.closed) return
    this.closeReason = reason
    this.closeError = error
    this.lost = this.kcp.waitSnd() > 0
    this.expiry?.close()
    this.onClosed?.()
  }

  /** The error for a call on a session that is closing or closed. */
  closedError(): KcpError {
    const why = this.closeReason === undefined ? 'closing' : `closed (${this.closeReason})`
    return new KcpError('ERR_KCP_CLOSED', `the conversation ${this.conv} is ${why}`, {
      ...(this.closeError === undefined ? {} : { cause: this.closeError }),
      detail: { conv: this.conv },
    })
  }
}

/** What a listener says with the code of a Reset, if it is a refusal. */
function refusalOf(code: number | undefined): { readonly why: string; readonly text: string } | undefined {
  if (code === CloseCode.Full) return { why: 'full', text: 'it is full' }
  if (code === CloseCode.Draining) return { why: 'draining', text: 'it takes no new peers' }
  if (code === CloseCode.Rejected) return { why: 'rejected', text: 'it does not want this peer' }
  return undefined
}

function resetError(message: string): KcpError {
  return new KcpError('ERR_KCP_RESET', message)
}

function deadLinkError(outstanding: number, timeout: number): KcpError {
  return new KcpError('ERR_KCP_DEAD_LINK', `${outstanding} bytes were not acknowledged for ${timeout} ms`, {
    detail: { timeout, outstanding },
  })
}
