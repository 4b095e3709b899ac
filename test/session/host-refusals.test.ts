import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { HostRefusals } from '../../src/session/host-refusals.ts'

const AT = { heardAt: 0, rto: 200, atTheEnd: false } as const

test('the first refusal is a question, the eighth is believed, and those within an RTO do not count', () => {
  const refusals = new HostRefusals()
  const verdicts: string[] = []
  for (let now = 1_000; now < 3_000; now += 100) verdicts.push(refusals.add(now, AT))
  equal(verdicts[0], 'ask')
  deepEqual(verdicts.flatMap((verdict, i) => (verdict === 'gone' ? [i] : [])).slice(0, 1), [14])
})

test('a peer that was heard since, or ten quiet seconds, start the count anew', () => {
  const refusals = new HostRefusals()
  for (let i = 0; i < 7; i++) refusals.add(1_000 + i * 200, AT)
  equal(refusals.add(2_400, { ...AT, heardAt: 2_300 }), 'ask')
  const quiet = new HostRefusals()
  for (let i = 0; i < 7; i++) quiet.add(1_000 + i * 200, AT)
  equal(quiet.add(13_000, AT), 'ask')
})

test('where both ends have said all three are enough, and nobody is asked', () => {
  const refusals = new HostRefusals()
  const end = { ...AT, atTheEnd: true }
  deepEqual(
    [refusals.add(1_000, end), refusals.add(1_200, end), refusals.add(1_400, end)],
    ['wait', 'wait', 'gone'],
  )
})
