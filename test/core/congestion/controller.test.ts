import { deepEqual, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import type { CongestionControl } from '../../../src/core/congestion/controller.ts'
import { joined, Trace } from '../../support/trace.ts'

type Call = readonly [name: string, ...args: unknown[]]

/** A controller that notes every call and changes nothing. */
function listener(calls: Call[]): Required<CongestionControl> {
  const note =
    (name: string) =>
    (_: unknown, ...args: number[]): void => {
      calls.push([name, ...args])
    }
  return {
    name: 'listener',
    init: note('init'),
    release: note('release'),
    onAck: note('onAck'),
    onFastRetransmit: note('onFastRetransmit'),
    onTimeout: note('onTimeout'),
    onTick: note('onTick'),
    onAppLimited: note('onAppLimited'),
    onRtt: note('onRtt'),
    onSent: note('onSent'),
    onAcked: note('onAcked'),
    budget: () => -1,
  }
}

const FAST = { nodelay: 1, interval: 10, resend: 1 } as const

test('a controller hears of everything, in the order in which it happens', () => {
  const t = new Trace(FAST).at(0)
  const calls: Call[] = []
  t.kcp.setCongestion(listener(calls))
  deepEqual(calls.splice(0), [['init']])

  t.kcp.cwnd = 3
  t.send('0', '11', '222').flush()
  deepEqual(calls.splice(0), [
    ['onTick'],
    ['onSent', 0, 0, 1, 3, 1],
    ['onSent', 1, 0, 2, 3, 1],
    ['onSent', 2, 0, 3, 3, 1],
  ])

  t.clock(20).input('ack sn=1 ts=0')
  deepEqual(calls.splice(0), [
    ['onRtt', 20],
    ['onAcked', 1, 0, 2, 20, 1],
  ])
  t.flush()
  deepEqual(calls.splice(0), [
    ['onTick'],
    ['onAppLimited', 2],
    ['onSent', 0, 20, 1, 2, 2],
    ['onFastRetransmit', 1, 2, 3],
  ])

  t.clock(30).input('wins una=1')
  deepEqual(calls.splice(0), [
    ['onAcked', 0, 20, 1, -1, 2],
    ['onAck', 2, 1, 2],
  ])
  t.at(200)
  deepEqual(calls.splice(0), [['onTick'], ['onAppLimited', 1], ['onSent', 2, 200, 3, 1, 2], ['onTimeout', 3]])
  t.kcp.release()
  deepEqual(calls, [['release']])
})

test('its window holds, also where the configuration says that there is none', () => {
  const t = new Trace({ ...FAST, nc: true, sndWnd: 64 }).at(0)
  t.kcp.setCongestion({ name: 'five', onTick: (state) => void (state.cwnd = 5) })
  for (let i = 0; i < 10; i++) t.send('x')
  t.expect(joined(5, (i) => `push sn=${i}`))
  t.kcp.setCongestion(null)
  t.expect(joined(5, (i) => `push sn=${i + 5}`))
  equal(t.kcp.congestion, null)
})

test("where a controller has no hook, KCP's own rule stays", () => {
  const t = new Trace(FAST).at(0)
  t.kcp.setCongestion({ name: 'silent' })
  t.send('a').skip().clock(10).input('ack sn=0 una=1 ts=0')
  equal(t.kcp.cwnd, 2)
  t.send('b', 'c').skip().at(500)
  deepEqual([t.kcp.cwnd, t.kcp.ssthresh], [1, 2])
})

test('a controller whose init throws is not installed, and the error is passed on', () => {
  const t = new Trace(FAST).at(0)
  const refusal = new Error('not here')
  const calls: Call[] = []
  t.kcp.setCongestion(listener(calls))
  throws(
    () =>
      t.kcp.setCongestion({
        name: 'refusing',
        init: () => {
          throw refusal
        },
      }),
    refusal,
  )
  equal(t.kcp.congestion, null)
  deepEqual(calls, [['init'], ['release']], 'the one before is gone')
  t.send('a').expect('push sn=0')
})

test('a budget keeps segments back, untouched, for the next flush', () => {
  const t = new Trace({ ...FAST, mtu: 50 }).at(0)
  let budget = 60
  t.kcp.setCongestion({
    name: 'paced',
    init: (state) => void (state.cwnd = 10),
    budget: () => budget,
  })
  t.send(26, 26, 26, 26).expect('push sn=0', 'push sn=1')
  deepEqual([t.kcp.snd.xmitOf(2), t.kcp.waitSnd()], [0, 4])
  budget = 0
  t.at(50).sent()
  budget = -1
  t.at(60).sent('push sn=2 ts=60', 'push sn=3 ts=60')
  // Resends need budget as well; what was skipped or timed out stays due.
  budget = 26
  t.at(200).sent('push sn=0')
  t.at(210).sent('push sn=1')
  equal(t.kcp.timeouts, 2)
})

test('the state that it sees is the live one', () => {
  const t = new Trace({ ...FAST, mtu: 500, sndWnd: 44 }).at(123)
  let seen: unknown
  t.kcp.setCongestion({
    name: 'reader',
    onTick: ({ mss, sndWnd, rmtWnd, srtt, now }) => {
      seen = { mss, sndWnd, rmtWnd, srtt, now }
    },
  })
  t.clock(150).flush()
  deepEqual(seen, { mss: 476, sndWnd: 44, rmtWnd: 128, srtt: 0, now: 150 })
})
