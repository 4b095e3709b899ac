/**
 * The readable engine beside the engine of a session: it gets the same calls, and after each of them must have answered
 * alike, sent the same bytes and stand in the same state. The session notices nothing of it.
 * @module
 */

import type { Kcp } from '../../src/core/kcp.ts'
import type { MemoryBudget } from '../../src/core/memory-budget.ts'
import { Comparison, Difference, outcome } from '../reference/compare.ts'
import { ReferenceEngine } from '../reference/engine.ts'
import type { ReferenceBudget } from '../reference/receiver.ts'
import { Failure } from './oracle.ts'

type Call =
  | 'send'
  | 'recv'
  | 'recvInto'
  | 'recvRun'
  | 'tryInput'
  | 'update'
  | 'keepTime'
  | 'flush'
  | 'expire'
  | 'forgetBackoff'
  | 'setMtu'
  | 'applyConfig'
  | 'trim'
/** `known`: what the engines' budget was after their latest call; what changed it since is FEC's. */
interface Budget extends ReferenceBudget {
  known: number
  readonly parent?: Budget
  /** The engines' own. */
  readonly fast: MemoryBudget
}

/** What sessions share among engines, and what the readable ones share in its place. */
const budgets: WeakMap<object, Budget> = new WeakMap()

/** The readable engines' budget beside one of the engines'. */
function budgetOf(fast: MemoryBudget): Budget {
  let found = budgets.get(fast)
  if (found === undefined) {
    const { used, limit, stuck = 0, parent } = fast
    found = {
      used,
      limit,
      stuck,
      known: used,
      fast,
      ...(parent === undefined ? {} : { parent: budgetOf(parent) }),
    }
    budgets.set(fast, found)
  }
  return found
}

/** What FEC has taken since. */
function takeOver(budget: Budget): void {
  for (let at: Budget | undefined = budget; at !== undefined; at = at.parent)
    at.used += at.fast.used - at.known
}

/** What the engines have now. */
function note(budget: Budget): void {
  for (let at: Budget | undefined = budget; at !== undefined; at = at.parent) at.known = at.fast.used
}

/** From now on every call of `kcp` is made twice. It has nothing in flight, and nothing was received yet. */
export function shadow(kcp: Kcp): void {
  new Shadow(kcp)
}

class Shadow {
  private readonly fast: Kcp
  private readonly slow: ReferenceEngine
  private budget!: Budget
  private readonly comparison: Comparison
  /** A call is being made: those that it makes in turn are part of it. */
  private busy = false
  private released = false
  /** What became of each datagram of the call under way: what else of the allowance it took, and if it was refused. */
  private readonly fates: { allowance: number; refused: boolean }[] = []

  constructor(kcp: Kcp) {
    this.fast = kcp
    const slow = new ReferenceEngine(kcp.conv, kcp.config, (datagram) => {
      const fate = this.fates[comparison.sentSlow.push(datagram.slice()) - 1]
      if (fate === undefined) return
      slow.allowance += fate.allowance
      if (fate.refused) throw new Error('refused')
    })
    const comparison = new Comparison(kcp, slow)
    this.slow = slow
    this.comparison = comparison
    this.begin()
    this.listen()
    this.wrap()
  }

  /** Takes over where a new session's engine stands: it was flushed once. */
  private begin(): void {
    const { fast, slow } = this
    const { now, flushAt, started, rmtWnd, cwnd, cwndBytes, ssthresh, proven } = fast
    Object.assign(slow, { now, flushAt, started, rmtWnd, cwnd, cwndBytes, ssthresh, proven })
    slow.agedAt = fast['agedAt']
    slow.sndUna = slow.sndMax = slow.sndNxt = fast.sndNxt
    slow.rcvNxt = fast.rcvNxt
    slow.maxBytes = fast.rcv.maxBytes
    slow.peer.fits = fast.peer.fits
    slow.peer.una = fast.peer.una
    slow.peer.unproven = fast.peer.unproven
    slow.budget = this.budget = budgetOf(fast.rcv.budget)
  }

  /** What a session sets without a call. */
  private follow(): void {
    const { fast, slow, budget } = this
    takeOver(budget)
    slow.peer.unproven = fast.peer.unproven
    slow.peer.wary = fast.peer.wary
    slow.peer.misfits = fast.peer.misfits
    slow.allowance = fast.allowance
    slow.overhead = fast.overhead
    slow.askPending = fast.probe.askPending
    slow.tellPending = fast.probe.tellPending
    slow.challengePending = fast.proof.challengePending
    slow.counters.expired = fast.counters.expired
    slow.counters.inputErrors = fast.counters.inputErrors
  }

  private listen(): void {
    const { fast, comparison } = this
    const output = fast.output
    fast.output = (datagram, kcp) => {
      comparison.sent.push(datagram.slice())
      const fate = { allowance: 0, refused: true }
      this.fates.push(fate)
      // Parity that goes out with it is paid for too.
      const before = fast.allowance
      output?.(datagram, kcp)
      // Without a limit there is none.
      fate.allowance = fast.allowance === before ? 0 : fast.allowance - before
      fate.refused = false
    }
  }

  private wrap(): void {
    const { fast, slow } = this
    this.twice('send', (data, expiresAt) => this.send(data, expiresAt))
    this.twice('recv', () => this.take(Number.POSITIVE_INFINITY))
    this.twice('recvInto', (target) => this.take(target.length)?.length)
    this.twice('recvRun', (target) => {
      let size = 0
      for (let next = slow.peekSize(); next >= 0 && size + next <= target.length; next = slow.peekSize()) {
        size += this.take(Number.POSITIVE_INFINITY)!.length
      }
      return size
    })
    this.twice('tryInput', (datagram, now, recovered) =>
      slow.input(datagram.slice(), now ?? fast.now, recovered),
    )
    this.twice('update', (now) => slow.update(now))
    this.twice('keepTime', (now) => slow.keepTime(now))
    this.twice('flush', (now) => slow.flush(now ?? fast.now))
    this.twice('expire', (now) => slow.expire(now ?? fast.now))
    this.twice('forgetBackoff', (now) => slow.forgetBackoff(now ?? fast.now))
    this.twice('setMtu', () => void (slow.config = fast.config))
    this.twice('applyConfig', () => void (slow.config = fast.config))
    this.twice('trim', () => slow.trim())
    const release = fast.release.bind(fast)
    fast.release = () => {
      if (!this.released) slow.forgetReceived()
      this.released = true
      takeOver(this.budget)
      release()
      note(this.budget)
    }
  }

  private send(data: Uint8Array, expiresAt: number | undefined): number | string {
    const { slow } = this
    const { streamMode, maxFragments } = slow.config
    if (!streamMode) {
      const code = slow.send(data, expiresAt)
      return code < 0 ? 'ERR_KCP_MESSAGE_TOO_LARGE' : code
    }
    const most = maxFragments * slow.mss
    for (let at = 0; at < data.length; ) at += slow.send(data.subarray(at, at + most))
    return data.length
  }

  private take(max: number): Uint8Array | undefined {
    const message = this.slow.recv(max, false)
    return typeof message === 'number' ? undefined : message
  }

  /** Has calls of a method of the engine go to the readable one too. */
  private twice<Name extends Call>(name: Name, slow: (...args: Parameters<Kcp[Name]>) => unknown): void {
    const { fast, comparison } = this
    const method = fast[name] as (...args: unknown[]) => unknown
    const both = (...args: Parameters<Kcp[Name]>): unknown => {
      if (this.busy || this.released) return method.apply(fast, args)
      this.busy = true
      this.follow()
      comparison.begin()
      this.fates.length = 0
      try {
        let result: unknown
        let error: unknown
        const got = outcome(() => {
          try {
            result = method.apply(fast, args)
            return result
          } catch (thrown) {
            error = thrown
            throw thrown
          }
        })
        if (!this.released)
          comparison.end(
            got,
            outcome(() => slow(...args)),
          )
        if (error !== undefined) throw error
        return result
      } catch (error) {
        if (!(error instanceof Difference)) throw error
        throw new Failure(`${name} of conv ${fast.conv}: ${error.message}`)
      } finally {
        this.busy = false
        note(this.budget)
      }
    }
    Object.assign(fast, { [name]: both })
  }
}
