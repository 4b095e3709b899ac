/**
 * One timer for any number of sessions, and one "end of this turn" for all that were touched in it. A session that
 * waits for nothing costs nothing here.
 * @module
 */
import { DeadlineHeap } from '../core/deadline-heap.ts'
import type { Clock } from './transport.ts'

/** Something that runs when it is due. */
export interface Task {
  /** Does what is due at `now`, ms of the scheduler's clock. true: it wants a turn more right after this one. */
  run(now: number): boolean
  /** When to run again, ms of the same clock; Infinity: not before it is touched. */
  deadline(): number
  /** The process stood still for `ms`, until `now`: move what judges the peer by silence, but not beyond now. */
  forgive(ms: number, now: number): void
}

/** A timer this late means that a callback took long: what waits in the socket is heard first, ms. */
const LATE = 50
/** And this late, that nobody could hear for a while: what judges the peer by silence moves by as much. */
const STALL = 1_000
/** Deadlines farther away than this are looked at again on the way, ms: u32 time and setTimeout end at 2^31. */
const FAR = 2 ** 30

export class Scheduler {
  readonly clock: Clock
  private readonly heap: DeadlineHeap = new DeadlineHeap()
  /** Ids that the heap has room for. */
  private capacity = 0
  private readonly tasks: (Task | undefined)[] = []
  private readonly ids: Map<Task, number> = new Map()
  private readonly free: number[] = []
  private touched: Task[] = []
  private readonly isTouched: Set<Task> = new Set()
  private soonArmed = false
  private timer: unknown
  private timerAt: number = Number.POSITIVE_INFINITY

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** Tasks held. */
  get size(): number {
    return this.ids.size
  }

  /** Takes a task in; it is armed by its first `touch`. */
  add(task: Task): void {
    const id = this.free.pop() ?? this.tasks.length
    this.tasks[id] = task
    this.ids.set(task, id)
    if (id >= this.capacity) {
      this.capacity = Math.max(16, this.capacity * 2)
      this.heap.reserve(this.capacity)
    }
  }

  /** Lets a task go: it is not run any more. */
  remove(task: Task): void {
    const id = this.ids.get(task)
    if (id === undefined) return
    this.heap.delete(id)
    this.ids.delete(task)
    this.isTouched.delete(task)
    this.tasks[id] = undefined
    this.free.push(id)
    if (this.ids.size === 0) this.disarm()
  }

  /** Runs a task at the end of this turn of the event loop; once, however often it is touched. */
  touch(task: Task): void {
    if (this.isTouched.has(task) || !this.ids.has(task)) return
    this.isTouched.add(task)
    this.touched.push(task)
    if (this.soonArmed) return
    this.soonArmed = true
    this.clock.soon(this.endOfTurn)
  }

  private readonly endOfTurn = (): void => {
    this.soonArmed = false
    const now = this.clock.now()
    // The turn itself may have blocked past the timer.
    if (this.stalled(now)) return
    try {
      this.runTouched(now)
    } finally {
      this.arm()
    }
  }

  private runTouched(now: number): void {
    const due = this.touched
    this.touched = []
    let i = 0
    try {
      for (; i < due.length; i++) {
        if (this.isTouched.delete(due[i]!)) this.runTask(due[i]!, now)
      }
    } finally {
      // A callback of the application threw. That is for the process to see; the others still have their turn.
      for (i++; i < due.length; i++) if (this.isTouched.delete(due[i]!)) this.touch(due[i]!)
    }
  }

  private runTask(task: Task, now: number): void {
    try {
      if (task.run(now)) this.touch(task)
    } finally {
      const id = this.ids.get(task)
      if (id !== undefined) {
        const at = task.deadline()
        if (at === Number.POSITIVE_INFINITY) this.heap.delete(id)
        else this.heap.set(id, Math.ceil(Math.min(at, now + FAR)) >>> 0)
      }
    }
  }

  /** The earliest deadline as ms of the clock: the heap keeps u32. */
  private earliest(now: number): number {
    if (this.heap.size === 0) return Number.POSITIVE_INFINITY
    const base = Math.floor(now)
    return base + ((this.heap.firstAt() - (base >>> 0)) | 0)
  }

  /** Sets the timer unless it fires early enough already; a timer that fires too early only costs one look. */
  private arm(): void {
    const now = this.clock.now()
    const at = this.earliest(now)
    if (at >= this.timerAt) return
    this.disarm()
    if (at === Number.POSITIVE_INFINITY) return
    this.timerAt = at
    this.timer = this.clock.setTimeout(this.onTimer, Math.max(0, at - now))
  }

  private disarm(): void {
    if (this.timer !== undefined) this.clock.clearTimeout(this.timer)
    this.timer = undefined
    this.timerAt = Number.POSITIVE_INFINITY
  }

  private readonly onTimer = (): void => {
    // A timer may fire a little before its time: nobody is shown a time before its own deadline.
    const now = Math.max(this.clock.now(), this.timerAt)
    this.timer = undefined
    if (this.stalled(now)) return
    this.timerAt = Number.POSITIVE_INFINITY
    this.runDue(now)
  }

  /** Whether the timer is so late that all is put off until the socket was heard. */
  private stalled(now: number): boolean {
    const late = now - this.timerAt
    if (late < LATE) return false
    this.disarm()
    if (late >= STALL) for (const task of this.ids.keys()) task.forgive(late, now)
    // What the peers sent meanwhile waits in the socket: let it in before judging.
    this.clock.soon(() =>
      this.clock.soon(() => {
        try {
          this.runTouched(this.clock.now())
        } finally {
          this.runDue(this.clock.now())
        }
      }),
    )
    return true
  }

  private runDue(now: number): void {
    try {
      // A task that is due again at once waits for the next timer, so this loop ends.
      for (let left = this.heap.size; left > 0 && this.earliest(now) <= now; left--) {
        const id = this.heap.first()
        this.heap.delete(id)
        this.runTask(this.tasks[id]!, now)
      }
    } finally {
      this.arm()
    }
  }
}
