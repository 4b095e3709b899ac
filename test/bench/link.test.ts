import { deepEqual, equal, ok } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { ours } from '../../bench/link/contestants.ts'
import { type DirectionCounters, LATE_STEP, lateness } from '../../bench/link/counters.ts'
import { burstLoss, whyNoLink } from '../../bench/link/link.ts'
import { type Path, sizedTo } from '../../bench/link/long-fat.ts'
import { benchLossy } from '../../bench/link/lossy.ts'
import type { Figures } from '../../bench/link/results.ts'
import { summarise } from '../../bench/link/summary.ts'
import { Entrance, Exit, underWayMemory } from '../../bench/link/under-way.ts'
import { QUICK } from '../../bench/rounds.ts'
import type { KcpSessionConfig } from '../../src/session/config.ts'
import { Link, SessionPair } from '../../src/sim/index.ts'

/** Both sides of a direction in one thread, moved by hand. */
class UnderWay {
  readonly entrance: Entrance
  readonly exit: Exit

  constructor(slots: number) {
    const memory = underWayMemory(slots)
    this.entrance = new Entrance(memory)
    this.exit = new Exit(memory)
  }

  put(text: string, dueAt: number): boolean {
    const bytes = Buffer.from(text)
    this.entrance.packets.set(bytes, this.entrance.offset)
    return this.entrance.put(bytes.length, dueAt)
  }

  take(): string {
    let text = ''
    this.exit.take((offset, size) => {
      text = Buffer.from(this.exit.packets.subarray(offset, offset + size)).toString()
    })
    return text
  }

  /** What is due at `now`. */
  due(now: number): string[] {
    const texts: string[] = []
    while (this.exit.nextAt() <= now) texts.push(this.take())
    return texts
  }
}

test('packets leave when they are due', () => {
  const way = new UnderWay(8)
  equal(way.exit.nextAt(), Number.POSITIVE_INFINITY)
  ok(way.put('a', 10))
  ok(way.put('b', 10))
  ok(way.put('c', 12))
  equal(way.exit.nextAt(), 10)
  deepEqual(way.due(9.99), [])
  deepEqual(way.due(10), ['a', 'b'])
  deepEqual(way.due(20), ['c'])
})

test('what was held back is overtaken, and the slots of all are used again', () => {
  const way = new UnderWay(4)
  for (let round = 0; round < 10; round++) {
    const at = round * 100
    ok(way.put('slow', at + 30))
    ok(way.put('one', at + 10))
    ok(way.put('two', at + 20))
    deepEqual(way.due(at + 99), ['one', 'two', 'slow'])
  }
})

test('a ring that is full takes nothing more until its oldest packet is gone', () => {
  const way = new UnderWay(4)
  ok(way.put('slow', 50))
  ok(way.put('a', 1))
  ok(way.put('b', 2))
  ok(!way.put('c', 3))
  deepEqual(way.due(2), ['a', 'b'])
  ok(!way.put('c', 3), 'the slots behind the oldest are not free yet')
  deepEqual(way.due(50), ['slow'])
  ok(way.put('d', 60) && way.put('e', 60) && way.put('f', 60))
  deepEqual(way.due(60), ['d', 'e', 'f'])
})

test('a packet can travel twice', () => {
  const way = new UnderWay(4)
  ok(way.put('again', 5))
  ok(way.entrance.putAgain(5, 7))
  deepEqual(way.due(5), ['again'])
  deepEqual(way.due(7), ['again'])
})

test('an exit does not fall asleep over a packet that was put since it looked', () => {
  const way = new UnderWay(4)
  equal(way.exit.nextAt(), Number.POSITIVE_INFINITY)
  ok(way.put('a', 5))
  // Would last until the test's time is over.
  way.exit.sleep(0, Number.POSITIVE_INFINITY)
  deepEqual(way.due(5), ['a'])
})

test('bursts take as many packets as asked, so many in a row', () => {
  for (const [loss, length] of [
    [0.05, 3],
    [0.2, 3],
    [0.01, 5],
  ] as const) {
    const link = new Link({ burst: burstLoss(loss, length), seed: 7 })
    let bursts = 0
    let wasLost = false
    const packets = 400_000
    for (let i = 0; i < packets; i++) {
      const lost = link.plan(100, i).length === 0
      if (lost && !wasLost) bursts++
      wasLost = lost
    }
    // Twice the deviation that some 800 bursts, the fewest here, still have.
    const within = (value: number, wanted: number): boolean => Math.abs(value / wanted - 1) < 0.1
    ok(within(link.counters.lost / packets, loss), `${link.counters.lost} of ${packets} for ${loss}`)
    ok(within(link.counters.lost / bursts, length), `${link.counters.lost / bursts} in a row for ${length}`)
  }
})

test('percentiles are samples', () => {
  const samples = Array.from({ length: 200 }, (_, i) => 200 - i)
  deepEqual(summarise(samples), { mean: 100.5, p50: 100, p95: 190, p99: 198, p999: 200, max: 200 })
  deepEqual(summarise([7]), { mean: 7, p50: 7, p95: 7, p99: 7, p999: 7, max: 7 })
})

test('how late the relay was is told from both directions of all relays', () => {
  const direction = (...late: number[]): DirectionCounters => ({ ...new Link().counters, refused: 0, late })
  const relays = [{ toFar: direction(5, 0, 1), toNear: direction(0, 3, 0) }]
  equal(lateness(relays, 0.5), LATE_STEP)
  equal(lateness(relays, 0.6), 2 * LATE_STEP)
  equal(lateness(relays, 1), 3 * LATE_STEP)
})

const LONG_FAT: Path = { rtt: 100, loss: 0.01, bytesPerSec: 20_000_000 }
/** Until windows have opened. */
const START_MS = 1_000

/** The bulk measurement on the simulator's clock: share of the link and bytes sent per byte delivered. */
function transfer(config: KcpSessionConfig): { readonly share: number; readonly sent: number } {
  const { rtt, loss, bytesPerSec } = LONG_FAT
  const overhead = 28
  // The simulator knows datagrams only: what it carries of them is less by what IP and UDP add.
  const rateBytesPerSec = (bytesPerSec * 1400) / (1400 + overhead)
  const link = { delayMs: rtt / 2, loss, rateBytesPerSec, queueBytes: (rateBytesPerSec * rtt) / 1000 }
  const pair = new SessionPair({ seed: 1, config, link })
  const { client, clock } = pair
  const chunk = new Uint8Array(64 * 1024)
  const fill = (): void => {
    while (client.writable) pair.write(client, chunk)
  }
  let received = 0
  pair.onChange = (session) => {
    if (session === client) fill()
    else
      for (let bytes = pair.read(session); bytes !== undefined; bytes = pair.read(session))
        received += bytes.length
  }
  fill()
  clock.advance(START_MS)
  const { counters } = pair.network.link('client', 'server')
  const [receivedBefore, bytesBefore, offeredBefore] = [received, counters.offeredBytes, counters.offered]
  clock.advance(2_000)
  const delivered = received - receivedBefore
  const offered = counters.offeredBytes - bytesBefore + overhead * (counters.offered - offeredBefore)
  return { share: delivered / 2 / bytesPerSec, sent: offered / delivered }
}

test('sized to a long path that loses, a transfer takes nine tenths of it, and sends little twice', () => {
  const { session } = sizedTo(LONG_FAT)
  const sized = transfer(session!)
  ok(sized.share >= 0.9, `${sized.share}`)
  ok(sized.sent <= 1.15, `${sized.sent}`)
  // The same without the limit on what is in flight: the window stands still, then overflows the queue.
  const { maxInFlight, ...kcp } = session!.kcp!
  const windowOnly = transfer({ ...session, kcp: { ...kcp, sndWnd: maxInFlight } })
  ok(windowOnly.share < 0.6, `${windowOnly.share}`)
})

test('messages cross two namespaces, no sooner than the link says', {
  skip: whyNoLink() ?? false,
}, async () => {
  const { figures, lines } = await benchLossy(QUICK, {
    rtts: [40],
    losses: [0],
    seconds: 0.4,
    contestants: [ours('kcp-io', {})],
  })
  equal(lines.length, 1)
  const [{ contestants }] = figures as [{ readonly contestants: readonly [Figures] }]
  const [{ p50, bytesPerByte, samples }] = contestants
  equal(samples, 20)
  ok(p50 >= 20, `${p50} ms`)
  ok(bytesPerByte > 1, 'every byte was seen by the relay')
  const left = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' })
  ok(!left.includes(`kcp-io-${process.pid}-`), left)
})
