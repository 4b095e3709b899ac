/**
 * One port for many processes: a socket each (SO_REUSEPORT), and the kernel keeps each peer with one of them.
 *
 * The kernel chooses a peer's socket by a hash of both addresses and the number of sockets, so a socket that came or
 * went would move peers between the others. Therefore the sockets are opened here, in a process that outlives its
 * workers, and each worker is handed one: when it dies its socket stays, and its successor takes that one over.
 * Recipe: examples/cluster.ts.
 * @module
 */
import { requireBoolean, requireInteger } from '../core/config.ts'
import { optionNames, readOptions } from '../core/options.ts'
import type { PeerAddress } from '../session/transport.ts'
import { requirePort } from './address.ts'
import { requireHost } from './options.ts'
import { bindServer } from './udp.ts'
import { UdpBatchTransport } from './udp-batch.ts'

export interface PortGroupOptions {
  /** Sockets: one for each worker. At most 65,535, the kernel's limit. */
  readonly size: number
  /** 0 or absent: the system chooses. */
  readonly port?: number
  /** Absent: all addresses, IPv6 and IPv4 where the system has both. */
  readonly host?: string
  readonly ipv6Only?: boolean
}

const NAMES = optionNames({ size: true, port: true, host: true, ipv6Only: true } satisfies Record<
  keyof PortGroupOptions,
  true
>)

export class PortGroup implements AsyncDisposable {
  readonly #sockets: readonly UdpBatchTransport[]

  private constructor(sockets: readonly UdpBatchTransport[]) {
    this.#sockets = sockets
  }

  /**
   * Opens the sockets. Needs the addon (see `nativeStatus`). Rejects with ERR_KCP_IO (`cause`: the system's error, such
   * as EADDRINUSE); throws ERR_KCP_CONFIG.
   */
  static async open(given: PortGroupOptions): Promise<PortGroup> {
    const options = readOptions<PortGroupOptions>('the options of PortGroup.open', given, { names: NAMES })
    const size = requireInteger('size', options.size, 1, 65_535)
    const { host, port: asked = 0, ipv6Only = false } = options
    const wished = requirePort(asked)
    if (host !== undefined) requireHost('host', host)
    requireBoolean('ipv6Only', ipv6Only)
    const sockets: UdpBatchTransport[] = []
    try {
      for (let port = wished; sockets.length < size; port = sockets[0]!.localAddress()!.port) {
        // Features are a matter of who will read: nothing is received here.
        const bind = (address: string): Promise<UdpBatchTransport> =>
          UdpBatchTransport.bind({ address, port, ipv6Only, reusePort: true, features: 0 })
        sockets.push(await bindServer(bind, host))
      }
    } catch (error) {
      for (const socket of sockets) await socket.close()
      throw error
    }
    return new PortGroup(sockets)
  }

  /** Where all of them listen. */
  address(): PeerAddress | undefined {
    return this.#sockets[0]!.localAddress()
  }

  /** The sockets' descriptors, to hand to child processes through `stdio`; there `listen({ fd })` takes one. */
  get fds(): readonly number[] {
    return this.#sockets.map((socket) => socket.fd)
  }

  /** Closes the sockets here; a worker's stays open until it ends. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) await socket.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
