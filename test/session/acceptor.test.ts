import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpError } from '../../src/core/errors.ts'
import { writeU32 } from '../../src/core/segment.ts'
import { CipherCounters, OpenResult, type PacketCipher } from '../../src/crypto/packet-cipher.ts'
import { FecEncoder } from '../../src/fec/encoder.ts'
import { Acceptor, type AcceptorOptions } from '../../src/session/acceptor.ts'
import { encodeNotice, NoticeKind } from '../../src/session/close-notice.ts'
import { type KcpSessionConfig, resolveSessionConfig } from '../../src/session/config.ts'
import { type AcceptorLimits, LIMIT_FIELDS, resolveLimits } from '../../src/session/listener-limits.ts'
import { peerKey, requireConv } from '../../src/session/peer.ts'
import { Scheduler, type Task } from '../../src/session/scheduler.ts'
import type { KcpSession } from '../../src/session/session.ts'
import type { DatagramTransport, PacketCodec } from '../../src/session/transport.ts'
import { VirtualClock } from '../../src/sim/clock.ts'
import { Prng } from '../../src/sim/prng.ts'
import { formatDatagram, parseTrace } from '../../src/sim/trace.ts'
import { encode, push } from '../fec/shards.ts'

class ListeningScheduler extends Scheduler {
  readonly #heard: Task[]
  constructor(clock: VirtualClock, heard: Task[]) {
    super(clock)
    this.#heard = heard
  }
  override touch(task: Task): void {
    this.#heard.push(task)
    super.touch(task)
  }
}

/** An acceptor whose peers are names, and what it sends. */
class Door {
  readonly clock = new VirtualClock()
  readonly sessions: KcpSession[] = []
  readonly sent: string[] = []
  /** Sessions that got a turn. */
  readonly heard: Task[] = []
  readonly scheduler: Scheduler = new ListeningScheduler(this.clock, this.heard)
  readonly acceptor: Acceptor<string>
  hasBacklog = true
  /** What the application does with a session at once. */
  onSession: (session: KcpSession) => void = () => undefined

  constructor(
    limits: Partial<AcceptorLimits> = {},
    config: KcpSessionConfig = {},
    codec?: PacketCodec<string>,
    channels = 1,
    kind: Pick<DatagramTransport, 'provesPeers' | 'knowsPeers'> = {},
    inside: Pick<AcceptorOptions<string>, 'cipher' | 'fec' | 'warn'> = {},
  ) {
    const transport: DatagramTransport<string> = {
      ...kind,
      send: (datagram, peer) => void this.sent.push(`${peer} < ${formatDatagram(datagram)}`),
      start: () => undefined,
      close: () => undefined,
    }
    this.acceptor = new Acceptor<string>({
      transport,
      config: resolveSessionConfig(config),
      limits: resolveLimits(limits),
      codec,
      ...inside,
      scheduler: this.scheduler,
      random: () => 1_000_000,
      hasBacklog: () => this.hasBacklog,
      channels,
      onSessions: (sessions) => {
        this.sessions.push(...sessions)
        for (const session of sessions) this.onSession(session)
      },
    })
  }

  knock(peer: string, line: string, conv = 7): void {
    this.receive(peer, parseTrace(line, { conv }))
  }
  receive(peer: string, datagram: Uint8Array): void {
    this.acceptor.receive(datagram, peer, this.clock.now())
  }
  /** What was sent since the last call, of one command. */
  take(word: string): string[] {
    return this.sent.splice(0).filter((line) => line.includes(word))
  }
  /** Answers the session's latest challenge, as any KCP does. */
  prove(peer: string, conv = 7): void {
    this.clock.advance(0)
    const own = this.sent.splice(0).filter((line) => line.startsWith(`${peer} `))
    const ts = /push sn=4294967295 .*?ts=(\d+)/.exec(own.join('\n'))?.[1]
    if (ts === undefined) throw new Error('there was no challenge')
    this.knock(peer, `ack sn=4294967295 ts=${ts}`, conv)
  }
}

test('a first PUSH opens a session, which then gets all of that peer and conv', () => {
  const door = new Door()
  door.knock('bob', 'push sn=0 frg=0 "one"')
  door.knock('bob', 'push sn=1 frg=0 "two"')
  equal(door.sessions.length, 1)
  const [session] = door.sessions
  deepEqual(door.heard, [session, session])
  deepEqual(
    [Buffer.from(session!.recv()!).toString(), Buffer.from(session!.recv()!).toString()],
    ['one', 'two'],
  )
  door.knock('bob', 'push sn=0 frg=0 "x"', 8)
  door.knock('eve', 'push sn=0 frg=0 "x"')
  equal(door.sessions.length, 3)
  const { sessions, pendingSessions, accepted, datagramsIn } = door.acceptor
  deepEqual(
    { sessions, pendingSessions, accepted, datagramsIn },
    {
      sessions: 3,
      pendingSessions: 3,
      accepted: 3,
      datagramsIn: 4,
    },
  )
})

test('every reason to drop a stranger s datagram has its counter', () => {
  const door = new Door({ maxConnections: 4, maxPending: 3, maxPendingPerHost: 2 })
  const { drops } = door.acceptor
  const counted = (): Record<string, number> =>
    Object.fromEntries(Object.entries(drops).filter(([, count]) => count > 0))
  door.receive('eve', new Uint8Array(30))
  deepEqual(counted(), { foreign: 1 })
  door.knock('eve', 'ack sn=0')
  deepEqual(counted(), { foreign: 1, unknown: 1 })
  const fin = { conv: 7, kind: NoticeKind.Fin, sn: 0, done: true, ts: 1, echo: 1 }
  door.receive('eve', encodeNotice(fin))
  deepEqual(counted(), { foreign: 1, unknown: 2 })

  for (const conv of [1, 2, 3]) door.knock('eve', 'push sn=0 frg=0 "x"', conv)
  deepEqual(counted(), { foreign: 1, unknown: 2, pendingPerHost: 1 })
  door.knock('bob', 'push sn=0 frg=0 "x"')
  door.knock('carol', 'push sn=0 frg=0 "x"')
  deepEqual(counted(), { foreign: 1, unknown: 2, pendingPerHost: 1, pending: 1 })
  door.prove('bob')
  equal(door.acceptor.pendingSessions, 2)
  door.hasBacklog = false
  door.knock('carol', 'push sn=0 frg=0 "x"')
  deepEqual(counted(), { foreign: 1, unknown: 2, pendingPerHost: 1, pending: 1, backlog: 1 })
  door.hasBacklog = true
  door.knock('carol', 'push sn=0 frg=0 "x"')
  equal(door.acceptor.sessions, 4)
  door.knock('dave', 'push sn=0 frg=0 "x"')
  deepEqual(counted(), { foreign: 1, unknown: 2, pendingPerHost: 1, pending: 1, backlog: 1, connections: 1 })
})

test('what a session drops is counted by its reason too, and stays counted when it is over', () => {
  const door = new Door({}, { maxRecvBytes: 200, kcp: { rcvWnd: 128 } })
  const counted = (): Record<string, number> =>
    Object.fromEntries(Object.entries(door.acceptor.totalDrops()).filter(([, count]) => count > 0))
  door.knock('bob', 'push sn=0 frg=0 "x"')
  const seen: Record<string, number> = {}
  const expect = (line: string | Uint8Array, reason: string): void => {
    if (typeof line === 'string') door.knock('bob', line)
    else door.receive('bob', line)
    seen[reason] = (seen[reason] ?? 0) + 1
    deepEqual(counted(), seen, reason)
  }
  expect('wins una=1', 'forgedUna')
  expect('ack sn=0 ts=5', 'staleAcks')
  expect('push sn=0 frg=0 "x"', 'duplicates')
  expect('push sn=129 frg=0 "x"', 'outOfWindow')
  expect('push sn=2 frg=0 <250 B>', 'overLimit')
  expect(
    encodeNotice({ conv: 7, kind: NoticeKind.Fin, sn: 1, done: true, ts: 500_000, echo: 1 }),
    'forgedNotices',
  )
  const short = parseTrace('wins', { conv: 7 })
  for (const size of [4, 19, 20, 21, 23]) expect(short.subarray(0, size), 'malformed')
  expect(parseTrace('push sn=1 frg=0 "xyz"', { conv: 7 }).subarray(0, 25), 'malformed')
  door.sessions[0]!.abort(0)
  equal(door.acceptor.sessions, 0)
  deepEqual(counted(), seen, 'after the end')
  door.knock('eve', 'ack sn=0')
  deepEqual(counted(), { ...seen, unknown: 1 })
})

test("with lifecycle 'none' a notice is noise, and counted", () => {
  const door = new Door({}, { lifecycle: 'none' })
  door.knock('bob', 'push sn=0 frg=0 "x"')
  door.receive('bob', encodeNotice({ conv: 7, kind: NoticeKind.Reset, sn: 0, done: true, ts: 1, echo: 1 }))
  equal(door.acceptor.totalDrops().malformed, 1)
  equal(door.sessions[0]!.closed, false)
})

/** The answers to a PUSH for which there was no place. */
function challengeTs(door: Door, peer: string): string {
  const line = door.sent.splice(0).find((one) => one.startsWith(`${peer} < push sn=4294967295`))
  const ts = /ts=(\d+)/.exec(line ?? '')?.[1]
  ok(ts !== undefined, `${peer} was challenged`)
  return ts
}

test('who finds no place is challenged without one, and once it has answered comes in at once', () => {
  for (const limits of [{ maxPending: 2 }, { maxPending: 2, maxPendingPerHost: 1 }]) {
    const door = new Door(limits)
    for (const host of ['eve1', 'eve2', 'eve3']) door.knock(host, 'push sn=0 frg=0 "x"')
    equal(door.acceptor.pendingSessions, 2)
    door.sent.length = 0
    door.knock('bob', 'push sn=0 frg=0 "hi"')
    equal(door.sent.length, 1)
    const ts = challengeTs(door, 'bob')
    deepEqual([door.acceptor.sessions, door.acceptor.challenged], [2, 2])

    door.knock('bob', `ack sn=4294967295 una=0 ts=${ts}`)
    deepEqual([door.acceptor.sessions, door.acceptor.challengesAnswered], [2, 1])
    equal(door.acceptor.drops.unknown, 0, 'the answer is no noise')
    door.clock.advance(200)
    door.knock('bob', 'push sn=0 frg=0 "hi"')
    deepEqual([door.acceptor.sessions, door.acceptor.pendingSessions], [3, 2])
    const session = door.sessions[2]!
    equal(session.proven, true)
    equal(String(Buffer.from(session.recv()!)), 'hi')
    // Its clock goes on where the challenge had it.
    session.write(new Uint8Array(1), door.clock.now())
    door.clock.advance(0)
    const sentAt = Number(/push sn=0 .*?ts=(\d+)/.exec(door.sent.join('\n'))![1])
    equal((sentAt - Number(ts)) >>> 0, 200)
    // The proof was for one session.
    session.abort(door.clock.now())
    door.knock('bob', 'push sn=0 frg=0 "hi"', 8)
    equal(door.acceptor.sessions, 2)
  }
})

test('an answer to a stateless challenge may bring the PUSH along', () => {
  const door = new Door({ maxPending: 1 })
  door.knock('eve', 'push sn=0 frg=0 "x"')
  door.knock('bob', 'push sn=0 frg=0 "hi"')
  const ts = challengeTs(door, 'bob')
  door.knock('bob', `ack sn=4294967295 una=0 ts=${ts} | push sn=0 frg=0 "hi"`)
  equal(String(Buffer.from(door.sessions[1]!.recv()!)), 'hi')
  equal(door.sessions[1]!.proven, true)
  // Behind the answer only what could have come first.
  door.knock('carol', 'push sn=0 frg=0 "hi"')
  const other = challengeTs(door, 'carol')
  for (const rest of ['push sn=500 frg=0 "hi"', 'push sn=0 una=1 frg=0 "hi"', 'wask']) {
    door.knock('carol', `ack sn=4294967295 una=0 ts=${other} | ${rest}`)
  }
  equal(door.acceptor.sessions, 2)
})

test('a first PUSH behind a question opens a session; a question alone is answered without one', () => {
  const door = new Door()
  // As a client asks that closes and whose first datagrams were all lost.
  door.knock('ann', 'wask | push sn=0 frg=0 "last words"')
  equal(String(Buffer.from(door.sessions[0]!.recv()!)), 'last words')
  // Its answers to two challenges may come first.
  const full = new Door({ maxPending: 1 })
  full.knock('eve', 'push sn=0 frg=0 "x"')
  full.knock('bob', 'push sn=0 frg=0 "hi"')
  const ack = `ack sn=4294967295 una=0 ts=${challengeTs(full, 'bob')}`
  full.knock('bob', `${ack} | ${ack} | wask | push sn=0 frg=0 "hi"`)
  equal(String(Buffer.from(full.sessions[1]!.recv()!)), 'hi')
  // An ACK of anything else is of another life, and what is much longer is not read to its end.
  for (const before of [['ack sn=0'], ['wask', 'ack sn=0'], new Array(9).fill('wask'), ['wins']]) {
    door.knock('eve', [...before, 'push sn=0 frg=0 "hi"'].join(' | '))
    equal(door.sessions.length, 1)
  }
  door.knock('bob', 'wask | push sn=0 una=1 frg=0 "of another life"')
  door.knock('bob', 'wask | ack sn=0')
  equal(door.sessions.length, 1)
})

test('what answers without a session tells no larger window than a session would', () => {
  for (const [maxRecvBytes, wnd] of [
    [undefined, 128],
    [10_000, 7],
    [100, 1],
  ] as const) {
    const door = new Door({}, { maxRecvBytes })
    door.knock('ann', 'wask')
    ok(door.take('wins')[0]!.includes(`wnd=${wnd}`), `${maxRecvBytes}`)
  }
})

test('all channels of a peer that proved itself without a place are proven', () => {
  const door = new Door({ maxPending: 1 }, {}, undefined, 4)
  door.knock('eve', 'push sn=0 frg=0 "x"', 9)
  door.knock('bob', 'push sn=0 frg=0 "hi"', 41)
  door.knock('bob', `ack sn=4294967295 una=0 ts=${challengeTs(door, 'bob')}`, 41)
  // Another channel of the same peer may be the first to come again.
  door.knock('bob', 'push sn=0 frg=0 "hi"', 43)
  deepEqual(
    door.sessions.slice(4).map(({ conv, proven }) => [conv, proven]),
    [40, 41, 42, 43].map((conv) => [conv, true]),
  )
  equal(door.acceptor.pendingSessions, 4)
})

test('what the codec refuses is counted, and makes no entry for its sender', () => {
  const codec: PacketCodec<string> = { overhead: 0, encode: (one) => one, decode: () => null }
  const door = new Door({}, {}, codec)
  for (let i = 0; i < 5; i++) door.knock(`eve${i}`, 'push sn=0 frg=0 "x"')
  equal(door.acceptor.drops.codec, 5)
  equal(door.acceptor.sessions, 0)
})

test('accepting = false: known sessions go on, strangers are refused', () => {
  const door = new Door()
  door.knock('bob', 'push sn=0 frg=0 "x"')
  door.acceptor.accepting = false
  door.knock('eve', 'push sn=0 frg=0 "x"')
  door.knock('eve', 'wask')
  door.knock('bob', 'push sn=1 frg=0 "y"')
  equal(door.sessions.length, 1)
  equal(door.heard.length, 2)
  deepEqual(door.take('wins'), [])
  const { closing, unknown } = door.acceptor.drops
  deepEqual({ closing, unknown }, { closing: 1, unknown: 1 })
})

test('a session leaves a tombstone; then its PUSH gets a Reset and its Fin an answer', () => {
  const door = new Door()
  door.knock('eve', 'push sn=0 frg=0 "x"')
  door.clock.advance(5_000)
  equal(door.sessions[0]!.closeReason, 'timeout')
  equal(door.acceptor.tombstones, 0, 'but one whose peer may never have been there')
  door.knock('bob', 'push sn=0 frg=0 "x"', 9)
  door.prove('bob', 9)
  equal(door.sessions[1]!.proven, true)
  door.sessions[1]!.abort(0)
  equal(door.acceptor.tombstones, 1)
  deepEqual([door.acceptor.sessions, door.acceptor.pendingSessions], [0, 0])
  door.take('')
  door.knock('bob', 'push sn=0 frg=0 "x"', 9)
  equal(door.acceptor.drops.tombstone, 1)
  equal(door.take('control <20 B>').length, 1)
  door.receive('bob', encodeNotice({ conv: 9, kind: NoticeKind.Fin, sn: 1, done: true, ts: 1, echo: 1 }))
  deepEqual([door.acceptor.drops.tombstone, door.acceptor.drops.unknown], [2, 0])
  door.clock.advance(60_000)
  door.knock('bob', 'push sn=0 frg=0 "x"', 9)
  equal(door.sessions.length, 3)
})

test("lifecycle 'none' answers a stranger's PUSH with nothing", () => {
  const door = new Door({}, { lifecycle: 'none' })
  door.knock('eve', 'push sn=5 una=3 frg=0 "x"')
  deepEqual(door.sent, [])
})

test('an answer is never longer than its question', () => {
  const door = new Door({ maxPendingPerHost: 1 })
  for (const line of ['wask', 'push sn=9000 frg=0 ""', 'push sn=0 una=1 frg=0 ""', 'ack sn=3', 'wins']) {
    const before = door.acceptor.traffic.bytesOut
    door.sent.length = 0
    door.knock('eve', line)
    ok(door.sent.length <= 1, line)
    for (const answer of door.sent) ok(/wins|control <20 B>/.test(answer), answer)
    ok(door.acceptor.traffic.bytesOut - before <= 24)
  }
})

test('fail ends every session with the reason of the path', () => {
  const door = new Door()
  for (const peer of ['a', 'b']) for (const conv of [1, 2]) door.knock(peer, 'push sn=0 frg=0 "x"', conv)
  const error = new KcpError('ERR_KCP_IO', 'gone')
  door.acceptor.fail(error)
  deepEqual(
    door.sessions.map(({ closeReason, closeError }) => [closeReason, closeError]),
    Array(4).fill(['reset', error]),
  )
  equal(door.acceptor.sessions, 0)
})

test('a session that the application ends while it is born is refused, once', () => {
  const door = new Door()
  const { push } = door.sessions
  door.sessions.push = (session) => {
    session.abort(0)
    return push.call(door.sessions, session)
  }
  door.knock('bob', 'push sn=0 frg=0 "x"')
  equal(door.acceptor.sessions, 0)
  equal(door.take('control <20 B>').length, 1)
  equal(door.heard.length, 0)
})

test('limits: defaults, ranges, and the names of the fields', () => {
  deepEqual(resolveLimits({}), {
    maxConnections: 65_536,
    maxConnectionsPerHost: 8_192,
    maxPending: 512,
    maxPendingPerHost: 64,
    maxMemory: 256 * 1024 * 1024,
    maxMemoryPerHost: 32 * 1024 * 1024,
    tombstoneTtl: 60_000,
  })
  for (const field of LIMIT_FIELDS) {
    const low = field === 'tombstoneTtl' ? 0 : 1
    equal(resolveLimits({ [field]: low })[field], low)
    equal(resolveLimits({ [field]: undefined })[field], resolveLimits({})[field])
    for (const value of [low - 1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '5', null]) {
      throws(() => resolveLimits({ [field]: value }), {
        code: 'ERR_KCP_CONFIG',
        message: new RegExp(`^${field} must be`),
      })
    }
  }
})

test('requireConv takes u32 above 0', () => {
  for (const conv of [1, 0x8000_0000, 0xffff_ffff]) equal(requireConv(conv), conv)
  for (const conv of [0, -1, 0x1_0000_0000, 0.5, Number.NaN, '1' as never, undefined as never]) {
    throws(() => requireConv(conv), { code: 'ERR_KCP_CONFIG' })
  }
})

test('the key of a peer is the transport s, or address|port, or the name itself', () => {
  const transport: DatagramTransport<unknown> = {
    send: () => undefined,
    start: () => undefined,
    close: () => undefined,
  }
  equal(peerKey(transport, { address: '::1', port: 5 }), '::1|5')
  equal(peerKey(transport, 'bob'), 'bob')
  equal(peerKey({ ...transport, peerKey: () => 'mine' }, 'bob'), 'mine')
})

test('24 bytes from an address that never answers draw 236: an ACK, eight challenges and a Reset', () => {
  for (const [greeting, size] of [
    [0, 0],
    [120, 1_300],
    [120, 24],
  ] as const) {
    const door = new Door({}, { preset: 'fast' })
    door.knock('victim', 'push sn=0 frg=0')
    for (let i = 0; i < greeting; i++) door.sessions[0]!.write(new Uint8Array(size), 0)
    door.clock.advance(60_000)
    const { bytesIn, traffic, sessions } = door.acceptor
    // Small data takes the place of the first challenge, at the price of three times what came.
    deepEqual(
      [sessions, bytesIn, traffic.bytesOut],
      [0, 24, size === 24 ? 72 + 7 * 24 + 20 : 24 + 8 * 24 + 20],
    )
  }
})

test('however many forged datagrams name one address: 64 places draw that much, the others no more than they are', () => {
  const door = new Door({}, { preset: 'fast' })
  for (let conv = 1; conv <= 10_000; conv++) door.knock('victim', 'push sn=0 frg=0', conv)
  equal(door.sessions.length, 64)
  door.clock.advance(60_000)
  const { bytesIn, traffic } = door.acceptor
  deepEqual([bytesIn, traffic.bytesOut], [10_000 * 24, 64 * 236 + (10_000 - 64) * 24])
})

test('channels that nothing came for end with the others, and draw no bytes', () => {
  for (const conv of [8, 10]) {
    const door = new Door({}, { preset: 'fast' }, undefined, 4)
    door.knock('victim', 'push sn=0 frg=0', conv)
    equal(door.sessions.length, 4)
    door.clock.advance(60_000)
    const { bytesIn, traffic, sessions, pendingSessions } = door.acceptor
    deepEqual([sessions, pendingSessions, bytesIn, traffic.bytesOut], [0, 0, 24, 236], `conv ${conv}`)
  }
})

test('what FEC has to say is said once, however many conversations give cause', () => {
  const said: string[] = []
  const warn = (code: string): void => void said.push(code)
  const door = new Door({}, {}, undefined, 1, {}, { fec: { data: 10, parity: 3, autotune: false }, warn })
  for (let conv = 1; conv <= 20; conv++) {
    const peer = `peer ${conv}`
    door.knock(peer, 'push sn=0 frg=0', conv)
    // Parity where this end expects data.
    for (let i = 0; i < 20; i++) {
      const shard = new Uint8Array(64)
      writeU32(shard, 0, i * 13)
      shard.set([0xf2, 0], 4)
      door.receive(peer, shard)
    }
  }
  deepEqual(said, ['KCP_FEC'])
})

test('whose first segment is late began with another server; but not where peers are known to one process alone', () => {
  for (const knowsPeers of [false, true]) {
    const door = new Door({}, {}, undefined, 1, { provesPeers: true, knowsPeers })
    door.knock('a', 'push sn=1 frg=0 <3 B>')
    door.clock.advance(60_000)
    equal(door.sessions[0]!.closeReason, knowsPeers ? undefined : 'reset')
    if (!knowsPeers) continue
    door.knock('a', 'push sn=0 frg=0 <2 B>')
    equal(door.sessions[0]!.recv()?.length, 2)
    equal(door.sessions[0]!.recv()?.length, 3)
  }
})

/** What was dropped, whatever for. */
function dropped(door: Door): number {
  return Object.values(door.acceptor.totalDrops()).reduce((sum, count) => sum + count, 0)
}

test('who is closed before its first segment is in was refused, and is told so', () => {
  const door = new Door()
  door.onSession = (session) => session.abort(0)
  door.knock('eve', 'push sn=0 frg=0 "x"')
  deepEqual([door.acceptor.accepted, door.acceptor.sessions, door.acceptor.drops.refused], [1, 0, 1])
  equal(door.take('control <20 B>').length, 1)
  equal(dropped(door), 1)
})

test('an answer that is not kept is counted: its host has enough that wait', () => {
  const door = new Door({ maxPending: 1, maxPendingPerHost: 1 })
  door.knock('eve', 'push sn=0 frg=0 "x"')
  for (const conv of [9, 10]) {
    door.knock('bob', 'push sn=0 frg=0 "hi"', conv)
    door.knock('bob', `ack sn=4294967295 una=0 ts=${challengeTs(door, 'bob')}`, conv)
  }
  deepEqual([door.acceptor.challengesAnswered, door.acceptor.totalDrops().proofs], [1, 1])
  door.knock('bob', 'push sn=0 frg=0 "hi"', 10)
  equal(door.acceptor.drops.pending, 3)
  door.knock('bob', 'push sn=0 frg=0 "hi"', 9)
  deepEqual([door.acceptor.sessions, dropped(door)], [2, 4])
})

test('each datagram that a codec made and the cipher cannot open is counted', () => {
  const codec: PacketCodec<string> = { overhead: 0, encode: (one) => one, decode: (one) => [one, one, one] }
  const cipher: PacketCipher = {
    ...{ headroom: 0, tailroom: 0, counters: new CipherCounters() },
    seal: () => undefined,
    open: () => OpenResult.Refused,
  }
  const door = new Door({}, {}, codec, 1, {}, { cipher })
  for (let i = 0; i < 4; i++) door.knock('eve', 'push sn=0 frg=0 "x"')
  equal(door.acceptor.drops.cipher, 12)
})

test('what parity gives back for a channel that is over is counted, and opens nothing', () => {
  const fec = { data: 2, parity: 1, autotune: false }
  const door = new Door({}, {}, undefined, 2, {}, { fec })
  const segments = [push(0, 9, 40), push(0, 9, 41), push(1, 9, 40), push(1, 9, 41)]
  const datagrams = encode(new FecEncoder({ dataShards: 2, parityShards: 1, maxDatagram: 500 }), segments)
  for (const datagram of datagrams.slice(0, 4)) door.receive('bob', datagram)
  deepEqual([door.sessions.length, dropped(door)], [2, 0])
  door.sessions[1]!.abort(0)
  // All but the second channel's.
  door.receive('bob', datagrams[5]!)
  equal(door.acceptor.fecStats().recovered, 1)
  deepEqual([door.acceptor.accepted, dropped(door), door.acceptor.drops.unknown], [2, 1, 1])
})

test('whatever strangers send opens a session, answers a challenge, or is counted for one reason', () => {
  const prng = new Prng(17)
  const door = new Door({ maxPending: 20, maxPendingPerHost: 3 })
  // For what comes after the end.
  door.knock('ann', 'push sn=0 frg=0 "x"')
  door.prove('ann')
  door.sessions[0]!.abort(0)
  const lines = [
    ...['push sn=3 frg=1 ""', 'push sn=999 frg=0 "x"', 'push sn=0 una=1 "x"', 'wask', 'wins', 'ack sn=0'],
    ...['wask | wask | push sn=0 "x"', 'ack sn=4294967295 | push sn=0 "x"'],
  ]
  /** Datagrams that were neither dropped nor opened a session. */
  let answers = 0
  for (let i = 0; i < 20_000; i++) {
    const [peer, conv] = prng.chance(0.2) ? ['ann', 7] : [`eve${prng.int(0, 29)}`, 100 + i]
    const line = prng.chance(0.6) ? 'push sn=0 frg=0 "x"' : lines[prng.int(0, lines.length - 1)]!
    const bytes = parseTrace(line, { conv })
    const kind = prng.int(0, 9)
    const notice = { conv, kind: NoticeKind.Fin, sn: 1, done: true, ts: prng.u32(), echo: undefined }
    const datagram =
      kind === 0
        ? Uint8Array.from({ length: prng.int(0, 40) }, () => prng.int(0, 255))
        : kind === 1
          ? encodeNotice(notice)
          : bytes.subarray(0, kind === 2 ? prng.int(0, bytes.length) : bytes.length)
    const at = prng.int(0, bytes.length - 1)
    const value = prng.int(0, 255)
    // Another ts would be another clock, and ann's successor may open a session.
    if (kind === 3 && !(peer === 'ann' && at >= 8 && at < 12)) bytes[at] = value
    const { acceptor } = door
    const [accepted, challenged, sum] = [acceptor.accepted, acceptor.challenged, dropped(door)]
    door.sent.length = 0
    door.receive(peer, datagram)
    const what = `seed 17, ${i}: ${formatDatagram(datagram)}`
    equal(acceptor.accepted - accepted + dropped(door) - sum, 1, what)
    if (acceptor.challenged === challenged || prng.chance(0.5)) continue
    const [kept, proofs] = [acceptor.challengesAnswered, acceptor.totalDrops().proofs]
    door.knock(
      peer,
      `ack sn=4294967295 una=0 ts=${challengeTs(door, peer)}`,
      new DataView(datagram.buffer, datagram.byteOffset).getUint32(0, true),
    )
    ok(acceptor.challengesAnswered === kept + 1 || acceptor.totalDrops().proofs === proofs + 1, what)
    answers++
  }
  ok(answers > 1_000)
  const { foreign, unknown, tombstone, pending, proofs } = door.acceptor.totalDrops()
  for (const count of [foreign, unknown, tombstone, pending, proofs]) ok(count > 100, `${count}`)
})
