/**
 * connect: from an address to a stream, as node:net spells it.
 * @module
 */

import { configError } from '../core/config.ts'
import type { KcpConnectOptions } from './dial.ts'
import { KcpStream } from './kcp-stream.ts'
import { refuseSurplus, withArguments } from './options.ts'

/** A stream to a peer. Resolves once the local socket is ready; with `waitForPeer` once the peer has answered. */
export function connect(options: KcpConnectOptions): Promise<KcpStream>
export function connect(
  port: number,
  host?: string,
  options?: Omit<KcpConnectOptions, 'port' | 'host'>,
): Promise<KcpStream>
export async function connect(
  first: KcpConnectOptions | number,
  host?: string,
  rest?: Omit<KcpConnectOptions, 'port' | 'host'>,
  ...surplus: readonly never[]
): Promise<KcpStream> {
  refuseSurplus('connect', surplus)
  if (typeof first !== 'number') {
    const more: unknown = host ?? rest
    if (more !== undefined) {
      throw configError(
        'the second argument of connect',
        more,
        'absent beside options; await what it returns',
      )
    }
    return KcpStream.open(first)
  }
  return KcpStream.open(withArguments('the third argument of connect', rest, { port: first, host }))
}
