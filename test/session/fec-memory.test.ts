/** Memory that a listener's conversations have for FEC is the listener's, and ends with them. */
import { equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { FecEncoder } from '../../src/fec/index.ts'
import { Acceptor } from '../../src/session/acceptor.ts'
import { resolveSessionConfig } from '../../src/session/config.ts'
import { requireFec } from '../../src/session/fec-options.ts'
import { resolveLimits } from '../../src/session/listener-limits.ts'
import { Scheduler } from '../../src/session/scheduler.ts'
import type { KcpSession } from '../../src/session/session.ts'
import { VirtualClock } from '../../src/sim/clock.ts'
import { encode, push } from '../fec/shards.ts'

const LIMIT = 1_000_000

test('many conversations with large groups stay within half of maxMemory, and give it back when silent or over', () => {
  for (const end of ['silence', 'close'] as const) {
    const clock = new VirtualClock(0)
    const scheduler = new Scheduler(clock)
    const sessions: KcpSession[] = []
    let random = 1
    const acceptor = new Acceptor<string>({
      // The transport vouches for its peers: none of them is frugal.
      transport: {
        send: () => undefined,
        start: () => undefined,
        close: () => undefined,
        peerKey: (peer) => peer,
        provesPeers: true,
      },
      config: resolveSessionConfig({ preset: 'fast' }),
      limits: resolveLimits({ maxMemory: LIMIT }),
      codec: undefined,
      fec: requireFec({ data: 10, parity: 3, autotune: true }),
      scheduler,
      random: () => random++,
      hasBacklog: () => true,
      onSessions: ([session]) => {
        sessions.push(session!)
        session!.onChange = () => {
          if (session!.closed) scheduler.remove(session!)
          else while (session!.recv() !== undefined);
        }
      },
    })
    // Nothing but the beginning of each group, so that groups wait for the rest.
    const encoder = new FecEncoder({ dataShards: 70, parityShards: 30, maxDatagram: 1400 })
    const sent = Array.from({ length: 70 * 8 }, (_, i) => push(i, 1))
    const datagrams = encode(encoder, sent)
    const whole = datagrams.slice(0, 301)
    const parts = datagrams.slice(301).filter((_, i) => i % 100 < 60)
    let most = 0
    for (let peer = 0; peer < 30; peer++) {
      for (const datagram of [...whole, ...parts]) {
        acceptor.receive(datagram.slice(), `peer ${peer}`, clock.now())
        most = Math.max(most, acceptor.memoryUsed)
      }
      clock.advance(0)
    }
    equal(sessions.length, 30)
    ok(most > LIMIT / 4, `${most} bytes: the bound was not reached`)
    ok(most <= LIMIT / 2 + 65_536, `${most} bytes`)
    for (const session of sessions)
      equal(session.kcp.rcv.unused, session.kcp.rcvWnd, 'no window is closed by it')
    if (end === 'silence') clock.advance(10_000)
    else for (const session of sessions) session.abort(clock.now())
    equal(acceptor.memoryUsed, 0, end)
    // What still comes finds nothing to fill.
    for (const datagram of parts) acceptor.receive(datagram.slice(), 'peer 3', clock.now())
    if (end === 'close') equal(acceptor.memoryUsed, 0)
  }
})
