/**
 * The two ends of a tunnel as processes, ours or Debian's kcptun, with a TCP service behind them: what the live tests of
 * the tunnel start, talk through and stop.
 *
 * kcptun is optional on a developer's machine: without it `hasKcptun` says so loudly and the tests skip; with
 * KCP_REQUIRE_PEERS=1 it throws instead.
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { type EventEmitter, once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Prng } from '../../src/sim/prng.ts'
import { noise, prose } from '../snappy/data.ts'
import { type Relay, startRelay } from '../support/relay.ts'

export type Who = 'kcp-io' | 'kcptun'

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))
/** Longest that an end may take to be ready, and a whole exchange to be over, ms: for a machine with other work. */
const READY_LIMIT = 10_000
const EXCHANGE_LIMIT = 90_000

let found: boolean | undefined

/** Whether this machine has kcptun. */
export function hasKcptun(): boolean {
  found ??= look()
  return found
}

function look(): boolean {
  const missing = ['kcptun-client', 'kcptun-server'].filter(
    (name) => spawnSync(name, ['--version']).error !== undefined,
  )
  if (missing.length === 0) return true
  const what = `${missing.join(' and ')} cannot be started (apt-get install kcptun)`
  if (process.env['KCP_REQUIRE_PEERS'] === '1') throw new Error(`KCP_REQUIRE_PEERS=1, but ${what}`)
  const line = '!'.repeat(110)
  console.error(`${line}\n!!! LIVE TESTS AGAINST kcptun ARE SKIPPED: ${what}\n${line}`)
  return false
}

/** Ends still running: killed with the test process, so that a failed test leaves nothing behind. */
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** One end of a tunnel. */
export class TunnelEnd implements AsyncDisposable {
  readonly who: Who
  readonly child: ChildProcess
  /** Everything that it said. */
  output = ''
  readonly ended: Promise<number | string | null>

  constructor(who: Who, side: 'client' | 'server', words: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.who = who
    const [command, ...lead] =
      who === 'kcp-io' ? [process.execPath, MAIN, 'tunnel', side] : [`kcptun-${side}`]
    this.child = spawn(command!, [...lead, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    running.add(this.child)
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.output += text))
    }
    this.ended = once(this.child, 'close').then(([code, signal]) => {
      running.delete(this.child)
      return (signal ?? code) as number | string | null
    })
  }

  /** Waits until it said `pattern`. */
  async says(pattern: RegExp, limit: number = READY_LIMIT): Promise<RegExpExecArray> {
    const until = performance.now() + limit
    for (;;) {
      const match = pattern.exec(this.output)
      if (match !== null) return match
      if (performance.now() > until || this.child.exitCode !== null) {
        throw new Error(`${this.who} did not say ${pattern}; it said:\n${this.output}`)
      }
      await delay(10)
    }
  }

  /** CPU seconds that it used so far (Linux). */
  cpuSeconds(): number {
    const fields = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    // utime and stime: fields 14 and 15 of proc(5), in ticks of 10 ms.
    return (Number(fields[11]) + Number(fields[12])) / 100
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL')
    await this.ended
  }
}

/**
 * Below the ports that systems hand out themselves (from 32768 on): nobody takes one between the look and its use. Each
 * process of tests begins somewhere else.
 */
const FIRST_PORT = 10_000
const PORTS = 20_000
let nextPort = (process.pid * 64) % PORTS

/** A UDP and TCP port that nobody has at the moment. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + (nextPort++ % PORTS)
    const tcp = createServer()
    const udp = createSocket('udp4')
    const bound = await Promise.all([
      settled(tcp, 'listening', () => tcp.listen(port, '127.0.0.1')),
      settled(udp, 'listening', () => udp.bind(port, '127.0.0.1')),
    ])
    if (bound[0]) tcp.close()
    udp.close()
    if (bound[0] && bound[1]) return port
  }
}

async function settled(emitter: EventEmitter, event: string, start: () => void): Promise<boolean> {
  const done = once(emitter, event)
  start()
  return await done.then(
    () => true,
    () => false,
  )
}

export interface TunnelOptions {
  readonly client: Who
  readonly server: Who
  /** Words for both ends. */
  readonly words?: readonly string[]
  readonly clientWords?: readonly string[]
  readonly serverWords?: readonly string[]
  /** Loss in both directions, 0..1. */
  readonly loss?: number
  readonly target: number
}

/** A tunnel to `target`, ready for connections at `port`. */
export class Tunnel implements AsyncDisposable {
  readonly port: number
  readonly client: TunnelEnd
  readonly server: TunnelEnd
  readonly relay: Relay | undefined

  private constructor(port: number, client: TunnelEnd, server: TunnelEnd, relay: Relay | undefined) {
    this.port = port
    this.client = client
    this.server = server
    this.relay = relay
  }

  static async open(options: TunnelOptions): Promise<Tunnel> {
    const { words = [], clientWords = [], serverWords = [], loss = 0, target } = options
    const [tcp, udp] = [await freePort(), await freePort()]
    const conditions = { loss, delayMs: 1 }
    const relay =
      loss === 0
        ? undefined
        : await startRelay({
            target: { host: '127.0.0.1', port: udp },
            toServer: conditions,
            toClient: conditions,
            seed: 1,
          })
    const to = relay?.port ?? udp
    const listen = `127.0.0.1:${udp}`
    const server = new TunnelEnd(options.server, 'server', [
      ...['-l', listen, '-t', `127.0.0.1:${target}`, '--key', 'a test', ...words, ...serverWords],
    ])
    // kcptun says so just before it binds its socket.
    await server.says(/listening on|key derivation done/)
    const client = new TunnelEnd(options.client, 'client', [
      ...['-l', `127.0.0.1:${tcp}`, '-r', `127.0.0.1:${to}`, '--key', 'a test', ...words, ...clientWords],
    ])
    await client.says(/listening on/)
    if (options.client === 'kcp-io') await client.says(/session .* opened/)
    return new Tunnel(tcp, client, server, relay)
  }

  /** A connection through it. */
  connect(): Socket {
    return connect({ port: this.port, host: '127.0.0.1', allowHalfOpen: true })
  }

  /** What both ends said, for the message of a failure. */
  story(): string {
    return `client (${this.client.who}):\n${this.client.output}\nserver (${this.server.who}):\n${this.server.output}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.client[Symbol.asyncDispose](), this.server[Symbol.asyncDispose]()])
    await this.relay?.close()
  }
}

/** A TCP service on loopback; `serve` gets each connection. */
export async function startService(
  serve: (socket: Socket) => void,
): Promise<{ port: number; close: () => void }> {
  const sockets = new Set<Socket>()
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    serve(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as { port: number }).port,
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Bytes of which about half can be compressed: what tunnels carry is encrypted or text. */
export function payload(size: number, seed: number): Buffer {
  const prng = new Prng(seed)
  const bytes = Buffer.alloc(size)
  const [random, text] = [noise(64_000, prng), prose(64_000, prng)]
  for (let at = 0, i = 0; at < size; at += 64_000, i++) {
    const block = i % 2 === 0 ? random : text
    bytes.set(block.subarray(0, size - at), at)
    // No two blocks are alike.
    bytes.writeUInt32LE(i, Math.min(at, size - 4))
  }
  return bytes
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** A service that sends `down`, takes `size` bytes, and then says their hash. */
export function startExchange(down: Buffer, size: number): Promise<{ port: number; close: () => void }> {
  return startService((socket) => {
    const hash = createHash('sha256')
    let taken = 0
    socket.on('data', (chunk: Buffer) => {
      hash.update(chunk)
      taken += chunk.length
      if (taken === size) socket.write(hash.digest('hex'))
    })
    socket.on('end', () => socket.end())
    socket.write(down)
  })
}

/** Sends `up` through a tunnel to `startExchange` and takes what comes; rejects unless all of it arrived whole. */
export async function exchange(tunnel: Tunnel, up: Buffer, down: Buffer): Promise<void> {
  const socket = tunnel.connect()
  socket.write(up)
  const parts: Buffer[] = []
  let taken = 0
  const whole = down.length + 64
  let onTimeout: NodeJS.Timeout | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string): void =>
        reject(new Error(`${why}; ${taken} of ${whole} bytes came; ${tunnel.story()}`))
      onTimeout = setTimeout(() => fail(`not done in ${EXCHANGE_LIMIT} ms`), EXCHANGE_LIMIT)
      socket.on('error', (error) => fail(error.message))
      socket.on('close', () => fail('the connection was closed'))
      socket.on('data', (chunk: Buffer) => {
        parts.push(chunk)
        taken += chunk.length
        if (taken >= whole) resolve()
      })
    })
  } finally {
    clearTimeout(onTimeout)
    socket.destroy()
  }
  const all = Buffer.concat(parts)
  if (!all.subarray(0, down.length).equals(down)) {
    throw new Error(`what came down is not what was sent; ${tunnel.story()}`)
  }
  if (String(all.subarray(down.length)) !== sha256(up)) {
    throw new Error(`what went up did not arrive whole; ${tunnel.story()}`)
  }
}
