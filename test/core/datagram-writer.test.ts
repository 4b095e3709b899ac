import { deepEqual, equal, notEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { DatagramWriter } from '../../src/core/datagram-writer.ts'
import { Command, KCP_OVERHEAD } from '../../src/core/segment.ts'
import { formatDatagram } from '../../src/sim/trace.ts'

test('segments written one after another make one datagram', () => {
  const writer = new DatagramWriter()
  writer.reserve(KCP_OVERHEAD, 100)
  writer.header(7, Command.Ack, 0, 128, 40, 3, 4, 0)
  writer.reserve(KCP_OVERHEAD + 2, 100)
  const at = writer.header(7, Command.Push, 0, 128, 50, 9, 4, 2)
  writer.buffer.set([0x68, 0x69], at)
  equal(
    formatDatagram(writer.take(), { conv: 7 }),
    'ack sn=3 una=4 wnd=128 ts=40 | push sn=9 una=4 wnd=128 ts=50 frg=0 "hi"',
  )
  equal(writer.used, 0, 'and the next one begins')
})

test('growing keeps what is written, also past the mtu', () => {
  const writer = new DatagramWriter()
  writer.reserve(KCP_OVERHEAD, 50)
  writer.header(1, Command.WindowAsk, 0, 128, 0, 0, 0, 0)
  writer.reserve(KCP_OVERHEAD + 500, 50)
  writer.header(1, Command.Push, 0, 128, 0, 0, 0, 500)
  const datagram = writer.take()
  equal(datagram.length, 2 * KCP_OVERHEAD + 500)
  equal(formatDatagram(datagram, { conv: 1 }).split(' ')[0], 'wask')
})

test('datagrams of one length share one view', () => {
  const writer = new DatagramWriter()
  const views = [1, 2].map((sn) => {
    writer.reserve(KCP_OVERHEAD, 1400)
    writer.header(1, Command.Ack, 0, 128, 0, sn, 0, 0)
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
