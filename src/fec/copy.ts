/**
 * Copying a part of a buffer takes a view of it, and a view is garbage. A flow mostly sends one size from one place, so
 * the latest view is kept; and what is short is copied byte by byte.
 * @module
 */
import { NO_BYTES } from '../core/memory.ts'

/** Up to here a loop is about as fast as a view and a call. */
const SHORT = 64

export class Copier {
  private view: Uint8Array = NO_BYTES

  /** Copies `from[start, end)` to `to` of `into`. */
  copy(from: Uint8Array, start: number, end: number, into: Uint8Array, to: number): void {
    const size = end - start
    if (size <= SHORT) {
      for (let i = 0; i < size; i++) into[to + i] = from[start + i]!
      return
    }
    let { view } = this
    if (
      view.buffer !== from.buffer ||
      view.byteOffset !== from.byteOffset + start ||
      view.byteLength !== size
    ) {
      view = this.view = from.subarray(start, end)
    }
    into.set(view, to)
  }

  /** Lets go of the buffer that was copied from. */
  release(): void {
    this.view = NO_BYTES
  }
}
