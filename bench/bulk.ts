/**
 * One connection over loopback between two processes that carries as much as it can: what arrives each second, and
 * what CPU a gigabyte costs both ends together.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { withEnds } from './child.ts'
import { type Contestant, DGRAM, KCP_GO, tcp } from './contestants.ts'
import { MTU, type Setup } from './driver.ts'
import { Contest, type Effort, failures, type Report, show, showRange, showRatio } from './rounds.ts'

/** Bytes of one write, of those who may choose. */
const LARGE = 64 * 1024

interface Row extends Contestant {
  readonly window?: number
  readonly setup: Setup
}
interface Bulk {
  /** Bytes received each second. */
  readonly rate: number
  /** CPU seconds of both ends for 1e9 bytes. */
  readonly cpu: number
}

export async function benchBulk(effort: Effort, field: readonly Contestant[]): Promise<Report> {
  const rows = rowsOf(effort, field)
  const contest = new Contest<keyof Bulk>()
  await contest.run(effort.rounds, rows, (row) => measure(row, effort))
  const figures: object[] = []
  const lines = rows.map(({ name, window }) => {
    const [rate, cpu] = [contest.figure(name, 'rate'), contest.figure(name, 'cpu')]
    figures.push({
      name,
      window,
      bytesPerSecond: rate,
      cpuSecondsPerGB: cpu,
      failure: contest.failures.get(name),
    })
    if (rate === undefined || cpu === undefined) return [name, 'failed', ...Array(5).fill('–')]
    return [
      name,
      showRange({ median: rate.median / 1e6, min: rate.min / 1e6, max: rate.max / 1e6 }),
      show(cpu.median),
      showRatio(contest.ratio(name, DGRAM, 'rate')),
      showRatio(contest.ratio(name, DGRAM, 'cpu')),
      ...(['rate', 'cpu'] as const).map((key) =>
        showRatio(window === undefined ? undefined : contest.ratio(name, nameOf(KCP_GO, window), key)),
      ),
    ]
  })
  return {
    name: 'bulk',
    what: [
      `MB/s received and CPU seconds per GB (both ends), one connection, two processes, loopback, mtu ${MTU}, preset fast,`,
      `writes of ${LARGE / 1024} KiB; raw node:dgram: ${MTU} bytes a datagram, what arrives of it. Median [min-max] of ${effort.rounds};`,
      `ratios to raw node:dgram and to ${KCP_GO} at the same window.`,
      ...failures(contest),
    ],
    header: ['', 'MB/s', 'CPU s/GB', 'x raw MB/s', 'x raw CPU', 'x kcp-go MB/s', 'x kcp-go CPU'],
    lines,
    figures,
  }
}

function nameOf(name: string, window: number): string {
  return `${name}, ${window}`
}

function rowsOf({ windows }: Effort, field: readonly Contestant[]): readonly Row[] {
  const setup: Setup = { job: 'sink', stream: true, window: 128, chunk: LARGE }
  const net = { ours: true, kcp: false, program: tcp }
  return [
    ...windows.flatMap((window) =>
      field
        .filter(({ kcp }) => kcp)
        .flatMap((one) => {
          const row = { ...one, name: nameOf(one.name, window), window, setup: { ...setup, window } }
          if (one.name !== KCP_GO) return [row]
          const options = { ackNoDelay: true }
          return [row, { ...row, name: `${row.name}, ACKs at once`, setup: { ...row.setup, options } }]
        }),
    ),
    ...field
      .filter(({ kcp }) => !kcp)
      .map((one) => ({ ...one, setup: one.name === DGRAM ? { ...setup, chunk: MTU } : setup })),
    { ...net, name: `node:net, ${MTU - 24} B writes`, setup: { ...setup, chunk: MTU - 24 } },
    { ...net, name: 'node:net, 64 KiB writes', setup },
  ]
}

/** Fresh processes each time: none profits from what another round left behind. */
function measure({ program, setup }: Row, { warmMs, flowMs }: Effort): Promise<Record<keyof Bulk, number>> {
  return withEnds(program, program, 'client', setup, async (server, client) => {
    await client.ask('flood')
    await sleep(warmMs)
    const before = await Promise.all([server.mark(), client.mark()])
    await sleep(flowMs)
    const after = await Promise.all([server.mark(), client.mark()])
    const seconds = before.map(({ at }, i) => (after[i]!.at - at) / 1000)
    const rate = (after[0].bytes - before[0].bytes) / seconds[0]!
    if (rate === 0) throw new Error('nothing arrived')
    // Each process has marks of its own time, so shares of a core are what can be added.
    const cores = before.reduce((sum, { cpu }, i) => sum + (after[i]!.cpu - cpu) / seconds[i]!, 0)
    return { rate, cpu: (cores * 1e9) / rate }
  })
}
