/**
 * The kernel in WebAssembly SIMD. A product in GF(2^8) is the XOR of two table look-ups, one for each half of a byte,
 * and `i8x16.swizzle` looks up 16 bytes at once in a table of 16. The module is small enough to be written down here,
 * instruction by instruction, and put together when it is first needed.
 * @module
 */
import { multiply } from './gf256.ts'
import { BLOCK, type Kernel, plainKernel } from './kernel.ts'

/** Vectors of 16 bytes worked on side by side: they share a coefficient's products, and all fit into 16 registers. */
const VECTORS: number = BLOCK / 16

/**
 * What the module's memory holds: at 32 c the products of c with 0x00 .. 0x0f and with 0x00, 0x10 .. 0xf0; then the
 * matrix, of 128 x 128 coefficients at most (as d + p <= 256); then the inputs; then the outputs.
 */
const MATRIX_AT = 256 * 32
const INPUTS_AT: number = MATRIX_AT + 128 * 128
const PAGE = 65_536

/** The part of the JavaScript API that is used; the language's own library does not declare it. */
declare const WebAssembly: {
  validate(bytes: Uint8Array): boolean
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number }
  /** One output: see `rowCode`. */
  row(output: number, matrix: number, inputs: number, stride: number, count: number, length: number): void
}

/** The kernel; undefined where the runtime has no WebAssembly, forbids it, or has no SIMD. */
export function wasmKernel(swizzle?: Swizzle): Kernel | undefined {
  if (typeof WebAssembly === 'undefined') return undefined
  const modules = (swizzle === undefined ? [Swizzle.Relaxed, Swizzle.Strict] : [swizzle]).map(moduleBytes)
  try {
    const bytes = modules.find((module) => WebAssembly.validate(module))
    if (bytes === undefined) return undefined
    // As declared in `moduleBytes`.
    return new WasmKernel(new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as Exports)
  } catch {
    // A content security policy can forbid what validates.
    return undefined
  }
}

let best: Kernel | undefined

/** The fastest kernel that this runtime has; made when first asked for. */
export function bestKernel(): Kernel {
  return (best ??= wasmKernel() ?? plainKernel)
}

class WasmKernel implements Kernel {
  readonly name = 'wasm-simd'
  private readonly exports: Exports
  private memory: Uint8Array
  /** The latest outputs: most calls of a flow have one shape. */
  private made: Uint8Array

  constructor(exports: Exports) {
    this.exports = exports
    this.memory = this.made = new Uint8Array(exports.memory.buffer)
    for (let c = 0; c < 256; c++) {
      for (let half = 0; half < 16; half++) {
        this.memory[32 * c + half] = multiply(c, half)
        this.memory[32 * c + 16 + half] = multiply(c, half << 4)
      }
    }
  }

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
  ): void {
    const outputsStart = INPUTS_AT + inputs.length
    const used = (rows - 1) * outputStride + Math.ceil(length / BLOCK) * BLOCK
    this.reserve(outputsStart + used)
    // Mostly some tens of bytes, of a longer array: not worth a view.
    for (let i = 0; i < rows * count; i++) this.memory[MATRIX_AT + i] = matrix[i]!
    this.memory.set(inputs, INPUTS_AT)
    for (let i = 0; i < rows; i++) {
      const output = outputsStart + i * outputStride
      this.exports.row(output, MATRIX_AT + i * count, INPUTS_AT, stride, count, length)
    }
    if (this.made.byteOffset !== outputsStart || this.made.length !== used) {
      this.made = this.memory.subarray(outputsStart, outputsStart + used)
    }
    outputs.set(this.made, outputsAt)
  }

  private reserve(size: number): void {
    const missing = size - this.memory.length
    if (missing <= 0) return
    this.exports.memory.grow(Math.ceil(missing / PAGE))
    // Growing takes the buffer from under all views.
    this.memory = this.made = new Uint8Array(this.exports.memory.buffer)
  }
}

// ---- the module, byte by byte (webassembly.github.io/spec/core/binary)

const I32 = 0x7f
const V128 = 0x7b

/** Unsigned LEB128. */
function unsigned(value: number): number[] {
  const bytes: number[] = []
  for (; value > 0x7f; value >>>= 7) bytes.push((value & 0x7f) | 0x80)
  return [...bytes, value]
}

/** Signed LEB128 of a number that is not negative: its last byte leaves the sign's bit 0. */
function signed(value: number): number[] {
  const bytes = unsigned(value)
  const last = bytes.pop()!
  return last < 0x40 ? [...bytes, last] : [...bytes, last | 0x80, 0]
}

const get = (local: number): number[] => [0x20, local]
const set = (local: number): number[] => [0x21, local]
const tee = (local: number): number[] => [0x22, local]
const constant = (value: number): number[] => [0x41, ...signed(value)]
const loadByte = [0x2d, 0, 0]
const greater = [0x4a]
const add = [0x6a]
const subtract = [0x6b]
const shiftLeft = [0x74]
/** Runs `body`, which leaves a condition, until that is 0. */
const repeat = (...body: readonly number[][]): number[] => [0x03, 0x40, ...body.flat(), 0x0d, 0, 0x0b]
const end = [0x0b]

const simd = (opcode: number): number[] => [0xfd, ...unsigned(opcode)]
const load = (offset: number): number[] => [...simd(0x00), 0, ...unsigned(offset)]
const store = (offset: number): number[] => [...simd(0x0b), 0, ...unsigned(offset)]
const zero = [...simd(0x0c), ...new Array<number>(16).fill(0)]
const splat = simd(0x0f)
const and = simd(0x4e)
const xor = simd(0x51)
/** Of 16-bit lanes: x86 has no shift of bytes. The mask that follows takes away what came over from the neighbour. */
const shiftRight = simd(0x8d)

/** The first is everywhere; the second is newer, and on x86 one instruction instead of two. */
export const Swizzle = {
  Strict: 0x0e,
  /** Free in what it makes of indices above 15, of which there are none here. */
  Relaxed: 0x100,
} as const
export type Swizzle = (typeof Swizzle)[keyof typeof Swizzle]

/** One output, BLOCK bytes after BLOCK bytes: each input's block times its coefficient, added up. */
function rowCode(swizzle: Swizzle): number[] {
  // Parameters, as in `Exports`.
  const [output, matrix, inputs, stride, count, length] = [0, 1, 2, 3, 4, 5] as const
  // Where the next coefficient, its products and the next input's block lie; how many inputs are left.
  const [coefficient, products, input, left] = [6, 7, 8, 9] as const
  // Vectors: the products with the lower and with the upper half of a byte; 0x0f in all bytes; bytes of the input.
  const [lower, upper, mask, bytes] = [10, 11, 12, 13] as const
  const sums = Array.from({ length: VECTORS }, (_, i) => 14 + i)
  const locals = [2, 4, I32, 4 + VECTORS, V128]
  const lookUp = simd(swizzle)
  return [
    locals,
    [...constant(0x0f), ...splat, ...set(mask)],
    repeat(
      ...sums.map((sum) => [...zero, ...set(sum)]),
      [...get(matrix), ...set(coefficient), ...get(inputs), ...set(input), ...get(count), ...set(left)],
      repeat(
        [...get(coefficient), ...loadByte, ...constant(5), ...shiftLeft, ...tee(products)],
        [...load(0), ...set(lower), ...get(products), ...load(16), ...set(upper)],
        ...sums.flatMap((sum, i) => [
          [...get(input), ...load(16 * i), ...set(bytes)],
          [...get(lower), ...get(bytes), ...get(mask), ...and, ...lookUp],
          [...get(upper), ...get(bytes), ...constant(4), ...shiftRight, ...get(mask), ...and, ...lookUp],
          [...xor, ...get(sum), ...xor, ...set(sum)],
        ]),
        [...get(coefficient), ...constant(1), ...add, ...set(coefficient)],
        [...get(input), ...get(stride), ...add, ...set(input)],
        [...get(left), ...constant(1), ...subtract, ...tee(left)],
      ),
      ...sums.map((sum, i) => [...get(output), ...get(sum), ...store(16 * i)]),
      [...get(output), ...constant(BLOCK), ...add, ...set(output)],
      [...get(inputs), ...constant(BLOCK), ...add, ...set(inputs)],
      [...get(length), ...constant(BLOCK), ...subtract, ...tee(length), ...constant(0), ...greater],
    ),
    end,
  ].flat()
}

function moduleBytes(swizzle: Swizzle): Uint8Array {
  const name = (word: string): number[] => [word.length, ...Array.from(word, (char) => char.charCodeAt(0))]
  const section = (id: number, content: readonly number[]): number[] => [
    id,
    ...unsigned(content.length),
    ...content,
  ]
  const code = rowCode(swizzle)
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // "\0asm", version 1
    ...section(1, [1, 0x60, 6, I32, I32, I32, I32, I32, I32, 0]), // one type: six numbers, no result
    ...section(3, [1, 0]), // one function, of that type
    ...section(5, [1, 0, 1]), // one memory, of one page
    ...section(7, [2, ...name('memory'), 2, 0, ...name('row'), 0, 0]), // what is exported
    ...section(10, [1, ...unsigned(code.length), ...code]),
  ])
}
