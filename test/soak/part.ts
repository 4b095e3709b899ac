/**
 * What a long run is made of: parts, each an attack or a stretch of life with its limits. A part throws when a limit is
 * passed; what it returns goes into docs/testing.
 * @module
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface Scale {
  /** How many of what the part counts. */
  readonly count: number
  /** How long, for parts that last; 0: as long as the count takes. */
  readonly seconds: number
  /** In every run of the tests: small, and no figure that depends on the machine's speed is judged. */
  readonly short: boolean
}

export interface Part {
  readonly name: string
  /** One line: what happens, and what must hold. */
  readonly what: string
  readonly unit: string
  readonly short: Partial<Scale>
  readonly long: Partial<Scale>
  /** Returns what came of it: how many, and in words what was measured. */
  readonly run: (
    scale: Scale,
    use: Resources,
  ) => Promise<{ readonly count: number; readonly findings: string }>
}

/** Child processes of a part; they end with it. */
export class Resources {
  readonly #children: Set<ChildProcess> = new Set()
  readonly #closers: (() => unknown)[] = []

  /** A Node program of this folder, with options as JSON. It gets the same limit of memory as this process. */
  start(file: string, options: object = {}): Helper {
    const child = fork(fileURLToPath(new URL(`./${file}`, import.meta.url)), [JSON.stringify(options)], {
      execArgv: [...process.execArgv.filter((word) => word.startsWith('--max')), '--expose-gc'],
    })
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return new Helper(child)
  }

  adopt(child: ChildProcess): void {
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
  }

  /** Has `close` called at the end. */
  defer(close: () => unknown): void {
    this.#closers.push(close)
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close()
    const gone = [...this.#children].map((child) => new Promise((resolve) => child.once('exit', resolve)))
    for (const child of this.#children) {
      child.kill('SIGCONT')
      child.kill('SIGKILL')
    }
    await Promise.all(gone)
  }
}

/** What a helper process says: always an object with an `event`. */
export interface Said {
  readonly event: string
  readonly [key: string]: unknown
}

/** A helper process, and what it said. */
export class Helper {
  readonly process: ChildProcess
  readonly #said: Said[] = []
  #wake: (() => void) | undefined

  constructor(child: ChildProcess) {
    this.process = child
    child.on('message', (message: Said) => {
      this.#said.push(message)
      this.#wake?.()
    })
    child.once('exit', () => this.#wake?.())
  }

  /** The first message of that kind that nobody has taken; rejects when the process ends without it. */
  async next<T extends object = Said>(event: string): Promise<T & Said> {
    for (;;) {
      const at = this.#said.findIndex((message) => message.event === event)
      if (at >= 0) return this.#said.splice(at, 1)[0]! as T & Said
      const { exitCode, signalCode } = this.process
      if (exitCode !== null || signalCode !== null) {
        throw new Error(`a helper ended (${exitCode ?? signalCode}) without saying ${event}`)
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  ask<T extends object = Said>(question: string): Promise<T & Said> {
    this.process.send(question)
    return this.next<T>(question)
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Rejects when `promise` takes longer than `ms`. */
export async function within<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Waits until `look` is true. */
export async function until(look: () => boolean | Promise<boolean>, ms: number, what: string): Promise<void> {
  const end = performance.now() + ms
  while (!(await look())) {
    if (performance.now() > end) throw new Error(`${what}: not within ${ms} ms`)
    await sleep(20)
  }
}

/** The value below which the share `q` of the numbers lies. */
export function quantile(numbers: readonly number[], q: number): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN
}

export const MB: number = 1024 * 1024
