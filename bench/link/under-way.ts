/**
 * The packets of one direction that are under way: shared by the thread that takes them from one end (`Entrance`) and
 * the thread that hands them to the other (`Exit`). Packets lie in slots, each with the time at which it is due; an
 * exit with nothing due sleeps until something is.
 *
 * One thread each: neither side locks. Times are ms of one clock that both threads share.
 * @module
 */

/** Room for one packet: the next power of two above Ethernet's 1500 bytes. */
export const SLOT_BYTES = 2048

/** What the two threads share. */
export interface UnderWayMemory {
  readonly packets: SharedArrayBuffer
  readonly dueAt: SharedArrayBuffer
  readonly sizes: SharedArrayBuffer
  readonly control: SharedArrayBuffer
}

/** Words of `control`: packets put in so far, packets whose slot is free again … */
const PUT = 0
const FREED = 1
/** … and when the exit wakes up by itself, in units of TICK: only what is due earlier needs to wake it. */
const WAKES = 2
/** ms. In 32 bits such ticks last for five hours. */
const TICK = 0.01
const TICKS_MAX = 0x7fff_ffff

/** `slots` is a power of two. */
export function underWayMemory(slots: number): UnderWayMemory {
  if (slots < 2 || (slots & (slots - 1)) !== 0) throw new RangeError(`slots ${slots} is no power of two`)
  return {
    packets: new SharedArrayBuffer(slots * SLOT_BYTES),
    dueAt: new SharedArrayBuffer(slots * 8),
    sizes: new SharedArrayBuffer(slots * 4),
    control: new SharedArrayBuffer(3 * 4),
  }
}

class Side {
  readonly packets: Uint8Array
  protected readonly dueAt: Float64Array
  protected readonly sizes: Int32Array
  protected readonly control: Int32Array
  protected readonly mask: number

  constructor(memory: UnderWayMemory) {
    this.packets = new Uint8Array(memory.packets)
    this.dueAt = new Float64Array(memory.dueAt)
    this.sizes = new Int32Array(memory.sizes)
    this.control = new Int32Array(memory.control)
    this.mask = this.sizes.length - 1
  }
}

export class Entrance extends Side {
  #put = 0

  /** Where in `packets` the next packet is to be written. */
  get offset(): number {
    return (this.#put & this.mask) * SLOT_BYTES
  }

  /** Sends the packet at `offset` on its way; false, and it is lost, when the exit is a whole ring behind. */
  put(size: number, dueAt: number): boolean {
    // One slot stays free: it is where the next packet is written before anybody knows whether it travels.
    if (((this.#put - Atomics.load(this.control, FREED)) | 0) >= this.mask) return false
    const slot = this.#put & this.mask
    this.sizes[slot] = size
    this.dueAt[slot] = dueAt
    this.#put = (this.#put + 1) | 0
    Atomics.store(this.control, PUT, this.#put)
    if (dueAt < Atomics.load(this.control, WAKES) * TICK) Atomics.notify(this.control, PUT)
    return true
  }

  /** Has the packet just put travel a second time. */
  putAgain(size: number, dueAt: number): boolean {
    const from = ((this.#put - 1) & this.mask) * SLOT_BYTES
    this.packets.copyWithin(this.offset, from, from + size)
    return this.put(size, dueAt)
  }
}

export class Exit extends Side {
  /** Slots under way by due time, earliest first. */
  readonly #order: number[] = []
  /** Packets seen so far, and slots handed back. */
  #seen = 0
  #freed = 0
  /** Slots that are done with, but lie behind one that is not. */
  readonly #done: Uint8Array

  constructor(memory: UnderWayMemory) {
    super(memory)
    this.#done = new Uint8Array(this.sizes.length)
  }

  /** When the next packet is due; Infinity when none is under way. */
  nextAt(): number {
    const put = Atomics.load(this.control, PUT)
    for (; this.#seen !== put; this.#seen = (this.#seen + 1) | 0) this.#insert(this.#seen & this.mask)
    return this.#order.length === 0 ? Number.POSITIVE_INFINITY : this.dueAt[this.#order[0]!]!
  }

  /** Hands the next packet to `deliver`, by its place in `packets`, and frees its slot. */
  take(deliver: (offset: number, size: number) => void): void {
    const slot = this.#order.shift()!
    deliver(slot * SLOT_BYTES, this.sizes[slot]!)
    this.#done[slot] = 1
    while (this.#done[this.#freed & this.mask] === 1) {
      this.#done[this.#freed & this.mask] = 0
      this.#freed = (this.#freed + 1) | 0
    }
    Atomics.store(this.control, FREED, this.#freed)
  }

  /** Sleeps until `until`, or until a packet was put that is due before. */
  sleep(now: number, until: number): void {
    const wakes = Math.min(Math.ceil(until / TICK), TICKS_MAX)
    Atomics.store(this.control, WAKES, wakes)
    // Returns at once when a packet was put since nextAt: its thread did not know yet what to wake.
    Atomics.wait(this.control, PUT, this.#seen, until - now)
    Atomics.store(this.control, WAKES, 0)
  }

  /** By due time; among equals in order of entrance. Mostly at the end: only what was held back is overtaken. */
  #insert(slot: number): void {
    const order = this.#order
    let at = order.length
    while (at > 0 && this.dueAt[order[at - 1]!]! > this.dueAt[slot]!) at--
    if (at === order.length) order.push(slot)
    else order.splice(at, 0, slot)
  }
}
