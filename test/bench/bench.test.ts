import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { asMarkdown, asText, Contest } from '../../bench/rounds.ts'

const BENCH = fileURLToPath(new URL('../../bench/run.js', import.meta.url))

function runBench(...flags: readonly string[]) {
  return spawnSync(process.execPath, [BENCH, ...flags], { encoding: 'utf8', timeout: 240_000 })
}

interface Figure {
  readonly median: number
}
interface Part<Figures> {
  readonly figures: Figures
}
interface Results {
  readonly quick: boolean
  readonly missing: readonly string[]
  readonly messages: Part<
    readonly {
      readonly size: number
      readonly messagesPerSecond: Record<string, Figure>
      readonly roundTripMicroseconds: Record<string, Figure>
    }[]
  >
  readonly engine: Part<
    readonly {
      readonly window: number
      readonly loss: number
      readonly nsPerSegment: Figure
      readonly sentPerDelivered: number
    }[]
  >
  readonly bulk: Part<
    readonly { readonly name: string; readonly bytesPerSecond: Figure; readonly cpuSecondsPerGB: Figure }[]
  >
  readonly echo: Part<readonly { readonly name: string; readonly p50: Figure; readonly max: Figure }[]>
  readonly sessions: Part<
    readonly ({ readonly name: string; readonly sessions: number; readonly everyMs: number } & Record<
      'echoed' | 'p50' | 'serverCpu',
      Figure
    >)[]
  >
  readonly memory: Part<{ readonly sessions: number; readonly perSession: { readonly heapUsed: number } }>
}

/** Ours without the addon, which a machine may have or not. */
const isPlain = ({ name }: { readonly name: string }): boolean => !name.includes('addon')

test('the quick benchmark measures every part', { timeout: 240_000 }, () => {
  const { status, stdout, stderr } = runBench('--quick', '--no-peers', '--json')
  equal(status, 0, stderr)
  const { quick, messages, engine, bulk, echo, sessions, memory } = JSON.parse(stdout) as Results
  equal(quick, true)

  equal(messages.figures.map(({ size }) => size).join(), '64,256,1024,4096')
  for (const { messagesPerSecond, roundTripMicroseconds } of messages.figures) {
    for (const figures of [messagesPerSecond, roundTripMicroseconds]) {
      equal(Object.keys(figures).join(), 'kcp,udp,tcp,perUdp,perTcp')
      for (const { median } of Object.values(figures)) ok(median > 0 && median < Number.POSITIVE_INFINITY)
    }
  }

  equal(engine.figures.length, 8)
  for (const { window, loss, nsPerSegment, sentPerDelivered } of engine.figures) {
    ok(nsPerSegment.median > 0)
    if (loss === 0) equal(sentPerDelivered, 1)
    // Larger windows may not get to repeat anything in so short a time.
    else if (window === 32) ok(sentPerDelivered > 1, `${sentPerDelivered} sent for each delivered`)
  }

  deepEqual(
    bulk.figures.filter(isPlain).map(({ name }) => name),
    ['kcp-io, dgram, 128', 'raw node:dgram', 'node:net, 1376 B writes', 'node:net, 64 KiB writes'],
  )
  for (const { bytesPerSecond, cpuSecondsPerGB } of bulk.figures) {
    ok(bytesPerSecond.median > 0 && cpuSecondsPerGB.median > 0)
  }

  deepEqual(
    echo.figures.filter(isPlain).map(({ name }) => name),
    ['kcp-io, dgram', 'raw node:dgram', 'node:net'],
  )
  for (const { p50, max } of echo.figures) ok(p50.median > 0 && p50.median <= max.median)

  deepEqual(
    sessions.figures.filter(isPlain).map(({ name, sessions, everyMs }) => [name, sessions, everyMs]),
    [
      ['kcp-io, dgram', 10, 100],
      ['kcp-io, dgram', 50, 1000],
      ['kcp-io, dgram', 50, 0],
      ['kcp-io, dgram, no keep-alive', 50, 0],
    ],
  )
  for (const { everyMs, echoed, p50 } of sessions.figures) {
    equal(echoed.median, 1)
    ok(everyMs === 0 || p50.median > 0)
  }

  equal(memory.figures.sessions, 500)
  ok(memory.figures.perSession.heapUsed > 0)
})

test('tables say what was measured and how, as text or in Markdown', { timeout: 240_000 }, () => {
  const { status, stdout } = runBench('--quick', '--no-peers', '--only', 'engine')
  equal(status, 0)
  match(stdout, /== engine\nns per segment of 1376 bytes/)
  match(stdout, /window +loss +kcp-io ns\/segment/)
  ok(!stdout.includes('== messages'))
  const report = {
    name: 'part',
    what: ['How.'],
    header: ['', 'MB/s'],
    lines: [
      ['ours', '100'],
      ['a peer', '9'],
    ],
    figures: [],
  }
  equal(asText(report), '== part\nHow.\n\n        MB/s\nours     100\na peer     9\n')
  equal(
    asMarkdown(report),
    '### part\n\nHow.\n\n|  | MB/s |\n| --- | --: |\n| ours | 100 |\n| a peer | 9 |\n',
  )
})

test('ratios are taken within a round, and the median of them counts', async () => {
  const contest = new Contest<'rate'>()
  const rates: Record<string, number[]> = { ours: [1, 20, 300], peer: [2, 10, 100] }
  const order: string[] = []
  const contestants = Object.keys(rates).map((name) => ({ name, ours: name === 'ours' }))
  await contest.run(3, contestants, async ({ name }) => {
    order.push(name)
    return { rate: rates[name]!.shift()! }
  })
  deepEqual(order, ['ours', 'peer', 'ours', 'peer', 'ours', 'peer'])
  deepEqual(contest.figure('ours', 'rate'), { median: 20, min: 1, max: 300 })
  equal(contest.ratio('ours', 'peer', 'rate'), 2)
  equal(contest.ratio('ours', 'nobody', 'rate'), undefined)
})

test('a peer that fails twice drops out with its reason; one of ours ends the benchmark', async () => {
  const contest = new Contest<'rate'>()
  let calls = 0
  const fail = async (): Promise<never> => {
    calls++
    throw new Error('nothing arrived')
  }
  await contest.run(3, [{ name: 'peer', ours: false }], fail)
  equal(calls, 2)
  deepEqual([...contest.failures], [['peer', 'nothing arrived']])
  calls = 0
  await contest.run(2, [{ name: 'shaky', ours: false }], async () => (calls++ === 0 ? fail() : { rate: 1 }))
  deepEqual(contest.figure('shaky', 'rate'), { median: 1, min: 1, max: 1 })
  equal(contest.figure('peer', 'rate'), undefined)
  await contest.run(1, [{ name: 'ours', ours: true }], fail).then(
    () => ok(false, 'it resolved'),
    (error: Error) => equal(error.message, 'ours: nothing arrived'),
  )
})

test('a flag that makes no sense is named', { timeout: 20_000 }, () => {
  const wrong = runBench('--only', 'engine,luck')
  equal(wrong.status, 2)
  match(wrong.stderr, /--only takes parts out of messages, engine, .*, got "luck"/)
  match(runBench('--slow').stderr, /--slow/)
})
