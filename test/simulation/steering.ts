/**
 * A congestion controller with moods: any window, any budget, and now and then none. Whatever it says, all arrives.
 * @module
 */
import type { CongestionControl, CongestionState } from '../../src/core/congestion/controller.ts'
import type { Prng } from '../../src/sim/prng.ts'
import { require } from './oracle.ts'

/** Largest window that it asks for, segments, and largest budget, bytes: one segment fits now and then. */
const CWND_MAX = 64
const BUDGET_MAX = 8_000

export class Steering implements CongestionControl {
  readonly name = 'moody'
  private readonly prng: Prng

  constructor(prng: Prng) {
    this.prng = prng
  }

  onAck(state: CongestionState, ackedSegments: number): void {
    require(ackedSegments >= 0, () => `${ackedSegments} segments acknowledged`)
    state.cwnd = this.prng.int(0, CWND_MAX)
  }

  onFastRetransmit(state: CongestionState, count: number): void {
    require(count > 0, () => `${count} segments sent again`)
    state.cwnd = this.prng.int(0, CWND_MAX)
  }

  onTimeout(state: CongestionState, priorCwnd: number): void {
    require(priorCwnd >= 0, () => `a window of ${priorCwnd}`)
    state.cwnd = this.prng.int(0, 2)
  }

  budget(): number {
    return this.prng.chance(0.7) ? -1 : this.prng.int(0, BUDGET_MAX)
  }
}
