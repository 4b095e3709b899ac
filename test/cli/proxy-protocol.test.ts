import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { type Endpoint, proxyHeader } from '../../src/cli/tunnel/proxy-protocol.ts'

const SIGNATURE = '0d0a0d0a000d0a515549540a'
const hex = (source: Endpoint, destination?: Endpoint): string =>
  Buffer.from(proxyHeader(source, destination)).toString('hex')

test('IPv4', () => {
  equal(
    hex({ address: '192.0.2.1', port: 0x1234 }, { address: '198.51.100.2', port: 443 }),
    `${SIGNATURE}2111000c` + 'c0000201' + 'c6336402' + '1234' + '01bb',
  )
})

test('IPv6, however it is written', () => {
  const there = { address: '2001:db8::1:2', port: 443 }
  const tail = '20010db8000000000000000000010002' + '0001' + '01bb'
  for (const [address, bytes] of [
    ['::1', '00000000000000000000000000000001'],
    ['::', '00000000000000000000000000000000'],
    ['fe80::1%eth0', 'fe800000000000000000000000000001'],
    ['2001:db8::', '20010db8000000000000000000000000'],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['64:ff9b::192.0.2.33', '0064ff9b0000000000000000c0000221'],
  ] as const) {
    equal(hex({ address, port: 1 }, there), `${SIGNATURE}21210024${bytes}${tail}`, address)
  }
})

test('IPv4 within IPv6 is IPv4', () => {
  for (const address of ['::ffff:192.0.2.1', '::ffff:c000:201', '192.0.2.1']) {
    equal(
      hex({ address, port: 1 }, { address: '::ffff:198.51.100.2', port: 2 }),
      `${SIGNATURE}2111000c` + 'c0000201' + 'c6336402' + '0001' + '0002',
      address,
    )
  }
})

test('a destination of the other family, or an unknown one, is unspecified', () => {
  equal(
    hex({ address: '192.0.2.1', port: 1 }, { address: '::', port: 2 }),
    `${SIGNATURE}2111000c${'c0000201'}${'00000000'}00010002`,
  )
  equal(hex({ address: '192.0.2.1', port: 1 }), `${SIGNATURE}2111000c${'c0000201'}${'00000000'}00010000`)
})

test('a source that is no IP address: the header says that there is nothing to tell', () => {
  equal(hex({ address: 'memory', port: 1 }, { address: '::', port: 2 }), `${SIGNATURE}20000000`)
})
