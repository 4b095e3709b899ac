import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { FecKind } from '../../src/fec/header.ts'
import { resolveSessionConfig } from '../../src/session/config.ts'
import { Connection, type ConnectionOptions, connectTo } from '../../src/session/connection.ts'
import { PeerLink } from '../../src/session/peer-link.ts'
import type { KcpSession } from '../../src/session/session.ts'
import type { DatagramTransport } from '../../src/session/transport.ts'
import { VirtualClock } from '../../src/sim/clock.ts'
import { parseTrace } from '../../src/sim/trace.ts'

const CONV = 8
const clock = new VirtualClock(0)
const transport: DatagramTransport<string> = {
  overhead: 29,
  send: () => undefined,
  start: () => undefined,
  close: () => undefined,
  peerKey: (peer) => peer,
}
const push = (conv: number, text = 'a'): Uint8Array => parseTrace(`push sn=0 "${text}"`, { conv })

/** Options that both roles share, and the convs of the channels that were scheduled, in order. */
function common(channels: number) {
  const touched: number[] = []
  const warnings: string[] = []
  const options = {
    config: resolveSessionConfig({ preset: 'fast' }),
    conv: CONV,
    channels,
    fec: undefined,
    clockOffset: 7,
    clock,
    touch: ({ conv }: KcpSession) => void touched.push(conv),
    warn: (code: string, message: string) => void warnings.push(`${code}: ${message}`),
  }
  return { options, touched, warnings }
}

function client(channels = 1) {
  const { options, ...seen } = common(channels)
  const peer = 'server'
  const connection = connectTo({
    ...options,
    transport,
    peer,
    codec: undefined,
    cipher: undefined,
    mtu: 1_400,
  })
  return { connection, ...seen }
}

function server(channels: number, more: Partial<ConnectionOptions<string>> = {}) {
  const { options, ...seen } = common(channels)
  const link = new PeerLink(transport, 'client', undefined)
  const connection = new Connection({ ...options, role: 'server', link, mtu: 1_371, begun: CONV, ...more })
  return { connection, ...seen }
}

test('a datagram goes to the channel of its conv; channel 0 rejects and counts one that fits no channel', () => {
  const { connection, touched } = client(3)
  connection.receiveSealed(push(CONV + 2))
  deepEqual(
    connection.sessions.map(({ readable }) => readable),
    [false, false, true],
  )
  connection.receiveSealed(push(CONV + 3))
  connection.receiveSealed(Uint8Array.of(1, 2))
  deepEqual(touched, [CONV + 2, CONV, CONV])
  deepEqual(
    connection.sessions.map(({ kcp }) => kcp.counters.inputErrors),
    [2, 0, 0],
  )
})

test('what the transport adds is left out of the datagrams of the engines, now and when the path changes', () => {
  const { connection } = client(2)
  equal(connection.mtu, 1_371)
  connection.largerDatagrams(1_229)
  deepEqual(
    connection.sessions.map(({ kcp }) => kcp.mtu),
    [1_200, 1_200],
  )
})

test('channels know their peer together: what proves its address for one proves it for all', () => {
  const { connection } = server(3)
  const [first, ...others] = connection.sessions
  deepEqual(
    others.map(({ contact }) => contact === first!.contact),
    [true, true],
  )
  equal(connection.pipeline.proven, false)
  others[0]!.trust()
  deepEqual(
    connection.sessions.map(({ proven }) => proven),
    [true, true, true],
  )
  equal(connection.pipeline.proven, true)
  ok(client().connection.pipeline.proven, 'a client chose its peer')
})

test('what channels share is given back once, when the last of them is over', () => {
  const { connection } = server(2)
  const [one, other] = connection.sessions
  equal(connection.releaseIfOver(), false)
  one!.abort(0)
  equal(connection.releaseIfOver(), false)
  other!.abort(0)
  deepEqual([connection.releaseIfOver(), connection.releaseIfOver()], [true, false])
})

test('a channel that is over takes nothing, and asks for no turn', () => {
  const { connection, touched } = server(2)
  connection.sessions[1]!.abort(0)
  const datagram = push(CONV + 1)
  connection.receive(FecKind.Bare, datagram, datagram.length, 0)
  deepEqual(touched, [])
})

test('one warning names a peer whose datagrams are not KCP, unless the peer was understood before', () => {
  const { connection, warnings } = client()
  const noise = new Uint8Array(40).fill(0xee)
  for (let i = 0; i < 20; i++) connection.receiveSealed(noise)
  equal(warnings.length, 1)
  ok(/^KCP_CIPHER: datagrams from the peer are not KCP/.test(warnings[0]!), warnings[0])
  const understood = client()
  understood.connection.receiveSealed(push(CONV))
  for (let i = 0; i < 20; i++) understood.connection.receiveSealed(noise)
  deepEqual(understood.warnings, [])
})
