/**
 * Who a peer is: the key by which tables know it, and what one attacker has plenty of.
 * @module
 */
import { configError } from '../core/options.ts'
import type { DatagramTransport } from './transport.ts'

/** Throws ERR_KCP_CONFIG unless `conv` is a u32 above 0: some servers take 0 for "choose one for me". */
export function requireConv(conv: number): number {
  if (!Number.isInteger(conv) || conv < 1 || conv > 0xffff_ffff) {
    throw configError('conv', conv, 'a whole number within 1..4294967295')
  }
  return conv
}

/** The map key of a peer. */
export function peerKey<Peer>(transport: DatagramTransport<Peer>, peer: Peer): string {
  if (transport.peerKey !== undefined) return transport.peerKey(peer)
  const { address, port } = peer as { address?: unknown; port?: unknown }
  return address === undefined ? String(peer) : `${address}|${port}`
}

/** The IPv4 address of an IPv4 peer of a dual-stack socket; any other as it is. */
export function unmapped(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/** What one attacker has plenty of addresses of: an IPv4 address, or an IPv6 /64. */
export function hostOf(peer: unknown, key: string): string {
  const named = (peer as { address?: unknown } | null)?.address
  if (typeof named !== 'string') return key
  const address = unmapped(named)
  if (!address.includes(':')) return address
  // Any zone is left out; `::` stands for as many zero groups as are missing.
  const [head = '', tail] = address.split('%')[0]!.split('::')
  const groups = head === '' ? [] : head.split(':')
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length)
  groups.push(...Array<string>(Math.max(0, missing)).fill('0'), ...(tail ?? '').split(':'))
  return groups.slice(0, 4).join(':')
}
