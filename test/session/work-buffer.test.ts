import { equal, notEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { WorkBuffer } from '../../src/session/work-buffer.ts'

test('buffers are used again, and grow', () => {
  const one = WorkBuffer.borrow(100)
  const two = WorkBuffer.borrow(100)
  notEqual(one, two)
  two.giveBack()
  one.giveBack()
  equal(WorkBuffer.borrow(100), one)
  one.giveBack()
  const grown = WorkBuffer.borrow(5_000)
  equal(grown, one)
  ok(grown.bytes.length >= 5_000)
  grown.giveBack()
})

test('a view is made once for datagrams of one length, and anew for others', () => {
  const work = new WorkBuffer(100, false)
  const view = work.view(8, 50)
  equal(work.view(8, 50), view)
  notEqual(work.view(8, 51), view)
  notEqual(work.view(9, 51), view)
  equal(work.view(9, 51).byteOffset, 9)
  equal(work.view(0, 0).length, 0)
  work.giveBack()
  notEqual(WorkBuffer.borrow(1), work, 'it is somebody else’s')
})
