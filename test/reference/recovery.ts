/**
 * What `lossDetection: 'time'` and `redundancy` remember, as plain lists; written from docs/decisions/0016. The sums that
 * come out as fractions are added in the order that the fast engine adds them in: otherwise they differ in the last bit.
 * @module
 */
import { diff, isOld, u32 } from './wire.ts'

/** A first transmission that a copy overtook, and until when its own ACK may come. */
interface Awaited {
  readonly sn: number
  readonly ts: number
  readonly until: number
  readonly unclear: boolean
}

/** What ACKs that name a transmission tell. */
export class Evidence {
  /** The newest transmission that arrived, and the round trip that it took. */
  newest: { readonly sn: number; readonly ts: number; readonly rtt: number } | undefined
  /** Share of segments whose first transmission was not the one that was acknowledged. */
  loss = 0
  private heard = 0
  /** First transmissions that a copy overtook: they are lost if their own ACK does not come in time. */
  private awaited: Awaited[] = []
  /** The shortest round trip of these ten seconds, and of the ten before. */
  private shortestNow: number = Number.POSITIVE_INFINITY
  private shortestBefore: number = Number.POSITIVE_INFINITY
  private nowSince = 0
  /** How much later than one sent after it a transmission came, and when that was seen last. */
  private overtakenBy = 0
  private overtakenAt = 0

  /**
   * At `now` an ACK names the transmission of `sn` at `ts`. `unclear`: of a repeat, by a peer that answers each copy, so the
   * ACK of the first transmission may be what was lost.
   */
  learn(sn: number, ts: number, firstTs: number, now: number, srtt: number, unclear: boolean): void {
    this.giveUp(now)
    if (ts === firstTs) this.count(0)
    else {
      if (this.awaited.length === 64) this.loseOldest()
      // A round trip more, and something for jitter.
      this.awaited.push({ sn, ts: firstTs, until: u32(now + srtt + 50), unclear })
    }
    const rtt = Math.max(0, diff(now, ts))
    if (this.newest === undefined) this.nowSince = now
    else if (diff(now, this.nowSince) > 10_000) {
      this.shortestBefore = this.shortestNow
      this.shortestNow = Number.POSITIVE_INFINITY
      this.nowSince = now
    }
    this.shortestNow = Math.min(rtt, this.shortestNow)
    if (this.newest === undefined || isLater({ ts, sn }, this.newest)) this.newest = { sn, ts, rtt }
    else if (diff(ts, this.newest.ts) < 0) {
      this.overtakenBy = Math.max(this.overtakenBy, rtt - this.newest.rtt)
      this.overtakenAt = now
    }
  }

  /** With p lost each way p + (1 - p) p look lost, of which p are. */
  private loseOldest(): void {
    this.count(this.awaited.shift()!.unclear ? 1 / (2 - this.loss) : 1)
  }

  private count(lost: number): void {
    this.heard++
    const weight = Math.max(1 / 256, 1 / (this.heard + 64))
    this.loss += weight * (lost - this.loss)
  }

  /** Those that were waited for until `now` are lost. */
  giveUp(now: number): void {
    while (this.awaited[0] !== undefined && diff(now, this.awaited[0].until) >= 0) this.loseOldest()
  }

  /** An ACK for what is acknowledged already. One may answer for all that the same datagram brought. */
  arrivedLate(sn: number, ts: number): void {
    this.awaited = this.awaited.filter((one) => {
      const arrived = one.ts === ts && diff(one.sn, sn) >= 0
      if (arrived) this.count(0)
      return !arrived
    })
  }

  /** Days went by. */
  age(now: number): void {
    this.awaited = []
    if (this.newest !== undefined && isOld(this.newest.ts, now)) this.newest = undefined
    if (isOld(this.overtakenAt, now)) this.overtakenBy = 0
    if (!isOld(this.nowSince, now)) return
    this.shortestNow = this.shortestBefore = Number.POSITIVE_INFINITY
    this.nowSince = now
  }

  get shortest(): number {
    return Math.min(this.shortestNow, this.shortestBefore)
  }

  /** How long after its transmission a segment counts as lost when one that was sent later has arrived. */
  patience(srtt: number, now: number): number {
    // Reordering that was not seen for sixteen round trips is forgotten.
    if (diff(now, this.overtakenAt) > 16 * srtt) this.overtakenBy = 0
    const slack =
      this.overtakenBy > 0 ? Math.min(srtt, Math.max(this.overtakenBy + 1, srtt / 4)) : Math.max(1, srtt / 32)
    return Math.ceil((this.newest?.rtt ?? 0) + slack)
  }
}

/** Whether one transmission left after another one; of those of one millisecond, in order of sn. */
export function isLater(
  one: { readonly ts: number; readonly sn: number },
  other: { readonly ts: number; readonly sn: number },
): boolean {
  const later = diff(one.ts, other.ts)
  return later > 0 || (later === 0 && diff(one.sn, other.sn) > 0)
}

/** A transmission that is to be repeated. */
export interface Repeatable {
  readonly sn: number
  left: number
  /** The latest copy of it. */
  ts: number
}

/** What is repeated before it is known to be lost. */
export class Repetition {
  level = 0
  /** Repeats of a resend at least. */
  ofResends = 0
  /** The latest 64 that were to be repeated, done ones too; from the oldest on. */
  list: Repeatable[] = []
  /** Nothing is repeated alone before something else had its chance to leave since then. */
  quietSince = 0
  /** Fractions of repeats that were not made yet. */
  private owed = 0
  /** ms between two messages, smoothed, and when the latest left. */
  private every = 1_000
  private messageAt: number | undefined
  /** Bytes that repeats may cost. */
  private credit = 16 * 1024
  private creditAt = 0

  /** `sn` was sent at `now`. */
  note(sn: number, now: number, first: boolean): void {
    if (first) this.notePace(now)
    // What was wanted of an earlier transmission is not any more.
    else for (const one of this.list) if (one.sn === sn) one.left = 0
    const wanted = this.level + this.owed
    const whole = Math.floor(wanted)
    this.owed = wanted - whole
    const left = first ? whole : Math.max(whole, this.ofResends)
    if (left === 0) return
    this.list = [...this.list, { sn, left, ts: now }].slice(-64)
    this.quietSince = now
  }

  /** Segments of one millisecond are one message; pauses of a second say as little as longer ones. */
  private notePace(now: number): void {
    const gap = this.messageAt === undefined ? 0 : Math.max(0, diff(now, this.messageAt))
    this.messageAt = now
    if (gap > 0) this.every += (Math.min(gap, 1_000) - this.every) / 8
  }

  /** How much longer a first RTO is, for the ACK of the next message to come before it. */
  grace(srtt: number): number {
    return this.every <= Math.min(srtt, Math.max(30, srtt / 4)) ? Math.ceil(this.every) : 0
  }

  /** When repeats leave alone: where a message is expected soon, when it is late; else after a sixteenth of a round trip. */
  aloneAt(srtt: number): number {
    const late = this.every * 1.25
    const soon = Math.max(srtt / 2, 30)
    return u32(this.quietSince + Math.ceil(late <= soon ? late : Math.min(10, Math.max(2, srtt / 16))))
  }

  /** Forgets the oldest ones while they are done. */
  forget(inFlight: (sn: number) => boolean): void {
    while (this.list[0] !== undefined && (this.list[0].left === 0 || !inFlight(this.list[0].sn))) {
      this.list.shift()
    }
  }

  /** Days went by. */
  age(now: number): void {
    if (isOld(this.quietSince, now)) {
      this.list = []
      this.quietSince = now
    }
    if (this.messageAt !== undefined && isOld(this.messageAt, now)) this.messageAt = now
    if (!isOld(this.creditAt, now)) return
    this.credit = 16 * 1024
    this.creditAt = now
  }

  /** Takes what a repeat costs from what 64 KiB a second have left, of which a quarter is saved at most. */
  pay(bytes: number, now: number): boolean {
    const passed = Math.max(0, diff(now, this.creditAt))
    this.creditAt = now
    this.credit = Math.min(16 * 1024, this.credit + (passed * 64 * 1024) / 1000)
    if (this.credit < bytes) return false
    this.credit -= bytes
    return true
  }

  /** 'auto': as many repeats as leave 0.8 % of the messages late. */
  choose(loss: number, srtt: number): void {
    let late = loss * (1 + srtt / Math.max(1, this.every))
    let whole = 0
    while (whole < 3 && late > 0.008 && late * loss >= 0.008) {
      late *= loss
      whole++
    }
    if (whole === 3 || late <= 0.008) this.level = whole
    else {
      const share = (late - 0.008) / (late - late * loss)
      // Below one it is all messages or none.
      this.level = whole === 0 ? Math.round(share) : whole + share
    }
  }
}
