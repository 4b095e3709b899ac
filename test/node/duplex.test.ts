import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { Duplex, PassThrough, Readable, Transform, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { test } from 'node:test'
import type { KcpStream } from '../../src/node/index.ts'
import { nextEvent, type Pair, pattern, World } from '../support/pair.ts'

const rough = { delayMs: 10, jitterMs: 10, loss: 0.05, reorder: 0.05 }
const fast = { preset: 'fast', kcp: { streamMode: true } } as const

/** `data` in chunks of odd sizes. */
function source(data: Buffer): Readable {
  const chunks: Buffer[] = []
  for (let at = 0, size = 1; at < data.length; at += size, size = (size * 5 + 3) % 20_011) {
    chunks.push(data.subarray(at, at + size))
  }
  return Readable.from(chunks, { objectMode: false })
}

test('pipeline both ways at once over a bad path: every byte, and then both ends close', async () => {
  const world = new World({ link: rough, seed: 11 })
  const { client, server } = await world.pair({ ...fast, allowHalfOpen: true })
  const [up, down] = [pattern(300_000), pattern(250_000, 99)]
  const closed = Promise.all([nextEvent(client, 'close'), nextEvent(server, 'close')])
  const [received, echoed] = [new PassThrough(), new PassThrough()]
  const [atServer, atClient] = [buffer(received), buffer(echoed)]
  await world.within(
    Promise.all([
      pipeline(source(up), client),
      pipeline(server, received),
      pipeline(source(down), server),
      pipeline(client, echoed),
    ]),
  )
  ok((await atServer).equals(up))
  ok((await atClient).equals(down))
  deepEqual((await world.within(closed)).length, 2)
})

test('a stream between two transforms, as in a tunnel', async () => {
  const world = new World({ link: rough, seed: 12 })
  const { client, server } = await world.pair({ ...fast, allowHalfOpen: true })
  const flip = (): Transform =>
    new Transform({
      transform: (chunk: Buffer, _, done) =>
        done(
          null,
          chunk.map((byte) => byte ^ 255),
        ),
    })
  const data = pattern(100_000)
  const serving = pipeline(server, flip(), server)
  const result = new PassThrough()
  const got = buffer(result)
  await world.within(Promise.all([pipeline(source(data), flip(), client, result), serving]))
  ok((await got).equals(data))
})

test('for await over messages ends with the peer s end', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  for (const word of ['a', 'b', 'c']) client.write(word)
  client.end()
  const read: string[] = []
  const reading = (async () => {
    for await (const message of server) read.push(String(message))
  })()
  await world.within(reading)
  deepEqual(read, ['a', 'b', 'c'])
})

test('for await left early ends the stream, as with any Readable', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  const closed = nextEvent(client, 'close')
  client.write('a')
  client.write('b')
  const reading = (async () => {
    for await (const message of server) {
      if (String(message) === 'a') break
    }
  })()
  await world.within(reading)
  equal(server.destroyed, true)
  equal(await world.within(closed), 'reset')
})

test('for await throws what ended the stream', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  const reading = (async () => {
    for await (const _ of server);
  })()
  client.destroy(new Error('mine'))
  await rejects(world.within(reading), { code: 'ERR_KCP_RESET' })
})

test('Readable.toWeb and Writable.toWeb carry the bytes, and their ends', async () => {
  const world = new World()
  const { client, server } = await world.pair(fast)
  const data = pattern(50_000)
  const writer = Writable.toWeb(client).getWriter()
  const reader = Readable.toWeb(server).getReader()
  const sending = writer.write(data).then(() => writer.close())
  const chunks: Uint8Array[] = []
  for (;;) {
    const { value, done } = await world.within(
      reader.read() as Promise<{ value?: Uint8Array; done: boolean }>,
    )
    if (done) break
    chunks.push(value!)
  }
  await world.within(sending)
  ok(Buffer.concat(chunks).equals(data))
})

test('Duplex.toWeb is a pair of web streams over one session', async () => {
  const world = new World()
  const { client, server } = await world.pair(fast)
  server.pipe(server)
  const { readable, writable } = Duplex.toWeb(client)
  const writer = writable.getWriter()
  const reader = readable.getReader()
  await world.within(writer.write(Buffer.from('there and back')))
  const { value } = await world.within(reader.read())
  equal(Buffer.from(value).toString(), 'there and back')
  await world.within(writer.close())
  const last = await world.within(reader.read())
  equal(last.done, true)
})

test('an unread receiver closes its window, and the writer waits; reading opens it again', async () => {
  const world = new World({ link: { delayMs: 5 } })
  const { client, server } = await world.pair({ preset: 'fast', sendQueueLimit: 16 })
  let sent = 0
  const sending = (async () => {
    for (; sent < 2_000; sent++) await client.send(pattern(200, sent))
  })()
  await world.run(10_000)
  const stuck = sent
  ok(stuck >= 128 && stuck < 400, `${stuck} of 2,000 messages went out to a peer that does not read`)
  equal(client.stats().rmtWnd, 0)
  await world.run(30_000)
  equal(sent, stuck)
  for (let i = 0; i < 2_000; i++) {
    const message = await world.within(server.recv())
    ok(message?.equals(pattern(200, i)), `message ${i}`)
  }
  await world.within(sending)
})

test('a window that reopens is used at once, though the datagram that says so is lost', async () => {
  const world = new World({ link: { delayMs: 20 } })
  const { client, server } = await world.pair({ preset: 'fast', sendQueueLimit: 400 })
  for (let i = 0; i < 300; i++) client.write(pattern(200, i))
  await world.run(2_000)
  equal(client.stats().rmtWnd, 0)
  let dropped = 0
  world.network.filter = (_, from) => from.address !== 'server' || dropped++ > 0
  const start = world.clock.now()
  for (let i = 0; i < 300; i++)
    ok((await world.within(server.recv()))?.equals(pattern(200, i)), `message ${i}`)
  ok(dropped > 1)
  ok(world.clock.now() - start < 1_000, `took ${world.clock.now() - start} ms`)
})

test('write returns false when the buffer is full, and drain comes when the peer has read', async () => {
  const world = new World()
  const { client, server } = await world.pair({
    preset: 'fast',
    sendQueueLimit: 8,
    writableHighWaterMark: 4_000,
  })
  let written = 0
  while (client.write(pattern(500, written))) written++
  ok(written >= 8 && written < 40, `${written} writes`)
  let drained = false
  client.once('drain', () => (drained = true))
  equal(drained, false)
  await world.until(() => drained)
  for (let i = 0; i <= written; i++) ok((await world.within(server.recv()))?.equals(pattern(500, i)))
})

test('a paused reader takes no more than its share; resumed, it gets the rest in order', async () => {
  const world = new World()
  const { client, server } = await world.pair({ preset: 'fast', recvBufferSize: 4_096 * 4 })
  const read: number[] = []
  server.on('data', (chunk: Buffer) => {
    read.push(Number(chunk))
    if (read.length % 10 === 0) {
      server.pause()
      world.clock.setTimeout(() => server.resume(), 50)
    }
  })
  const sending = (async () => {
    for (let i = 0; i < 500; i++) await client.send(String(i))
    client.end()
  })()
  await world.within(nextEvent(server, 'end'), 120_000)
  await sending
  deepEqual(
    read,
    Array.from({ length: 500 }, (_, i) => i),
  )
})

test('a slow sink at the end of a pipe slows the sender down', async () => {
  const world = new World({ link: { delayMs: 5 } })
  const { client, server } = await world.pair({ ...fast, sendQueueLimit: 32 })
  let sunk = 0
  const slow = new Writable({
    highWaterMark: 1_000,
    write: (chunk: Buffer, _, done) => {
      sunk += chunk.length
      // 70 kB/s, however the bytes are cut.
      world.clock.setTimeout(done, chunk.length / 70)
    },
  })
  const piping = pipeline(server, slow)
  const data = pattern(2_000_000)
  const sending = pipeline(source(data), client)
  await world.run(1_000)
  ok(client.bytesWritten < 700_000, `${client.bytesWritten} bytes left though ${sunk} were consumed`)
  await world.within(Promise.all([piping, sending]), 600_000)
  equal(sunk, data.length)
})

test('after end() a reader may pause for longer than lingerTimeout: it is slow, not gone', async () => {
  const world = new World()
  const { client, server } = await world.pair({ preset: 'fast', sendQueueLimit: 1_000, lingerTimeout: 2_000 })
  const closed = nextEvent(client, 'close')
  for (let i = 0; i < 300; i++) client.write(pattern(1_000, i))
  client.end()
  await world.run(30_000)
  equal(client.closeReason, undefined)
  let read = 0
  server.on('data', (message: Buffer) => {
    ok(message.equals(pattern(1_000, read)), `message ${read}`)
    read++
  })
  await world.within(nextEvent(server, 'end'))
  equal(read, 300)
  equal(await world.within(closed), 'local')
})

test('a peer that is gone at the end() is given up after lingerTimeout, one that never reads after stallTimeout', async () => {
  for (const gone of [true, false]) {
    const world = new World()
    const { client } = await world.pair({ preset: 'fast', sendQueueLimit: 1_000, lingerTimeout: 2_000 })
    for (let i = 0; i < 300; i++) client.write(pattern(1_000, i))
    if (gone) world.network.set({ loss: 1 })
    client.end()
    const start = world.clock.now()
    equal(await world.within(nextEvent(client, 'close'), 70_000), gone ? 'timeout' : 'dead-link')
    const took = world.clock.now() - start
    ok(gone ? took <= 2_100 : took >= 55_000 && took <= 61_000, `took ${took} ms`)
  }
})

async function halfOpen(): Promise<{ readonly world: World } & Pair> {
  const world = new World()
  return { world, ...(await world.pair({ ...fast, allowHalfOpen: true })) }
}

test('end() closes one half: the other goes on in both roles', async () => {
  for (const ender of ['client', 'server'] as const) {
    const { world, ...pair } = await halfOpen()
    const first: KcpStream = pair[ender]
    const other = ender === 'client' ? pair.server : pair.client
    first.end('last words')
    equal(String(await world.within(other.recv())), 'last words')
    equal(await world.within(other.recv()), null)
    equal(other.readyState, 'writeOnly')
    equal(first.readyState, 'readOnly')
    await world.run(10_000)
    await other.send('I go on')
    equal(String(await world.within(first.recv())), 'I go on')
    other.end('done')
    equal(String(await world.within(first.recv())), 'done')
    const closed = Promise.all([nextEvent(first, 'close'), nextEvent(other, 'close')])
    equal(await world.within(first.recv()), null)
    deepEqual(await world.within(closed), ['local', 'peer'])
  }
})

test('without allowHalfOpen the other half follows the peer s end', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  const closed = Promise.all([nextEvent(client, 'close'), nextEvent(server, 'close')])
  server.resume()
  client.end('bye')
  deepEqual(await world.within(closed), ['local', 'peer'])
  ok(world.clock.now() < 1_000)
})

test('finish means that the peer acknowledged everything', async () => {
  const world = new World({ link: { delayMs: 100 } })
  const { client } = await world.pair({ preset: 'fast' })
  const start = world.clock.now()
  client.end(pattern(20_000))
  await world.within(nextEvent(client, 'finish'))
  ok(world.clock.now() - start >= 200, 'finish came before the acknowledgement')
  equal(client.stats().sndBuf, 0)
})

test('both ends end at once: nothing is lost, both close', async () => {
  const world = new World({ link: rough, seed: 21 })
  const { client, server } = await world.pair(fast)
  const [up, down] = [pattern(100_000), pattern(100_000, 50)]
  const [atServer, atClient] = [buffer(server), buffer(client)]
  const closed = Promise.all([nextEvent(client, 'close'), nextEvent(server, 'close')])
  client.end(up)
  server.end(down)
  ok((await world.within(atServer)).equals(up))
  ok((await world.within(atClient)).equals(down))
  const reasons = await world.within(closed)
  ok(
    reasons.every((reason) => reason === 'local' || reason === 'peer'),
    String(reasons),
  )
})

test('data that was not read yet when the peer closed can still be read', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  for (let i = 0; i < 20; i++) client.write(String(i))
  await world.within(client.close())
  await world.run(1_000)
  for (let i = 0; i < 20; i++) equal(String(await world.within(server.recv())), String(i))
  equal(await world.within(server.recv()), null)
  if (!server.closed) equal(await world.within(nextEvent(server, 'close')), 'peer')
})

test('destroy() sends what the windows take, drops the rest, and tells the peer', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  const closed = Promise.all([nextEvent(client, 'close'), nextEvent(server, 'close')])
  const reading = server.recv()
  for (let i = 0; i < 100; i++) client.write(pattern(1_000))
  client.destroy()
  let got = 0
  await rejects(
    async () => {
      for (let next = await world.within(reading); next !== null; next = await world.within(server.recv()))
        got++
    },
    { code: 'ERR_KCP_RESET' },
  )
  ok(got > 0 && got < 100, `${got} of 100`)
  deepEqual(await world.within(closed), ['local', 'reset'])
  equal(client.destroyed, true)
  equal(client.readyState, 'closed')
})

test('destroy(error) is the error of its own side', async () => {
  const world = new World()
  const { client } = await world.pair()
  const failed = nextEvent(client, 'error')
  const reading = client.recv()
  const mine = new Error('mine')
  client.destroy(mine)
  await rejects(reading, mine)
  equal(await world.within(failed), mine)
  equal(client.errored, mine)
})

test('an AbortSignal on a pipeline ends the stream', async () => {
  const world = new World()
  const { client, server } = await world.pair(fast)
  const abort = new AbortController()
  const piping = pipeline(server, new PassThrough().resume(), { signal: abort.signal })
  client.write('x')
  world.clock.setTimeout(() => abort.abort(), 100)
  await rejects(world.within(piping), { name: 'AbortError' })
  equal(server.destroyed, true)
})

test('await using closes gracefully at the end of the block', async () => {
  const world = new World()
  const listener = await world.listen()
  const scope = async (): Promise<void> => {
    await using client = await world.connect()
    await client.send('in the block')
  }
  await world.within(Promise.all([scope(), receiveOne(listener)]))

  async function receiveOne(from: AsyncIterable<KcpStream>): Promise<void> {
    for await (const stream of from) {
      const reason = nextEvent(stream, 'close')
      equal(String(await stream.recv()), 'in the block')
      equal(await stream.recv(), null)
      equal(await reason, 'peer')
      return
    }
  }
})

test('cork and writev keep the borders of messages', async () => {
  const world = new World()
  const { client, server } = await world.pair({ preset: 'fast' })
  client.cork()
  for (const word of ['x', 'yy', 'zzz']) client.write(word)
  client.uncork()
  deepEqual(
    [
      String(await world.within(server.recv())),
      String(await world.within(server.recv())),
      String(await world.within(server.recv())),
    ],
    ['x', 'yy', 'zzz'],
  )
})

test('setEncoding and readable events work as on any stream', async () => {
  const world = new World()
  const { client, server } = await world.pair(fast)
  server.setEncoding('hex')
  let text = ''
  server.on('readable', () => {
    for (let chunk = server.read() as string | null; chunk !== null; chunk = server.read()) text += chunk
  })
  client.end(Buffer.from('00ff10', 'hex'))
  await world.within(nextEvent(server, 'end'))
  equal(text, '00ff10')
})
