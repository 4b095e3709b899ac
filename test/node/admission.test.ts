import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import type { KcpStream } from '../../src/node/index.ts'
import {
  CloseCode,
  decodeNotice,
  encodeNotice,
  NOTICE_SIZE,
  NoticeKind,
} from '../../src/session/close-notice.ts'
import type { PeerAddress } from '../../src/session/transport.ts'
import { Prng } from '../../src/sim/prng.ts'
import { formatDatagram, parseTrace } from '../../src/sim/trace.ts'
import { nextEvent, pattern, SERVER, World } from '../support/pair.ts'
import { StockPeer } from '../support/stock-peer.ts'

const VICTIM: PeerAddress = { address: 'victim', port: 53 }

/** Bytes and datagrams that the server sends to an address. */
function meter(world: World, address: string): { bytes: number; datagrams: number } {
  const sum = { bytes: 0, datagrams: 0 }
  const { tap } = world.network
  world.network.tap = (hop, datagram, now) => {
    tap?.(hop, datagram, now)
    if (hop.event !== 'send' || hop.from.address !== 'server' || hop.to.address !== address) return
    sum.bytes += datagram.length
    sum.datagrams++
  }
  return sum
}

/** An application that greets with far more than it was sent. */
function chatty(stream: KcpStream): void {
  for (let i = 0; i < 120; i++) stream.write(pattern(1_376))
}

test('a spoofed first PUSH makes a chatty server send no more than 3x and a few small repeats; then it forgets', async () => {
  for (const preset of ['default', 'fast'] as const) {
    for (const payload of [0, 10, 200, 1_376]) {
      const world = new World()
      const listener = await world.listen({ preset }, chatty)
      const reasons: string[] = []
      listener.on('connection', (stream) => stream.on('close', (reason) => reasons.push(reason)))
      const sent = meter(world, 'victim')
      const trigger = parseTrace(`push sn=0 frg=0 <${payload} B>`, { conv: 7 })
      world.network.inject(trigger, VICTIM, SERVER)
      await world.run(4_900)
      equal(listener.stats().pending, 1)
      await world.run(200)
      const { sessions, pending, tombstones, memoryUsed } = listener.stats()
      deepEqual(
        { sessions, pending, tombstones, memoryUsed },
        {
          sessions: 0,
          pending: 0,
          tombstones: 0,
          memoryUsed: 0,
        },
      )
      deepEqual(reasons, ['timeout'])
      await world.run(600_000)
      const limit = 3 * trigger.length + 240
      const what = `${preset}, ${trigger.length} bytes in: ${sent.bytes} bytes in ${sent.datagrams} datagrams out`
      ok(sent.bytes <= limit, what)
      ok(sent.bytes >= 24, what)
    }
  }
})

test('a spoofer who says that the window is closed is not asked about it beyond the limit', async () => {
  for (const keepAlive of [0, 200]) {
    const world = new World()
    const listener = await world.listen({ preset: 'fast', keepAlive }, chatty)
    const sent = meter(world, 'victim')
    world.network.inject(parseTrace('push sn=0 frg=0 wnd=0 ""', { conv: 7 }), VICTIM, SERVER)
    await world.run(60_000)
    equal(listener.stats().sessions, 0)
    ok(sent.bytes <= 3 * 24 + 8 * 24 + 20, `${sent.bytes} bytes, keepAlive ${keepAlive}`)
  }
})

test('a spoofer who repeats himself gets no more than 3x of all he sent', async () => {
  const world = new World()
  const listener = await world.listen({ preset: 'fast' }, chatty)
  const sent = meter(world, 'victim')
  let spent = 0
  for (let i = 0; i < 200; i++) {
    const datagram = parseTrace(`push sn=${i % 5} frg=0 "x" | push sn=0 frg=0 "x"`, { conv: 7 })
    spent += datagram.length
    world.network.inject(datagram, VICTIM, SERVER)
    await world.run(100)
  }
  ok(sent.bytes <= 3 * spent + 240, `${sent.bytes} bytes for ${spent}`)
  equal(listener.stats().accepted, 1)
})

test('forged ACKs and window messages prove nothing', async () => {
  const world = new World()
  const listener = await world.listen({ preset: 'fast' }, chatty)
  const sent = meter(world, 'victim')
  const prng = new Prng(5)
  let spent = 0
  const inject = (line: string): void => {
    const datagram = parseTrace(line, { conv: 7 })
    spent += datagram.length
    world.network.inject(datagram, VICTIM, SERVER)
  }
  inject('push sn=0 frg=0 "x"')
  for (let i = 0; i < 100; i++) {
    await world.run(30)
    inject(`ack sn=${prng.int(0, 3)} una=${prng.int(0, 1)} ts=${prng.u32()} | wins una=0 | wask una=0`)
    inject(`ack sn=4294967295 una=0 ts=${prng.u32()}`)
  }
  equal(listener.stats().pending, 1)
  ok(sent.bytes <= 3 * spent + 240, `${sent.bytes} bytes for ${spent}`)
})

test('a stock client proves itself without knowing: a large answer costs one round trip more', async () => {
  const world = new World({ link: { delayMs: 50 } })
  await world.listen({ preset: 'fast' }, (stream) => {
    stream.on('data', () => stream.write(pattern(20_000)))
  })
  const peer = new StockPeer(world.network, world.clock, { conv: 9, to: SERVER })
  peer.send('GET')
  await world.until(() => peer.messages.length > 0, 5_000)
  ok(peer.messages[0]!.equals(pattern(20_000)))
  ok(world.clock.now() <= 100 + 100 + 60, `took ${world.clock.now()} ms`)
  deepEqual(peer.refused, [])
})

test('a stock client behind a very lossy path proves itself too, in all but a few of the worst cases', async () => {
  let failed = 0
  for (let seed = 1; seed <= 60; seed++) {
    const world = new World({ link: { delayMs: 30, loss: 0.3 }, seed })
    const listener = await world.listen({ preset: 'fast' }, (stream) => {
      stream.on('data', () => stream.write(pattern(5_000)))
    })
    const peer = new StockPeer(world.network, world.clock, { conv: 9, to: SERVER })
    peer.send('GET')
    await world.until(() => peer.messages.length > 0, 20_000).catch(() => undefined)
    if (peer.messages[0]?.equals(pattern(5_000))) equal(listener.stats().pending, 0, `seed ${seed}`)
    else failed++
  }
  ok(failed <= 1, `${failed} of 60`)
})

test('a client that sends now and then is challenged anew when every challenge so far was lost', async () => {
  const world = new World({ link: { delayMs: 30 } })
  const listener = await world.listen({ preset: 'fast' }, (stream) => stream.resume())
  const peer = new StockPeer(world.network, world.clock, { conv: 9, to: SERVER })
  // Everything but ACKs of data is lost on the way to it for a while.
  world.network.filter = (datagram, from) =>
    from.address !== 'server' || world.clock.now() > 7_000 || datagram[4] !== 81
  for (let i = 0; i < 5; i++) {
    peer.send('tick')
    await world.run(2_000)
  }
  deepEqual([listener.stats().sessions, listener.stats().pending], [1, 0])
  await world.run(20_000)
  equal(listener.stats().sessions, 1)
})

test('a client that only writes is proven as well, and lives longer than five seconds', async () => {
  const world = new World()
  const listener = await world.listen()
  const peer = new StockPeer(world.network, world.clock, { conv: 9, to: SERVER })
  peer.send('I never read')
  const server = (await world.within(listener.accept()))!
  await world.run(60_000)
  equal(server.closeReason, undefined)
  equal(server.stats().proven, true)
})

test('an unknown WASK is answered by a stateless WINS of 24 bytes; nothing is born', async () => {
  const world = new World()
  const listener = await world.listen({ kcp: { rcvWnd: 300 } })
  const asker = world.endpoint('asker')
  for (const conv of [1, 77, 4_294_967_295]) {
    asker.transport.send(parseTrace('wask', { conv }), SERVER)
    await world.run(20)
    equal(formatDatagram(asker.received.pop()!), 'wins una=0 wnd=300')
  }
  equal(listener.stats().accepted, 0)
  equal(listener.stats().drops.unknown, 3)
  const sent = meter(world, 'asker')
  const many = parseTrace(Array(50).fill('wask').join(' | '), { conv: 5 })
  asker.transport.send(many, SERVER)
  await world.run(20)
  equal(sent.bytes, 24, 'one answer, whatever the size of the question')
})

test('a listener that is closing answers a question with a refusal', async () => {
  const world = new World()
  const listener = await world.listen()
  await world.join(listener)
  void listener.close()
  const asker = world.endpoint('asker')
  asker.transport.send(parseTrace('wask', { conv: 5 }), SERVER)
  await world.run(50)
  deepEqual(
    asker.received.map((datagram) => decodeNotice(datagram)?.code),
    [CloseCode.Draining],
  )
})

test('a session is born from a PUSH of the first window only', async () => {
  const world = new World()
  const listener = await world.listen({ kcp: { rcvWnd: 128 } })
  const peer = world.endpoint('peer')
  const stillborn = [
    'ack sn=0 ts=5',
    'wins',
    'push sn=128 frg=0 "beyond the window"',
    'push sn=4294967295 frg=0 "before it"',
    'push sn=0 una=1 frg=0 "we never sent anything"',
    'ack sn=0 ts=1 | push sn=0 frg=0 "behind an ACK"',
    '? <24 B>',
  ]
  for (const line of stillborn) peer.transport.send(parseTrace(line, { conv: 7 }), SERVER)
  const truncated = parseTrace('push sn=0 frg=0 "cut off"', { conv: 7 })
  peer.transport.send(truncated.subarray(0, truncated.length - 1), SERVER)
  await world.run(100)
  equal(listener.stats().accepted, 0)
  ok(
    peer.received.every(({ length }) => length <= 24),
    'and no answer is larger than the question',
  )
  peer.transport.send(parseTrace('push sn=127 frg=0 "the last of the window"', { conv: 7 }), SERVER)
  await world.run(50)
  equal(listener.stats().accepted, 1, 'reordering costs nothing')
})

test('a first segment that is late by seconds is waited for', async () => {
  const world = new World({ link: { delayMs: 30 } })
  const listener = await world.listen()
  const peer = new StockPeer(world.network, world.clock, { conv: 9, to: SERVER })
  let lost = 0
  world.network.filter = (datagram) =>
    !(datagram[4] === 81 && datagram[12] === 0 && datagram[16] === 0 && lost++ < 4)
  peer.send('the first')
  await world.run(15)
  peer.send('the second')
  const server = (await world.within(listener.accept()))!
  equal(String(await world.within(server.recv())), 'the first')
  equal(String(await world.within(server.recv())), 'the second')
  equal(lost, 5)
  await world.run(60_000)
  equal(server.closeReason, undefined)
})

test('maxPending: strangers fill no table, and there is room again after five seconds', async () => {
  const world = new World()
  const listener = await world.listen({ maxPending: 50 }, () => undefined)
  const knock = (host: number): void => {
    world.network.inject(
      parseTrace('push sn=0 frg=0 "x"', { conv: 1 + host }),
      { address: `10.0.${host >> 8}.${host & 255}`, port: 9 },
      SERVER,
    )
  }
  for (let host = 0; host < 200; host++) knock(host)
  await world.run(50)
  const { sessions, pending, drops } = listener.stats()
  deepEqual([sessions, pending, drops.pending], [50, 50, 150])
  await world.run(5_100)
  deepEqual([listener.stats().sessions, listener.stats().pending, listener.stats().tombstones], [0, 0, 0])
  const { client } = await world.join(listener).catch(() => ({ client: undefined }))
  equal(client, undefined, 'streams go to the connection listener here')
  await world.run(100)
  equal(listener.stats().sessions, 1)
})

test('while forged addresses hold every place, clients of ours and stock ones get in after one repeat', async () => {
  for (const [seed, loss] of [
    [1, 0],
    [2, 0.1],
  ] as const) {
    const world = new World({ link: { delayMs: 20, loss }, seed })
    const listener = await world.listen({ preset: 'fast', maxPending: 20 }, (stream) => {
      stream.on('data', (chunk) => stream.write(chunk))
    })
    let host = 0
    const flood = (): void => {
      for (let i = 0; i < 20; i++, host++) {
        const from = { address: `10.${host >> 16}.${(host >> 8) & 255}.${host & 255}`, port: 9 }
        world.network.link(from, SERVER).set({ loss: 0, delayMs: 0 })
        world.network.inject(parseTrace('push sn=0 frg=0 "x"', { conv: 1 + host }), from, SERVER)
      }
      world.clock.setTimeout(flood, 250)
    }
    flood()
    await world.run(50)
    equal(listener.stats().pending, 20)
    for (let i = 0; i < 8; i++) {
      const client = await world.connect({ preset: 'fast' })
      await client.send(`ours ${i}`)
      const began = world.clock.now()
      equal(String(await world.within(client.recv(), 20_000)), `ours ${i}`, `seed ${seed}`)
      if (loss === 0) ok(world.clock.now() - began < 300, `took ${world.clock.now() - began} ms`)
      client.destroy()
      const peer = new StockPeer(world.network, world.clock, { conv: 900 + i, to: SERVER })
      peer.send(`stock ${i}`)
      await world.until(() => peer.messages.length > 0, 20_000)
      equal(String(peer.messages[0]), `stock ${i}`)
    }
    const { challenged, challengesAnswered, drops } = listener.stats()
    // Some find one of the places that fall free together every five seconds.
    ok(challengesAnswered >= 10, `${challengesAnswered} proved themselves without a place`)
    equal(challenged, drops.pending)
  }
})

test('a session that is proven frees its place among the pending', async () => {
  const world = new World()
  const listener = await world.listen({ maxPending: 1 })
  for (let i = 0; i < 5; i++) {
    await world.join(listener)
    await world.run(50)
  }
  deepEqual([listener.stats().sessions, listener.stats().pending], [5, 0])
})

test('maxPendingPerHost: one host takes the places of no other; an IPv6 host is a /64', async () => {
  const world = new World()
  const listener = await world.listen({ maxPendingPerHost: 4 }, () => undefined)
  const push = parseTrace('push sn=0 frg=0 "x"', { conv: 7 })
  const knock = (address: string, port: number): void => world.network.inject(push, { address, port }, SERVER)
  for (let port = 1; port <= 10; port++) {
    knock('10.0.0.1', port)
    knock('10.0.0.2', port)
    knock('::ffff:10.0.0.1', port)
    knock(`2001:db8:1:2::${port}`, 5)
    knock(`2001:db8:1:2:${port}:0:0:1`, 5)
    knock(`2001:db8:1:3::${port}`, 5)
  }
  await world.run(50)
  equal(listener.stats().pending, 4 * 4)
  equal(listener.stats().drops.pendingPerHost, 60 - 16)
})

test('the spellings of one /64 are one host, and those of two are two', async () => {
  const world = new World()
  const listener = await world.listen({ maxPendingPerHost: 1 }, () => undefined)
  const push = parseTrace('push sn=0 frg=0 "x"', { conv: 7 })
  // As inet_ntop writes them: the longest run of zeros is left out, wherever it is.
  const same = ['2001:db8::1', '2001:db8:0:0:1::', '2001:db8::1:0:0:1', '2001:db8:0:0:5:6:7:8']
  const others = ['2001:db8:0:1::1', '2001:db8:1::1', '1::4:5:6:7:8', '1:0:0:5::', '::1', 'fe80::1%eth0']
  for (const address of [...same, ...others]) world.network.inject(push, { address, port: 5 }, SERVER)
  await world.run(50)
  equal(listener.stats().pending, 1 + others.length)
})

test('forged close notices have no effect, however many and however well informed', async () => {
  const world = new World()
  const { client, server } = await world.pair({ preset: 'fast' })
  for (let i = 0; i < 20; i++) {
    client.write(String(i))
    server.write(String(i))
  }
  await world.run(300)
  const prng = new Prng(3)
  const at = { address: 'client', port: client.localPort! }
  // Off the path: address, port, conv, sn and all counters are known, the two clocks are not.
  for (let i = 0; i < 400; i++) {
    for (const [from, to, stream] of [
      [at, SERVER, server],
      [SERVER, at, client],
    ] as const) {
      const kind = [NoticeKind.Fin, NoticeKind.FinAck, NoticeKind.Reset][i % 3]!
      const sn = prng.chance(0.5) ? stream.kcp.rcvNxt : stream.kcp.sndNxt - 1
      const guess = (): number | undefined => (prng.chance(0.3) ? undefined : prng.u32())
      const notice = { conv: client.conv, kind, sn, done: prng.chance(0.5), ts: guess(), echo: guess() }
      world.network.inject(encodeNotice(notice), from, to)
    }
    await world.run(20)
  }
  deepEqual([client.closeReason, server.closeReason], [undefined, undefined])
  ok(client.stats().forgedNotices > 0 && server.stats().forgedNotices > 0)
  client.read()
  await client.send('still here')
  await world.run(100)
  ok(server.stats().rcvQueue + server.readableLength > 20)
})

test('notices from another address or for another conv do not even reach the session', async () => {
  const world = new World()
  const { client, server, listener } = await world.pair()
  const notice = encodeNotice({
    conv: client.conv,
    kind: NoticeKind.Reset,
    sn: server.kcp.rcvNxt,
    done: true,
    ts: client.kcp.now,
    echo: server.kcp.now,
  })
  equal(notice.length, NOTICE_SIZE)
  const before = listener.stats().drops.unknown
  world.network.inject(notice, { address: 'elsewhere', port: 1 }, SERVER)
  await world.run(50)
  equal(listener.stats().drops.unknown, before + 1)
  equal(server.closeReason, undefined)
  equal(server.stats().forgedNotices, 0)
})

test('late segments of an ended conversation open no ghost, and a repeated Fin is answered', async () => {
  const world = new World()
  const { client, server, listener } = await world.pair()
  const recorded: Uint8Array[] = []
  world.network.tap = ({ event, from }, datagram) => {
    if (event === 'send' && from.address === 'client') recorded.push(datagram.slice())
  }
  const from = { address: 'client', port: client.localPort! }
  server.resume()
  client.write('payload')
  await world.within(client.close())
  await world.run(1_000)
  equal(listener.stats().sessions, 0)
  equal(listener.stats().tombstones, 1)
  world.network.tap = undefined
  const sent = meter(world, 'client')
  const accepted = listener.stats().accepted
  for (const datagram of recorded) world.network.inject(datagram, from, SERVER)
  // Also one that looks like a first PUSH.
  const ts = new DataView(recorded[0]!.buffer).getUint32(8, true)
  world.network.inject(parseTrace(`push sn=0 ts=${ts} frg=0 "hi"`, { conv: client.conv }), from, SERVER)
  await world.run(1_000)
  equal(listener.stats().accepted, accepted)
  ok(listener.stats().drops.tombstone >= 2)
  ok(sent.datagrams > 0 && sent.bytes === sent.datagrams * NOTICE_SIZE, 'notices only')
})

test('a conversation that has ended may begin anew with the same conv and address, by another clock', async () => {
  const world = new World()
  const listener = await world.listen({ tombstoneTtl: 30_000 })
  // Each connect draws a clock of its own, as a client that restarted does.
  const again = (conv: number): ReturnType<World['join']> =>
    world.join(listener, {
      ownsTransport: true,
      conv,
      transport: world.network.transport('client', { port: 5 }),
    })
  const first = await again(42)
  first.server.resume()
  await world.within(first.client.close())
  await world.run(500)
  for (const conv of [42, 43, 42]) {
    const next = await again(conv)
    deepEqual([next.server.conv, next.server.remotePort], [conv, 5])
    await world.within(Promise.all([next.client.close(), next.server.close()]))
    await world.run(100)
  }
  equal(listener.stats().accepted, 4)
})

test('a new conv of a live address is a second session; the first goes on', async () => {
  const world = new World()
  const listener = await world.listen()
  const transport = world.network.transport('client', { port: 5 })
  const first = await world.join(listener, { conv: 1, transport })
  // The same address, as after a restart of the client that nobody heard of.
  const line = 'push sn=0 frg=0 "from the new one"'
  world.network.inject(parseTrace(line, { conv: 2 }), { address: 'client', port: 5 }, SERVER)
  const second = (await world.within(listener.accept()))!
  equal(String(await world.within(second.recv())), 'from the new one')
  await first.client.send('and I am still here')
  equal(String(await world.within(first.server.recv())), 'and I am still here')
  // Nobody at that address proves the second one.
  equal(await world.within(nextEvent(second, 'close'), 10_000), 'timeout')
  equal(first.server.closeReason, undefined)
})

test('tombstoneTtl 0: the same conv may come back at once', async () => {
  const world = new World()
  const listener = await world.listen({ tombstoneTtl: 0 })
  for (let i = 0; i < 3; i++) {
    const { client, server } = await world.join(listener, {
      conv: 42,
      transport: world.network.transport('client', { port: 5 }),
    })
    await world.within(Promise.all([client.close(), server.close()]))
    await world.run(500)
  }
  equal(listener.stats().tombstones, 0)
})

test('a refused client of ours learns at once that its conversation is unknown', async () => {
  const world = new World()
  const { client, server, listener } = await world.pair()
  await server.send('x')
  await world.within(client.recv())
  await world.within(server.flushed())
  world.network.filter = (_, from) => from.address !== 'server'
  server.destroy(new Error('mine'))
  await world.run(100)
  world.network.filter = undefined
  const reading = client.recv()
  await client.send('hello?')
  await rejects(world.within(reading, 1_000), { code: 'ERR_KCP_RESET' })
  equal(client.closeReason, 'reset')
  equal(listener.stats().accepted, 1)
})
