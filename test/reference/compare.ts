/**
 * What the fast engine and the readable one have to agree on after the same call: the answer, the bytes that were sent,
 * and where they stand. The first difference is thrown.
 * @module
 */
import { KcpError } from '../../src/core/errors.ts'
import { Kcp } from '../../src/core/kcp.ts'
import type { ReferenceEngine } from './engine.ts'
import { sizeOf } from './receiver.ts'

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
  ['timerAt', (kcp) => (kcp.hasTimer ? kcp.timerAt : undefined), ({ timerAt }) => timerAt],
  ['repeatAt', ({ repeatAt }) => repeatAt, (one) => one.repeatAt],
  ['loss', (kcp) => kcp['loss'], ({ loss }) => loss],
  ['repeats of each', (kcp) => kcp['repeats']?.level, ({ repetition }) => repetition?.level],
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

/** Compares two engines, call by call. */
export class Comparison {
  /** What the call under way has sent. */
  sent: Uint8Array[] = []
  sentSlow: Uint8Array[] = []
  /** Calls so far. */
  calls = 0
  private readonly fast: Kcp
  private readonly slow: ReferenceEngine

  constructor(fast: Kcp, slow: ReferenceEngine) {
    this.fast = fast
    this.slow = slow
  }

  /** Both are going to get the same call. */
  begin(): void {
    this.calls++
    this.sent = []
    this.sentSlow = []
  }

  /** Both got it, and answered so. Throws a Difference. */
  end(got: unknown, expected: unknown): void {
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

/** What a call returns, or how it fails. */
export function outcome(call: () => unknown): unknown {
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
