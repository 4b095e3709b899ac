import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import * as slot from '../../src/core/send-slot.ts'

test('every word of a slot has a place of its own, and a slot is a cache line', () => {
  const { STRIDE, GONE, UNSENT, FIRST, LISTED, EXPIRES, ...words } = slot
  const places = Object.values(words).sort((a, b) => a - b)
  deepEqual(
    places,
    places.map((_, i) => i),
  )
  ok(places.length <= STRIDE)
  equal(STRIDE * Int32Array.BYTES_PER_ELEMENT, 64)
  equal(new Set([GONE, UNSENT, FIRST, LISTED, EXPIRES]).size, 5)
  equal(GONE, 0, 'a fresh slot is free')
})
