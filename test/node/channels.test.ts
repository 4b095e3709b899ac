import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpListener, type KcpStream } from '../../src/node/index.ts'
import { parseTrace } from '../../src/sim/trace.ts'
import { nextEvent, pattern, SERVER, World } from '../support/pair.ts'

const fast = { preset: 'fast' } as const

test('each channel has an order of its own: what one has lost holds no other back', async () => {
  const world = new World({ link: { delayMs: 50 } })
  const { client, server } = await world.pair({ ...fast, channels: 3 })
  equal(client.channels.length, 3)
  equal(server.channels[0], server)
  deepEqual(
    server.channels.map(({ conv }) => conv),
    [0, 1, 2].map((i) => client.conv + i),
  )
  equal(client.conv % 3, 0)
  const arrived: string[] = []
  server.channels.forEach((stream, i) => {
    stream.on('data', (message: Buffer) =>
      arrived.push(`${i} ${message} at ${world.clock.now() - startedAt}`),
    )
  })
  const startedAt = world.clock.now()
  // The chat line is lost, and so is not there before it is repeated; the inputs do not wait for it.
  world.network.set({ delayMs: 50, loss: 1 })
  await client.channels[1]!.send('chat')
  await world.settle()
  world.network.set({ delayMs: 50, loss: 0 })
  await client.send('input 1')
  await client.channels[1]!.send('more chat')
  await client.channels[2]!.send('state')
  await world.run(60)
  deepEqual(arrived.sort(), ['0 input 1 at 50', '2 state at 50'])
  await world.run(500)
  deepEqual(
    arrived.map((line) => line.replace(/ at .*/, '')).filter((line) => line.startsWith('1')),
    ['1 chat', '1 more chat'],
  )
})

test('the server may speak first on a channel that the client never used', async () => {
  const world = new World()
  const { client, server } = await world.pair({ ...fast, channels: 4 })
  await server.channels[3]!.send('news')
  equal(String(await world.within(client.channels[3]!.recv())), 'news')
  // And does so after any silence: an unused channel is no dead one.
  await world.run(120_000)
  await client.channels[2]!.send('hello')
  equal(String(await world.within(server.channels[2]!.recv())), 'hello')
  deepEqual(
    [...client.channels, ...server.channels].map(({ closeReason }) => closeReason),
    Array(8).fill(undefined),
  )
})

test('a channel that waits while the path is cut asks for itself, and goes on with the answer', async () => {
  const world = new World({ link: { delayMs: 50 } })
  const { client, server } = await world.pair({ ...fast, channels: 3 })
  for (const stream of [...client.channels, ...server.channels]) stream.resume()
  let arrived = 0
  server.channels[2]!.on('data', () => arrived++)
  await client.channels[2]!.send('before')
  await world.run(500)
  world.network.set({ delayMs: 50, loss: 1 })
  await client.channels[2]!.send('during')
  await world.run(25_000)
  world.network.set({ delayMs: 50, loss: 0 })
  equal(arrived, 1)
  // A second until it asks, a way there and back, an RTO, and a way.
  await world.run(1_500)
  equal(arrived, 2)
})

test('a peer that begins on another channel than the first is no ghost of an old conversation', async () => {
  const world = new World()
  const listener = await world.listen({ ...fast, channels: 3 })
  const client = await world.connect({ ...fast, channels: 3 })
  await client.channels[2]!.send('hi')
  const server = await world.within(listener.accept())
  equal(String(await world.within(server!.channels[2]!.recv())), 'hi')
  // Longer than the beginning of a conversation that has begun is waited for.
  await world.run(12_000)
  deepEqual(
    [...client.channels, ...server!.channels].map(({ closeReason }) => closeReason),
    Array(6).fill(undefined),
  )
})

test('a channel that ends unproven is counted as pending no more, and not again when another one proves it', async () => {
  const world = new World({ link: { delayMs: 20 } })
  const listener = await world.listen({ ...fast, channels: 3 })
  listener.on('connection', (stream: KcpStream) => {
    for (const each of stream.channels) each.on('error', () => undefined)
    stream.channels[1]!.destroy()
  })
  const client = await world.connect({ ...fast, channels: 3 })
  for (const each of client.channels) each.on('error', () => undefined)
  await client.send('hi')
  await world.run(1_000)
  equal(listener.stats().pending, 0)
})

test('one liveness: one question keeps all channels alive, and a vanished peer ends all', async () => {
  const world = new World()
  const { client, server, listener } = await world.pair({ channels: 5, keepAlive: 1_000, idleTimeout: 3_500 })
  const lines = world.record()
  await world.run(20_000)
  const questions = lines.filter((line) => line.includes('push sn=4294967295') && line.includes('> server'))
  ok(
    questions.length >= 9 && questions.length <= 21,
    `${questions.length} questions in 20 s, from one channel`,
  )
  ok(lines.every((line) => line.includes(`conv=${client.conv} `) || !line.includes('conv=')))
  equal(listener.stats().sessions, 5)
  equal(listener.connections.size, 1)
  world.network.set({ loss: 1 })
  const reasons = Promise.all(
    [...client.channels, ...server.channels].map((stream) => nextEvent(stream, 'close')),
  )
  deepEqual(await world.within(reasons, 5_000), Array(10).fill('timeout'))
  equal(listener.stats().sessions, 0)
  equal(listener.connections.size, 0)
})

test('closing the first channel closes all, and delivers what they hold', async () => {
  const world = new World({ link: { delayMs: 20, loss: 0.2 }, seed: 3 })
  const { client, server } = await world.pair({ ...fast, channels: 3 })
  const read = Promise.all(server.channels.map(collect))
  for (const channel of client.channels) {
    for (let i = 0; i < 40; i++) channel.write(pattern(500, i))
  }
  await world.within(client.close())
  deepEqual(await world.within(read), [40, 40, 40])
  deepEqual(
    client.channels.map((stream) => stream.closeReason),
    ['local', 'local', 'local'],
  )
  deepEqual(
    server.channels.map((stream) => stream.closeReason),
    ['peer', 'peer', 'peer'],
  )
})

test('another channel may close alone', async () => {
  const world = new World()
  const { client, server } = await world.pair({ ...fast, channels: 3 })
  await client.channels[1]!.send('only this')
  server.channels[1]!.resume()
  await world.within(client.channels[1]!.close())
  await world.run(1_000)
  deepEqual(
    server.channels.map((stream) => stream.closeReason),
    [undefined, 'peer', undefined],
  )
  await client.send('still here')
  equal(String(await world.within(server.recv())), 'still here')
})

test('destroying the first destroys all; the socket goes with the last', async () => {
  const world = new World()
  const transport = world.network.transport('client')
  let closed = 0
  const close = transport.close.bind(transport)
  transport.close = () => {
    closed++
    close()
  }
  const { client, server } = await world.pair({ ...fast, channels: 3, client: { transport } })
  const [, second] = client.channels
  second!.destroy()
  await world.run(100)
  equal(closed, 0)
  client.destroy()
  await world.run(1_000)
  equal(closed, 1)
  deepEqual(
    [...client.channels, ...server.channels].map(({ destroyed }) => destroyed),
    Array(6).fill(true),
  )
})

test('what proved the address on one channel proved it for all', async () => {
  const world = new World()
  const { server, listener } = await world.pair({ ...fast, channels: 8 })
  await world.run(100)
  deepEqual(
    server.channels.map((stream) => stream.stats().proven),
    Array(8).fill(true),
  )
  equal(listener.stats().pending, 0)
})

test('a listener with channels takes no conv below their number, and no group that is half alive', async () => {
  const world = new World()
  const listener = await world.listen({ channels: 4, tombstoneTtl: 0 }, (stream) => {
    for (const channel of stream.channels) channel.resume()
  })
  const low = await world.connect({ conv: 3 })
  await low.send('x')
  await world.run(200)
  equal(listener.stats().sessions, 0)
  equal(low.closeReason, 'reset')
  // One end without channels is one channel of four; its siblings stay unused.
  const single = await world.connect({ conv: 9 })
  await single.send('x')
  await world.within(single.flushed())
  equal(listener.stats().sessions, 4)
  // Its conversation is over, the others of the group are not: its first segment is no beginning of a new one.
  const lines = world.record()
  await single.send('last')
  await world.within(single.close())
  await world.run(500)
  equal(listener.stats().sessions, 3)
  const from = / (client:\d+) > /.exec(lines[0]!)![1]!.split(':')
  const { unknown } = listener.stats().drops
  world.network.inject(
    parseTrace('push sn=0 una=0 ts=5 wnd=128 "x"', { conv: 9 }),
    { address: from[0]!, port: Number(from[1]) },
    SERVER,
  )
  await world.run(10)
  equal(listener.stats().sessions, 3)
  equal(listener.stats().drops.unknown, unknown + 1)
})

test('channels are refused at the door when they make no sense', async () => {
  const world = new World()
  for (const channels of [0, 65, 1.5]) {
    await rejects(world.connect({ channels }), { code: 'ERR_KCP_CONFIG' })
    throws(() => new KcpListener({ channels }), { code: 'ERR_KCP_CONFIG' })
  }
  await rejects(world.connect({ channels: 4, conv: 6 }), { code: 'ERR_KCP_CONFIG' })
  await rejects(world.connect({ channels: 4, conv: 2 ** 32 - 1 }), { code: 'ERR_KCP_CONFIG' })
  const edge = await world.connect({ channels: 4, conv: 2 ** 32 - 4, host: SERVER.address })
  equal(edge.channels.at(-1)!.conv, 2 ** 32 - 1)
  edge.destroy()
})

async function collect(stream: KcpStream): Promise<number> {
  let count = 0
  for await (const message of stream) ok((message as Buffer).equals(pattern(500, count++)))
  return count
}

test('a conversation whose first channel was never used ends as any other', async () => {
  for (const how of ['close', 'vanish'] as const) {
    const world = new World()
    const listener = await world.listen({ ...fast, channels: 4 })
    const client = await world.connect({ ...fast, channels: 4 })
    await client.channels[2]!.send('hi')
    const server = (await world.within(listener.accept()))!
    for (const stream of server.channels) stream.resume().on('error', () => undefined)
    await world.run(1_000)
    if (how === 'close') await world.within(client.close())
    else world.network.set({ loss: 1 })
    await world.run(60_000)
    const reason = how === 'close' ? 'peer' : 'timeout'
    deepEqual(
      server.channels.map(({ closeReason }) => closeReason),
      Array(4).fill(reason),
    )
    equal(listener.stats().sessions, 0)
  }
})
