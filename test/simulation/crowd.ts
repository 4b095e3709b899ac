/**
 * A host that opens many conversations at the server, each with a message that never ends. What it may take is bounded,
 * and the client beside it must not notice.
 * @module
 */
import { Kcp } from '../../src/core/kcp.ts'
import { CMD_AT, Command, FRG_AT, KCP_OVERHEAD, LEN_AT, readU32 } from '../../src/core/segment.ts'
import type { Acceptor } from '../../src/session/acceptor.ts'
import type { AcceptorLimits } from '../../src/session/listener-limits.ts'
import type { Scheduler } from '../../src/session/scheduler.ts'
import type { KcpSession } from '../../src/session/session.ts'
import type { DatagramTransport, PeerAddress } from '../../src/session/transport.ts'
import type { VirtualClock } from '../../src/sim/clock.ts'
import type { Prng } from '../../src/sim/prng.ts'
import { require } from './oracle.ts'

export interface CrowdPlan {
  readonly conversations: number
  /** Time that the first one opens, and time from there to the end of all, ms. */
  readonly at: number
  readonly ms: number
  /** Whether the host receives at its address; a forged address never acknowledges. */
  readonly answers: boolean
}

export const CROWD: PeerAddress = { address: 'crowd', port: 1, family: 'IPv4' }
const FIRST_CONV = 1
/** Its engines run this often, ms. */
const STEP = 100
/** Fragments that each segment says are still to come. */
const ENDLESS = 100

/** A crowd in some seeds; it comes and goes before the path heals. */
export function crowdOf(prng: Prng, healAt: number): CrowdPlan | undefined {
  const drawn = prng.chance(0.06)
  const at = prng.int(0, healAt >>> 1)
  const plan = {
    conversations: prng.int(20, 300),
    at,
    ms: Math.min(3_000, healAt - at),
    answers: prng.chance(0.7),
  }
  return drawn ? plan : undefined
}

export class Crowd {
  private readonly limits: AcceptorLimits
  private readonly engines: Map<number, Kcp> = new Map()
  private readonly transport: DatagramTransport<PeerAddress>
  private readonly clock: VirtualClock
  private readonly server: PeerAddress
  private readonly channels: number
  private readonly plan: CrowdPlan
  /** Its sessions at the server that have not ended. */
  private readonly sessions: Set<KcpSession> = new Set()
  /** Sessions that the server ever had for it. */
  admitted = 0

  constructor(
    plan: CrowdPlan,
    {
      transport,
      clock,
      server,
      limits,
      channels,
    }: {
      readonly transport: DatagramTransport<PeerAddress>
      readonly clock: VirtualClock
      readonly server: PeerAddress
      readonly limits: AcceptorLimits
      /** Sessions of each conversation. */
      readonly channels: number
    },
  ) {
    this.plan = plan
    this.transport = transport
    this.clock = clock
    this.server = server
    this.limits = limits
    this.channels = channels
  }

  start(): void {
    void this.transport.start({
      onDatagram: (datagram) => {
        if (!this.plan.answers || datagram.length < KCP_OVERHEAD) return
        this.engines.get(readU32(datagram, 0))?.tryInput(datagram, this.clock.now())
      },
      onError: () => undefined,
      onClose: () => undefined,
    })
    for (let i = 0; i < this.plan.conversations; i++) {
      const engine: Kcp = new Kcp(FIRST_CONV + i, (datagram) => this.send(datagram), 'normal')
      engine.update(this.clock.now())
      this.engines.set(FIRST_CONV + i, engine)
    }
    this.tick(this.clock.now() + this.plan.ms)
  }

  /** The server's side of one of its conversations: a reader that never gets a message. */
  admit(sessions: readonly KcpSession[], scheduler: Scheduler): void {
    for (const session of sessions) {
      this.admitted++
      this.sessions.add(session)
      session.onChange = () => {
        require(session.recv() === undefined, () => 'a message without an end was delivered')
        if (!session.closed) return
        this.sessions.delete(session)
        scheduler.remove(session)
        session.release()
      }
    }
  }

  /** The server ends what its timeouts have not ended. */
  end(): void {
    const now = this.clock.now()
    for (const session of [...this.sessions]) {
      session.abort(now)
      session.onChange?.()
    }
  }

  /** Must hold after each datagram. */
  check(acceptor: Acceptor<PeerAddress>): void {
    const { sessions, pendingSessions, memoryUsed } = acceptor
    const { maxConnections, maxPending, maxMemory } = this.limits
    const { channels } = this
    require(sessions <= maxConnections * channels, () => `${sessions} sessions, ${maxConnections} allowed`)
    require(pendingSessions <= maxPending * channels, () =>
      `${pendingSessions} unproven, ${maxPending} allowed`)
    require(memoryUsed <= maxMemory, () => `${memoryUsed} bytes kept, ${maxMemory} allowed`)
    const { maxConnectionsPerHost, maxMemoryPerHost } = this.limits
    require(this.sessions.size <= maxConnectionsPerHost * channels, () =>
      `${this.sessions.size} sessions of one host`)
    let bytes = 0
    for (const { kcp } of this.sessions) bytes += kcp.rcv.bytes
    require(bytes <= maxMemoryPerHost, () => `${bytes} bytes of one host, ${maxMemoryPerHost} allowed`)
  }

  private tick(until: number): void {
    const now = this.clock.now()
    if (now >= until) return
    for (const engine of this.engines.values()) {
      if (engine.waitSnd() < 32) engine.send(new Uint8Array(4_000))
      engine.update(now)
    }
    this.clock.setTimeout(() => this.tick(until), STEP)
  }

  /** Sends what an engine made, with a fragment number that promises more in each PUSH. */
  private send(datagram: Uint8Array): void {
    const copy = datagram.slice()
    for (let at = 0; at + KCP_OVERHEAD <= copy.length; at += KCP_OVERHEAD + readU32(copy, at + LEN_AT)) {
      if (copy[at + CMD_AT] === Command.Push) copy[at + FRG_AT] = ENDLESS
    }
    void this.transport.send(copy, this.server)
  }
}
