/**
 * A stream in Snappy's framing over another stream: what kcptun does to a session unless told `nocomp`.
 * @module
 */
import { Duplex } from 'node:stream'
import { BLOCK_MAX, SnappyDecoder, SnappyEncoder } from '../../snappy/index.ts'

type Done = (error?: Error | null) => void

export class SnappyStream extends Duplex {
  readonly #inner: Duplex
  readonly #encoder: SnappyEncoder = new SnappyEncoder()
  readonly #decoder: SnappyDecoder = new SnappyDecoder()
  /** A write that waits until the inner stream takes more. */
  #blocked: Done | undefined

  /** Takes `inner` over: it ends, fails and is destroyed with this one. */
  constructor(inner: Duplex) {
    super({ allowHalfOpen: true })
    this.#inner = inner
    inner.on('data', (bytes: Uint8Array) => this.#take(bytes))
    inner.on('drain', () => this.#unblock())
    inner.once('end', () => this.push(null))
    inner.on('error', (error) => this.destroy(error))
    inner.once('close', () => this.destroy())
  }

  override _read(): void {
    this.#inner.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#pass([chunk], done)
  }

  /** What was written meanwhile goes in chunks as large as they may be. */
  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: Done): void {
    const groups: Buffer[][] = [[]]
    let size = 0
    for (const { chunk } of chunks) {
      if (size + chunk.length > BLOCK_MAX && size > 0) {
        groups.push([])
        size = 0
      }
      groups.at(-1)!.push(chunk)
      size += chunk.length
    }
    this.#pass(
      groups.map((group) => (group.length === 1 ? group[0]! : Buffer.concat(group))),
      done,
    )
  }

  override _final(done: Done): void {
    this.#inner.end(() => done())
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#inner.destroy(error ?? undefined)
    this.#unblock()
    done(error)
  }

  #pass(plain: readonly Uint8Array[], done: Done): void {
    let room = true
    for (const one of plain) room = this.#inner.write(this.#encoder.encode(one))
    if (room || this.#inner.destroyed) done()
    else this.#blocked = done
  }

  #unblock(): void {
    const done = this.#blocked
    this.#blocked = undefined
    done?.()
  }

  #take(bytes: Uint8Array): void {
    let room = true
    try {
      for (const plain of this.#decoder.decode(bytes)) room = this.push(plain)
    } catch (error) {
      this.destroy(error as Error)
      return
    }
    if (!room) this.#inner.pause()
  }
}
