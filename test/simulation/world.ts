/**
 * One run of the simulation: a client and a server, each with sessions as they ship, a scheduler and a clock of its own,
 * and a network between them, all moved by one virtual clock. What a seed means is in plan.ts, what must hold in
 * oracle.ts; here things happen.
 * @module
 */
import { REDUNDANCY_MAX } from '../../src/core/config.ts'
import { KcpError } from '../../src/core/errors.ts'
import { readU32 } from '../../src/core/segment.ts'
import type { PacketCipher } from '../../src/crypto/packet-cipher.ts'
import { FEC_OVERHEAD } from '../../src/fec/header.ts'
import { Acceptor } from '../../src/session/acceptor.ts'
import { type ResolvedSessionConfig, resolveSessionConfig } from '../../src/session/config.ts'
import { Connection, connectTo } from '../../src/session/connection.ts'
import { ownCipher, requireFec } from '../../src/session/fec-options.ts'
import { type AcceptorLimits, resolveLimits } from '../../src/session/listener-limits.ts'
import { linkMtu, PeerLink } from '../../src/session/peer-link.ts'
import { Scheduler } from '../../src/session/scheduler.ts'
import type { KcpSession } from '../../src/session/session.ts'
import type { DatagramTransport, PeerAddress } from '../../src/session/transport.ts'
import { VirtualClock } from '../../src/sim/clock.ts'
import type { LinkConditions } from '../../src/sim/link.ts'
import { createMemoryNetwork, type MemoryNetwork } from '../../src/sim/memory.ts'
import { mix32, Prng } from '../../src/sim/prng.ts'
import { formatDatagram } from '../../src/sim/trace.ts'
import { codecOf } from './codec.ts'
import { cipherOf } from './cover.ts'
import { CROWD, Crowd } from './crowd.ts'
import { hasStrangeClock, isMute, judgeEnd, judgePairs } from './ends.ts'
import { Flow } from './flow.ts'
import { HostClock } from './host.ts'
import { Failure, Oracle, require } from './oracle.ts'
import { type End, type Host, isOver, type Outcome, type Watch } from './parts.ts'
import { PeerReader } from './peer-reader.ts'
import type { Fault, Plan, Side, Traffic, Way } from './plan.ts'
import { type Flows, formatSecure, SecureLayer } from './secure.ts'
import { shadow } from './shadow.ts'
import { Steering } from './steering.ts'
import { sendBeside, UnreliableFlow } from './unreliable.ts'
import { compareCounts, describeEnds } from './verdict.ts'

const CLIENT: PeerAddress = { address: 'client', port: 1, family: 'IPv4' }
const SERVER: PeerAddress = { address: 'server', port: 1, family: 'IPv4' }
/** No run may take longer than this and what its path needs, ms: once that was an endless loop of two ends that close. */
const RUN_MAX = 4 * 3_600_000
/**
 * PUSHes sent for each segment at most, in any seed: with an RTO of 30 ms that grows by 15 each time (`nodelay: 2`) three
 * blackouts of a minute end 155 of them. A storm is far above that. Repeats come on top, four for each.
 */
const PUSHES_MAX = 160
/** A segment that is later than this is judged by whether the peer's clock can have shown its time, ms. */
const LATE = 10_000
/** How often it is looked at whether a run is over, ms. */
const LOOK_EVERY = 500

export class World {
  private readonly plan: Plan
  private readonly prng: Prng
  private readonly clock: VirtualClock
  private readonly network: MemoryNetwork
  private readonly startAt: number
  private conv: number
  private readonly story: ((line: string) => void) | undefined
  private readonly twin: boolean
  private client!: Host
  private server!: Host
  /** All that ever were. */
  private readonly ends: End[] = []
  /** What every end writes, by side and conv. */
  private readonly flows: Map<string, Flow[]> = new Map()
  private readonly secure: SecureLayer | undefined
  private readonly crowd: Crowd | undefined
  private readonly unreliable: Record<Side, UnreliableFlow[]> = { client: [], server: [] }
  private readonly blocked: Record<Way, number> = { toServer: 0, toClient: 0 }
  private readonly conditions: Record<Way, LinkConditions>
  private healed = false
  private judged = false
  private hash = 0
  private runs = 0
  private changes = 0
  private readonly extras: Record<string, number> = {}
  /** A datagram is being sent back. */
  private mirroring = false

  constructor(plan: Plan, { story, twin = true }: Watch) {
    this.plan = plan
    this.story = story
    this.twin = twin
    this.prng = new Prng(mix32(plan.seed ^ 0x5eed))
    this.clock = new VirtualClock(plan.startAt)
    this.startAt = plan.startAt
    this.network = createMemoryNetwork({ clock: this.clock, seed: plan.seed, poison: true })
    this.network.tap = (hop, datagram, now) => {
      this.note(hop.event, hop.from.address, datagram, now)
      if (hop.event === 'send') this.mirror(datagram, hop.from, hop.to)
      else if (hop.event === 'drop' && hop.from.address === 'client') this.unreachable()
    }
    this.conditions = { toServer: plan.toServer, toClient: plan.toClient }
    this.setLinks()
    const { channels } = plan
    this.conv = channels * Math.max(1, this.prng.int(1, Math.floor((2 ** 32 - channels) / channels)))
    if (plan.security !== undefined)
      this.secure = new SecureLayer(plan, this.network, this.clock, (line) =>
        this.story?.(`${this.time()} ${line}`),
      )
    const { crowd } = plan.extras
    if (crowd !== undefined) {
      this.crowd = new Crowd(crowd, {
        transport: this.network.transport(CROWD.address, { port: CROWD.port }),
        clock: this.clock,
        server: SERVER,
        limits: this.limits,
        channels: plan.channels,
      })
      this.at(crowd.at, () => this.crowd!.start())
    }
    this.server = this.startServer(plan.traffic.server)
    this.client = this.startClient()
    for (const fault of plan.faults) this.at(fault.at, () => this.happen(fault))
    this.at(plan.healAt, () => this.heal())
    for (const at of plan.extras.refusals) this.at(at, () => this.refuse(true))
  }

  /** Until everything is over. Throws a Failure. */
  run(): Outcome {
    const { clock } = this
    let deliveredAt = Number.NaN
    let bound = Number.NaN
    let healedAt = Number.NaN
    for (let at = clock.now() + LOOK_EVERY; ; at += LOOK_EVERY) {
      clock.runUntil(at)
      const connecting = this.secure?.connecting === true
      // Who has nothing to say yet lets nobody wait.
      const early = connecting || at - this.startAt < (this.plan.security?.idle ?? 0)
      if (connecting && this.healed) this.secure!.look(at - this.startAt - this.plan.healAt, this.turn)
      if (this.healed && Number.isNaN(healedAt) && !early) {
        healedAt = at
        bound = this.patience()
      }
      if (Number.isNaN(deliveredAt) && !connecting && this.ends.every((end) => this.arrived(end)))
        deliveredAt = at
      if (this.healed && !connecting && this.ends.every(({ session, host }) => session.closed || !host.alive))
        break
      if (this.survives && this.healed && !early) {
        require(!Number.isNaN(deliveredAt) || at - healedAt <= bound, () =>
          `not everything has arrived ${Math.round(at - healedAt)} ms after the path healed: ${describeEnds(this.ends)}`)
      }
      require(at - this.startAt < RUN_MAX + (bound || 0), () =>
        `no end after ${RUN_MAX} ms: ${describeEnds(this.ends)}`)
    }
    for (const end of this.ends) {
      while (end.host.alive && end.session.readable && end.destroyed === 'no') this.pump(end)
    }
    this.crowd?.end()
    this.judge()
    this.secure?.judge((ms) => clock.advance(ms))
    const took = clock.now() - this.startAt
    const sum = (of: (end: End) => number): number => this.ends.reduce((all, end) => all + of(end), 0)
    const links = [this.network.link('client', 'server'), this.network.link('server', 'client')]
    const ends: Record<string, number> = {}
    for (const { session } of this.ends) {
      const why = session.closeReason ?? 'killed'
      ends[why] = (ends[why] ?? 0) + 1
    }
    if (this.crowd !== undefined) this.extras['sessions of a crowd'] = this.crowd.admitted
    return {
      virtualMs: took,
      datagrams: this.network.counters.sent,
      wireBytes: links.reduce((all, { counters }) => all + counters.offeredBytes, 0),
      bytes: sum(({ session }) => session.bytesRead),
      segments: sum(({ session }) => session.kcp.counters.segmentsIn),
      pushes: sum(({ session: { kcp } }) => kcp.counters.segmentsOut + kcp.counters.repeats),
      repeats: sum(({ session }) => session.kcp.counters.repeats),
      runs: this.runs,
      unreliable: [...this.unreliable.client, ...this.unreliable.server].reduce(
        (all, one) => all + one.arrived,
        0,
      ),
      changes: this.changes,
      patience: this.survives ? Math.max(0, deliveredAt - healedAt) / bound || 0 : 0,
      ends,
      security: this.secure?.totals,
      extras: this.extras,
      hash: this.hash,
    }
  }

  private get limits(): AcceptorLimits {
    return resolveLimits({
      maxMemory: this.plan.maxMemory,
      maxConnections: this.plan.extras.crowd === undefined ? undefined : 1_000,
    })
  }

  // ---- two processes ---------------------------------------------------------------------------------------

  private startServer(traffic: readonly Traffic[]): Host {
    const { plan } = this
    const config = resolveSessionConfig(plan.server)
    const cipher = cipherOf(plan.cover, this.prng.fork())
    const host = this.startHost('server', (transport, scheduler) => {
      if (plan.startSn !== undefined) return undefined
      return new Acceptor<PeerAddress>({
        transport,
        config,
        limits: this.limits,
        codec: codecOf(plan.extras.codec, new Prng(plan.seed ^ 0xc0dec), () => this.healed),
        cipher,
        fec: requireFec(plan.fec.server),
        scheduler,
        random: () => this.prng.u32(),
        hasBacklog: () => true,
        channels: plan.channels,
        onSessions: (sessions, peer) => {
          if (peer.address === CROWD.address) {
            this.crowd!.admit(sessions, scheduler)
            return
          }
          const flows = this.secure?.flowsOf(peer)
          for (const [i, session] of sessions.entries()) this.addEnd(host, session, i, traffic, flows)
        },
      })
    })
    if (plan.startSn === undefined) {
      void host.transport.start({
        onDatagram: (datagram, peer) => {
          const copy = datagram.slice()
          host.clock.arrive(copy.length, () => {
            host.acceptor!.receive(copy, peer, host.clock.now())
            for (const { oracle } of host.ends) oracle.check()
            this.crowd?.check(host.acceptor!)
            copy.fill(0xdd)
          })
        },
        onError: () => undefined,
        onClose: () => undefined,
        onPeerClosed: (peer, error) => host.acceptor!.peerClosed(peer, error),
        onLargerDatagrams: (peer, size) => host.acceptor!.largerDatagrams(peer, size),
      })
      return host
    }
    // Numbers that are about to wrap come through no door: every conversation begins at 0.
    let connection: Connection<PeerAddress> | undefined
    this.receiveBy(host, () => {
      if (connection === undefined) {
        connection = this.connectionTo(CLIENT, host, config, cipher)
        this.addEnd(host, connection.sessions[0]!, 0, traffic)
      }
      return connection
    })
    return host
  }

  private startClient(): Host {
    const { plan } = this
    const config = resolveSessionConfig(plan.client)
    const begin = (): void => {
      const connection = this.connectionTo(SERVER, host, config, cipherOf(plan.cover, this.prng.fork()))
      connection.sessions.forEach((session, i) => {
        // Not used: the recorded seeds drew a number here.
        if (i > 0) this.prng.u32()
        this.addEnd(host, session, i, plan.traffic.client)
      })
      this.receiveBy(host, () => connection)
      for (const end of host.ends) this.pump(end)
      // As connect does: who has nothing to say yet may have to ask.
      if (this.secure !== undefined) for (const { session } of host.ends) host.scheduler.touch(session)
    }
    const host = this.startHost('client', () => undefined, begin)
    if (this.secure === undefined) begin()
    return host
  }

  private connectionTo(
    peer: PeerAddress,
    { side, clock, scheduler, transport }: Host,
    config: ResolvedSessionConfig,
    cipher: PacketCipher | undefined,
  ): Connection<PeerAddress> {
    const { plan, conv } = this
    const codec = codecOf(plan.extras.codec, new Prng(plan.seed ^ 0x0c0de), () => this.healed)
    const fec = requireFec(plan.fec[side])
    const common = {
      config,
      conv,
      channels: plan.channels,
      fec,
      clockOffset: this.prng.u32(),
      clock,
      touch: (session: KcpSession) => scheduler.touch(session),
      warn: () => undefined,
    }
    let connection: Connection<PeerAddress>
    if (side === 'client') {
      connection = connectTo({ ...common, transport, peer, codec, cipher, mtu: config.kcp.mtu })
    } else {
      const link = new PeerLink(transport, peer, codec, ownCipher(cipher))
      const mtu = linkMtu(transport, config.kcp.mtu, link.overhead + (fec === undefined ? 0 : FEC_OVERHEAD))
      connection = new Connection({ ...common, role: side, link, mtu, begun: conv })
    }
    for (const session of connection.sessions) scheduler.add(session)
    return connection
  }

  private startHost(
    side: Side,
    door: (
      transport: DatagramTransport<PeerAddress>,
      scheduler: Scheduler,
    ) => Acceptor<PeerAddress> | undefined,
    begin: () => void = () => undefined,
  ): Host {
    const clock = new HostClock(this.clock, this.plan.socketBytes)
    const scheduler = new Scheduler(clock)
    const layer = side === 'client' ? this.secure?.client(clock, SERVER, begin) : this.secure?.server(clock)
    const transport = layer ?? this.network.transport(side, { port: 1 })
    const socket = layer?.socket ?? transport
    const acceptor = door(transport, scheduler)
    return { side, clock, scheduler, transport, socket, ends: [], acceptor, deaf: false, alive: true }
  }

  private receiveBy(host: Host, connection: () => Connection<PeerAddress>): void {
    void host.transport.start({
      onDatagram: (datagram) => {
        const copy = datagram.slice()
        host.clock.arrive(copy.length, () => {
          connection().receiveSealed(copy)
          for (const { oracle } of host.ends) oracle.check()
          copy.fill(0xdd)
        })
      },
      onError: () => undefined,
      onClose: () => undefined,
      onPeerClosed: (_, error) => {
        for (const { session } of host.ends) {
          if (error === undefined) session.peerLeft(new KcpError('ERR_KCP_RESET', 'the peer has left'))
          else session.fail('reset', error)
          session.onChange?.()
        }
      },
      onLargerDatagrams: (_, size) => connection().largerDatagrams(size),
    })
  }

  private addEnd(
    host: Host,
    session: KcpSession,
    channel: number,
    traffic: readonly Traffic[],
    flows: Flows | undefined = this.secure?.flowsOf(undefined),
  ): void {
    const { plan } = this
    const other: Side = host.side === 'client' ? 'server' : 'client'
    const stream = session.kcp.stream
    const make = (side: Side, age: number): Flow =>
      new Flow((plan.seed + age * 0x9e3779b9) * 64 + channel * 2 + Number(side === 'client'), stream)
    /** All that ends of this conversation have written, on one side of it. */
    const written = (side: Side): Flow[] => {
      if (flows !== undefined) return [(flows[side][channel] ??= make(side, 0))]
      const key = `${side} ${session.conv}`
      if (!this.flows.has(key)) this.flows.set(key, [])
      return this.flows.get(key)!
    }
    const own = written(host.side)
    if (flows === undefined) own.push(make(host.side, this.ends.length))
    const trusted = this.secure !== undefined || plan.story !== 'damaged'
    const mtu = this.secure !== undefined ? 1_500 : (other === 'client' ? plan.client : plan.server).kcp!.mtu!
    if (plan.startSn !== undefined) {
      session.kcp.snd.sndNxt = session.kcp.sndUna = plan.startSn[host.side]
      session.kcp.rcv.rcvNxt = plan.startSn[other]
      session.kcp.peer.una = plan.startSn[host.side] | 0
    }
    const steered = plan.steered[host.side]
    // The readable engine has no controllers.
    if (steered !== undefined) session.kcp.setCongestion(new Steering(new Prng(steered)))
    else if (this.twin) shadow(session.kcp)
    const end: End = {
      name: `${host.side} ${channel}`,
      host,
      session,
      oracle: new Oracle(session, mtu),
      flow: own.at(-1)!,
      traffic: traffic[channel] ?? { sizes: [], at: [] },
      reader: trusted ? new PeerReader(() => written(other)) : undefined,
      blurred: false,
      destroyed: 'no',
      challenges: 0,
      closes: 0,
      saidAll: false,
      written: 0,
      unsettled: 0,
      waiting: false,
    }
    if (host.side === 'server' && (own.length > 1 || end.flow.sizes.length > 0)) this.begunAgain(channel)
    const challenge = session.kcp.challenge.bind(session.kcp)
    session.kcp.challenge = () => {
      end.challenges++
      challenge()
    }
    const { onClosed } = session
    session.onClosed = () => {
      end.closes++
      onClosed?.()
    }
    host.ends.push(end)
    this.ends.push(end)
    const run = session.run.bind(session)
    session.run = (now) => {
      this.runs++
      const again = run(now)
      end.oracle.check()
      return again
    }
    session.onChange = () => {
      this.pump(end)
      if (session.closed) this.over(end)
    }
    const [out, into] = [host.side, other].map(
      (side) => (this.unreliable[side][channel] ??= new UnreliableFlow()),
    )
    if (trusted && plan.story !== 'reborn') session.onUnreliable = (payload) => into!.take(payload)
    sendBeside(session, out!, plan.unreliable[host.side][channel] ?? { sizes: [], at: [] }, (ms, run) =>
      host.clock.setTimeout(run, Math.max(0, this.startAt + ms - this.clock.now())),
    )
    if (host.side === 'server') this.pump(end)
  }

  // ---- the applications ------------------------------------------------------------------------------------

  /** Reads what there is, and writes what is ready. */
  private pump(end: End): void {
    const { host, session, flow, traffic } = end
    if (!host.alive || end.destroyed !== 'no' || this.judged) return
    const now = host.clock.now()
    if (!host.deaf) this.readSome(end)
    while (session.open && session.writable && end.written < traffic.sizes.length) {
      const wait = traffic.at[end.written]! - (this.clock.now() - this.startAt)
      if (wait > 0) {
        this.wake(end, wait)
        break
      }
      // An empty message is refused where it would stop a kcp-go reader.
      const least = session.config.kcpGoPeer ? 1 : 0
      const planned = Math.max(traffic.sizes[end.written]!, least)
      const size = Math.min(planned, session.kcp.stream ? 1e9 : session.maxMessageSize)
      const ticket = this.ticketOf(end, now)
      end.written++
      session.write(flow.next(size), now, ticket)
      host.scheduler.touch(session)
      end.oracle.check()
      if (this.destroyIf(end, 'written')) return
    }
    if (this.destroyIf(end, 'flushed') || this.destroyIf(end, 'finished')) return
    if (end.written === traffic.sizes.length && session.open) {
      end.saidAll = true
      session.end(now)
      host.scheduler.touch(session)
    }
    if (this.secure !== undefined && host.side === 'client' && isOver(host)) this.secure.release(host.clock)
  }

  /** Destroys a session if its application does so here, and then the rest of its turn is over. */
  private destroyIf(end: End, when: 'written' | 'flushed' | 'finished'): boolean {
    const { session, traffic, written, host } = end
    const wish = this.plan.extras.destroy[host.side]
    if (wish?.when !== when || session.closed) return false
    if (when === 'finished') {
      if (!end.saidAll || !session.drained) return false
    } else {
      if (written < Math.ceil(wish.share * traffic.sizes.length)) return false
      if (when === 'flushed' && !session.drained) return false
    }
    this.destroy(end, wish.error)
    return true
  }

  /** As destroy() of a stream: what was acknowledged was said in peace, and anything else is broken off. */
  private destroy(end: End, withError: boolean): void {
    const { session, host, name } = end
    if (session.closed || !host.alive || end.destroyed !== 'no') return
    const now = host.clock.now()
    const kindly = !withError && session.drained && session.used
    this.story?.(`${this.time()} * ${name} is destroyed${kindly ? ', with everything acknowledged' : ''}`)
    this.happened(kindly ? 'destroyed kindly' : 'destroyed')
    end.destroyed = kindly ? 'kindly' : 'roughly'
    if (kindly) session.close(now)
    else session.abort(now, withError ? new KcpError('ERR_KCP_CLOSED', 'the application failed') : undefined)
    host.scheduler.touch(session)
    if (session.closed) this.over(end)
  }

  /** What a stream does when its session has ended. */
  private over({ session, host, destroyed }: End): void {
    host.scheduler.remove(session)
    if (destroyed !== 'no') session.release()
  }

  private happened(what: string): void {
    this.extras[what] = (this.extras[what] ?? 0) + 1
  }

  /** The ticket of a message that is only sent within a time; 0 for others. */
  private ticketOf(end: End, now: number): number {
    const { flow, session, host } = end
    const ttl = this.plan.ttl[host.side]
    const index = flow.sizes.length
    if (ttl === undefined || mix32(mix32(this.plan.seed) ^ index) >= ttl.share * 2 ** 32) return 0
    let settled = false
    end.unsettled++
    return session.expect({
      expiresAt: Math.floor(now) + ttl.ms,
      settled: (outcome) => {
        require(!settled, () => `${end.name}: message ${index} was settled twice`)
        settled = true
        end.unsettled--
        this.story?.(`${this.time()} ${end.name}: message ${index} ${outcome}`)
        if (outcome === 'expired') flow.drop(index)
      },
    })
  }

  private readSome(end: End): void {
    const { session, host } = end
    for (let left = this.plan.readsPerTurn; left > 0; left--) {
      const message = session.recv()
      if (message === undefined) return
      end.reader?.read(message)
      if (!session.closed) host.scheduler.touch(session)
      end.oracle.check()
    }
    if (session.readable) this.wake(end, 1)
  }

  /** Pumps again after a while. */
  private wake(end: End, ms: number): void {
    if (end.waiting) return
    end.waiting = true
    end.host.clock.setTimeout(() => {
      end.waiting = false
      this.pump(end)
    }, ms)
  }

  // ---- what happens ----------------------------------------------------------------------------------------

  private at(ms: number, run: () => void): void {
    this.clock.setTimeout(run, this.startAt + ms - this.clock.now())
  }

  private happen(fault: Fault): void {
    this.story?.(`${this.time()} * ${JSON.stringify(fault)}`)
    const host = 'side' in fault ? this[fault.side] : undefined
    switch (fault.kind) {
      case 'blackout': {
        const ways = fault.way === 'both' ? (['toServer', 'toClient'] as const) : [fault.way]
        for (const way of ways) this.blocked[way]++
        this.setLinks()
        this.after(fault.ms, () => {
          for (const way of ways) this.blocked[way]--
          this.setLinks()
        })
        break
      }
      case 'reroute':
        this.conditions[fault.way] = { ...fault.conditions, corrupt: this.conditions[fault.way].corrupt ?? 0 }
        this.setLinks()
        break
      case 'stall':
        if (host!.clock.stalled) break
        host!.clock.stall()
        this.after(fault.ms, () => {
          host!.clock.resume()
          // A reader that began again to listen meanwhile was not heard.
          if (!host!.deaf) for (const end of host!.ends) this.pump(end)
        })
        break
      case 'step':
        host!.clock.step(fault.ms)
        break
      case 'deaf':
        host!.deaf = true
        this.after(fault.ms, () => {
          host!.deaf = false
          if (host!.clock.stalled) return
          for (const end of host!.ends) this.pump(end)
        })
        break
      case 'kill':
        this.kill(host!, fault.ms)
        break
      case 'move':
        this.secure?.move()
        break
      case 'change':
        for (const { session } of host!.ends) {
          if (session.closed) continue
          session.kcp.applyConfig(fault.settings)
          host!.scheduler.touch(session)
          this.changes++
        }
        break
    }
  }

  private kill(host: Host, backAfter: number): void {
    host.alive = false
    host.clock.kill()
    void host.socket.close()
    this.secure?.killed(host.side)
    if (backAfter < 0) return
    this.after(backAfter, () => {
      if (host.side === 'client') {
        // Its successor writes as much, to a server that may know of it.
        if (this.plan.story === 'renewed') this.conv += this.plan.channels
        this.client = this.startClient()
      } else {
        this.server = this.startServer([])
      }
    })
  }

  /** Somebody on the path sends a datagram back to where it came from. */
  private mirror(datagram: Uint8Array, from: PeerAddress, to: PeerAddress): void {
    const { extras, cover } = this.plan
    if (!extras.mirror || cover === 'none' || this.healed || this.mirroring) return
    if (cover === 'checksum' && this.plan.story !== 'mirrored') return
    this.happened('mirrored')
    this.mirroring = true
    this.network.inject(datagram.slice(), to, from)
    this.mirroring = false
  }

  /** A datagram found nobody, or was lost: the host of a process that is gone says so, as far as the path lets it. */
  private unreachable(): void {
    if (this.server.alive || !this.plan.extras.icmp || this.blocked.toClient > 0) return
    this.clock.setTimeout(() => this.refuse(false), this.conditions.toClient.delayMs ?? 0)
  }

  /** The client's socket hears that nobody listens; a forged refusal comes to sessions that are known to have a peer. */
  private refuse(forged: boolean): void {
    const { client } = this
    if (!client.alive || client.clock.stalled || (forged && client.ends[0]?.session.heard !== true)) return
    this.happened(forged ? 'forged refusals' : 'refusals')
    const error = new KcpError('ERR_KCP_RESET', 'server:1 refused: nobody listens there')
    for (const { session } of client.ends) {
      session.refused(error, client.clock.now(), this.secure === undefined)
      session.onChange?.()
      client.scheduler.touch(session)
    }
  }

  private after(ms: number, run: () => void): void {
    this.clock.setTimeout(() => {
      this.story?.(`${this.time()} * over`)
      run()
    }, ms)
  }

  private heal(): void {
    this.story?.(`${this.time()} * the path is healed`)
    this.healed = true
    for (const way of ['toServer', 'toClient'] as const) {
      const healthy = { loss: 0, burst: null, duplicate: 0, reorder: 0 }
      this.conditions[way] = {
        ...this.conditions[way],
        ...healthy,
        corrupt: this.plan.story === 'damaged' ? 0 : 0,
      }
    }
    this.setLinks()
  }

  private setLinks(): void {
    const { conditions, blocked, network } = this
    const of = (way: Way): LinkConditions => ({
      rateBytesPerSec: Number.POSITIVE_INFINITY,
      ...conditions[way],
      ...(blocked[way] > 0 ? { loss: 1 } : {}),
    })
    network.link('client', 'server').set(of('toServer'))
    network.link('server', 'client').set(of('toClient'))
  }

  /**
   * A server waits five seconds for the proof of an address, and ten for the first segment. Where that may be too short
   * the conversation may never begin, or begin twice; the ends get to know.
   */
  private get hardToBegin(): boolean {
    const { toServer, toClient, faults, server } = this.plan
    const { turn } = this
    const bad = (one: LinkConditions): boolean =>
      one.loss! > 0.1 || one.burst !== null || (one.rateBytesPerSec ?? 1e9) < 50_000
    const { keepAlive = 0, kcp } = server
    return (
      turn > 1_000 ||
      bad(toServer) ||
      bad(toClient) ||
      keepAlive < 0 ||
      kcp!.interval! > 1_000 ||
      faults.some(({ kind, at }) => kind !== 'change' && at < 15_000)
    )
  }

  /** The longest way there and back at first, but for what waits for a narrow hop. */
  private get turn(): number {
    const { toServer, toClient } = this.plan
    return [toServer, toClient].reduce((sum, one) => sum + one.delayMs! + one.jitterMs! + one.reorderMs!, 0)
  }

  /** The server's end of a channel is born a second time: what the first one said may be on its way still. */
  private begunAgain(channel: number): void {
    const client = this.client.ends[channel]
    if (client !== undefined) client.blurred = true
  }

  /**
   * Whether one side may have a wrong idea of the other's clock when it hears a close notice: a clock jumped, datagrams
   * waited long somewhere, or the path became another one. All arrives even so; but the notice may not be believed, and
   * then the ends part by their timeouts.
   */
  private get unsureClocks(): boolean {
    const { faults, toServer, toClient } = this.plan
    const waits = ({ rateBytesPerSec = 1e9, queueBytes = 0 }: LinkConditions): boolean =>
      queueBytes / rateBytesPerSec > 1
    return (
      // Who is on the path may have kept a datagram that was lost, and hand it over later.
      (this.plan.security?.attacks ?? 0) > 0 ||
      waits(toServer) ||
      waits(toClient) ||
      faults.some(
        (one) => one.kind === 'reroute' || ((one.kind === 'step' || one.kind === 'stall') && one.ms > 1_000),
      )
    )
  }

  /** Whether the clock of an end jumps by so much that its peer takes it for another one. */
  private get strangeClock(): boolean {
    return hasStrangeClock(this.plan)
  }

  /** Whether everything is to arrive. */
  private get survives(): boolean {
    const { plan } = this
    if (plan.story !== 'steady') return false
    // A peer that is more than an hour ahead of itself is taken for a successor.
    if (this.strangeClock) return false
    // Nor does an end know a clock that jumps before it has heard it: what was sent before the jump and comes late has a
    // time that the clock cannot have shown.
    if (plan.faults.some((one) => one.kind === 'step' && one.ms > LATE && one.at < 5_000)) return false
    if (this.secure !== undefined) return true
    const unmet = this.server.ends.some(
      ({ session, reader }) =>
        session.closed && (!session.proven || (session.closeReason === 'reset' && reader?.bytes === 0)),
    )
    return !unmet || !this.hardToBegin
  }

  // ---- what must hold in the end ---------------------------------------------------------------------------

  /** Whether everything that this end is to get is here. */
  private arrived({ reader, blurred, session, name }: End): boolean {
    if (reader === undefined || blurred || session.closed) return true
    const [side, channel] = name.split(' ') as [Side, string]
    const sender = this.ends.find(
      (one) => one.name === `${side === 'client' ? 'server' : 'client'} ${channel}`,
    )
    if (sender === undefined || sender.written < sender.traffic.sizes.length) return false
    return reader.done
  }

  /**
   * How long what is left may take once the path loses nothing, ms: twenty RTOs and half a minute, as long again as
   * backed-off segments wait, and for what is still to be sent four times what its windows and the path need.
   */
  private patience(): number {
    const { plan, conditions } = this
    let most = 0
    for (const { session, traffic, written } of this.ends) {
      const { kcp } = session
      const { delayMs: there = 0, jitterMs: more = 0, rateBytesPerSec: rate = 1e9 } = conditions.toServer
      const { delayMs: back = 0, jitterMs: others = 0, rateBytesPerSec: other = 1e9 } = conditions.toClient
      const peer = session.role === 'client' ? plan.server : plan.client
      const intervals = this.ends.map((end) => end.session.kcp.interval)
      const turn = there + back + more + others + 4 * Math.max(peer.kcp!.interval!, ...intervals) + 20
      const left = traffic.sizes.slice(written)
      const bytes = left.reduce((sum, size) => sum + size, 0) + kcp.snd.bytes
      const segments = left.reduce((sum, size) => sum + Math.ceil(size / 26) + 1, 0) + kcp.waitSnd()
      // Byte limits, slow readers and small windows come down to a segment a turn.
      const lastAt = (traffic.at.at(-1) ?? 0) - plan.healAt
      const sending =
        segments * turn + (plan.channels * 8 * (bytes + 50 * segments) * 1000) / Math.min(rate, other)
      // A flight that is longer than the queue of the narrowest hop, or larger than the memory that channels share, gets
      // through a few segments at each RTO.
      const narrow = Math.min(rate, other) < 1e9 || plan.maxMemory !== undefined
      const bursts = narrow ? 60_000 * kcp.snd.inFlight : 0
      most = Math.max(
        most,
        Math.max(0, lastAt) + 30_000 + 20 * Math.max(kcp.rtt.rto, turn) + 120_000 + 4 * sending + bursts,
      )
    }
    return most
  }

  private judge(): void {
    const { ends, client, server } = this
    for (const { oracle } of ends) oracle.recount()
    for (const { name, session, unsettled } of ends) {
      require(unsettled === 0 || !session.closed, () => `${name}: ${unsettled} messages were never settled`)
      const { segmentsOut, timeoutResends, fastResends, tailProbes, repeats } = session.kcp.counters
      const first = segmentsOut - timeoutResends - fastResends - tailProbes
      // A peer that is gone, or takes us for another one, and sends no notices, is sent to until stallTimeout.
      const mute = ['destroyed', 'renewed'].includes(this.plan.story) || this.strangeClock
      const enough = mute || (segmentsOut <= PUSHES_MAX * first && repeats <= REDUNDANCY_MAX * segmentsOut)
      require(enough, () => `${name}: ${segmentsOut} PUSHes and ${repeats} repeats of ${first} segments`)
    }
    for (const end of ends) judgeEnd(end, this.unsureClocks)
    if (this.plan.story !== 'damaged' && this.secure === undefined)
      judgePairs(ends, this.plan, this.unsureClocks)
    // What an application still meant to read it has read; a timer of its may come after this.
    this.judged = true
    for (const { session, host } of ends) if (host.alive) session.release()
    for (const { acceptor, scheduler, alive } of [client, server]) {
      if (!alive) continue
      require(scheduler.size === 0, () => `${scheduler.size} sessions are still scheduled`)
      if (acceptor === undefined) continue
      require(acceptor.sessions === 0, () => `${acceptor.sessions} sessions are left`)
      require(acceptor.pendingSessions === 0, () => `${acceptor.pendingSessions} sessions are pending`)
      require(acceptor.memoryUsed === 0, () => `${acceptor.memoryUsed} bytes are not given back`)
      require(acceptor['unreleased'] === 0, () => `${acceptor['unreleased']} places are not given back`)
    }
    if (!this.survives) return
    for (const end of ends) {
      const { session, name, reader } = end
      // Who has kept a first datagram until tombstones are over (a clock that jumps) begins it again, and nobody goes on.
      const begun = !end.blurred && ends.find((one) => one.name === name) === end
      if (this.secure !== undefined && !begun) continue
      // With channels a jump of hours in the middle may still end one of them early.
      if (this.unsureClocks && this.plan.channels > 1 && this.timedOut(session.conv)) continue
      if (this.unsureClocks) {
        require(reader!.done, () =>
          `${name}: got ${reader!.messages} (${reader!.bytes} B)${describeEnds(this.ends)}`)
        continue
      }
      // Nobody has told it that the peer has said all; it waited for more.
      if (session.closeReason !== 'timeout' || !isMute(end, ends)) {
        require(session.closeError === undefined, () => `${name}: ${session.closeError}`)
        require(['local', 'peer'].includes(session.closeReason!), () =>
          `${name}: ended by ${session.closeReason}`)
      }
      require(reader!.done, () =>
        `${name}: got ${reader!.messages} (${reader!.bytes} B)${describeEnds(this.ends)}`)
      compareCounts(end, ends, this.plan.startSn?.[end.host.side] ?? 0)
    }
  }

  private timedOut(conv: number): boolean {
    return this.ends.some(({ session }) => session.conv === conv && session.closeReason === 'timeout')
  }

  // ---- what is told ----------------------------------------------------------------------------------------

  private note(event: string, from: string, datagram: Uint8Array, now: number): void {
    const head = datagram.length >= 20 ? readU32(datagram, 8) ^ readU32(datagram, 16) : 0
    this.hash = mix32((this.hash ^ datagram.length ^ Math.imul(Math.floor(now) | 0, 0x85ebca6b) ^ head) >>> 0)
    if (this.story === undefined) return
    const bytes = this.plan.cover === 'checksum' ? datagram.subarray(20) : datagram
    const arrow = { send: '>', deliver: '<', drop: 'x' }[event] ?? event
    const text =
      this.plan.extras.codec !== undefined
        ? `<${datagram.length} B coded>`
        : this.secure !== undefined
          ? formatSecure(datagram)
          : this.plan.cover === 'aead'
            ? `<${datagram.length} B sealed>`
            : formatDatagram(bytes, { conv: this.conv })
    this.story(`${this.time()} ${from} ${arrow} ${text}`)
  }

  private time(): string {
    return (this.clock.now() - this.startAt).toFixed(1).padStart(9)
  }
}

/** Runs a plan; a Failure tells the first thing that did not hold. */
export function runPlan(plan: Plan, watch: Watch = {}): Outcome {
  try {
    return new World(plan, watch).run()
  } catch (error) {
    if (error instanceof Failure) throw error
    throw new Failure(error instanceof Error ? (error.stack ?? error.message) : String(error))
  }
}
