/**
 * Who echoes a ts that only went to one address receives there. A session's clock starts at a secret random number, so
 * this holds the times that prove something: what was sent, what came back, what was heard.
 *
 * Also the challenge: a PUSH that the peer has already passed (sn = 0xffffffff, no payload). Every KCP answers such a
 * repeat with an ACK that echoes its ts, and delivers nothing. See docs/decisions/0004.
 * @module
 */
import { seqDiff, seqStep } from './seq.ts'

/** Times between two PUSHes that are this far apart are none of ours, ms; after shorter pauses they are not told apart. */
const PAUSE = 10_000
/** Answers to a challenge are taken for this long after it, ms at least: a path of an hour carries nothing else either. */
const CHALLENGE_SPAN = 3_600_000

export class PathProof {
  /** The peer echoed a ts of ours: it receives at its address. */
  proven = false
  /** Whether a PUSH was sent. */
  sentPush = false
  /** Put a challenge into the next flush. */
  challengePending = false
  /** Challenges that were answered. */
  answers = 0
  // All as i32, see seqStep.
  private heard = 0
  private latestSent = 0
  private newestEcho = 0
  /** The latest pause between two PUSHes of ours: no ts of ours lies in between. */
  private pauseFrom = 0
  private pauseTo = 0
  private challenged = false
  /** sn of the challenge, and its first and latest ts. */
  private sn = 0
  private from = 0
  private to = 0

  /** ts of the latest PUSH that an ACK was owed for: the peer's clock, as it wrote it. */
  get heardTs(): number {
    return this.heard >>> 0
  }

  /** ts of the latest PUSH that was sent. */
  get sentTs(): number {
    return this.latestSent >>> 0
  }

  /** The newest ts of a PUSH of ours that the peer echoed; until it did, that of the first one. */
  get echoedTs(): number {
    return this.newestEcho >>> 0
  }

  /** An ACK is owed for a PUSH with this ts. */
  hear(ts: number): void {
    this.heard = ts | 0
  }

  /** A PUSH goes out at `now`: its ts may come back. */
  sent(now: number): void {
    if (!this.sentPush) this.newestEcho = this.pauseFrom = this.pauseTo = now | 0
    else if ((now - this.latestSent) >>> 0 > PAUSE) {
      this.pauseFrom = this.latestSent
      this.pauseTo = now | 0
    }
    this.latestSent = now | 0
    this.sentPush = true
  }

  /**
   * Whether `ts` is a time at which we sent something, and at most `slack` ms older than the newest that came back. All of
   * them are compared by how far they lie behind the latest, which holds for pauses of up to 49 days.
   */
  hasSent(ts: number, slack: number): boolean {
    const { latestSent } = this
    if (!this.sentPush) return false
    const behind = (latestSent - ts) >>> 0
    if (behind > ((latestSent - this.newestEcho) >>> 0) + slack) return false
    return behind <= (latestSent - this.pauseTo) >>> 0 || behind >= (latestSent - this.pauseFrom) >>> 0
  }

  /** A challenge goes out at `now`; returns its sn. */
  challenge(sndUna: number, now: number): number {
    this.challengePending = false
    // The same sn for all repeats: nothing of ours can be in flight under it.
    if (!this.challenged) {
      this.challenged = true
      // Below every number in use, so that a peer that lost its state does not take it for data of a later time.
      this.sn = sndUna >>> 0 < 2 ** 30 ? -1 : seqStep(sndUna, -1)
      this.from = now | 0
    } else if ((now - this.from) >>> 0 > CHALLENGE_SPAN) {
      this.from = this.to
      // The latest is as old, or the clock went back.
      if ((now - this.from) >>> 0 > CHALLENGE_SPAN) this.from = now | 0
    }
    this.to = now | 0
    this.sent(now)
    return this.sn >>> 0
  }

  /** Whether a challenge went out with this sn at this ts. */
  isChallenge(sn: number, ts: number): boolean {
    return (
      this.challenged && seqDiff(sn, this.sn) === 0 && (this.to - ts) >>> 0 <= (this.to - this.from) >>> 0
    )
  }

  /** An ACK named a transmission of a segment in flight. */
  echoed(ts: number): void {
    // Most of a flush share their time.
    if (this.proven && ts === this.newestEcho) return
    this.proven = true
    const { latestSent } = this
    // Both lie behind the latest: one that does so by days is no newer than one that does not.
    if ((latestSent - ts) >>> 0 < (latestSent - this.newestEcho) >>> 0) this.newestEcho = ts | 0
  }

  /** Whether an ACK that names nothing in flight answers the challenge; that proves the address. */
  judge(sn: number, ts: number): boolean {
    const answered = this.isChallenge(sn, ts)
    if (answered) {
      this.answers++
      this.echoed(ts)
    }
    return answered
  }
}
