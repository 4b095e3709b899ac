import { deepEqual, equal, rejects, throws } from 'node:assert/strict'
import { Readable, Transform } from 'node:stream'
import { test } from 'node:test'
import { VirtualClock } from '../../src/sim/clock.ts'
import { Prng } from '../../src/sim/prng.ts'

const eventLoopTurn = (): Promise<void> => new Promise((done) => setImmediate(done))

test('timers fire in order of due time, then of creation', () => {
  const clock = new VirtualClock()
  const log: string[] = []
  clock.setTimeout(() => log.push(`c@${clock.now()}`), 20)
  clock.setTimeout(() => log.push(`a@${clock.now()}`), 10)
  clock.setTimeout(() => log.push(`b@${clock.now()}`), 10)
  clock.setTimeout(() => log.push(`late@${clock.now()}`), 21)
  clock.advance(20)
  deepEqual(log, ['a@10', 'b@10', 'c@20'])
  equal(clock.now(), 20)
  equal(clock.pending, 1)
  equal(clock.nextAt, 21)
})

test('the heap agrees with a sorted list, whatever is set and cleared', () => {
  for (let seed = 1; seed <= 30; seed++) {
    const prng = new Prng(seed)
    const clock = new VirtualClock(1000)
    const fired: number[] = []
    let model: { id: number; at: number; timer: unknown }[] = []
    for (let id = 0; id < 400; id++) {
      if (model.length > 0 && prng.chance(0.35)) {
        const [cleared] = model.splice(prng.int(0, model.length - 1), 1)
        clock.clearTimeout(cleared!.timer)
        clock.clearTimeout(cleared!.timer) // a second time does nothing
      }
      const ms = prng.int(0, 50)
      model.push({ id, at: clock.now() + ms, timer: clock.setTimeout(() => fired.push(id), ms) })
      if (prng.chance(0.1)) {
        clock.advance(prng.int(0, 5))
        const due = model.filter(({ at }) => at <= clock.now()).sort((a, b) => a.at - b.at || a.id - b.id)
        deepEqual(
          fired.splice(0),
          due.map(({ id }) => id),
          `seed=${seed}`,
        )
        model = model.filter(({ at }) => at > clock.now())
        equal(clock.pending, model.length, `seed=${seed}`)
      }
    }
    clock.runUntilIdle()
    deepEqual(
      fired,
      model.sort((a, b) => a.at - b.at || a.id - b.id).map(({ id }) => id),
      `seed=${seed}`,
    )
  }
})

test('soon runs after the running callback, before the next timer of the same instant', () => {
  const clock = new VirtualClock()
  const log: string[] = []
  clock.setTimeout(() => {
    clock.soon(() => {
      log.push('soon 1')
      clock.soon(() => log.push('soon 1.1'))
    })
    clock.soon(() => log.push('soon 2'))
    clock.setTimeout(() => log.push(`timer of 0 @${clock.now()}`), 0)
    log.push('timer 1')
  }, 5)
  clock.setTimeout(() => log.push('timer 2'), 5)
  clock.soon(() => log.push(`before any time passes @${clock.now()}`))
  clock.advance(5)
  deepEqual(log, [
    'before any time passes @0',
    'timer 1',
    'soon 1',
    'soon 2',
    'soon 1.1',
    'timer 2',
    'timer of 0 @5',
  ])
})

test('a callback that throws leaves the rest in place', () => {
  const clock = new VirtualClock()
  const log: string[] = []
  clock.setTimeout(() => {
    clock.soon(() => {
      throw new Error('first')
    })
    clock.soon(() => log.push('second'))
  }, 1)
  clock.setTimeout(() => log.push('timer'), 2)
  throws(() => clock.advance(10), /first/)
  equal(clock.now(), 1)
  clock.advance(9)
  deepEqual(log, ['second', 'timer'])
})

test('runUntilIdle stops where nothing waits, and says so when something always does', () => {
  const clock = new VirtualClock(500)
  clock.setTimeout(() => clock.setTimeout(() => {}, 30), 12)
  equal(clock.runUntilIdle(), 42)
  equal(clock.now(), 542)
  const tick = (): void => void clock.setTimeout(tick, 100)
  tick()
  throws(
    () => clock.runUntilIdle({ limitMs: 1000 }),
    /not idle after 1000 ms: 1 timers wait, the next for t=1642/,
  )
})

test('a loop in which time stands still is broken off', () => {
  const clock = new VirtualClock()
  const again = (): void => void clock.setTimeout(again, 0)
  again()
  throws(() => clock.advance(1), /1000000 callbacks at t=0/)
})

test('time goes forward only, and one mover at a time', () => {
  const clock = new VirtualClock(10)
  throws(() => clock.runUntil(9), { name: 'RangeError', message: /from 10 to 9/ })
  throws(() => clock.advance(-1), RangeError)
  throws(() => clock.advance(Number.NaN), RangeError)
  throws(() => clock.setTimeout(() => {}, Number.POSITIVE_INFINITY), {
    name: 'RangeError',
    message: /Infinity ms/,
  })
  throws(() => new VirtualClock(Number.NaN), RangeError)
  clock.setTimeout(() => clock.advance(1), -5)
  throws(() => clock.advance(0), /runUntil while runUntil is moving the clock/)
})

test('clearTimeout takes anything', () => {
  const clock = new VirtualClock()
  for (const timer of [undefined, null, 0, {}, { index: 0 }]) clock.clearTimeout(timer)
  const other = new VirtualClock()
  const timer = other.setTimeout(() => {}, 1)
  clock.setTimeout(() => {}, 1)
  clock.clearTimeout(timer)
  equal(clock.pending, 1)
})

test('run lets promises settle before time moves on', async () => {
  const clock = new VirtualClock()
  const log: string[] = []
  const sleep = (ms: number): Promise<void> => new Promise((done) => void clock.setTimeout(done, ms))
  const walk = async (): Promise<void> => {
    for (let step = 1; step <= 3; step++) {
      await sleep(10)
      log.push(`step ${step} @${clock.now()}`)
    }
  }
  const walked = walk()
  clock.setTimeout(() => log.push(`timer @${clock.now()}`), 25)
  await clock.run(100)
  deepEqual(log, ['step 1 @10', 'step 2 @20', 'timer @25', 'step 3 @30'])
  equal(clock.now(), 100)
  await walked
})

test('until moves no further than it must, through Node streams too', async () => {
  const clock = new VirtualClock(0, { settle: eventLoopTurn })
  const got: string[] = []
  // A chunk every 10 ms through two streams, which hand it on in later ticks.
  const source = new Readable({ objectMode: true, read: () => {} })
  let count = 0
  const feed = (): void => {
    source.push(`chunk ${++count}`)
    if (count < 5) clock.setTimeout(feed, 10)
  }
  clock.setTimeout(feed, 10)
  clock.setTimeout(() => {}, 5000)
  const through = new Transform({
    objectMode: true,
    transform: (chunk, _encoding, done) => done(null, chunk),
  })
  source.pipe(through).on('data', (chunk: string) => got.push(`${chunk} @${clock.now()}`))
  await clock.until(() => got.length === 3, 1000)
  deepEqual(got, ['chunk 1 @10', 'chunk 2 @20', 'chunk 3 @30'])
  equal(clock.now(), 30)
  source.destroy()
})

test('until rejects at its limit, and when there is nothing to wait for', async () => {
  const clock = new VirtualClock()
  await rejects(
    clock.until(() => false),
    /nothing left to wait for at t=0/,
  )
  clock.setTimeout(() => {}, 300)
  await rejects(
    clock.until(() => false, 200),
    /not within 200 ms: t=0, the next timer is at t=300/,
  )
  const running = clock.run(10)
  await rejects(clock.run(10), /run while run is moving the clock/)
  throws(() => clock.advance(1), /runUntil while run is moving the clock/)
  await running
})
