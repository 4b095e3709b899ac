/**
 * How one end of a conversation closes: what is written drains, then Fins tell the peer, until it answers or has had its
 * time. The peer's Fin ends the other direction. The states of the sending half are a table; docs/ARCHITECTURE.md draws it.
 * @module
 */
import { assert } from '../core/assert.ts'
import type { CloseNotice } from './close-notice.ts'
import type { ResolvedSessionConfig } from './config.ts'
import { NEVER } from './session-timers.ts'

/** Of the sending half. RFC 9293 calls them ESTABLISHED, the same with data left, FIN-WAIT-1 and FIN-WAIT-2. */
export type SendState = 'open' | 'draining' | 'notifying' | 'finished'

type CloseEvent =
  | 'end() or close()'
  | 'all acknowledged'
  | 'all acknowledged, no notices'
  | 'Fin answered, or enough Fins'
  | 'close() after end()'
  | 'peer missed our Fins'
  | 'peer closed both ways'

/** Where each event leads. An event that a state does not have is a bug. */
export const TRANSITIONS: Readonly<Record<SendState, Readonly<Partial<Record<CloseEvent, SendState>>>>> = {
  open: { 'end() or close()': 'draining', 'peer closed both ways': 'finished' },
  draining: {
    'all acknowledged': 'notifying',
    'all acknowledged, no notices': 'finished',
    'peer closed both ways': 'finished',
  },
  notifying: {
    'Fin answered, or enough Fins': 'finished',
    'close() after end()': 'notifying',
    'peer closed both ways': 'finished',
  },
  finished: { 'close() after end()': 'notifying', 'peer missed our Fins': 'notifying' },
}

/** Fins sent to a peer that does not answer; a stock peer never does. Two when nobody reads here any more. */
const FINS = 4
const FINS_OF_CLOSE = 2
/** Copies of the last Fin of a close that nobody answered. */
export const PARTING_FINS = 2
/** Least and longest time between two Fins, ms: some eight of them within the default lingerTimeout. */
const FIN_INTERVAL = 50
const FIN_INTERVAL_MAX = 1_000
/** Longest time between two Fins of an end that waits for the peer's, ms: both may have lost all of the first ones. */
const REMINDER_INTERVAL_MAX = 60_000

/** What the session around it knows. */
export interface CloseHost {
  readonly config: ResolvedSessionConfig
  /** Everything written was acknowledged. */
  readonly drained: boolean
  /** Whether the peer knows of the conversation. */
  readonly peerKnows: boolean
  /** Silence that ends the session, ms; 0: none. */
  readonly idleLimit: number
  /** The retransmission timeout, ms. */
  readonly rto: number
  /** Sends so many copies of a Fin. */
  sendFins(copies: number, now: number): void
}

export class CloseHandshake {
  state: SendState = 'open'
  /** Only the writing half was asked to end; false: the whole conversation. */
  half = true
  /** The number behind the peer's last segment, once its Fin came. */
  peerFinal: number | undefined
  /** Which end said first that it was done. */
  endedFirst: 'local' | 'peer' | undefined
  /** Whether the peer answered our Fin. */
  finAcked = false
  private fins = 0
  private nextFinAt = NEVER
  /** When everything was acknowledged after `end`. */
  private finishedAt = 0
  /** Latest time that data of the peer's came. */
  private dataAt: number
  private readonly host: CloseHost

  constructor(host: CloseHost, now: number) {
    this.host = host
    this.dataAt = now
  }

  /** Nothing more is written. */
  end(): void {
    this.move('end() or close()')
    this.endedFirst ??= 'local'
  }

  /** Nothing more is read either. */
  endWhole(now: number): void {
    this.half = false
    // Fins sent so far did not say that nobody reads here any more.
    if (this.state === 'notifying' || this.state === 'finished') this.notify('close() after end()', now)
  }

  received(now: number): void {
    this.dataAt = now
  }

  /**
   * The peer's Fin. Returns whether the conversation is over by it: the peer reads no more, so that nothing that is still
   * to be sent would be read.
   */
  onFin({ sn, done }: CloseNotice, now: number): boolean {
    this.peerFinal = sn
    this.endedFirst ??= 'peer'
    if (done && this.state !== 'finished') {
      this.finish('peer closed both ways', now)
      return true
    }
    if (!done && this.state === 'finished' && !this.finAcked) {
      // It missed all of our Fins, and waits for one.
      this.fins = 0
      this.notify('peer missed our Fins', now)
    }
    return false
  }

  /**
   * Goes on where it can. 'over': both directions have ended, or this end does not wait for the other. 'mute': the peer was
   * waited for long enough, and neither sent an end nor answered ours.
   */
  run(now: number): 'going on' | 'over' | 'mute' {
    const { host } = this
    if (this.state === 'draining' && host.drained) {
      if (host.config.lifecycle === 'fin' && host.peerKnows) this.notify('all acknowledged', now)
      else this.finish('all acknowledged, no notices', now)
    }
    if (this.state === 'notifying') {
      // A peer that sent a Fin itself will answer ours if it is still there. Otherwise the whole close does not wait long for
      // a peer that may never answer; half of one needs to know.
      const enough =
        this.peerFinal !== undefined
          ? now >= this.quietUntil
          : this.fins >= (this.half ? FINS : FINS_OF_CLOSE)
      if (this.finAcked) this.finish('Fin answered, or enough Fins', now)
      else if (now >= this.nextFinAt && enough) {
        // The peer may have lost every Fin, and this session will not exist to retransmit.
        if (!this.half) host.sendFins(PARTING_FINS, now)
        this.finish('Fin answered, or enough Fins', now)
      } else if (now >= this.nextFinAt) this.sendFin(now)
    }
    if (this.state !== 'finished') return 'going on'
    if (!this.half || this.peerFinal !== undefined) return 'over'
    if (this.finAcked) return 'going on'
    if (now >= this.muteUntil) return 'mute'
    if (now >= this.nextFinAt) this.remind(now)
    return 'going on'
  }

  /** When the next Fin is due, ms. */
  get finAt(): number {
    const waits = this.state === 'notifying' || (this.state === 'finished' && !this.finAcked)
    return waits ? this.nextFinAt : NEVER
  }

  /** Until when a peer that answers no Fin is waited for: it may still send, and will not say when it is done. */
  get muteAt(): number {
    return this.state === 'finished' && !this.finAcked ? this.muteUntil : NEVER
  }

  /** The event loop was blocked: see Task.forgive. */
  shift(later: (at: number) => number): void {
    this.dataAt = later(this.dataAt)
    this.finishedAt = later(this.finishedAt)
  }

  private get muteUntil(): number {
    const { idleLimit } = this.host
    return idleLimit === 0 ? NEVER : Math.max(this.finishedAt, this.dataAt) + idleLimit
  }

  /** Until when a peer that sent a Fin itself is waited for to answer ours. */
  private get quietUntil(): number {
    return Math.max(this.finishedAt, this.dataAt) + this.host.config.lingerTimeout
  }

  /** Sends a Fin and expects its answer. */
  private notify(event: CloseEvent, now: number): void {
    this.move(event)
    this.sendFin(now)
  }

  private sendFin(now: number): void {
    if (this.host.config.lifecycle !== 'fin') return
    if (this.fins === 0) this.finishedAt = now
    const interval = Math.max(FIN_INTERVAL, this.host.rto) * 2 ** Math.min(this.fins, FINS)
    this.sendFinAndWait(Math.min(FIN_INTERVAL_MAX, interval), now)
  }

  /** Repeats the Fin at growing intervals: the peer answered none, and has sent none itself. */
  private remind(now: number): void {
    const interval = FIN_INTERVAL_MAX * 2 ** (this.fins - FINS + 1)
    this.sendFinAndWait(Math.min(REMINDER_INTERVAL_MAX, interval), now)
  }

  private sendFinAndWait(interval: number, now: number): void {
    this.nextFinAt = now + interval
    this.fins++
    this.host.sendFins(1, now)
  }

  private finish(event: CloseEvent, now: number): void {
    this.move(event)
    if (this.fins === 0) this.finishedAt = now
    this.nextFinAt = this.fins === 0 ? NEVER : now + FIN_INTERVAL_MAX
  }

  private move(event: CloseEvent): void {
    const next = TRANSITIONS[this.state][event]
    assert(next !== undefined, `a sending half that is ${this.state} has no event '${event}'`)
    this.state = next
  }
}
