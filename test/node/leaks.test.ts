/**
 * What is over is let go: no table, timer or listener keeps a stream or a session, however it ended.
 */
import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { connect, type KcpListener, type KcpStream, listen } from '../../src/index.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** How a stream ends, told to its two ends. */
const ENDS: Readonly<Record<string, (client: KcpStream, server: KcpStream) => unknown>> = {
  'both close': (client, server) => Promise.all([client.close(), server.close()]),
  'the client closes': (client) => client.close(),
  'the server is destroyed': (_, server) => server.destroy(),
  'the client fails': (client) => client.destroy(new Error('enough')),
  'with unread data': (client, server) => {
    server.write('unread')
    client.destroy()
  },
}

/** Opens and ends streams in a scope of their own, so that only the library can hold them. */
async function live(
  listener: KcpListener,
  end: (client: KcpStream, server: KcpStream) => unknown,
  watch: (stream: KcpStream) => void,
): Promise<void> {
  const client = await connect({ host: '127.0.0.1', port: listener.address()!.port, preset: 'fast' })
  await client.send('hello')
  const server = (await listener.accept())!
  const closed = [client, server].map((stream) => {
    watch(stream)
    stream.on('error', () => undefined)
    return new Promise((resolve) => stream.once('close', resolve))
  })
  await server.recv()
  await end(client, server)
  for (const stream of [client, server]) stream.resume()
  await Promise.all(closed)
}

for (const [what, end] of Object.entries(ENDS)) {
  test(`${what}: the collector gets both streams while their listener lives on`, async () => {
    const listener = await listen({ host: '127.0.0.1', preset: 'fast' })
    const COUNT = 20
    let watched = 0
    let collected = 0
    const registry = new FinalizationRegistry<undefined>(() => collected++)
    for (let i = 0; i < COUNT; i++) {
      await live(listener, end, (stream) => {
        watched++
        registry.register(stream, undefined, registry)
      })
    }
    equal(watched, 2 * COUNT)
    // Callbacks of the registry run in turns of their own.
    for (let turn = 0; turn < 200 && collected < watched; turn++) {
      collect()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    equal(collected, watched)
    equal(registry.unregister(registry), false, 'the registry has lived as long, with nothing left in it')
    const { sessions, pending, backlog, memoryUsed } = listener.stats()
    deepEqual(
      { sessions, pending, backlog, memoryUsed },
      { sessions: 0, pending: 0, backlog: 0, memoryUsed: 0 },
    )
    await listener.close()
  })
}
