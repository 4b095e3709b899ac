/** Nothing that was accepted is lost in silence, and an end is only said where it was reached. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import type { KcpStream } from '../../src/node/kcp-stream.ts'
import { nextEvent, pattern, SERVER, World } from '../support/pair.ts'

const fast = { preset: 'fast' } as const

/** Reads until null or an error, with a pause before each read; what came, and how it ended. */
async function readSlowly(world: World, stream: KcpStream, pause: number): Promise<[number, string]> {
  for (let count = 0; ; count++) {
    await world.run(pause)
    try {
      if ((await world.within(stream.recv(), 300_000)) === null) return [count, 'end']
    } catch (error) {
      return [count, (error as { code: string }).code]
    }
  }
}

test("after the peer's end silence ends nothing: a slow reader gets all, and then the end", async () => {
  for (const allowHalfOpen of [false, true]) {
    const world = new World()
    const { client, server } = await world.pair({ ...fast, allowHalfOpen, idleTimeout: 1_500 })
    for (let i = 0; i < 100; i++) await client.send(`message ${i}`)
    client.end()
    await world.within(nextEvent(client, 'finish'))
    // Its process is gone.
    world.network.filter = (_, from) => from.address !== 'client'
    deepEqual(await readSlowly(world, server, 30), [100, 'end'], `allowHalfOpen: ${allowHalfOpen}`)
  }
})

test('whatever ends a session, what came before it is read first, and the error comes behind it', async () => {
  const endings: Record<string, (client: KcpStream, server: KcpStream, world: World) => void> = {
    ERR_KCP_RESET: (client) => client.destroy(new Error('mine')),
    ERR_KCP_TIMEOUT: (_, __, world) => {
      world.network.filter = () => false
    },
    ERR_KCP_DEAD_LINK: (_, server, world) => {
      world.network.filter = (__, from) => from.address === 'client'
      server.write('never acknowledged')
    },
  }
  for (const [code, end] of Object.entries(endings)) {
    const world = new World()
    const options = {
      ...fast,
      idleTimeout: code === 'ERR_KCP_TIMEOUT' ? 2_000 : 0,
      stallTimeout: code === 'ERR_KCP_DEAD_LINK' ? 3_000 : 60_000,
    }
    const { client, server } = await world.pair({ ...options, keepAlive: 0 })
    for (let i = 0; i < 40; i++) await client.send(`message ${i}`)
    await world.within(client.flushed())
    end(client, server, world)
    await world.run(4_000)
    equal(server.destroyed, false, `${code}: its reader has not read yet`)
    deepEqual(await readSlowly(world, server, 500), [40, code])
    ok(server.destroyed)
    equal(server.listenerCount('end') < 10, true, 'reading leaves no listeners behind')
  }
})

test('a stream that was cut never says the end, whichever way it is read', async () => {
  for (const how of ['recv', 'recvInto', 'reader', 'for await']) {
    const world = new World()
    const { client, server } = await world.pair(fast)
    for (let i = 0; i < 20; i++) await client.send(`message ${i}`)
    client.end()
    await world.run(500)
    const read = async (): Promise<void> => {
      if (how === 'for await') {
        for await (const _ of server) server.destroy()
        return
      }
      const reader = how === 'reader' ? server.split().reader : server
      await reader.recv()
      server.destroy()
      const next = how === 'recvInto' ? await server.recvInto(Buffer.alloc(100)) : await reader.recv()
      ok(next !== null, 'it said the end')
    }
    await rejects(world.within(read()), /closing|closed|Premature/)
  }
})

test('destroy() after everything was acknowledged is a close: a slow reader gets all and the end', async () => {
  for (const when of ['finish', 'flushed', 'soon']) {
    const world = new World()
    const { client, server } = await world.pair(fast)
    for (let i = 0; i < 60; i++) client.write(`message ${i}`)
    if (when === 'finish') client.end().once('finish', () => client.destroy())
    else if (when === 'flushed') void client.flushed().then(() => client.destroy())
    else client.destroySoon()
    deepEqual(await readSlowly(world, server, 10), [60, 'end'], when)
    equal(client.closeReason, 'local')
  }
})

test('blocked writes, end() and flushed() fail when the peer closes both ways, and close comes', async () => {
  for (const reads of [false, true]) {
    const world = new World()
    const { client, server } = await world.pair(fast)
    const closed = nextEvent(client, 'close')
    let failed = 0
    let ended: Error | null | undefined
    if (reads) client.resume()
    for (let i = 0; i < 2_000; i++) client.write(pattern(1_300), (error) => (failed += error ? 1 : 0))
    client.end((error?: Error | null) => (ended = error))
    const flushed = client.flushed()
    await world.run(5)
    await world.within(server.close())
    await world.within(closed, 10_000)
    ok(failed > 0 && ended instanceof Error, `${failed} writes failed, end: ${ended}`)
    await rejects(flushed, { code: 'ERR_KCP_CLOSED' })
    equal(client.errored !== null, true)
  }
})

test('send() copies what has to wait', async () => {
  const world = new World()
  const { client, server } = await world.pair({ ...fast, client: { sendQueueLimit: 4 } })
  const buffer = Buffer.alloc(1_000)
  const sent: Promise<number>[] = []
  for (let i = 0; i < 40; i++) {
    buffer.fill(i)
    sent.push(client.send(buffer, i % 3 === 0 ? { ttl: 60_000 } : undefined))
  }
  buffer.fill(255)
  for (let i = 0; i < 40; i++) equal((await world.within(server.recv()))![0], i)
  await world.within(Promise.all(sent))
})

test('bytes of a buffer that was transferred are refused, and no empty message is sent', async () => {
  const world = new World()
  const { client, server } = await world.pair(fast)
  const bytes = new Uint8Array(8)
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  await rejects(client.send(bytes), { code: 'ERR_INVALID_ARG_TYPE' })
  await client.send('next')
  equal(String(await world.within(server.recv())), 'next')
})

test('after end() an answer is waited for until idleTimeout, also from a peer without close notices', async () => {
  const world = new World()
  const { client, server } = await world.pair({ ...fast, allowHalfOpen: true, server: { lifecycle: 'none' } })
  client.end()
  await world.run(20_000)
  await server.send('a late answer')
  equal(String(await world.within(client.recv())), 'a late answer')
  await rejects(world.within(client.recv(), 60_000), { code: 'ERR_KCP_TIMEOUT' })
})

test('a message is delivered once, though the server destroys its stream at the first one', async () => {
  for (const preset of ['fast', 'kcpGo'] as const) {
    const world = new World()
    let opened = 0
    let got = 0
    const listener = await world.listen({ preset }, (stream) => {
      opened++
      stream.once('data', () => {
        got++
        stream.destroy()
      })
    })
    const client = await world.connect({ preset: 'kcpGo', stallTimeout: 4_000 })
    await client.send('order: buy one')
    await world.run(10_000)
    deepEqual([opened, got], [1, 1], preset)
    await world.within(listener.close())
  }
})

test('a client that restarts with the same conv and port: nothing of both is mixed, and it learns at once', async () => {
  const world = new World()
  const lives: string[][] = []
  const listener = await world.listen(fast, (stream) => {
    const life: string[] = []
    lives.push(life)
    stream.on('data', (message) => {
      life.push(String(message))
      void stream.send(`answer to ${message}`)
    })
  })
  const connect = (): Promise<KcpStream> =>
    world.connect({ ...fast, conv: 778, transport: world.network.transport('client', { port: 9 }) })
  const first = await connect()
  for (let i = 0; i < 5; i++) await first.send(`A${i}`)
  for (let i = 0; i < 5; i++) await world.within(first.recv())
  await world.within(first.flushed())
  // The process is killed: its port is free, and its peer hears nothing.
  world.network.filter = () => false
  first.destroy(new Error('killed'))
  await world.within(nextEvent(first, 'close'))
  world.network.filter = undefined
  const second = await connect()
  for (let i = 0; i < 7; i++) await second.send(`B${i}`)
  const born = world.clock.now()
  await rejects(world.within(second.recv(), 5_000), { code: 'ERR_KCP_RESET' })
  ok(world.clock.now() - born <= 100, `${world.clock.now() - born} ms`)
  deepEqual(lives, [['A0', 'A1', 'A2', 'A3', 'A4']])
  // The former conversation ends too, and the conv can be used again.
  await world.run(8_000)
  const third = await connect()
  await third.send('C0')
  equal(String(await world.within(third.recv(), 5_000)), 'answer to C0')
  await world.within(Promise.all([third.close(), listener.close()]))
})

test('a client with channels that restarts with the same conv and port is served once the former peer is given up', async () => {
  const world = new World()
  const options = { ...fast, channels: 4 }
  const listener = await world.listen(options, (stream) => {
    for (const channel of stream.channels) channel.on('data', (message) => void channel.send(message))
  })
  const connect = (): Promise<KcpStream> =>
    world.connect({ ...options, conv: 8, transport: world.network.transport('client', { port: 9 }) })
  const first = await connect()
  await first.channels[2]!.send('before')
  equal(String(await world.within(first.channels[2]!.recv())), 'before')
  world.network.filter = () => false
  first.destroy(new Error('killed'))
  await world.run(1_000)
  world.network.filter = undefined
  const second = await connect()
  await second.channels[2]!.send('too early')
  await rejects(world.within(second.channels[2]!.recv(), 15_000), { code: 'ERR_KCP_RESET' })
  second.destroy()
  // All channels of the former conversation end with the one that heard of the successor.
  await world.run(8_000)
  equal(listener.stats().sessions, 0)
  const third = await connect()
  await third.channels[2]!.send('after')
  equal(String(await world.within(third.channels[2]!.recv(), 5_000)), 'after')
  await world.within(Promise.all([third.close(), listener.close()]))
})

test('a listener that is full tells a client of ours at once, also one that only asks', async () => {
  const world = new World()
  const listener = await world.listen({ ...fast, maxConnections: 1 })
  await world.join(listener, fast)
  const late = await world.connect(fast)
  await late.send('me too')
  await rejects(world.within(late.recv(), 200), { code: 'ERR_KCP_REFUSED', detail: { why: 'full' } })
  await rejects(world.within(world.connect({ ...fast, waitForPeer: 5_000 }), 200), {
    code: 'ERR_KCP_REFUSED',
  })
})

test('one host gets its share of the places, and the rest is for others', async () => {
  const world = new World()
  const listener = await world.listen({ ...fast, maxConnections: 100, maxConnectionsPerHost: 10 })
  const greedy = world.endpoint('greedy')
  for (let conv = 1; conv <= 50; conv++) {
    greedy.transport.send(
      Uint8Array.of(conv, 0, 0, 0, 81, 0, 128, 0, ...new Uint8Array(12), 1, 0, 0, 0, 120),
      SERVER,
    )
  }
  await world.run(50)
  equal(listener.stats().sessions, 10)
  equal(listener.stats().drops.connectionsPerHost, 40)
  const { server } = await world.join(listener, fast).catch(() => ({ server: undefined }))
  ok(server !== undefined || listener.stats().sessions >= 10)
})

test('promises that nobody waits for end no process when the peer leaves', async () => {
  const unhandled: unknown[] = []
  const note = (error: unknown): void => void unhandled.push(error)
  process.on('unhandledRejection', note)
  try {
    const world = new World()
    const { client, server } = await world.pair(fast)
    for (let i = 0; i < 600; i++) void server.send(pattern(1_000))
    void server.flushed()
    void server.recv()
    client.destroy(new Error('mine'))
    await world.run(500)
    await new Promise((resolve) => setImmediate(resolve))
    deepEqual(unhandled, [])
  } finally {
    process.off('unhandledRejection', note)
  }
})
