/** A peer that is doubted: a forger who knows addresses and conv, and no clock, must not end its conversation. */
import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { Command, KCP_OVERHEAD, writeHeader } from '../../src/core/segment.ts'
import { CloseCode, encodeNotice, NoticeKind } from '../../src/session/close-notice.ts'
import type { KcpSession } from '../../src/session/session.ts'
import { SessionPair } from '../../src/sim/pair.ts'
import { Prng } from '../../src/sim/prng.ts'

function forgedPush(conv: number, sn: number, ts: number): Uint8Array {
  const bytes = new Uint8Array(KCP_OVERHEAD)
  writeHeader(bytes, 0, conv, Command.Push, 0, 128, ts, sn, 0, 0)
  return bytes
}

function pairOf(seed: number, loss: number): SessionPair {
  const pair = new SessionPair({ seed, config: { preset: 'fast' }, link: { delayMs: 20, loss } })
  pair.onChange = (session) => {
    while (pair.read(session) !== undefined);
  }
  return pair
}

for (const loss of [0, 0.1]) {
  test(`forged PUSHes end no conversation in which only one end has written (loss ${loss})`, () => {
    for (let seed = 1; seed <= 40; seed++) {
      for (const sn of [0, 0xffff_ffff]) {
        const pair = pairOf(seed, loss)
        const prng = new Prng(seed)
        for (let i = 0; i < 5; i++) {
          pair.write(pair.client, Uint8Array.of(i))
          pair.clock.advance(200)
        }
        pair.clock.advance(3_000)
        const server = pair.server!
        for (let i = 0; i < 10; i++) {
          inject(pair, server, forgedPush(server.conv, sn, prng.u32()))
          pair.clock.advance(1_000)
        }
        pair.clock.advance(20_000)
        deepEqual(
          [pair.client.closeReason, server.closeReason],
          [undefined, undefined],
          `seed=${seed} sn=${sn}`,
        )
      }
    }
  })
}

test('forged Resets draw a question a second at most', () => {
  const pair = pairOf(5, 0)
  const { client } = pair
  pair.write(client, Uint8Array.of(1))
  pair.clock.advance(1_000)
  const heard = pair.acceptor.datagramsIn
  const ts = undefined
  for (let i = 0; i < 300; i++) {
    const forged = { conv: client.conv, kind: NoticeKind.Reset, sn: i, done: true, ts, echo: i } as const
    inject(pair, client, encodeNotice(forged))
    pair.clock.advance(10)
  }
  equal(pair.acceptor.datagramsIn - heard, 3)
  equal(client.closeReason, undefined)
})

test('a refusal is no answer where nothing was asked', () => {
  const pair = pairOf(6, 0)
  const { client } = pair
  const times = { ts: undefined, echo: undefined } as const
  inject(
    pair,
    client,
    encodeNotice({
      conv: client.conv,
      kind: NoticeKind.Reset,
      sn: 0,
      done: true,
      code: CloseCode.Full,
      ...times,
    }),
  )
  equal(client.closeReason, undefined)
})

function inject(pair: SessionPair, session: KcpSession, datagram: Uint8Array): void {
  session.receive(datagram, pair.clock.now())
  pair.scheduler.touch(session)
}
