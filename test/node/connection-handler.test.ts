import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect, type KcpStream, listen } from '../../src/index.ts'

test('an async handler that fails with the end of its own stream does not end the process', async () => {
  const unhandled: unknown[] = []
  const note = (error: unknown): void => void unhandled.push(error)
  process.on('unhandledRejection', note)
  const ended: string[] = []
  const server = await listen({ host: '127.0.0.1', port: 0 }, async (stream) => {
    stream.on('close', (reason) => ended.push(reason))
    for await (const message of stream) await stream.send(message)
  })
  const errors: Error[] = []
  server.on('error', (error) => errors.push(error))
  try {
    const { port } = server.address()!
    const reset = await connect({ port, host: '127.0.0.1' })
    await reset.send('a')
    await reset.recv()
    reset.destroy(new Error('mine')) // the peer gives up: a reset at the server
    const alive = await connect({ port, host: '127.0.0.1' })
    await alive.send('b')
    assert.equal(String(await alive.recv()), 'b', 'the listener goes on')
    server.closeAllConnections() // destroyed here, under the handler's loop
    await server.close()
    await alive.close()
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(ended.sort(), ['local', 'reset'])
    assert.deepEqual(errors, [])
    assert.deepEqual(unhandled, [])
  } finally {
    process.off('unhandledRejection', note)
  }
})

test("what a handler does wrong itself is the listener's 'error', and its stream is destroyed", async () => {
  let handled: KcpStream | undefined
  const server = await listen({ host: '127.0.0.1', port: 0 }, async (stream) => {
    handled = stream
    await stream.recv()
    throw new TypeError('a fault of the program')
  })
  const failed = new Promise<Error>((resolve) => server.once('error', resolve))
  const stream = await connect({ port: server.address()!.port, host: '127.0.0.1' })
  await stream.send('a')
  assert.match(String(await failed), /TypeError: a fault of the program/)
  assert.equal(handled?.destroyed, true)
  stream.destroy()
  await server.close()
})
