/**
 * The buffer that a flush builds its datagrams in, one after another. Borrowed for the flush: idle engines own none.
 * @module
 */
import { KCP_OVERHEAD, writeHeader } from './segment.ts'

/** Writers at rest. Flushes may nest (an output that feeds another engine), so each takes its own. */
const resting: DatagramWriter[] = []

export class DatagramWriter {
  /** Bytes written. */
  used = 0
  private bytes: Uint8Array = new Uint8Array(0)
  /** The latest datagram's view: most datagrams of a flow have one length. */
  private view: Uint8Array = this.bytes

  static borrow(): DatagramWriter {
    return resting.pop() ?? new DatagramWriter()
  }

  giveBack(): void {
    this.used = 0
    resting.push(this)
  }

  /** Makes sure that `more` bytes fit behind what is written; grows to `mtu` at least. */
  reserve(more: number, mtu: number): void {
    if (this.bytes.length >= this.used + more) return
    const larger = new Uint8Array(Math.max(mtu, this.used + more))
    larger.set(this.bytes.subarray(0, this.used))
    this.bytes = larger
    this.view = larger
  }

  /** Appends a header; returns where its payload goes. `len` bytes must fit behind it (`reserve`). */
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
    writeHeader(this.bytes, this.used, conv, cmd, frg, wnd, ts, sn, una, len)
    const at = this.used + KCP_OVERHEAD
    this.used = at + len
    return at
  }

  /** The buffer, to copy a payload into. */
  get buffer(): Uint8Array {
    return this.bytes
  }

  /** The datagram written, and begins the next one. The view lives until something is written again. */
  take(): Uint8Array {
    const size = this.used
    this.used = 0
    if (this.view.length !== size) this.view = this.bytes.subarray(0, size)
    return this.view
  }
}
