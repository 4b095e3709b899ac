/**
 * What a conversation's datagrams pass through between its engines and the link to its peer: forward error correction,
 * which has numbers and groups of its own for each conversation and is shared by its channels.
 *
 *     out   engine ─► copy into a buffer with room around it ─► FEC header ─► link (cipher, codec) ─► transport
 *                                                            └► parity, when a group is full
 *     in    link ─► what is it? ─► bare segments, or data: to the session ─► the decoder, and what it rebuilds
 *                               ─► parity: to the decoder                 ─► out of band: to the session
 *
 * The copy is the price of sealing in place: a segment must stay as it is for as long as it may have to be sent again.
 * Without FEC and cipher there is none.
 * @module
 */
import type { Kcp } from '../core/kcp.ts'
import type { MemoryBudget } from '../core/memory-budget.ts'
import { AutotuneDecoder } from '../fec/autotune.ts'
import { FecCounters } from '../fec/counters.ts'
import { FecDecoder } from '../fec/decoder.ts'
import { FecEncoder } from '../fec/encoder.ts'
import { FEC_OVERHEAD, FecKind, OUT_OF_BAND_OVERHEAD, writeOutOfBandHeader } from '../fec/header.ts'
import type { ResolvedFec } from './fec-options.ts'
import type { PeerLink } from './peer-link.ts'

/** What FEC did for a conversation. */
export class FecStats extends FecCounters {
  /** Data and parity datagrams sent. */
  dataOut = 0
  parityOut = 0
  /** Out-of-band datagrams. */
  unreliableOut = 0
  unreliableIn = 0
}

/** Adds what was counted elsewhere. */
export function addFecStats(sum: FecStats, more: Readonly<FecStats> | undefined): void {
  if (more === undefined) return
  for (const name of Object.keys(more) as (keyof FecStats)[]) sum[name] += more[name]
}

/** What a session shows of its way to the peer. Absent what is not in use. */
export interface PathStats {
  /** Datagrams of this peer's address: sealed, opened, and such as could not be opened (another key, noise). */
  readonly crypto?: { readonly sealed: number; readonly opened: number; readonly refused: number }
  /** Of this conversation, channels together. Also where only the peer has FEC. */
  readonly fec?: Readonly<FecStats>
}

/** Says something once that a developer should know. */
export type Warn = (code: 'KCP_CIPHER' | 'KCP_FEC', message: string) => void

export interface PipelineOptions<Peer> {
  readonly link: PeerLink<Peer>
  /** The first conv, and how many. */
  readonly conv: number
  readonly channels: number
  readonly fec: ResolvedFec | undefined
  /** Largest datagram of the engines. */
  readonly mtu: number
  readonly now: () => number
  readonly warn: Warn
  /** What all sessions of a listener may keep together: FEC's shards count too. */
  readonly memory?: MemoryBudget
}

/** So many shards that do not fit the parameters, and more than were rebuilt: they are others'. */
const UNFIT_ENOUGH = 8

export class Pipeline<Peer> {
  readonly link: PeerLink<Peer>
  /** Bytes that a datagram of the engine grows by on its way. */
  readonly overhead: number
  /** Bytes of a datagram that can go out of band, less its payload; -1: none can. */
  readonly outOfBandOverhead: number
  /** Of these, what the engine's mtu has not left out. */
  readonly outOfBandInside: number
  private readonly conv: number
  private readonly channels: number
  private readonly fec: ResolvedFec | undefined
  private readonly maxDatagram: number
  private readonly now: () => number
  private readonly warn: Warn
  private readonly memory: MemoryBudget | undefined
  /** Its sessions are over: nothing is kept any more. */
  private over = false
  /** Whether the peer's address is; before it is, little memory is spent on it. */
  proven = false
  private warned = false
  private encoder: FecEncoder | undefined
  private decoder: FecDecoder | AutotuneDecoder | undefined
  private counters: FecStats | undefined
  /** The decoder is at work: what comes from inside of it (a transport that answers at once) does without. */
  private decoding = false
  /** Something was kept for FEC since `trim`. */
  private used = false

  constructor(options: PipelineOptions<Peer>) {
    const { link, fec } = options
    this.link = link
    this.conv = options.conv
    this.channels = options.channels
    this.fec = fec
    this.maxDatagram = options.mtu + FEC_OVERHEAD
    this.now = options.now
    this.warn = options.warn
    this.memory = options.memory
    this.overhead = link.overhead + (fec === undefined ? 0 : FEC_OVERHEAD)
    const outOfBand = fec !== undefined || link.ours
    this.outOfBandOverhead = outOfBand ? link.overhead + OUT_OF_BAND_OVERHEAD : -1
    this.outOfBandInside = OUT_OF_BAND_OVERHEAD - (fec === undefined ? 0 : FEC_OVERHEAD)
    if (outOfBand) this.counters = new FecStats()
  }

  /** What an engine calls with its datagrams. */
  get send(): (datagram: Uint8Array, kcp: Kcp) => void {
    return this.fec === undefined ? this.link.send : this.sendShard
  }

  /** For what stands beside the conversation (close notices): no FEC, which would only delay and count it. */
  sendNotice(notice: Uint8Array): void {
    this.link.send(notice)
    this.link.flushed()
  }

  /** Sends a payload beside the conversation `conv`: unnumbered, unprotected, not acknowledged. */
  sendOutOfBand(conv: number, payload: Uint8Array): void {
    const { link } = this
    const start = link.headroom + OUT_OF_BAND_OVERHEAD
    const end = start + payload.length
    const work = link.borrow(end + link.tailroom)
    work.bytes.set(payload, start)
    writeOutOfBandHeader(work.bytes, start, end, conv)
    link.sendWork(work, link.headroom, end)
    work.giveBack()
    link.flushed()
    this.counters!.unreliableOut++
  }

  get flushed(): () => void {
    return this.link.flushed
  }

  /**
   * FEC's part of a data or parity datagram, after its segments went to their session: hands up what it gave back.
   */
  takeShard(kind: FecKind, datagram: Uint8Array, now: number, each: (segments: Uint8Array) => void): void {
    this.counters ??= new FecStats()
    const { counters, fec } = this
    if (fec === undefined || this.decoding || this.over) {
      // Data went to its session.
      if (kind === FecKind.Data) counters.data++
      else {
        counters.parity++
        counters.unused++
      }
      return
    }
    const decoder = (this.decoder ??= this.makeDecoder(fec))
    decoder.frugal = !this.proven
    this.used = true
    this.decoding = true
    try {
      const count = decoder.add(datagram, 0, datagram.length, now)
      for (let i = 0; i < count; i++) {
        const { buffer, start, end } = decoder.rebuilt[i]!
        each(buffer.subarray(start, end))
      }
    } finally {
      this.decoding = false
      if (this.over) this.trim()
    }
    if (!this.warned && kind === FecKind.Parity) this.watch(counters, fec)
  }

  /** Counts what came out of band; its payload, or undefined when nobody here expects any. */
  takeOutOfBand(datagram: Uint8Array): Uint8Array | undefined {
    this.counters ??= new FecStats()
    this.counters.unreliableIn++
    if (this.outOfBandOverhead >= 0) return datagram.subarray(OUT_OF_BAND_OVERHEAD)
    this.counters.unused++
    return undefined
  }

  /** Counts what says to be FEC, and is not. */
  takeMalformed(): void {
    this.counters ??= new FecStats()
    this.counters.malformed++
  }

  /** Whether `trim` would give memory back. */
  get trimmable(): boolean {
    return this.used
  }

  /** Gives the memory of groups back; for when nothing came or went for a while. */
  trim(): void {
    this.used = false
    this.encoder?.trim()
    this.decoder?.trim()
  }

  /** All its sessions are over: gives its memory back for good. */
  release(): void {
    this.over = true
    // What a session is being handed lies in it.
    if (!this.decoding) this.trim()
  }

  stats(): PathStats {
    const { counters } = this
    const { sealed, opened, refused } = this.link.traffic
    return {
      ...(this.link.sealing ? { crypto: { sealed, opened, refused } } : {}),
      ...(counters === undefined ? {} : { fec: { ...counters } }),
    }
  }

  // ---- inside ----------------------------------------------------------------------------------------------

  private readonly sendShard = (datagram: Uint8Array, kcp: Kcp): void => {
    const { link } = this
    const size = datagram.length + FEC_OVERHEAD
    // A segment cut before the mtu was lowered, or an mtu that was raised: peers take bare datagrams too.
    if (size > this.maxDatagram) {
      link.send(datagram)
      return
    }
    const start = link.headroom + FEC_OVERHEAD
    const end = start + datagram.length
    const counters = this.counters!
    const encoder = (this.encoder ??= this.makeEncoder(this.fec!))
    const work = link.borrow(end + link.tailroom)
    work.bytes.set(datagram, start)
    const parity = encoder.add(work.bytes, start, end, this.now())
    this.used = true
    counters.dataOut++
    link.sendWork(work, link.headroom, end)
    work.giveBack()
    if (parity === 0) return
    const first = encoder.parity[0]!
    const cost = parity * (first.end - first.start + link.overhead)
    // An address that is not proven gets no more than it is worth. The numbers of the group are used up all the same.
    if (cost > kcp.allowance) return
    kcp.allowance -= cost
    counters.parityOut += parity
    for (const each of encoder.parity) link.sendInPlace(each.buffer, each.start, each.end)
  }

  private makeEncoder({ data, parity }: ResolvedFec): FecEncoder {
    return new FecEncoder({
      dataShards: data,
      parityShards: parity,
      maxDatagram: this.maxDatagram,
      headroom: this.link.headroom,
      tailroom: this.link.tailroom,
    })
  }

  private makeDecoder({ data, parity, autotune }: ResolvedFec): FecDecoder | AutotuneDecoder {
    const { conv, channels } = this
    const shape = { dataShards: data, parityShards: parity }
    // Peers may be told a larger mtu than we.
    const maxDatagram = Math.max(this.maxDatagram, DATAGRAM_OF_PEERS)
    const options = { conv, channels, maxDatagram, counters: this.counters!, budget: this.memory }
    return autotune ? new AutotuneDecoder(options, shape) : new FecDecoder({ ...options, ...shape })
  }

  /** Warns when what arrives was made with other parameters. */
  private watch(counters: FecCounters, { data, parity, autotune }: ResolvedFec): void {
    const { misplaced, unequal, badSize, badPadding, badSegments, outOfRange } = counters
    const unfit = misplaced + unequal + badSize + badPadding + badSegments + outOfRange
    if (unfit < UNFIT_ENOUGH || unfit <= counters.recovered || autotune) return
    this.warned = true
    this.warn(
      'KCP_FEC',
      `the peer's FEC does not fit fec: { data: ${data}, parity: ${parity} } (${unfit} datagrams or groups so far): ` +
        'probably it uses other numbers. What arrives is delivered, what is lost waits for its retransmission',
    )
  }
}

/** Largest datagram of kcp-go: it reads into buffers of this size. */
const DATAGRAM_OF_PEERS = 1500
