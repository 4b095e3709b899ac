import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { earliest, fireDue, SessionTimer, type TimedSession } from '../../src/session/session-timers.ts'

class Timed implements TimedSession {
  closed = false
  readonly times = new Map<SessionTimer, number>()
  readonly fired: SessionTimer[] = []
  /** This one ends the session. */
  fatal: SessionTimer | undefined

  timerAt(timer: SessionTimer): number {
    return this.times.get(timer) ?? Number.POSITIVE_INFINITY
  }
  fire(timer: SessionTimer): void {
    this.fired.push(timer)
    this.times.delete(timer)
    if (timer === this.fatal) this.closed = true
  }
}

test('the earliest timer is the deadline, and without any there is none', () => {
  const timed = new Timed()
  equal(earliest(timed, 0), Number.POSITIVE_INFINITY)
  for (const [at, timer] of Object.values(SessionTimer).entries()) {
    timed.times.set(timer, 1_000 - at)
    equal(earliest(timed, 0), 1_000 - at)
  }
})

test('timers that are due fire once, in the order of the table, from the given one on', () => {
  const timed = new Timed()
  const { Expiry, Idle, Stall, Retransmit, Mute } = SessionTimer
  for (const timer of [Mute, Retransmit, Stall, Idle, Expiry]) timed.times.set(timer, 10)
  timed.times.set(SessionTimer.Trim, 11)
  fireDue(timed, 10, Idle)
  deepEqual(timed.fired, [Idle, Stall, Retransmit, Mute])
})

test('a timer that ends the session is the last one to fire', () => {
  const timed = new Timed()
  timed.fatal = SessionTimer.Stall
  for (const timer of Object.values(SessionTimer)) timed.times.set(timer, 0)
  fireDue(timed, 5, SessionTimer.Expiry)
  equal(timed.fired.at(-1), SessionTimer.Stall)
})
