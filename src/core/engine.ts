/**
 * The engine: KCP's state machine with the reference's calls and codes. It owns the order of work in `tryInput` and
 * `flush`; the parts beside it (send window, receive window, RTT, probe, ACK list, congestion, proof) own the state.
 * No clock, no socket, no chance: time and datagrams come in as arguments.
 *
 * Nobody checks settings here: `Kcp` does, for people, and `sys` passes on what C would take.
 * @module
 */
import { WND_MAX } from './config.ts'
import { collapse, grow, shrinkOnSkip } from './congestion/classic.ts'
import { DatagramWriter } from './datagram-writer.ts'
import { EngineState } from './engine-state.ts'
import { KcpError } from './errors.ts'
import { KCP_LOG, logInput } from './log.ts'
import type { LossDetector } from './loss-detector.ts'
import { requireReadable } from './memory.ts'
import type { Repeats } from './repeats.ts'
import { CMD_AT, Command, KCP_OVERHEAD, LEN_AT, SN_AT, TS_AT, UNA_AT } from './segment.ts'
import type { OnAcked } from './send-window.ts'
import { seqAdd, seqDiff, seqStep } from './seq.ts'

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
/**
 * With `lossDetection: 'time'` an RTO that ends for more segments than this repeats only the oldest of them: their ACKs
 * tell what became of the others, and if it was spurious a window is not sent twice. RFC 6298 repeats one; a game has
 * fewer in flight.
 */
const TIMEOUT_BURST = 16
/** ACKs for later segments that `lossDetection: 'time'` counts as when KCP's own rules shrink the window. RFC 5681. */
const DUP_ACKS = 3
/** IPv4 and UDP headers of a datagram that is sent for repeats alone. */
const IP_OVERHEAD = 28

export class Engine extends EngineState {
  // ---- application -----------------------------------------------------------------------------------------

  /**
   * ikcp_send: `len` bytes of `data` from `start` (null: zeros). Returns the bytes taken, or -2 when they need more
   * than `maxFragments` segments.
   */
  sendRaw(data: Uint8Array | null, start: number, len: number): number {
    this.requireAlive()
    // Before anything is queued: bytes that cannot be read must not become an empty message.
    if (data !== null) requireReadable(data, start + len)
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
    if (snd.frameSize !== this.mtu) snd.frameSize = this.mtu
    snd.append(data, start + taken, rest, mss, this.stream)
    return len
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

  /**
   * Drops the messages whose time is over at `now` before they were admitted to the window (see Kcp.send); how many.
   * Every flush does it too.
   */
  expire(now: number = this.clock): number {
    this.enter()
    const count = this.snd.expire(now)
    this.counters.expired += count
    return count
  }

  /**
   * Forgets what the RTO of each segment that was sent again has grown by: it is due one RTO after it was sent last, or at
   * `now`. For when the peer is heard again after a silence: what is left of a back-off tells nothing of the path as it
   * is now, and after an outage may take as long as that did. As RFC 9002 (6.2.1) resets its own; upstream does not.
   */
  forgetBackoff(now: number = this.clock): void {
    this.enter()
    this.snd.hasten(now, this.rtt.rto)
  }

  // ---- network and clock -----------------------------------------------------------------------------------

  /**
   * Feeds one datagram; an InputResult. Refusing is normal: the network may send anything. `recovered`: it was lost and
   * rebuilt from others (FEC), so it is later than it was sent to be: it measures no time, and its window is old.
   */
  tryInput(datagram: Uint8Array, now: number = this.clock, recovered: boolean = false): number {
    this.enter()
    this.keepTime(now)
    const size = datagram.length
    this.counters.datagramsIn++
    this.counters.bytesIn += size
    let result: number = InputResult.Foreign
    if (this.logMask & KCP_LOG.INPUT) this.log(KCP_LOG.INPUT, `[RI] ${size} bytes`)
    if (size >= KCP_OVERHEAD) {
      this.rcv.begin(datagram)
      try {
        result = this.parse(size, recovered)
      } finally {
        this.rcv.end()
      }
    }
    if (result !== InputResult.Accepted) this.counters.inputErrors++
    return result
  }

  /** The segments of the datagram that the receive window holds, in order. */
  private parse(size: number, recovered: boolean): number {
    const { snd, rcv, hardening } = this
    const conv = this.conv | 0
    const una0 = this.una
    const inFlight0 = snd.inFlight
    let acked = false
    let newestSn = 0
    let newestTs = 0
    let timed = false
    let timedTs = 0
    snd.ackedBytes = 0
    snd.beginDatagram()

    const { peer } = this
    let { words } = rcv
    const origin = rcv.at
    let at = 0
    while (size - at >= KCP_OVERHEAD) {
      const from = origin + at
      if (words.getInt32(from, true) !== conv) return this.refuse(InputResult.Foreign, timed, timedTs)
      const word = words.getInt32(from + CMD_AT, true)
      const ts = words.getInt32(from + TS_AT, true)
      const sn = words.getInt32(from + SN_AT, true)
      const una = words.getInt32(from + UNA_AT, true)
      // A length of 2^31 or more reads as negative, and does not fit either.
      const len = words.getInt32(from + LEN_AT, true)
      at += KCP_OVERHEAD
      if (len < 0 || len > size - at) return this.refuse(InputResult.Truncated, timed, timedTs)
      const cmd = word & 0xff
      if (cmd < Command.Push || cmd > Command.WindowTell) {
        return this.refuse(InputResult.UnknownCommand, timed, timedTs)
      }
      if (hardening.strictUna && seqDiff(una, snd.fresh) > 0) {
        this.counters.forgedUna++
        at += len
        continue
      }
      if (!recovered && (!hardening.freshWnd || seqDiff(una, this.una) >= 0)) this.rmtWnd = word >>> 16
      const ours = una !== this.una || seqDiff(una, snd.base) !== 0
      if (ours && !peer.unproven) this.acknowledgeUpTo(una)

      if (cmd === Command.Push) {
        this.acceptPush(sn, ts, (word >>> 8) & 0xff, at, len, una)
        if (at + len < size) words = rcv.words
      } else if (cmd === Command.Ack) {
        // An ACK that names a transmission of ours proves the peer's address.
        const genuine = snd.sentAt(sn, ts)
        if (una !== peer.una && this.isOfSuccessor(sn, ts, una, genuine)) {
          at += len
          continue
        }
        if (genuine) {
          this.proof.echoed(ts)
          const news = una !== peer.una || !peer.acknowledged || peer.unproven
          if (news && peer.heard(una, this.clock)) this.acknowledgeUpTo(una)
        } else this.detector?.late(sn, ts)
        const answered = !genuine && this.proof.judge(sn, ts)
        if (genuine || !hardening.strictAck) {
          if (hardening.sampleOnce) {
            timed = !recovered
            timedTs = ts
          } else if (!recovered) this.sampleRtt(ts)
          this.acknowledge(sn, !recovered)
          if (genuine && !recovered && this.detector !== null) this.learn(this.detector, sn, ts)
          // FASTACK_CONSERVE: the largest sn counts, and only if its ts is newer too.
          if (!acked) {
            acked = true
            newestSn = sn
            newestTs = ts
          } else if (seqDiff(sn, newestSn) > 0 && seqDiff(ts, newestTs) > 0) {
            newestSn = sn
            newestTs = ts
          }
        } else if (answered) {
          if (!recovered) this.sampleRtt(ts)
        } else {
          this.counters.staleAcks++
        }
      } else if (cmd === Command.WindowAsk) {
        this.probe.tellPending = true
      } else {
        // What a WINS had to say were its wnd and una.
        this.probe.told++
      }
      if (this.logMask !== 0) logInput(this, cmd, sn, ts, word >>> 16)
      at += len
    }
    // Too short to be a segment: upstream takes no notice of it.
    if (at !== size) this.counters.inputErrors++

    if (timed) this.sampleRtt(timedTs)
    if (this.byTime) this.tailProbed &&= !acked
    else if (acked && seqDiff(newestSn, this.una) >= 0 && seqDiff(newestSn, snd.sndNxt) < 0) {
      snd.countSkips(newestSn, newestTs)
    }
    const moved = seqDiff(this.una, una0)
    if (moved > 0) {
      if (this.controller?.onAck !== undefined) {
        this.controller.onAck(this, moved, snd.ackedBytes, inFlight0)
      } else grow(this)
    }
    return InputResult.Accepted
  }

  /** Whether an ACK comes from a process that knows nothing of what its predecessor has acknowledged. */
  private isOfSuccessor(sn: number, ts: number, una: number, genuine: boolean): boolean {
    if (!this.hardening.strictAck || !this.peer.tellsLoss(una, ts)) return false
    if (!genuine && !this.proof.isChallenge(sn, ts)) return false
    this.peer.lost = true
    return true
  }

  /** Segments before a faulty one stay applied; skips and the congestion window are left as they are. */
  private refuse(result: number, timed: boolean, timedTs: number): number {
    if (timed) this.sampleRtt(timedTs)
    return result
  }

  /** Tells the clock, u32 ms; flushes when the interval is over. Call it every 10 to 100 ms, or as `check` says. */
  update(now: number): void {
    this.enter()
    this.keepTime(now)
    if (!this.started) {
      this.started = true
      this.flushAt = this.now
    }
    let late = seqDiff(this.clock, this.flushAt)
    if (late >= CLOCK_JUMP || late < -CLOCK_JUMP) {
      this.flushAt = this.now
      late = 0
    }
    if (late >= 0) {
      this.flushAt = seqAdd(this.flushAt, this.interval)
      if (seqDiff(this.clock, this.flushAt) >= 0) this.flushAt = seqAdd(this.clock, this.interval)
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
    // An ACK may have removed what was never sent (unless strictAck), so fresh .. sndNxt can be empty.
    for (let sn = this.snd.fresh; sn !== this.snd.sndNxt; sn = seqAdd(sn, 1)) if (this.snd.has(sn)) return now
    if (this.hasTimer) wait = Math.min(wait, seqDiff(this.timerAt, now))
    const { repeatAt } = this
    if (repeatAt !== undefined) wait = Math.min(wait, seqDiff(repeatAt, now))
    return wait <= 0 ? now : seqAdd(now, wait)
  }

  // ---- results ---------------------------------------------------------------------------------------------

  /**
   * Sends everything that is due at `now`: ACKs, window probes, new segments as far as the windows allow, and
   * retransmissions. Throws ERR_KCP_OUTPUT at its end when `output` threw.
   */
  flush(now: number = this.clock): void {
    this.enter()
    this.keepTime(now)
    if (!this.started) return
    const own = this.ownWriter()
    const writer = own ?? DatagramWriter.borrow()
    this.writer = writer
    this.snd.cells.lent = true
    try {
      this.run(writer)
    } finally {
      this.writer = null
      this.snd.cells.lent = false
      writer.used = 0
      if (own === null) writer.giveBack()
      if (this.released) this.letGo()
    }
    const { fault } = this
    if (fault === null) return
    this.fault = null
    throw new KcpError('ERR_KCP_OUTPUT', 'the output callback threw', { cause: fault.cause })
  }

  /** Has the next flush challenge the peer's address (path-proof.ts). */
  challenge(): void {
    this.proof.challengePending = true
  }

  /** Forgets everything and gives all memory back. Further calls throw ERR_KCP_RELEASED. */
  release(): void {
    if (this.released) return
    this.released = true
    // From inside `output`: the flush that runs still reads its segments, and lets go of them at its end.
    if (this.writer === null) this.letGo()
  }

  /** Whether `trim` would give anything back. */
  get trimmable(): boolean {
    const { snd, rcv, acks } = this
    if (snd.inFlight > 0 || snd.queued > 0 || rcv.queued > 0 || rcv.early > 0) return false
    return snd.capacity > 0 || rcv.capacity > 0 || acks.capacity > 0
  }

  /** Gives the memory of empty windows back; they grow again with use. */
  trim(): void {
    this.snd.trim()
    this.rcv.trim()
    this.acks.trim()
    // The writer must not hold on to an arena that is gone.
    this.ownWriter()
  }

  // ---- inside: settings and calls --------------------------------------------------------------------------

  /** At the door of every call that changes state. */
  protected enter(): void {
    this.requireAlive()
    if (this.writer !== null) {
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
    this.ownWriter()
    this.acks.clear()
    this.acks.trim()
  }

  protected takeMessage(into: Uint8Array | null, peek: boolean, at = 0): number {
    const { rcv } = this
    const wasFull = rcv.unused === 0
    const size = rcv.take(into, peek, this.logMask & KCP_LOG.RECV ? this.logRead() : undefined, at)
    rcv.advance()
    // The peer believes the window closed: tell it.
    if (wasFull && rcv.unused > 0) this.probe.tellPending = true
    else if (this.toldWnd === 0) this.tellIfOpened()
    return size
  }

  // Apart from takeMessage, where a closure would cost every read a context, logged or not.
  private logRead(): (sn: number) => void {
    return (sn) => this.log(KCP_LOG.RECV, `recv sn=${sn}`)
  }

  // ---- inside: input ---------------------------------------------------------------------------------------

  private acknowledgeUpTo(una: number): void {
    this.snd.ackUpTo(una, this.controller?.onAcked === undefined ? undefined : this.tellAcked(false))
    this.una = this.snd.base | 0
  }

  private acknowledge(sn: number, timed: boolean): void {
    if (seqDiff(sn, this.una) < 0) return
    this.snd.ack(sn, this.controller?.onAcked === undefined ? undefined : this.tellAcked(timed))
    this.una = this.snd.base | 0
  }

  /** Tells the controller of each segment. Only an ACK of the very `sn` measures a time. */
  private tellAcked(timed: boolean): OnAcked {
    this.timed = timed
    this.told ??= (sn, ts, size, xmit) => {
      const rtt = this.timed ? seqDiff(this.clock, ts) : -1
      this.controller?.onAcked?.(this, sn, ts, size, Math.max(rtt, -1), xmit)
    }
    return this.told
  }

  /** Measures the RTT by an echoed ts; one from the future measures nothing. */
  private sampleRtt(ts: number): void {
    const rtt = seqDiff(this.clock, ts)
    if (rtt < 0) return
    this.rtt.sample(rtt, this.interval, this.now)
    this.controller?.onRtt?.(this, rtt)
  }

  private acceptPush(sn: number, ts: number, frg: number, at: number, len: number, una: number): void {
    const { rcv, counters, hardening, peer } = this
    const ahead = seqDiff(sn, rcv.rcvNxt)
    if (ahead < 0) {
      this.acceptOld(sn, ts, len, una, ahead)
      return
    }
    if (ahead >= rcv.rcvWnd || (peer.guarded && peer.rejects(ahead, sn, ts, una, this.clock))) {
      counters.outOfWindow++
      return
    }
    if (rcv.limited && !rcv.admits(ahead, len, frg === 0)) {
      // Over a byte limit: not acknowledged, so it comes again.
      counters.overLimit++
      return
    }
    this.proof.hear(ts)
    this.acks.list(sn, ts, hardening.dedupeAcks)
    if (rcv.store(sn, frg, at, len)) counters.segmentsIn++
    else counters.duplicates++
  }

  /** A PUSH of what has been taken in order, `-ahead` segments ago: it is acknowledged again. */
  private acceptOld(sn: number, ts: number, len: number, una: number, ahead: number): void {
    const { rcv, counters, hardening } = this
    // What is 2^31 behind is also that far ahead.
    if (seqDiff(ahead, rcv.rcvWnd) >= 0 || this.peer.rejects(ahead, sn, ts, una, this.clock)) {
      counters.outOfWindow++
      return
    }
    counters.duplicates++
    // An empty one may be a challenge (path-proof.ts): its number is below all others, and it wants an ACK of its own.
    if (hardening.nearAck && len > 0 && -ahead > rcv.rcvWnd * NEAR_WINDOWS) {
      counters.outOfWindow++
      return
    }
    this.proof.hear(ts)
    // Of a datagram of new segments and repeats the ACKs of the former say it all: una, and the ts that they share.
    if (hardening.spareAcks && len > 0 && this.acks.echoes(ts)) return
    this.acks.list(sn, ts, hardening.dedupeAcks)
  }

  // ---- inside: flush ---------------------------------------------------------------------------------------

  /** The writer in the send window's arena, if that has room for one. */
  private ownWriter(): DatagramWriter | null {
    const { bytes, words, roomAt } = this.snd.cells
    if (bytes !== this.inArena) {
      this.inArena = bytes
      this.arenaWriter = roomAt > 0 ? new DatagramWriter(bytes, words, roomAt) : null
    }
    return this.arenaWriter
  }

  private run(writer: DatagramWriter): void {
    const { snd, rcv, probe, controller } = this
    controller?.onTick?.(this)
    const budget = controller?.budget === undefined ? -1 : controller.budget(this) | 0
    const priorCwnd = this.cwnd
    const wnd = this.hardening.clampWnd ? Math.min(rcv.unused, WND_MAX) : rcv.unused
    this.flushWnd = wnd
    if (this.toldWnd === 0 && wnd > 0) this.tellIfOpened()
    writer.begin(this.conv, wnd, rcv.rcvNxt, Math.max(this.mtu, KCP_OVERHEAD))
    this.flushAcks(writer)
    probe.follow(this.rmtWnd, this.clock)
    this.flushProbes(writer)
    if (snd.expiring > 0) this.counters.expired += snd.expire(this.clock)
    this.admit()
    if (controller?.onAppLimited !== undefined && snd.queued === 0) {
      if (snd.inFlight < Math.min(this.cwnd, this.sndWnd, this.rmtWnd))
        controller.onAppLimited(this, snd.inFlight)
    }
    const resend = this.fastResend > 0 ? this.fastResend : this.byTime ? DUP_ACKS : NEVER
    const { timeouts } = this
    const skipped = this.flushData(writer, resend, budget)
    if (this.byTime) this.probeTail(writer)
    if (this.repeats !== null) this.flushRepeats(writer, this.repeats)
    this.emit(writer)
    if (this.toldWnd === 0) this.awaitRoom()
    this.reactToLoss(skipped, this.timeouts !== timeouts, priorCwnd, resend)
  }

  private flushAcks(writer: DatagramWriter): void {
    const { count, pairs } = this.acks
    if (count === 0) return
    for (let done = 0; done < count; ) {
      const written = writer.acks(pairs, done, count)
      if (written === 0) this.emit(writer)
      done += written
    }
    // A WASK or WINS behind them repeats the last ACK's ts and sn, as upstream's; receivers ignore both fields.
    this.lastTs = pairs[count * 2 - 1]!
    this.lastSn = pairs[count * 2 - 2]!
    this.counters.acksOut += count
    this.acks.clear()
  }

  private flushProbes(writer: DatagramWriter): void {
    const { probe } = this
    // A question to an unproven address has to be paid for like data: who never answers is asked for ever.
    if (probe.askPending && this.fits(writer, 0, -1)) {
      this.write(writer, Command.WindowAsk, this.lastTs, this.lastSn)
    }
    if (probe.tellPending) this.write(writer, Command.WindowTell, this.lastTs, this.lastSn)
    probe.askPending = probe.tellPending = false
    this.lastTs = this.lastSn = 0
    if (this.proof.challengePending) {
      this.write(writer, Command.Push, this.clock, this.proof.challenge(this.una, this.clock))
    }
  }

  /** Moves segments from the queue into flight as far as the windows allow. */
  private admit(): void {
    const { snd } = this
    let window = Math.min(this.sndWnd, this.rmtWnd)
    if (this.controller !== null || !this.nocwnd) window = Math.min(this.cwnd, window)
    const end = seqStep(this.una, window)
    const most = this.maxInFlight > 0 ? this.maxInFlight : NEVER
    while (snd.queued > 0 && seqDiff(snd.sndNxt, end) < 0 && snd.inFlight < most) {
      snd.admit(this.rtt.rto, this.clock)
    }
  }

  /**
   * Writes the segments that are due, in order of sn: resends, then new ones. Stops, leaving the rest untouched, when
   * the pacing `budget` (payload bytes, negative: none) or the allowance is used up. Returns the fast resends.
   */
  private flushData(writer: DatagramWriter, resend: number, budget: number): number {
    const { snd, clock: now } = this
    const dueCount = this.byTime
      ? this.collectLate(this.detector!)
      : snd.collectDue(now, resend, this.fastLimit)
    let timedOut = 0
    // Only the first transmission of a nodelay-0 session gets this eighth on top.
    let extra = this.nodelay === 0 ? this.rtt.rto >>> 3 : 0
    let skipped = 0
    for (let i = 0; i < dueCount; i++) {
      const sn = snd.dueSn(i)
      const len = snd.lenOf(sn)
      if (!this.fits(writer, len, budget)) {
        snd.putBack(i)
        return skipped
      }
      let rto = snd.rtoOf(sn)
      if (this.byTime && snd.timedOut(sn) && timedOut++ >= TIMEOUT_BURST) {
        snd.putOff(sn, seqStep(now, rto))
        continue
      }
      if (budget >= 0) budget -= len
      if (snd.timedOut(sn)) {
        rto = this.rtt.backOff(rto, this.nodelay, this.hardening.capRto)
        this.timeouts++
        this.counters.timeoutResends++
        snd.resent(sn, now, rto, seqStep(now, rto), false)
      } else {
        skipped++
        this.counters.fastResends++
        snd.resent(sn, now, rto, seqStep(now, rto), true)
      }
      this.writePush(writer, sn, len, snd.xmitOf(sn), now)
      this.repeats?.note(sn, now, false)
    }
    const { rto } = this.rtt
    // Told by time, the ACK of the next message tells it sooner than an RTO that is right.
    if (this.byTime) extra += this.repeats!.expected(this.rtt.srtt)
    const resendAt = seqStep(now, rto + extra)
    const unlimited = budget < 0 && this.allowance === Number.POSITIVE_INFINITY
    const end = snd.sndNxt | 0
    for (let sn = snd.fresh | 0; sn !== end; sn = seqStep(sn, 1)) {
      if (!snd.isUnsent(sn)) continue
      const len = snd.lenOf(sn)
      if (!unlimited && !this.fits(writer, len, budget)) return skipped
      if (budget >= 0) budget -= len
      snd.launch(sn, now, rto, resendAt)
      this.writePush(writer, sn, len, 1, now)
      this.repeats?.note(sn, now, true)
    }
    return skipped
  }

  private collectLate(detector: LossDetector): number {
    const { now, snd } = this
    if (!detector.known) return snd.collectDue(now, NEVER, this.fastLimit)
    return snd.collectLate(now, detector.ts, detector.sn, detector.patience(this.rtt.srtt, now))
  }

  /** An ACK named the transmission of `sn` at `ts`. */
  private learn(detector: LossDetector, sn: number, ts: number): void {
    const { snd, now, collapsed, counters } = this
    const lastTs = snd.tsOf(sn)
    const eachAnswered = counters.staleAcks * 2 > counters.repeats
    detector.acked(sn, ts, now, snd.firstTsOf(sn), lastTs, this.rtt.srtt, eachAnswered)
    snd.judged(sn)
    if (seqDiff(ts, lastTs) < 0) {
      counters.spuriousResends++
      // The RTO was spurious (Eifel, RFC 3522 and 4015): what it did to the window is taken back.
      if (collapsed !== null) {
        this.cwnd = Math.max(this.cwnd, collapsed.cwnd)
        this.ssthresh = Math.max(this.ssthresh, collapsed.ssthresh)
        this.cwndBytes = Math.max(this.cwndBytes, collapsed.cwndBytes)
      }
    }
    this.collapsed = null
    this.repeats?.adapt(this.loss, this.rtt.srtt)
  }

  /** Resends the newest segment when nothing was heard for long: its ACK tells which others are lost. RFC 8985 §7. */
  private probeTail(writer: DatagramWriter): void {
    const { snd, now, tailAt } = this
    if (tailAt === undefined || seqDiff(now, tailAt) < 0) return
    for (let sn = seqAdd(snd.fresh, -1); seqDiff(sn, snd.base) >= 0; sn = seqAdd(sn, -1)) {
      if (!snd.has(sn)) continue
      const len = snd.lenOf(sn)
      if (!this.fits(writer, len, -1)) return
      this.tailProbed = true
      this.counters.tailProbes++
      const rto = snd.rtoOf(sn)
      snd.resent(sn, now, rto, seqAdd(now, rto), true)
      this.writePush(writer, sn, len, snd.xmitOf(sn), now)
      return
    }
  }

  /** Writes what is to be repeated behind what leaves anyway; alone when its time has come. */
  private flushRepeats(writer: DatagramWriter, repeats: Repeats): void {
    const { snd, now } = this
    this.isInFlight ??= (sn) => this.snd.has(sn)
    repeats.settle(this.isInFlight)
    if (!repeats.pending || !this.mayRepeat) return
    if (writer.used === 0 && seqDiff(now, repeats.loneAt(this.rtt.srtt)) < 0) return
    repeats.tried(now)
    for (let i = 0; i < repeats.size; i++) {
      const sn = repeats.snAt(i)
      if (!repeats.isRipe(i, now) || !snd.has(sn)) continue
      const len = snd.lenOf(sn)
      const bytes = KCP_OVERHEAD + len
      if (writer.used + bytes > this.mtu) continue
      const cost = writer.used === 0 ? bytes + IP_OVERHEAD : bytes
      if (!this.fits(writer, len, -1) || !repeats.afford(cost, now)) {
        repeats.clear()
        return
      }
      repeats.repeated(i, now)
      snd.repeated(now)
      this.counters.repeats++
      this.proof.sent(now)
      const at = writer.header(Command.Push, snd.frgOf(sn), now, sn, len)
      snd.copyOut(sn, writer.buffer, at)
    }
  }

  /** Whether a segment of `len` payload bytes may be written next. */
  private fits(writer: DatagramWriter, len: number, budget: number): boolean {
    if (budget >= 0 && budget < len) return false
    if (this.allowance === Number.POSITIVE_INFINITY) return true
    // What leaves no room for it goes out first: whoever sends that may spend of the allowance on parity.
    if (writer.used + KCP_OVERHEAD + len > this.mtu) this.emit(writer)
    return writer.used + KCP_OVERHEAD + len + this.overhead <= this.allowance
  }

  private writePush(writer: DatagramWriter, sn: number, len: number, xmit: number, now: number): void {
    const { snd, controller } = this
    if (controller !== null) controller.onSent?.(this, sn >>> 0, now >>> 0, len, snd.inFlight, xmit)
    this.counters.segmentsOut++
    this.proof.sent(now)
    if (xmit >= this.deadLink) this.dead = true
    this.tailProbed &&= xmit > 1
    const frg = snd.frgOf(sn)
    if (len + 2 * KCP_OVERHEAD > this.mtu) {
      // Not even an empty segment fits beside it: it goes out from where it lies. (Also one that was cut before the mtu
      // was lowered, which upstream's buffer would not hold.)
      this.emit(writer)
      writer.headerIn(snd.cells.words, snd.frameAt(sn), Command.Push, frg, now, sn, len)
      this.hand(snd.frameOf(sn))
      return
    }
    if (writer.used + KCP_OVERHEAD + len > this.mtu) this.emit(writer)
    const at = writer.header(Command.Push, frg, now, sn, len)
    snd.copyOut(sn, writer.buffer, at)
  }

  /** Writes a segment without payload. */
  private write(writer: DatagramWriter, cmd: number, ts: number, sn: number): void {
    if (writer.used + KCP_OVERHEAD > this.mtu) this.emit(writer)
    writer.header(cmd, 0, ts, sn, 0)
  }

  private emit(writer: DatagramWriter): void {
    if (writer.used > 0) this.hand(writer.take())
  }

  private hand(datagram: Uint8Array): void {
    const size = datagram.length
    // Released by an earlier call of `output`: nothing more goes out.
    if (this.released) return
    this.counters.datagramsOut++
    this.counters.bytesOut += size
    this.allowance -= size + this.overhead
    this.toldWnd = this.flushWnd
    if (this.logMask & KCP_LOG.OUTPUT) this.log(KCP_LOG.OUTPUT, `[RO] ${size} bytes`)
    if (this.output === null) return
    try {
      this.output(datagram, this)
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
        shrinkOnSkip(this, seqDiff(snd.sndNxt, this.una) >>> 0, resend)
      }
    }
    if (timedOut) {
      if (controller?.onTimeout !== undefined) controller.onTimeout(this, priorCwnd)
      else {
        const { cwnd, ssthresh, cwndBytes } = this
        if (this.byTime) this.collapsed ??= { cwnd, ssthresh, cwndBytes }
        collapse(this, priorCwnd)
      }
    }
    if (this.cwnd < 1) {
      this.cwnd = 1
      this.cwndBytes = this.mss
    }
  }
}
