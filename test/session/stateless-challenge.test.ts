import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { readU32, writeU32 } from '../../src/core/segment.ts'
import { StatelessChallenges } from '../../src/session/stateless-challenge.ts'
import { Prng } from '../../src/sim/prng.ts'
import { formatDatagram, parseTrace } from '../../src/sim/trace.ts'

/** A door that challenges, and a peer that answers as any KCP does. */
class Story {
  readonly challenges: StatelessChallenges
  constructor(places = 100, perHost = 10) {
    const prng = new Prng(7)
    this.challenges = new StatelessChallenges(() => prng.u32(), places, perHost)
  }
  ask(key: string, now: number, conv = 7): number {
    return readU32(this.challenges.challenge(key, conv, 128, now), 8)
  }
  answer(key: string, ts: number, now: number, conv = 7, host = key): boolean {
    const ack = parseTrace('ack sn=4294967295 una=0', { conv })
    writeU32(ack, 8, ts)
    return this.challenges.hear(ack, 0, key, host, conv, `${key}|${conv}`, now)
  }
}

test('a challenge is a PUSH that the peer has passed, with nothing in it', () => {
  const { challenges } = new Story()
  const challenge = challenges.challenge('10.0.0.1|5', 7, 300, 123_456)
  equal(formatDatagram(challenge).replace(/ts=\d+ ?/, ''), 'push sn=4294967295 una=0 wnd=300 frg=0 ""')
  equal(challenge.length, 24)
})

test('who echoes it is remembered for five seconds, and nobody else is', () => {
  for (const start of [0, 1, 1_023, 60_000, 65_535, 2 ** 31 - 3, 2 ** 32 - 100, 1e15]) {
    const story = new Story()
    const ts = story.ask('bob|1', start)
    for (const [who, conv] of [
      ['bob|2', 7],
      ['eve|1', 7],
      ['bob|1', 8],
    ] as const) {
      equal(story.answer(who, ts, start + 50, conv), false, `${who} ${conv} at ${start}`)
    }
    equal(story.challenges.size, 0)
    equal(story.answer('bob|1', ts, start + 4_000), true, `at ${start}`)
    notEqual(story.challenges.find('bob|1|7', start + 4_100), undefined)
    equal(story.challenges.find('bob|1|8', start + 4_100), undefined)
    equal(story.challenges.find('bob|1|7', start + 4_000 + 5_200), undefined)
    equal(story.answer('bob|1', ts, start + 5_200), false, 'an old answer')
  }
})

test('across the change of the hash a challenge stays good', () => {
  const story = new Story()
  const change = 10 * 65_536
  const before = story.ask('bob|1', change - 1_500)
  const after = story.ask('bob|1', change + 10)
  notEqual((after - before) >>> 0, 2_048, 'the hash has changed')
  equal(story.answer('bob|1', before, change + 1_000), true)
  equal(story.answer('bob|1', after, change + 1_000), true)
})

test('of all values of ts five at most are good', () => {
  const story = new Story()
  const now = 1_000_000
  const ts = story.ask('bob|1', now)
  let good = 0
  for (let off = -20_000; off <= 20_000; off++) {
    if (story.answer('bob|1', (ts + off) >>> 0, now)) good++
  }
  equal(good, 5)
  const prng = new Prng(3)
  for (let i = 0; i < 100_000; i++) if (story.answer('eve|1', prng.u32(), now)) good++
  equal(good, 5, 'seed 3')
})

test('where nobody was challenged lately no answer is even looked at', () => {
  const story = new Story()
  const elsewhere = new Story()
  const ts = elsewhere.ask('bob|1', 1_000)
  equal(story.answer('bob|1', ts, 1_000), false)
  story.ask('eve|1', 1_000)
  // The same key: the same hash.
  equal(story.answer('bob|1', ts, 1_500), true)
})

test('what is remembered is bounded, in all and for each host; the oldest make room', () => {
  const story = new Story(5, 3)
  const prove = (key: string, host: string, now: number): void => {
    ok(story.answer(key, story.ask(key, now), now, 7, host))
  }
  for (let port = 1; port <= 10; port++) prove(`bob|${port}`, 'bob', 100)
  deepEqual([story.challenges.size, story.challenges.dropped], [3, 7])
  prove('bob|1', 'bob', 120)
  equal(story.challenges.size, 3, 'the same once more')
  for (let host = 1; host <= 40; host++) prove(`eve${host}|1`, `eve${host}`, 200)
  deepEqual([story.challenges.size, story.challenges.dropped], [20, 7 + 23])
  equal(story.challenges.find('bob|2|7', 200), undefined)
  // There is room for bob again.
  prove('bob|2', 'bob', 300)
  notEqual(story.challenges.find('bob|2|7', 300), undefined)
  story.challenges.forget('bob|2|7')
  story.challenges.forget('bob|2|7')
  equal(story.challenges.find('bob|2|7', 300), undefined)
  deepEqual([story.challenges.find('nobody', 10_000), story.challenges.size], [undefined, 0])
})

test('any key is hashed whole, of any length and any characters', () => {
  const story = new Story()
  const long = 'x'.repeat(500)
  const seen = new Set<number>()
  for (const key of [long, `${long}y`, `${long}\u4e16`, `${long}\u5016`, '']) seen.add(story.ask(key, 5_000))
  equal(seen.size, 5)
  equal(story.answer(long, story.ask(long, 5_000), 5_000), true)
})
