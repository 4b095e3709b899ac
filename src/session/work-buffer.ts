/**
 * Buffers to make a datagram in: borrowed for one datagram, so that a few serve all sessions. A pool and not one, as a
 * transport may call back while it sends.
 * @module
 */
import { NO_BYTES } from '../core/memory.ts'

const resting: WorkBuffer[] = []

export class WorkBuffer {
  bytes: Uint8Array
  /** The latest view: most datagrams of a flow have one length. */
  private latest: Uint8Array = NO_BYTES
  private readonly pooled: boolean

  /** @param pooled false: for one datagram that somebody keeps. */
  constructor(size: number, pooled: boolean) {
    this.bytes = new Uint8Array(size)
    this.pooled = pooled
  }

  /** One of `size` bytes or more. Give it back when its datagram was sent. */
  static borrow(size: number): WorkBuffer {
    const work = resting.pop()
    if (work === undefined) return new WorkBuffer(size, true)
    if (work.bytes.length < size) {
      work.bytes = new Uint8Array(size)
      work.latest = NO_BYTES
    }
    return work
  }

  giveBack(): void {
    if (this.pooled) resting.push(this)
  }

  /** `bytes[start, end)`. */
  view(start: number, end: number): Uint8Array {
    const { latest } = this
    const at = latest.byteOffset - this.bytes.byteOffset
    if (latest.length !== end - start || at !== start || latest === NO_BYTES) {
      this.latest = this.bytes.subarray(start, end)
    }
    return this.latest
  }
}
