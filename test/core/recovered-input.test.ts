/** Input of datagrams that were lost and rebuilt: their news counts, their time and their window do not. */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { HARDENED } from '../../src/core/config.ts'
import { Kcp } from '../../src/core/kcp.ts'
import { parseTrace } from '../../src/sim/trace.ts'

const CONV = 7

function engine(config: object = {}): { readonly kcp: Kcp; readonly samples: number[] } {
  const samples: number[] = []
  const kcp = new Kcp(CONV, () => undefined, { nodelay: 1, nc: true, hardening: HARDENED, ...config })
  kcp.setCongestion({
    name: 'listener',
    init: (state) => void (state.cwnd = 8),
    onRtt: (_, rtt) => void samples.push(rtt),
    onAcked: (_engine, _sn, _ts, _size, rtt) => void samples.push(rtt),
  })
  kcp.update(0)
  kcp.send(new Uint8Array(10))
  kcp.send(new Uint8Array(10))
  kcp.flush(0)
  return { kcp, samples }
}

for (const [name, config] of [
  ['hardened', {}],
  ['as the reference', { hardening: false }],
  ['losses told by time', { lossDetection: 'time' }],
] as const) {
  test(`an ACK that was rebuilt acknowledges, and measures nothing: ${name}`, () => {
    const direct = engine(config)
    direct.kcp.tryInput(parseTrace('ack sn=0 ts=0 una=1 wnd=9', { conv: CONV }), 300)
    ok(direct.samples.some((rtt) => rtt === 300))
    ok(direct.kcp.srtt > 0)

    const { kcp, samples } = engine(config)
    equal(kcp.tryInput(parseTrace('ack sn=0 ts=0 una=1 wnd=9', { conv: CONV }), 300, true), 0)
    equal(kcp.snd.inFlight, 1)
    deepEqual(
      samples.filter((rtt) => rtt >= 0),
      [],
    )
    equal(kcp.srtt, 0)
  })
}

test('the window of a datagram that was rebuilt is not taken', () => {
  const { kcp } = engine()
  kcp.tryInput(parseTrace('wins una=0 wnd=50', { conv: CONV }), 10)
  equal(kcp.rmtWnd, 50)
  kcp.tryInput(parseTrace('wins una=0 wnd=1', { conv: CONV }), 20, true)
  equal(kcp.rmtWnd, 50)
})

test('data that was rebuilt is stored and acknowledged', () => {
  const { kcp } = engine()
  equal(kcp.tryInput(parseTrace('push sn=0 ts=5 una=0 wnd=9 "abc"', { conv: CONV }), 10, true), 0)
  equal(String.fromCharCode(...kcp.recv()!), 'abc')
  equal(kcp.acks.count, 1)
})
