import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Repeats } from '../../src/core/repeats.ts'
import { Trace } from '../support/trace.ts'

const inFlight = (): boolean => true

/** A flow of one message each 20 ms over a path of 100 ms, nothing acknowledged yet but the first. */
function flow(redundancy: number): Trace {
  const t = new Trace({ nodelay: 1, interval: 10, nc: true, sndWnd: 128, minRto: 1_000, redundancy }).at(0)
  t.send('zero').expect('push sn=0').at(100).input('ack sn=0 una=1 ts=0').skip()
  return t
}

test('each datagram carries the newest segments again that are not acknowledged, with its own ts', () => {
  const t = flow(2)
  t.send('a').at(200).expect('push sn=1 ts=200 "a"')
  t.send('b').at(220).expect('push sn=2 ts=220 "b" | push sn=1 ts=220 "a"')
  t.send('c').at(240).expect('push sn=3 ts=240 "c" | push sn=2 ts=240 "b" | push sn=1 ts=240 "a"')
  // Twice is enough for sn 1.
  t.send('d').at(260).expect('push sn=4 ts=260 "d" | push sn=3 ts=260 "c" | push sn=2 ts=260 "b"')
  equal(t.kcp.counters.repeats, 5)
  // They are no transmissions: not for the dead link, the back-off, the window or the RTO.
  deepEqual(
    [1, 2, 3, 4].map((sn) => t.kcp.snd.xmitOf(sn)),
    [1, 1, 1, 1],
  )
  equal(t.kcp.counters.timeoutResends, 0)
})

test('the ACK of a repeat measures the round trip of that repeat', () => {
  const t = flow(1)
  t.send('a').at(200).skip()
  t.send('b').at(220).skip()
  t.at(320).input('ack sn=1 una=3 ts=220')
  equal(t.kcp.srtt, 100)
  equal(t.kcp.stats().loss, 0, 'its first transmission may be late')
  // And the same ACK again is none for anything.
  t.input('ack sn=1 una=3 ts=220')
  equal(t.kcp.counters.staleAcks, 0, 'stale ACKs are a matter of hardening')
  t.at(470)
  equal(t.kcp.stats().loss > 0, true, 'after a round trip and 50 ms it was lost')
})

test('what a full datagram has no room for is not repeated', () => {
  const t = flow(1)
  t.kcp.setMtu(100)
  t.send('x'.repeat(60)).at(200).skip()
  t.send('y'.repeat(60)).at(220).expect('push sn=2')
  equal(t.kcp.counters.repeats, 0)
})

test('the last message goes out once more on its own when none follows', () => {
  const t = flow(1)
  for (let i = 0; i < 40; i++) {
    t.clock(200 + i * 20)
    if (i >= 5) t.input(`ack sn=${i - 4} una=${i - 3} ts=${100 + i * 20}`)
    t.send('m').skip()
  }
  const at = t.kcp.repeatAt
  ok(at !== undefined && at > 980 && at <= 980 + 40, String(at))
  t.clock(at!).expect(`push sn=40 ts=${at} "m"`)
  // Nor a third time, whatever else happens.
  t.clock(at! + 30).expect()
})

test('nothing is repeated while much is in flight or queued, or before the round trip is known', () => {
  const t = flow(1)
  t.kcp.applyConfig({ sndWnd: 4 })
  t.send(...Array(8).fill('m'))
    .at(200)
    .skip()
  t.at(300).skip()
  equal(t.kcp.counters.repeats, 0, 'queued')
  const bulk = flow(1)
  bulk
    .send(...Array(10).fill('x'.repeat(1_000)))
    .at(200)
    .skip()
  bulk.at(205).skip()
  equal(bulk.kcp.counters.repeats, 0, '10 kB in flight')
  const young = new Trace({ nc: true, redundancy: 1 }).at(0)
  young.send('a').at(0).skip()
  young.send('b').at(100).skip()
  equal(young.kcp.counters.repeats, 0)
})

test('a fraction repeats some of them', () => {
  const repeats = new Repeats()
  repeats.level = 0.25
  for (let i = 0; i < 40; i++) {
    repeats.note(i, i * 20, true)
  }
  equal(repeats.size, 10)
})

test('auto: none without loss, more the more is lost and the more waits behind it', () => {
  const repeats = new Repeats()
  repeats.auto = true
  for (let i = 0; i < 100; i++) repeats.note(i, i * 20, true)
  const level = (loss: number, srtt: number): number => {
    repeats.adapt(loss, srtt)
    return repeats.level
  }
  equal(level(0, 100), 0)
  equal(level(0.001, 100), 0)
  // Six messages wait for a lost one: of 6 % late ones 0.8 % may stay.
  ok(Math.abs(level(0.04, 100) - 1.17) < 0.05, String(level(0.04, 100)))
  ok(Math.abs(level(0.05, 100) - 1.49) < 0.05, String(level(0.05, 100)))
  ok(level(0.1, 100) > 1.9 && level(0.1, 100) < 2)
  for (let loss = 0; loss < 1; loss += 0.001) ok(level(loss + 0.001, 100) >= level(loss, 100), String(loss))
  equal(level(1, 100), 3)
  // Half of the messages repeated would leave the other half as late as ever.
  equal(level(0.002, 100), 0)
  equal(level(0.004, 100), 1)
  equal(level(0.01, 100), 1)
  ok(level(0.05, 10) <= level(0.05, 400))
})

test('bytes of repeats are bounded: a burst, then so many a second', () => {
  const repeats = new Repeats()
  let bytes = 0
  for (let now = 0; now < 1_000; now++) while (repeats.afford(1_000, now)) bytes += 1_000
  ok(bytes >= 60_000 && bytes <= 16_384 + 65_536, String(bytes))
})

test('what was acknowledged or repeated often enough is forgotten, and sixty-four at most are remembered', () => {
  const repeats = new Repeats()
  repeats.level = 1
  for (let i = 0; i < 200; i++) repeats.note(i, i, true)
  equal(repeats.size, 64)
  repeats.settle((sn) => sn >= 190)
  equal(repeats.size, 10)
  repeats.settle(inFlight)
  equal(repeats.size, 10)
  equal(repeats.snAt(0), 199)
  ok(repeats.isRipe(0, 201) && !repeats.isRipe(0, 200))
  for (let i = 0; i < 10; i++) repeats.repeated(i, 300)
  repeats.settle(inFlight)
  equal(repeats.pending, false)
})

test('what is resent again is repeated for the latest time only', () => {
  const repeats = new Repeats()
  repeats.ofResends = 1
  for (const now of [0, 10, 20]) repeats.note(-5, now, false)
  const ripe = [...Array(repeats.size).keys()].filter((i) => repeats.isRipe(i, 100))
  deepEqual(ripe, [0])
  equal(repeats.snAt(0), 0xffff_fffb)
})

test('of a peer that answers each copy half the missing ACKs count as losses', () => {
  // Each message leaves with the one before. Every tenth datagram of ACKs is lost, and nothing else.
  const measured = (answers: boolean): number => {
    const config = { nodelay: 1, interval: 10, nc: true, redundancy: 1, hardening: true } as const
    const t = new Trace({ ...config, lossDetection: 'time' }).at(1)
    for (let sn = 0; sn < 2_000; sn++) {
      const now = 1 + sn * 20
      t.at(now).send('x').skip()
      const heard = sn - 1
      if (heard % 10 === 9 || heard < 1) continue
      t.at(now + 10).input(
        answers || heard % 10 === 0
          ? `ack sn=${heard - 1} una=${sn} ts=${now - 20} | ack sn=${heard} una=${sn} ts=${now - 20}`
          : `ack sn=${heard} una=${sn} ts=${now - 20}`,
      )
    }
    return t.kcp.stats().loss
  }
  ok(Math.abs(measured(false) - 0.1) < 0.02, String(measured(false)))
  ok(Math.abs(measured(true) - 0.05) < 0.01, String(measured(true)))
})

/** What remembers nothing but a message every `gap` ms up to 10 s. */
function paced(gap: number): Repeats {
  const repeats = new Repeats()
  repeats.level = 1
  for (let now = 10_000 % gap; now <= 10_000; now += gap) repeats.note(0, now, true)
  return repeats
}

test('a lone repeat waits for a message within half a round trip, or 30 ms, that may be a quarter late', () => {
  const wait = (gap: number, srtt: number): number => paced(gap).loneAt(srtt) - 10_000
  equal(wait(36, 100), 46, 'rounded up')
  equal(wait(44, 100), 7, 'a sixteenth of the round trip instead')
  equal(wait(20, 30), 26)
  equal(wait(25, 30), 2)
  equal(wait(25, 400), 32)
  equal(wait(500, 400), 10)
  equal(new Repeats().loneAt(2_500), 1_250, 'nothing is known: a message a second')
})

test('an RTO waits for a message within a quarter of the round trip, or 30 ms, or never more than one', () => {
  const expected = (gap: number, srtt: number): number => paced(gap).expected(srtt)
  equal(expected(45, 200), 46)
  equal(expected(55, 200), 0)
  equal(expected(25, 100), 26)
  equal(expected(25, 20), 0)
  equal(expected(40, 100), 0)
  // The first message says nothing about the next one.
  const repeats = new Repeats()
  repeats.note(0, 20, true)
  equal(repeats.expected(10_000), 1_000)
  equal(repeats.expected(4_000), 1_000)
})

test('16 KiB of repeats may be saved up, and 64 KiB a second come in', () => {
  const repeats = new Repeats()
  equal(repeats.afford(16_384, 0), true)
  equal(repeats.afford(1, 0), false)
  equal(repeats.afford(8_192, 125), true)
  equal(repeats.afford(1, 125), false)
})

test('two milliseconds lie between two repeats', () => {
  const repeats = new Repeats()
  repeats.level = 2
  repeats.note(0, 100, true)
  repeats.repeated(0, 300)
  deepEqual(
    [300, 301, 302].map((now) => repeats.isRipe(0, now)),
    [false, false, true],
  )
})

test('a resend takes the place of its own segment only, and numbers are u32 to those who are asked', () => {
  const repeats = new Repeats()
  repeats.level = 1
  const start = 0xffff_fffc
  for (let i = 0; i < 4; i++) repeats.note(start + i, 0, true)
  repeats.note(start + 2, 10, false)
  const ripe = [...Array(repeats.size).keys()].filter((i) => repeats.isRipe(i, 100))
  deepEqual(
    ripe.map((i) => repeats.snAt(i) - start),
    [2, 3, 1, 0],
  )
  const asked: number[] = []
  repeats.settle((sn) => asked.push(sn) < 0)
  deepEqual(
    asked.map((sn) => sn - start),
    [0, 1, 3, 2],
  )
  equal(repeats.pending, false)
})

test('what is cleared is not repeated', () => {
  const repeats = new Repeats()
  repeats.level = 1
  repeats.note(0, 0, true)
  repeats.clear()
  deepEqual([repeats.pending, repeats.size], [false, 0])
})

test('auto: what waits behind a lost message counts, and the message itself once', () => {
  const level = (gap: number, loss: number, srtt: number): number => {
    const repeats = paced(gap)
    repeats.auto = true
    repeats.adapt(loss, srtt)
    return repeats.level
  }
  equal(level(20, 0.0026, 100), 0)
  equal(level(20, 0.0028, 100), 1)
  equal(level(1, 0.0014, 10), 0)
  equal(level(1, 0.0016, 10), 1)
})
