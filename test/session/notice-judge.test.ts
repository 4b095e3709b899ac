import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { Kcp } from '../../src/core/kcp.ts'
import { type CloseNotice, NoticeKind } from '../../src/session/close-notice.ts'
import { NoticeJudge } from '../../src/session/notice-judge.ts'

const CONV = 7

/** An engine that sent one PUSH at 1000 ms of its clock, and its judge. */
function judge(): { readonly kcp: Kcp; readonly judge: NoticeJudge } {
  const kcp = new Kcp(CONV, () => undefined, { nodelay: 1, nc: true, hardening: true })
  kcp.update(1000)
  kcp.send(Uint8Array.of(1))
  kcp.flush(1000)
  return { kcp, judge: new NoticeJudge(kcp) }
}

function fin(fields: Partial<CloseNotice>): CloseNotice {
  return { conv: CONV, kind: NoticeKind.Fin, sn: 0, done: false, ts: undefined, echo: undefined, ...fields }
}

test('without a time that can be checked nothing is believed', () => {
  equal(judge().judge.believes(fin({}), 0), false)
  equal(judge().judge.believes(fin({ ts: 5000 }), 0), false, 'the clock was never heard')
})

test('the echo of a ts that was sent is believed; one of later or of long before is not', () => {
  equal(judge().judge.believes(fin({ echo: 1000 }), 0), true)
  equal(judge().judge.believes(fin({ echo: 1001 }), 0), false)
  equal(judge().judge.believes(fin({ echo: (1000 - 10_001) >>> 0 }), 0), false)
})

test("once the peer's clock is known its ts is wanted, and has to agree within 2 s and one RTO", () => {
  const at = (ts: number | undefined): boolean => {
    const { judge: one } = judge()
    one.clock.learn(0xffff_ff00, 50)
    return one.believes(fin({ ts, echo: 1000 }), 1050)
  }
  // A second later the clock has wrapped.
  equal(at(0xffff_ff00 + 1000 - 2 ** 32), true)
  equal(at(0xffff_ff00 + 1000 - 2 ** 32 + 2_200), true)
  equal(at(0xffff_ff00 + 1000 - 2 ** 32 + 2_210), false)
  equal(at(undefined), false)
})

test('a late segment does not set the clock back', () => {
  const { judge: one } = judge()
  one.clock.learn(9000, 100)
  one.clock.learn(5000, 200)
  equal(one.believes(fin({ ts: 9100 }), 200), true)
})

test('a Fin has to number exactly what arrived; a Reset at least that', () => {
  equal(judge().judge.believes(fin({ sn: 1, echo: 1000 }), 0), false)
  const reset = { kind: NoticeKind.Reset, ts: 1, echo: 1000 }
  equal(judge().judge.believes(fin({ ...reset, sn: 1 }), 0), true)
  equal(judge().judge.believes(fin({ ...reset, sn: 0xffff_ffff }), 0), false)
})

test("a listener's Reset names a PUSH in flight and the ts of one of its transmissions", () => {
  const reset = { kind: NoticeKind.Reset, sn: 0 }
  equal(judge().judge.believes(fin({ ...reset, echo: 1000 }), 0), true)
  equal(judge().judge.believes(fin({ ...reset, echo: 999 }), 0), false)
  equal(judge().judge.believes(fin({ ...reset, sn: 1, echo: 1000 }), 0), false)
})

test('after eight that prove nothing not even a good one is believed', () => {
  const { judge: one } = judge()
  for (let i = 0; i < 8; i++) equal(one.believes(fin({ echo: 2000 + i }), 0), false)
  equal(one.misses, 8)
  equal(one.believes(fin({ echo: 1000 }), 0), false)
  equal(one.misses, 9, 'and it is counted')
})

test('one that names our time, but a clock of the peer that we do not know it by, is dropped and no forgery', () => {
  const { judge: one } = judge()
  one.clock.learn(5000, 0)
  for (let i = 0; i < 20; i++) equal(one.believes(fin({ ts: 60_000, echo: 1000 }), 0), false)
  deepEqual([one.dropped, one.misses], [20, 0])
  equal(one.believes(fin({ ts: 5000, echo: 1000 }), 0), true, 'an honest one is still believed')
  equal(one.dropped, 20)
})
