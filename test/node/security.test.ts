import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { BlockList } from 'node:net'
import { test } from 'node:test'
import { connect } from '../../src/node/connect.ts'
import { KcpListener, listen } from '../../src/node/kcp-listener.ts'
import { generateKeyPair, pskFromPassphrase, publicKeyOf } from '../../src/node/secure-primitives.ts'
import type { KcpSecurity } from '../../src/node/security.ts'
import { Roaming } from '../secure/roaming.ts'
import { nextEvent, pattern, SERVER, World } from '../support/pair.ts'

const psk = Uint8Array.from({ length: 32 }, (_, i) => i * 3)
const [home, guest] = [generateKeyPair(), generateKeyPair()]
const WITH_PSK = { security: { psk } }
const KEYS = {
  security: { keyPair: home, authorize: (key: Uint8Array) => Buffer.compare(key, guest.publicKey) === 0 },
  client: { security: { keyPair: guest, remotePublicKey: home.publicKey } },
}

for (const [name, options] of [
  ['a shared key', WITH_PSK],
  ['key pairs', KEYS],
] as const) {
  test(`${name}: everything arrives over a path that also turns bits`, async () => {
    const link = { delayMs: 15, jitterMs: 20, loss: 0.1, duplicate: 0.05, reorder: 0.1, corrupt: 0.1 }
    const world = new World({ link, seed: 4 })
    const { client, server, listener } = await world.pair({ preset: 'turbo', ...options })
    const data = pattern(300_000)
    for (let at = 0; at < data.length; at += 100_000) client.write(data.subarray(at, at + 100_000))
    client.end()
    const chunks: Buffer[] = []
    server.on('data', (chunk: Buffer) => chunks.push(chunk))
    server.end('thank you')
    const answers: Buffer[] = []
    client.on('data', (chunk: Buffer) => answers.push(chunk))
    await world.within(Promise.all([once(server, 'end'), once(client, 'end')]), 300_000)
    ok(Buffer.concat(chunks).equals(data))
    equal(String(Buffer.concat(answers)), 'thank you')
    const { security, drops, pending } = listener.stats()
    ok(security.forged > 0, 'bits were turned')
    deepEqual([drops.malformed, drops.foreign, pending], [0, 0, 0], 'and nothing of it reached KCP')
    deepEqual(server.remotePublicKey, options === KEYS ? guest.publicKey : undefined)
    deepEqual(client.remotePublicKey, options === KEYS ? home.publicKey : undefined)
  })
}

test('on the wire there is nothing of what was sent', async () => {
  const world = new World()
  const { client, server } = await world.pair({ preset: 'fast', ...WITH_PSK })
  let seen = 0
  world.network.tap = (_, datagram) => {
    seen++
    equal(Buffer.from(datagram).includes('secret'), false)
    ok(datagram[4]! >= 0x80 && datagram[4]! <= 0xbf)
  }
  client.write('a secret')
  equal(String(await world.within(server.recv())), 'a secret')
  ok(seen > 0)
})

test('with another key a connect fails by time, and the listener is silent', async () => {
  const world = new World()
  const listener = await world.listen(WITH_PSK)
  const other = { security: { psk: new Uint8Array(32), handshakeTimeout: 3_000 } }
  const connecting = world.connect(other)
  let answers = 0
  world.network.tap = ({ from }) => {
    if (from.address === SERVER.address) answers++
  }
  await rejects(world.within(connecting), { code: 'ERR_KCP_HANDSHAKE', detail: { timeout: 3_000 } })
  equal(answers, 0)
  equal(listener.stats().security.strangers, 4)
  equal(listener.stats().sessions, 0)
})

test('a client without security gets silence from a listener with it, and is counted', async () => {
  const world = new World()
  const listener = await world.listen(WITH_PSK)
  let answers = 0
  world.network.tap = ({ from }) => {
    if (from.address === SERVER.address) answers++
  }
  await rejects(world.within(world.connect({ waitForPeer: 2_000 })), { code: 'ERR_KCP_TIMEOUT' })
  equal(answers, 0)
  const { security, drops, sessions } = listener.stats()
  ok(security.plain >= 3)
  deepEqual([drops.unknown, drops.foreign, sessions], [0, 0, 0])
})

test('a client with security and a listener without: nothing is taken for KCP', async () => {
  const world = new World()
  const listener = await world.listen({})
  await rejects(world.within(world.connect(WITH_PSK)), { code: 'ERR_KCP_HANDSHAKE' })
  const { drops, accepted } = listener.stats()
  deepEqual([drops.foreign, accepted], [8, 0])
})

test('a connect can be given up, and leaves nothing behind', async () => {
  const world = new World({ link: { loss: 1 } })
  await world.listen(WITH_PSK)
  const aborting = new AbortController()
  const transport = world.network.transport('client')
  const connecting = world.connect({ ...WITH_PSK, transport, signal: aborting.signal })
  await world.run(1_000)
  aborting.abort(new Error('enough'))
  await rejects(connecting, /enough/)
  ok(transport.closed)
  await world.run(60_000)
})

test('a refusal by ICMP fails a handshake while nothing was heard, and never one that heard the server', async () => {
  const refused = Object.assign(new Error('read ECONNREFUSED'), { code: 'ECONNREFUSED' })
  const world = new World({ link: { delayMs: 100 } })
  const listener = await world.listen({ security: { psk, cookies: 'always' } })
  const early = world.network.transport('early')
  const failing = world.connect({ ...WITH_PSK, transport: early })
  failing.catch(() => undefined)
  await world.run(50)
  early.fail(refused)
  await rejects(world.within(failing), { code: 'ERR_KCP_CONNECT' })

  // After the cookie, and again before the stream is there.
  const transport = world.network.transport('client')
  const connecting = world.connect({ ...WITH_PSK, transport })
  await world.run(250)
  equal(listener.stats().security.cookies >= 1, true)
  transport.fail(refused)
  await world.run(100)
  transport.fail(refused)
  const client = await world.within(connecting)
  client.write('hello')
  const server = (await world.within(listener.accept()))!
  equal(String(await world.within(server.recv())), 'hello')
})

test('a thousand new ports in the middle of a conversation, and no reset', async () => {
  const world = new World({ link: { delayMs: 5 } })
  const listener = await world.listen({ preset: 'fast', ...WITH_PSK })
  const transport = new Roaming(world.network, 'client')
  const client = await world.within(world.connect({ preset: 'fast', ...WITH_PSK, transport }))
  client.write('first')
  const server = (await world.within(listener.accept()))!
  server.on('data', (chunk) => server.write(chunk))
  let back = ''
  client.on('data', (chunk) => {
    back += chunk
  })
  let all = 'first'
  for (let i = 0; i < 1_000; i++) {
    transport.move()
    const text = `${i} `
    all += text
    client.write(text)
    await world.run(60)
  }
  await world.until(() => back === all, 10_000)
  equal(server.remotePort, transport.localAddress().port)
  const { security, sessions } = listener.stats()
  ok(security.migrations >= 990, `${security.migrations}`)
  deepEqual([sessions, client.destroyed, server.destroyed], [1, false, false])
})

test('unreliable messages, channels and FEC go inside', async () => {
  const world = new World()
  const { client, server } = await world.pair({ preset: 'fast', channels: 2, ...WITH_PSK })
  const heard = once(server, 'unreliable')
  ok(client.sendUnreliable(Buffer.from('by the way')))
  equal(String((await world.within(heard))[0]), 'by the way')
  ok(client.sendUnreliable(Buffer.alloc(client.maxUnreliableSize)), 'a full datagram')
  throws(() => client.sendUnreliable(Buffer.alloc(client.maxUnreliableSize + 1)), {
    code: 'ERR_KCP_MESSAGE_TOO_LARGE',
  })
  client.channels[1]!.write('on another channel')
  equal(String(await world.within(server.channels[1]!.recv())), 'on another channel')

  const lossy = new World({ link: { delayMs: 10, loss: 0.1 }, seed: 9 })
  const pair = await lossy.pair({ preset: 'fast', fec: { data: 4, parity: 2 }, ...WITH_PSK })
  for (let i = 0; i < 60; i++) {
    pair.client.write(pattern(500, i))
    await lossy.run(20)
  }
  await lossy.until(() => pair.server.stats().fec!.recovered > 0, 10_000)
})

test('datagrams keep to the mtu, and grow to what the path was found to carry', async () => {
  const world = new World({ link: { delayMs: 5, mtu: 1_452 } })
  let largest = 0
  world.network.tap = ({ event }, datagram) => {
    if (event === 'deliver') largest = Math.max(largest, datagram.length)
  }
  const options = { preset: 'fast', kcp: { mtu: 1_200 } } as const
  const fixed = await world.pair({ ...options, ...WITH_PSK, port: 4_001, client: { port: 4_001 } } as never)
  fixed.client.write(Buffer.alloc(50_000))
  await world.run(1_000)
  equal(largest, 1_200)
  await world.within(fixed.client.close())

  const security = { psk, probeMtu: 1_500 }
  const { client, server } = await world.pair({ ...options, security })
  client.write(Buffer.alloc(50_000))
  await world.run(20_000)
  largest = 0
  client.write(Buffer.alloc(50_000))
  server.write(Buffer.alloc(50_000))
  await world.run(1_000)
  ok(largest > 1_452 - 16 && largest <= 1_452, `${largest}`)
})

test('when a client is destroyed or gone its server hears of it, and forgets its keys', async () => {
  const world = new World()
  const { client, server, listener } = await world.pair({ preset: 'fast', ...WITH_PSK })
  server.on('error', () => undefined)
  client.destroy()
  await world.within(nextEvent(server, 'close'))
  await world.run(2_000)
  equal(listener.stats().sessions, 0)
  const again = await world.within(world.connect({ preset: 'fast', ...WITH_PSK }))
  again.write('hello')
  const stream = (await world.within(listener.accept()))!
  equal(String(await world.within(stream.recv())), 'hello')
  stream.on('error', () => undefined)
  again.end()
  stream.end()
  await world.within(Promise.all([nextEvent(again, 'close'), nextEvent(stream, 'close')]))
})

test('a client without close notices has left, and its server has sent all: no error', async () => {
  const world = new World()
  const options = { preset: 'fast', allowHalfOpen: true, ...WITH_PSK } as const
  const { client, server } = await world.pair({ ...options, client: { lifecycle: 'none' } })
  server.resume()
  const errors: Error[] = []
  server.on('error', (error) => errors.push(error))
  server.end('answer')
  // Its Fins are not answered, and no Fin comes.
  await world.run(4_000)
  client.destroy()
  await world.within(nextEvent(server, 'close'))
  deepEqual(errors, [])
})

test('a client that says nothing for ten minutes is still connected', async () => {
  const world = new World()
  const listener = await world.listen(WITH_PSK)
  const client = await world.within(world.connect(WITH_PSK))
  await world.run(600_000)
  client.write('at last')
  const server = (await world.within(listener.accept()))!
  equal(String(await world.within(server.recv())), 'at last')
})

test('a verifier sees who knocks', async () => {
  const world = new World()
  const seen: unknown[] = []
  const verifyClient = ({ peer }: { peer: object }): boolean => {
    seen.push((peer as { publicKey?: Uint8Array }).publicKey)
    return true
  }
  await world.pair({ ...KEYS, server: { verifyClient } } as never)
  deepEqual(seen, [guest.publicKey])
})

test('a block list is asked before the handshake', async () => {
  const blockList = new BlockList()
  blockList.addAddress('127.0.0.1')
  const listener = await listen({ port: 0, host: '127.0.0.1', blockList, ...WITH_PSK })
  const { port } = listener.address()!
  const security = { psk, handshakeTimeout: 200 }
  await rejects(connect({ port, host: '127.0.0.1', security }), { code: 'ERR_KCP_HANDSHAKE' })
  const stats = listener.stats()
  ok(stats.security.blocked > 0)
  deepEqual([stats.security.handshakes, stats.drops.refused], [0, 0])
  await listener.close()
})

test('what is no security is refused at the door', async () => {
  const wrong: readonly (readonly [KcpSecurity, string])[] = [
    [{}, 'security'],
    [{ psk: undefined } as never, 'security'],
    [{ key: psk } as never, 'security.key'],
    [{ psk: new Uint8Array(31) }, 'security.psk'],
    [{ psk: 'secret' as never }, 'security.psk'],
    [{ psk, keyPair: home }, 'security'],
    [{ keyPair: home }, 'security.authorize'],
    [{ psk, cipher: 'rot13' as never }, 'security.cipher'],
    [{ psk, maxHandshakes: 0 }, 'security.maxHandshakes'],
    [{ psk, key: 1 } as never, 'security.key'],
    [{ psk, maxhandshakes: 5 } as never, 'security.maxhandshakes'],
    [{ psk, authorize: () => true }, 'security.authorize'],
    [{ keyPair: home, authorize: (async () => true) as never }, 'security.authorize'],
    [
      { keyPair: { publicKey: guest.publicKey, privateKey: home.privateKey }, authorize: () => true },
      'security.keyPair.publicKey',
    ],
    ...[null, false, 0, '', 'my password', true, psk, [psk]].map(
      (value) => [value as never, 'security'] as const,
    ),
  ]
  for (const [security, field] of wrong) {
    throws(
      () => new KcpListener({ security }),
      (error: { code: string; detail: { field: string } }) => {
        equal(error.code, 'ERR_KCP_CONFIG')
        equal(error.detail.field, field)
        return true
      },
    )
  }
  await rejects(connect({ port: 1, security: { keyPair: home } }), /remotePublicKey/)
  for (const security of [null, false, 0, '', 'my password', psk])
    await rejects(connect({ port: 1, security: security as never }), (error: Error) => {
      ok(error.message.startsWith('security must be an object'), error.message)
      return !error.message.includes('my password')
    })
  throws(
    () => new KcpListener({ security: { psk: 'my password' as never } }),
    (error: Error) => {
      equal(error.message.includes('my password'), false, 'a secret is not told')
      return true
    },
  )
})

test('keys: a pair fits, and a pass phrase makes the same key twice', async () => {
  deepEqual(publicKeyOf(home.privateKey), home.publicKey)
  throws(() => publicKeyOf(new Uint8Array(3)), { code: 'ERR_KCP_CONFIG' })
  const key = await pskFromPassphrase('correct horse battery staple', 'kcp-io test')
  // scrypt, N = 2^17, r = 8, p = 1, as any implementation of RFC 7914 makes it.
  equal(key.length, 32)
  deepEqual(key, await pskFromPassphrase('correct horse battery staple', 'kcp-io test'))
  throws(() => pskFromPassphrase('', 'long enough'), { code: 'ERR_KCP_CONFIG' })
  throws(() => pskFromPassphrase('x', 'short'), { code: 'ERR_KCP_CONFIG' })
})

test('pairs can be made for ever: none hangs the process when garbage is collected while one is made', () => {
  const { href } = new URL('../../src/node/secure-primitives.js', import.meta.url)
  const program = `import { generateKeyPair } from '${href}'; for (let i = 0; i < 2_000; i++) generateKeyPair()`
  const words = ['--gc-interval=50', '--input-type=module', '--eval', program]
  const { status, signal, stderr } = spawnSync(process.execPath, words, { timeout: 60_000, encoding: 'utf8' })
  deepEqual([status, signal], [0, null], stderr)
})

test('over real sockets', async () => {
  const listener = await listen({ port: 0, host: '127.0.0.1', preset: 'turbo', ...WITH_PSK })
  listener.on('connection', (stream) => stream.pipe(stream))
  const { port } = listener.address()!
  const data = pattern(500_000)
  for (const cipher of ['chacha20-poly1305', 'aes-256-gcm'] as const) {
    const stream = await connect({ port, host: '127.0.0.1', preset: 'turbo', security: { psk, cipher } })
    for (let at = 0; at < data.length; at += 100_000) stream.write(data.subarray(at, at + 100_000))
    stream.end()
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk as Buffer)
    ok(Buffer.concat(chunks).equals(data), cipher)
  }
  equal(listener.stats().security.handshakes, 2)
  await listener.close()
})
