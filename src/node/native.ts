/**
 * The optional addon that sends and receives UDP in batches (native/udp.c), if this system has it: from the package
 * built for the platform, or in a checkout from `npm run build`. Without it everything works over node:dgram.
 * @module
 */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { markAsUntransferable } from 'node:worker_threads'

/** What a socket may use of the kernel; see `features`. */
export const Feature = {
  /** UDP_SEGMENT: many equal-sized datagrams to one peer as one message. */
  Gso: 1,
  /** UDP_GRO: the same when receiving. */
  Gro: 2,
  /** sendmmsg and recvmmsg: many messages per call. */
  Mmsg: 4,
} as const
export const ALL_FEATURES: number = Feature.Gso | Feature.Gro | Feature.Mmsg

/** Bits of the constructor's `flags`. */
export const SocketFlag = { ReuseAddr: 1, ReusePort: 2, V6Only: 4 } as const

/** Words of a row of `sendTable` and `recvTable`. */
export const Row = {
  Offset: 0,
  Bytes: 1,
  /** Size of each datagram in the run; the last may be shorter. */
  Segment: 2,
  Port: 3,
  /** Four words in network order; IPv4 has one. */
  Address: 4,
  Scope: 8,
  /** What became of a run: a RunResult. */
  Result: 9,
  Words: 10,
} as const

/** `Split`: the kernel would not send the run as one message, so each datagram went alone. */
export const RunResult = { Sent: 0, Lost: 1, Split: 2 } as const

/** Added to what `commit` returns when a run was split. */
export const ANY_SPLIT = 0x10000

/** [address, port, 4 or 6]. */
export type NativeAddress = readonly [string, number, 4 | 6]

/** A bound socket of the addon. Every call throws the system's error, with `code`, `errno` and `syscall`. */
export interface NativeSocket {
  start(onBatch: (rows: number) => void, onError: (errno: number) => void): void
  connect(address: string, port: number): void
  /** Sends the first rows of `sendTable`. Returns the errno of the latest failure or 0, plus ANY_SPLIT. */
  commit(runs: number): number
  close(onClose?: () => void): void
  ref(): void
  unref(): void
  address(): NativeAddress
  remoteAddress(): NativeAddress
  /** Asks for this size in both directions unless 0; [receive, send] as granted. */
  setBuffers(bytes: number): readonly [number, number]
  setPacingRate(bytesPerSecond: number): boolean
  fd(): number
  features(): number
  counters(): NativeCounters
}

/** What a socket of the addon counts. */
export interface NativeCounters {
  /** System calls, messages (a run is one) and datagrams, out and in. */
  readonly callsOut: number
  readonly messagesOut: number
  readonly datagramsOut: number
  readonly callsIn: number
  readonly messagesIn: number
  /** Datagrams that the system did not take: its buffer was full; any other reason. */
  readonly lostFull: number
  readonly lostOther: number
  /** Datagrams that came cut, and were dropped. */
  readonly truncated: number
  /** Runs that the kernel would not send as one message. */
  readonly gsoRefused: number
}

/** The addon. The buffers are the thread's: see udp.c. */
export interface NativeUdp {
  readonly interfaceVersion: number
  readonly sendBytes: ArrayBuffer
  readonly sendTable: ArrayBuffer
  readonly recvBytes: ArrayBuffer
  readonly recvTable: ArrayBuffer
  readonly maxDatagram: number
  readonly maxSegments: number
  readonly Socket: new (
    family: 4 | 6,
    address: string,
    port: number,
    flags: number,
    fd: number,
    features: number,
  ) => NativeSocket
  addressText(family: 4 | 6, a0: number, a1: number, a2: number, a3: number, scope: number): string
  addressWords(family: 4 | 6, text: string): readonly [number, number, number, number, number]
}

/** Whether the addon is in use, and if not, why. */
export interface NativeStatus {
  readonly available: boolean
  /** Where it was loaded from, or what stood in the way. */
  readonly detail: string
}

/** What udp.c and this file agree on. */
const INTERFACE_VERSION = 1

const require = createRequire(import.meta.url)

let loaded: { readonly udp: NativeUdp | undefined; readonly status: NativeStatus } | undefined

/** The addon, loaded on first use; undefined where there is none. */
export function nativeUdp(): NativeUdp | undefined {
  loaded ??= load()
  return loaded.udp
}

/** Whether UDP goes through the addon in this process, and if not, why. */
export function nativeStatus(): NativeStatus {
  loaded ??= load()
  return loaded.status
}

/** Names of the package that has the addon for this platform: which libc it is, the loader finds out by trying. */
export function nativePackages(platform: string = process.platform, arch: string = process.arch): string[] {
  return ['gnu', 'musl'].map((libc) => `@kcp-io/udp-${platform}-${arch}-${libc}`)
}

function load(): NonNullable<typeof loaded> {
  const without = (detail: string): NonNullable<typeof loaded> => ({
    udp: undefined,
    status: { available: false, detail },
  })
  if (process.env['KCP_IO_NO_NATIVE'] === '1') return without('switched off by KCP_IO_NO_NATIVE=1')
  if (process.platform !== 'linux') return without(`there is none for ${process.platform}`)
  // In a checkout, seen from build/src/node and from dist/node; a package has no such folder.
  const native = import.meta.url.endsWith('/build/src/node/native.js') ? '../../../native' : '../../native'
  const build = fileURLToPath(new URL(`${native}/build/Release/kcp_udp.node`, import.meta.url))
  let detail = 'not installed'
  for (const name of [build, ...nativePackages()]) {
    try {
      const udp = require(name) as NativeUdp
      if (udp.interfaceVersion !== INTERFACE_VERSION) {
        detail = `${name} has interface ${udp.interfaceVersion}, not ${INTERFACE_VERSION}`
        continue
      }
      // Whoever is handed a datagram could otherwise take the thread's buffer away with it.
      for (const buffer of [udp.sendBytes, udp.sendTable, udp.recvBytes, udp.recvTable]) {
        markAsUntransferable(buffer)
      }
      return { udp, status: { available: true, detail: name } }
    } catch (error) {
      // Absent is normal; there but broken is worth telling.
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') detail = (error as Error).message
    }
  }
  return without(detail)
}
