/**
 * How two of our own ends tell each other that they are done. A notice is a datagram of 20 bytes: shorter than a
 * segment's header, so every stock KCP drops it by its length.
 *
 *      0       4    5      6    8
 *      ├───────┼────┼──────┼────┤
 *      │ conv  │kind│known │code│    known  bit 0: ts is valid · 1: echo is valid · 2: done
 *      ├───────┴────┴──┬───┴────┤
 *    8 │      sn       │   ts   │    sn     Fin, FinAck: the sender's snd_nxt · Reset: of the PUSH that it answers
 *      ├───────────────┼────────┘    ts     the sender's own clock
 *   16 │     echo      │             echo   a ts that the receiver of this notice once sent
 *      └───────────────┘             code   why, u16: see CloseCode; 0 says nothing more than kind
 *
 * Each session's clock starts at a secret random number, so ts and echo can only be written by who saw the peer's
 * segments (docs/PROTOCOL.md). Byte 4 is none of KCP's commands, and bytes 4-5 none of kcp-go's FEC types.
 * @module
 */
import { readU16, readU32, writeU16, writeU32 } from '../core/segment.ts'

/** Bytes of a notice. */
export const NOTICE_SIZE = 20

export const NoticeKind = {
  /** I sent all that I had, and you acknowledged all of it. */
  Fin: 0x61,
  /** I have your Fin. */
  FinAck: 0x62,
  /** I gave up on this conversation, or know nothing of it. */
  Reset: 0x63,
} as const
export type NoticeKind = (typeof NoticeKind)[keyof typeof NoticeKind]

/** Why a notice was sent. From 16384 on the numbers are the library's own; below they are the application's. */
export const CloseCode = {
  /** Nothing that the kind does not say. */
  None: 0,
  /** The sender knows nothing of the conversation any more, or the receiver is not whom it began with. */
  Unknown: 16388,
  /** The listener has no place. */
  Full: 16391,
  /** The listener takes no new peers. */
  Draining: 16392,
  /** The listener does not want this peer. */
  Rejected: 16393,
  /** The conversation needed more memory than it may have. */
  Limit: 16395,
} as const

const TS_KNOWN = 1
const ECHO_KNOWN = 2
const DONE = 4

export interface CloseNotice {
  readonly conv: number
  readonly kind: NoticeKind
  readonly sn: number
  /** The sender will not read any more either. */
  readonly done: boolean
  /** A CloseCode, or any other u16. Default 0. */
  readonly code?: number
  /** The sender's clock, u32 ms. */
  readonly ts: number | undefined
  /** A ts of the receiver's, u32 ms. */
  readonly echo: number | undefined
}

export function encodeNotice(notice: CloseNotice): Uint8Array {
  const bytes = new Uint8Array(NOTICE_SIZE)
  writeU32(bytes, 0, notice.conv)
  bytes[4] = notice.kind
  bytes[5] =
    (notice.ts === undefined ? 0 : TS_KNOWN) |
    (notice.echo === undefined ? 0 : ECHO_KNOWN) |
    (notice.done ? DONE : 0)
  writeU16(bytes, 6, notice.code ?? CloseCode.None)
  writeU32(bytes, 8, notice.sn)
  writeU32(bytes, 12, notice.ts ?? 0)
  writeU32(bytes, 16, notice.echo ?? 0)
  return bytes
}

/** The notice in a datagram; undefined when it is none. */
export function decodeNotice(bytes: Uint8Array): CloseNotice | undefined {
  if (bytes.length !== NOTICE_SIZE) return undefined
  const kind = bytes[4]!
  const known = bytes[5]!
  if (kind < NoticeKind.Fin || kind > NoticeKind.Reset || known > (TS_KNOWN | ECHO_KNOWN | DONE))
    return undefined
  return {
    conv: readU32(bytes, 0),
    kind: kind as NoticeKind,
    sn: readU32(bytes, 8),
    done: (known & DONE) !== 0,
    code: readU16(bytes, 6),
    ts: (known & TS_KNOWN) === 0 ? undefined : readU32(bytes, 12),
    echo: (known & ECHO_KNOWN) === 0 ? undefined : readU32(bytes, 16),
  }
}
