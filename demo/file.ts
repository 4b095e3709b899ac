/**
 * Sends a file over one stream, and hears from the other end what arrived.
 * @module
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { connect, type KcpPresetName } from '../src/index.ts'
import { countOf } from './count.ts'
import type { EndStats, FileDigest } from './messages.ts'

export interface FileResult {
  /** From the first byte read to the peer's digest. */
  readonly ms: number
  readonly sent: FileDigest
  readonly received: FileDigest
  readonly stats: EndStats
}

export async function sendFile(
  file: string,
  bytes: number,
  peer: { readonly port: number; readonly preset: KcpPresetName },
): Promise<FileResult> {
  const stream = await connect({
    host: '127.0.0.1',
    ...peer,
    kcp: { streamMode: true },
    // The digest comes back after the file has ended.
    allowHalfOpen: true,
  })
  const hash = createHash('sha256')
  let sent = 0
  const startedAt = performance.now()
  const reply = text(stream)
  await pipeline(
    createReadStream(file, { end: bytes - 1 }),
    async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        hash.update(chunk)
        sent += chunk.length
        yield chunk
      }
    },
    stream,
  )
  const received = JSON.parse(await reply) as FileDigest
  const ms = performance.now() - startedAt
  const stats = countOf(stream)
  await stream.close()
  return { ms, sent: { bytes: sent, sha256: hash.digest('hex') }, received, stats }
}
