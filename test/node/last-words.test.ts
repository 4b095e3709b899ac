/**
 * What a process sends in the turn in which it ends: over the addon, which gathers a turn, as over node:dgram.
 */
import { deepEqual } from 'node:assert/strict'
import { fork } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { connect, listen } from '../../src/index.ts'

if (process.send !== undefined && process.argv[2] !== undefined)
  await speak(process.argv[2], Number(process.argv[3]))
else {
  test('last words before process.exit arrive, and so does the end', { timeout: 60_000 }, async () => {
    for (const how of ['flush', 'destroy', 'exit']) {
      const server = await listen({ port: 0, host: '127.0.0.1', preset: 'fast', idleTimeout: 2_000 })
      const { port } = server.address()!
      const child = fork(fileURLToPath(import.meta.url), [how, String(port)])
      const stream = (await server.accept())!
      const got: string[] = []
      stream.on('data', (message: Buffer) => got.push(String(message)))
      const reason = await new Promise<string>((resolve) => stream.once('close', resolve))
      deepEqual([how, got.join(), reason], [how, ...EXPECTED[how]!])
      child.kill()
      await server.close()
    }
  })
}

const EXPECTED: Readonly<Record<string, readonly [string, string]>> = {
  flush: ['first,last', 'timeout'],
  // All was acknowledged: that is an orderly end.
  destroy: ['first', 'peer'],
  exit: ['first,in exit', 'timeout'],
}

async function speak(how: string, port: number): Promise<void> {
  const client = await connect({ host: '127.0.0.1', port, preset: 'fast' })
  await client.send('first')
  await client.flushed()
  if (how === 'flush') {
    client.trySend('last')
    client.flush()
  } else if (how === 'destroy') client.destroy()
  else {
    process.on('exit', () => {
      client.trySend('in exit')
      client.flush()
    })
  }
  process.exit()
}
