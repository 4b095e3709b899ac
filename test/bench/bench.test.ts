import { equal, match, ok } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const BENCH = fileURLToPath(new URL('../../bench/run.js', import.meta.url))

function runBench(...flags: readonly string[]) {
  return spawnSync(process.execPath, [BENCH, ...flags], { encoding: 'utf8', timeout: 60_000 })
}

interface Figure {
  readonly median: number
}
interface Results {
  readonly quick: boolean
  readonly messages: {
    readonly figures: readonly {
      readonly size: number
      readonly messagesPerSecond: Record<string, Figure>
      readonly roundTripMicroseconds: Record<string, Figure>
    }[]
  }
  readonly engine: {
    readonly figures: readonly {
      readonly window: number
      readonly loss: number
      readonly nsPerSegment: Figure
    }[]
  }
  readonly sessions: {
    readonly figures: { readonly sessions: number; readonly perSession: { readonly heapUsed: number } }
  }
}

test('the quick benchmark measures every part', { timeout: 60_000 }, () => {
  const { status, stdout, stderr } = runBench('--quick', '--json')
  equal(status, 0, stderr)
  const { quick, messages, engine, sessions } = JSON.parse(stdout) as Results
  equal(quick, true)
  equal(messages.figures.map(({ size }) => size).join(), '64,256,1024,4096')
  for (const { messagesPerSecond, roundTripMicroseconds } of messages.figures) {
    for (const figures of [messagesPerSecond, roundTripMicroseconds]) {
      equal(Object.keys(figures).join(), 'kcp,udp,tcp,perUdp,perTcp')
      for (const { median } of Object.values(figures)) ok(median > 0 && median < Number.POSITIVE_INFINITY)
    }
  }
  equal(engine.figures.length, 8)
  for (const { nsPerSegment } of engine.figures) ok(nsPerSegment.median > 0)
  equal(sessions.figures.sessions, 1_000)
  ok(sessions.figures.perSession.heapUsed > 0)
})

test('a table says what was measured and how', { timeout: 60_000 }, () => {
  const { status, stdout } = runBench('--quick', '--only', 'engine')
  equal(status, 0)
  match(stdout, /== engine\nns per segment of 1376 bytes/)
  match(stdout, /window +loss +ns\/segment/)
  ok(!stdout.includes('== messages'))
})

test('a flag that makes no sense is named', { timeout: 20_000 }, () => {
  const wrong = runBench('--only', 'luck')
  equal(wrong.status, 2)
  match(wrong.stderr, /--only takes one of messages, engine, sessions, got "luck"/)
  match(runBench('--slow').stderr, /--slow/)
})
