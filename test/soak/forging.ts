/**
 * What forgers send into live conversations and to the door, on a virtual clock: segments with the right conv, close
 * notices, and everything that could make a server answer an address that did not ask.
 * @module
 */
import { equal, ok } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Command, KCP_OVERHEAD, writeHeader } from '../../src/core/segment.ts'
import { Acceptor } from '../../src/session/acceptor.ts'
import { encodeNotice, NoticeKind } from '../../src/session/close-notice.ts'
import { resolveSessionConfig } from '../../src/session/config.ts'
import { resolveLimits } from '../../src/session/listener-limits.ts'
import { Scheduler } from '../../src/session/scheduler.ts'
import type { KcpSession } from '../../src/session/session.ts'
import { VirtualClock } from '../../src/sim/clock.ts'
import { SessionPair } from '../../src/sim/pair.ts'
import { Prng } from '../../src/sim/prng.ts'
import type { Part, Scale } from './part.ts'

/** Who forges knows the address, conv and all numbers, but sees no packet: so not the clocks. */
class Forger {
  readonly prng: Prng
  segments = 0
  private readonly bytes = new Uint8Array(1_400)

  constructor(seed: number) {
    this.prng = new Prng(seed)
  }

  /** A datagram for a session: up to 20 segments, each wrong in its own way. */
  datagram({ kcp, conv }: KcpSession): Uint8Array {
    const { prng } = this
    let at = 0
    const put = (cmd: number, frg: number, wnd: number, sn: number, una: number, len = 0): void => {
      writeHeader(this.bytes, at, conv, cmd, frg, wnd, prng.u32(), sn >>> 0, una >>> 0, len)
      at += KCP_OVERHEAD + len
      this.segments++
    }
    const { sndUna: una, sndNxt, rcvNxt } = kcp
    const wnd = kcp.rcv.rcvWnd
    const far = (): number => prng.int(1, 0x7fff_fffe - wnd)
    for (let left = prng.int(1, 20); left > 0; left--) {
      switch (prng.int(0, 10)) {
        case 0: // una beyond what was sent
          put(prng.int(Command.Push, Command.WindowTell), 0, 128, rcvNxt + prng.int(0, wnd), sndNxt + far())
          break
        case 1: // ACKs for what is in flight, with a guessed ts
        case 2:
          put(Command.Ack, 0, 128, una + prng.int(0, Math.max(1, sndNxt - una)), una)
          break
        case 3: // and for anything else
          put(Command.Ack, 0, 128, prng.u32(), una - prng.int(0, 1_000))
          break
        case 4: // a closed window, of now and of a while ago
          put(Command.WindowTell, 0, 0, 0, una - prng.int(0, 3))
          break
        case 5: // fragments without end, where nobody waits for them
          put(Command.Push, 255, 128, rcvNxt + wnd + far(), una, 8)
          break
        case 6:
          put(Command.Push, prng.int(1, 255), 128, rcvNxt - prng.int(1, 2 * wnd), una, 8)
          break
        case 7: // far ahead and far behind
          put(Command.Push, 0, 128, rcvNxt + wnd + far(), una, 4)
          break
        case 8:
          put(Command.Push, 0, 128, rcvNxt - far(), una, 4)
          break
        case 9: // questions
          put(Command.WindowAsk, 0, 128, 0, una)
          break
        default: // what is no segment: the rest of the datagram with it
          put(prng.int(0, 255), 0, 128, prng.u32(), una - 1, 0)
      }
    }
    return this.bytes.subarray(0, at - (prng.chance(0.1) ? prng.int(1, 20) : 0))
  }

  notice({ kcp, conv }: KcpSession): Uint8Array {
    const { prng } = this
    const kind = [NoticeKind.Fin, NoticeKind.FinAck, NoticeKind.Reset][prng.int(0, 2)]!
    const sn = prng.chance(0.7)
      ? kcp.rcvNxt
      : prng.chance(0.5)
        ? kcp.sndNxt - 1
        : kcp.rcvNxt + prng.int(0, 64)
    const guess = (): number | undefined => (prng.chance(0.2) ? undefined : prng.u32())
    return encodeNotice({ conv, kind, sn: sn >>> 0, done: prng.chance(0.5), ts: guess(), echo: guess() })
  }
}

/** Megabytes each way that the forged segments are spread over, at least. */
const TRANSFER = 4

/** Sends forged segments into a transfer both ways over a lossy path until `count` of them were sent. */
function forge({ count }: Scale): { count: number; findings: string } {
  const forger = new Forger(11)
  const pair = new SessionPair({
    seed: 11,
    config: { preset: 'turbo', stallTimeout: 60_000 },
    link: { delayMs: 10, loss: 0.01 },
  })
  const { clock, client } = pair
  const prng = new Prng(5)
  const sums = new Map<string, ReturnType<typeof createHash>>()
  const of = (name: string): ReturnType<typeof createHash> => {
    if (!sums.has(name)) sums.set(name, createHash('sha256'))
    return sums.get(name)!
  }
  const sent = { client: 0, server: 0 }
  const read = { client: 0, server: 0 }
  const nameOf = (session: KcpSession): 'client' | 'server' => (session === client ? 'client' : 'server')
  const pump = (session: KcpSession): void => {
    const name = nameOf(session)
    for (let message = pair.read(session); message !== undefined; message = pair.read(session)) {
      of(`${name} read`).update(message)
      read[name] += message.length
    }
    const enough = forger.segments >= count && sent[name] >= TRANSFER * 1024 * 1024
    while (!enough && session.open && session.writable && session.kcp.waitSnd() < 64) {
      const message = Buffer.alloc(prng.int(1, 3_000))
      message.writeUInt8(prng.int(0, 255), 0)
      of(`${name} sent`).update(message)
      sent[name] += message.length
      pair.write(session, message)
    }
  }
  pair.onChange = pump
  pump(client)
  // One forged datagram or two for each end and ms: some 3,000 for each honest one of this transfer's pace.
  for (let idle = 0; idle < 20_000; ) {
    clock.advance(1)
    const { server } = pair
    for (const session of server === undefined ? [client] : [client, server]) {
      ok(
        !session.closed,
        `the ${nameOf(session)}'s session ended: ${session.closeReason} at ${clock.now()} ms`,
      )
      if (forger.segments < count) {
        for (let i = 0; i < 2; i++) session.receive(forger.datagram(session), clock.now())
        pair.scheduler.touch(session)
      }
    }
    const done = forger.segments >= count && server !== undefined && client.drained && server.drained
    if (forger.segments >= count) idle++
    if (done && client.kcp.waitSnd() === 0 && sent.client === read.server && sent.server === read.client)
      break
  }
  equal(read.server, sent.client, 'every byte of the client arrived')
  equal(read.client, sent.server, 'every byte of the server arrived')
  equal(of('server read').digest('hex'), of('client sent').digest('hex'))
  equal(of('client read').digest('hex'), of('server sent').digest('hex'))
  const megabytes = (sent.client + sent.server) / 1024 / 1024
  const rto = Math.max(client.kcp.rtt.rto, pair.server!.kcp.rtt.rto)
  ok(rto < 1_000, `a forged ACK was timed: rto ${rto}`)
  return {
    count: forger.segments,
    findings: `${megabytes.toFixed(1)} MB arrived whole in ${(clock.now() / 1_000).toFixed(0)} s of virtual time, hashes equal; rto ${rto} ms`,
  }
}

export const forging: Part = {
  name: 'forged-segments',
  what: 'segments with the right conv into a live transfer at 1 % loss (una ahead, ACKs and ts guessed, wnd 0, fragment bombs, sn far away, garbage): it arrives whole',
  unit: 'forged segments',
  short: { count: 300_000 },
  long: { count: 10_000_000 },
  run: async (scale) => forge(scale),
}

function forgeNotices({ count }: Scale): { count: number; findings: string } {
  const forger = new Forger(3)
  let sent = 0
  let conversations = 0
  // Most guesses go to one conversation, which soon believes none; the others to fresh ones, eight each.
  while (sent < count) {
    const pair = new SessionPair({ seed: 100 + conversations, link: { delayMs: 5 } })
    const echo = (session: KcpSession): void => {
      for (let message = pair.read(session); message !== undefined; message = pair.read(session)) {
        if (session !== pair.client) pair.write(session, message)
      }
    }
    pair.onChange = echo
    pair.write(pair.client, Buffer.from('hello'))
    pair.clock.advance(100)
    const guesses = conversations === 0 ? Math.floor(count / 4) : 8
    for (let i = 0; i < guesses; i++, sent += 2) {
      for (const session of [pair.client, pair.server!])
        session.receive(forger.notice(session), pair.clock.now())
    }
    pair.clock.advance(10)
    for (const session of [pair.client, pair.server!]) {
      equal(session.closed, false, `conversation ${conversations}: ${session.closeReason}`)
      equal(session.open, true)
      ok(session.forgedNotices > 0)
    }
    pair.write(pair.client, Buffer.from('still here'))
    pair.clock.advance(100)
    equal(pair.client.bytesRead, 15)
    conversations++
  }
  return { count: sent, findings: `no effect in ${conversations} conversations` }
}

export const notices: Part = {
  name: 'forged-notices',
  what: 'close notices with right addresses, conv and numbers, and guessed clocks, half of them to one conversation, eight to each of the others: no effect',
  unit: 'forged notices',
  short: { count: 2 ** 15 },
  long: { count: 2 ** 20 },
  run: async (scale) => forgeNotices(scale),
}

/** Unproven peers send anything at all to a server that greets with 160 KB, on one clock. */
function amplify({ count }: Scale): { count: number; findings: string } {
  const clock = new VirtualClock()
  const scheduler = new Scheduler(clock)
  const prng = new Prng(21)
  const bytesIn = new Map<string, number>()
  const bytesOut = new Map<string, number>()
  const born = new Map<string, number>()
  const add = (to: Map<string, number>, key: string, by: number): void =>
    void to.set(key, (to.get(key) ?? 0) + by)
  const acceptor: Acceptor<string> = new Acceptor<string>({
    transport: {
      send: (datagram, peer) => add(bytesOut, peer, datagram.length),
      start: () => undefined,
      close: () => undefined,
    },
    config: resolveSessionConfig({ preset: 'fast' }),
    // So few that most find no place.
    limits: resolveLimits({ maxPending: 300 }),
    codec: undefined,
    scheduler,
    random: () => prng.u32(),
    hasBacklog: () => true,
    onSessions: ([session], peer) => {
      add(born, peer, 1)
      // As a stream does with a session that is over.
      const letGo = (): void => {
        scheduler.remove(session!)
        session!.release()
      }
      // As applications that refuse, and as those that greet.
      if (prng.chance(0.1)) {
        session!.abort(clock.now())
        letGo()
        return
      }
      for (let i = prng.chance(0.3) ? 0 : 120; i > 0; i--) session!.write(new Uint8Array(1_300), clock.now())
      session!.onChange = () => {
        if (session!.closed) letGo()
        else {
          while (session!.recv() !== undefined);
          if (session!.ended && session!.open) session!.end(clock.now())
        }
      }
    },
  })
  const forger = new Forger(9)
  let sent = 0
  let worst = 0
  let worstOf = ''
  let beyond = 0
  for (let round = 0; sent < count; round++) {
    const peers = Array.from({ length: 200 }, (_, i) => `victim ${round} ${i}`)
    for (let step = 0; step < 12; step++) {
      for (const peer of peers) {
        if (prng.chance(0.5)) continue
        const datagram = anything(forger, prng, clock.now())
        add(bytesIn, peer, datagram.length)
        acceptor.receive(datagram, peer, clock.now())
        sent++
      }
      clock.advance(prng.int(0, 900))
    }
    // Those that the application ended are remembered for a minute.
    clock.advance(120_000)
    for (const peer of peers) {
      const [spent, got, sessions] = [bytesIn.get(peer) ?? 0, bytesOut.get(peer) ?? 0, born.get(peer) ?? 0]
      const allowed = 3 * spent + sessions * (8 * 24 + 20)
      ok(got <= allowed, `${peer} got ${got} bytes for ${spent} (${sessions} sessions)`)
      if (sessions > 0) beyond = Math.max(beyond, (got - 3 * spent) / sessions)
      if (got > worst * spent) {
        worst = got / spent
        worstOf = `${got} bytes for ${spent}, ${sessions} ${sessions === 1 ? 'session' : 'sessions'}`
      }
    }
    for (const all of [bytesIn, bytesOut, born]) all.clear()
    equal(acceptor.sessions, 0, 'nothing is left of them')
    // Those that the application refused are remembered, so that they do not begin again.
    clock.advance(60_000)
    equal(acceptor.pendingSessions, 0)
    equal(acceptor.tombstones, 0)
    equal(acceptor.memoryUsed, 0)
    equal(scheduler.size, 0, 'nor of their sessions here')
    equal(clock.pending, 0)
  }
  return {
    count: sent,
    findings: `three times what came and at most ${Math.ceil(beyond)} bytes of small repeats for each session; that was most for one address with ${worstOf}: ${worst.toFixed(1)} times`,
  }
}

/** Any datagram that a stranger may send: each command, each length, notices, noise. */
function anything(forger: Forger, prng: Prng, now: number): Uint8Array {
  const conv = prng.int(1, 3)
  const kind = prng.int(0, 9)
  if (kind < 5) {
    const cmd = kind < 3 ? Command.Push : prng.int(Command.Push, Command.WindowTell)
    const bytes = new Uint8Array(KCP_OVERHEAD + (prng.chance(0.5) ? 0 : prng.int(1, 1_376)))
    const sn = prng.chance(0.7) ? prng.int(0, 3) : prng.u32()
    const una = prng.chance(0.8) ? 0 : prng.int(0, 200)
    writeHeader(
      bytes,
      0,
      conv,
      cmd,
      prng.int(0, 2),
      prng.int(0, 256),
      now,
      sn,
      una,
      bytes.length - KCP_OVERHEAD,
    )
    return bytes
  }
  if (kind === 5) return Uint8Array.from({ length: prng.int(0, 60) }, () => prng.int(0, 255))
  const notice = {
    conv,
    kind: [NoticeKind.Fin, NoticeKind.FinAck, NoticeKind.Reset][prng.int(0, 2)]!,
    sn: prng.int(0, 3),
    done: prng.chance(0.5),
    // Whoever made the clock up knows it.
    ts: prng.chance(0.5) ? now : prng.u32(),
    echo: prng.chance(0.5) ? prng.u32() : undefined,
  }
  if (kind === 6) return encodeNotice(notice)
  // Many segments in one: ACKs for the challenge among them.
  const count = prng.int(1, 30)
  const bytes = new Uint8Array(count * KCP_OVERHEAD)
  for (let i = 0; i < count; i++) {
    const cmd = prng.int(Command.Push, Command.WindowTell)
    const sn = prng.chance(0.5) ? 0xffff_ffff : prng.int(0, 5)
    writeHeader(bytes, i * KCP_OVERHEAD, conv, cmd, 0, 128, prng.u32(), sn, 0, 0)
  }
  forger.segments += count
  return bytes
}

export const amplification: Part = {
  name: 'amplification',
  what: 'any datagrams of addresses that never answer, to a server that greets with 160 KB: to each at most 3x what came from it, and 212 bytes for each session',
  unit: 'datagrams',
  short: { count: 30_000 },
  long: { count: 3_000_000 },
  run: async (scale) => amplify(scale),
}
