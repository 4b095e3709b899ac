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
import { type Received, ReferenceReceiver, sizeOf } from './receiver.ts'
import { Evidence, isLater, Repetition } from './recovery.ts'
import {
  ACK,
  concat,
  decode,
  diff,
  encode,
  HEADER,
  i32,
  isOld,
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

/** What all segments of a flush have in common, and what those without payload have. */
type Blank = Pick<Segment, 'conv' | 'frg' | 'wnd' | 'una' | 'len' | 'data'>

const RTO_MAX = 60_000
const PROBE_WAIT_MAX = 120_000
const SSTHRESH_MIN = 2
/** With `lossDetection: 'time'`: segments that RTOs send again in one flush, and skips that a fast resend stands for. */
const TIMEOUTS_MAX = 16
const DUP_ACKS = 3
/** A longer flight is a transfer, bytes: nothing of it is repeated. */
const REPEATED_FLIGHT_MAX = 8 * 1024
/** What a datagram costs that leaves for repeats alone. */
const IP_HEADERS = 28
const NOTHING = new Uint8Array(0)

export class ReferenceEngine extends ReferenceReceiver {
  now = 0
  agedAt = 0
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

  srtt = 0
  rttvar = 0
  rto = 200
  /** With `lossDetection: 'time'`: the most deviation in this round trip, and when that began. */
  private deviation = 0
  private tripAt = 0

  // With `lossDetection: 'time'` or `redundancy`: what ACKs told, and what is repeated.
  evidence: Evidence | undefined
  repetition: Repetition | undefined
  /** When anything was repeated last: an ACK may name that time. */
  private repeatedAt: number | undefined
  /** When the first of those that were overtaken, but may be late only, counts as lost. */
  private lostAt: number | undefined
  /** How long after its transmission that is, ms. */
  private patience = 0
  /** The newest segment was sent again, and nothing was heard or sent since. */
  private tailProbed = false
  /** The windows before an RTO shrank them, until an ACK tells whether it was right. */
  private before: { readonly cwnd: number; readonly cwndBytes: number; readonly ssthresh: number } | undefined

  // Windows: the peer's, and what congestion leaves of it, also counted in bytes.
  rmtWnd = 128
  cwnd = 0
  cwndBytes = 0
  ssthresh = 2
  askPending = false
  /** While the peer's window is closed: how long to wait for the next question, and until when. */
  probeWait = 0
  probeAt = 0

  // Whether the peer receives at its address: it echoed a ts of ours.
  proven = false
  challengePending = false
  challenge: { readonly sn: number; from: number; to: number } | undefined
  /** Latest ts of a PUSH of ours, and the newest one that was echoed. */
  sentTs: number | undefined
  echoedTs = 0

  private settings!: ResolvedKcpConfig
  private readonly conv: number
  private readonly output: (datagram: Uint8Array) => void
  /** The datagram under construction. */
  private pending: Uint8Array = NOTHING
  /** The window that the flush at work tells. */
  private flushWnd = 0

  constructor(conv: number, config: ResolvedKcpConfig, output: (datagram: Uint8Array) => void) {
    super()
    this.conv = conv
    this.config = config
    this.output = output
  }

  /** May be replaced at any time. */
  get config(): ResolvedKcpConfig {
    return this.settings
  }
  set config(config: ResolvedKcpConfig) {
    this.settings = config
    const { lossDetection, redundancy } = config
    if (lossDetection === 'count') this.lostAt = undefined
    if (lossDetection === 'count' && redundancy === 0) {
      this.evidence = this.repetition = this.before = undefined
      return
    }
    this.evidence ??= new Evidence()
    this.repetition ??= new Repetition()
    this.repetition.ofResends = lossDetection === 'time' ? 1 : 0
    if (redundancy !== 'auto') this.repetition.level = redundancy
  }

  private get byTime(): boolean {
    return this.config.lossDetection === 'time'
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

  // ---- a datagram comes in -----------------------------------------------------------------------------------

  /**
   * 0; -1 too short or of another conversation, -2 cut short, -3 unknown command. What was `recovered` from others came
   * later than it was sent to come: it tells no time, and its window is an old one.
   */
  input(datagram: Uint8Array, now: number, recovered = false): number {
    this.keepTime(now)
    this.counters.datagramsIn++
    this.counters.bytesIn += datagram.length
    const result = this.read(datagram, recovered)
    if (result !== 0) this.counters.inputErrors++
    return result
  }

  private read(datagram: Uint8Array, recovered: boolean): number {
    if (datagram.length < HEADER) return -1
    const unaBefore = this.sndUna
    // A una may remove a segment before its own ACK in the same datagram comes.
    let flight: readonly Sent[] = this.sndBuf
    let newest: Segment | undefined
    let sample: number | undefined
    let fault = 0

    let at = 0
    while (datagram.length - at >= HEADER) {
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
      if (!recovered && (!freshWnd || diff(una, this.sndUna) >= 0)) this.rmtWnd = wnd
      if (!this.peer.unproven) {
        const first = this.sndBuf.findIndex((one) => diff(una, one.sn) <= 0)
        this.leaveInFlight(this.sndBuf.slice(first < 0 ? this.sndBuf.length : first))
      }

      if (cmd === PUSH) this.acceptPush(segment, this.peer.isCautious(una, this.now))
      if (cmd === WASK) this.tellPending = true
      if (cmd !== ACK) continue
      const named = flight.find((one) => this.isNamed(one, segment))
      const known = named !== undefined || this.isChallenge(segment)
      if (this.config.hardening.strictAck && known && this.peer.tellsLoss(una, ts)) {
        this.peer.lost = true
        continue
      }
      if (named === undefined) this.evidence?.arrivedLate(sn, ts)
      if (named !== undefined && this.peer.heard(una, this.now)) {
        const later = this.sndBuf.findIndex((one) => diff(una, one.sn) <= 0)
        this.leaveInFlight(this.sndBuf.slice(later < 0 ? this.sndBuf.length : later))
      }
      const [counts, timed] = this.judge(segment, named !== undefined)
      if (timed && !recovered && !(sampleOnce && counts)) this.sampleRtt(ts)
      if (!counts) continue
      sample = recovered ? undefined : ts
      if (this.sndBuf.some((one) => one.sn === sn)) {
        this.leaveInFlight(this.sndBuf.filter((one) => one.sn !== sn))
      }
      if (named !== undefined && !recovered && this.evidence !== undefined) {
        this.learn(this.evidence, named, ts)
        flight = flight.filter((one) => one !== named)
      }
      // A datagram skips segments once, by its largest sn; a larger one with an older ts says nothing new.
      if (newest === undefined || (diff(sn, newest.sn) > 0 && diff(ts, newest.ts) > 0)) newest = segment
    }

    if (this.config.hardening.sampleOnce && sample !== undefined) this.sampleRtt(sample)
    // What came before a fault stays, but it skips nothing and opens no window.
    if (fault !== 0) return fault
    // Nobody minds what is too short to be a segment, but it is counted.
    if (at < datagram.length) this.counters.inputErrors++
    if (newest !== undefined && this.byTime) this.tailProbed = false
    else if (newest !== undefined) this.countSkips(newest.sn, newest.ts)
    if (diff(this.sndUna, unaBefore) > 0) this.growCwnd()
    return 0
  }

  /** Whether a challenge went out with this number at this time. */
  private isChallenge({ sn, ts }: { readonly sn: number; readonly ts: number }): boolean {
    const { challenge } = this
    return (
      challenge !== undefined &&
      sn === challenge.sn &&
      u32(challenge.to - ts) <= u32(challenge.to - challenge.from)
    )
  }

  /** Whether an ACK counts, and whether it tells the round-trip time; whoever names a time of ours has seen it. */
  private judge({ sn, ts }: Segment, genuine: boolean): [counts: boolean, timed: boolean] {
    const answer = this.isChallenge({ sn, ts })
    if (genuine || answer) {
      this.proven = true
      const behind = (at: number): number => u32((this.sentTs ?? 0) - at)
      if (behind(ts) < behind(this.echoedTs)) this.echoedTs = ts
    }
    if (genuine || !this.config.hardening.strictAck) return [true, true]
    if (!answer) this.counters.staleAcks++
    return [false, answer]
  }

  /** Whether an ACK names a time at which this segment went out, or may have been repeated. */
  private isNamed(one: Sent, { sn, ts }: Segment): boolean {
    if (one.sn !== sn || one.xmit === 0) return false
    const { repeatedAt } = this
    return (
      within(one.firstTs, ts, one.ts) || (repeatedAt !== undefined && within(one.firstTs, ts, repeatedAt))
    )
  }

  /** An ACK names the transmission of a segment at `ts`. */
  private learn(evidence: Evidence, { sn, firstTs, ts: latestTs }: Sent, ts: number): void {
    const { before, counters } = this
    const eachAnswered = 2 * counters.staleAcks > counters.repeats
    evidence.learn(sn, ts, firstTs, this.now, this.srtt, eachAnswered && ts !== latestTs)
    if (diff(ts, latestTs) < 0) {
      counters.spuriousResends++
      // The RTO was too short, so what it did to the windows is taken back.
      if (before !== undefined) {
        this.cwnd = Math.max(this.cwnd, before.cwnd)
        this.cwndBytes = Math.max(this.cwndBytes, before.cwndBytes)
        this.ssthresh = Math.max(this.ssthresh, before.ssthresh)
      }
    }
    this.before = undefined
    if (this.config.redundancy === 'auto') this.repetition?.choose(this.loss, this.srtt)
  }

  /** Share of losses. */
  get loss(): number {
    this.evidence?.giveUp(this.now)
    return this.evidence?.loss ?? 0
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
      this.tripAt = this.now
    } else {
      const deviation = Math.abs(rtt - this.srtt)
      if (this.byTime) this.varySteadily(deviation)
      else this.rttvar = Math.trunc((i32(3 * this.rttvar) + deviation) / 4)
      this.srtt = Math.max(1, Math.trunc(i32(7 * this.srtt + rtt) / 8))
    }
    const rto = u32(this.srtt + Math.max(this.config.interval, u32(4 * this.rttvar)))
    this.rto = Math.min(Math.max(this.config.minRto, rto), RTO_MAX)
  }

  /** Variation that rises at once, and falls once a round trip. */
  private varySteadily(deviation: number): void {
    this.deviation = Math.max(this.deviation, deviation)
    if (diff(this.now, this.tripAt) < this.srtt) {
      this.rttvar = Math.max(this.rttvar, deviation)
      return
    }
    const fallen = i32(Math.trunc((3 * this.rttvar + this.deviation) / 4))
    this.rttvar = Math.max(this.deviation, fallen)
    this.deviation = 0
    this.tripAt = this.now
  }

  // ---- the clock ---------------------------------------------------------------------------------------------

  keepTime(now: number): void {
    this.now = u32(now)
    const since = diff(this.now, this.agedAt)
    if (this.config.hardening.ageTimes && (since > 2 ** 28 || since < -10_000)) this.age(since < 0)
  }

  /** Days went by: what is old is of now, or forgotten. `far`: so many that every message has expired. */
  private age(far: boolean): void {
    const { now } = this
    this.agedAt = now
    if (this.repeatedAt !== undefined && isOld(this.repeatedAt, now)) this.repeatedAt = undefined
    if (far) {
      this.sndQueue = this.sndQueue.map((one) =>
        one.expiresAt === undefined ? one : { ...one, expiresAt: now },
      )
    }
    for (const one of this.sndBuf) {
      if (one.xmit === 0) continue
      if (isOld(one.ts, now)) {
        one.firstTs = one.ts = one.resendAt = now
        this.lostAt = undefined
      } else if (isOld(one.firstTs, now)) one.firstTs = one.ts
    }
    if (this.probeWait > 0 && diff(this.probeAt, now) > this.probeWait) this.probeAt = now
    if (isOld(this.tripAt, now)) this.tripAt = now
    this.evidence?.age(now)
    this.repetition?.age(now)
  }

  /** Flushes once an interval. */
  update(now: number): void {
    this.keepTime(now)
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
    const timers = [this.timerAt, this.repeatAt].filter((at) => at !== undefined)
    const waits = timers.map((at) => diff(at, now))
    return u32(now + Math.max(0, Math.min(-late, this.config.interval, ...waits)))
  }

  /** When a segment in flight wants a flush. */
  get timerAt(): number | undefined {
    const times = this.sndBuf.filter(({ xmit }) => xmit > 0).map(({ resendAt }) => resendAt)
    if (times.length === 0) return undefined
    for (const at of [this.lostAt, this.tailAt]) if (at !== undefined) times.push(at)
    return times.reduce((a, b) => (diff(b, a) < 0 ? b : a))
  }

  /** When the newest segment is sent again to hear something: after two round trips of silence. */
  private get tailAt(): number | undefined {
    const { sentTs, srtt } = this
    if (!this.byTime || this.tailProbed || this.sndBuf.length === 0 || srtt === 0) return undefined
    return u32((sentTs ?? 0) + Math.max(10, 2 * srtt))
  }

  /** When repeats leave alone. */
  get repeatAt(): number | undefined {
    const { repetition } = this
    if (repetition === undefined || repetition.list.length === 0) return undefined
    return this.sndBuf.length > 0 && this.mayRepeat ? repetition.aloneAt(this.srtt) : undefined
  }

  /** Neither a transfer nor a path whose queue is filling. */
  private get mayRepeat(): boolean {
    if (this.sndQueue.length > 0 || sizeOf(this.sndBuf) > REPEATED_FLIGHT_MAX || this.srtt === 0) return false
    return this.srtt <= 2 * this.evidence!.shortest + 10
  }

  // ---- a flush -----------------------------------------------------------------------------------------------

  /** Sends what is due: ACKs, probes, a challenge, then resends and new segments in order of sn. */
  flush(now: number): void {
    this.keepTime(now)
    now = this.now
    if (!this.started) return
    const { counters } = this
    const { nodelay, hardening } = this.config
    const [cwndBefore, errorsBefore] = [this.cwnd, counters.outputErrors]
    const wnd = hardening.clampWnd ? Math.min(this.freeSlots(), 65_535) : this.freeSlots()
    if (hardening.tellOpened && this.toldWnd === 0 && wnd > 0) this.tellPending = true
    this.flushWnd = wnd
    const blank: Blank = { conv: this.conv, frg: 0, wnd, una: this.rcvNxt, len: 0, data: NOTHING }

    for (const ack of this.owed) this.write({ ...blank, cmd: ACK, ...ack })
    counters.acksOut += this.owed.length
    // In C the probes carry what the last ACK left in their fields.
    const fields = this.owed.at(-1) ?? { sn: 0, ts: 0 }
    this.owed = []
    this.followPeersWindow()
    // What an unproven address is asked has to be paid for.
    if (this.askPending && this.affords(0)) this.write({ ...blank, cmd: WASK, ...fields })
    if (this.tellPending) this.write({ ...blank, cmd: WINS, ...fields })
    this.askPending = this.tellPending = false
    if (this.challengePending) this.writePush({ ...blank, cmd: PUSH, ts: now, sn: this.challengeSn() })
    this.challengePending = false

    this.expire(now)
    this.admit()
    this.findOvertaken()
    const grace =
      (nodelay === 0 ? this.rto >>> 3 : 0) + ((this.byTime && this.repetition?.grace(this.srtt)) || 0)
    let [late, fast, timeouts] = [0, 0, 0]
    for (const segment of this.sndBuf) {
      const why = this.whyNow(segment)
      if (why === 'not') continue
      if (!this.affords(segment.data.length)) break
      if (why === 'late' && this.byTime && ++timeouts > TIMEOUTS_MAX) {
        segment.resendAt = u32(now + segment.rto)
        continue
      }
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
      this.transmit(segment, blank)
      // The first time without nodelay an eighth on top, and by time what the next message takes to come.
      if (why === 'new') segment.resendAt = u32(segment.resendAt + grace)
      this.repetition?.note(segment.sn, now, why === 'new')
    }
    this.probeTail(blank)
    this.repeat(blank)
    this.emit()
    this.timeouts += late
    counters.timeoutResends += late
    counters.fastResends += fast
    this.shrinkCwnd(fast > 0, late > 0, cwndBefore)
    if (counters.outputErrors > errorsBefore) throw new Error('ERR_KCP_OUTPUT')
  }

  /** Sends a segment, for the first time or again. */
  private transmit(segment: Sent, blank: Blank): void {
    const { now } = this
    segment.ts = now
    segment.resendAt = u32(now + segment.rto)
    segment.xmit++
    this.counters.segmentsOut++
    if (segment.xmit === 1) this.tailProbed = false
    if (segment.xmit >= this.config.deadLink) this.dead = true
    const { sn, frg, data } = segment
    this.writePush({ ...blank, cmd: PUSH, frg, ts: now, sn, len: data.length, data })
    // Beside a full one there is no room for anything.
    if (data.length + 2 * HEADER > this.config.mtu) this.emit()
  }

  private whyNow({ xmit, ts, resendAt, skips, sn }: Sent): 'new' | 'late' | 'skipped' | 'not' {
    const { resend, fastLimit } = this.config
    if (xmit === 0) return 'new'
    if (diff(this.now, resendAt) >= 0) return 'late'
    if (this.byTime)
      return this.isOvertaken({ sn, ts }) && diff(this.now, ts + this.patience) >= 0 ? 'skipped' : 'not'
    return resend > 0 && skips >= resend && (fastLimit <= 0 || xmit <= fastLimit) ? 'skipped' : 'not'
  }

  /** Whether something that was sent later has arrived. */
  private isOvertaken(segment: { readonly sn: number; readonly ts: number }): boolean {
    const newest = this.evidence?.newest
    return newest !== undefined && isLater(newest, segment)
  }

  /** Looks for when the next of those that were overtaken counts as lost. */
  private findOvertaken(): void {
    if (!this.byTime || this.evidence?.newest === undefined) return
    this.patience = this.evidence.patience(this.srtt, this.now)
    const times = this.sndBuf
      .filter((one) => one.xmit > 0 && this.isOvertaken(one))
      .map(({ ts }) => u32(ts + this.patience))
      .filter((at) => diff(this.now, at) < 0)
    this.lostAt = times.length === 0 ? undefined : times.reduce((a, b) => (diff(b, a) < 0 ? b : a))
  }

  /** Sends the newest segment again when it is time: its ACK tells which others are lost. */
  private probeTail(blank: Blank): void {
    const { tailAt } = this
    if (tailAt === undefined || diff(this.now, tailAt) < 0) return
    const newest = this.sndBuf.findLast(({ xmit }) => xmit > 0)
    if (newest === undefined || !this.affords(newest.data.length)) return
    newest.skips = 0
    this.tailProbed = true
    this.counters.tailProbes++
    this.transmit(newest, blank)
  }

  /** Puts what is to be repeated into the room that the datagram has left, newest first; alone when it is time. */
  private repeat(blank: Blank): void {
    const { repetition, now } = this
    if (repetition === undefined) return
    repetition.forget((sn) => this.sndBuf.some((one) => one.sn === sn))
    if (repetition.list.length === 0 || !this.mayRepeat) return
    if (this.pending.length === 0 && diff(now, repetition.aloneAt(this.srtt)) < 0) return
    repetition.quietSince = now
    for (const one of [...repetition.list].reverse()) {
      const segment = this.sndBuf.find(({ sn }) => sn === one.sn)
      // What hits one datagram often hits the next: copies are two milliseconds apart.
      if (segment === undefined || one.left === 0 || diff(now, one.ts) < 2) continue
      const { sn, frg, data } = segment
      const bytes = HEADER + data.length
      if (this.pending.length + bytes > this.config.mtu) continue
      const cost = this.pending.length === 0 ? bytes + IP_HEADERS : bytes
      if (!this.affords(data.length) || !repetition.pay(cost, now)) {
        repetition.list = []
        return
      }
      one.left--
      one.ts = this.repeatedAt = now
      this.counters.repeats++
      this.writePush({ ...blank, cmd: PUSH, frg, ts: now, sn, len: data.length, data })
    }
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

  /** Always the same number, below all in use: the peer acknowledges and drops it. */
  private challengeSn(): number {
    const sn = this.sndUna < 2 ** 30 ? 0xffff_ffff : u32(this.sndUna - 1)
    this.challenge ??= { sn, from: this.now, to: this.now }
    const { challenge, now } = this
    if (u32(now - challenge.from) > 3_600_000) challenge.from = challenge.to
    if (u32(now - challenge.from) > 3_600_000) challenge.from = now
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
    const { sndWnd, nc, maxInFlight } = this.config
    const end = this.sndUna + Math.min(sndWnd, this.rmtWnd, nc ? sndWnd : this.cwnd)
    const { now, rto } = this
    const most = maxInFlight > 0 ? maxInFlight : Number.POSITIVE_INFINITY
    while (this.sndQueue.length > 0 && diff(this.sndNxt, end) < 0 && this.sndBuf.length < most) {
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

  /**
   * Whether the allowance covers what is written and `len` bytes behind it. What leaves no room for them goes out before
   * that is known, as its parity may be paid from the allowance too.
   */
  private affords(len: number): boolean {
    if (this.allowance === Number.POSITIVE_INFINITY) return true
    if (this.pending.length + HEADER + len > this.config.mtu) this.emit()
    return this.pending.length + HEADER + len + this.overhead <= this.allowance
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

  /** The peer is heard again: what was sent again waits for one RTO since then, and no longer. */
  forgetBackoff(now: number): void {
    for (const segment of this.sndBuf) {
      const plain = u32(segment.ts + this.rto)
      const at = diff(plain, now) < 0 ? u32(now) : plain
      if (segment.xmit < 2 || diff(at, segment.resendAt) >= 0) continue
      segment.rto = this.rto
      segment.resendAt = at
    }
  }

  /** Gives the memory of empty lists back; what else is forgotten with it can be told. */
  trim(): void {
    if (this.owed.length === 0) this.owedRoom = 0
    if (this.sndBuf.length + this.sndQueue.length === 0) this.lostAt = undefined
  }

  private emit(): void {
    const datagram = this.pending
    if (datagram.length === 0) return
    this.pending = NOTHING
    this.counters.datagramsOut++
    this.counters.bytesOut += datagram.length
    this.toldWnd = this.flushWnd
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
      this.setCwnd(this.ssthresh + (this.config.resend || DUP_ACKS))
    }
    const { cwnd, cwndBytes, ssthresh } = this
    if (timedOut && this.byTime) this.before ??= { cwnd, cwndBytes, ssthresh }
    if (timedOut) this.ssthresh = Math.max(before >>> 1, SSTHRESH_MIN)
    if (timedOut || this.cwnd < 1) this.setCwnd(1)
  }

  private setCwnd(cwnd: number): void {
    this.cwnd = u32(cwnd)
    this.cwndBytes = u32(this.cwnd * this.mss)
  }
}

/** Whether `ts` is one of these times, or lies between them. */
function within(from: number, ts: number, to: number): boolean {
  return diff(ts, from) >= 0 && diff(ts, to) <= 0
}
