/**
 * Finds out how many data and parity shards the peer's groups have, for an end that was not told. Nothing is concluded
 * from silence or from a count: both numbers must follow from shards that arrived, and agree with all of them.
 * @module
 */
import { countKind, FecCounters } from './counters.ts'
import { FecDecoder, type FecDecoderOptions } from './decoder.ts'
import { greatestCommonDivisor } from './divisor.ts'
import { FecKind, fecKind, readSeqid } from './header.ts'
import type { LentDatagram } from './lent.ts'
import { SHARDS_MAX } from './reed-solomon.ts'

/** The numbers of a group's shards. */
export interface GroupShape {
  readonly dataShards: number
  readonly parityShards: number
}

/**
 * Groups of more data than this are not believed: a peer would have 128 KiB kept for each of them. kcptun's guides go up
 * to 70. Who wants more says so, instead of having it found.
 */
export const AUTOTUNE_DATA_MAX = 85

/** Shards looked at together: four groups of the largest size. */
const SAMPLES = 4 * SHARDS_MAX

/**
 * Groups begin at multiples of their size n. So where data follows parity the seqid is such a multiple, and n divides
 * the greatest common divisor g of all of them; where parity follows data the seqid modulo n is the number of data
 * shards. g is n as soon as a few groups' ends were seen, however many datagrams are lost in between. It is believed
 * when every place of a group was seen, and each shard is of the kind that belongs to its place.
 */
export class ShapeFinder {
  private readonly seqids = new Uint32Array(SAMPLES)
  private readonly kinds = new Uint8Array(SAMPLES)
  /** Samples since the start; those before the latest SAMPLES are overwritten. */
  private count = 0
  /** g, over `borders` places where data followed parity. */
  private divisor = 0
  private borders = 0
  /** The latest seqid at which parity followed data; -1: none. */
  private turn = -1
  private lastSeqid = -1
  private lastWasData = false
  /** Which places of a group were seen; reused. */
  private readonly seen = new Uint8Array(SHARDS_MAX)

  /** Takes in the number and kind of a shard. Returns the shape, once it is sure. */
  add(seqid: number, isData: boolean): GroupShape | undefined {
    // What contradicts itself for so long never began well, or the peer changed. From the start, then.
    if (this.count === SAMPLES) this.clear()
    this.seqids[this.count] = seqid
    this.kinds[this.count] = isData ? 1 : 0
    this.count++
    const follows = seqid === this.lastSeqid + 1 && isData !== this.lastWasData
    this.lastSeqid = seqid
    this.lastWasData = isData
    if (!follows) return undefined
    if (!isData) {
      this.turn = seqid
      return undefined
    }
    this.divisor = greatestCommonDivisor(seqid, this.divisor)
    this.borders++
    return this.conclude()
  }

  clear(): void {
    this.count = 0
    this.divisor = 0
    this.borders = 0
    this.turn = -1
    this.lastSeqid = -1
  }

  private conclude(): GroupShape | undefined {
    const { divisor, seen } = this
    if (divisor < 2) {
      // The groups do not begin at multiples of anything: a peer that numbers askew, or a forger.
      this.clear()
      return undefined
    }
    if (this.borders < 2 || this.turn < 0 || divisor > SHARDS_MAX || this.count < divisor) return undefined
    const dataShards = this.turn % divisor
    if (dataShards === 0) return undefined
    seen.fill(0)
    let places = 0
    for (let i = 0; i < this.count; i++) {
      const place = this.seqids[i]! % divisor
      if ((this.kinds[i] === 1) !== place < dataShards) return undefined
      if (seen[place] === 0) places++
      seen[place] = 1
    }
    if (places < divisor) return undefined
    return { dataShards, parityShards: divisor - dataShards }
  }
}

/** A decoder that finds the peer's numbers itself, and finds them again when the peer changes them. */
export class AutotuneDecoder {
  readonly counters: FecCounters
  private readonly options: Omit<FecDecoderOptions, keyof GroupShape>
  private isFrugal = false
  /** One of the two is at work. */
  private decoder: FecDecoder | undefined
  private readonly finder = new ShapeFinder()

  /** @param shape what to begin with, if something is known. */
  constructor(options: Omit<FecDecoderOptions, keyof GroupShape>, shape?: GroupShape) {
    this.counters = options.counters ?? new FecCounters()
    this.options = { ...options, counters: this.counters }
    if (shape !== undefined) this.decoder = new FecDecoder({ ...this.options, ...shape })
  }

  /** The numbers of the peer's groups; undefined while they are not known. */
  get shape(): GroupShape | undefined {
    return this.decoder
  }

  /** See FecDecoder. */
  get rebuilt(): readonly LentDatagram[] {
    return this.decoder?.rebuilt ?? []
  }

  get heldBytes(): number {
    return this.decoder?.heldBytes ?? 0
  }

  /** See FecDecoder. */
  get frugal(): boolean {
    return this.isFrugal
  }
  set frugal(on: boolean) {
    this.isFrugal = on
    if (this.decoder !== undefined) this.decoder.frugal = on
  }

  /** See FecDecoder. Nothing is rebuilt while the numbers are not known. */
  add(buffer: Uint8Array, start: number, end: number, now: number): number {
    const { counters, finder } = this
    const kind = fecKind(buffer, start, end)
    if (!countKind(counters, kind)) return 0
    const isData = kind === FecKind.Data
    if (this.decoder !== undefined) {
      const { misplaced } = counters
      const count = this.decoder.addShard(isData, buffer, start, end, now)
      if (counters.misplaced === misplaced) return count
      // These are not the peer's numbers, or not any more.
      this.decoder.trim()
      this.decoder = undefined
      finder.clear()
    }
    const shape = finder.add(readSeqid(buffer, start), isData)
    if (shape === undefined || shape.dataShards > AUTOTUNE_DATA_MAX) {
      if (!isData) counters.unused++
      return 0
    }
    this.decoder = new FecDecoder({ ...this.options, ...shape })
    this.decoder.frugal = this.isFrugal
    this.decoder.believe()
    return this.decoder.addShard(isData, buffer, start, end, now)
  }

  expire(now: number): void {
    this.decoder?.expire(now)
  }

  trim(): void {
    this.decoder?.trim()
  }
}
