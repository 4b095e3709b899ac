/**
 * Kcp: one end of a conversation, for people: the engine with checked settings, typed errors and plain results.
 *
 * | kind              | methods                                                    | may be called               |
 * | ----------------- | ---------------------------------------------------------- | --------------------------- |
 * | reads             | `waitSnd` `peekSize` `stats`, the fields                    | any time                    |
 * | network and clock | `input(datagram, now)` `update(now)`                       | a datagram or deadline came |
 * | application       | `send` `recv` `recvInto` `setMtu` `setWindow` `setNodelay`  | any time outside `output`   |
 * | results           | `flush(now)` → `output(datagram)`, `check(now)`            | after any of the above      |
 *
 * @module
 */
import { assert } from './assert.ts'
import {
  configError,
  type KcpConfig,
  type KcpPresetName,
  MTU_MAX,
  MTU_MIN,
  RCV_WND_MIN,
  type ResolvedKcpConfig,
  requireInteger,
  resolveConfig,
  WND_MAX,
} from './config.ts'
import { Engine, InputResult } from './engine.ts'
import { bufferTooSmall, KcpError, messageTooLarge } from './errors.ts'
import { Command, KCP_OVERHEAD, readU32 } from './segment.ts'
import type { OnOutcome } from './send-window.ts'

/** Gets every datagram, synchronously. `datagram` is lent for this call: who keeps it, copies it. */
export type KcpOutput = (datagram: Uint8Array, kcp: Kcp) => void

export class Kcp extends Engine {
  private sentAny = false

  /**
   * @param conv conversation id, a u32 that both ends share.
   * @param output gets every datagram.
   * @param config a preset's name or settings; throws ERR_KCP_CONFIG.
   */
  constructor(conv: number, output: KcpOutput | null, config: KcpPresetName | KcpConfig = 'default') {
    if (!Number.isInteger(conv) || conv < 0 || conv > 0xffff_ffff) {
      throw new KcpError('ERR_KCP_CREATE', `conv must be a whole number within 0..4294967295, got ${conv}`, {
        detail: { conv: Number(conv) },
      })
    }
    if (output !== null && typeof output !== 'function') {
      throw new KcpError('ERR_KCP_CREATE', `output must be a function, got ${typeof output}`)
    }
    const settings = resolveConfig(config)
    super(conv, settings.hardening)
    this.output = output
    this.configure(settings)
  }

  // ---- reads -----------------------------------------------------------------------------------------------

  /** The settings in force, whichever call made them. */
  get config(): ResolvedKcpConfig {
    return Object.freeze({
      // Upstream takes any number; from 2 on they mean the same.
      nodelay: Math.min(this.nodelay, 2) as ResolvedKcpConfig['nodelay'],
      interval: this.interval,
      resend: this.fastResend,
      nc: this.nocwnd,
      mtu: this.mtu,
      sndWnd: this.sndWnd,
      rcvWnd: this.rcv.rcvWnd,
      streamMode: this.stream,
      minRto: this.rtt.minRto,
      deadLink: this.deadLink,
      fastLimit: this.fastLimit,
      maxFragments: this.maxFragments,
      probeInterval: this.probe.initial,
      maxInFlight: this.maxInFlight,
      lossDetection: this.lossDetection,
      redundancy: this.redundancy,
      hardening: this.hardening,
    })
  }

  /** Bytes of the next message, undefined while none is complete. */
  peekSize(): number | undefined {
    const size = this.rcv.peekSize()
    return size < 0 ? undefined : size
  }

  /** Whether `bytes` more would keep the send queue within `limit` segments. */
  canSend(bytes: number, limit: number): boolean {
    return this.waitSnd() + Math.max(1, Math.ceil(bytes / this.mss)) <= limit
  }

  /** conv of a datagram; undefined when it is shorter than four bytes. */
  static getConv(datagram: Uint8Array, offset = 0): number | undefined {
    return datagram.length >= offset + 4 ? readU32(datagram, offset) : undefined
  }

  /** Whether a datagram looks like KCP: a header with a known command whose length fits. */
  static isPacket(datagram: Uint8Array, offset = 0): boolean {
    if (datagram.length < offset + KCP_OVERHEAD) return false
    const cmd = datagram[offset + 4]!
    if (cmd < Command.Push || cmd > Command.WindowTell) return false
    return readU32(datagram, offset + 20) <= datagram.length - offset - KCP_OVERHEAD
  }

  // ---- settings --------------------------------------------------------------------------------------------

  /**
   * Applies a preset or settings to a running engine. `streamMode` may only change before the first send, and
   * `hardening` not at all.
   */
  applyConfig(config: KcpPresetName | KcpConfig): void {
    this.configure(typeof config === 'string' ? resolveConfig(config) : resolveConfig(this.config, config))
  }

  /** Sets the largest datagram, 50 .. 65507 bytes; throws ERR_KCP_MTU. Segments cut before keep their size. */
  setMtu(mtu: number): void {
    // A datagram is being written into a buffer of the old size.
    this.enter()
    if (!Number.isInteger(mtu) || mtu < MTU_MIN || mtu > MTU_MAX) {
      throw new KcpError(
        'ERR_KCP_MTU',
        `mtu must be a whole number within ${MTU_MIN}..${MTU_MAX}, got ${mtu}`,
        {
          detail: { mtu: Number(mtu), code: -1 },
        },
      )
    }
    this.mtu = mtu
    this.mss = mtu - KCP_OVERHEAD
    // Peers are usually told the same mtu.
    this.rcv.segmentSize = this.mss
    this.openedElsewhere()
  }

  /** Sets the windows, 1 .. 65535 segments; a receive window below 128 becomes 128, as upstream. */
  setWindow(sndWnd: number, rcvWnd: number): void {
    requireInteger('sndWnd', sndWnd, 1, WND_MAX)
    requireInteger('rcvWnd', rcvWnd, 1, WND_MAX)
    this.sndWnd = sndWnd
    this.rcv.rcvWnd = Math.max(rcvWnd, RCV_WND_MIN)
    this.openedElsewhere()
  }

  /** The classic four: see KcpConfig's fields of these names. */
  setNodelay(nodelay: boolean | 0 | 1 | 2, interval: number, resend: number, nc: boolean): void {
    this.applyConfig({ nodelay, interval, resend, nc })
  }

  /** Whether bytes are a stream instead of messages. Fixed by the first send: throws ERR_KCP_CONFIG after it. */
  get streamMode(): boolean {
    return this.stream
  }
  set streamMode(on: boolean) {
    if (on !== this.stream && this.sentAny) {
      throw configError('streamMode', on, `${this.stream} (it cannot change after the first send)`)
    }
    this.stream = on
  }

  /** Chooses log lines (a mask of KCP_LOG) and where they go. */
  setLog(mask: number, sink: ((line: string, kcp: Kcp) => void) | null): void {
    this.logMask = mask
    this.writeLog = sink
  }

  // ---- application -----------------------------------------------------------------------------------------

  /**
   * Queues one message, or in stream mode any number of bytes; copies them. Returns the length.
   * Throws ERR_KCP_MESSAGE_TOO_LARGE when a message needs more than `maxFragments` segments.
   *
   * With `expiresAt` (u32 ms of the engine's clock, less than 2^31 ahead) a message that is still queued then is dropped
   * whole by the next `flush` or `expire`. One of which a segment was admitted to the window is sent to its end.
   * `onOutcome` is told `ticket`, an i32. Throws ERR_KCP_CONFIG in stream mode, where there are no messages.
   */
  send(data: Uint8Array, expiresAt?: number, ticket = 0): number {
    this.enter()
    if (!(data instanceof Uint8Array)) throw new TypeError(`send takes a Uint8Array, got ${typeof data}`)
    if (expiresAt !== undefined) {
      requireInteger('expiresAt', expiresAt, 0, 0xffff_ffff)
      if (this.stream) throw configError('expiresAt', expiresAt, 'left out in stream mode')
    }
    this.sentAny = true
    if (!this.stream) {
      const queued = this.snd.queued
      const code = this.sendRaw(data, 0, data.length)
      if (code < 0) throw messageTooLarge(data.length, this.mss, this.maxFragments)
      if (expiresAt !== undefined) this.snd.limit(this.snd.queued - queued, expiresAt, ticket)
      return code
    }
    // A partial take is possible (the last segment is filled up first), so go on until all is queued.
    const most = this.maxFragments * this.mss
    for (let at = 0; at < data.length; ) {
      const taken = this.sendRaw(data, at, Math.min(most, data.length - at))
      assert(taken > 0, 'a stream piece was refused')
      at += taken
    }
    return data.length
  }

  /**
   * Called for each message that had an `expiresAt`, once: with its ticket, and whether it goes out now (true) or was
   * dropped. Comes from inside `flush` and `expire`: it must not call the engine, nor throw.
   */
  get onOutcome(): OnOutcome | null {
    return this.snd.onOutcome
  }
  set onOutcome(told: OnOutcome | null) {
    this.snd.onOutcome = told
  }

  /** The next message (in stream mode: the next run of bytes), freshly allocated; undefined when there is none. */
  recv(): Uint8Array | undefined {
    this.enter()
    const size = this.rcv.peekSize()
    if (size < 0) return undefined
    const message = new Uint8Array(size)
    this.takeMessage(message, false)
    return message
  }

  /**
   * Copies the next message into `target`; its length, or undefined when there is none. Throws
   * ERR_KCP_RECV_BUFFER_TOO_SMALL (`need`, `got`) and keeps the message when `target` is too small.
   */
  recvInto(target: Uint8Array): number | undefined {
    this.enter()
    const size = this.rcv.peekSize()
    if (size < 0) return undefined
    if (size > target.length) {
      throw bufferTooSmall(size, target.length)
    }
    return this.takeMessage(target, false)
  }

  /**
   * Copies as many whole messages one behind another as fit into `target`; the bytes. For streams, where one read of
   * many segments costs less than many reads.
   */
  recvRun(target: Uint8Array): number {
    this.enter()
    let at = 0
    for (
      let size = this.rcv.peekSize();
      size >= 0 && at + size <= target.length;
      size = this.rcv.peekSize()
    ) {
      at += this.takeMessage(target, false, at)
    }
    return at
  }

  // ---- network ---------------------------------------------------------------------------------------------

  /**
   * Feeds one datagram, at `now` when given. Returns its length. Throws ERR_KCP_INPUT (`code`), or
   * ERR_KCP_CONV_MISMATCH; what came before the faulty segment has taken effect, as upstream.
   */
  input(datagram: Uint8Array, now?: number): number {
    const code = this.tryInput(datagram, now)
    if (code === InputResult.Accepted) return datagram.length
    const conv = Kcp.getConv(datagram)
    if (code === InputResult.Foreign && conv !== undefined && conv !== this.conv) {
      throw new KcpError('ERR_KCP_CONV_MISMATCH', `the datagram is of conv ${conv}, not ${this.conv}`, {
        detail: { expected: this.conv, got: conv },
      })
    }
    throw new KcpError('ERR_KCP_INPUT', `the datagram was refused with code ${code}`, {
      detail: { code, size: datagram.length },
    })
  }

  [Symbol.dispose](): void {
    this.release()
  }

  // ---- inside ----------------------------------------------------------------------------------------------

  /** Sets every field that a configuration names. */
  private configure(config: ResolvedKcpConfig): void {
    this.streamMode = config.streamMode
    this.setMtu(config.mtu)
    this.setWindow(config.sndWnd, config.rcvWnd)
    this.nodelay = config.nodelay
    this.interval = config.interval
    this.fastResend = config.resend
    this.nocwnd = config.nc
    this.rtt.minRto = config.minRto
    this.deadLink = config.deadLink
    this.fastLimit = config.fastLimit
    this.maxFragments = config.maxFragments
    this.probe.initial = config.probeInterval
    this.maxInFlight = config.maxInFlight
    this.setRecovery(config.lossDetection, config.redundancy)
    this.snd.reconsider()
  }
}
