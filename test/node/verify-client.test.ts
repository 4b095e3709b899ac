import { deepEqual, equal, ok } from 'node:assert/strict'
import { BlockList } from 'node:net'
import { test } from 'node:test'
import { connect, KcpListener } from '../../src/index.ts'
import { World } from '../support/pair.ts'

test('verifyClient refuses a peer by its address, its conv or its first datagram', async () => {
  const world = new World()
  const asked: { readonly conv: number; readonly size: number; readonly address: string }[] = []
  const { client, listener } = await world.pair({
    preset: 'fast',
    server: {
      verifyClient: ({ peer, conv, datagram }) => {
        asked.push({ conv, size: datagram.length, address: peer.address })
        return conv !== 7
      },
    },
  })
  ok(asked.length === 1 && asked[0]!.conv === client.conv && asked[0]!.size > 24)
  const refused = await world.connect({ conv: 7, preset: 'fast' })
  refused.write('let me in')
  await world.run(1_000)
  const { drops, sessions } = listener.stats()
  equal(sessions, 1)
  ok(drops.refused > 0)
  equal(asked.at(-1)!.conv, 7)
})

test('a block list keeps addresses out, also IPv4 ones of a dual-stack socket', async () => {
  const blockList = new BlockList()
  blockList.addSubnet('127.0.0.0', 8, 'ipv4')
  const listener = await new KcpListener({ preset: 'fast', blockList }).listen()
  const { port } = listener.address()!
  const near = await connect({ host: '127.0.0.1', port, preset: 'fast' })
  near.write('hello')
  // Refused datagrams are repeated, so one is counted before long.
  while (listener.stats().drops.refused === 0) await new Promise((resolve) => setImmediate(resolve))
  equal(listener.stats().sessions, 0)
  const far = await connect({ host: '::1', port, preset: 'fast' })
  far.write('hello')
  const stream = (await listener.accept())!
  deepEqual(String(await stream.recv()), 'hello')
  for (const one of [near, far, stream]) one.destroy()
  await listener.close()
})
