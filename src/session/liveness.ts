/**
 * Liveness of the peer: when it showed something last, when it is asked for a sign of life, and when silence, or data that
 * stays unacknowledged, has lasted too long. Times are ms of the session's clock.
 * @module
 */
import type { Kcp } from '../core/kcp.ts'
import type { CloseHandshake } from './close-handshake.ts'
import type { ResolvedSessionConfig } from './config.ts'
import type { PeerContact } from './peer-contact.ts'
import { NEVER } from './session-timers.ts'

/**
 * Questions to silent peers wait for the next of these, ms of the clock: those of many sessions then leave in one turn,
 * and in one system call. Only where the silence is many times as long.
 */
const ASK_GRID = 100
/** Interval of the questions while closing with unacknowledged data: some ten of them within the default lingerTimeout. */
const ASK_FOR_LAST = 500
/** Least time between two questions to a silent peer, ms. */
const ASK_AGAIN = 1_000
/**
 * A path on which nothing outstanding was acknowledged for so long, ms, or for two RTOs if those are longer, counts as cut.
 * When the peer shows that it hears us again, segments do not wait for what their RTOs have grown to; below this time they
 * have not grown by much.
 */
const OUTAGE = 1_000
/** A peer that only answers questions may not know the conversation: the next outage must have taken so many times as long. */
const REVIVAL_GROWTH = 4

/** What the session around it knows. */
export interface LivenessHost {
  readonly config: ResolvedSessionConfig
  readonly kcp: Kcp
  readonly contact: PeerContact
  readonly closing: CloseHandshake
  /** Whether it is channel 0. */
  readonly isFirst: boolean
}

export class Liveness {
  /** When the peer was asked for a sign of life last. */
  askedAt: number
  /** Latest time that something valid was heard on this channel. */
  heardAt: number
  /** Latest time that the peer acknowledged something, or that the first byte was outstanding. */
  progressAt: number
  /** Latest time that the peer's window opened again. */
  openedAt = 0
  /** How often back-offs were forgotten since something was acknowledged, and when the last time. */
  private revivals = 0
  private revivedAt = 0
  private readonly host: LivenessHost

  constructor(host: LivenessHost, now: number) {
    this.host = host
    this.askedAt = this.heardAt = this.progressAt = now
  }

  /** Silence that ends the session, ms; 0: none. A half that waits for the other's end never waits forever. */
  get idleLimit(): number {
    const { config, closing } = this.host
    return config.idleTimeout === 0 && closing.state === 'finished' ? config.stallTimeout : config.idleTimeout
  }

  /** When silence ends the session: not where the peer has said that it is done, and has acknowledged all of ours. */
  get idleAt(): number {
    const { closing, kcp, contact } = this.host
    const { idleLimit } = this
    const matters = closing.peerFinal === undefined || kcp.waitSnd() > 0
    return idleLimit > 0 && matters ? contact.heardAt + idleLimit : NEVER
  }

  /** When what is outstanding was not acknowledged for too long. */
  get stallAt(): number {
    const { config, kcp } = this.host
    return config.stallTimeout > 0 && kcp.waitSnd() > 0 ? this.progressAt + config.stallTimeout : NEVER
  }

  /** Until when what is left to send after an end waits for an acknowledgement. */
  get lingerAt(): number {
    const { config, kcp, contact, closing } = this.host
    // A peer that says that it is full is not gone, its reader is slow. Nobody waits for that after a whole close; after
    // half of one stallTimeout is the limit.
    if (closing.state !== 'draining' || kcp.waitSnd() === 0 || (closing.half && kcp.rmtWnd === 0))
      return NEVER
    // Nor is a peer gone that answers, but whose path drops the same segment again and again; stallTimeout ends that.
    const answers = kcp.rmtWnd > 0 && config.stallTimeout > 0 ? contact.heardAt : this.progressAt
    return Math.max(this.progressAt, this.openedAt, answers) + config.lingerTimeout
  }

  /**
   * When to ask a silent peer. A question may be lost: until the answer comes it is repeated. While something outstanding
   * is not acknowledged, retransmissions come ever later, and questions show soon when the path is there again; each
   * channel asks for itself then.
   */
  get askAt(): number {
    const { kcp, contact, config } = this.host
    const { askInterval, askedAt } = this
    const { heardAt } = contact
    let at = NEVER
    if (askInterval > 0) {
      at = heardAt + askInterval
      if (askedAt > heardAt) at = Math.max(at, this.askAgainAt)
      else if (askInterval >= 10 * ASK_GRID) at = Math.ceil(at / ASK_GRID) * ASK_GRID
    }
    if (config.keepAlive === 0 || kcp.snd.inFlight === 0) return at
    return Math.min(at, Math.max(this.progressAt, askedAt) + this.outage)
  }

  /** The earliest time for another question. */
  get askAgainAt(): number {
    return this.askedAt + Math.max(ASK_AGAIN, this.host.kcp.rtt.rto)
  }

  /**
   * When to ask a peer that has left our last bytes unacknowledged while we close. Its ACK may be what is lost, again and
   * again: any answer brings its una. By now retransmissions are far apart, and lingerTimeout is short.
   */
  get askForLastAt(): number {
    const { closing, kcp } = this.host
    if (closing.state !== 'draining' || kcp.waitSnd() === 0) return NEVER
    return Math.max(this.progressAt, this.askedAt) + Math.max(ASK_FOR_LAST, kcp.rtt.rto)
  }

  /**
   * Something valid came at `now` (`ts` by the engine's clock). If the path was cut, and this shows that the peer hears us
   * again (it `acked` data, or `answered` a question), RTOs begin anew. If it only shows that we hear the peer, the peer is
   * to be asked: true.
   */
  revive(acked: boolean, answered: boolean, now: number, ts: number): boolean {
    const { kcp, config } = this.host
    const { outage } = this
    let ask = false
    if (kcp.snd.inFlight > 0) {
      const since = Math.max(this.progressAt, this.revivedAt)
      if ((acked || answered) && now - since >= outage * REVIVAL_GROWTH ** this.revivals) {
        kcp.forgetBackoff(ts)
        this.revivals++
        this.revivedAt = now
      } else ask = config.keepAlive > 0 && now - Math.max(this.progressAt, this.heardAt) >= outage
    }
    if (acked) this.revivals = 0
    return ask
  }

  /** The event loop was blocked: see Task.forgive. */
  shift(later: (at: number) => number): void {
    this.heardAt = later(this.heardAt)
    this.progressAt = later(this.progressAt)
    this.revivedAt = later(this.revivedAt)
    this.openedAt = later(this.openedAt)
  }

  /** Silence after which the peer is asked for a sign of life, ms; 0: never. */
  private get askInterval(): number {
    const { config, contact, closing, isFirst } = this.host
    // One question serves all channels, and a peer that is done need not be there.
    if ((!isFirst && contact.firstOpen) || closing.peerFinal !== undefined) return 0
    return config.keepAlive === 0 && closing.state === 'finished'
      ? Math.ceil(this.idleLimit / 4)
      : config.keepAlive
  }

  /** After so long without an acknowledgement of what is outstanding the path counts as cut, ms. */
  private get outage(): number {
    return Math.max(OUTAGE, 2 * this.host.kcp.rtt.rto)
  }
}
