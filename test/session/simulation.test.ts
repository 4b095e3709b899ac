/**
 * Two real sessions over every kind of bad network, a seed each: what was written arrives, whole, once and in order,
 * and then both ends close. `SEEDS=1000 node --test build/test/session/simulation.test.js` runs more of them.
 */
import { deepEqual, equal, fail, ok } from 'node:assert/strict'
import { test } from 'node:test'
import type { KcpSession } from '../../src/session/session.ts'
import { SessionPair } from '../../src/sim/pair.ts'
import { Prng } from '../../src/sim/prng.ts'

const SEEDS = Number(process.env['SEEDS'] ?? 120)

/** One run: random conditions, random traffic both ways, then a graceful end. */
function run(seed: number): { readonly log: string; readonly took: number } {
  const prng = new Prng(seed)
  const loss = prng.chance(0.3) ? 0 : prng.next() * 0.3
  const preset = (['default', 'normal', 'fast', 'turbo'] as const)[prng.int(0, 3)]!
  const streamMode = prng.chance(0.5)
  const mtu = prng.chance(0.2) ? prng.int(50, 200) : prng.int(200, 1500)
  const kcp = {
    streamMode,
    mtu,
    sndWnd: prng.int(1, 256),
    rcvWnd: prng.int(128, 256),
    nodelay: prng.int(0, 2) as 0 | 1 | 2,
    resend: prng.int(0, 3),
    lossDetection: prng.chance(0.5) ? ('time' as const) : ('count' as const),
    redundancy: ([0, 0, 1, 1.5, 3, 'auto'] as const)[prng.int(0, 5)]!,
    maxInFlight: prng.chance(0.2) ? prng.int(1, 60) : 0,
    fastLimit: prng.int(0, 5),
  }
  const link = () => ({
    delayMs: prng.int(0, 200),
    jitterMs: prng.int(0, 50),
    loss,
    duplicate: prng.next() * 0.2,
    reorder: prng.next() * 0.3,
    reorderMs: prng.int(1, 1000),
    ...(prng.chance(0.2)
      ? { rateBytesPerSec: prng.int(20_000, 500_000), queueBytes: prng.int(8_000, 200_000) }
      : {}),
  })
  const pair = new SessionPair({
    seed,
    config: {
      preset,
      kcp,
      flushWrite: prng.chance(0.8),
      stallTimeout: 600_000,
      lingerTimeout: 600_000,
      idleTimeout: 0,
    },
    toServer: link(),
    toClient: link(),
    // Both wraps of a u32 clock come by within some runs.
    startAt: prng.chance(0.3) ? 2 ** prng.int(31, 33) - prng.int(0, 20_000) : 0,
  })
  const { clock, client } = pair
  const traffic = (): Uint8Array[] =>
    Array.from({ length: prng.int(1, 40) }, () => {
      const size = prng.chance(0.1) ? prng.int(0, Math.min(40, kcp.rcvWnd) * (mtu - 24)) : prng.int(1, 600)
      return Uint8Array.from({ length: Math.min(size, client.maxMessageSize) }, () => prng.int(0, 255))
    })
  const sent = { client: traffic(), server: traffic() }
  const got = { client: [] as Uint8Array[], server: [] as Uint8Array[] }
  const nextOut = { client: 0, server: 0 }
  const ended = { client: false, server: false }

  const nameOf = (session: KcpSession) => (session === client ? 'client' : 'server')
  const pump = (session: KcpSession): void => {
    const name = nameOf(session)
    for (let message = pair.read(session); message !== undefined; message = pair.read(session))
      got[name].push(message)
    while (session.open && session.writable && nextOut[name] < sent[name].length) {
      pair.write(session, sent[name][nextOut[name]++]!)
    }
    if (nextOut[name] === sent[name].length && !ended[name] && !session.closed) {
      ended[name] = true
      pair.end(session)
    }
  }
  pair.onChange = pump
  const startedAt = clock.now()
  pump(client)
  for (let at = startedAt; !(client.closed && pair.server?.closed); at += 1000) {
    if (at - startedAt > 3_600_000) {
      fail(
        `seed ${seed}: not over in an hour: ${JSON.stringify({ client: client.stats(at), server: pair.server?.stats(at) })}`,
      )
    }
    clock.runUntil(at + 1000)
  }
  pump(client)
  pump(pair.server!)

  const context = `seed ${seed}: preset ${preset}, ${JSON.stringify(kcp)}, loss ${loss}`
  const expected = streamMode ? [concat(sent.client), concat(sent.server)] : [sent.client, sent.server]
  const arrived = streamMode ? [concat(got.server), concat(got.client)] : [got.server, got.client]
  deepEqual(arrived[0], expected[0], `${context}: client to server`)
  deepEqual(arrived[1], expected[1], `${context}: server to client`)
  equal(client.closeError, undefined, context)
  equal(pair.server!.closeError, undefined, context)
  ok(['local', 'peer'].includes(client.closeReason!), context)
  equal(pair.acceptor.sessions, 0, context)
  equal(pair.acceptor.pendingSessions, 0, context)
  equal(pair.scheduler.size, 0, context)
  equal(pair.acceptor.memoryUsed, 0, `${context}: memory is given back`)
  return { log: JSON.stringify([client.stats(0), pair.server!.stats(0)]), took: clock.now() - startedAt }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

test(`everything arrives, in order, and both ends close: ${SEEDS} seeds`, () => {
  for (let seed = 1; seed <= SEEDS; seed++) run(seed)
})

test('the same seed is the same run', () => {
  for (const seed of [3, 14, 15]) equal(run(seed).log, run(seed).log, `seed ${seed}`)
})
