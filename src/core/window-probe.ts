/**
 * Zero-window probing (RFC 9293 §3.8.6.1): while the peer's window is 0, ask for it now and then, ever more rarely.
 * Also remembers that the peer asked, or must be told that our window opened.
 * @module
 */
import { seqAdd, seqDiff } from './seq.ts'

/** Time from the window's closing to the first question, ms. IKCP_PROBE_INIT of KCP 2.x (1.7: 7 s, kcp-go: 0.5 s). */
export const PROBE_INITIAL = 5_000
/** Longest time between two questions, ms. IKCP_PROBE_LIMIT. */
export const PROBE_LIMIT = 120_000

export class WindowProbe {
  /** Put a WASK into the next flush. */
  askPending = false
  /** Put a WINS into the next flush. */
  tellPending = false
  /** How many WINS came: answers, mostly. */
  told = 0
  /** When to ask next, u32 ms; meaningful while `wait` is not 0. */
  at = 0
  /** Time between the last question and `at`, ms. 0: the peer's window is open. */
  wait = 0
  /** The first wait, ms. */
  initial: number = PROBE_INITIAL

  /** Follows the peer's window once a flush; sets `askPending` when a question is due. */
  follow(rmtWnd: number, now: number): void {
    if (rmtWnd !== 0) {
      this.at = 0
      this.wait = 0
      return
    }
    if (this.wait === 0) {
      this.wait = this.initial
      this.at = seqAdd(now, this.wait)
    } else if (seqDiff(now, this.at) >= 0) {
      const wait = Math.max(this.wait, this.initial)
      this.wait = Math.min(wait + (wait >>> 1), PROBE_LIMIT)
      this.at = seqAdd(now, this.wait)
      this.askPending = true
    }
  }

  /** The clock went on by days since the latest call: a question that is further away than its wait is overdue. */
  age(now: number): void {
    if (this.wait !== 0 && seqDiff(this.at, now) > this.wait) this.at = now >>> 0
  }
}
