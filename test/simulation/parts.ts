/**
 * What the simulation is made of: processes, the ends of sessions in them, and what comes out.
 * @module
 */
import type { SecureCounters } from '../../src/secure/index.ts'
import type { Acceptor } from '../../src/session/acceptor.ts'
import type { Scheduler } from '../../src/session/scheduler.ts'
import type { KcpSession } from '../../src/session/session.ts'
import type { DatagramTransport, PeerAddress } from '../../src/session/transport.ts'
import type { Flow } from './flow.ts'
import type { HostClock } from './host.ts'
import type { Oracle } from './oracle.ts'
import type { PeerReader } from './peer-reader.ts'
import type { Side, Traffic } from './plan.ts'

/** What a run came to. Bytes are those of UDP payloads. */
export interface Outcome {
  readonly virtualMs: number
  readonly datagrams: number
  readonly wireBytes: number
  /** Application bytes, and segments, that arrived for the first time. */
  readonly bytes: number
  readonly segments: number
  /** PUSHes sent, and of these the repeats of `redundancy`. */
  readonly pushes: number
  readonly repeats: number
  /** Runs of sessions. */
  readonly runs: number
  /** Messages that arrived out of band, and changes of settings. */
  readonly unreliable: number
  readonly changes: number
  /** Time that the last byte took from when the path lost nothing any more, as a share of what it may take. */
  readonly patience: number
  /** Why the sessions ended, by reason. */
  readonly ends: Readonly<Record<string, number>>
  /** What the two ends of the authenticated mode counted, where there is one. */
  readonly security: Readonly<SecureCounters> | undefined
  /** What else happened, and how often: see Extras. */
  readonly extras: Readonly<Record<string, number>>
  /** Of every datagram and its time. */
  readonly hash: number
}

/** One session, who writes to it and who reads from it. */
export interface End {
  readonly name: string
  readonly host: Host
  readonly session: KcpSession
  readonly oracle: Oracle
  readonly flow: Flow
  readonly traffic: Traffic
  /** Reads what the peer sends; undefined where nothing can be said about it. */
  readonly reader: PeerReader | undefined
  /** Its peer's end was born a second time: what the first one was told may be missing. */
  blurred: boolean
  /** Its application has destroyed it, and reads no more: `kindly` if all that it wrote was acknowledged. */
  destroyed: 'no' | 'kindly' | 'roughly'
  /** Empty PUSHes by which it asked for a proof, or for a sign of life. */
  challenges: number
  /** How often it ended. */
  closes: number
  /** It has written everything that it had, and said so. */
  saidAll: boolean
  /** Messages written. */
  written: number
  /** Messages with a time limit of which it is not known yet what becomes of them. */
  unsettled: number
  waiting: boolean
}

/** A process: what runs on one of the two machines at a time. */
export interface Host {
  readonly side: Side
  readonly clock: HostClock
  readonly scheduler: Scheduler
  readonly transport: DatagramTransport<PeerAddress>
  /** What of the transport ends with the process. */
  readonly socket: { close(): unknown }
  readonly ends: End[]
  readonly acceptor: Acceptor<PeerAddress> | undefined
  deaf: boolean
  alive: boolean
}

/** Who looks on. */
export interface Watch {
  /** Gets a line for each datagram. */
  readonly story?: (line: string) => void
  /** Whether the readable engine runs beside every session's; true unless told otherwise. */
  readonly twin?: boolean
}

/** Whether nothing is left of a client's conversation, for its user either. */
export function isOver({ ends }: Host): boolean {
  return ends.every(({ session, destroyed }) => session.closed && (destroyed !== 'no' || !session.readable))
}
