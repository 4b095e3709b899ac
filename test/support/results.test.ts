import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { readDocument, withTable } from './results.ts'

test('the table in docs/TESTING.md is that of docs/testing', () => {
  equal(readDocument(), withTable(readDocument()))
})
