/**
 * Sockets that are tied to their peer a second time; what the kernel does with changed addresses is in test/live.
 */
import { deepEqual, equal, rejects } from 'node:assert/strict'
import { createSocket, type Socket } from 'node:dgram'
import { EventEmitter, once } from 'node:events'
import { test } from 'node:test'
import { nativeUdp } from '../../src/node/native.ts'
import { UdpBatchTransport } from '../../src/node/udp-batch.ts'
import { UdpTransport } from '../../src/node/udp-transport.ts'
import type { PeerAddress } from '../../src/session/transport.ts'

const noAddon = nativeUdp() === undefined ? 'the addon is not in use' : false

for (const [name, bind, skip] of [
  ['node:dgram', () => UdpTransport.bind(), false],
  ['the addon', () => UdpBatchTransport.bind(), noAddon],
] as const) {
  test(`${name}: a socket that is tied again reaches its peer, and hears it`, { skip }, async () => {
    const echo = createSocket('udp4')
    echo.on('message', (datagram, { port, address }) => echo.send(datagram, port, address))
    echo.bind(0, '127.0.0.1')
    await once(echo, 'listening')
    const transport = await bind()
    const got: string[] = []
    const heard = new EventEmitter()
    transport.start({
      onDatagram: (datagram) => {
        got.push(String(Buffer.from(datagram)))
        heard.emit('datagram')
      },
      onError: () => undefined,
      onClose: () => undefined,
    })
    const peer = await transport.connect({ address: '127.0.0.1', port: echo.address().port })
    for (let i = 0; i < 3; i++) {
      const next = once(heard, 'datagram')
      transport.send(Buffer.from(`${i}`), peer)
      await next
      const again: PeerAddress = await transport.connect(peer)
      deepEqual([again.address, again.port], [peer.address, peer.port])
    }
    deepEqual(got, ['0', '1', '2'])
    await transport.close()
    await rejects(transport.connect(peer), { code: 'ERR_KCP_IO' })
    echo.close()
  })
}

/** A socket of dgram whose system has lost the way. */
class LostSocket extends EventEmitter {
  readonly calls: string[] = []
  reachable = true
  tied = false

  remoteAddress(): object {
    if (!this.tied) throw new Error('not connected')
    return { address: '192.0.2.1', port: 7, family: 'IPv4' }
  }
  connect(_port: number, _address: string, done: (error?: Error) => void): void {
    this.calls.push('connect')
    this.tied = this.reachable
    done(
      this.reachable ? undefined : Object.assign(new Error('connect ENETUNREACH'), { code: 'ENETUNREACH' }),
    )
  }
  disconnect(): void {
    this.calls.push('disconnect')
    this.tied = false
  }
  getSendQueueSize(): number {
    return 0
  }
  send(...args: unknown[]): void {
    this.calls.push(args.length === 2 ? 'send' : 'send to an address')
    const done = args.at(-1) as (error: Error | null) => void
    done(this.reachable ? null : Object.assign(new Error('send EINVAL'), { code: 'EINVAL' }))
  }
}

test('a socket that cannot be tied again sends to the address until it can', async () => {
  const socket = new LostSocket()
  const transport = new UdpTransport(socket as unknown as Socket)
  const errors: unknown[] = []
  transport.start({
    onDatagram: () => undefined,
    onError: (error) => errors.push((error as NodeJS.ErrnoException).code),
    onClose: () => undefined,
  })
  const peer = await transport.connect({ address: '192.0.2.1', port: 7 })
  transport.send(Buffer.from('a'), peer)
  socket.reachable = false
  transport.send(Buffer.from('b'), peer)
  deepEqual(errors, ['EINVAL'], 'a tied socket reports that its path is gone')
  await rejects(transport.connect(peer), { code: 'ERR_KCP_IO' })
  transport.send(Buffer.from('c'), peer)
  equal(errors.length, 1, 'one that is tied to nobody chooses the path for each datagram')
  socket.reachable = true
  await transport.connect(peer)
  transport.send(Buffer.from('d'), peer)
  deepEqual(socket.calls, [
    'connect',
    'send',
    'send',
    'disconnect',
    'connect',
    'send to an address',
    'connect',
    'send',
  ])
})
