/**
 * The door of connect, listen and createServer: their options are read once, checked, copied and frozen here, before a
 * socket is opened. What the caller changes later changes nothing.
 * @module
 */

import type { Socket } from 'node:dgram'
import type { BlockList } from 'node:net'
import { configError, requireBoolean, requireInteger } from '../core/config.ts'
import { KcpError } from '../core/errors.ts'
import {
  namesIn,
  optionNames,
  readOptions,
  readSafely,
  requireMethods,
  requireOptions,
} from '../core/options.ts'
import { type pickSessionConfig, sessionHint, sessionNames } from '../session/config.ts'
import { requireCipher, requireFec } from '../session/fec-options.ts'
import { requireConv } from '../session/peer.ts'
import { type Clock, type DatagramTransport, requireCodec } from '../session/transport.ts'
import { familyOf, requirePort } from './address.ts'
import type { KcpConnectOptions, KcpStreamOptions } from './dial.ts'
import { isDeferred } from './hooks.ts'
import type { KcpListenerOptions, KcpListenOptions } from './kcp-listener.ts'
import { type KcpSecurity, requireSecurity, SECURITY_NAMES } from './security.ts'

type Own<T> = Exclude<keyof T, keyof ReturnType<typeof pickSessionConfig>>

const STREAM = {
  allowHalfOpen: true,
  readableHighWaterMark: true,
  writableHighWaterMark: true,
  codec: true,
  crypto: true,
  fec: true,
  security: true,
  clock: true,
  channels: true,
} satisfies Record<keyof KcpStreamOptions, true>

const CONNECT = {
  port: true,
  host: true,
  conv: true,
  localAddress: true,
  localPort: true,
  family: true,
  signal: true,
  waitForPeer: true,
  socket: true,
  transport: true,
  ownsTransport: true,
} satisfies Record<Exclude<Own<KcpConnectOptions>, keyof KcpStreamOptions>, true>

const LISTENER = {
  backlog: true,
  blockList: true,
  verifyClient: true,
  maxConnections: true,
  maxConnectionsPerHost: true,
  maxPending: true,
  maxPendingPerHost: true,
  maxMemory: true,
  maxMemoryPerHost: true,
  tombstoneTtl: true,
} satisfies Record<Exclude<Own<KcpListenerOptions>, keyof KcpStreamOptions>, true>

const LISTEN = {
  port: true,
  host: true,
  ipv6Only: true,
  reuseAddr: true,
  reusePort: true,
  fd: true,
  socket: true,
  transport: true,
  ownsTransport: true,
  signal: true,
} satisfies Record<keyof KcpListenOptions, true>

const CONNECT_NAMES = sessionNames(optionNames(STREAM, CONNECT))
const LISTENER_NAMES = sessionNames(optionNames(STREAM, LISTENER))
const LISTEN_NAMES = optionNames(LISTEN)
const BOTH_NAMES = new Set([...LISTENER_NAMES, ...LISTEN_NAMES])

/** The options of a connect: complete, checked and frozen. Throws ERR_KCP_CONFIG. */
export function readConnectOptions(value: unknown): KcpConnectOptions {
  requireOptions('the options of connect', value)
  const options = readOptions<KcpConnectOptions>('options', value, {
    names: CONNECT_NAMES,
    hint: (name) =>
      LISTENER_NAMES.has(name) || LISTEN_NAMES.has(name)
        ? 'it is an option of listen and createServer, and a client has no use for it'
        : sessionHint(name, CONNECT_NAMES),
  })
  const { host, localAddress, localPort, family, signal, socket, transport, ownsTransport } = options
  const port = requirePort(options.port)
  if (port === 0) throw configError('port', port, 'a whole number within 1..65535')
  if (host !== undefined) requireHost('host', host)
  if (options.conv !== undefined) requireConv(options.conv)
  if (localAddress !== undefined) requireLocalAddress(localAddress)
  if (localPort !== undefined) requireInteger('localPort', localPort, 0, 65_535)
  if (family !== undefined && family !== 0 && family !== 4 && family !== 6) {
    throw configError('family', family, '0, 4 or 6')
  }
  requireSignal(signal)
  requireWaitForPeer(options.waitForPeer)
  if (ownsTransport !== undefined) requireBoolean('ownsTransport', ownsTransport)
  if (socket !== undefined) requireSocket(socket, 'client')
  if (transport !== undefined) readSafely('transport', () => requireTransport(transport))
  refuseBeside(options, 'socket', 'transport', 'localAddress', 'localPort')
  refuseBeside(options, 'transport', 'localAddress', 'localPort', 'family')
  return Object.freeze({ ...options, ...checkStreamOptions(options, 'client') } as KcpConnectOptions)
}

/** The options of a listener: complete, checked and frozen. Throws ERR_KCP_CONFIG. */
export function readListenerOptions(value: unknown): KcpListenerOptions {
  const options = readOptions<KcpListenerOptions>('the options of a listener', value, {
    names: LISTENER_NAMES,
    hint: (name) =>
      LISTEN_NAMES.has(name)
        ? `it is an option of listening: createServer(options).listen({ ${name}: … }), or listen({ …, ${name}: … })`
        : CONNECT_NAMES.has(name)
          ? 'it is an option of connect, and a listener has no use for it'
          : sessionHint(name, LISTENER_NAMES),
  })
  const { verifyClient, blockList } = options
  if (verifyClient !== undefined) requireVerifyClient(verifyClient)
  if (blockList !== undefined) requireBlockList(blockList)
  return Object.freeze({ ...options, ...checkStreamOptions(options, 'server') })
}

/** Where and how to listen: checked and frozen. Throws ERR_KCP_CONFIG. */
export function readListenOptions(value: unknown): KcpListenOptions {
  const options = readOptions<KcpListenOptions>('the options of listen', value, {
    names: LISTEN_NAMES,
    hint: (name) =>
      LISTENER_NAMES.has(name) ? 'it is an option of the listener: createServer({ … })' : undefined,
  })
  const { port, host, fd, signal, socket, transport } = options
  if (port !== undefined) requirePort(port)
  if (host !== undefined) requireHost('host', host)
  if (fd !== undefined) requireInteger('fd', fd, 0, 0x7fff_ffff)
  for (const name of ['ipv6Only', 'reuseAddr', 'reusePort', 'ownsTransport'] as const) {
    if (options[name] !== undefined) requireBoolean(name, options[name])
  }
  requireSignal(signal)
  if (socket !== undefined) requireSocket(socket, 'server')
  if (transport !== undefined) readSafely('transport', () => requireTransport(transport))
  // Port and host may stand beside a transport, as the address of `bind`: they are its own business then.
  const own = ['ipv6Only', 'reuseAddr', 'reusePort'] as const
  refuseBeside(options, 'transport', 'socket', 'fd', ...own)
  refuseBeside(options, 'socket', 'fd', ...own)
  refuseBeside(options, 'fd', 'port', 'host', ...own)
  return options
}

/** The options of `listen` and those of the listener, apart. Throws ERR_KCP_CONFIG. */
export function readBothOptions(value: unknown): {
  readonly listener: KcpListenerOptions
  readonly listen: KcpListenOptions
} {
  const all = readOptions<KcpListenerOptions & KcpListenOptions>('the options of listen', value, {
    names: BOTH_NAMES,
    hint: (name) =>
      CONNECT_NAMES.has(name)
        ? 'it is an option of connect, and a listener has no use for it'
        : sessionHint(name, BOTH_NAMES),
  })
  const listener: Record<string, unknown> = {}
  const listen: Record<string, unknown> = {}
  for (const [name, one] of Object.entries(all)) (LISTEN_NAMES.has(name) ? listen : listener)[name] = one
  return { listener: readListenerOptions(listener), listen: readListenOptions(listen) }
}

/** Options with those of a call's other arguments, which come in only one of the two ways. Throws ERR_KCP_CONFIG. */
export function withArguments<T extends object>(
  where: string,
  value: unknown,
  given: Readonly<Record<string, unknown>>,
): T {
  if (value === undefined) return { ...given } as T
  requireOptions(where, value)
  const all: Record<string, unknown> = {}
  // Inherited ones count: a class may hold the key in a getter.
  const named = new Set(namesIn(where, value))
  for (const name of [...named, ...CONNECT_NAMES, ...BOTH_NAMES]) {
    const one = readSafely(name, () => (value as Record<string, unknown>)[name])
    if (one !== undefined || named.has(name)) all[name] = one
  }
  for (const [name, one] of Object.entries(given)) {
    if (one === undefined) continue
    if (all[name] !== undefined && all[name] !== one) {
      throw configError(name, all[name], 'left out: the call has an argument for it')
    }
    all[name] = one
  }
  return all as T
}

/** `{ signal }` of a call that waits. Throws ERR_KCP_CONFIG. */
export function readSignal(where: string, value: unknown): AbortSignal | undefined {
  const { signal } = readOptions<{ signal: AbortSignal }>(where, value, { names: SIGNAL_NAMES })
  return requireSignal(signal)
}

const SIGNAL_NAMES = optionNames({ signal: true })

/** Throws ERR_KCP_CONFIG unless `signal` is an AbortSignal, or undefined. */
export function requireSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined) return undefined
  const allowed = 'an AbortSignal (of a controller: controller.signal)'
  requireMethods('signal', signal, allowed, ['addEventListener', 'removeEventListener'])
  const aborted = readSafely('signal.aborted', () => (signal as AbortSignal).aborted)
  if (typeof aborted !== 'boolean') throw configError('signal', signal, allowed)
  return signal as AbortSignal
}

/** Throws ERR_KCP_CONFIG unless `clock` is one, or undefined. */
export function requireClock(clock: unknown): void {
  if (clock === undefined) return
  const allowed = '{ now, setTimeout, clearTimeout, soon }'
  const { now } = requireMethods('clock', clock, allowed, [
    'now',
    'setTimeout',
    'clearTimeout',
    'soon',
  ]) as Clock
  let at: unknown
  try {
    at = now.call(clock)
  } catch (cause) {
    throw configError('clock.now()', 'an error', 'a number of ms', cause)
  }
  if (typeof at !== 'number' || !Number.isFinite(at)) throw configError('clock.now()', at, 'a number of ms')
}

/** Throws ERR_KCP_CONFIG unless `marks` is a high-water mark of a stream, or undefined. */
export function requireHighWaterMark(field: string, mark: unknown): void {
  if (mark !== undefined) requireInteger(field, mark, 0, Number.MAX_SAFE_INTEGER)
}

/** Throws ERR_KCP_CONFIG unless `host` is a name or an address. */
export function requireHost(field: string, host: unknown): string {
  // An empty one comes from a variable that is not set; it must not become "all addresses", or this host.
  if (typeof host !== 'string' || host === '' || host.includes('\0')) {
    throw configError(field, host, 'a name or an address')
  }
  return host
}

/** Throws ERR_KCP_CONFIG unless `transport` is one, with sizes that make sense. */
export function requireTransport(transport: DatagramTransport): void {
  const allowed = 'a DatagramTransport: { send, start, close }'
  requireMethods('transport', transport, allowed, ['start', 'close'])
  const all = transport as unknown as Record<string, unknown>
  const { sendBatch, maxDatagramSize, overhead } = transport
  requireMethods('transport', transport, allowed, [sendBatch === undefined ? 'send' : 'sendBatch'])
  for (const name of ['send', 'peerKey', 'use', 'localAddress', 'ref', 'unref', 'flush']) {
    if (all[name] !== undefined && typeof all[name] !== 'function') {
      throw configError(`transport.${name}`, all[name], 'a method, or absent')
    }
  }
  for (const name of ['provesPeers', 'knowsPeers']) {
    if (all[name] !== undefined) requireBoolean(`transport.${name}`, all[name])
  }
  if (maxDatagramSize !== undefined) {
    requireInteger('transport.maxDatagramSize', maxDatagramSize, 1, Number.MAX_SAFE_INTEGER)
  }
  if (overhead !== undefined) requireInteger('transport.overhead', overhead, 0, 65_507)
}

/** Throws ERR_KCP_CONFIG for fields whose value would not be looked at beside that of `field`. */
function refuseBeside<T extends object>(
  options: T,
  field: keyof T & string,
  ...others: (keyof T & string)[]
): void {
  if (options[field] === undefined) return
  for (const other of others) {
    if (options[other] !== undefined) throw configError(other, options[other], `left out beside ${field}`)
  }
}

/** Checks what both ends have, and returns copies of what it holds. */
function checkStreamOptions(options: KcpStreamOptions, role: 'client' | 'server'): Partial<KcpStreamOptions> {
  if (options.allowHalfOpen !== undefined) requireBoolean('allowHalfOpen', options.allowHalfOpen)
  requireHighWaterMark('readableHighWaterMark', options.readableHighWaterMark)
  requireHighWaterMark('writableHighWaterMark', options.writableHighWaterMark)
  requireClock(options.clock)
  readSafely('crypto', () => requireCipher(options.crypto))
  const codec = readSafely('codec', () => requireCodec(options.codec))
  const fec = requireFec(options.fec)
  const given = options.security
  const security = given === undefined ? undefined : readSafely('security', () => copySecurity(given))
  requireSecurity(security, role)
  return {
    ...(codec === undefined ? {} : { codec }),
    ...(fec === undefined ? {} : { fec }),
    ...(security === undefined ? {} : { security }),
  }
}

/** A frozen copy with keys of its own: the caller may wipe or use its buffers again. */
function copySecurity(security: KcpSecurity): KcpSecurity {
  // A text would be somebody's key.
  if (typeof security === 'string') throw configError('security', 'a text', 'an object with psk or keyPair')
  requireOptions('security', security)
  const copy: Record<string, unknown> = {}
  // Those too that a class has as getters, which are not enumerable.
  for (const name of new Set([...namesIn('security', security), ...SECURITY_NAMES])) {
    const one = readSafely(`security.${name}`, () => (security as Record<string, unknown>)[name])
    copy[name] = copyBytes(one)
  }
  const { keyPair } = copy
  if (typeof keyPair === 'object' && keyPair !== null) {
    const { publicKey, privateKey } = keyPair as { publicKey?: unknown; privateKey?: unknown }
    copy['keyPair'] = Object.freeze({ publicKey: copyBytes(publicKey), privateKey: copyBytes(privateKey) })
  }
  for (const name of SECURITY_NAMES) if (copy[name] === undefined) delete copy[name]
  return Object.freeze(copy) as KcpSecurity
}

function copyBytes(value: unknown): unknown {
  // Not slice: of a Buffer that is a view of the same bytes.
  return value instanceof Uint8Array ? new Uint8Array(value) : value
}

function requireLocalAddress(address: unknown): void {
  const plain = requireHost('localAddress', address)
  if (familyOf(plain) === undefined)
    throw configError('localAddress', plain, 'an IPv4 or IPv6 address of this host')
}

function requireWaitForPeer(patience: unknown): void {
  if (patience === undefined || typeof patience === 'boolean') return
  if (typeof patience !== 'number') throw configError('waitForPeer', patience, 'true, false or a time in ms')
  requireInteger('waitForPeer', patience, 1, 0x7fff_ffff)
}

/** A client's socket may be bound by its first send; a server's never would be. */
function requireSocket(socket: Socket, role: 'client' | 'server'): void {
  const allowed = 'a socket of node:dgram'
  requireMethods('socket', socket, allowed, ['send', 'on', 'off', 'address', 'close', 'remoteAddress'])
  try {
    socket.address()
  } catch (cause) {
    const closed = (cause as NodeJS.ErrnoException).code === 'ERR_SOCKET_DGRAM_NOT_RUNNING'
    if (closed) throw configError('socket', 'a closed one', 'open', cause)
    if (role === 'server') {
      throw configError('socket', 'one that is not', "bound: call bind() and wait for 'listening'", cause)
    }
  }
}

function requireVerifyClient(verifyClient: unknown): void {
  if (typeof verifyClient !== 'function') throw configError('verifyClient', verifyClient, 'a function')
  if (isDeferred(verifyClient)) {
    throw configError(
      'verifyClient',
      'an async function or a generator',
      'a function that returns true or false at once; what takes time is done on the stream, which destroy() refuses',
    )
  }
}

function requireBlockList(blockList: BlockList): void {
  requireMethods('blockList', blockList, 'a BlockList of node:net', ['check'])
}

/** Throws ERR_KCP_CONFIG for arguments that a call does not have: options behind an absent one would be lost in silence. */
export function refuseSurplus(call: string, more: readonly unknown[]): void {
  if (more.every((one) => one === undefined)) return
  throw new KcpError(
    'ERR_KCP_CONFIG',
    `${call} got more arguments than it takes: give its options as one object, in their place`,
    {
      detail: { field: 'arguments', value: more.length, allowed: 'none' },
    },
  )
}
