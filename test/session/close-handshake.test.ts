import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import {
  CloseHandshake,
  type CloseHost,
  type SendState,
  TRANSITIONS,
} from '../../src/session/close-handshake.ts'
import { NoticeKind } from '../../src/session/close-notice.ts'
import { resolveSessionConfig } from '../../src/session/config.ts'

class Host implements CloseHost {
  readonly config = resolveSessionConfig({ lingerTimeout: 5_000 })
  drained = false
  peerKnows = true
  idleLimit = 10_000
  rto = 200
  fins = 0
  sendFins(copies: number): void {
    this.fins += copies
  }
}

const fin = (done: boolean) => ({ conv: 1, kind: NoticeKind.Fin, code: 0, sn: 7, done, ts: 1, echo: 1 })

test('docs/ARCHITECTURE.md draws the table of states', () => {
  const document = readFileSync('docs/ARCHITECTURE.md', 'utf8')
  const drawing = Object.entries(TRANSITIONS)
    .flatMap(([from, events]) =>
      Object.entries(events).map(([event, to]) => `    ${from} --> ${to}: ${event}`),
    )
    .join('\n')
  ok(document.includes(drawing), `the drawing should be\n${drawing}`)
})

test('every state can be reached, and finished is where every way ends', () => {
  const reached = new Set<SendState>(['open'])
  for (const state of reached) for (const next of Object.values(TRANSITIONS[state])) reached.add(next)
  deepEqual([...reached].sort(), Object.keys(TRANSITIONS).sort())
  for (const events of Object.values(TRANSITIONS)) ok(Object.keys(events).length > 0)
})

test('an end drains, tells the peer, and is over when both have ended', () => {
  const host = new Host()
  const close = new CloseHandshake(host, 0)
  close.end()
  equal(close.run(10), 'going on')
  equal(close.state, 'draining')
  host.drained = true
  equal(close.run(20), 'going on')
  deepEqual([close.state, host.fins, close.finAt], ['notifying', 1, 220])
  close.finAcked = true
  equal(close.run(30), 'going on')
  equal(close.state, 'finished')
  equal(close.onFin(fin(false), 40), false)
  equal(close.run(40), 'over')
  equal(close.endedFirst, 'local')
})

test('Fins come ever more rarely, and end with the wait: a stock peer answers none', () => {
  const host = new Host()
  const close = new CloseHandshake(host, 0)
  close.end()
  host.drained = true
  const sent: number[] = []
  for (let now = 0; now < 20_000; now += 10) {
    const before = host.fins
    if (close.run(now) === 'mute') {
      equal(now, 10_000)
      break
    }
    if (host.fins > before) sent.push(now)
  }
  deepEqual(sent, [0, 200, 600, 1_400, 3_400, 5_400, 9_400])
  equal(close.state, 'finished')
})

test('two ends that lost all first Fins of each other end by a later one', () => {
  const [a, b] = [new Host(), new Host()]
  for (const host of [a, b]) {
    host.drained = true
    host.idleLimit = 900_000
  }
  const [first, second] = [new CloseHandshake(a, 0), new CloseHandshake(b, 0)]
  for (const close of [first, second]) close.end()
  const lossy = 60_000
  let now = 0
  let over = 0
  for (; now < 900_000 && over < 2; now += 50) {
    over = 0
    for (const [from, to, host] of [
      [first, second, a],
      [second, first, b],
    ] as const) {
      const before = host.fins
      if (from.run(now) === 'over') over++
      if (host.fins === before || now < lossy) continue
      to.onFin(fin(false), now)
      from.finAcked = true
    }
  }
  equal(over, 2)
  ok(now < 2 * lossy, `they were over at ${now} ms`)
})

test('a whole close says goodbye twice more, as nobody is left to retransmit', () => {
  const host = new Host()
  const close = new CloseHandshake(host, 0)
  host.drained = true
  close.end()
  close.endWhole(0)
  let now = 0
  while (close.run(now) !== 'over') now += 10
  equal(host.fins, 2 + 2)
})

test('a peer that reads no more ends the conversation at once, in any state', () => {
  for (const prepare of [
    () => undefined,
    (close: CloseHandshake) => close.end(),
    (close: CloseHandshake, host: Host) => {
      close.end()
      host.drained = true
      close.run(0)
    },
  ]) {
    const host = new Host()
    const close = new CloseHandshake(host, 0)
    prepare(close, host)
    equal(close.onFin(fin(true), 5), true)
    equal(close.state, 'finished')
  }
})

test('a peer that missed all Fins gets another one', () => {
  const host = new Host()
  host.drained = true
  const close = new CloseHandshake(host, 0)
  close.end()
  for (let now = 0; close.state !== 'finished'; now += 10) close.run(now)
  const before = host.fins
  equal(close.onFin(fin(false), 9_000), false)
  equal(close.state, 'notifying')
  equal(host.fins, before + 1)
})

test('an event that a state does not have is a bug', () => {
  const close = new CloseHandshake(new Host(), 0)
  close.end()
  throws(() => close.end(), /draining has no event|is draining has no event/)
})
