/**
 * The PROXY protocol, version 2 (haproxy's proxy-protocol.txt, 2.2): a header in front of a TCP connection's bytes that
 * says on whose behalf it is made. Both addresses are those of the KCP session: smux carries no others.
 *
 *     0d0a0d0a000d0a515549540a | 21 (version 2, on behalf of) | 11 or 21 (a stream over IPv4, IPv6) | size u16
 *     source address | destination address | source port u16 | destination port u16        all big-endian
 *
 * @module
 */
import { isIP } from 'node:net'

export interface Endpoint {
  readonly address: string
  readonly port: number
}

const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]
const ON_BEHALF = 0x21
/** Version 2 and no addresses: take the connection's own. */
const OWN = 0x20
const STREAM_IPV4 = 0x11
const STREAM_IPV6 = 0x21

/**
 * The header for a connection from `source` to `destination`. Of one family always: a destination of the other, and one
 * that is not known, becomes the unspecified address. A source that is no IP address is not told.
 */
export function proxyHeader(source: Endpoint, destination: Endpoint | undefined): Uint8Array {
  const from = addressBytes(source.address)
  if (from === undefined) return Uint8Array.of(...SIGNATURE, OWN, 0, 0, 0)
  const to = destination === undefined ? undefined : addressBytes(destination.address)
  const size = from.length
  const known = to !== undefined && to.length === size ? to : new Array<number>(size).fill(0)
  return Uint8Array.of(
    ...SIGNATURE,
    ON_BEHALF,
    size === 4 ? STREAM_IPV4 : STREAM_IPV6,
    ...u16(2 * size + 4),
    ...from,
    ...known,
    ...u16(source.port),
    ...u16(destination?.port ?? 0),
  )
}

/** 4 or 16 bytes; IPv4 within IPv6 (`::ffff:1.2.3.4`) is IPv4. undefined when it is no IP address. */
function addressBytes(text: string): number[] | undefined {
  const [plain = ''] = text.split('%')
  const family = isIP(plain)
  if (family === 4) return plain.split('.').map(Number)
  if (family !== 6) return undefined
  // The last 32 bits may be written as IPv4.
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(plain)
  const [, lead = '', ...octets] = dotted ?? []
  const words =
    dotted === null
      ? plain
      : lead +
        octets
          .map((one) => Number(one).toString(16).padStart(2, '0'))
          .join('')
          .replace(/^(.{4})/, '$1:')
  const [front = '', back] = words.split('::')
  const head = front === '' ? [] : front.split(':')
  const tail = back === undefined || back === '' ? [] : back.split(':')
  const gap = back === undefined ? 0 : 8 - head.length - tail.length
  const bytes = [...head, ...new Array<string>(gap).fill('0'), ...tail].flatMap((word) =>
    u16(Number.parseInt(word, 16)),
  )
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
  return mapped ? bytes.slice(12) : bytes
}

function u16(value: number): [number, number] {
  return [value >>> 8, value & 0xff]
}
