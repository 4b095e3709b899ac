/**
 * What a congestion controller may see and set, and when it is called. The hooks are those of KCP 2.x
 * (`ikcp_setcc`); every one is optional, and where `onAck`, `onFastRetransmit` or `onTimeout` is absent KCP's own
 * rule (classic.ts) stays in force.
 * @module
 */

/** The numbers that a controller steers, and the ones that it may need for it. */
export interface CongestionState {
  /** Congestion window, segments. The engine raises it to 1 after each flush. */
  cwnd: number
  /** Slow-start threshold, segments. */
  ssthresh: number
  /** The byte counter behind cwnd's growth in congestion avoidance; upstream's `incr`. */
  cwndBytes: number
  /** Payload bytes of a full segment. */
  readonly mss: number
  /** Our own cap on segments in flight. */
  readonly sndWnd: number
  /** Segments that the peer said it has room for. */
  readonly rmtWnd: number
  readonly srtt: number
  /** Clock of the current call, u32 ms. */
  readonly now: number
}

/** A congestion controller. Called synchronously; must not call the engine back. */
export interface CongestionControl {
  readonly name: string
  /** Installed. Throwing refuses the installation. */
  init?(state: CongestionState): void
  /** Replaced, or the engine was released. */
  release?(state: CongestionState): void
  /** snd_una moved: by `ackedSegments`; `ackedBytes` counts everything that this datagram acknowledged. */
  onAck?(state: CongestionState, ackedSegments: number, ackedBytes: number, priorInFlight: number): void
  /** A flush resent `count` segments because later ones were acknowledged. */
  onFastRetransmit?(state: CongestionState, count: number, inFlight: number, priorCwnd: number): void
  /** A flush resent at least one segment because its RTO was over. */
  onTimeout?(state: CongestionState, priorCwnd: number): void
  /** A flush begins. */
  onTick?(state: CongestionState): void
  /** A flush left nothing queued although the window had room. */
  onAppLimited?(state: CongestionState, inFlight: number): void
  /** One RTT measurement, ms. */
  onRtt?(state: CongestionState, rtt: number): void
  /** One PUSH is about to be written. */
  onSent?(state: CongestionState, sn: number, ts: number, size: number, inFlight: number, xmit: number): void
  /** One segment was acknowledged; `rtt` is -1 when una did it, or when the clock is behind. */
  onAcked?(state: CongestionState, sn: number, ts: number, size: number, rtt: number, xmit: number): void
  /**
   * Payload bytes that this flush may send, or a negative number for no limit. Upstream's `pacing_rate`. What does
   * not fit stays untouched for a later flush (upstream marks it as sent without sending it).
   */
  budget?(state: CongestionState): number
}
