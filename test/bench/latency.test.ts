import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  batchesOf,
  type Cell,
  cellName,
  cellSlug,
  DEFAULT_CELLS,
  MAIN_CELLS,
  type Pattern,
  rateOf,
  taskOf,
  WHOLE_GRID,
} from '../../bench/link/cells.ts'
import { tcp, toKcpGo } from '../../bench/link/contestants.ts'
import { whyNoGo } from '../../bench/link/go-peer.ts'
import { benchAgain, benchLatency, LATENCY_CONTESTANTS } from '../../bench/link/latency.ts'
import { whyNoLink, whyNotCongestion } from '../../bench/link/link.ts'
import { drawPlot, spread, ticks } from '../../bench/link/plot.ts'
import {
  type Aim,
  aimsOf,
  type Figures,
  figuresOf,
  markdownTable,
  matrix,
  OFF,
  quieter,
  rowsOf,
  TOGETHER,
} from '../../bench/link/results.ts'
import type { CellResult, Outcome } from '../../bench/link/run-cells.ts'
import { quantile } from '../../bench/link/summary.ts'
import { QUICK } from '../../bench/rounds.ts'

function cell(pattern: Pattern, rtt: number, loss: number, burst = 1): Cell {
  return { pattern, rtt, loss, burst }
}

function outcome(name: string, samples: readonly number[], bytes = samples.length * 64): Outcome {
  return { name, samples, packets: samples.length * 2, bytes, stats: undefined }
}

function result(of: Cell, outcomes: readonly Outcome[], p99 = 0.1): CellResult {
  return {
    cell: of,
    seconds: 100,
    outcomes,
    failures: [],
    late: { p50: 0.1, p99, p999: 1, refused: 0 },
  }
}

/** 1 .. 1000, with the worst so many replaced. */
function thousand(worst: number, by: number): number[] {
  return Array.from({ length: 1000 }, (_, i) => (i < 1000 - worst ? i + 1 : by))
}

/** Fifty ms, but one of fifty takes that long. */
function fifties(by: number): number[] {
  return Array.from({ length: 1000 }, (_, i) => (i < 980 ? 50 : by))
}

test('a quantile is a sample, at shares that binary fractions miss too', () => {
  const sorted = Array.from({ length: 5000 }, (_, i) => i + 1)
  equal(quantile(sorted, 0.999), 4995)
  equal(quantile(sorted, 0.99), 4950)
  equal(quantile(sorted, 0), 1)
  equal(quantile(sorted, 1), 5000)
})

test('every cell sends some fifty messages a second, whatever its pattern', () => {
  for (const [of, flows, rate] of [
    [cell('20 ms', 100, 0), 1, 50],
    [cell('100 ms', 100, 0), 5, 50],
    [cell('single', 100, 0), 20, 20],
    [cell('requests', 30, 0), 2, 100],
    [cell('requests', 100, 0), 6, 109],
  ] as const) {
    equal(taskOf(of, 100).flows, flows, cellName(of))
    equal(Math.round(rateOf(of)), rate, cellName(of))
  }
  const task = taskOf(cell('single', 100, 0), 100)
  ok(task.kind === 'messages' && task.intervalMs === 1000 && task.count === 100)
  ok(taskOf(cell('20 ms', 30, 0.05), 100).count * 1 >= 5000, 'p99.9 is not the greatest')
})

test('batches hold every cell once, and no more at a time than they may', () => {
  const batches = batchesOf(WHOLE_GRID, 110)
  deepEqual(new Set(batches.flat()), new Set(WHOLE_GRID))
  equal(batches.flat().length, WHOLE_GRID.length)
  for (const batch of batches) {
    const rate = batch.reduce((sum, one) => sum + rateOf(one), 0)
    ok(batch.length === 1 || rate <= 110, `${rate}`)
  }
  deepEqual(batchesOf(MAIN_CELLS, 1).length, MAIN_CELLS.length, 'one cell at least')
})

test('names of cells are all different', () => {
  for (const name of [cellName, cellSlug]) {
    equal(new Set(WHOLE_GRID.map(name)).size, WHOLE_GRID.length)
    equal(new Set(DEFAULT_CELLS.map(name)).size, DEFAULT_CELLS.length)
  }
  equal(cellSlug(cell('20 ms', 100, 0.05, 3)), '20ms-rtt100-loss5-burst3')
  equal(new Set(LATENCY_CONTESTANTS.map(({ name }) => name)).size, LATENCY_CONTESTANTS.length)
})

test('figures count what was delivered, and a message that never came is the worst of all', () => {
  const of = cell('20 ms', 100, 0.05)
  const { p50, p99, p999, max, bytesPerByte, packetsPerMessage } = figuresOf(
    of,
    outcome('x', thousand(5, Number.POSITIVE_INFINITY), 995 * 64 * 3),
  )
  deepEqual([p50, p99, p999, max], [500, 990, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY])
  equal(bytesPerByte, 3)
  equal(packetsPerMessage, 2000 / 995)
  const both = figuresOf(cell('requests', 100, 0.05), outcome('x', [1, 2], 2 * 2 * 64 * 3))
  equal(both.bytesPerByte, 3, 'the answer is payload too')
  const [row] = rowsOf(result(of, [outcome('x', [1, 2, Number.POSITIVE_INFINITY])]))
  deepEqual(row!.slice(1, 7), ['never', '2.0', 'never', 'never', '–', 'never'])
})

test('of several runs of a cell the quieter stays', () => {
  const [a, b] = [cell('20 ms', 30, 0), cell('20 ms', 30, 0.05)]
  const runs = [result(a, [], 0.5), result(b, [], 0.2), result(a, [], 0.3), result(b, [], 0.4)]
  deepEqual(quieter(runs), [runs[2], runs[1]])
})

test('the aims compare with the same contestant without loss, in both directions', () => {
  const run = (p99: number, bytes: number): Aim[] =>
    aimsOf([
      result(cell('20 ms', 100, 0), [outcome(OFF, fifties(60)), outcome(TOGETHER, fifties(60))]),
      result(cell('20 ms', 100, 0.05), [
        outcome(OFF, fifties(100)),
        outcome(TOGETHER, fifties(p99), bytes * 64_000),
        outcome('kcp-go fast', fifties(130)),
      ]),
    ])
  const aim = (aims: readonly Aim[], word: string): Aim => aims.find(({ what }) => what.includes(word))!
  const good = run(72, 4.6)
  equal(good.length, 4)
  ok(good.every(({ met }) => met))
  equal(aim(good, 'p99, ms').aim, '<= 72.0')
  const bad = run(72.1, 4.7)
  ok(!aim(bad, 'p99, ms').met && !aim(bad, 'bytes per byte').met)
  ok(aim(bad, 'beside kcp-go').met)
  deepEqual(aimsOf([]), [])
})

test('tables have columns of one width, and a dash where nothing was measured', () => {
  const { header, rows } = matrix(
    [
      result(cell('20 ms', 30, 0), [outcome('a', [1]), outcome('b', [2])]),
      result(cell('20 ms', 100, 0.05, 3), [outcome('b', [3])]),
    ],
    ({ max }: Figures) => String(max),
  )
  deepEqual(header, ['who', '30 / 0 %', '100 / 5 % / x3'])
  deepEqual(rows, [
    ['a', '1', '–'],
    ['b', '2', '3'],
  ])
  const lines = markdownTable(header, rows).split('\n')
  equal(new Set(lines.map(({ length }) => length)).size, 1)
  match(lines[1]!, /^\| -+ \| -+: \| -+: \|$/)
})

test('labels keep their distance and stay within the plot', () => {
  deepEqual(spread([10, 50, 90], 15, 0, 100), [10, 50, 90])
  deepEqual(spread([50, 50, 51], 15, 0, 100), [50, 65, 80])
  deepEqual(spread([99, 98], 15, 0, 100), [100, 85])
})

test('ticks lie on a plot, and are neither few nor many', () => {
  for (const [low, high] of [
    [14, 60],
    [45, 700],
    [14, 9000],
  ] as const) {
    const found = ticks(low, high)
    ok(found.every((tick) => tick >= low && tick <= high))
    ok(found.length >= 3 && found.length <= 12, `${found}`)
    deepEqual(found, [...new Set(found)])
  }
})

test('a plot is XML with a line, a label and a legend for each contestant, and nothing outside of it', () => {
  const lines = [
    { name: 'a < b', samples: thousand(10, 4000), strong: true },
    { name: 'lost & gone', samples: thousand(2, Number.POSITIVE_INFINITY) },
    { name: 'few', samples: [3] },
  ]
  const svg = drawPlot({ title: 'title', subtitle: 'sub', label: 'ms', lines })
  match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 \d+ \d+"/)
  ok(!/NaN|Infinity|undefined/.test(svg), svg)
  equal(svg.match(/a &lt; b/g)?.length, 2)
  equal(svg.match(/lost &amp; gone/g)?.length, 2)
  const elements = svg.match(/<\/?[a-z]+/g)!
  const opened = elements.filter((tag) => tag === '<text').length
  equal(opened, elements.filter((tag) => tag === '</text').length)
  const [, width, height] = svg.match(/viewBox="0 0 (\d+) (\d+)"/)!.map(Number)
  for (const [, path] of svg.matchAll(/<path d="M([\d. L]+)" fill="none"/g)) {
    const points = path!.split('L').map((point) => point.split(' ').map(Number))
    ok(points.length > 100)
    for (const [i, [x, y]] of points.entries()) {
      ok(x! >= 0 && x! <= width! && y! >= 0 && y! <= height!, `${x} ${y}`)
      if (i > 0) ok(x! >= points[i - 1]![0]! && y! <= points[i - 1]![1]!, 'a distribution only rises')
    }
  }
})

test('what was saved is drawn and written down again', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kcp-io-latency-'))
  try {
    const noisy = result(cell('20 ms', 100, 0.05), [outcome(OFF, [1, 2])], 9)
    const quiet = result(cell('20 ms', 100, 0.05), [outcome(OFF, [50, Number.POSITIVE_INFINITY])])
    for (const [i, run] of [noisy, quiet].entries()) {
      writeFileSync(join(folder, `${i}.json`), JSON.stringify([run]))
    }
    const into = join(folder, 'into')
    const report = benchAgain([join(folder, '0.json'), join(folder, '1.json')], into)
    deepEqual(report.lines, [
      ['20 ms', '100', '5 %', OFF, 'never', '50.0', 'never', 'never', '–', 'never', '2.00', '4.00', '2'],
    ])
    deepEqual(readdirSync(into).sort(), [
      '20ms-rtt100-loss5-features.svg',
      '20ms-rtt100-loss5-others.svg',
      'TABLES.md',
      'figures.json',
    ])
    match(readFileSync(join(into, 'TABLES.md'), 'utf8'), /### 20 ms, RTT 100, 5 %/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('requests are answered by our own, by TCP and by kcp-go', { skip: whyNoLink() ?? false }, async () => {
  const contestants = [
    ...LATENCY_CONTESTANTS.filter(({ name }) => name === OFF),
    ...(whyNotCongestion('cubic') === undefined ? [tcp('cubic')] : []),
    ...(whyNoGo() === undefined ? [toKcpGo('to kcp-go', {})] : []),
  ]
  const { figures, what } = await benchLatency(QUICK, {
    cells: [cell('requests', 30, 0)],
    seconds: 0.5,
    contestants,
  })
  const [{ contestants: found }] = figures as [{ readonly contestants: readonly Figures[] }]
  equal(found.length, contestants.length, what.join('\n'))
  for (const { name, p50, samples } of found) {
    ok(p50 >= 30, `${name}: ${p50} ms`)
    ok(samples > 0, name)
  }
})
