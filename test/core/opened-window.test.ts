/** A window that was told as 0 and opens by something else than a read of its own: the peer hears of it. */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import type { KcpConfig } from '../../src/core/config.ts'
import { Kcp } from '../../src/core/kcp.ts'
import { giveBack, type MemoryBudget } from '../../src/core/memory-budget.ts'
import { ReceiveWindow } from '../../src/core/receive-window.ts'
import { formatDatagram } from '../../src/sim/trace.ts'

interface End {
  readonly kcp: Kcp
  readonly out: Uint8Array[]
}

function end(conv: number, config: KcpConfig): End {
  const out: Uint8Array[] = []
  const kcp = new Kcp(conv, (datagram) => out.push(datagram.slice()), {
    nodelay: 1,
    interval: 10,
    nc: true,
    sndWnd: 256,
    rcvWnd: 256,
    ...config,
  })
  kcp.update(0)
  return { kcp, out }
}

/** Has `to` receive `count` segments of `size` bytes and answer; its datagrams are then in `to.out`. */
function fill(conv: number, to: End, count: number, size = 1_300): void {
  const from = end(conv, { hardening: true })
  for (let i = 0; i < count; i++) from.kcp.send(new Uint8Array(size))
  from.kcp.flush(1)
  for (const datagram of from.out) to.kcp.tryInput(datagram, 1)
  to.kcp.flush(2)
}

const tells = (one: End): string[] =>
  one.out
    .splice(0)
    .map((datagram) => formatDatagram(datagram))
    .filter((text) => text.includes('wins'))

test('a shared budget that another conversation frees opens the window, and the peer is told once', () => {
  const budget: MemoryBudget = { used: 0, limit: 100_000 }
  const [one, other] = [end(1, { hardening: true }), end(2, { hardening: true })]
  one.kcp.rcv.budget = other.kcp.rcv.budget = budget
  let opened = 0
  one.kcp.onWindowOpened = () => opened++
  fill(2, other, 66)
  fill(1, one, 10)
  equal(one.kcp.rcv.unused, 0)
  one.out.splice(0)
  one.kcp.flush(3)
  deepEqual([tells(one), opened], [[], 0])
  while (other.kcp.recv() !== undefined);
  equal(opened, 1)
  one.kcp.flush(4)
  equal(tells(one).length, 1)
  one.kcp.flush(5)
  equal(tells(one).length, 0)
})

test('so does a read that finds the window opened by others', () => {
  const budget: MemoryBudget = { used: 0, limit: 20_000 }
  const one = end(1, { hardening: true })
  one.kcp.rcv.budget = budget
  budget.used = 10_000
  fill(1, one, 7)
  equal(one.kcp.rcv.unused, 0)
  one.out.splice(0)
  // Somebody who does not call those that wait.
  budget.used -= 10_000
  ok(one.kcp.rcv.unused > 0)
  one.kcp.recv()
  one.kcp.flush(3)
  equal(tells(one).length, 1)
})

for (const [what, change] of [
  ['setWindow', (kcp: Kcp) => kcp.setWindow(256, 512)],
  ['applyConfig', (kcp: Kcp) => kcp.applyConfig({ rcvWnd: 512 })],
] as const) {
  test(`a larger window by ${what} is told, and whoever flushes is called`, () => {
    const one = end(1, { hardening: true, rcvWnd: 128 })
    let opened = 0
    one.kcp.onWindowOpened = () => opened++
    fill(1, one, 128, 10)
    equal(one.kcp.rcv.unused, 0)
    one.out.splice(0)
    change(one.kcp)
    ok(opened >= 1)
    one.kcp.flush(3)
    equal(tells(one).length, 1)
  })
}

test('a smaller mtu that makes room for a segment is told', () => {
  const one = end(1, { hardening: true })
  one.kcp.rcv.maxBytes = 2_000
  fill(1, one, 10, 100)
  fill(1, one, 10, 100)
  equal(one.kcp.rcv.unused, 0)
  one.out.splice(0)
  one.kcp.setMtu(500)
  one.kcp.flush(3)
  equal(tells(one).length, 1)
})

test('with hardening off nothing is told but what the reference tells', () => {
  const one = end(1, { hardening: false, rcvWnd: 128 })
  fill(1, one, 128, 10)
  one.out.splice(0)
  one.kcp.setWindow(256, 512)
  one.kcp.recv()
  one.kcp.flush(3)
  deepEqual(tells(one), [])
})

test('those that wait for a budget are called in turn, as many as have room, and are forgotten with their window', () => {
  const budget: MemoryBudget = { used: 10_000, limit: 10_000 }
  const called: number[] = []
  const windows = [0, 1, 2, 3].map((i) => {
    const window = new ReceiveWindow()
    window.budget = budget
    window.segmentSize = 1_000
    window.awaitRoom(() => called.push(i))
    window.awaitRoom(() => called.push(i))
    return window
  })
  equal(budget.waiting!.size, 4)
  giveBack(budget, 999)
  equal(called.length, 0)
  giveBack(budget, 1)
  deepEqual(called, [0])
  windows[1]!.drop()
  giveBack(budget, 1_000)
  deepEqual(called, [0, 2, 3])
  equal(budget.waiting!.size, 0)
  // There is room: what keeps a window closed is another limit.
  windows[0]!.awaitRoom(() => called.push(9))
  equal(budget.waiting!.size, 0)
})
