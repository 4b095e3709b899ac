import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { connect, listen } from '../../src/index.ts'
import { createMemoryLink, VirtualClock } from '../../src/sim/index.ts'

for (const streamMode of [true, false]) {
  const mode = streamMode ? 'stream' : 'message'
  test(`a reader slower than the peer's end still gets the end, at once after the last byte (${mode} mode)`, async () => {
    const clock = new VirtualClock(0, { settle: () => turn() })
    const [a, b] = createMemoryLink({ clock, delayMs: 5 })
    const common = { clock, kcp: { streamMode }, allowHalfOpen: true }
    const server = await listen({ ...common, transport: b, ownsTransport: true })
    const { address: host, port } = b.localAddress()
    const client = await connect({ ...common, transport: a, ownsTransport: true, host, port })
    client.write(Buffer.alloc(1_000, 1))
    client.end(Buffer.alloc(1_000, 2))
    const accepted = server.accept()
    await clock.run(1_000)
    const stream = (await accepted)!
    // The readable side takes everything ahead of its reader; the peer's end comes behind it.
    stream.read(0)
    await clock.run(1_000)
    assert.equal(stream.readableLength > 0, true)
    const endedAt: number[] = []
    stream.on('end', () => endedAt.push(clock.now()))
    let bytes = 0
    const before = clock.now()
    stream.on('data', (chunk) => {
      bytes += chunk.length
    })
    for (let i = 0; i < 20; i++) await turn()
    assert.equal(bytes, 2_000)
    assert.deepEqual(endedAt, [before])
    stream.destroy()
    client.destroy()
    await clock.run(1_000)
  })
}
