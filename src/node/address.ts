/**
 * Addresses as people write them.
 * @module
 */
import { lookup } from 'node:dns/promises'
import { isIP, SocketAddress } from 'node:net'
import { configError, requireInteger } from '../core/config.ts'
import { KcpError } from '../core/errors.ts'
import { optionNames, readOptions } from '../core/options.ts'

/** `'host:port'`, `'[v6]:port'`, or the two apart. */
export type Address = string | { readonly host?: string; readonly port: number }

export interface HostPort {
  readonly host: string | undefined
  readonly port: number
}

const ADDRESS_NAMES = optionNames({ host: true, port: true })

/** Host and port of an address. Throws ERR_KCP_CONFIG. `':port'` leaves the host open. */
export function parseAddress(address: Address): HostPort {
  if (typeof address === 'object' && address !== null) {
    // What else stands there, such as `security`, would be dropped in silence.
    const { host, port } = readOptions<{ host: string; port: number }>('the address', address, {
      names: ADDRESS_NAMES,
      hint: (name) =>
        name === 'address' ? 'did you mean host?' : 'there are host and port; options are the next argument',
    })
    return { host, port: requirePort(port) }
  }
  const form = "'host:port', '[v6]:port' or { host, port }"
  if (typeof address !== 'string') throw configError('address', address, form)
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d+)$/.exec(address)
  if (match === null) throw configError('address', address, form)
  return { host: match[1] ?? (match[2] || undefined), port: requirePort(Number(match[3])) }
}

/** Throws ERR_KCP_CONFIG unless `port` is a port; 0 lets the system choose when binding. */
export function requirePort(port: unknown): number {
  return requireInteger('port', port, 0, 65_535)
}

/** IPv4 or IPv6 for a literal, undefined for a name. Knows zones (`fe80::1%eth0`). */
export function familyOf(host: string): 4 | 6 | undefined {
  const family = isIP(host.split('%')[0]!)
  return family === 4 || family === 6 ? family : undefined
}

/** The address behind a name, or a literal as the system writes it. Throws ERR_KCP_CONNECT. */
export async function resolveHost(
  host: string,
  family: 0 | 4 | 6 = 0,
): Promise<{ readonly address: string; readonly family: 'IPv4' | 'IPv6' }> {
  const literal = familyOf(host)
  if (literal !== undefined) return { address: canonical(host), family: `IPv${literal}` }
  try {
    const found = await lookup(host, { family })
    return { address: found.address, family: found.family === 6 ? 'IPv6' : 'IPv4' }
  } catch (cause) {
    throw new KcpError('ERR_KCP_CONNECT', `cannot resolve ${host}`, { cause })
  }
}

/** `0:0::1` is `::1`. A literal with a zone stays as it is. */
function canonical(literal: string): string {
  if (literal.includes('%')) return literal
  return new SocketAddress({ address: literal, family: isIP(literal) === 6 ? 'ipv6' : 'ipv4' }).address
}
