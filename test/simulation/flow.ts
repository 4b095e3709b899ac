/**
 * What one end sends to the other on one channel, without keeping it: bytes follow from their place, so that what
 * arrives can be held against what was sent.
 * @module
 */
import { mix32, Prng } from '../../src/sim/prng.ts'
import { require } from './oracle.ts'

/** The largest message: 255 fragments. */
const MESSAGE_MAX = 255 * 1476
/** A prime, so that places do not fall together. */
const PLACES = 65_521
const BYTES: Uint8Array = random(PLACES + MESSAGE_MAX)

function random(size: number): Uint8Array {
  const prng = new Prng(1)
  return Uint8Array.from({ length: size }, () => prng.u32() & 0xff)
}

export class Flow {
  /** Sizes of the messages written so far, and their sum. */
  readonly sizes: number[] = []
  written = 0
  /** Messages whose time was over before they left, by number, and their bytes. */
  readonly dropped: Set<number> = new Set()
  droppedBytes = 0
  readonly stream: boolean
  private readonly id: number

  constructor(id: number, stream: boolean) {
    this.id = mix32(id)
    this.stream = stream
  }

  /** The next message of `size` bytes; to be written before the next one is made. */
  next(size: number): Uint8Array {
    const from = this.place(this.sizes.length)
    this.sizes.push(size)
    this.written += size
    return BYTES.subarray(from, from + size)
  }

  /** The message will not be sent any more. */
  drop(index: number): void {
    require(!this.dropped.has(index), () => `message ${index} expired twice`)
    this.dropped.add(index)
    this.droppedBytes += this.sizes[index]!
  }

  /** Where the bytes of a message lie. */
  place(index: number): number {
    return (index * 7919 + this.id) % PLACES
  }
}

/** Who reads a flow, from its beginning. */
export class FlowReader {
  readonly flow: Flow
  /** Messages so far, with those that expired, and bytes. */
  messages = 0
  bytes = 0
  /** In a stream: the write that the next byte is of, and how much of it was read. */
  private write = 0
  private into = 0

  constructor(flow: Flow) {
    this.flow = flow
  }

  /** Whether all that was written was read, but for what expired. */
  get done(): boolean {
    const { flow } = this
    this.skipDropped()
    return flow.stream ? this.bytes === flow.written : this.messages === flow.sizes.length
  }

  /** Throws a Failure unless `message` is what comes next. */
  read(message: Uint8Array): void {
    const { flow } = this
    if (flow.stream) {
      for (let at = 0; at < message.length; ) at += this.readPiece(message, at)
    } else {
      this.skipDropped()
      const size = flow.sizes[this.messages]
      require(size !== undefined, () => `message ${this.messages} was never sent`)
      require(message.length === size, () =>
        `${message.length} B as message ${this.messages}, sent were ${size}`)
      this.compare(message, flow.place(this.messages))
    }
    this.messages++
    this.bytes += message.length
  }

  private skipDropped(): void {
    while (this.flow.dropped.has(this.messages)) this.messages++
  }

  private readPiece(message: Uint8Array, at: number): number {
    const { flow } = this
    while (this.into === flow.sizes[this.write]) {
      this.write++
      this.into = 0
    }
    const size = flow.sizes[this.write]
    require(size !== undefined, () => `byte ${this.bytes + at} was never sent`)
    const count = Math.min(message.length - at, size! - this.into)
    this.compare(message.subarray(at, at + count), flow.place(this.write) + this.into)
    this.into += count
    return count
  }

  private compare(piece: Uint8Array, place: number): void {
    const same = Buffer.compare(piece, BYTES.subarray(place, place + piece.length)) === 0
    require(same, () => `message ${this.messages} (byte ${this.bytes}) is not what was sent`)
  }
}
