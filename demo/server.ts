/**
 * The demo's listener process: one listener for each lane, because both ends of a conversation choose its preset. The
 * file's listener hashes what it gets and answers with the digest; the others send every message back.
 * @module
 */
import { createHash } from 'node:crypto'
import { type KcpListener, type KcpStream, listen } from '../src/index.ts'
import { countOf } from './count.ts'
import { type EndStats, type FileDigest, type Lane, type Lanes, progress, serve } from './messages.ts'

const listeners: KcpListener[] = []
const streams: Map<Lane, KcpStream> = new Map()

const report = serve(async (message) => {
  if (message.kind === 'start') await start(message.lanes)
  else if (message.kind === 'count') count()
  else if (message.kind === 'stop') await stop()
})

async function start(lanes: Lanes): Promise<void> {
  const ports: Partial<Record<Lane, number>> = {}
  for (const [name, preset] of Object.entries(lanes)) {
    const lane = name as Lane
    const isFile = lane === 'file'
    const listener = await listen({
      host: '127.0.0.1',
      preset,
      kcp: { streamMode: isFile },
      // The digest goes back after the file has ended.
      allowHalfOpen: isFile,
    })
    listener.on('connection', (stream) => {
      streams.set(lane, stream)
      const work = isFile ? receiveFile(stream) : echo(stream)
      work.catch((error: Error) => report({ kind: 'failed', message: `${lane}: ${error.message}` }))
    })
    listeners.push(listener)
    ports[lane] = listener.address()!.port
  }
  report({ kind: 'ready', ports })
}

async function echo(stream: KcpStream): Promise<void> {
  for (let message = await stream.recv(); message !== null; message = await stream.recv()) {
    await stream.send(message)
  }
  stream.end()
}

async function receiveFile(stream: KcpStream): Promise<void> {
  const hash = createHash('sha256')
  const onBytes = progress(report)
  // Not `for await`: Node's iterator destroys a stream that it has read to the end, and the answer is still to come.
  for (let chunk = await stream.recv(); chunk !== null; chunk = await stream.recv()) {
    hash.update(chunk)
    onBytes(stream.bytesRead)
  }
  const digest: FileDigest = { bytes: stream.bytesRead, sha256: hash.digest('hex') }
  stream.end(JSON.stringify(digest))
}

function count(): void {
  const stats: Partial<Record<Lane, EndStats>> = {}
  for (const [lane, stream] of streams) stats[lane] = countOf(stream)
  report({ kind: 'counted', stats })
}

async function stop(): Promise<void> {
  await Promise.all(listeners.map((listener) => listener[Symbol.asyncDispose]()))
  process.exit(0)
}
