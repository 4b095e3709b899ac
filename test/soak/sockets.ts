/**
 * Bare sockets of attackers, of the addresses that they take.
 * @module
 */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Resources } from './part.ts'

/** A bound socket, which answers nothing unless it is told to. */
export async function silentSocket(use: Resources, host: string): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 })
  socket.on('error', () => undefined)
  let closed = false
  socket.once('close', () => {
    closed = true
  })
  use.defer(() => closed || socket.close())
  socket.bind(0, host)
  await once(socket, 'listening')
  return socket
}
