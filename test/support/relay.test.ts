import { deepEqual, equal, ok } from 'node:assert/strict'
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { performance } from 'node:perf_hooks'
import { test } from 'node:test'
import { type RelayOptions, startRelay } from './relay.ts'

/** A bound loopback socket that counts as closed when the block ends. */
async function openSocket(): Promise<{ socket: Socket; port: number } & AsyncDisposable> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    socket,
    port: socket.address().port,
    [Symbol.asyncDispose]: () => new Promise((resolve) => socket.close(() => resolve())),
  }
}

function relayTo(port: number, options: Omit<RelayOptions, 'target'>) {
  return startRelay({ target: { host: '127.0.0.1', port }, ...options })
}

async function receive(socket: Socket): Promise<{ text: string; from: RemoteInfo }> {
  const [datagram, from] = (await once(socket, 'message')) as [Buffer, RemoteInfo]
  return { text: datagram.toString(), from }
}

test('an untroubled relay shows each client to the server under a port of its own', {
  timeout: 10_000,
}, async () => {
  await using server = await openSocket()
  await using relay = await relayTo(server.port, { seed: 1 })
  await using alice = await openSocket()
  await using bob = await openSocket()

  const ports = new Set<number>()
  for (const [client, name] of [
    [alice, 'alice'],
    [bob, 'bob'],
    [alice, 'alice again'],
  ] as const) {
    client.socket.send(name, relay.port, relay.address)
    const { text, from } = await receive(server.socket)
    equal(text, name)
    ports.add(from.port)
    server.socket.send(`hello ${name}`, from.port, from.address)
    const answer = await receive(client.socket)
    equal(answer.text, `hello ${name}`)
    equal(answer.from.port, relay.port)
  }
  equal(ports.size, 2)
  const { clients, errors, toServer, toClient } = relay.stats()
  deepEqual({ clients, errors }, { clients: 2, errors: 0 })
  deepEqual([toServer.offered, toServer.offeredBytes, toServer.delivered], [3, 19, 3])
  equal(toClient.delivered, 3)
})

test('a delay holds datagrams back without changing their order', { timeout: 10_000 }, async () => {
  await using server = await openSocket()
  await using relay = await relayTo(server.port, { seed: 1, toServer: { delayMs: 40 } })
  await using client = await openSocket()

  const texts: string[] = []
  server.socket.on('message', (datagram) => texts.push(datagram.toString()))
  const startedAt = performance.now()
  for (let i = 0; i < 20; i++) client.socket.send(`${i}`, relay.port, relay.address)
  while (texts.length < 20) await once(server.socket, 'message')
  ok(performance.now() - startedAt >= 39, 'came too early')
  deepEqual(
    texts,
    Array.from({ length: 20 }, (_, i) => `${i}`),
  )
})

test('the same seed loses and repeats the same datagrams', { timeout: 10_000 }, async () => {
  const toServer = { loss: 0.3, duplicate: 0.2 }
  async function run(seed: number): Promise<number[]> {
    await using server = await openSocket()
    await using relay = await relayTo(server.port, { seed, toServer })
    await using client = await openSocket()
    const got: number[] = []
    server.socket.on('message', (datagram) => got.push(datagram[0]!))
    // One at a time: the kernel's queue is out of the picture.
    for (let i = 0; i < 100; i++) {
      client.socket.send(Uint8Array.of(i), relay.port, relay.address)
      while (relay.stats().toServer.offered <= i) await new Promise(setImmediate)
    }
    while (got.length < relay.stats().toServer.delivered) await new Promise(setImmediate)
    const { lost, duplicated } = relay.stats().toServer
    ok(lost > 10 && duplicated > 5, `lost ${lost}, duplicated ${duplicated}`)
    return got.sort((a, b) => a - b)
  }
  deepEqual(await run(7), await run(7))
})

test('a server that is not there yet is loss, not the end', { timeout: 10_000 }, async () => {
  const gone = await openSocket()
  const { port } = gone
  await gone[Symbol.asyncDispose]()
  await using relay = await relayTo(port, { seed: 1 })
  await using client = await openSocket()
  const server = createSocket('udp4')
  const ping = setInterval(() => client.socket.send('ping', relay.port, relay.address), 5)
  try {
    while (relay.stats().errors === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    server.bind(port, '127.0.0.1')
    const { text } = await receive(server)
    equal(text, 'ping')
  } finally {
    clearInterval(ping)
    server.close()
  }
})

test('close leaves no socket and no timer behind, with datagrams still under way', {
  timeout: 10_000,
}, async () => {
  const handles = () =>
    process.getActiveResourcesInfo().filter((kind) => kind === 'UDPWrap' || kind === 'Timeout').length
  const before = handles()
  {
    await using server = await openSocket()
    await using client = await openSocket()
    const relay = await relayTo(server.port, { seed: 1, toServer: { delayMs: 60_000 } })
    client.socket.send('late', relay.port, relay.address)
    while (relay.stats().toServer.offered === 0) await new Promise(setImmediate)
    await relay.close()
    await relay.close()
  }
  equal(handles(), before)
})
