/**
 * Two processes of our own, on real sockets: what no simulation shows.
 */
import { equal, ok } from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { connect, KcpError, type KcpStream, listen } from '../../src/index.ts'
import { Prng } from '../../src/sim/prng.ts'
import { startRelay } from '../support/relay.ts'

interface Message {
  readonly event: string
  readonly [key: string]: unknown
}

/** The child in a role; it dies with the test. */
function start(
  t: TestContext,
  ...args: string[]
): { child: ChildProcess; next: (event: string) => Promise<Message> } {
  const child = fork(fileURLToPath(new URL('./child.js', import.meta.url)), args)
  t.after(() => child.kill('SIGKILL'))
  const seen: Message[] = []
  const waiting: { event: string; resolve: (message: Message) => void }[] = []
  child.on('message', (message: Message) => {
    const at = waiting.findIndex(({ event }) => event === message.event)
    if (at >= 0) waiting.splice(at, 1)[0]!.resolve(message)
    else seen.push(message)
  })
  return {
    child,
    next: (event) =>
      new Promise((resolve) => {
        const at = seen.findIndex((message) => message.event === event)
        if (at >= 0) resolve(seen.splice(at, 1)[0]!)
        else waiting.push({ event, resolve })
      }),
  }
}

/** The reason of a stream's 'close'. (`once` would reject with the error that comes before it.) */
function closeOf(stream: KcpStream): Promise<string> {
  return new Promise((resolve) => stream.once('close', resolve))
}

test('100 MB arrive whole at 10 % loss', { timeout: 120_000 }, async (t) => {
  const { next } = start(t, 'hash')
  const { port } = await next('listening')
  const relay = await startRelay({
    target: { host: '127.0.0.1', port: port as number },
    toServer: { loss: 0.1, delayMs: 2 },
    toClient: { loss: 0.1, delayMs: 2 },
    seed: 1,
  })
  t.after(() => relay.close())
  const stream = await connect({
    host: '127.0.0.1',
    port: relay.port,
    preset: 'turbo',
    kcp: { streamMode: true },
  })
  const prng = new Prng(7)
  const chunk = Buffer.alloc(1024 * 1024)
  const sum = createHash('sha256')
  for (let i = 0; i < 100; i++) {
    for (let at = 0; at < chunk.length; at += 4) chunk.writeUInt32LE(prng.u32(), at)
    const piece = Buffer.from(chunk)
    sum.update(piece)
    if (!stream.write(piece)) await once(stream, 'drain')
  }
  stream.end()
  const { bytes, sha256 } = await next('hash')
  equal(bytes, 100 * 1024 * 1024)
  equal(sha256, sum.digest('hex'))
  await once(stream.resume(), 'close')
  equal(stream.errored, null)
})

test('1,000 sessions at once on one listener, each echoing', { timeout: 60_000 }, async (t) => {
  const { child, next } = start(t, 'echo')
  const { port } = await next('listening')
  const streams = await Promise.all(
    Array.from({ length: 1_000 }, () => connect({ host: '127.0.0.1', port: port as number, preset: 'fast' })),
  )
  await Promise.all(
    streams.map(async (stream, i) => {
      for (let round = 0; round < 5; round++) {
        await stream.send(`stream ${i} round ${round}`)
        equal(String(await stream.recv()), `stream ${i} round ${round}`)
      }
    }),
  )
  child.send('stats')
  const stats = await next('stats')
  equal(stats['sessions'], 1_000)
  equal(stats['accepted'], 1_000)
  equal(stats['pending'], 0)
  await Promise.all(streams.map((stream) => stream.close()))
  for (const stream of streams) equal(stream.closeReason, 'local')
})

test('a killed server is noticed by its client: by timeout, or at once where the system says so', {
  timeout: 20_000,
}, async (t) => {
  const { child, next } = start(t, 'echo')
  const { port } = await next('listening')
  // Behind a relay nothing but silence is left of a dead server; without it the system reports the closed port.
  const relay = await startRelay({ target: { host: '127.0.0.1', port: port as number }, seed: 1 })
  t.after(() => relay.close())
  const options = {
    host: '127.0.0.1',
    preset: 'fast',
    idleTimeout: 5_000,
    keepAlive: 400,
    waitForPeer: true,
  } as const
  const far = await connect({ ...options, port: relay.port })
  const near = await connect({ ...options, port: port as number })
  for (const stream of [far, near]) {
    await stream.send('hello')
    equal(String(await stream.recv()), 'hello')
  }
  const reasons = Promise.all([far, near].map(closeOf))
  child.kill('SIGKILL')
  const [farReason, nearReason] = await reasons
  equal(farReason, 'timeout')
  ok(KcpError.is(far.errored, 'ERR_KCP_TIMEOUT'))
  equal(nearReason, 'reset')
  ok(KcpError.is(near.errored, 'ERR_KCP_RESET'))
  equal(((near.errored as Error).cause as NodeJS.ErrnoException).code, 'ECONNREFUSED')
})

test('a killed client is noticed by its server: by timeout', { timeout: 20_000 }, async (t) => {
  const listener = await listen({ host: '127.0.0.1', preset: 'fast', idleTimeout: 1_500, keepAlive: 400 })
  t.after(() => {
    listener.closeAllConnections()
    return listener.close()
  })
  const { child, next } = start(t, 'client', String(listener.address()!.port))
  const stream = (await listener.accept())!
  equal(String(await stream.recv()), 'here')
  equal((await next('connected'))['conv'], stream.conv)
  const closed = closeOf(stream)
  child.kill('SIGKILL')
  equal(await closed, 'timeout')
  ok(KcpError.is(stream.errored, 'ERR_KCP_TIMEOUT'))
  equal(listener.stats().sessions, 0)
})
