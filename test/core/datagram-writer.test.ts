import { deepEqual, equal, notEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { DatagramWriter } from '../../src/core/datagram-writer.ts'
import { Command } from '../../src/core/segment.ts'
import { formatDatagram } from '../../src/sim/trace.ts'

test('segments written one after another make one datagram', () => {
  const writer = new DatagramWriter()
  writer.begin(7, 128, 4, 100)
  writer.header(Command.Ack, 0, 40, 3, 0)
  const at = writer.header(Command.Push, 0, 50, 9, 2)
  writer.buffer.set([0x68, 0x69], at)
  equal(
    formatDatagram(writer.take(), { conv: 7 }),
    'ack sn=3 una=4 wnd=128 ts=40 | push sn=9 una=4 wnd=128 ts=50 frg=0 "hi"',
  )
  equal(writer.used, 0, 'and the next one begins')
})

test('ACKs are written behind what is there, as many as fit', () => {
  const writer = new DatagramWriter()
  writer.begin(7, 128, 4, 72)
  writer.header(Command.WindowTell, 0, 0, 0, 0)
  equal(writer.acks(Uint32Array.of(1, 10, 2, 20, 3, 30), 0, 3), 2)
  equal(
    formatDatagram(writer.take(), { conv: 7 }),
    'wins una=4 wnd=128 | ack sn=1 una=4 wnd=128 ts=10 | ack sn=2 una=4 wnd=128 ts=20',
  )
})

test('a buffer that is too small for the mtu is replaced', () => {
  const writer = new DatagramWriter()
  writer.begin(1, 128, 0, 50)
  writer.begin(1, 128, 0, 500)
  writer.header(Command.Push, 0, 0, 0, 476)
  equal(writer.take().length, 500)
})

test('given bytes are written to from where it was said, as long as they suffice', () => {
  const bytes = new Uint8Array(100)
  const writer = new DatagramWriter(bytes, new DataView(bytes.buffer), 40)
  writer.begin(0x04030201, 128, 0, 60)
  writer.header(Command.WindowAsk, 0, 0, 0, 0)
  deepEqual([...bytes.subarray(39, 45)], [0, 1, 2, 3, 4, Command.WindowAsk])
  equal(writer.take().buffer, bytes.buffer)
  writer.begin(1, 128, 0, 61)
  writer.header(Command.WindowAsk, 0, 0, 0, 0)
  notEqual(writer.take().buffer, bytes.buffer)
})

test('datagrams of one length share one view', () => {
  const writer = new DatagramWriter()
  const views = [1, 2].map((sn) => {
    writer.begin(1, 128, 0, 1400)
    writer.header(Command.Ack, 0, 0, sn, 0)
    return writer.take()
  })
  equal(views[0], views[1])
})

test('flushes that nest write in buffers of their own; a buffer at rest is used again', () => {
  const outer = DatagramWriter.borrow()
  const inner = DatagramWriter.borrow()
  notEqual(outer, inner)
  inner.giveBack()
  outer.giveBack()
  deepEqual(DatagramWriter.borrow(), outer)
  outer.giveBack()
})
