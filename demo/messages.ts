/**
 * What the demo's processes tell each other (over Node's IPC, not over the network), and how one starts another.
 * @module
 */
import { type ChildProcess, fork } from 'node:child_process'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import type { KcpPresetName } from '../src/index.ts'

/** One conversation of the demo: the file's, or the echoes' of one preset. */
export type Lane = 'file' | KcpPresetName

/** Which preset each lane runs with, at both ends. */
export type Lanes = Readonly<Partial<Record<Lane, KcpPresetName>>>

/** What an end counts of a conversation. */
export interface EndStats {
  readonly srtt: number
  /** PUSH transmissions; of these, repetitions. */
  readonly segments: number
  readonly resends: number
}

/** To either end, once: the lanes and, for the client, their ports. */
export interface Start {
  readonly kind: 'start'
  readonly lanes: Lanes
  readonly ports: Readonly<Partial<Record<Lane, number>>>
  readonly file: string
  readonly bytes: number
  readonly echoes: number
  readonly echoInterval: number
  readonly seed: number
}

export type ToEnd =
  | Start
  /** The client: send the file; then, later, the echoes. */
  | { readonly kind: 'transfer' }
  | { readonly kind: 'echo' }
  /** The listener: what did you count? */
  | { readonly kind: 'count' }
  /** Close what is open and exit. */
  | { readonly kind: 'stop' }

export interface Ready {
  readonly kind: 'ready'
  readonly ports: Readonly<Partial<Record<Lane, number>>>
}
export interface Transferred {
  readonly kind: 'transferred'
  readonly ms: number
  readonly sent: FileDigest
  readonly received: FileDigest
  readonly stats: EndStats
}
export interface Echoed {
  readonly kind: 'echoed'
  readonly lane: Lane
  /** Round trips in ms, in the order of the messages. */
  readonly times: readonly number[]
  /** Messages that came back changed, twice or not at all. */
  readonly wrong: number
  readonly stats: EndStats
}
export interface Counted {
  readonly kind: 'counted'
  readonly stats: Readonly<Partial<Record<Lane, EndStats>>>
}
export type FromEnd =
  | Ready
  | Transferred
  | Echoed
  | Counted
  /** The listener: file bytes so far. The client: echoes so far, all lanes. */
  | { readonly kind: 'progress'; readonly done: number }
  | { readonly kind: 'failed'; readonly message: string }

/** How much of a file an end saw, and its SHA-256. */
export interface FileDigest {
  readonly bytes: number
  readonly sha256: string
}

/** One of the two ends, seen from the process that started it. */
export class End implements Disposable {
  readonly name: string
  onMessage: (message: FromEnd) => void = () => undefined
  /** The process ended without being asked, or reported a failure. */
  onFailure: (error: Error) => void = () => undefined
  readonly #child: ChildProcess
  #stopped: (() => void) | undefined

  /** @param file beside this one. */
  constructor(name: string, file: string) {
    this.name = name
    this.#child = fork(fileURLToPath(new URL(file, import.meta.url)), {
      // stdout belongs to the result.
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#child.on('message', (message: FromEnd) => {
      if (message.kind === 'failed') this.onFailure(new Error(`the ${name} failed: ${message.message}`))
      else this.onMessage(message)
    })
    this.#child.on('error', (error) => this.onFailure(error))
    this.#child.on('exit', (code, signal) => {
      if (this.#stopped === undefined) this.onFailure(new Error(`the ${name} ended (${signal ?? code})`))
      else this.#stopped()
    })
  }

  tell(message: ToEnd): void {
    if (this.#child.connected) this.#child.send(message)
  }

  /** Has it close what is open; resolves when it is gone. */
  stop(patience: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#child.kill('SIGKILL'), patience)
      this.#stopped = () => {
        clearTimeout(timer)
        resolve()
      }
      if (this.#child.exitCode === null && this.#child.signalCode === null) this.tell({ kind: 'stop' })
      else this.#stopped()
    })
  }

  [Symbol.dispose](): void {
    this.#stopped ??= () => undefined
    this.#child.kill('SIGKILL')
  }
}

/** Between two reports of progress, ms. */
const PROGRESS_INTERVAL = 100

/** Reports progress now and then, however often it is called. */
export function progress(report: (message: FromEnd) => void): (done: number) => void {
  let reportedAt = 0
  return (done) => {
    const now = performance.now()
    if (now - reportedAt < PROGRESS_INTERVAL) return
    reportedAt = now
    report({ kind: 'progress', done })
  }
}

/** The other side: an end's own conversation with the process that started it. */
export function serve(handle: (message: ToEnd) => void | Promise<void>): (message: FromEnd) => void {
  const report = (message: FromEnd): void => {
    if (process.connected) process.send!(message)
  }
  const fail = (error: unknown): void => {
    report({ kind: 'failed', message: error instanceof Error ? error.message : String(error) })
  }
  process.on('message', (message: ToEnd) => {
    // Handlers may throw at once or later.
    void (async () => handle(message))().catch(fail)
  })
  process.on('uncaughtException', fail)
  // An end does not outlive the demo.
  process.on('disconnect', () => process.exit(1))
  return report
}
