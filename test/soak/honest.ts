/**
 * Honest clients beside an attack: each has one echo after another, and must notice nothing but a wait.
 * @module
 */
import { equal, ok } from 'node:assert/strict'
import { connect, type KcpConnectOptions, type KcpStream } from '../../src/index.ts'
import { quantile, type Resources, sleep, within } from './part.ts'

/** An echo that takes longer counts as none, ms. Far beyond what a busy machine makes of one. */
const PATIENCE = 15_000
/** Between an answer and the next question, ms. */
const PAUSE = 5

export interface Served {
  readonly echoes: number
  /** Longest wait, and the 99th percentile, ms. */
  readonly worst: number
  readonly p99: number
}

export class HonestClients {
  readonly streams: readonly KcpStream[]
  readonly #waits: number[] = []
  readonly #running: Promise<unknown>
  #over = false
  #error: unknown

  private constructor(streams: readonly KcpStream[]) {
    this.streams = streams
    this.#running = Promise.all(streams.map((stream, i) => this.#echo(stream, i)))
  }

  /** One client for each of `clients`, which have had their first echo when this resolves. */
  static async start(use: Resources, clients: readonly KcpConnectOptions[]): Promise<HonestClients> {
    const streams: KcpStream[] = []
    for (const options of clients) {
      const stream = await connect(options)
      stream.on('error', () => undefined)
      use.defer(() => stream.destroy())
      await stream.send('hello')
      equal(String(await within(stream.recv(), PATIENCE, 'the first echo')), 'hello')
      streams.push(stream)
    }
    return new HonestClients(streams)
  }

  /** Fails when a client was not served; they live on. */
  check(): void {
    if (this.#error !== undefined) throw this.#error
    for (const { closeReason } of this.streams)
      ok(closeReason === undefined, `a client ended: ${closeReason}`)
  }

  /** The last echoes, and how long all took. Fails when a client was not served. */
  async stop(): Promise<Served> {
    this.#over = true
    await this.#running
    this.check()
    const echoes = this.#waits.length
    return { echoes, worst: Math.max(...this.#waits), p99: quantile(this.#waits, 0.99) }
  }

  async #echo(stream: KcpStream, client: number): Promise<void> {
    try {
      for (let i = 0; !this.#over; i++) {
        const began = performance.now()
        const question = `client ${client}, question ${i}`
        await within(stream.send(question), PATIENCE, `${question}: sending`)
        equal(String(await within(stream.recv(), PATIENCE, question)), question)
        this.#waits.push(performance.now() - began)
        await sleep(PAUSE)
      }
    } catch (error) {
      this.#error ??= error
    }
  }
}

export function tellServed({ echoes, worst, p99 }: Served): string {
  return `${echoes} echoes of honest clients, p99 ${p99.toFixed(1)} ms, longest ${worst.toFixed(0)} ms`
}
