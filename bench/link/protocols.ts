/**
 * Conversations over a link, all alike: one end waits for them, the other dials, and what is sent arrives reliably and
 * in order. What TCP and UDX deliver are bytes; messages there are of one size.
 * @module
 */
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { connect as connectTcp, createServer } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  connect,
  type KcpConnectOptions,
  type KcpListenOptions,
  type KcpStream,
  listen,
} from '../../src/index.ts'
import { FAR, NEAR, projectRoot } from './link.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

/** One end of a conversation. */
export interface Conversation {
  /** A message, as soon as possible. */
  send(message: Uint8Array): void
  /** Bytes; resolves when there is room for more. */
  write(bytes: Uint8Array): Promise<unknown>
  /** Whom what arrives is given to: messages, or bytes cut anywhere. */
  onData(handler: (data: Uint8Array) => void): void
  /** What the protocol says about itself. */
  stats(): object
}

export interface Protocol {
  /** Resolves when it listens for `flows` conversations. */
  receive(at: Address, flows: number, onConversation: (conversation: Conversation) => void): Promise<void>
  /** Opens conversation number `flow`, from 0. */
  dial(to: Address, flow: number): Promise<Conversation>
}

export type ProtocolName = 'kcp' | 'tcp' | 'udx'

/** What our own ends are told. */
export interface KcpEndOptions {
  readonly session?: Partial<KcpListenOptions & KcpConnectOptions>
}

export async function openProtocol(name: ProtocolName, kcp: KcpEndOptions): Promise<Protocol> {
  if (name === 'kcp') return overKcp(kcp)
  return name === 'tcp' ? overTcp : overUdx()
}

function overKcp({ session = {} }: KcpEndOptions): Protocol {
  const overStream = (stream: KcpStream): Conversation => ({
    send: (message) => void stream.send(message),
    write: (bytes) => stream.send(bytes),
    onData: (handler) => void stream.on('data', handler),
    stats: () => stream.stats(),
  })
  return {
    async receive(at, _flows, onConversation) {
      const listener = await listen({ preset: 'fast', ...session, ...at }, (stream) => {
        onConversation(overStream(stream))
      })
      listener.on('error', fail)
    },
    async dial(to) {
      const stream = await connect({ preset: 'fast', ...session, ...to })
      return overStream(stream.on('error', fail))
    },
  }
}

const overTcp: Protocol = {
  async receive({ host, port }, _flows, onConversation) {
    const server = createServer({ noDelay: true }, (socket) => {
      onConversation(overBytes(socket.on('error', fail)))
    })
    server.listen(port, host)
    await once(server, 'listening')
  },
  async dial({ host, port }) {
    const socket = connectTcp({ host, port, noDelay: true })
    await once(socket, 'connect')
    return overBytes(socket.on('error', fail))
  },
}

function overBytes(stream: Duplex): Conversation {
  return {
    send: (message) => void stream.write(message),
    write: (bytes) => (stream.write(bytes) ? Promise.resolve() : once(stream, 'drain')),
    onData: (handler) => void stream.on('data', handler),
    stats: () => ({}),
  }
}

/** What is used of the package udx-native. */
interface Udx {
  new (): {
    createSocket(): { bind(port: number, host: string): void }
    createStream(id: number): UdxStream
  }
}
interface UdxStream extends Duplex {
  connect(socket: unknown, remoteId: number, port: number, host: string): void
}
/** Where the benchmark's foreign packages are installed. */
export const peerPackages: URL = new URL('bench/peers/package.json', projectRoot)

/** Both ends of UDX name each other beforehand; it has no handshake. Each conversation has a port of its own. */
function overUdx(): Protocol {
  const UDX = createRequire(peerPackages)('udx-native') as Udx
  const open = (host: string, to: string, port: number, ids: readonly [number, number]): Conversation => {
    const udx = new UDX()
    const socket = udx.createSocket()
    socket.bind(port, host)
    const stream = udx.createStream(ids[0])
    stream.connect(socket, ids[1], port, to)
    return overBytes(stream.on('error', fail))
  }
  const other = (host: string): string => (host === FAR ? NEAR : FAR)
  /** Of the receiver, and of the sender. */
  const ids = (flow: number): [number, number] => [2 * flow + 1, 2 * flow + 2]
  return {
    async receive({ host, port }, flows, onConversation) {
      for (let flow = 0; flow < flows; flow++) {
        onConversation(open(host, other(host), port + flow, ids(flow)))
      }
    },
    async dial({ host, port }, flow) {
      const [receiver, sender] = ids(flow)
      return open(other(host), host, port + flow, [sender, receiver])
    },
  }
}

function fail(error: Error): never {
  throw error
}
