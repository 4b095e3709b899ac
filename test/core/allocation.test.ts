/** A steady flow allocates nothing per segment, and an engine that let go holds nothing. */
import { equal, ok } from 'node:assert/strict'
import { PerformanceObserver } from 'node:perf_hooks'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Kcp } from '../../src/core/kcp.ts'

setFlagsFromString('--expose-gc')
const gc: () => void = runInNewContext('gc')

/** Segments in one round. */
const BURST = 128
/** Rounds before anything is measured: buffers grow to their size, code gets optimised. */
const WARM_UP = 400
const ROUNDS = 1600
/** Numbers and a clock that do not fit V8's small integers, as the clock of most sessions. */
const FIRST_SN = 0xa000_0000
// Handed over as i32, or V8 would allocate a number for each call: ours, not the engine's.
const FIRST_TS = 0xb000_0000 | 0
/** Where messages are read to: room for the longest. */
const TARGET = new Uint8Array(65_536)

/**
 * Two engines joined by their outputs; each round one sends a burst of messages, the other reads them, and both flush.
 * Nothing here allocates but the engines.
 */
class Flow {
  now: number = FIRST_TS
  readonly a: Kcp
  readonly b: Kcp
  private readonly message: Uint8Array
  private lost = 0

  constructor(size: number, loss: number, streamMode: boolean) {
    this.message = new Uint8Array(size).fill(7)
    const config = {
      nodelay: 1,
      interval: 10,
      resend: 2,
      nc: true,
      sndWnd: 256,
      rcvWnd: 256,
      streamMode,
      hardening: true,
    } as const
    this.a = new Kcp(
      5,
      (datagram) => {
        if (loss > 0 && ++this.lost % loss === 0) return
        this.b.tryInput(datagram, this.now)
      },
      config,
    )
    this.b = new Kcp(5, (datagram) => void this.a.tryInput(datagram, this.now), config)
    this.a.snd.sndNxt = this.a.sndUna = this.b.rcv.rcvNxt = FIRST_SN
    this.a.update(this.now)
    this.b.update(this.now)
  }

  run(rounds: number): void {
    const { a, b, message } = this
    for (let round = 0; round < rounds; round++) {
      while (a.waitSnd() < BURST) a.send(message)
      this.now = (this.now + 10) | 0
      a.flush(this.now)
      b.flush(this.now)
      this.drain()
    }
  }

  drain(): void {
    while (this.b.recvInto(TARGET) !== undefined) {}
  }
}

function held(): number {
  // The memory of array buffers is given back in the background; a second collection waits for that.
  gc()
  gc()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** Bytes allocated while `run` did, garbage included: the sum of what the heap grew by between two looks. */
function allocated(run: (rounds: number) => void, rounds: number): number {
  let sum = 0
  let before = heapNow()
  for (let round = 0; round < rounds; round += 10) {
    run(10)
    const now = heapNow()
    // Where it shrank the collector ran in between; what was allocated in those ten rounds is lost to us.
    if (now > before) sum += now - before
    before = now
  }
  return sum
}

function heapNow(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/**
 * Bytes allocated per segment, at most: an array that still grows, views of a long message, V8's own; how much depends
 * on what it chose to inline, and on the version: 61 were seen with Node 24, and less than half of 48 with Node 20. A view
 * for each segment would be a hundred and more.
 */
const GARBAGE = process.version.startsWith('v20.') ? 48 : 90
/** Looks at a flow before it counts as one that makes more. */
const LOOKS = 4

for (const [what, size, loss, streamMode] of [
  ['small messages', 20, 0, false],
  ['full segments', 1376, 0, false],
  ['messages of many fragments', 20_000, 0, false],
  ['a stream of small writes', 120, 0, true],
  ['a stream of large writes', 65_536, 0, true],
  ['small messages, every tenth datagram lost', 20, 10, false],
  ['full segments, every tenth datagram lost', 1376, 10, false],
] as const) {
  test(`steady state keeps nothing per segment, and makes hardly any garbage: ${what}`, () => {
    const flow = new Flow(size, loss, streamMode)
    // With loss it takes longer until the worst stall has been seen, and the buffers have their size.
    flow.run(loss > 0 ? WARM_UP * 8 : WARM_UP)
    const { counters } = flow.a

    let from = counters.segmentsOut
    const before = held()
    flow.run(ROUNDS)
    const kept = (held() - before) / (counters.segmentsOut - from)
    ok(counters.segmentsOut - from > 20_000)
    ok(kept < 4, `${kept.toFixed(2)} bytes kept per segment`)

    // Whatever V8 does meanwhile (compiling, collecting) only adds to it: the least of some looks is the flow's own.
    const looks: number[] = []
    for (let look = 0; look < LOOKS && !(looks.at(-1)! < GARBAGE); look++) {
      from = counters.segmentsOut
      looks.push(allocated((rounds) => flow.run(rounds), ROUNDS) / (counters.segmentsOut - from))
    }
    ok(
      looks.at(-1)! < GARBAGE,
      `${looks.map((made) => made.toFixed(2)).join(', ')} bytes allocated per segment`,
    )
  })
}

test('a million segments leave nothing for the garbage collector', { timeout: 60_000 }, async () => {
  const flow = new Flow(1376, 0, false)
  flow.run(WARM_UP)
  const { counters } = flow.a
  let collections = 0
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length
  })
  observer.observe({ entryTypes: ['gc'] })
  // Those of the collections in `held` come later than it.
  const before = held()
  await turn()
  await turn()
  collections = 0
  const from = counters.segmentsOut
  while (counters.segmentsOut - from < 1_000_000) flow.run(100)
  await turn()
  await turn()
  const ran = collections
  observer.disconnect()
  const kept = held() - before
  // A view for each would be 100 MB. Some is the runtime's own: in Node 20 three collections of 16 MB, which is half of what
  // its young space has; in Node 24 many of 2 MB.
  const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')!
  const room = young.space_size / 2
  ok(ran <= 3 || ran * room < GARBAGE * 1_000_000, `${ran} collections of ${room} bytes`)
  ok(kept < 200_000, `${kept} bytes kept`)
})

test('an engine that was trimmed when it fell idle holds little, and goes on', () => {
  const COUNT = 400
  const flows: Flow[] = []
  const before = held()
  for (let i = 0; i < COUNT / 2; i++) {
    const flow = new Flow(1000, 0, false)
    flow.run(2)
    while (flow.a.waitSnd() > 0) {
      flow.now = (flow.now + 10) | 0
      flow.a.flush(flow.now)
      flow.b.flush(flow.now)
    }
    flow.drain()
    flow.a.trim()
    flow.b.trim()
    flows.push(flow)
  }
  // Each flow has two engines, and some 1.5 KB of its own. Node 24's empty arrays are larger: 3,870 bytes in all.
  const each = (held() - before) / COUNT
  ok(each < 4_200, `${each.toFixed(0)} bytes per idle engine`)
  for (const flow of flows) flow.run(1)
  equal(flows[0]!.b.stats().rcvNxt, FIRST_SN + 3 * BURST)
})
