import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { Scheduler, type Task } from '../../src/session/scheduler.ts'
import type { Clock } from '../../src/session/transport.ts'
import { VirtualClock } from '../../src/sim/clock.ts'

/** A virtual clock that notes what it is asked for, and can jump: the process stood still. */
class Watched implements Clock {
  readonly virtual: VirtualClock
  readonly delays: number[] = []
  timers = 0
  soons = 0
  #jumped = 0

  constructor(startAt = 0) {
    this.virtual = new VirtualClock(startAt)
  }
  now(): number {
    return this.virtual.now() + this.#jumped
  }
  setTimeout(run: () => void, ms: number): unknown {
    this.delays.push(ms)
    this.timers++
    return this.virtual.setTimeout(() => {
      this.timers--
      run()
    }, ms)
  }
  clearTimeout(timer: unknown): void {
    this.timers--
    this.virtual.clearTimeout(timer)
  }
  soon(run: () => void): void {
    this.soons++
    this.virtual.soon(run)
  }
  jump(ms: number): void {
    this.#jumped += ms
  }
}

class Job implements Task {
  readonly runs: number[] = []
  forgiven = 0
  /** When to run again. */
  next: (now: number) => number = () => Number.POSITIVE_INFINITY
  onRun: ((now: number) => void) | undefined
  /** Turns more that it wants right after this one. */
  more = 0
  #at = Number.POSITIVE_INFINITY

  run(now: number): boolean {
    this.runs.push(now)
    this.#at = this.next(now)
    this.onRun?.(now)
    return this.more-- > 0
  }
  deadline(): number {
    return this.#at
  }
  forgive(ms: number): void {
    this.forgiven += ms
  }
}

function setUp(count: number, startAt = 0): { clock: Watched; scheduler: Scheduler; jobs: Job[] } {
  const clock = new Watched(startAt)
  const scheduler = new Scheduler(clock)
  const jobs = Array.from({ length: count }, () => new Job())
  for (const job of jobs) scheduler.add(job)
  return { clock, scheduler, jobs }
}

test('a touched task runs once at the end of the turn, however often it was touched', () => {
  const { clock, scheduler, jobs } = setUp(3)
  for (let i = 0; i < 5; i++) for (const job of jobs.slice(0, 2)) scheduler.touch(job)
  deepEqual(jobs[0]!.runs, [])
  clock.virtual.advance(0)
  deepEqual(
    jobs.map(({ runs }) => runs),
    [[0], [0], []],
  )
  equal(clock.soons, 1)
  equal(clock.timers, 0, 'who waits for nothing costs no timer')
})

test('a touch from inside a run is for the next turn', () => {
  const { clock, scheduler, jobs } = setUp(1)
  jobs[0]!.onRun = () => {
    if (jobs[0]!.runs.length < 3) scheduler.touch(jobs[0]!)
  }
  scheduler.touch(jobs[0]!)
  clock.virtual.advance(0)
  equal(jobs[0]!.runs.length, 3)
  equal(clock.soons, 3)
})

test('one timer for any number of tasks, set for the earliest', () => {
  const { clock, scheduler, jobs } = setUp(1_000)
  for (const [i, job] of jobs.entries()) {
    job.next = (now) => (now === 0 ? 10 + ((i * 7) % 1_000) : Number.POSITIVE_INFINITY)
    scheduler.touch(job)
  }
  clock.virtual.advance(0)
  equal(clock.timers, 1)
  deepEqual(clock.delays, [10])
  clock.virtual.runUntilIdle()
  for (const [i, job] of jobs.entries()) deepEqual(job.runs, [0, 10 + ((i * 7) % 1_000)])
  equal(clock.timers, 0)
})

test('a nearer deadline moves the timer; a farther one leaves it', () => {
  const { clock, scheduler, jobs } = setUp(2)
  jobs[0]!.next = (now) => now + 100
  scheduler.touch(jobs[0]!)
  clock.virtual.advance(0)
  jobs[1]!.next = (now) => now + 500
  scheduler.touch(jobs[1]!)
  clock.virtual.advance(0)
  deepEqual(clock.delays, [100])
  jobs[1]!.next = (now) => now + 20
  scheduler.touch(jobs[1]!)
  clock.virtual.advance(0)
  deepEqual(clock.delays, [100, 20])
  equal(clock.timers, 1)
})

test('a removed task is not run any more, be it touched or due; the last one takes the timer along', () => {
  const { clock, scheduler, jobs } = setUp(2)
  for (const job of jobs) {
    job.next = (now) => now + 50
    scheduler.touch(job)
  }
  clock.virtual.advance(0)
  scheduler.touch(jobs[0]!)
  scheduler.remove(jobs[0]!)
  scheduler.remove(jobs[0]!)
  clock.virtual.advance(60)
  deepEqual([jobs[0]!.runs, jobs[1]!.runs], [[0], [0, 50]])
  scheduler.remove(jobs[1]!)
  equal(clock.timers, 0)
  equal(scheduler.size, 0)
  scheduler.touch(jobs[1]!)
  clock.virtual.advance(1_000)
  deepEqual(jobs[1]!.runs, [0, 50])
})

test('ids are used again: a task that takes the place of another has nothing of its deadline', () => {
  const { clock, scheduler, jobs } = setUp(1)
  jobs[0]!.next = (now) => now + 50
  scheduler.touch(jobs[0]!)
  clock.virtual.advance(0)
  scheduler.remove(jobs[0]!)
  const other = new Job()
  scheduler.add(other)
  clock.virtual.advance(1_000)
  deepEqual(other.runs, [])
})

test('a task that removes another one, or itself, while running', () => {
  const { clock, scheduler, jobs } = setUp(3)
  jobs[0]!.onRun = () => scheduler.remove(jobs[1]!)
  jobs[2]!.onRun = () => scheduler.remove(jobs[2]!)
  for (const job of jobs) scheduler.touch(job)
  clock.virtual.advance(0)
  deepEqual(
    jobs.map(({ runs }) => runs.length),
    [1, 0, 1],
  )
  equal(scheduler.size, 1)
})

test('a task that is due again at once waits for the next timer', () => {
  const { clock, scheduler, jobs } = setUp(2)
  jobs[0]!.next = (now) => (jobs[0]!.runs.length < 5 ? now : Number.POSITIVE_INFINITY)
  jobs[1]!.next = (now) => (now === 0 ? 5 : Number.POSITIVE_INFINITY)
  for (const job of jobs) scheduler.touch(job)
  clock.virtual.advance(5)
  deepEqual([jobs[0]!.runs.length, jobs[1]!.runs.length], [5, 2])
  ok(clock.delays.length > 1)
})

test('a timer that fires early shows nobody a time before its deadline', () => {
  const { clock, scheduler, jobs } = setUp(1)
  jobs[0]!.next = (now) => (now === 0 ? 10 : Number.POSITIVE_INFINITY)
  scheduler.touch(jobs[0]!)
  clock.virtual.advance(0)
  clock.jump(-0.6)
  clock.virtual.advance(10)
  deepEqual(jobs[0]!.runs, [0, 10])
})

test('deadlines are fractions of a ms, and the clock passes 2^32', () => {
  const start = 2 ** 32 - 20.25
  const { clock, scheduler, jobs } = setUp(1, start)
  jobs[0]!.next = (now) => (jobs[0]!.runs.length < 5 ? now + 10.5 : Number.POSITIVE_INFINITY)
  scheduler.touch(jobs[0]!)
  clock.virtual.runUntilIdle()
  equal(jobs[0]!.runs.length, 5)
  for (const [i, at] of jobs[0]!.runs.entries()) {
    const ideal = start + i * 10.5
    ok(at >= ideal && at <= ideal + 2 * i, `run ${i} at ${at}, wanted ${ideal}`)
  }
})

test('the farthest deadline that a configuration can ask for is one timer that node takes, and no spinning', () => {
  const { clock, scheduler, jobs } = setUp(1, 10.5)
  const far = 0x7fff_ffff
  jobs[0]!.next = (now) => (now < far ? 10.5 + far : Number.POSITIVE_INFINITY)
  scheduler.touch(jobs[0]!)
  clock.virtual.advance(0)
  clock.virtual.advance(3_600_000)
  equal(jobs[0]!.runs.length, 1)
  equal(clock.delays.length, 1)
  ok(clock.delays[0]! <= far, `setTimeout(${clock.delays[0]})`)
  clock.virtual.advance(far)
  equal(jobs[0]!.runs.at(-1)! >= 10.5 + far, true)
})

test('a timer that is late by a second or more forgives all tasks and hears the socket first', () => {
  const { clock, scheduler, jobs } = setUp(2)
  jobs[0]!.next = (now) => (now === 0 ? 10_000 : Number.POSITIVE_INFINITY)
  for (const job of jobs) scheduler.touch(job)
  clock.virtual.advance(0)
  clock.jump(15_000)
  const order: string[] = []
  jobs[0]!.onRun = () => order.push('judged')
  jobs[1]!.forgive = (ms) => {
    order.push(`forgiven ${ms}`)
    // Timers come before datagrams in an event loop's turn.
    clock.virtual.soon(() => order.push('heard'))
  }
  clock.virtual.advance(10_000)
  deepEqual(order, ['forgiven 15000', 'heard', 'judged'])
  equal(jobs[0]!.forgiven, 15_000)
})

test('a turn that blocked past a deadline forgives too, before what was touched in it is judged', () => {
  const { clock, scheduler, jobs } = setUp(2)
  jobs[0]!.next = (now) => (now < 10_000 ? 10_000 : Number.POSITIVE_INFINITY)
  scheduler.touch(jobs[0]!)
  clock.virtual.advance(0)
  // A callback touches both tasks, then computes for 15 s: the end of its turn comes before any timer or datagram.
  clock.virtual.setTimeout(() => {
    for (const job of jobs) scheduler.touch(job)
    clock.jump(15_000)
  }, 100)
  const forgivenAtRun: number[] = []
  jobs[0]!.onRun = () => forgivenAtRun.push(jobs[0]!.forgiven)
  clock.virtual.advance(100)
  deepEqual(forgivenAtRun, [5_100], 'once')
  equal(jobs[1]!.runs.length, 1)
})

test('a timer that is a little late hears the socket first too, but forgives nothing', () => {
  for (const late of [49, 50, 999]) {
    const { clock, scheduler, jobs } = setUp(1)
    jobs[0]!.next = (now) => (now === 0 ? 100 : Number.POSITIVE_INFINITY)
    scheduler.touch(jobs[0]!)
    clock.virtual.advance(0)
    const before = clock.soons
    clock.jump(late)
    clock.virtual.advance(100)
    deepEqual([jobs[0]!.runs, jobs[0]!.forgiven], [[0, 100 + late], 0])
    // Two turns: timers come before datagrams, and 32 datagrams are read in one.
    equal(clock.soons - before, late < 50 ? 0 : 2)
  }
})

test('a task that throws at the end of a turn takes nobody along', () => {
  const { clock, scheduler, jobs } = setUp(3)
  for (const job of jobs) {
    job.next = (now) => now + 50
    scheduler.touch(job)
  }
  jobs[0]!.onRun = () => {
    jobs[0]!.onRun = undefined
    throw new Error('mine')
  }
  throws(() => clock.virtual.advance(0), /mine/)
  clock.virtual.advance(10)
  deepEqual(
    jobs.map(({ runs }) => runs.length),
    [1, 1, 1],
    'the others had their turn',
  )
  clock.virtual.advance(50)
  deepEqual(
    jobs.map(({ runs }) => runs.length),
    [2, 2, 2],
    'and all of them their timers',
  )
  for (const job of jobs) scheduler.touch(job)
  clock.virtual.advance(0)
  deepEqual(
    jobs.map(({ runs }) => runs.length),
    [3, 3, 3],
    'and can be touched again',
  )
})

test('a task that throws when it is due takes nobody along', () => {
  const { clock, scheduler, jobs } = setUp(3)
  for (const job of jobs) {
    job.next = (now) => now + 50
    scheduler.touch(job)
  }
  clock.virtual.advance(0)
  jobs[0]!.onRun = () => {
    jobs[0]!.onRun = undefined
    throw new Error('mine')
  }
  throws(() => clock.virtual.advance(50), /mine/)
  clock.virtual.advance(200)
  for (const [i, { runs }] of jobs.entries()) ok(runs.length >= 4, `task ${i} ran ${runs.length} times`)
})

test('a task that wants one more turn gets it after everybody had this one', () => {
  const clock = new VirtualClock()
  const scheduler = new Scheduler(clock)
  const [eager, other] = [new Job(), new Job()]
  const order: string[] = []
  eager.onRun = () => void order.push('eager')
  other.onRun = () => void order.push('other')
  eager.more = 2
  for (const job of [eager, other]) {
    scheduler.add(job)
    scheduler.touch(job)
  }
  clock.advance(0)
  deepEqual(order, ['eager', 'other', 'eager', 'eager'])
  equal(clock.now(), 0)
})
