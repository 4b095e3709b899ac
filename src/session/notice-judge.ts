/**
 * Whether a close notice can be believed: only who saw the segments of a conversation, or the peer itself, knows the
 * times that it has to name. Follows the peer's clock, and counts what proved nothing.
 * @module
 */
import type { Kcp } from '../core/kcp.ts'
import { seqDiff } from '../core/seq.ts'
import { type CloseNotice, NoticeKind } from './close-notice.ts'
import { PeerClock } from './peer-clock.ts'

/** How far the ts of a notice may be from the peer's clock as we know it, ms, beside one RTO: jitter and drift. */
const NOTICE_SLACK = 2_000
/** How much older than the newest ts that the peer echoed in an ACK the echo of a notice may be (reordering), ms. */
const ECHO_SLACK = 10_000
/** After this many notices that prove nothing, none is believed any more: a forger gets no more guesses. */
const NOTICE_MISSES = 8
/** Clocks differ by less than one part in so many: 0.2 %. */
const DRIFT = 500

export class NoticeJudge {
  /** Notices that were not believed. */
  dropped = 0
  /** Of these, such as a forger sends: they name no time of ours either, or came after too many of those. */
  misses = 0
  readonly clock: PeerClock
  private readonly kcp: Kcp

  /**
   * @param kcp the engine of the session that the notices are for.
   * @param clock what is known of the peer's clock.
   */
  constructor(kcp: Kcp, clock: PeerClock = new PeerClock()) {
    this.kcp = kcp
    this.clock = clock
  }

  /** Whether to heed a notice. */
  believes(notice: CloseNotice, now: number): boolean {
    const believed =
      this.misses < NOTICE_MISSES &&
      (notice.kind === NoticeKind.Reset && notice.ts === undefined
        ? this.answersPush(notice)
        : this.fits(notice) && this.proves(notice, now))
    if (believed) return true
    this.dropped++
    // A peer whose clock we misjudge, after a pause of one of us, is no forger: that one does not know our times either.
    if (notice.ts === undefined || !this.echoes(notice)) this.misses++
    return false
  }

  /** A listener that knows nothing of us answers a PUSH with that PUSH's own sn and ts. */
  private answersPush({ sn, echo }: CloseNotice): boolean {
    const { snd, proof, peer } = this.kcp
    if (echo === undefined) return false
    // A challenge is a PUSH too. It may overtake a beginning, of which the peer then knows nothing yet.
    return (snd.has(sn) && snd.sentAt(sn, echo)) || (peer.acknowledged && proof.isChallenge(sn, echo))
  }

  /** Whether the numbers of segments agree. */
  private fits({ kind, sn }: CloseNotice): boolean {
    const ahead = seqDiff(sn, this.kcp.rcvNxt)
    // Before a Fin all of it was acknowledged, so all of it is here.
    return kind === NoticeKind.Fin ? ahead === this.kcp.rcv.early : ahead >= 0
  }

  /** Whether the times do, and at least one of them can be checked. */
  private proves(notice: CloseNotice, now: number): boolean {
    const { ts, echo } = notice
    const { proof, rtt } = this.kcp
    let proofs = 0
    if (this.clock.known) {
      // A peer always knows its own clock: who leaves it out has to guess it.
      if (ts === undefined) return false
      const off = this.clock.ahead(ts, now)
      if (Math.abs(off) > NOTICE_SLACK + rtt.rto + this.clock.age(now) / DRIFT) return false
      proofs++
    }
    if (echo !== undefined && proof.sentPush) {
      if (!this.echoes(notice)) return false
      proofs++
    }
    return proofs > 0
  }

  /** Whether it names a time at which we sent something, and not long ago. */
  private echoes({ echo }: CloseNotice): boolean {
    const { proof } = this.kcp
    if (echo === undefined) return false
    return proof.hasSent(echo, ECHO_SLACK)
  }
}
