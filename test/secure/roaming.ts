/**
 * An endpoint in memory that gets a new port when it is told to, as behind a translator of addresses that forgot it.
 * @module
 */
import type { DatagramHandler, DatagramTransport, PeerAddress } from '../../src/session/transport.ts'
import type { MemoryNetwork, MemoryTransport } from '../../src/sim/index.ts'

export class Roaming implements DatagramTransport<PeerAddress> {
  private readonly network: MemoryNetwork
  private readonly name: string
  private socket: MemoryTransport
  private handler: DatagramHandler<PeerAddress> | undefined
  private port = 1

  constructor(network: MemoryNetwork, name: string) {
    this.network = network
    this.name = name
    this.socket = network.transport(name, { port: this.port })
  }

  /** From now on what is sent has another source, and what is sent to the old one is lost. */
  move(): void {
    this.socket.close()
    this.port = (this.port % 65_000) + 1
    this.socket = this.network.transport(this.name, { port: this.port })
    if (this.handler !== undefined) this.attach()
  }

  send(datagram: Uint8Array, peer: PeerAddress): void {
    this.socket.send(datagram, peer)
  }
  start(handler: DatagramHandler<PeerAddress>): void {
    this.handler = handler
    this.attach()
  }
  close(): void {
    this.socket.close()
  }
  localAddress(): PeerAddress {
    return this.socket.localAddress()
  }
  peerKey(peer: PeerAddress): string {
    return this.socket.peerKey(peer)
  }

  private attach(): void {
    const { handler } = this
    this.socket.start({
      onDatagram: (datagram, from) => handler?.onDatagram(datagram, from),
      onError: (error) => handler?.onError(error),
      // The end of a port is not the end of the endpoint.
      onClose: () => undefined,
    })
  }
}
