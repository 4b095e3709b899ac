/**
 * Where payload memory comes from. One hook for the whole process, as upstream's ikcp_allocator: the engine asks it
 * for blocks (not for single segments) and hands every block back.
 * @module
 */
import { argumentType } from './errors.ts'

export type Allocate = (size: number) => Uint8Array
export type Free = (block: Uint8Array) => void

/** Stands for "no memory yet"; never written to and never handed to `free`. */
export const NO_BYTES: Uint8Array = new Uint8Array(0)
/** The same for a block's DataView. */
export const NO_WORDS: DataView = new DataView(NO_BYTES.buffer)

const { set } = Uint8Array.prototype

/**
 * `into.set(from, at)`, in two thirds of the time for a segment: calling the method that is at hand spares the look-up,
 * which V8 does not fold for typed arrays. `npm run bench -- --only engine`.
 */
export function copyBytes(into: Uint8Array, from: Uint8Array, at: number): void {
  set.call(into, from, at)
}

let hookAllocate: Allocate | undefined
let hookFree: Free | undefined

/** Replaces the allocator; without arguments the built-in one is back. Blocks given out before stay valid. */
export function setAllocator(allocate?: Allocate, free?: Free): void {
  hookAllocate = allocate
  hookFree = free
}

/** A block of at least `size` bytes. */
export function allocate(size: number): Uint8Array {
  return hookAllocate === undefined ? new Uint8Array(size) : hookAllocate(size)
}

export function free(block: Uint8Array): void {
  if (hookFree !== undefined && block.length > 0) hookFree(block)
}

/**
 * Throws ERR_INVALID_ARG_TYPE unless the first `end` bytes of `bytes` can be read: a view of a buffer that was
 * transferred, or shrunk below it, has no bytes, and would pass for an empty message.
 */
export function requireReadable(bytes: Uint8Array, end: number): void {
  // Not by its `length`, which a subclass may have of its own: bytes beyond the view would be what the last message left
  // in its place.
  if (end > 0 ? bytes[end - 1] !== undefined : isAttached(bytes)) return
  throw argumentType('the bytes', bytes, 'a view of a buffer that was neither transferred nor shrunk')
}

function isAttached(bytes: Uint8Array): boolean {
  try {
    // Throws where the view lies outside of its buffer.
    bytes.at(0)
    return true
  } catch {
    return false
  }
}
