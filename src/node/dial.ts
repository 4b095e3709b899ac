/**
 * From an address to a session and a way to its peer: all of a connect but the stream.
 * @module
 */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:dgram'
import { configError, requireInteger } from '../core/config.ts'
import { KcpError } from '../core/errors.ts'
import type { PacketCipher } from '../crypto/index.ts'
import {
  type KcpSessionConfig,
  pickSessionConfig,
  type ResolvedSessionConfig,
  resolveSessionConfig,
} from '../session/config.ts'
import { type Connection, connectTo } from '../session/connection.ts'
import { type FecOptions, requireFec } from '../session/fec-options.ts'
import { peerKey, requireConv } from '../session/peer.ts'
import type { Warn } from '../session/pipeline.ts'
import type { Scheduler } from '../session/scheduler.ts'
import type { KcpSession } from '../session/session.ts'
import type { Clock, DatagramTransport, PacketCodec, PeerAddress } from '../session/transport.ts'
import { type Address, parseAddress, resolveHost } from './address.ts'
import { nodeClock, schedulerOf } from './clock.ts'
import { GuardedTransport } from './guarded-transport.ts'
import { hookReporter, type ReportHook } from './hooks.ts'
import { readConnectOptions } from './options.ts'
import { type KcpSecurity, secureClient } from './security.ts'
import { bindUdp } from './udp.ts'
import { UdpTransport } from './udp-transport.ts'

/** What the streams of a connection need from whoever made their sessions. */
export interface StreamBase {
  /** One for each channel. */
  readonly sessions: readonly KcpSession[]
  readonly scheduler: Scheduler
  readonly peer: PeerAddress
  readonly localAddress: () => PeerAddress | undefined
  readonly allowHalfOpen: boolean
  readonly readableHighWaterMark: number | undefined
  readonly writableHighWaterMark: number | undefined
  readonly ref: () => void
  readonly unref: () => void
  /** Hands to the system what the transport keeps for the end of the turn: the second half of a `flush()`. */
  readonly flush: () => void
  /** A handler of a stream threw or rejected; absent: that is the process's to see, as for any emitter. */
  readonly handlerFailed?: (error: unknown) => void
  /**
   * All sessions are over and nobody uses the way to their peer any more. The last 'close' waits for what it returns.
   * Never throws and never rejects.
   */
  readonly released: () => void | Promise<void>
}

/** What streams take beside their session's configuration. */
export interface KcpStreamOptions {
  /** Keep the writable side open when the peer has ended. Default false, as node:net. */
  readonly allowHalfOpen?: boolean
  /** Default: see recvBufferSize; in message mode it counts messages. */
  readonly readableHighWaterMark?: number
  /** Bytes. Default: Node's. */
  readonly writableHighWaterMark?: number
  /** A transformation of whole datagrams, the same at the other end. */
  readonly codec?: PacketCodec
  /** Seals whole datagrams, the same at the other end: `aesGcmCipher(key)` and others. Default none. */
  readonly crypto?: PacketCipher
  /** Forward error correction, at both ends: `{ data: 10, parity: 3 }`. Default none. */
  readonly fec?: FecOptions
  /**
   * Authenticated mode, at both ends: a shared key, or key pairs. A connect then ends with the handshake, and rejects with
   * ERR_KCP_HANDSHAKE when that fails; a listener is silent towards everybody else. Default none.
   */
  readonly security?: KcpSecurity
  /** Default: real time. */
  readonly clock?: Clock
  /**
   * Independent ordered channels to the peer, 1 .. 64; both ends must give the same number, and both be this package.
   * `stream.channels` has them. Default 1.
   */
  readonly channels?: number
}

export type KcpConnectOptions = KcpSessionConfig &
  KcpStreamOptions & {
    readonly port: number
    /** Default 'localhost'. */
    readonly host?: string
    /** Conversation id, 1 .. 4294967295. Default: random, from a CSPRNG. */
    readonly conv?: number
    readonly localAddress?: string
    readonly localPort?: number
    /** Which address of a name to take; 0: the first. Default 0. */
    readonly family?: 0 | 4 | 6
    /** Cancels a connect that has not finished. End a live stream with close(), destroy() or `await using`. */
    readonly signal?: AbortSignal
    /**
     * KCP has no handshake, so a connect succeeds though nobody listens. true, or a time in ms (default 5000): resolve
     * when the peer's first answer came, or reject with ERR_KCP_TIMEOUT; ERR_KCP_CONNECT when its host refused.
     */
    readonly waitForPeer?: boolean | number
    /** A socket of yours, bound; it is not closed with the stream unless `ownsTransport`. */
    readonly socket?: Socket
    /** A transport of yours; `host` and `port` are its peer then. Not closed with the stream unless `ownsTransport`. */
    readonly transport?: DatagramTransport
    readonly ownsTransport?: boolean
  }

/** How long `waitForPeer: true` waits, ms. */
const WAIT_FOR_PEER = 5_000
/** First time between two questions to a silent peer, ms; grows by half each time. */
const ASK_INTERVAL = 200

/** u32 from the system's CSPRNG. */
export function randomU32(): number {
  return randomBytes(4).readUInt32LE()
}

/** Most channels of one conversation. */
const CHANNELS_MAX = 64

/** Throws ERR_KCP_CONFIG unless `channels` is a number of channels; absent: 1. */
export function requireChannels(channels: number | undefined): number {
  return channels === undefined ? 1 : requireInteger('channels', channels, 1, CHANNELS_MAX)
}

/** The conv of channel 0, a multiple of their number: so a server knows from each conv whose channel it is. */
function firstConv(channels: number, wished: number | undefined): number {
  if (wished !== undefined) {
    const conv = requireConv(wished)
    if (conv % channels === 0 && conv + channels <= 2 ** 32) return conv
    throw configError('conv', conv, `a multiple of channels (${channels})`)
  }
  // 0 asks some servers to choose one.
  for (;;) {
    const conv = randomU32()
    const first = conv - (conv % channels)
    if (first !== 0 && first + channels <= 2 ** 32) return first
  }
}

/** The sessions to a peer, one for each channel, before anything arrives. */
export interface Dialled {
  readonly base: StreamBase
  /**
   * Lets datagrams in; the streams must be there. Resolves at once, or with `waitForPeer` once the peer has answered.
   * When it rejects, destroy the streams.
   */
  readonly start: () => Promise<void>
}

/** Opens the way to a peer. Rejects with ERR_KCP_CONFIG, ERR_KCP_CONNECT, ERR_KCP_IO or the signal's reason. */
export async function dial(given: KcpConnectOptions): Promise<Dialled> {
  const options = readConnectOptions(given)
  const { signal, clock = nodeClock, codec, crypto, security, port } = options
  const config = resolveSessionConfig(pickSessionConfig(options))
  const fec = requireFec(options.fec)
  const channels = requireChannels(options.channels)
  const conv = firstConv(channels, options.conv)
  const patience = parsePatience(options.waitForPeer)
  warnOfClamping(options, config)
  signal?.throwIfAborted()
  const report = hookReporter()
  const below = await openTransport({ ...options, port }, config.socketBufferSize, clock, report)
  const { peer, owned } = below
  let transport: DatagramTransport = below.transport
  const release = (): void | Promise<void> => {
    if (owned || security !== undefined) return quietly(() => transport.close())
  }
  if (security !== undefined) {
    try {
      transport = await secureClient({ ...below, security, clock, mtu: config.kcp.mtu, signal })
    } catch (error) {
      if (owned) await quietly(() => below.transport.close())
      throw error
    }
  }

  const scheduler = schedulerOf(clock)
  let connection: Connection<PeerAddress>
  try {
    connection = connectTo({
      transport,
      peer,
      codec,
      cipher: crypto,
      fec,
      config,
      mtu: config.kcp.mtu,
      conv,
      channels,
      clockOffset: randomU32(),
      clock,
      touch: (session) => scheduler.touch(session),
      warn,
    })
  } catch (error) {
    await release()
    throw error
  }
  const { sessions } = connection
  connection.link.traffic.onFault = report
  for (const session of sessions) scheduler.add(session)
  const base: StreamBase = {
    sessions,
    scheduler,
    peer: security === undefined ? peer : { ...peer, publicKey: security.remotePublicKey },
    localAddress: () => transport.localAddress?.(),
    allowHalfOpen: options.allowHalfOpen ?? false,
    readableHighWaterMark: options.readableHighWaterMark,
    writableHighWaterMark: options.writableHighWaterMark,
    ref: () => transport.ref?.(),
    unref: () => transport.unref?.(),
    flush: () => below.transport.flush?.(),
    released: release,
  }
  const lead = sessions[0]!
  const tellAll = (tell: (session: KcpSession) => void): void => {
    for (const session of sessions) {
      tell(session)
      session.onChange?.()
      scheduler.touch(session)
    }
  }
  const key = peerKey(transport, peer)
  const start = async (): Promise<void> => {
    const started = transport.start({
      onDatagram: (datagram, from) => {
        // An unconnected socket hears everybody; only the peer counts.
        if (from !== peer && peerKey(transport, from) !== key) return
        connection.receiveSealed(datagram)
      },
      onError: (error) => {
        // ICMP: the peer's host says that nobody listens. Anything else is loss.
        if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') return
        const refused = `${peer.address}:${peer.port} refused: nobody listens there`
        const code = lead.heard ? 'ERR_KCP_RESET' : 'ERR_KCP_CONNECT'
        // Anybody can forge it: where the peer is authenticated it is never more than a hint.
        const final = security === undefined
        tellAll((session) =>
          session.refused(new KcpError(code, refused, { cause: error }), clock.now(), final),
        )
      },
      onClose: () =>
        tellAll((session) => session.fail('reset', new KcpError('ERR_KCP_IO', 'the transport was closed'))),
      onPeerClosed: (_, error) =>
        tellAll((session) => {
          if (error === undefined) session.peerLeft(new KcpError('ERR_KCP_RESET', 'the peer has left'))
          else session.fail('reset', error)
        }),
      onLargerDatagrams: (_, size) => connection.largerDatagrams(size),
    })
    if (started !== undefined) await unlessAborted(started, signal)
    for (const session of sessions) scheduler.touch(session)
    signal?.throwIfAborted()
    if (patience > 0) await waitForPeer(lead, scheduler, patience, signal)
  }
  return { base, start }
}

/** Host and port for `connect` from an address. */
export function parseConnectAddress(address: Address): { readonly host?: string; readonly port: number } {
  const { host, port } = parseAddress(address)
  return host === undefined ? { port } : { host, port }
}

/** Tells a developer whose interval upstream's limits do not allow; the value in force is in `stream.config`. */
export function warnOfClamping(asked: KcpSessionConfig, config: ResolvedSessionConfig): void {
  const interval = asked.kcp?.interval
  if (interval === undefined || interval === config.kcp.interval) return
  process.emitWarning(`kcp.interval ${interval} is clamped to ${config.kcp.interval} ms`, {
    code: 'KCP_INTERVAL',
  })
}

/** Tells a developer what an end that only counts would hide. Each listener and each stream says a thing once. */
export const warn: Warn = (code, message) => process.emitWarning(message, { code })

function parsePatience(waitForPeer: boolean | number | undefined): number {
  if (waitForPeer === undefined || waitForPeer === false) return 0
  if (waitForPeer === true) return WAIT_FOR_PEER
  return requireInteger('waitForPeer', waitForPeer, 1, 0x7fff_ffff)
}

async function openTransport(
  options: KcpConnectOptions,
  bufferSize: number,
  clock: Clock,
  report: ReportHook,
): Promise<{
  readonly transport: DatagramTransport
  readonly peer: PeerAddress
  readonly owned: boolean
  /** Ties a socket of ours to the peer again, from the local address that fits by now. A failure is loss. */
  readonly reconnect?: () => void
}> {
  const { host = 'localhost', port, signal } = options
  if (options.transport !== undefined) {
    return {
      transport: new GuardedTransport(options.transport, clock, report),
      peer: { address: host, port },
      owned: options.ownsTransport ?? false,
    }
  }
  const found = await unlessAborted(resolveHost(host, options.family ?? 0), signal)
  const peer = { ...found, port }
  if (options.socket !== undefined) {
    const ownsSocket = options.ownsTransport ?? false
    // Letting go of the transport takes its listeners off the socket; closing the socket is its owner's.
    return { transport: new UdpTransport(options.socket, { ownsSocket }), peer, owned: true }
  }
  const transport = await bindUdp({
    family: peer.family === 'IPv6' ? 6 : 4,
    port: options.localPort ?? 0,
    bufferSize,
    ...(options.localAddress === undefined ? {} : { address: options.localAddress }),
    ...(signal === undefined ? {} : { signal }),
  })
  try {
    // The peer's address as the system writes it: what its datagrams will come from.
    const connected = await transport.connect(peer)
    const reconnect = (): void => void transport.connect(connected).catch(() => undefined)
    return { transport, peer: connected, owned: true, reconnect }
  } catch (error) {
    await transport.close()
    throw error
  }
}

/** What `close` returns, without its failure: a way that cannot be closed is gone all the same. */
export async function quietly(close: () => void | Promise<void>): Promise<void> {
  try {
    await close()
  } catch {
    // The port may stay taken; nobody can do more about that.
  }
}

/** The outcome of a wait, or the signal's reason if that comes first. */
export async function unlessAborted<T>(wait: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return wait
  signal.throwIfAborted()
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    wait.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/** Asks until the peer is heard. */
function waitForPeer(
  session: KcpSession,
  scheduler: Scheduler,
  patience: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { clock } = scheduler
  return new Promise((resolve, reject) => {
    let interval = ASK_INTERVAL
    let asking: unknown
    const onChange = session.onChange
    const settle = (error?: unknown): void => {
      clock.clearTimeout(asking)
      clock.clearTimeout(limit)
      signal?.removeEventListener('abort', onAbort)
      session.onChange = onChange
      if (error === undefined) resolve()
      else reject(error)
      onChange?.()
    }
    const onAbort = (): void => settle(signal?.reason)
    const limit = clock.setTimeout(() => {
      settle(
        new KcpError('ERR_KCP_TIMEOUT', `the peer did not answer within ${patience} ms`, {
          detail: { timeout: patience },
        }),
      )
    }, patience)
    const ask = (): void => {
      session.ask(clock.now())
      scheduler.touch(session)
      asking = clock.setTimeout(ask, interval)
      interval *= 1.5
    }
    session.onChange = () => {
      if (session.closeError !== undefined) settle(session.closeError)
      else if (session.heard) settle()
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    ask()
  })
}
