/**
 * A process that is one end of a measurement, whatever language it is written in: JSON lines both ways.
 * @module
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { Setup } from './driver.ts'
import type { Mark } from './end.ts'

export type Role = 'server' | 'client' | 'load' | 'engine'

/** How to start an end; role and setup come behind. */
export interface Program {
  readonly command: readonly [string, ...string[]]
  readonly env?: Readonly<Record<string, string>>
}

/** Longest wait for an answer; opening ten thousand sessions takes some seconds on a slow machine. */
const PATIENCE = 60_000
/** How long a process has to end by itself, ms. */
const GOODBYE = 2_000

const running = new Set<Child>()
process.once('exit', () => {
  for (const child of running) child.kill()
})

export class Child {
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #waiting: { resolve(answer: never): void; reject(error: Error): void }[] = []
  readonly #ready: Promise<unknown>
  readonly #ended: Promise<void>
  #over: Error | undefined
  #stderr = ''

  constructor({ command: [file, ...args], env }: Program, role: Role, setup: Setup) {
    const child = spawn(file, [...args, role, JSON.stringify(setup)], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    this.#process = child
    running.add(this)
    child.stdin.on('error', () => {}) // it ended first, which is told below
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#waiting.shift()?.resolve(JSON.parse(line) as never)
    })
    this.#ready = this.#next()
    // Whoever waits for it hears of it.
    this.#ready.catch(() => {})
    this.#ended = new Promise((resolve) => {
      const over = (how: string): void => {
        running.delete(this)
        this.#over = new Error(`the ${role} ${how}${this.#stderr === '' ? '' : `: ${this.#stderr.trim()}`}`)
        for (const { reject } of this.#waiting.splice(0)) reject(this.#over)
        resolve()
      }
      child.once('error', (error) => over(`could not be started: ${error.message}`))
      child.once('close', (code, signal) => over(`ended with ${signal ?? `code ${code}`}`))
    })
  }

  /** What it says when it is ready. */
  ready<Ready>(): Promise<Ready> {
    return this.#ready as Promise<Ready>
  }

  ask<Answer>(command: string, more: object = {}): Promise<Answer> {
    const answer = this.#next<Answer>()
    this.#process.stdin.write(`${JSON.stringify({ do: command, ...more })}\n`)
    return answer
  }

  mark(): Promise<Mark> {
    return this.ask<Mark>('mark')
  }

  async stop(): Promise<void> {
    this.#process.stdin.end()
    const timer = setTimeout(() => this.kill(), GOODBYE)
    await this.#ended
    clearTimeout(timer)
  }

  kill(): void {
    this.#process.kill('SIGKILL')
  }

  #next<Answer>(): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      if (this.#over !== undefined) return reject(this.#over)
      const timer = setTimeout(() => reject(new Error(`no answer in ${PATIENCE} ms`)), PATIENCE)
      this.#waiting.push({
        resolve(answer) {
          clearTimeout(timer)
          resolve(answer)
        },
        reject(error) {
          clearTimeout(timer)
          reject(error)
        },
      })
    })
  }
}

/** Runs `measure` with a server and a client that is connected to it; ends both whatever happens. */
export async function withEnds<Result>(
  server: Program,
  client: Program,
  clientRole: Role,
  setup: Setup,
  measure: (server: Child, client: Child) => Promise<Result>,
): Promise<Result> {
  const [near, far] = [new Child(server, 'server', setup), new Child(client, clientRole, setup)]
  try {
    const [{ port }] = await Promise.all([near.ready<{ port: number }>(), far.ready()])
    await far.ask('connect', { port })
    return await measure(near, far)
  } finally {
    await Promise.all([far.stop(), near.stop()])
  }
}
