import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { Suspicion } from '../../src/session/suspicion.ts'

test('one address that sends what cannot be read again and again is told of once', () => {
  const suspicion = new Suspicion()
  const said = Array.from({ length: 20 }, () => suspicion.add('eve'))
  equal(said.indexOf(true), 4)
  equal(said.filter(Boolean).length, 1)
})

test('noise from everywhere is nobody, and hides nobody for long', () => {
  const suspicion = new Suspicion()
  for (let i = 0; i < 1_000; i++) equal(suspicion.add(`host ${i}`), false)
  let said = 0
  for (let i = 0; i < 100; i++) {
    if (suspicion.add(`noise ${i}`)) said++
    for (let j = 0; j < 2; j++) if (suspicion.add('bob')) said++
  }
  equal(said, 1)
})
