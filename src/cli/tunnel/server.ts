/**
 * The server's side: every stream of every session becomes a TCP connection to the target.
 * @module
 */
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../session/transport.ts'
import { showAddress, type TcpAddress } from './address.ts'
import { Busy } from './busy.ts'
import { forward, reset } from './forward.ts'
import type { Link } from './link.ts'
import { type Log, showBytes, showTime } from './log.ts'
import { proxyHeader } from './proxy-protocol.ts'

/** Longest wait for the target, ms. Systems try for minutes; nobody behind a tunnel waits so long. */
const CONNECT_TIMEOUT = 10_000

export interface ServerOptions {
  /** A connection to the target, once it is there; rejects with the system's error. */
  readonly connect: () => Promise<Duplex>
  readonly proxyProtocol: boolean
  readonly closeWait: number
  readonly clock: Clock
  readonly log: Log
}

export class TunnelServer {
  readonly #options: ServerOptions
  readonly links: Set<Link> = new Set()
  readonly #busy: Busy
  #count = 0
  #stopped = false

  constructor(options: ServerOptions) {
    this.#options = options
    this.#busy = new Busy(options.clock)
  }

  get connections(): number {
    return this.#busy.count
  }

  /** Serves a session's streams until it is over. */
  add(link: Link): void {
    const { log, clock } = this.#options
    const startedAt = clock.now()
    this.links.add(link)
    log.info(`session ${link.name} opened`)
    void link.closed.then((why) => {
      this.links.delete(link)
      log.info(`session ${link.name} closed after ${showTime(clock.now() - startedAt)}${why && `: ${why}`}`)
    })
    link.onStream((stream) => void this.#serve(link, stream))
  }

  /** Waits until the streams are done, `grace` ms at most, then ends all sessions. New streams are refused. */
  async stop(grace: number): Promise<void> {
    this.#stopped = true
    await this.#busy.rest(grace)
    await Promise.all([...this.links].map((link) => link.close()))
  }

  async #serve(link: Link, stream: Duplex): Promise<void> {
    const { log, clock, closeWait, proxyProtocol } = this.#options
    const name = `stream ${++this.#count} of ${link.name}`
    // It may fail while the target is being reached.
    stream.on('error', () => undefined)
    if (this.#stopped) {
      stream.destroy()
      return
    }
    this.#busy.enter()
    const startedAt = clock.now()
    try {
      const connection = await this.#options.connect()
      if (stream.destroyed) {
        connection.destroy()
        return
      }
      log.stream(`${name} opened`)
      if (proxyProtocol) connection.write(proxyHeader(link.peer, link.local))
      const { up, down, why } = await forward(connection, stream, { clock, closeWait })
      const time = showTime(clock.now() - startedAt)
      const line = `${name} closed after ${time}: ${showBytes(down)} up, ${showBytes(up)} down${why && `; ${why}`}`
      if (why === '') log.stream(line)
      else log.warn(line)
    } catch (error) {
      log.warn(`${name}: no connection to the target: ${(error as Error).message}`)
      reset(stream)
    } finally {
      this.#busy.leave()
    }
  }
}

/** A TCP connection to `target`. */
export function connectTcp(target: TcpAddress): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...('path' in target ? target : { port: target.port, ...(target.host && { host: target.host }) }),
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 15_000,
    })
    const shown = 'path' in target ? target.path : showAddress(target.host, target.port)
    const onTimeout = (): void =>
      void socket.destroy(new Error(`${shown} did not answer in ${CONNECT_TIMEOUT / 1000} s`))
    socket.setTimeout(CONNECT_TIMEOUT, onTimeout)
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.setTimeout(0, onTimeout)
      socket.off('error', reject)
      resolve(socket)
    })
  })
}
