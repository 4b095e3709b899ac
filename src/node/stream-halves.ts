/**
 * The two halves of a stream, for two owners: one reads, the other writes. Nothing but names for what KcpStream does.
 * @module
 */
import { Readable, Writable } from 'node:stream'
import type { ReadableStream, WritableStream } from 'node:stream/web'
import type { KcpStream } from './kcp-stream.ts'
import type { KcpSendOptions } from './stream-types.ts'

/** The reading half of a split stream. */
export class KcpReadHalf implements AsyncIterable<Buffer> {
  readonly #stream: KcpStream

  constructor(stream: KcpStream) {
    this.#stream = stream
  }
  get conv(): number {
    return this.#stream.conv
  }
  get remoteAddress(): string {
    return this.#stream.remoteAddress
  }
  get remotePort(): number {
    return this.#stream.remotePort
  }
  get localAddress(): string | undefined {
    return this.#stream.localAddress
  }
  get localPort(): number | undefined {
    return this.#stream.localPort
  }
  get closed(): boolean {
    return this.#stream.readyState === 'closed'
  }
  /** See KcpStream. */
  recv(options?: { readonly signal?: AbortSignal }): Promise<Buffer | null> {
    return this.#stream.recv(options)
  }
  recvInto(target: Uint8Array, options?: { readonly signal?: AbortSignal }): Promise<number | null> {
    return this.#stream.recvInto(target, options)
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    for (let message = await this.recv(); message !== null; message = await this.recv()) yield message
  }
  /** The same as a web stream. */
  get readable(): ReadableStream<Uint8Array> {
    return Readable.toWeb(this.#stream) as ReadableStream<Uint8Array>
  }
}

/** The writing half of a split stream; closing it closes the stream. */
export class KcpWriteHalf implements AsyncDisposable {
  readonly #stream: KcpStream

  constructor(stream: KcpStream) {
    this.#stream = stream
  }
  get conv(): number {
    return this.#stream.conv
  }
  get closed(): boolean {
    return this.#stream.writableEnded || this.#stream.readyState === 'closed'
  }
  /** See KcpStream. */
  send(data: Uint8Array | string, options?: KcpSendOptions): Promise<number> {
    return this.#stream.send(data, options)
  }
  trySend(data: Uint8Array | string, options?: KcpSendOptions): boolean {
    return this.#stream.trySend(data, options)
  }
  flush(): void {
    this.#stream.flush()
  }
  flushed(options?: { readonly signal?: AbortSignal }): Promise<void> {
    return this.#stream.flushed(options)
  }
  close(): Promise<void> {
    return this.#stream.close()
  }
  /** The same as a web stream. */
  get writable(): WritableStream<Uint8Array> {
    return Writable.toWeb(this.#stream) as WritableStream<Uint8Array>
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
