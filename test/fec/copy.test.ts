import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { Copier } from '../../src/fec/copy.ts'
import { Prng } from '../../src/sim/index.ts'

test('what is copied is what lies there now, wherever that is', () => {
  const copier = new Copier()
  const prng = new Prng(1)
  const shared = new Uint8Array(3000)
  const sources = [shared, shared.subarray(1), shared.subarray(0, 2000), new Uint8Array(3000)]
  const [places, sizes] = [
    [0, 1, 2, 500],
    [10, 64, 65, 66, 900],
  ]
  for (let i = 0; i < 2000; i++) {
    const from = sources[prng.int(0, 3)]!
    const start = places[prng.int(0, 3)]!
    const end = start + sizes[prng.int(0, 4)]!
    shared[prng.int(0, 2999)] = prng.u32()
    sources[3]![prng.int(0, 2999)] = prng.u32()
    const into = new Uint8Array(1000)
    copier.copy(from, start, end, into, 7)
    const expected = new Uint8Array(1000)
    expected.set(from.slice(start, end), 7)
    deepEqual(into, expected, `step ${i}`)
    if (i % 500 === 0) copier.release()
  }
})
