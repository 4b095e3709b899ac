/** The instruments themselves: two kcp-go peers and the relay, before anything of ours is between them. */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { startRelay } from '../support/relay.ts'
import { GoPeer, goPeerBinary, patternMessages } from './go.ts'

const skip = goPeerBinary() === undefined ? 'no kcp-go on this machine' : false

test('two kcp-go peers talk through a relay that loses 10 %', { skip, timeout: 30_000 }, async () => {
  const nodelay = [1, 10, 2, 1] as const
  const sizes = [1, 100, 1376, 1377, 4000]
  const count = 200
  const messages = patternMessages(count, sizes)
  const bytes = messages.reduce((sum, message) => sum + message.length, 0)
  const sha256 = createHash('sha256').update(Buffer.concat(messages)).digest('hex')

  await using server = await GoPeer.start({ mode: 'server', role: 'echo', nodelay })
  const bad = { loss: 0.1, delayMs: 2 }
  await using relay = await startRelay({ target: server.address, toServer: bad, toClient: bad, seed: 3 })
  const addr = `${relay.address}:${relay.port}`
  await using client = await GoPeer.start({
    mode: 'client',
    role: 'duplex',
    addr,
    conv: 0x11223344,
    nodelay,
    count,
    sizes,
    bytes,
  })
  equal((await server.next('accepted')).conv, 0x11223344)
  const done = await client.next('done')
  equal(done.sentSha256, sha256)
  equal(done.sha256, sha256)
  equal(done.bytes, bytes)
  // kcp-go cuts at mss by itself: 1377 is two messages, 4000 three.
  deepEqual(done.sizes?.slice(0, 8), [1, 100, 1376, 1376, 1, 1376, 1376, 1248])
  const { toServer, toClient } = relay.stats()
  ok(toServer.lost > 0 && toClient.lost > 0, 'the relay lost nothing')
})
