/**
 * One port, several processes (examples/cluster.ts): echoes per second with one worker and with as many as there are
 * cores. The client is one process beside them, so on a machine of two cores the second worker shares its core.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { connect, type KcpStream, nativeStatus } from '../src/index.ts'
import { type Effort, type Figure, inRounds, type Report, show, showRange } from './rounds.ts'

/** Streams of the client: so many that the kernel's hash spreads them evenly. */
const STREAMS = 64
/** Messages that each has under way. */
const UNDER_WAY = 8
const MESSAGE = Buffer.alloc(64, 0x5a)

export async function benchWorkers(effort: Effort): Promise<Report> {
  const { available, detail } = nativeStatus()
  if (!available) {
    return { name: 'workers', what: [`Skipped: no addon (${detail}).`], header: [], lines: [], figures: null }
  }
  const counts = [1, Math.max(2, availableParallelism())]
  const clusters = await Promise.all(counts.map((count) => Cluster.start(count)))
  try {
    const figures = await inRounds(effort, async () => {
      const values: Record<string, number> = {}
      for (const [i, cluster] of clusters.entries())
        values[counts[i]!] = await cluster.load(effort.roundMs * 5)
      return values
    })
    const one = figures[counts[0]!] as Figure
    return {
      name: 'workers',
      what: [
        `Echoes of ${MESSAGE.length} bytes per second through one port, ${STREAMS} streams of one client process with ${UNDER_WAY} messages under way each.`,
      ],
      header: ['workers', 'echoes/s', 'x one'],
      lines: counts.map((count) => {
        const figure = figures[count] as Figure
        return [String(count), showRange(figure), show(figure.median / one.median)]
      }),
      figures,
    }
  } finally {
    for (const cluster of clusters) await cluster.stop()
  }
}

class Cluster {
  readonly #process: ChildProcess
  readonly #streams: readonly KcpStream[]
  #echoes = 0
  #loaded = false

  private constructor(process: ChildProcess, streams: readonly KcpStream[]) {
    this.#process = process
    this.#streams = streams
    for (const stream of streams) {
      stream.on('data', () => {
        this.#echoes++
        if (this.#loaded) void stream.send(MESSAGE)
      })
    }
  }

  static async start(workers: number): Promise<Cluster> {
    const program = fileURLToPath(new URL('../examples/cluster.js', import.meta.url))
    const child = spawn(process.execPath, [program, '0', String(workers)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const port = await new Promise<number>((resolve) => {
      child.stdout!.on('data', (text) => {
        const found = /port (\d+)/.exec(String(text))
        if (found !== null) resolve(Number(found[1]))
      })
    })
    const streams: KcpStream[] = []
    for (let i = 0; i < STREAMS; i++) {
      streams.push(await connect({ host: '127.0.0.1', port, preset: 'fast', waitForPeer: true }))
    }
    return new Cluster(child, streams)
  }

  /** Echoes per second. */
  async load(ms: number): Promise<number> {
    this.#loaded = true
    for (const stream of this.#streams) for (let i = 0; i < UNDER_WAY; i++) void stream.send(MESSAGE)
    await sleep(ms / 4)
    const [before, startedAt] = [this.#echoes, performance.now()]
    await sleep(ms)
    const rate = ((this.#echoes - before) * 1000) / (performance.now() - startedAt)
    this.#loaded = false
    await sleep(50)
    return rate
  }

  async stop(): Promise<void> {
    for (const stream of this.#streams) stream.destroy()
    this.#process.kill('SIGTERM')
    await once(this.#process, 'exit')
  }
}
