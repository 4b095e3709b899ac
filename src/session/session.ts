/**
 * KcpSession: one peer, whole, without I/O. An engine, and what the protocol lacks around it: liveness, back-pressure,
 * proof of the peer's address, and an end. Time comes in as `now` (ms of any clock that never steps back), chance as
 * `clockOffset`; datagrams leave through `send`.
 *
 * A shell feeds `receive`, reads with `recv`, writes with `write`, and lets a Scheduler call `run`; after each of its
 * calls `onChange` says that something became readable, writable or over.
 *
 *     sending    open ──end()──► draining ──all acknowledged──► notifying ──Fin answered, or enough──► finished
 *     receiving  open ──Fin──► ended
 *     both       any ──finished and ended · abort · timeout · reset …──► closed, once, with a reason
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
import {
  CloseCode,
  type CloseNotice,
  decodeNotice,
  encodeNotice,
  NOTICE_SIZE,
  NoticeKind,
} from './close-notice.ts'
import type { ResolvedSessionConfig } from './config.ts'
import { NoticeJudge } from './notice-judge.ts'
import type { PeerClock } from './peer-clock.ts'
import type { PathStats } from './pipeline.ts'
import type { Task } from './scheduler.ts'

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
   * Random u32 at which the session's ts clock starts; that of the `lead` is the clock of all channels. A secret: a peer that
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
  /** Channel 0 of the same peer, when this is another one of its channels: hearing one of them is hearing all. */
  readonly lead?: KcpSession | undefined
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

/** A message that is of no use any more after some time. */
export interface Expiring {
  /** From when on it is not sent any more, whole ms of the session's clock. */
  readonly expiresAt: number
  /**
   * Told once what became of it: it goes out now, its time was over before, or the session was. Comes from inside the
   * session, which it must not call.
   */
  readonly settled: (outcome: 'sent' | 'expired' | 'closed') => void
}

/** Until its address is proven, a peer gets at most this many times what it sent. RFC 9000 §8. */
const AMPLIFICATION = 3
/** A session whose peer's address is not proven is forgotten after this much silence, ms. */
export const PENDING_TIMEOUT = 5_000
/**
 * A server's session that has heard later segments, but for this long not the first, was born in the middle of a
 * conversation: it began with a server that is gone. An honest first segment is sent five times in this time, ms.
 */
const HEADLESS_TIMEOUT = 10_000
/**
 * Address challenges that a peer gets for nothing: at once, after 250 and 500 ms, then every 750 ms; all within
 * PENDING_TIMEOUT. At 30 % loss each way all eight fail once in 200 times.
 */
const CHALLENGES = 8
const CHALLENGE_INTERVAL = 250
const CHALLENGE_INTERVAL_MAX = 750
/** Fins sent to a peer that does not answer; a stock peer never does. Two when nobody reads here any more. */
const FINS = 4
const FINS_OF_CLOSE = 2
/** Copies of the last Fin of a close that nobody answered. */
const PARTING_FINS = 2
/** Least and longest time between two Fins, ms: some eight of them within the default lingerTimeout. */
const FIN_INTERVAL = 50
const FIN_INTERVAL_MAX = 1_000
/** Copies of a Reset: nothing repeats it when it is lost. */
const RESETS = 3
/** A window that opened again is told this often until data arrives: a lost WINS costs the peer up to 5 s. */
const RETELLS = 5
/**
 * The smallest receive window known (kcp-go's default). Until the peer told its own, no more than this is sent at once:
 * upstream guesses 128, and what a smaller window drops backs off again and again. Messages of this many fragments are
 * taken in any case: an early, partly filled window is no reason to refuse them.
 */
const SMALLEST_WINDOW = 32
/** Empty windows give their memory back after this much silence, ms: longer than the pauses of a conversation. */
const TRIM_AFTER = 3_000
/**
 * Questions to silent peers wait for the next of these, ms of the clock: those of many sessions then leave in one turn,
 * and in one system call. Only where the silence is many times as long.
 */
const ASK_GRID = 100
/** The same, for what was not acknowledged while closing: some ten of them within the default lingerTimeout. */
const ASK_FOR_LAST = 500
/**
 * A path on which nothing outstanding was acknowledged for so long, ms, or for two RTOs if those are longer, counts as cut.
 * When the peer shows that it hears us again segments do not wait for what their RTOs have grown to meanwhile; below this
 * they have not grown to much.
 */
const OUTAGE = 1_000
/** A peer that only answers questions may not know the conversation: the next time it must have taken so many times as long. */
const REVIVAL_GROWTH = 4
/** Least time between two questions to a silent peer, ms. */
const ASK_AGAIN = 1_000
/**
 * A host that was heard before is gone when it refuses this often, an RTO apart at least, and answers none of the questions
 * that each refusal causes. One is a hint: ICMP can be forged by anybody, and firewalls stumble (RFC 5927, RFC 9000
 * §14.2.1). At 10 % loss each way all eight answers of a peer that is there are missing once in 600,000 times.
 */
const REFUSALS = 8
/** The same for a peer that has said all, and has all of ours, where only the answer to our Fin is missing. */
const REFUSALS_AT_THE_END = 3
/** After so long without a refusal they are counted anew, ms. */
const REFUSAL_MEMORY = 10_000
/** Least time between two refusals that count, ms. */
const REFUSAL_INTERVAL = 100
/** So long after a PUSH that does not fit the peer's clock, those of all channels have to, ms. */
const CAUTION = 10_000
/** Of the time between two datagrams no more than this counts as time in which the peer was heard, ms. */
const GROWTH_STEP = 1_000
/** A peer whose successor was heard has this long to show that it is there yet, ms. */
const DOUBT_TIMEOUT = 5_000
/** ACKs owed at most before they are sent: a 65,507-byte datagram can carry 2,729 PUSH headers. */
const MAX_ACKS = 1024

/** Tickets are i32 and not 0. */
const TICKET_MAX = 0x7fff_ffff

const NEVER = Number.POSITIVE_INFINITY

export class KcpSession implements Task {
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
  /** Whether anything valid was ever heard. */
  heard = false
  /** Whether the peer knows of the conversation, on any channel; the lead's counts. */
  private known: boolean
  /** Whether something written was not acknowledged when the session ended. */
  private lost = false
  /** Bytes of application data taken and delivered. */
  bytesWritten = 0
  bytesRead = 0

  private sending: 'open' | 'draining' | 'notifying' | 'finished' = 'open'
  /** Only the writing half was asked to end (false: the whole session). */
  private halfClose = true
  private remoteFinal: number | undefined
  private endedFirst: 'local' | 'peer' | undefined
  private finAcked = false
  private fins = 0
  private finAt = NEVER
  /** When everything was acknowledged after `end`. */
  private finishedAt = 0
  private flushing = false
  /** Whether a PUSH of the peer's came on this channel. */
  private heardPush = false
  /** Time of the latest `receive`. */
  private receivedAt = 0
  /** For how long the peer was heard, and nothing became readable that was begun; and when that was looked at last, ms. */
  private stuckFor = 0
  private watchedAt = 0

  private readonly sendDatagram: (datagram: Uint8Array, kcp: Kcp) => void
  private readonly path: SessionPath | undefined
  private readonly flushed: (() => void) | undefined
  private readonly clockBase: number
  /** The session whose silence counts: channel 0, or this one. */
  private readonly lead: KcpSession
  /** Latest time that something valid was heard; the lead's counts. */
  private heardAt: number
  /** The same of this channel alone, if it is one of several. */
  private ownHeardAt: number
  /** How often back-offs were forgotten since something was acknowledged, and when the last time. */
  private revivals = 0
  private revivedAt = 0
  private asked = false
  private askedAt: number
  /** Refusals of the peer's host since it was heard last, and when the latest of them counted. */
  private refusals = 0
  private refusedAt: number = Number.NEGATIVE_INFINITY
  /** When the first PUSH came that was not the peer's, since it was last known to have its state; and the latest. */
  private doubtedAt: number = Number.NEGATIVE_INFINITY
  private misfitAt: number = Number.NEGATIVE_INFINITY
  /** When a Reset that was not believed was answered last. */
  private objectedAt: number = Number.NEGATIVE_INFINITY
  /** Latest time that a PUSH was stored. */
  private dataAt: number
  /** Latest time that the peer acknowledged something, or that the first byte was outstanding. */
  private progressAt: number
  /** Latest time that the peer's window opened again. */
  private openedAt = 0
  private flushedAt: number

  private wasProven: boolean
  private challenges = 0
  private challengeAt = 0
  /** A datagram came for this channel, or will: to the others an address that is not proven has given nothing to answer. */
  private addressed: boolean
  /** When the session was born, until the peer's first segment is here; then Infinity. */
  private headlessSince: number
  private retells = 0
  private retellAt = NEVER
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
  /** Messages that expire and were neither sent nor given up yet, by ticket; made with the first one. */
  private expiring: Map<number, Expiring> | undefined
  private tickets = 0
  /** None of them expires before. */
  private expireAt = NEVER

  constructor(options: SessionOptions) {
    const { config, now } = options
    this.conv = options.conv
    this.config = config
    this.role = options.role
    this.sendDatagram = options.send
    this.flushed = options.flushed
    this.path = options.path
    this.clockBase = options.lead?.clockBase ?? options.clockOffset - Math.floor(now)
    this.lead = options.lead ?? this
    this.known = options.role === 'server'
    this.heardAt = this.ownHeardAt = this.askedAt = this.dataAt = this.progressAt = this.flushedAt = now
    this.kcp = new Kcp(options.conv, options.send, config.kcp)
    // All channels of an end have one clock.
    this.notices = new NoticeJudge(this.kcp, options.lead?.peerClock)
    // `now` of the call at hand: an engine's clock is u32, and ours is not.
    this.kcp.peer.fits = (ts) => this.notices.clock.fits(ts, this.receivedAt)
    if (options.mtu !== undefined && options.mtu < config.kcp.mtu) this.kcp.setMtu(options.mtu)
    this.kcp.rcv.maxBytes = config.maxRecvBytes
    this.kcp.onWindowOpened = () => {
      if (this.closed) return
      this.windowOpened()
      options.wake?.(this)
    }
    this.kcp.overhead = options.overhead ?? 0
    this.kcp.rmtWnd = SMALLEST_WINDOW
    if (options.memory !== undefined) this.kcp.rcv.budget = options.memory
    // One address: what proved it for one channel proved it for all.
    this.wasProven = options.role === 'client' || options.lead?.proven === true
    // A channel that was never used here may have been used by nobody.
    this.headlessSince = options.role === 'client' || options.begun === false ? NEVER : now
    this.addressed = options.begun !== false
    if (!this.wasProven) this.kcp.allowance = 0
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
    return this.remoteFinal === this.kcp.rcvNxt && this.kcp.rcv.queued === 0
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
    return this.sending === 'open' && !this.closed
  }

  /** Whether there was a PUSH either way: without one there is no conversation that the peer could know of. */
  get used(): boolean {
    return this.kcp.proof.sentPush || this.heardPush
  }

  /** Whether the peer's address is proven. */
  get proven(): boolean {
    return this.wasProven
  }

  /** The clock that the peer writes its segments by. */
  get peerClock(): PeerClock {
    return this.notices.clock
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
      state: this.closed ? 'closed' : this.sending === 'open' ? 'open' : 'draining',
      closeReason: this.closeReason,
      idleMs: Math.max(0, now - this.lead.heardAt),
      proven: this.wasProven,
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
    const message = this.expiring?.get(ticket)
    if (ticket !== 0 && message === undefined) return 0
    if (kcp.waitSnd() === 0) this.progressAt = now
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
    if (this.expiring === undefined) {
      this.expiring = new Map()
      this.kcp.onOutcome = (ticket, sent) => this.settle(ticket, sent ? 'sent' : 'expired')
    }
    this.tickets = (this.tickets % TICKET_MAX) + 1
    this.expiring.set(this.tickets, message)
    this.expireAt = Math.min(this.expireAt, message.expiresAt)
    return this.tickets
  }

  /**
   * Sends `data` beside the conversation: at once, unnumbered, and not again when it is lost. false: not sent, as the
   * peer's address is not proven and this would be more than it is worth, or as the peer does not know the conversation
   * yet: a client's begins with its first reliable message, once that is acknowledged. Throws ERR_KCP_CLOSED, ERR_KCP_CONFIG without
   * FEC, ERR_KCP_MESSAGE_TOO_LARGE above `maxUnreliableSize`.
   */
  sendUnreliable(data: Uint8Array): boolean {
    if (!this.open) throw this.closedError()
    const { kcp, path, maxUnreliableSize } = this
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
    if (!this.lead.known) return false
    const cost = data.length + path.outOfBandOverhead
    if (cost > kcp.allowance) return false
    kcp.allowance -= cost
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
    const known = this.kcp.peer.una !== 0 && this.wasProven
    // What is in flight may be all that the peer has not heard of: then both.
    if (!known || this.kcp.snd.inFlight > 0) this.kcp.probe.askPending = true
    if (known) this.kcp.challenge()
    this.asked = true
    this.askedAt = now
    this.urgent = true
  }

  /** No more writes: what is queued is still delivered, then the peer is told. Reading goes on. */
  end(now: number): void {
    if (!this.open) return
    this.sending = 'draining'
    this.progressAt = now
    this.endedFirst ??= 'local'
    this.urgent = true
  }

  /** Neither writes nor reads any more: as `end`, and over as soon as everything is acknowledged. */
  close(now: number): void {
    this.end(now)
    this.halfClose = false
    // Fins sent so far did not say that nobody reads here any more.
    if (this.sending === 'notifying' || this.sending === 'finished') this.notify(now)
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
    if (!this.lead.heard && final) {
      this.finish('reset', error)
      return
    }
    if (this.lead.heardAt > this.refusedAt || now - this.refusedAt > REFUSAL_MEMORY) this.refusals = 0
    if (now - this.refusedAt < this.refusalInterval) return
    this.refusedAt = now
    this.refusals++
    // All was said both ways, and only the answer to our Fin is missing: its process was done. If it is there all the same
    // it may have missed our Fins.
    if (this.allSaid) {
      if (this.refusals < REFUSALS_AT_THE_END) return
      for (let i = PARTING_FINS; i > 0; i--) this.sendNotice(NoticeKind.Fin, now)
      this.finish(this.endedFirst ?? 'peer', undefined)
    } else if (final && this.refusals >= REFUSALS) this.finish('reset', error)
    else if (this.refusals === 1) this.ask(now)
  }

  /**
   * The peer left, and its transport knows. What it said before its Fin is all that it had to say; a peer that answers no
   * Fins has none, and its leaving is its only end.
   */
  peerLeft(error: KcpError): void {
    if (this.closed) return
    const mute = this.sending === 'finished' && !this.finAcked
    if ((this.remoteFinal !== undefined || mute) && this.kcp.waitSnd() === 0)
      this.finish(this.endedFirst ?? 'peer', undefined)
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
    const { kcp } = this
    this.answering = this.addressed = true
    this.receivedAt = now
    if (!this.wasProven) kcp.allowance += AMPLIFICATION * wireSize
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
    const spoke = kcp.proof.sentPush || this.lead.kcp.proof.sentPush
    kcp.peer.unproven = this.role === 'client' && spoke && !this.lead.known
    // Where another channel knows the peer's clock, the first PUSH of this one has to fit it; so have all while any is in doubt.
    const { peerClock, lead } = this
    kcp.peer.wary = peerClock.known && (!this.heardPush || now - lead.misfitAt < CAUTION)
    const { told } = kcp.probe
    const { answers } = kcp.proof
    const { misfits } = kcp.peer
    const { rcvNxt } = kcp
    // A peer that lost its state (a restart) starts at una 0 again: that is no sign of life of this conversation.
    const current = seqDiff(readU32(datagram, UNA_AT), kcp.peer.una) >= 0
    const result = kcp.tryInput(datagram, this.ts(now), recovered)
    if (kcp.peer.lost) {
      this.giveUp(now, 'reset', new KcpError('ERR_KCP_RESET', 'the peer lost its state: it restarted'))
      return
    }
    if (kcp.proof.answers !== answers && this.doubted && kcp.peer.una !== 0) this.reassure()
    if (kcp.peer.misfits > misfits) this.doubt(now)
    else if (result === InputResult.Accepted && current) {
      this.revive(kcp.waitSnd() < outstanding, kcp.probe.told !== told || kcp.proof.answers !== answers, now)
      this.heard = this.lead.heard = true
      this.lead.heardAt = this.ownHeardAt = now
    }
    if (!kcp.peer.unproven && (kcp.peer.una !== 0 || this.notices.clock.known)) this.lead.known = true
    if (kcp.rcv.starved !== undefined) this.starve(now)
    if (this.closed) return
    this.watchGrowth(kcp.rcvNxt !== rcvNxt, now)
    if (kcp.rmtWnd > this.bestWnd && this.heard) this.bestWnd = kcp.rmtWnd
    if (kcp.waitSnd() < outstanding) this.progressAt = now
    if (shut && kcp.rmtWnd > 0) this.openedAt = now
    if (kcp.rcvNxt !== 0) this.headlessSince = NEVER
    if (kcp.counters.segmentsIn !== stored) {
      this.dataAt = now
      this.retells = 0
    }
    // Repeats too: of what waited while this process stood still only the last tell what the peer's clock is by now. But
    // not for a beginning: an empty challenge of a server that knows nothing yet is no clock to hold a Reset against.
    const again = this.notices.clock.known && kcp.proof.heardTs !== heardTs
    if (kcp.counters.segmentsIn !== stored || again) this.heardPush = true
    if (!recovered && (kcp.counters.segmentsIn !== stored || again)) {
      // By the clock that is known: the peer is there.
      this.doubtedAt = Number.NEGATIVE_INFINITY
      this.notices.clock.learn(kcp.proof.heardTs, now, kcp.counters.segmentsIn === stored)
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
  private doubt(now: number): void {
    const { misfitSn, misfitTs } = this.kcp.peer
    if (this.config.lifecycle === 'fin' && !this.peerClock.covers(misfitTs, now)) {
      const reset = { conv: this.conv, kind: NoticeKind.Reset, sn: misfitSn, done: true } as const
      this.transmit(encodeNotice({ ...reset, code: CloseCode.Unknown, ts: undefined, echo: misfitTs }))
    }
    this.misfitAt = this.lead.misfitAt = now
    if (this.doubted) return
    this.doubtedAt = now
    this.ask(now)
  }

  /**
   * A Reset that is not believed may be what the peer says to whom it takes for our successor (`doubt`), and the peer ends
   * the conversation unless it hears us. A challenge shows it our clock; with nothing of its own to be acknowledged
   * nothing else can.
   */
  private objectTo({ kind, ts }: CloseNotice, now: number): void {
    if (kind !== NoticeKind.Reset || ts !== undefined || this.kcp.peer.una === 0) return
    if (now - this.objectedAt < Math.max(ASK_AGAIN, this.kcp.rtt.rto)) return
    this.objectedAt = now
    this.ask(now)
  }

  /**
   * The peer has its state, and answers: what did not fit was forged, or written by a clock that was set. Until the next one
   * what fits the window is taken, as ever.
   */
  private reassure(): void {
    this.kcp.peer.settle()
    this.doubtedAt = this.lead.misfitAt = Number.NEGATIVE_INFINITY
  }

  private get refusalInterval(): number {
    return Math.max(REFUSAL_INTERVAL, this.kcp.rtt.rto)
  }

  /** Whether both ends have said all, and have it: only the answer to our Fin may be missing. */
  private get allSaid(): boolean {
    return this.remoteFinal !== undefined && this.sending !== 'open' && this.kcp.waitSnd() === 0
  }

  /** When to ask again because the peer's host refused: once for each refusal. */
  private get askRefusedAt(): number {
    const at = this.refusedAt + this.refusalInterval
    return this.refusals > 0 && !this.allSaid && this.refusedAt > this.lead.heardAt && this.askedAt < at
      ? at
      : NEVER
  }

  /** Whether PUSHes came that are not the peer's, and it did not show since that it has its state. */
  private get doubted(): boolean {
    return this.doubtedAt !== Number.NEGATIVE_INFINITY
  }

  /** The peer is there, and it was a PUSH or two, and no more: old copies, or forged. Ends the doubt then. */
  private acquit(): boolean {
    if (this.lead.heardAt <= this.doubtedAt || this.misfitAt >= this.doubtedAt + DOUBT_TIMEOUT / 2)
      return false
    this.doubtedAt = Number.NEGATIVE_INFINITY
    return true
  }

  /** When to ask a doubted peer again, and when it is given up. */
  private get doubtAt(): number {
    if (!this.doubted) return NEVER
    return Math.min(this.askedAt + Math.max(ASK_AGAIN, this.kcp.rtt.rto), this.doubtedAt + DOUBT_TIMEOUT)
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
    const { rcv } = this.kcp
    const pause = Math.min(now - this.watchedAt, GROWTH_STEP)
    this.watchedAt = now
    const { stallTimeout } = this.config
    if (stallTimeout === 0 || rcv.queued + rcv.early === 0 || grown || rcv.peekSize() >= 0) this.stuckFor = 0
    else {
      this.stuckFor += pause
      if (this.stuckFor >= stallTimeout) {
        this.timeOut(now, `an incomplete message did not grow for ${stallTimeout} ms`, stallTimeout)
      }
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
    if (this.wasProven || this.closed) return
    this.wasProven = true
    this.kcp.allowance = NEVER
    this.urgent = true
    this.onProven?.()
  }

  // ---- time (Task) -----------------------------------------------------------------------------------------

  run(now: number): boolean {
    this.kcp.keepTime(this.ts(now))
    // Before the application is asked for more: what expired made room.
    if (now >= this.expireAt && !this.closed) this.expire(now)
    // What arrived in this turn is read, and what it made room for is written, before the flush that answers it.
    this.onChange?.()
    if (this.closed) return false
    this.judge(now)
    let again = false
    if (!this.closed) {
      this.prove(now)
      this.keepAlive(now)
      if (now >= this.trimAt) this.trim()
      this.retell(now)
      const due = now >= this.retransmitAt(now) || now >= this.writeAt || now >= this.repeatAt(now)
      if (this.urgent || due) this.flush(now)
      else if (this.answering) again = this.answer(now)
      this.closeStep(now)
    }
    if (this.closed) this.onChange?.()
    return again
  }

  deadline(): number {
    if (this.closed) return NEVER
    const { config, kcp } = this
    let at = Math.min(
      this.retransmitAt(this.flushedAt),
      this.writeAt,
      this.retellAt,
      this.repeatAt(this.flushedAt),
    )
    if (this.mayIdleOut) at = Math.min(at, this.lead.heardAt + this.idleLimit)
    at = Math.min(at, this.askAt, this.askForLastAt, this.doubtAt, this.askRefusedAt)
    at = Math.min(at, this.trimAt, this.expireAt)
    if (!this.wasProven) {
      at = Math.min(at, this.pendingUntil)
      if (this.challenges < CHALLENGES && this.addressed) at = Math.min(at, this.challengeAt)
    }
    at = Math.min(at, this.headlessSince + HEADLESS_TIMEOUT)
    if (kcp.waitSnd() > 0) {
      if (config.stallTimeout > 0) at = Math.min(at, this.progressAt + config.stallTimeout)
      at = Math.min(at, this.lingerUntil)
    }
    if (this.sending === 'notifying') at = Math.min(at, this.finAt)
    if (this.sending === 'finished' && !this.finAcked) at = Math.min(at, this.muteUntil)
    return at
  }

  forgive(ms: number, now: number): void {
    // What came before anybody noticed the pause has its time already.
    const later = (at: number): number => Math.min(at + ms, Math.max(at, now))
    this.heardAt = later(this.heardAt)
    this.ownHeardAt = later(this.ownHeardAt)
    // One that is over is no task any more, but its silence still counts.
    if (this.lead.closed) this.lead.heardAt = later(this.lead.heardAt)
    this.progressAt = later(this.progressAt)
    this.revivedAt = later(this.revivedAt)
    this.openedAt = later(this.openedAt)
    this.dataAt = later(this.dataAt)
    this.finishedAt = later(this.finishedAt)
    if (this.doubted) this.doubtedAt = later(this.doubtedAt)
    this.headlessSince = later(this.headlessSince)
  }

  /** The answer to a Fin that comes again after the end; undefined when the peer sent none. */
  farewell(): Uint8Array | undefined {
    if (this.remoteFinal === undefined) return undefined
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
    return (Math.floor(now) + this.clockBase) | 0
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
    if (!this.wasProven && kcp.allowance < KCP_OVERHEAD + kcp.snd.lenOf(kcp.snd.base)) return NEVER
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
    return at === undefined || !this.wasProven ? NEVER : Math.floor(now) + seqDiff(at, this.ts(now))
  }

  /** Gives up the messages whose time is over, in the engine's queue and in front of it. */
  private expire(now: number): void {
    const { kcp } = this
    kcp.expire(this.ts(now))
    this.expireAt = NEVER
    for (const [ticket, { expiresAt }] of this.expiring!) {
      if (now < expiresAt) this.expireAt = Math.min(this.expireAt, expiresAt)
      else {
        // The engine did not have it yet.
        kcp.counters.expired++
        this.settle(ticket, 'expired')
      }
    }
  }

  private settle(ticket: number, outcome: 'sent' | 'expired' | 'closed'): void {
    const expiring = this.expiring!
    const message = expiring.get(ticket)
    expiring.delete(ticket)
    if (expiring.size === 0) this.expireAt = NEVER
    message?.settled(outcome)
  }

  private judge(now: number): void {
    const { config, kcp } = this
    const silence = now - this.lead.heardAt
    if (this.mayIdleOut && silence >= this.idleLimit) {
      this.timeOut(now, `nothing was heard for ${this.idleLimit} ms`, this.idleLimit)
    } else if (this.doubted && now - this.doubtedAt >= DOUBT_TIMEOUT && !this.acquit()) {
      this.giveUp(now, 'reset', new KcpError('ERR_KCP_RESET', "another peer has taken the peer's address"))
    } else if (now >= this.pendingUntil) {
      this.timeOut(now, `the peer did not prove its address within ${PENDING_TIMEOUT} ms`, PENDING_TIMEOUT)
    } else if (now - this.headlessSince >= HEADLESS_TIMEOUT) {
      this.giveUp(
        now,
        'reset',
        new KcpError(
          'ERR_KCP_RESET',
          "the conversation's beginning never came: it began with another server",
        ),
      )
    } else if (kcp.waitSnd() > 0 && config.stallTimeout > 0 && now - this.progressAt >= config.stallTimeout) {
      const outstanding = kcp.snd.bytes
      this.giveUp(
        now,
        'dead-link',
        new KcpError(
          'ERR_KCP_DEAD_LINK',
          `${outstanding} bytes were not acknowledged for ${config.stallTimeout} ms`,
          {
            detail: { timeout: config.stallTimeout, outstanding },
          },
        ),
      )
    } else if (kcp.waitSnd() > 0 && now >= this.lingerUntil) {
      this.timeOut(now, `${kcp.snd.bytes} bytes were not acknowledged while closing`, config.lingerTimeout)
    }
  }

  /** When a peer whose address is not proven is forgotten. */
  private get pendingUntil(): number {
    // Both have finished; only the answer to our Fin is missing, and that is waited for in any case.
    const over = this.remoteFinal !== undefined && this.sending === 'notifying'
    return this.wasProven || over ? NEVER : this.lead.heardAt + PENDING_TIMEOUT
  }

  /** Until when what is left to send after an end waits for an acknowledgement. */
  private get lingerUntil(): number {
    // A peer that told that it is full is not gone, its reader is slow. Nobody waits for that after a whole close;
    // after half of one stallTimeout is the limit.
    if (this.sending !== 'draining' || (this.halfClose && this.kcp.rmtWnd === 0)) return NEVER
    // Nor is one that answers, but whose path drops the same segment again and again; stallTimeout ends that.
    const answers = this.kcp.rmtWnd > 0 && this.config.stallTimeout > 0 ? this.lead.heardAt : this.progressAt
    return Math.max(this.progressAt, this.openedAt, answers) + this.config.lingerTimeout
  }

  private timeOut(now: number, message: string, timeout: number): void {
    this.giveUp(now, 'timeout', new KcpError('ERR_KCP_TIMEOUT', message, { detail: { timeout } }))
  }

  /** Has an unproven peer's address challenged, unless data that goes out now does the same. */
  private prove(now: number): void {
    if (this.wasProven || now < this.challengeAt || !this.addressed) return
    const { kcp } = this
    // Beyond those it has to be worth it: what a peer sent pays for it.
    if (this.challenges >= CHALLENGES && kcp.allowance < KCP_OVERHEAD + kcp.overhead) return
    this.challengeAt = now + Math.min(CHALLENGE_INTERVAL_MAX, CHALLENGE_INTERVAL * 2 ** this.challenges)
    this.challenges++
    this.urgent = true
    const acks = kcp.acks.count * KCP_OVERHEAD
    const head = kcp.snd.queued > 0 ? KCP_OVERHEAD + kcp.snd.lenOf(kcp.sndNxt) : NEVER
    if (this.challenges > 1 || acks + head > kcp.allowance) kcp.challenge()
  }

  /** Silence that ends the session, ms; 0: none. A half that waits for the other's end never waits for ever. */
  private get idleLimit(): number {
    const { idleTimeout, stallTimeout } = this.config
    return idleTimeout === 0 && this.sending === 'finished' ? stallTimeout : idleTimeout
  }

  /** Whether silence can end the session: not when the peer has said that it is done, and has acknowledged all of ours. */
  private get mayIdleOut(): boolean {
    return this.idleLimit > 0 && (this.remoteFinal === undefined || this.kcp.waitSnd() > 0)
  }

  /** Silence after which the peer is asked for a sign of life, ms; 0: never. */
  private get askInterval(): number {
    // One question serves all channels, and a peer that is done need not be there.
    if ((this.lead !== this && !this.lead.closed) || this.remoteFinal !== undefined) return 0
    const { keepAlive } = this.config
    return keepAlive === 0 && this.sending === 'finished' ? Math.ceil(this.idleLimit / 4) : keepAlive
  }

  /** After so long without an acknowledgement of what is outstanding the path counts as cut, ms. */
  private get outage(): number {
    return Math.max(OUTAGE, 2 * this.kcp.rtt.rto)
  }

  /**
   * Something valid came. When the path was cut, and it shows that the peer hears us again, RTOs begin anew; when it only
   * shows that we hear the peer, the peer is asked.
   */
  private revive(acked: boolean, answered: boolean, now: number): void {
    const { kcp, outage } = this
    if (kcp.snd.inFlight > 0) {
      const since = Math.max(this.progressAt, this.revivedAt)
      if ((acked || answered) && now - since >= outage * REVIVAL_GROWTH ** this.revivals) {
        kcp.forgetBackoff(this.ts(now))
        this.revivals++
        this.revivedAt = now
      } else if (this.config.keepAlive > 0 && now - Math.max(this.progressAt, this.ownHeardAt) >= outage) {
        this.ask(now)
      }
    }
    if (acked) this.revivals = 0
  }

  /**
   * When to ask next. One question may be lost: until the answer comes it is repeated. While something outstanding is not
   * acknowledged resends come ever later, and who asks knows soon when the path is there again. Each channel for itself then.
   */
  private get askAt(): number {
    const { askInterval, askedAt, kcp } = this
    const { heardAt } = this.lead
    let at = NEVER
    if (askInterval > 0) {
      at = heardAt + askInterval
      if (askedAt > heardAt) at = Math.max(at, askedAt + Math.max(ASK_AGAIN, kcp.rtt.rto))
      else if (askInterval >= 10 * ASK_GRID) at = Math.ceil(at / ASK_GRID) * ASK_GRID
    }
    if (this.config.keepAlive === 0 || kcp.snd.inFlight === 0) return at
    return Math.min(at, Math.max(this.progressAt, askedAt) + this.outage)
  }

  /**
   * When to ask a peer that has left our last bytes unacknowledged while we close. Its ACK may be what is lost, again and
   * again: any answer brings its una. By now resends are far apart, and lingerTimeout is short.
   */
  private get askForLastAt(): number {
    if (this.sending !== 'draining' || this.kcp.waitSnd() === 0) return NEVER
    return Math.max(this.progressAt, this.askedAt) + Math.max(ASK_FOR_LAST, this.kcp.rtt.rto)
  }

  private keepAlive(now: number): void {
    if (now < Math.min(this.askAt, this.askForLastAt, this.doubtAt, this.askRefusedAt)) return
    this.ask(now)
  }

  /** When empty windows are given back. */
  private get trimAt(): number {
    if (!this.kcp.trimmable && this.path?.trimmable !== true) return NEVER
    // All channels share the way to the peer.
    return Math.max(this.flushedAt, this.lead.heardAt) + TRIM_AFTER
  }

  private trim(): void {
    if (this.kcp.trimmable) this.kcp.trim()
    this.path?.trim()
  }

  /** A window that opened again is told until data comes, as long as the peer may still believe it closed. */
  private retell(now: number): void {
    if (this.retells === 0) {
      this.retellAt = NEVER
    } else if (now >= this.retellAt) {
      this.retells--
      this.retellAt = this.retells > 0 ? now + this.kcp.rtt.rto : NEVER
      this.kcp.probe.tellPending = true
      this.urgent = true
    }
  }

  /** `told`: whether the window was to be told anyway, before this read. */
  private afterRead(size: number, told: boolean): void {
    this.bytesRead += size
    // The window was closed, and this read opened it.
    if (!told && this.kcp.probe.tellPending) this.windowOpened()
  }

  private windowOpened(): void {
    this.urgent = true
    this.retells = RETELLS
    this.retellAt = this.flushedAt + this.kcp.rtt.rto
  }

  // ---- the end ---------------------------------------------------------------------------------------------

  /** Until when a peer that sent a Fin itself is waited for to answer ours. */
  private get quietUntil(): number {
    return Math.max(this.finishedAt, this.dataAt) + this.config.lingerTimeout
  }

  /** Until when a peer that does not answer our Fins is waited for: it may still send, and will not say when it is done. */
  private get muteUntil(): number {
    const { idleLimit } = this
    return idleLimit === 0 ? NEVER : Math.max(this.finishedAt, this.dataAt) + idleLimit
  }

  private closeStep(now: number): void {
    if (this.sending === 'draining' && this.drained) {
      // A peer that knows the conversation waits on all its channels, also on those that carried nothing.
      if (this.config.lifecycle === 'fin' && (this.used || this.lead.known)) this.notify(now)
      else this.finishSending(now)
    }
    if (this.sending === 'notifying') {
      // A whole close does not wait long for a peer that may never answer; half of one needs to know.
      // A peer that sent a Fin itself will answer ours if it is still there.
      const kin = this.remoteFinal !== undefined
      const enough = kin ? now >= this.quietUntil : this.fins >= (this.halfClose ? FINS : FINS_OF_CLOSE)
      if (this.finAcked) this.finishSending(now)
      else if (now >= this.finAt && enough) {
        // Who missed them all may be waiting for ever, and nobody will be here to repeat them.
        if (!this.halfClose) for (let i = PARTING_FINS; i > 0; i--) this.sendNotice(NoticeKind.Fin, now)
        this.finishSending(now)
      } else if (now >= this.finAt) this.notify(now)
    }
    if (this.sending !== 'finished') return
    if (!this.halfClose || this.remoteFinal !== undefined) this.finish(this.endedFirst ?? 'local', undefined)
    else if (!this.finAcked && now >= this.muteUntil) {
      this.timeOut(now, `the peer sent nothing for ${this.idleLimit} ms, and no end`, this.idleLimit)
    }
  }

  /** Sends a Fin and expects its answer. */
  private notify(now: number): void {
    this.sending = 'notifying'
    if (this.config.lifecycle !== 'fin') return
    if (this.fins === 0) this.finishedAt = now
    this.finAt =
      now +
      Math.min(FIN_INTERVAL_MAX, Math.max(FIN_INTERVAL, this.kcp.rtt.rto) * 2 ** Math.min(this.fins, FINS))
    this.fins++
    this.sendNotice(NoticeKind.Fin, now)
  }

  private finishSending(now: number): void {
    this.sending = 'finished'
    if (this.fins === 0) this.finishedAt = now
  }

  private sendNotice(kind: NoticeKind, now: number, code: number = CloseCode.None): void {
    if (!this.wasProven && kind !== NoticeKind.Reset) {
      // A forger can say that he has finished; what that draws has to be paid for.
      const size = NOTICE_SIZE + this.kcp.overhead
      if (this.kcp.allowance < size) return
      this.kcp.allowance -= size
    }
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
      done: !this.halfClose,
      ts: this.ts(now),
      echo: this.notices.clock.known ? this.kcp.proof.heardTs : undefined,
    })
  }

  private sendReset(now: number, code: number): void {
    const { sentPush } = this.kcp.proof
    if (this.config.lifecycle !== 'fin' || !(sentPush || (this.heard && this.addressed))) return
    // A peer whose address is unproven is not worth more than one.
    for (let i = this.wasProven ? RESETS : 1; i > 0; i--) this.sendNotice(NoticeKind.Reset, now, code)
  }

  private heed(notice: CloseNotice, now: number): void {
    const refusal = notice.kind === NoticeKind.Reset ? refusalOf(notice.code) : undefined
    // The answer to a question: there is no time of ours that it could echo yet.
    const answersQuestion =
      refusal !== undefined && this.lead.asked && !this.used && !this.lead.heard && notice.ts === undefined
    if (!answersQuestion && !this.notices.believes(notice, now)) {
      this.objectTo(notice, now)
      return
    }
    this.lead.heardAt = now
    // It names a ts that went to this address only.
    if (notice.echo !== undefined && this.kcp.proof.sentPush) this.trust()
    if (notice.kind === NoticeKind.FinAck) {
      this.finAcked = true
    } else if (notice.kind === NoticeKind.Fin) {
      this.remoteFinal = notice.sn
      this.endedFirst ??= 'peer'
      this.sendNotice(NoticeKind.FinAck, now)
      // Nobody will read what we might still send.
      if (notice.done && this.sending !== 'finished') {
        this.finishSending(now)
        this.finish(this.endedFirst, undefined)
      } else if (!notice.done && this.sending === 'finished' && !this.finAcked) {
        // It missed all of our Fins, and waits for one.
        this.fins = 0
        this.notify(now)
      }
    } else if (refusal !== undefined && this.kcp.peer.una === 0 && this.role === 'client') {
      this.finish(
        'refused',
        new KcpError('ERR_KCP_REFUSED', `the listener refused: ${refusal.text}`, {
          detail: { why: refusal.why },
        }),
      )
    } else if (this.allSaid) {
      // It is over there already.
      this.finish(this.endedFirst ?? 'peer', undefined)
    } else {
      this.finish('reset', new KcpError('ERR_KCP_RESET', 'the peer reset the conversation'))
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
    for (const ticket of this.expiring?.keys() ?? []) this.settle(ticket, 'closed')
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
