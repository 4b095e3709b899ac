/**
 * How many connections are being served, and a wait for the last of them.
 * @module
 */
import type { Clock } from '../../session/transport.ts'

export class Busy {
  /** Connections that are being served, or wait to be. */
  count = 0
  readonly #clock: Clock
  #idle: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  enter(): void {
    this.count++
  }

  leave(): void {
    if (--this.count === 0) this.#idle?.()
  }

  /** Resolves when nothing is served any more, after `grace` ms at the latest. */
  async rest(grace: number): Promise<void> {
    if (this.count === 0 || grace <= 0) return
    await new Promise<void>((resolve) => {
      const timer = this.#clock.setTimeout(resolve, grace)
      this.#idle = () => {
        this.#clock.clearTimeout(timer)
        resolve()
      }
    })
  }
}
