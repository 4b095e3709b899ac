/**
 * A congestion controller that limits how many segments are in flight, unacknowledged, rather than how far the newest
 * may be ahead of the oldest. On a path that loses, the two differ: a lost segment holds the oldest back for a round
 * trip or two, and a window over the distance stands still meanwhile, then opens in one burst. Here the windows may be
 * several round trips wide, and every acknowledgement lets one more segment go.
 * @module
 */
import type { CongestionControl, Kcp } from '../../src/index.ts'

export function flightWindow(kcp: Kcp, segments: number): CongestionControl {
  const limit = (): void => {
    const { sndBuf, sndNxt, sndUna } = kcp.stats()
    kcp.cwnd = ((sndNxt - sndUna) >>> 0) + Math.max(0, segments - sndBuf)
  }
  return { name: 'flight', init: limit, onTick: limit, onAck() {}, onFastRetransmit() {}, onTimeout() {} }
}
