/**
 * Links over KCP: a stream of `kcp-io`, Snappy's framing unless both ends do without, smux.
 * @module
 */
import { randomInt } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { KcpError } from '../../core/errors.ts'
import { nodeClock } from '../../node/clock.ts'
import { connect } from '../../node/connect.ts'
import { KcpListener } from '../../node/kcp-listener.ts'
import type { KcpStream } from '../../node/kcp-stream.ts'
import { SmuxSession } from '../../node/smux.ts'
import type { Clock } from '../../session/transport.ts'
import type { SmuxConfig } from '../../smux/config.ts'
import { showAddress } from './address.ts'
import type { Counters } from './counters.ts'
import type { Link } from './link.ts'
import type { ClientSettings, ServerSettings } from './settings.ts'
import { SnappyStream } from './snappy-stream.ts'

/** Longest wait for a server's first answer, ms. */
const ANSWER_TIMEOUT = 5_000
/** Longest that a client may say nothing that smux could judge, ms: smux's own limit on silence. */
const SPEECHLESS = 30_000

/** Sessions to the server of `settings`. Rejects with a sentence that says what may be wrong. */
export function dialer(settings: ClientSettings, counters: Counters): () => Promise<Link> {
  const { remote, session, smux, compress } = settings
  return async () => {
    const port = randomInt(remote.low, remote.high + 1)
    const where = showAddress(remote.host, port)
    const stream = await connect({ ...session, host: remote.host, port, waitForPeer: ANSWER_TIMEOUT }).catch(
      (error) => {
        const why = (error as Error).message
        throw new Error(
          (error as { code?: string }).code === 'ERR_KCP_TIMEOUT'
            ? `no answer from ${where}: is the server there, and has it the same --key and --crypt?`
            : `${where}: ${why}`,
        )
      },
    )
    counters.opened(stream, 'active')
    return makeLink(stream, 'client', smux, compress ? new SnappyStream(stream) : stream)
  }
}

/** Listens at every port of `settings` and hands over sessions. Rejects with ERR_KCP_IO. */
export async function listenKcp(
  settings: ServerSettings,
  counters: Counters,
  onLink: (link: Link) => void,
  clock: Clock = nodeClock,
): Promise<KcpListener[]> {
  const { listen, session, maxSessions } = settings
  const listeners: KcpListener[] = []
  let links = 0
  try {
    for (let port = listen.low; port <= listen.high; port++) {
      const listener = new KcpListener(
        {
          ...session,
          maxConnections: maxSessions,
          maxConnectionsPerHost: maxSessions,
          verifyClient: () => links < maxSessions,
        },
        (stream) => {
          links++
          stream.once('close', () => links--)
          counters.opened(stream, 'passive')
          serveStream(stream, settings, onLink, clock)
        },
      )
      listeners.push(listener)
      await listener.listen({ port, ...(listen.host === undefined ? {} : { host: listen.host }) })
    }
  } catch (error) {
    for (const listener of listeners) void listener.close()
    throw error
  }
  return listeners
}

function serveStream(
  stream: KcpStream,
  settings: ServerSettings,
  onLink: (link: Link) => void,
  clock: Clock,
): void {
  const { smux, compress, anySmuxVersion } = settings
  const bytes = compress ? new SnappyStream(stream) : stream
  const serve = (version: 1 | 2): void => onLink(makeLink(stream, 'server', { ...smux, version }, bytes))
  if (!anySmuxVersion) {
    serve(smux.version ?? 1)
    return
  }
  // A session that fails before it said anything was none; its end is the listener's business.
  bytes.on('error', () => undefined)
  const timer = clock.setTimeout(() => bytes.destroy(), SPEECHLESS)
  bytes.once('readable', () => {
    clock.clearTimeout(timer)
    const first = bytes.read() as Buffer | null
    if (first === null) return
    bytes.unshift(first)
    serve(first[0] === 2 ? 2 : 1)
  })
}

function makeLink(stream: KcpStream, role: 'client' | 'server', config: SmuxConfig, bytes: Duplex): Link {
  const mux = new SmuxSession(bytes, { ...config, role, allowHalfOpen: true })
  const peer = {
    address: stream.remoteAddress,
    port: stream.remotePort,
    ...(stream.remoteFamily === undefined ? {} : { family: stream.remoteFamily }),
  }
  const name = `${showAddress(peer.address, peer.port)} conv ${stream.conv.toString(16).padStart(8, '0')}`
  const closed = new Promise<string>((resolve) => {
    mux.once('close', (reason, error) => {
      // The Duplex between them only knows that it is gone.
      const why = error?.message ?? stream.errored?.message
      resolve(
        reason === 'local'
          ? ''
          : why === undefined
            ? reason
            : `${reason}: ${why}${hint(error, error?.cause, stream.errored)}`,
      )
    })
  })
  return {
    name,
    peer,
    local: stream.address(),
    get streams() {
      return mux.streams.size
    },
    closed,
    open: () => mux.open(),
    onStream: (take) => void mux.on('stream', take),
    close: () => mux.close(),
    destroy: () => mux.destroy(),
  }
}

/** What a breach of the protocol below usually means. */
function hint(...errors: readonly unknown[]): string {
  const broken = errors.some((error) => KcpError.is(error, 'ERR_KCP_PROTOCOL'))
  return broken ? ' (have both ends the same --nocomp and --smuxver?)' : ''
}
