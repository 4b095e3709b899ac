import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { multiply } from '../../src/fec/gf256.ts'
import { type Kernel, plainKernel, wholeBlocks } from '../../src/fec/kernel.ts'
import { bestKernel, Swizzle, wasmKernel } from '../../src/fec/kernel-wasm.ts'
import { Prng } from '../../src/sim/index.ts'

// Part of V8 since 11.4; behind this flag in Node 20, and unknown to later ones, which only warn.
if (process.version.startsWith('v20.')) setFlagsFromString('--experimental-wasm-relaxed-simd')

function randomBytes(prng: Prng, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, () => prng.u32())
}

/** Where outputs go in these tests: a hole in front, one between each two. */
const AT = 14
const HOLE = 9

/** The outputs of a kernel, without what it may overwrite. */
function combined(
  kernel: Kernel,
  matrix: Uint8Array,
  inputs: Uint8Array,
  count: number,
  length: number,
): string[] {
  const rows = matrix.length / count
  const stride = wholeBlocks(length) + HOLE
  const outputs = new Uint8Array(AT + rows * stride).fill(0xee)
  kernel.combine(matrix, rows, inputs, count, inputs.length / count, length, outputs, AT, stride)
  ok(outputs.subarray(0, AT).every((byte) => byte === 0xee))
  ok(outputs.subarray(outputs.length - HOLE).every((byte) => byte === 0xee))
  return Array.from({ length: rows }, (_, i) =>
    Buffer.from(outputs.subarray(AT + i * stride, AT + i * stride + length)).toString('hex'),
  )
}

test('the plain kernel adds up products', () => {
  const inputs = new Uint8Array(3 * 64)
  inputs.set([1, 2, 255], 0)
  inputs.set([7, 0, 128], 64)
  inputs.set([9, 200, 1], 128)
  const sum = (b: number): number =>
    multiply(5, inputs[b]!) ^ multiply(0, inputs[64 + b]!) ^ multiply(201, inputs[128 + b]!)
  deepEqual(combined(plainKernel, Uint8Array.of(5, 0, 201), inputs, 3, 3), [
    Buffer.from([sum(0), sum(1), sum(2)]).toString('hex'),
  ])
})

for (const [name, kernel] of [
  ['as the runtime likes it', wasmKernel()],
  ['with the swizzle that is everywhere', wasmKernel(Swizzle.Strict)],
  ['with the relaxed swizzle', wasmKernel(Swizzle.Relaxed)],
] as const) {
  test(`WebAssembly gives the same bytes as the plain kernel, ${name}`, () => {
    ok(kernel !== undefined, 'this runtime has no WebAssembly SIMD')
    equal(kernel.name, 'wasm-simd')
    for (let seed = 1; seed <= 60; seed++) {
      const prng = new Prng(seed)
      const count = prng.int(1, 40)
      const rows = prng.int(1, 10)
      const length = prng.int(1, 1500)
      const matrix = randomBytes(prng, rows * count)
      const inputs = randomBytes(prng, count * wholeBlocks(length + prng.int(0, 100)))
      deepEqual(
        combined(kernel, matrix, inputs, count, length),
        combined(plainKernel, matrix, inputs, count, length),
        `seed ${seed}`,
      )
    }
  })

  test(`every product of two bytes comes out right, ${name}`, () => {
    const inputs = Uint8Array.from({ length: 256 }, (_, i) => i)
    const matrix = Uint8Array.from({ length: 256 }, (_, i) => i)
    const rows = combined(kernel!, matrix, inputs, 1, 256)
    for (let a = 0; a < 256; a++) {
      const expected = Buffer.from(inputs.map((b) => multiply(a, b))).toString('hex')
      equal(rows[a], expected, `${a} x 0 .. 255`)
    }
  })

  test(`the memory grows with what it is asked for, ${name}`, () => {
    for (const [count, rows, length] of [
      [2, 1, 100],
      [200, 56, 1500],
      [128, 128, 65],
      [10, 2, 65_501],
      [2, 1, 100],
    ] as const) {
      const prng = new Prng(count)
      const matrix = randomBytes(prng, rows * count)
      const inputs = randomBytes(prng, count * wholeBlocks(length))
      deepEqual(
        combined(kernel!, matrix, inputs, count, length),
        combined(plainKernel, matrix, inputs, count, length),
      )
    }
  })
}

test('where WebAssembly is not there, or forbidden, there is no such kernel', () => {
  const scope = globalThis as unknown as { WebAssembly: unknown }
  const { WebAssembly: original } = scope
  try {
    scope.WebAssembly = undefined
    equal(wasmKernel(), undefined)
    scope.WebAssembly = { validate: () => false }
    equal(wasmKernel(), undefined)
    scope.WebAssembly = {
      validate: () => true,
      Module: class {
        constructor() {
          throw new Error('refused by a policy')
        }
      },
    }
    equal(wasmKernel(), undefined)
  } finally {
    scope.WebAssembly = original
  }
})

test('the best kernel is chosen once', () => {
  equal(bestKernel().name, 'wasm-simd')
  equal(bestKernel(), bestKernel())
})
