/**
 * A session as the tunnel sees it: something that opens streams and takes the peer's, whatever lies below.
 * @module
 */
import type { Duplex } from 'node:stream'
import type { PeerAddress } from '../../session/transport.ts'

/** A session with a peer and its streams. All streams allow half-open ends. */
export interface Link {
  /** For the log. */
  readonly name: string
  readonly peer: PeerAddress
  readonly local: PeerAddress | undefined
  /** Streams alive. */
  readonly streams: number
  /** Resolves with the reason when it is over; '' for an end that somebody wanted. */
  readonly closed: Promise<string>
  /** A new stream; throws when there are too many, or the session is over. */
  open(): Duplex
  /** Takes the peer's streams from now on. */
  onStream(take: (stream: Duplex) => void): void
  /** Lets what is written be delivered, then ends. */
  close(): Promise<void>
  destroy(): void
}
