/**
 * Real time for sessions: a monotonic clock, timers that do not keep the process alive (the socket does), and the end
 * of this turn of the event loop.
 * @module
 */
import { Scheduler } from '../session/scheduler.ts'
import type { Clock } from '../session/transport.ts'

export const nodeClock: Clock = {
  now: () => performance.now(),
  setTimeout: (run, ms) => setTimeout(run, ms).unref(),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
  // The check phase comes right after the poll phase, in which up to 32 waiting datagrams are handed up.
  soon: (run) => {
    setImmediate(run)
  },
}

const schedulers = new WeakMap<Clock, Scheduler>()

/** The one scheduler of a clock: all sessions of a process share a timer. */
export function schedulerOf(clock: Clock): Scheduler {
  let scheduler = schedulers.get(clock)
  if (scheduler === undefined) {
    scheduler = new Scheduler(clock)
    schedulers.set(clock, scheduler)
  }
  return scheduler
}
