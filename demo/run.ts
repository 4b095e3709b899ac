/**
 * The demo's story: two processes and a network, a file, the echoes, and what became of them.
 * @module
 */
import { type KcpPresetName, presets } from '../src/index.ts'
import {
  type Counted,
  type Echoed,
  End,
  type EndStats,
  type FileDigest,
  type FromEnd,
  type Lane,
  type Lanes,
  type Ready,
  type Transferred,
} from './messages.ts'
import type { DemoOptions } from './options.ts'
import { type Relay, startRelay } from './relay.ts'
import type { Screen } from './screen.ts'

/** One line of the table. */
export interface Row {
  readonly work: 'file' | 'echo'
  readonly preset: KcpPresetName
  /** Application bytes per second; null for echoes, whose pace is ours. */
  readonly goodput: number | null
  /** The client's smoothed round-trip time, ms. */
  readonly srtt: number
  /** PUSH segments of both ends that were repetitions, 0..1. */
  readonly retransmitted: number
  /** Datagrams that the relay was given, both ways, and its share of lost ones. */
  readonly datagrams: number
  readonly lost: number
  /** Round trips, ms. */
  readonly p50: number | null
  readonly p99: number | null
}

export interface DemoResult {
  readonly network: DemoOptions['link']
  readonly seed: number
  readonly file: { readonly name: string; readonly seconds: number } & FileDigest
  readonly echoes: number
  readonly rows: readonly Row[]
  /** What did not arrive as it was sent; empty when all is well. */
  readonly differences: readonly string[]
}

/**
 * Between two echoes of one preset, ms: 500 take 15 s. At 5 % loss that is about what `default` carries, whose
 * congestion window falls to one segment per round trip again and again.
 */
const ECHO_INTERVAL = 30
/** How long the processes may take to end, ms. */
const STOP_PATIENCE = 2_000

export async function runDemo(
  options: DemoOptions,
  fileLabel: string,
  screen: Screen,
  signal: AbortSignal,
): Promise<DemoResult> {
  const { file, bytes, preset, echoes, seed, link } = options
  const names = Object.keys(presets) as KcpPresetName[]
  const lanes: Lanes = { file: preset, ...Object.fromEntries(names.map((name) => [name, name])) }

  using server = new End('listener process', './server.js')
  using client = new End('client process', './client.js')
  const inbox = new Inbox(signal, server, client)
  const start = {
    kind: 'start',
    lanes,
    ports: {},
    file,
    bytes,
    echoes,
    echoInterval: ECHO_INTERVAL,
    seed,
  } as const
  server.tell(start)
  const { ports: targets } = await inbox.next<Ready>('ready')
  await using network = await startNetwork(targets, options)
  client.tell({ ...start, ports: network.ports })

  const fileBar = screen.bar(`file  ${fileLabel}, preset ${preset}`, bytes, (done, seconds) => {
    return `${(done / 1e6).toFixed(1)} MB, ${(done / 1e6 / Math.max(seconds, 0.001)).toFixed(1)} MB/s`
  })
  inbox.onProgress = fileBar.update
  client.tell({ kind: 'transfer' })
  const transferred = await inbox.next<Transferred>('transferred')
  fileBar.finish()
  const differences = compareFiles(transferred)

  const echoed: Echoed[] = []
  if (differences.length === 0) {
    screen.line(`      SHA-256 equal at both ends: ${transferred.sent.sha256}`, '')
    const total = echoes * names.length
    const title = `echo  ${echoes} messages with each preset, side by side, one every ${ECHO_INTERVAL} ms`
    const echoBar = screen.bar(title, total, (done) => `${done} of ${total}`)
    inbox.onProgress = echoBar.update
    client.tell({ kind: 'echo' })
    while (echoed.length < names.length) echoed.push(await inbox.next<Echoed>('echoed'))
    echoBar.finish()
  }
  server.tell({ kind: 'count' })
  const { stats: theirs } = await inbox.next<Counted>('counted')
  await Promise.all([client.stop(STOP_PATIENCE), server.stop(STOP_PATIENCE)])

  const rows: Row[] = [
    {
      work: 'file',
      preset,
      goodput: (transferred.sent.bytes * 1000) / transferred.ms,
      ...countSegments(transferred.stats, theirs.file),
      ...network.count('file'),
      p50: null,
      p99: null,
    },
  ]
  for (const name of names) {
    const echo = echoed.find(({ lane }) => lane === name)
    if (echo === undefined) continue
    const times = [...echo.times].sort((a, b) => a - b)
    rows.push({
      work: 'echo',
      preset: name,
      goodput: null,
      ...countSegments(echo.stats, theirs[name]),
      ...network.count(name),
      p50: percentile(times, 0.5),
      p99: percentile(times, 0.99),
    })
    if (echo.wrong > 0) differences.push(`${name}: ${echo.wrong} of ${echoes} echoes came back changed`)
  }
  return {
    network: link,
    seed,
    file: { name: file, seconds: transferred.ms / 1000, ...transferred.sent },
    echoes,
    rows,
    differences,
  }
}

/** The bad network: a relay for each lane, so that none queues behind another. */
interface Network extends AsyncDisposable {
  /** Where the client finds each lane. */
  readonly ports: Readonly<Partial<Record<Lane, number>>>
  /** Datagrams both ways, and the share of them that was lost. */
  count(lane: Lane): { readonly datagrams: number; readonly lost: number }
}

async function startNetwork(targets: Ready['ports'], options: DemoOptions): Promise<Network> {
  const { link, corrupt, seed } = options
  const relays = new Map<string, Relay>()
  const ports: Partial<Record<Lane, number>> = {}
  for (const [lane, port] of Object.entries(targets)) {
    const relay = await startRelay({
      target: { host: '127.0.0.1', port },
      toServer: { ...link, corrupt },
      toClient: link,
      // A relay uses its seed and the next.
      seed: seed + 2 * relays.size,
    })
    relays.set(lane, relay)
    ports[lane as Lane] = relay.port
  }
  return {
    ports,
    count: (lane) => {
      const { toServer, toClient } = relays.get(lane)!.stats()
      const datagrams = toServer.offered + toClient.offered
      const dropped = [toServer, toClient].reduce((sum, way) => sum + way.lost + way.tailDropped, 0)
      return { datagrams, lost: dropped / Math.max(1, datagrams) }
    },
    async [Symbol.asyncDispose]() {
      for (const relay of relays.values()) await relay.close()
    },
  }
}

/** What the processes said and nobody has taken yet. */
class Inbox {
  onProgress: (done: number) => void = () => undefined
  readonly #messages: FromEnd[] = []
  #wake: () => void = () => undefined
  #error: Error | undefined

  constructor(signal: AbortSignal, ...ends: readonly End[]) {
    for (const end of ends) {
      end.onMessage = (message) => {
        if (message.kind === 'progress') this.onProgress(message.done)
        else this.#messages.push(message)
        this.#wake()
      }
      end.onFailure = (error) => this.#fail(error)
    }
    signal.addEventListener('abort', () => this.#fail(signal.reason as Error))
  }

  /** The next message of a kind. */
  async next<M extends FromEnd>(kind: M['kind']): Promise<M> {
    for (;;) {
      if (this.#error !== undefined) throw this.#error
      const at = this.#messages.findIndex((message) => message.kind === kind)
      // The kind says which type it is.
      if (at >= 0) return this.#messages.splice(at, 1)[0] as M
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  #fail(error: Error): void {
    this.#error ??= error
    this.#wake()
  }
}

function compareFiles({ sent, received }: Transferred): string[] {
  if (sent.bytes === received.bytes && sent.sha256 === received.sha256) return []
  return [
    `the file: ${sent.bytes} bytes with SHA-256 ${sent.sha256} were sent, ` +
      `${received.bytes} bytes with SHA-256 ${received.sha256} arrived`,
  ]
}

/** The client's srtt, and the share of both ends' data segments that were repetitions. */
function countSegments(
  mine: EndStats,
  theirs: EndStats | undefined,
): { readonly srtt: number; readonly retransmitted: number } {
  const segments = mine.segments + (theirs?.segments ?? 0)
  const resends = mine.resends + (theirs?.resends ?? 0)
  return { srtt: mine.srtt, retransmitted: resends / Math.max(1, segments) }
}

/** Nearest rank. */
function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}
