/**
 * KCP once more, as plainly as it can be said: lists of segments that are walked from one end to the other. Slow, and
 * only here so that the fast engine can be held against it, call by call (twin.test.ts).
 *
 * Written from docs/PROTOCOL.md. Where that leaves a choice, KCP 2.x has made it (test/vectors); what a switch of
 * `hardening` changes is said at KcpHardening. Times are u32 ms, windows are in segments. Congestion controllers,
 * logging and memory are left out.
 * @module
 */
import type { ResolvedKcpConfig } from '../../src/core/config.ts'
import { KcpCounters } from '../../src/core/stats.ts'
import {
  ACK,
  concat,
  decode,
  diff,
  encode,
  HEADER,
  i32,
  PUSH,
  type Segment,
  u32,
  WASK,
  WINS,
} from './wire.ts'

/** A segment that waits for the window. */
interface Queued {
  readonly frg: number
  readonly data: Uint8Array
  /** First segments of messages that expire: when. */
  readonly expiresAt?: number | undefined
}

interface Received {
  readonly sn: number
  readonly frg: number
  readonly data: Uint8Array
}

/** A segment in flight: sent, or about to be, and not acknowledged. */
export interface Sent extends Received {
  /** Transmissions so far; the first one's time, and the latest one's. */
  xmit: number
  firstTs: number
  ts: number
  rto: number
  resendAt: number
  /** Datagrams that acknowledged a later segment, sent no earlier than this one. C's fastack. */
  skips: number
}

const RTO_MAX = 60_000
const PROBE_WAIT_MAX = 120_000
const SSTHRESH_MIN = 2
const NOTHING = new Uint8Array(0)

export class ReferenceEngine {
  /** May be replaced at any time. */
  config: ResolvedKcpConfig
  readonly counters: KcpCounters = new KcpCounters()
  now = 0
  flushAt = 100
  /** Whether `update` was called: before, a flush does nothing. */
  started = false

  // On the way out. sndBuf is in order of sn; without gaps it would be sndUna .. sndNxt.
  sndQueue: Queued[] = []
  sndBuf: Sent[] = []
  sndUna = 0
  sndNxt = 0
  /** The first sn that was never sent: behind sndNxt only while the allowance keeps segments back. */
  sndMax = 0
  /** Bytes that may still go out; `overhead` more go with each datagram. */
  allowance: number = Number.POSITIVE_INFINITY
  overhead = 0
  /** A segment was sent `deadLink` times. */
  dead = false
  timeouts = 0

  // What came in: rcvQueue has all up to rcvNxt, in order; rcvBuf came early.
  rcvQueue: Received[] = []
  rcvBuf: Received[] = []
  rcvNxt = 0
  /** ACKs for the next flush, and how many C would have room for before its list grows. */
  owed: { readonly sn: number; ts: number }[] = []
  owedRoom = 0
  /** Most payload bytes held here, and by all engines that share the budget. */
  maxBytes: number = Number.POSITIVE_INFINITY
  budget: { used: number; readonly limit: number } = { used: 0, limit: Number.POSITIVE_INFINITY }
  protocolError = false

  srtt = 0
  rttvar = 0
  rto = 200

  // Windows: the peer's, and what congestion leaves of it, also counted in bytes.
  rmtWnd = 128
  cwnd = 0
  cwndBytes = 0
  ssthresh = 2
  askPending = false
  tellPending = false
  /** While the peer's window is closed: how long to wait for the next question, and until when. */
  probeWait = 0
  probeAt = 0

  // Whether the peer receives at its address: it echoed a ts of ours.
  proven = false
  challengePending = false
  challenge: { readonly sn: number; readonly from: number; to: number } | undefined
  /** Latest ts of a PUSH of ours, newest one that was echoed, latest one of the peer's. */
  sentTs: number | undefined
  echoedTs = 0
  heardTs = 0

  private readonly conv: number
  private readonly output: (datagram: Uint8Array) => void
  /** The datagram under construction. */
  private pending: Uint8Array = NOTHING

  constructor(conv: number, config: ResolvedKcpConfig, output: (datagram: Uint8Array) => void) {
    this.conv = conv
    this.config = config
    this.output = output
  }

  get mss(): number {
    return this.config.mtu - HEADER
  }

  // ---- the application ---------------------------------------------------------------------------------------

  /**
   * Queues a message in fragments, or bytes of a stream; returns how many bytes were taken, or -2. A message may have a
   * time at which it is dropped if it is still queued.
   */
  send(data: Uint8Array, expiresAt?: number): number {
    const { mss } = this
    const { streamMode, maxFragments } = this.config
    let taken = 0
    const last = this.sndQueue.at(-1)
    if (streamMode && last !== undefined && last.data.length < mss) {
      taken = Math.min(data.length, mss - last.data.length)
      this.sndQueue[this.sndQueue.length - 1] = {
        ...last,
        frg: 0,
        data: concat([last.data, data.slice(0, taken)]),
      }
    }
    if (streamMode && taken === data.length) return taken
    const count = Math.max(1, Math.ceil((data.length - taken) / mss))
    if (count > maxFragments) return taken > 0 ? taken : -2
    for (let left = count - 1; left >= 0; left--) {
      const first = left === count - 1
      this.sndQueue.push({
        frg: streamMode ? 0 : left,
        data: data.slice(taken, taken + mss),
        expiresAt: first ? expiresAt : undefined,
      })
      taken += mss
    }
    return data.length
  }

  /** The next message, or why there is none: -1 nothing came, -2 it is incomplete, -3 it is longer than `max`. */
  recv(max: number, peek: boolean): Uint8Array | number {
    if (this.rcvQueue.length === 0) return -1
    const message = this.nextMessage()
    if (message === undefined) return -2
    if (sizeOf(message) > max) return -3
    const wasFull = this.freeSlots() === 0
    if (!peek) {
      this.rcvQueue = this.rcvQueue.slice(message.length)
      this.budget.used -= sizeOf(message)
    }
    this.moveInOrder()
    // The peer believes that the window is closed: tell it.
    if (wasFull && this.freeSlots() > 0) this.tellPending = true
    return concat(message.map(({ data }) => data))
  }

  peekSize(): number {
    const message = this.nextMessage()
    return message === undefined ? -1 : sizeOf(message)
  }

  /** Its segments. Where the last one is missing it ends with the queue, as in C. */
  private nextMessage(): Received[] | undefined {
    const first = this.rcvQueue[0]
    if (first === undefined || this.rcvQueue.length < first.frg + 1) return undefined
    const last = this.rcvQueue.findIndex(({ frg }) => frg === 0)
    return last < 0 ? this.rcvQueue : this.rcvQueue.slice(0, last + 1)
  }

  // ---- a datagram comes in -----------------------------------------------------------------------------------

  /** 0; -1 too short or of another conversation, -2 cut short, -3 unknown command. */
  input(datagram: Uint8Array, now: number): number {
    this.now = u32(now)
    this.counters.datagramsIn++
    this.counters.bytesIn += datagram.length
    const result = this.read(datagram)
    if (result !== 0) this.counters.inputErrors++
    return result
  }

  private read(datagram: Uint8Array): number {
    if (datagram.length < HEADER) return -1
    const unaBefore = this.sndUna
    // A una may remove a segment before its own ACK in the same datagram comes.
    const flight = this.sndBuf
    let newest: Segment | undefined
    let sample: number | undefined
    let fault = 0

    for (let at = 0; datagram.length - at >= HEADER; ) {
      const segment = decode(datagram, at)
      const { cmd, wnd, ts, sn, una } = segment
      if (segment.conv !== this.conv) fault = -1
      else if (segment.data.length < segment.len) fault = -2
      else if (cmd < PUSH || cmd > WINS) fault = -3
      if (fault !== 0) break
      at += HEADER + segment.len

      const { strictUna, freshWnd, sampleOnce } = this.config.hardening
      if (strictUna && diff(una, this.sndMax) > 0) {
        this.counters.forgedUna++
        continue
      }
      if (!freshWnd || diff(una, this.sndUna) >= 0) this.rmtWnd = wnd
      const first = this.sndBuf.findIndex((one) => diff(una, one.sn) <= 0)
      this.leaveInFlight(this.sndBuf.slice(first < 0 ? this.sndBuf.length : first))

      if (cmd === PUSH) this.acceptPush(segment)
      if (cmd === WASK) this.tellPending = true
      if (cmd !== ACK) continue
      const [counts, timed] = this.judge(segment, flight)
      if (timed && !(sampleOnce && counts)) this.sampleRtt(ts)
      if (!counts) continue
      sample = ts
      this.leaveInFlight(this.sndBuf.filter((one) => one.sn !== sn))
      // A datagram skips segments once, by its largest sn; a larger one with an older ts says nothing new.
      if (newest === undefined || (diff(sn, newest.sn) > 0 && diff(ts, newest.ts) > 0)) newest = segment
    }

    if (this.config.hardening.sampleOnce && sample !== undefined) this.sampleRtt(sample)
    // What came before a fault stays, but it skips nothing and opens no window.
    if (fault !== 0) return fault
    if (newest !== undefined) this.countSkips(newest.sn, newest.ts)
    if (diff(this.sndUna, unaBefore) > 0) this.growCwnd()
    return 0
  }

  /** Whether an ACK counts, and whether it tells the round-trip time; whoever names a time of ours has seen it. */
  private judge({ sn, ts }: Segment, flight: readonly Sent[]): [counts: boolean, timed: boolean] {
    const { challenge } = this
    const genuine = flight.some((one) => one.sn === sn && one.xmit > 0 && within(one.firstTs, ts, one.ts))
    const answer = challenge !== undefined && sn === challenge.sn && within(challenge.from, ts, challenge.to)
    if (genuine || answer) {
      this.proven = true
      if (diff(ts, this.echoedTs) > 0) this.echoedTs = ts
    }
    if (genuine || !this.config.hardening.strictAck) return [true, true]
    if (!answer) this.counters.staleAcks++
    return [false, answer]
  }

  /** What is not among these was acknowledged. */
  private leaveInFlight(segments: Sent[]): void {
    this.sndBuf = segments
    this.sndUna = this.sndBuf[0]?.sn ?? this.sndNxt
    if (diff(this.sndMax, this.sndUna) < 0) this.sndMax = this.sndUna
  }

  private countSkips(sn: number, ts: number): void {
    if (diff(sn, this.sndUna) < 0 || diff(sn, this.sndNxt) >= 0) return
    for (const one of this.sndBuf) {
      if (one.xmit > 0 && diff(one.sn, sn) < 0 && diff(ts, one.ts) >= 0) one.skips++
    }
  }

  /** RFC 6298 with the interval as granularity; in 32 bits, for what forged times make of it. */
  private sampleRtt(ts: number): void {
    const rtt = diff(this.now, ts)
    if (rtt < 0) return
    if (this.srtt === 0) {
      this.srtt = rtt
      this.rttvar = Math.trunc(rtt / 2)
    } else {
      this.rttvar = Math.trunc((i32(3 * this.rttvar) + Math.abs(rtt - this.srtt)) / 4)
      this.srtt = Math.max(1, Math.trunc(i32(7 * this.srtt + rtt) / 8))
    }
    const rto = u32(this.srtt + Math.max(this.config.interval, u32(4 * this.rttvar)))
    this.rto = Math.min(Math.max(this.config.minRto, rto), RTO_MAX)
  }

  // ---- receiving ---------------------------------------------------------------------------------------------

  private acceptPush({ sn, ts, frg, data }: Segment): void {
    const { counters } = this
    const { rcvWnd, hardening } = this.config
    const ahead = diff(sn, this.rcvNxt)
    const room =
      this.rcvBytes + data.length <= this.maxBytes && this.budget.used + data.length <= this.budget.limit
    const beyond = diff(sn, this.rcvNxt + rcvWnd) >= 0
    if (ahead < 0 && !beyond) counters.duplicates++
    if (beyond || (hardening.nearAck && ahead < -2 * rcvWnd)) {
      counters.outOfWindow++
      return
    }
    // Without an ACK it comes again. What completes the first message is let in: reading that is all that makes room.
    if (ahead >= 0 && !room && (ahead > 0 || this.peekSize() >= 0)) {
      counters.overLimit++
      return
    }
    this.heardTs = ts
    // una and the ts of the ACK before say it already.
    if (hardening.spareAcks && ahead < 0 && data.length > 0 && this.owed.at(-1)?.ts === ts) return
    this.owe(sn, ts)
    if (ahead < 0) return
    if (this.rcvBuf.some((one) => one.sn === sn)) {
      counters.duplicates++
    } else {
      this.rcvBuf.push({ sn, frg, data })
      this.rcvBuf.sort((a, b) => diff(a.sn, b.sn))
      this.budget.used += data.length
      counters.segmentsIn++
    }
    this.moveInOrder()
  }

  /** Lists an ACK, or gives the listed one the newer ts; of several sn with one place in a table, the latest is found. */
  private owe(sn: number, ts: number): void {
    const places = 2 * this.owedRoom
    const listed = this.owed.findLast((one) => one.sn % places === sn % places)
    if (this.config.hardening.dedupeAcks && listed?.sn === sn) {
      listed.ts = ts
      return
    }
    if (this.owed.length === this.owedRoom) this.owedRoom = Math.max(8, 2 * this.owedRoom)
    this.owed.push({ sn, ts })
  }

  private moveInOrder(): void {
    const { rcvWnd, hardening } = this.config
    while (this.rcvBuf[0]?.sn === this.rcvNxt && this.rcvQueue.length < rcvWnd && !this.protocolError) {
      const { frg } = this.rcvBuf[0]
      const before = this.rcvQueue.at(-1)?.frg ?? 0
      if (hardening.strictFragments && (before > 0 ? frg !== before - 1 : frg >= rcvWnd)) {
        this.protocolError = true
        return
      }
      this.rcvQueue.push(this.rcvBuf.shift()!)
      this.rcvNxt = u32(this.rcvNxt + 1)
    }
  }

  get rcvBytes(): number {
    return sizeOf(this.rcvQueue) + sizeOf(this.rcvBuf)
  }

  /** The window to advertise: full segments that there is room for; at least one if nothing can be read to make room. */
  freeSlots(): number {
    const slots = Math.max(0, this.config.rcvWnd - this.rcvQueue.length)
    const room = Math.max(0, Math.min(this.maxBytes - this.rcvBytes, this.budget.limit - this.budget.used))
    if (slots === 0 || room >= slots * this.mss) return slots
    const fit = Math.floor(room / this.mss)
    return fit === 0 && this.peekSize() < 0 ? 1 : fit
  }

  // ---- the clock ---------------------------------------------------------------------------------------------

  /** Flushes once an interval. */
  update(now: number): void {
    this.now = u32(now)
    const late = diff(this.now, this.flushAt)
    // 10 s off its schedule: the clock stood still, or jumped.
    if (!this.started || late >= 10_000 || late < -10_000) this.flushAt = this.now
    this.started = true
    if (diff(this.now, this.flushAt) < 0) return
    this.flushAt = u32(this.flushAt + this.config.interval)
    if (diff(this.now, this.flushAt) >= 0) this.flushAt = u32(this.now + this.config.interval)
    this.flush(this.now)
  }

  /** When to call `update` next. */
  check(now: number): number {
    now = u32(now)
    const late = diff(now, this.flushAt)
    if (!this.started || late >= 0 || late < -10_000 || this.sndBuf.some(({ xmit }) => xmit === 0)) return now
    const waits = this.sndBuf.map(({ resendAt }) => diff(resendAt, now))
    return u32(now + Math.max(0, Math.min(-late, this.config.interval, ...waits)))
  }

  // ---- a flush -----------------------------------------------------------------------------------------------

  /** Sends what is due: ACKs, probes, a challenge, then resends and new segments in order of sn. */
  flush(now: number): void {
    this.now = now = u32(now)
    if (!this.started) return
    const { counters } = this
    const { nodelay, deadLink, hardening } = this.config
    const [cwndBefore, errorsBefore] = [this.cwnd, counters.outputErrors]
    const wnd = hardening.clampWnd ? Math.min(this.freeSlots(), 65_535) : this.freeSlots()
    const blank = { conv: this.conv, frg: 0, wnd, una: this.rcvNxt, len: 0, data: NOTHING }

    for (const ack of this.owed) this.write({ ...blank, cmd: ACK, ...ack })
    counters.acksOut += this.owed.length
    // In C the probes carry what the last ACK left in their fields.
    const fields = this.owed.at(-1) ?? { sn: 0, ts: 0 }
    this.owed = []
    this.followPeersWindow()
    if (this.askPending) this.write({ ...blank, cmd: WASK, ...fields })
    if (this.tellPending) this.write({ ...blank, cmd: WINS, ...fields })
    this.askPending = this.tellPending = false
    if (this.challengePending) this.writePush({ ...blank, cmd: PUSH, ts: now, sn: this.challengeSn() })
    this.challengePending = false

    this.expire(now)
    this.admit()
    let [late, fast] = [0, 0]
    for (const segment of this.sndBuf) {
      const why = this.whyNow(segment)
      if (why === 'not') continue
      if (!this.affords(segment.data.length)) break
      if (why === 'new') {
        segment.firstTs = now
        segment.rto = this.rto
        this.sndMax = u32(segment.sn + 1)
      } else if (why === 'late') {
        segment.rto = this.backedOff(segment.rto)
        late++
      } else {
        segment.skips = 0
        fast++
      }
      // The first time, without nodelay, an eighth on top.
      const grace = why === 'new' && nodelay === 0 ? this.rto >>> 3 : 0
      segment.resendAt = u32(now + segment.rto + grace)
      segment.ts = now
      segment.xmit++
      counters.segmentsOut++
      const { sn, frg, data } = segment
      this.writePush({ ...blank, cmd: PUSH, frg, ts: now, sn, len: data.length, data })
      if (segment.xmit >= deadLink) this.dead = true
    }
    this.emit()
    this.timeouts += late
    counters.timeoutResends += late
    counters.fastResends += fast
    this.shrinkCwnd(fast > 0, late > 0, cwndBefore)
    if (counters.outputErrors > errorsBefore) throw new Error('ERR_KCP_OUTPUT')
  }

  private whyNow({ xmit, resendAt, skips }: Sent): 'new' | 'late' | 'skipped' | 'not' {
    const { resend, fastLimit } = this.config
    if (xmit === 0) return 'new'
    if (diff(this.now, resendAt) >= 0) return 'late'
    return resend > 0 && skips >= resend && (fastLimit <= 0 || xmit <= fastLimit) ? 'skipped' : 'not'
  }

  /** While the peer's window is closed, asks for it, ever more rarely. */
  private followPeersWindow(): void {
    const first = this.config.probeInterval
    if (this.rmtWnd > 0) {
      this.probeWait = this.probeAt = 0
      return
    }
    if (this.probeWait > 0 && diff(this.now, this.probeAt) < 0) return
    this.askPending ||= this.probeWait > 0
    const longer = Math.trunc(Math.max(this.probeWait, first) * 1.5)
    this.probeWait = this.probeWait === 0 ? first : Math.min(longer, PROBE_WAIT_MAX)
    this.probeAt = u32(this.now + this.probeWait)
  }

  /** Always the same number, just before all in flight: the peer has it, so it acknowledges and drops. */
  private challengeSn(): number {
    this.challenge ??= { sn: u32(this.sndUna - 1), from: this.now, to: this.now }
    this.challenge.to = this.now
    return this.challenge.sn
  }

  /** Drops queued messages whose time is over; how many. */
  expire(now: number): number {
    const { counters } = this
    const before = counters.expired
    for (let i = 0; i < this.sndQueue.length; ) {
      const { expiresAt, frg } = this.sndQueue[i]!
      if (expiresAt === undefined || diff(now, expiresAt) < 0) i++
      else {
        this.sndQueue.splice(i, frg + 1)
        counters.expired++
      }
    }
    return counters.expired - before
  }

  /** Numbers queued segments as far as the windows allow. */
  private admit(): void {
    const { sndWnd, nc } = this.config
    const end = this.sndUna + Math.min(sndWnd, this.rmtWnd, nc ? sndWnd : this.cwnd)
    const { now, rto } = this
    while (this.sndQueue.length > 0 && diff(this.sndNxt, end) < 0) {
      const { frg, data } = this.sndQueue.shift()!
      const times = { firstTs: now, ts: now, rto, resendAt: now }
      this.sndBuf.push({ sn: this.sndNxt, frg, data, ...times, xmit: 0, skips: 0 })
      this.sndNxt = u32(this.sndNxt + 1)
    }
  }

  private backedOff(rto: number): number {
    const { nodelay, hardening } = this.config
    if (nodelay === 0) rto += Math.max(rto, this.rto)
    else rto += Math.trunc((nodelay === 1 ? i32(rto) : this.rto) / 2)
    return hardening.capRto ? Math.min(rto, RTO_MAX) : u32(rto)
  }

  /** Whether the allowance covers what is written, `len` bytes behind it, and the second datagram that may take. */
  private affords(len: number): boolean {
    const bytes = this.pending.length + HEADER + len
    const datagrams = this.pending.length > 0 && bytes > this.config.mtu ? 2 : 1
    return bytes + datagrams * this.overhead <= this.allowance
  }

  private writePush(segment: Segment): void {
    if (this.sentTs === undefined) this.echoedTs = this.now
    this.sentTs = this.now
    this.write(segment)
  }

  /** Adds a segment to the datagram; one that is longer than the mtu goes alone. */
  private write(segment: Segment): void {
    const bytes = encode(segment)
    if (this.pending.length + bytes.length > this.config.mtu) this.emit()
    this.pending = concat([this.pending, bytes])
  }

  private emit(): void {
    const datagram = this.pending
    if (datagram.length === 0) return
    this.pending = NOTHING
    this.counters.datagramsOut++
    this.counters.bytesOut += datagram.length
    this.allowance -= datagram.length + this.overhead
    try {
      this.output(datagram)
    } catch {
      this.counters.outputErrors++
    }
  }

  // ---- the congestion window, in C's u32 arithmetic ------------------------------------------------------------

  /** sndUna moved: one segment more, or from ssthresh on about one for each round trip. */
  private growCwnd(): void {
    const { mss, rmtWnd } = this
    if (this.cwnd >= rmtWnd) return
    if (this.cwnd < this.ssthresh) {
      this.cwnd++
      this.cwndBytes = u32(this.cwndBytes + mss)
    } else {
      const bytes = Math.max(this.cwndBytes, mss)
      this.cwndBytes = u32(bytes + Math.trunc(u32(mss * mss) / bytes) + Math.trunc(mss / 16))
      const full = u32((this.cwnd + 1) * mss) <= this.cwndBytes
      if (full) this.cwnd = Math.trunc(u32(this.cwndBytes + mss - 1) / mss)
    }
    if (this.cwnd > rmtWnd) this.setCwnd(rmtWnd)
  }

  /** Half of what is out after a fast resend; one segment after a timeout. */
  private shrinkCwnd(skipped: boolean, timedOut: boolean, before: number): void {
    if (skipped) {
      this.ssthresh = Math.max(u32(this.sndNxt - this.sndUna) >>> 1, SSTHRESH_MIN)
      this.setCwnd(this.ssthresh + this.config.resend)
    }
    if (timedOut) this.ssthresh = Math.max(before >>> 1, SSTHRESH_MIN)
    if (timedOut || this.cwnd < 1) this.setCwnd(1)
  }

  private setCwnd(cwnd: number): void {
    this.cwnd = u32(cwnd)
    this.cwndBytes = u32(this.cwnd * this.mss)
  }
}

/** Payload bytes. */
export function sizeOf(segments: readonly Queued[]): number {
  return segments.reduce((sum, { data }) => sum + data.length, 0)
}

/** Whether `ts` is one of these times, or lies between them. */
function within(from: number, ts: number, to: number): boolean {
  return diff(ts, from) >= 0 && diff(ts, to) <= 0
}
