/**
 * The edge cases that upstream leaves to its callers, and that are the session's here (docs/EDGE-CASES.md).
 */
import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpError } from '../../src/core/errors.ts'
import { KCP_OVERHEAD } from '../../src/core/segment.ts'
import { encodeNotice, NoticeKind } from '../../src/session/close-notice.ts'
import type { KcpSession } from '../../src/session/session.ts'
import { SessionPair, type SessionPairOptions } from '../../src/sim/pair.ts'
import { formatDatagram, parseTrace } from '../../src/sim/trace.ts'

/** A pair whose client has said hello, and whose server has heard it. */
function opened(options: Partial<SessionPairOptions> = {}): SessionPair & { readonly server: KcpSession } {
  const pair = new SessionPair({ seed: 1, config: { preset: 'fast' }, link: { delayMs: 20 }, ...options })
  pair.write(pair.client, Uint8Array.of(1))
  pair.clock.advance(200)
  equal(pair.read(pair.server!)?.length, 1)
  pair.clock.advance(200)
  return pair as SessionPair & { readonly server: KcpSession }
}

/** Everything that leaves `from` during `run`, as text. */
function sentBy(pair: SessionPair, from: 'client' | 'server', run: () => void): string[] {
  const seen: string[] = []
  pair.network.tap = (hop, datagram) => {
    if (hop.event === 'send' && hop.from.address === from) seen.push(formatDatagram(datagram))
  }
  run()
  pair.network.tap = undefined
  return seen
}

function readAll(pair: SessionPair, session: KcpSession): number {
  let count = 0
  while (pair.read(session) !== undefined) count++
  return count
}

test('silence during a pause of the process does not count against the peer', () => {
  const pair = opened({
    client: { preset: 'fast', idleTimeout: 10_000, keepAlive: 0 },
    server: { preset: 'fast', idleTimeout: 0 },
  })
  const { client } = pair
  // The process stopped for 15 s: its scheduler, whose timer came that late, says so.
  client.forgive(15_000, pair.clock.now() + 15_000)
  pair.clock.advance(20_000)
  equal(client.closed, false, 'silence while nobody could listen does not count')
  pair.clock.advance(6_000)
  equal(client.closeReason, 'timeout')
})

test('what is heard before a gap is noticed counts from when it was heard, not from the future', () => {
  const { client, clock } = opened({
    client: { preset: 'fast', idleTimeout: 10_000, keepAlive: 0 },
    server: { preset: 'fast', idleTimeout: 0 },
  })
  // A clock that counts while the machine sleeps; the first thing after an hour of it is a datagram.
  const now = clock.now() + 3_600_000
  client.receive(parseTrace('wins una=1 wnd=128', { conv: client.conv }), now)
  client.forgive(3_600_000, now)
  client.run(now + 9_000)
  equal(client.closed, false)
  client.run(now + 11_000)
  equal(client.closeReason, 'timeout')
})

test('a timer never runs a session without work to do', () => {
  const pair = opened({ link: { delayMs: 40, loss: 0.2, jitterMs: 10 } })
  const { client, server } = pair
  let runs = 0
  let idle = 0
  for (const session of [client, server]) {
    const run = session.run.bind(session)
    session.run = (now) => {
      const before = session.kcp.counters.datagramsOut
      const again = run(now)
      runs++
      // A run that puts its ACKs off by a turn is answered by the next.
      if (!again && session.kcp.counters.datagramsOut === before) idle++
      return again
    }
  }
  pair.onChange = (session) => {
    while (pair.read(session) !== undefined);
  }
  for (let i = 0; i < 300; i++) {
    pair.write(client, new Uint8Array(300))
    pair.clock.advance(10)
  }
  pair.clock.advance(10_000)
  equal(client.drained, true)
  // Reads at the end of a turn touch a session that has just flushed; a timer that found nothing would come on top.
  ok(idle < runs * 0.6, `${idle} of ${runs} runs sent nothing`)
  const timers = runs
  pair.clock.advance(10_000)
  // One question each way, its answer, and what that touches.
  ok(runs - timers <= 6, `an idle pair ran ${runs - timers} times in 10 s`)
})

test('writable is false at the limit of queued segments, and at the limit of bytes', () => {
  const bySegments = opened({ config: { preset: 'fast', sendQueueLimit: 3 } })
  for (let i = 0; i < 3; i++) {
    equal(bySegments.client.writable, true)
    bySegments.write(bySegments.client, Uint8Array.of(i))
  }
  equal(bySegments.client.writable, false)
  bySegments.clock.advance(500)
  equal(bySegments.client.writable, true)

  const byBytes = opened({ config: { preset: 'fast', maxSendBytes: 1000 } })
  byBytes.write(byBytes.client, new Uint8Array(1000))
  equal(byBytes.client.writable, false)
  byBytes.clock.advance(500)
  equal(byBytes.client.writable, true)
})

test('pending ACKs of a flood are sent before their number passes a limit', () => {
  const pair = opened({ config: { preset: 'fast', kcp: { rcvWnd: 8192 } } })
  const { client, server } = pair
  const flood = new Uint8Array(24 * 2000)
  const header = new DataView(flood.buffer)
  for (let i = 0; i < 2000; i++) {
    const at = i * 24
    header.setUint32(at, client.conv, true)
    header.setUint8(at + 4, 81)
    header.setUint16(at + 6, 128, true)
    header.setUint32(at + 12, 1000 + i, true)
  }
  const sent = sentBy(pair, 'server', () => server.receive(flood, pair.clock.now()))
  equal(sent.flatMap((datagram) => datagram.split(' | ')).filter((one) => one.startsWith('ack')).length, 2000)
  equal(server.kcp.acks.count, 0)
})

test('a reopened window is advertised until data arrives, so a lost WINS costs no probe interval', () => {
  const pair = opened()
  const { client, server } = pair
  for (let i = 0; i < 200; i++) pair.write(client, new Uint8Array(10))
  pair.clock.advance(2_000)
  equal(client.kcp.rmtWnd, 0)
  // Every answer of the server is lost for a while.
  pair.network.link('server', 'client').set({ loss: 1 })
  const told = sentBy(pair, 'server', () => {
    readAll(pair, server)
    pair.clock.advance(300)
  })
  ok(told.filter((datagram) => datagram.includes('wins')).length >= 2, told.join('\n'))
  pair.network.link('server', 'client').set({ loss: 0 })
  pair.clock.advance(400)
  equal(readAll(pair, server) > 0, true, 'the rest came without waiting for the peer to ask')
  const later = sentBy(pair, 'server', () => pair.clock.advance(5_000))
  equal(later.filter((datagram) => datagram.includes('wins')).length, 0, 'and then it is told no more')
})

test('no WINS is sent while the reader keeps up', () => {
  const pair = opened()
  pair.onChange = (session) => void readAll(pair, session)
  const sent = sentBy(pair, 'server', () => {
    for (let i = 0; i < 50; i++) pair.write(pair.client, new Uint8Array(10))
    pair.clock.advance(2_000)
  })
  equal(sent.filter((datagram) => datagram.includes('wins')).length, 0)
})

test('until the peer has advertised its window, no more than 32 segments are sent', () => {
  const pair = new SessionPair({ seed: 1, config: { preset: 'turbo' }, link: { delayMs: 20 } })
  const sent = sentBy(pair, 'client', () => {
    for (let i = 0; i < 100; i++) pair.write(pair.client, new Uint8Array(1000))
    pair.clock.advance(10)
  })
  equal(sent.filter((datagram) => datagram.startsWith('push')).length, 32)
  pair.clock.advance(200)
  equal(readAll(pair, pair.server!), 100)
})

test("a message larger than the peer's window is rejected with the limit, and the session goes on", () => {
  const pair = opened()
  const { client } = pair
  const { mss } = client.kcp
  equal(client.maxMessageSize, 127 * mss)
  // The peer's receive window as kcp-go's.
  const small = opened({ config: { preset: 'fast', kcp: { maxFragments: 255 } } })
  small.onChange = (session) => {
    if (session === small.client) readAll(small, session)
    else if (session.kcp.rcv.queued < 100) readAll(small, session)
  }
  small.write(small.client, Uint8Array.of(2))
  small.clock.advance(200)
  small.onChange = undefined
  equal(
    small.client.maxMessageSize,
    128 * small.client.kcp.mss,
    '255 fragments, but the window has 128 slots',
  )
  throws(
    () => small.client.write(new Uint8Array(128 * mss + 1), small.clock.now()),
    (error) => {
      ok(KcpError.is(error, 'ERR_KCP_MESSAGE_TOO_LARGE'))
      deepEqual(error.detail, { size: 128 * mss + 1, limit: 128 * mss, fragments: 129, maxFragments: 128 })
      return true
    },
  )
  small.write(small.client, new Uint8Array(128 * mss))
  small.clock.advance(1000)
  equal(small.read(small.server)?.length, 128 * mss)
})

test('a late segment does not overwrite a newer window', () => {
  const pair = opened()
  const { client, server } = pair
  pair.write(server, Uint8Array.of(9))
  pair.clock.advance(200)
  pair.write(client, Uint8Array.of(2))
  pair.clock.advance(200)
  const before = client.kcp.rmtWnd
  // A WINS with wnd 0 from before the client's first segment was acknowledged.
  const stale = new Uint8Array(24)
  new DataView(stale.buffer).setUint32(0, client.conv, true)
  stale[4] = 84
  client.receive(stale, pair.clock.now())
  equal(client.kcp.rmtWnd, before)
})

test('a peer that lost its state gives no sign of life: its una starts again', () => {
  const pair = opened({ config: { preset: 'fast', idleTimeout: 3_000, keepAlive: 1_000 } })
  const { client } = pair
  pair.network.filter = () => false
  for (let i = 0; i < 40 && !client.closed; i++) {
    const wins = new Uint8Array(24)
    new DataView(wins.buffer).setUint32(0, client.conv, true)
    wins[4] = 84
    wins[6] = 128
    client.receive(wins, pair.clock.now())
    pair.clock.advance(100)
  }
  equal(client.closeReason, 'timeout')
})

test('the last bytes before an end: an ACK that is lost again and again is made good by a WINS', () => {
  const pair = opened({ config: { preset: 'fast', lingerTimeout: 5_000 } })
  const { client, server, clock } = pair
  // From now on the server's ACKs are lost; its WINS are not.
  pair.network.filter = (datagram, from) =>
    from.address !== 'server' || datagram[4] !== 82 || datagram.at(4 - 24) === 84
  pair.write(client, new Uint8Array(1_000))
  pair.end(client)
  clock.advance(1_000)
  equal(readAll(pair, server), 1)
  equal(client.drained, true)
  clock.advance(100)
  equal(server.ended, true)
  // Data that is lost again and again, of a peer that answers: longer than lingerTimeout, but not than stallTimeout.
  const slow = opened({
    config: { preset: 'fast', lingerTimeout: 5_000, stallTimeout: 40_000, idleTimeout: 0 },
  })
  const born = slow.clock.now()
  slow.network.filter = (datagram, from) => from.address === 'server' || datagram[4] !== 81
  slow.write(slow.client, new Uint8Array(1_000))
  slow.end(slow.client)
  slow.clock.advance(20_000)
  equal(slow.client.closed, false)
  slow.network.filter = undefined
  slow.clock.advance(20_000)
  equal(slow.client.drained, true, `${slow.clock.now() - born} ms`)
  const stuck = opened({
    config: { preset: 'fast', lingerTimeout: 5_000, stallTimeout: 40_000, idleTimeout: 0 },
  })
  stuck.network.filter = (datagram, from) => from.address === 'server' || datagram[4] !== 81
  stuck.write(stuck.client, new Uint8Array(1_000))
  stuck.end(stuck.client)
  stuck.clock.advance(41_000)
  equal(stuck.client.closeReason, 'dead-link')
})

test('a forger who says that he has finished draws no Fins beyond the three-fold limit', () => {
  const pair = new SessionPair({ seed: 3, server: { preset: 'fast' } })
  const { network, clock, acceptor } = pair
  const victim = { address: 'victim', port: 5 }
  const to = { address: 'server', port: 1 }
  let [bytesIn, bytesOut] = [0, 0]
  network.tap = (hop, datagram) => {
    if (hop.event === 'send' && hop.from.address === 'victim') bytesIn += datagram.length
    if (hop.event === 'send' && hop.to.address === 'victim') bytesOut += datagram.length
  }
  // An application that ends when its peer has.
  pair.onChange = (session) => {
    readAll(pair, session)
    if (session.ended && session.open) pair.end(session)
  }
  network.inject(parseTrace('push sn=0 frg=0 "x"', { conv: 7 }), victim, to)
  clock.advance(10)
  // He made the clock up himself.
  const fin = { conv: 7, kind: NoticeKind.Fin, sn: 1, done: false, ts: 10, echo: undefined }
  network.inject(encodeNotice(fin), victim, to)
  clock.advance(30_000)
  equal(acceptor.sessions, 0)
  ok(bytesOut <= 3 * bytesIn + 8 * 24 + 20, `${bytesOut} bytes for ${bytesIn}`)
})

test('a peer that has left after its Fin, and has everything of ours, left in peace: only its answer to our Fin was lost', () => {
  const far = { address: 'client', port: 1 }
  for (const [error, ended, reason] of [
    [undefined, true, 'peer'],
    [undefined, false, 'reset'],
    [new KcpError('ERR_KCP_HANDSHAKE', 'no new keys'), true, 'reset'],
  ] as const) {
    const pair = opened()
    const { client, server, clock } = pair
    if (ended) client.end(clock.now())
    pair.scheduler.touch(client)
    clock.advance(500)
    pair.network.link('client', 'server').set({ loss: 1 })
    server.end(clock.now())
    pair.scheduler.touch(server)
    clock.advance(500)
    equal(server.closed, false)
    pair.acceptor.peerClosed(far, error)
    equal(server.closeReason, reason)
    equal(server.closeError?.code, reason === 'peer' ? undefined : (error?.code ?? 'ERR_KCP_RESET'))
  }
})

test('a controller that lets nothing go in one flush is asked again in the next interval', () => {
  const pair = opened({ config: { preset: 'fast', keepAlive: 0, idleTimeout: 0 } })
  const { client, server, clock } = pair
  let asked = 0
  client.kcp.setCongestion({
    name: 'shut for a while',
    onTick: (state) => {
      state.cwnd = ++asked < 5 ? 0 : 1
    },
  })
  // Nothing is in flight, so no timer and no answer of the peer would ever bring the next flush.
  equal(client.kcp.snd.inFlight, 0)
  pair.write(client, Uint8Array.of(7))
  clock.advance(client.config.flushInterval * 3)
  equal(client.kcp.snd.queued, 1)
  clock.advance(client.config.flushInterval * 3 + 20)
  deepEqual(pair.read(server), Uint8Array.of(7))
  // With nothing to send nobody is asked.
  clock.advance(1_000)
  const before = asked
  clock.advance(10_000)
  equal(asked, before)
})

test('two ends between which only recovered segments came believe the end of each other', () => {
  const pair = new SessionPair({ seed: 1, config: { preset: 'fast' }, link: { delayMs: 20 } })
  const asRecovered = (session: KcpSession): void => {
    const { receive } = session
    session.receive = (datagram, now, wireSize) =>
      receive.call(session, datagram, now, wireSize, datagram.length > KCP_OVERHEAD)
  }
  asRecovered(pair.client)
  pair.write(pair.client, Uint8Array.of(1))
  pair.clock.advance(200)
  const server = pair.server!
  asRecovered(server)
  equal(pair.read(server)?.length, 1)
  pair.write(server, Uint8Array.of(2))
  pair.clock.advance(200)
  equal(pair.read(pair.client)?.length, 1)
  pair.end(pair.client)
  pair.clock.advance(500)
  equal(server.ended, true)
  pair.end(server)
  pair.clock.advance(500)
  deepEqual([pair.client.closeReason, server.closeReason], ['local', 'peer'])
})
