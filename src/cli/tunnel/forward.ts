/**
 * One TCP connection and one stream of a session, joined: what one says the other hears, with back-pressure, and each
 * direction ends for itself.
 * @module
 */
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { SmuxStream } from '../../node/smux.ts'
import type { Clock } from '../../session/transport.ts'

export interface ForwardOptions {
  readonly clock: Clock
  /** Once the stream's peer has ended: ms without a byte after which the connection is taken for forgotten. */
  readonly closeWait: number
}

export interface Forwarded {
  /** Bytes that went from the connection to the stream. */
  readonly up: number
  /** And from the stream to the connection. */
  readonly down: number
  /** '' when both had said all; else what ended it. */
  readonly why: string
}

/** What a program needs at least to hear an end and to end too, ms. */
const CLOSE_WAIT_MIN = 1_000
/** The same while the stream takes nothing: its reader is slow, or gone. As the session's own limit on silence, ms. */
const BLOCKED_MAX = 30_000
/** Looks at a half-closed pair during one wait. */
const LOOKS = 4

/**
 * Forwards until both are closed. Both must allow half-open ends. When one breaks off, so does the other: the
 * connection with a reset, as its peer must not take what it got for all.
 *
 * A connection that has ended may be written to for ever: TCP tells when nobody is there any more. A stream that has
 * ended may not: smux has one word for "I said all" and "I am gone", and what is sent to who is gone is sent in vain.
 */
export function forward(connection: Duplex, stream: Duplex, options: ForwardOptions): Promise<Forwarded> {
  const { clock, closeWait } = options
  return new Promise((resolve) => {
    let up = 0
    let down = 0
    let why = ''
    let open = 2
    let timer: unknown
    const breakOff = (reason: string): void => {
      if (why === '') why = reason
      reset(stream)
      reset(connection)
    }
    const watch = (one: Duplex, name: string): void => {
      let failed = ''
      one.on('error', (error) => (failed = error.message))
      one.once('close', () => {
        // Whole: it has said all, and taken all.
        if (!one.readableEnded || !one.writableFinished) {
          breakOff(failed === '' ? `the ${name} was closed` : `the ${name} failed: ${failed}`)
        }
        if (--open > 0) return
        clock.clearTimeout(timer)
        resolve({ up, down, why })
      })
      // It may be over already.
      if (one.destroyed) one.emit('close')
    }
    connection.on('data', (chunk: Uint8Array) => {
      up += chunk.length
    })
    stream.on('data', (chunk: Uint8Array) => {
      down += chunk.length
    })
    stream.once('end', () => {
      const wait = Math.max(closeWait, CLOSE_WAIT_MIN)
      let activeAt = clock.now()
      let seen = progress(up, stream)
      // What counts is silence: a long upload behind an early end of the answer is in nobody's way.
      const look = (): void => {
        const now = clock.now()
        const seenNow = progress(up, stream)
        if (seenNow !== seen) activeAt = now
        seen = seenNow
        const limit = stream.writableLength > 0 ? Math.max(wait, BLOCKED_MAX) : wait
        if (now - activeAt >= limit) breakOff(`it was silent for ${limit / 1000} s after its peer had ended`)
        else timer = clock.setTimeout(look, Math.min(wait / LOOKS, activeAt + limit - now))
      }
      connection.on('data', () => {
        activeAt = clock.now()
        seen = progress(up, stream)
      })
      timer = clock.setTimeout(look, wait / LOOKS)
    })
    connection.pipe(stream)
    stream.pipe(connection)
    watch(connection, 'connection')
    watch(stream, 'stream')
  })
}

/** Changes whenever a byte comes from the connection, or leaves towards the peer. */
function progress(up: number, stream: Duplex): string {
  const { bytesWritten } = stream as { bytesWritten?: unknown }
  return `${up} ${stream.writableLength} ${bytesWritten}`
}

/** Ends a connection or a stream so that its peer sees that something went wrong, where there is a way to say so. */
export function reset(one: Duplex): void {
  // A Unix socket has no reset.
  if (one instanceof SmuxStream || (one instanceof Socket && one.remoteFamily !== undefined))
    one.resetAndDestroy()
  else one.destroy()
}
