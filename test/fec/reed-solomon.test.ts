import { deepEqual, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KcpError } from '../../src/core/index.ts'
import { type Kernel, plainKernel, wholeBlocks } from '../../src/fec/kernel.ts'
import { wasmKernel } from '../../src/fec/kernel-wasm.ts'
import { ReedSolomon } from '../../src/fec/reed-solomon.ts'
import { Prng } from '../../src/sim/index.ts'
import { rsVectors } from './captures.ts'
import { fromHex, hex } from './shards.ts'

/** Shards as the code wants them: one behind the other, filled up with zeros. */
function blockOf(shards: readonly Uint8Array[], length: number): Uint8Array {
  const stride = wholeBlocks(length)
  const block = new Uint8Array(shards.length * stride)
  for (const [i, shard] of shards.entries()) block.set(shard, i * stride)
  return block
}

function cut(block: Uint8Array, count: number, length: number): string[] {
  const stride = wholeBlocks(length)
  return Array.from({ length: count }, (_, i) => hex(block.subarray(i * stride, i * stride + length)))
}

function parityOf(code: ReedSolomon, data: readonly Uint8Array[], length: number): Uint8Array[] {
  const stride = wholeBlocks(length)
  const parity = new Uint8Array(code.parityShards * stride)
  code.encode(blockOf(data, length), stride, length, parity, 0, stride)
  return cut(parity, code.parityShards, length).map(fromHex)
}

const KERNELS: readonly (readonly [string, Kernel])[] = [
  ['WebAssembly', wasmKernel()!],
  ['plain', plainKernel],
]

for (const [name, kernel] of KERNELS) {
  test(`${name}: parity is that of the Go library`, () => {
    const { vectors } = rsVectors()
    equal(vectors.length, 11)
    for (const { D, P, Name, Data, Parity } of vectors) {
      const data = Data.map(fromHex)
      const length = Math.max(...data.map((shard) => shard.length))
      deepEqual(parityOf(new ReedSolomon(D, P, kernel), data, length).map(hex), Parity, Name)
    }
  })

  test(`${name}: any d shards give back the rest, up to 256 in all`, () => {
    fc.assert(
      fc.property(
        fc
          .integer({ min: 1, max: 255 })
          .chain((d) => fc.tuple(fc.constant(d), fc.integer({ min: 1, max: 256 - d }))),
        fc.integer({ min: 1, max: 200 }),
        fc.integer(),
        ([d, p], length, seed) => {
          const prng = new Prng(seed)
          const code = new ReedSolomon(d, p, kernel)
          const data = Array.from({ length: d }, () => Uint8Array.from({ length }, () => prng.u32()))
          const all = [...data, ...parityOf(code, data, length)]
          const places = all.map((_, place) => place)
          while (places.length > d) places.splice(prng.int(0, places.length - 1), 1)
          places.sort(() => prng.u32() - 0x8000_0000)
          const stride = wholeBlocks(length)
          const rebuilt = new Uint8Array(Math.min(d, p) * stride)
          const block = blockOf(
            places.map((place) => all[place]!),
            length,
          )
          const missing = data.map((_, place) => place).filter((place) => !places.includes(place))
          code.reconstruct(places, block, stride, length, missing, missing.length, rebuilt, 0, stride)
          deepEqual(
            cut(rebuilt, missing.length, length),
            missing.map((place) => hex(data[place]!)),
          )
        },
      ),
      { numRuns: 40 },
    )
  })
}

test('parity can be made again too, from any d shards', () => {
  const code = new ReedSolomon(3, 2)
  const data = [1, 2, 3].map((seed) => Uint8Array.from({ length: 10 }, (_, i) => seed * 31 + i * 7))
  const [first, second] = parityOf(code, data, 10) as [Uint8Array, Uint8Array]
  const made = new Uint8Array(2 * 64)
  code.reconstruct([4, 0, 2], blockOf([second, data[0]!, data[2]!], 10), 64, 10, [3, 1], 2, made, 0, 64)
  deepEqual(cut(made, 2, 10), [hex(first), hex(data[1]!)])
})

test('numbers of shards that no code has are refused with the value', () => {
  for (const [d, p] of [
    [0, 1],
    [1, 0],
    [256, 1],
    [200, 57],
    [1.5, 1],
    [Number.NaN, 1],
    [10, '3'],
  ] as [number, number][]) {
    throws(
      () => new ReedSolomon(d, p),
      (error) => KcpError.is(error, 'ERR_KCP_CONFIG'),
      `${d}/${p}`,
    )
  }
  equal(new ReedSolomon(200, 56).dataShards, 200)
  equal(new ReedSolomon(1, 255).parityShards, 255)
})
