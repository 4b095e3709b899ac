/**
 * UDP as this system does it best: in batches through the addon, or else through node:dgram.
 * @module
 */
import { resolveHost } from './address.ts'
import { nativeUdp } from './native.ts'
import { UdpBatchTransport } from './udp-batch.ts'
import { type UdpOptions, UdpTransport } from './udp-transport.ts'

/** A bound transport. Rejects with ERR_KCP_IO (the system's error as `cause`), or with the signal's reason. */
export function bindUdp(options: UdpOptions): Promise<UdpBatchTransport | UdpTransport> {
  return nativeUdp() === undefined ? UdpTransport.bind(options) : UdpBatchTransport.bind(options)
}

/** Binds with `bind` to `host`; without one to all addresses, IPv6 and IPv4 where the system has both. */
export async function bindServer<T>(
  bind: (address: string) => Promise<T>,
  host: string | undefined,
): Promise<T> {
  if (host !== undefined) return bind((await resolveHost(host)).address)
  try {
    return await bind('::')
  } catch (error) {
    // A system without IPv6.
    const code = ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code
    if (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL') throw error
    return bind('0.0.0.0')
  }
}
