/**
 * The buffer that a flush builds its datagrams in, one after another. Borrowed for the flush: idle engines own none.
 * An engine with much to send has one behind its payloads instead, in the same memory (SendWindow.roomAt).
 * @module
 */
import { NO_BYTES } from './memory.ts'
import { KCP_OVERHEAD, writeHeader } from './segment.ts'

/** Writers at rest. Flushes may nest (an output that feeds another engine), so each takes its own. */
const resting: DatagramWriter[] = []

export class DatagramWriter {
  /** Bytes written. */
  used = 0
  private bytes: Uint8Array
  /** Where the datagrams start in `bytes`. */
  private base: number
  /** The latest datagram's view: most datagrams of a flow have one length. */
  private view: Uint8Array = NO_BYTES

  /** @param bytes writes into these from `base` on, as long as they suffice; else into a buffer of its own. */
  constructor(bytes: Uint8Array = NO_BYTES, base = 0) {
    this.bytes = bytes
    this.base = base
  }

  static borrow(): DatagramWriter {
    return resting.pop() ?? new DatagramWriter()
  }

  giveBack(): void {
    resting.push(this)
  }

  /** Makes sure that `more` bytes fit behind what is written; grows to `mtu` at least. */
  reserve(more: number, mtu: number): void {
    if (this.bytes.length >= this.base + this.used + more) return
    const larger = new Uint8Array(Math.max(mtu, this.used + more))
    larger.set(this.bytes.subarray(this.base, this.base + this.used))
    this.bytes = larger
    this.base = 0
    this.view = NO_BYTES
  }

  /** Appends a header; returns where in `buffer` its payload goes. `len` bytes must fit behind it (`reserve`). */
  header(
    conv: number,
    cmd: number,
    frg: number,
    wnd: number,
    ts: number,
    sn: number,
    una: number,
    len: number,
  ): number {
    const at = this.base + this.used
    writeHeader(this.bytes, at, conv, cmd, frg, wnd, ts, sn, una, len)
    this.used += KCP_OVERHEAD + len
    return at + KCP_OVERHEAD
  }

  /** The buffer, to copy a payload into. */
  get buffer(): Uint8Array {
    return this.bytes
  }

  /** The datagram written, and begins the next one. The view lives until something is written again. */
  take(): Uint8Array {
    const size = this.used
    this.used = 0
    if (this.view.length !== size) this.view = this.bytes.subarray(this.base, this.base + size)
    return this.view
  }
}
