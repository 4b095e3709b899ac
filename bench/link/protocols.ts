/**
 * Conversations over a link, all alike: one end receives, the other sends, reliably and in order. What TCP and UDX
 * deliver are bytes; messages there are of one size.
 * @module
 */
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { connect as connectTcp, createServer } from 'node:net'
import type { Duplex, Writable } from 'node:stream'
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

export interface Sender {
  /** A message, as soon as possible. */
  send(message: Uint8Array): void
  /** Bytes; resolves when there is room for more. */
  write(bytes: Uint8Array): Promise<unknown>
  /** What the protocol says about itself. */
  stats(): object
}

export interface Protocol {
  /** Resolves when it listens. `onData` gets messages, or bytes cut anywhere. */
  receive(at: Address, onData: (data: Uint8Array) => void): Promise<void>
  dial(to: Address): Promise<Sender>
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
  return {
    async receive(at, onData) {
      const listener = await listen({ preset: 'fast', ...session, ...at }, (stream) => {
        stream.on('data', onData)
      })
      listener.on('error', fail)
    },
    async dial(to) {
      const stream: KcpStream = await connect({ preset: 'fast', ...session, ...to })
      stream.on('error', fail)
      return {
        send: (message) => void stream.send(message),
        write: (bytes) => stream.send(bytes),
        stats: () => stream.stats(),
      }
    },
  }
}

const overTcp: Protocol = {
  async receive({ host, port }, onData) {
    const server = createServer({ noDelay: true }, (socket) => socket.on('data', onData).on('error', fail))
    server.listen(port, host)
    await once(server, 'listening')
  },
  async dial({ host, port }) {
    const socket = connectTcp({ host, port, noDelay: true })
    await once(socket, 'connect')
    return overBytes(socket.on('error', fail))
  },
}

function overBytes(stream: Writable): Sender {
  return {
    send: (message) => void stream.write(message),
    write: (bytes) => (stream.write(bytes) ? Promise.resolve() : once(stream, 'drain')),
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
const UDX_IDS = { receiver: 1, sender: 2 } as const

/** Where the benchmark's foreign packages are installed. */
export const peerPackages: URL = new URL('bench/peers/package.json', projectRoot)

/** Both ends of UDX name each other beforehand; it has no handshake. */
function overUdx(): Protocol {
  const UDX = createRequire(peerPackages)('udx-native') as Udx
  const open = (local: Address, id: number, peerId: number, peer: Address): UdxStream => {
    const udx = new UDX()
    const socket = udx.createSocket()
    socket.bind(local.port, local.host)
    const stream = udx.createStream(id)
    stream.connect(socket, peerId, peer.port, peer.host)
    stream.on('error', fail)
    return stream
  }
  const other = ({ host, port }: Address): Address => ({ host: host === FAR ? NEAR : FAR, port })
  return {
    async receive(at, onData) {
      open(at, UDX_IDS.receiver, UDX_IDS.sender, other(at)).on('data', onData)
    },
    async dial(to) {
      return overBytes(open(other(to), UDX_IDS.sender, UDX_IDS.receiver, to))
    },
  }
}

function fail(error: Error): never {
  throw error
}
