/**
 * One open conversation over KCP, raw UDP or TCP on loopback, both ends in this process, all with the same two
 * measurements: messages one way as fast as they go, and one message there and back at a time.
 * @module
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect as connectTcp, createServer as createTcpServer, type Socket as TcpSocket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { connect, listen } from '../src/index.ts'

export interface Channel {
  /** Messages per second, one way, for about `ms`. */
  flood(ms: number): Promise<number>
  /** µs for a message and its echo, one at a time, for about `ms`. */
  echo(ms: number): Promise<number>
  close(): Promise<void>
}

export type Protocol = 'kcp' | 'udp' | 'tcp'

export const openers: Readonly<Record<Protocol, (size: number) => Promise<Channel>>> = {
  kcp: openKcp,
  udp: openUdp,
  tcp: openTcp,
}

/** Messages under way at once over UDP: so few that no socket buffer overflows. */
const UDP_WINDOW = 32
/** A datagram of which nothing is heard for this long is lost, ms. */
const UDP_PATIENCE = 100
/** Largest socket buffers asked for, as the library does. */
const SOCKET_BUFFER = 4 * 1024 * 1024

/** What arrived at the far end, and who waits for how much of it. */
class Arrivals {
  /** Whether the far end answers. */
  echoing = false
  count = 0
  #goal = Number.POSITIVE_INFINITY
  #reached: () => void = () => undefined

  add(messages: number): void {
    this.count += messages
    if (this.count >= this.#goal) this.#reached()
  }

  reach(goal: number): Promise<void> {
    return new Promise((resolve) => {
      this.#goal = goal
      this.#reached = resolve
      this.add(0)
    })
  }
}

/** Floods with `send`, which resolves when there is room for more, until everything has arrived. */
async function floodWith(arrivals: Arrivals, ms: number, send: () => Promise<unknown>): Promise<number> {
  arrivals.echoing = false
  const before = arrivals.count
  const startedAt = performance.now()
  let sent = 0
  do {
    await send()
    sent++
  } while (performance.now() - startedAt < ms)
  await arrivals.reach(before + sent)
  return (sent * 1000) / (performance.now() - startedAt)
}

async function echoWith(arrivals: Arrivals, ms: number, roundTrip: () => Promise<void>): Promise<number> {
  arrivals.echoing = true
  const startedAt = performance.now()
  let trips = 0
  let elapsed = 0
  do {
    await roundTrip()
    trips++
    elapsed = performance.now() - startedAt
  } while (elapsed < ms)
  return (elapsed * 1000) / trips
}

async function openKcp(size: number): Promise<Channel> {
  const message = Buffer.alloc(size, 0x5a)
  const arrivals = new Arrivals()
  const listener = await listen({ host: '127.0.0.1', preset: 'fast' }, (stream) => {
    stream.on('data', (received) => {
      arrivals.add(1)
      if (arrivals.echoing) void stream.send(received)
    })
  })
  const stream = await connect({ host: '127.0.0.1', port: listener.address()!.port, preset: 'fast' })
  return {
    flood: (ms) => floodWith(arrivals, ms, () => stream.send(message)),
    echo: (ms) =>
      echoWith(arrivals, ms, async () => {
        await stream.send(message)
        await stream.recv()
      }),
    async close() {
      stream.destroy()
      listener.closeAllConnections()
      await listener.close()
    },
  }
}

async function openUdp(size: number): Promise<Channel> {
  const message = Buffer.alloc(size, 0x5a)
  const arrivals = new Arrivals()
  const [near, far] = [await bindUdp(), await bindUdp()]
  await Promise.all([connectUdp(near, far), connectUdp(far, near)])
  let onArrival: () => void = () => undefined
  let onEcho: () => void = () => undefined
  far.on('message', (received) => {
    arrivals.add(1)
    onArrival()
    if (arrivals.echoing) far.send(received)
  })
  near.on('message', () => onEcho())
  return {
    async flood(ms) {
      arrivals.echoing = false
      const before = arrivals.count
      const startedAt = performance.now()
      let sent = 0
      let lost = 0
      const underWay = (): number => sent - lost - (arrivals.count - before)
      while (performance.now() - startedAt < ms || underWay() > 0) {
        if (performance.now() - startedAt < ms) for (; underWay() < UDP_WINDOW; sent++) near.send(message)
        const heard = await within(UDP_PATIENCE, (done) => (onArrival = done))
        if (!heard) lost += underWay()
      }
      return ((sent - lost) * 1000) / (performance.now() - startedAt)
    },
    echo: (ms) =>
      echoWith(arrivals, ms, async () => {
        const back = within(UDP_PATIENCE, (done) => (onEcho = done))
        near.send(message)
        await back
      }),
    async close() {
      near.close()
      far.close()
      await Promise.all([once(near, 'close'), once(far, 'close')])
    },
  }
}

async function bindUdp(): Promise<UdpSocket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: SOCKET_BUFFER, sendBufferSize: SOCKET_BUFFER })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return socket
}

async function connectUdp(socket: UdpSocket, peer: UdpSocket): Promise<void> {
  socket.connect(peer.address().port, '127.0.0.1')
  await once(socket, 'connect')
}

/** Whether `arm`'s callback was called within `ms`. */
function within(ms: number, arm: (done: () => void) => void): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms, false)
    arm(() => {
      clearTimeout(timer)
      resolve(true)
    })
  })
}

async function openTcp(size: number): Promise<Channel> {
  const message = Buffer.alloc(size, 0x5a)
  const arrivals = new Arrivals()
  // TCP has no messages: the ends count bytes.
  const countMessages = (onMessages: (messages: number) => void): ((chunk: Buffer) => void) => {
    let bytes = 0
    return (chunk) => {
      bytes += chunk.length
      const messages = Math.floor(bytes / size)
      bytes -= messages * size
      if (messages > 0) onMessages(messages)
    }
  }
  const server = createTcpServer({ noDelay: true }, (socket) => {
    const onData = countMessages((messages) => {
      arrivals.add(messages)
      if (arrivals.echoing) for (let i = 0; i < messages; i++) socket.write(message)
    })
    socket.on('data', onData)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const client: TcpSocket = connectTcp({ host: '127.0.0.1', port, noDelay: true })
  await once(client, 'connect')
  let onEcho: () => void = () => undefined
  client.on(
    'data',
    countMessages(() => onEcho()),
  )
  return {
    flood: (ms) =>
      floodWith(arrivals, ms, async () => {
        if (!client.write(message)) await once(client, 'drain')
      }),
    echo: (ms) =>
      echoWith(arrivals, ms, async () => {
        const back = new Promise<void>((resolve) => (onEcho = resolve))
        client.write(message)
        await back
      }),
    async close() {
      client.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
