import { deepEqual, equal, notEqual, ok, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpConfig, KcpError } from '../../src/core/index.ts'
import { connect, createServer, KcpListener, KcpStream, listen } from '../../src/node/index.ts'
import { KcpSessionConfig } from '../../src/session/index.ts'
import { nextEvent, World } from '../support/pair.ts'

/** The session's first exchange over one way to make it. */
async function greet(world: World, listener: KcpListener, client: KcpStream): Promise<KcpStream> {
  await client.send('hello')
  const server = await world.within(listener.accept())
  ok(server)
  equal(server.conv, client.conv)
  equal(String(await world.within(server.recv())), 'hello')
  await server.send('welcome')
  equal(String(await world.within(client.recv())), 'welcome')
  return server
}

test('connect({ host, port }) makes a stream that a listener accepts', async () => {
  const world = new World()
  const listener = await listen({
    transport: world.network.transport('server', { port: 4000 }),
    clock: world.clock,
  })
  const client = await connect({
    host: 'server',
    port: 4000,
    transport: world.network.transport('client', { port: 77 }),
    clock: world.clock,
  })
  const server = await greet(world, listener, client)
  deepEqual(
    [client.remoteAddress, client.remotePort, client.localAddress, client.localPort],
    ['server', 4000, 'client', 77],
  )
  deepEqual(
    [server.remoteAddress, server.remotePort, server.localAddress, server.localPort],
    ['client', 77, 'server', 4000],
  )
  equal(server.remoteFamily, 'IPv4')
  deepEqual(client.address(), { address: 'client', port: 77, family: 'IPv4' })
  deepEqual(listener.address(), { address: 'server', port: 4000, family: 'IPv4' })
  deepEqual(listener.localAddress, listener.address())
  equal(client.readyState, 'open')
  equal(client.mode, 'message')
})

test('connect(port, host, options) is the same in another order', async () => {
  const world = new World()
  const listener = await world.listen()
  const client = await connect(4000, 'server', {
    transport: world.network.transport('client'),
    clock: world.clock,
    preset: 'fast',
  })
  await greet(world, listener, client)
  equal(client.config.interval, 10)
})

test('KcpStream.connect takes host:port, an object, and a whole configuration', async () => {
  const world = new World()
  const listener = await KcpListener.bind('server:4000', {
    transport: world.network.transport('server', { port: 4000 }),
    clock: world.clock,
    ...KcpSessionConfig.fast(),
  })
  equal(listener.config.kcp.interval, 10)
  const common = (): {
    readonly transport: ReturnType<World['network']['transport']>
    readonly clock: World['clock']
  } => ({
    transport: world.network.transport('client'),
    clock: world.clock,
  })
  const first = await KcpStream.connect('server:4000', { ...KcpSessionConfig.fast(), ...common() })
  await greet(world, listener, first)
  equal(first.config.interval, 10)
  const second = await KcpStream.connect(
    { host: 'server', port: 4000 },
    { kcp: KcpConfig.turbo(), ...common() },
  )
  await greet(world, listener, second)
  equal(second.config.sndWnd, 1024)
  notEqual(first.conv, second.conv)
})

test('KcpStream.connectWithConv uses the conv that both sides agreed on', async () => {
  const world = new World()
  const listener = await world.listen()
  for (const conv of [1, 4_294_967_295]) {
    const client = await KcpStream.connectWithConv('server:4000', conv, {
      transport: world.network.transport('client'),
      clock: world.clock,
    })
    equal(client.conv, conv)
    equal((await greet(world, listener, client)).conv, conv)
  }
})

test('KcpStream.connectWithTransport goes over anything that moves datagrams', async () => {
  const world = new World()
  const listener = await world.listen()
  const transport = world.network.transport('client')
  const client = await KcpStream.connectWithTransport('server:4000', { clock: world.clock }, transport, 7)
  equal(client.conv, 7)
  const server = await greet(world, listener, client)
  await world.within(Promise.all([client.close(), server.close()]))
  equal(transport.closed, false, 'a transport of yours is not closed with the stream')
  const owned = world.network.transport('client')
  const other = await KcpStream.connectWithTransport(
    'server:4000',
    { clock: world.clock, ownsTransport: true },
    owned,
  )
  other.destroy()
  await world.settle()
  equal(owned.closed, true)
})

test('a conv is a u32 above 0, and random when not given', async () => {
  const world = new World()
  for (const conv of [0, -1, 1.5, 2 ** 32, Number.NaN]) {
    await rejects(world.connect({ conv }), (error) => {
      ok(KcpError.is(error, 'ERR_KCP_CONFIG'))
      equal(error.detail['field'], 'conv')
      return true
    })
  }
  const convs = new Set<number>()
  for (let i = 0; i < 50; i++) convs.add((await world.connect()).conv)
  equal(convs.size, 50)
})

test('options that are none are refused by name, before anything is opened', async () => {
  const world = new World()
  for (const [options, field] of [
    [{ idleTimout: 5 }, 'idleTimout'],
    [{ idleTimeout: -1 }, 'idleTimeout'],
    [{ port: 0 }, 'port'],
    [{ port: 65_536 }, 'port'],
    [{ kcp: { mtu: 49 } }, 'mtu'],
    [{ waitForPeer: 0 }, 'waitForPeer'],
    [{ preset: 'faster' }, 'preset'],
  ] as const) {
    await rejects(world.connect(options as never), (error) => {
      ok(KcpError.is(error, 'ERR_KCP_CONFIG'), String(error))
      equal(error.detail['field'], field)
      return true
    })
  }
  await rejects(connect(undefined as never), { code: 'ERR_KCP_CONFIG' })
  for (const address of ['nowhere', 'a:b:1', '[::1', 7, null] as never[]) {
    await rejects(KcpStream.connect(address), { code: 'ERR_KCP_CONFIG' })
  }
})

test('createServer().listen() and its connection listener are the net-like way', async () => {
  const world = new World()
  const seen: KcpStream[] = []
  const server = createServer({ clock: world.clock }, (stream) => void seen.push(stream))
  equal(server.listening, false)
  equal(server.address(), null)
  const listening = nextEvent(server, 'listening')
  equal(await server.listen({ transport: world.network.transport('server', { port: 4000 }) }), server)
  await listening
  equal(server.listening, true)
  const client = await world.connect()
  await client.send('a')
  await world.run(20)
  equal(seen.length, 1)
  equal(String(await world.within(seen[0]!.recv())), 'a')
  await rejects(server.listen({ transport: world.network.transport('elsewhere') }), {
    code: 'ERR_KCP_CLOSED',
  })
  equal(createServer().listening, false)
  equal(createServer(() => undefined).listenerCount('connection'), 1)
})

test('waitForPeer resolves once the listener has answered, and opens no session there', async () => {
  const world = new World({ link: { delayMs: 40 } })
  const listener = await world.listen()
  const client = await world.within(world.connect({ waitForPeer: true }))
  equal(world.clock.now(), 80, 'one round trip')
  deepEqual([listener.stats().sessions, listener.stats().accepted], [0, 0])
  await greet(world, listener, client)
})

test('waitForPeer asks again when the question or the answer is lost', async () => {
  const world = new World({ link: { delayMs: 10 } })
  await world.listen()
  let lost = 0
  world.network.filter = () => ++lost > 3
  await world.within(world.connect({ waitForPeer: 5_000 }))
  ok(world.clock.now() < 2_500, `took ${world.clock.now()} ms`)
})

test('waitForPeer rejects with a timeout error when nobody answers, and lets go of everything', async () => {
  const world = new World()
  const transport = world.network.transport('client')
  await rejects(world.within(world.connect({ waitForPeer: 1_200, transport })), (error) => {
    ok(KcpError.is(error, 'ERR_KCP_TIMEOUT'))
    equal(error.detail['timeout'], 1_200)
    return true
  })
  equal(world.clock.now(), 1_200)
  equal(transport.closed, true)
  await world.settle()
  equal(world.clock.pending, 0, 'no timer is left')
})

test('waitForPeer rejects at once when the host says that nobody listens', async () => {
  const world = new World()
  const transport = world.network.transport('client')
  const connecting = world.connect({ waitForPeer: true, transport })
  await world.settle()
  transport.fail(Object.assign(new Error('read ECONNREFUSED'), { code: 'ECONNREFUSED' }))
  await rejects(world.within(connecting), { code: 'ERR_KCP_CONNECT' })
  ok(world.clock.now() < 50)
  equal(transport.closed, true)
})

test('a refusal ends a stream that did not wait for its peer too, with a reason', async () => {
  const world = new World()
  const transport = world.network.transport('client')
  const client = await world.connect({ transport })
  const closed = nextEvent(client, 'close')
  const failed = nextEvent(client, 'error')
  const reading = client.recv()
  await client.send('anybody?')
  transport.fail(Object.assign(new Error('read ECONNREFUSED'), { code: 'ECONNREFUSED' }))
  await rejects(world.within(reading), { code: 'ERR_KCP_CONNECT' })
  ok(KcpError.is(await world.within(failed), 'ERR_KCP_CONNECT'))
  equal(await world.within(closed), 'reset')
})

test('other errors of the path are loss', async () => {
  const world = new World()
  const transport = world.network.transport('client')
  const { client, server } = await world.pair({ client: { transport } })
  transport.fail(Object.assign(new Error('send EMSGSIZE'), { code: 'EMSGSIZE' }))
  await world.settle()
  await client.send('still here')
  equal(String(await world.within(server.recv())), 'still here')
})

test('a transport that closes under a stream ends it', async () => {
  const world = new World()
  const transport = world.network.transport('client')
  const { client } = await world.pair({ client: { transport } })
  const closed = nextEvent(client, 'close')
  const reading = client.recv()
  transport.close()
  await rejects(world.within(reading), { code: 'ERR_KCP_IO' })
  equal(await world.within(closed), 'reset')
})

test('an aborted signal stops a connect before it opens anything', async () => {
  const world = new World()
  const reason = new Error('changed my mind')
  await rejects(world.connect({ signal: AbortSignal.abort(reason) }), reason)
})

test('an abort while waiting for the peer rejects with its reason and lets go of the transport', async () => {
  const world = new World()
  const transport = world.network.transport('client')
  const abort = new AbortController()
  const reason = new Error('changed my mind')
  const connecting = world.connect({ waitForPeer: true, signal: abort.signal, transport })
  world.clock.setTimeout(() => abort.abort(reason), 300)
  await rejects(world.within(connecting), reason)
  equal(world.clock.now(), 300)
  equal(transport.closed, true)
  equal(world.clock.pending, 0)
})

test('the signal of a connect is not the life of its stream', async () => {
  const world = new World()
  const abort = new AbortController()
  const { client, server } = await world.pair({ client: { signal: abort.signal } })
  abort.abort()
  await client.send('on')
  equal(String(await world.within(server.recv())), 'on')
})

test('datagrams of strangers do not reach a client', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  const stranger = world.network.transport('stranger')
  const before = client.stats().datagramsIn
  for (let i = 0; i < 10; i++)
    stranger.send(new Uint8Array(40), { address: 'client', port: client.localPort! })
  await world.run(100)
  equal(client.stats().datagramsIn, before)
  await server.send('x')
  equal(String(await world.within(client.recv())), 'x')
})

test('the path caps the mtu', async () => {
  const world = new World()
  const transport = world.network.transport('client', { maxDatagramSize: 500 })
  const { client, server } = await world.pair({ client: { transport } })
  equal(client.config.mtu, 500)
  await client.send(new Uint8Array(5_000))
  equal((await world.within(server.recv()))?.length, 5_000)
  equal(world.network.counters.oversized, 0)
})
