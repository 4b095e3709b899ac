/**
 * Messages that expire, over every kind of bad network, a seed each: what arrives is what was sent, exactly, and each
 * message is told once and in time what became of it.
 */
import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import type { Expiring } from '../../src/session/message-expiry.ts'
import type { KcpSession } from '../../src/session/session.ts'
import { SessionPair } from '../../src/sim/pair.ts'
import { Prng } from '../../src/sim/prng.ts'

const SEEDS = Number(process.env['SEEDS'] ?? 150)

interface Message {
  readonly bytes: Uint8Array
  readonly expiresAt: number | undefined
  outcome: string
  toldAt: number
}

function run(seed: number): { readonly sent: number; readonly expired: number } {
  const prng = new Prng(seed)
  const mtu = prng.int(60, 400)
  const kcp = {
    mtu,
    sndWnd: prng.int(1, 64),
    lossDetection: prng.chance(0.5) ? ('time' as const) : ('count' as const),
    redundancy: ([0, 1, 'auto'] as const)[prng.int(0, 2)]!,
  }
  const pair = new SessionPair({
    seed,
    config: {
      preset: (['default', 'normal', 'fast'] as const)[prng.int(0, 2)]!,
      kcp,
      flushWrite: prng.chance(0.7),
      stallTimeout: 0,
      lingerTimeout: 600_000,
      idleTimeout: 0,
    },
    link: {
      delayMs: prng.int(0, 150),
      jitterMs: prng.int(0, 30),
      loss: prng.chance(0.3) ? 0 : prng.next() * 0.3,
      ...(prng.chance(0.5) ? { rateBytesPerSec: prng.int(3_000, 50_000), queueBytes: 20_000 } : {}),
    },
    startAt: prng.chance(0.3) ? 2 ** 32 - prng.int(0, 5_000) : 0,
  })
  const { clock, client } = pair
  const messages: Message[] = []
  const got: Uint8Array[] = []
  // A reader that stops now and then, so that the window closes too.
  let reading = true
  const read = (session: KcpSession): void => {
    if (session === client || !reading) return
    for (let bytes = pair.read(session); bytes !== undefined; bytes = pair.read(session)) got.push(bytes)
  }
  pair.onChange = read
  const gap = prng.int(1, 40)
  for (let i = 0; i < 120; i++) {
    const size = prng.chance(0.1) ? prng.int(0, 5 * (mtu - 24)) : prng.int(1, mtu)
    const now = clock.now()
    const expiresAt = prng.chance(0.7) ? Math.ceil(now + prng.int(1, 600)) : undefined
    const bytes = Uint8Array.from({ length: size }, () => prng.int(0, 255))
    const message: Message = { bytes, expiresAt, outcome: '', toldAt: 0 }
    messages.push(message)
    if (expiresAt === undefined) pair.write(client, bytes)
    else {
      const settled = (outcome: string): void => {
        equal(message.outcome, '', `seed ${seed}: message ${i} is told once`)
        message.outcome = outcome
        message.toldAt = clock.now()
      }
      client.write(bytes, now, client.expect({ expiresAt, settled }))
      pair.scheduler.touch(client)
    }
    clock.advance(prng.int(0, 2 * gap))
    if (prng.chance(0.05)) reading = !reading
    if (reading && pair.server !== undefined) read(pair.server)
  }
  reading = true
  if (pair.server !== undefined) read(pair.server)
  pair.end(client)
  for (let i = 0; i < 600 && !client.drained; i++) clock.advance(1_000)
  ok(client.drained, `seed ${seed}: not over in ten minutes`)
  clock.advance(1_000)

  const context = `seed ${seed}: ${JSON.stringify(kcp)}`
  let expired = 0
  for (const [i, { expiresAt, outcome, toldAt }] of messages.entries()) {
    if (expiresAt === undefined) continue
    ok(outcome === 'sent' || outcome === 'expired', `${context}: message ${i}: ${outcome}`)
    if (outcome === 'sent') ok(toldAt < expiresAt, `${context}: message ${i} was sent too late`)
    else {
      expired++
      ok(
        toldAt >= expiresAt && toldAt <= expiresAt + 1,
        `${context}: message ${i}: ${toldAt} for ${expiresAt}`,
      )
    }
  }
  equal(client.kcp.counters.expired, expired, context)
  deepEqual(
    got,
    messages.filter(({ outcome }) => outcome !== 'expired').map(({ bytes }) => bytes),
    context,
  )
  return { sent: got.length, expired }
}

test(`what arrives is what did not expire, whole and in order: ${SEEDS} seeds`, () => {
  let sent = 0
  let expired = 0
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = run(seed)
    sent += result.sent
    expired += result.expired
  }
  // Both happen often, or the seeds would prove nothing.
  ok(sent > SEEDS * 30 && expired > SEEDS * 10, `${sent} sent, ${expired} expired`)
})

/** A client whose peer's window is closed, and what its messages were told. */
function closedWindow(): {
  pair: SessionPair
  told: string[]
  expect: (name: string, ttl: number) => number
} {
  const pair = new SessionPair({
    seed: 1,
    config: { preset: 'fast', stallTimeout: 0 },
    link: { delayMs: 20 },
  })
  pair.write(pair.client, Uint8Array.of(1))
  pair.clock.advance(200)
  pair.client.kcp.rmtWnd = 0
  const told: string[] = []
  const expect = (name: string, ttl: number): number => {
    const expiring: Expiring = {
      expiresAt: pair.clock.now() + ttl,
      settled: (outcome) => void told.push(`${name} ${outcome} at ${pair.clock.now()}`),
    }
    const ticket = pair.client.expect(expiring)
    pair.scheduler.touch(pair.client)
    return ticket
  }
  return { pair, told, expect }
}

test('the promise of what waits in front of the engine is broken in time, and writing it then does nothing', () => {
  const { pair, told, expect } = closedWindow()
  const ticket = expect('a', 33)
  const inside = expect('b', 44)
  equal(pair.client.write(Uint8Array.of(2), pair.clock.now(), inside), 1)
  pair.clock.advance(100)
  deepEqual(told, ['a expired at 233', 'b expired at 244'])
  equal(pair.client.write(Uint8Array.of(2), pair.clock.now(), ticket), 0)
  equal(pair.client.kcp.waitSnd(), 0)
  equal(pair.client.stats(pair.clock.now()).expired, 2)
})

test('when the session ends, so do the messages that wait', () => {
  const { pair, told, expect } = closedWindow()
  expect('a', 1_000)
  pair.client.write(Uint8Array.of(2), pair.clock.now(), expect('b', 1_000))
  pair.client.abort(pair.clock.now())
  deepEqual(told, ['a closed at 200', 'b closed at 200'])
  throws(() => pair.client.expect({ expiresAt: 1, settled: () => undefined }), { code: 'ERR_KCP_CLOSED' })
})

test('a session whose messages were all sent or given up waits for no time of theirs', () => {
  const { pair, expect } = closedWindow()
  const before = pair.client.deadline()
  expect('a', 30)
  equal(pair.client.deadline(), pair.clock.now() + 30)
  pair.clock.advance(30)
  ok(pair.client.deadline() >= Math.min(before, pair.clock.now() + 100))
})
