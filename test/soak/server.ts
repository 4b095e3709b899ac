/**
 * A server as a helper process: a listener with the options given, and what the first message of a stream asks for.
 * Tells its memory and its counters when asked, and how long honest sessions of its own wait for echoes.
 *
 *     echo    every further message comes back       pour    it sends without end
 *     ignore  it does not read                       hash    a digest of all bytes, by IPC and to the peer
 *     doze    it reads on two seconds later, and answers nothing
 * @module
 */
import { createHash } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type KcpListenerOptions, type KcpStream, listen } from '../../src/index.ts'
import { HonestSessions, processorTime } from './echoes.ts'
import { sleep } from './part.ts'

type ServerOptions = KcpListenerOptions & {
  readonly port?: number
  /** ms between two looks at memory and counters, which take a while where there are many sessions. */
  readonly lookEvery?: number
  /** Hex: the shared key of `security`. */
  readonly psk?: string
}

export interface ServerReport {
  readonly rss: number
  /** Most that was seen since the last `baseline`. */
  readonly peakRss: number
  readonly heapUsed: number
  readonly external: number
  readonly peakSessions: number
  readonly peakPending: number
  readonly peakMemory: number
  /** Longest time for which the event loop stood still since the last `baseline` or `turns`, ms. */
  readonly longestTurn: number
  readonly handles: number
  /** Sessions that wait for a peer which told a window of 0. */
  readonly shut: number
  /** Processor time so far, ms. */
  readonly cpu: number
  readonly stats: ReturnType<Awaited<ReturnType<typeof listen>>['stats']>
  readonly closeEvents: Readonly<Record<string, number>>
}

const { port = 0, lookEvery = 100, psk, ...options } = JSON.parse(process.argv[2] ?? '{}') as ServerOptions
const tell = (message: object): void => void process.send?.(message)
const closeEvents: Record<string, number> = {}

async function serve(stream: KcpStream): Promise<void> {
  const first = await stream.recv()
  const word = String(first)
  if (word === 'ignore') return
  if (word === 'doze') {
    await sleep(2_000)
    while ((await stream.recv()) !== null);
    return
  }
  if (word === 'pour') {
    const chunk = Buffer.alloc(1_000)
    for (;;) await stream.send(chunk)
  }
  if (word === 'hash') {
    const sum = createHash('sha256')
    let bytes = 0
    for (let part = await stream.recv(); part !== null; part = await stream.recv()) {
      sum.update(part)
      bytes += part.length
    }
    tell({ event: 'hash', conv: stream.conv, bytes, sha256: sum.digest('hex') })
    return
  }
  for (let message = first; message !== null; message = await stream.recv()) await stream.send(message)
}

const security = psk === undefined ? {} : { security: { psk: Buffer.from(psk, 'hex') } }
const listener = await listen({ host: '127.0.0.1', port, ...options, ...security }, (stream) => {
  stream.once('close', (reason) => {
    closeEvents[reason] = (closeEvents[reason] ?? 0) + 1
    tell({ event: 'closed', conv: stream.conv, reason })
  })
  stream.on('error', () => undefined)
  serve(stream).catch(() => undefined)
})

let peakRss = 0
let peakSessions = 0
let peakPending = 0
let peakMemory = 0
const turns = monitorEventLoopDelay({ resolution: 5 })
turns.enable()
function look(): void {
  const { sessions, pending, memoryUsed } = listener.stats()
  peakMemory = Math.max(peakMemory, memoryUsed)
  peakRss = Math.max(peakRss, process.memoryUsage.rss())
  peakSessions = Math.max(peakSessions, sessions)
  peakPending = Math.max(peakPending, pending)
}
setInterval(look, lookEvery).unref()

/**
 * Has V8 grow its young generation to the size that it has in any server that has been busy for a while: three times
 * 16 MB, which are nobody's fault and would be counted as the first attack's.
 */
function stretch(): void {
  const kept: object[] = []
  for (let i = 0; i < 2_000_000; i++) kept[i % 100_000] = { at: i, text: `${i}` }
}

const honest = new HonestSessions(listener.address()!.port)

process.on('message', (question: string) => {
  if (question === 'echoes') {
    // A failure ends this process, and so the part.
    honest.turn().then((echoes) => tell({ event: question, ...echoes }))
    return
  }
  if (question === 'baseline') {
    stretch()
    peakRss = peakSessions = peakPending = peakMemory = 0
    // This turn counts, as long as it was, only when it is over.
    setTimeout(() => turns.reset(), 50)
  }
  if (question === 'gc') globalThis.gc?.()
  look()
  const { rss, heapUsed, external } = process.memoryUsage()
  const handles = process.getActiveResourcesInfo().length
  const waits = (stream: KcpStream): boolean => {
    const { rmtWnd, sndQueue } = stream.stats()
    return rmtWnd === 0 && sndQueue > 0
  }
  const shut = [...listener.connections].filter(waits).length
  const report: ServerReport = {
    ...{
      rss,
      peakRss,
      heapUsed,
      external,
      peakSessions,
      peakPending,
      peakMemory,
      longestTurn: turns.max / 1e6,
      handles,
      shut,
      cpu: processorTime(),
    },
    ...{ stats: listener.stats(), closeEvents },
  }
  if (question === 'turns') turns.reset()
  tell({ event: question, ...report })
})
process.on('disconnect', () => process.exit())
tell({ event: 'listening', port: listener.address()!.port })
