import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { resolveSessionConfig } from '../../src/session/config.ts'
import { ListenerMemory } from '../../src/session/listener-memory.ts'
import { KcpSession } from '../../src/session/session.ts'
import { parseTrace } from '../../src/sim/trace.ts'

const MSS = 1_376

/** A session of a host that holds `count` segments: whole messages, or the beginning of one. */
function holding(memory: ListenerMemory, host: string, count: number, whole: boolean): KcpSession {
  const session = new KcpSession({
    conv: 1,
    config: resolveSessionConfig({ preset: 'fast' }),
    role: 'server',
    clockOffset: 1,
    now: 0,
    send: () => undefined,
    memory: memory.enter(host),
  })
  memory.add(session)
  for (let sn = 0; sn < count; sn++) {
    session.receive(parseTrace(`push sn=${sn} frg=${whole ? 0 : 100 - sn} <1376 B>`, { conv: 1 }), 0)
  }
  return session
}

test('a host is known as long as conversations of it are', () => {
  const memory = new ListenerMemory(1_000_000, 100_000)
  const one = memory.enter('a')
  equal(memory.enter('a'), one)
  memory.enter('b')
  equal(memory.size, 2)
  memory.leave('a')
  memory.leave('b')
  equal(memory.size, 1)
  memory.leave('a')
  equal(memory.size, 0)
})

test('where the share of a host is used up, one of that host gives way: the largest that is stuck', () => {
  const memory = new ListenerMemory(1_000_000, 60 * MSS)
  const elsewhere = holding(memory, 'b', 29, false)
  const small = holding(memory, 'a', 4, false)
  const large = holding(memory, 'a', 25, false)
  holding(memory, 'a', 30, true)
  const budget = large.kcp.rcv.budget
  equal(budget.used, 59 * MSS)
  deepEqual(memory.victim(budget, 2 * MSS, 1_000), {
    session: large,
    option: 'maxMemoryPerHost',
    limit: 60 * MSS,
  })
  memory.delete(large)
  large.release()
  deepEqual(memory.victim(budget, 40 * MSS, 1_001)?.session, small, 'also one that holds little')
  equal(memory.victim(elsewhere.kcp.rcv.budget, 1 * MSS, 1_050), undefined, 'there is room')
})

test('what readers have not read yet is ended only after ten seconds of shortage, and of the whole', () => {
  const memory = new ListenerMemory(60 * MSS, 60 * MSS)
  holding(memory, 'a', 20, true)
  const largest = holding(memory, 'b', 39, true)
  const { budget } = largest.kcp.rcv
  for (let now = 0; now < 10_000; now += 500) equal(memory.victim(budget, 2 * MSS, now), undefined, `${now}`)
  equal(memory.victim(budget, 2 * MSS, 23_000), undefined, 'there was a pause')
  for (let now = 23_500; now < 33_000; now += 500) memory.victim(budget, 2 * MSS, now)
  equal(memory.victim(budget, 2 * MSS, 33_000)?.session, largest)
  // Where only a host has used up its share, its readers are waited for.
  const apart = new ListenerMemory(1_000 * MSS, 30 * MSS)
  const own = holding(apart, 'a', 30, true).kcp.rcv.budget
  for (let now = 0; now < 60_000; now += 500) equal(apart.victim(own, 2 * MSS, now), undefined, `${now}`)
})
