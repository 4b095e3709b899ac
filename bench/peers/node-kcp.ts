/**
 * node-kcp, a binding of the C engine, over node:dgram. It is an engine only; what is around it here is what its C
 * original asks for: `update` on all sessions every 10 ms. Beside that it flushes once for each batch of datagrams and
 * each write, without which it would wait for that tick.
 * @module
 */
import type { Socket } from 'node:dgram'
import { type Driver, type EngineEnd, FAST, Flow, MTU, type Setup } from '../driver.ts'
import { bind, tie } from '../drivers/dgram.ts'
import { load } from './load.ts'

interface NodeKcp {
  nodelay(nodelay: number, interval: number, resend: number, nc: number): void
  wndsize(send: number, receive: number): void
  setmtu(mtu: number): void
  stream(on: number): void
  output(send: (datagram: Buffer) => void): void
  input(datagram: Uint8Array): number
  send(data: Uint8Array): number
  recv(): Buffer | undefined
  update(now: number): void
  flush(): void
  waitsnd(): number
}
// The package's own entry point names the wrong file.
const { KCP } = load<{ KCP: new (conv: number) => NodeKcp }>('node-kcp/index.js')

/** Conversation ids. */
let nextConv = 1
const sessions = new Set<NodeKcpFlow>()
/** Sessions with something to read or to send in this turn. */
const touched = new Set<NodeKcpFlow>()
setInterval(() => {
  const now = clock()
  for (const session of sessions) session.update(now)
}, FAST.interval)

export const driver: Driver = {
  async serve(setup: Setup, onFlow: (flow: Flow) => void): Promise<number> {
    const socket = await bind()
    const flows = new Map<string, NodeKcpFlow>()
    socket.on('message', (datagram, { address, port }) => {
      const conv = datagram.readUInt32LE()
      const key = `${address}|${port}|${conv}`
      let flow = flows.get(key)
      if (flow === undefined) {
        flow = new NodeKcpFlow(conv, setup, (reply) => socket.send(reply, port, address))
        flows.set(key, flow)
        onFlow(flow)
      }
      flow.receive(datagram)
    })
    return socket.address().port
  },

  async connect(setup: Setup, port: number): Promise<Flow> {
    const socket: Socket = await bind()
    await tie(socket, port)
    const flow = new NodeKcpFlow(nextConv++, setup, (datagram) => socket.send(datagram))
    socket.on('message', (datagram) => flow.receive(datagram))
    return flow
  },

  engine(window: number, output: (datagram: Uint8Array) => void): EngineEnd {
    const kcp = create(1, window, output)
    return {
      send: (payload) => kcp.send(payload),
      update: (now) => kcp.update(now),
      input: (datagram) => kcp.input(datagram),
      // It allocates each message itself, so `target` stays as it is.
      recvInto: () => kcp.recv()?.length,
      waitSnd: () => kcp.waitsnd(),
    }
  },
}

function create(conv: number, window: number, output: (datagram: Buffer) => void): NodeKcp {
  const kcp = new KCP(conv)
  kcp.nodelay(FAST.nodelay, FAST.interval, FAST.resend, FAST.nc)
  kcp.wndsize(window, window)
  kcp.setmtu(MTU)
  kcp.output(output)
  return kcp
}

class NodeKcpFlow extends Flow {
  readonly #kcp: NodeKcp
  readonly #limit: number
  #full = false

  constructor(conv: number, { window, stream }: Setup, output: (datagram: Buffer) => void) {
    super()
    this.#kcp = create(conv, window, output)
    this.#kcp.stream(stream ? 1 : 0)
    // As kcp-io's default: what is queued fills the window once more.
    this.#limit = 2 * window
    sessions.add(this)
  }

  write(chunk: Uint8Array): boolean {
    this.#kcp.send(chunk)
    this.#touch()
    this.#full = this.#kcp.waitsnd() >= this.#limit
    return !this.#full
  }

  update(now: number): void {
    this.#kcp.update(now)
  }

  receive(datagram: Uint8Array): void {
    this.#kcp.input(datagram)
    this.#touch()
  }

  #touch(): void {
    if (touched.size === 0) setImmediate(settle)
    touched.add(this)
  }

  settle(now: number): void {
    for (;;) {
      const chunk = this.#kcp.recv()
      if (chunk === undefined) break
      this.onData(chunk)
    }
    if (this.#full && this.#kcp.waitsnd() < this.#limit) {
      this.#full = false
      this.onRoom()
    }
    // Its clock stands still between updates.
    this.#kcp.update(now)
    this.#kcp.flush()
  }
}

/** What a batch of datagrams brought, once the whole batch is in. */
function settle(): void {
  const now = clock()
  const batch = [...touched]
  // Echoes written meanwhile are sent below.
  for (const flow of batch) flow.settle(now)
  touched.clear()
}

function clock(): number {
  return performance.now() >>> 0
}
