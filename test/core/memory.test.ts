import { deepEqual, equal, ok } from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { allocate, free, NO_BYTES, setAllocator } from '../../src/core/memory.ts'
import { joined, Trace } from '../support/trace.ts'

afterEach(() => setAllocator())

/** An allocator that knows what is out, and whether all came back once. */
function ledger(extra = 0): { readonly out: Set<Uint8Array>; count: number } {
  const book = { out: new Set<Uint8Array>(), count: 0 }
  setAllocator(
    (size) => {
      const block = new Uint8Array(size + extra).fill(0xee)
      book.out.add(block)
      book.count++
      return block
    },
    (block) => ok(book.out.delete(block), 'a block that is not out'),
  )
  return book
}

test('without a hook memory comes zeroed from the runtime', () => {
  deepEqual(allocate(3), new Uint8Array(3))
  free(new Uint8Array(3))
})

test('every block that the engine takes comes back when it is released', () => {
  const book = ledger()
  const t = new Trace({ nc: true, sndWnd: 200, rcvWnd: 200 }).at(0)
  for (let i = 0; i < 150; i++) t.send(1000).input(`push sn=${i} <${i * 10} B>`)
  t.flush().input('wins una=70')
  for (let i = 0; i < 30; i++) t.recv()
  // One block for each window; the others were outgrown.
  ok(book.count > 10 && book.out.size === 2, `${book.out.size} of ${book.count}`)
  t.kcp.release()
  equal(book.out.size, 0)
})

test('trim gives back what is empty', () => {
  const book = ledger()
  const t = new Trace({ nc: true }).at(0).send('a').flush().input('push sn=0 "x"')
  t.kcp.trim()
  equal(book.out.size, 2)
  t.recv()
  t.input('wins una=1').kcp.trim()
  equal(book.out.size, 0)
})

test('a hook may hand out larger and dirty blocks', () => {
  ledger(100)
  const t = new Trace({ nc: true, mtu: 100, streamMode: true }).at(0).send('abc', 'def', 200).flush()
  t.sent('push sn=0 <76 B>', 'push sn=1 <76 B>', 'push sn=2 <54 B>')
  t.input(joined(5, (i) => `push sn=${i} "m${i}"`))
  for (let i = 0; i < 5; i++) equal(t.recv(), `m${i}`)
})

test('without a hook for giving back, only taking is hooked', () => {
  let taken = 0
  setAllocator((size) => {
    taken++
    return new Uint8Array(size)
  })
  new Trace().send('a').kcp.release()
  equal(taken, 1)
})

test('a block of one byte goes back too', () => {
  const book = ledger()
  free(allocate(1))
  equal(book.out.size, 0)
})

test('"no memory" is never handed to the hook', () => {
  ledger()
  free(NO_BYTES)
  new Trace().kcp.release()
})
