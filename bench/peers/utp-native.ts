/**
 * utp-native: BitTorrent's transport over UDP, which gives way to everything else on the path; a binding of libutp.
 * @module
 */
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { type Driver, type Flow, HOST, type Setup, SOCKET_BUFFER, StreamFlow } from '../driver.ts'
import { load } from './load.ts'

interface UtpSocket {
  setRecvBufferSize(bytes: number): void
  setSendBufferSize(bytes: number): void
}
interface UtpServer extends UtpSocket, NodeJS.EventEmitter {
  listen(port: number, host: string): void
  address(): { readonly port: number }
  connect(port: number, host: string): Duplex
  bind(port: number, host: string): void
}
interface Utp {
  (): UtpServer
  createServer(onConnection: (stream: Duplex) => void): UtpServer
}
const utp = load<Utp>('utp-native')

export const driver: Driver = {
  async serve(_setup: Setup, onFlow: (flow: Flow) => void): Promise<number> {
    const server = utp.createServer((stream) => onFlow(new StreamFlow(stream)))
    server.listen(0, HOST)
    await once(server, 'listening')
    enlarge(server)
    return server.address().port
  },

  async connect(_setup: Setup, port: number): Promise<Flow> {
    const client = utp()
    client.bind(0, HOST)
    await once(client, 'listening')
    enlarge(client)
    const stream = client.connect(port, HOST)
    await once(stream, 'connect')
    return new StreamFlow(stream)
  },
}

function enlarge(socket: UtpSocket): void {
  socket.setRecvBufferSize(SOCKET_BUFFER)
  socket.setSendBufferSize(SOCKET_BUFFER)
}
