import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { KeyedCounter } from '../../src/session/keyed-counter.ts'

test('a key whose count is 0 takes no memory', () => {
  const counter = new KeyedCounter()
  equal(counter.get('a'), 0)
  counter.add('a', 2)
  counter.add('b', 1)
  counter.add('a', -1)
  deepEqual([counter.get('a'), counter.get('b'), counter.size], [1, 1, 2])
  counter.add('a', -1)
  deepEqual([counter.get('a'), counter.size], [0, 1])
  counter.clear()
  deepEqual([counter.get('b'), counter.size], [0, 0])
})
