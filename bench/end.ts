/**
 * One end of a measurement, a process of its own: `node end.js DRIVER ROLE SETUP`. ROLE is `server`, `client`, `load`
 * (many clients) or `engine`. It speaks JSON lines: one when it is ready, then one answer to each command that comes in
 * on stdin, and it ends with stdin. bench/peers/go/main.go does the same in Go.
 * @module
 */
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import type { Driver, Flow, Setup } from './driver.ts'
import { EnginePair } from './engine-pair.ts'
import { LoadGenerator } from './load-generator.ts'

/** What an end has used and received by now. */
export interface Mark {
  /** Its own clock, ms. */
  readonly at: number
  /** CPU seconds of the whole process. */
  readonly cpu: number
  /** Resident bytes. */
  readonly rss: number
  /** Bytes received by a sink. */
  readonly bytes: number
}
/** Round trips one at a time, µs. */
export interface Trips {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** `do` names it; each takes some of the numbers. */
interface Command {
  readonly do: string
  readonly port: number
  readonly size: number
  readonly warmMs: number
  readonly ms: number
  readonly sessions: number
  readonly everyMs: number
  readonly window: number
  readonly loss: number
}
type Commands = Record<string, (command: Command) => unknown>

/** Bytes that a sink has received. */
let bytes = 0

const ROLES: Record<
  string,
  (driver: Required<Driver>, setup: Setup) => Promise<{ ready: object; commands: Commands }>
> = {
  async server(driver, setup) {
    const port = await driver.serve(setup, (flow) => {
      flow.onData = setup.job === 'sink' ? count : (chunk) => flow.write(chunk)
    })
    return { ready: { port }, commands: {} }
  },
  async client(driver, setup) {
    let flow: Flow
    return {
      ready: {},
      commands: {
        async connect({ port }) {
          flow = await driver.connect(setup, port)
          return {}
        },
        flood: () => flood(flow, setup.chunk),
        ping: ({ size, warmMs, ms }) => ping(flow, size, warmMs, ms),
      },
    }
  },
  async load(driver, setup) {
    let load: LoadGenerator
    return {
      ready: {},
      commands: {
        connect({ port }) {
          load = new LoadGenerator(() => driver.connect(setup, port))
          return {}
        },
        open: ({ sessions }) => load.open(sessions),
        start: ({ everyMs }) => load.start(everyMs),
        watch: () => load.watch(),
        stop: () => load.stop(),
      },
    }
  },
  async engine(driver) {
    let pair: EnginePair | undefined
    return {
      ready: {},
      commands: {
        run({ window, loss, ms }) {
          const fits = pair?.window === window && pair.loss === loss
          if (!fits) pair = new EnginePair(driver.engine, window, loss)
          return pair!.run(ms)
        },
      },
    }
  },
}

function count(chunk: Uint8Array): void {
  bytes += chunk.length
}

function mark(): Mark {
  const { user, system } = process.cpuUsage()
  return { at: performance.now(), cpu: (user + system) / 1e6, rss: process.memoryUsage.rss(), bytes }
}

/** Writes as fast as the flow takes it, until the process ends. */
function flood(flow: Flow, size: number): object {
  const chunk = Buffer.alloc(size, 0x5a)
  flow.onRoom = () => {
    while (flow.write(chunk));
  }
  flow.onRoom()
  return {}
}

async function ping(flow: Flow, size: number, warmMs: number, ms: number): Promise<Trips> {
  const message = Buffer.alloc(size, 0x5a)
  const times: number[] = []
  const startedAt = performance.now()
  await new Promise<void>((resolve) => {
    let sentAt = 0
    let missing = 0
    const send = (): void => {
      missing = size
      sentAt = performance.now()
      flow.write(message)
    }
    flow.onData = (chunk) => {
      missing -= chunk.length
      if (missing > 0) return
      const now = performance.now()
      if (now - startedAt > warmMs) times.push((now - sentAt) * 1000)
      if (now - startedAt > warmMs + ms) resolve()
      else send()
    }
    send()
  })
  times.sort((a, b) => a - b)
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))]!
  return { count: times.length, p50: at(0.5), p99: at(0.99), max: times.at(-1)! }
}

const [path, role, setupText] = process.argv.slice(2) as [string, string, string]
const { driver } = (await import(pathToFileURL(path).href)) as { driver: Required<Driver> }
const setup = JSON.parse(setupText) as Setup
const { ready, commands } = await ROLES[role]!(driver, setup)
const answer = (line: unknown): boolean => process.stdout.write(`${JSON.stringify(line)}\n`)
answer(ready)
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as Command
  answer(command.do === 'mark' ? mark() : await commands[command.do]!(command))
}
process.exit(0)
