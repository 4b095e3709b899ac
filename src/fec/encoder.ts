/**
 * The sending half of FEC: numbers the data datagrams, keeps a copy of each until its group is complete, and then makes
 * the group's parity. Keeps one group at most. Takes datagrams for bytes and looks at none of them.
 * @module
 */
import { configError, requireInteger } from '../core/config.ts'
import { NO_BYTES } from '../core/memory.ts'
import { seqDiff } from '../core/seq.ts'
import { Copier } from './copy.ts'
import { FEC_OVERHEAD, SHARD_AT, seqidLimit, writeDataHeader, writeParityHeader } from './header.ts'
import { wholeBlocks } from './kernel.ts'
import { DATAGRAM_MAX, Lent, type LentDatagram } from './lent.ts'
import { ReedSolomon } from './reed-solomon.ts'

/**
 * A group whose last two datagrams are this far apart gets no parity, ms: by now what was lost of it has been sent
 * again. As kcp-go since 5.6.10; but a group of one datagram always has its parity here.
 */
const STALE_AFTER = 500

export interface FecEncoderOptions {
  /** Data datagrams in a group. Both ends must use the same numbers. */
  readonly dataShards: number
  /** Parity datagrams for each group: so many of all its datagrams may be lost. At most 256 in all. */
  readonly parityShards: number
  /** Largest datagram made, with its FEC header: the mtu less what a cipher adds. */
  readonly maxDatagram: number
  /** Bytes left free in front of each parity datagram and behind it, for a cipher. Default 0. */
  readonly headroom?: number
  readonly tailroom?: number
  /** Where numbering starts: a multiple of the shards of a group. Default 0, as kcp-go. */
  readonly firstSeqid?: number
}

export class FecEncoder {
  /** The parity datagrams of the group that `add` has just completed. Lent until the next `add`; until then the caller may seal them in place. */
  readonly parity: readonly LentDatagram[]
  private readonly made: readonly Lent[]
  private readonly code: ReedSolomon
  private readonly dataShards: number
  private readonly parityShards: number
  private readonly maxShard: number
  private readonly headroom: number
  /** From one shard to the next in `shards`, and from one parity datagram to the next in `outputs`. */
  private readonly stride: number
  private readonly outputStride: number
  private readonly seqids: number
  private readonly copier = new Copier()
  /** This group's shards and its parity; none until the first datagram, and none again after `trim`. */
  private shards: Uint8Array = NO_BYTES
  private outputs: Uint8Array = NO_BYTES

  /** Of the next datagram; 0 .. seqids-1. */
  private seqid: number
  /** Data datagrams of this group so far. */
  private count = 0
  /** Whether `shards` has all of them. */
  private complete = true
  /** Bytes of this group's longest shard. */
  private longest = 0
  /** When the latest datagram was added. */
  private addedAt = 0

  /** Throws ERR_KCP_CONFIG for what is out of range. */
  constructor(options: FecEncoderOptions) {
    const { dataShards, parityShards, headroom = 0, tailroom = 0, firstSeqid = 0 } = options
    this.code = new ReedSolomon(dataShards, parityShards)
    this.dataShards = dataShards
    this.parityShards = parityShards
    this.maxShard = requireInteger('maxDatagram', options.maxDatagram, FEC_OVERHEAD, DATAGRAM_MAX) - SHARD_AT
    this.headroom = requireInteger('headroom', headroom, 0, DATAGRAM_MAX)
    requireInteger('tailroom', tailroom, 0, DATAGRAM_MAX)
    this.stride = wholeBlocks(this.maxShard)
    this.outputStride = headroom + SHARD_AT + Math.max(this.stride, this.maxShard + tailroom)
    const group = dataShards + parityShards
    this.seqids = seqidLimit(group)
    this.seqid = requireInteger('firstSeqid', firstSeqid, 0, this.seqids - 1)
    if (firstSeqid % group !== 0) throw configError('firstSeqid', firstSeqid, `a multiple of ${group}`)
    this.made = Array.from({ length: parityShards }, () => new Lent())
    this.parity = this.made
  }

  /**
   * The segments `buffer[start, end)` become a data datagram: its header is written into the FEC_OVERHEAD bytes in front
   * of them. Returns how many parity datagrams are to be sent behind it: none, or all of `parity`.
   */
  add(buffer: Uint8Array, start: number, end: number, now: number): number {
    if (start < FEC_OVERHEAD) {
      throw new RangeError(`${start} bytes in front of a datagram, ${FEC_OVERHEAD} needed`)
    }
    const datagramStart = start - FEC_OVERHEAD
    const shardStart = datagramStart + SHARD_AT
    if (end - shardStart > this.maxShard) {
      throw new RangeError(
        `a datagram of ${end - datagramStart} bytes, at most ${this.maxShard + SHARD_AT} expected`,
      )
    }
    writeDataHeader(buffer, start, end, this.seqid)
    this.advance(1)
    if (this.count === 0) {
      this.complete = true
      this.longest = 0
    }
    const stale = this.count > 0 && seqDiff(now, this.addedAt) >>> 0 >= STALE_AFTER
    this.addedAt = now
    this.keep(buffer, shardStart, end)
    if (this.count < this.dataShards) return 0
    this.count = 0
    if (stale || !this.complete) {
      // Their numbers are used up all the same: a group begins at a multiple of its size.
      this.advance(this.parityShards)
      return 0
    }
    this.makeParity()
    return this.parityShards
  }

  /**
   * Gives the buffers back, until something is sent again; for when nothing was for a while. A group that has begun
   * gets no parity then.
   */
  trim(): void {
    this.shards = NO_BYTES
    this.outputs = NO_BYTES
    this.complete = false
    this.copier.release()
    for (const each of this.made) each.buffer = NO_BYTES
  }

  private keep(buffer: Uint8Array, start: number, end: number): void {
    if (this.shards === NO_BYTES) this.shards = new Uint8Array(this.dataShards * this.stride)
    const size = end - start
    const to = this.count++ * this.stride
    this.copier.copy(buffer, start, end, this.shards, to)
    this.shards.fill(0, to + size, to + this.stride)
    if (size > this.longest) this.longest = size
  }

  private makeParity(): void {
    const { headroom, outputStride, stride, longest, made } = this
    if (this.outputs === NO_BYTES) this.outputs = new Uint8Array(this.parityShards * outputStride)
    const { outputs } = this
    const first = headroom + SHARD_AT
    this.code.encode(this.shards, stride, longest, outputs, first, outputStride)
    for (let i = 0; i < made.length; i++) {
      const shardStart = first + i * outputStride
      writeParityHeader(outputs, shardStart, this.seqid)
      this.advance(1)
      const parity = made[i]!
      parity.buffer = outputs
      parity.start = shardStart - SHARD_AT
      parity.end = shardStart + longest
    }
  }

  private advance(count: number): void {
    this.seqid += count
    if (this.seqid === this.seqids) this.seqid = 0
  }
}
