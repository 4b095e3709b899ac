/** Streams with FEC and packet ciphers, in a network in memory on a virtual clock. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { describe, test } from 'node:test'
import { FecKind, fecKind } from '../../src/fec/header.ts'
import {
  aesCipher,
  aesGcmCipher,
  createServer,
  type FecOptions,
  type KcpError,
  KcpSessionConfig,
  type KcpStream,
  noneCipher,
  type PacketCipher,
  type PacketCodec,
  salsa20Cipher,
} from '../../src/index.ts'
import { nextEvent, type PairOptions, pattern, SERVER, World } from '../support/pair.ts'

const KEY = pattern(16, 3)
const FEC: FecOptions = { data: 10, parity: 3 }

/** What wrong configurations say, by code. */
const warnings: string[] = []
process.on('warning', (warning) => {
  const { code } = warning as NodeJS.ErrnoException
  if (code?.startsWith('KCP_') === true) warnings.push(`${code} ${warning.message}`)
})

/** Warnings since the latest call; process warnings come a turn later. */
async function warned(): Promise<string[]> {
  await new Promise((resolve) => setImmediate(resolve))
  return warnings.splice(0)
}

/** Sends `count` messages each way at once, and reads them. */
async function exchange(world: World, client: KcpStream, server: KcpStream, count = 100): Promise<void> {
  const send = async (from: KcpStream, seed: number): Promise<void> => {
    for (let i = 0; i < count; i++) await from.send(pattern(100 + ((i * 37) % 1200), seed + i))
  }
  const read = async (to: KcpStream, seed: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      ok((await to.recv())?.equals(pattern(100 + ((i * 37) % 1200), seed + i)), `message ${i}`)
    }
  }
  await world.within(Promise.all([send(client, 0), send(server, 7), read(server, 0), read(client, 7)]))
}

describe('mss', () => {
  // What is left of each mtu: without anything, FEC, a classic cipher, both, an AEAD, both.
  const table: readonly (readonly number[])[] = [
    [576, 552, 544, 532, 524, 524, 516],
    [1350, 1326, 1318, 1306, 1298, 1298, 1290],
    [1400, 1376, 1368, 1356, 1348, 1348, 1340],
    [1500, 1476, 1468, 1456, 1448, 1448, 1440],
  ]
  for (const [mtu, ...sizes] of table) {
    test(`of an mtu of ${mtu}, and the largest datagram is exactly that`, async () => {
      const ciphers: (PacketCipher | undefined)[] = [undefined, aesCipher(KEY), aesGcmCipher(KEY)]
      for (const [i, cipher] of ciphers.entries()) {
        for (const [j, fec] of [undefined, { data: 3, parity: 1 }].entries()) {
          const world = new World()
          let largest = 0
          let smallestParity = Number.POSITIVE_INFINITY
          world.network.tap = ({ event }, datagram) => {
            if (event === 'send') largest = Math.max(largest, datagram.length)
          }
          const both: PairOptions = {
            preset: 'fast',
            kcp: { mtu: mtu! },
            ...(cipher === undefined ? {} : { crypto: cipher }),
            ...(fec === undefined ? {} : { fec }),
          }
          const { client, server } = await world.pair(both)
          const mss = sizes[2 * i + j]!
          equal(client.config.mtu - 24, mss)
          for (let n = 0; n < 12; n++) await client.send(pattern(mss, n))
          for (let n = 0; n < 12; n++) ok((await world.within(server.recv()))?.equals(pattern(mss, n)))
          equal(largest, mtu)
          const { fec: counted } = client.stats()
          if (fec !== undefined) smallestParity = counted!.parityOut
          ok(smallestParity > 0)
        }
      }
    })
  }

  test('nothing is left of a small mtu: an error at the door', async () => {
    const world = new World()
    const transport = world.network.transport('client', { maxDatagramSize: 80 })
    const error = await world.connect({ transport, fec: FEC, crypto: aesGcmCipher(KEY) }).catch((e) => e)
    equal((error as KcpError).code, 'ERR_KCP_CONFIG')
  })
})

const combinations: readonly (readonly [string, PairOptions])[] = [
  ['fec', { fec: FEC }],
  ['fec 3/1 and aes', { fec: { data: 3, parity: 1 }, crypto: aesCipher(KEY) }],
  ['aes-gcm', { crypto: aesGcmCipher(KEY) }],
  ['fec 1/1 and none', { fec: { data: 1, parity: 1 }, crypto: noneCipher() }],
  ['fec and salsa20, autotune', { fec: { ...FEC, autotune: true }, crypto: salsa20Cipher(KEY) }],
]
for (const [name, options] of combinations) {
  test(`${name}: both ways at 20 % loss, and an orderly end`, async () => {
    const world = new World({ link: { delayMs: 20, jitterMs: 3, loss: 0.2 }, seed: 5 })
    const { client, server, listener } = await world.pair({ preset: 'fast', ...options })
    await exchange(world, client, server)
    const { crypto, fec } = server.stats()
    equal(crypto !== undefined, options.crypto !== undefined)
    equal(fec !== undefined, options.fec !== undefined)
    if (fec !== undefined) {
      ok(fec.recovered > 0 && fec.dataOut > 0 && fec.parityOut > 0, JSON.stringify(fec))
      equal(fec.misplaced + fec.badSegments, 0)
      equal(listener.stats().fec.recovered, fec.recovered)
    }
    if (crypto !== undefined) {
      ok(crypto.sealed > 0 && crypto.opened > 0)
      equal(crypto.refused, 0)
    }
    const ended = nextEvent(server, 'close')
    server.resume()
    await world.within(client.close())
    equal(await world.within(ended), 'peer', 'the notice was understood')
    equal(listener.stats().fec.recovered, fec?.recovered ?? 0, 'counts outlive their conversation')
    deepEqual(await warned(), [])
  })
}

test('what is on the wire is sealed: no conv, no marks, also in answers to strangers', async () => {
  const world = new World()
  const conv = 0x11223344
  const seen: Uint8Array[] = []
  world.network.tap = ({ event }, datagram) => {
    if (event === 'send') seen.push(datagram.slice())
  }
  const { client, listener } = await world.pair({ crypto: aesGcmCipher(KEY), client: { conv } })
  client.destroy()
  await world.run(1_000)
  // It asks, and a listener answers without a session.
  const knocking = await world.within(world.connect({ crypto: aesGcmCipher(KEY), waitForPeer: true }))
  equal(knocking.closeReason, undefined)
  ok(seen.length >= 5)
  for (const datagram of seen) ok(!Buffer.from(datagram).includes(Buffer.of(0x44, 0x33, 0x22, 0x11)))
  equal(listener.stats().accepted, 1)
})

test('a codec is outside of cipher and FEC, and sees parity too', async () => {
  const world = new World()
  let kinds = ''
  const cipher = noneCipher()
  const codec: PacketCodec = {
    overhead: 1,
    encode: (datagram) => {
      // kcp-go's none: 20 bytes, and then what FEC made.
      if (datagram.length > 28) kinds += fecKind(datagram, 20, datagram.length)
      return Uint8Array.of(7, ...datagram)
    },
    decode: (datagram) => (datagram[0] === 7 ? datagram.slice(1) : null),
  }
  const { client, server } = await world.pair({ codec, crypto: cipher, fec: { data: 2, parity: 1 } })
  equal(client.config.mtu, 1400 - 1 - 20 - 8)
  await exchange(world, client, server, 20)
  ok(kinds.includes(`${FecKind.Data}${FecKind.Parity}`), kinds)
  ok(!kinds.includes(String(FecKind.Bare)))
})

test('channels share the groups of their conversation: parity of one gives back data of another', async () => {
  const world = new World({ link: { delayMs: 10 } })
  const { client, server } = await world.pair({
    preset: 'fast',
    channels: 3,
    fec: { data: 3, parity: 1 },
    crypto: aesCipher(KEY),
  })
  const received: string[] = []
  for (const channel of server.channels) channel.on('data', (data: Buffer) => received.push(String(data)))
  // Each channel's turn is one datagram, all three one group.
  await world.run(500)
  const before = client.stats().fec!.dataOut
  const align = (3 - (before % 3)) % 3
  for (let i = 0; i < align; i++) {
    await client.send('a')
    await world.run(100)
  }
  let lose = -1
  world.network.filter = (_datagram, _from, to) => to.address !== SERVER.address || lose-- !== 0
  for (let round = 0; round < 6; round++) {
    for (const [i, channel] of client.channels.entries()) await channel.send(`${round}.${i}`)
    lose = round % 3
    await world.run(60)
  }
  await world.run(2000)
  for (let round = 0; round < 6; round++) for (let i = 0; i < 3; i++) ok(received.includes(`${round}.${i}`))
  ok(server.stats().fec!.recovered > 0, JSON.stringify(server.stats().fec))
  equal(server.channels[2]!.stats().fec!.recovered, server.stats().fec!.recovered, 'counted together')
})

describe('a peer that is configured differently', () => {
  const story = async (
    server: PairOptions,
    client: PairOptions,
  ): Promise<{ world: World; said: string[]; drops: object; accepted: number }> => {
    await warned()
    const world = new World()
    const listener = await world.listen({ preset: 'fast', ...server })
    const stranger = await world.connect({ preset: 'fast', ...client })
    await stranger.send('hello?')
    await world.run(10_000)
    const { drops, accepted } = listener.stats()
    return { world, said: await warned(), drops, accepted }
  }

  test('another key: nothing is delivered, counted, and said once', async () => {
    for (const make of [aesGcmCipher, aesCipher, salsa20Cipher]) {
      const { said, accepted, drops } = await story({ crypto: make(KEY) }, { crypto: make(pattern(16, 9)) })
      equal(accepted, 0)
      ok((drops as { cipher: number }).cipher >= 5)
      equal(said.length, 1)
      ok(/^KCP_CIPHER .*client port .*another key or cipher/.test(said[0]!), said[0])
    }
  })

  test('another cipher, none against a cipher, and a cipher against none', async () => {
    for (const [server, client] of [
      [{ crypto: aesCipher(KEY) }, { crypto: aesGcmCipher(KEY) }],
      [{ crypto: noneCipher() }, {}],
      [{}, { crypto: aesCipher(KEY) }],
      [{ fec: FEC }, { fec: FEC, crypto: noneCipher() }],
    ] as const) {
      const { said, accepted } = await story(server, client)
      equal(accepted, 0)
      equal(said.length, 1)
      ok(said[0]!.startsWith('KCP_CIPHER'))
    }
  })

  test('a client is told too, when the peer speaks first', async () => {
    await warned()
    const world = new World()
    const peer = world.endpoint('server', SERVER.port)
    const client = await world.connect({ crypto: aesGcmCipher(KEY) })
    const plain = await world.connect({})
    for (const stream of [client, plain]) {
      for (let i = 0; i < 20; i++) {
        peer.transport.send(pattern(100, i), { address: 'client', port: stream.localPort! })
        await world.run(10)
      }
    }
    equal(client.stats().crypto!.refused, 20)
    const said = await warned()
    equal(said.length, 2)
    ok(said[0]!.includes('another key or cipher') && said[1]!.includes('are not KCP'))
  })

  test('other numbers of shards: all data arrives, nothing false is rebuilt, and it is said once', async () => {
    await warned()
    const world = new World({ link: { delayMs: 10, loss: 0.05 }, seed: 3 })
    const { client, server } = await world.pair({
      preset: 'fast',
      client: { fec: { data: 3, parity: 1 } },
      server: { fec: FEC },
    })
    await exchange(world, client, server, 200)
    equal(server.stats().fec!.recovered, 0)
    ok(server.stats().fec!.misplaced > 8)
    const said = await warned()
    equal(said.filter((one) => one.startsWith('KCP_FEC')).length, 2, 'one at each end')
    ok(said[0]!.includes('data: '))
  })

  test('autotune finds them', async () => {
    await warned()
    const world = new World({ link: { delayMs: 10, loss: 0.05 }, seed: 3 })
    const { client, server } = await world.pair({
      preset: 'fast',
      client: { fec: { data: 3, parity: 1, autotune: true } },
      server: { fec: { ...FEC, autotune: true } },
    })
    await exchange(world, client, server, 300)
    ok(server.stats().fec!.recovered > 0)
    deepEqual(await warned(), [])
  })

  test('an end without FEC takes the data of one that has it, and leaves its parity', async () => {
    for (const [near, far] of [
      [{ fec: FEC }, {}],
      [{}, { fec: FEC }],
    ]) {
      const world = new World({ link: { delayMs: 10, loss: 0.05 }, seed: 3 })
      const { client, server } = await world.pair({ preset: 'fast', client: near!, server: far! })
      await exchange(world, client, server, 60)
      const plain = near!.fec === undefined ? client : server
      const { fec } = plain.stats()
      ok(fec!.data > 0 && fec!.parity > 0)
      equal(fec!.recovered + fec!.dataOut, 0)
      equal(plain.maxUnreliableSize, -1)
    }
    deepEqual(await warned(), [])
  })
})

test('noise at a listener warns of nothing: it comes from everywhere', async () => {
  await warned()
  const world = new World()
  const listener = await world.listen({ crypto: aesGcmCipher(KEY) })
  for (let i = 0; i < 100; i++) {
    world.network.inject(pattern(60, i), { address: `host${i}`, port: 1 }, SERVER)
  }
  await world.run(100)
  equal(listener.stats().drops.cipher, 100)
  equal(listener.stats().crypto.refused, 100)
  deepEqual(await warned(), [])
})

test('the 3x limit counts cipher, FEC and parity', async () => {
  const world = new World()
  const crypto = noneCipher()
  await world.listen({ preset: 'fast', crypto, fec: { data: 1, parity: 3 } }, (stream) => {
    for (let i = 0; i < 50; i++) stream.write(pattern(300))
    while (stream.sendUnreliable(pattern(200)));
  })
  let sent = 0
  world.network.tap = ({ event, to }, datagram) => {
    if (event === 'send' && to.address === 'victim') sent += datagram.length
  }
  const sealed = new Uint8Array(20 + 24 + 600)
  const view = new DataView(sealed.buffer)
  view.setUint32(20, 7, true)
  sealed[24] = 81
  sealed[26] = 128
  view.setUint32(40, 600, true)
  crypto.seal(sealed, 20, sealed.length)
  world.network.inject(sealed, { address: 'victim', port: 1 }, SERVER)
  await world.run(20_000)
  // Challenges and a notice come on top, as without FEC.
  ok(
    sent > 2 * sealed.length && sent <= 3 * sealed.length + 9 * (28 + 24),
    `${sent} bytes for ${sealed.length}`,
  )
})

test('strangers allocate no decoder: parity, out-of-band and broken datagrams are dropped and counted', async () => {
  const world = new World()
  const listener = await world.listen({ fec: FEC })
  const mark = (type: number, size: number): Uint8Array => {
    const datagram = new Uint8Array(60)
    datagram[4] = type
    datagram[6] = size
    return datagram
  }
  const from = { address: 'eve', port: 9 }
  for (let i = 0; i < 4; i++) {
    world.network.inject(mark(0xf2, 54), from, SERVER)
    world.network.inject(mark(0xf3, 54), from, SERVER)
    world.network.inject(mark(0xf1, 3), from, SERVER)
  }
  await world.run(100)
  const { drops, accepted, fec } = listener.stats()
  equal(accepted, 0)
  deepEqual([drops.unknown, drops.foreign], [8, 4])
  deepEqual(
    Object.values(fec).filter((n) => n !== 0),
    [],
  )
})

test('a conversation that follows another one from the same address has groups of its own', async () => {
  const world = new World({ link: { delayMs: 10, loss: 0.1 }, seed: 11 })
  const listener = await world.listen({ preset: 'fast', fec: { data: 3, parity: 1 } })
  for (let i = 0; i < 3; i++) {
    const transport = world.network.transport('client', { port: 77 })
    const client = await world.connect({ preset: 'fast', fec: { data: 3, parity: 1 }, transport })
    await client.send('hi')
    const server = (await world.within(listener.accept()))!
    await world.within(server.recv())
    await exchange(world, client, server, 60)
    ok(server.stats().fec!.recovered > 0)
    equal(server.stats().fec!.misplaced, 0)
    // Gone without a word; the next one comes while the listener still knows it.
    transport.close()
    await world.settle()
  }
})

test('silence gives the memory of groups back', async () => {
  const world = new World()
  const { client, server } = await world.pair({ preset: 'fast', fec: FEC, keepAlive: 0, idleTimeout: 0 })
  await exchange(world, client, server, 30)
  await world.run(5_000)
  await exchange(world, client, server, 30)
  const { fec } = server.stats()
  ok(fec!.parityOut > 0)
})

describe('out of band', () => {
  test('datagrams come as events, without order or repeats, whole, up to the limit', async () => {
    for (const [crypto, limit] of [
      [undefined, 1388],
      [aesCipher(KEY), 1368],
      [aesGcmCipher(KEY), 1360],
    ] as const) {
      const world = new World({ link: { delayMs: 10 } })
      let largest = 0
      world.network.tap = ({ event }, datagram) => {
        if (event === 'send') largest = Math.max(largest, datagram.length)
      }
      const { client, server } = await world.pair({ fec: FEC, ...(crypto === undefined ? {} : { crypto }) })
      const heard: Buffer[] = []
      server.on('unreliable', (data) => heard.push(data))
      equal(client.maxUnreliableSize, limit)
      ok(client.sendUnreliable(pattern(limit)))
      ok(client.sendUnreliable('text'))
      ok(client.sendUnreliable(new Uint8Array(0)))
      await world.run(50)
      deepEqual(heard, [pattern(limit), Buffer.from('text'), Buffer.alloc(0)])
      equal(largest, 1400)
      equal(client.stats().fec!.unreliableOut, 3)
      equal(server.stats().fec!.unreliableIn, 3)
      throws(() => client.sendUnreliable(pattern(limit + 1)), {
        code: 'ERR_KCP_MESSAGE_TOO_LARGE',
        detail: { size: limit + 1, limit, fragments: 1, maxFragments: 1 },
      })
      server.sendUnreliable('back')
      const back = nextEvent(client, 'unreliable')
      equal(String(await world.within(back)), 'back')
      throws(() => client.sendUnreliable(5 as unknown as string), TypeError)
      const closed = client.close()
      throws(() => client.sendUnreliable('late'), { code: 'ERR_KCP_CLOSED' })
      server.resume()
      await world.within(closed)
    }
  })

  test('without FEC it is an error of the program', async () => {
    const { client } = await new World().pair()
    throws(() => client.sendUnreliable('x'), { code: 'ERR_KCP_CONFIG' })
    equal(client.maxUnreliableSize, -1)
  })

  test('it neither opens a conversation nor keeps one alive, and other channels do not hear it', async () => {
    const world = new World()
    const listener = await world.listen({ fec: FEC, preset: 'fast' })
    const lonely = await world.connect({ fec: FEC, preset: 'fast' })
    equal(lonely.sendUnreliable('anybody?'), false, 'the listener would drop it')
    await world.run(1_000)
    deepEqual([listener.stats().accepted, listener.stats().drops.unknown], [0, 0])
    await lonely.send('a beginning')
    equal(lonely.sendUnreliable('too soon'), false)
    await world.within(lonely.flushed())
    equal(lonely.sendUnreliable('now'), true)

    const other = new World()
    const server = { idleTimeout: 2_000, keepAlive: 0 }
    const pair = await other.pair({ fec: FEC, channels: 2, server })
    const heard: string[] = []
    for (const [i, channel] of pair.server.channels.entries()) {
      channel.on('unreliable', (data) => heard.push(`${i} ${String(data)}`))
    }
    pair.client.channels[1]!.sendUnreliable('one')
    await other.run(100)
    deepEqual(heard, ['1 one'])
    for (let i = 0; i < 25; i++) {
      if (pair.client.closeReason === undefined) pair.client.sendUnreliable('alive')
      await other.run(100)
    }
    equal(pair.server.closeReason, 'timeout')
  })
})

describe('the kcpGo preset', () => {
  test('is what it says, and the mtu stays within what kcp-go reads', () => {
    const config = KcpSessionConfig.kcpGo()
    deepEqual(
      [config.kcpGoPeer, config.lifecycle, config.kcp.nodelay, config.kcp.fastLimit, config.kcp.mtu],
      [true, 'none', 2, 0, 1400],
    )
    deepEqual(KcpSessionConfig.kcpGo({ lifecycle: 'fin', kcpGoPeer: false }).kcpGoPeer, false)
    throws(() => KcpSessionConfig.kcpGo({ kcp: { mtu: 1501 } }), { code: 'ERR_KCP_CONFIG' })
    equal(KcpSessionConfig.kcpGo({ kcp: { mtu: 1500 } }).kcp.mtu, 1500)
  })

  test('sends no empty message, and none larger than the window that it knows of', async () => {
    const world = new World()
    const listener = await world.listen({ preset: 'kcpGo' })
    const client = await world.connect({ preset: 'kcpGo' })
    equal(client.maxMessageSize, 32 * 1376, 'the peer may be an untuned kcp-go')
    const empty = await client.send('').catch((error: unknown) => error)
    equal((empty as KcpError).code, 'ERR_KCP_SEND')
    await client.send('x')
    const server = (await world.within(listener.accept()))!
    await world.within(server.recv())
    await world.within(client.flushed())
    equal(client.maxMessageSize, 127 * 1376, 'it told a window of 128')
    const stream = await world.connect({ preset: 'kcpGo', kcp: { streamMode: true } })
    equal(await stream.send(''), 0, 'nothing is nothing in a stream')
  })

  test('an empty message of a peer is taken', async () => {
    const world = new World()
    const { client, server } = await world.pair({ server: { preset: 'kcpGo' } })
    await client.send('')
    equal((await world.within(server.recv()))?.length, 0)
  })
})

test('options that cannot be are refused at the door', async () => {
  const world = new World()
  for (const options of [
    { fec: { data: 0, parity: 3 } },
    { fec: { data: 10, parity: 0 } },
    { fec: { data: 254, parity: 3 } },
    { fec: { data: 10, parity: 3, autotune: 1 } },
    { fec: { data: 10, parity: 3, typo: 1 } },
    { fec: 'ten' },
    { crypto: {} },
    { crypto: 'aes' },
    { crypto: { ...noneCipher(), seal() {}, open() {}, headroom: -1 } },
  ]) {
    const error = (await world.connect(options as object).catch((e) => e)) as KcpError
    equal(error.code, 'ERR_KCP_CONFIG', JSON.stringify(options))
    throws(() => createServer(options as object), { code: 'ERR_KCP_CONFIG' })
  }
})
