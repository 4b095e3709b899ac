/** SmuxSession and SmuxStream: as Duplexes, over KCP, over a pipe in memory, and with everything that can end them. */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import {
  connect,
  KcpError,
  listen,
  SmuxSession,
  type SmuxSessionOptions,
  type SmuxStream,
} from '../../src/index.ts'
import { VirtualClock } from '../../src/sim/index.ts'
import { INITIAL_WINDOW } from '../../src/smux/index.ts'
import { frame } from '../smux/support.ts'

/** One end of a pipe in memory, with back-pressure. */
class PipeEnd extends Duplex {
  other!: PipeEnd
  #wanted = false
  #ended = false
  #waiting: (() => void) | undefined

  override _read(): void {
    this.#wanted = true
    const go = this.#waiting
    this.#waiting = undefined
    go?.()
  }
  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    const give = (): void => {
      this.other.#wanted = false
      if (!this.other.#ended) this.other.push(chunk)
      done()
    }
    if (this.other.destroyed) done()
    else if (this.other.#wanted) setImmediate(give)
    else this.other.#waiting = give
  }
  override _final(done: () => void): void {
    this.#endOther()
    done()
  }
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#endOther()
    done(error)
  }
  #endOther(): void {
    if (!this.other.destroyed && !this.other.#ended) this.other.push(null)
    this.other.#ended = true
  }
}

function pipePair(): [PipeEnd, PipeEnd] {
  const [a, b] = [new PipeEnd(), new PipeEnd()]
  a.other = b
  b.other = a
  return [a, b]
}

function sessions(options: Partial<SmuxSessionOptions> = {}): { client: SmuxSession; server: SmuxSession } {
  const [a, b] = pipePair()
  return {
    client: new SmuxSession(a, { role: 'client', ...options }),
    server: new SmuxSession(b, { role: 'server', ...options }),
  }
}

async function all(stream: SmuxStream): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** As `all`, without `for await`, which destroys the stream in the end. */
async function allOf(stream: SmuxStream): Promise<Buffer> {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(stream, 'end')
  return Buffer.concat(chunks)
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
/** Turns of the event loop until it is so. */
async function until(so: () => boolean): Promise<void> {
  for (let i = 0; !so(); i++) {
    ok(i < 100_000, `it never came to ${so}`)
    await turn()
  }
}

/** The error of an ended stream or session, by its code. */
const code =
  (wanted: string) =>
  (error: unknown): boolean =>
    KcpError.is(error) && error.code === wanted

for (const version of [1, 2] as const) {
  test(`over KCP, version ${version}: many streams, both ways, and a close that both ends learn of`, async () => {
    const config = { preset: 'turbo', kcp: { streamMode: true } } as const
    await using listener = await listen({ ...config, host: '127.0.0.1' })
    const below = await connect({ ...config, host: '127.0.0.1', port: listener.address()!.port })
    const client = new SmuxSession(below, { role: 'client', version })
    const streams = Array.from({ length: 20 }, (_, i) => client.open().end(Buffer.alloc(i * 5000, i)))
    const server = new SmuxSession((await listener.accept())!, { role: 'server', version })
    const serving = (async () => {
      for await (const stream of server) stream.pipe(stream)
    })()
    for (const [i, stream] of streams.entries()) {
      deepEqual(await all(stream), Buffer.alloc(i * 5000, i), `stream ${i}`)
    }
    const reasons = Promise.all([once(client, 'close'), once(server, 'close')])
    await client.close()
    deepEqual(await reasons, [['local'], ['peer']])
    await serving
    equal(server.streams.size, 0)
    equal(client.closed && server.closed, true)
  })
}

test('end() leaves reading open, and allowHalfOpen leaves writing open', async () => {
  const { client, server } = sessions({ allowHalfOpen: true })
  const ours = client.open()
  ours.end('question')
  const theirs = (await server.accept())!
  equal(String(await allOf(theirs)), 'question')
  theirs.write('an answer ')
  await turn()
  theirs.end('in two parts')
  equal(String(await all(ours)), 'an answer in two parts')
  await until(() => client.streams.size + server.streams.size === 0)
  deepEqual([ours.bytesRead, ours.bytesWritten, ours.id, ours.incoming], [22, 8, 3, false])
  deepEqual([theirs.id, theirs.incoming, theirs.session === server], [3, true, true])
  await client.close()
})

test('without allowHalfOpen the end of the peer ends this side too, whoever reads', async () => {
  const { client, server } = sessions()
  const ours = client.open()
  ours.end()
  const theirs = (await server.accept())!
  await until(() => ours.destroyed && theirs.destroyed)
  equal(theirs.writableFinished && theirs.readableEnded, true)
  client.destroy()
})

test('a reader that stops holds its writer back (version 2), and nobody else', async () => {
  const { client, server } = sessions({ version: 2 })
  const slow = client.open()
  const total = 2_000_000
  let done = false
  slow.end(Buffer.alloc(total, 1), () => {
    done = true
  })
  const reader = (await server.accept())!
  await until(() => slow.bytesWritten === INITIAL_WINDOW && reader.bytesWaiting === INITIAL_WINDOW)
  equal(done, false)
  const quick = client.open()
  quick.end('quick')
  equal(String(await all((await server.accept())!)), 'quick')
  equal(reader.bytesRead, 0, 'nothing is taken ahead of the reader')
  equal((await all(reader)).length, total)
  await client.close()
})

test('a reader that stops holds the session back (version 1)', async () => {
  const { client, server } = sessions({ maxReceiveBuffer: 100_000 })
  const slow = client.open()
  slow.end(Buffer.alloc(2_000_000, 1))
  const reader = (await server.accept())!
  await until(() => server.stats().stalls === 1)
  for (let i = 0; i < 50; i++) await turn()
  ok(server.stats().unread < 100_000 + 65_536)
  ok(slow.writableLength > 0)
  equal((await all(reader)).length, 2_000_000)
  await client.close()
})

test('streams are taken by accept, by iteration or by a listener; beyond the backlog they are refused', async () => {
  const { client, server } = sessions({ acceptBacklog: 2 })
  const streams = Array.from({ length: 4 }, () => client.open())
  await until(() => server.stats().refused === 2)
  deepEqual([(await server.accept())!.id, (await server.accept())!.id], [3, 5])
  // Those that were refused have ended.
  await Promise.all(streams.slice(2).map((stream) => once(stream, 'close')))
  const signal = AbortSignal.abort(new Error('enough'))
  await rejects(server.accept({ signal }), /enough/)
  const controller = new AbortController()
  const waiting = server.accept({ signal: controller.signal })
  controller.abort(new Error('no more'))
  await rejects(waiting, /no more/)
  const next = server.accept()
  client.open()
  equal((await next)!.id, 11)
  const heard: number[] = []
  server.on('stream', (stream) => heard.push(stream.id))
  for (let i = 0; i < 5; i++) client.open()
  await until(() => heard.length === 5)
  deepEqual(heard, [13, 15, 17, 19, 21])
  client.destroy()
})

test('close() lets leave what was written, takes nothing more, and ends what waits', async () => {
  const { client, server } = sessions()
  const ours = client.open()
  const theirs = server.accept()
  ours.write(Buffer.alloc(300_000, 7))
  const waiting = client.accept()
  const closed = client.close()
  equal(client.close(), closed)
  throws(() => client.open(), code('ERR_KCP_CLOSED'))
  equal(await waiting, null)
  equal((await all((await theirs)!)).length, 300_000)
  await closed
  equal(await client.accept(), null)
  await until(() => server.closed)
  equal(await server.accept(), null)
  equal(server.closeReason, 'peer')
  for await (const _ of server) ok(false, 'there is no stream')
})

test('close() does not wait for a peer that reads nothing', async () => {
  const clock = new VirtualClock()
  const [a] = pipePair()
  const client = new SmuxSession(a, { role: 'client', clock, keepAliveInterval: 0, keepAliveTimeout: 0 })
  const stream = client.open()
  stream.write(Buffer.alloc(1_000_000))
  await turn()
  const closed = client.close()
  await turn()
  // For what is written, and then for the stream below.
  clock.advance(5_000)
  await turn()
  clock.advance(5_000)
  await closed
  equal(client.closeReason, 'local')
  equal((stream.errored as KcpError).code, 'ERR_KCP_CLOSED')
})

test('what a peer sent before it closed can be read afterwards', async () => {
  const { client, server } = sessions()
  const [whole, cut] = [client.open(), client.open()]
  whole.end('the whole of it')
  cut.write('the beginning')
  const [first, second] = [(await server.accept())!, (await server.accept())!]
  await until(() => first.bytesWaiting === 15 && second.bytesWaiting === 13)
  client.destroy()
  await once(server, 'close')
  equal(String(await all(first)), 'the whole of it')
  await rejects(all(second), code('ERR_KCP_CLOSED'))
})

test('destroy() of a stream ends it for the peer, and drops what still comes', async () => {
  const { client, server } = sessions()
  const ours = client.open()
  ours.write('x')
  const theirs = (await server.accept())!
  ours.destroy()
  equal(String(await all(theirs)), 'x')
  await until(() => client.streams.size + server.streams.size === 0)
  equal(client.stats().streams + server.stats().streams, 0)
  await ours.close()
  await rejects(
    new Promise((_, reject) => ours.write('late', (error) => error && reject(error))),
    /ERR_STREAM_DESTROYED|destroyed/,
  )
  client.destroy()
})

test('close() of a stream ends it both ways, whatever waits to be read', async () => {
  const { client, server } = sessions()
  const ours = client.open()
  ours.write('hello')
  const theirs = (await server.accept())!
  theirs.end(Buffer.alloc(200_000))
  await Promise.all([ours.close(), theirs.close()])
  deepEqual([ours.destroyed, theirs.destroyed], [true, true])
  await client.close()
})

test('await using closes streams and sessions', async () => {
  const { client, server } = sessions()
  {
    await using session = client
    await using stream = session.open()
    stream.write('hello')
    server.on('stream', (one) => one.resume())
  }
  equal(client.closeReason, 'local')
  await until(() => server.closed)
})

test('a signal ends a session at once', async () => {
  const controller = new AbortController()
  const { client, server } = sessions({ signal: controller.signal })
  const stream = client.open()
  const waiting = client.accept()
  const reason = new Error('shutting down')
  controller.abort(reason)
  await rejects(waiting, (error: KcpError) => error.code === 'ERR_KCP_CLOSED' && error.cause === reason)
  await until(() => client.closed && server.closed)
  equal(client.closeReason, 'local')
  equal(stream.destroyed, true)
  const [a] = pipePair()
  const aborted = new SmuxSession(a, { role: 'client', signal: AbortSignal.abort(reason) })
  await once(aborted, 'close')
})

test('a failure of the stream below is the reason, with its cause', async () => {
  const [a, b] = pipePair()
  b.resume()
  const client = new SmuxSession(a, { role: 'client' })
  const stream = client.open()
  const cause = new Error('cable cut')
  const closed = once(client, 'close')
  const waiting = client.accept()
  a.destroy(cause)
  await rejects(waiting, (error: KcpError) => error.code === 'ERR_KCP_IO' && error.cause === cause)
  deepEqual((await closed)[0], 'transport')
  equal(client.closeError?.code, 'ERR_KCP_IO')
  equal(stream.errored, client.closeError)
  throws(() => client.open(), code('ERR_KCP_IO'))
  const late = new SmuxSession(a, { role: 'client' })
  equal((await once(late, 'close'))[0], 'transport')
})

test('a peer that breaks the protocol is told from others by the reason and the fault', async () => {
  for (const [bytes, fault] of [
    [Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'version'],
    [frame(1, 'SYN 2'), 'stream-id'],
    [frame(2, 'SYN 3'), 'version'],
  ] as const) {
    const [a, b] = pipePair()
    b.on('error', () => undefined).resume()
    const server = new SmuxSession(a, { role: 'server' })
    b.write(bytes)
    const [reason, error] = await once(server, 'close')
    equal(reason, 'protocol-error')
    equal(error.code, 'ERR_KCP_PROTOCOL')
    deepEqual(error.detail, { fault })
    equal(a.destroyed, true)
  }
})

test('keep-alive and the timeout go by the clock', async () => {
  const clock = new VirtualClock()
  const [a, b] = pipePair()
  const got: Buffer[] = []
  b.on('data', (chunk: Buffer) => got.push(chunk))
  const client = new SmuxSession(a, {
    role: 'client',
    clock,
    keepAliveInterval: 1000,
    keepAliveTimeout: 2500,
  })
  clock.advance(999)
  await turn()
  equal(got.length, 0)
  clock.advance(1)
  await until(() => got.length === 1)
  deepEqual([...got[0]!], [1, 3, 0, 0, 0, 0, 0, 0])
  b.write(frame(1, 'NOP'))
  await until(() => client.stats().nopsIn === 1)
  const closed = once(client, 'close')
  for (let i = 0; i < 5; i++) {
    clock.advance(499)
    await turn()
  }
  equal(client.closeReason, undefined)
  clock.advance(10)
  const [reason, error] = await closed
  deepEqual([reason, error.code, error.detail], ['timeout', 'ERR_KCP_TIMEOUT', { timeout: 2500 }])
})

test('a listener that throws costs no byte of the session', async () => {
  const [a, b] = pipePair()
  b.resume()
  const server = new SmuxSession(a, { role: 'server' })
  let first = true
  const got: number[] = []
  server.on('stream', (stream) => {
    got.push(stream.id)
    if (first) {
      first = false
      throw new Error('a bug of the application')
    }
  })
  const bytes = Buffer.concat([
    frame(1, 'SYN 3'),
    frame(1, 'SYN 5'),
    frame(1, 'PSH 5 "hello"'),
    frame(1, 'FIN 5'),
  ])
  a.emit('data', bytes)
  await until(() => got.length === 2)
  deepEqual(got, [3, 5])
  const [five, ...more] = [...server.streams]
  deepEqual(more, [], 'the stream of the listener that threw is destroyed')
  equal(String(await all(five!)), 'hello')
  server.destroy()
})

test('small writes of one turn share a frame', async () => {
  const { client, server } = sessions()
  const stream = client.open()
  for (let i = 0; i < 100; i++) stream.write('ab')
  stream.end()
  equal(String(await all((await server.accept())!)), 'ab'.repeat(100))
  // SYN, what the first write handed over before there were others, the others, FIN.
  ok(client.stats().framesOut <= 4, `${client.stats().framesOut} frames`)
  await client.close()
})

test('options are checked at the door', () => {
  const [a] = pipePair()
  const refused = (field: string) => (error: unknown) =>
    KcpError.is(error, 'ERR_KCP_CONFIG') && error.detail['field'] === field
  for (const [options, field] of [
    [{}, 'role'],
    [{ role: 'peer' }, 'role'],
    [{ role: 'client', version: 3 }, 'version'],
    [{ role: 'client', maxstreams: 3 }, 'maxstreams'],
    [{ role: 'client', lingerTimeout: 0 }, 'lingerTimeout'],
    [{ role: 'client', allowHalfOpen: 1 }, 'allowHalfOpen'],
    [{ role: 'client', writableHighWaterMark: -1 }, 'writableHighWaterMark'],
    [{ role: 'client', signal: {} }, 'signal'],
    [{ role: 'client', clock: {} }, 'clock'],
    [null, 'the options of SmuxSession'],
    ['client', 'the options of SmuxSession'],
  ] as const) {
    throws(() => new SmuxSession(a, options as unknown as SmuxSessionOptions), refused(field), field)
  }
  throws(() => new SmuxSession({} as Duplex, { role: 'client' }), refused('duplex'))
  equal(a.listenerCount('data'), 0)
})
