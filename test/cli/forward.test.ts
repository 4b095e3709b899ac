import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type Forwarded, forward } from '../../src/cli/tunnel/forward.ts'
import type { VirtualClock } from '../../src/sim/clock.ts'
import { Prng } from '../../src/sim/prng.ts'
import { noise } from '../snappy/data.ts'
import { type End, pipe, readAll, streamClock, turns } from './support.ts'

interface Joined {
  /** The application's end of the connection, and the peer's of the stream. */
  readonly near: End
  readonly far: End
  readonly clock: VirtualClock
  readonly result: Promise<Forwarded>
}

function join(closeWait = 0): Joined {
  const [near, connection] = pipe()
  const [stream, far] = pipe()
  const clock = streamClock()
  return { near, far, clock, result: forward(connection, stream, { clock, closeWait }) }
}

test('bytes go both ways, and both ends end', async () => {
  const { near, far, result } = join()
  const prng = new Prng(1)
  const [up, down] = [noise(300_000, prng), noise(200_000, prng)]
  near.end(up)
  far.end(down)
  const [atFar, atNear] = await Promise.all([readAll(far), readAll(near)])
  ok(atFar.equals(up) && atNear.equals(down))
  deepEqual(await result, { up: 300_000, down: 200_000, why: '' })
})

test('one direction ends, the other goes on', async () => {
  const { near, far, result } = join()
  near.end('request')
  equal(String(await readAll(far)), 'request')
  await turns(5)
  far.write('a long ')
  await turns(5)
  far.end('answer')
  equal(String(await readAll(near)), 'a long answer')
  deepEqual(await result, { up: 7, down: 13, why: '' })
})

test('the same when the far side ends first', async () => {
  const { near, far, result } = join()
  far.end('banner')
  equal(String(await readAll(near)), 'banner')
  await turns(5)
  near.end('late words')
  equal(String(await readAll(far)), 'late words')
  deepEqual(await result, { up: 10, down: 6, why: '' })
})

test('a connection that breaks off takes the stream with it, and the other way round', async () => {
  for (const first of ['near', 'far'] as const) {
    const joined = join()
    const other = first === 'near' ? joined.far : joined.near
    joined[first].write('half a ')
    await once(other, 'readable')
    equal(String(other.read()), 'half a ')
    joined[first].destroy()
    // Cut off, not ended.
    await rejects(readAll(other), /cut off/)
    const { why } = await joined.result
    equal(why, first === 'near' ? 'the connection was closed' : 'the stream was closed')
  }
})

test('the reason of a failure is told', async () => {
  const [, connection] = pipe()
  const [stream] = pipe()
  const result = forward(connection, stream, { clock: streamClock(), closeWait: 0 })
  stream.destroy(new Error('the session is over'))
  deepEqual(await result, { up: 0, down: 0, why: 'the stream failed: the session is over' })
})

test('what is over before it begins ends the other at once', async () => {
  const [, connection] = pipe()
  const [stream] = pipe()
  connection.destroy()
  await once(connection, 'close')
  const { why } = await forward(connection, stream, { clock: streamClock(), closeWait: 0 })
  equal(why, 'the connection was closed')
  ok(stream.destroyed)
})

test('nothing piles up behind a reader that stands still', async () => {
  const { near, far } = join()
  const chunk = new Uint8Array(10_000)
  let sent = 0
  for (let i = 0; i < 1000; i++) {
    if (!near.writableNeedDrain) {
      near.write(chunk)
      sent += chunk.length
    }
    await turns(1)
  }
  // Four buffers of 16 KiB on the way, each of which takes one chunk too many.
  ok(near.taken < 150_000, `${near.taken} bytes were taken`)
  near.end()
  equal((await readAll(far)).length, sent)
})

test('once the far side has ended, the near side may be silent for closewait, and goes on while it is not', async () => {
  for (const closeWait of [0, 10_000]) {
    const { near, far, clock, result } = join(closeWait)
    const wait = Math.max(1_000, closeWait)
    let over: Forwarded | undefined
    void result.then((one) => (over = one))
    for (const end of [near, far]) end.on('error', () => undefined).resume()
    await clock.run(60_000)
    equal(over, undefined, 'silence alone is no reason')
    far.end()
    // Ten times as long as it may be silent.
    for (let i = 0; i < 20; i++) {
      await clock.run(wait / 2)
      near.write('on and on')
    }
    await clock.run(wait - 100)
    equal(over, undefined)
    await clock.run(200)
    await turns()
    deepEqual(over, { up: 180, down: 0, why: `it was silent for ${wait / 1000} s after its peer had ended` })
    ok(far.destroyed && near.destroyed)
  }
})

test('a slow reader of what follows an early end is waited for, and a reader that is gone is not for ever', async () => {
  const { near, far, clock, result } = join(1_000)
  let over: Forwarded | undefined
  void result.then((one) => (over = one))
  for (const end of [near, far]) end.on('error', () => undefined)
  near.resume()
  far.end()
  for (let i = 0; i < 25; i++) near.write(new Uint8Array(16_384))
  for (let i = 0; i < 3; i++) {
    await clock.run(20_000)
    equal(over, undefined, 'it reads now and then')
    far.read()
    await turns()
  }
  await clock.run(31_000)
  await turns()
  equal(over?.why, 'it was silent for 30 s after its peer had ended')
})

test('with closewait 0 it still has a second', async () => {
  const { near, far, clock, result } = join(0)
  for (const end of [near, far]) end.on('error', () => undefined).resume()
  far.end()
  await clock.run(900)
  await turns()
  ok(!near.destroyed)
  near.end()
  equal((await result).why, '')
})

test('once the near side has ended, the far side has all the time of the world', async () => {
  const { near, far, clock, result } = join(1_000)
  far.resume()
  near.end()
  await clock.run(86_400_000)
  far.end('at last')
  equal(String(await readAll(near)), 'at last')
  equal((await result).why, '')
})

/** A TCP connection on loopback: the application's end, and ours. */
async function tcpPair(t: TestContext): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const near = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const [[ours]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as [
    [Socket],
    unknown,
  ]
  t.after(() => near.destroy())
  return [near, ours]
}

test('TCP: a session that breaks off resets the connection, so that nobody takes half for all', async (t) => {
  const [near, ours] = await tcpPair(t)
  const [stream, far] = pipe()
  const result = forward(ours, stream, { clock: streamClock(), closeWait: 0 })
  far.write('half')
  await once(near, 'data')
  far.destroy()
  const [error] = (await once(near, 'error')) as [NodeJS.ErrnoException]
  equal(error.code, 'ECONNRESET')
  equal((await result).why, 'the stream was closed')
})

test('TCP: each direction ends for itself', async (t) => {
  const [near, ours] = await tcpPair(t)
  const [stream, far] = pipe()
  const result = forward(ours, stream, { clock: streamClock(), closeWait: 0 })
  near.end('question')
  equal(String(await readAll(far)), 'question')
  far.end('answer')
  equal(String(await readAll(near)), 'answer')
  deepEqual(await result, { up: 8, down: 6, why: '' })
})
