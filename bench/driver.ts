/**
 * What a contestant has to offer to be measured: a server and a client for one kind of flow, in one file. Everything
 * that is measured about it is done once, in end.ts, through these few calls.
 * @module
 */
import type { Duplex } from 'node:stream'

/** How the ends of one measurement are set up; the same object for both, whatever the language of the driver. */
export interface Setup {
  /** What a server does with what it receives. */
  readonly job: 'sink' | 'echo'
  /** Bytes without borders instead of messages, where a protocol knows the difference. */
  readonly stream: boolean
  /** Send and receive window, segments, where a protocol has one. */
  readonly window: number
  /** Bytes of one write of a flood. */
  readonly chunk: number
  /** Settings of one driver. */
  readonly options?: Readonly<Record<string, unknown>>
}

/** Largest datagram of everything that lets one choose. */
export const MTU = 1400
/** The fast preset of KCP, in the classic four numbers, for peers that have no names for it. */
export const FAST = { nodelay: 1, interval: 10, resend: 2, nc: 1 } as const
/** Socket buffers that are asked for, wherever a driver can ask. */
export const SOCKET_BUFFER: number = 4 * 1024 * 1024
export const HOST = '127.0.0.1'

/** One conversation, seen from one end. */
export abstract class Flow {
  /** Called with what arrived; `chunk` is the callee's until it returns. */
  onData: (chunk: Uint8Array) => void = () => {}
  /** Called when there is room again after `write` said false. */
  onRoom: () => void = () => {}
  /** Queues a chunk; false when the caller should wait for `onRoom`. */
  abstract write(chunk: Uint8Array): boolean
}

/** Whatever has the interface of Node's streams. */
export class StreamFlow extends Flow {
  readonly #stream: Duplex

  constructor(stream: Duplex) {
    super()
    this.#stream = stream
    stream.on('data', (chunk: Uint8Array) => this.onData(chunk))
    stream.on('drain', () => this.onRoom())
    // The other process ends first; what fails earlier shows as bytes that do not arrive.
    stream.on('error', () => {})
  }

  write(chunk: Uint8Array): boolean {
    return this.#stream.write(chunk)
  }
}

/** An engine without sockets, with the calls of `Kcp`. */
export interface EngineEnd {
  send(payload: Uint8Array): unknown
  update(now: number): void
  input(datagram: Uint8Array, now: number): unknown
  /** The length of the next message, undefined when there is none. */
  recvInto(target: Uint8Array): number | undefined
  waitSnd(): number
}

export interface Driver {
  /** Listens on loopback, calls `onFlow` for each client, resolves with the port. */
  serve?(setup: Setup, onFlow: (flow: Flow) => void): Promise<number>
  /** Opens one flow to the server at `port`. */
  connect?(setup: Setup, port: number): Promise<Flow>
  /** One end for the engine's benchmark: fast, `window` both ways, MTU. `output` copies what it gets. */
  engine?(window: number, output: (datagram: Uint8Array) => void): EngineEnd
}
