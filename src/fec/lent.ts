/**
 * How datagrams leave the encoder and the decoder: as places in buffers that are used again.
 * @module
 */
import { NO_BYTES } from '../core/memory.ts'

/** Largest payload of UDP over IPv4. */
export const DATAGRAM_MAX = 65_507

/** The datagram `buffer[start, end)`, lent until its maker is called again. */
export interface LentDatagram {
  readonly buffer: Uint8Array
  readonly start: number
  readonly end: number
}

export class Lent implements LentDatagram {
  buffer: Uint8Array = NO_BYTES
  start = 0
  end = 0
}
