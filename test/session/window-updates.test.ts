import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { Kcp } from '../../src/core/kcp.ts'
import { WindowUpdates } from '../../src/session/window-updates.ts'

test('a window that opened is advertised five times, an RTO apart, or until data comes', () => {
  const kcp = new Kcp(1, () => undefined, 'fast')
  const { rto } = kcp.rtt
  const updates = new WindowUpdates()
  equal(updates.at, Number.POSITIVE_INFINITY)
  updates.opened(kcp, 1_000)
  const times: number[] = []
  while (updates.at !== Number.POSITIVE_INFINITY) {
    times.push(updates.at)
    kcp.probe.tellPending = false
    updates.advertise(kcp, updates.at)
    equal(kcp.probe.tellPending, true)
  }
  deepEqual(
    times,
    [1, 2, 3, 4, 5].map((n) => 1_000 + n * rto),
  )
  updates.opened(kcp, 5_000)
  updates.received()
  equal(updates.at, Number.POSITIVE_INFINITY)
})
