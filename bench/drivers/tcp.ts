/**
 * node:net over loopback, without delay.
 * @module
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { type Driver, type Flow, HOST, type Setup, StreamFlow } from '../driver.ts'

export const driver: Driver = {
  async serve(_setup: Setup, onFlow: (flow: Flow) => void): Promise<number> {
    const server = createServer({ noDelay: true }, (socket) => onFlow(new StreamFlow(socket)))
    server.listen(0, HOST)
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  },

  async connect(_setup: Setup, port: number): Promise<Flow> {
    const socket = connect({ host: HOST, port, noDelay: true })
    await once(socket, 'connect')
    return new StreamFlow(socket)
  },
}
