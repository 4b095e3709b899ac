/**
 * What must hold at every moment, whatever the network did: cheap truths after each call of a session, and now and then
 * a recount of what the engine counts.
 * @module
 */
import { seqAdd, seqDiff } from '../../src/core/seq.ts'
import type { KcpSession } from '../../src/session/session.ts'

/** A seed that failed, and why. */
export class Failure extends Error {}

export function require(holds: boolean, what: () => string): void {
  if (!holds) throw new Failure(what())
}

/** The recount comes once in so many checks: it costs as much as the flight is long. */
const RECOUNT_EVERY = 64
/** ACKs that a session may owe: see MAX_ACKS there, and the PUSH headers of one datagram more. */
const ACKS_MAX = 1024 + Math.floor(65_507 / 24)
/** A frozen clock is not the end of time, but NaN is. */
const RTO_MAX = 60_000

export class Oracle {
  readonly session: KcpSession
  /** Largest of each, for the summary. */
  mostQueued = 0
  private readonly peerMss: number
  private checks = 0
  /** The largest that were ever set: what is there when a window shrinks stays. */
  private sndWnd = 0
  private rcvWnd = 0
  private mss = 0
  private una: number
  private rcvNxt: number

  constructor(session: KcpSession, peerMss: number) {
    this.session = session
    this.peerMss = peerMss
    this.una = session.kcp.sndUna
    this.rcvNxt = session.kcp.rcvNxt
  }

  /** After any call. */
  check(): void {
    const { session, peerMss } = this
    const { kcp, config } = session
    // Its application has destroyed it.
    if (kcp['released']) return
    const { snd, rcv } = kcp
    const span = seqDiff(kcp.sndNxt, kcp.sndUna)
    this.sndWnd = Math.max(this.sndWnd, kcp.sndWnd)
    this.rcvWnd = Math.max(this.rcvWnd, rcv.rcvWnd)
    this.mss = Math.max(this.mss, kcp.mss)
    require(span >= 0 && span <= this.sndWnd, () => `${span} numbers in flight, the window is ${kcp.sndWnd}`)
    require(snd.inFlight >= 0 && snd.inFlight <= span, () => `${snd.inFlight} in flight of ${span}`)
    require(snd.bytes >= 0 && (snd.bytes > 0 || true), () => `${snd.bytes} bytes to send`)
    require(seqDiff(kcp.sndUna, this.una) >= 0, () => `una went back from ${this.una} to ${kcp.sndUna}`)
    require(seqDiff(kcp.rcvNxt, this.rcvNxt) >= 0, () =>
      `rcvNxt went back from ${this.rcvNxt} to ${kcp.rcvNxt}`)
    this.una = kcp.sndUna
    this.rcvNxt = kcp.rcvNxt
    require(rcv.early >= 0 && rcv.queued >= 0 && rcv.queued + rcv.early <= 2 * this.rcvWnd, () =>
      `${rcv.queued} readable and ${rcv.early} early in a window of ${rcv.rcvWnd}`)
    // What completes a message that nobody could read otherwise is let in above the limit.
    const most = config.maxRecvBytes + 255 * peerMss
    require(rcv.bytes >= 0 && rcv.bytes <= most, () => `${rcv.bytes} bytes received, ${most} allowed`)
    require(kcp.acks.count <= ACKS_MAX, () => `${kcp.acks.count} ACKs owed`)
    require(kcp.rtt.rto >= 1 && kcp.rtt.rto <= RTO_MAX, () => `an RTO of ${kcp.rtt.rto} ms`)
    require(kcp.rtt.srtt >= 0, () => `an RTT of ${kcp.rtt.srtt} ms`)
    require(kcp.cwnd >= 0 && kcp.cwnd <= 65_535, () => `a congestion window of ${kcp.cwnd}`)
    const deadline = session.deadline()
    require(!Number.isNaN(deadline), () => 'a deadline that is no number')
    if (snd.queued > this.mostQueued) this.mostQueued = snd.queued
    if (++this.checks % RECOUNT_EVERY === 0) this.recount()
  }

  /** Walks the flight. */
  recount(): void {
    const { kcp } = this.session
    if (kcp['released']) return
    const { snd, sndUna: base } = kcp
    const { capRto } = kcp.config.hardening
    const span = seqDiff(kcp.sndNxt, base)
    let count = 0
    for (let i = 0; i < span; i++) {
      const sn = seqAdd(base, i)
      if (!snd.has(sn)) continue
      count++
      const [xmit, rto] = [snd.xmitOf(sn), snd.rtoOf(sn)]
      require(snd.lenOf(sn) >= 0 && snd.lenOf(sn) <= this.mss, () => `sn ${sn} has ${snd.lenOf(sn)} bytes`)
      require(xmit >= 0 && (snd.isUnsent(sn) || xmit > 0), () => `sn ${sn} went out ${xmit} times`)
      if (snd.isUnsent(sn)) continue
      require(rto > 0 && (rto <= RTO_MAX || !capRto), () => `sn ${sn} has an RTO of ${rto} ms`)
      const wait = seqDiff(snd.resendAtOf(sn), kcp.now)
      require(wait <= rto + RTO_MAX, () => `sn ${sn} is sent again only in ${wait} ms`)
      // The timer of the flight may fire too early, never too late.
      require(snd.hasDeadline && seqDiff(snd.deadline, snd.resendAtOf(sn)) <= 0, () =>
        `sn ${sn} is due at ${snd.resendAtOf(sn)}, the flight at ${snd.deadline}`)
    }
    require(count === snd.inFlight, () => `${count} in flight, ${snd.inFlight} counted`)
    require(span === 0 || snd.has(base), () => `una ${base} is acknowledged already`)
  }
}
