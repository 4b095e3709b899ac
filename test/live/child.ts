/**
 * The other process of the live tests: a listener that echoes or hashes, or a client that just stays. Speaks over the
 * IPC channel.
 */
import { createHash } from 'node:crypto'
import { connect, type KcpStream, listen } from '../../src/index.ts'

type Role = 'echo' | 'hash' | 'client'

const [role, port] = process.argv.slice(2) as [Role, string | undefined]
const tell = (message: object): void => void process.send?.(message)
const config = { preset: 'fast', idleTimeout: 2_000, keepAlive: 500 } as const

async function hash(stream: KcpStream): Promise<void> {
  const sum = createHash('sha256')
  let bytes = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    sum.update(chunk)
    bytes += chunk.length
  }
  tell({ event: 'hash', bytes, sha256: sum.digest('hex') })
}

async function echo(stream: KcpStream): Promise<void> {
  for (let message = await stream.recv(); message !== null; message = await stream.recv())
    await stream.send(message)
}

if (role === 'client') {
  const stream = await connect({ host: '127.0.0.1', port: Number(port), ...config })
  await stream.send('here')
  tell({ event: 'connected', conv: stream.conv })
} else {
  const kcp = role === 'hash' ? { streamMode: true, sndWnd: 1024, rcvWnd: 1024 } : {}
  const options = role === 'hash' ? { ...config, idleTimeout: 30_000, kcp } : { ...config, kcp }
  const listener = await listen(
    { host: '127.0.0.1', maxPendingPerHost: 2_000, maxPending: 2_000, ...options },
    (stream) => {
      stream.on('close', (reason) =>
        tell({ event: 'closed', conv: stream.conv, reason, error: stream.errored?.message }),
      )
      const work = role === 'hash' ? hash(stream) : echo(stream)
      work.catch(() => undefined)
    },
  )
  tell({ event: 'listening', port: listener.address()?.port })
  process.on('message', (ask) => {
    if (ask === 'stats') tell({ event: 'stats', ...listener.stats() })
  })
}
process.on('disconnect', () => process.exit())
