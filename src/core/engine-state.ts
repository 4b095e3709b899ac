/**
 * What an engine is made of: its parts, its settings, and what can be read of both. What it does with them is in
 * engine.ts.
 * @module
 */
import { AckList } from './ack-list.ts'
import type { KcpHardening } from './config.ts'
import { SSTHRESH_INITIAL } from './congestion/classic.ts'
import type { CongestionControl, CongestionState } from './congestion/controller.ts'
import type { DatagramWriter } from './datagram-writer.ts'
import { Incarnation } from './incarnation.ts'
import { LossDetector } from './loss-detector.ts'
import { NO_BYTES } from './memory.ts'
import { PathProof } from './path-proof.ts'
import { ReceiveWindow } from './receive-window.ts'
import { Repeats } from './repeats.ts'
import { RTO_MIN, RTO_MIN_NODELAY, RttEstimator } from './rtt.ts'
import { KCP_OVERHEAD } from './segment.ts'
import { type OnAcked, SendWindow } from './send-window.ts'
import { seqAdd, seqDiff } from './seq.ts'
import { KcpCounters, type KcpStats, snapshot } from './stats.ts'
import { WindowProbe } from './window-probe.ts'

/** The tail of a flight is probed after so many round trips of silence, and not before so many ms. RFC 8985 §7.2. */
const TAIL_ROUND_TRIPS = 2
const TAIL_MIN = 10
/** Nothing is repeated while more than this is in flight, bytes: that is a transfer, whose window repeats would fill. */
const REPEAT_IN_FLIGHT_MAX = 8 * 1024
/** Times are aged this often, ms (three days), so that none gets far beyond the twelve that `isStale` allows. */
const AGE_EVERY = 2 ** 28
/** A clock that went back by more than this went ahead by 25 days or more, ms: those of sessions never step back. */
const CLOCK_BACK = 10_000
/** Nor while the round trip is this many times the shortest of late, and LOADED_MS more: a queue is full somewhere. */
const LOADED_TIMES = 2
const LOADED_MS = 10

/** Gets every datagram, synchronously. `datagram` is lent for this call: who keeps it, copies it. */
export type EngineOutput<Self> = (datagram: Uint8Array, engine: Self) => void

export class EngineState implements CongestionState {
  /** Conversation id, u32; the same at both ends. */
  conv: number
  /** Segments on their way out. */
  readonly snd: SendWindow = new SendWindow()
  /** Segments that came in. */
  readonly rcv: ReceiveWindow = new ReceiveWindow()
  readonly rtt: RttEstimator = new RttEstimator()
  readonly probe: WindowProbe = new WindowProbe()
  readonly acks: AckList = new AckList()
  readonly proof: PathProof = new PathProof()
  readonly peer: Incarnation = new Incarnation()
  readonly counters: KcpCounters = new KcpCounters()

  /** Largest datagram, bytes. */
  mtu = 1400
  /** Payload bytes of a full segment: mtu - 24. */
  mss: number = 1400 - KCP_OVERHEAD
  /** Most segments in flight. */
  sndWnd = 32
  /** Most segments in flight that were not acknowledged one by one; 0: as many as the windows allow. */
  maxInFlight = 0
  /** Free slots that the peer told last. Until it did, upstream's guess of 128. */
  rmtWnd = 128
  /** Congestion window, segments; 0 until the first flush. */
  cwnd = 0
  ssthresh: number = SSTHRESH_INITIAL
  cwndBytes = 0
  /** Flush tick, ms. */
  interval = 100
  /** When `update` flushes next, u32 ms. */
  flushAt = 100
  /** Whether `update` was called: before, `flush` does nothing. */
  started = false
  nodelay = 0
  /** Acknowledging datagrams that make a fast resend; 0 = off. */
  fastResend = 0
  fastLimit = 5
  /** See KcpConfig.lossDetection; set by `setRecovery`. */
  lossDetection: 'count' | 'time' = 'count'
  deadLink = 20
  /** true: `cwnd` does not limit (unless a controller is installed). */
  nocwnd = false
  /** Byte stream instead of messages; see `streamMode`. */
  stream = false
  maxFragments = 127
  /** One segment was sent `deadLink` times. Stays set; retransmission goes on, as upstream. */
  dead = false
  /** RTO expirations so far; upstream's kcp->xmit. */
  timeouts = 0
  /** Bytes that may still be sent, headers included; ACKs and window probes go out regardless and count. */
  allowance: number = Number.POSITIVE_INFINITY
  /** Bytes that whoever carries the datagrams adds to each; counted against `allowance`. */
  overhead = 0
  /** Called with every datagram. */
  output: EngineOutput<this> | null = null
  /** Called when something else than a read has opened a window that the peer was told as 0: a flush is due. */
  onWindowOpened: (() => void) | null = null
  /** Which KCP_LOG lines are built. */
  logMask = 0
  writeLog: ((line: string, engine: this) => void) | null = null

  protected readonly hardening: KcpHardening
  /** Tells losses by time; null: skips are counted, as upstream. */
  protected detector: LossDetector | null = null
  /** What goes out again before it is known to be lost; null: nothing. */
  protected repeats: Repeats | null = null
  /** Made when it is first needed. */
  protected isInFlight: ((sn: number) => boolean) | undefined
  /** Whether an RTO was the latest reason to resend, and what the window was before. */
  protected collapsed: {
    readonly cwnd: number
    readonly ssthresh: number
    readonly cwndBytes: number
  } | null = null
  /** The tail was probed, and nothing was heard or sent since. */
  protected tailProbed = false
  // `sndUna` and `now` as i32, see seqStep.
  protected una = 0
  protected clock = 0
  /** When times were aged last, i32. */
  private agedAt = 0
  /** The window that the latest datagram told; -1: none did. And that of the flush at work, or the latest. */
  protected toldWnd = -1
  protected flushWnd = 0
  /** Made when a window first waits for a budget. */
  private opened: (() => void) | undefined
  protected controller: CongestionControl | null = null
  /** Made when a controller first wants to be told of ACKs, and whether what it is told of measured a time. */
  protected told: OnAcked | undefined
  protected timed = false
  protected released = false
  /** Set while a flush runs. */
  protected writer: DatagramWriter | null = null
  /** A writer of this engine's own, and the arena that it writes in. */
  protected arenaWriter: DatagramWriter | null = null
  protected inArena: Uint8Array = NO_BYTES
  /** What `output` threw in the current flush. */
  protected fault: { readonly cause: unknown } | null = null
  /** ts and sn of the latest ACK in this flush. */
  protected lastTs = 0
  protected lastSn = 0

  constructor(conv: number, hardening: KcpHardening) {
    this.conv = conv
    this.hardening = hardening
    this.rcv.strictFragments = hardening.strictFragments
  }

  /** The clock of the latest `update`, `input` or `flush`, u32 ms. */
  get now(): number {
    return this.clock >>> 0
  }
  set now(ms: number) {
    this.clock = ms | 0
  }
  /** Everything before it was acknowledged, u32. */
  get sndUna(): number {
    return this.una >>> 0
  }
  set sndUna(sn: number) {
    this.una = sn | 0
  }
  get sndNxt(): number {
    return this.snd.sndNxt
  }
  get rcvNxt(): number {
    return this.rcv.rcvNxt
  }
  get rcvWnd(): number {
    return this.rcv.rcvWnd
  }
  get srtt(): number {
    return this.rtt.srtt
  }

  /** The peer proved that it receives at its address. */
  get proven(): boolean {
    return this.proof.proven
  }

  /** The peer broke the rules of fragments (`strictFragments`): nothing more will become readable. */
  get protocolError(): boolean {
    return this.rcv.broken
  }

  /** Whether anything is owed to the peer or has to leave at a certain time: `timerAt` says when. */
  get hasTimer(): boolean {
    return this.snd.hasDeadline
  }

  /** When a flush is needed, unless something happens before: an RTO, a loss by time, a tail probe. u32 ms. */
  get timerAt(): number {
    const { snd, tailAt } = this
    let at = snd.deadline
    if (snd.hasLate && seqDiff(snd.lateAt, at) < 0) at = snd.lateAt
    if (tailAt !== undefined && seqDiff(tailAt, at) < 0) at = tailAt
    return at >>> 0
  }

  /** When repeats leave alone, u32 ms; undefined: there are none. */
  get repeatAt(): number | undefined {
    const { repeats } = this
    if (repeats === null || !repeats.pending || this.snd.inFlight === 0 || !this.mayRepeat) return undefined
    return repeats.loneAt(this.rtt.srtt)
  }

  /** Segments queued or in flight. */
  waitSnd(): number {
    return this.snd.inFlight + this.snd.queued
  }

  /** Counters and state, as plain numbers. */
  stats(): KcpStats {
    return { ...snapshot(this), loss: this.loss, redundancy: this.repeats?.level ?? 0 }
  }

  /** Installs a congestion controller, which then steers `cwnd` (also with `nc`); null brings KCP's own rules back. */
  setCongestion(controller: CongestionControl | null): void {
    this.controller?.release?.(this)
    this.controller = null
    if (controller === null) {
      if (this.cwnd < 1) this.cwnd = 1
      this.cwndBytes = Math.max(Math.imul(this.cwnd, this.mss) >>> 0, this.mss)
      return
    }
    try {
      this.controller = controller
      controller.init?.(this)
    } catch (error) {
      this.controller = null
      if (this.cwnd < 1) this.cwnd = 1
      this.cwndBytes = Math.imul(this.cwnd, this.mss) >>> 0
      throw error
    }
  }

  get congestion(): CongestionControl | null {
    return this.controller
  }

  /**
   * Takes the time in, u32 ms. Every call that has a time does; a session that was asleep for days does so first, to know
   * when it is due.
   */
  keepTime(now: number): void {
    if (this.clock === (now | 0)) return
    this.clock = now | 0
    const since = seqDiff(now, this.agedAt)
    if ((since > AGE_EVERY || since < -CLOCK_BACK) && this.hardening.ageTimes) this.ageTimes(since < 0)
  }

  private ageTimes(jumped: boolean): void {
    const { clock } = this
    this.agedAt = clock
    this.snd.age(clock, jumped)
    this.probe.age(clock)
    this.rtt.age(clock)
    this.detector?.age(clock)
    this.repeats?.age(clock)
  }

  /**
   * Something may have opened the window. A peer that was told 0 is told; if the budget that others share is what keeps it
   * closed, it is when that has room.
   */
  protected tellIfOpened(): void {
    if (this.toldWnd !== 0 || !this.hardening.tellOpened) return
    if (this.rcv.unused > 0) this.probe.tellPending = true
    else this.awaitRoom()
  }

  /** The window was told as 0. */
  protected awaitRoom(): void {
    if (this.hardening.tellOpened) this.rcv.awaitRoom((this.opened ??= () => this.openedElsewhere()))
  }

  /** Something else than a read may have opened the window: the next flush tells it, if it is open still. */
  protected openedElsewhere(): void {
    if (this.toldWnd !== 0 || !this.hardening.tellOpened) return
    if (this.rcv.unused > 0) this.onWindowOpened?.()
    else this.awaitRoom()
  }

  /** Writes one log line when its bit is in the mask. */
  log(mask: number, line: string): void {
    if ((mask & this.logMask) !== 0 && this.writeLog !== null) this.writeLog(line, this)
  }

  /** ikcp_nodelay: a negative number leaves its setting as it is. */
  setNodelayRaw(nodelay: number, interval: number, resend: number, nc: number): void {
    if (nodelay >= 0) {
      this.nodelay = nodelay
      this.rtt.minRto = nodelay !== 0 ? RTO_MIN_NODELAY : RTO_MIN
    }
    if (interval >= 0) this.interval = Math.min(Math.max(interval, 10), 5000)
    if (resend >= 0) this.fastResend = resend
    if (nc >= 0) this.nocwnd = nc !== 0
    this.snd.reconsider()
  }

  /** See KcpConfig.redundancy. */
  get redundancy(): number | 'auto' {
    return this.repeats === null ? 0 : this.repeats.auto ? 'auto' : this.repeats.level
  }

  /** How losses are told, and what is repeated before they are; see KcpConfig. */
  protected setRecovery(lossDetection: 'count' | 'time', redundancy: number | 'auto'): void {
    this.lossDetection = lossDetection
    this.rtt.steady = lossDetection === 'time'
    // Nobody looks any more whether what was overtaken is lost.
    if (lossDetection === 'count') this.snd.hasLate = false
    if (lossDetection === 'count' && redundancy === 0) {
      this.detector = this.repeats = this.collapsed = null
      return
    }
    this.detector ??= new LossDetector()
    this.repeats ??= new Repeats()
    this.repeats.ofResends = lossDetection === 'time' ? 1 : 0
    this.repeats.auto = redundancy === 'auto'
    if (redundancy !== 'auto') this.repeats.level = redundancy
  }

  /** Share of first transmissions that did not arrive. */
  protected get loss(): number {
    const { detector } = this
    if (detector === null) return 0
    detector.settle(this.clock)
    return detector.loss
  }

  protected get byTime(): boolean {
    return this.lossDetection === 'time'
  }

  /** When the tail of the flight is to be probed, u32 ms; undefined: not. */
  protected get tailAt(): number | undefined {
    if (!this.byTime || this.tailProbed || this.snd.inFlight === 0 || this.rtt.srtt === 0) return undefined
    return seqAdd(this.proof.sentTs, Math.max(TAIL_MIN, TAIL_ROUND_TRIPS * this.rtt.srtt))
  }

  protected get mayRepeat(): boolean {
    const { snd, rtt, detector } = this
    if (snd.queued > 0 || snd.bytes > REPEAT_IN_FLIGHT_MAX || rtt.srtt === 0) return false
    return rtt.srtt <= LOADED_TIMES * detector!.shortest + LOADED_MS
  }
}
