/** Nobody starves, and who sends little waits for little. */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Prng } from '../../src/sim/index.ts'
import { SendOrder, type Turn } from '../../src/smux/send-order.ts'

class Sender implements Turn {
  deficit = 0
  listed = false
  next: Turn | undefined = undefined
  left = 0
  sent = 0
  get sendable(): boolean {
    return this.left > 0
  }
}

/** Serves one frame; who was served. */
function serve(order: SendOrder<Sender>, frame: number): Sender | undefined {
  const sender = order.next()
  if (sender === undefined) return undefined
  const size = Math.min(frame, sender.left)
  sender.left -= size
  sender.sent += size
  order.charge(sender, size)
  return sender
}

test('nobody in line, nobody to serve', () => {
  const order = new SendOrder<Sender>(100)
  equal(order.next(), undefined)
  const sender = new Sender()
  order.add(sender)
  equal(order.next(), undefined)
  equal(sender.listed, false)
})

test('whoever always has something gets an equal share, in quanta', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const prng = new Prng(seed)
    const order = new SendOrder<Sender>(1000)
    const senders = Array.from({ length: prng.int(2, 20) }, () => new Sender())
    for (const sender of senders) {
      sender.left = 1e9
      order.add(sender)
    }
    for (let i = 0; i < 2000; i++) serve(order, prng.int(1, 1000))
    const sent = senders.map((sender) => sender.sent)
    ok(Math.max(...sent) - Math.min(...sent) <= 2 * 1000 + 1000, `seed ${seed}: ${sent}`)
  }
})

test('many who come and go with little do not starve one with much', () => {
  const order = new SendOrder<Sender>(1000)
  const bulk = new Sender()
  bulk.left = 1e9
  order.add(bulk)
  const small = Array.from({ length: 10 }, () => new Sender())
  for (let round = 0; round < 20_000; round++) {
    // Always there again as soon as it was served.
    for (const one of small) {
      one.left = 10
      order.add(one)
    }
    serve(order, 1000)
  }
  // A fair share of the bytes, give or take a quantum.
  const most = Math.max(...small.map((one) => one.sent))
  ok(bulk.sent >= most - 1000 && bulk.sent > 10_000, `${bulk.sent}, ${most}`)
  ok(small.every((one) => one.sent > 10_000))
})

test('a new one goes ahead of those who had a turn', () => {
  const order = new SendOrder<Sender>(100)
  const [old, fresh] = [new Sender(), new Sender()]
  old.left = 1000
  order.add(old)
  for (let i = 0; i < 3; i++) serve(order, 100)
  fresh.left = 50
  order.add(fresh)
  deepEqual([serve(order, 100), serve(order, 100)], [fresh, old])
})
