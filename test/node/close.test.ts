import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpError } from '../../src/core/errors.ts'
import { writeHeader } from '../../src/core/segment.ts'
import type { KcpStream } from '../../src/node/index.ts'
import { nextEvent, type Pair, pattern, SERVER, World } from '../support/pair.ts'

/** Every 'close' of a stream, with its reason. */
function closes(stream: KcpStream): string[] {
  const reasons: string[] = []
  stream.on('close', (reason) => reasons.push(reason))
  return reasons
}

interface Story extends Pair {
  readonly world: World
  readonly atClient: string[]
  readonly atServer: string[]
}

async function story(...[options]: Parameters<World['pair']>): Promise<Story> {
  const world = new World()
  const pair = await world.pair(options)
  return { world, ...pair, atClient: closes(pair.client), atServer: closes(pair.server) }
}

/** Nothing is left of any session. */
async function expectNothingLeft({ world, listener }: Story): Promise<void> {
  await world.run(10)
  const { sessions, pending, memoryUsed } = listener.stats()
  deepEqual(
    { sessions, pending, memoryUsed, streams: listener.connections.size },
    {
      sessions: 0,
      pending: 0,
      memoryUsed: 0,
      streams: 0,
    },
  )
  await world.run(200)
  equal(world.clock.pending, 0, 'timers are left')
}

test('close: delivers everything, then both ends close once, with local and peer', async () => {
  const it = await story()
  for (let i = 0; i < 100; i++) it.client.write(pattern(500, i))
  const closed = it.client.close()
  for (let i = 0; i < 100; i++) ok((await it.world.within(it.server.recv()))?.equals(pattern(500, i)))
  equal(await it.world.within(it.server.recv()), null)
  await it.world.within(closed)
  await it.world.run(5_000)
  deepEqual([it.atClient, it.atServer], [['local'], ['peer']])
  equal(it.client.closeReason, 'local')
  equal(it.client.readyState, 'closed')
  await expectNothingLeft(it)
})

test('close twice, and again after the end: one close event, every promise resolves', async () => {
  const it = await story()
  const first = it.client.close()
  const second = it.client.close()
  it.server.resume()
  await it.world.within(Promise.all([first, second]))
  await it.client.close()
  it.client.destroy()
  await it.client.close()
  it.client.end()
  await it.world.run(5_000)
  deepEqual([it.atClient, it.atServer], [['local'], ['peer']])
  await expectNothingLeft(it)
})

test('close at both ends at once', async () => {
  const it = await story()
  it.client.write('a')
  it.server.write('b')
  await it.world.within(Promise.all([it.client.close(), it.server.close()]))
  await it.world.run(5_000)
  equal(it.atClient.length, 1)
  equal(it.atServer.length, 1)
  await expectNothingLeft(it)
})

test('two ends that close at once, each with more than a window for the other, do not wait for one another', async () => {
  const it = await story({ preset: 'fast', sendQueueLimit: 2_000 })
  for (let i = 0; i < 500; i++) {
    it.client.write(pattern(1_000, i))
    it.server.write(pattern(1_000, i))
  }
  const start = it.world.clock.now()
  await it.world.within(Promise.all([it.client.close(), it.server.close()]))
  ok(it.world.clock.now() - start < 4_000, `took ${it.world.clock.now() - start} ms`)
  ok([...it.atClient, ...it.atServer].every((reason) => reason === 'local' || reason === 'peer'))
  await expectNothingLeft(it)
})

/** One way to bring a stream into each of its states. */
const states: Record<string, (it: Story) => Promise<void> | void> = {
  'fresh, nothing ever sent': () => undefined,
  idle: (it) => it.world.run(1_000),
  'with writes queued': (it) => {
    for (let i = 0; i < 50; i++) it.client.write(pattern(3_000))
  },
  'with unread data': async (it) => {
    for (let i = 0; i < 50; i++) it.server.write(pattern(100))
    await it.world.run(500)
  },
  'with a reader waiting': (it) => {
    it.client.recv().catch(() => undefined)
  },
  'with flushed() waiting': (it) => {
    it.client.write('x')
    it.client.flushed().catch(() => undefined)
  },
  'half closed by us': async (it) => {
    it.client.end('x')
    await it.world.run(1_000)
  },
  'half closed by the peer': async (it) => {
    it.server.end('x')
    await it.world.run(1_000)
  },
  'closed by the peer': async (it) => {
    void it.server.close()
    await it.world.run(1_000)
  },
  'ending, in flight': (it) => {
    it.client.end(pattern(20_000))
  },
  closing: (it) => {
    it.client.write('x')
    void it.client.close()
  },
  destroyed: (it) => {
    it.client.destroy()
  },
  'reset by the peer': async (it) => {
    it.server.destroy()
    await it.world.run(1_000)
  },
}

for (const [state, reach] of Object.entries(states)) {
  for (const act of ['close', 'destroy', 'end and destroy', 'destroy and close', 'dispose'] as const) {
    test(`${act} while ${state}: one close event at each end, nothing left`, async () => {
      const it = await story({ allowHalfOpen: true, lingerTimeout: 1_000 })
      it.server.on('data', () => undefined)
      it.server.on('end', () => it.server.end())
      await reach(it)
      const { client } = it
      if (act === 'close') await it.world.within(client.close())
      else if (act === 'destroy') client.destroy()
      else if (act === 'end and destroy') {
        client.end()
        client.destroy()
      } else if (act === 'destroy and close') {
        client.destroy()
        await it.world.within(client.close())
      } else await it.world.within(client[Symbol.asyncDispose]())
      await it.world.run(10_000)
      equal(it.atClient.length, 1, `client closed ${it.atClient.length} times`)
      equal(it.atServer.length, 1, `server closed ${it.atServer.length} times`)
      equal(client.destroyed, true)
      equal(client.closed, true)
      await expectNothingLeft(it)
    })
  }
}

test('close of a stream that never reached anybody resolves within the linger time', async () => {
  const world = new World()
  const client = await world.connect({ lingerTimeout: 800 })
  const reasons = closes(client)
  const failed = nextEvent(client, 'error')
  await client.send('into the void')
  await world.within(client.close())
  ok(world.clock.now() <= 1_000, `took ${world.clock.now()} ms`)
  deepEqual(reasons, ['timeout'])
  ok(KcpError.is(await failed, 'ERR_KCP_TIMEOUT'))
  await world.run(20)
  equal(world.clock.pending, 0)
})

test('close of a stream that never wrote is quick, and tells nobody', async () => {
  const world = new World()
  await world.listen()
  const lines = world.record()
  const client = await world.connect()
  const reasons = closes(client)
  await world.within(client.close())
  equal(world.clock.now(), 0)
  deepEqual(reasons, ['local'])
  equal(world.clock.pending, 0)
  deepEqual(lines, [])
})

test('write after end and after close: typed errors, and no second close event', async () => {
  const it = await story()
  it.server.resume()
  it.client.end()
  await rejects(it.client.send('x'), { code: 'ERR_KCP_CLOSED' })
  throws(() => it.client.trySend('x'), { code: 'ERR_KCP_CLOSED' })
  await it.world.within(it.client.close())
  await rejects(it.client.send('x'), { code: 'ERR_KCP_CLOSED' })
  throws(() => it.client.trySend('x'), { code: 'ERR_KCP_CLOSED' })
  const code = await new Promise((resolve) =>
    it.client.write('x', (error) => resolve((error as NodeJS.ErrnoException).code)),
  )
  ok(String(code).startsWith('ERR_'), String(code))
  it.client.flush()
  await it.world.run(1_000)
  deepEqual(it.atClient, ['local'])
})

test('reads after the close: what was left, then null for ever', async () => {
  const it = await story()
  it.client.write('left')
  await it.world.within(it.client.close())
  await it.world.run(1_000)
  equal(String(await it.server.recv()), 'left')
  for (let i = 0; i < 3; i++) equal(await it.world.within(it.server.recv()), null)
  equal(await it.world.within(it.server.recvInto(new Uint8Array(4))), null)
})

test('close inside a data callback', async () => {
  const it = await story()
  const got: string[] = []
  it.server.on('data', (chunk) => {
    got.push(String(chunk))
    void it.server.close()
  })
  for (const word of ['a', 'b', 'c']) it.client.write(word)
  it.client.resume()
  await it.world.run(10_000)
  equal(got[0], 'a')
  deepEqual([it.atServer, it.atClient], [['local'], ['peer']])
  await expectNothingLeft(it)
})

test('destroy inside a data callback: no more data', async () => {
  const it = await story({ preset: 'fast' })
  const got: string[] = []
  it.server.on('data', (chunk) => {
    got.push(String(chunk))
    it.server.destroy()
  })
  for (const word of ['a', 'b', 'c']) it.client.write(word)
  await it.world.run(10_000)
  deepEqual(got, ['a'])
  deepEqual([it.atServer, it.atClient], [['local'], ['peer']])
  await expectNothingLeft(it)
})

test('close and destroy inside the error callback, the end callback and the close callback', async () => {
  const it = await story()
  it.client.on('error', () => {
    void it.client.close()
    it.client.destroy()
  })
  it.client.on('close', () => {
    void it.client.close()
    it.client.destroy()
  })
  it.server.destroy(new Error('mine'))
  await it.world.run(5_000)
  deepEqual(it.atClient, ['reset'])
  const other = await story()
  other.server.resume()
  other.server.on('end', () => void other.server.close())
  other.client.end()
  await other.world.run(5_000)
  deepEqual([other.atClient.length, other.atServer.length], [1, 1])
})

test('close and destroy inside the connection callback', async () => {
  for (const act of ['close', 'destroy'] as const) {
    const world = new World()
    const reasons: string[] = []
    const listener = await world.listen({}, (stream) => {
      stream.on('close', (reason) => reasons.push(reason))
      if (act === 'close') void stream.close()
      else stream.destroy()
    })
    const client = await world.connect()
    const atClient = closes(client)
    client.resume()
    await client.send('hello')
    await world.run(20_000)
    deepEqual(reasons, ['local'], act)
    equal(atClient.length, 1, `${act}: ${atClient}`)
    equal(listener.stats().sessions, 0)
    equal(listener.connections.size, 0)
  }
})

test('a write callback that closes, and one that destroys', async () => {
  for (const act of ['close', 'destroy'] as const) {
    const it = await story()
    it.server.resume()
    it.client.write('x', () => {
      if (act === 'close') void it.client.close()
      else it.client.destroy()
    })
    await it.world.run(10_000)
    deepEqual(it.atClient, ['local'], act)
    equal(it.atServer.length, 1)
    await expectNothingLeft(it)
  }
})

test('reason timeout: nothing was heard for idleTimeout', async () => {
  const it = await story({ idleTimeout: 3_000 })
  const failed = nextEvent(it.client, 'error')
  const start = it.world.clock.now()
  it.world.network.set({ loss: 1 })
  const error = await it.world.within(failed)
  ok(KcpError.is(error, 'ERR_KCP_TIMEOUT'))
  equal(error.detail['timeout'], 3_000)
  const took = it.world.clock.now() - start
  ok(took >= 2_900 && took <= 3_000, `took ${took} ms`)
  await it.world.run(100)
  deepEqual([it.atClient, it.atServer], [['timeout'], ['timeout']])
  await expectNothingLeft(it)
})

test('reason dead-link: data was not acknowledged for stallTimeout, though the peer lives', async () => {
  const it = await story({ idleTimeout: 30_000, stallTimeout: 4_000 })
  // Only keep-alive passes: the path swallows whatever carries a payload.
  it.world.network.filter = (datagram) => datagram.length <= 24
  const failed = nextEvent(it.client, 'error')
  await it.client.send(pattern(100))
  const start = it.world.clock.now()
  const error = await it.world.within(failed)
  ok(KcpError.is(error, 'ERR_KCP_DEAD_LINK'))
  deepEqual(error.detail, { timeout: 4_000, outstanding: 100 })
  ok(Math.abs(it.world.clock.now() - start - 4_000) < 100)
  await it.world.run(1_000)
  deepEqual([it.atClient, it.atServer], [['dead-link'], ['reset']])
})

test('reason protocol-error: the peer sends fragments that cannot be a message', async () => {
  const it = await story()
  const failed = nextEvent(it.server, 'error')
  // What a broken peer at the client's address would send: two fragments that do not count down.
  const bad = new Uint8Array(25 * 2)
  const ts = it.client.kcp.proof.sentTs
  writeHeader(bad, 0, it.client.conv, 81, 5, 128, ts, 1, 0, 1)
  writeHeader(bad, 25, it.client.conv, 81, 2, 128, ts, 2, 0, 1)
  it.world.network.inject(bad, { address: 'client', port: it.client.localPort! }, SERVER)
  const error = await it.world.within(failed)
  ok(KcpError.is(error, 'ERR_KCP_PROTOCOL'))
  await it.world.run(1_000)
  deepEqual([it.atServer, it.atClient], [['protocol-error'], ['reset']])
})

test('reason reset: the peer was restarted and knows nothing of the conversation', async () => {
  const it = await story()
  await it.server.send('so that the client has something to acknowledge')
  await it.world.within(it.client.recv())
  await it.world.run(500)
  // The process dies without a word and starts again.
  const { network } = it.world
  network.filter = () => false
  it.server.destroy()
  await it.world.within(it.listener.close())
  network.filter = undefined
  const listener = await it.world.listen()
  const failed = nextEvent(it.client, 'error')
  const start = it.world.clock.now()
  await it.client.send('are you still there?')
  ok(KcpError.is(await it.world.within(failed), 'ERR_KCP_RESET'))
  ok(it.world.clock.now() - start < 500)
  await it.world.run(10)
  deepEqual(it.atClient, ['reset'])
  equal(listener.stats().accepted, 0, 'and no ghost was born')
})

test('a restarted peer is found out by the next question, when the client does not write', async () => {
  const it = await story({ idleTimeout: 6_000 })
  await it.server.send('so that the client has something to acknowledge')
  await it.world.within(it.client.recv())
  await it.world.run(500)
  it.world.network.filter = () => false
  it.server.destroy()
  await it.world.within(it.listener.close())
  it.world.network.filter = undefined
  await it.world.listen()
  await it.world.run(2_100)
  deepEqual(it.atClient, ['reset'])
})

test('a restarted peer that had never sent anything: the client is told, instead of writing into a ghost', async () => {
  const it = await story()
  it.server.resume()
  for (let i = 0; i < 10; i++) it.client.write('telemetry')
  await it.world.within(it.client.flushed())
  it.world.network.filter = () => false
  it.server.destroy()
  await it.world.within(it.listener.close())
  it.world.network.filter = undefined
  const read: unknown[] = []
  const ghosts: string[] = []
  const listener = await it.world.listen({}, (stream) => {
    stream.on('data', (message) => read.push(message))
    stream.on('close', (reason) => ghosts.push(reason))
  })
  const start = it.world.clock.now()
  const failed = nextEvent(it.client, 'error')
  // To the new listener this is a PUSH of the first window from a peer that has received nothing yet.
  it.client.write('telemetry')
  ok(KcpError.is(await it.world.within(failed), 'ERR_KCP_RESET'))
  ok(it.world.clock.now() - start <= 10_100)
  await it.world.run(100)
  deepEqual([read, ghosts, listener.stats().sessions], [[], ['reset'], 0])
})

test('a lost close notice is made good: the peer closes all the same', async () => {
  for (let lost = 1; lost <= 3; lost++) {
    const it = await story()
    let dropped = 0
    it.world.network.filter = (datagram) => datagram.length !== 20 || dropped++ >= lost
    it.server.resume()
    await it.world.within(it.client.close())
    await it.world.run(10_000)
    deepEqual([it.atClient.length, it.atServer], [1, ['peer']], `${lost} lost`)
    ok(dropped > lost)
  }
})

test('against a peer that ignores close notices a close is local, and quick', async () => {
  const it = await story({ server: { lifecycle: 'none', idleTimeout: 5_000 } })
  it.server.resume()
  const start = it.world.clock.now()
  await it.world.within(it.client.close())
  ok(it.world.clock.now() - start < 1_000)
  await it.world.run(10_000)
  deepEqual([it.atClient, it.atServer], [['local'], ['timeout']])
})

test("lifecycle 'none' sends nothing that upstream's wire does not have", async () => {
  const it = await story({ lifecycle: 'none', idleTimeout: 4_000 })
  it.server.resume()
  const short: number[] = []
  it.world.network.tap = (_, datagram) => {
    if (datagram.length < 24) short.push(datagram.length)
  }
  it.client.write('x')
  await it.world.within(it.client.close())
  it.server.destroy()
  await it.world.run(10_000)
  deepEqual(short, [])
  deepEqual([it.atClient, it.atServer], [['local'], ['local']])
})

test('a callback that throws while its stream ends does not keep it from closing', async () => {
  const caught: unknown[] = []
  const it = await story()
  const onError = (error: unknown): void => void caught.push(error)
  process.on('uncaughtException', onError)
  try {
    it.server.on('data', () => {
      throw new Error('mine')
    })
    it.client.end('x')
    await it.world.run(10_000).catch(onError)
    await it.world.run(10_000).catch(onError)
    it.server.end()
    await it.world.run(10_000)
    deepEqual(caught, [])
    deepEqual([it.atClient.length, it.atServer.length], [1, 1])
  } finally {
    process.off('uncaughtException', onError)
  }
})
