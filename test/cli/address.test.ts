import { deepEqual, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { parsePortRange, parseTcpAddress, showAddress } from '../../src/cli/tunnel/address.ts'

test('addresses as kcptun writes them', () => {
  deepEqual(parsePortRange('listen', ':29900', 0), { host: undefined, low: 29900, high: 29900 })
  deepEqual(parsePortRange('listen', '1.2.3.4:3000-4000', 1), { host: '1.2.3.4', low: 3000, high: 4000 })
  deepEqual(parsePortRange('listen', '[::1]:5', 1), { host: '::1', low: 5, high: 5 })
  deepEqual(parseTcpAddress('target', 'host.example:80', 1), { host: 'host.example', port: 80 })
  deepEqual(parseTcpAddress('localaddr', ':0', 0), { host: undefined, port: 0 })
})

test('what has no port is the path of a Unix socket', () => {
  deepEqual(parseTcpAddress('target', 'service.sock', 1), { path: 'service.sock' })
  deepEqual(parseTcpAddress('target', '/run/a:1.sock', 1), { path: '/run/a:1.sock' })
})

test('others are refused with the option and the text', () => {
  for (const text of ['29900', ':', ':65536', 'a:b', '::1:5', 'h:9-8', 'h:1-65536', 'h:-5', 'h:0']) {
    throws(() => parsePortRange('remoteaddr', text, 1), {
      name: 'UsageError',
      message: `--remoteaddr must be HOST:PORT or HOST:LOW-HIGH with ports 1..65535, got "${text}"`,
    })
  }
  throws(() => parseTcpAddress('target', 'h:1-2', 1), { message: '--target takes one port, got "h:1-2"' })
  throws(() => parseTcpAddress('target', '', 1), { message: '--target must not be empty' })
})

test('addresses for people', () => {
  equal(showAddress('1.2.3.4', 5), '1.2.3.4:5')
  equal(showAddress('::1', 5), '[::1]:5')
  equal(showAddress(undefined, 5), ':5')
})
