/**
 * The datagrams of the authenticated mode. docs/SECURE.md tells what each is for.
 *
 *     Initiation   1 │ sender │ suite │ Noise message 1            │ mac1 16 │ mac2 16
 *     Response     2 │ receiver │ Noise message 2 (holds sender)   │ mac1 16
 *     Cookie       3 │ receiver │ nonce 16 │ sealed cookie 16 + tag 16
 *     Data         4 │ receiver │ counter 8 │ a datagram, sealed   │ tag 16
 *     Control      5 │ receiver │ counter 8 │ kind and body, sealed │ tag 16
 *
 * Byte 0 is the type. Sender and receiver are 4 bytes, little-endian: the number by which the end that receives such
 * datagrams knows the keys. Its top bits are 10, so byte 4 of every datagram lies within 0x80 .. 0xbf, where no KCP
 * command (0x51 .. 0x54), no close notice (0x61 .. 0x63) and no FEC mark of kcp-go (0xf1, 0xf2, 0xf3) is: neither kind
 * of traffic can be taken for the other, whatever its conv.
 * @module
 */
import { readU32, writeU32 } from '../core/segment.ts'
import type { PatternName } from './noise.ts'
import { type CipherName, KEY_SIZE, TAG_SIZE } from './primitives.ts'

export const DatagramType = {
  Initiation: 1,
  Response: 2,
  Cookie: 3,
  Data: 4,
  Control: 5,
} as const

/** What a Control record is about; its first byte. */
export const ControlKind = {
  /** "Are these keys in use?" Answered by a Pong. */
  Ping: 1,
  Pong: 2,
  /** 8 random bytes to an address that is not proven yet; who receives them there sends them back. */
  PathChallenge: 3,
  PathResponse: 4,
  /** The sender has nothing more to say and forgets the keys soon. */
  Close: 5,
  /**
   * A byte that names the path, filled up to the size that is tried. Answered by a ProbeAck with that size, u16, and the
   * byte.
   */
  Probe: 6,
  ProbeAck: 7,
  /** New keys: the client's new index and Noise message 1. Answered by Noise message 2. */
  RekeyInitiation: 8,
  RekeyResponse: 9,
  /** A part of a datagram that is larger than the path carries; parts.ts has the layout. */
  Part: 14,
} as const

/** Bytes in front of what a record carries, and of a whole record around nothing. */
export const RECORD_HEAD = 13
export const RECORD_OVERHEAD: number = RECORD_HEAD + TAG_SIZE
/** Bytes of a mac, and of a cookie. */
export const MAC_SIZE = 16
/** The part of a record's head that every record with one key shares; its associated data. */
export const RECORD_PREFIX = 5

/** Where Noise message 1 begins. */
export const INITIATION_HEAD = 6
/** Bytes of Noise message 1 with nothing inside. */
export const MESSAGE1_SIZE: Readonly<Record<PatternName, number>> = {
  NNpsk0: KEY_SIZE + TAG_SIZE,
  IK: KEY_SIZE + KEY_SIZE + TAG_SIZE + TAG_SIZE,
}
/** Bytes of Noise message 2 with an index inside. */
export const MESSAGE2_SIZE: number = KEY_SIZE + 4 + TAG_SIZE
export const RESPONSE_SIZE: number = 5 + MESSAGE2_SIZE + MAC_SIZE
export const COOKIE_REPLY_SIZE: number = 5 + 16 + MAC_SIZE + TAG_SIZE

export function initiationSize(pattern: PatternName): number {
  return INITIATION_HEAD + MESSAGE1_SIZE[pattern] + 2 * MAC_SIZE
}

/** The suites by the number that an initiation names. */
export const SUITES: Readonly<Record<number, CipherName>> = { 1: 'ChaChaPoly', 2: 'AESGCM' }

export function suiteOf(cipher: CipherName): number {
  return cipher === 'ChaChaPoly' ? 1 : 2
}

/** Counters end here, long after the keys do: what is above is nobody's, and never multiplied out. */
export const COUNTER_LIMIT: number = 2 ** 48

/** A random number by which an end knows keys; 30 bits of chance under the bits 10. */
export function indexOf(random: number): number {
  return ((random & 0x3fff_ffff) | 0x8000_0000) >>> 0
}

/** Whether byte 4 says that a datagram is one of these. */
export function looksSecure(datagram: Uint8Array): boolean {
  return datagram.length > 4 && (datagram[4]! & 0xc0) === 0x80
}

/** Whether a datagram is what an end without security sends: segments of KCP, or a close notice. */
export function looksPlain(datagram: Uint8Array): boolean {
  const cmd = datagram[4] ?? 0
  return (
    (datagram.length >= 24 && cmd >= 0x51 && cmd <= 0x54) ||
    (datagram.length === 20 && cmd >= 0x61 && cmd <= 0x63)
  )
}

export function writeRecordHead(
  buffer: Uint8Array,
  at: number,
  type: number,
  receiver: number,
  counter: number,
): void {
  buffer[at] = type
  writeU32(buffer, at + 1, receiver)
  writeU32(buffer, at + 5, counter % 2 ** 32)
  writeU32(buffer, at + 9, Math.floor(counter / 2 ** 32))
}

/** The counter of a record; Infinity when it is beyond COUNTER_LIMIT. */
export function readCounter(record: Uint8Array): number {
  const high = readU32(record, 9)
  return high >= 2 ** 16 ? Number.POSITIVE_INFINITY : high * 2 ** 32 + readU32(record, 5)
}
