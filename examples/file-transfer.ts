/**
 * Sends a file as a byte stream, and compares SHA-256 at both ends.
 *
 *   node build/examples/file-transfer.js receive PATH [port]
 *   node build/examples/file-transfer.js send PATH port [host]
 *
 * The receiver takes one file and ends. What travels is the file, then the sender's end; then the hash comes back.
 */
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { connect, KcpSessionConfig, listen } from 'kcp-io'

// A stream of bytes instead of messages, so that any size goes; both ends read on after the other's end.
const config = { ...KcpSessionConfig.turbo({ kcp: { streamMode: true } }), allowHalfOpen: true }

const [role, path, ...rest] = process.argv.slice(2)
if (role === 'receive' && path !== undefined) await receive(path, Number(rest[0] ?? 0))
else if (role === 'send' && path !== undefined && rest[0] !== undefined)
  await send(path, Number(rest[0]), rest[1] ?? '127.0.0.1')
else {
  console.error('usage: file-transfer.js receive PATH [port] | send PATH port [host]')
  process.exitCode = 2
}

async function receive(path: string, port: number): Promise<void> {
  await using server = await listen({ ...config, port })
  console.log(`waiting on port ${server.address()?.port}`)
  const stream = await server.accept()
  if (stream === null) return
  const hash = createHash('sha256')
  stream.on('data', (bytes) => hash.update(bytes))
  // A slow disk holds back the file stream, that holds back the KCP stream, and that closes the sender's window.
  await pipeline(stream, createWriteStream(path))
  const digest = hash.digest('hex')
  console.log(`received ${stream.bytesRead} bytes, sha256 ${digest}`)
  stream.end(digest)
  await stream.close()
}

async function send(path: string, port: number, host: string): Promise<void> {
  const stream = await connect({ ...config, host, port, waitForPeer: true })
  const hash = createHash('sha256')
  const file = createReadStream(path)
  file.on('data', (bytes) => hash.update(bytes))
  const startedAt = performance.now()
  await pipeline(file, stream)
  let answer = ''
  for await (const bytes of stream) answer += String(bytes)
  const seconds = (performance.now() - startedAt) / 1000
  const { bytesWritten } = stream
  console.log(`sent ${bytesWritten} bytes in ${seconds.toFixed(1)} s`)
  await stream.close()
  const same = answer === hash.digest('hex')
  console.log(same ? 'both ends have the same bytes' : `the receiver answered ${answer || 'nothing'}`)
  process.exitCode = same ? 0 : 1
}
