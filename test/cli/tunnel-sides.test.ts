/**
 * Both sides of the tunnel over links in memory and in virtual time: which session takes a connection, what happens
 * while there is none, and how it stops.
 */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { TunnelClient } from '../../src/cli/tunnel/client.ts'
import type { Link } from '../../src/cli/tunnel/link.ts'
import { TunnelServer } from '../../src/cli/tunnel/server.ts'
import type { VirtualClock } from '../../src/sim/clock.ts'
import { type End, FakeLink, memoryLog, pipe, readAll, streamClock, turns } from './support.ts'

/** Time passes, and what the last event began comes to an end. */
async function pass(clock: VirtualClock, ms: number): Promise<void> {
  await clock.run(ms)
  await turns()
}

interface Rig {
  readonly client: TunnelClient
  readonly clock: VirtualClock
  readonly links: FakeLink[]
  readonly lines: string[]
  /** What the next dials do: 'ok', or the reason of a failure; 'ok' when empty. */
  readonly dials: string[]
  readonly dialledAt: number[]
  /** An application's connection through the tunnel. */
  connect(): End
}

function rig(options: { sessions?: number; autoExpire?: number; scavenge?: number } = {}): Rig {
  const clock = streamClock()
  const { log, lines } = memoryLog()
  const links: FakeLink[] = []
  const dials: string[] = []
  const dialledAt: number[] = []
  const dial = async (): Promise<Link> => {
    dialledAt.push(clock.now())
    const fate = dials.shift() ?? 'ok'
    if (fate === 'never') return new Promise(() => undefined)
    if (fate !== 'ok') throw new Error(fate)
    const link = new FakeLink(`#${links.length + 1}`)
    links.push(link)
    return link
  }
  const { sessions = 1, autoExpire = 0, scavenge = 0 } = options
  const client = new TunnelClient({ dial, sessions, autoExpire, scavenge, closeWait: 0, clock, log })
  let count = 0
  const connect = (): End => {
    const [near, ours] = pipe()
    void client.serve(ours, `app ${++count}`)
    return near
  }
  return { client, clock, links, lines, dials, dialledAt, connect }
}

test('connections go round the sessions', async () => {
  const { client, clock, links, connect } = rig({ sessions: 3 })
  client.start()
  await pass(clock, 1)
  for (let i = 0; i < 7; i++) connect()
  await pass(clock, 1)
  deepEqual(
    links.map((link) => link.streams),
    [3, 2, 2],
  )
  equal(client.connections, 7)
})

test('a connection is forwarded, and both ends of its life are logged', async () => {
  const { clock, links, lines, connect } = rig()
  const near = connect()
  near.end('ping')
  await pass(clock, 1)
  const far = links[0]!.peers[0]!
  equal(String(await readAll(far)), 'ping')
  far.end('pong!')
  equal(String(await readAll(near)), 'pong!')
  await pass(clock, 1)
  deepEqual(lines, [
    'info  session #1 opened',
    'info  app 1 opened, through #1',
    'info  app 1 closed after 0.0 s: 4 B up, 5 B down',
  ])
})

test('a session that dies takes its connections with it, and the next connection gets a new one', async () => {
  const { clock, links, lines, connect } = rig()
  const first = connect()
  await pass(clock, 1)
  links[0]!.fail('timeout')
  await rejects(readAll(first), /cut off/)
  connect()
  await pass(clock, 1)
  equal(links.length, 2)
  equal(links[1]!.streams, 1)
  ok(lines.includes('info  session #1 closed: timeout'), lines.join('\n'))
})

test('while the server is down connections are closed, and attempts become rarer', async () => {
  const { clock, lines, dials, dialledAt, connect } = rig()
  for (let i = 0; i < 50; i++) dials.push('nobody there')
  let closed = 0
  for (let i = 0; i < 600; i++) {
    const near = connect()
    near.once('close', () => closed++)
    near.on('error', () => undefined)
    await pass(clock, 100)
  }
  await pass(clock, 10_000)
  equal(closed, 600)
  const pauses = dialledAt.slice(1).map((at, i) => at - dialledAt[i]!)
  // The pause, and up to 100 ms until the next connection comes.
  deepEqual(
    pauses.slice(0, 6).map((ms) => Math.floor(ms / 500) * 500),
    [500, 1000, 2000, 4000, 8000, 10_000],
  )
  ok(
    pauses.slice(5).every((ms) => ms >= 10_000 && ms <= 10_200),
    String(pauses),
  )
  ok(lines.filter((line) => line.startsWith('warn  no session: nobody there')).length < 15)
  ok(lines.includes('warn  app 1 refused: nobody there'))
  dials.splice(0)
  connect()
  await pass(clock, 10_000)
  ok(lines.at(-1)?.includes('opened, through #1'), lines.at(-1))
})

test('a connection waits 8 s for a session, or until it goes away', async () => {
  const { clock, client, dials, lines, connect } = rig()
  dials.push('never')
  const patient = connect()
  patient.on('error', () => undefined)
  const hasty = connect()
  await pass(clock, 1_000)
  equal(client.connections, 2)
  hasty.destroy()
  await pass(clock, 6_900)
  equal(client.connections, 1)
  equal(patient.destroyed, false)
  await pass(clock, 200)
  equal(client.connections, 0)
  equal(patient.destroyed, true)
  deepEqual(lines, ['warn  app 1 refused: no session with the server'])
})

test('when one of several sessions cannot be had, another serves', async () => {
  const { clock, client, links, dials, connect } = rig({ sessions: 2 })
  client.start()
  await pass(clock, 1)
  links[0]!.fail('timeout')
  await pass(clock, 1)
  dials.push('nobody there')
  connect()
  connect()
  await pass(clock, 1)
  equal(links[1]!.streams, 2)
})

test('a session full of streams refuses the next connection', async () => {
  const { clock, links, lines, client, connect } = rig()
  client.start()
  await pass(clock, 1)
  links[0]!.limit = 2
  connect()
  connect()
  const third = connect()
  third.on('error', () => undefined)
  await pass(clock, 1)
  equal(third.destroyed, true)
  equal(links[0]!.streams, 2)
  ok(lines.includes('warn  app 3 refused: too many streams'))
})

test('an old session gets no new connections; it ends with its last one', async () => {
  const { clock, links, client, connect } = rig({ autoExpire: 60_000 })
  const first = connect()
  await pass(clock, 59_000)
  connect()
  await pass(clock, 2_000)
  deepEqual(
    links.map((link) => link.streams),
    [2],
  )
  connect()
  await pass(clock, 1)
  deepEqual(
    links.map((link) => link.streams),
    [2, 1],
  )
  equal(client.links.length, 2)
  for (const end of [first, ...links[0]!.peers]) end.destroy()
  await pass(clock, 6_000)
  equal(client.links.length, 1)
})

test('or after scavengettl, whatever its connections do', async () => {
  const { clock, links, client, connect } = rig({ autoExpire: 60_000, scavenge: 100_000 })
  const first = connect()
  first.on('error', () => undefined)
  await pass(clock, 61_000)
  connect()
  await pass(clock, 99_000)
  equal(links[0]!.streams, 1)
  await pass(clock, 7_000)
  equal(first.destroyed, true)
  deepEqual(
    client.links.map((link) => link.name),
    ['#2'],
  )
})

test('a stop waits for connections, up to its limit, and then ends the sessions', async () => {
  const { clock, client, links, connect } = rig({ sessions: 2 })
  client.start()
  const [quick, slow] = [connect(), connect()]
  slow.on('error', () => undefined)
  await pass(clock, 1)
  let stopped = false
  void client.stop(5_000).then(() => (stopped = true))
  quick.end()
  links[0]!.peers[0]!.end()
  quick.resume()
  links[0]!.peers[0]!.resume()
  await pass(clock, 4_900)
  equal(stopped, false)
  equal(slow.destroyed, false)
  await pass(clock, 200)
  equal(stopped, true)
  equal(slow.destroyed, true)
  deepEqual(client.links, [])
})

test('a stop without connections is at once, and a session that comes late is not kept', async () => {
  const { clock, client, links } = rig()
  client.start()
  await client.stop(5_000)
  await pass(clock, 1)
  equal(clock.now(), 1)
  equal(links.length, 1)
  deepEqual(client.links, [])
})

// ---- the server's side -----------------------------------------------------------------------------------------

interface Target {
  readonly server: TunnelServer
  readonly clock: VirtualClock
  readonly lines: string[]
  /** The target's ends of connections. */
  readonly accepted: End[]
  /** What the next connects do, as `dials` above. */
  readonly connects: string[]
}

function target(proxyProtocol = false): Target {
  const clock = streamClock()
  const { log, lines } = memoryLog()
  const accepted: End[] = []
  const connects: string[] = []
  const connect = async (): Promise<End> => {
    const fate = connects.shift() ?? 'ok'
    if (fate !== 'ok') throw new Error(fate)
    const [ours, theirs] = pipe()
    accepted.push(theirs)
    return ours
  }
  return {
    server: new TunnelServer({ connect, proxyProtocol, closeWait: 0, clock, log }),
    clock,
    lines,
    accepted,
    connects,
  }
}

test('a stream becomes a connection to the target', async () => {
  const { server, clock, lines, accepted } = target()
  const link = new FakeLink('#1')
  server.add(link)
  const far = link.arrive()
  far.end('ping')
  await pass(clock, 1)
  equal(String(await readAll(accepted[0]!)), 'ping')
  accepted[0]!.end('pong!')
  equal(String(await readAll(far)), 'pong!')
  link.fail('')
  await pass(clock, 1)
  deepEqual(lines, [
    'info  session #1 opened',
    'info  stream 1 of #1 opened',
    'info  stream 1 of #1 closed after 0.0 s: 4 B up, 5 B down',
    'info  session #1 closed after 0.0 s',
  ])
  equal(server.links.size, 0)
})

test('with the PROXY protocol its header comes first', async () => {
  const { server, clock, accepted } = target(true)
  const link = new FakeLink('#1')
  server.add(link)
  link.arrive().end('ping')
  await pass(clock, 1)
  const bytes = await readAll(accepted[0]!)
  // 192.0.2.1:7 to 192.0.2.2:8.
  equal(
    bytes.subarray(0, 28).toString('hex'),
    '0d0a0d0a000d0a515549540a' + '2111000c' + 'c0000201' + 'c0000202' + '00070008',
  )
  equal(String(bytes.subarray(28)), 'ping')
})

test('a target that is down closes the stream, and the session goes on', async () => {
  const { server, clock, lines, connects } = target()
  connects.push('connect ECONNREFUSED')
  const link = new FakeLink('#1')
  server.add(link)
  const far = link.arrive()
  const closed = once(far, 'close')
  far.on('error', () => undefined)
  await closed
  equal(lines.at(-1), 'warn  stream 1 of #1: no connection to the target: connect ECONNREFUSED')
  link.arrive().write('x')
  await pass(clock, 1)
  equal(server.connections, 1)
})

test('a stream that is gone before the target is there leaves no connection behind', async () => {
  const { server, clock, accepted } = target()
  const link = new FakeLink('#1')
  server.add(link)
  link.arrive()
  link.own[0]!.destroy()
  await pass(clock, 1)
  ok(accepted[0]!.destroyed)
  equal(server.connections, 0)
})

test('a stop refuses streams, waits for those that there are, and ends the sessions', async () => {
  const { server, clock, accepted } = target()
  const link = new FakeLink('#1')
  server.add(link)
  const far = link.arrive()
  far.on('error', () => undefined)
  await pass(clock, 1)
  let stopped = false
  void server.stop(3_000).then(() => (stopped = true))
  const late = link.arrive()
  late.on('error', () => undefined)
  await pass(clock, 2_900)
  ok(late.destroyed && !far.destroyed && !stopped)
  await pass(clock, 200)
  ok(stopped && far.destroyed && accepted[0]!.destroyed)
})
