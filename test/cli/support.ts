/**
 * What the tests of the tunnel share: a pipe of two ends in memory, virtual time for streams, links without a network.
 * @module
 */
import { Duplex } from 'node:stream'
import type { Link } from '../../src/cli/tunnel/link.ts'
import { Log } from '../../src/cli/tunnel/log.ts'
import { VirtualClock } from '../../src/sim/clock.ts'

/** One end of a pipe in memory; half-open ends are allowed. */
export class End extends Duplex {
  other: End | undefined
  /** Bytes that were taken from this end's writer. */
  taken = 0
  #waiting: (() => void) | undefined

  constructor(highWaterMark: number) {
    super({ allowHalfOpen: true, highWaterMark })
  }

  override _read(): void {
    const other = this.other!
    const waiting = other.#waiting
    other.#waiting = undefined
    waiting?.()
  }
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.taken += chunk.length
    // The other end reads no more: so does this one's writer wait.
    if (this.other!.push(chunk)) done()
    else this.#waiting = done
  }
  override _final(done: () => void): void {
    this.other!.push(null)
    done()
  }
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const other = this.other!
    // As a reset: nothing behind it.
    if (!this.readableEnded || !this.writableFinished) {
      if (!other.destroyed) setImmediate(() => other.destroy())
    }
    done(error)
  }
}

export function pipe(highWaterMark = 16_384): [End, End] {
  const [a, b] = [new End(highWaterMark), new End(highWaterMark)]
  a.other = b
  b.other = a
  return [a, b]
}

/** Virtual time that lets streams settle between its events. */
export function streamClock(): VirtualClock {
  return new VirtualClock(0, { settle: () => new Promise((done) => setImmediate(done)) })
}

/** All that `end` says; resolves at its end, rejects when it is cut off. (`for await` would destroy it.) */
export function readAll(end: Duplex): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    end.on('data', (part: Buffer) => parts.push(part))
    end.once('end', () => resolve(Buffer.concat(parts)))
    end.once('error', reject)
    end.once('close', () => reject(new Error('cut off')))
  })
}

/** Lets streams settle. */
export async function turns(count = 10): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((done) => setImmediate(done))
}

/** A log that keeps its lines, without times. */
export function memoryLog(): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = []
  const write = (line: string): void => void lines.push(line.trim().replace(/^\S+ /, ''))
  return { log: new Log({ level: 'debug', quiet: false, write, now: () => 0 }), lines }
}

/** A session in memory: the other ends of its streams are in `peers`. */
export class FakeLink implements Link {
  readonly name: string
  readonly peer: Link['peer'] = { address: '192.0.2.1', port: 7 }
  readonly local: Link['local'] = { address: '192.0.2.2', port: 8 }
  readonly closed: Promise<string>
  readonly peers: End[] = []
  readonly own: End[] = []
  limit: number = Number.POSITIVE_INFINITY
  #end: (why: string) => void = () => undefined
  #take: (stream: Duplex) => void = () => undefined

  constructor(name: string) {
    this.name = name
    this.closed = new Promise((resolve) => (this.#end = resolve))
  }
  get streams(): number {
    return this.own.filter((one) => !one.destroyed).length
  }
  open(): Duplex {
    if (this.streams >= this.limit) throw new Error('too many streams')
    const [own, peer] = pipe()
    this.own.push(own)
    this.peers.push(peer)
    return own
  }
  onStream(take: (stream: Duplex) => void): void {
    this.#take = take
  }
  /** The peer opens a stream; its end of it. */
  arrive(): End {
    const own = this.open()
    this.#take(own)
    return this.peers.at(-1)!
  }
  /** It ends by itself. */
  fail(why: string): void {
    for (const one of this.own) one.destroy()
    this.#end(why)
  }
  async close(): Promise<void> {
    this.fail('')
  }
  destroy(): void {
    this.fail('')
  }
}
