/** Bytes in equals bytes out, and what a byte costs has a bound whatever the pieces. */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Prng } from '../../src/sim/index.ts'
import { ByteQueue } from '../../src/smux/byte-queue.ts'

test('what goes in comes out, in pieces of any size', () => {
  for (let seed = 1; seed <= 30; seed++) {
    const prng = new Prng(seed)
    const queue = new ByteQueue()
    let [written, read] = [0, 0]
    for (let step = 0; step < 300; step++) {
      if (prng.chance(0.55)) {
        // A view of a larger buffer, or a buffer of its own.
        const size = prng.chance(0.5) ? prng.int(0, 40) : prng.int(0, 40_000)
        const around = prng.chance(0.5) ? 0 : prng.int(0, 60_000)
        const piece = new Uint8Array(size + around).subarray(0, size)
        for (let i = 0; i < size; i++) piece[i] = written++
        queue.push(piece)
      } else {
        const max = prng.int(1, 50_000)
        const taken = queue.take(max)
        if (taken === undefined) {
          equal(written, read, `seed ${seed}`)
          continue
        }
        ok(taken.length > 0 && taken.length <= max)
        for (const byte of taken)
          if (byte !== (read++ & 0xff)) throw new Error(`seed ${seed}: byte ${read - 1}`)
      }
      equal(queue.length, written - read, `seed ${seed}`)
    }
  }
})

test('a large piece with a buffer of its own is not copied', () => {
  const queue = new ByteQueue()
  const piece = new Uint8Array(4096)
  queue.push(piece)
  equal(queue.take(9999), piece)
  // Most of what it would keep alive.
  const view = new Uint8Array(8000).subarray(1000, 7000)
  queue.push(view)
  equal(queue.take(9999), view)
})

/** Bytes of memory that what is taken out keeps alive. */
function cost(queue: ByteQueue): { bytes: number; pieces: number } {
  const buffers = new Map<ArrayBufferLike, number>()
  let pieces = 0
  for (let piece = queue.take(1 << 30); piece !== undefined; piece = queue.take(1 << 30)) {
    pieces++
    buffers.set(piece.buffer, piece.buffer.byteLength)
  }
  return { bytes: [...buffers.values()].reduce((sum, size) => sum + size, 0), pieces }
}

test('single bytes of large buffers cost neither those buffers nor an object each', () => {
  const queue = new ByteQueue()
  const large = new Uint8Array(65_536)
  for (let i = 0; i < 100_000; i++) queue.push(large.subarray(i % 65_536, (i % 65_536) + 1))
  const { bytes, pieces } = cost(queue)
  ok(bytes <= 2 * 100_000 + 16_384, `${bytes} bytes`)
  ok(pieces <= 100, `${pieces} pieces`)
})

test('small pieces between large ones do not leave their blocks empty', () => {
  const queue = new ByteQueue()
  for (let i = 0; i < 1000; i++) {
    queue.push(new Uint8Array(1024))
    queue.push(new Uint8Array(1))
  }
  const { bytes } = cost(queue)
  ok(bytes <= 2 * 1000 * 1025, `${bytes} bytes`)
})

test('an empty queue keeps nothing', () => {
  const queue = new ByteQueue()
  queue.push(Uint8Array.of(1, 2, 3))
  queue.clear()
  deepEqual([queue.length, queue.take(1)], [0, undefined])
  queue.push(Uint8Array.of(4))
  deepEqual([...queue.take(5)!], [4])
})
