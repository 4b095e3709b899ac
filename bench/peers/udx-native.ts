/**
 * udx-native: streams over UDP in native code, with a protocol and a congestion control of its own. One socket and one
 * stream on each side, large socket buffers.
 * @module
 */
import type { Duplex } from 'node:stream'
import { type Driver, type Flow, HOST, type Setup, SOCKET_BUFFER, StreamFlow } from '../driver.ts'
import { load } from './load.ts'

interface UdxSocket {
  bind(port: number, host: string): void
  address(): { readonly port: number }
  setRecvBufferSize(bytes: number): void
  setSendBufferSize(bytes: number): void
}
interface UdxStream extends Duplex {
  connect(socket: UdxSocket, remoteId: number, port: number, host: string): void
}
interface Udx {
  createSocket(): UdxSocket
  createStream(
    id: number,
    options?: { firewall(socket: UdxSocket, port: number, host: string): boolean },
  ): UdxStream
}
const UDX = load<new () => Udx>('udx-native')

/** Both ends' number of the one stream. */
const ID = 1
const udx = new UDX()

export const driver: Driver = {
  async serve(_setup: Setup, onFlow: (flow: Flow) => void): Promise<number> {
    const socket = bind()
    const stream = udx.createStream(ID, {
      // Asked at the client's first datagram, which tells where it comes from.
      firewall(_socket, port, host) {
        stream.connect(socket, ID, port, host)
        return false
      },
    })
    onFlow(new StreamFlow(stream))
    return socket.address().port
  },

  async connect(_setup: Setup, port: number): Promise<Flow> {
    const stream = udx.createStream(ID)
    stream.connect(bind(), ID, port, HOST)
    return new StreamFlow(stream)
  },
}

function bind(): UdxSocket {
  const socket = udx.createSocket()
  socket.bind(0, HOST)
  socket.setRecvBufferSize(SOCKET_BUFFER)
  socket.setSendBufferSize(SOCKET_BUFFER)
  return socket
}
