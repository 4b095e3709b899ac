import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { composeCodecs, type PacketCodec } from '../../src/session/index.ts'
import { nextEvent, pattern, SERVER, World } from '../support/pair.ts'

/** Scrambles, and puts four bytes in front that the other side checks. */
function scrambler(key: number): PacketCodec {
  const mark = [key, 0xaa, 0x55, key ^ 0xff]
  return {
    overhead: mark.length,
    encode: (datagram) => Uint8Array.from([...mark, ...datagram.map((byte) => byte ^ key)]),
    decode: (datagram) =>
      mark.every((byte, i) => datagram[i] === byte)
        ? datagram.subarray(mark.length).map((byte) => byte ^ key)
        : null,
  }
}

/** The largest datagram on the wire. */
function largest(world: World): { size: number } {
  const seen = { size: 0 }
  world.network.tap = ({ event }, datagram) => {
    if (event === 'send') seen.size = Math.max(seen.size, datagram.length)
  }
  return seen
}

test('a codec at both ends: nothing plain on the wire, and its bytes are inside the mtu', async () => {
  const world = new World({ link: { delayMs: 10, loss: 0.05 } })
  const seen = largest(world)
  const { client, server } = await world.pair({ preset: 'fast', codec: scrambler(0x5a) })
  equal(client.config.mtu, 1_396)
  const secret = pattern(100_000)
  await client.send(secret)
  ok((await world.within(server.recv()))?.equals(secret))
  await server.send(secret)
  ok((await world.within(client.recv()))?.equals(secret))
  equal(seen.size, 1_400)
  await world.within(Promise.all([client.close(), server.close()]))
})

test('a path with a small mtu holds for the coded datagram', async () => {
  const world = new World()
  const seen = largest(world)
  const transport = world.network.transport('client', { maxDatagramSize: 300 })
  const { client, server } = await world.pair({ codec: scrambler(1), client: { transport } })
  await client.send(pattern(3_000))
  equal((await world.within(server.recv()))?.length, 3_000)
  equal(seen.size, 300)
})

test('what a codec refuses is dropped and counted: another key, and noise', async () => {
  const world = new World()
  const listener = await world.listen({ codec: scrambler(1) })
  const stranger = await world.connect({ codec: scrambler(2) })
  await stranger.send('hello?')
  const plain = await world.connect()
  await plain.send('hello?')
  await world.run(2_000)
  equal(listener.stats().accepted, 0)
  ok(listener.stats().drops.codec >= 4)
  const { client, server } = await world.join(listener, { codec: scrambler(1) })
  world.network.inject(new Uint8Array(100), { address: 'client', port: client.localPort! }, SERVER)
  await client.send('fine')
  equal(String(await world.within(server.recv())), 'fine')
})

test('a codec that drops is a lossy path', async () => {
  const world = new World()
  let count = 0
  const dropping: PacketCodec = {
    overhead: 0,
    encode: (datagram) => (count++ % 4 === 3 ? null : datagram),
    decode: (datagram) => (count++ % 7 === 6 ? null : datagram),
  }
  const { client, server } = await world.pair({ preset: 'fast', codec: dropping })
  for (let i = 0; i < 200; i++) client.write(pattern(700, i))
  for (let i = 0; i < 200; i++) ok((await world.within(server.recv()))?.equals(pattern(700, i)))
})

test('a codec may make several datagrams of one, and several of one again', async () => {
  const world = new World({ link: { delayMs: 10, loss: 0.4 }, seed: 2 })
  let decoded = 0
  const twice: PacketCodec = {
    overhead: 1,
    encode: (datagram) => [Uint8Array.of(0, ...datagram), Uint8Array.of(1, ...datagram)],
    decode: (datagram) => {
      decoded++
      return datagram[0]! < 2 ? [datagram.subarray(1)] : []
    },
  }
  const { client, server } = await world.pair({ preset: 'fast', codec: twice })
  const before = decoded
  for (let i = 0; i < 50; i++) client.write(pattern(500, i))
  for (let i = 0; i < 50; i++) ok((await world.within(server.recv()))?.equals(pattern(500, i)))
  ok(decoded - before >= 25)
})

test('a codec that throws on what it is given loses that datagram, and stops nobody', async () => {
  const world = new World()
  let broken = false
  const fragile: PacketCodec = {
    overhead: 0,
    encode: (datagram, peer) => {
      if (broken && peer.port === 1) throw new Error('no key')
      return datagram
    },
    decode: (datagram, peer) => {
      if (peer.address === 'noise') throw new Error('bad tag')
      return datagram
    },
  }
  const listener = await world.listen({ codec: fragile, preset: 'fast' })
  listener.on('connection', (stream) => stream.on('data', (message: Buffer) => stream.write(message)))
  const clients = []
  for (let i = 0; i < 3; i++) clients.push(await world.connect({ preset: 'fast' }))
  for (const client of clients) await client.send('first')
  for (const client of clients) equal(String(await world.within(client.recv())), 'first')
  broken = true
  world.endpoint('noise').transport.send(new Uint8Array(50), SERVER)
  for (const client of clients) await client.send('second')
  for (const client of clients.slice(1)) equal(String(await world.within(client.recv())), 'second')
  ok(listener.stats().drops.codec > 0)
  broken = false
  equal(String(await world.within(clients[0]!.recv())), 'second', 'its key came back')
})

test('each session gets its own fork of a codec with state', async () => {
  const world = new World()
  let forks = 0
  const counting = (): PacketCodec => {
    forks++
    let next = 0
    let last = -1
    return {
      overhead: 4,
      encode: (datagram) => {
        const bytes = new Uint8Array(4 + datagram.length)
        new DataView(bytes.buffer).setUint32(0, next++)
        bytes.set(datagram, 4)
        return bytes
      },
      // Replays are refused, so a shared counter would refuse the second session.
      decode: (datagram) => {
        const count = new DataView(datagram.buffer, datagram.byteOffset).getUint32(0)
        if (count <= last) return null
        last = count
        return datagram.subarray(4)
      },
      fork: counting,
    }
  }
  const listener = await world.listen({ codec: counting() })
  for (let i = 0; i < 3; i++) {
    const { client, server } = await world.join(listener, { codec: counting() })
    await server.send('both ways')
    equal(String(await world.within(client.recv())), 'both ways')
  }
  ok(forks >= 1 + 3 * 3, `${forks} codecs`)
})

test('composed codecs are undone in the other order, and their bytes add up', async () => {
  const world = new World()
  const codec = composeCodecs(scrambler(3), scrambler(9))
  equal(codec.overhead, 8)
  const { client, server } = await world.pair({ codec })
  equal(client.config.mtu, 1_392)
  await client.send('twice wrapped')
  equal(String(await world.within(server.recv())), 'twice wrapped')
})

test('the 3x limit counts the bytes on the wire', async () => {
  const world = new World()
  const codec = scrambler(7)
  await world.listen({ preset: 'fast', codec }, (stream) => {
    for (let i = 0; i < 50; i++) stream.write(pattern(1_000))
  })
  let sent = 0
  world.network.tap = ({ event, to }, datagram) => {
    if (event === 'send' && to.address === 'victim') sent += datagram.length
  }
  const header = new Uint8Array(24 + 100)
  new DataView(header.buffer).setUint32(0, 7, true)
  header[4] = 81
  header[6] = 128
  header[20] = 100
  const trigger = codec.encode(header, SERVER) as Uint8Array
  world.network.inject(trigger, { address: 'victim', port: 1 }, SERVER)
  await world.run(20_000)
  ok(sent <= 3 * trigger.length + 9 * 28, `${sent} bytes for ${trigger.length}`)
})

test('receive byte caps close the window, and nothing is lost', async () => {
  const world = new World({ link: { delayMs: 5, loss: 0.05 }, seed: 8 })
  const { client, server } = await world.pair({
    preset: 'turbo',
    server: { maxRecvBytes: 50_000, recvBufferSize: 4_096 },
    stallTimeout: 0,
  })
  let sent = 0
  const sending = (async () => {
    for (; sent < 300; sent++) await client.send(pattern(2_000, sent))
  })()
  await world.run(20_000)
  const { rcvBytes } = server.stats()
  ok(rcvBytes <= 50_000 + 2_000, `${rcvBytes} bytes kept`)
  equal(client.stats().rmtWnd, 0)
  const sizes: number[] = []
  for (let i = 0; i < 300; i++) {
    const message = await world.within(server.recv())
    ok(message?.equals(pattern(2_000, i)), `message ${i}`)
    sizes.push(server.stats().rcvBytes)
  }
  await world.within(sending)
  await world.within(client.flushed())
  ok(Math.max(...sizes) <= 52_000)
  deepEqual([server.stats().rcvBytes, client.stats().sndBuf], [0, 0])
})

test('a message that cannot fit into the byte cap ends the conversation, at both ends', async () => {
  const world = new World()
  const { client, server } = await world.pair({ preset: 'fast', server: { maxRecvBytes: 10_000 } })
  equal(client.maxMessageSize, 32 * 1_376, 'what every peer takes, though this one told 7 slots')
  await client.send('before')
  const closed = Promise.all([nextEvent(client, 'close'), nextEvent(server, 'close')])
  await client.send(pattern(32 * 1_376))
  equal(String(await world.within(server.recv())), 'before')
  await rejects(world.within(server.recv()), { code: 'ERR_KCP_LIMIT' })
  deepEqual(await world.within(closed), ['reset', 'limit'])
})

test('a message as large as the byte cap arrives, also as the first one', async () => {
  const world = new World()
  const listener = await world.listen({ maxRecvBytes: 124 * 1_376 })
  const client = await world.connect()
  await client.send(pattern(124 * 1_376))
  const sending = client.send('next')
  const server = (await world.within(listener.accept()))!
  ok((await world.within(server.recv()))?.equals(pattern(124 * 1_376)))
  equal(String(await world.within(server.recv())), 'next')
  await sending
})
