/**
 * Which of the latest counters were seen, as bits in a ring of words (RFC 6479). A record counts once, and one that is
 * older than the window is taken for a replay.
 * @module
 */

/** Counters that the window covers, the newest included. Far more than a path reorders. */
export const REPLAY_WINDOW = 2_048
const WORD = 32
/** One word more than the window needs: words are cleared whole, so the newest one must not be the oldest. */
const WORDS = REPLAY_WINDOW / WORD + 1

export class ReplayWindow {
  /** The highest counter marked; -1 before the first. */
  newest = -1
  private readonly bits: Int32Array = new Int32Array(WORDS)

  /** Whether `counter` is new enough and was not marked. Ask before the tag is checked, mark when it was right. */
  isFresh(counter: number): boolean {
    if (counter > this.newest) return true
    if (counter <= this.newest - REPLAY_WINDOW) return false
    return (this.bits[Math.floor(counter / WORD) % WORDS]! & (1 << (counter % WORD))) === 0
  }

  /** Marks a counter that `isFresh`. */
  mark(counter: number): void {
    const word = Math.floor(counter / WORD)
    if (counter > this.newest) {
      const last = Math.floor(this.newest / WORD)
      // -1 has no word: the ring is clear.
      const skipped = this.newest < 0 ? 0 : Math.min(word - last, WORDS)
      for (let i = 1; i <= skipped; i++) this.bits[(last + i) % WORDS] = 0
      this.newest = counter
    }
    const at = word % WORDS
    this.bits[at] = this.bits[at]! | (1 << (counter % WORD))
  }
}
