/**
 * One direction of a network path, without I/O: told the size of a datagram and the time, it says when copies of it
 * arrive, if any. The memory network and a relay on real sockets both drive it.
 *
 *     offered ─► mtu ─► queue at `rate` ─► loss ─► corruption, duplication ─► delay + jitter ─► held back? ─► arrives
 *               (drop)   (tail drop)      (drop)
 *
 * Every datagram draws the same number of random values whatever the options, so with one seed a run at 5 % loss
 * loses a part of what a run at 10 % loses, and both see the same jitter.
 * @module
 */
import { Prng } from './prng.ts'

/** Loss in bursts: a two-state Markov chain stepped once per datagram (Gilbert 1960, Elliott 1963). */
export interface BurstLoss {
  /** Probability of going from the good to the bad state. Mean distance of bursts: 1 / pEnter datagrams. */
  readonly pEnter: number
  /** Probability of going back. Mean length of a burst: 1 / pLeave datagrams. */
  readonly pLeave: number
  /** Loss in the good state. */
  readonly lossGood: number
  /** Loss in the bad state. */
  readonly lossBad: number
}

/** How a path behaves. Probabilities are 0..1 per datagram. */
export interface LinkConditions {
  /** Least time from one end to the other, ms. Default 0. */
  readonly delayMs?: number
  /** Added to the delay, uniform in 0..jitterMs. Never reorders by itself: nobody overtakes. Default 0. */
  readonly jitterMs?: number
  /** Independent loss. 1 is a blackout. Default 0. */
  readonly loss?: number
  /** Loss in bursts, on top of `loss`; null for none. Default null. */
  readonly burst?: BurstLoss | null
  /** Probability of a second copy. It has its own jitter. Default 0. */
  readonly duplicate?: number
  /** Probability of being held back by `reorderMs`, so that later ones overtake. Default 0. */
  readonly reorder?: number
  /** Default 20 ms: two flushes of the usual 10 ms interval overtake. */
  readonly reorderMs?: number
  /** What the narrowest hop carries. Default Infinity. */
  readonly rateBytesPerSec?: number
  /**
   * Bytes that may wait at that hop behind the datagram that is being sent; what finds no room is dropped whole.
   * Default 256 KiB, about 180 full datagrams.
   */
  readonly queueBytes?: number
  /** Probability of one flipped bit. (Real UDP drops most of those by its checksum; KCP itself has none.) Default 0. */
  readonly corrupt?: number
  /** Larger datagrams vanish, as at a hop that drops what it may not fragment. Default Infinity. */
  readonly mtu?: number
}

export interface LinkOptions extends LinkConditions {
  /** Seed of the link's own generator. Default 1. */
  readonly seed?: number
  /** A generator to draw from instead. */
  readonly prng?: Prng
}

/** One copy that arrives. */
export interface Delivery {
  /** From now, ms. May be a fraction. */
  readonly afterMs: number
  /** Number of the bit that was flipped on the way (bit 0 is the lowest of byte 0); -1: none. */
  readonly flippedBit: number
}

/** Datagrams, except where it says bytes. offered = oversized + tailDropped + lost + (delivered - duplicated). */
export interface LinkCounters {
  offered: number
  /** Copies that arrive; counted when planned. */
  delivered: number
  lost: number
  duplicated: number
  /** Held back; whether others overtook them is up to the traffic. */
  reordered: number
  tailDropped: number
  /** Larger than the mtu. */
  oversized: number
  corrupted: number
  offeredBytes: number
  deliveredBytes: number
}

/** What each numeric condition may be, and is when not given. */
const ranges: Readonly<Record<Exclude<keyof LinkConditions, 'burst'>, Range>> = {
  delayMs: { from: 0, to: Number.MAX_SAFE_INTEGER, unset: 0 },
  jitterMs: { from: 0, to: Number.MAX_SAFE_INTEGER, unset: 0 },
  loss: { from: 0, to: 1, unset: 0 },
  duplicate: { from: 0, to: 1, unset: 0 },
  reorder: { from: 0, to: 1, unset: 0 },
  reorderMs: { from: 0, to: Number.MAX_SAFE_INTEGER, unset: 20 },
  rateBytesPerSec: { from: 1, to: Number.POSITIVE_INFINITY, unset: Number.POSITIVE_INFINITY },
  queueBytes: { from: 0, to: Number.POSITIVE_INFINITY, unset: 262_144 },
  corrupt: { from: 0, to: 1, unset: 0 },
  mtu: { from: 1, to: Number.POSITIVE_INFINITY, unset: Number.POSITIVE_INFINITY },
}
interface Range {
  readonly from: number
  readonly to: number
  readonly unset: number
}
const burstFields: readonly (keyof BurstLoss)[] = ['pEnter', 'pLeave', 'lossGood', 'lossBad']

type CompleteConditions = Required<LinkConditions>

export class Link {
  readonly counters: LinkCounters = {
    offered: 0,
    delivered: 0,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    tailDropped: 0,
    oversized: 0,
    corrupted: 0,
    offeredBytes: 0,
    deliveredBytes: 0,
  }
  readonly #prng: Prng
  #conditions: CompleteConditions
  /** State of the burst model. */
  #bad = false
  /** When the narrowest hop has sent everything it accepted. */
  #freeAt = Number.NEGATIVE_INFINITY
  /** What waits at that hop, oldest first; entries before #waitingHead have started. */
  #waiting: { readonly startAt: number; readonly size: number }[] = []
  #waitingHead = 0
  #waitingBytes = 0
  /** Arrival of the last datagram that was not held back: none after it may arrive earlier. */
  #lastArrivalAt = Number.NEGATIVE_INFINITY

  constructor(options: LinkOptions = {}) {
    const { seed = 1, prng = new Prng(seed), ...conditions } = options
    this.#prng = prng
    this.#conditions = parseConditions(conditions, unsetConditions)
  }

  get conditions(): Readonly<CompleteConditions> {
    return this.#conditions
  }

  /** Changes what is named, from the next datagram on; those under way keep their plan. */
  set(conditions: LinkConditions): void {
    this.#conditions = parseConditions(conditions, this.#conditions)
  }

  /** Bytes waiting at the narrowest hop, without the datagram that is being sent. */
  queuedBytes(now: number): number {
    while (this.#waitingHead < this.#waiting.length && this.#waiting[this.#waitingHead]!.startAt <= now) {
      this.#waitingBytes -= this.#waiting[this.#waitingHead++]!.size
    }
    // Amortised: entries move at most once for each that started.
    if (this.#waitingHead > 64 && this.#waitingHead * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#waitingHead)
      this.#waitingHead = 0
    }
    return this.#waitingBytes
  }

  /** Sends a datagram of `size` bytes at `now` ms, which never steps back: the copies that arrive, 0 to 2 of them. */
  plan(size: number, now: number): readonly Delivery[] {
    const { delayMs, jitterMs, loss, burst, duplicate, reorder, reorderMs, corrupt, mtu } = this.#conditions
    const { counters } = this
    const draws = this.#prng
    const lost = draws.chance(loss)
    const lostInBurst = this.#stepBurst(draws.next(), draws.next(), burst)
    const jitter = draws.next() * jitterMs
    const copyJitter = draws.next() * jitterMs
    const copied = draws.chance(duplicate)
    const heldBack = draws.chance(reorder)
    const flipped = draws.chance(corrupt)
    const bit = draws.u32()

    counters.offered++
    counters.offeredBytes += size
    if (size > mtu) {
      counters.oversized++
      return []
    }
    const sentAfter = this.#enqueue(size, now)
    if (sentAfter < 0) {
      counters.tailDropped++
      return []
    }
    if (lost || lostInBurst) {
      counters.lost++
      return []
    }
    const flippedBit = flipped && size > 0 ? bit % (size * 8) : -1
    if (flippedBit >= 0) counters.corrupted++
    if (heldBack) counters.reordered++
    const earliest = sentAfter + delayMs + (heldBack ? reorderMs : 0)
    const afterMs = heldBack ? earliest + jitter : this.#inOrder(earliest + jitter, now)
    const deliveries: Delivery[] = [{ afterMs, flippedBit }]
    if (copied) {
      counters.duplicated++
      deliveries.push({ afterMs: Math.max(afterMs, earliest + copyJitter), flippedBit })
    }
    counters.delivered += deliveries.length
    counters.deliveredBytes += deliveries.length * size
    return deliveries
  }

  /** `plan` for actual bytes: calls `deliver` at once for each copy that arrives, with bytes that are the callee's. */
  transmit(datagram: Uint8Array, now: number, deliver: (copy: Uint8Array, afterMs: number) => void): void {
    for (const { afterMs, flippedBit } of this.plan(datagram.length, now)) {
      // Not slice(): of Node's own byte class that would be a view of the same memory.
      const copy = new Uint8Array(datagram)
      if (flippedBit >= 0) copy[flippedBit >>> 3]! ^= 1 << (flippedBit & 7)
      deliver(copy, afterMs)
    }
  }

  /** How long until the narrowest hop has sent the datagram, ms; -1: no room. */
  #enqueue(size: number, now: number): number {
    const { rateBytesPerSec, queueBytes } = this.#conditions
    const startAt = Math.max(now, this.#freeAt)
    if (startAt > now) {
      if (this.queuedBytes(now) + size > queueBytes) return -1
      this.#waiting.push({ startAt, size })
      this.#waitingBytes += size
    }
    const sendingMs = (size * 1000) / rateBytesPerSec
    if (startAt === now && sendingMs === 0) return 0
    this.#freeAt = startAt + sendingMs
    return startAt - now + sendingMs
  }

  #stepBurst(move: number, loss: number, burst: BurstLoss | null): boolean {
    if (burst === null) return false
    if (move < (this.#bad ? burst.pLeave : burst.pEnter)) this.#bad = !this.#bad
    return loss < (this.#bad ? burst.lossBad : burst.lossGood)
  }

  /** `afterMs`, or as much longer as it takes not to overtake the datagram before. */
  #inOrder(afterMs: number, now: number): number {
    if (now + afterMs < this.#lastArrivalAt) {
      afterMs = this.#lastArrivalAt - now
      // The subtraction may round: without this the sum could land just before the one that it waits for.
      if (now + afterMs < this.#lastArrivalAt) afterMs += Math.abs(this.#lastArrivalAt) * Number.EPSILON
    }
    this.#lastArrivalAt = now + afterMs
    return afterMs
  }
}

const unsetConditions: CompleteConditions = {
  delayMs: ranges.delayMs.unset,
  jitterMs: ranges.jitterMs.unset,
  loss: ranges.loss.unset,
  burst: null,
  duplicate: ranges.duplicate.unset,
  reorder: ranges.reorder.unset,
  reorderMs: ranges.reorderMs.unset,
  rateBytesPerSec: ranges.rateBytesPerSec.unset,
  queueBytes: ranges.queueBytes.unset,
  corrupt: ranges.corrupt.unset,
  mtu: ranges.mtu.unset,
}

/** Checked and complete: what `input` names, the rest from `base`. */
function parseConditions(input: LinkConditions, base: CompleteConditions): CompleteConditions {
  for (const [name, value] of Object.entries(input)) {
    if (name === 'burst') checkBurst(value)
    else if (Object.hasOwn(ranges, name)) checkRange(name, value, ranges[name as keyof typeof ranges])
    else throw new TypeError(`unknown link option ${name}; known: ${Object.keys(unsetConditions).join(', ')}`)
  }
  return Object.freeze({ ...base, ...input })
}

function checkBurst(burst: BurstLoss | null): void {
  if (burst === null) return
  if (typeof burst !== 'object') throw new RangeError(`burst ${String(burst)} is neither an object nor null`)
  for (const field of burstFields) checkRange(`burst.${field}`, burst[field], { from: 0, to: 1, unset: 0 })
}

function checkRange(name: string, value: unknown, { from, to }: Range): void {
  if (typeof value !== 'number' || !(value >= from && value <= to)) {
    throw new RangeError(
      `${name} ${JSON.stringify(value) ?? String(value)} is not a number in ${from}..${to}`,
    )
  }
}
