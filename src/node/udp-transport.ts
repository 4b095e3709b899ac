/**
 * UDP through node:dgram. A failed send is loss: the protocol repeats what matters.
 * @module
 */
import { createSocket, type RemoteInfo, type Socket, type SocketOptions } from 'node:dgram'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { configError, requireBoolean, requireInteger } from '../core/config.ts'
import { KcpError } from '../core/errors.ts'
import { optionNames, readOptions } from '../core/options.ts'
import {
  type DatagramHandler,
  type DatagramTransport,
  PATH_ERRORS,
  type PeerAddress,
} from '../session/transport.ts'
import { familyOf } from './address.ts'
import { requireHost, requireSignal } from './options.ts'

export interface UdpOptions {
  /** Local port; 0 or absent: the system chooses. */
  readonly port?: number
  /** Local address; absent: all. */
  readonly address?: string
  readonly family?: 4 | 6
  readonly reuseAddr?: boolean
  /** SO_REUSEPORT: with the addon (native.ts), or on Node 22.12 and later. */
  readonly reusePort?: boolean
  /** A bound UDP socket's descriptor to take over, in place of a new socket; closed with the transport. */
  readonly fd?: number
  /** An IPv6 socket that takes no IPv4 peers. */
  readonly ipv6Only?: boolean
  /** Asked of the system for both directions, bytes; 0: its default. What it granted: `bufferSizes()`. */
  readonly bufferSize?: number
  readonly signal?: AbortSignal
}

const NAMES = {
  port: true,
  address: true,
  family: true,
  reuseAddr: true,
  reusePort: true,
  fd: true,
  ipv6Only: true,
  bufferSize: true,
  signal: true,
} satisfies Record<keyof UdpOptions, true>

/** A checked copy of a socket's options; `more` are those of one kind of it. Throws ERR_KCP_CONFIG. */
export function readUdpOptions<T extends UdpOptions>(given: T, more: object = {}): Partial<T> {
  const options = readOptions<T>('the options of bind', given, {
    names: optionNames(NAMES, more),
    hint: (name) => (name === 'host' ? 'did you mean address?' : undefined),
  })
  const { port, address, family, fd, bufferSize } = options
  if (port !== undefined) requireInteger('port', port, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
  // Whether the system has such an address is its to say.
  if (address !== undefined) requireHost('address', address)
  if (family !== undefined && family !== 4 && family !== 6) throw configError('family', family, '4 or 6')
  if (fd !== undefined) requireInteger('fd', fd, 0, 0x7fff_ffff)
  if (bufferSize !== undefined)
    requireInteger('bufferSize', bufferSize, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
  for (const name of ['reuseAddr', 'reusePort', 'ipv6Only'] as const) {
    if (options[name] !== undefined) requireBoolean(name, options[name])
  }
  requireSignal(options.signal)
  return options
}

const OWN_NAMES = optionNames({ ownsSocket: true })

/** Bytes of the block that datagrams are copied into while dgram may hold them. */
const SLAB = 64 * 1024
/** Largest UDP payload over IPv4. */
const MAX_DATAGRAM = 65_507

/** Answers literals at once: dgram would defer every send of an unconnected socket for the lookup of an address. */
const lookup: NonNullable<SocketOptions['lookup']> = (hostname, _options, callback) => {
  callback(null, hostname, familyOf(hostname) ?? 4)
}

export class UdpTransport implements DatagramTransport<PeerAddress> {
  readonly socket: Socket
  readonly maxDatagramSize: number = MAX_DATAGRAM
  /** Sends that the system refused, and errors that it reported. */
  sendErrors = 0
  socketErrors = 0
  private readonly ownsSocket: boolean
  private connected: boolean
  private slab: Buffer = Buffer.allocUnsafeSlow(SLAB)
  private slabAt = 0
  private closed = false
  private handler: DatagramHandler<PeerAddress> | undefined

  /**
   * @param socket a bound socket (or a connected one: `send` then ignores its peer).
   * @param options `ownsSocket`: close it with the transport. Default false.
   */
  constructor(socket: Socket, options: { readonly ownsSocket?: boolean } = {}) {
    this.socket = socket
    const { ownsSocket = false } = readOptions<{ ownsSocket: boolean }>(
      'the options of UdpTransport',
      options,
      {
        names: OWN_NAMES,
      },
    )
    this.ownsSocket = requireBoolean('ownsSocket', ownsSocket)
    this.connected = isConnected(socket)
    // Without a listener an ICMP error would end the process.
    socket.on('error', this.onError)
  }

  /** A transport over a new socket, bound. Throws ERR_KCP_IO with the system's error as `cause`. */
  static async bind(given: UdpOptions = {}): Promise<UdpTransport> {
    const options = readUdpOptions(given)
    const family = options.family ?? (options.address === undefined ? 4 : (familyOf(options.address) ?? 4))
    const size = options.bufferSize ?? 0
    // An older Node ignores it, and the second process would fail with EADDRINUSE.
    if (options.reusePort === true && !hasReusePort(process.versions.node)) {
      throw configError('reusePort', true, `false on Node ${process.versions.node} (22.12 or 23.1 has it)`)
    }
    const socket = createSocket({
      type: family === 6 ? 'udp6' : 'udp4',
      lookup,
      ...(options.reuseAddr === undefined ? {} : { reuseAddr: options.reuseAddr }),
      ...(options.reusePort === undefined ? {} : { reusePort: options.reusePort }),
      ...(options.ipv6Only === undefined ? {} : { ipv6Only: options.ipv6Only }),
      ...(size === 0 ? {} : { recvBufferSize: size, sendBufferSize: size }),
    } as SocketOptions)
    try {
      // With our lookup a literal is bound at once, so listen for the outcome first.
      const bound = once(socket, 'listening', options.signal === undefined ? {} : { signal: options.signal })
      if (options.fd !== undefined) socket.bind({ fd: options.fd })
      else {
        socket.bind({
          port: options.port ?? 0,
          ...(options.address === undefined ? {} : { address: options.address }),
        })
      }
      await bound
    } catch (cause) {
      socket.close()
      throw ioError(`cannot bind ${options.address ?? '*'}:${options.port ?? 0}`, cause)
    }
    return new UdpTransport(socket, { ownsSocket: true })
  }

  /**
   * Ties the socket to one peer: cheaper sends, and the system reports when nobody listens there. Resolves with the
   * peer's address as the system knows it (`0.0.0.0` is this machine).
   *
   * Again, it takes the local address that fits by now, and as a rule another port. When that fails, the socket is tied to
   * nobody and sends to the address that each `send` names.
   */
  async connect(peer: PeerAddress): Promise<PeerAddress> {
    try {
      if (this.connected) {
        this.connected = false
        this.socket.disconnect()
      }
      await new Promise<void>((resolve, reject) => {
        this.socket.connect(peer.port, peer.address, (error?: Error) => (error ? reject(error) : resolve()))
      })
    } catch (cause) {
      throw ioError(`cannot reach ${peer.address}:${peer.port}`, cause)
    }
    this.connected = true
    return toPeer(this.socket.remoteAddress())
  }

  send(datagram: Uint8Array, peer: PeerAddress): void {
    if (this.closed) return
    // dgram holds the bytes while its own queue is not empty; it is empty unless the system's buffer is full.
    const size = datagram.length
    if (size > MAX_DATAGRAM) {
      this.sendErrors++
      return
    }
    if (this.slabAt + size > this.slab.length) {
      if (this.isHolding()) this.slab = Buffer.allocUnsafeSlow(SLAB)
      this.slabAt = 0
    }
    this.slab.set(datagram, this.slabAt)
    const bytes = this.slab.subarray(this.slabAt, this.slabAt + size)
    this.slabAt += size
    try {
      if (this.connected) this.socket.send(bytes, this.onSent)
      else this.socket.send(bytes, peer.port, peer.address, this.onSent)
    } catch {
      this.sendErrors++
    }
  }

  start(handler: DatagramHandler<PeerAddress>): void {
    this.handler = handler
    this.socket.on('message', this.onMessage)
    this.socket.on('close', this.onClose)
  }

  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    this.socket.off('message', this.onMessage)
    if (!this.ownsSocket) {
      this.socket.off('error', this.onError)
      this.socket.off('close', this.onClose)
      return
    }
    await new Promise<void>((resolve) => {
      try {
        this.socket.close(resolve)
      } catch {
        // Its owner has closed it before.
        resolve()
      }
    })
  }

  localAddress(): PeerAddress | undefined {
    try {
      return toPeer(this.socket.address())
    } catch {
      return undefined
    }
  }

  /** What the system granted, bytes; Linux caps it at net.core.rmem_max and wmem_max, and doubles it. */
  bufferSizes(): { readonly recv: number; readonly send: number } {
    return { recv: this.socket.getRecvBufferSize(), send: this.socket.getSendBufferSize() }
  }

  ref(): void {
    this.socket.ref()
  }
  unref(): void {
    this.socket.unref()
  }

  /** Whether dgram still holds bytes that it was given. A socket that somebody closed holds none. */
  private isHolding(): boolean {
    try {
      return this.socket.getSendQueueSize() > 0
    } catch {
      return false
    }
  }

  private readonly onMessage = (datagram: Buffer, peer: RemoteInfo): void => {
    this.handler?.onDatagram(datagram, peer)
  }
  private readonly onSent = (error: Error | null): void => {
    if (error === null) return
    this.sendErrors++
    // The system tells of a refusal once, to whichever call comes next; often that is a send.
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ECONNREFUSED' || (this.connected && PATH_ERRORS.has(code))) this.onError(error)
  }
  private readonly onError = (error: Error): void => {
    this.socketErrors++
    this.handler?.onError(error)
  }
  private readonly onClose = (): void => {
    this.closed = true
    this.handler?.onClose()
  }
}

function toPeer({ address, port, family }: AddressInfo): PeerAddress {
  return { address, port, family: family === 'IPv6' ? 'IPv6' : 'IPv4' }
}

/** Whether a version of Node knows dgram's reusePort: 22.12, 23.1 and later. */
export function hasReusePort(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12)
}

function isConnected(socket: Socket): boolean {
  try {
    socket.remoteAddress()
    return true
  } catch {
    return false
  }
}

/** ERR_KCP_IO (or the abort itself) for a failure of the system. */
export function ioError(message: string, cause: unknown): Error {
  if (cause instanceof Error && cause.name === 'AbortError') return cause
  const detail = cause instanceof Error ? `: ${cause.message}` : ''
  return new KcpError('ERR_KCP_IO', message + detail, { cause })
}
