import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { connect, KcpError, KcpListener, listen, type PacketCodec } from '../../src/index.ts'
import { hasReusePort, UdpTransport } from '../../src/node/udp-transport.ts'

test('what is no codec is refused at the door, by field, value and what is allowed', async () => {
  for (const codec of [null, 7, {}, { overhead: 0, encode: () => null }]) {
    const wrong = { port: 1, codec: codec as unknown as PacketCodec }
    await rejects(
      connect(wrong),
      (error) => KcpError.is(error, 'ERR_KCP_CONFIG') && error.detail['field'] === 'codec',
    )
    throws(() => new KcpListener({ codec: wrong.codec }), { code: 'ERR_KCP_CONFIG' })
  }
  const overhead = -1
  const encode = () => null
  await rejects(connect({ port: 1, codec: { overhead, encode, decode: encode } }), (error) => {
    ok(KcpError.is(error, 'ERR_KCP_CONFIG'))
    deepEqual(error.detail, { field: 'codec.overhead', value: -1, allowed: 'a whole number within 0..65507' })
    return true
  })
})

test('a codec that leaves no mtu is refused at the door, and no socket is left open', async () => {
  const codec: PacketCodec = {
    overhead: 1_351,
    encode: (datagram) => datagram,
    decode: (datagram) => datagram,
  }
  const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === 'UDPWrap').length
  const before = sockets()
  const refused = (error: unknown): boolean => {
    ok(KcpError.is(error, 'ERR_KCP_CONFIG'))
    deepEqual([error.detail['field'], error.detail['value']], ['kcp.mtu', 49])
    return true
  }
  // Found as an uncaught exception on the first datagram, and a socket that stayed open.
  await rejects(listen({ host: '127.0.0.1', codec }), refused)
  await rejects(connect({ host: '127.0.0.1', port: 9, codec }), refused)
  while (sockets() > before) await new Promise((resolve) => setImmediate(resolve))
  const listener = await listen({ host: '127.0.0.1', codec: { ...codec, overhead: 1_350 } })
  await listener.close()
})

test('reusePort fails clearly where neither Node nor the addon has it', async () => {
  deepEqual(['20.20.2', '22.11.0', '22.12.0', '23.0.0', '23.1.0', '24.0.0'].map(hasReusePort), [
    false,
    false,
    true,
    false,
    true,
    true,
  ])
  if (hasReusePort(process.versions.node)) return
  await rejects(UdpTransport.bind({ address: '127.0.0.1', reusePort: true }), { code: 'ERR_KCP_CONFIG' })
})

test('an interval that upstream clamps is told as a warning, once per call', async () => {
  const warnings: string[] = []
  const hear = (warning: Error): number => warnings.push(warning.message)
  process.on('warning', hear)
  const listener = new KcpListener({ preset: 'fast', kcp: { interval: 1 } })
  equal(listener.config.kcp.interval, 10)
  await new Promise((resolve) => setImmediate(resolve))
  process.off('warning', hear)
  deepEqual(warnings, ['kcp.interval 1 is clamped to 10 ms'])
})
