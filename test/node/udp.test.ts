import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import { KcpError } from '../../src/core/errors.ts'
import { connect, createServer, KcpListener, KcpStream, listen, UdpTransport } from '../../src/node/index.ts'
import { nextEvent } from '../support/pair.ts'

const hasIPv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
)
const noIPv6 = hasIPv6 ? false : 'no ::1 on this machine'

/** Real time: nothing here may take longer. */
const timely = { timeout: 8_000 }

/** An echo on real UDP. */
async function echo(options: Parameters<typeof listen>[0]): Promise<KcpListener> {
  return listen({ preset: 'fast', ...options }, (stream) => {
    stream.on('data', (message: Buffer) => stream.write(message))
  })
}

/** One message there and back; then both close. */
async function roundTrip(client: KcpStream, listener: KcpListener): Promise<void> {
  await client.send('there and back')
  equal(String(await client.recv()), 'there and back')
  await Promise.all([client.close(), listener.close()])
}

async function bound(type: 'udp4' | 'udp6' = 'udp4'): Promise<Socket> {
  const socket = createSocket(type)
  socket.bind(0, type === 'udp4' ? '127.0.0.1' : '::1')
  await once(socket, 'listening')
  return socket
}

/** A port at 127.0.0.1 where nobody listens. */
async function deadPort(): Promise<number> {
  const socket = await bound()
  const { port } = socket.address()
  await new Promise<void>((resolve) => socket.close(resolve))
  return port
}

test('IPv4: addresses at both ends', timely, async () => {
  const listener = await listen({ host: '127.0.0.1', port: 0 })
  const { address, port, family } = listener.address()!
  deepEqual([address, family], ['127.0.0.1', 'IPv4'])
  ok(port > 0)
  const client = await connect({ host: '127.0.0.1', port })
  deepEqual([client.remoteAddress, client.remotePort, client.remoteFamily], ['127.0.0.1', port, 'IPv4'])
  equal(client.localAddress, '127.0.0.1')
  await client.send('x')
  const server = (await listener.accept())!
  deepEqual(
    [server.remoteAddress, server.remotePort, server.remoteFamily, server.localPort],
    ['127.0.0.1', client.localPort, 'IPv4', port],
  )
  server.resume()
  await Promise.all([client.close(), listener.close()])
  equal(listener.address(), null)
})

test('IPv6, also as [::1]:port and in another spelling', { ...timely, skip: noIPv6 }, async () => {
  for (const host of ['::1', '0:0:0:0:0:0:0:1', '0::0:1']) {
    const listener = await echo({ host: '::1', port: 0 })
    const { port, family } = listener.address()!
    equal(family, 'IPv6')
    const client = await connect({ host, port, preset: 'fast' })
    equal(client.remoteFamily, 'IPv6')
    await roundTrip(client, listener)
  }
  const listener = await KcpListener.bind('[::1]:0')
  const client = await KcpStream.connect(`[::1]:${listener.address()!.port}`)
  await client.send('x')
  const server = (await listener.accept())!
  equal(server.remoteAddress, '::1')
  server.resume()
  await Promise.all([client.close(), listener.close()])
})

test('a host name', timely, async () => {
  const listener = await echo({ host: 'localhost', port: 0 })
  const client = await connect({ host: 'localhost', port: listener.address()!.port, preset: 'fast' })
  await roundTrip(client, listener)
  const everywhere = await echo({ port: 0 })
  const byDefault = await connect(everywhere.address()!.port)
  await roundTrip(byDefault, everywhere)
})

test('0.0.0.0 as a destination is this machine, as for TCP', timely, async () => {
  const listener = await echo({ host: '127.0.0.1', port: 0 })
  const client = await connect({ host: '0.0.0.0', port: listener.address()!.port, preset: 'fast' })
  await roundTrip(client, listener)
})

test('a name that does not resolve is a typed error', timely, async () => {
  await rejects(connect({ host: 'not a host', port: 9 }), { code: 'ERR_KCP_CONNECT' })
  await rejects(listen({ host: 'not a host', port: 9 }), { code: 'ERR_KCP_CONNECT' })
})

test('a dual-stack listener is reached by IPv4 and by IPv6', { ...timely, skip: noIPv6 }, async () => {
  const listener = await echo({ port: 0 })
  const { port, address } = listener.address()!
  equal(address, '::')
  for (const host of ['127.0.0.1', '::1']) {
    const client = await connect({ host, port, preset: 'fast' })
    await client.send('hello')
    equal(String(await client.recv()), 'hello')
    await client.close()
  }
  equal(listener.stats().accepted, 2)
  await listener.close()
})

test('ipv6Only takes no IPv4 peers', { ...timely, skip: noIPv6 }, async () => {
  const listener = await echo({ host: '::', port: 0, ipv6Only: true })
  const { port } = listener.address()!
  await rejects(connect({ host: '127.0.0.1', port, waitForPeer: 500 }))
  const client = await connect({ host: '::1', port, waitForPeer: true, preset: 'fast' })
  await roundTrip(client, listener)
})

test('nobody listens: the refusal reaches the client, and waitForPeer', timely, async () => {
  const port = await deadPort()
  await rejects(connect({ host: '127.0.0.1', port, waitForPeer: true }), (error) => {
    ok(KcpError.is(error, 'ERR_KCP_CONNECT'))
    equal((error.cause as NodeJS.ErrnoException).code, 'ECONNREFUSED')
    return true
  })
  const client = await connect({ host: '127.0.0.1', port })
  const failed = nextEvent(client, 'error')
  const closed = nextEvent(client, 'close')
  await client.send('anybody?')
  ok(KcpError.is(await failed, 'ERR_KCP_CONNECT'))
  equal(await closed, 'reset')
})

test('a refusal reaches the client however many datagrams its first flush had', timely, async () => {
  for (const datagrams of [2, 3, 4]) {
    const client = await connect({ host: '127.0.0.1', port: await deadPort(), preset: 'fast' })
    const closed = nextEvent(client, 'close')
    const start = performance.now()
    await client.send(new Uint8Array(datagrams * 1_376))
    equal(await closed, 'reset')
    ok(performance.now() - start < 1_000, `${datagrams} datagrams: took ${performance.now() - start} ms`)
  }
})

test('clients that vanish do not hurt a server', timely, async () => {
  const listener = await echo({ host: '127.0.0.1', port: 0 })
  const { port } = listener.address()!
  const streams: KcpStream[] = []
  listener.on('connection', (stream) => streams.push(stream))
  for (let i = 0; i < 5; i++) {
    const socket = await bound()
    const client = await connect({ host: '127.0.0.1', port, socket, lifecycle: 'none', preset: 'fast' })
    await client.send('x')
    await client.recv()
    client.destroy()
    await new Promise<void>((resolve) => socket.close(resolve))
  }
  // Everything from here on is refused by the clients' host.
  for (const stream of streams) stream.write('gone?')
  const client = await connect({ host: '127.0.0.1', port, preset: 'fast' })
  await client.send('alive')
  equal(String(await client.recv()), 'alive')
  listener.closeAllConnections()
  client.destroy()
  await listener.close()
})

test(
  'EADDRINUSE is a typed error with its cause, and the listener may listen elsewhere',
  timely,
  async () => {
    const first = await listen({ host: '127.0.0.1', port: 0 })
    const { port } = first.address()!
    const second = createServer()
    await rejects(second.listen({ host: '127.0.0.1', port }), (error) => {
      ok(KcpError.is(error, 'ERR_KCP_IO'))
      equal((error.cause as NodeJS.ErrnoException).code, 'EADDRINUSE')
      ok(error.message.includes(String(port)))
      return true
    })
    equal(second.listening, false)
    await second.listen(0, '127.0.0.1')
    equal(second.listening, true)
    await Promise.all([first.close(), second.close()])
  },
)

test(
  'a local port that is taken, and a local address that is not ours, are typed errors of connect',
  timely,
  async () => {
    const socket = await bound()
    const localPort = socket.address().port
    await rejects(connect({ host: '127.0.0.1', port: 9, localPort, localAddress: '127.0.0.1' }), {
      code: 'ERR_KCP_IO',
    })
    await rejects(connect({ host: '127.0.0.1', port: 9, localAddress: '192.0.2.1' }), { code: 'ERR_KCP_IO' })
    socket.close()
  },
)

test('after close the local port is free', timely, async () => {
  const listener = await listen({ host: '127.0.0.1', preset: 'fast' }, (stream) => stream.pipe(stream))
  const { port } = listener.address()!
  let localPort: number | undefined
  for (let i = 0; i < 20; i++) {
    const stream = await connect({
      host: '127.0.0.1',
      port,
      preset: 'fast',
      ...(localPort === undefined ? {} : { localPort }),
    })
    localPort = stream.localPort!
    await stream.send('x')
    if (i % 2 === 0) await stream.close()
    else {
      const closed = once(stream, 'close')
      stream.destroy()
      await closed
    }
  }
  listener.closeAllConnections()
  await listener.close()
})

test('localAddress and localPort', timely, async () => {
  const listener = await echo({ host: '127.0.0.1', port: 0 })
  const localPort = await deadPort()
  const { port } = listener.address()!
  const client = await connect({
    host: '127.0.0.1',
    port,
    localAddress: '127.0.0.1',
    localPort,
    preset: 'fast',
  })
  equal(client.localPort, localPort)
  await roundTrip(client, listener)
})

test('a socket of yours, not connected: it is used, and stays open', timely, async () => {
  const listener = await echo({ host: '127.0.0.1', port: 0 })
  const socket = await bound()
  for (let i = 0; i < 2; i++) {
    const client = await connect({
      host: 'localhost',
      family: 4,
      port: listener.address()!.port,
      socket,
      preset: 'fast',
    })
    equal(client.localPort, socket.address().port)
    await client.send('mine')
    equal(String(await client.recv()), 'mine')
    await client.close()
  }
  deepEqual(
    ['message', 'error', 'close'].map((event) => socket.listenerCount(event)),
    [0, 0, 0],
    'no listener is left on it',
  )
  socket.close()
  await listener.close()
})

test('a socket of yours, not connected, knows its peer in any spelling', {
  ...timely,
  skip: noIPv6,
}, async () => {
  const listener = await echo({ host: '::1', port: 0 })
  const socket = await bound('udp6')
  const client = await connect({ host: '0:0::1', port: listener.address()!.port, socket, preset: 'fast' })
  await roundTrip(client, listener)
  socket.close()
})

test('a socket of yours, connected', timely, async () => {
  const listener = await echo({ host: '127.0.0.1', port: 0 })
  const { port } = listener.address()!
  const socket = await bound()
  socket.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const client = await connect({ host: '127.0.0.1', port, socket, ownsTransport: true, preset: 'fast' })
  const gone = once(socket, 'close')
  await roundTrip(client, listener)
  await gone
})

test('a listener on a socket of yours', timely, async () => {
  const socket = await bound()
  const listener = await echo({ socket })
  equal(listener.address()?.port, socket.address().port)
  const client = await connect({ host: '127.0.0.1', port: socket.address().port, preset: 'fast' })
  await roundTrip(client, listener)
  equal(socket.listenerCount('message'), 0)
  socket.close()
})

test('the socket of a listener is closed by somebody: its streams and the listener end', timely, async () => {
  const socket = await bound()
  const listener = await listen({ socket })
  const client = await connect({ host: '127.0.0.1', port: socket.address().port })
  await client.send('x')
  const server = (await listener.accept())!
  const [reason, closed] = [nextEvent(server, 'close'), nextEvent(listener, 'close')]
  socket.close()
  equal(await reason, 'reset')
  await closed
  client.destroy()
})

test('close while a listen is under way: nothing is left open', timely, async () => {
  const listener = createServer()
  const listening = listener.listen({ host: 'localhost', port: 0 })
  await listener.close()
  await rejects(listening, { code: 'ERR_KCP_CLOSED' })
  equal(listener.listening, false)
  equal(listener.address(), null)
})

test('two calls of listen at once: one is refused', timely, async () => {
  const listener = createServer()
  const results = await Promise.allSettled([listener.listen(0, '127.0.0.1'), listener.listen(0, '127.0.0.1')])
  deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected'],
  )
  await listener.close()
})

test('an abort while binding rejects with its reason', timely, async () => {
  const reason = new Error('never mind')
  const abort = new AbortController()
  const listening = listen({ host: 'localhost', port: 0, signal: abort.signal })
  abort.abort(reason)
  await rejects(listening, (error: Error) => error === reason || error.cause === reason)
  const other = new AbortController()
  const connecting = connect({ host: 'localhost', port: 9, signal: other.signal })
  other.abort(reason)
  await rejects(connecting, (error: Error) => error === reason || error.cause === reason)
})

test('waitForPeer over real UDP', timely, async () => {
  const listener = await echo({ host: '127.0.0.1', port: 0 })
  const client = await connect({ host: '127.0.0.1', port: listener.address()!.port, waitForPeer: true })
  equal(listener.stats().accepted, 0)
  await roundTrip(client, listener)
})

test('UdpTransport alone: datagrams, buffer sizes, and a close that may come twice', timely, async () => {
  const a = await UdpTransport.bind({ address: '127.0.0.1', bufferSize: 100_000 })
  const b = await UdpTransport.bind({ address: '127.0.0.1' })
  ok(a.bufferSizes().recv >= 100_000)
  const got: string[] = []
  const arrived = new Promise<void>((resolve) =>
    b.start({
      onDatagram: (datagram) => {
        got.push(Buffer.from(datagram).toString())
        if (got.length === 3) resolve()
      },
      onError: () => undefined,
      onClose: () => got.push('closed'),
    }),
  )
  const scratch = Buffer.alloc(3)
  for (const text of ['one', 'two', 'six']) {
    scratch.write(text)
    a.send(scratch, b.localAddress()!)
  }
  scratch.fill(0)
  await arrived
  await Promise.all([b.close(), b.close(), a.close()])
  a.send(scratch, { address: '127.0.0.1', port: 9 })
  deepEqual(got, ['one', 'two', 'six', 'closed'])
  equal(a.localAddress(), undefined)
})

test('a datagram that the system refuses is loss', timely, async () => {
  const a = await UdpTransport.bind({ address: '127.0.0.1' })
  a.send(new Uint8Array(70_000), { address: '127.0.0.1', port: 9 })
  a.send(new Uint8Array(10), { address: '127.0.0.1', port: 0 })
  await new Promise((resolve) => setImmediate(resolve))
  equal(a.sendErrors, 2)
  await a.close()
})

/** Runs a program that imports the library, and gives what it prints; fails when it does not exit by itself. */
async function program(body: string): Promise<string> {
  const library = new URL('../../src/index.js', import.meta.url).href
  const code = `import { connect, listen, createServer } from ${JSON.stringify(library)}\n${body}`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  const killer = setTimeout(() => child.kill('SIGKILL'), 6_000)
  const [status, signal] = await once(child, 'close')
  clearTimeout(killer)
  equal(signal, null, `did not exit: ${output}`)
  equal(status, 0, output)
  return output.trim()
}

test('after close no handle is left: the process exits by itself', timely, async () => {
  const output = await program(`
    const listener = await listen({ host: '127.0.0.1', port: 0, preset: 'fast' }, (stream) => stream.pipe(stream))
    const client = await connect({ host: '127.0.0.1', port: listener.address().port, preset: 'fast', waitForPeer: true })
    await client.send('x')
    console.log(String(await client.recv()))
    await Promise.all([client.close(), listener.close()])
  `)
  equal(output, 'x')
})

test(
  'destroy leaves no handle either, nor a connect that failed, nor a listener closed under its peers',
  timely,
  async () => {
    const output = await program(`
    const listener = await listen({ host: '127.0.0.1', port: 0 })
    const { port } = listener.address()
    const a = await connect({ host: '127.0.0.1', port })
    await a.send('x')
    await listener.accept()
    a.destroy()
    await connect({ host: '127.0.0.1', port: port === 9 ? 10 : 9, waitForPeer: 100 }).catch(() => {})
    await listen({ host: '127.0.0.1', port }).catch((error) => console.log(error.code))
    const b = await connect({ host: '127.0.0.1', port })
    await b.send('x')
    await listener.accept()
    b.on('close', (reason) => console.log(reason))
    listener.closeAllConnections()
    await listener.close()
  `)
    equal(output, 'ERR_KCP_IO\npeer')
  },
)

test('unref lets the process exit with live sessions', timely, async () => {
  const output = await program(`
    const listener = await listen({ host: '127.0.0.1', port: 0, preset: 'fast' })
    const client = await connect({ host: '127.0.0.1', port: listener.address().port, preset: 'fast' })
    await client.send('x')
    const server = await listener.accept()
    console.log(String(await server.recv()))
    listener.unref()
    client.unref()
  `)
  equal(output, 'x')
})

test('a live session keeps the process alive without anybody waiting', timely, async () => {
  const output = await program(`
    const listener = await listen({ host: '127.0.0.1', port: 0, preset: 'fast', idleTimeout: 300 }, (stream) => {
      stream.on('close', (reason) => { console.log(reason); listener.close() })
      stream.resume()
    })
    const client = await connect({ host: '127.0.0.1', port: listener.address().port, keepAlive: 0, idleTimeout: 400 })
    client.on('close', (reason) => console.log(reason))
    client.write('x')
    process.on('exit', () => console.log('exit'))
    client.once('finish', () => {})
    setTimeout(() => client.destroy(), 50)
  `)
  // The client's end waits for its socket, and may come after the server's.
  const [exit, local, ended] = output.split('\n').sort()
  deepEqual([exit, local], ['exit', 'local'])
  // Whether the message was acknowledged by then is a matter of time.
  ok(ended === 'peer' || ended === 'reset', ended)
  ok(output.endsWith('exit'))
})

test(
  'callbacks that throw end their own stream, and neither the process nor the others',
  timely,
  async () => {
    const output = await program(`
    process.removeAllListeners('warning')
    const warnings = []
    process.on('warning', ({ code, message }) => warnings.push(code + (message.includes('first one') ? ' first one' : '')))
    const listener = await listen({ host: '127.0.0.1', port: 0, preset: 'fast' }, (stream) => {
      if (listener.stats().accepted === 1) throw new Error('first one')
      stream.on('data', (message) => {
        if (String(message) === 'bad') throw new Error('mine')
        stream.write(message)
      })
      stream.on('end', () => { throw new Error('at the end') })
    })
    const { port } = listener.address()
    const open = () => connect({ host: '127.0.0.1', port, preset: 'fast' })
    const ended = (client) => client.recv().then(() => 'answered', (error) => error.code)
    const clients = []
    for (let i = 0; i < 6; i++) {
      const client = await open()
      client.write(i === 0 ? 'hello' : i % 2 === 0 ? 'bad' : 'good')
      clients.push(client)
    }
    console.log((await Promise.all(clients.map(ended))).join())
    for (const client of [clients[1], clients[3], clients[5]]) client.write('good')
    console.log((await Promise.all([clients[1], clients[3], clients[5]].map(ended))).join())
    await Promise.all(clients.map((client) => client.close()))
    await listener.close()
    console.log(warnings.join())
  `)
    equal(
      output,
      'ERR_KCP_REFUSED,answered,ERR_KCP_RESET,answered,ERR_KCP_RESET,answered\nanswered,answered,answered\nKCP_HOOK first one',
    )
  },
)
