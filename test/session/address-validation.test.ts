import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { Kcp } from '../../src/core/kcp.ts'
import { AddressValidation } from '../../src/session/address-validation.ts'

function validation(validated = false): { address: AddressValidation; kcp: Kcp } {
  const kcp = new Kcp(1, () => undefined, 'fast')
  kcp.update(0)
  return { address: new AddressValidation(kcp, validated), kcp }
}

test('a peer whose address is not validated gets three times what it sent, and not a byte more', () => {
  const { address } = validation()
  equal(address.trySpend(1), false)
  address.credit(100)
  equal(address.trySpend(301), false)
  equal(address.trySpend(200), true)
  equal(address.trySpend(100), true)
  equal(address.trySpend(1), false)
})

test('a validated address has no budget', () => {
  const { address } = validation(true)
  equal(address.trySpend(1e12), true)
  equal(address.challengeAt, Number.POSITIVE_INFINITY)
  const late = validation().address
  late.markValidated()
  equal(late.trySpend(1e12), true)
})

test('eight challenges are free, within five seconds; the peer pays for the next', () => {
  const { address } = validation()
  const times: number[] = []
  for (let now = 0; now <= 6_000; now += 10) {
    if (now < address.challengeAt) continue
    times.push(now)
    address.challenge(now)
  }
  deepEqual(times, [0, 250, 750, 1_500, 2_250, 3_000, 3_750, 4_500])
  address.credit(8)
  equal(address.challengeAt <= 6_000, true)
})
