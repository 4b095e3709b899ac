import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { connect, listen } from '../../src/index.ts'
import { createMemoryLink, VirtualClock } from '../../src/sim/index.ts'

test('what a handler wrote before its `for await` ended arrives, whatever the path loses', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    // Node gives the stream an AbortError then if its writable side is open.
    const allowHalfOpen = seed % 2 === 0
    const clock = new VirtualClock(0, { settle: () => turn() })
    const [a, b] = createMemoryLink({ clock, delayMs: 20, loss: 0.1, seed })
    const common = { ownsTransport: true, clock, preset: 'fast' } as const
    const server = await listen({ ...common, allowHalfOpen, transport: b }, async (stream) => {
      // Node destroys a stream when its `for await` is over; from Node 24 on, as net.Socket's, not if it is open for writes.
      for await (const message of stream) await stream.send(`echo ${message}`)
      if (!stream.destroyed) stream.end()
    })
    const { address: host, port } = b.localAddress()
    const stream = await connect({ ...common, transport: a, host, port })
    const got: string[] = []
    let outcome: unknown
    const reading = (async () => {
      for await (const message of stream) got.push(String(message))
    })().then(
      () => (outcome = 'end'),
      (error) => (outcome = error),
    )
    stream.write('one')
    stream.end('two')
    await clock.until(() => outcome !== undefined)
    await reading
    assert.deepEqual([outcome, ...got], ['end', 'echo one', 'echo two'], `seed ${seed}`)
    let closed = false
    void server.close().then(() => (closed = true))
    await clock.until(() => closed)
    assert.equal(server.stats().sessions, 0, `seed ${seed}`)
  }
})

test("destroy() before the peer's end is at once, and what was written is sent once", async () => {
  const clock = new VirtualClock(0, { settle: () => turn() })
  const [a, b] = createMemoryLink({ clock, delayMs: 20 })
  const common = { ownsTransport: true, clock, preset: 'fast' } as const
  const server = await listen({ ...common, transport: b })
  const { address: host, port } = b.localAddress()
  const stream = await connect({ ...common, transport: a, host, port })
  let reason: string | undefined
  stream.on('close', (why) => (reason = why))
  stream.write('lost')
  stream.destroy()
  await turn()
  assert.equal(reason, 'local')
  assert.equal(stream.bytesWritten, 4)
  await clock.run(1_000)
  assert.equal(server.stats().accepted, 1)

  const closing = server.close()
  await clock.run(1_000)
  await closing
})
