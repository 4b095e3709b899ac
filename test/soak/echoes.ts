/**
 * Honest sessions of a server, in its own process: how long they wait for an echo. Beside the clock on the wall, which on a
 * busy machine measures the others, they have the processor time of the process: it stands still while the process is
 * not run, and goes on while it works for others than the one who waits. On a machine that has nothing else to do both
 * tell the same.
 * @module
 */
import { ok } from 'node:assert/strict'
import { connect, type KcpStream } from '../../src/index.ts'
import { quantile, sleep } from './part.ts'

/** How many they are. */
export const HONEST = 20
/** Between an answer and the next question, ms. */
const PAUSE = 1
/** One turn, ms. Its p99 is that of some 200 echoes. */
const TURN = 500

export interface Echoes {
  /** p99 of a turn by either clock, ms. */
  readonly wall: number
  readonly work: number
}

export class HonestSessions {
  readonly #port: number
  #streams: readonly KcpStream[] | undefined

  constructor(port: number) {
    this.#port = port
  }

  async turn(): Promise<Echoes> {
    this.#streams ??= await Promise.all(
      Array.from({ length: HONEST }, async () => {
        const stream = await connect({ host: '127.0.0.1', port: this.#port, preset: 'fast' })
        stream.on('error', () => undefined)
        return stream
      }),
    )
    const wall: number[] = []
    const work: number[] = []
    const end = performance.now() + TURN
    // One after the other, or after each pause of the machine they would wait for one another.
    for (let i = 0; performance.now() < end; i++) {
      const stream = this.#streams[i % HONEST]!
      const [began, worked] = [performance.now(), processorTime()]
      await stream.send('how long?')
      ok((await stream.recv()) !== null, 'an honest session ended')
      work.push(processorTime() - worked)
      wall.push(performance.now() - began)
      await sleep(PAUSE)
    }
    return { wall: quantile(wall, 0.99), work: quantile(work, 0.99) }
  }
}

/** Of this process so far, ms. */
export function processorTime(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}
