/**
 * Which segments go out again before anybody knows that they were lost: the newest ones that are not acknowledged, in
 * the room that a datagram has left, or on their own when nothing else leaves soon. A lost message then arrives one
 * message later instead of a round trip later; every KCP discards what it has already.
 *
 * Remembers the latest transmissions and how often each is still to be repeated. What a repeat costs is bounded: by the
 * level, by bytes per second, and by leaving bulk alone. Knows no bytes; the engine writes them.
 * See docs/decisions/0016.
 * @module
 */
import { NO_BYTES } from './memory.ts'
import { isStale, seqAdd, seqDiff } from './seq.ts'

/** Transmissions remembered: more were repeated often enough, or are bulk. A power of two. */
const REMEMBERED = 64
/** Least time between two copies, ms: what hits one datagram often hits the next. */
const MIN_GAP = 2
/** A lone repeat waits for the next message when that is expected within this share of srtt, or within PATIENCE ms. */
const WAIT_SHARE = 1 / 2
const PATIENCE = 30
/** An RTO waits for the ACK of the next message when that is expected within this share of srtt, or within PATIENCE. */
const EVIDENCE_SHARE = 1 / 4
/** Otherwise a lone repeat waits this share of srtt, within these bounds, ms. */
const LONE_SHARE = 1 / 16
const LONE_MIN = 2
const LONE_MAX = 10
/** A message this much later than usual is not waited for any more. */
const LATE = 1.25
/** Messages this far apart are no flow whose next one could be foreseen, ms. */
const INTERVAL_MAX = 1_000
/** Weight of one message in the estimate of the interval. */
const INTERVAL_WEIGHT = 1 / 8
/** Bytes of repeats per second, and that may be saved up: what a game sends, nothing for a transfer. */
const BYTES_PER_SECOND = 64 * 1024
const BYTES_SAVED = 16 * 1024
/** Most that `auto` chooses: at a loss of 1 nothing would ever be enough. */
const AUTO_MAX = 3
/** Messages later than they could be that `auto` puts up with, as a share: below the hundredth that p99 looks at. */
const AUTO_TARGET = 0.008

const NO_NUMBERS = new Int32Array(0)

export class Repeats {
  /** Repeats of each transmission, fractions allowed: 1.5 repeats one once and the next twice. */
  level = 0
  /** Choose the level from what is measured. */
  auto = false
  /** Repeats of a resend at least: what was lost once holds back all that was sent since. */
  ofResends = 0
  // Made when there is something to remember.
  private sns: Int32Array = NO_NUMBERS
  private left: Uint8Array = NO_BYTES
  private sentAt: Int32Array = NO_NUMBERS
  /** Transmissions noted so far; the newest lies before it. */
  private end = 0
  private count = 0
  /** Latest time that a segment or a repeat left, or could have. */
  private quietSince = 0
  /** What fractions of the level have added up to. */
  private owed = 0
  /** Time between two messages, ms, smoothed; and when the latest was noted. */
  private interval: number = INTERVAL_MAX
  private notedAt = 0
  private began = false
  private budget: number = BYTES_SAVED
  private budgetAt = 0

  /** Whether there is anything to repeat. */
  get pending(): boolean {
    return this.count > 0
  }

  /** How many are remembered; 0 is the newest. */
  get size(): number {
    return this.count
  }

  /** `sn` was transmitted at `now`; `fresh`: for the first time. */
  note(sn: number, now: number, fresh: boolean): void {
    if (fresh) this.pace(now)
    else this.forget(sn)
    const wished = this.level + this.owed
    let times = Math.floor(wished)
    this.owed = wished - times
    if (!fresh && times < this.ofResends) times = this.ofResends
    if (times === 0) return
    if (this.sns === NO_NUMBERS) {
      this.sns = new Int32Array(REMEMBERED)
      this.left = new Uint8Array(REMEMBERED)
      this.sentAt = new Int32Array(REMEMBERED)
    }
    const at = this.end++ & (REMEMBERED - 1)
    this.sns[at] = sn
    this.left[at] = times
    this.sentAt[at] = now
    this.count = Math.min(this.count + 1, REMEMBERED)
    this.quietSince = now
  }

  /** The sn of the i-th newest. */
  snAt(i: number): number {
    return this.sns[this.slot(i)]! >>> 0
  }

  /** Whether the i-th newest may go out again at `now`. */
  isRipe(i: number, now: number): boolean {
    const at = this.slot(i)
    return this.left[at]! > 0 && seqDiff(now, this.sentAt[at]!) >= MIN_GAP
  }

  /** Whether `bytes` more of repeats are within the budget; takes them if so. */
  afford(bytes: number, now: number): boolean {
    const passed = Math.max(0, seqDiff(now, this.budgetAt))
    this.budgetAt = now
    this.budget = Math.min(BYTES_SAVED, this.budget + (passed * BYTES_PER_SECOND) / 1000)
    if (this.budget < bytes) return false
    this.budget -= bytes
    return true
  }

  /** The i-th newest went out again. */
  repeated(i: number, now: number): void {
    const at = this.slot(i)
    this.left[at]!--
    this.sentAt[at] = now
  }

  /** A flush at `now` had its chance, whatever came of it. */
  tried(now: number): void {
    this.quietSince = now
  }

  /** Forgets the oldest ones that are done: acknowledged (`has` says which are not) or repeated often enough. */
  settle(has: (sn: number) => boolean): void {
    while (this.count > 0) {
      const at = this.slot(this.count - 1)
      if (this.left[at]! > 0 && has(this.sns[at]! >>> 0)) return
      this.count--
    }
  }

  /** What was to be repeated of an earlier transmission is not any more. */
  private forget(sn: number): void {
    for (let i = 0; i < this.count; i++) {
      const at = this.slot(i)
      if (this.sns[at] === (sn | 0)) this.left[at] = 0
    }
  }

  /** Forgets all. */
  clear(): void {
    this.count = 0
  }

  /** Time until the next message, ms, if one is expected soon enough to be waited for with an RTO; otherwise 0. */
  expected(srtt: number): number {
    const soon = Math.min(srtt, Math.max(PATIENCE, srtt * EVIDENCE_SHARE))
    return this.interval <= soon ? Math.ceil(this.interval) : 0
  }

  /** When repeats go out on their own, u32 ms; only while `pending`. */
  loneAt(srtt: number): number {
    const expected = this.interval * LATE
    const wait =
      expected <= Math.max(srtt * WAIT_SHARE, PATIENCE)
        ? expected
        : Math.min(LONE_MAX, Math.max(LONE_MIN, srtt * LONE_SHARE))
    return seqAdd(this.quietSince, Math.ceil(wait))
  }

  /**
   * Chooses the level when `auto`: a message that is lost as often as it was sent waits for a round trip, and with it
   * all that follow meanwhile. As many repeats as keep their share at AUTO_TARGET; above one, for some messages one
   * more.
   */
  adapt(loss: number, srtt: number): void {
    if (!this.auto) return
    let late = loss * (1 + srtt / Math.max(1, this.interval))
    let level = 0
    for (; late > AUTO_TARGET && level < AUTO_MAX; level++) {
      const later = late * loss
      if (later < AUTO_TARGET) {
        level += (late - AUTO_TARGET) / (late - later)
        break
      }
      late = later
    }
    // Half of the messages repeated would leave the other half as late as ever: all or none, whichever is nearer. A late
    // packet or two, which look like losses, turn nothing on.
    this.level = level < 1 ? Math.round(level) : level
  }

  /** The clock went on by days: nothing of before is repeated, and the budget is full. */
  age(now: number): void {
    if (isStale(now, this.quietSince)) {
      this.clear()
      this.quietSince = now
    }
    if (isStale(now, this.notedAt)) this.notedAt = now
    if (!isStale(now, this.budgetAt)) return
    this.budget = BYTES_SAVED
    this.budgetAt = now
  }

  private pace(now: number): void {
    const gap = Math.max(0, seqDiff(now, this.notedAt))
    this.notedAt = now
    if (!this.began) {
      this.began = true
      return
    }
    // Segments of one flush are one message, or one burst.
    if (gap === 0) return
    this.interval += INTERVAL_WEIGHT * (Math.min(gap, INTERVAL_MAX) - this.interval)
  }

  private slot(i: number): number {
    return (this.end - 1 - i) & (REMEMBERED - 1)
  }
}
