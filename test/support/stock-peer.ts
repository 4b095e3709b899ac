/**
 * A peer as plain KCP programs are: the C names, driven by hand every 10 ms, on an endpoint of a memory network. No
 * close notice, no liveness, no proof of addresses; what it does not know it ignores.
 */
import type { PeerAddress } from '../../src/session/transport.ts'
import type { VirtualClock } from '../../src/sim/clock.ts'
import type { MemoryNetwork, MemoryTransport } from '../../src/sim/memory.ts'
import {
  type IKCPCB,
  ikcp_create,
  ikcp_input,
  ikcp_nodelay,
  ikcp_peeksize,
  ikcp_recv,
  ikcp_send,
  ikcp_setoutput,
  ikcp_update,
} from '../../src/sys.ts'

/** What a C program's loop sleeps, ms. */
const TICK = 10

export class StockPeer {
  readonly kcp: IKCPCB
  readonly transport: MemoryTransport
  readonly messages: Buffer[] = []
  /** Datagrams that came in, and return codes of ikcp_input that were not 0. */
  datagramsIn = 0
  readonly refused: number[] = []
  /** Whether the program reads. */
  reading = true
  readonly #clock: VirtualClock
  #stopped = false

  constructor(
    network: MemoryNetwork,
    clock: VirtualClock,
    options: {
      readonly conv: number
      readonly to: PeerAddress
      readonly name?: string
      readonly port?: number
    },
  ) {
    const { conv, to, name = 'stock', port } = options
    this.#clock = clock
    this.transport = network.transport(name, port === undefined ? {} : { port })
    this.kcp = ikcp_create(conv)
    ikcp_nodelay(this.kcp, 1, TICK, 2, 1)
    ikcp_setoutput(this.kcp, (datagram, size) => {
      this.transport.send(datagram.subarray(0, size), to)
      return 0
    })
    this.transport.start({
      onDatagram: (datagram) => {
        if (this.#stopped) return
        this.datagramsIn++
        const code = ikcp_input(this.kcp, datagram)
        if (code !== 0) this.refused.push(code)
      },
      onError: () => undefined,
      onClose: () => undefined,
    })
    this.#tick()
  }

  send(message: Uint8Array | string): void {
    const bytes = Buffer.from(message)
    const code = ikcp_send(this.kcp, bytes, bytes.length)
    if (code < 0) throw new Error(`ikcp_send: ${code}`)
  }

  /** The program is killed. */
  stop(): void {
    this.#stopped = true
    this.transport.close()
  }

  readonly #tick = (): void => {
    if (this.#stopped) return
    ikcp_update(this.kcp, Math.floor(this.#clock.now()) >>> 0)
    for (let size = ikcp_peeksize(this.kcp); this.reading && size >= 0; size = ikcp_peeksize(this.kcp)) {
      const message = Buffer.alloc(size)
      ikcp_recv(this.kcp, message, size)
      this.messages.push(message)
    }
    this.#clock.setTimeout(this.#tick, TICK)
  }
}
