import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { test } from 'node:test'
import {
  connect,
  createServer,
  KcpError,
  KcpListener,
  KcpSessionConfig,
  KcpStream,
  listen,
  type PacketCodec,
  PortGroup,
} from '../../src/index.ts'
import { hasReusePort, UdpTransport } from '../../src/node/udp-transport.ts'
import { SERVER, World } from '../support/pair.ts'

test('what is no codec is refused at the door, by field, value and what is allowed', async () => {
  for (const codec of [null, 7, {}, { overhead: 0, encode: () => null }]) {
    const wrong = { port: 1, codec: codec as unknown as PacketCodec }
    await rejects(
      connect(wrong),
      (error) => KcpError.is(error, 'ERR_KCP_CONFIG') && error.detail['field'] === 'codec',
    )
    throws(() => new KcpListener({ codec: wrong.codec }), { code: 'ERR_KCP_CONFIG' })
  }
  const overhead = -1
  const encode = () => null
  await rejects(connect({ port: 1, codec: { overhead, encode, decode: encode } }), (error) => {
    ok(KcpError.is(error, 'ERR_KCP_CONFIG'))
    deepEqual(error.detail, { field: 'codec.overhead', value: -1, allowed: 'a whole number within 0..65507' })
    return true
  })
})

test('a codec that leaves no mtu is refused at the door, and no socket is left open', async () => {
  const codec: PacketCodec = {
    overhead: 1_351,
    encode: (datagram) => datagram,
    decode: (datagram) => datagram,
  }
  const before = sockets()
  const refused = (error: unknown): boolean => {
    ok(KcpError.is(error, 'ERR_KCP_CONFIG'))
    deepEqual([error.detail['field'], error.detail['value']], ['kcp.mtu', 49])
    return true
  }
  // Found as an uncaught exception on the first datagram, and a socket that stayed open.
  await rejects(listen({ host: '127.0.0.1', codec }), refused)
  await rejects(connect({ host: '127.0.0.1', port: 9, codec }), refused)
  while (sockets() > before) await new Promise((resolve) => setImmediate(resolve))
  const listener = await listen({ host: '127.0.0.1', codec: { ...codec, overhead: 1_350 } })
  await listener.close()
})

test('reusePort fails clearly where neither Node nor the addon has it', async () => {
  deepEqual(['20.20.2', '22.11.0', '22.12.0', '23.0.0', '23.1.0', '24.0.0'].map(hasReusePort), [
    false,
    false,
    true,
    false,
    true,
    true,
  ])
  if (hasReusePort(process.versions.node)) return
  await rejects(UdpTransport.bind({ address: '127.0.0.1', reusePort: true }), { code: 'ERR_KCP_CONFIG' })
})

test('an interval that upstream clamps is told as a warning, once per call', async () => {
  const warnings: string[] = []
  const hear = (warning: Error): number => warnings.push(warning.message)
  process.on('warning', hear)
  const listener = new KcpListener({ preset: 'fast', kcp: { interval: 1 } })
  equal(listener.config.kcp.interval, 10)
  await new Promise((resolve) => setImmediate(resolve))
  process.off('warning', hear)
  deepEqual(warnings, ['kcp.interval 1 is clamped to 10 ms'])
})

const refusedAs = (field: string) => (error: unknown) => {
  ok(KcpError.is(error, 'ERR_KCP_CONFIG'), String(error))
  equal(error.detail['field'], field, error.message)
  return true
}
const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === 'UDPWrap').length

test('what is no object of options is refused by every call that takes one', async () => {
  const wrong = [
    null,
    5,
    true,
    'fast',
    [],
    () => undefined,
    new Map(),
    new Date(),
    Promise.resolve({ port: 9 }),
  ]
  for (const value of wrong as never[]) {
    const config = { code: 'ERR_KCP_CONFIG' }
    await rejects(connect(value === 5 ? (null as never) : value), config)
    await rejects(connect(9, '127.0.0.1', value), config)
    await rejects(listen(value), config)
    if (typeof value !== 'function') {
      await rejects(new KcpListener().listen(value === 5 ? (null as never) : value), config)
      throws(() => createServer(value), config)
    }
    throws(() => new KcpListener(value), config)
    await rejects(KcpListener.bind('127.0.0.1:0', value), config)
    await rejects(PortGroup.open(value), config)
    await rejects(UdpTransport.bind(value), config)
    await rejects(new KcpListener().accept(value), config)
  }
})

test('an unknown option is refused by name, with the one that was meant or the call that takes it', async () => {
  const client = (options: object) => connect({ port: 9, ...options } as never)
  const rows: readonly (readonly [() => unknown, string])[] = [
    [() => client({ streamMode: true }), "unknown option 'streamMode'; did you mean kcp.streamMode?"],
    [() => client({ timeout: 5 }), "unknown option 'timeout'; did you mean idleTimeout?"],
    [
      () => client({ securty: { psk: new Uint8Array(32) } }),
      "unknown option 'securty'; did you mean security?",
    ],
    [() => client({ kcp: { crypto: 5 } }), "unknown option 'kcp.crypto'; there are kcp.nodelay, "],
    [
      () => client({ fec: { data: 3, parity: 1, auto: true } }),
      "unknown option 'fec.auto'; there are fec.data",
    ],
    [() => client({ backlog: 5 }), "unknown option 'backlog'; it is an option of listen and createServer"],
    [() => listen({ prot: 9 } as never), "unknown option 'prot'; did you mean port?"],
    [
      () => listen({ waitForPeer: true } as never),
      "unknown option 'waitForPeer'; it is an option of connect",
    ],
    [
      () => listen({ maxConnection: 5 } as never),
      "unknown option 'maxConnection'; did you mean maxConnections?",
    ],
    [() => createServer({ port: 9 } as never), "unknown option 'port'; it is an option of listening"],
    [
      () => createServer().listen({ crypto: 5 } as never),
      "unknown option 'crypto'; it is an option of the listener",
    ],
    [() => PortGroup.open({ size: 1, ports: 9 } as never), "unknown option 'ports'; did you mean port?"],
    [() => UdpTransport.bind({ host: '::1' } as never), "unknown option 'host'; did you mean address?"],
    [() => new KcpListener().accept({ signl: 5 } as never), "unknown option 'signl'; did you mean signal?"],
  ]
  for (const [call, message] of rows) {
    await rejects(
      async () => call(),
      (error) => {
        ok(KcpError.is(error, 'ERR_KCP_CONFIG'))
        ok(error.message.startsWith(message), error.message)
        return true
      },
    )
  }
})

test('every option of streams is checked at the door of both ends, and no socket is left open', async () => {
  const before = sockets()
  for (const [field, value] of [
    ['readableHighWaterMark', -1],
    ['readableHighWaterMark', Number.NaN],
    ['writableHighWaterMark', 'x'],
    ['allowHalfOpen', 'false'],
    ['clock', null],
    ['clock', { now: () => 0 }],
    ['clock.now()', { now: () => 'noon', setTimeout() {}, clearTimeout() {}, soon() {} }],
    ['channels', '2'],
    ['lifecycle', null],
    ['preset', null],
    ['preset', ['fast']],
    ['crypto', 'a pass phrase'],
    ['security', 'a pass phrase'],
    ['codec.fork', { overhead: 0, encode: () => null, decode: () => null, fork: 5 }],
    ['signal', {}],
    ['signal', new AbortController()],
    ['host', ''],
    ['host', null],
    ['host', 5],
    ['transport', { send() {} }],
    ['transport.maxDatagramSize', { send() {}, start() {}, close() {}, maxDatagramSize: Number.NaN }],
    ['transport.overhead', { send() {}, start() {}, close() {}, overhead: -5 }],
    ['socket', {}],
    ['ownsTransport', 1],
  ] as const) {
    const options = { port: 9, host: '127.0.0.1', [field.split(/[.]/)[0]!]: value } as never
    for (const call of [connect, listen]) {
      await rejects(call(options), (error) => {
        ok(!(error as Error).message.includes('phrase'))
        return refusedAs(field)(error)
      })
    }
  }
  for (const [field, value] of [
    ['localAddress', 'localhost'],
    ['localPort', 70_000],
    ['family', 5],
    ['waitForPeer', '5'],
    ['conv', 0],
  ] as const) {
    await rejects(connect({ port: 9, [field]: value } as never), refusedAs(field))
  }
  for (const [field, value] of [
    ['verifyClient', 'x'],
    ['verifyClient', async () => true],
    ['verifyClient', function* () {}],
    ['blockList', ['10.0.0.1']],
    ['backlog', 0],
    ['fd', -1],
    ['reuseAddr', 'no'],
  ] as const) {
    await rejects(listen({ port: 0, [field]: value } as never), refusedAs(field))
  }
  const transport = { send() {}, start() {}, close() {} }
  await rejects(connect({ port: 9, transport, localPort: 5 }), refusedAs('localPort'))
  const socket = createSocket('udp4')
  await rejects(connect({ port: 9, transport, socket }), /left out beside/)
  socket.close()
  await rejects(listen({ fd: 5, port: 9 }), refusedAs('port'))
  await rejects(connect({ port: 9 } as never, 'localhost'), /second argument of connect/)
  const closed = createSocket('udp4')
  closed.close()
  await rejects(connect({ port: 9, socket: closed }), refusedAs('socket'))
  await rejects(listen({ socket: closed }), refusedAs('socket'))
  await new Promise((resolve) => setImmediate(resolve))
  equal(sockets(), before)
})

test('a listener keeps what it was given: options that change afterwards change nothing', async () => {
  const world = new World()
  const psk = new Uint8Array(32).fill(7)
  const fec = { data: 3, parity: 1 }
  const kcp = { mtu: 1200 }
  const options: Record<string, unknown> = {
    preset: 'fast',
    kcp,
    fec,
    security: { psk },
    clock: world.clock,
    verifyClient: () => true,
  }
  const listener = createServer(options)
  delete options['security']
  options['verifyClient'] = () => false
  psk.fill(0)
  fec.parity = 9
  kcp.mtu = 50
  await listener.listen({ transport: world.network.transport(SERVER.address, { port: SERVER.port }) })
  equal(listener.config.kcp.mtu, 1200)
  const plain = await world.connect({ preset: 'fast' })
  plain.write('in the clear')
  await world.run(1_000)
  equal(listener.stats().accepted, 0)
  const own = { psk: new Uint8Array(32).fill(7) }
  const connecting = world.connect({ preset: 'fast', fec: { data: 3, parity: 1 }, security: own })
  // The handshake has begun: the key may be wiped.
  own.psk.fill(0)
  const client = await world.within(connecting)
  await client.send('sealed')
  equal(String(await world.within((await world.within(listener.accept()))!.recv())), 'sealed')
})

test('a resolved configuration may be spread into the options of connect and listen', async () => {
  const world = new World()
  const config = KcpSessionConfig.fast({ idleTimeout: 10_000 })
  const { client, listener } = await world.pair({ ...config })
  deepEqual(listener.config, config)
  equal(client.config.sndWnd, config.kcp.sndWnd)
})

test('listen takes port, host and a callback as net.Server does, and a failure is an error event', async () => {
  const busy = createServer()
  await new Promise<void>((resolve) => void busy.listen(0, '127.0.0.1', resolve))
  const { port } = busy.address()!
  const other = createServer()
  const failed = new Promise<Error>((resolve) => other.once('error', resolve))
  const listening = other.listen(port, '127.0.0.1', () => ok(false, 'it does not listen'))
  await rejects(listening, { code: 'ERR_KCP_IO' })
  equal(((await failed) as KcpError).code, 'ERR_KCP_IO')
  await busy.close()
  await new Promise<void>((resolve) => void other.listen(String(port) as never, '127.0.0.1', resolve))
  equal(other.address()!.port, port)
  await other.close()
  await rejects(createServer().listen(0, '127.0.0.1', 'callback' as never), { code: 'ERR_KCP_CONFIG' })
})

test('options behind the arguments that a call takes are refused: they may ask for a cipher', async () => {
  const secret = { crypto: {} }
  type Loose = (...words: unknown[]) => Promise<unknown>
  const library = await import('../../src/index.ts')
  const { connect, createServer, listen } = library as unknown as Record<string, Loose>
  const stream = library.KcpStream as unknown as Record<string, Loose>
  const listener = library.KcpListener as unknown as Record<string, Loose>
  const refused = { code: 'ERR_KCP_CONFIG', message: /more arguments/ }
  await rejects(connect!(9, '127.0.0.1', undefined, secret), refused)
  await rejects(stream['connect']!('127.0.0.1:9', undefined, secret), refused)
  await rejects(stream['connectWithConv']!('127.0.0.1:9', 5, undefined, secret), refused)
  await rejects(
    listen!({ port: 0 }, () => undefined, secret),
    refused,
  )
  await rejects(listener['bind']!('127.0.0.1:0', undefined, secret), refused)
  throws(() => createServer!(() => undefined, secret), refused)
  throws(() => createServer!({}, () => undefined, secret), refused)
})

test('an address holds no options, which would be dropped in silence', async () => {
  const address = { port: 0, host: '127.0.0.1', security: { psk: new Uint8Array(32) } }
  const unknown = { code: 'ERR_KCP_CONFIG', message: /unknown option 'security'/ }
  await rejects(KcpListener.bind(address), unknown)
  await rejects(KcpStream.connect({ ...address, port: 9 }), unknown)
  const bound = { address: '127.0.0.1', family: 'IPv4', port: 9 } as never
  await rejects(KcpStream.connect(bound), { message: /did you mean host\?/ })
})

test('security is read whole: getters of a class, symbols, and what is not for this end', async () => {
  const psk = new Uint8Array(32)
  class Security {
    get psk(): Uint8Array {
      return psk
    }
    get maxHandshakes(): number {
      return 0
    }
  }
  throws(() => createServer({ security: new Security() }), { message: /^security\.maxHandshakes/ })
  const marked = { psk, [Symbol('psk')]: 1 }
  throws(() => createServer({ security: marked }), { message: /unknown option 'security\.Symbol/ })
  const limits = { psk, maxHandshakes: 5, cookies: 'always' as const }
  createServer({ security: limits })
  await rejects(connect({ port: 9, security: limits }), {
    code: 'ERR_KCP_CONFIG',
    message: /^security\.(maxHandshakes|cookies) must be absent on a client/,
  })
})

test('numbers that only the system would refuse are refused at the door', async () => {
  await rejects(PortGroup.open({ size: 1, port: null as never }), { code: 'ERR_KCP_CONFIG' })
  for (const socketBufferSize of [2 ** 31, Number.MAX_SAFE_INTEGER]) {
    await rejects(connect({ port: 9, socketBufferSize }), {
      code: 'ERR_KCP_CONFIG',
      message: /^socketBufferSize/,
    })
    throws(() => createServer({ socketBufferSize }), { code: 'ERR_KCP_CONFIG' })
  }
})
