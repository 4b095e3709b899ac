/**
 * Byte counts that several windows share, and their limits: what one host's conversations may hold, and within it what all
 * may. Also which of them hold much, and which wait for room.
 * @module
 */

/** More bytes than anybody has; a small integer to V8, which infinity is not. */
export const NO_LIMIT: number = 2 ** 31 - 1

/** Something that holds bytes of a budget. */
export interface MemoryHolder {
  /** Bytes that it needs at least to go on. */
  readonly slotSize: number
  /** Whether a reader can make it give bytes back. */
  readonly readable: boolean
}

export interface MemoryBudget {
  used: number
  readonly limit: number
  /** A larger one, of which this is a part: what is taken here is taken there too. */
  readonly parent?: MemoryBudget
  /** Of `used`, bytes of holders in which nothing is readable. */
  stuck?: number
  /** Holders of much, by the bits of the number of bytes; for `largestStuck` and `largest`. */
  holders?: Set<MemoryHolder>[]
  /** Holders that wait for room, in that order, and whom to call once there is some for each. */
  waiting?: Map<MemoryHolder, () => void>
}

/** Share of a budget that may be stuck: what no reader can free must not fill it. */
const STUCK_SHARE = 1 / 2
/** Holders of less than 2^14 bytes are not listed: small messages come and go without it. */
const LISTED_BITS = 14

/** Bytes that can still be taken. */
export function roomIn(budget: MemoryBudget): number {
  const room = budget.limit - budget.used
  return budget.parent === undefined ? room : Math.min(room, roomIn(budget.parent))
}

/** Whether `bytes` more would make too much of it stuck. */
export function wouldStick(budget: MemoryBudget, bytes: number): boolean {
  const { stuck = 0, limit, parent } = budget
  if (limit !== NO_LIMIT && stuck + bytes > limit * STUCK_SHARE) return true
  return parent !== undefined && wouldStick(parent, bytes)
}

/** Takes bytes, whether there is room or not. */
export function takeFrom(budget: MemoryBudget, bytes: number): void {
  for (let at: MemoryBudget | undefined = budget; at !== undefined; at = at.parent) at.used += bytes
}

/** Gives bytes back, and calls those that wait for them: as many as have room for what they need at least. */
export function giveBack(budget: MemoryBudget, bytes: number): void {
  takeFrom(budget, -bytes)
  for (let at: MemoryBudget | undefined = budget; at !== undefined; at = at.parent) callWaiting(at)
}

function callWaiting(budget: MemoryBudget): void {
  const { waiting } = budget
  if (waiting === undefined || waiting.size === 0) return
  let room = budget.limit - budget.used
  for (const [holder, call] of waiting) {
    room -= Math.max(1, holder.slotSize)
    if (room < 0) return
    waiting.delete(holder)
    call()
  }
}

/** Has `call` be called, once, when there is room for the holder again; nothing when there is. */
export function awaitRoom(budget: MemoryBudget, holder: MemoryHolder, call: () => void): void {
  for (let at: MemoryBudget | undefined = budget; at !== undefined; at = at.parent) {
    if (at.limit - at.used >= Math.max(1, holder.slotSize)) continue
    at.waiting ??= new Map()
    at.waiting.set(holder, call)
    return
  }
}

/** A holder holds nothing any more, and waits for nothing. */
export function stopWaiting(budget: MemoryBudget, holder: MemoryHolder): void {
  for (let at: MemoryBudget | undefined = budget; at !== undefined; at = at.parent) at.waiting?.delete(holder)
}

/** What a holder has of its budget. */
export class MemoryShare {
  budget: MemoryBudget = { used: 0, limit: NO_LIMIT }
  /** Bytes taken, and how many of them are stuck. */
  taken = 0
  private stuck = 0
  /** Where it is listed: bits of `taken`; 0: nowhere. */
  private bits = 0

  /** Brings the budget up to what the holder holds now. */
  settle(holder: MemoryHolder, bytes: number): void {
    const { budget } = this
    const more = bytes - this.taken
    this.taken = bytes
    if (budget.limit !== NO_LIMIT) {
      const stuck = holder.readable ? 0 : bytes
      const bits = bytes >> LISTED_BITS === 0 ? 0 : 32 - Math.clz32(bytes)
      for (let at: MemoryBudget | undefined = budget; at !== undefined; at = at.parent) {
        if (stuck !== this.stuck) at.stuck = (at.stuck ?? 0) + stuck - this.stuck
        if (bits === this.bits) continue
        at.holders ??= []
        at.holders[this.bits]?.delete(holder)
        if (bits > 0) (at.holders[bits] ??= new Set()).add(holder)
      }
      this.stuck = stuck
      this.bits = bits
    }
    if (more > 0) takeFrom(budget, more)
    else if (more < 0) giveBack(budget, -more)
  }
}

/** A holder of about the most, of those that `wanted` names; undefined: none of them holds much. */
export function largestHolder(
  { holders = [] }: MemoryBudget,
  wanted: (holder: MemoryHolder) => boolean = () => true,
): MemoryHolder | undefined {
  for (let bits = holders.length - 1; bits >= 0; bits--) {
    for (const holder of holders[bits] ?? []) if (wanted(holder)) return holder
  }
  return undefined
}
