/**
 * Many clients of one server: each sends a message at its own moment of the interval, whether the last one came back or
 * not, and expects it back. A message begins with the time at which it was sent.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Flow } from './driver.ts'

export interface LoadReport {
  readonly sent: number
  readonly echoed: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** Clients that are opened at once. */
const OPENING = 64
/** How long a client waits for its first echo, ms. */
const PATIENCE = 10_000
/** Bytes of a message. */
export const MESSAGE = 64
/** How often the generator looks who is due, ms. */
const TICK = 2
/** How long it waits for the last echoes, ms. */
const LAST_ECHOES = 1_000

export class LoadGenerator {
  readonly #connect: () => Promise<Flow>
  readonly #flows: Flow[] = []
  readonly #message = Buffer.alloc(MESSAGE, 0x5a)
  #timer: NodeJS.Timeout | undefined
  /** Messages sent from this time on count. */
  #watchedFrom = Number.POSITIVE_INFINITY
  #sent = 0
  /** ms for each echo. */
  #times: number[] = []

  constructor(connect: () => Promise<Flow>) {
    this.#connect = connect
  }

  /** Opens sessions, each with one message there and back. */
  async open(sessions: number): Promise<object> {
    const openOne = async (): Promise<void> => {
      while (this.#flows.length < sessions) {
        // Counted at once: others open at the same time.
        const at = this.#flows.push(undefined as never) - 1
        const flow = await this.#connect()
        this.#flows[at] = flow
        const echo = new Promise<boolean>((resolve) => {
          flow.onData = () => resolve(true)
        })
        this.#send(flow)
        const timeout = new AbortController()
        const late = sleep(PATIENCE, false, { signal: timeout.signal }).catch(() => false)
        if (!(await Promise.race([echo, late]))) throw new Error(`no echo in ${PATIENCE} ms`)
        timeout.abort()
        flow.onData = (chunk) => this.#onEcho(chunk)
      }
    }
    await Promise.all(Array.from({ length: OPENING }, openOne))
    return {}
  }

  /** Every session sends a message every so often. */
  start(everyMs: number): object {
    const flows = this.#flows
    const startedAt = performance.now()
    let next = 0
    this.#timer = setInterval(() => {
      const due = ((performance.now() - startedAt) / everyMs) * flows.length
      for (; next < due; next++) this.#send(flows[next % flows.length]!)
    }, TICK)
    return {}
  }

  /** From now on it counts. */
  watch(): object {
    this.#watchedFrom = performance.now()
    this.#sent = 0
    this.#times = []
    return {}
  }

  async stop(): Promise<LoadReport> {
    clearInterval(this.#timer)
    const sent = this.#sent
    const deadline = performance.now() + LAST_ECHOES
    while (this.#times.length < sent && performance.now() < deadline) await sleep(20)
    const times = this.#times.sort((a, b) => a - b)
    const at = (share: number): number =>
      times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
    return { sent, echoed: times.length, p50: at(0.5), p99: at(0.99), max: at(1) }
  }

  #send(flow: Flow): void {
    this.#message.writeDoubleLE(performance.now())
    this.#sent++
    flow.write(Buffer.from(this.#message))
  }

  #onEcho(chunk: Uint8Array): void {
    const { buffer, byteOffset, length } = chunk
    const view = Buffer.from(buffer, byteOffset, length)
    const now = performance.now()
    // A stream may join messages; none is cut, as each fits a datagram.
    for (let at = 0; at + MESSAGE <= length; at += MESSAGE) {
      const sentAt = view.readDoubleLE(at)
      if (sentAt >= this.#watchedFrom) this.#times.push(now - sentAt)
    }
  }
}
