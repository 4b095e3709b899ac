/**
 * The one piece of arithmetic that costs anything: rows of coefficients times shards. Here is what a kernel has to do,
 * and the plain one, a loop over a table; `kernel-wasm.ts` has the fast one, which gives the same bytes.
 * @module
 */
import { multiply } from './gf256.ts'

/** Bytes that a kernel may take in one step: four vectors of 16, see `kernel-wasm.ts`. */
export const BLOCK = 64

export interface Kernel {
  readonly name: 'wasm-simd' | 'plain'
  /**
   * Byte b of output i becomes the sum over j of matrix[i * count + j] times byte b of input j, for i < rows, j < count
   * and b < length.
   *
   * Input j lies at `j * stride` of `inputs`, which ends with the last; output i at `outputsAt + i * outputStride`.
   * Both strides are no less than `wholeBlocks(length)`: what is behind an output up to there may be overwritten, and
   * so may what is between two outputs.
   */
  combine(
    matrix: Uint8Array,
    rows: number,
    inputs: Uint8Array,
    count: number,
    stride: number,
    length: number,
    outputs: Uint8Array,
    outputsAt: number,
    outputStride: number,
  ): void
}

/** `size` rounded up to whole blocks. */
export function wholeBlocks(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK
}

/** Every product of two elements, made when first needed: 64 KiB. */
let products: Uint8Array | undefined

function makeProducts(): Uint8Array {
  const table = new Uint8Array(256 * 256)
  for (let a = 0; a < 256; a++) for (let b = 0; b < 256; b++) table[(a << 8) | b] = multiply(a, b)
  return table
}

/** The readable twin, for runtimes without WebAssembly and for the tests. */
export const plainKernel: Kernel = {
  name: 'plain',
  combine(matrix, rows, inputs, count, stride, length, outputs, outputsAt, outputStride) {
    products ??= makeProducts()
    const table = products
    for (let i = 0; i < rows; i++) {
      const to = outputsAt + i * outputStride
      outputs.fill(0, to, to + length)
      for (let j = 0; j < count; j++) {
        const row = matrix[i * count + j]! << 8
        const from = j * stride
        for (let b = 0; b < length; b++) outputs[to + b]! ^= table[row | inputs[from + b]!]!
      }
    }
  },
}
