import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { resolveSessionConfig } from '../../src/session/config.ts'
import { PeerLink } from '../../src/session/peer-link.ts'
import { KcpSession } from '../../src/session/session.ts'
import type { DatagramTransport } from '../../src/session/transport.ts'
import { formatDatagram } from '../../src/sim/trace.ts'

/** What a client session writes in its first flushes, datagram by datagram, over `transport`. */
function write(transport: DatagramTransport<string>): void {
  const link = new PeerLink(transport, 'peer', undefined)
  const session = new KcpSession({
    conv: 1,
    config: resolveSessionConfig({ preset: 'fast', kcp: { mtu: 100 } }),
    role: 'client',
    clockOffset: 0,
    now: 0,
    send: link.send,
    flushed: link.flushed,
  })
  session.run(0)
  session.write(new Uint8Array(200).fill(1), 0)
  session.run(5)
  session.run(10)
  session.ask(20)
  session.run(20)
  session.abort(20)
  equal(link.traffic.datagramsOut, 7)
}

test('a transport that takes batches gets one per flush, of the very datagrams that send would get', () => {
  const single: string[] = []
  write({
    send: (datagram) => single.push(formatDatagram(datagram)),
    start: () => undefined,
    close: () => undefined,
  })
  const batches: (readonly { readonly datagram: Uint8Array; readonly peer: string }[])[] = []
  write({
    send: () => {
      throw new Error('send is not called beside sendBatch')
    },
    sendBatch: (batch) => batches.push(batch),
    start: () => undefined,
    close: () => undefined,
  })
  // Read after everything was sent: the datagrams of a batch are the transport's to keep.
  deepEqual(
    batches.flat().map(({ datagram }) => formatDatagram(datagram)),
    single,
  )
  deepEqual(
    batches.map((batch) => batch.length),
    [3, 1, 1, 1, 1],
  )
  equal(batches.flat()[0]?.peer, 'peer')
})
