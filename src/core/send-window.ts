/**
 * What was accepted for sending and is not acknowledged yet: one ring by sn that holds the segments in flight and,
 * behind them, the queue.
 *
 *        base                    fresh     sndNxt
 *         │  in flight: sent, some  │ admitted, │  queued: not numbered
 *         │  acknowledged already   │ not sent  │  officially yet
 *     ────┼──▓▓▓──▓─▓▓▓▓▓▓▓▓▓▓▓▓▓▓──┼───▓▓▓▓────┼──▓▓▓▓▓▓▓▓▓──── sn
 *
 * Payloads lie in cells of one arena, each with room for its segment's header in front. Nothing here walks the window:
 *
 * - **Deadlines** are in an indexed heap: one for each segment that was resent, and one for each run of segments that
 *   were sent once and are due at the same time, under the slot of its first one, the leader. Most runs are flushes.
 * - **Skips** (upstream's `fastack`: datagrams that acknowledged a later segment sent no earlier) are counted per event
 *   in O(1) for segments that were sent once ("first"): these lie in order of both sn and ts, so an event adds one to a
 *   prefix of them, and one mark at the prefix's end says so. A segment's count is the sum of the marks behind it.
 *   Segments that were resent carry a count each and are listed by ts: an event visits only those that were resent
 *   before what it acknowledges was sent, that is, those that were probably lost twice.
 * - A clock that steps back breaks the order by ts. Until the flight has drained, every segment then carries its own
 *   count and every event visits them all, as the reference does.
 *
 * Knows payload bytes, numbers and times, and how long a header is; nothing of windows or RTT.
 * @module
 */
import { CellArena } from './cell-arena.ts'
import { DeadlineHeap } from './deadline-heap.ts'
import { IntList } from './int-list.ts'
import { KCP_OVERHEAD } from './segment.ts'
import {
  ACKED_IN,
  CELL,
  DUE_IN,
  EXPIRES,
  FIRST,
  FIRST_TS,
  FRG,
  GONE,
  LEADS,
  LEN,
  LISTED,
  MARKS,
  NEXT,
  PREV,
  RESEND_AT,
  RTO,
  SKIPS,
  STATE,
  STRIDE,
  TS,
  UNSENT,
  XMIT,
} from './send-slot.ts'
import { isStale, seqDiff, seqStep } from './seq.ts'

const NO_SLOTS = new Int32Array(0)
/** In LEADS: it led a run and is gone from it. */
const LED = 2
const FIRST_CAPACITY = 4
/** The words that a queued segment has: up to this one, the rest is of segments in flight. */
const QUEUED_WORDS: number = RESEND_AT + 1
/**
 * Segments of a message that are copied at once to the arena's room, and from there to their cells: to copy a part of
 * the caller's bytes takes a view, which is an allocation.
 */
const STAGE = 16

/** Called for every segment that is acknowledged; `ts` is its latest transmission. */
export type OnAcked = (sn: number, ts: number, size: number, xmit: number) => void

/** Called for every message that had a time to expire: its ticket, and whether it goes out (false: it was dropped). */
export type OnOutcome = (ticket: number, sent: boolean) => void

export class SendWindow {
  // Numbers are kept as i32, see seqStep; those that others see are u32.
  /** Next sn to assign. */
  private nextSn = 0
  private baseSn = 0
  private freshSn = 0
  /** Segments in flight and not acknowledged; upstream's nsnd_buf. */
  inFlight = 0
  /** Segments that wait to be admitted; upstream's nsnd_que. */
  queued = 0
  /** Messages in the queue that expire, and none of them before `expiryAt`. */
  expiring = 0
  expiryAt = 0
  onOutcome: OnOutcome | null = null
  /** Payload bytes queued and in flight. */
  bytes = 0
  /** Payload bytes that `ack` and `ackUpTo` released; the engine resets it per datagram. */
  ackedBytes = 0

  private meta: Int32Array = NO_SLOTS
  private mask = -1
  private readonly deadlines: DeadlineHeap = new DeadlineHeap()
  /** Whether the latest run has a leader, so that it may go on, and when it is due. */
  private runOpen = false
  private runAt = 0
  /** Counts calls of `collectDue`. */
  private flushes = 0

  /** The payloads, a cell each; in the arena's room datagrams are built, and long messages are cut. */
  readonly cells: CellArena = new CellArena()
  private fullSize = 0

  /** First sn that may be in state FIRST; marks before it are dropped. */
  private firstFrom = 0
  /** Marks at firstFrom .. next. */
  private marks = 0
  /** Ends of the list of LISTED segments, slot + 1; 0 = empty. In order of TS while `ordered`. */
  private listHead = 0
  private listTail = 0
  /** Whether ts never went back since the flight was last empty. */
  private ordered = true
  /** Latest ts written since the flight was last empty; meaningful unless `calm`. */
  private lastTs = 0
  /** Nothing was sent since the flight was last empty. */
  private calm = true
  /** Whether a listed segment may have passed the threshold since the last look … */
  private stirred = false
  /** … and the latest TS that such a segment can have. */
  private stirredTo = 0
  /** Counts incoming datagrams, so that several ACKs of one datagram are judged alike. */
  private epoch = 0
  /** `base` when the datagram came. */
  private epochBase = 0
  /** Scratch: what is due in a flush, as distances from `base`. */
  private readonly due: IntList = new IntList()
  /** Whether any segment was repeated, and when the latest was (`repeated`). */
  private repeating = false
  private repeatTs = 0
  /** Whether a segment will count as lost, and when, unless it is acknowledged before (`collectLate`). */
  hasLate = false
  lateAt = 0

  /** Oldest sn in flight, or sndNxt. What upstream calls snd_una differs only while a user sets it by hand. */
  get base(): number {
    return this.baseSn >>> 0
  }

  /** First sn that was never sent: base .. sndNxt. */
  get fresh(): number {
    return this.freshSn >>> 0
  }

  /** Next sn to assign. */
  get sndNxt(): number {
    return this.nextSn >>> 0
  }

  /** Sets the next sn; only while nothing is in flight, as an upstream user does before the first flush. */
  set sndNxt(sn: number) {
    if (this.inFlight > 0 || (sn | 0) === this.nextSn) return
    const meta = this.meta.slice()
    for (let i = 0; i < this.queued; i++) {
      const from = (seqStep(this.nextSn, i) & this.mask) * STRIDE
      this.meta[from + STATE] = GONE
    }
    for (let i = 0; i < this.queued; i++) {
      const from = (seqStep(this.nextSn, i) & this.mask) * STRIDE
      const to = (seqStep(sn, i) & this.mask) * STRIDE
      this.meta.set(meta.subarray(from, from + QUEUED_WORDS), to)
    }
    this.baseSn = this.freshSn = this.firstFrom = this.nextSn = sn | 0
  }

  // ---- the queue -------------------------------------------------------------------------------------------

  /**
   * Queues `len` bytes of `from` (null: zeros) as segments of at most `mss`, copied in one go. frg counts down to 0, or
   * is 0 throughout in a stream.
   */
  append(from: Uint8Array | null, start: number, len: number, mss: number, stream: boolean): void {
    const first = seqStep(this.nextSn, this.queued)
    this.bytes += len
    if (len <= mss) {
      this.cells.copyIn(this.queue(first, len, 0), from, start, len)
      return
    }
    const count = Math.ceil(len / mss)
    for (let i = 0; i < count; i++) {
      this.queue(seqStep(first, i), Math.min(mss, len - i * mss), stream ? 0 : count - 1 - i)
    }
    this.cutIn(first, from, start, len, mss)
  }

  /** Makes a place for one more segment; where its payload goes. */
  private queue(sn: number, len: number, frg: number): number {
    const held = seqDiff(sn, this.baseSn)
    if (held > this.mask) this.growSlots(held + 1)
    const { meta, cells } = this
    const word = (sn & this.mask) * STRIDE
    const cell = cells.take(KCP_OVERHEAD + len)
    meta[word + CELL] = cell
    meta[word + LEN] = len
    meta[word + FRG] = frg
    this.queued++
    return cells.at(cell) + KCP_OVERHEAD
  }

  /** Bytes of a full segment with its header: the engine's mtu. */
  get frameSize(): number {
    return this.fullSize
  }
  set frameSize(mtu: number) {
    this.fullSize = mtu
    this.cells.largest = mtu
    this.cells.room = mtu * STAGE
  }

  /** Payload bytes of the last queued segment, or -1 when nothing is queued. */
  lastQueuedLen(): number {
    if (this.queued === 0) return -1
    return this.meta[(seqStep(this.nextSn, this.queued - 1) & this.mask) * STRIDE + LEN]!
  }

  /** Adds bytes to the last queued segment, which becomes a segment of a stream (frg 0). */
  extend(from: Uint8Array | null, start: number, len: number): void {
    const sn = seqStep(this.nextSn, this.queued - 1)
    const word = (sn & this.mask) * STRIDE
    const old = this.meta[word + LEN]!
    this.cells.widen(KCP_OVERHEAD + old + len)
    this.cells.copyIn(this.payloadAt(sn) + old, from, start, len)
    this.meta[word + LEN] = old + len
    this.meta[word + FRG] = 0
    this.bytes += len
  }

  /** Has the message of the last `count` queued segments expire at `at`, u32 ms, unless it is admitted before. */
  limit(count: number, at: number, ticket: number): void {
    const word = (seqStep(this.nextSn, this.queued - count) & this.mask) * STRIDE
    const { meta } = this
    meta[word + STATE] = EXPIRES
    meta[word + TS] = ticket
    meta[word + RESEND_AT] = at
    if (this.expiring === 0 || seqDiff(at, this.expiryAt) < 0) this.expiryAt = at >>> 0
    this.expiring++
  }

  /**
   * Drops, whole, the queued messages whose time is over at `now`; how many. No number was given to them, so none is
   * missing: what lies behind moves up. Walks the queue, once for each time that one of them expires.
   */
  expire(now: number): number {
    if (this.expiring === 0 || seqDiff(now, this.expiryAt) < 0) return 0
    const { meta, queued } = this
    const before = this.expiring
    let kept = 0
    let left = 0
    for (let i = 0; i < queued; ) {
      const word = (seqStep(this.nextSn, i) & this.mask) * STRIDE
      if (meta[word + STATE] !== EXPIRES) {
        this.moveQueued(i++, kept++)
        continue
      }
      const at = meta[word + RESEND_AT]!
      if (seqDiff(now, at) < 0) {
        if (left++ === 0 || seqDiff(at, this.expiryAt) < 0) this.expiryAt = at >>> 0
        this.moveQueued(i++, kept++)
        continue
      }
      for (let end = i + meta[word + FRG]! + 1; i < end; i++) this.discard(i)
      this.onOutcome?.(meta[word + TS]!, false)
    }
    this.queued = kept
    this.expiring = left
    return before - left
  }

  /** Moves the i-th queued segment up, to be the `to`-th. */
  private moveQueued(i: number, to: number): void {
    if (i === to) return
    const { meta } = this
    const source = (seqStep(this.nextSn, i) & this.mask) * STRIDE
    meta.copyWithin((seqStep(this.nextSn, to) & this.mask) * STRIDE, source, source + QUEUED_WORDS)
    meta[source + STATE] = GONE
  }

  /** Gives up what the i-th queued segment holds. */
  private discard(i: number): void {
    const word = (seqStep(this.nextSn, i) & this.mask) * STRIDE
    const { meta } = this
    meta[word + STATE] = GONE
    this.bytes -= meta[word + LEN]!
    this.cells.give(meta[word + CELL]!)
  }

  /** Moves the first queued segment into flight under the next sn; it is sent by the flush that called. */
  admit(rto: number, now: number): void {
    const word = (this.nextSn & this.mask) * STRIDE
    const { meta } = this
    if (this.expiring > 0 && meta[word + STATE] === EXPIRES) {
      this.expiring--
      this.onOutcome?.(meta[word + TS]!, true)
    }
    meta[word + STATE] = UNSENT
    meta[word + TS] = now
    meta[word + RTO] = rto
    meta[word + SKIPS] = 0
    meta[word + XMIT] = 0
    // It may be acknowledged before it is sent, and what was here before it may have led a run.
    meta[word + LEADS] = 0
    meta[word + RESEND_AT] = now
    this.nextSn = seqStep(this.nextSn, 1)
    this.queued--
    this.inFlight++
  }

  // ---- acknowledgements ------------------------------------------------------------------------------------

  /** Whether `sn` is in flight. */
  has(sn: number): boolean {
    return this.inFlight > 0 && this.covers(sn) && this.meta[(sn & this.mask) * STRIDE + STATE] !== GONE
  }

  /** Whether `sn`, from `fresh` to `sndNxt`, waits to be sent: it may be acknowledged before it was. */
  isUnsent(sn: number): boolean {
    return this.meta[(sn & this.mask) * STRIDE + STATE] === UNSENT
  }

  /** A datagram came: the ACKs in it are judged by what is in flight now. */
  beginDatagram(): void {
    this.epoch = (this.epoch + 1) | 0
    this.epochBase = this.baseSn
  }

  /**
   * Whether `sn` was in flight when the datagram came, and `ts` lies between the first and the latest time it went out:
   * only who saw the segment can know such a ts. The una of the same datagram may have removed `sn` already.
   */
  sentAt(sn: number, ts: number): boolean {
    if (seqDiff(sn, this.epochBase) < 0 || seqDiff(sn, this.freshSn) >= 0) return false
    const word = (sn & this.mask) * STRIDE
    const { meta } = this
    if (meta[word + XMIT] === 0) return false
    if (meta[word + STATE] === GONE && meta[word + ACKED_IN] !== this.epoch) return false
    if (seqDiff(ts, meta[word + FIRST_TS]!) < 0) return false
    return seqDiff(ts, meta[word + TS]!) <= 0 || (this.repeating && seqDiff(ts, this.repeatTs) <= 0)
  }

  /** Another ACK for `sn` in the same datagram is none that `sentAt` knows. */
  judged(sn: number): void {
    this.meta[(sn & this.mask) * STRIDE + ACKED_IN] = this.epoch - 1
  }

  /** Acknowledges one sn; false when it is not in flight. `acked` is told before the segment goes. */
  ack(sn: number, acked: OnAcked | undefined): boolean {
    if (!this.has(sn)) return false
    this.remove(sn, acked)
    if (seqDiff(sn, this.baseSn) === 0) this.settle()
    return true
  }

  /** Acknowledges every sn before `una`. */
  ackUpTo(una: number, acked: OnAcked | undefined): void {
    if (this.inFlight === 0 || seqDiff(una, this.baseSn) <= 0) return
    const { meta } = this
    let leader = -1
    while (this.inFlight > 0 && seqDiff(una, this.baseSn) > 0) {
      const slot = this.baseSn & this.mask
      if (meta[slot * STRIDE + LEADS] === 1) {
        // What a leader left of its run went with it.
        if (leader >= 0) this.deadlines.delete(leader)
        leader = slot
        meta[slot * STRIDE + LEADS] = 0
      }
      if (meta[slot * STRIDE + STATE] !== GONE) this.remove(this.baseSn, acked)
      this.baseSn = seqStep(this.baseSn, 1)
    }
    if (leader >= 0) this.passLead(leader, this.baseSn)
    this.settle()
  }

  /**
   * One datagram acknowledged `sn`, and by its `ts` a transmission of it: every earlier segment in flight that was
   * last sent no later than `ts` was skipped once.
   */
  countSkips(sn: number, ts: number): void {
    if (this.inFlight === 0 || seqDiff(sn, this.baseSn) <= 0) return
    this.passFirst()
    if (seqDiff(this.firstFrom, sn) < 0 && seqDiff(this.firstFrom, this.freshSn) < 0) {
      const word = (sn & this.mask) * STRIDE
      const oldest = this.meta[(this.firstFrom & this.mask) * STRIDE + TS]!
      // An honest ts is one at which `sn` was sent. Any other splits the prefix, so the marks cannot express it; nor can
      // they for an `sn` that was not sent yet, as what is sent before it would find them already there.
      if (
        seqDiff(sn, this.freshSn) >= 0 ||
        this.meta[word + XMIT] === 0 ||
        seqDiff(ts, this.meta[word + FIRST_TS]!) < 0 ||
        seqDiff(ts, oldest) < 0
      ) {
        this.listAll()
      } else {
        this.meta[(seqStep(sn, -1) & this.mask) * STRIDE + MARKS]!++
        this.marks++
      }
    }
    // Half the number circle ahead of us, some of the list lies before `ts` and some behind, in no order.
    const forged = seqDiff(ts, this.lastTs) > 0
    for (let link = this.listHead; link !== 0; ) {
      const word = (link - 1) * STRIDE
      if (seqDiff(ts, this.meta[word + TS]!) >= 0) {
        if (seqDiff(this.snOf(link - 1), sn) < 0) {
          this.meta[word + SKIPS]!++
          this.stir(forged ? this.lastTs : ts)
        }
      } else if (this.ordered && !forged) break
      link = this.meta[word + NEXT]!
    }
  }

  // ---- a flush ---------------------------------------------------------------------------------------------

  /**
   * Collects what a flush at `now` has to resend: segments whose RTO is over, and segments skipped at least `resend`
   * times (of those resent more than `fastLimit` times only the former; 0 = no limit). Visit them, in order of sn,
   * with `dueSn`; then send the fresh ones, fresh .. sndNxt. Returns how many.
   */
  collectDue(now: number, resend: number, fastLimit: number): number {
    this.collectTimedOut(now)
    this.collectSkipped(resend, fastLimit)
    this.due.sort()
    return this.due.length
  }

  private collectTimedOut(now: number): void {
    this.due.clear()
    const { deadlines } = this
    this.flushes = (this.flushes + 1) | 0
    while (deadlines.size > 0 && seqDiff(now, deadlines.firstAt()) >= 0) {
      const slot = deadlines.first()
      deadlines.delete(slot)
      if (this.meta[slot * STRIDE + STATE] === FIRST) this.pushRun(this.snOf(slot))
      else this.pushTimedOut(this.snOf(slot))
    }
  }

  /** The i-th segment collected, as i32. */
  dueSn(i: number): number {
    return seqStep(this.baseSn, this.due.at(i))
  }

  /** Whether a collected segment is due because its RTO is over (and not only because it was skipped). */
  timedOut(sn: number): boolean {
    return this.meta[(sn & this.mask) * STRIDE + DUE_IN] === this.flushes
  }

  /** Puts the collected segments from the i-th on back: they stay due for a later flush. */
  putBack(i: number): void {
    for (; i < this.due.length; i++) this.schedule(this.dueSn(i))
    this.stir(this.lastTs)
  }

  /** Gives a segment that is in no run a deadline of its own again. */
  private schedule(sn: number): void {
    const slot = sn & this.mask
    const word = slot * STRIDE
    if (this.meta[word + STATE] === FIRST) this.meta[word + LEADS] = 1
    this.deadlines.set(slot, this.meta[word + RESEND_AT]!)
  }

  /** Notes the first transmission of `sn`, which is `fresh`, at `now`; due again at `resendAt` with `rto`. */
  launch(sn: number, now: number, rto: number, resendAt: number): void {
    if (this.calm || seqDiff(now, this.lastTs) !== 0) this.follow(now)
    const slot = sn & this.mask
    const word = slot * STRIDE
    const { meta } = this
    meta[word + FIRST_TS] = now
    meta[word + TS] = now
    meta[word + XMIT] = 1
    meta[word + RTO] = rto
    meta[word + RESEND_AT] = resendAt
    this.freshSn = seqStep(sn, 1)
    if (!this.ordered) {
      this.link(slot)
      this.deadlines.set(slot, resendAt)
      return
    }
    meta[word + STATE] = FIRST
    if (this.runOpen && seqDiff(resendAt, this.runAt) === 0) return
    meta[word + LEADS] = 1
    this.runOpen = true
    this.runAt = resendAt | 0
    this.deadlines.set(slot, resendAt)
  }

  /** Notes another transmission of `sn` at `now`, due again at `resendAt` with `rto`. Keeps its skips unless `fast`. */
  resent(sn: number, now: number, rto: number, resendAt: number, fast: boolean): void {
    if (this.calm || seqDiff(now, this.lastTs) !== 0) this.follow(now)
    const slot = sn & this.mask
    const word = slot * STRIDE
    const { meta } = this
    if (meta[word + STATE] === FIRST) {
      this.passFirst()
      meta[word + SKIPS] = this.skipsOf(sn)
      this.leaveRun(sn)
    } else {
      this.unlink(slot)
    }
    this.link(slot)
    if (fast) meta[word + SKIPS] = 0
    // A segment that timed out keeps its skips, so it may be past the threshold already.
    else if (meta[word + SKIPS] !== 0) this.stir(now)
    meta[word + TS] = now
    meta[word + XMIT]!++
    meta[word + RTO] = rto
    meta[word + RESEND_AT] = resendAt
    this.deadlines.set(slot, resendAt)
  }

  /** Notes that some segment goes out at `now` as a repeat: ACKs may name that time, and nothing else follows from it. */
  repeated(now: number): void {
    this.repeating = true
    this.repeatTs = now
  }

  /** Has each segment that was sent again be due `rto` after it was sent last, or at `now`, unless it is due before. */
  hasten(now: number, rto: number): void {
    const { meta } = this
    for (let link = this.listHead; link !== 0; ) {
      const slot = link - 1
      const word = slot * STRIDE
      link = meta[word + NEXT]!
      if (meta[word + XMIT]! < 2) continue
      const plain = seqStep(meta[word + TS]!, rto)
      const at = seqDiff(plain, now) < 0 ? now | 0 : plain
      if (seqDiff(at, meta[word + RESEND_AT]!) >= 0) continue
      meta[word + RTO] = rto
      meta[word + RESEND_AT] = at
      this.deadlines.set(slot, at)
    }
  }

  /**
   * The clock went on by days. What was sent before counts as sent now, and is due; what was sent again since keeps its
   * latest time only. `jumped`: by so many that all messages which expire have. Walks the window.
   */
  age(now: number, jumped: boolean): void {
    const { meta } = this
    if (this.repeating && isStale(now, this.repeatTs)) this.repeating = false
    if (jumped && this.expiring > 0) {
      this.expiryAt = now >>> 0
      for (let i = 0; i < this.queued; i++) {
        const word = (seqStep(this.nextSn, i) & this.mask) * STRIDE
        if (meta[word + STATE] === EXPIRES) meta[word + RESEND_AT] = now
      }
    }
    let stale = false
    for (let sn = this.baseSn; seqDiff(sn, this.freshSn) < 0; sn = seqStep(sn, 1)) {
      const word = (sn & this.mask) * STRIDE
      if (meta[word + STATE] === GONE) continue
      if (isStale(now, meta[word + TS]!)) stale = true
      else if (isStale(now, meta[word + FIRST_TS]!)) meta[word + FIRST_TS] = meta[word + TS]!
    }
    if (!stale) return
    if (this.ordered) this.listAll()
    for (let link = this.listHead; link !== 0; ) {
      const slot = link - 1
      const word = slot * STRIDE
      link = meta[word + NEXT]!
      if (!isStale(now, meta[word + TS]!)) continue
      meta[word + FIRST_TS] = meta[word + TS] = meta[word + RESEND_AT] = now
      this.deadlines.set(slot, now)
    }
    this.lastTs = now | 0
    this.hasLate = false
  }

  /** Puts a collected segment off until `at`, though its RTO is over. */
  putOff(sn: number, at: number): void {
    this.meta[(sn & this.mask) * STRIDE + RESEND_AT] = at
    this.schedule(sn)
  }

  /**
   * Collects what a flush at `now` has to resend, as `collectDue`, but instead of counting skips by time: what was sent
   * `patience` ms ago or earlier, and before the transmission of `sn` at `ts`, which has arrived.
   */
  collectLate(now: number, ts: number, sn: number, patience: number): number {
    this.collectTimedOut(now)
    this.hasLate = false
    this.passFirst()
    for (let at = this.firstFrom; seqDiff(at, this.fresh) < 0; at = seqStep(at, 1)) {
      if (this.meta[(at & this.mask) * STRIDE + STATE] !== FIRST) continue
      if (!this.collectIfLate(at, now, ts, sn, patience)) break
    }
    for (let link = this.listHead; link !== 0; link = this.meta[(link - 1) * STRIDE + NEXT]!) {
      const at = this.snOf(link - 1)
      if (this.collectIfLate(at, now, ts, sn, patience) || !this.ordered) continue
      // What two flushes of one millisecond sent again is not in order of sn.
      if (seqDiff(this.meta[(at & this.mask) * STRIDE + TS]!, ts) !== 0) break
    }
    this.due.sort()
    return this.due.length
  }

  /** false: it is not late, and neither is what was sent after it. */
  private collectIfLate(at: number, now: number, ts: number, sn: number, patience: number): boolean {
    const slot = at & this.mask
    const sentAt = this.meta[slot * STRIDE + TS]!
    const behind = seqDiff(ts, sentAt)
    if (behind < 0 || (behind === 0 && seqDiff(sn, at) <= 0)) return false
    const lostAt = seqStep(sentAt, patience)
    if (seqDiff(now, lostAt) < 0) {
      if (!this.hasLate || seqDiff(lostAt, this.lateAt) < 0) this.lateAt = lostAt
      this.hasLate = true
      return false
    }
    if (!this.timedOut(at)) this.pushDue(at)
    return true
  }

  /** Looks at every listed segment again in the next flush: the threshold or the limit changed. */
  reconsider(): void {
    this.stir(this.lastTs)
  }

  /** Whether a segment in flight waits for its RTO. */
  get hasDeadline(): boolean {
    return this.deadlines.size > 0
  }

  /** The earliest RTO's end, u32 ms; only while hasDeadline. */
  get deadline(): number {
    return this.deadlines.firstAt()
  }

  // ---- one segment -----------------------------------------------------------------------------------------

  lenOf(sn: number): number {
    return this.meta[(sn & this.mask) * STRIDE + LEN]!
  }
  frgOf(sn: number): number {
    return this.meta[(sn & this.mask) * STRIDE + FRG]!
  }
  firstTsOf(sn: number): number {
    return this.meta[(sn & this.mask) * STRIDE + FIRST_TS]! >>> 0
  }
  tsOf(sn: number): number {
    return this.meta[(sn & this.mask) * STRIDE + TS]! >>> 0
  }
  rtoOf(sn: number): number {
    return this.meta[(sn & this.mask) * STRIDE + RTO]! >>> 0
  }
  xmitOf(sn: number): number {
    return this.meta[(sn & this.mask) * STRIDE + XMIT]! >>> 0
  }
  resendAtOf(sn: number): number {
    return this.meta[(sn & this.mask) * STRIDE + RESEND_AT]! >>> 0
  }

  /** How often `sn`, in flight, was skipped; upstream's fastack. Walks for segments sent once: for inspection. */
  skipsOf(sn: number): number {
    const word = (sn & this.mask) * STRIDE
    if (this.meta[word + STATE] !== FIRST) return this.meta[word + SKIPS]! >>> 0
    let count = this.marks
    for (let at = this.firstFrom; count > 0 && seqDiff(at, sn) !== 0; at = seqStep(at, 1)) {
      count -= this.meta[(at & this.mask) * STRIDE + MARKS]!
    }
    return count
  }

  /** Where in `cells.bytes` the header of a segment goes; its payload lies right behind. */
  frameAt(sn: number): number {
    return this.cells.at(this.meta[(sn & this.mask) * STRIDE + CELL]!)
  }

  /** A segment's header, which the caller writes, and its payload. */
  frameOf(sn: number): Uint8Array {
    const word = (sn & this.mask) * STRIDE
    return this.cells.view(this.meta[word + CELL]!, 0, KCP_OVERHEAD + this.meta[word + LEN]!)
  }

  /** Copies a segment's payload to `into` at `at`. */
  copyOut(sn: number, into: Uint8Array, at: number): void {
    const word = (sn & this.mask) * STRIDE
    this.cells.copyOut(this.meta[word + CELL]!, KCP_OVERHEAD, this.meta[word + LEN]!, into, at)
  }

  /** Slots of the ring. */
  get capacity(): number {
    return this.mask + 1
  }

  /** Gives all memory back when nothing is held. */
  trim(): void {
    if (this.inFlight === 0 && this.queued === 0) this.drop()
  }

  /** Forgets everything. */
  drop(): void {
    this.cells.drop()
    this.meta = NO_SLOTS
    this.due.drop()
    this.mask = -1
    this.deadlines.clear()
    this.runOpen = false
    this.inFlight = this.queued = this.expiring = this.bytes = this.marks = 0
    this.listHead = this.listTail = 0
    this.hasLate = false
    this.baseSn = this.freshSn = this.firstFrom = this.nextSn
  }

  // ---- inside ----------------------------------------------------------------------------------------------

  /** The sn that a slot in flight holds. */
  private snOf(slot: number): number {
    return seqStep(this.baseSn, (slot - this.baseSn) & this.mask)
  }

  private covers(sn: number): boolean {
    return seqDiff(sn, this.baseSn) >= 0 && seqDiff(sn, this.nextSn) < 0
  }

  private remove(sn: number, acked: OnAcked | undefined): void {
    const slot = sn & this.mask
    const word = slot * STRIDE
    const { meta } = this
    const len = meta[word + LEN]!
    this.ackedBytes += len
    acked?.(sn >>> 0, meta[word + TS]! >>> 0, len, meta[word + XMIT]! >>> 0)
    if (meta[word + STATE] === LISTED) {
      this.unlink(slot)
      this.deadlines.delete(slot)
    } else this.leaveRun(sn)
    meta[word + STATE] = GONE
    meta[word + ACKED_IN] = this.epoch
    this.cells.give(meta[word + CELL]!)
    this.inFlight--
    this.bytes -= len
  }

  /** A segment that was sent once goes, or is sent again: if it leads its run, the next one does. */
  private leaveRun(sn: number): void {
    const slot = sn & this.mask
    if (this.meta[slot * STRIDE + LEADS] !== 1) return
    this.meta[slot * STRIDE + LEADS] = LED
    this.passLead(slot, seqStep(sn, 1))
  }

  /**
   * Has the first segment from `sn` on that belongs to the run of `leader` lead it. Amortised: where a run began stays
   * marked, so that nobody walks what is left of another, and none is walked twice.
   */
  private passLead(leader: number, sn: number): void {
    const { meta } = this
    for (; seqDiff(sn, this.freshSn) < 0; sn = seqStep(sn, 1)) {
      const slot = sn & this.mask
      const word = slot * STRIDE
      const leads = meta[word + LEADS]!
      if (leads === 0 && meta[word + STATE] !== FIRST) continue
      if (leads !== 0 || meta[word + RESEND_AT] !== meta[leader * STRIDE + RESEND_AT]) {
        this.deadlines.delete(leader)
        return
      }
      meta[word + LEADS] = 1
      this.deadlines.replace(leader, slot)
      return
    }
    this.deadlines.delete(leader)
    this.runOpen = false
  }

  /** Moves `base` over what is gone. */
  private settle(): void {
    if (this.inFlight === 0) this.baseSn = this.nextSn
    else
      while (this.meta[(this.baseSn & this.mask) * STRIDE + STATE] === GONE)
        this.baseSn = seqStep(this.baseSn, 1)
    if (seqDiff(this.freshSn, this.baseSn) < 0) this.freshSn = this.baseSn
    if (seqDiff(this.firstFrom, this.baseSn) < 0) this.dropMarks(this.baseSn)
    if (this.inFlight === 0) this.ordered = this.calm = true
  }

  /** Something is sent at `now`. */
  private follow(now: number): void {
    if (this.calm) this.calm = false
    else if (this.ordered && seqDiff(now, this.lastTs) < 0) this.listAll()
    this.lastTs = now | 0
  }

  /** Forgets the marks before `sn`, which becomes firstFrom. */
  private dropMarks(sn: number): void {
    if (this.marks > 0) {
      for (let at = this.firstFrom; at !== sn; at = seqStep(at, 1)) this.passMark(at)
    }
    this.firstFrom = sn
  }

  private passMark(sn: number): void {
    const word = (sn & this.mask) * STRIDE
    this.marks -= this.meta[word + MARKS]!
    this.meta[word + MARKS] = 0
    this.firstFrom = seqStep(sn, 1)
  }

  /** Moves firstFrom to the first segment that is in state FIRST, or to `fresh`. Amortised: it never goes back. */
  private passFirst(): void {
    while (
      seqDiff(this.firstFrom, this.freshSn) < 0 &&
      this.meta[(this.firstFrom & this.mask) * STRIDE + STATE] !== FIRST
    ) {
      this.passMark(this.firstFrom)
    }
  }

  /** The order by ts is gone: every segment carries its own count until the flight is empty. */
  private listAll(): void {
    this.passFirst()
    let count = this.marks
    for (let sn = this.firstFrom; seqDiff(sn, this.freshSn) < 0; sn = seqStep(sn, 1)) {
      const slot = sn & this.mask
      if (this.meta[slot * STRIDE + STATE] === FIRST) {
        this.meta[slot * STRIDE + SKIPS] = count
        this.meta[slot * STRIDE + LEADS] = 0
        this.link(slot)
        this.deadlines.set(slot, this.meta[slot * STRIDE + RESEND_AT]!)
      }
      count -= this.meta[slot * STRIDE + MARKS]!
    }
    this.dropMarks(this.freshSn)
    this.ordered = this.runOpen = false
    this.stir(this.lastTs)
  }

  /** A listed segment last sent at `ts` may be past the threshold. */
  private stir(ts: number): void {
    if (!this.stirred || seqDiff(ts, this.stirredTo) > 0) this.stirredTo = ts | 0
    this.stirred = true
  }

  private collectSkipped(resend: number, fastLimit: number): void {
    this.passFirst()
    // Counts fall with sn among FIRST segments, so those past the threshold are a prefix.
    let count = this.marks
    for (let sn = this.firstFrom; count >= resend && seqDiff(sn, this.freshSn) < 0; sn = seqStep(sn, 1)) {
      const word = (sn & this.mask) * STRIDE
      if (this.meta[word + STATE] === FIRST && !this.timedOut(sn)) this.pushDue(sn)
      count -= this.meta[word + MARKS]!
    }
    if (!this.stirred) return
    this.stirred = false
    for (let link = this.listHead; link !== 0; ) {
      const slot = link - 1
      const word = slot * STRIDE
      if (this.ordered && seqDiff(this.meta[word + TS]!, this.stirredTo) > 0) break
      if (
        this.meta[word + SKIPS]! >>> 0 >= resend &&
        (fastLimit <= 0 || this.meta[word + XMIT]! <= fastLimit) &&
        this.meta[word + DUE_IN] !== this.flushes
      ) {
        this.pushDue(this.snOf(slot))
      }
      link = this.meta[word + NEXT]!
    }
  }

  /** Every segment of a run is due. */
  private pushRun(leader: number): void {
    const { meta } = this
    const resendAt = meta[(leader & this.mask) * STRIDE + RESEND_AT]!
    meta[(leader & this.mask) * STRIDE + LEADS] = 0
    for (let sn = leader; ; sn = seqStep(sn, 1)) {
      if (seqDiff(sn, this.freshSn) >= 0) {
        this.runOpen = false
        return
      }
      const word = (sn & this.mask) * STRIDE
      if (meta[word + STATE] !== FIRST) continue
      // Segments that were put back lead themselves, and those due together are visited in any order.
      if (meta[word + LEADS] !== 0 || meta[word + RESEND_AT] !== resendAt || this.timedOut(sn)) return
      this.pushTimedOut(sn)
    }
  }

  private pushTimedOut(sn: number): void {
    this.meta[(sn & this.mask) * STRIDE + DUE_IN] = this.flushes
    this.pushDue(sn)
  }

  private pushDue(sn: number): void {
    this.due.push(seqDiff(sn, this.baseSn))
  }

  /** Puts a slot at the end of the list. */
  private link(slot: number): void {
    const word = slot * STRIDE
    const { meta } = this
    meta[word + STATE] = LISTED
    meta[word + PREV] = this.listTail
    meta[word + NEXT] = 0
    if (this.listTail === 0) this.listHead = slot + 1
    else meta[(this.listTail - 1) * STRIDE + NEXT] = slot + 1
    this.listTail = slot + 1
  }

  private unlink(slot: number): void {
    const { meta } = this
    const prev = meta[slot * STRIDE + PREV]!
    const next = meta[slot * STRIDE + NEXT]!
    if (prev === 0) this.listHead = next
    else meta[(prev - 1) * STRIDE + NEXT] = next
    if (next === 0) this.listTail = prev
    else meta[(next - 1) * STRIDE + PREV] = prev
  }

  private growSlots(needed: number): void {
    let capacity = Math.max(FIRST_CAPACITY, this.mask + 1)
    while (capacity < needed) capacity *= 2
    const meta = new Int32Array(capacity * STRIDE)
    const held = seqDiff(this.nextSn, this.baseSn) + this.queued
    const moved = (link: number): number => (link === 0 ? 0 : (this.snOf(link - 1) & (capacity - 1)) + 1)
    this.deadlines.clear()
    this.deadlines.reserve(capacity)
    for (let i = 0; i < held; i++) {
      const sn = seqStep(this.baseSn, i)
      const from = (sn & this.mask) * STRIDE
      const slot = sn & (capacity - 1)
      const to = slot * STRIDE
      meta.set(this.meta.subarray(from, from + STRIDE), to)
      const state = meta[to + STATE]!
      if (state === LISTED || (state === FIRST && meta[to + LEADS] !== 0)) {
        this.deadlines.set(slot, meta[to + RESEND_AT]!)
      }
      if (state === LISTED) {
        meta[to + PREV] = moved(meta[to + PREV]!)
        meta[to + NEXT] = moved(meta[to + NEXT]!)
      }
    }
    this.listHead = moved(this.listHead)
    this.listTail = moved(this.listTail)
    this.meta = meta
    this.mask = capacity - 1
  }

  // ---- payloads --------------------------------------------------------------------------------------------

  private payloadAt(sn: number): number {
    return this.frameAt(sn) + KCP_OVERHEAD
  }

  /** Copies the bytes of a message to the cells of the segments from `first` on. */
  private cutIn(first: number, from: Uint8Array | null, start: number, len: number, mss: number): void {
    const { bytes, roomAt, lent } = this.cells
    const staged = roomAt === 0 || lent ? 0 : Math.floor((bytes.length - roomAt) / mss)
    for (let sn = first, at = 0; at < len; ) {
      if (staged <= 1) {
        this.cells.copyIn(this.payloadAt(sn), from, start + at, Math.min(mss, len - at))
        sn = seqStep(sn, 1)
        at += mss
        continue
      }
      const end = Math.min(len, at + staged * mss)
      this.cells.copyIn(roomAt, from, start + at, end - at)
      for (let source = roomAt; at < end; at += mss, source += mss) {
        bytes.copyWithin(this.payloadAt(sn), source, source + Math.min(mss, end - at))
        sn = seqStep(sn, 1)
      }
    }
  }
}
