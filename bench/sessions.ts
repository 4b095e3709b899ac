/**
 * Many sessions of one server, and one client process that makes the load on all servers: idle, and with a message and
 * its echo every so often. What the server's process takes of a core and keeps in memory, and how long an echo takes.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { withEnds } from './child.ts'
import { type Contestant, KCP_GO, kcpClient } from './contestants.ts'
import type { Setup } from './driver.ts'
import { type LoadReport, MESSAGE } from './load-generator.ts'
import { Contest, type Effort, failures, type Report, show, showRatio } from './rounds.ts'

interface Load {
  readonly sessions: number
  /** How often each session sends, ms; 0: not at all. */
  readonly everyMs: number
  readonly rounds: number
  readonly rows: readonly Row[]
}
interface Row extends Contestant {
  /** How long it is watched, ms. */
  readonly watchMs: number
  readonly options?: Readonly<Record<string, unknown>>
}
/** CPU as shares of one core, 0..1; resident bytes that came with the sessions, for each; ms; shares of what was sent. */
type Key = 'serverCpu' | 'clientCpu' | 'rss' | 'p50' | 'p99' | 'echoed'

export async function benchSessions(effort: Effort, field: readonly Contestant[]): Promise<Report> {
  const { fewSessions, sessions, sessionRounds, loadMs, idleMs } = effort
  const rows: Row[] = field.filter(({ kcp }) => kcp).map((one) => ({ ...one, watchMs: loadMs }))
  // Nobody else asks silent peers for a sign of life: once as it comes, and once like the others.
  const idleRows = rows.flatMap((row) =>
    row.ours
      ? [
          { ...row, watchMs: idleMs },
          { ...row, name: `${row.name}, no keep-alive`, options: { keepAlive: 0 } },
        ]
      : [row],
  )
  const loads: Load[] = [
    { sessions: fewSessions, everyMs: 100, rounds: sessionRounds, rows },
    { sessions, everyMs: 1000, rounds: sessionRounds, rows },
    { sessions, everyMs: 0, rounds: 1, rows: idleRows },
  ]
  const lines: string[][] = []
  const figures: object[] = []
  const failed: string[] = []
  for (const load of loads) {
    const contest = new Contest<Key>()
    await contest.run(load.rounds, load.rows, (row) => measure(row, load, effort))
    failed.push(...failures(contest))
    for (const { name } of load.rows) {
      const title = [name, String(load.sessions), load.everyMs === 0 ? 'idle' : `1 per ${load.everyMs} ms`]
      const figure = (key: Key): number => contest.figure(name, key)!.median
      const failure = contest.failures.get(name)
      if (failure !== undefined) {
        lines.push([...title, 'failed', ...Array(6).fill('–')])
        figures.push({ name, sessions: load.sessions, everyMs: load.everyMs, failure })
        continue
      }
      lines.push([
        ...title,
        showPercent(figure('serverCpu')),
        showRatio(contest.ratio(name, KCP_GO, 'serverCpu')),
        show(figure('rss')),
        ...(load.everyMs === 0
          ? ['–', '–', '–']
          : [show(figure('p50')), show(figure('p99')), showPercent(figure('echoed'))]),
        showPercent(figure('clientCpu')),
      ])
      figures.push({ name, sessions: load.sessions, everyMs: load.everyMs, ...contest.figures(name) })
    }
  }
  return {
    name: 'sessions',
    what: [
      `Sessions of one listener, preset fast, window 128, messages of ${MESSAGE} bytes, each echoed: what the server's process takes`,
      'of a core, resident bytes for each session, and ms until the echo. The client is the same for all: our engine over a',
      `plain socket for each session. Median of ${sessionRounds}. Idle, once: after one message each; kcp-io asks a peer that is silent`,
      `for 10 s for a sign of life (keepAlive) and is watched for ${show(idleMs / 1000)} s, the others do not.`,
      ...failed,
    ],
    header: ['', 'sessions', 'load', 'CPU', 'x kcp-go', 'RSS', 'p50', 'p99', 'echoed', 'client CPU'],
    lines,
    figures,
  }
}

function measure(row: Row, { sessions, everyMs }: Load, effort: Effort): Promise<Record<Key, number>> {
  const { program, options = {}, watchMs } = row
  const setup: Setup = { job: 'echo', stream: false, window: 128, chunk: MESSAGE, options }
  return withEnds(program, kcpClient, 'load', setup, async (server, client) => {
    const empty = await server.mark()
    await client.ask('open', { sessions })
    if (everyMs > 0) await client.ask('start', { everyMs })
    await sleep(effort.settleMs)
    await client.ask('watch')
    const before = await Promise.all([server.mark(), client.mark()])
    await sleep(watchMs)
    const after = await Promise.all([server.mark(), client.mark()])
    const { sent, echoed, p50, p99 } = await client.ask<LoadReport>('stop')
    const [serverCpu, clientCpu] = before.map(({ at, cpu }, i) => {
      return (after[i]!.cpu - cpu) / ((after[i]!.at - at) / 1000)
    }) as [number, number]
    return {
      serverCpu,
      clientCpu,
      rss: (after[0].rss - empty.rss) / sessions,
      p50,
      p99,
      echoed: sent === 0 ? 1 : echoed / sent,
    }
  })
}

function showPercent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}
