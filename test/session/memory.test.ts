/** What peers can make a listener hold: its bounds, and who has to give way when they are reached. */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import type { KcpStream } from '../../src/node/kcp-stream.ts'
import { CloseCode, decodeNotice, NoticeKind } from '../../src/session/close-notice.ts'
import { parseTrace } from '../../src/sim/trace.ts'
import { nextEvent, type RawEndpoint, SERVER, World } from '../support/pair.ts'

/** A peer that acknowledges what it gets, so that its address is proven, and whose una never moves. */
class Peer {
  readonly endpoint: RawEndpoint
  readonly conv: number
  private readonly world: World
  private answered = 0

  constructor(world: World, name: string, conv: number) {
    this.world = world
    this.endpoint = world.endpoint(name)
    this.conv = conv
  }

  send(line: string): void {
    const ts = Math.floor(this.world.clock.now())
    const lines = line.split(' | ').map((one) => `${one} ts=${ts}`)
    this.endpoint.transport.send(parseTrace(lines.join(' | '), { conv: this.conv }), SERVER)
  }

  /** Answers PUSHes that came. */
  answer(): void {
    for (; this.answered < this.endpoint.received.length; this.answered++) {
      const datagram = this.endpoint.received[this.answered]!
      const view = new DataView(datagram.buffer, datagram.byteOffset)
      if (datagram.length < 24 || datagram[4] !== 81) continue
      const [ts, sn] = [view.getUint32(8, true), view.getUint32(12, true)]
      this.endpoint.transport.send(parseTrace(`ack sn=${sn} ts=${ts}`, { conv: this.conv }), SERVER)
    }
  }

  get resets(): (number | undefined)[] {
    return this.endpoint.received
      .map(decodeNotice)
      .filter((notice) => notice?.kind === NoticeKind.Reset)
      .map((notice) => notice?.code)
  }
}

test('a message that cannot fit into maxRecvBytes ends its conversation, and is not held', async () => {
  const world = new World()
  const listener = await world.listen({ preset: 'fast', maxRecvBytes: 20_000 })
  const eve = new Peer(world, 'eve', 5)
  let most = 0
  for (let sn = 0; sn < 120; sn++) {
    eve.send(`push sn=${sn} frg=${127 - sn} <1200 B>`)
    await world.run(10)
    eve.answer()
    most = Math.max(most, listener.stats().memoryUsed)
    if (eve.resets.length > 0) break
  }
  // 16 segments of 1,200 bytes fit; memory is counted in full ones.
  ok(most <= 16 * 1376, `${most} bytes were held`)
  equal(eve.resets[0], CloseCode.Limit)
  await world.run(100)
  deepEqual([listener.stats().memoryUsed, listener.stats().sessions], [0, 0])
})

test('a message that does not grow while its peer is heard ends after stallTimeout', async () => {
  for (const [line, what] of [
    ['push sn=0 frg=5 "begun"', 'a message without an end'],
    ['push sn=0 frg=0 "read" | push sn=2 frg=0 "early"', 'a number that never comes'],
  ] as const) {
    const world = new World()
    const listener = await world.listen({ preset: 'fast', stallTimeout: 20_000 })
    const reasons: string[] = []
    listener.on('connection', (stream: KcpStream) => {
      stream.resume()
      stream.on('close', (reason) => reasons.push(reason))
    })
    const eve = new Peer(world, 'eve', 5)
    eve.send(line)
    for (let second = 1; second <= 25; second++) {
      await world.run(1_000)
      eve.answer()
      eve.send('wask')
      if (second <= 18) deepEqual(reasons, [], `${what}, after ${second} s`)
    }
    deepEqual(reasons, ['timeout'], what)
    equal(listener.stats().memoryUsed, 0)
  }
})

test('an outage is no stall: time in which nothing is heard does not count', async () => {
  const world = new World()
  const listener = await world.listen({ preset: 'fast', stallTimeout: 20_000, idleTimeout: 0 })
  const eve = new Peer(world, 'eve', 5)
  eve.send('push sn=0 frg=1 "one "')
  for (let i = 0; i < 5; i++) {
    await world.run(100)
    eve.answer()
  }
  await world.run(600_000)
  eve.send('push sn=1 frg=0 "message"')
  const stream = (await world.within(listener.accept()))!
  equal(String(await world.within(stream.recv())), 'one message')
})

test('maxMemory holds to the byte, and honest clients go on, while hogs hold messages that never end', async () => {
  const world = new World()
  const maxMemory = 300_000
  const listener = await world.listen({ preset: 'fast', maxMemory }, (stream) => {
    stream.on('data', (message) => void stream.send(message))
  })
  const honest = await world.connect({ preset: 'fast' })
  const hogs = Array.from({ length: 12 }, (_, i) => new Peer(world, `hog${i}`, 100 + i))
  let most = 0
  let echoes = 0
  for (let round = 0; round < 100; round++) {
    for (const hog of hogs) {
      hog.send(`push sn=${round} frg=${127 - round} <1300 B>`)
      hog.answer()
    }
    if (round % 5 === 4) {
      await honest.send(`message ${round}`)
      equal(String(await world.within(honest.recv(), 3_000)), `message ${round}`)
      echoes++
    }
    await world.run(10)
    most = Math.max(most, listener.stats().memoryUsed)
  }
  ok(most <= maxMemory, `${most} of ${maxMemory} bytes`)
  ok(most > maxMemory / 3, `the limit was never near: ${most}`)
  equal(echoes, 20)
  ok(
    hogs.some(({ resets }) => resets.includes(CloseCode.Limit)),
    'the largest holders gave way',
  )
  equal(honest.closeReason, undefined)
})

test('when readers are slow and the memory is full, the largest holder gives way to a client that needs little', async () => {
  const world = new World()
  const maxMemory = 100_000
  const listener = await world.listen({ preset: 'fast', maxMemory }, (stream) => {
    stream.once('data', (message: Buffer) => {
      if (String(message) === 'hold') stream.pause()
      else stream.on('data', (more) => void stream.send(more))
    })
  })
  const holders = await Promise.all([1, 2, 3].map(() => world.connect({ preset: 'fast' })))
  for (const holder of holders) {
    await holder.send('hold')
    for (let i = 0; i < 400; i++) holder.send(Buffer.alloc(1_000))
  }
  await world.run(2_000)
  const { memoryUsed } = listener.stats()
  ok(memoryUsed > maxMemory - 2_000 && memoryUsed <= maxMemory, `${memoryUsed} of ${maxMemory}`)
  const honest = await world.connect({ preset: 'fast' })
  await honest.send('first')
  await honest.send('second')
  equal(String(await world.within(honest.recv(), 25_000)), 'second')
  ok(listener.stats().memoryUsed <= maxMemory)
})

test('a stream whose conversation was ended for its memory tells the error', async () => {
  const world = new World()
  const listener = await world.listen({ preset: 'fast', maxRecvBytes: 5_000 })
  const eve = new Peer(world, 'eve', 5)
  eve.send('push sn=0 frg=9 <1200 B>')
  const stream = (await world.within(listener.accept()))!
  const closed = nextEvent(stream, 'close')
  for (let sn = 1; sn < 9; sn++) {
    eve.send(`push sn=${sn} frg=${9 - sn} <1200 B>`)
    await world.run(10)
    eve.answer()
  }
  equal(await world.within(closed), 'limit')
  equal((stream.errored as NodeJS.ErrnoException).code, 'ERR_KCP_LIMIT')
  deepEqual((stream.errored as unknown as { detail: unknown }).detail, { limit: 5_000 })
})
