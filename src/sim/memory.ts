/**
 * A network in memory: any number of endpoints, and a seeded link for each direction between two addresses.
 * Datagrams are copied when sent and handed up only from the clock, never from inside `send`.
 * Datagrams that arrive at one endpoint at one instant are handed up in one go, as a socket's receive loop does.
 * Read link.ts for what a link does to them.
 * @module
 */
import type { Clock, DatagramHandler, DatagramTransport, PeerAddress } from '../session/transport.ts'
import { Link, type LinkConditions } from './link.ts'
import { mix32 } from './prng.ts'

export interface MemoryNetworkOptions {
  /** Moves the datagrams; usually a VirtualClock. */
  readonly clock: Clock
  /** Every link's generator is seeded from this and the two addresses, whatever the order of their first use. Default 1. */
  readonly seed?: number
  /** What links are like until `link(from, to).set` says otherwise. Default: at once, and nothing lost. */
  readonly link?: LinkConditions
  /** Sees every datagram. May also be set later. */
  readonly tap?: Tap
  /** Overwrites each datagram once its handler has returned: shows who keeps what was only lent. Default false. */
  readonly poison?: boolean
}

export interface MemoryTransportOptions {
  /** Default: the lowest port, from 1, that is free at this address. */
  readonly port?: number
  /** Larger datagrams are dropped when sent. Default: no limit. */
  readonly maxDatagramSize?: number
}

/** One datagram passing a point of the network. */
export interface Hop {
  /** `send`: handed to the network · `drop`: it will not arrive at all · `deliver`: handed up (twice, if duplicated). */
  readonly event: 'send' | 'drop' | 'deliver'
  readonly from: PeerAddress
  readonly to: PeerAddress
}

/** `datagram` is lent for the call. */
export type Tap = (hop: Hop, datagram: Uint8Array, now: number) => void

/** Says which datagrams may pass, asked before the link; for stories in which one given datagram is lost. */
export type Filter = (datagram: Uint8Array, from: PeerAddress, to: PeerAddress, now: number) => boolean

/** Datagrams of the whole network; the links count for themselves. */
export interface NetworkCounters {
  sent: number
  delivered: number
  /** Larger than the sender's maxDatagramSize. */
  oversized: number
  filtered: number
  /** Arrived where nobody listens (any more, or yet). */
  unreachable: number
}

/** An endpoint. A closed one drops what it is given and what was under way to it. */
export interface MemoryTransport extends DatagramTransport<PeerAddress> {
  readonly closed: boolean
  localAddress(): PeerAddress
  peerKey(peer: PeerAddress): string
  start(handler: DatagramHandler<PeerAddress>): void
  close(): void
  /** Reports `error` to the handler, soon, as a socket would report an ICMP answer. */
  fail(error: Error): void
}

export function createMemoryNetwork(options: MemoryNetworkOptions): MemoryNetwork {
  return new MemoryNetwork(options)
}

export class MemoryNetwork {
  readonly counters: NetworkCounters = { sent: 0, delivered: 0, oversized: 0, filtered: 0, unreachable: 0 }
  tap: Tap | undefined
  filter: Filter | undefined
  readonly #clock: Clock
  readonly #seed: number
  readonly #poison: boolean
  /** For links that do not exist yet. */
  #conditions: LinkConditions
  /** By `from>to`. */
  readonly #links = new Map<string, Link>()
  /** By `address|port`. */
  readonly #endpoints = new Map<string, Endpoint>()
  /** What is under way with a delay, by receiver and then by instant of arrival: one timer each. */
  readonly #arrivals = new Map<string, Map<number, Arrival[]>>()

  constructor(options: MemoryNetworkOptions) {
    this.#clock = requireClock(options?.clock, 'createMemoryNetwork')
    this.#seed = options.seed ?? 1
    if (!Number.isSafeInteger(this.#seed)) throw new RangeError(`seed ${this.#seed} is not an integer`)
    this.#conditions = { ...options.link }
    new Link(this.#conditions) // throws for bad conditions here rather than at the first send
    this.#poison = options.poison ?? false
    this.tap = options.tap
  }

  /** A new endpoint at address `name`. Throws when its port is taken. */
  transport(name: string, options: MemoryTransportOptions = {}): MemoryTransport {
    let port = options.port ?? 1
    if (!Number.isInteger(port) || port < 1 || port > 65_535)
      throw new RangeError(`port ${port} is not in 1..65535`)
    const { maxDatagramSize } = options
    if (maxDatagramSize !== undefined && !(maxDatagramSize >= 1)) {
      throw new RangeError(`maxDatagramSize ${maxDatagramSize} is not in 1..Infinity`)
    }
    if (options.port === undefined) while (this.#endpoints.has(`${name}|${port}`)) port++
    const address: PeerAddress = { address: name, port, family: 'IPv4' }
    const key = peerKey(address)
    if (this.#endpoints.has(key)) throw new Error(`address ${name}:${port} is in use`)
    const endpoint = new Endpoint(this, this.#clock, address, maxDatagramSize, () =>
      this.#endpoints.delete(key),
    )
    this.#endpoints.set(key, endpoint)
    return endpoint
  }

  /** The direction from one address to another, made on first use. All ports of an address share it. */
  link(from: string | PeerAddress, to: string | PeerAddress): Link {
    const key = `${typeof from === 'string' ? from : from.address}>${typeof to === 'string' ? to : to.address}`
    let link = this.#links.get(key)
    if (!link) {
      link = new Link({ ...this.#conditions, seed: this.#seed ^ hash(key) })
      this.#links.set(key, link)
    }
    return link
  }

  /** Changes every link, those to come included. */
  set(conditions: LinkConditions): void {
    const merged = { ...this.#conditions, ...conditions }
    new Link(merged) // throws before anything has changed
    this.#conditions = merged
    for (const link of this.#links.values()) link.set(conditions)
  }

  /** Sends from any address, be there an endpoint or not: what an off-path spoofer does. */
  inject(datagram: Uint8Array, from: PeerAddress, to: PeerAddress): void {
    const now = this.#clock.now()
    this.counters.sent++
    this.tap?.({ event: 'send', from, to }, datagram, now)
    let copies = 0
    if (this.filter && !this.filter(datagram, from, to, now)) {
      this.counters.filtered++
    } else {
      this.link(from, to).transmit(datagram, now, (copy, afterMs) => {
        copies++
        this.#arrive({ datagram: copy, from, to }, now, afterMs)
      })
    }
    if (copies === 0) this.tap?.({ event: 'drop', from, to }, datagram, now)
  }

  #arrive(arrival: Arrival, now: number, afterMs: number): void {
    if (afterMs === 0) {
      this.#clock.soon(() => this.#deliver(arrival))
      return
    }
    const at = now + afterMs
    const key = peerKey(arrival.to)
    const instants = this.#arrivals.get(key) ?? new Map<number, Arrival[]>()
    const sameInstant = instants.get(at)
    if (sameInstant) {
      sameInstant.push(arrival)
      return
    }
    instants.set(at, [arrival])
    this.#arrivals.set(key, instants)
    this.#clock.setTimeout(() => {
      const batch = instants.get(at)!
      instants.delete(at)
      if (instants.size === 0) this.#arrivals.delete(key)
      for (const each of batch) this.#deliver(each)
    }, afterMs)
  }

  #deliver({ datagram, from, to }: Arrival): void {
    const now = this.#clock.now()
    const handler = this.#endpoints.get(peerKey(to))?.handler
    if (!handler) {
      this.counters.unreachable++
      this.tap?.({ event: 'drop', from, to }, datagram, now)
      return
    }
    this.counters.delivered++
    this.tap?.({ event: 'deliver', from, to }, datagram, now)
    handler.onDatagram(datagram, from)
    if (this.#poison) datagram.fill(POISON)
  }
}

export interface MemoryLinkOptions extends LinkConditions {
  readonly clock?: Clock
  /** Default 1. Each direction draws from its own generator. */
  readonly seed?: number
  readonly maxDatagramSize?: number
}

/** Two endpoints, `a:1` and `b:1`, and the path between them, alike both ways. Each sends to the other's `localAddress()`. */
export function createMemoryLink(options: MemoryLinkOptions = {}): [MemoryTransport, MemoryTransport] {
  const { clock, seed = 1, maxDatagramSize, ...link } = options
  const network = new MemoryNetwork({ clock: requireClock(clock, 'createMemoryLink'), seed, link })
  const each = maxDatagramSize === undefined ? {} : { maxDatagramSize }
  return [network.transport('a', each), network.transport('b', each)]
}

/** What poisoned bytes are filled with: no KCP command, and conspicuous in a dump. */
const POISON = 0xdd

interface Arrival {
  readonly datagram: Uint8Array
  readonly from: PeerAddress
  readonly to: PeerAddress
}

class Endpoint implements MemoryTransport {
  readonly maxDatagramSize?: number
  /** Set while started and not closed. */
  handler: DatagramHandler<PeerAddress> | undefined
  closed = false
  #started = false
  readonly #network: MemoryNetwork
  readonly #clock: Clock
  readonly #address: PeerAddress
  readonly #unbind: () => void

  constructor(
    network: MemoryNetwork,
    clock: Clock,
    address: PeerAddress,
    maxDatagramSize: number | undefined,
    unbind: () => void,
  ) {
    this.#network = network
    this.#clock = clock
    this.#address = address
    this.#unbind = unbind
    if (maxDatagramSize !== undefined) this.maxDatagramSize = maxDatagramSize
  }

  send(datagram: Uint8Array, peer: PeerAddress): void {
    if (this.closed) return
    if (datagram.length > (this.maxDatagramSize ?? Number.POSITIVE_INFINITY))
      this.#network.counters.oversized++
    else this.#network.inject(datagram, this.#address, peer)
  }

  start(handler: DatagramHandler<PeerAddress>): void {
    if (this.#started || this.closed)
      throw new Error(`start of a transport ${this.closed ? 'closed' : 'started'} before`)
    this.#started = true
    this.handler = handler
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    const { handler } = this
    this.handler = undefined
    this.#unbind()
    if (handler) this.#clock.soon(() => handler.onClose())
  }

  fail(error: Error): void {
    this.#clock.soon(() => this.handler?.onError(error))
  }

  localAddress(): PeerAddress {
    return this.#address
  }

  peerKey(peer: PeerAddress): string {
    return peerKey(peer)
  }
}

function peerKey(peer: PeerAddress): string {
  return `${peer.address}|${peer.port}`
}

function requireClock(clock: Clock | undefined, caller: string): Clock {
  if (typeof clock?.now !== 'function') {
    throw new TypeError(`${caller}: the option "clock" is missing, for example { clock: new VirtualClock() }`)
  }
  return clock
}

/** 32 bits of a name: FNV-1a over UTF-16 units, then scrambled so that neighbours differ everywhere. */
function hash(name: string): number {
  let sum = 0x811c9dc5
  for (let i = 0; i < name.length; i++) sum = Math.imul(sum ^ name.charCodeAt(i), 0x01000193)
  return mix32(sum)
}
