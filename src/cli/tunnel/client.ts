/**
 * The client's side: TCP connections in, round-robin over a few sessions to the server. Sessions are made again when
 * they are dead or old; while there is none, connections wait a little and are then closed.
 * @module
 */
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../session/transport.ts'
import { showAddress, type TcpAddress } from './address.ts'
import { Busy } from './busy.ts'
import { forward, reset } from './forward.ts'
import type { Link } from './link.ts'
import { type Log, showBytes, showTime } from './log.ts'

/** Longest that a connection waits for a session, ms: an attempt and a half. */
const PATIENCE = 8_000
/** Pause after a failed attempt, ms; doubles with each further one. */
const PAUSE_FIRST = 500
const PAUSE_MAX = 10_000
/** Between two looks whether old sessions can go, ms. */
const SCAVENGE_INTERVAL = 5_000

export interface ClientOptions {
  /** Makes a session; rejects when the server cannot be reached. */
  readonly dial: () => Promise<Link>
  readonly sessions: number
  readonly autoExpire: number
  readonly scavenge: number
  readonly closeWait: number
  readonly clock: Clock
  readonly log: Log
}

interface Slot {
  link: Link | undefined
  bornAt: number
  dialing: Promise<Link> | undefined
  failures: number
  retryAt: number
}

export class TunnelClient {
  readonly #options: ClientOptions
  readonly #slots: readonly Slot[]
  /** Sessions that get no new streams, with the time at which they end; Infinity: with their last stream. */
  readonly #old: Map<Link, number> = new Map()
  #next = 0
  #scavenger: unknown
  #stopped = false
  readonly #busy: Busy

  constructor(options: ClientOptions) {
    this.#options = options
    this.#busy = new Busy(options.clock)
    this.#slots = Array.from({ length: options.sessions }, () => ({
      link: undefined,
      bornAt: 0,
      dialing: undefined,
      failures: 0,
      retryAt: 0,
    }))
  }

  /** Opens all sessions ahead of the first connection. */
  start(): void {
    for (const slot of this.#slots) this.#dial(slot).catch(() => undefined)
  }

  /** Sessions alive. */
  get links(): readonly Link[] {
    return [...this.#slots.flatMap(({ link }) => link ?? []), ...this.#old.keys()]
  }
  get connections(): number {
    return this.#busy.count
  }

  /** Serves one connection; resolves when it is over. `from` is its name in the log. */
  async serve(connection: Duplex, from: string): Promise<void> {
    const { log, clock, closeWait } = this.#options
    this.#busy.enter()
    const startedAt = clock.now()
    try {
      // It may fail while nobody else listens.
      connection.on('error', () => undefined)
      const link = await this.#withinPatience(this.#pick(), connection)
      if (link === undefined) return
      const stream = link.open()
      log.stream(`${from} opened, through ${link.name}`)
      const { up, down, why } = await forward(connection, stream, { clock, closeWait })
      const time = showTime(clock.now() - startedAt)
      const line = `${from} closed after ${time}: ${showBytes(up)} up, ${showBytes(down)} down${why && `; ${why}`}`
      if (why === '') log.stream(line)
      else log.warn(line)
    } catch (error) {
      log.warn(`${from} refused: ${(error as Error).message}`)
      reset(connection)
    } finally {
      this.#busy.leave()
    }
  }

  /** Waits until the connections are done, `grace` ms at most, then ends all sessions. Take no more meanwhile. */
  async stop(grace: number): Promise<void> {
    const { clock } = this.#options
    this.#stopped = true
    await this.#busy.rest(grace)
    clock.clearTimeout(this.#scavenger)
    await Promise.all([
      ...this.links.map((link) => link.close()),
      // What is still being made ends as soon as it is there.
      ...this.#slots.map(({ dialing }) => dialing?.then((link) => link.close()).catch(() => undefined)),
    ])
  }

  /** The session whose turn it is; another one that lives when that cannot be had. */
  async #pick(): Promise<Link> {
    const slot = this.#slots[this.#next++ % this.#slots.length]!
    try {
      return await this.#session(slot)
    } catch (error) {
      const living = this.#slots.find(({ link }) => link !== undefined)
      if (living?.link === undefined) throw error
      return living.link
    }
  }

  #session(slot: Slot): Promise<Link> {
    const { autoExpire, clock } = this.#options
    const { link } = slot
    if (link !== undefined && (autoExpire === 0 || clock.now() - slot.bornAt < autoExpire)) {
      return Promise.resolve(link)
    }
    if (link !== undefined) this.#retire(slot, link)
    return this.#dial(slot)
  }

  #dial(slot: Slot): Promise<Link> {
    slot.dialing ??= this.#attempt(slot).finally(() => (slot.dialing = undefined))
    return slot.dialing
  }

  async #attempt(slot: Slot): Promise<Link> {
    const { clock, log, dial } = this.#options
    const pause = slot.retryAt - clock.now()
    if (pause > 0) await new Promise<void>((resolve) => clock.setTimeout(resolve, pause))
    if (this.#stopped) throw new Error('the tunnel is being stopped')
    try {
      const link = await dial()
      slot.link = link
      slot.bornAt = clock.now()
      slot.failures = 0
      log.info(`session ${link.name} opened`)
      void link.closed.then((why) => this.#over(slot, link, why))
      return link
    } catch (error) {
      slot.retryAt = clock.now() + Math.min(PAUSE_FIRST * 2 ** slot.failures, PAUSE_MAX)
      slot.failures++
      log.warn(`no session: ${(error as Error).message}`)
      throw error
    }
  }

  #over(slot: Slot, link: Link, why: string): void {
    this.#options.log.info(`session ${link.name} closed${why && `: ${why}`}`)
    this.#old.delete(link)
    if (slot.link === link) slot.link = undefined
  }

  /** Its streams go on, up to a limit. */
  #retire(slot: Slot, link: Link): void {
    const { clock, scavenge } = this.#options
    slot.link = undefined
    this.#old.set(link, scavenge === 0 ? Number.POSITIVE_INFINITY : clock.now() + scavenge)
    this.#scavenger ??= clock.setTimeout(() => this.#scavenge(), SCAVENGE_INTERVAL)
  }

  #scavenge(): void {
    const { clock } = this.#options
    const now = clock.now()
    for (const [link, until] of this.#old) {
      if (link.streams === 0) void link.close()
      else if (now >= until) link.destroy()
    }
    this.#scavenger =
      this.#old.size === 0 ? undefined : clock.setTimeout(() => this.#scavenge(), SCAVENGE_INTERVAL)
  }

  /** The session, unless the connection goes away before; rejects when it takes too long. */
  #withinPatience(session: Promise<Link>, connection: Duplex): Promise<Link | undefined> {
    const { clock } = this.#options
    return new Promise((resolve, reject) => {
      const timer = clock.setTimeout(
        () => settle(() => reject(new Error('no session with the server'))),
        PATIENCE,
      )
      const settle = (run: () => void): void => {
        clock.clearTimeout(timer)
        connection.off('close', gone)
        run()
      }
      const gone = (): void => settle(() => resolve(undefined))
      connection.once('close', gone)
      session.then(
        (link) => settle(() => resolve(connection.destroyed ? undefined : link)),
        (error: Error) => settle(() => reject(error)),
      )
    })
  }
}

/** A TCP server whose connections go to `client`. Rejects with the system's error. */
export async function listenTcp(
  address: TcpAddress,
  client: TunnelClient,
  maxConnections: number,
): Promise<Server> {
  const server = createServer(
    // Go's sockets: no delay, and a dead host noticed.
    { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 15_000 },
    (socket: Socket) =>
      void client.serve(socket, showAddress(socket.remoteAddress ?? 'unix', socket.remotePort)),
  )
  server.maxConnections = maxConnections
  server.listen(
    'path' in address ? address : { port: address.port, ...(address.host && { host: address.host }) },
  )
  await once(server, 'listening')
  return server
}
