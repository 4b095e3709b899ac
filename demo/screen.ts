/**
 * What the user sees while it runs: lines, and a progress bar that redraws itself on a terminal and is a few plain
 * lines anywhere else.
 * @module
 */
import { performance } from 'node:perf_hooks'
import type { WriteStream } from 'node:tty'

export interface Bar {
  update(this: void, done: number): void
  /** All done; leaves the full bar standing. */
  finish(): void
}

const WIDTH = 30
/** Between two drawings on a terminal, ms: more cannot be read. */
const REDRAW = 100
/** Between two lines elsewhere, ms. */
const REPRINT = 2_000

export class Screen {
  readonly #out: WriteStream
  /** A bar stands in the current line. */
  #open = false

  constructor(out: WriteStream) {
    this.#out = out
  }

  line(...lines: readonly string[]): void {
    this.#endBar()
    for (const line of lines) this.#out.write(`${line}\n`)
  }

  /** To stderr. */
  fail(line: string): void {
    this.#endBar()
    process.stderr.write(`${line}\n`)
  }

  bar(title: string, total: number, detail: (done: number, seconds: number) => string): Bar {
    this.line(title)
    const live = this.#out.isTTY === true
    const startedAt = performance.now()
    let drawnAt = startedAt
    let done = 0
    const draw = (): void => {
      drawnAt = performance.now()
      const share = Math.min(1, done / total)
      const filled = Math.round(share * WIDTH)
      const percent = `${Math.floor(share * 100)} %`.padStart(6)
      const text = `      ${percent}  ${detail(done, (drawnAt - startedAt) / 1000)}`
      if (live) this.#redraw(`      [${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}]${text.slice(6)}`)
      else this.line(text)
    }
    return {
      update: (now) => {
        done = now
        if (performance.now() - drawnAt >= (live ? REDRAW : REPRINT)) draw()
      },
      finish: () => {
        done = total
        draw()
        this.#endBar()
      },
    }
  }

  #redraw(text: string): void {
    // Back to the first column, and clear to the end of the line.
    this.#out.write(`\r${text}\x1b[K`)
    this.#open = true
  }

  #endBar(): void {
    if (this.#open) this.#out.write('\n')
    this.#open = false
  }
}
