/**
 * What stands between KCP (or FEC) and the wire: a `PacketCipher` seals a datagram in place and opens it in place, in
 * the one buffer that it travels in from engine to socket. What comes in front of the plain text goes into the
 * headroom, what comes behind into the tailroom, so nothing is copied and the bounds follow from the sizes alone.
 * @module
 */

/** Fills `bytes[start, end)` with random bytes. Chance is an argument here; secrets need the system's. */
export type FillRandom = (bytes: Uint8Array, start: number, end: number) => void

/** What `open` found. Refusing is normal: the network may send anything. */
export const OpenResult = {
  /** The plain text lies between the headroom and the tailroom. */
  Opened: 0,
  /** Less than headroom and tailroom together. */
  TooShort: -1,
  /** The checksum or the tag is wrong: another key, another cipher, damage, or a forger. */
  Refused: -2,
} as const
export type OpenResult = (typeof OpenResult)[keyof typeof OpenResult]

/** Datagrams since the cipher was made. */
export class CipherCounters {
  sealed = 0
  opened = 0
  /** Not opened: `OpenResult.TooShort`. */
  tooShort = 0
  /** Not opened: `OpenResult.Refused`. */
  refused = 0
}

/**
 * One way to protect datagrams, with its key. Keeps no state about peers, so one value may serve any number of
 * sessions; both ends need the same cipher and key.
 */
export interface PacketCipher {
  /** Bytes that a sealed datagram has in front of the plain text. */
  readonly headroom: number
  /** Bytes that it has behind it. */
  readonly tailroom: number
  readonly counters: CipherCounters
  /**
   * Seals the plain text `buffer[start, end)`. The datagram is then `buffer[start - headroom, end + tailroom)`; the
   * bytes outside stay as they are. Throws a RangeError when the buffer has no room for that.
   */
  seal(buffer: Uint8Array, start: number, end: number): void
  /**
   * Opens the datagram `buffer[start, end)`. When it is `Opened`, the plain text is
   * `buffer[start + headroom, end - tailroom)`. What was not opened may be left in any state, but only within its
   * bounds. Never throws for what a peer sent, only for bounds outside of the buffer.
   */
  open(buffer: Uint8Array, start: number, end: number): OpenResult
  /**
   * The same cipher and key for one end, a listener or a client: it refuses what it has sealed itself, which somebody on
   * the path sent back. Counts with this one. Absent: a datagram that comes back passes for the peer's.
   */
  fork?(): PacketCipher
}

/** Whether a hook returned a Promise, where its result was wanted. Nobody else hears if that is rejected. */
export function isLater(result: unknown): boolean {
  // Nothing is looked up in what is no object: for each datagram that would be garbage.
  if (typeof result !== 'object' || result === null) return false
  if (typeof (result as { then?: unknown }).then !== 'function') return false
  void (result as PromiseLike<unknown>).then(undefined, () => undefined)
  return true
}

/** Throws unless `buffer` has the room that sealing `[start, end)` takes. */
export function requireRoom(cipher: PacketCipher, buffer: Uint8Array, start: number, end: number): void {
  if (start < cipher.headroom || start > end || end + cipher.tailroom > buffer.length) {
    throw new RangeError(
      `no room to seal ${start}..${end} of ${buffer.length} bytes: needs ${cipher.headroom} in front and ` +
        `${cipher.tailroom} behind`,
    )
  }
}

/** Throws unless `[start, end)` lies within `buffer`: ciphers reach past its ends, into memory that it shares. */
export function requireWithin(buffer: Uint8Array, start: number, end: number): void {
  if (start < 0 || end > buffer.length) {
    throw new RangeError(`no datagram at ${start}..${end} of ${buffer.length} bytes`)
  }
}

/** Throws unless `key` has one of these sizes. */
export function requireKey(cipher: string, key: Uint8Array, ...sizes: readonly number[]): void {
  if (!sizes.includes(key.length)) {
    throw new RangeError(`the key of ${cipher} has ${sizes.join(' or ')} bytes, not ${key.length}`)
  }
}

/**
 * No cipher and no header: datagrams are KCP's as they are (kcp-go without a block cipher; `null` for kcptun).
 * Protects nothing: anyone may read, change and forge.
 */
export function plainPackets(): PacketCipher {
  const counters = new CipherCounters()
  return {
    headroom: 0,
    tailroom: 0,
    counters,
    seal() {
      counters.sealed++
    },
    open() {
      counters.opened++
      return OpenResult.Opened
    },
  }
}
