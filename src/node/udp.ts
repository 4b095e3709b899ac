/**
 * UDP as this system does it best: in batches through the addon, or else through node:dgram.
 * @module
 */
import { nativeUdp } from './native.ts'
import { UdpBatchTransport } from './udp-batch.ts'
import { type UdpOptions, UdpTransport } from './udp-transport.ts'

export type Udp = UdpBatchTransport | UdpTransport

/** A bound transport. Rejects with ERR_KCP_IO (the system's error as `cause`), or with the signal's reason. */
export function bindUdp(options: UdpOptions): Promise<Udp> {
  return nativeUdp() === undefined ? UdpTransport.bind(options) : UdpBatchTransport.bind(options)
}
