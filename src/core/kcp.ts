/**
 * Kcp: one end of a conversation. It owns the order of work; the parts beside it (send window, receive window, RTT,
 * probe, ACK list, congestion) own the state. No clock, no socket, no chance: time and datagrams come in as arguments.
 *
 * | kind              | methods                                                   | may be called               |
 * | ----------------- | --------------------------------------------------------- | --------------------------- |
 * | reads             | `waitSnd` `peekSize` `stats`, the fields                   | any time                    |
 * | network and clock | `input(datagram, now)` `update(now)`                      | a datagram or deadline came |
 * | application       | `send` `recv` `recvInto` `setMtu` `setWindow` `setNodelay` | any time outside `output`   |
 * | results           | `flush(now)` → `output(datagram)`, `check(now)`           | after any of the above      |
 *
 * @module
 */
import { AckList } from './ack-list.ts'
import { assert } from './assert.ts'
import {
  configError,
  type KcpConfig,
  type KcpHardening,
  type KcpPresetName,
  MTU_MAX,
  MTU_MIN,
  RCV_WND_MIN,
  type ResolvedKcpConfig,
  requireInteger,
  resolveConfig,
  WND_MAX,
} from './config.ts'
import { collapse, grow, SSTHRESH_INITIAL, shrinkOnSkip } from './congestion/classic.ts'
import type { CongestionControl, CongestionState } from './congestion/controller.ts'
import { KcpError } from './errors.ts'
import { KCP_LOG } from './log.ts'
import { ReceiveWindow } from './receive-window.ts'
import { RTO_MAX, RTO_MIN, RTO_MIN_NODELAY, RttEstimator } from './rtt.ts'
import { Command, KCP_OVERHEAD, readU16, readU32, writeHeader } from './segment.ts'
import { SendWindow } from './send-window.ts'
import { seqAdd, seqDiff } from './seq.ts'
import { KcpCounters, type KcpStats } from './stats.ts'
import { WindowProbe } from './window-probe.ts'

/** Gets every datagram, synchronously. `datagram` is lent for this call: who keeps it, copies it. */
export type KcpOutput = (datagram: Uint8Array, kcp: Kcp) => void

/** What `tryInput` makes of a datagram; upstream's codes. */
export const InputResult = {
  Accepted: 0,
  /** Shorter than a header, or of another conversation. */
  Foreign: -1,
  /** A segment says that it is longer than the rest of the datagram. */
  Truncated: -2,
  /** A segment's command is none of 81 .. 84. */
  UnknownCommand: -3,
} as const

/** A flush this far behind its schedule starts a new one, ms: the clock stood still or jumped. From ikcp_update. */
const CLOCK_JUMP = 10_000
/** A PUSH this many windows behind is answered with an ACK when `nearAck` is on; older ones are no honest repeat. */
const NEAR_WINDOWS = 2
/** No fast retransmission. */
const NEVER = 0xffff_ffff

/** Buffers that a flush builds its datagrams in. Flushes may nest (an output that feeds another engine), so: a stack. */
const scratches: Uint8Array[] = []

export class Kcp implements CongestionState {
  /** Conversation id, u32; the same at both ends. */
  conv: number
  /** Called with every datagram. */
  output: KcpOutput | null
  /** Segments on their way out. */
  readonly snd: SendWindow = new SendWindow()
  /** Segments that came in. */
  readonly rcv: ReceiveWindow = new ReceiveWindow()
  readonly rtt: RttEstimator = new RttEstimator()
  readonly probe: WindowProbe = new WindowProbe()
  readonly acks: AckList = new AckList()
  readonly counters: KcpCounters = new KcpCounters()

  /** Largest datagram, bytes. Set it with `setMtu`. */
  mtu = 1400
  /** Payload bytes of a full segment: mtu - 24. */
  mss: number = 1400 - KCP_OVERHEAD
  /** Everything before it was acknowledged, u32. */
  sndUna = 0
  /** Most segments in flight. */
  sndWnd = 32
  /** Free slots that the peer told last. Until it did, upstream's guess of 128. */
  rmtWnd = 128
  /** Congestion window, segments; 0 until the first flush. */
  cwnd = 0
  ssthresh: number = SSTHRESH_INITIAL
  cwndBytes = 0
  /** The clock of the latest `update`, `input` or `flush`, u32 ms. */
  now = 0
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
  deadLink = 20
  /** true: `cwnd` does not limit (unless a controller is installed). */
  nocwnd = false
  /** Byte stream instead of messages; see `streamMode`. */
  stream = false
  maxFragments = 127
  /** One segment was sent `deadLink` times. Stays set; retransmission goes on, as upstream. */
  dead = false
  /** ts of the latest PUSH that an ACK is owed for: the peer's clock, as it wrote it. */
  heardTs = 0
  /** The newest ts of a PUSH of ours that the peer echoed; until it did, that of the first one. */
  echoedTs = 0
  /** ts of the latest PUSH that was sent, and whether there was one. */
  sentTs = 0
  sentPush = false
  /** RTO expirations so far; upstream's kcp->xmit. */
  timeouts = 0
  /** Bytes that may still be sent, headers included; ACKs and window probes go out regardless and count. */
  allowance: number = Number.POSITIVE_INFINITY
  /** Bytes that whoever carries the datagrams adds to each; counted against `allowance`. */
  overhead = 0
  /** The peer proved that it receives at its address: it echoed a ts that only went there. */
  proven = false
  /** Which KCP_LOG lines are built. */
  logMask = 0
  writeLog: ((line: string, kcp: Kcp) => void) | null = null

  private readonly hardening: KcpHardening
  private controller: CongestionControl | null = null
  private released = false
  private sentAny = false
  private flushing = false
  /** What `output` threw in the current flush. */
  private fault: { readonly cause: unknown } | null = null
  private scratch: Uint8Array = NOTHING
  private view: Uint8Array = NOTHING
  /** Bytes of `scratch` in use. */
  private used = 0
  /** An address challenge: asked for, and the ts of its first and latest transmission. */
  private challengePending = false
  private challenged = false
  private challengeSn = 0
  private challengeFrom = 0
  private challengeTo = 0

  /**
   * @param conv conversation id, a u32 that both ends share.
   * @param output gets every datagram.
   * @param config a preset's name or settings; throws ERR_KCP_CONFIG.
   */
  constructor(conv: number, output: KcpOutput | null, config: KcpPresetName | KcpConfig = 'default') {
    if (!Number.isInteger(conv) || conv < 0 || conv > 0xffff_ffff) {
      throw new KcpError('ERR_KCP_CREATE', `conv must be a whole number within 0..4294967295, got ${conv}`, {
        detail: { conv: Number(conv) },
      })
    }
    if (output !== null && typeof output !== 'function') {
      throw new KcpError('ERR_KCP_CREATE', `output must be a function, got ${typeof output}`)
    }
    this.conv = conv
    this.output = output
    const settings = resolveConfig(config)
    this.hardening = settings.hardening
    this.rcv.strictFragments = this.hardening.strictFragments
    this.configure(settings)
  }

  // ---- reads -----------------------------------------------------------------------------------------------

  /** The settings in force, whichever call made them. */
  get config(): ResolvedKcpConfig {
    return Object.freeze({
      // Upstream takes any number; from 2 on they mean the same.
      nodelay: Math.min(this.nodelay, 2) as ResolvedKcpConfig['nodelay'],
      interval: this.interval,
      resend: this.fastResend,
      nc: this.nocwnd,
      mtu: this.mtu,
      sndWnd: this.sndWnd,
      rcvWnd: this.rcv.rcvWnd,
      streamMode: this.stream,
      minRto: this.rtt.minRto,
      deadLink: this.deadLink,
      fastLimit: this.fastLimit,
      maxFragments: this.maxFragments,
      probeInterval: this.probe.initial,
      hardening: this.hardening,
    })
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

  /** The peer broke the rules of fragments (`strictFragments`): nothing more will become readable. */
  get protocolError(): boolean {
    return this.rcv.broken
  }

  /** Segments queued or in flight. */
  waitSnd(): number {
    return this.snd.inFlight + this.snd.queued
  }

  /** Bytes of the next message, undefined while none is complete. */
  peekSize(): number | undefined {
    const size = this.rcv.peekSize()
    return size < 0 ? undefined : size
  }

  /** Whether `bytes` more would keep the send queue within `limit` segments. */
  canSend(bytes: number, limit: number): boolean {
    return this.waitSnd() + Math.max(1, Math.ceil(bytes / this.mss)) <= limit
  }

  /** Counters and state, as plain numbers. */
  stats(): KcpStats {
    const { snd, rcv, rtt } = this
    return {
      srtt: rtt.srtt,
      rttvar: rtt.rttvar,
      rto: rtt.rto,
      cwnd: this.cwnd,
      ssthresh: this.ssthresh,
      sndWnd: this.sndWnd,
      rcvWnd: rcv.rcvWnd,
      rmtWnd: this.rmtWnd,
      sndQueue: snd.queued,
      sndBuf: snd.inFlight,
      sndBytes: snd.bytes,
      rcvQueue: rcv.queued,
      rcvBuf: rcv.early,
      rcvBytes: rcv.bytes,
      sndUna: this.sndUna,
      sndNxt: snd.sndNxt,
      rcvNxt: rcv.rcvNxt,
      ...this.counters,
    }
  }

  /** conv of a datagram; undefined when it is shorter than four bytes. */
  static getConv(datagram: Uint8Array, offset = 0): number | undefined {
    return datagram.length >= offset + 4 ? readU32(datagram, offset) : undefined
  }

  /** Whether a datagram looks like KCP: a header with a known command whose length fits. */
  static isPacket(datagram: Uint8Array, offset = 0): boolean {
    if (datagram.length < offset + KCP_OVERHEAD) return false
    const cmd = datagram[offset + 4]!
    if (cmd < Command.Push || cmd > Command.WindowTell) return false
    return readU32(datagram, offset + 20) <= datagram.length - offset - KCP_OVERHEAD
  }

  // ---- settings --------------------------------------------------------------------------------------------

  /**
   * Applies a preset or settings to a running engine. `streamMode` may only change before the first send, and
   * `hardening` not at all.
   */
  applyConfig(config: KcpPresetName | KcpConfig): void {
    this.configure(typeof config === 'string' ? resolveConfig(config) : resolveConfig(this.config, config))
  }

  /** Sets the largest datagram, 50 .. 65507 bytes; throws ERR_KCP_MTU. Segments cut before keep their size. */
  setMtu(mtu: number): void {
    if (!Number.isInteger(mtu) || mtu < MTU_MIN || mtu > MTU_MAX) {
      throw new KcpError(
        'ERR_KCP_MTU',
        `mtu must be a whole number within ${MTU_MIN}..${MTU_MAX}, got ${mtu}`,
        {
          detail: { mtu: Number(mtu), code: -1 },
        },
      )
    }
    this.mtu = mtu
    this.mss = mtu - KCP_OVERHEAD
  }

  /** Sets the windows, 1 .. 65535 segments; a receive window below 128 becomes 128, as upstream. */
  setWindow(sndWnd: number, rcvWnd: number): void {
    requireInteger('sndWnd', sndWnd, 1, WND_MAX)
    requireInteger('rcvWnd', rcvWnd, 1, WND_MAX)
    this.sndWnd = sndWnd
    this.rcv.rcvWnd = Math.max(rcvWnd, RCV_WND_MIN)
  }

  /** The classic four: see KcpConfig's fields of these names. */
  setNodelay(nodelay: boolean | 0 | 1 | 2, interval: number, resend: number, nc: boolean): void {
    this.applyConfig({ nodelay, interval, resend, nc })
  }

  /** Whether bytes are a stream instead of messages. Fixed by the first send: throws ERR_KCP_CONFIG after it. */
  get streamMode(): boolean {
    return this.stream
  }
  set streamMode(on: boolean) {
    if (on !== this.stream && this.sentAny) {
      throw configError('streamMode', on, `${this.stream} (it cannot change after the first send)`)
    }
    this.stream = on
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

  /** Chooses log lines (a mask of KCP_LOG) and where they go. */
  setLog(mask: number, sink: ((line: string, kcp: Kcp) => void) | null): void {
    this.logMask = mask
    this.writeLog = sink
  }

  // ---- application -----------------------------------------------------------------------------------------

  /**
   * Queues one message, or in stream mode any number of bytes; copies them. Returns the length.
   * Throws ERR_KCP_MESSAGE_TOO_LARGE when a message needs more than `maxFragments` segments.
   */
  send(data: Uint8Array): number {
    this.enter()
    if (!(data instanceof Uint8Array)) throw new TypeError(`send takes a Uint8Array, got ${typeof data}`)
    this.sentAny = true
    if (!this.stream) {
      const code = this.sendRaw(data, 0, data.length)
      if (code < 0) throw this.tooLarge(data.length)
      return code
    }
    // A partial take is possible (the last segment is filled up first), so go on until all is queued.
    const most = this.maxFragments * this.mss
    for (let at = 0; at < data.length; ) {
      const taken = this.sendRaw(data, at, Math.min(most, data.length - at))
      assert(taken > 0, `a stream piece was refused: ${taken}`)
      at += taken
    }
    return data.length
  }

  /**
   * ikcp_send: `len` bytes of `data` from `start` (null: zeros). Returns the bytes taken, or -2 when they need more
   * than `maxFragments` segments.
   */
  sendRaw(data: Uint8Array | null, start: number, len: number): number {
    this.requireAlive()
    const { snd, mss } = this
    let taken = 0
    if (this.stream) {
      const last = snd.lastQueuedLen()
      if (last >= 0 && last < mss) {
        taken = Math.min(len, mss - last)
        snd.extend(data, start, taken)
      }
      if (taken >= len) return taken
    }
    const rest = len - taken
    const count = rest <= mss ? 1 : Math.ceil(rest / mss)
    if (count > this.maxFragments) return taken > 0 ? taken : -2
    for (let i = 0; i < count; i++) {
      const size = Math.min(mss, len - taken)
      snd.append(this.stream ? 0 : count - i - 1, data, start + taken, size)
      taken += size
    }
    return taken
  }

  /** The next message (in stream mode: the next run of bytes), freshly allocated; undefined when there is none. */
  recv(): Uint8Array | undefined {
    this.enter()
    const size = this.rcv.peekSize()
    if (size < 0) return undefined
    const message = new Uint8Array(size)
    this.takeMessage(message, false)
    return message
  }

  /**
   * Copies the next message into `target`; its length, or undefined when there is none. Throws
   * ERR_KCP_RECV_BUFFER_TOO_SMALL (`need`, `got`) and keeps the message when `target` is too small.
   */
  recvInto(target: Uint8Array): number | undefined {
    this.enter()
    const size = this.rcv.peekSize()
    if (size < 0) return undefined
    if (size > target.length) {
      throw new KcpError(
        'ERR_KCP_RECV_BUFFER_TOO_SMALL',
        `the next message has ${size} bytes, the buffer ${target.length}`,
        { detail: { need: size, got: target.length } },
      )
    }
    return this.takeMessage(target, false)
  }

  /** ikcp_recv: copies into `into` (null: nowhere) at most `max` bytes' worth of message; -1, -2 or -3 as upstream. */
  recvRaw(into: Uint8Array | null, max: number, peek: boolean): number {
    this.requireAlive()
    if (this.rcv.queued === 0) return -1
    const size = this.rcv.peekSize()
    if (size < 0) return -2
    if (size > max) return -3
    return this.takeMessage(into, peek)
  }

  // ---- network and clock -----------------------------------------------------------------------------------

  /**
   * Feeds one datagram, at `now` when given. Returns its length. Throws ERR_KCP_INPUT (`code`), or
   * ERR_KCP_CONV_MISMATCH; what came before the faulty segment has taken effect, as upstream.
   */
  input(datagram: Uint8Array, now: number = this.now): number {
    const code = this.tryInput(datagram, now)
    if (code === InputResult.Accepted) return datagram.length
    const conv = Kcp.getConv(datagram)
    if (code === InputResult.Foreign && conv !== undefined && conv !== this.conv) {
      throw new KcpError('ERR_KCP_CONV_MISMATCH', `the datagram is of conv ${conv}, not ${this.conv}`, {
        detail: { expected: this.conv, got: conv },
      })
    }
    throw new KcpError('ERR_KCP_INPUT', `the datagram was refused with code ${code}`, {
      detail: { code, size: datagram.length },
    })
  }

  /** As `input`, with InputResult instead of an error: refusing is normal, the network may send anything. */
  tryInput(datagram: Uint8Array, now: number = this.now): number {
    this.enter()
    this.now = now >>> 0
    const result = this.parse(datagram, datagram.length)
    this.counters.datagramsIn++
    this.counters.bytesIn += datagram.length
    if (result !== InputResult.Accepted) this.counters.inputErrors++
    return result
  }

  /** The segments of one datagram, in order. */
  private parse(data: Uint8Array, size: number): number {
    const { snd, hardening } = this
    if (this.logMask & KCP_LOG.INPUT) this.log(KCP_LOG.INPUT, `[RI] ${size} bytes`)
    if (size < KCP_OVERHEAD) return InputResult.Foreign
    const una0 = this.sndUna
    const inFlight0 = snd.inFlight
    let acked = false
    let newestSn = 0
    let newestTs = 0
    snd.ackedBytes = 0
    snd.beginDatagram()

    for (let at = 0; size - at >= KCP_OVERHEAD; ) {
      if (readU32(data, at) !== this.conv) return InputResult.Foreign
      const cmd = data[at + 4]!
      const frg = data[at + 5]!
      const wnd = readU16(data, at + 6)
      const ts = readU32(data, at + 8)
      const sn = readU32(data, at + 12)
      const una = readU32(data, at + 16)
      const len = readU32(data, at + 20)
      at += KCP_OVERHEAD
      if (len > size - at) return InputResult.Truncated
      if (cmd < Command.Push || cmd > Command.WindowTell) return InputResult.UnknownCommand
      if (hardening.strictUna && seqDiff(una, snd.fresh) > 0) {
        this.counters.forgedUna++
        at += len
        continue
      }
      if (!hardening.freshWnd || seqDiff(una, this.sndUna) >= 0) this.rmtWnd = wnd
      this.acknowledgeUpTo(una)

      switch (cmd) {
        case Command.Ack: {
          const genuine = this.judgeAck(sn, ts)
          if (genuine || !hardening.strictAck) {
            const rtt = seqDiff(this.now, ts)
            if (rtt >= 0) this.sampleRtt(rtt)
            this.acknowledge(sn)
            // FASTACK_CONSERVE: the largest sn counts, and only if its ts is newer too.
            if (!acked) {
              acked = true
              newestSn = sn
              newestTs = ts
            } else if (seqDiff(sn, newestSn) > 0 && seqDiff(ts, newestTs) > 0) {
              newestSn = sn
              newestTs = ts
            }
          } else {
            this.counters.staleAcks++
          }
          if (this.logMask & KCP_LOG.IN_ACK) {
            this.log(KCP_LOG.IN_ACK, `input ack: sn=${sn} rtt=${seqDiff(this.now, ts)} rto=${this.rtt.rto}`)
          }
          break
        }
        case Command.Push:
          if (this.logMask & KCP_LOG.IN_DATA) this.log(KCP_LOG.IN_DATA, `input psh: sn=${sn} ts=${ts}`)
          this.acceptPush(sn, ts, frg, data, at, len)
          break
        case Command.WindowAsk:
          this.probe.tellPending = true
          if (this.logMask & KCP_LOG.IN_PROBE) this.log(KCP_LOG.IN_PROBE, 'input probe')
          break
        default:
          // WINS: its wnd and una were all it had to say.
          if (this.logMask & KCP_LOG.IN_WINS) this.log(KCP_LOG.IN_WINS, `input wins: ${wnd}`)
      }
      at += len
    }

    if (acked && seqDiff(newestSn, this.sndUna) >= 0 && seqDiff(newestSn, snd.sndNxt) < 0) {
      snd.countSkips(newestSn, newestTs)
    }
    const moved = seqDiff(this.sndUna, una0)
    if (moved > 0) {
      if (this.controller?.onAck !== undefined) {
        this.controller.onAck(this, moved, snd.ackedBytes, inFlight0)
      } else grow(this)
    }
    return InputResult.Accepted
  }

  /** Tells the clock, u32 ms; flushes when the interval is over. Call it every 10 to 100 ms, or as `check` says. */
  update(now: number): void {
    this.enter()
    this.now = now >>> 0
    if (!this.started) {
      this.started = true
      this.flushAt = this.now
    }
    let late = seqDiff(this.now, this.flushAt)
    if (late >= CLOCK_JUMP || late < -CLOCK_JUMP) {
      this.flushAt = this.now
      late = 0
    }
    if (late >= 0) {
      this.flushAt = seqAdd(this.flushAt, this.interval)
      if (seqDiff(this.now, this.flushAt) >= 0) this.flushAt = seqAdd(this.now, this.interval)
      this.flush()
    }
  }

  /** When `update` is worth calling next, u32 ms, if nothing is sent or received until then; upstream's ikcp_check. */
  check(now: number): number {
    now >>>= 0
    if (!this.started) return now
    const late = seqDiff(now, this.flushAt)
    if (late >= 0 || late < -CLOCK_JUMP) return now
    let wait = Math.min(-late, this.interval)
    if (this.snd.fresh !== this.snd.sndNxt) return now
    if (this.snd.hasDeadline) wait = Math.min(wait, seqDiff(this.snd.deadline, now))
    return wait <= 0 ? now : seqAdd(now, wait)
  }

  // ---- results ---------------------------------------------------------------------------------------------

  /**
   * Sends everything that is due at `now`: ACKs, window probes, new segments as far as the windows allow, and
   * retransmissions. Throws ERR_KCP_OUTPUT at its end when `output` threw.
   */
  flush(now: number = this.now): void {
    this.enter()
    this.now = now >>> 0
    if (!this.started) return
    this.flushing = true
    this.scratch = scratches.pop() ?? NOTHING
    try {
      this.run()
    } finally {
      this.flushing = false
      if (this.scratch.length > 0) scratches.push(this.scratch)
      this.scratch = this.view = NOTHING
      this.used = 0
      if (this.released) this.letGo()
    }
    const { fault } = this
    if (fault === null) return
    this.fault = null
    throw new KcpError('ERR_KCP_OUTPUT', 'the output callback threw', { cause: fault.cause })
  }

  /**
   * Has the next flush send a PUSH that the peer has already passed (sn = snd_una - 1, no payload). Every KCP answers
   * such a repeat with an ACK that echoes its ts, and delivers nothing: whoever echoes it receives at that address.
   * Sets `proven` then. See docs/decisions/0004.
   */
  challenge(): void {
    this.challengePending = true
  }

  /** Forgets everything and gives all memory back. Further calls throw ERR_KCP_RELEASED. */
  release(): void {
    if (this.released) return
    this.released = true
    // From inside `output`: the flush that runs still reads its segments, and lets go of them at its end.
    if (!this.flushing) this.letGo()
  }

  [Symbol.dispose](): void {
    this.release()
  }

  /** Gives the memory of empty windows back; they grow again with use. */
  trim(): void {
    this.snd.trim()
    this.rcv.trim()
    this.acks.trim()
  }

  /** Writes one log line when its bit is in the mask. */
  log(mask: number, line: string): void {
    if ((mask & this.logMask) !== 0 && this.writeLog !== null) this.writeLog(line, this)
  }

  // ---- inside: settings and calls --------------------------------------------------------------------------

  /** Sets every field that a configuration names. */
  private configure(config: ResolvedKcpConfig): void {
    this.streamMode = config.streamMode
    this.setMtu(config.mtu)
    this.setWindow(config.sndWnd, config.rcvWnd)
    this.nodelay = config.nodelay
    this.interval = config.interval
    this.fastResend = config.resend
    this.nocwnd = config.nc
    this.rtt.minRto = config.minRto
    this.deadLink = config.deadLink
    this.fastLimit = config.fastLimit
    this.maxFragments = config.maxFragments
    this.probe.initial = config.probeInterval
    this.snd.reconsider()
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

  /** At the door of every call that changes state. */
  private enter(): void {
    this.requireAlive()
    if (this.flushing) {
      throw new KcpError('ERR_KCP_REENTRANT', 'the engine was called from inside its own output callback')
    }
  }

  private requireAlive(): void {
    if (this.released) throw new KcpError('ERR_KCP_RELEASED', `the engine of conv ${this.conv} was released`)
  }

  private letGo(): void {
    this.controller?.release?.(this)
    this.controller = null
    this.snd.drop()
    this.rcv.drop()
    this.acks.clear()
    this.acks.trim()
  }

  private tooLarge(size: number): KcpError {
    const limit = this.maxFragments * this.mss
    return new KcpError(
      'ERR_KCP_MESSAGE_TOO_LARGE',
      `a message of ${size} bytes is over the limit of ${limit} (${this.maxFragments} fragments of ${this.mss})`,
      { detail: { size, limit, fragments: Math.ceil(size / this.mss), maxFragments: this.maxFragments } },
    )
  }

  // A field: a closure in takeMessage would cost every read a context (40 bytes), logged or not.
  private readonly logRead = (sn: number): void => this.log(KCP_LOG.RECV, `recv sn=${sn}`)

  private takeMessage(into: Uint8Array | null, peek: boolean): number {
    const { rcv } = this
    const wasFull = rcv.unused === 0
    const size = rcv.take(into, peek, this.logMask & KCP_LOG.RECV ? this.logRead : undefined)
    rcv.advance()
    // The peer believes the window closed: tell it.
    if (wasFull && rcv.unused > 0) this.probe.tellPending = true
    return size
  }

  // ---- inside: input ---------------------------------------------------------------------------------------

  private acknowledgeUpTo(una: number): void {
    this.snd.ackUpTo(una, this.controller?.onAcked === undefined ? undefined : this.ackedByUna)
    this.sndUna = this.snd.base
  }

  private acknowledge(sn: number): void {
    if (seqDiff(sn, this.sndUna) < 0) return
    if (this.snd.ack(sn, this.controller?.onAcked === undefined ? undefined : this.ackedBySn)) {
      this.sndUna = this.snd.base
    }
  }

  private readonly ackedByUna = (sn: number, ts: number, size: number, xmit: number): void => {
    this.controller?.onAcked?.(this, sn, ts, size, -1, xmit)
  }

  private readonly ackedBySn = (sn: number, ts: number, size: number, xmit: number): void => {
    const rtt = seqDiff(this.now, ts)
    this.controller?.onAcked?.(this, sn, ts, size, rtt >= 0 ? rtt : -1, xmit)
  }

  /** Whether an ACK names a transmission of ours; that proves the peer's address. */
  private judgeAck(sn: number, ts: number): boolean {
    if (this.snd.sentAt(sn, ts)) {
      this.proven = true
      if (seqDiff(ts, this.echoedTs) > 0) this.echoedTs = ts
      return true
    }
    if (
      this.challenged &&
      sn === this.challengeSn &&
      seqDiff(ts, this.challengeFrom) >= 0 &&
      seqDiff(ts, this.challengeTo) <= 0
    ) {
      this.proven = true
    }
    return false
  }

  private sampleRtt(rtt: number): void {
    this.rtt.sample(rtt, this.interval)
    this.controller?.onRtt?.(this, rtt)
  }

  private acceptPush(sn: number, ts: number, frg: number, data: Uint8Array, at: number, len: number): void {
    const { rcv, counters, hardening } = this
    if (seqDiff(sn, seqAdd(rcv.rcvNxt, rcv.rcvWnd)) >= 0) {
      counters.outOfWindow++
      return
    }
    const ahead = seqDiff(sn, rcv.rcvNxt)
    if (ahead < 0) {
      counters.duplicates++
      if (hardening.nearAck && -ahead > rcv.rcvWnd * NEAR_WINDOWS) {
        counters.outOfWindow++
        return
      }
    } else if (!rcv.hasRoom(len) && (ahead > 0 || rcv.peekSize() >= 0)) {
      // Over the byte limit: not acknowledged, so it comes again. What completes a message is let in, or the reader
      // could never make room.
      counters.overLimit++
      return
    }
    if (hardening.dedupeAcks) this.acks.pushOnce(sn, ts)
    else this.acks.push(sn, ts)
    this.heardTs = ts
    if (ahead < 0) return
    if (rcv.store(sn, frg, data, at, len)) {
      counters.segmentsIn++
    } else counters.duplicates++
  }

  // ---- inside: flush ---------------------------------------------------------------------------------------

  private run(): void {
    const { snd, rcv, probe, controller } = this
    controller?.onTick?.(this)
    const budget = controller?.budget === undefined ? -1 : controller.budget(this) | 0
    const priorCwnd = this.cwnd
    const wnd = this.hardening.clampWnd ? Math.min(rcv.unused, WND_MAX) : rcv.unused
    this.flushAcks(wnd)
    probe.follow(this.rmtWnd, this.now)
    this.flushProbes(wnd)
    this.admit()
    if (controller?.onAppLimited !== undefined && snd.queued === 0) {
      if (snd.inFlight < Math.min(this.cwnd, this.sndWnd, this.rmtWnd))
        controller.onAppLimited(this, snd.inFlight)
    }
    const resend = this.fastResend > 0 ? this.fastResend : NEVER
    const { timeouts } = this
    const skipped = this.flushData(wnd, resend, budget)
    this.emit()
    this.reactToLoss(skipped, this.timeouts !== timeouts, priorCwnd, resend)
  }

  private flushAcks(wnd: number): void {
    const { acks } = this
    for (let i = 0; i < acks.count; i++) {
      // A WASK or WINS behind them repeats the last ACK's ts and sn, as upstream's; receivers ignore both fields.
      this.lastTs = acks.pairs[i * 2 + 1]!
      this.lastSn = acks.pairs[i * 2]!
      this.write(Command.Ack, wnd, this.lastTs, this.lastSn)
    }
    this.counters.acksOut += acks.count
    acks.clear()
  }

  private flushProbes(wnd: number): void {
    const { probe } = this
    if (probe.askPending) this.write(Command.WindowAsk, wnd, this.lastTs, this.lastSn)
    if (probe.tellPending) this.write(Command.WindowTell, wnd, this.lastTs, this.lastSn)
    probe.askPending = probe.tellPending = false
    this.lastTs = this.lastSn = 0
    if (this.challengePending) {
      this.challengePending = false
      // The same sn for all repeats of a challenge: nothing of ours can be in flight under it.
      if (!this.challenged) {
        this.challenged = true
        this.challengeSn = seqAdd(this.sndUna, -1)
        this.challengeFrom = this.now
      }
      this.challengeTo = this.now
      this.noteSent()
      this.write(Command.Push, wnd, this.now, this.challengeSn)
    }
  }

  /** ts and sn of the latest ACK in this flush. */
  private lastTs = 0
  private lastSn = 0

  /** Moves segments from the queue into flight as far as the windows allow. */
  private admit(): void {
    const { snd } = this
    let window = Math.min(this.sndWnd, this.rmtWnd)
    if (this.controller !== null || !this.nocwnd) window = Math.min(this.cwnd, window)
    const end = seqAdd(this.sndUna, window)
    while (snd.queued > 0 && seqDiff(snd.sndNxt, end) < 0) snd.admit(this.rtt.rto, this.now)
  }

  /**
   * Writes the segments that are due, in order of sn: resends, then new ones. Stops, leaving the rest untouched, when
   * the pacing `budget` (payload bytes, negative: none) or the allowance is used up. Returns the fast resends.
   */
  private flushData(wnd: number, resend: number, budget: number): number {
    const { snd, now } = this
    const dueCount = snd.collectDue(now, resend, this.fastLimit)
    // Only the first transmission of a nodelay-0 session gets this eighth on top.
    const extra = this.nodelay === 0 ? this.rtt.rto >>> 3 : 0
    let skipped = 0
    for (let i = 0; i < dueCount; i++) {
      const sn = snd.dueSn(i)
      const len = snd.lenOf(sn)
      if (!this.fits(len, budget)) {
        snd.putBack(i)
        return skipped
      }
      if (budget >= 0) budget -= len
      let rto = snd.rtoOf(sn)
      if (snd.timedOut(sn)) {
        rto = this.backOff(rto)
        this.timeouts++
        this.counters.timeoutResends++
        snd.sent(sn, now, rto, seqAdd(now, rto), false)
      } else {
        skipped++
        this.counters.fastResends++
        snd.sent(sn, now, rto, seqAdd(now, rto), true)
      }
      this.writePush(sn, len, wnd)
    }
    for (let sn = snd.fresh; sn !== snd.sndNxt; sn = seqAdd(sn, 1)) {
      if (!snd.has(sn)) continue
      const len = snd.lenOf(sn)
      if (!this.fits(len, budget)) return skipped
      if (budget >= 0) budget -= len
      const { rto } = this.rtt
      snd.sent(sn, now, rto, seqAdd(now, rto + extra), false)
      this.writePush(sn, len, wnd)
    }
    return skipped
  }

  private fits(len: number, budget: number): boolean {
    if (budget >= 0 && budget < len) return false
    const used = this.used + KCP_OVERHEAD + len
    // What does not fit behind what is written takes a second datagram.
    const datagrams = this.used > 0 && used > this.mtu ? 2 : 1
    return used + datagrams * this.overhead <= this.allowance
  }

  private backOff(rto: number): number {
    if (this.nodelay === 0) rto += Math.max(rto, this.rtt.rto)
    else if (this.nodelay === 1) rto += ((rto | 0) / 2) | 0
    else rto += (this.rtt.rto / 2) | 0
    return this.hardening.capRto ? Math.min(rto, RTO_MAX) : rto >>> 0
  }

  private writePush(sn: number, len: number, wnd: number): void {
    const { snd, counters } = this
    const xmit = snd.xmitOf(sn)
    this.controller?.onSent?.(this, sn, this.now, len, snd.inFlight, xmit)
    this.room(KCP_OVERHEAD + len)
    writeHeader(
      this.scratch,
      this.used,
      this.conv,
      Command.Push,
      snd.frgOf(sn),
      wnd,
      this.now,
      sn,
      this.rcv.rcvNxt,
      len,
    )
    snd.copyOut(sn, this.scratch, this.used + KCP_OVERHEAD)
    this.used += KCP_OVERHEAD + len
    counters.segmentsOut++
    this.noteSent()
    if (xmit >= this.deadLink) this.dead = true
  }

  /** A PUSH goes out now: its ts may come back. */
  private noteSent(): void {
    this.sentTs = this.now
    if (!this.sentPush) this.echoedTs = this.now
    this.sentPush = true
  }

  /** Writes a segment without payload. */
  private write(cmd: number, wnd: number, ts: number, sn: number): void {
    this.room(KCP_OVERHEAD)
    writeHeader(this.scratch, this.used, this.conv, cmd, 0, wnd, ts, sn, this.rcv.rcvNxt, 0)
    this.used += KCP_OVERHEAD
  }

  /** Sends what is written unless `bytes` more fit, and makes sure that they fit then. */
  private room(bytes: number): void {
    if (this.used + bytes > this.mtu) this.emit()
    // The shared buffer may be a smaller engine's. And a segment cut before the mtu was lowered goes alone, longer
    // than the mtu (upstream overruns its buffer).
    if (this.scratch.length < this.used + bytes) {
      const larger = new Uint8Array(Math.max(this.mtu, this.used + bytes))
      larger.set(this.scratch.subarray(0, this.used))
      this.scratch = larger
      this.view = NOTHING
    }
  }

  private emit(): void {
    const size = this.used
    this.used = 0
    if (size === 0 || this.released) return
    if (this.view.length !== size) this.view = this.scratch.subarray(0, size)
    this.counters.datagramsOut++
    this.counters.bytesOut += size
    this.allowance -= size + this.overhead
    if (this.logMask & KCP_LOG.OUTPUT) this.log(KCP_LOG.OUTPUT, `[RO] ${size} bytes`)
    if (this.output === null) return
    try {
      this.output(this.view, this)
    } catch (cause) {
      this.counters.outputErrors++
      this.fault ??= { cause }
    }
  }

  private reactToLoss(skipped: number, timedOut: boolean, priorCwnd: number, resend: number): void {
    const { snd, controller } = this
    if (skipped > 0) {
      if (controller?.onFastRetransmit !== undefined) {
        controller.onFastRetransmit(this, skipped, snd.inFlight, priorCwnd)
      } else {
        shrinkOnSkip(this, seqDiff(snd.sndNxt, this.sndUna) >>> 0, resend)
      }
    }
    if (timedOut) {
      if (controller?.onTimeout !== undefined) controller.onTimeout(this, priorCwnd)
      else collapse(this, priorCwnd)
    }
    if (this.cwnd < 1) {
      this.cwnd = 1
      this.cwndBytes = this.mss
    }
  }
}

const NOTHING = new Uint8Array(0)
