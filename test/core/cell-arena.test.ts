import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { CellArena } from '../../src/core/cell-arena.ts'
import { setAllocator } from '../../src/core/memory.ts'
import { Prng } from '../../src/sim/prng.ts'

afterEach(() => setAllocator())

function write(arena: CellArena, cell: number, value: number, size: number): void {
  arena.bytes.fill(value, arena.at(cell), arena.at(cell) + size)
}

test('the cell that was given back last is taken first', () => {
  const arena = new CellArena()
  const [a, b] = [arena.take(10), arena.take(10)]
  notEqual(a, b)
  arena.give(a)
  arena.give(b)
  equal(arena.take(10), b)
  equal(arena.take(10), a)
})

test('cells begin small and double; past half of a full segment they take its size at once', () => {
  const arena = new CellArena()
  arena.largest = 1408
  const sizes = [1, 64, 65, 200, 700, 1000, 1100, 1400, 1500].map((size) => {
    arena.give(arena.take(size))
    return arena.size
  })
  deepEqual(sizes, [64, 64, 128, 256, 1024, 1024, 1408, 1408, 1536])
})

test('random cells of random sizes keep what was written, through every growth', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const prng = new Prng(seed)
    const arena = new CellArena()
    arena.largest = 512
    const held = new Map<number, { readonly value: number; size: number }>()
    for (let step = 0; step < 300; step++) {
      const where = `seed=${seed} step=${step}`
      if (prng.chance(0.6)) {
        const size = prng.int(0, prng.chance(0.1) ? 600 : 80)
        const cell = arena.take(size)
        ok(!held.has(cell), where)
        held.set(cell, { value: prng.int(1, 255), size })
        write(arena, cell, held.get(cell)!.value, size)
      } else {
        const [cell] = held.keys()
        if (cell !== undefined) arena.give(cell)
        held.delete(cell!)
      }
      if (prng.chance(0.02)) arena.widen(prng.int(0, 900))
      for (const [cell, { value, size }] of held) {
        ok(
          arena.bytes.subarray(arena.at(cell), arena.at(cell) + size).every((byte) => byte === value),
          `${where} cell ${cell}`,
        )
        deepEqual(arena.view(cell, 0, size), new Uint8Array(size).fill(value), where)
      }
    }
  }
})

test('a view is made once for the same part of a cell, and again when the block is another', () => {
  const arena = new CellArena()
  const cell = arena.take(50)
  const view = arena.view(cell, 24, 20)
  equal(arena.view(cell, 24, 20), view)
  notEqual(arena.view(cell, 20, 20), view)
  notEqual(arena.view(cell, 20, 24).length, view.length)
  arena.widen(100)
  equal(arena.view(cell, 24, 20).buffer, arena.bytes.buffer)
})

test('words are the bytes as numbers, wherever the allocator put them', () => {
  setAllocator((size) => new Uint8Array(size + 10).subarray(10))
  const arena = new CellArena()
  arena.take(10)
  arena.bytes.set([1, 2, 3, 4])
  equal(arena.words.getUint32(0, true), 0x04030201)
})

test('many cells have room beside them, few have none', () => {
  const arena = new CellArena()
  arena.room = 1000
  arena.take(64)
  equal(arena.roomAt, 0)
  for (let i = 0; i < 300; i++) arena.take(64)
  equal(arena.roomAt, 512 * 64)
  equal(arena.bytes.length, 512 * 64 + 1000)
})

test('blocks go back to the allocator when they are outgrown or dropped, but not while somebody reads them', () => {
  const out = new Set<Uint8Array>()
  setAllocator(
    (size) => {
      const block = new Uint8Array(size)
      out.add(block)
      return block
    },
    (block) => ok(out.delete(block)),
  )
  const arena = new CellArena()
  for (let i = 0; i < 20; i++) arena.take(100)
  equal(out.size, 1)
  arena.lent = true
  for (let i = 0; i < 20; i++) arena.take(100)
  ok(out.size > 1)
  arena.drop()
  ok(!out.has(arena.bytes))
  deepEqual([arena.size, arena.bytes.length, arena.roomAt], [0, 0, 0])
  arena.lent = false
  arena.take(10)
})
