/**
 * Reed-Solomon erasure coding as kcp-go does it: p parity shards for d data shards, and any d of these d + p shards give
 * back all data. Knows shards and their places, nothing of datagrams.
 * @module
 */
import { assert } from '../core/assert.ts'
import { requireInteger } from '../core/config.ts'
import type { Kernel } from './kernel.ts'
import { bestKernel } from './kernel-wasm.ts'
import { coefficients } from './matrix.ts'

/** Shards of one group at most: the field has as many elements. */
export const SHARDS_MAX = 256

export class ReedSolomon {
  readonly dataShards: number
  readonly parityShards: number
  private readonly kernel: Kernel
  private readonly parityRows: Uint8Array
  /** Of the latest `reconstruct`: of no more shards than there is parity, or data. */
  private readonly rows: Uint8Array

  /** Throws ERR_KCP_CONFIG unless there is one shard of each kind at least, and 256 in all at most. */
  constructor(dataShards: number, parityShards: number, kernel: Kernel = bestKernel()) {
    this.dataShards = requireInteger('dataShards', dataShards, 1, SHARDS_MAX - 1)
    this.parityShards = requireInteger('parityShards', parityShards, 1, SHARDS_MAX - dataShards)
    this.kernel = kernel
    const places = Array.from({ length: dataShards + parityShards }, (_, place) => place)
    this.rows = new Uint8Array(Math.min(dataShards, parityShards) * dataShards)
    this.parityRows = new Uint8Array(parityShards * dataShards)
    coefficients(places.slice(0, dataShards), places.slice(dataShards), parityShards, this.parityRows)
  }

  /**
   * Makes the parity of all data shards, which lie in order in `data`, `stride` bytes from one to the next, and are
   * filled up with zeros to `length` bytes. Parity shard i goes to `parityAt + i * parityStride` of `parity`. Strides
   * and what may be overwritten: as for a Kernel.
   */
  encode(
    data: Uint8Array,
    stride: number,
    length: number,
    parity: Uint8Array,
    parityAt: number,
    parityStride: number,
  ): void {
    const { dataShards, parityShards, parityRows } = this
    assert(data.length === dataShards * stride, 'as many shards as the code has')
    this.kernel.combine(
      parityRows,
      parityShards,
      data,
      dataShards,
      stride,
      length,
      parity,
      parityAt,
      parityStride,
    )
  }

  /**
   * Makes the first `count` of the shards `wanted` from `shards`: any d different ones in any order, laid out as for
   * `encode`. `places` says which each is, and `wanted` names places too: 0 .. d-1 data, then parity. None is in both.
   * At most min(d, p) are wanted: as many data shards can be missing.
   */
  reconstruct(
    places: ArrayLike<number>,
    shards: Uint8Array,
    stride: number,
    length: number,
    wanted: ArrayLike<number>,
    count: number,
    made: Uint8Array,
    madeAt: number,
    madeStride: number,
  ): void {
    const { dataShards } = this
    assert(places.length === dataShards, 'any d places')
    assert(shards.length === dataShards * stride, 'as many shards as the code has')
    const { rows } = this
    coefficients(places, wanted, count, rows)
    this.kernel.combine(rows, count, shards, dataShards, stride, length, made, madeAt, madeStride)
  }
}
