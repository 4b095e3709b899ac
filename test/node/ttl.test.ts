/** `send(data, { ttl })`: what is too late is not sent, and who sent it hears of it in time. */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpError } from '../../src/core/errors.ts'
import type { KcpStream } from '../../src/node/kcp-stream.ts'
import { World } from '../support/pair.ts'

/** A pair with a small window, and with it full: what is sent now waits. */
async function full(options: object = {}): Promise<{ world: World; client: KcpStream; server: KcpStream }> {
  const world = new World({ link: { delayMs: 50 } })
  const kcp = { sndWnd: 1 }
  const { client, server } = await world.pair({ preset: 'fast', kcp, sendQueueLimit: 4, ...options })
  client.trySend('in flight')
  await world.settle()
  equal(client.kcp.snd.inFlight, 1)
  return { world, client, server }
}

/** When, after now, `promise` is rejected because of a ttl of `ttl` ms. */
function expiry(world: World, promise: Promise<unknown>, ttl: number): Promise<number> {
  const start = world.clock.now()
  return promise.then(
    () => -1,
    (error: unknown) => {
      ok(KcpError.is(error, 'ERR_KCP_EXPIRED'), String(error))
      deepEqual(error.detail, { ttl })
      return world.clock.now() - start
    },
  )
}

async function texts(world: World, stream: KcpStream, count: number): Promise<string[]> {
  const all: string[] = []
  while (all.length < count) all.push(String(await world.within(stream.recv())))
  return all
}

test('with room it leaves at once, and the promise has the length', async () => {
  const world = new World({ link: { delayMs: 50 } })
  const { client, server } = await world.pair({ preset: 'fast' })
  const start = world.clock.now()
  equal(await world.within(client.send('hello', { ttl: 1 })), 5)
  equal(world.clock.now(), start)
  // Its ttl was about leaving, not about arriving.
  equal(String(await world.within(server.recv())), 'hello')
  equal(client.stats().expired, 0)
})

test('what waits for the window too long is dropped, its promise rejects on time, the others arrive', async () => {
  const { world, client, server } = await full()
  // The window opens after 100 ms.
  const late = expiry(world, client.send('late', { ttl: 60 }), 60)
  const soon = client.send('soon', { ttl: 150 })
  const plain = client.send('plain')
  equal(await world.within(late), 60)
  equal(await world.within(soon), 4)
  equal(await world.within(plain), 5)
  deepEqual(await texts(world, server, 3), ['in flight', 'soon', 'plain'])
  equal(client.stats().expired, 1)
  equal(client.readyState, 'open')
})

test('the same in front of the engine, where the queue is full', async () => {
  const { world, client, server } = await full()
  for (let i = 0; i < 4; i++) client.write(`m${i}`)
  const ttls = [70, 20, 33.5].map((ttl) => expiry(world, client.send(`ttl ${ttl}`, { ttl }), ttl))
  client.write('last')
  ok(client.kcp.snd.queued <= 4)
  deepEqual(await world.within(Promise.all(ttls)), [70, 20, 34])
  deepEqual(await texts(world, server, 6), ['in flight', 'm0', 'm1', 'm2', 'm3', 'last'])
  equal(client.stats().expired, 3)
  await world.within(client.flushed())
  equal(client.writableLength, 0)
})

test('from the queue in front to the engine and out, within its time', async () => {
  const { world, client, server } = await full()
  for (let i = 0; i < 4; i++) client.write(`m${i}`)
  const sent = client.send('in time', { ttl: 60_000 })
  equal(await world.within(sent), 7)
  deepEqual(await texts(world, server, 6), ['in flight', 'm0', 'm1', 'm2', 'm3', 'in time'])
})

test('flushed and close do not wait for what expires', async () => {
  for (const ending of ['flushed', 'close', 'end'] as const) {
    const { world, client, server } = await full()
    for (let i = 0; i < 4; i++) client.write(`m${i}`)
    const late = expiry(world, client.send('late', { ttl: 30 }), 30)
    const done = ending === 'end' ? client.end() && client.flushed() : client[ending]()
    equal(await world.within(late), 30)
    await world.within(done)
    deepEqual(await texts(world, server, 5), ['in flight', 'm0', 'm1', 'm2', 'm3'])
  }
})

test('a stream that is destroyed has nothing to wait for', async () => {
  const { world, client } = await full()
  const inside = client.send('inside', { ttl: 1_000 })
  for (let i = 0; i < 6; i++) client.write(`m${i}`, () => undefined)
  const front = client.send('in front', { ttl: 1_000 })
  const start = world.clock.now()
  const both = [rejects(inside, { code: 'ERR_KCP_CLOSED' }), rejects(front, { code: 'ERR_KCP_CLOSED' })]
  client.destroy()
  await world.within(Promise.all(both))
  ok(world.clock.now() - start < 100)
  equal(client.kcp.counters.expired, 0)
})

test('trySend drops without telling anybody but stats', async () => {
  const { world, client, server } = await full()
  equal(client.trySend('late', { ttl: 60 }), true)
  equal(client.trySend('plain'), true)
  deepEqual(await texts(world, server, 2), ['in flight', 'plain'])
  equal(client.stats().expired, 1)
})

test('the writing half and each channel have their own', async () => {
  const { world, client, server } = await full({ channels: 2 })
  const { writer } = client.split()
  const late = expiry(world, writer.send('late', { ttl: 40 }), 40)
  equal(writer.trySend('later', { ttl: 41 }), true)
  // The other channel's window is open.
  equal(await world.within(client.channels[1]!.send('side', { ttl: 1 })), 4)
  equal(await world.within(late), 40)
  deepEqual(await texts(world, server, 1), ['in flight'])
  deepEqual(await texts(world, server.channels[1]!, 1), ['side'])
  await world.run(10)
  equal(client.stats().expired, 2)
  equal(client.channels[1]!.stats().expired, 0)
})

test('a message that began to leave is delivered to its end', async () => {
  const world = new World({ link: { delayMs: 50 } })
  const { client, server } = await world.pair({ preset: 'fast', kcp: { sndWnd: 2, mtu: 100 } })
  equal(await world.within(client.send(new Uint8Array(1_000), { ttl: 10 })), 1_000)
  equal((await world.within(server.recv()))?.length, 1_000)
})

test('with flushWrite off a message is sent at the next interval, or not at all', async () => {
  const world = new World({ link: { delayMs: 50 } })
  const { client, server } = await world.pair({ flushWrite: false, flushInterval: 40 })
  await world.run(1_000)
  await world.within(client.send('first', { ttl: 5 }))
  const late = expiry(world, client.send('late', { ttl: 30 }), 30)
  const sent = client.send('sent', { ttl: 50 })
  equal(await world.within(late), 30)
  await world.within(sent)
  deepEqual(await texts(world, server, 2), ['first', 'sent'])
})

test('a ttl is a number of ms above 0, and of a message', async () => {
  const { client } = await full()
  for (const ttl of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, '5', null] as number[]) {
    await rejects(client.send('x', { ttl }), { code: 'ERR_KCP_CONFIG' })
    throws(() => client.trySend('x', { ttl }), { code: 'ERR_KCP_CONFIG' })
  }
  const world = new World()
  const stream = await world.pair({ kcp: { streamMode: true } })
  await rejects(stream.client.send('x', { ttl: 5 }), { code: 'ERR_KCP_CONFIG', message: /stream mode/ })
  throws(() => stream.client.trySend('x', { ttl: 5 }), { code: 'ERR_KCP_CONFIG' })
  equal(client.readyState, 'open')
})
