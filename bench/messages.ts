/**
 * The crate's benchmark: messages of four sizes over KCP, raw UDP and TCP, and how KCP compares.
 * @module
 */
import { type Channel, openers, type Protocol } from './channels.ts'
import { type Effort, type Figure, inRounds, type Report, show } from './rounds.ts'

const SIZES = [64, 256, 1024, 4096] as const
const PROTOCOLS = Object.keys(openers) as Protocol[]

export async function benchMessages(effort: Effort): Promise<Report> {
  const lines: string[][] = []
  const figures: object[] = []
  for (const size of SIZES) {
    const channels = await Promise.all(
      PROTOCOLS.map(async (protocol) => [protocol, await openers[protocol](size)] as const),
    )
    const flood = await compare(channels, effort, (channel) => channel.flood(effort.roundMs))
    const echo = await compare(channels, effort, (channel) => channel.echo(effort.roundMs))
    for (const [, channel] of channels) await channel.close()
    lines.push([
      String(size),
      ...PROTOCOLS.map((protocol) => show(flood[protocol].median)),
      show((flood.kcp.median * size) / 1e6),
      ...[flood.perUdp, flood.perTcp].map(({ median }) => median.toFixed(2)),
      ...PROTOCOLS.map((protocol) => show(echo[protocol].median)),
      ...[echo.perUdp, echo.perTcp].map(({ median }) => median.toFixed(2)),
    ])
    figures.push({ size, messagesPerSecond: flood, roundTripMicroseconds: echo })
  }
  return {
    name: 'messages',
    what: [
      'Messages over loopback, one connection, both ends in one process, Node streams on top (UDP: node:dgram).',
      'One way as fast as they go (KCP: preset fast, in order and acknowledged, small messages share datagrams; UDP: a',
      'datagram each, 32 under way, nothing repeated; TCP: a write each, which Node joins while the socket is busy), then',
      'one message and its echo at a time (TCP: no delay). Ratios: the median of those of each round.',
    ],
    header: [
      'bytes',
      ...PROTOCOLS.map((protocol) => `${protocol.toUpperCase()} msg/s`),
      'KCP MB/s',
      'KCP/UDP',
      'KCP/TCP',
      ...PROTOCOLS.map((protocol) => `${protocol.toUpperCase()} echo µs`),
      'KCP/UDP',
      'KCP/TCP',
    ],
    lines,
    figures,
  }
}

type Compared = Record<Protocol | 'perUdp' | 'perTcp', Figure>

/** All protocols in turn within each round. */
async function compare(
  channels: readonly (readonly [Protocol, Channel])[],
  effort: Effort,
  measure: (channel: Channel) => Promise<number>,
): Promise<Compared> {
  return inRounds(effort, async () => {
    const values: Partial<Record<Protocol, number>> = {}
    for (const [protocol, channel] of channels) values[protocol] = await measure(channel)
    const { kcp, udp, tcp } = values as Record<Protocol, number>
    return { kcp, udp, tcp, perUdp: kcp / udp, perTcp: kcp / tcp }
  })
}
