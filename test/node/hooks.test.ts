/**
 * What the application hands in to be called fails: only its own stream, or its own datagram, is lost.
 */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import type { BlockList } from 'node:net'
import { type TestContext, test } from 'node:test'
import {
  type DatagramTransport,
  KcpError,
  listen,
  type PacketCipher,
  type PacketCodec,
} from '../../src/index.ts'
import { pattern, SERVER, World } from '../support/pair.ts'

/** The texts of warnings of failed hooks, as they come; and what ends a process that does not look. */
function warnings(t: TestContext): { readonly hooks: string[]; readonly fatal: unknown[] } {
  const heard = { hooks: [] as string[], fatal: [] as unknown[] }
  const hear = (warning: Error & { code?: string }): void => {
    if (warning.code === 'KCP_HOOK') heard.hooks.push(warning.message)
  }
  const fail = (error: unknown): void => void heard.fatal.push(error)
  process.on('warning', hear)
  process.on('unhandledRejection', fail)
  process.on('uncaughtException', fail)
  t.after(() => {
    process.off('warning', hear)
    process.off('unhandledRejection', fail)
    process.off('uncaughtException', fail)
  })
  return heard
}

const odd: Readonly<Record<string, () => unknown>> = {
  throws: () => {
    throw new Error('boom')
  },
  'throws nothing': () => {
    throw undefined
  },
  'is rejected': () => Promise.reject(new Error('boom')),
  'is a promise': () => Promise.resolve(true),
  undefined: () => undefined,
  null: () => null,
  0: () => 0,
  1: () => 1,
  '""': () => '',
  '"yes"': () => 'yes',
  '{}': () => ({}),
  '[true]': () => [true],
}

test('verifyClient and blockList: anything but a plain yes refuses, is counted, and is told once', async (t) => {
  const heard = warnings(t)
  for (const [name, answer] of Object.entries(odd)) {
    for (const hook of ['verifyClient', 'blockList']) {
      heard.hooks.length = 0
      const world = new World()
      const options =
        hook === 'verifyClient'
          ? { verifyClient: answer }
          : { blockList: { check: answer } as unknown as BlockList }
      const transport = world.network.transport('192.0.2.1', { port: SERVER.port })
      const listener = await world.listen({ preset: 'fast', transport, ...(options as object) })
      // Two of them: each is refused by its first datagram, and only the first one is warned of.
      for (const address of ['192.0.2.7', '192.0.2.8']) {
        const client = await world.connect({
          host: '192.0.2.1',
          preset: 'fast',
          transport: world.network.transport(address),
        })
        client.write('let me in')
        await world.run(1_000)
        equal(client.closeReason, 'refused', `${hook} ${name}`)
      }
      const { drops, accepted } = listener.stats()
      equal(accepted, 0, `${hook} ${name}`)
      equal(drops.refused, 2, `${hook} ${name}`)
      equal(heard.hooks.length, 1, `${hook} ${name}: ${heard.hooks.join()}`)
      ok(heard.hooks[0]!.startsWith(`${hook} failed: `))
    }
  }
  deepEqual(heard.fatal, [])
})

const detached = (): Uint8Array => {
  const bytes = new Uint8Array(40)
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  return bytes
}

test('a codec that returns anything but datagrams drops: counted, told once, and nobody else is hurt', async (t) => {
  const heard = warnings(t)
  const results: Readonly<Record<string, (datagram: Uint8Array) => unknown>> = {
    ...odd,
    null: () => undefined,
    '[true]': () => [true],
    '[undefined]': () => [undefined],
    '[bytes, promise]': (datagram) => [datagram, Promise.reject(new Error('late'))],
    'an ArrayBuffer': () => new ArrayBuffer(40),
    'a DataView': () => new DataView(new ArrayBuffer(40)),
    'a detached buffer': detached,
    'no bytes': () => new Uint8Array(0),
    'too many bytes': () => new Uint8Array(65_508),
  }
  for (const [name, result] of Object.entries(results)) {
    for (const method of ['encode', 'decode'] as const) {
      heard.hooks.length = 0
      const world = new World()
      let on = false
      const plain = (datagram: Uint8Array): Uint8Array => datagram
      const codec = {
        overhead: 0,
        encode: plain,
        decode: plain,
        [method]: (datagram: Uint8Array) => (on ? result(datagram) : datagram),
      } as PacketCodec
      const { client, server, listener } = await world.pair({ preset: 'fast', server: { codec } })
      on = true
      if (method === 'decode') world.network.inject(new Uint8Array(30), { address: 'noise', port: 1 }, SERVER)
      else server.write('lost for now')
      await world.run(50)
      on = false
      await client.send('on we go')
      equal(String(await world.within(server.recv())), 'on we go', `${method} ${name}`)
      if (method === 'encode') equal(String(await world.within(client.recv())), 'lost for now')
      else ok(listener.stats().drops.codec > 0, name)
      equal(heard.hooks.length, 1, `${method} ${name}: ${heard.hooks.join()}`)
      ok(heard.hooks[0]!.startsWith(`codec.${method} failed: `))
    }
  }
  deepEqual(heard.fatal, [])
})

test('a codec that adds more than its overhead is dropped, as it would not fit the path', async (t) => {
  const heard = warnings(t)
  const world = new World()
  let sizes: number[] = []
  world.network.tap = ({ event }, datagram) => {
    if (event === 'send') sizes.push(datagram.length)
  }
  const client = await world.connect({
    codec: { overhead: 4, encode: (datagram) => new Uint8Array(datagram.length + 5), decode: () => null },
  })
  client.write(pattern(5_000))
  await world.run(500)
  deepEqual(sizes, [])
  ok(heard.hooks[0]!.includes('see codec.overhead'), heard.hooks.join())
  sizes = []
})

test('a fork that cannot be had lets nothing through; its overhead is that of the codec it came from', async (t) => {
  const heard = warnings(t)
  for (const fork of [...Object.values(odd), () => ({ overhead: 0, encode: 5 })]) {
    heard.hooks.length = 0
    const world = new World()
    const encode = (datagram: Uint8Array): Uint8Array => datagram
    const codec = { overhead: 0, encode, decode: encode, fork } as PacketCodec
    const listener = await world.listen({ codec })
    const client = await world.connect()
    client.write('hello')
    await world.run(1_000)
    deepEqual([listener.stats().accepted, heard.hooks.length], [0, 1])
    ok(listener.stats().drops.codec > 0)
  }
  const world = new World()
  const same = (datagram: Uint8Array): Uint8Array => datagram
  const wide: PacketCodec = {
    overhead: 8,
    encode: same,
    decode: same,
    fork: () => ({
      get overhead(): number {
        throw new Error('boom')
      },
      encode: same,
      decode: same,
    }),
  }
  const { client } = await world.pair({ codec: wide })
  equal(client.config.mtu, 1_392)
  await rejects(
    world.connect({ codec: Object.defineProperty({ ...wide }, 'overhead', { get: odd['throws']! }) }),
    {
      message: /codec.overhead/,
    },
  )
  deepEqual(heard.fatal, [])
})

test('a cipher that fails sends nothing in the clear, and takes nothing in', async (t) => {
  const heard = warnings(t)
  for (const method of ['seal', 'open'] as const) {
    for (const result of [odd['throws']!, odd['is rejected']!]) {
      heard.hooks.length = 0
      const world = new World()
      let seen = 0
      world.network.tap = (_, datagram) => {
        if (Buffer.from(datagram).includes('a secret')) seen++
      }
      const counters = { sealed: 0, opened: 0, tooShort: 0, refused: 0 }
      const seal = (): void => undefined
      const cipher = { headroom: 0, tailroom: 0, counters, seal, open: () => 0, [method]: result }
      const listener = await world.listen({ crypto: cipher as unknown as PacketCipher })
      const client = await world.connect(
        method === 'seal' ? { crypto: cipher as unknown as PacketCipher } : {},
      )
      client.write('a secret')
      await world.run(500)
      equal(listener.stats().accepted, 0)
      if (method === 'seal') equal(seen, 0)
      ok(method === 'open' || heard.hooks.length >= 1)
    }
  }
  deepEqual(heard.fatal, [])
})

test('a transport that fails is a lossy path; its stream can be destroyed, and closes', async (t) => {
  const heard = warnings(t)
  const boom = odd['throws'] as () => never
  const late = odd['is rejected'] as () => never
  const faults: readonly Partial<Record<keyof DatagramTransport, unknown>>[] = [
    { send: boom },
    { send: late },
    { sendBatch: boom },
    { sendBatch: late },
    { close: boom },
    { close: late },
    { close: () => new Promise(() => undefined) },
    { use: boom },
    { localAddress: boom, ref: boom, unref: boom, flush: boom },
    { localAddress: () => null, use: late },
  ]
  for (const [i, fault] of faults.entries()) {
    const world = new World()
    const plain: DatagramTransport = { send() {}, start() {}, close() {} }
    const client = await world.connect({
      transport: { ...plain, ...fault } as DatagramTransport,
      preset: 'fast',
    })
    const reasons: string[] = []
    client.on('close', (reason) => reasons.push(reason))
    client.ref().unref()
    equal(client.localPort, undefined)
    await client.send('x')
    client.flush()
    await world.run(500)
    equal(client.readyState, 'open', `fault ${i}`)
    client.destroy()
    await world.run(2_000)
    deepEqual(reasons, ['local'], `fault ${i}`)
    const listener = await world.listen({ transport: { ...plain, ...fault } as DatagramTransport })
    await world.within(listener.close())
  }
  deepEqual(heard.fatal, [])
})

test('a transport that does not start fails the call, and is closed', async (t) => {
  const heard = warnings(t)
  for (const start of [odd['throws'], odd['is rejected']] as never[]) {
    const world = new World()
    let closed = 0
    const transport: DatagramTransport = { send() {}, start, close: () => void closed++ }
    const failed = (error: unknown): boolean =>
      KcpError.is(error, 'ERR_KCP_IO') && (error.cause as Error).message === 'boom'
    await rejects(world.connect({ transport }), failed)
    await rejects(world.listen({ transport }), failed)
    await world.run(10)
    equal(closed, 2)
  }
  // An error of ours says what it is already.
  const own = new KcpError('ERR_KCP_HANDSHAKE', 'mine')
  const transport: DatagramTransport = {
    send() {},
    start: () => Promise.reject(own),
    close() {},
  }
  await rejects(new World().connect({ transport }), (error) => error === own)
  deepEqual(heard.fatal, [])
})

test('what a transport hands up that is no datagram, no peer or no error is dropped', async (t) => {
  const heard = warnings(t)
  const world = new World()
  let up: Parameters<DatagramTransport['start']>[0] | undefined
  const transport: DatagramTransport = {
    send() {},
    start: (handler) => void (up = handler),
    close() {},
    peerKey: (peer) => (peer.address === 'odd' ? (5 as never) : `${peer.address}|${peer.port}`),
  }
  const client = await world.connect({ transport })
  const handlers = [up!]
  const listener = await world.listen({ transport })
  handlers.push(up!)
  for (const each of handlers) {
    for (const error of [undefined, null, 'text', {}, new Error('fine')]) each.onError(error as Error)
    for (const peer of [undefined, null, { address: 'odd', port: 1 }, SERVER]) {
      for (const bytes of [
        undefined,
        'text',
        5,
        new ArrayBuffer(5),
        new Uint8Array(0),
        new Uint8Array(100_000),
      ]) {
        each.onDatagram(bytes as Uint8Array, peer as never)
      }
      each.onPeerClosed?.(peer === SERVER ? (undefined as never) : (peer as never), undefined)
      each.onLargerDatagrams?.(peer as never, Number.NaN)
    }
  }
  await world.settle()
  equal(client.readyState, 'open')
  equal(listener.stats().transportErrors, 5)
  deepEqual(heard.fatal, [])
})

test('a server written as in the README survives a message that its answer does not fit', async (t) => {
  const heard = warnings(t)
  const world = new World()
  const listener = await world.listen({ preset: 'fast' }, async (stream) => {
    for await (const message of stream) await stream.send(`echo of ${message}`)
  })
  const large = await world.connect({ preset: 'fast', kcp: { maxFragments: 127, rcvWnd: 128 } })
  large.write(pattern(174_752))
  const small = await world.connect({ preset: 'fast' })
  await world.run(2_000)
  await small.send('hello')
  equal(String(await world.within(small.recv())), 'echo of hello')
  equal(large.closeReason, 'reset')
  equal(listener.connections.size, 1)
  deepEqual([heard.fatal, heard.hooks.length], [[], 1])
})

test('handlers that throw in any event of a stream end that stream, and tell once', async (t) => {
  const heard = warnings(t)
  const listener = await listen({ host: '127.0.0.1', preset: 'fast' })
  await listener.close()
  for (const event of ['data', 'readable', 'end', 'close'] as const) {
    heard.hooks.length = 0
    const world = new World()
    const server = await world.listen({ preset: 'fast' }, (stream) => {
      if (event !== 'readable') stream.resume()
      stream.on(event as 'data', () => {
        throw new Error('boom')
      })
    })
    const client = await world.connect({ preset: 'fast' })
    client.end('x')
    await world.run(10_000)
    deepEqual([server.connections.size, heard.hooks.length], [0, 1], event)
  }
  deepEqual(heard.fatal, [])
})

test('a handler that fails with the end of another stream leaves its own to nobody: it is destroyed', async (t) => {
  const heard = warnings(t)
  const world = new World()
  const listener = await world.listen({ preset: 'fast' }, (stream) => {
    stream.once('data', () => {
      throw Object.assign(new Error('its upstream is over'), { code: 'ERR_STREAM_PREMATURE_CLOSE' })
    })
  })
  const client = await world.connect({ preset: 'fast' })
  client.write('hello')
  await world.run(1_000)
  equal(listener.connections.size, 0)
  ok(client.closeReason === 'peer' || client.closeReason === 'reset', client.closeReason)
  deepEqual([heard.hooks, heard.fatal], [[], []])
})
