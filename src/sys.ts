/**
 * `kcp-io/sys`: the C API of KCP 2.x, name for name, over the same engine in its parity profile: return codes,
 * constants and control-block fields are upstream's, and so is every datagram. No exceptions, but for misuse that C
 * would answer with undefined behaviour (a call on a released block, or from inside the output callback).
 *
 * Two places differ on purpose, because upstream is unsafe there:
 *
 * - Lowering the MTU while longer segments are queued overruns C's buffer. Here such a segment goes out alone, in a
 *   datagram longer than the new MTU.
 * - With `pacing_rate`, C marks segments as sent that the budget kept back, so they are "resent" an RTO later. Here
 *   what the budget keeps back stays untouched, and the next flush sends it.
 *
 * Counters of queues (`nsnd_buf` and its like) are read-only; assigning one throws.
 * @module
 */
import { PARITY } from './core/config.ts'
import type { CongestionControl } from './core/congestion/controller.ts'
import { Engine } from './core/engine.ts'
import { KCP_LOG } from './core/log.ts'
import { setAllocator } from './core/memory.ts'
import { KCP_OVERHEAD, readU32 } from './core/segment.ts'
import { seqAdd } from './core/seq.ts'

export type IUINT32 = number
export type IINT32 = number

/**
 * One segment, as a snapshot. `data` is a copy. What the engine does not keep is 0: `wnd` and `una`, and of received
 * segments `ts`.
 */
export interface IKCPSEG {
  conv: number
  cmd: number
  frg: number
  wnd: number
  ts: number
  sn: number
  una: number
  len: number
  resendts: number
  rto: number
  fastack: number
  xmit: number
  data: Uint8Array
}

/** A queue to iterate, instead of C's linked list; the segments are snapshots. */
export interface IQUEUEHEAD extends Iterable<IKCPSEG> {
  readonly length: number
}

/** Gets every datagram; `buf` is lent for the call. The result is ignored, as C does. */
export type ikcp_output_callback = (buf: Uint8Array, len: number, kcp: IKCPCB, user: unknown) => number
export type ikcp_writelog_callback = (log: string, kcp: IKCPCB, user: unknown) => void

/** Pluggable congestion control; every callback is optional and gets the control block first. */
export interface IKCPOPS {
  name?: string
  /** Below 0: the installation is refused. */
  init?(kcp: IKCPCB): number
  release?(kcp: IKCPCB): void
  on_ack?(kcp: IKCPCB, acked_segs: number, acked_bytes: number, prior_in_flight: number): void
  on_fast_retransmit?(kcp: IKCPCB, fast_retrans: number, inflight: number, prior_cwnd: number): void
  on_timeout?(kcp: IKCPCB, prior_cwnd: number): void
  on_tick?(kcp: IKCPCB): void
  on_app_limited?(kcp: IKCPCB, inflight: number): void
  on_rtt?(kcp: IKCPCB, rtt: number): void
  on_pkt_sent?(kcp: IKCPCB, sn: number, ts: number, len: number, inflight: number, xmit: number): void
  on_pkt_acked?(kcp: IKCPCB, sn: number, ts: number, len: number, rtt: number, xmit: number): void
  get_info?(kcp: IKCPCB, buf: Uint8Array, bufsize: number): number
  /** Payload bytes that this flush may send. */
  pacing_rate?(kcp: IKCPCB): number
}

export const IKCP_OVERHEAD: number = KCP_OVERHEAD
export const IKCP_LOG_OUTPUT: number = KCP_LOG.OUTPUT
export const IKCP_LOG_INPUT: number = KCP_LOG.INPUT
export const IKCP_LOG_SEND: number = KCP_LOG.SEND
export const IKCP_LOG_RECV: number = KCP_LOG.RECV
export const IKCP_LOG_IN_DATA: number = KCP_LOG.IN_DATA
export const IKCP_LOG_IN_ACK: number = KCP_LOG.IN_ACK
export const IKCP_LOG_IN_PROBE: number = KCP_LOG.IN_PROBE
export const IKCP_LOG_IN_WINS: number = KCP_LOG.IN_WINS
export const IKCP_LOG_OUT_DATA: number = KCP_LOG.OUT_DATA
export const IKCP_LOG_OUT_ACK: number = KCP_LOG.OUT_ACK
export const IKCP_LOG_OUT_PROBE: number = KCP_LOG.OUT_PROBE
export const IKCP_LOG_OUT_WINS: number = KCP_LOG.OUT_WINS

/** state of a dead link: (IUINT32)-1. */
const DEAD = 0xffff_ffff
/** Bits of `probe`. */
const IKCP_ASK_SEND = 1
const IKCP_ASK_TELL = 2

/** The control block: upstream's struct IKCPCB, field by field, over an engine. Made by ikcp_create. */
export class IKCPCB {
  user: unknown
  output: ikcp_output_callback | null = null
  writelog: ikcp_writelog_callback | null = null
  /** Set and never read, here as upstream. */
  ts_recent = 0
  ts_lastack = 0
  ccops: IKCPOPS | null = null
  /** For a congestion controller's own state. */
  congest: unknown = null
  readonly #kcp: Engine

  constructor(conv: number, user: unknown) {
    this.user = user
    this.#kcp = new Engine(conv >>> 0, PARITY)
    this.#kcp.output = (datagram) => {
      this.output?.(datagram, datagram.length, this, this.user)
    }
    this.#kcp.writeLog = (line) => this.writelog?.(line, this, this.user)
  }

  /** The engine behind a block. */
  static engine(block: IKCPCB): Engine {
    return block.#kcp
  }

  get conv(): number {
    return this.#kcp.conv
  }
  set conv(value) {
    this.#kcp.conv = value >>> 0
  }
  get mtu(): number {
    return this.#kcp.mtu
  }
  set mtu(value) {
    this.#kcp.mtu = value
  }
  get mss(): number {
    return this.#kcp.mss
  }
  set mss(value) {
    this.#kcp.mss = value
  }
  get state(): number {
    return this.#kcp.dead ? DEAD : 0
  }
  set state(value) {
    this.#kcp.dead = value !== 0
  }
  get snd_una(): number {
    return this.#kcp.sndUna
  }
  set snd_una(value) {
    this.#kcp.sndUna = value >>> 0
  }
  get snd_nxt(): number {
    return this.#kcp.snd.sndNxt
  }
  /** Takes effect only while nothing is in flight. */
  set snd_nxt(value) {
    this.#kcp.snd.sndNxt = value >>> 0
  }
  get rcv_nxt(): number {
    return this.#kcp.rcv.rcvNxt
  }
  /** For the start of a conversation: while nothing is buffered. */
  set rcv_nxt(value) {
    this.#kcp.rcv.rcvNxt = value >>> 0
  }
  get ssthresh(): number {
    return this.#kcp.ssthresh
  }
  set ssthresh(value) {
    this.#kcp.ssthresh = value >>> 0
  }
  get rx_rttval(): number {
    return this.#kcp.rtt.rttvar
  }
  set rx_rttval(value) {
    this.#kcp.rtt.rttvar = value | 0
  }
  get rx_srtt(): number {
    return this.#kcp.rtt.srtt
  }
  set rx_srtt(value) {
    this.#kcp.rtt.srtt = value | 0
  }
  get rx_rto(): number {
    return this.#kcp.rtt.rto
  }
  set rx_rto(value) {
    this.#kcp.rtt.rto = value
  }
  get rx_minrto(): number {
    return this.#kcp.rtt.minRto
  }
  set rx_minrto(value) {
    this.#kcp.rtt.minRto = value
  }
  get snd_wnd(): number {
    return this.#kcp.sndWnd
  }
  set snd_wnd(value) {
    this.#kcp.sndWnd = value >>> 0
  }
  get rcv_wnd(): number {
    return this.#kcp.rcv.rcvWnd
  }
  set rcv_wnd(value) {
    this.#kcp.rcv.rcvWnd = value >>> 0
  }
  get rmt_wnd(): number {
    return this.#kcp.rmtWnd
  }
  set rmt_wnd(value) {
    this.#kcp.rmtWnd = value >>> 0
  }
  get cwnd(): number {
    return this.#kcp.cwnd
  }
  set cwnd(value) {
    this.#kcp.cwnd = value >>> 0
  }
  get incr(): number {
    return this.#kcp.cwndBytes
  }
  set incr(value) {
    this.#kcp.cwndBytes = value >>> 0
  }
  get probe(): number {
    const { askPending, tellPending } = this.#kcp.probe
    return (askPending ? IKCP_ASK_SEND : 0) | (tellPending ? IKCP_ASK_TELL : 0)
  }
  set probe(value) {
    this.#kcp.probe.askPending = (value & IKCP_ASK_SEND) !== 0
    this.#kcp.probe.tellPending = (value & IKCP_ASK_TELL) !== 0
  }
  get current(): number {
    return this.#kcp.now
  }
  set current(value) {
    this.#kcp.now = value >>> 0
  }
  get interval(): number {
    return this.#kcp.interval
  }
  set interval(value) {
    this.#kcp.interval = value
  }
  get ts_flush(): number {
    return this.#kcp.flushAt
  }
  set ts_flush(value) {
    this.#kcp.flushAt = value >>> 0
  }
  /** Timeouts so far. */
  get xmit(): number {
    return this.#kcp.timeouts
  }
  set xmit(value) {
    this.#kcp.timeouts = value >>> 0
  }
  get nrcv_buf(): number {
    return this.#kcp.rcv.early
  }
  get nsnd_buf(): number {
    return this.#kcp.snd.inFlight
  }
  get nrcv_que(): number {
    return this.#kcp.rcv.queued
  }
  get nsnd_que(): number {
    return this.#kcp.snd.queued
  }
  get nodelay(): number {
    return this.#kcp.nodelay
  }
  set nodelay(value) {
    this.#kcp.nodelay = value
  }
  get updated(): number {
    return this.#kcp.started ? 1 : 0
  }
  set updated(value) {
    this.#kcp.started = value !== 0
  }
  get ts_probe(): number {
    return this.#kcp.probe.at
  }
  set ts_probe(value) {
    this.#kcp.probe.at = value >>> 0
  }
  get probe_wait(): number {
    return this.#kcp.probe.wait
  }
  set probe_wait(value) {
    this.#kcp.probe.wait = value >>> 0
  }
  get dead_link(): number {
    return this.#kcp.deadLink
  }
  set dead_link(value) {
    this.#kcp.deadLink = value >>> 0
  }
  /** (sn, ts) pairs owed; a view. */
  get acklist(): Uint32Array {
    return this.#kcp.acks.pairs
  }
  get ackcount(): number {
    return this.#kcp.acks.count
  }
  /** Lowering it drops the newest ACKs. */
  set ackcount(value) {
    this.#kcp.acks.count = Math.min(Math.max(0, value), this.#kcp.acks.count)
  }
  get ackblock(): number {
    return this.#kcp.acks.capacity
  }
  get ackedlen(): number {
    return this.#kcp.snd.ackedBytes
  }
  get fastresend(): number {
    return this.#kcp.fastResend
  }
  set fastresend(value) {
    this.#kcp.fastResend = value
    this.#kcp.snd.reconsider()
  }
  get fastlimit(): number {
    return this.#kcp.fastLimit
  }
  set fastlimit(value) {
    this.#kcp.fastLimit = value
    this.#kcp.snd.reconsider()
  }
  get nocwnd(): number {
    return this.#kcp.nocwnd ? 1 : 0
  }
  set nocwnd(value) {
    this.#kcp.nocwnd = value !== 0
  }
  get stream(): number {
    return this.#kcp.stream ? 1 : 0
  }
  /** As in C it may change at any time; stream bytes are then glued to a queued message's last fragment. */
  set stream(value) {
    this.#kcp.stream = value !== 0
  }
  get logmask(): number {
    return this.#kcp.logMask
  }
  set logmask(value) {
    this.#kcp.logMask = value
  }
  /** C's flush buffer. Here a flush borrows one that all engines share, so there is nothing to see in between. */
  get buffer(): Uint8Array {
    return new Uint8Array(0)
  }

  get snd_queue(): IQUEUEHEAD {
    const { snd } = this.#kcp
    return queue(snd.queued, () => outgoing(this, snd.sndNxt, snd.queued, false))
  }
  get snd_buf(): IQUEUEHEAD {
    const { snd } = this.#kcp
    return queue(snd.inFlight, () => outgoing(this, snd.base, (snd.sndNxt - snd.base) >>> 0, true))
  }
  get rcv_queue(): IQUEUEHEAD {
    const { rcv } = this.#kcp
    return queue(rcv.queued, () => incoming(this, rcv.head, rcv.queued))
  }
  get rcv_buf(): IQUEUEHEAD {
    const { rcv } = this.#kcp
    return queue(rcv.early, () => incoming(this, rcv.rcvNxt, Math.max(0, rcv.capacity - rcv.queued)))
  }
}

function queue(length: number, segments: () => Iterator<IKCPSEG>): IQUEUEHEAD {
  return { length, [Symbol.iterator]: segments }
}

function* outgoing(block: IKCPCB, from: number, count: number, inFlight: boolean): Generator<IKCPSEG> {
  const kcp = IKCPCB.engine(block)
  const { snd } = kcp
  for (let i = 0; i < count; i++) {
    const sn = seqAdd(from, i)
    if (inFlight && !snd.has(sn)) continue
    const data = new Uint8Array(snd.lenOf(sn))
    snd.copyOut(sn, data, 0)
    yield {
      conv: kcp.conv,
      cmd: 81,
      frg: snd.frgOf(sn),
      wnd: 0,
      ts: inFlight ? snd.tsOf(sn) : 0,
      sn: inFlight ? sn : 0,
      una: 0,
      len: data.length,
      resendts: inFlight ? snd.resendAtOf(sn) : 0,
      rto: inFlight ? snd.rtoOf(sn) : 0,
      fastack: inFlight ? snd.skipsOf(sn) : 0,
      xmit: inFlight ? snd.xmitOf(sn) : 0,
      data,
    }
  }
}

function* incoming(block: IKCPCB, from: number, count: number): Generator<IKCPSEG> {
  const kcp = IKCPCB.engine(block)
  for (let i = 0; i < count; i++) {
    const sn = seqAdd(from, i)
    const frg = kcp.rcv.frgOf(sn)
    if (frg < 0) continue
    const data = kcp.rcv.dataOf(sn).slice()
    const { conv } = kcp
    yield {
      conv,
      cmd: 81,
      frg,
      wnd: 0,
      ts: 0,
      sn,
      una: 0,
      len: data.length,
      resendts: 0,
      rto: 0,
      fastack: 0,
      xmit: 0,
      data,
    }
  }
}

/** A new control block for the conversation `conv`. */
export function ikcp_create(conv: number, user?: unknown): IKCPCB {
  return new IKCPCB(conv, user)
}

/** Frees everything; the block must not be used any more. */
export function ikcp_release(kcp: IKCPCB): void {
  IKCPCB.engine(kcp).release()
}

export function ikcp_setoutput(kcp: IKCPCB, output: ikcp_output_callback): void {
  kcp.output = output
}

/** -1 below 50, else 0. */
export function ikcp_setmtu(kcp: IKCPCB, mtu: number): number {
  if (mtu < 50) return -1
  kcp.mtu = mtu
  kcp.mss = mtu - IKCP_OVERHEAD
  return 0
}

/** Zero and negative numbers leave a window as it is; a receive window below 128 becomes 128. */
export function ikcp_wndsize(kcp: IKCPCB, sndwnd: number, rcvwnd: number): number {
  if (sndwnd > 0) kcp.snd_wnd = sndwnd
  if (rcvwnd > 0) kcp.rcv_wnd = Math.max(rcvwnd, 128)
  return 0
}

/** Negative numbers leave a setting as it is; the interval is clamped to 10 .. 5000. */
export function ikcp_nodelay(
  kcp: IKCPCB,
  nodelay: number,
  interval: number,
  resend: number,
  nc: number,
): number {
  IKCPCB.engine(kcp).setNodelayRaw(nodelay, interval, resend, nc)
  return 0
}

/** Bytes taken; -1 for a negative length (or one beyond the buffer), -2 when it needs 128 fragments or more. */
export function ikcp_send(kcp: IKCPCB, buffer: Uint8Array | null, len: number): number {
  if (len < 0 || (buffer !== null && len > buffer.length)) return -1
  return IKCPCB.engine(kcp).sendRaw(buffer, 0, len)
}

/**
 * Bytes of the next message; -1 nothing there, -2 incomplete, -3 larger than `len` (or than the buffer). A negative
 * `len` peeks: copies and keeps.
 */
export function ikcp_recv(kcp: IKCPCB, buffer: Uint8Array | null, len: number): number {
  const max = Math.min(Math.abs(len), buffer?.length ?? Number.POSITIVE_INFINITY)
  return IKCPCB.engine(kcp).recvRaw(buffer, max, len < 0)
}

/** 0; -1 too short or of another conversation, -2 cut short, -3 unknown command. */
export function ikcp_input(kcp: IKCPCB, data: Uint8Array | null, size: number = data?.length ?? 0): number {
  if (data === null || size > data.length) return -1
  return IKCPCB.engine(kcp).tryInput(size === data.length ? data : data.subarray(0, Math.max(0, size)))
}

export function ikcp_update(kcp: IKCPCB, current: number): void {
  IKCPCB.engine(kcp).update(current)
}

/** When to call ikcp_update next. As upstream's it may answer "now" although the update will do nothing. */
export function ikcp_check(kcp: IKCPCB, current: number): number {
  return IKCPCB.engine(kcp).check(current)
}

export function ikcp_flush(kcp: IKCPCB): void {
  IKCPCB.engine(kcp).flush()
}

/** Bytes of the next message, or -1. */
export function ikcp_peeksize(kcp: IKCPCB): number {
  return IKCPCB.engine(kcp).rcv.peekSize()
}

export function ikcp_waitsnd(kcp: IKCPCB): number {
  return IKCPCB.engine(kcp).waitSnd()
}

/** conv of a datagram; 0 when it has not even that. */
export function ikcp_getconv(ptr: Uint8Array): number {
  return ptr.length < 4 ? 0 : readU32(ptr, 0)
}

/** Process-wide hook for the blocks that payloads are kept in. */
export function ikcp_allocator(
  new_malloc?: (size: number) => Uint8Array,
  new_free?: (block: Uint8Array) => void,
): void {
  setAllocator(new_malloc, new_free)
}

/** Installs a congestion controller; null brings the built-in rules back. -1 when its init refused. */
export function ikcp_setcc(kcp: IKCPCB, ops: IKCPOPS | null): number {
  const engine = IKCPCB.engine(kcp)
  kcp.congest = null
  kcp.ccops = ops
  if (ops === null) {
    engine.setCongestion(null)
    return 0
  }
  try {
    engine.setCongestion(controllerOf(kcp, ops))
    return 0
  } catch (error) {
    kcp.ccops = null
    kcp.congest = null
    if (error === REFUSED) return -1
    throw error
  }
}

const REFUSED = new Error('init refused')

/** The engine's hooks from C's callbacks; an absent one stays absent, because KCP's own rule applies then. */
function controllerOf(kcp: IKCPCB, ops: IKCPOPS): CongestionControl {
  const controller: { -readonly [K in keyof CongestionControl]: CongestionControl[K] } = {
    name: ops.name ?? '',
  }
  controller.init = () => {
    if (ops.init !== undefined && ops.init(kcp) < 0) throw REFUSED
  }
  if (ops.release) controller.release = () => ops.release?.(kcp)
  if (ops.on_ack) controller.onAck = (_, segs, bytes, prior) => ops.on_ack?.(kcp, segs, bytes, prior)
  if (ops.on_fast_retransmit) {
    controller.onFastRetransmit = (_, count, inflight, prior) =>
      ops.on_fast_retransmit?.(kcp, count, inflight, prior)
  }
  if (ops.on_timeout) controller.onTimeout = (_, prior) => ops.on_timeout?.(kcp, prior)
  if (ops.on_tick) controller.onTick = () => ops.on_tick?.(kcp)
  if (ops.on_app_limited) controller.onAppLimited = (_, inflight) => ops.on_app_limited?.(kcp, inflight)
  if (ops.on_rtt) controller.onRtt = (_, rtt) => ops.on_rtt?.(kcp, rtt)
  if (ops.on_pkt_sent) {
    controller.onSent = (_, sn, ts, len, inflight, xmit) =>
      ops.on_pkt_sent?.(kcp, sn, ts, len, inflight, xmit)
  }
  if (ops.on_pkt_acked) {
    controller.onAcked = (_, sn, ts, len, rtt, xmit) => ops.on_pkt_acked?.(kcp, sn, ts, len, rtt, xmit)
  }
  if (ops.pacing_rate) controller.budget = () => ops.pacing_rate?.(kcp) ?? -1
  return controller
}

/** Writes a line through `writelog` when `mask` is in `logmask`. */
export function ikcp_log(kcp: IKCPCB, mask: number, line: string): void {
  IKCPCB.engine(kcp).log(mask, line)
}
