/**
 * The client of the load on KCP servers, the same for all of them: our engine over one connected socket for each
 * session, since kcp-go tells sessions apart by address alone. No stream, no liveness, one timer for all, and that only
 * for sessions with something in flight: it has to cost less than what it measures.
 * @module
 */
import type { Socket } from 'node:dgram'
import { Kcp } from '../../src/core/index.ts'
import { type Driver, FAST, Flow, MTU, type Setup } from '../driver.ts'
import { bind, tie } from './dgram.ts'

/** Conversation ids; the listener of kcp-io keeps ended ones apart from new ones by them. */
let nextConv = 1
/** Clients with something in flight. */
const busy = new Set<KcpClient>()
setInterval(() => {
  const now = clock()
  for (const client of busy) if (!client.repeat(now)) busy.delete(client)
}, FAST.interval)

export const driver: Driver = {
  async connect({ window }: Setup, port: number): Promise<Flow> {
    const socket = await bind()
    await tie(socket, port)
    return new KcpClient(socket, window)
  },
}

/** Largest message of the load. */
const target = new Uint8Array(MTU)

class KcpClient extends Flow {
  readonly #kcp: Kcp

  constructor(socket: Socket, window: number) {
    super()
    this.#kcp = new Kcp(nextConv++, (datagram) => socket.send(datagram.slice()), {
      ...FAST,
      nc: true,
      mtu: MTU,
      sndWnd: window,
      rcvWnd: window,
    })
    this.#kcp.update(clock())
    socket.on('message', (datagram) => this.#receive(datagram))
  }

  write(chunk: Uint8Array): boolean {
    this.#kcp.send(chunk)
    this.#kcp.flush(clock())
    busy.add(this)
    return true
  }

  /** Sends again what is due; whether anything is still in flight. */
  repeat(now: number): boolean {
    this.#kcp.flush(now)
    return this.#kcp.waitSnd() > 0
  }

  #receive(datagram: Uint8Array): void {
    const now = clock()
    this.#kcp.tryInput(datagram, now)
    for (;;) {
      const size = this.#kcp.recvInto(target)
      if (size === undefined) break
      this.onData(target.subarray(0, size))
    }
    this.#kcp.flush(now)
  }
}

function clock(): number {
  return performance.now() >>> 0
}
