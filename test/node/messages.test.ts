import { deepEqual, equal, fail, ok, rejects, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpError } from '../../src/core/errors.ts'
import { formatDatagram } from '../../src/sim/trace.ts'
import { nextEvent, pattern, World } from '../support/pair.ts'

/** A path that has a bit of everything. */
const rough = { delayMs: 15, jitterMs: 20, loss: 0.1, duplicate: 0.05, reorder: 0.1 }

test('message mode: one write is one message, whatever its size, over a bad path', async () => {
  const world = new World({ link: rough, seed: 3 })
  const { client, server } = await world.pair({ preset: 'fast' })
  const sizes = [1, 0, 1375, 1376, 1377, 2, 40_000, 0, 0, 127 * 1376, 3]
  const sending = (async () => {
    for (const [i, size] of sizes.entries()) await client.send(pattern(size, i))
  })()
  for (const [i, size] of sizes.entries()) {
    const message = await world.within(server.recv())
    ok(message)
    ok(message.equals(pattern(size, i)), `message ${i} of ${size} bytes came as ${message.length}`)
  }
  await sending
})

test('an empty message is a message, not the end', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  client.write(Buffer.alloc(0))
  client.write('x')
  client.end(Buffer.alloc(0))
  equal((await world.within(server.recv()))?.length, 0)
  equal(String(await world.within(server.recv())), 'x')
  equal(await world.within(server.recvInto(new Uint8Array(0))), 0)
  equal(await world.within(server.recv()), null)
})

test('empty chunks pass through the Duplex side too', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  for (const size of [0, 5, 0]) client.write(pattern(size))
  client.end()
  const sizes: number[] = []
  server.on('data', (chunk: Buffer) => sizes.push(chunk.length))
  await world.within(nextEvent(server, 'end'))
  deepEqual(sizes, [0, 5, 0])
})

test('messages written in one turn leave in one flush and keep their borders', async () => {
  const world = new World()
  const { client, server } = await world.pair({ preset: 'fast' })
  const lines = world.record()
  for (const word of ['one', 'two', 'three']) client.write(word)
  await world.settle()
  equal(lines.length, 1)
  ok(/"one" \| push .*"two" \| push .*"three"$/.test(lines[0]!), lines[0])
  await world.run(20)
  deepEqual([await server.recv(), await server.recv(), await server.recv()].map(String), [
    'one',
    'two',
    'three',
  ])
})

test('strings and any byte array are taken; other values are refused and nothing is sent', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  await client.send('grüße')
  await client.send(new Uint8Array([1, 2, 3]).subarray(1))
  equal(client.trySend(Buffer.from('b')), true)
  equal(String(await world.within(server.recv())), 'grüße')
  deepEqual([...(await world.within(server.recv()))!], [2, 3])
  equal(String(await world.within(server.recv())), 'b')
  for (const value of [7, null, undefined, {}, [1, 2]] as never[]) {
    await rejects(client.send(value), TypeError)
    throws(() => client.trySend(value), TypeError)
  }
  equal(client.destroyed, false)
})

test('what was sent may be changed afterwards: the bytes were copied', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  const bytes = Buffer.from('before')
  await client.send(bytes)
  bytes.write('after!')
  equal(String(await world.within(server.recv())), 'before')
})

test('what was received is the reader s own: nothing overwrites it later', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  const kept: Buffer[] = []
  for (let i = 0; i < 300; i++) {
    await world.within(client.send(pattern(100, i)))
    kept.push((await world.within(server.recv()))!)
  }
  for (const [i, message] of kept.entries()) ok(message.equals(pattern(100, i)), `message ${i}`)
})

test('a message over 127 fragments is refused with the limit in the error, and the stream lives on', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  const limit = 127 * 1376
  equal(client.maxMessageSize, limit)
  const tooLarge = (error: unknown): boolean => {
    ok(KcpError.is(error, 'ERR_KCP_MESSAGE_TOO_LARGE'))
    deepEqual([error.detail['size'], error.detail['limit']], [limit + 1, limit])
    ok(error.message.includes(String(limit)))
    return true
  }
  await rejects(client.send(new Uint8Array(limit + 1)), tooLarge)
  throws(() => client.trySend(new Uint8Array(limit + 1)), tooLarge)
  equal(client.readyState, 'open')
  await client.send(pattern(limit))
  ok((await world.within(server.recv()))?.equals(pattern(limit)))
})

test('the same through write: its callback gets the error, and the stream fails as any Writable does', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  const failed = nextEvent(client, 'error')
  const closed = nextEvent(server, 'close')
  const error = await world.within(
    new Promise((resolve) => client.write(new Uint8Array(127 * 1376 + 1), resolve)),
  )
  ok(KcpError.is(error, 'ERR_KCP_MESSAGE_TOO_LARGE'))
  equal(await world.within(failed), error)
  equal(await world.within(closed), 'reset')
})

test('up to 255 fragments when the peer s window has told that it has room', async () => {
  const world = new World()
  const { client, server } = await world.pair({ kcp: { rcvWnd: 256, maxFragments: 255 } })
  equal(client.maxMessageSize, 255 * 1376)
  const message = pattern(255 * 1376)
  await client.send(message)
  ok((await world.within(server.recv()))?.equals(message))
  await rejects(client.send(new Uint8Array(255 * 1376 + 1)), { code: 'ERR_KCP_MESSAGE_TOO_LARGE' })
})

test('maxFragments 255 stays within a smaller window of the peer, and within 127 while that is unknown', async () => {
  const world = new World()
  const { client, server } = await world.pair({ kcp: { maxFragments: 255 } })
  const reading = server.recv()
  await client.send('a reader waits, so the ACK of this tells all 128 slots')
  await world.within(reading)
  await world.within(client.flushed())
  equal(client.maxMessageSize, 128 * 1376, 'the peer told 128 slots')
  await client.send(pattern(128 * 1376))
  equal((await world.within(server.recv()))?.length, 128 * 1376)
  const unheard = await world.connect({ kcp: { maxFragments: 255 } })
  equal(unheard.maxMessageSize, 127 * 1376)
})

test('recv sizes its buffer itself, and resolves in the order of the calls', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  const reads = Promise.all([server.recv(), server.recvInto(new Uint8Array(10)), server.recv()])
  for (const size of [50_000, 10, 1]) await client.send(pattern(size))
  const [first, second, third] = await world.within(reads)
  deepEqual([first?.length, second, third?.length], [50_000, 10, 1])
})

test('recvInto a buffer that is too small: a typed error with both sizes, and the message is kept', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  await client.send('eleven char')
  await world.run(20)
  for (let attempt = 0; attempt < 3; attempt++) {
    await rejects(server.recvInto(new Uint8Array(10)), (error) => {
      ok(KcpError.is(error, 'ERR_KCP_RECV_BUFFER_TOO_SMALL'))
      deepEqual(error.detail, { need: 11, got: 10 })
      return true
    })
  }
  const target = Buffer.alloc(20)
  equal(await server.recvInto(target), 11)
  equal(String(target.subarray(0, 11)), 'eleven char')
})

test('recvInto that waited also keeps a message that is too long for it', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  const small = server.recvInto(new Uint8Array(2))
  const next = server.recv()
  await client.send('longer')
  await rejects(world.within(small), { code: 'ERR_KCP_RECV_BUFFER_TOO_SMALL' })
  equal(String(await world.within(next)), 'longer')
})

test('recvInto too small keeps a message that the readable side held already', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  server.once('readable', () => undefined) // has the readable side fetch
  await client.send('first one')
  await client.send('second')
  await world.run(30)
  ok(server.readableLength > 0)
  await rejects(server.recvInto(new Uint8Array(3)), { code: 'ERR_KCP_RECV_BUFFER_TOO_SMALL' })
  equal(String(await world.within(server.recv())), 'first one')
  equal(String(await world.within(server.recv())), 'second')
})

test('recv and send: abort rejects with the signal s reason and loses nothing', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  const abort = new AbortController()
  const reason = new Error('enough')
  const aborted = server.recv({ signal: abort.signal })
  const waiting = server.recv()
  abort.abort(reason)
  await rejects(aborted, reason)
  await rejects(server.recv({ signal: AbortSignal.abort(reason) }), reason)
  await rejects(server.recvInto(new Uint8Array(9), { signal: AbortSignal.abort(reason) }), reason)
  await client.send('kept')
  equal(String(await world.within(waiting)), 'kept')
  const late = new AbortController()
  const read = server.recv({ signal: late.signal })
  await client.send('in time')
  equal(String(await world.within(read)), 'in time')
  late.abort(reason)
})

test('flushed: resolves with the last acknowledgement; abort and the end of the stream reject it', async () => {
  const world = new World({ link: { delayMs: 50 } })
  const { client } = await world.pair({ preset: 'fast' })
  await client.flushed()
  const start = world.clock.now()
  await client.send(pattern(10_000))
  const flushed = client.flushed()
  const abort = new AbortController()
  const aborted = client.flushed({ signal: abort.signal })
  abort.abort(new Error('no matter'))
  await rejects(aborted, /no matter/)
  await rejects(client.flushed({ signal: AbortSignal.abort(new Error('never')) }), /never/)
  await world.within(flushed)
  equal(world.clock.now() - start, 100)
  equal(client.stats().sndBuf, 0)
  await client.send('more')
  const never = client.flushed()
  client.destroy()
  await rejects(never, { code: 'ERR_KCP_CLOSED' })
  await rejects(client.flushed(), { code: 'ERR_KCP_CLOSED' })
})

test('flush sends at once, in the middle of a turn', async () => {
  const world = new World()
  const { client } = await world.pair()
  const lines = world.record()
  client.write('now')
  equal(lines.length, 0, 'a write waits for the end of the turn')
  client.flush()
  equal(lines.length, 1)
  await world.settle()
  equal(lines.length, 1, 'and is not sent twice')
})

test('flushWrite: false gathers writes until the flush interval is over; flush does not wait', async () => {
  const world = new World()
  const { client } = await world.pair({ client: { flushWrite: false, flushInterval: 60 } })
  await world.run(500)
  const lines = world.record()
  const sent = (): string[] => lines.filter((line) => line.includes('push'))
  client.write('a')
  await world.run(20)
  client.write('b')
  await world.run(39)
  const early = sent().length
  await world.run(41)
  equal(sent().length - early + early, sent().length)
  ok(sent().length <= 2, lines.join('\n'))
  client.write('c')
  await world.settle()
  const before = sent().length
  client.flush()
  equal(sent().length, before + 1)
})

test('trySend: false and nothing queued while the send queue is at its limit', async () => {
  const world = new World()
  const { client, server } = await world.pair({ sendQueueLimit: 8 })
  let taken = 0
  while (client.trySend(pattern(100, taken))) taken++
  equal(taken, 8)
  equal(client.trySend('no'), false)
  equal(client.bytesWritten, 2 + 8 * 100)
  await world.within(client.flushed())
  equal(client.trySend('yes'), true)
  for (let i = 0; i < taken; i++) ok((await world.within(server.recv()))?.equals(pattern(100, i)))
  equal(String(await world.within(server.recv())), 'yes')
})

test('send waits while the queue is at its limit, and messages keep their order', async () => {
  const world = new World({ link: { delayMs: 30 } })
  const { client, server } = await world.pair({ sendQueueLimit: 4 })
  const done: number[] = []
  const sends = Array.from({ length: 40 }, (_, i) => client.send(String(i)).then(() => done.push(i)))
  await world.settle()
  ok(done.length >= 4 && done.length < 10, `${done.length} of 40 sends had room`)
  const read: number[] = []
  for (let i = 0; i < 40; i++) read.push(Number(await world.within(server.recv())))
  await world.within(Promise.all(sends))
  const inOrder = Array.from({ length: 40 }, (_, i) => i)
  deepEqual(read, inOrder)
  deepEqual(done, inOrder)
})

test('maxSendBytes: writes wait by bytes too, large messages of a few segments included', async () => {
  const world = new World({ link: { delayMs: 20 } })
  const { client, server } = await world.pair({ preset: 'turbo', maxSendBytes: 50_000 })
  let done = 0
  const sends = Array.from({ length: 20 }, (_, i) => client.send(pattern(20_000, i)).then(() => done++))
  await world.settle()
  ok(done >= 3 && done <= 4, `${done} sends had room`)
  // The message that reaches the limit is over it, and so is the one whose write waits.
  ok(client.stats().sndBytes <= 50_000 + 2 * 20_000)
  for (let i = 0; i < 20; i++) ok((await world.within(server.recv()))?.equals(pattern(20_000, i)))
  await world.within(Promise.all(sends))
})

test('send and write side by side keep their order', async () => {
  const world = new World()
  const { client, server } = await world.pair({ sendQueueLimit: 2 })
  const expected: string[] = []
  const sends: Promise<unknown>[] = []
  for (let i = 0; i < 30; i++) {
    expected.push(`m${i}`)
    if (i % 3 === 0) client.write(`m${i}`)
    else sends.push(client.send(`m${i}`))
  }
  const read: string[] = []
  for (let i = 0; i < 30; i++) read.push(String(await world.within(server.recv())))
  deepEqual(read, expected)
  await world.within(Promise.all(sends))
})

test('stream mode: a megabyte in one write arrives whole, over a bad path', async () => {
  const world = new World({ link: { delayMs: 10, loss: 0.03, reorder: 0.05 }, seed: 5 })
  const { client, server } = await world.pair({ preset: 'turbo', kcp: { streamMode: true } })
  equal(server.mode, 'stream')
  const data = pattern(1_000_000)
  client.end(data)
  const chunks: Buffer[] = []
  for (;;) {
    const chunk = await world.within(server.recv())
    if (chunk === null) break
    chunks.push(chunk)
  }
  ok(Buffer.concat(chunks).equals(data))
})

test('stream mode: send takes any size too, and resolves when the rest has room', async () => {
  const world = new World()
  const { client, server } = await world.pair({ preset: 'fast', kcp: { streamMode: true } })
  let done = false
  const sending = client.send(pattern(600_000)).then((size) => {
    done = true
    return size
  })
  await world.settle()
  equal(done, false)
  let got = 0
  while (got < 600_000) got += (await world.within(server.recv()))!.length
  equal(await world.within(sending), 600_000)
})

test('stream mode: recvInto takes what fits and leaves the rest for the next read', async () => {
  const world = new World()
  const { client, server } = await world.pair({ kcp: { streamMode: true } })
  await client.send('abcdefgh')
  const target = Buffer.alloc(3)
  equal(await world.within(server.recvInto(target)), 3)
  equal(String(target), 'abc')
  equal(await world.within(server.recvInto(target)), 3)
  equal(String(target), 'def')
  equal(String(await world.within(server.recv())), 'gh')
})

test('stream mode: recvInto keeps the order of bytes also when the readable side holds some', async () => {
  const world = new World()
  const { client, server } = await world.pair({ preset: 'turbo', kcp: { streamMode: true } })
  server.once('readable', () => undefined) // has the readable side fetch
  const data = pattern(200_000)
  client.end(data)
  await world.run(200)
  ok(server.readableLength > 0 && server.stats().rcvQueue > 0)
  const read: Buffer[] = []
  const target = Buffer.alloc(700)
  for (;;) {
    const size = await world.within(server.recvInto(target))
    if (size === null) break
    read.push(Buffer.from(target.subarray(0, size)))
  }
  equal(Buffer.concat(read).length, data.length)
  ok(Buffer.concat(read).equals(data))
})

test('stream mode: empty writes are nothing', async () => {
  const world = new World()
  const { client, server } = await world.pair({ kcp: { streamMode: true } })
  equal(await client.send(''), 0)
  client.write('')
  client.end('z')
  equal(String(await world.within(server.recv())), 'z')
  equal(await world.within(server.recv()), null)
})

test('split: two tasks own a half each, both directions busy at once', async () => {
  const world = new World({ link: rough, seed: 9 })
  const { client, server } = await world.pair({ preset: 'fast' })
  const echo = (async () => {
    const { reader, writer } = server.split()
    for await (const message of reader) await writer.send(message)
    await writer.close()
  })()
  const { reader, writer } = client.split()
  equal(reader.conv, client.conv)
  equal(writer.conv, client.conv)
  deepEqual(
    [reader.remoteAddress, reader.remotePort, reader.localAddress, reader.localPort],
    ['server', 4000, 'client', client.localPort],
  )
  const sent = Array.from({ length: 200 }, (_, i) => pattern(i * 11, i))
  const sending = (async () => {
    for (const message of sent) await writer.send(message)
    await writer.flushed()
  })()
  const receiving = (async () => {
    for (const [i, message] of sent.entries()) {
      const got = await reader.recv()
      ok(got?.equals(message), `message ${i}`)
    }
  })()
  await world.within(Promise.all([sending, receiving]))
  equal(writer.trySend('last'), true)
  writer.flush()
  const into = new Uint8Array(4)
  equal(await world.within(reader.recvInto(into)), 4)
  equal(reader.closed, false)
  await world.within(writer.close())
  equal(writer.closed, true)
  equal(reader.closed, true)
  await world.within(echo)
})

test('split halves have their web streams', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  const writer = client.split().writer.writable.getWriter()
  const reader = server.split().reader.readable.getReader()
  await world.within(writer.write(Buffer.from('over')))
  const { value } = await world.within(reader.read())
  equal(Buffer.from(value!).toString(), 'over')
})

test('bytes and stats count what the application sees', async () => {
  const world = new World()
  const { client, server } = await world.pair()
  await client.send(pattern(1_000))
  await world.within(server.recv())
  await world.within(client.flushed())
  equal(client.bytesWritten, 1_002)
  equal(server.bytesRead, 1_002)
  const stats = client.stats()
  deepEqual([stats.state, stats.sndBuf, stats.sndQueue, stats.bytesWritten], ['open', 0, 0, 1_002])
  ok(stats.srtt > 0 && stats.srtt <= 20)
  await world.run(1_000)
  ok(client.stats().idleMs >= 1_000)
  equal(server.stats().proven, true)
})

test('a write that is acknowledged while its reader sleeps costs no timer', async () => {
  const world = new World()
  const { client } = await world.pair({ idleTimeout: 0, keepAlive: 0 })
  await client.send('x')
  await world.run(5_000)
  const lines = world.record()
  await world.run(600_000)
  deepEqual(lines, [])
  equal(world.clock.pending <= 1, true)
})

test('the first message needs no answer first: it leaves with the connect', async () => {
  const world = new World()
  await world.listen()
  const seen: string[] = []
  world.network.tap = ({ event, from }, datagram) => {
    if (event === 'send' && from.address === 'client') seen.push(formatDatagram(datagram))
  }
  const client = await world.connect()
  await client.send('at once')
  await world.settle()
  if (seen.length !== 1) fail(seen.join('\n'))
  ok(seen[0]!.startsWith('push sn=0') && seen[0]!.endsWith('"at once"'), seen[0])
})
