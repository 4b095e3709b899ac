import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { nodePrimitives } from '../../src/node/secure-primitives.ts'
import { identityOf, resolveTuning, SecureClientTransport } from '../../src/secure/index.ts'
import type { DatagramHandler, DatagramTransport, PeerAddress } from '../../src/session/transport.ts'
import { PATH_ERRORS } from '../../src/session/transport.ts'
import { VirtualClock } from '../../src/sim/index.ts'
import { Bench, bytesOf, PSK } from './support.ts'

const PEER: PeerAddress = { address: 'server', port: 1 }

/** A transport in the test's hands, and a client around it that counts how often it wants to reconnect. */
function around(options: { readonly reconnects: boolean }) {
  const clock = new VirtualClock(0)
  const sent: Uint8Array[] = []
  const reconnects: number[] = []
  const errors: Error[] = []
  let below: DatagramHandler<PeerAddress> | undefined
  let failed = 0
  const transport: DatagramTransport<PeerAddress> = {
    send: (datagram) => sent.push(datagram.slice()),
    start: (handler) => {
      below = handler
    },
    close: () => undefined,
  }
  const client = new SecureClientTransport<PeerAddress>(
    {
      transport,
      clock,
      primitives: nodePrimitives,
      identity: identityOf(PSK.client, 'client', nodePrimitives),
      tuning: resolveTuning({}),
      mtu: 1_200,
      reconnect: options.reconnects ? () => reconnects.push(clock.now()) : undefined,
    },
    PEER,
    () => true,
    { onOpen: () => undefined, onFailed: () => failed++, onError: (error) => errors.push(error) },
  )
  void client.open()
  const bench = new Bench()
  return {
    clock,
    client,
    sent,
    reconnects,
    errors,
    failed: () => failed,
    fail: (code: string) => below!.onError(Object.assign(new Error(`send ${code}`), { code })),
    /** Carries what is on the wire. */
    settle: () => {
      for (let moved = true; moved; ) {
        moved = false
        bench.now = clock.now()
        for (const datagram of sent.splice(0)) {
          bench.server.receive(datagram, 'client:1', bench.now)
          moved = true
        }
        for (const datagram of bench.to('client:1')) {
          below!.onDatagram(datagram, PEER)
          moved = true
        }
      }
    },
  }
}

test('errors of the path reconnect the socket, at once and then after longer and longer times', () => {
  for (const code of PATH_ERRORS as ReadonlySet<string>) {
    const { clock, client, fail, reconnects, settle, errors, failed } = around({ reconnects: true })
    settle()
    for (let now = 0; now < 120_000; now += 100) {
      clock.advance(100)
      client.send(bytesOf('x'), PEER)
      fail(code)
    }
    equal(reconnects[0], 100, code)
    const gaps = reconnects.slice(1).map((at, i) => at - reconnects[i]!)
    deepEqual(gaps.slice(0, 6), [1_000, 2_000, 4_000, 8_000, 16_000, 32_000], `${code}: ${gaps}`)
    deepEqual([errors.length, failed()], [0, 0], 'nothing above hears of it')
  }
})

test('a server that gives no sign of life is tried from a reconnected socket', () => {
  const { clock, reconnects, settle, sent } = around({ reconnects: true })
  settle()
  for (let now = 0; now < 60_000; now += 1_000) {
    clock.advance(1_000)
    settle()
  }
  deepEqual(reconnects, [], 'a server that answers Pings is there')
  for (let now = 0; now < 40_000; now += 500) {
    clock.advance(500)
    sent.length = 0
  }
  ok(reconnects.length >= 3 && reconnects.length <= 5, `${reconnects}`)
  ok(reconnects[0]! <= 60_000 + 13_000, `${reconnects}`)
  const before = reconnects.length
  settle()
  clock.advance(20_000)
  settle()
  clock.advance(5_000)
  settle()
  equal(reconnects.length <= before + 1, true)
})

test('without a way to reconnect the error goes up, as from any transport', () => {
  const { fail, errors } = around({ reconnects: false })
  fail('ENETUNREACH')
  equal(errors.length, 1)
})

test('a refusal is never taken for a moved address', () => {
  const { fail, errors, reconnects, settle } = around({ reconnects: true })
  settle()
  fail('ECONNREFUSED')
  deepEqual([errors.length, reconnects.length], [1, 0])
})
