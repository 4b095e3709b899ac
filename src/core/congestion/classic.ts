/**
 * KCP's own congestion rules, as KCP 2.x has them: slow start and congestion avoidance counted in bytes, half the
 * flight on a fast retransmission, back to one segment on a timeout. All arithmetic is u32, as upstream's.
 * @module
 */
import type { CongestionState } from './controller.ts'

/** Slow-start threshold before the first loss, segments. IKCP_THRESH_INIT. */
export const SSTHRESH_INITIAL = 2
/** Lowest slow-start threshold, segments. IKCP_THRESH_MIN. */
const SSTHRESH_MIN = 2

/** snd_una moved: grow, but not past what the peer can take. */
export function grow(state: CongestionState): void {
  const { mss, rmtWnd } = state
  if (state.cwnd >= rmtWnd) return
  if (state.cwnd < state.ssthresh) {
    state.cwnd++
    state.cwndBytes = (state.cwndBytes + mss) >>> 0
  } else {
    if (state.cwndBytes < mss) state.cwndBytes = mss
    const share = Math.trunc((Math.imul(mss, mss) >>> 0) / state.cwndBytes)
    state.cwndBytes = (state.cwndBytes + share + (mss >>> 4)) >>> 0
    if (Math.imul(state.cwnd + 1, mss) >>> 0 <= state.cwndBytes) {
      state.cwnd = Math.trunc(((state.cwndBytes + mss - 1) >>> 0) / mss)
    }
  }
  if (state.cwnd > rmtWnd) {
    state.cwnd = rmtWnd
    state.cwndBytes = Math.imul(rmtWnd, mss) >>> 0
  }
}

/** Fast retransmission: `outstanding` = snd_nxt - snd_una; `resend` acks for later segments caused it. */
export function shrinkOnSkip(state: CongestionState, outstanding: number, resend: number): void {
  state.ssthresh = Math.max(outstanding >>> 1, SSTHRESH_MIN)
  state.cwnd = (state.ssthresh + resend) >>> 0
  state.cwndBytes = Math.imul(state.cwnd, state.mss) >>> 0
}

/** Timeout: start over with one segment. */
export function collapse(state: CongestionState, priorCwnd: number): void {
  state.ssthresh = Math.max(priorCwnd >>> 1, SSTHRESH_MIN)
  state.cwnd = 1
  state.cwndBytes = state.mss
}
