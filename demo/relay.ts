/**
 * A bad network on real sockets: a UDP relay between any number of clients and one server that delays, loses,
 * repeats and reorders what passes. What happens to a datagram is decided by `Link` from the simulator, one for each
 * direction, shared by all clients as an access line would be.
 *
 * Each client gets an upstream socket of its own, so that the server sees as many addresses as there are clients;
 * it is kept until the relay closes. Datagrams on their way wait in one heap under one timer. Errors of sockets
 * (ECONNREFUSED from a server that is not there yet) are counted and otherwise treated as loss.
 * @module
 */
import { createSocket, type Socket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { isIPv6 } from 'node:net'
import { performance } from 'node:perf_hooks'
import { Link, type LinkConditions, type LinkCounters } from '../src/sim/link.ts'

export interface RelayOptions {
  readonly target: { readonly host: string; readonly port: number }
  /** Where clients send to. Default: the loopback address of the target's family, any port. */
  readonly host?: string
  readonly port?: number
  /** What datagrams meet on the way to the server. Default: nothing. */
  readonly toServer?: LinkConditions
  /** What they meet on the way back. */
  readonly toClient?: LinkConditions
  /** Fixes the fate of the nth datagram of each direction. Default 1. */
  readonly seed?: number
}

export interface RelayStats {
  /** Client addresses seen. */
  readonly clients: number
  /** Errors that sockets reported. */
  readonly errors: number
  readonly toServer: Readonly<LinkCounters>
  readonly toClient: Readonly<LinkCounters>
}

export interface Relay extends AsyncDisposable {
  readonly address: string
  readonly port: number
  /** The two directions; `set` changes their conditions while traffic runs. */
  readonly toServer: Link
  readonly toClient: Link
  stats(): RelayStats
  /** Closes all sockets; what is under way is lost. */
  close(): Promise<void>
}

/** Largest socket buffers asked for; the system may give less. A relay that drops by itself would spoil the test. */
const SOCKET_BUFFER = 4 * 1024 * 1024

/** One datagram under way. */
interface Flight {
  readonly dueAt: number
  /** Arrival order; datagrams due at the same time leave in this order. */
  readonly order: number
  readonly datagram: Uint8Array
  readonly send: (datagram: Uint8Array) => void
}

export async function startRelay(options: RelayOptions): Promise<Relay> {
  const { address: targetHost, family } = await lookup(options.target.host)
  const targetPort = options.target.port
  const loopback = family === 6 ? '::1' : '127.0.0.1'

  const flights = new FlightHeap()
  let timer: NodeJS.Timeout | undefined
  let timerAt = Number.POSITIVE_INFINITY
  let order = 0
  let errors = 0
  let closed = false
  const onError = () => {
    errors++
  }

  function forward(link: Link, datagram: Uint8Array, send: (datagram: Uint8Array) => void): void {
    const now = performance.now()
    link.transmit(datagram, now, (copy, afterMs) => {
      flights.push({ dueAt: now + afterMs, order: order++, datagram: copy, send })
    })
    deliverDue(now)
  }

  function deliverDue(now: number): void {
    for (let next = flights.first; next !== undefined && next.dueAt <= now; next = flights.first) {
      flights.pop()
      next.send(next.datagram)
    }
    const dueAt = flights.first?.dueAt ?? Number.POSITIVE_INFINITY
    if (dueAt === timerAt) return
    clearTimeout(timer)
    timerAt = dueAt
    if (dueAt !== Number.POSITIVE_INFINITY) timer = setTimeout(onTimer, Math.max(0, dueAt - now))
  }

  function onTimer(): void {
    timerAt = Number.POSITIVE_INFINITY
    deliverDue(performance.now())
  }

  const { seed = 1 } = options
  const toServer = new Link({ ...options.toServer, seed })
  const toClient = new Link({ ...options.toClient, seed: seed + 1 })
  const upstreams = new Map<string, Upstream>()

  const front = openSocket(options.host ?? loopback)
  front.on('message', (datagram, client) => {
    const key = `${client.address}|${client.port}`
    let upstream = upstreams.get(key)
    if (upstream === undefined) {
      const reply = (bytes: Uint8Array) => {
        if (!closed) front.send(bytes, client.port, client.address, onSent)
      }
      upstream = new Upstream(targetHost, targetPort, onError, (bytes) => forward(toClient, bytes, reply))
      upstreams.set(key, upstream)
    }
    forward(toServer, datagram, upstream.send)
  })
  const onSent = (error: Error | null) => {
    if (error !== null) errors++
  }
  await new Promise<void>((resolve, reject) => {
    front.once('error', reject)
    front.bind(options.port ?? 0, options.host ?? loopback, () => {
      front.off('error', reject)
      front.on('error', onError)
      growBuffers(front)
      resolve()
    })
  })
  const { address, port } = front.address()

  async function close(): Promise<void> {
    if (closed) return
    closed = true
    clearTimeout(timer)
    flights.clear()
    await Promise.all([closeSocket(front), ...[...upstreams.values()].map((upstream) => upstream.close())])
  }

  return {
    address,
    port,
    toServer,
    toClient,
    stats: () => ({
      clients: upstreams.size,
      errors,
      toServer: { ...toServer.counters },
      toClient: { ...toClient.counters },
    }),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** The relay's face to the server for one client. Connected, so that a refusal comes back as an error event. */
class Upstream {
  readonly #socket: Socket
  readonly #onError: () => void
  /** What came before the socket was connected (a turn of the event loop). */
  #early: Uint8Array[] | undefined = []
  #closed = false

  constructor(host: string, port: number, onError: () => void, onDatagram: (datagram: Uint8Array) => void) {
    this.#onError = onError
    const socket = openSocket(host)
    this.#socket = socket
    socket.on('error', onError)
    socket.on('message', onDatagram)
    socket.connect(port, host, () => {
      growBuffers(socket)
      const early = this.#early ?? []
      this.#early = undefined
      for (const datagram of early) this.send(datagram)
    })
  }

  readonly send = (datagram: Uint8Array): void => {
    if (this.#closed) return
    if (this.#early !== undefined) this.#early.push(datagram)
    else this.#socket.send(datagram, this.#onSent)
  }

  readonly #onSent = (error: Error | null): void => {
    if (error !== null) this.#onError()
  }

  close(): Promise<void> {
    this.#closed = true
    return closeSocket(this.#socket)
  }
}

/** Pending datagrams, the earliest on top: a binary heap. */
class FlightHeap {
  readonly #items: Flight[] = []

  get first(): Flight | undefined {
    return this.#items[0]
  }

  push(flight: Flight): void {
    const items = this.#items
    let at = items.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(flight, items[parent]!)) break
      items[at] = items[parent]!
      at = parent
    }
    items[at] = flight
  }

  /** Removes the first. */
  pop(): void {
    const items = this.#items
    const last = items.pop()
    if (last === undefined || items.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= items.length) break
      if (child + 1 < items.length && before(items[child + 1]!, items[child]!)) child++
      if (!before(items[child]!, last)) break
      items[at] = items[child]!
      at = child
    }
    items[at] = last
  }

  clear(): void {
    this.#items.length = 0
  }
}

function before(a: Flight, b: Flight): boolean {
  return a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.order < b.order)
}

/** A socket of the literal's family that never waits for the resolver: dgram looks up even literals. */
function openSocket(literal: string): Socket {
  const six = isIPv6(literal)
  return createSocket({
    type: six ? 'udp6' : 'udp4',
    lookup: (hostname, _options, callback) => callback(null, hostname, six ? 6 : 4),
  })
}

function growBuffers(socket: Socket): void {
  try {
    socket.setRecvBufferSize(SOCKET_BUFFER)
    socket.setSendBufferSize(SOCKET_BUFFER)
  } catch {
    // Some systems refuse instead of giving what they have; then the default must do.
  }
}

function closeSocket(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.close(() => resolve()))
}
