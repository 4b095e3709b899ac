/**
 * The kcp-go end of the live tests: builds test/interop/peer/peer.go, starts it, and talks to it in JSON lines. Other Go
 * programs are built here too.
 *
 * Foreign peers are optional on a developer's machine and mandatory in CI: without the Go toolchain or Debian's
 * kcp-go, `goPeerBinary` says so loudly and the tests skip; with KCP_REQUIRE_PEERS=1 it throws instead.
 * @module
 */
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'

const GOPATH = '/usr/share/gocode'

/** The project: the nearest directory above this file with a package.json (sources and `build` differ in depth). */
function projectRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(directory, 'package.json'))) {
    if (dirname(directory) === directory) throw new Error('no package.json above test/interop')
    directory = dirname(directory)
  }
  return directory
}

/** A Go program of ours and the Debian package that it needs. */
export interface GoProgram {
  /** From the repository's root. */
  readonly source: string
  /** Below build/interop. */
  readonly binary: string
  /** The import path. */
  readonly library: string
  readonly debian: string
}

const KCP_GO: GoProgram = {
  source: 'test/interop/peer/peer.go',
  binary: 'peer',
  library: 'github.com/xtaci/kcp-go',
  debian: 'golang-github-xtaci-kcp-dev',
}

const built = new Map<string, string | undefined>()

/** Path of the compiled peer, building it if needed; `undefined` when this machine cannot build it. */
export function goPeerBinary(program: GoProgram = KCP_GO): string | undefined {
  if (!built.has(program.binary)) built.set(program.binary, build(program))
  return built.get(program.binary)
}

function build(program: GoProgram): string | undefined {
  const { library, debian } = program
  if (!existsSync(join(GOPATH, 'src', library))) {
    return missing(`${library} is not in ${GOPATH} (apt-get install ${debian})`)
  }
  const root = projectRoot()
  const source = join(root, program.source)
  const binary = join(root, 'build/interop', program.binary)
  if (existsSync(binary) && statSync(binary).mtimeMs > statSync(source).mtimeMs) return binary
  mkdirSync(dirname(binary), { recursive: true })
  // Built aside and moved into place: two test files may get here at the same time.
  const fresh = `${binary}.${process.pid}`
  // Go's own cache lives below HOME, which a bare container may not have.
  const cache = process.env['HOME'] === undefined ? { GOCACHE: join(root, 'build/interop/go-cache') } : {}
  const go = spawnSync('go', ['build', '-o', fresh, source], {
    encoding: 'utf8',
    env: { ...process.env, ...cache, CGO_ENABLED: '0', GO111MODULE: 'off', GOPATH },
  })
  if (go.error !== undefined) {
    return missing(`go cannot be started: ${go.error.message} (apt-get install golang-go)`)
  }
  // The package is there and the toolchain too: a peer that does not compile is our fault, never a skip.
  if (go.status !== 0) throw new Error(`go build of ${source} failed:\n${go.stderr}`)
  renameSync(fresh, binary)
  return binary
}

function missing(what: string): undefined {
  if (process.env['KCP_REQUIRE_PEERS'] === '1') throw new Error(`KCP_REQUIRE_PEERS=1, but ${what}`)
  const line = '!'.repeat(110)
  console.error(`${line}\n!!! LIVE TESTS AGAINST GO PEERS ARE SKIPPED: ${what}\n${line}`)
  return undefined
}

/** Flags of peer.go; what is absent keeps the default of kcp-go or of the peer. */
export interface GoPeerFlags {
  readonly mode: 'server' | 'client'
  readonly role: 'echo' | 'send' | 'sink' | 'duplex'
  /** host:port to listen on (default 127.0.0.1, any port) or to dial. */
  readonly addr?: string
  readonly conv?: number
  readonly stream?: boolean
  readonly snd?: number
  readonly rcv?: number
  readonly mtu?: number
  /** nodelay, interval, resend, nc. */
  readonly nodelay?: readonly [number, number, number, number] | undefined
  readonly acknodelay?: boolean
  readonly writedelay?: boolean
  readonly count?: number
  readonly sizes?: readonly number[]
  readonly bytes?: number
  /** A cipher by kcptun's name, and its key in hex. */
  readonly crypt?: string
  readonly key?: string
  /** Shards of FEC. */
  readonly data?: number
  readonly parity?: number
  readonly pauseMs?: number
  readonly timeoutMs?: number
}

/** One line of the peer. Which fields are set depends on the event: see peer.go. */
export interface GoPeerEvent {
  readonly event: 'listening' | 'connected' | 'accepted' | 'done' | 'counters'
  readonly addr?: string
  readonly remote?: string
  readonly conv?: number
  readonly messages?: number
  readonly bytes?: number
  readonly sizes?: readonly number[] | null
  readonly sha256?: string
  readonly sentMessages?: number
  readonly sentBytes?: number
  readonly sentSha256?: string
  /** kcp-go's counters. */
  readonly recovered?: number
  readonly fecErrors?: number
  readonly checksums?: number
  readonly resends?: number
  readonly datagrams?: number
  readonly sessions?: number
}

interface Waiter {
  readonly event: string
  readonly resolve: (event: GoPeerEvent) => void
  readonly reject: (error: Error) => void
}

/** Peers still running: killed with the test process, so that a failed test leaves nothing behind. */
const running = new Set<GoPeer>()
process.once('exit', () => {
  for (const peer of running) peer.kill()
})

/** One running peer process. */
export class GoPeer implements AsyncDisposable {
  /** What the peer listens on or sends from. */
  address: { host: string; port: number } = { host: '', port: 0 }
  /** Everything that the peer wrote to stderr; quoted in failures. */
  stderr = ''
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #events: GoPeerEvent[] = []
  readonly #exited: Promise<void>
  #waiters: Waiter[] = []
  #over: string | undefined

  private constructor(binary: string, flags: GoPeerFlags) {
    const child = spawn(binary, commandLine(flags), { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child = child
    running.add(this)
    child.stdin.on('error', () => {}) // EPIPE: the peer was quicker
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    createInterface({ input: child.stdout }).on('line', (line) => this.#onLine(line))
    this.#exited = new Promise((resolve) => {
      const over = (how: string) => {
        running.delete(this)
        this.#over = how
        for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#failure(waiter.event))
        resolve()
      }
      child.once('error', (error) => over(`could not be started: ${error.message}`))
      // 'close' and not 'exit': by then the last lines have been read.
      child.once('close', (code, signal) => over(`ended with ${signal ?? `code ${code}`}`))
    })
  }

  /** Starts a peer and waits until it listens or has dialled. */
  static async start(flags: GoPeerFlags): Promise<GoPeer> {
    const binary = goPeerBinary()
    if (binary === undefined) throw new Error('this machine has no kcp-go peer')
    const peer = new GoPeer(binary, flags)
    const { addr = '' } = await peer.next(flags.mode === 'server' ? 'listening' : 'connected', 10_000)
    const colon = addr.lastIndexOf(':')
    peer.address = { host: addr.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(addr.slice(colon + 1)) }
    return peer
  }

  /** The next unread line of this kind; earlier ones of other kinds stay for later calls. */
  next(event: GoPeerEvent['event'], timeoutMs: number = 60_000): Promise<GoPeerEvent> {
    const at = this.#events.findIndex((line) => line.event === event)
    if (at >= 0) return Promise.resolve(this.#events.splice(at, 1)[0]!)
    if (this.#over !== undefined) return Promise.reject(this.#failure(event))
    const promise = new Promise<GoPeerEvent>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter)
        reject(new Error(`peer said no "${event}" in ${timeoutMs} ms${this.#quote()}`))
      }, timeoutMs)
      const waiter: Waiter = {
        event,
        resolve: (line) => {
          clearTimeout(timer)
          resolve(line)
        },
        reject: (error) => {
          clearTimeout(timer)
          reject(error)
        },
      }
      this.#waiters.push(waiter)
    })
    // A test may fail before it gets to await this.
    promise.catch(() => {})
    return promise
  }

  /** kcp-go's own counters now. */
  counters(): Promise<GoPeerEvent> {
    const answer = this.next('counters', 10_000)
    this.#child.stdin.write('counters\n')
    return answer
  }

  /** Lets the peer go (it ends when its stdin closes) and waits until it has. */
  async stop(): Promise<void> {
    this.#child.stdin.end()
    const timer = setTimeout(() => this.kill(), 2_000)
    await this.#exited
    clearTimeout(timer)
  }

  /** SIGKILL, for the tests in which a peer dies. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #onLine(text: string): void {
    const line = JSON.parse(text) as GoPeerEvent
    const at = this.#waiters.findIndex((waiter) => waiter.event === line.event)
    if (at >= 0) this.#waiters.splice(at, 1)[0]!.resolve(line)
    else this.#events.push(line)
  }

  #failure(event: string): Error {
    return new Error(`peer ${this.#over} before "${event}"${this.#quote()}`)
  }

  #quote(): string {
    return this.stderr === '' ? '' : `; its stderr:\n${this.stderr}`
  }
}

function commandLine(flags: GoPeerFlags): string[] {
  const { pauseMs, timeoutMs, ...rest } = flags
  const line = Object.entries(rest)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `-${name}=${String(value)}`)
  if (pauseMs !== undefined) line.push(`-pause=${pauseMs}ms`)
  if (timeoutMs !== undefined) line.push(`-timeout=${timeoutMs}ms`)
  return line
}

/** Content of message `i` at this size; peer.go has the same formula. */
export function patternMessage(i: number, size: number): Uint8Array {
  const message = new Uint8Array(size)
  for (let j = 0; j < size; j++) message[j] = i * 31 + j * 7 + (j >> 8) * 13
  return message
}

/** The messages that a peer with these `count` and `sizes` writes. */
export function patternMessages(count: number, sizes: readonly number[]): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => patternMessage(i, sizes[i % sizes.length]!))
}
