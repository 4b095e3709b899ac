/**
 * The receiving half of FEC: gathers the shards of the latest groups and rebuilds data that was lost. Data datagrams are
 * the caller's to deliver as they come; here they only help their group.
 *
 * What is rebuilt may be wrong: of a peer with other numbers of shards, of a peer that numbers its groups askew (kcp-go
 * 5.6.6 to 5.6.15 after a skipped parity) or of a forger's shards the arithmetic makes anything. What comes out must be a
 * shard in every respect. That is not enough: a row's coefficients add up to 1 under any parameters, so bytes that are
 * the same in all shards of a group, as most of a header is, come out right where the rest is rubbish. Hence the kind of
 * each shard is held against its place, and nothing is rebuilt until no other parameters are left (`evidence.ts`).
 * @module
 */
import { configError, requireInteger } from '../core/config.ts'
import { NO_BYTES } from '../core/memory.ts'
import { giveBack, type MemoryBudget, takeFrom } from '../core/memory-budget.ts'
import { readU16, readU32 } from '../core/segment.ts'
import { seqDiff } from '../core/seq.ts'
import { Copier } from './copy.ts'
import { countKind, FecCounters } from './counters.ts'
import { Evidence } from './evidence.ts'
import { areSegments, FEC_OVERHEAD, FecKind, fecKind, readSeqid, SHARD_AT, seqidLimit } from './header.ts'
import { wholeBlocks } from './kernel.ts'
import { DATAGRAM_MAX, Lent, type LentDatagram } from './lent.ts'
import { ReedSolomon } from './reed-solomon.ts'

export interface FecDecoderOptions {
  /** The peer's, which need not be what we send with. */
  readonly dataShards: number
  readonly parityShards: number
  /** The conversation, or the first of `channels` in a row: data of others is not believed. */
  readonly conv: number
  /** Conversations that share the groups. Default 1. */
  readonly channels?: number
  /** Largest datagram that is taken in, with its FEC header. Default 1500, which no kcp-go exceeds. */
  readonly maxDatagram?: number
  /** Groups that are remembered, finished ones included. Default 32. */
  readonly maxGroups?: number
  /** Memory for shards. Default 128 KiB, or three groups if these need more: kcp-go keeps three. */
  readonly maxBytes?: number
  /**
   * What conversations share, also for other things than FEC: shards are kept while they leave half of it to those.
   * Default none.
   */
  readonly budget?: MemoryBudget | undefined
  /** A group that is older is given up, ms. Default 60 s, as kcp-go until 5.6.21. */
  readonly maxAge?: number
  /** Where to count. Default its own. */
  readonly counters?: FecCounters
}

/** Largest datagram of kcp-go: it reads into buffers of this size. */
const MAX_DATAGRAM = 1500
const MAX_GROUPS = 32
const MAX_BYTES = 128 * 1024
const GROUPS_AT_LEAST = 3
const MAX_AGE = 60_000
/** Of a shared budget. What peers fill with shards must not close the windows of all. */
const SHARE = 1 / 2

/** Bytes of a data shard in front of its segments: its size. */
const SHARD_HEADER = FEC_OVERHEAD - SHARD_AT

export class FecDecoder {
  readonly dataShards: number
  readonly parityShards: number
  readonly counters: FecCounters
  /** What the latest `add` rebuilt, in order: as many as it returned. Segments, without any FEC header. */
  readonly rebuilt: readonly LentDatagram[]
  private readonly lent: readonly Lent[]
  private readonly code: ReedSolomon
  private readonly conv: number
  private readonly channels: number
  /** Shards of a group. */
  private readonly shards: number
  private readonly seqids: number
  private readonly maxShard: number
  /** From one shard to the next in a group's memory. */
  private readonly stride: number
  private readonly maxAge: number
  private readonly copier = new Copier()
  private outputs: Uint8Array = NO_BYTES

  /** The latest groups in order of their first shard: a ring once there are `maxGroups`, the oldest at `oldest`. */
  private readonly groups: Group[] = []
  private oldest = 0
  private readonly maxGroups: number
  /** The group of the latest shard: mostly also that of the next. */
  private latest: Group | undefined
  /** Memories of finished groups, for the next ones: the first `spares` of these. How many more may be made. */
  private readonly spare: Uint8Array[] = []
  private spares = 0
  private unmade: number
  private readonly memories: number
  private readonly budget: MemoryBudget | undefined
  /** Bytes taken from it. */
  private reserved = 0
  /** Whether there is memory for one group only, which the latest takes from the others: for who may be nobody. */
  frugal = false
  private readonly evidence: Evidence
  /** Places to be made from others: the first so many of these. */
  private readonly wanted: Uint8Array

  /** Throws ERR_KCP_CONFIG for what is out of range. */
  constructor(options: FecDecoderOptions) {
    const { dataShards, parityShards, maxDatagram = MAX_DATAGRAM, maxGroups = MAX_GROUPS } = options
    this.code = new ReedSolomon(dataShards, parityShards)
    this.dataShards = dataShards
    this.parityShards = parityShards
    this.counters = options.counters ?? new FecCounters()
    this.conv = requireInteger('conv', options.conv, 0, 0xffff_ffff)
    this.channels = requireInteger('channels', options.channels ?? 1, 1, 2 ** 32 - options.conv)
    this.shards = dataShards + parityShards
    this.seqids = seqidLimit(this.shards)
    this.evidence = new Evidence(dataShards, parityShards)
    this.maxShard = requireInteger('maxDatagram', maxDatagram, FEC_OVERHEAD, DATAGRAM_MAX) - SHARD_AT
    this.stride = wholeBlocks(this.maxShard)
    this.maxAge = requireInteger('maxAge', options.maxAge ?? MAX_AGE, 1, 0x7fff_ffff)
    const need = dataShards * this.stride
    const maxBytes = options.maxBytes ?? Math.max(MAX_BYTES, GROUPS_AT_LEAST * need)
    requireInteger('maxBytes', maxBytes, 0, Number.MAX_SAFE_INTEGER)
    if (maxBytes < need) throw configError('maxBytes', maxBytes, `${need} or more, the memory of one group`)
    this.memories = this.unmade = Math.floor(maxBytes / need)
    this.budget = options.budget
    this.maxGroups = requireInteger('maxGroups', maxGroups, 1, 0xffff)
    this.wanted = new Uint8Array(Math.min(dataShards, parityShards))
    this.lent = Array.from({ length: Math.min(dataShards, parityShards) }, () => new Lent())
    this.rebuilt = this.lent
  }

  /** These are the peer's numbers: shards need not show it first. Until one shows the contrary. */
  believe(): void {
    this.evidence.settle()
  }

  /**
   * Takes in the data or parity datagram `buffer[start, end)`. Returns how many lost ones it gave back: the first so many of
   * `rebuilt`. They lack what came with a datagram: their `wnd` and `ts` are of the time when they were sent.
   */
  add(buffer: Uint8Array, start: number, end: number, now: number): number {
    const kind = fecKind(buffer, start, end)
    if (!countKind(this.counters, kind)) return 0
    return this.addShard(kind === FecKind.Data, buffer, start, end, now)
  }

  /** As `add`, for what is known to be a shard, and counted. */
  addShard(isData: boolean, buffer: Uint8Array, start: number, end: number, now: number): number {
    const { counters } = this
    const seqid = readSeqid(buffer, start)
    const shardStart = start + SHARD_AT
    if (end - shardStart > this.maxShard) {
      counters.oversize++
      return 0
    }
    if (seqid >= this.seqids) {
      counters.outOfRange++
      return 0
    }
    const segmentsStart = start + FEC_OVERHEAD
    if (isData && (end - segmentsStart < 4 || !this.isOurs(readU32(buffer, segmentsStart)))) {
      counters.foreign++
      return 0
    }
    const place = seqid % this.shards
    const group = this.groupOf((seqid - place) / this.shards, now)
    if (isData !== place < this.dataShards) {
      counters.misplaced++
      this.contradict(group)
      return 0
    }
    this.evidence.fit(group.number, place)
    return this.keep(group, place, buffer, shardStart, end)
  }

  /** Gives up groups that are too old. `add` does so too, so this is for when nothing arrives any more. */
  expire(now: number): void {
    for (const group of this.groups) {
      // A negative age is one of more than 25 days.
      if (group.open && seqDiff(now, group.bornAt) >>> 0 >= this.maxAge) this.abandon(group)
    }
  }

  /** Forgets all groups and gives the memory back; for when nothing arrived for a while. */
  trim(): void {
    for (const group of this.groups) if (group.open) this.abandon(group)
    this.groups.length = 0
    this.oldest = 0
    this.latest = undefined
    this.spare.length = 0
    this.spares = 0
    this.unmade = this.memories
    this.outputs = NO_BYTES
    if (this.budget !== undefined) giveBack(this.budget, this.reserved)
    this.reserved = 0
    this.copier.release()
    for (const each of this.lent) each.buffer = NO_BYTES
  }

  /** Bytes held for shards now. */
  get heldBytes(): number {
    return (this.memories - this.unmade) * this.dataShards * this.stride
  }

  /** The group of this number, new if it is not remembered. */
  private groupOf(number: number, now: number): Group {
    if (this.latest?.number === number) return this.latest
    for (const group of this.groups) if (group.number === number) return (this.latest = group)
    this.expire(now)
    return (this.latest = this.begin(number, now))
  }

  private begin(number: number, now: number): Group {
    const { groups } = this
    let group: Group
    if (groups.length < this.maxGroups) {
      group = new Group(this.shards, this.dataShards)
      groups.push(group)
    } else {
      group = groups[this.oldest]!
      this.oldest = (this.oldest + 1) % groups.length
      if (group.open) this.abandon(group)
    }
    group.begin(number, now)
    return group
  }

  /** Puts a shard that fits its place into its group. Returns how many datagrams that gave back. */
  private keep(group: Group, place: number, buffer: Uint8Array, start: number, end: number): number {
    const { counters, dataShards, stride } = this
    const known = group.has[place] === 1
    group.has[place] = 1
    if (!group.open) {
      if (known) counters.duplicate++
      else counters.late++
      return 0
    }
    if (known) {
      counters.duplicate++
      return 0
    }
    const isData = place < dataShards
    const size = end - start
    if (!group.fits(size, isData)) {
      counters.unequal++
      this.contradict(group)
      return 0
    }
    if (isData) group.dataCount++
    if (group.count < dataShards) {
      if (group.memory === NO_BYTES) group.memory = this.takeMemory()
      if (group.memory === NO_BYTES) {
        this.abandon(group)
        return 0
      }
      const to = group.count * stride
      this.copier.copy(buffer, start, end, group.memory, to)
      group.memory.fill(0, to + size, to + stride)
      group.places[group.count++] = place
      if (group.count < dataShards) return 0
    }
    // A whole group is done. One that is not believed yet waits for its next shard.
    const whole = group.dataCount === dataShards
    if (!whole && !this.evidence.suffices && !this.standsAlone(group)) return 0
    const count = whole ? 0 : this.rebuild(group)
    this.finish(group)
    return count
  }

  /**
   * Whether this is the peer's first group, and shows by itself how it is made: its last data and first parity came,
   * parity of it that was not followed by parity of the next, and enough data to know that none of it is parity of
   * groups that are shorter.
   */
  private standsAlone({ number, has }: Group): boolean {
    const { dataShards } = this
    if (number !== 0 || !this.evidence.fromZero) return false
    let end = dataShards - 1
    while (has[end] === 1) end++
    if (end <= dataShards || has.includes(1, end)) return false
    for (let n = 2; n <= dataShards; n++) {
      // In each group of n data comes before parity.
      let [lastData, firstParity] = [0, n]
      for (let place = 0; place < end; place++) {
        if (has[place] !== 1) continue
        if (place < dataShards) lastData = Math.max(lastData, place % n)
        else firstParity = Math.min(firstParity, place % n)
      }
      if (lastData < firstParity) return false
    }
    return true
  }

  private rebuild(group: Group): number {
    const { counters, lent, stride, wanted } = this
    let count = 0
    for (let place = 0; place < this.dataShards; place++) {
      if (group.has[place] === 0) wanted[count++] = place
    }
    const made = this.make(group, count)
    for (let i = 0; i < count; i++) {
      if (this.isShard(i * stride, group.paritySize)) continue
      // All or none: one that is wrong means that what they were made from is.
      this.evidence.contradict()
      return 0
    }
    for (let i = 0; i < count; i++) {
      const each = lent[i]!
      each.buffer = made
      each.start = i * stride + SHARD_HEADER
      each.end = i * stride + readU16(made, i * stride)
    }
    counters.recovered += count
    return count
  }

  /** The first `count` of the shards `wanted`, from those kept. */
  private make(group: Group, count: number): Uint8Array {
    const { code, lent, stride, wanted } = this
    if (this.outputs === NO_BYTES) this.outputs = new Uint8Array(lent.length * stride)
    code.reconstruct(
      group.places,
      group.memory,
      stride,
      group.paritySize,
      wanted,
      count,
      this.outputs,
      0,
      stride,
    )
    return this.outputs
  }

  /** Whether what was rebuilt at `at` is a shard of ours in every respect. Counts why it is not. */
  private isShard(at: number, length: number): boolean {
    const { counters, outputs } = this
    const size = readU16(outputs, at)
    if (size < SHARD_HEADER || size > length) {
      counters.badSize++
      return false
    }
    for (let i = at + size; i < at + length; i++) {
      if (outputs[i] !== 0) {
        counters.badPadding++
        return false
      }
    }
    const conv = readU32(outputs, at + SHARD_HEADER)
    if (!this.isOurs(conv) || !areSegments(outputs, at + SHARD_HEADER, at + size, conv)) {
      counters.badSegments++
      return false
    }
    return true
  }

  private isOurs(conv: number): boolean {
    return conv >= this.conv && conv < this.conv + this.channels
  }

  /**
   * Memory for one group: a used one, a new one, or that of the oldest group which still waits. NO_BYTES: none of these, as
   * others have filled the budget.
   */
  private takeMemory(): Uint8Array {
    const { groups, oldest, unmade } = this
    const size = this.dataShards * this.stride
    if (this.spares === 0 && unmade > 0 && !(this.frugal && unmade < this.memories) && this.reserve(size)) {
      this.unmade--
      return new Uint8Array(size)
    }
    for (let i = 0; this.spares === 0; i++) {
      if (i === groups.length) return NO_BYTES
      const group = groups[(oldest + i) % groups.length]!
      if (group.open && group.memory !== NO_BYTES) this.abandon(group)
    }
    return this.spare[--this.spares]!
  }

  /** Takes bytes from the budget; with the first ones what is made once: what groups note, and where shards are rebuilt. */
  private reserve(bytes: number): boolean {
    const { budget } = this
    if (budget === undefined) return true
    const once = this.maxGroups * (this.shards + this.dataShards) + this.lent.length * this.stride
    const need = this.reserved === 0 ? bytes + once : bytes
    for (let at: MemoryBudget | undefined = budget; at !== undefined; at = at.parent) {
      if (at.used + need > at.limit * SHARE) return false
    }
    takeFrom(budget, need)
    this.reserved += need
    return true
  }

  private abandon(group: Group): void {
    if (group.dataCount < this.dataShards) {
      if (group.count < this.dataShards) this.counters.abandoned++
      else this.counters.unproven++
    }
    this.finish(group)
  }

  /** Something about this group is not as it is under our parameters. */
  private contradict(group: Group): void {
    this.evidence.contradict()
    if (group.open) this.finish(group)
  }

  /** Nothing more is wanted of this group. It is remembered, so that what still comes of it is known to be late. */
  private finish(group: Group): void {
    group.open = false
    // No push and pop: an array that shrinks and grows is garbage.
    if (group.memory !== NO_BYTES) this.spare[this.spares++] = group.memory
    group.memory = NO_BYTES
  }
}

/** What is known of one group. Used again for another when it is the oldest. */
class Group {
  number = -1
  bornAt = 0
  /** Whether it still takes shards. */
  open = false
  /** The shards kept: how many, how many of them data, and their places in the order in which they are kept. */
  count = 0
  dataCount = 0
  readonly places: Uint8Array
  /** 1 for each place of which a shard came. */
  readonly has: Uint8Array
  /** The shards kept, one behind the other. */
  memory: Uint8Array = NO_BYTES
  /** Bytes of each parity shard, and no fewer than any data shard's; 0 while none came. */
  paritySize = 0
  private longestData = 0

  constructor(shards: number, dataShards: number) {
    this.has = new Uint8Array(shards)
    this.places = new Uint8Array(dataShards)
  }

  begin(number: number, now: number): void {
    this.number = number
    this.bornAt = now
    this.open = true
    this.count = 0
    this.dataCount = 0
    this.has.fill(0)
    this.paritySize = 0
    this.longestData = 0
  }

  /** Whether a shard of `size` can belong to those that came. */
  fits(size: number, isData: boolean): boolean {
    if (isData) {
      this.longestData = Math.max(this.longestData, size)
      return this.paritySize === 0 || size <= this.paritySize
    }
    if (this.paritySize !== 0) return size === this.paritySize
    this.paritySize = size
    return size >= this.longestData
  }
}
