/**
 * One message and its echo at a time between two processes.
 * @module
 */
import { withEnds } from './child.ts'
import { type Contestant, DGRAM, tcp } from './contestants.ts'
import type { Setup } from './driver.ts'
import type { Trips } from './end.ts'
import { Contest, type Effort, failures, type Report, show, showRange, showRatio } from './rounds.ts'

const SIZE = 64
type Key = 'p50' | 'p99' | 'max'

export async function benchEcho(effort: Effort, field: readonly Contestant[]): Promise<Report> {
  const rows: Contestant[] = [...field, { name: 'node:net', ours: true, kcp: false, program: tcp }]
  const setup: Setup = { job: 'echo', stream: false, window: 128, chunk: SIZE }
  const contest = new Contest<Key>()
  await contest.run(effort.rounds, rows, ({ program }) =>
    withEnds(program, program, 'client', setup, async (_server, client) => {
      const { p50, p99, max } = await client.ask<Trips>('ping', {
        size: SIZE,
        warmMs: effort.warmMs,
        ms: effort.flowMs,
      })
      return { p50, p99, max }
    }),
  )
  const figures: object[] = []
  const lines = rows.map(({ name }) => {
    const [p50, p99, max] = (['p50', 'p99', 'max'] as const).map((key) => contest.figure(name, key))
    figures.push({ name, p50, p99, max, failure: contest.failures.get(name) })
    if (p50 === undefined) return [name, 'failed', ...Array(4).fill('–')]
    return [
      name,
      showRange(p50),
      show(p99!.median),
      show(max!.median),
      ...(['p50', 'p99'] as const).map((key) => showRatio(contest.ratio(name, DGRAM, key))),
    ]
  })
  return {
    name: 'echo',
    what: [
      `µs for a message of ${SIZE} bytes and its echo, one at a time, two processes, loopback, preset fast; median [min-max] of`,
      `${effort.rounds}, and ratios to raw node:dgram.`,
      ...failures(contest),
    ],
    header: ['', 'p50', 'p99', 'max', 'x raw p50', 'x raw p99'],
    lines,
    figures,
  }
}
