/**
 * One engine twice: the fast one and the readable one get the same calls and must answer alike, send the same bytes
 * and stand in the same state after each of them. The first difference is thrown, with what was going on.
 * @module
 */
import type { KcpConfig } from '../../src/core/config.ts'
import { Kcp } from '../../src/core/kcp.ts'
import { Comparison, outcome } from './compare.ts'
import { ReferenceEngine } from './engine.ts'

export class Twins {
  readonly fast: Kcp
  readonly slow: ReferenceEngine
  readonly comparison: Comparison
  /** `output` throws at this datagram of every call; negative: never. */
  throwAt = -1

  constructor(conv: number, config: KcpConfig) {
    this.fast = new Kcp(conv, (datagram) => this.take(this.comparison.sent, datagram), config)
    this.slow = new ReferenceEngine(conv, this.fast.config, (datagram) =>
      this.take(this.comparison.sentSlow, datagram),
    )
    this.comparison = new Comparison(this.fast, this.slow)
  }

  /** Starts both directions somewhere else than at 0; before anything is sent. */
  startAt(sn: number, peersSn: number): void {
    this.fast.snd.sndNxt = this.fast.sndUna = sn
    this.slow.sndNxt = this.slow.sndUna = this.slow.sndMax = sn
    this.fast.rcv.rcvNxt = this.slow.rcvNxt = peersSn
  }

  send(data: Uint8Array): void {
    this.both(
      () => this.fast.sendRaw(data, 0, data.length),
      () => this.slow.send(data),
    )
  }

  /** A message that is dropped if it is still queued at `expiresAt`. */
  sendUntil(data: Uint8Array, expiresAt: number): void {
    this.both(
      () => {
        const { snd } = this.fast
        const { queued } = snd
        const taken = this.fast.sendRaw(data, 0, data.length)
        if (taken >= 0) snd.limit(snd.queued - queued, expiresAt, 0)
        return taken
      },
      () => this.slow.send(data, expiresAt),
    )
  }

  expire(now: number): void {
    this.both(
      () => this.fast.expire(now),
      () => this.slow.expire(now),
    )
  }

  forgetBackoff(now: number): void {
    this.both(
      () => this.fast.forgetBackoff(now),
      () => this.slow.forgetBackoff(now),
    )
  }

  recv(max: number, peek: boolean, keep: boolean): void {
    this.both(
      () => {
        const into = new Uint8Array(Math.min(max, Math.max(0, this.fast.peekSize() ?? 0)))
        const code = this.fast.recvRaw(keep ? into : null, max, peek)
        return code < 0 || !keep ? code : into
      },
      () => {
        const message = this.slow.recv(max, peek)
        return typeof message === 'number' || keep ? message : message.length
      },
    )
  }

  input(datagram: Uint8Array, now: number, recovered = false): void {
    // The bytes are lent for the call: neither may rely on them afterwards.
    const copy = datagram.slice()
    this.both(
      () => this.fast.tryInput(copy, now, recovered),
      () => this.slow.input(datagram, now, recovered),
    )
    copy.fill(0xee)
  }

  update(now: number): void {
    this.both(
      () => this.fast.update(now),
      () => this.slow.update(now),
    )
  }

  flush(now: number): void {
    this.both(
      () => this.fast.flush(now),
      () => this.slow.flush(now),
    )
  }

  check(now: number): number {
    const at = this.slow.check(now)
    this.both(
      () => this.fast.check(now),
      () => at,
    )
    return at
  }

  /** Changes something in both: settings in the fast one only, the other one takes them from there. */
  change(fast: (kcp: Kcp) => void, slow: (engine: ReferenceEngine) => void = () => {}): void {
    this.both(
      () => void fast(this.fast),
      () => {
        slow(this.slow)
        this.slow.config = this.fast.config
      },
    )
  }

  private take(list: Uint8Array[], datagram: Uint8Array): void {
    list.push(datagram.slice())
    if (list.length - 1 === this.throwAt) throw new Error('refused')
  }

  private both(fast: () => unknown, slow: () => unknown): void {
    this.comparison.begin()
    this.comparison.end(outcome(fast), outcome(slow))
  }
}
