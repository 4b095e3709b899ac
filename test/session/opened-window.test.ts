/** Sessions that share a memory budget: one that told its window as 0 is run when another one has read. */
import { equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Kcp } from '../../src/core/kcp.ts'
import { resolveSessionConfig } from '../../src/session/config.ts'
import { Scheduler } from '../../src/session/scheduler.ts'
import { KcpSession } from '../../src/session/session.ts'
import { VirtualClock } from '../../src/sim/clock.ts'
import { formatDatagram } from '../../src/sim/trace.ts'

test('a window that another session opened is told in that turn, and again until data comes', () => {
  const clock = new VirtualClock(0)
  const scheduler = new Scheduler(clock)
  const memory = { used: 0, limit: 20_000 }
  const config = resolveSessionConfig({ preset: 'fast' })
  const open = (conv: number): { session: KcpSession; told: string[] } => {
    const told: string[] = []
    const session = new KcpSession({
      conv,
      config,
      role: 'client',
      clockOffset: 7,
      now: 0,
      memory,
      send: (datagram) => told.push(formatDatagram(datagram)),
      wake: (one) => scheduler.touch(one),
    })
    scheduler.add(session)
    return { session, told }
  }
  const fill = (session: KcpSession, count: number): void => {
    const peer = new Kcp(session.conv, (datagram) => session.receive(datagram, clock.now()), {
      nc: true,
      sndWnd: 128,
    })
    peer.update(0)
    for (let i = 0; i < count; i++) peer.send(new Uint8Array(1_300))
    peer.flush(0)
    scheduler.touch(session)
    clock.advance(1)
  }
  const [one, other] = [open(1), open(2)]
  fill(other.session, 12)
  fill(one.session, 3)
  ok(one.told.at(-1)!.includes('wnd=0'), one.told.at(-1))
  one.told.length = 0
  while (other.session.recv() !== undefined);
  scheduler.touch(other.session)
  clock.advance(0)
  equal(one.told.filter((text) => text.includes('wins')).length, 1, one.told.join())
  // The first may be lost.
  clock.advance(5_000)
  equal(one.told.filter((text) => text.includes('wins')).length, 6, one.told.join())
})
