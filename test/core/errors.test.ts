import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpError } from '../../src/core/errors.ts'

test('an error has a name, a code, a message and the numbers behind it', () => {
  const error = new KcpError('ERR_KCP_MTU', 'mtu 7 is too small', { detail: { mtu: 7 } })
  ok(error instanceof Error)
  equal(error.name, 'KcpError')
  equal(error.code, 'ERR_KCP_MTU')
  equal(`${error}`, 'KcpError: mtu 7 is too small')
  deepEqual(error.detail, { mtu: 7 })
  ok(error.stack?.includes('errors.test'))
})

test('without numbers the detail is empty, and without a cause there is no such property', () => {
  const error = new KcpError('ERR_KCP_CLOSED', 'closed')
  deepEqual(error.detail, {})
  equal('cause' in error, false)
})

test('the cause is kept', () => {
  const cause = new Error('EPERM')
  equal(new KcpError('ERR_KCP_IO', 'the socket failed', { cause }).cause, cause)
})

test('KcpError.is tells the class, and the code when one is given', () => {
  const error: unknown = new KcpError('ERR_KCP_CLOSED', 'closed')
  equal(KcpError.is(error), true)
  equal(KcpError.is(error, 'ERR_KCP_CLOSED'), true)
  equal(KcpError.is(error, 'ERR_KCP_IO'), false)
  for (const other of [new Error('closed'), undefined, null, { code: 'ERR_KCP_CLOSED' }, 'ERR_KCP_CLOSED']) {
    equal(KcpError.is(other), false)
  }
})
