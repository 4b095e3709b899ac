/**
 * One engine twice: the fast one and the readable one get the same calls and must answer alike, send the same bytes
 * and stand in the same state after each of them. The first difference is thrown, with what was going on.
 * @module
 */
import type { KcpConfig } from '../../src/core/config.ts'
import { KcpError } from '../../src/core/errors.ts'
import { Kcp } from '../../src/core/kcp.ts'
import { ReferenceEngine, sizeOf } from './engine.ts'
import { diff } from './wire.ts'

export class Difference extends Error {}

type Value = number | boolean | undefined

/** Fields that have one name in both. */
const SAME_NAME = [
  'sndUna',
  'sndNxt',
  'rcvNxt',
  'rmtWnd',
  'cwnd',
  'cwndBytes',
  'ssthresh',
  'srtt',
  'now',
  'flushAt',
  'started',
  'dead',
  'timeouts',
  'allowance',
  'proven',
  'protocolError',
] as const satisfies readonly (keyof Kcp & keyof ReferenceEngine)[]

const FIELDS: readonly (readonly [
  name: string,
  fast: (kcp: Kcp) => Value,
  slow: (engine: ReferenceEngine) => Value,
])[] = [
  ...SAME_NAME.map((name) => [name, (kcp: Kcp) => kcp[name], (one: ReferenceEngine) => one[name]] as const),
  ['rttvar', ({ rtt }) => rtt.rttvar, ({ rttvar }) => rttvar],
  ['rto', ({ rtt }) => rtt.rto, ({ rto }) => rto],
  ['sndQueue', ({ snd }) => snd.queued, ({ sndQueue }) => sndQueue.length],
  ['sndBuf', ({ snd }) => snd.inFlight, ({ sndBuf }) => sndBuf.length],
  ['sndBytes', ({ snd }) => snd.bytes, ({ sndQueue, sndBuf }) => sizeOf(sndQueue) + sizeOf(sndBuf)],
  ['earliest resend', ({ snd }) => (snd.hasDeadline ? snd.deadline : undefined), earliestResend],
  ['rcvQueue', ({ rcv }) => rcv.queued, ({ rcvQueue }) => rcvQueue.length],
  ['rcvBuf', ({ rcv }) => rcv.early, ({ rcvBuf }) => rcvBuf.length],
  ['rcvBytes', ({ rcv }) => rcv.bytes, ({ rcvBytes }) => rcvBytes],
  ['budget', ({ rcv }) => rcv.budget.used, ({ budget }) => budget.used],
  ['free slots', ({ rcv }) => rcv.unused, (one) => one.freeSlots()],
  ['peekSize', (kcp) => kcp.peekSize() ?? -1, (one) => one.peekSize()],
  ['acks owed', ({ acks }) => acks.count, ({ owed }) => owed.length],
  ['askPending', ({ probe }) => probe.askPending, ({ askPending }) => askPending],
  ['tellPending', ({ probe }) => probe.tellPending, ({ tellPending }) => tellPending],
  ['probeWait', ({ probe }) => probe.wait, ({ probeWait }) => probeWait],
  ['probeAt', ({ probe }) => probe.at, ({ probeAt }) => probeAt],
  ['challengePending', ({ proof }) => proof.challengePending, (one) => one.challengePending],
  ['sentTs', ({ proof }) => (proof.sentPush ? proof.sentTs : undefined), ({ sentTs }) => sentTs],
  ['echoedTs', ({ proof }) => proof.echoedTs, ({ echoedTs }) => echoedTs],
  ['heardTs', ({ proof }) => proof.heardTs, ({ heardTs }) => heardTs],
]

const COUNTERS = Object.keys(new Kcp(0, null).counters) as (keyof Kcp['counters'])[]

/** Flights up to this long are compared segment by segment after every call, longer ones every so many calls. */
const SHORT_FLIGHT = 16
const LONG_LOOK = 8

export class Twins {
  readonly fast: Kcp
  readonly slow: ReferenceEngine
  /** What the latest call sent. */
  sent: Uint8Array[] = []
  /** Calls so far. */
  calls = 0
  /** `output` throws at this datagram of every call; negative: never. */
  throwAt = -1
  private sentSlow: Uint8Array[] = []

  constructor(conv: number, config: KcpConfig) {
    this.fast = new Kcp(conv, (datagram) => this.take(this.sent, datagram), config)
    this.slow = new ReferenceEngine(conv, this.fast.config, (datagram) => this.take(this.sentSlow, datagram))
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

  input(datagram: Uint8Array, now: number): void {
    // The bytes are lent for the call: neither may rely on them afterwards.
    const copy = datagram.slice()
    this.both(
      () => this.fast.tryInput(copy, now),
      () => this.slow.input(datagram, now),
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
    this.calls++
    this.sent = []
    this.sentSlow = []
    const [got, expected] = [outcome(fast), outcome(slow)]
    if (!same(got, expected))
      throw new Difference(`answered ${show(got)}, the readable engine ${show(expected)}`)
    if (this.sent.length !== this.sentSlow.length) {
      throw new Difference(`sent ${this.sent.length} datagrams, the readable engine ${this.sentSlow.length}`)
    }
    for (const [i, datagram] of this.sent.entries()) {
      const other = this.sentSlow[i]!
      if (!same(datagram, other)) {
        throw new Difference(`sent as datagram ${i} ${show(datagram)}, the readable engine ${show(other)}`)
      }
    }
    this.compareFields()
    if (this.slow.sndBuf.length <= SHORT_FLIGHT || this.calls % LONG_LOOK === 0) this.compareFlight()
  }

  private compareFields(): void {
    const { fast, slow } = this
    for (const [name, ofFast, ofSlow] of FIELDS) expectSame(name, ofFast(fast), ofSlow(slow))
    for (const name of COUNTERS) expectSame(name, fast.counters[name], slow.counters[name])
  }

  /** Segment by segment. */
  compareFlight(): void {
    const { snd } = this.fast
    for (const { sn, frg, data, xmit, ts, rto, resendAt, skips } of this.slow.sndBuf) {
      const of = (field: string): string => `${field} of sn ${sn}`
      expectSame(of('presence'), snd.has(sn), true)
      expectSame(of('frg'), snd.frgOf(sn), frg)
      expectSame(of('len'), snd.lenOf(sn), data.length)
      expectSame(of('xmit'), snd.xmitOf(sn), xmit)
      expectSame(of('ts'), snd.tsOf(sn), ts)
      expectSame(of('rto'), snd.rtoOf(sn), rto)
      expectSame(of('resendAt'), snd.resendAtOf(sn), resendAt)
      expectSame(of('skips'), snd.skipsOf(sn), skips)
    }
  }
}

function earliestResend({ sndBuf }: ReferenceEngine): number | undefined {
  const times = sndBuf.filter(({ xmit }) => xmit > 0).map(({ resendAt }) => resendAt)
  return times.reduce((a, b) => (diff(b, a) < 0 ? b : a), times[0]!)
}

/** What a call returns, or how it fails. */
function outcome(call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    if (error instanceof KcpError) return error.code
    return error instanceof Error ? error.message : String(error)
  }
}

function same(a: unknown, b: unknown): boolean {
  if (!(a instanceof Uint8Array) || !(b instanceof Uint8Array)) return a === b
  return Buffer.compare(a, b) === 0
}

function show(answer: unknown): string {
  return answer instanceof Uint8Array
    ? `${answer.length} B ${Buffer.from(answer).toString('hex')}`
    : `${answer}`
}

function expectSame(name: string, fast: Value, slow: Value): void {
  if (fast !== slow) throw new Difference(`${name} is ${fast}, in the readable engine ${slow}`)
}
