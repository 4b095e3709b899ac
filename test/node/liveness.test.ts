import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpError } from '../../src/core/errors.ts'
import type { KcpStream } from '../../src/node/index.ts'
import { Host } from '../support/host.ts'
import { nextEvent, pattern, SERVER, World } from '../support/pair.ts'
import { StockPeer } from '../support/stock-peer.ts'

test('an idle session with a stock client stays alive: WASK out, WINS back', async () => {
  const world = new World({ link: { delayMs: 20 } })
  const listener = await world.listen({ idleTimeout: 6_000 })
  const peer = new StockPeer(world.network, world.clock, { conv: 9, to: SERVER })
  peer.send('hello')
  const server = (await world.within(listener.accept()))!
  equal(String(await world.within(server.recv())), 'hello')
  await world.run(1_000)
  const lines = world.record()
  await world.run(60_000)
  equal(server.closeReason, undefined)
  ok(server.stats().idleMs < 3_000)
  const [asks, tells] = ['wask', 'wins'].map((word) => lines.filter((line) => line.includes(word)).length)
  ok(asks! >= 25 && asks! <= 31, `${asks} questions in a minute, one each 2 s`)
  equal(asks, tells)
  equal(lines.length, asks! + tells!, 'and nothing else')
  deepEqual(peer.refused, [])
  // The session works both ways afterwards.
  await server.send('still there?')
  await world.run(200)
  equal(String(peer.messages.at(-1)), 'still there?')
})

test('a stock server is kept alive by a client in the same way', async () => {
  const world = new World({ link: { delayMs: 20 } })
  const peer = new StockPeer(world.network, world.clock, {
    conv: 9,
    to: { address: 'client', port: 1 },
    name: 'server',
    port: 4_000,
  })
  const client = await world.connect({ conv: 9, idleTimeout: 6_000 })
  await client.send('hello')
  await world.run(120_000)
  equal(client.closeReason, undefined)
  equal(String(peer.messages[0]), 'hello')
  peer.stop()
  equal(await world.within(nextEvent(client, 'close'), 7_000), 'timeout')
})

test('a stock peer that does not read is alive all the same, and gets everything later', async () => {
  const world = new World({ link: { delayMs: 20 } })
  const peer = new StockPeer(world.network, world.clock, {
    conv: 9,
    to: { address: 'client', port: 1 },
    name: 'server',
    port: 4_000,
  })
  peer.reading = false
  const client = await world.connect({ conv: 9, preset: 'fast', stallTimeout: 0 })
  for (let i = 0; i < 400; i++) client.write(pattern(100, i))
  await world.run(90_000)
  equal(client.closeReason, undefined)
  equal(client.stats().rmtWnd, 0)
  peer.reading = true
  await world.run(5_000)
  equal(peer.messages.length, 400)
  for (const [i, message] of peer.messages.entries()) ok(message.equals(pattern(100, i)))
})

test('both ends ours and idle: either question keeps both alive', async () => {
  const world = new World({ link: { delayMs: 20, loss: 0.1 }, seed: 4 })
  const { client, server } = await world.pair({ preset: 'normal', kcp: { interval: 100 } })
  await world.run(600_000)
  deepEqual([client.closeReason, server.closeReason], [undefined, undefined])
})

test('without keep-alive silence is the end; without an idle timeout it is not', async () => {
  const world = new World()
  const strict = await world.pair({ idleTimeout: 4_000, keepAlive: 0 })
  const start = world.clock.now()
  equal(await world.within(nextEvent(strict.client, 'close'), 10_000), 'timeout')
  ok(world.clock.now() - start <= 4_000)
  const other = new World()
  const calm = await other.pair()
  await other.run(3_600_000)
  deepEqual([calm.client.closeReason, calm.server.closeReason], [undefined, undefined])
  await calm.client.send('an hour later')
  equal(String(await other.within(calm.server.recv())), 'an hour later')
})

test('a dead peer is noticed within idleTimeout by an idle session and by a busy one', async () => {
  for (const busy of [false, true]) {
    const world = new World()
    const { client } = await world.pair({ idleTimeout: 5_000 })
    const start = world.clock.now()
    world.network.set({ loss: 1 })
    if (busy) client.write('is anybody there?')
    const error = await world.within(nextEvent(client, 'error'), 10_000)
    ok(KcpError.is(error, 'ERR_KCP_TIMEOUT'))
    ok(world.clock.now() - start <= 5_000)
  }
})

test('what a peer with another state sends is no sign of life', async () => {
  const world = new World()
  const { client, server } = await world.pair({ client: { idleTimeout: 5_000 } })
  for (let i = 0; i < 10; i++) await client.send('x')
  await world.within(client.flushed())
  const from = SERVER
  const to = { address: 'client', port: client.localPort! }
  // A restarted stock peer would answer each WASK like this: una 0.
  const peerless = world.network
  peerless.filter = (_, sender) => sender.address !== 'server'
  server.destroy()
  const start = world.clock.now()
  const closed = nextEvent(client, 'close')
  const tell = (): void => {
    const wins = new Uint8Array(24)
    new DataView(wins.buffer).setUint32(0, client.conv, true)
    wins[4] = 84
    wins[6] = 128
    peerless.filter = undefined
    peerless.inject(wins, from, to)
    peerless.filter = (_, sender) => sender.address !== 'server'
    if (client.closeReason === undefined) world.clock.setTimeout(tell, 300)
  }
  tell()
  equal(await world.within(closed, 10_000), 'timeout')
  ok(world.clock.now() - start <= 5_500)
})

test('a write-only client and a server that does not read: ACKs and retransmissions run by themselves', async () => {
  const world = new World({ link: { delayMs: 15, loss: 0.3 }, seed: 6 })
  const { client, server } = await world.pair({ preset: 'fast' })
  for (let i = 0; i < 100; i++) client.write(pattern(300, i))
  // Nobody awaits, reads or listens: what fits the windows is delivered all the same.
  await world.run(10_000)
  equal(client.stats().sndBuf + client.stats().sndQueue, 0)
  equal(server.stats().rcvQueue + server.readableLength, 100)
  for (let i = 0; i < 100; i++) ok((await server.recv())?.equals(pattern(300, i)))
})

test('a read-only client of a server that only writes', async () => {
  const world = new World({ link: { delayMs: 15, loss: 0.2 }, seed: 7 })
  const { client, server } = await world.pair({ preset: 'fast' })
  const got: Buffer[] = []
  client.on('data', (message) => got.push(message))
  for (let i = 0; i < 500; i++) await world.within(server.send(pattern(300, i)))
  await world.within(server.flushed())
  await world.run(100)
  equal(got.length, 500)
})

test('an ACK leaves at the end of the turn in which its data came, also while nobody reads', async () => {
  const world = new World({ link: { delayMs: 10 } })
  const { client } = await world.pair({ preset: 'default' })
  const start = world.clock.now()
  await client.send('x')
  await world.within(client.flushed())
  equal(world.clock.now() - start, 20, 'one round trip, though the flush interval is 100 ms')
})

test('a client that stood still for longer than its idle timeout lives on, with all that waited', async () => {
  const world = new World({ link: { delayMs: 20 } })
  const host = new Host(world.clock)
  const { client, server } = await world.pair({
    server: { idleTimeout: 120_000 },
    client: {
      idleTimeout: 10_000,
      clock: host,
      transport: host.attach(world.network.transport('client')),
      preset: 'fast',
    },
  })
  const got: string[] = []
  client.on('data', (message: Buffer) => got.push(String(message)))
  await world.run(1_000)
  host.standStill(45_000)
  for (let i = 0; i < 40; i++) {
    server.write(String(i))
    await world.run(1_000)
  }
  ok(host.waiting > 32, `${host.waiting} datagrams wait`)
  await world.run(6_000)
  equal(client.closeReason, undefined)
  await world.run(5_000)
  deepEqual(
    got,
    Array.from({ length: 40 }, (_, i) => String(i)),
  )
  await client.send('back again')
  equal(String(await world.within(server.recv())), 'back again')
})

test('also one that stood still until just after its idle timeout', async () => {
  const world = new World({ link: { delayMs: 20 } })
  const host = new Host(world.clock)
  const { client, server } = await world.pair({
    client: {
      idleTimeout: 10_000,
      keepAlive: 0,
      clock: host,
      transport: host.attach(world.network.transport('client')),
    },
  })
  await server.send('a')
  await world.run(100)
  host.standStill(10_300)
  await world.run(5_000)
  server.write('b')
  await world.run(6_000)
  equal(client.closeReason, undefined)
})

test('a server that stood still for longer than its idle timeout kills none of its many sessions', async () => {
  const world = new World({ link: { delayMs: 20 } })
  const host = new Host(world.clock)
  const listener = await world.listen({
    idleTimeout: 10_000,
    clock: host,
    transport: host.attach(world.network.transport('server', { port: 4_000 })),
    maxPendingPerHost: 1_000,
  })
  const clients: KcpStream[] = []
  for (let i = 0; i < 100; i++) {
    const client = await world.connect({ preset: 'fast', idleTimeout: 60_000 })
    client.write('hi')
    clients.push(client)
  }
  const servers: KcpStream[] = []
  for (let i = 0; i < 100; i++) servers.push((await world.within(listener.accept()))!)
  await world.run(1_000)
  // One session's work of the turn that then blocks.
  servers[50]!.write('before the long computation')
  host.standStill(15_000)
  await world.run(100)
  for (const client of clients) client.write('are you there?')
  await world.run(16_000)
  ok(servers.every(({ closeReason }) => closeReason === undefined))
  await world.run(2_000)
  for (const client of clients) equal(client.stats().sndBuf, 0)
})

test('who died while we stood still is noticed one idle timeout after we woke', async () => {
  const world = new World({ link: { delayMs: 20 } })
  const host = new Host(world.clock)
  const { client, server } = await world.pair({
    client: {
      idleTimeout: 10_000,
      clock: host,
      transport: host.attach(world.network.transport('client')),
    },
  })
  host.standStill(30_000)
  world.network.set({ loss: 1 })
  server.destroy()
  const start = world.clock.now()
  equal(await world.within(nextEvent(client, 'close'), 60_000), 'timeout')
  const took = world.clock.now() - start
  ok(took >= 30_000 && took <= 41_000, `took ${took} ms`)
})

test('while we stood still the other side goes by its own clock', async () => {
  const world = new World({ link: { delayMs: 20 } })
  const host = new Host(world.clock)
  const { client, server } = await world.pair({
    server: { idleTimeout: 10_000 },
    client: { clock: host, transport: host.attach(world.network.transport('client')) },
  })
  host.standStill(20_000)
  equal(await world.within(nextEvent(server, 'close'), 15_000), 'timeout')
  await world.run(15_000)
  equal(client.closeReason, 'reset', 'the timeout was told, and is heard on waking')
})
