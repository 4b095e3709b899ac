/**
 * Two real sessions, a client and a server's, over an impaired network on a virtual clock: the whole protocol without
 * a socket, and every run of a seed the same.
 * @module
 */
import { Acceptor } from '../session/acceptor.ts'
import { type KcpSessionConfig, resolveSessionConfig } from '../session/config.ts'
import { resolveLimits } from '../session/listener-limits.ts'
import { PeerLink } from '../session/peer-link.ts'
import { Scheduler } from '../session/scheduler.ts'
import { KcpSession } from '../session/session.ts'
import type { PeerAddress } from '../session/transport.ts'
import { VirtualClock } from './clock.ts'
import type { LinkConditions } from './link.ts'
import { createMemoryNetwork, type MemoryNetwork } from './memory.ts'
import { Prng } from './prng.ts'

export interface SessionPairOptions {
  /** Of everything random: links, clock offsets, conv. */
  readonly seed: number
  /** Of both sessions; or of one each. */
  readonly config?: KcpSessionConfig
  readonly client?: KcpSessionConfig
  readonly server?: KcpSessionConfig
  /** Of both directions; or of one each. */
  readonly link?: LinkConditions
  readonly toServer?: LinkConditions
  readonly toClient?: LinkConditions
  /** Where the clock starts, ms. */
  readonly startAt?: number
}

export class SessionPair {
  readonly clock: VirtualClock
  readonly scheduler: Scheduler
  readonly network: MemoryNetwork
  readonly client: KcpSession
  readonly acceptor: Acceptor<PeerAddress>
  /** The server's session, from the client's first PUSH on. */
  server: KcpSession | undefined
  /** Called after anything happened to a session. */
  onChange: ((session: KcpSession) => void) | undefined

  constructor(options: SessionPairOptions) {
    const prng = new Prng(options.seed)
    const clock = new VirtualClock(options.startAt ?? 0)
    this.clock = clock
    this.scheduler = new Scheduler(clock)
    this.network = createMemoryNetwork({ clock, seed: options.seed, link: options.link ?? {}, poison: true })
    const near = this.network.transport('client')
    const far = this.network.transport('server')
    if (options.toServer !== undefined) this.network.link('client', 'server').set(options.toServer)
    if (options.toClient !== undefined) this.network.link('server', 'client').set(options.toClient)

    const serverConfig = resolveSessionConfig(options.server ?? options.config)
    this.acceptor = new Acceptor<PeerAddress>({
      transport: far,
      config: serverConfig,
      limits: resolveLimits({}),
      codec: undefined,
      scheduler: this.scheduler,
      random: () => prng.u32(),
      hasBacklog: () => true,
      onSessions: ([session]) => {
        this.server = session!
        this.watch(session!)
      },
    })
    void far.start({
      onDatagram: (datagram, peer) => this.acceptor.receive(datagram, peer, clock.now()),
      onError: () => undefined,
      onClose: () => undefined,
    })

    const clientConfig = resolveSessionConfig(options.client ?? options.config)
    const link = new PeerLink(near, far.localAddress(), undefined)
    this.client = new KcpSession({
      conv: Math.max(1, prng.u32()),
      config: clientConfig,
      role: 'client',
      mtu: link.mtu(clientConfig.kcp.mtu),
      clockOffset: prng.u32(),
      now: clock.now(),
      send: link.send,
      wake: (one) => this.scheduler.touch(one),
    })
    this.scheduler.add(this.client)
    this.watch(this.client)
    void near.start({
      onDatagram: (datagram) => {
        this.scheduler.touch(this.client)
        this.client.receive(datagram, clock.now())
      },
      onError: () => undefined,
      onClose: () => undefined,
    })
  }

  /** Writes on a session, as a shell does. */
  write(session: KcpSession, data: Uint8Array): void {
    session.write(data, this.clock.now())
    this.scheduler.touch(session)
  }

  /** Ends the sending half of a session. */
  end(session: KcpSession): void {
    session.end(this.clock.now())
    this.scheduler.touch(session)
  }

  /** Reads one message; what it frees is told to the peer at the end of the turn. */
  read(session: KcpSession): Uint8Array | undefined {
    const message = session.recv()
    if (message !== undefined && !session.closed) this.scheduler.touch(session)
    return message
  }

  private watch(session: KcpSession): void {
    session.onChange = () => {
      this.onChange?.(session)
      if (session.closed) this.scheduler.remove(session)
    }
  }
}
