/**
 * The buffer that a flush builds its datagrams in, one after another. Borrowed for the flush: idle engines own none.
 * An engine with much to send has one behind its payloads instead, in the same memory (CellArena's room).
 * @module
 */
import { NO_BYTES, NO_WORDS } from './memory.ts'
import { Command, KCP_OVERHEAD, putHeader } from './segment.ts'

/** Writers at rest. Flushes may nest (an output that feeds another engine), so each takes its own. */
const resting: DatagramWriter[] = []

export class DatagramWriter {
  /** Bytes written. */
  used = 0
  private bytes: Uint8Array
  private words: DataView
  /** Where the datagrams start in `bytes`. */
  private base: number
  /** The latest datagram's view: most datagrams of a flow have one length. */
  private view: Uint8Array = NO_BYTES
  /** What all headers of a flush share: conv, wnd in the upper half of its word, una. As i32, so that V8 keeps them small. */
  private size = 0
  private conv = 0
  private wnd = 0
  private una = 0

  /** @param bytes writes into these (`words`: the same) from `base` on if they suffice, else into some of its own. */
  constructor(bytes: Uint8Array = NO_BYTES, words: DataView = NO_WORDS, base = 0) {
    this.bytes = bytes
    this.words = words
    this.base = base
  }

  static borrow(): DatagramWriter {
    return resting.pop() ?? new DatagramWriter()
  }

  giveBack(): void {
    resting.push(this)
  }

  /** A flush begins: what its headers share, and the size of its largest datagram. */
  begin(conv: number, wnd: number, una: number, size: number): void {
    this.conv = conv | 0
    this.wnd = wnd << 16
    this.una = una | 0
    this.size = size
    if (this.bytes.length >= this.base + size) return
    this.bytes = new Uint8Array(size)
    this.words = new DataView(this.bytes.buffer)
    this.base = 0
    this.view = NO_BYTES
  }

  /** Appends a header; returns where in `buffer` its `len` bytes of payload go. */
  header(cmd: number, frg: number, ts: number, sn: number, len: number): number {
    const at = this.base + this.used
    this.headerIn(this.words, at, cmd, frg, ts, sn, len)
    this.used += KCP_OVERHEAD + len
    return at + KCP_OVERHEAD
  }

  /** Appends as many ACKs of the (sn, ts) `pairs` from the `from`-th on as the largest datagram takes; how many. */
  acks(pairs: Uint32Array, from: number, count: number): number {
    const { words, conv, una } = this
    const word = Command.Ack | this.wnd
    const fit = Math.min(count - from, Math.trunc((this.size - this.used) / KCP_OVERHEAD))
    let at = this.base + this.used
    for (let i = from * 2; i < (from + fit) * 2; i += 2) {
      putHeader(words, at, conv, word, pairs[i + 1]!, pairs[i]!, una, 0)
      at += KCP_OVERHEAD
    }
    this.used += fit * KCP_OVERHEAD
    return fit
  }

  /** Writes a header elsewhere, in front of a payload that goes out from where it lies. */
  headerIn(words: DataView, at: number, cmd: number, frg: number, ts: number, sn: number, len: number): void {
    putHeader(words, at, this.conv, cmd | (frg << 8) | this.wnd, ts, sn, this.una, len)
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
