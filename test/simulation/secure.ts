/**
 * The authenticated mode as a layer of the simulation: what a seed has of it, and the two secure transports as `connect`
 * and a listener wire them. Each datagram that reaches one is held against what was sent; between the two ends somebody
 * repeats, alters and invents datagrams.
 * @module
 */
import { readU32, writeU32 } from '../../src/core/segment.ts'
import type { nodePrimitives } from '../../src/node/secure-primitives.ts'
import {
  identityOf,
  resolveSecureLimits,
  resolveTuning,
  SecureClientTransport,
  SecureCounters,
  type SecurePeer,
  SecureServerTransport,
} from '../../src/secure/index.ts'
import { hostOf } from '../../src/session/peer.ts'
import type { Clock, DatagramHandler, DatagramTransport, PeerAddress } from '../../src/session/transport.ts'
import type { MemoryNetwork, MemoryTransport } from '../../src/sim/memory.ts'
import { mix32, Prng } from '../../src/sim/prng.ts'
import { formatDatagram } from '../../src/sim/trace.ts'
import { KEYS, PSK, seededPrimitives, toHex } from '../secure/support.ts'
import type { Flow } from './flow.ts'
import type { HostClock } from './host.ts'
import { require } from './oracle.ts'
import type { Fault, Plan, Side, Story, Traffic } from './plan.ts'

/** What a seed has of the authenticated mode. */
export interface SecurityPlan {
  readonly kind: 'psk' | 'keys'
  readonly cipher: 'chacha20-poly1305' | 'aes-256-gcm'
  /** ms; steady ones outlive every fault. */
  readonly handshakeTimeout: number
  readonly rekeyAfterRecords: number | undefined
  readonly rekeyAfterMs: number | undefined
  /** The largest datagram that each end tries. */
  readonly probeMtu: Readonly<Record<Side, number>>
  /** The largest that the path carries, as a share of the way from what is known to work up to 1,500. */
  readonly room: number
  readonly cookies: 'auto' | 'always'
  readonly handshakesPerSecond: number
  /** Share of datagrams of which a bit flips. */
  readonly corrupt: number
  /** Whether the transports below take batches, as sockets with the addon do. */
  readonly batches: boolean
  /** When the client's address changes, ms from the start. */
  readonly moves: readonly number[]
  /** How many datagrams somebody on the path sends until it heals, and whether his own address is blocked. */
  readonly attacks: number
  readonly blocked: boolean
  /** How long a connected client has nothing to say, ms. */
  readonly idle: number
}

/** One seed in so many has it. */
const SHARE = 0.08
/** A day and more: the longest jump of a clock. */
const OUTLIVES_ALL = 100_000_000
/** Longer than anything is forgotten that somebody asks for. */
const IDLE_MAX = 400_000
/** A handshake's largest datagram fits every path. */
const PATH_MTU_MIN = 150
const PATH_MTU_MAX = 1_500
/** Bytes of a record and of FEC around an engine's datagram. */
const AROUND = 29 + 8

/** `wish`: 'psk', 'keys', 'drawn' (always one of them), 'none', or undefined: in some seeds. */
export function securityOf(
  prng: Prng,
  wish: unknown,
  story: Story,
  healAt: number,
): SecurityPlan | undefined {
  const has = prng.chance(SHARE)
  if (wish === 'none' || (wish === undefined && !has)) return undefined
  const drawn = prng.chance(0.5) ? 'psk' : 'keys'
  const mortal = story !== 'steady' && story !== 'damaged'
  const low = prng.chance(0.3) ? Math.round(200 ** prng.next()) : undefined
  const soon = prng.chance(0.3) ? prng.int(1_000, 60_000) : undefined
  const timeout = prng.int(1_000, 20_000)
  const probe = (): number => (prng.chance(0.4) ? prng.int(200, PATH_MTU_MAX) : 0)
  const many = (share: number, most: number): number => (prng.chance(share) ? prng.int(1, most) : 0)
  return {
    kind: wish === 'psk' || wish === 'keys' ? wish : drawn,
    cipher: prng.chance(0.5) ? 'chacha20-poly1305' : 'aes-256-gcm',
    handshakeTimeout: mortal ? timeout : OUTLIVES_ALL,
    rekeyAfterRecords: low,
    rekeyAfterMs: soon,
    probeMtu: { client: probe(), server: probe() },
    room: prng.chance(0.5) ? 1 : prng.next(),
    cookies: prng.chance(0.3) ? 'always' : 'auto',
    handshakesPerSecond: prng.chance(0.2) ? 1 : 200,
    corrupt: prng.chance(0.5) ? 0 : prng.next() * 0.1,
    batches: prng.chance(0.5),
    moves: Array.from({ length: many(0.4, 8) }, () => prng.int(0, healAt)),
    attacks: many(0.5, 200),
    blocked: prng.chance(0.5),
    idle: mortal ? 0 : many(0.15, IDLE_MAX),
  }
}

/** What a client says that has nothing to say at first. */
export function later(traffic: readonly Traffic[], security: SecurityPlan | undefined): readonly Traffic[] {
  if (security === undefined) return traffic
  return traffic.map(({ sizes, at }) => ({ sizes, at: at.map((ms) => ms + security.idle) }))
}

export function movesOf(security: SecurityPlan | undefined): Fault[] {
  return (security?.moves ?? []).map((at) => ({ kind: 'move', at }))
}

type Peer = PeerAddress
type Handler = DatagramHandler<Peer>
interface Batch {
  readonly datagram: Uint8Array
  readonly peer: Peer
}

/** What a process has of the network. What comes while it stands still waits; its port may become another one. */
class Socket implements DatagramTransport<Peer> {
  readonly sendBatch?: (batch: readonly Batch[]) => void
  private readonly network: MemoryNetwork
  private readonly name: Side
  private readonly clock: HostClock
  private readonly sent: (datagram: Uint8Array) => void
  private endpoint: MemoryTransport
  private handler: Handler | undefined

  constructor(
    network: MemoryNetwork,
    name: Side,
    clock: HostClock,
    batches: boolean,
    sent: (datagram: Uint8Array) => void,
  ) {
    this.network = network
    this.name = name
    this.clock = clock
    this.sent = sent
    this.endpoint = network.transport(name, { port: 1 })
    if (!batches) return
    this.sendBatch = (batch) => {
      for (const { datagram, peer } of batch) this.send(datagram, peer)
    }
  }

  /** From now on what is sent has another source, and what is under way to the old one is lost. */
  move(): void {
    if (this.endpoint.closed) return
    const { port } = this.localAddress()
    this.endpoint.close()
    this.endpoint = this.network.transport(this.name, { port: port + 1 })
    if (this.handler !== undefined) this.start(this.handler)
  }

  start(handler: Handler): void {
    this.handler = handler
    this.endpoint.start({
      onDatagram: (datagram, from) => {
        const copy = datagram.slice()
        this.clock.arrive(copy.length, () => {
          if (this.endpoint.closed) return
          handler.onDatagram(copy, from)
          copy.fill(0xdd)
        })
      },
      onError: (error) => handler.onError(error),
      // The end of a port is not the end of the socket; who closes that does not want to hear of it.
      onClose: () => undefined,
    })
  }

  send(datagram: Uint8Array, peer: Peer): void {
    if (!this.endpoint.closed) this.sent(datagram)
    this.endpoint.send(datagram, peer)
  }
  close(): void {
    this.endpoint.close()
  }
  localAddress(): Peer {
    return this.endpoint.localAddress()
  }
  peerKey(peer: Peer): string {
    return this.endpoint.peerKey(peer)
  }
}

/** A secure transport, and the eye on it. */
export class SecureHost implements DatagramTransport<Peer> {
  readonly overhead: number
  readonly provesPeers: boolean
  readonly knowsPeers: boolean
  readonly sendBatch?: (batch: readonly Batch[]) => void
  readonly socket: Socket
  readonly inner: SecureClientTransport<Peer> | SecureServerTransport<Peer>
  /** Datagrams handed up. */
  handedUp = 0
  /** Its keys are gone, and what comes now is not looked at. */
  over = false
  private readonly tell: (line: string) => void

  constructor(
    socket: Socket,
    inner: SecureClientTransport<Peer> | SecureServerTransport<Peer>,
    tell: (line: string) => void,
  ) {
    this.socket = socket
    this.inner = inner
    this.overhead = inner.overhead
    this.provesPeers = inner.provesPeers
    this.knowsPeers = inner instanceof SecureServerTransport && inner.knowsPeers
    this.tell = tell
    if (inner.sendBatch !== undefined)
      this.sendBatch = (batch) => {
        for (const { datagram } of batch) tell(`seals   ${formatDatagram(datagram)}`)
        inner.sendBatch!(batch)
      }
  }

  get counters(): SecureCounters {
    return this.inner.counters
  }

  start(handler: Handler): void {
    void this.inner.start({
      ...handler,
      onDatagram: (plain, peer) => {
        this.handedUp++
        this.tell(`opens   ${formatDatagram(plain)}`)
        handler.onDatagram(plain, peer)
      },
      onPeerClosed: (peer, error) => {
        this.tell(`peer closed ${error ?? ''}`)
        if (this.inner instanceof SecureClientTransport) this.over = true
        handler.onPeerClosed?.(peer, error)
      },
      onLargerDatagrams: (peer, size) => {
        this.tell(`datagrams of ${size} B arrive`)
        handler.onLargerDatagrams?.(peer, size)
      },
    })
  }
  send(datagram: Uint8Array, peer: Peer): void {
    this.tell(`seals   ${formatDatagram(datagram)}`)
    this.inner.send(datagram, peer)
  }
  close(): void {
    this.over = true
    void this.inner.close()
  }
  peerKey(peer: Peer): string {
    return this.inner.peerKey?.(peer) ?? ''
  }
  use(peer: Peer, used: boolean): void {
    if (this.inner instanceof SecureServerTransport) this.inner.use(peer, used)
  }
  localAddress(): Peer | undefined {
    return this.inner.localAddress()
  }
}

/** All that counts datagrams which were not taken. */
const DROPS = [
  'plain',
  'foreign',
  'blocked',
  'strangers',
  'repeated',
  'unreadable',
  'unauthorized',
  'full',
  'unknown',
  'replayed',
  'forged',
  'throttled',
  'hasty',
  'pointless',
] as const satisfies readonly (keyof SecureCounters)[]

function dropsOf(counters: SecureCounters): number {
  let sum = 0
  for (const name of DROPS) sum += counters[name]
  return sum
}

const THIEF = 'thief'
/** Datagrams that somebody on the path has kept. */
const CAPTURED_MAX = 64
/** From when the path has healed until a client has keys, ms, beside some turns of the path: a question each 2 s. */
const CONNECT_PATIENCE = 60_000
/**
 * Nothing is left of anybody this much later, ms: keys without use 30 or 180 s, after a jump of a clock 60 s more, a Close
 * 1 s, handshakes 5 s.
 */
const AFTERMATH = 300_000

interface Captured {
  readonly datagram: Uint8Array
  readonly side: Side
}

export type Flows = Record<Side, Flow[]>

export class SecureLayer {
  private readonly plan: Plan
  private readonly security: SecurityPlan
  private readonly network: MemoryNetwork
  private readonly tell: (line: string) => void
  private readonly prng: Prng
  /** By what they hold, datagrams that an end has sent to the other, and whether they were handed up. */
  private readonly genuine: Record<Side, Map<number, boolean>> = { client: new Map(), server: new Map() }
  private readonly captured: Captured[] = []
  /** What is said in each association, by its binding. */
  private readonly flows: Map<string, Flows> = new Map()
  /** The present client's. */
  private clientFlows!: Flows
  private binding: Uint8Array | undefined
  private hosts: Partial<Record<Side, SecureHost>> = {}
  private readonly everyHost: SecureHost[] = []
  /** What all of them counted, in the end. */
  readonly totals: SecureCounters = new SecureCounters()
  private processes = 0
  /** The client's: `waiting` for the handshake, `open`, or `failed`. */
  state: 'waiting' | 'open' | 'failed' = 'waiting'

  constructor(plan: Plan, network: MemoryNetwork, clock: Clock, tell: (line: string) => void) {
    this.plan = plan
    this.security = plan.security!
    this.network = network
    this.tell = tell
    const prng = new Prng(mix32(plan.seed ^ 0x5ec0))
    this.prng = prng
    // An engine that is told its mtu anew is told that without what is around its datagrams: a record, and FEC.
    const most = Math.max(PATH_MTU_MIN, plan.client.kcp!.mtu!, plan.server.kcp!.mtu!) + AROUND
    const mtu = Math.ceil(most + this.security.room * Math.max(0, PATH_MTU_MAX - most))
    for (const [from, to] of [
      ['client', 'server'],
      ['server', 'client'],
      // By a wider way of his own he could have a probe arrive, and the ends believe that the path carries it.
      [THIEF, 'server'],
    ] as const)
      network.link(from, to).set({ mtu })
    for (let i = this.security.attacks; i > 0; i--)
      clock.setTimeout(() => this.attack(), prng.int(0, plan.healAt))
  }

  // ---- two processes ---------------------------------------------------------------------------------------

  /** A server's transport, as a listener makes it. */
  server(clock: HostClock): SecureHost {
    const { security, plan } = this
    const socket = this.socket('server', clock)
    const primitives = this.primitives()
    const inner = new SecureServerTransport<Peer>(
      {
        transport: this.watched(socket, 'server'),
        owned: true,
        clock,
        primitives,
        identity: identityOf((security.kind === 'psk' ? PSK : KEYS).server, 'server', primitives),
        tuning: resolveTuning({ probeMtu: security.probeMtu.server }),
        mtu: plan.server.kcp!.mtu!,
      },
      resolveSecureLimits({
        cookies: security.cookies,
        handshakesPerSecond: security.handshakesPerSecond,
      }),
      (peer) => socket.peerKey(peer),
      (peer) => hostOf(peer, socket.peerKey(peer)),
      security.blocked ? ({ address }) => address === THIEF : undefined,
    )
    return this.take('server', socket, inner)
  }

  /** A client's transport, as `connect` makes it. `begin` is called when there are keys. */
  client(clock: HostClock, peer: Peer, begin: () => void): SecureHost {
    const { security, plan } = this
    const socket = this.socket('client', clock)
    const primitives = this.primitives()
    const key = socket.peerKey(peer)
    this.state = 'waiting'
    this.clientFlows = { client: [], server: [] }
    const inner: SecureClientTransport<Peer> = new SecureClientTransport<Peer>(
      {
        transport: this.watched(socket, 'client'),
        owned: true,
        clock,
        primitives,
        identity: identityOf((security.kind === 'psk' ? PSK : KEYS).client, 'client', primitives),
        tuning: resolveTuning({
          cipher: security.cipher,
          handshakeTimeout: security.handshakeTimeout,
          rekeyAfterRecords: security.rekeyAfterRecords,
          rekeyAfterMs: security.rekeyAfterMs,
          probeMtu: security.probeMtu.client,
        }),
        mtu: plan.client.kcp!.mtu!,
      },
      peer,
      (from) => socket.peerKey(from) === key,
      {
        onOpen: () => {
          // A promise resolves: what waits for it goes on when this turn is over.
          this.state = 'open'
          this.tell('client is connected')
          clock.soon(begin)
        },
        onFailed: (error) => {
          // The promise is settled; this is the end of one that was closed.
          if (this.state === 'open') return
          this.state = 'failed'
          this.tell(`client is not connected: ${error}`)
          host.over = true
          inner.stop()
          socket.close()
        },
        onError: () => undefined,
      },
    )
    const host = this.take('client', socket, inner)
    void inner.open()
    return host
  }

  private take(side: Side, socket: Socket, inner: SecureHost['inner']): SecureHost {
    const host = new SecureHost(socket, inner, (line) => this.tell(`${side} ${line}`))
    this.hosts[side] = host
    this.everyHost.push(host)
    return host
  }

  private primitives(): typeof nodePrimitives {
    return seededPrimitives(mix32(this.plan.seed ^ ++this.processes))
  }

  private socket(side: Side, clock: HostClock): Socket {
    const other: Side = side === 'client' ? 'server' : 'client'
    return new Socket(this.network, side, clock, this.security.batches, (datagram) => {
      const name = nameOf(datagram)
      if (!this.genuine[other].has(name)) this.genuine[other].set(name, false)
      // mac2 of an initiation is no part of what its mac covers.
      if (datagram[0] === 1) this.genuine[other].set(nameOf(datagram.subarray(0, -16)), false)
      if (side === 'client') this.learnBinding()
      this.capture({ datagram: datagram.slice(), side })
    })
  }

  /** A socket whose datagrams are held against what comes of them. */
  private watched(socket: Socket, side: Side): DatagramTransport<Peer> {
    const start = (handler: Handler): void =>
      socket.start({
        ...handler,
        onDatagram: (datagram, from) =>
          this.check(side, datagram, from, () => handler.onDatagram(datagram, from)),
      })
    return {
      send: (datagram, peer) => socket.send(datagram, peer),
      ...(socket.sendBatch === undefined ? {} : { sendBatch: socket.sendBatch }),
      start,
      close: () => socket.close(),
      localAddress: () => socket.localAddress(),
      peerKey: (peer) => socket.peerKey(peer),
    }
  }

  private learnBinding(): void {
    const { channelBinding } = this.hosts.client!.inner as SecureClientTransport<Peer>
    if (channelBinding === undefined || channelBinding === this.binding) return
    this.binding = channelBinding
    this.flows.set(toHex(channelBinding), this.clientFlows)
  }

  /** What an association's two ends say to each other: of two clients with one number each has its own. */
  flowsOf(peer: Peer | undefined): Flows {
    if (peer === undefined) return this.clientFlows
    const flows = this.flows.get(toHex((peer as SecurePeer).channelBinding))
    require(flows !== undefined, () => 'a conversation in an association that no client knows')
    return flows!
  }

  /** Whether a client waits for its handshake, and nobody knows how it will end. */
  get connecting(): boolean {
    return this.state === 'waiting' && !this.hosts.client!.over
  }

  /** The client's process has ended. */
  killed(side: Side): void {
    this.hosts[side]!.over = true
  }

  move(): void {
    this.hosts.client!.socket.move()
  }

  // ---- what must hold --------------------------------------------------------------------------------------

  /** One datagram reaches an end; `take` lets it. */
  private check(side: Side, datagram: Uint8Array, from: Peer, take: () => void): void {
    const host = this.hosts[side]!
    const genuine = this.genuine[side]
    const name = nameOf(datagram)
    const type = datagram[0]!
    const known = genuine.get(name)
    const half = type === 1 && genuine.has(nameOf(datagram.subarray(0, -16)))
    const what = formatSecure(datagram)
    const { handedUp } = host
    const drops = dropsOf(host.counters)
    const cookies = host.counters.cookies
    take()
    const up = host.handedUp - handedUp
    const dropped = dropsOf(host.counters) - drops
    if (host.over) return
    require(up === 0 || known === false, () =>
      `${side} took ${what}, ${known === undefined ? 'which nobody has sent' : 'a second time'}`)
    require(up <= 1, () => `${side} made ${up} datagrams of ${what}`)
    require(dropped <= 1, () => `${side} dropped ${what} for ${dropped} reasons`)
    if (up === 1) genuine.set(name, true)
    // A client hears one address.
    if (side === 'client' && from.address !== 'server') return
    const refused = dropped === 1 || host.counters.cookies > cookies
    if (known === undefined && !half)
      require(refused, () => `${side} did not refuse ${what}, which nobody has sent`)
    if (type === 4) require(up === 1 || refused, () => `${side} neither took nor refused ${what}`)
  }

  /** Whether the client is in, as long after the path has healed as it may take. */
  look(sinceHealed: number, turn: number): void {
    require(!this.connecting || sinceHealed < CONNECT_PATIENCE + 10 * turn, () =>
      `no handshake ${sinceHealed} ms after the path healed`)
  }

  /** The client's sessions are over and read: what it has of the network is given back. */
  release(clock: HostClock): void {
    const host = this.hosts.client!
    if (host.over) return
    clock.soon(() => {
      if (!host.over) host.close()
    })
  }

  /** All conversations are over; `advance` moves the time. */
  judge(advance: (ms: number) => void): void {
    advance(AFTERMATH)
    const { server, client } = this.hosts
    const inner = server!.inner as SecureServerTransport<Peer>
    if (!server!.over) require(inner.associations === 0, () => `${inner.associations} associations are left`)
    server!.close()
    require(inner.associations === 0, () => `${inner.associations} associations are left after the close`)
    require(client!.over, () => 'the client still has its transport')
    require(this.plan.story !== 'steady' || this.state === 'open', () => 'the client did not connect')
    for (const { counters } of [server!, client!]) {
      for (const [name, count] of Object.entries(counters))
        require(Number.isSafeInteger(count) && count >= 0, () => `${name} is ${count}`)
    }
    for (const { counters } of this.everyHost) {
      for (const name of Object.keys(counters) as (keyof SecureCounters)[])
        this.totals[name] += counters[name]
    }
    const { handshakes } = client!.counters
    require(handshakes === (this.state === 'open' ? 1 : 0) || this.state === 'failed', () =>
      `${handshakes} handshakes of one client`)
  }

  // ---- somebody on the path --------------------------------------------------------------------------------

  private capture(one: Captured): void {
    if (this.security.attacks === 0) return
    if (this.captured.length < CAPTURED_MAX) this.captured.push(one)
    else this.captured[this.prng.int(0, CAPTURED_MAX - 1)] = one
  }

  /** Sends what he has seen again, changed or not, or what he has made himself. */
  private attack(): void {
    const { prng, captured } = this
    if (captured.length === 0) return
    // Latest ones more often than others: some have not arrived yet.
    const at = prng.chance(0.5) ? captured.length - 1 : prng.int(0, captured.length - 1)
    const { datagram: seen, side } = captured[at]!
    // Now and then an end gets back what it has sent itself.
    const toServer = prng.chance(0.1) ? side === 'server' : side === 'client'
    const client = this.hosts.client!.socket.localAddress()
    const from = prng.chance(0.5)
      ? { address: THIEF, port: prng.int(1, 60_000), family: 'IPv4' as const }
      : { ...(toServer ? client : SERVER) }
    const kind = prng.next()
    let datagram: Uint8Array
    if (kind < 0.4) datagram = seen.slice()
    else if (kind < 0.8) datagram = this.altered(seen)
    else datagram = this.invented(seen)
    this.tell(`* somebody: ${formatSecure(datagram)}`)
    this.network.inject(datagram, from, toServer ? SERVER : client)
  }

  private altered(seen: Uint8Array): Uint8Array {
    const { prng } = this
    const kind = prng.int(0, 5)
    if (kind === 0) return seen.slice(0, prng.int(0, seen.length - 1))
    const forged = new Uint8Array(seen.length + (kind === 1 ? prng.int(1, 40) : 0))
    forged.set(seen)
    if (kind === 2) forged[0] = prng.int(0, 6)
    else if (kind === 3 && forged.length >= 13) writeU32(forged, 5, readU32(forged, 5) + prng.int(1, 5_000))
    else if (kind > 3) {
      for (let i = prng.int(1, 8); i > 0; i--) forged[prng.int(0, forged.length - 1)]! ^= prng.int(1, 255)
    }
    return forged
  }

  private invented(seen: Uint8Array): Uint8Array {
    const { prng } = this
    const noise = Uint8Array.from({ length: prng.int(0, 200) }, () => prng.int(0, 255))
    if (noise.length < 5 || prng.chance(0.2)) return noise
    // The head of something real, or what an end without security says.
    if (prng.chance(0.5)) noise.set(seen.subarray(0, Math.min(5, noise.length)))
    else noise[4] = prng.chance(0.5) ? prng.int(0x51, 0x54) : prng.int(0x61, 0x63)
    return noise
  }
}

const SERVER: Peer = { address: 'server', port: 1, family: 'IPv4' }

/** 53 bits of what a datagram holds. */
function nameOf(datagram: Uint8Array): number {
  let [low, high] = [datagram.length, 0x9e3779b9]
  for (let i = 0; i < datagram.length; i++) {
    low = Math.imul(low ^ datagram[i]!, 0x01000193)
    high = Math.imul(high + datagram[i]!, 0x85ebca6b) ^ (high >>> 15)
  }
  return (mix32(low) & 0x1f_ffff) * 2 ** 32 + mix32(high)
}

const TYPES: readonly string[] = ['', 'initiation', 'response', 'cookie', 'data', 'control']

/** A datagram of this mode in a word. */
export function formatSecure(datagram: Uint8Array): string {
  const type = TYPES[datagram[0] ?? 0] ?? ''
  const size = `${datagram.length} B`
  if (datagram.length < 5 || type === '') return `<${size}>`
  const index = readU32(datagram, 1).toString(16)
  if (datagram[0]! < 4 || datagram.length < 13) return `<${type} ${index}, ${size}>`
  return `<${type} ${index} #${readU32(datagram, 5)}, ${size}>`
}
