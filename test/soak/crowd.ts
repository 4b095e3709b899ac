/**
 * One host, one address and one association that take every place they can get.
 * @module
 */
import { ok } from 'node:assert/strict'
import type { Socket } from 'node:dgram'
import { Command, KCP_OVERHEAD, writeHeader } from '../../src/core/segment.ts'
import { connect, KcpError, nodePrimitives } from '../../src/index.ts'
import { SecureClient } from '../../src/secure/client.ts'
import { identityOf } from '../../src/secure/identity.ts'
import { resolveTuning } from '../../src/secure/limits.ts'
import { resolveLimits } from '../../src/session/listener-limits.ts'
import { HonestClients, tellServed } from './honest.ts'
import { type Helper, type Part, type Resources, type Scale, sleep, until, within } from './part.ts'
import type { ServerReport } from './server.ts'
import { silentSocket } from './sockets.ts'

const SERVER = '127.0.0.1'
const PSK = Buffer.alloc(32, 0x5a)
const CONFIG = { preset: 'fast', idleTimeout: 20_000 } as const
const MAX_CONNECTIONS = 2_000
/** Conversations of one address, or of one association: a constant of the acceptor. */
const PER_PEER = 1_024
/** Datagrams in a row before the server has its turn. */
const PORTION = 8
/** First datagrams are sent again so often while neither an answer nor a refusal came. */
const ROUNDS = 8
/** Longest turn of the server's event loop, and longest wait for a refusal, ms. */
const LONGEST_TURN = 100
const REFUSED_WITHIN = 1_000
/** A busy machine may take so much longer where speed is not judged, ms. */
const PATIENCE = 15_000

/** Conversations of one address, each with one message and an answer to whatever is asked. */
class Crowd {
  readonly #send: (datagram: Uint8Array) => void
  /** Neither accepted nor refused yet. */
  readonly #waiting: Set<number> = new Set()
  /** What each conversation has received in order. */
  readonly #una: Map<number, number> = new Map()
  opened = 0

  constructor(send: (datagram: Uint8Array) => void) {
    this.#send = send
  }

  async open(count: number, firstConv: number): Promise<void> {
    for (let i = 0; i < count; i++) this.#waiting.add(firstConv + i)
    this.opened += count
    for (let round = 0; round < ROUNDS && this.#waiting.size > 0; round++) {
      let sent = 0
      for (const conv of [...this.#waiting]) {
        this.#send(this.#first(conv))
        if (++sent % PORTION === 0) await sleep(2)
      }
      await sleep(50)
    }
  }

  hear(bytes: Uint8Array): void {
    const datagram = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    const first = datagram.readUInt32LE(0)
    if (datagram.length < KCP_OVERHEAD) this.#waiting.delete(first)
    for (let at = 0; at + KCP_OVERHEAD <= datagram.length; ) {
      const conv = datagram.readUInt32LE(at)
      const [cmd, ts, sn] = [datagram[at + 4], datagram.readUInt32LE(at + 8), datagram.readUInt32LE(at + 12)]
      if (cmd === Command.Ack) this.#waiting.delete(conv)
      if (cmd === Command.Push) {
        // A challenge has the number before the first; una never goes back, or the server takes that for a restart.
        if (sn < 1_000) this.#una.set(conv, Math.max(sn + 1, this.#una.get(conv) ?? 0))
        const ack = segment(conv, Command.Ack, ts, sn, this.#una.get(conv) ?? 0, 0)
        // A challenge without a place behind it is answered in front of the first message.
        this.#send(this.#waiting.has(conv) ? Buffer.concat([ack, this.#first(conv)]) : ack)
      }
      at += KCP_OVERHEAD + datagram.readUInt32LE(at + 20)
    }
  }

  #first(conv: number): Buffer {
    return segment(conv, Command.Push, Math.floor(performance.now()), 0, 0, 4)
  }
}

function segment(conv: number, cmd: number, ts: number, sn: number, una: number, length: number): Buffer {
  const bytes = Buffer.alloc(KCP_OVERHEAD + length, 'x')
  writeHeader(bytes, 0, conv, cmd, 0, 128, ts, sn, una, length)
  return bytes
}

function plainCrowd(socket: Socket, port: number): Crowd {
  const crowd = new Crowd((datagram) => socket.send(datagram, port, SERVER))
  socket.on('message', (datagram) => crowd.hear(datagram))
  return crowd
}

const statsOf = async (server: Helper): Promise<ServerReport> => server.ask<ServerReport>('stats')

/** Waits until the number of sessions has not changed for a while. */
async function settled(server: Helper): Promise<ServerReport> {
  for (let before = -1; ; ) {
    const report = await statsOf(server)
    const all = report.stats.sessions + report.stats.pending
    if (all === before) return report
    before = all
    await sleep(250)
  }
}

/** One host asks for as many places as there are. */
async function ofHost(use: Resources, short: boolean): Promise<{ opened: number; findings: string }> {
  const limits = { maxConnections: MAX_CONNECTIONS }
  const { maxConnectionsPerHost } = resolveLimits(limits)
  const server = use.start('server.js', { ...CONFIG, ...limits })
  const { port } = await server.next<{ port: number }>('listening')
  const own = { ...CONFIG, host: SERVER, port }
  const early = await HonestClients.start(use, [{ ...own, localAddress: '127.0.0.2' }])
  let opened = 0
  for (let i = 0; i < 4; i++) {
    const crowd = plainCrowd(await silentSocket(use, '127.0.3.1'), port)
    await crowd.open(MAX_CONNECTIONS / 4, 1 + i * MAX_CONNECTIONS)
    opened += crowd.opened
  }
  const { stats } = await settled(server)
  ok(stats.sessions <= maxConnectionsPerHost + 1, `${stats.sessions} sessions, of one host and one client`)
  ok(stats.sessions >= maxConnectionsPerHost * 0.9, `only ${stats.sessions} sessions: no attack`)
  ok(stats.drops.connectionsPerHost > 0)

  // Others get in, and those who do not learn it.
  const late = await HonestClients.start(
    use,
    ['127.0.0.3', '127.0.0.4'].map((localAddress) => ({ ...own, localAddress })),
  )
  const began = performance.now()
  const refused = connect({ ...own, localAddress: '127.0.3.1', waitForPeer: PATIENCE }).then(
    (stream) => {
      stream.destroy()
      throw new Error('a client of a host without a place was let in')
    },
    (error: unknown) => error,
  )
  const error = await within(refused, PATIENCE, 'a refusal')
  ok(error instanceof KcpError && error.code === 'ERR_KCP_REFUSED', String(error))
  const wait = performance.now() - began
  ok(short || wait <= REFUSED_WITHIN, `a refusal took ${wait.toFixed(0)} ms`)
  const served = await Promise.all([early, late].map((clients) => clients.stop()))
  return {
    opened,
    findings: `${stats.sessions - 1} places for a host that asked for ${opened}; a client of it refused after ${wait.toFixed(0)} ms; ${tellServed(served[0]!)}; those that came later: ${tellServed(served[1]!)}`,
  }
}

/** Thousands of conversations of one address, or of one association of `security`, which end by one Close record. */
async function ofPeer(
  use: Resources,
  count: number,
  secure: boolean,
  short: boolean,
): Promise<{ opened: number; findings: string }> {
  const limits = { maxConnections: 65_536, maxConnectionsPerHost: 65_536 }
  const psk = secure ? { psk: PSK.toString('hex') } : {}
  const server = use.start('server.js', { ...CONFIG, ...limits, ...psk })
  const { port } = await server.next<{ port: number }>('listening')
  const security = secure ? { security: { psk: PSK } } : {}
  const honest = await HonestClients.start(use, [{ ...CONFIG, ...security, host: SERVER, port }])
  await server.ask('baseline')
  const socket = await silentSocket(use, secure ? '127.0.3.3' : '127.0.3.2')
  let close: (() => void) | undefined
  let crowd: Crowd
  if (secure) ({ crowd, close } = await secureCrowd(socket, port, use))
  else crowd = plainCrowd(socket, port)
  await crowd.open(count, 1)
  const { stats } = await settled(server)
  ok(stats.sessions <= PER_PEER + 1, `${stats.sessions} sessions, of one peer and one client`)
  ok(stats.sessions >= PER_PEER * 0.9, `only ${stats.sessions} sessions: no attack`)
  const { longestTurn: opening } = await server.ask<ServerReport>('turns')
  close?.()
  if (secure) {
    await until(
      async () => (await statsOf(server)).stats.sessions <= 1,
      PATIENCE,
      'the end of an association',
    )
  }
  const { longestTurn: closing } = await statsOf(server)
  const served = await honest.stop()
  const longest = Math.max(opening, closing)
  ok(short || longest <= LONGEST_TURN, `the server's event loop stood still for ${longest.toFixed(0)} ms`)
  return {
    opened: crowd.opened,
    findings: `${secure ? 'an association' : 'an address'} got ${stats.sessions - 1} of ${crowd.opened} conversations, longest turn ${opening.toFixed(0)} ms, ${closing.toFixed(0)} at the end, ${tellServed(served)}`,
  }
}

async function secureCrowd(
  socket: Socket,
  port: number,
  use: Resources,
): Promise<{ crowd: Crowd; close: () => void }> {
  const now = (): number => performance.now()
  let crowd: Crowd | undefined
  let opened: () => void
  const open = new Promise<void>((resolve) => {
    opened = resolve
  })
  const client = new SecureClient(
    {
      primitives: nodePrimitives,
      identity: identityOf({ psk: PSK }, 'client', nodePrimitives),
      tuning: resolveTuning({}),
      mtu: 1_400,
      send: (datagram) => socket.send(Buffer.from(datagram), port, SERVER),
      onData: (data) => crowd?.hear(data),
      onOpen: () => opened(),
      onMtu: () => undefined,
      onClosed: () => undefined,
    },
    now(),
  )
  socket.on('message', (datagram) => client.receive(datagram, now()))
  const timer = setInterval(() => client.run(now()), 50)
  use.defer(() => clearInterval(timer))
  client.run(now())
  await within(open, PATIENCE, 'a handshake')
  crowd = new Crowd((datagram) => {
    const record = client.seal(datagram, now())
    if (record !== undefined) socket.send(Buffer.from(record), port, SERVER)
  })
  return { crowd, close: () => client.close(now()) }
}

async function crowding(
  { count, short }: Scale,
  use: Resources,
): Promise<{ count: number; findings: string }> {
  const attacks = [
    () => ofHost(use, short),
    () => ofPeer(use, count, false, short),
    () => ofPeer(use, count, true, short),
  ]
  const results: { opened: number; findings: string }[] = []
  // One after the other where turns are measured.
  if (short) results.push(...(await Promise.all(attacks.map((attack) => attack()))))
  else for (const attack of attacks) results.push(await attack())
  return {
    count: results.reduce((sum, { opened }) => sum + opened, 0),
    findings: results.map(({ findings }) => findings).join('; '),
  }
}

export const crowd: Part = {
  name: 'crowd',
  what: 'one host, one address and one association of security take all places they can get: an eighth of maxConnections and 1,024; others get in, a refused client learns it within 1 s, no turn of the server over 100 ms',
  unit: 'conversations asked for',
  short: { count: 1_500 },
  long: { count: 20_000 },
  run: crowding,
}
