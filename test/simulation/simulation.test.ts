/**
 * Sessions over every kind of bad network, a seed each: see plan.ts for what may happen and world.ts for what must hold.
 * `npm run sim` runs more of them; `SEEDS=1000 node --test build/test/simulation/simulation.test.js` does too.
 */
import { deepEqual, equal, match, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { Kcp } from '../../src/core/kcp.ts'
import { LossDetector } from '../../src/core/loss-detector.ts'
import { RttEstimator } from '../../src/core/rtt.ts'
import { ReplayWindow } from '../../src/secure/replay-window.ts'
import { KeyedCounter } from '../../src/session/keyed-counter.ts'
import { parseTrace } from '../../src/sim/trace.ts'
import { parseArgs, wholeNumber } from '../support/args.ts'
import { Flow, FlowReader } from './flow.ts'
import { Failure } from './oracle.ts'
import { checkOverrides, PROFILES, planOf, STORIES } from './plan.ts'
import { shadow } from './shadow.ts'
import { count, merge, noTotals } from './summary.ts'
import { UnreliableFlow } from './unreliable.ts'
import { runPlan } from './world.ts'

const SEEDS = Number(process.env['SEEDS'] ?? 400)
/** A tenth as many as those of all kinds, and a little more each. */
const SECURE_SEEDS = Math.ceil(SEEDS / 8)

test(`what was sent arrives, and both ends get to know the end: ${SEEDS} seeds`, () => {
  const ends: Record<string, number> = {}
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      const outcome = runPlan(planOf(seed))
      for (const [why, many] of Object.entries(outcome.ends)) ends[why] = (ends[why] ?? 0) + many
    } catch (error) {
      throw new Failure(`seed ${seed}: ${(error as Error).message}\n  npm run sim -- --seed ${seed} --trace`)
    }
  }
  // Every kind of end is seen.
  if (SEEDS < 400) return
  for (const why of ['local', 'peer', 'timeout', 'dead-link', 'reset', 'killed']) ok(ends[why]! > 0, why)
})

test('seeds that found a fault once', () => {
  // A window that was told in segments of the wrong size, with and without a session; losses that were told late when two
  // flushes of one millisecond had sent again.
  const asThen = {
    extras: false,
    hardening: true,
    changes: false,
    unreliable: false,
    steered: false,
    maxMemory: undefined,
  }
  for (const seed of [62_614, 74_577, 77_197, 131_727, 46_044, 55_874, 198_506])
    runPlan(planOf(seed, { ...asThen, security: 'none' }))
  // With security: a client that was silent for 30 s; the answer to the last Fin was lost; a first segment that was late for
  // ten seconds; a timer without end; a clock that jumped while new keys were asked for; a way there and back of more than
  // five seconds; a binding that was not the same at both ends.
  for (const seed of [1, 55, 197, 573, 1_020, 1_114, 1_636])
    runPlan(planOf(seed, { ...PROFILES['secure'], ...asThen }))
  // A conversation that begins in a blackout of 57 s.
  runPlan(planOf(9_652, { ...PROFILES['plain'], story: 'steady', extras: false }))
  // A path that is cut one way, and a server that has begun anew: back-offs began anew each second.
  for (const seed of [53_093, 102_897]) runPlan(planOf(seed, { extras: false }))
  // FEC of other numbers, groups of which agreed by chance.
  for (const seed of [57_069, 73_213, 181_140]) runPlan(planOf(seed, { extras: false }))
  // A half-closed channel asked a server that had lost it forever; a Fin named a time that only FEC had delivered; a clock
  // that had jumped made late copies a successor's.
  for (const seed of [4_641, 6_969, 10_474, 14_980]) runPlan(planOf(seed))
  // Two ends whose first Fins were all lost; two that knew of each other's clock by FEC only.
  for (const seed of [225_014_351, 9_648]) runPlan(planOf(seed))
})

test(`with security everything arrives, in each association its own: ${SECURE_SEEDS} seeds`, () => {
  const seen: Record<string, number> = {}
  for (let seed = 1; seed <= SECURE_SEEDS; seed++) {
    try {
      const { security } = runPlan(planOf(seed, PROFILES['secure']))
      for (const [name, count] of Object.entries(security!)) seen[name] = (seen[name] ?? 0) + count
    } catch (error) {
      const again = `npm run sim -- --seed ${seed} --profile secure --trace`
      throw new Failure(`seed ${seed}: ${(error as Error).message}\n  ${again}`)
    }
  }
  // What may happen does, and what is refused is of every kind that one client can cause.
  const all = ['handshakes', 'rekeys', 'migrations', 'challenges', 'cookies', 'plain', 'foreign', 'blocked']
  const refused = ['strangers', 'repeated', 'unknown', 'replayed', 'forged']
  for (const name of [...all, ...refused]) ok(seen[name]! > 0, name)
  deepEqual([seen['unauthorized'], seen['full']], [0, 0])
})

test('a record that an end takes twice is noticed, whatever KCP makes of it', () => {
  const { isFresh } = ReplayWindow.prototype
  ReplayWindow.prototype.isFresh = () => true
  try {
    const failures: string[] = []
    for (let seed = 1; seed <= 20; seed++) {
      try {
        runPlan(planOf(seed, PROFILES['secure']))
      } catch (error) {
        failures.push(String(error))
      }
    }
    ok(failures.some((text) => /a second time/.test(text)))
  } finally {
    ReplayWindow.prototype.isFresh = isFresh
  }
})

test('the same seed is the same run, datagram by datagram', () => {
  for (const seed of [3, 14, 15, 92]) {
    const [once, again] = [runPlan(planOf(seed)), runPlan(planOf(seed))]
    deepEqual(once, again, `seed ${seed}`)
    ok(once.hash !== runPlan(planOf(seed + 1)).hash)
  }
})

test('a setting that is fixed from outside leaves the rest of the plan as it was', () => {
  const { client, server, traffic, ...rest } = planOf(17)
  const other = planOf(17, { redundancy: 3 })
  equal(other.client.kcp?.redundancy, 3)
  deepEqual({ ...other, client, server, traffic }, { ...rest, client, server, traffic })
  for (const story of STORIES) {
    equal(planOf(17, { story }).story, story)
  }
  throws(() => checkOverrides({ redundanzy: 3 }), /redundanzy/)
})

test('what was changed on the way, lost or doubled does not pass', () => {
  for (const stream of [false, true]) {
    const flow = new Flow(1, stream)
    const [a, b, c] = [flow.next(100).slice(), flow.next(0).slice(), flow.next(50).slice()]
    const reader = new FlowReader(flow)
    for (const message of [a, b, c]) reader.read(message)
    ok(reader.done)
    throws(() => reader.read(Uint8Array.of(1)), Failure, 'more than was sent')
    const read = (...messages: Uint8Array[]) => {
      const other = new FlowReader(flow)
      for (const message of messages) other.read(message)
      return other.done
    }
    throws(() => read(a.map((byte, i) => (i === 99 ? byte ^ 1 : byte))), Failure)
    throws(() => read(a, a), Failure)
    throws(() => read(c), Failure)
    equal(read(a, b), false)
    if (stream) ok(read(a.subarray(0, 30), a.subarray(30), c))
    else throws(() => read(a.subarray(0, 30)), Failure)
  }
})

test('what expired may be missing, once, and nothing else may', () => {
  const flow = new Flow(1, false)
  const messages = [10, 20, 30, 40].map((size) => flow.next(size).slice())
  flow.drop(0)
  flow.drop(2)
  throws(() => flow.drop(2), Failure)
  equal(flow.droppedBytes, 40)
  const reader = new FlowReader(flow)
  throws(() => reader.read(messages[0]!), Failure, 'it had expired')
  reader.read(messages[1]!)
  equal(reader.done, false)
  reader.read(messages[3]!)
  ok(reader.done)
})

test('messages with a time limit expire in some seeds, and leave in others', () => {
  const outcomes = new Set<string>()
  for (let seed = 1; seed <= 8; seed++) {
    const story = (line: string) => outcomes.add(/message \d+ (\w+)$/.exec(line)?.[1] ?? '')
    runPlan(planOf(seed, { streamMode: false, ttl: { share: 0.5, ms: 300 } }), { story })
  }
  ok(outcomes.has('sent') && outcomes.has('expired'), [...outcomes].join())
})

test('what comes out of band was sent, and no more often than a network repeats', () => {
  const flow = new UnreliableFlow()
  const payload = flow.make(20)
  throws(() => flow.take(payload), Failure, 'never sent')
  flow.keep(payload)
  flow.take(payload)
  flow.take(payload)
  throws(() => flow.take(payload), Failure, 'three times')
  const other = new UnreliableFlow()
  other.keep(other.make(20))
  throws(() => other.take(payload.map((byte, i) => (i === 19 ? byte ^ 1 : byte))), Failure, 'changed')
  throws(() => other.take(payload.subarray(0, 19)), Failure, 'cut')
})

test('settings change in some seeds, messages go out of band, and windows have moods', () => {
  const fec = { data: 3, parity: 1 }
  let [changes, unreliable] = [0, 0]
  for (let seed = 1; seed <= 60; seed++) {
    const outcome = runPlan(planOf(seed, { fec }))
    changes += outcome.changes
    unreliable += outcome.unreliable
  }
  ok(changes > 10 && unreliable > 100, `${changes} and ${unreliable}`)
  equal(planOf(9, { steered: false }).steered.client, undefined)
  const [moody, calm] = [true, false].map((steered) => runPlan(planOf(9, { steered })))
  ok(moody!.hash !== calm!.hash)
})

test('a host opens many conversations in some seeds, and taking more than its share would be noticed', () => {
  const seed = 440
  const outcome = runPlan(planOf(seed))
  ok(outcome.extras['sessions of a crowd']! > 100, `seed ${seed}: ${JSON.stringify(outcome.extras)}`)
  const { get } = KeyedCounter.prototype
  try {
    KeyedCounter.prototype.get = () => 0
    throws(() => runPlan(planOf(seed)), /sessions of one host/)
  } finally {
    KeyedCounter.prototype.get = get
  }
})

test('parts of a run add up', () => {
  const [whole, left, right] = [noTotals(), noTotals(), noTotals()]
  for (const seed of [1, 2, 3, 4]) {
    const outcome = runPlan(planOf(seed))
    count(whole, seed, outcome)
    count(seed < 3 ? left : right, seed, outcome)
  }
  merge(left, right)
  deepEqual(left, whole)
})

test('arguments are parsed at the door', () => {
  const args = parseArgs(['--seeds', '2_000', '--set', 'mtu=50', '--trace'], ['seeds', 'set', 'trace'])
  equal(wholeNumber(args, 'seeds', 1), 2000)
  equal(wholeNumber(args, 'jobs', 3), 3)
  deepEqual(args.sets, [['mtu', '50']])
  throws(() => parseArgs(['--seedz', '1'], ['seeds']), /seedz/)
  throws(() => wholeNumber(parseArgs(['--seeds', 'x'], ['seeds']), 'seeds', 1), /whole number/)
})

test('beside every engine runs the readable one, and changes nothing', () => {
  for (const seed of [3, 14, 15]) {
    deepEqual(runPlan(planOf(seed)), runPlan(planOf(seed), { twin: false }), `seed ${seed}`)
  }
})

test('an engine that goes another way than the readable one is noticed at once', () => {
  const damages: readonly [RegExp, (kcp: Kcp) => void][] = [
    [/rto is 31/, ({ rtt }) => (rtt.rto = 31)],
    [/sent 1 datagrams, the readable engine 0/, (kcp) => kcp.acks.push(7, 7)],
    [/rcvNxt is 1, in the readable engine 0/, ({ rcv }) => (rcv.rcvNxt = 1)],
  ]
  for (const [difference, damage] of damages) {
    const kcp = new Kcp(7, () => undefined, 'fast')
    kcp.update(0)
    shadow(kcp)
    kcp.send(new Uint8Array(3000))
    kcp.flush(10)
    kcp.tryInput(parseTrace('ack sn=0 una=0 ts=10', { conv: 7 }), 40)
    damage(kcp)
    throws(
      () => kcp.flush(50),
      (error: Error) => {
        ok(error instanceof Failure)
        match(error.message, difference)
        return true
      },
    )
  }
})

test('a seed whose engine is wrong by a millisecond fails, whatever else comes out right', () => {
  const [rtt, losses] = [RttEstimator.prototype, LossDetector.prototype]
  const { backOff } = rtt
  const { patience } = losses
  const told = (): RegExpExecArray | null => {
    for (let seed = 1; seed <= 20; seed++) {
      try {
        runPlan(planOf(seed))
      } catch (error) {
        return /readable engine/.exec(String(error))
      }
    }
    return null
  }
  try {
    rtt.backOff = function (this: RttEstimator, ...args) {
      return backOff.apply(this, args) + 1
    }
    ok(told())
    rtt.backOff = backOff
    equal(told(), null)
    losses.patience = function (this: LossDetector, ...args) {
      return patience.apply(this, args) + 1
    }
    ok(told())
  } finally {
    rtt.backOff = backOff
    losses.patience = patience
  }
})
