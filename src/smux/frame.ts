/**
 * Frames of smux: how they are laid out, written, and found in a stream of bytes that comes in any pieces. Knows
 * nothing of streams; a payload is handed on as it arrives, so a frame is never put together and never waited for.
 *
 * ```
 *  0     1     2           4                       8
 *  ├─────┼─────┼───────────┼───────────────────────┼──────────────
 *  │ ver │ cmd │  length   │       stream id       │ length bytes
 *  └─────┴─────┴───────────┴───────────────────────┴──────────────
 *
 *  UPD:  8                       12                      16
 *        ├───────────────────────┼───────────────────────┤
 *        │       consumed        │        window         │
 *        └───────────────────────┴───────────────────────┘
 * ```
 *
 * All numbers are little-endian.
 * @module
 */

/** Bytes of a frame without its payload. */
export const FRAME_HEADER = 8
/** Bytes of a UPD's payload. */
export const UPDATE_LENGTH = 8
/** Most bytes of one frame's payload: `length` is a u16. */
export const FRAME_MAX = 65_535

export const FrameCommand = {
  /** Opens a stream. No payload, no answer. */
  Syn: 0,
  /** The sender writes no more to the stream. No payload. */
  Fin: 1,
  /** Bytes of the stream. */
  Push: 2,
  /** Sign of life. No payload, stream id 0; with another id, between ends of this package: that stream was broken off. */
  Nop: 3,
  /** Version 2: what the sender's reader has taken so far, and the window that it keeps open. */
  Update: 4,
} as const
export type FrameCommand = (typeof FrameCommand)[keyof typeof FrameCommand]

/** Version of the protocol. Both ends must be set to the same; 2 adds a window to each stream. */
export type SmuxVersion = 1 | 2

/** What a peer can do that no peer of the same protocol and version does. */
export type SmuxFault =
  /** A frame of another version, or no frame at all: the peer speaks something else. */
  | 'version'
  /** A command that the version does not have. */
  | 'command'
  /** A length that the command cannot have. */
  | 'length'
  /** The peer opened a stream with an id of ours (both ends have the same role), or with none of its own. */
  | 'stream-id'
  /** The peer's reader took more than was ever written. */
  | 'consumed'
  /** The peer writes far beyond the window that it was given. */
  | 'window'

/** Writes a frame's header at `at`; returns where its payload begins. */
export function writeFrameHeader(
  to: Uint8Array,
  at: number,
  version: SmuxVersion,
  command: FrameCommand,
  length: number,
  id: number,
): number {
  to[at] = version
  to[at + 1] = command
  to[at + 2] = length
  to[at + 3] = length >>> 8
  writeU32(to, at + 4, id)
  return at + FRAME_HEADER
}

/** Writes a whole UPD at `at`; returns where it ends. Both counts are taken modulo 2^32. */
export function writeUpdate(
  to: Uint8Array,
  at: number,
  version: SmuxVersion,
  id: number,
  consumed: number,
  window: number,
): number {
  at = writeFrameHeader(to, at, version, FrameCommand.Update, UPDATE_LENGTH, id)
  writeU32(to, at, consumed)
  writeU32(to, at + 4, window)
  return at + UPDATE_LENGTH
}

function writeU32(to: Uint8Array, at: number, value: number): void {
  to[at] = value
  to[at + 1] = value >>> 8
  to[at + 2] = value >>> 16
  to[at + 3] = value >>> 24
}

function readU32(from: Uint8Array, at: number): number {
  return (from[at]! | (from[at + 1]! << 8) | (from[at + 2]! << 16) | (from[at + 3]! << 24)) >>> 0
}

/** What a parser found. */
export interface FrameSink {
  /** A frame's header, checked. `length` bytes follow: by `onData` those of a PSH, by `onUpdate` those of a UPD. */
  onFrame(command: FrameCommand, id: number, length: number): void
  /** The next bytes of the payload of the PSH last announced. A view of what was parsed. */
  onData(id: number, bytes: Uint8Array): void
  /** The UPD last announced is complete. Both numbers are u32. */
  onUpdate(id: number, consumed: number, window: number): void
}

/** Finds frames in pieces of any size. Keeps at most a header, or a UPD's payload, between two pieces. */
export class FrameParser {
  readonly #version: SmuxVersion
  readonly #sink: FrameSink
  /** What has come of a header, or of a UPD's payload, that was cut. */
  readonly #partial = new Uint8Array(Math.max(FRAME_HEADER, UPDATE_LENGTH))
  #have = 0
  /** Bytes of the current payload that are still to come. */
  #left = 0
  #command: FrameCommand = FrameCommand.Nop
  #id = 0
  #fault: SmuxFault | undefined

  constructor(version: SmuxVersion, sink: FrameSink) {
    this.#version = version
    this.#sink = sink
  }

  /** Why nothing is parsed any more; undefined while all is well. */
  get fault(): SmuxFault | undefined {
    return this.#fault
  }

  /**
   * Takes one bite of `bytes` from `at` on: a header, or what is there of a payload. Returns where the rest begins; after
   * a fault that is `at`.
   */
  step(bytes: Uint8Array, at: number): number {
    if (this.#fault !== undefined) return at
    if (this.#left === 0) return this.#header(bytes, at)
    if (this.#command === FrameCommand.Push) {
      const end = Math.min(bytes.length, at + this.#left)
      this.#left -= end - at
      this.#sink.onData(this.#id, bytes.subarray(at, end))
      return end
    }
    const from = this.#collect(bytes, at, UPDATE_LENGTH)
    this.#left = UPDATE_LENGTH - this.#have
    if (this.#left > 0) return bytes.length
    this.#have = 0
    this.#sink.onUpdate(this.#id, readU32(this.#partial, 0), readU32(this.#partial, 4))
    return from
  }

  #header(bytes: Uint8Array, at: number): number {
    let from = bytes
    let start = at
    let end = at + FRAME_HEADER
    if (this.#have > 0 || end > bytes.length) {
      end = this.#collect(bytes, at, FRAME_HEADER)
      // The version is the first byte: a peer that speaks something else is told by it, however little it says.
      if (this.#partial[0] !== this.#version) return this.#refuse('version', at)
      if (this.#have < FRAME_HEADER) return end
      this.#have = 0
      from = this.#partial
      start = 0
    }
    if (from[start] !== this.#version) return this.#refuse('version', at)
    const command = from[start + 1]!
    const length = from[start + 2]! | (from[start + 3]! << 8)
    if (command > FrameCommand.Update || (command === FrameCommand.Update && this.#version === 1)) {
      return this.#refuse('command', at)
    }
    // kcp-go's smux of 2021 does not look; then the payload of a SYN would be taken for frames.
    const fits =
      command === FrameCommand.Push || length === (command === FrameCommand.Update ? UPDATE_LENGTH : 0)
    if (!fits) return this.#refuse('length', at)
    this.#command = command as FrameCommand
    this.#id = readU32(from, start + 4)
    this.#left = length
    this.#sink.onFrame(this.#command, this.#id, length)
    return end
  }

  /** Adds to what is kept until there are `wanted` bytes; returns where the rest begins. */
  #collect(bytes: Uint8Array, at: number, wanted: number): number {
    const end = Math.min(bytes.length, at + wanted - this.#have)
    while (at < end) this.#partial[this.#have++] = bytes[at++]!
    return end
  }

  #refuse(fault: SmuxFault, at: number): number {
    this.#fault = fault
    return at
  }
}
