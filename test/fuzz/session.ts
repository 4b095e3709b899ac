/**
 * Sessions: clients and a server as they ship, with applications that write, read, end and give up, and somebody on the
 * path who repeats, changes, loses and invents. An input is an operation, two numbers for it, ms to pass, and bytes.
 * @module
 */
import { KcpError } from '../../src/core/errors.ts'
import { KCP_OVERHEAD } from '../../src/core/segment.ts'
import { FEC_OVERHEAD } from '../../src/fec/index.ts'
import { Acceptor } from '../../src/session/acceptor.ts'
import { encodeNotice, NOTICE_SIZE, NoticeKind } from '../../src/session/close-notice.ts'
import { resolveSessionConfig } from '../../src/session/config.ts'
import { type Connection, connectTo } from '../../src/session/connection.ts'
import { requireFec } from '../../src/session/fec-options.ts'
import { resolveLimits } from '../../src/session/listener-limits.ts'
import { Scheduler } from '../../src/session/scheduler.ts'
import type { KcpSession } from '../../src/session/session.ts'
import type { DatagramTransport, PeerAddress } from '../../src/session/transport.ts'
import { VirtualClock } from '../../src/sim/clock.ts'
import type { Prng } from '../../src/sim/prng.ts'
import { mutated, noise, segments } from './mutate.ts'
import { require, type Subject } from './subject.ts'

/** Clients at once; each may begin anew. */
const CLIENTS = 3
/** Convs of a client: a new one takes the next few. */
const CONVS = 1_000
/** Datagrams under way, and those of the past that are kept to be repeated. */
const [QUEUE, KEPT] = [64, 64]
const SERVER: PeerAddress = { address: '10.0.1.1', port: 1 }
/** What a server sends an address that is not proven, times what came from there; and of each session eight challenges and a notice. */
const AMPLIFICATION = 3
const FOR_NOTHING = 8 * (KCP_OVERHEAD + FEC_OVERHEAD) + NOTICE_SIZE + FEC_OVERHEAD

const OPS = [
  'write',
  'settle',
  'carry',
  'lose',
  'repeat',
  'change',
  'raw',
  'read',
  'end',
  'close',
  'abort',
  'connect',
  'expiring',
  'unreliable',
  'wait',
  'refused',
  'larger',
  'settings',
] as const
/** How often each is made, of their sum. */
const WEIGHTS = [20, 18, 10, 4, 4, 6, 16, 12, 0.7, 0.7, 0.3, 1, 2, 3, 4, 0.1, 0.3, 0]
/** The same where settings change. */
const LIVE_WEIGHTS = WEIGHTS.map((weight, op) => (OPS[op] === 'settings' ? 3 : weight))
const MTUS = [60, 500, 1_400, 1_500, 1_536, 2_000, 5_000, 8_972, 9_000]

interface Wire {
  readonly datagram: Uint8Array
  readonly toServer: boolean
  /** Which client's. */
  readonly slot: number
}

/** `live`: with mtus of any size, and settings that change while a session is under way. */
export function session(prng: Prng, live: boolean = false): Subject {
  const weights = live ? LIVE_WEIGHTS : WEIGHTS
  const weight = weights.reduce((sum, one) => sum + one, 0)
  const clock = new VirtualClock(2 * prng.u32())
  const scheduler = new Scheduler(clock)
  const channels = prng.chance(0.3) ? 3 : 1
  const [data, parity] = [prng.int(1, 5), prng.int(1, 3)]
  const fec = prng.chance(0.4) ? requireFec({ data, parity, autotune: prng.chance(0.5) }) : undefined
  const limits = { maxConnections: 24, maxPending: 12, maxPendingPerHost: 6, maxMemory: 60_000 }
  const configOf = () =>
    resolveSessionConfig({
      preset: (['default', 'fast', 'turbo', 'kcpGo'] as const)[prng.int(0, live ? 2 : 3)]!,
      kcp: {
        mtu: live ? prng.int(120, 9_000) : prng.int(120, 1400),
        sndWnd: prng.int(1, 64),
        rcvWnd: prng.int(4, 64),
        streamMode: prng.chance(0.3),
        lossDetection: prng.chance(0.5) ? 'time' : 'count',
        redundancy: ([0, 1, 'auto'] as const)[prng.int(0, 2)]!,
      },
      lifecycle: prng.chance(0.8) ? 'fin' : 'none',
      flushWrite: prng.chance(0.7),
      idleTimeout: prng.chance(0.5) ? 8_000 : 0,
      keepAlive: prng.chance(0.5) ? 1_000 : 0,
      stallTimeout: prng.chance(0.8) ? 5_000 : 0,
      lingerTimeout: 1_000,
      maxRecvBytes: live ? prng.int(3_000, 60_000) : prng.int(3_000, 30_000),
    })

  const queue: Wire[] = []
  const kept: Wire[] = []
  let keptAt = 0
  /** Of each client's address: bytes that the server heard and sent, sessions, and whether it was ever proven. */
  const traded = Array.from({ length: CLIENTS }, () => ({ heard: 0, sent: 0, opened: 0, proven: false }))

  const put = (datagram: Uint8Array, toServer: boolean, slot: number): void => {
    const wire = { datagram: datagram.slice(), toServer, slot }
    kept[keptAt++ % KEPT] = wire
    queue.push(wire)
    if (queue.length > QUEUE) queue.shift()
  }
  const transportOf = (send: (datagram: Uint8Array, peer: PeerAddress) => void) =>
    ({ send, start: () => undefined, close: () => undefined }) satisfies DatagramTransport<PeerAddress>

  /** Sessions by conv, of both sides: those that are over too, until others begin. */
  const ends = { client: new Map<number, KcpSession>(), server: new Map<number, KcpSession>() }
  const watch = (end: KcpSession): void => {
    end.onChange = () => {
      if (end.closed) scheduler.remove(end)
    }
  }
  const acceptor = new Acceptor<PeerAddress>({
    transport: transportOf((datagram, { port }) => {
      traded[port]!.sent += datagram.length
      put(datagram, false, port)
    }),
    config: configOf(),
    limits: resolveLimits(limits),
    codec: undefined,
    fec,
    scheduler,
    random: () => prng.u32(),
    hasBacklog: () => true,
    channels,
    onSessions: (sessions, { port }) => {
      traded[port]!.opened += sessions.length
      for (const one of sessions) {
        watch(one)
        if (one.proven) traded[port]!.proven = true
        const { onProven } = one
        one.onProven = () => {
          traded[port]!.proven = true
          onProven?.()
        }
        ends.server.set(one.conv, one)
      }
    },
  })

  const clients: Connection<PeerAddress>[] = []
  let begun = 0
  const connect = (slot: number): void => {
    for (const old of clients[slot]?.sessions ?? []) {
      old.abort(clock.now())
      old.onChange?.()
      ends.client.delete(old.conv)
    }
    for (const [conv, old] of ends.server) if (old.closed) ends.server.delete(conv)
    const conv = 1 + slot * CONVS + ((begun++ * channels) % (CONVS - channels))
    const config = configOf()
    const connection = connectTo<PeerAddress>({
      transport: transportOf((datagram) => put(datagram, true, slot)),
      peer: SERVER,
      codec: undefined,
      cipher: undefined,
      fec,
      config,
      mtu: config.kcp.mtu,
      conv,
      channels,
      clockOffset: prng.u32(),
      clock,
      touch: (one) => scheduler.touch(one),
      warn: () => undefined,
    })
    for (const one of connection.sessions) {
      scheduler.add(one)
      watch(one)
      ends.client.set(one.conv, one)
    }
    clients[slot] = connection
  }
  for (let slot = 0; slot < CLIENTS; slot++) connect(slot)

  const deliver = ({ datagram, toServer, slot }: Wire): void => {
    const lent = datagram.slice()
    if (toServer) {
      traded[slot]!.heard += lent.length
      acceptor.receive(lent, { address: '10.0.0.1', port: slot }, clock.now())
    } else clients[slot]!.receiveSealed(lent)
    lent.fill(0xdd)
  }

  /** An end that a number stands for; odd ones are the server's, if it has any. */
  const endOf = (x: number): KcpSession => {
    const side = (x & 1) === 1 && ends.server.size > 0 ? ends.server : ends.client
    return [...side.values()][(x >> 1) % side.size]!
  }
  const text = new Uint8Array(4_096)

  const act = (op: (typeof OPS)[number], x: number, y: number, rest: Uint8Array): void => {
    const end = endOf(x)
    const now = clock.now()
    const one = kept[x % Math.max(1, kept.length)]
    const size = Math.min(1 + y * 8, end.maxMessageSize)
    switch (op) {
      case 'write':
        if (end.open && end.writable) end.write(text.subarray(0, size), now)
        break
      case 'expiring':
        if (end.open && !end.kcp.stream) {
          const ticket = end.expect({ expiresAt: Math.floor(now) + y, settled: () => undefined })
          end.write(text.subarray(0, size), now, ticket)
        }
        break
      case 'unreliable':
        if (end.open && end.maxUnreliableSize >= y) end.sendUnreliable(text.subarray(0, y))
        break
      case 'read':
        for (let left = 1 + (y & 7); left > 0 && end.recv() !== undefined; left--);
        break
      case 'settle':
        for (let left = 16; left > 0 && queue.length > 0; left--) deliver(queue.shift()!)
        return
      case 'carry':
        if (queue.length > 0) deliver(queue.splice(x % queue.length, 1)[0]!)
        return
      case 'lose':
        queue.splice(0, 1 + (x & 7))
        return
      case 'repeat':
        if (one !== undefined) deliver(y & 1 ? { ...one, slot: (one.slot + 1) % CLIENTS } : one)
        return
      case 'change':
        if (one !== undefined) {
          const datagram = one.datagram.slice()
          for (let i = 0; i + 1 < rest.length; i += 2) datagram[rest[i]! % datagram.length]! ^= rest[i + 1]!
          deliver({ ...one, datagram })
        }
        return
      case 'raw':
        deliver({ datagram: rest, toServer: (x & 1) === 1, slot: (x >> 1) % CLIENTS })
        return
      case 'end':
        end.end(now)
        break
      case 'close':
        end.close(now)
        break
      case 'abort':
        end.abort(now)
        break
      case 'refused':
        end.refused(new KcpError('ERR_KCP_RESET', 'the host refused'), now, (x & 1) === 0)
        break
      case 'connect':
        connect(x % CLIENTS)
        return
      case 'larger':
        clients[x % CLIENTS]!.largerDatagrams(y * 8)
        acceptor.largerDatagrams({ address: '10.0.0.1', port: x % CLIENTS }, y * 8)
        return
      case 'settings': {
        const { kcp } = end
        if (end.closed) break
        if (y & 1) kcp.setMtu(MTUS[(y >> 1) % MTUS.length]!)
        else kcp.setWindow(1 + (y >> 2), 1 + y)
        break
      }
      default:
        clock.advance(2 ** (x % 15))
        return
    }
    // As a shell does after a call.
    if (end.closed) end.onChange?.()
    else scheduler.touch(end)
  }

  const bounded = (): void => {
    require(acceptor.sessions <= limits.maxConnections * channels, `${acceptor.sessions} sessions`)
    const { pendingSessions: pending } = acceptor
    // A group of channels is let in whole.
    require(pending >= 0 && pending <= (limits.maxPending + 2) * channels, `${pending} pending`)
    const { memoryUsed } = acceptor
    require(memoryUsed >= 0 && memoryUsed <= limits.maxMemory + 200_000, `${memoryUsed} bytes held`)
    let alive = acceptor.sessions
    for (const end of ends.client.values()) if (!end.closed) alive++
    require(scheduler.size === alive, `${scheduler.size} scheduled, ${alive} alive`)
    for (const { heard, sent, opened, proven } of traded) {
      const most = AMPLIFICATION * heard + FOR_NOTHING * opened
      require(proven ||
        sent <= most, `${sent} bytes to an unproven address, for ${heard} and ${opened} sessions`)
    }
    for (const side of [ends.client, ends.server]) {
      for (const { kcp, closed, closeReason } of side.values()) {
        require(closed === (closeReason !== undefined), `closed: ${closed}, because: ${closeReason}`)
        const { rcv, snd } = kcp
        require(rcv.bytes >= 0 && snd.bytes >= 0 && snd.inFlight >= 0, 'negative counts')
        // What is in flight, or here, stays so when a window shrinks.
        const [sndWnd, rcvWnd] = live ? [64, 256] : [kcp.sndWnd, rcv.rcvWnd]
        require(snd.inFlight <= sndWnd, `${snd.inFlight} segments in flight`)
        require(rcv.queued + rcv.early <= 2 * rcvWnd, `${rcv.queued} and ${rcv.early} segments received`)
      }
    }
  }

  /** What somebody would invent who knows the conversation and its numbers, nearly. */
  const invented = (x: number): Uint8Array => {
    if (prng.chance(0.1)) return noise(prng, 80)
    const all = [...((x & 1) === 1 && ends.server.size > 0 ? ends.server : ends.client).values()]
    const { kcp, conv } = all[prng.int(0, all.length - 1)]!
    if (prng.chance(0.3)) {
      const notice = encodeNotice({
        conv: prng.chance(0.95) ? conv : prng.u32(),
        kind: prng.int(NoticeKind.Fin, NoticeKind.Reset) as NoticeKind,
        sn: (kcp.rcvNxt + prng.int(-2, 4)) >>> 0,
        done: prng.chance(0.5),
        ts: prng.chance(0.8) ? (kcp.proof.heardTs + prng.int(-5, 500)) >>> 0 : undefined,
        echo: prng.chance(0.8) ? (kcp.now + prng.int(-500, 5)) >>> 0 : undefined,
      })
      return prng.chance(0.9) ? notice : notice.subarray(0, prng.int(0, NOTICE_SIZE))
    }
    const { sndUna: una, sndNxt: nxt, rcvNxt, now } = kcp
    const made = segments(prng, { conv, una, nxt, rcvNxt, now })
    return prng.chance(0.9) ? made : mutated(prng, made)
  }

  return {
    make() {
      let draw = prng.next() * weight
      let op = 0
      while (op < OPS.length - 1 && draw >= weights[op]!) draw -= weights[op++]!
      const x = prng.int(0, 255)
      let rest: Uint8Array = new Uint8Array()
      if (OPS[op] === 'change') {
        rest = noise(prng, 4)
        // The heads are where the fields are.
        if (rest.length > 0 && prng.chance(0.7)) rest[0] = prng.int(0, 31)
      } else if (OPS[op] === 'raw') rest = invented(x)
      const input = new Uint8Array(4 + rest.length)
      input.set([op, x, prng.int(0, 255), prng.chance(0.9) ? prng.int(0, 30) : prng.int(0, 255)])
      input.set(rest, 4)
      return input
    },
    feed(input) {
      const [op = 0, x = 0, y = 0, ms = 0] = input
      clock.advance(ms)
      act(OPS[op % OPS.length]!, x, y, input.slice(4))
      // The end of the turn.
      clock.advance(0)
      bounded()
    },
  }
}
