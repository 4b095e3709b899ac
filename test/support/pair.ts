/**
 * A world for stories about streams and listeners: a network in memory and a virtual clock that also lets promises
 * settle. Nothing waits for ever: every wait goes through `within`, which moves the clock and has a limit.
 *
 *     const world = new World({ link: { delayMs: 30, loss: 0.1 } })
 *     const { client, server } = await world.pair({ preset: 'fast' })
 *     client.write('ping')
 *     equal(String(await world.within(server.recv())), 'ping')
 *
 * The network overwrites every datagram that was handed up, so who keeps what was only lent is found out.
 */
import { connect } from '../../src/node/connect.ts'
import type { KcpConnectOptions } from '../../src/node/dial.ts'
import {
  type KcpListener,
  type KcpListenerOptions,
  type KcpListenOptions,
  listen,
} from '../../src/node/kcp-listener.ts'
import type { KcpStream } from '../../src/node/kcp-stream.ts'
import type { PeerAddress } from '../../src/session/transport.ts'
import { VirtualClock } from '../../src/sim/clock.ts'
import type { LinkConditions } from '../../src/sim/link.ts'
import {
  createMemoryNetwork,
  type Hop,
  type MemoryNetwork,
  type MemoryTransport,
} from '../../src/sim/memory.ts'
import { formatDatagram } from '../../src/sim/trace.ts'

/** Where listeners of a world listen. */
export const SERVER: PeerAddress = { address: 'server', port: 4000 }

export interface WorldOptions {
  readonly link?: LinkConditions
  readonly seed?: number
  readonly startAt?: number
}

export type PairOptions = KcpListenerOptions & {
  /** On top, for one end only. */
  readonly client?: Partial<KcpConnectOptions>
  readonly server?: KcpListenerOptions
}

export interface Pair {
  readonly listener: KcpListener
  readonly client: KcpStream
  readonly server: KcpStream
}

export class World {
  readonly clock: VirtualClock
  readonly network: MemoryNetwork

  constructor(options: WorldOptions = {}) {
    const { link = { delayMs: 10 }, seed = 1, startAt = 0 } = options
    // One turn of the event loop between two events: what promises and streams put off happens in it.
    const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
    this.clock = new VirtualClock(startAt, { settle })
    this.network = createMemoryNetwork({ clock: this.clock, seed, link, poison: true })
  }

  /** Moves the clock until `promise` has settled; rejects when that takes more than `limitMs` of virtual time. */
  async within<T>(promise: Promise<T>, limitMs = 60_000): Promise<T> {
    let settled = false
    const note = (): void => {
      settled = true
    }
    promise.then(note, note)
    await this.clock.until(() => settled, limitMs)
    return promise
  }

  /** Moves the clock by `ms`. */
  run(ms: number): Promise<void> {
    return this.clock.run(ms)
  }

  /** Lets everything that needs no time happen. */
  settle(): Promise<void> {
    return this.clock.run(0)
  }

  until(predicate: () => boolean, limitMs = 60_000): Promise<void> {
    return this.clock.until(predicate, limitMs)
  }

  /** A listener on `server:4000`. */
  listen(
    options: KcpListenerOptions & KcpListenOptions = {},
    onConnection?: (stream: KcpStream) => void,
  ): Promise<KcpListener> {
    const { port = SERVER.port, ...rest } = options
    return listen(
      {
        ownsTransport: true,
        clock: this.clock,
        ...(rest.transport === undefined
          ? { transport: this.network.transport(SERVER.address, { port }) }
          : {}),
        ...rest,
      },
      onConnection,
    )
  }

  /** A stream to `server:4000`, from an endpoint of its own: `client:1`, `client:2` … */
  connect(options: Partial<KcpConnectOptions> = {}): Promise<KcpStream> {
    return connect({
      host: SERVER.address,
      port: SERVER.port,
      clock: this.clock,
      ownsTransport: true,
      ...(options.transport === undefined ? { transport: this.network.transport('client') } : {}),
      ...options,
    })
  }

  /** Both ends of a session whose first message, two bytes, was read and acknowledged. */
  async pair(options: PairOptions = {}): Promise<Pair> {
    const { client: clientOnly = {}, server: serverOnly = {}, ...both } = options
    const listener = await this.listen({ ...both, ...serverOnly })
    const { client, server } = await this.join(listener, { ...sessionOnly(both), ...clientOnly })
    return { listener, client, server }
  }

  /** One more client of a listener, as `pair` makes them. */
  async join(
    listener: KcpListener,
    options: Partial<KcpConnectOptions> = {},
  ): Promise<{ readonly client: KcpStream; readonly server: KcpStream }> {
    const connecting = this.connect(options)
    // A handshake takes time.
    const client = await (options.security === undefined ? connecting : this.within(connecting))
    await client.send('hi')
    const server = await this.within(listener.accept())
    if (server === null) throw new Error('the listener has closed')
    await this.within(server.recv())
    await this.within(client.flushed())
    return { client, server }
  }

  /** Every datagram handed to the network from now on, a line each: `12 client:1 > server:4000 push sn=0 …`. */
  record(event: Hop['event'] = 'send'): string[] {
    const lines: string[] = []
    const { tap } = this.network
    this.network.tap = (hop, datagram, now) => {
      tap?.(hop, datagram, now)
      if (hop.event !== event) return
      const [from, to] = [hop.from, hop.to].map(({ address, port }) => `${address}:${port}`)
      lines.push(`${now} ${from} > ${to} ${formatDatagram(datagram)}`)
    }
    return lines
  }

  /** An endpoint without a session: what arrives at it is kept. */
  endpoint(name: string, port?: number): RawEndpoint {
    const transport = this.network.transport(name, port === undefined ? {} : { port })
    const received: Uint8Array[] = []
    transport.start({
      onDatagram: (datagram) => void received.push(datagram.slice()),
      onError: () => undefined,
      onClose: () => undefined,
    })
    return { transport, received }
  }
}

export interface RawEndpoint {
  readonly transport: MemoryTransport
  readonly received: Uint8Array[]
}

/** Waits for an event, as events.once, but for streams whose 'error' is expected too. */
export function nextEvent(emitter: NodeJS.EventEmitter, event: string): Promise<unknown> {
  return new Promise((resolve) => emitter.once(event, resolve))
}

/** `size` bytes that tell where they belong: no two neighbours or messages are alike. */
export function pattern(size: number, start = 0): Buffer {
  const bytes = Buffer.alloc(size)
  for (let i = 0; i < size; i++) bytes[i] = (start + i * 7 + (i >>> 8) * 13) & 0xff
  return bytes
}

/** What a listener's options mean for a client. */
function sessionOnly(options: KcpListenerOptions): Partial<KcpConnectOptions> {
  const { backlog, maxConnections, maxPending, maxPendingPerHost, maxMemory, tombstoneTtl, ...rest } = options
  return rest
}
