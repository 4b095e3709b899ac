/**
 * What the engine costs per segment, without sockets, beside other engines that do the same work: see engine-pair.ts.
 * @module
 */
import { Child } from './child.ts'
import type { Contestant } from './contestants.ts'
import { MTU, type Setup } from './driver.ts'
import type { EngineCost } from './engine-pair.ts'
import { Contest, type Effort, type Report, show, showRange, showRatio } from './rounds.ts'

const WINDOWS = [32, 128, 1024, 4096] as const
const LOSSES = [0, 0.1] as const
/** Engines are told what to do with each measurement. */
const NO_SETUP: Setup = { job: 'sink', stream: false, window: 0, chunk: 0 }

export async function benchEngine(effort: Effort, field: readonly Contestant[]): Promise<Report> {
  const [ours, ...peers] = field.filter(({ engine }) => engine === true)
  const children = new Map<string, Child>()
  const lines: string[][] = []
  const figures: object[] = []
  try {
    for (const { name, program } of [ours!, ...peers]) {
      const child = new Child(program, 'engine', NO_SETUP)
      children.set(name, child)
      await child.ready()
    }
    for (const loss of LOSSES) {
      for (const window of WINDOWS) {
        const contest = new Contest<keyof EngineCost>()
        const measure = ({ name }: Contestant): Promise<Record<keyof EngineCost, number>> =>
          children
            .get(name)!
            .ask<EngineCost & Record<keyof EngineCost, number>>('run', { window, loss, ms: effort.roundMs })
        // A round that only warms up.
        await new Contest<keyof EngineCost>().run(1, [ours!, ...peers], measure)
        await contest.run(effort.rounds, [ours!, ...peers], measure)
        const { ns, sent } = {
          ns: contest.figure(ours!.name, 'ns')!,
          sent: contest.figure(ours!.name, 'sent')!,
        }
        lines.push([
          String(window),
          `${loss * 100} %`,
          showRange(ns),
          show(1e3 / ns.median),
          sent.median.toFixed(2),
          ...peers.flatMap(({ name }) => {
            const theirs = contest.figure(name, 'ns')
            return [
              theirs === undefined ? 'failed' : showRange(theirs),
              showRatio(contest.ratio(ours!.name, name, 'ns')),
            ]
          }),
        ])
        figures.push({
          window,
          loss,
          nsPerSegment: ns,
          sentPerDelivered: sent.median,
          peers: Object.fromEntries(peers.map(({ name }) => [name, contest.figure(name, 'ns')])),
        })
      }
    }
  } finally {
    for (const child of children.values()) await child.stop()
  }
  return {
    name: 'engine',
    what: [
      `ns per segment of ${MTU - 24} bytes, end to end (send, flush, input, acknowledge, read; both ends, one thread),`,
      'nodelay 1, interval 10, resend 2, nc 1; a whole window per 10 ms step; median [min-max].',
      ...(peers.length === 0 ? [] : ['Ratios: kcp-io to the peer on its left; below 1 kcp-io is faster.']),
    ],
    header: [
      'window',
      'loss',
      'kcp-io ns/segment',
      'million/s',
      'sent/delivered',
      ...peers.flatMap(({ name }) => [name, 'ratio']),
    ],
    lines,
    figures,
  }
}
