import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpError } from '../../src/core/errors.ts'
import { schedulerOf } from '../../src/node/clock.ts'
import { createServer, KcpListener, type KcpStream, listen } from '../../src/node/index.ts'
import { DropCounters } from '../../src/session/acceptor.ts'
import { parseTrace } from '../../src/sim/trace.ts'
import { nextEvent, pattern, World } from '../support/pair.ts'

test('accept resolves in the order of arrival, whether it was called before or after', async () => {
  const world = new World()
  const listener = await world.listen()
  const early = [listener.accept(), listener.accept()]
  const clients: KcpStream[] = []
  for (let i = 0; i < 4; i++) {
    const client = await world.connect()
    clients.push(client)
    await client.send(String(i))
    await world.run(1)
  }
  await world.run(100)
  const streams = [
    ...(await world.within(Promise.all(early))),
    await listener.accept(),
    await listener.accept(),
  ]
  for (const [i, stream] of streams.entries()) {
    equal(stream?.conv, clients[i]!.conv)
    equal(String(await world.within(stream!.recv())), String(i))
  }
})

test('for await gives every stream until the listener closes', async () => {
  const world = new World()
  const listener = await world.listen()
  const convs: number[] = []
  const serving = (async () => {
    for await (const stream of listener) {
      convs.push(stream.conv)
      stream.on('data', (message: Buffer) => void stream.send(message))
    }
  })()
  const clients = await Promise.all([world.connect(), world.connect(), world.connect()])
  for (const client of clients) await client.send('echo')
  for (const client of clients) equal(String(await world.within(client.recv())), 'echo')
  const closed = listener.close()
  await world.within(serving)
  for (const client of clients) await world.within(client.close())
  await world.within(closed)
  deepEqual(
    convs,
    clients.map(({ conv }) => conv),
  )
})

test('several sessions of one address, told apart by conv', async () => {
  const world = new World()
  const listener = await world.listen()
  listener.on('connection', (stream) => {
    stream.on('data', (message: Buffer) => void stream.send(`${stream.conv}: ${message}`))
  })
  // One endpoint that hands each datagram to the stream of its conv.
  const transport = world.network.transport('client')
  const handlers = new Map<number, Parameters<typeof transport.start>[0]>()
  transport.start({
    onDatagram: (datagram, peer) => {
      const conv = new DataView(datagram.buffer, datagram.byteOffset).getUint32(0, true)
      handlers.get(conv)?.onDatagram(datagram, peer)
    },
    onError: () => undefined,
    onClose: () => undefined,
  })
  const clients: KcpStream[] = []
  for (const conv of [5, 6, 7]) {
    clients.push(
      await world.connect({
        conv,
        transport: {
          send: (datagram, peer) => transport.send(datagram, peer),
          start: (handler) => void handlers.set(conv, handler),
          close: () => undefined,
        },
      }),
    )
  }
  for (const client of clients) await client.send('hi')
  for (const client of clients) equal(String(await world.within(client.recv())), `${client.conv}: hi`)
  equal(listener.stats().sessions, 3)
})

test('the accept queue is bounded: new peers are refused and counted, old ones are fine', async () => {
  const world = new World()
  const listener = await world.listen({ backlog: 3, maxPendingPerHost: 100 })
  const clients: KcpStream[] = []
  for (let i = 0; i < 5; i++) {
    const client = await world.connect()
    clients.push(client)
    await client.send(String(i))
    await world.run(1)
  }
  await world.run(200)
  const { backlog, sessions, drops } = listener.stats()
  deepEqual([backlog, sessions], [3, 3])
  ok(drops.backlog >= 2)
  deepEqual(
    clients.map(({ closeReason }) => closeReason),
    [undefined, undefined, undefined, 'refused', 'refused'],
  )
  deepEqual(KcpError.is(clients[4]!.errored, 'ERR_KCP_REFUSED') && clients[4]!.errored.detail, {
    why: 'full',
  })
  const read = []
  for (let i = 0; i < 3; i++)
    read.push(String(await world.within((await world.within(listener.accept()))!.recv())))
  deepEqual(read.sort(), ['0', '1', '2'])
  // The queue has moved on.
  const { server } = await world.join(listener)
  equal(server.remoteAddress, 'client')
})

test('what waits in the accept queue and ends there leaves it', async () => {
  const world = new World()
  const listener = await world.listen({ backlog: 2 })
  const client = await world.connect()
  await client.send('never mind')
  await world.run(100)
  equal(listener.stats().backlog, 1)
  // Before it is proven to be there.
  client.destroy(new Error('mine'))
  await world.run(100)
  deepEqual([listener.stats().backlog, listener.connections.size], [1, 1], 'its message can be read')
  await world.run(60_000)
  deepEqual([listener.stats().backlog, listener.connections.size], [0, 0], 'but nobody came')
})

test('maxConnections: no session more, counted; room again when one ends', async () => {
  const world = new World()
  const listener = await world.listen({ maxConnections: 2 })
  const first = await world.join(listener)
  await world.join(listener)
  const third = await world.connect()
  await third.send('me too')
  await world.run(100)
  equal(listener.stats().sessions, 2)
  equal(listener.stats().drops.connections, 1)
  equal(third.closeReason, 'refused')
  first.server.resume()
  await world.within(first.client.close())
  const { server } = await world.join(listener)
  equal(server.mode, 'message')
})

test('a connection listener that throws ends its own stream: its client is told, and the others are served', async () => {
  const world = new World()
  const errors: Error[] = []
  const listener = await world.listen({ preset: 'fast' }, (stream) => {
    if (listener.stats().accepted === 1) throw new Error('mine')
    stream.on('data', (message: Buffer) => stream.write(message))
  })
  listener.on('error', (error) => {
    errors.push(error)
    throw new Error('a listener of errors that fails too')
  })
  const first = await world.connect({ preset: 'fast' })
  const second = await world.connect({ preset: 'fast' })
  await first.send('echo')
  await rejects(world.within(first.recv()), { code: 'ERR_KCP_REFUSED' })
  await second.send('echo')
  equal(String(await world.within(second.recv())), 'echo')
  deepEqual(
    errors.map(({ message }) => message),
    ['mine'],
  )
  equal(listener.stats().sessions, 1)
})

test('a data listener that throws harms neither the other sessions nor the timers of all', async () => {
  const caught: Error[] = []
  const onError = (error: Error): void => void caught.push(error)
  process.on('uncaughtException', onError)
  try {
    const world = new World()
    const listener = await world.listen({ preset: 'fast' })
    const pairs = []
    for (let i = 0; i < 5; i++) pairs.push(await world.join(listener, { preset: 'fast' }))
    pairs[0]!.server.on('data', () => {
      throw new Error('mine')
    })
    // All are touched in one turn, the faulty one first; and the answers get lost once, so timers are needed.
    let drop = 5
    world.network.filter = (_, from) => from.address !== 'server' || drop-- <= 0
    for (const { client } of pairs) {
      client.write('ping')
      client.write('ping')
      client.write('ping')
    }
    for (const { server } of pairs.slice(1)) server.on('data', () => server.write('pong'))
    for (let i = 0; i < 20; i++) await world.run(50).catch(onError)
    for (const { client } of pairs.slice(1)) equal(String(client.read()), 'pong')
    deepEqual(caught, [])
    // The faulty one is over, and its peer was told.
    ok(pairs[0]!.server.destroyed)
    equal(pairs[0]!.client.closeReason, 'reset')
  } finally {
    process.off('uncaughtException', onError)
  }
})

test('an unread session does not delay the others', async () => {
  const world = new World({ link: { delayMs: 10 } })
  const listener = await world.listen({ preset: 'fast' })
  const lazy = await world.join(listener, { preset: 'fast' })
  const busy = await world.join(listener, { preset: 'fast' })
  const flood = (async () => {
    for (let i = 0; i < 2_000; i++) await lazy.client.send(pattern(1_000))
  })().catch(() => undefined)
  busy.server.on('data', (message: Buffer) => void busy.server.send(message))
  await world.run(2_000)
  equal(lazy.client.stats().rmtWnd, 0, 'the lazy one is stuck')
  for (let i = 0; i < 50; i++) {
    const start = world.clock.now()
    await busy.client.send('ping')
    await world.within(busy.client.recv())
    equal(world.clock.now() - start, 20)
  }
  lazy.client.destroy()
  await flood
})

test('maxMemory closes the windows of all sessions together, and nothing is lost', async () => {
  const world = new World({ link: { delayMs: 5 } })
  const listener = await world.listen({ preset: 'fast', maxMemory: 100_000, recvBufferSize: 4_096 })
  const pairs = []
  for (let i = 0; i < 4; i++)
    pairs.push(await world.join(listener, { preset: 'fast', stallTimeout: 0, lingerTimeout: 100_000 }))
  const sending = pairs.map(async ({ client }, which) => {
    for (let i = 0; i < 60; i++) await client.send(pattern(1_300, which * 100 + i))
    client.end()
  })
  await world.run(5_000)
  ok(listener.stats().memoryUsed <= 100_000 + 4 * 1_400, `${listener.stats().memoryUsed} bytes kept`)
  const reading = pairs.map(async ({ server }, which) => {
    for (let i = 0; i < 60; i++) {
      ok((await server.recv())?.equals(pattern(1_300, which * 100 + i)), `session ${which}, message ${i}`)
    }
  })
  await world.within(Promise.all([...sending, ...reading]), 300_000)
  equal(listener.stats().memoryUsed, 0)
})

test('close waits for the live streams, takes no new peers, and resolves when the last is gone', async () => {
  const world = new World()
  const listener = await world.listen()
  const { client, server } = await world.join(listener)
  let done = false
  const closed = nextEvent(listener, 'close')
  const closing = listener.close().then(() => (done = true))
  equal(listener.listening, false)
  equal(listener.close(), listener.close(), 'one promise for all calls')
  const late = await world.connect()
  await late.send('too late')
  await world.run(1_000)
  equal(done, false)
  equal(listener.stats().sessions, 1)
  await client.send('still served')
  equal(String(await world.within(server.recv())), 'still served')
  client.resume()
  server.resume()
  await world.within(server.close())
  await world.within(closing)
  await closed
  equal(await listener.accept(), null)
  await rejects(listener.listen(), { code: 'ERR_KCP_CLOSED' })
  const again = await world.listen()
  equal(again.listening, true, 'the address is free')
})

test('close with many live sessions: closeAllConnections, and every client is told', async () => {
  const world = new World({ link: { delayMs: 5 } })
  const listener = await world.listen({ maxPendingPerHost: 10_000, backlog: 10_000 })
  const reasons: unknown[] = []
  const clients: KcpStream[] = []
  for (let i = 0; i < 300; i++) {
    const client = await world.connect()
    client.on('close', (reason) => reasons.push(reason))
    client.write('hi')
    clients.push(client)
  }
  await world.run(1_000)
  equal(listener.stats().sessions, 300)
  for (let i = 0; i < 250; i++) await listener.accept()
  const closing = listener.close()
  await world.settle()
  equal(listener.stats().sessions, 250, 'who nobody accepted is let go at once')
  listener.closeAllConnections()
  await world.within(closing, 10_000)
  await world.run(100)
  equal(reasons.length, 300)
  ok(reasons.every((reason) => reason === 'peer' || reason === 'reset'))
  await world.run(1_000)
  equal(world.clock.pending, 0)
})

test('await using closes every stream gracefully, then the listener', async () => {
  const world = new World()
  const reasons: string[] = []
  const listener = await world.listen()
  for (let i = 0; i < 3; i++) {
    const { client, server } = await world.join(listener)
    client.on('close', (reason) => reasons.push(reason)).resume()
    await server.send('bye')
  }
  const scope = async (): Promise<void> => {
    await using _ = listener
  }
  await world.within(scope())
  await world.run(10)
  deepEqual(reasons, ['peer', 'peer', 'peer'])
  equal(listener.listening, false)
})

test('accept: abort rejects with its reason, and the stream goes to the next who waits', async () => {
  const world = new World()
  const listener = await world.listen()
  const abort = new AbortController()
  const reason = new Error('enough')
  const aborted = listener.accept({ signal: abort.signal })
  const waiting = listener.accept()
  abort.abort(reason)
  await rejects(aborted, reason)
  await rejects(listener.accept({ signal: AbortSignal.abort(reason) }), reason)
  const client = await world.connect()
  await client.send('x')
  equal((await world.within(waiting))?.conv, client.conv)
  const pending = listener.accept()
  void listener.close()
  equal(await world.within(pending), null)
})

test('a signal stops a listen before it binds', async () => {
  const world = new World()
  await rejects(world.listen({ signal: AbortSignal.abort(new Error('no')) }), /no/)
})

test('a transport that closes under a listener ends the listener and its streams', async () => {
  const world = new World()
  const transport = world.network.transport('server', { port: 4000 })
  const listener = await world.listen({ transport })
  const { server } = await world.join(listener)
  const closed = nextEvent(listener, 'close')
  const reason = nextEvent(server, 'close')
  const accepting = listener.accept()
  transport.close()
  equal(await world.within(accepting), null)
  equal(await world.within(reason, 5_000), 'reset')
  await world.within(closed, 5_000)
})

test('errors of the transport are counted and stop nobody', async () => {
  const world = new World()
  const transport = world.network.transport('server', { port: 4000 })
  const listener = await world.listen({ transport })
  const { client, server } = await world.join(listener)
  for (let i = 0; i < 3; i++) {
    transport.fail(Object.assign(new Error('recvmsg ECONNREFUSED'), { code: 'ECONNREFUSED' }))
  }
  await world.run(10)
  equal(listener.stats().transportErrors, 3)
  await client.send('still here')
  equal(String(await world.within(server.recv())), 'still here')
  const other = await world.join(listener)
  equal(other.server.readyState, 'open')
})

test('noise from strangers is counted by its kind and costs no session', async () => {
  const world = new World()
  const listener = await world.listen()
  const noise = world.endpoint('noise')
  const to = { address: 'server', port: 4000 }
  const datagrams: Uint8Array[] = [
    new Uint8Array(0),
    new Uint8Array(3),
    new Uint8Array(20),
    new Uint8Array(23),
    new Uint8Array(24),
    new Uint8Array(1_400).fill(255),
    Buffer.from('GET / HTTP/1.1\r\nHost: example.org\r\n\r\n'),
  ]
  for (const datagram of datagrams) noise.transport.send(datagram, to)
  await world.run(100)
  const { drops, accepted, datagramsIn } = listener.stats()
  equal(datagramsIn, datagrams.length)
  equal(drops.foreign, datagrams.length)
  equal(accepted, 0)
  equal(noise.received.length, 0, 'and is not answered')
})

test('bind takes an address, and says what is wrong with one', async () => {
  const world = new World()
  const transport = world.network.transport('server', { port: 4000 })
  const listener = await KcpListener.bind(':4000', { transport, clock: world.clock })
  equal(listener.listening, true)
  for (const address of ['nowhere', 'host:99999', '[::1]', 'a:b:c'] as const) {
    await rejects(KcpListener.bind(address), { code: 'ERR_KCP_CONFIG' })
  }
})

test('options that are none are refused by name', async () => {
  for (const [options, field] of [
    [{ backlog: 0 }, 'backlog'],
    [{ maxConnections: 0 }, 'maxConnections'],
    [{ maxPending: -1 }, 'maxPending'],
    [{ maxPendingPerHost: 1.5 }, 'maxPendingPerHost'],
    [{ maxMemory: Number.NaN }, 'maxMemory'],
    [{ tombstoneTtl: -1 }, 'tombstoneTtl'],
    [{ waitForPeer: true }, 'waitForPeer'],
    [{ idleTimeout: '30s' }, 'idleTimeout'],
    [{ kcp: { sndWnd: 0 } }, 'sndWnd'],
  ] as const) {
    const check = (error: unknown): boolean => {
      ok(KcpError.is(error, 'ERR_KCP_CONFIG'))
      equal(error.detail['field'], field)
      return true
    }
    await rejects(async () => createServer(options as never), check)
    await rejects(listen({ port: 0, host: '127.0.0.1', ...options } as never), check)
  }
})

test('stats of a listener that never listened are zeros', () => {
  const { drops, crypto, fec, security, ...numbers } = createServer().stats()
  ok(
    [numbers, drops, crypto, fec, security]
      .flatMap((each) => Object.values(each))
      .every((value) => value === 0),
  )
  deepEqual(Object.keys(drops), Object.keys(new DropCounters()))
})

test('a stream that is destroyed as soon as it is there leaves nothing behind', async () => {
  const world = new World()
  const listener = await world.listen({}, (stream) => stream.destroy())
  const scheduler = schedulerOf(world.clock)
  const stranger = world.endpoint('stranger')
  const to = { address: 'server', port: 4000 }
  for (let conv = 1; conv <= 100; conv++) {
    stranger.transport.send(parseTrace('push sn=0 frg=1 "the first half"', { conv }), to)
  }
  await world.run(100)
  const { accepted, sessions, memoryUsed, drops } = listener.stats()
  deepEqual([accepted, sessions, memoryUsed, drops.refused], [100, 0, 0, 100])
  equal(scheduler.size, 0)
})
