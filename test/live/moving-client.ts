/**
 * An end of the test of changed addresses, in a network namespace: a server that echoes, or a client that sends what it is
 * told to. Speaks over the IPC channel.
 */
import { connect, listen } from '../../src/index.ts'

const [role, host] = process.argv.slice(2) as ['server' | 'client', string]
const tell = (message: object): void => void process.send?.(message)
const options = {
  preset: 'fast',
  idleTimeout: 60_000,
  security: { psk: new Uint8Array(32).fill(3) },
} as const
const PORT = 4_000

if (role === 'server') {
  await listen({ host, port: PORT, ...options }, (stream) => {
    stream.on('data', (message) => void stream.send(message).catch(() => undefined))
    stream.on('error', () => undefined)
  })
  tell({ event: 'listening' })
} else {
  const stream = await connect({ host, port: PORT, ...options })
  stream.on('data', (message) => tell({ event: String(message), from: stream.localAddress }))
  stream.on('error', (error) => tell({ event: 'error', error: String(error) }))
  tell({ event: 'connected' })
  process.on('message', (text) => void stream.send(String(text)).catch(() => undefined))
}
process.on('disconnect', () => process.exit())
