/**
 * A program of the benchmark as a child process: it says events as lines of JSON on its stdout, is told words on its
 * stdin, and ends when that closes.
 * @module
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

interface Waiter {
  readonly event: string
  readonly resolve: (line: never) => void
  readonly reject: (error: Error) => void
}

/** Longest wait for an event that should come at once, ms; a very busy machine has taken more than 30 s to start one program. */
const PATIENCE = 60_000

export class Child {
  readonly #name: string
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #said: { readonly event: string }[] = []
  readonly #waiters: Set<Waiter> = new Set()
  readonly #closed: Promise<void>
  #stderr = ''
  #over: string | undefined

  constructor(command: string, words: readonly string[]) {
    this.#name = [command, ...words].join(' ')
    const child = spawn(command, words, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#process = child
    // EPIPE: it was quicker to end.
    child.stdin.on('error', () => undefined)
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    createInterface({ input: child.stdout }).on('line', (line) => this.#hear(line))
    this.#closed = new Promise((resolve) => {
      const over = (how: string): void => {
        this.#over ??= how
        for (const { event, reject } of this.#waiters) reject(this.#failure(event))
        resolve()
      }
      child.once('error', (error) => over(`could not be started: ${error.message}`))
      child.once('close', (code, signal) => over(`ended with ${signal ?? code}`))
    })
  }

  /** The next event of that name; rejects when the program ends, or says nothing of it for `patience` ms. */
  next<T extends object = object>(event: string, patience: number = PATIENCE): Promise<T> {
    const at = this.#said.findIndex((line) => line.event === event)
    if (at >= 0) return Promise.resolve(this.#said.splice(at, 1)[0] as T & { event: string })
    if (this.#over !== undefined) return Promise.reject(this.#failure(event))
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter)
        reject(this.#failure(event, `said nothing for ${patience} ms`))
      }, patience)
      const settle =
        <A>(act: (value: A) => void) =>
        (value: A): void => {
          clearTimeout(timer)
          this.#waiters.delete(waiter)
          act(value)
        }
      const waiter: Waiter = { event, resolve: settle(resolve), reject: settle(reject) }
      this.#waiters.add(waiter)
    })
  }

  /** How it ended; undefined while it runs. */
  get over(): string | undefined {
    return this.#over
  }

  tell(word: string): void {
    this.#process.stdin.write(`${word}\n`)
  }

  /** Ends it at once. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#closed
  }

  #hear(text: string): void {
    const line = JSON.parse(text) as { event: string }
    for (const waiter of this.#waiters) {
      if (waiter.event !== line.event) continue
      waiter.resolve(line as never)
      return
    }
    this.#said.push(line)
  }

  #failure(event: string, how: string = this.#over ?? 'is running'): Error {
    return new Error(`${this.#name} ${how} before "${event}"\n${this.#stderr}`)
  }
}
