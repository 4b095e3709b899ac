/**
 * Addresses as kcptun's options write them: `:29900` for all interfaces, `host:3000-4000` for a range of ports,
 * `[::1]:29900`, and a path for a Unix socket.
 * @module
 */
import { UsageError } from '../command.ts'

/** A host and one port or several; without a host: all interfaces. */
export interface PortRange {
  readonly host: string | undefined
  readonly low: number
  readonly high: number
}

/** Where TCP goes: an address or a Unix socket. */
export type TcpAddress =
  | { readonly host: string | undefined; readonly port: number }
  | { readonly path: string }

/** Throws UsageError. Port 0 lets the system choose when listening. */
export function parsePortRange(option: string, text: string, least: 0 | 1): PortRange {
  const [, bracketed, plain, low, high = low] =
    /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? []
  const [from, to] = [Number(low), Number(high)]
  if (low === undefined || from < least || to < from || to > 65_535) {
    throw new UsageError(
      `--${option} must be HOST:PORT or HOST:LOW-HIGH with ports ${least}..65535, got ${JSON.stringify(text)}`,
    )
  }
  return { host: (bracketed ?? plain) || undefined, low: from, high: to }
}

/** What has no port is a path, as for kcptun. Throws UsageError. */
export function parseTcpAddress(option: string, text: string, least: 0 | 1): TcpAddress {
  if (text === '') throw new UsageError(`--${option} must not be empty`)
  if (/^[^:]*$/.test(text) || text.startsWith('/')) return { path: text }
  const { host, low, high } = parsePortRange(option, text, least)
  if (low !== high) throw new UsageError(`--${option} takes one port, got ${JSON.stringify(text)}`)
  return { host, port: low }
}

/** `host:port` for people; IPv6 in brackets. */
export function showAddress(host: string | undefined, port: number | undefined): string {
  const shown = host ?? ''
  return `${shown.includes(':') ? `[${shown}]` : shown}:${port ?? 0}`
}
