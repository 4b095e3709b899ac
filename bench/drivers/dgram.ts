/**
 * node:dgram without any protocol, both sockets connected: what a datagram costs before anybody adds reliability. A
 * flood is whatever arrives of it.
 * @module
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { type Driver, Flow, HOST, type Setup, SOCKET_BUFFER } from '../driver.ts'

/** Datagrams sent in one turn of the event loop: few enough that the loop still turns. */
const BURST = 64

export const driver: Driver = {
  async serve(_setup: Setup, onFlow: (flow: Flow) => void): Promise<number> {
    const socket = await bind()
    const onFirst = async (datagram: Buffer, peer: RemoteInfo): Promise<void> => {
      socket.off('message', onFirst)
      const flow = new DgramFlow(socket)
      onFlow(flow)
      await tie(socket, peer.port)
      flow.onData(datagram)
    }
    socket.on('message', onFirst)
    return socket.address().port
  },

  async connect(_setup: Setup, port: number): Promise<Flow> {
    const socket = await bind()
    await tie(socket, port)
    return new DgramFlow(socket)
  },
}

/** A bound socket with large buffers. */
export async function bind(): Promise<Socket> {
  const socket = createSocket({
    type: 'udp4',
    // Addresses here are literals.
    lookup: (host, _options, callback) => callback(null, host, 4),
    recvBufferSize: SOCKET_BUFFER,
    sendBufferSize: SOCKET_BUFFER,
  })
  // With that lookup the socket is bound at once, so listen for it first.
  const bound = once(socket, 'listening')
  socket.bind(0, HOST)
  await bound
  // The system tells of the other process's end.
  socket.on('error', () => {})
  return socket
}

/** Connects a socket to its one peer. */
export function tie(socket: Socket, port: number): Promise<void> {
  return new Promise((resolve) => socket.connect(port, HOST, resolve))
}

class DgramFlow extends Flow {
  readonly #socket: Socket
  #room = BURST
  readonly #refill = (): void => {
    this.#room = BURST
    this.onRoom()
  }

  constructor(socket: Socket) {
    super()
    this.#socket = socket
    socket.on('message', (datagram) => this.onData(datagram))
  }

  write(chunk: Uint8Array): boolean {
    this.#socket.send(chunk)
    if (--this.#room > 0) return true
    if (this.#room === 0) setImmediate(this.#refill)
    return false
  }
}
