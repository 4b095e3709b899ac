/**
 * Whose turn it is to send. Deficit round robin with a preference for who has just begun, as RFC 8290 (4.1, 4.2)
 * shares a link among flows: who sends little goes ahead of who sends much, and nobody waits for more than one quantum
 * of each other.
 * @module
 */

/** What takes turns. The fields are the order's own, but for `sendable`. */
export interface Turn {
  /** Whether it has something that may be sent now. */
  readonly sendable: boolean
  /** Bytes that it may still send in this round. */
  deficit: number
  /** Whether it stands in one of the lists. */
  listed: boolean
  next: Turn | undefined
}

class Line {
  head: Turn | undefined
  #tail: Turn | undefined

  push(turn: Turn): void {
    turn.next = undefined
    if (this.#tail === undefined || this.head === undefined) this.head = turn
    else this.#tail.next = turn
    this.#tail = turn
  }

  shift(): void {
    const turn = this.head!
    this.head = turn.next
    turn.next = undefined
  }
}

export class SendOrder<T extends Turn> {
  readonly #quantum: number
  readonly #fresh = new Line()
  readonly #old = new Line()

  /** `quantum`: bytes of one turn. */
  constructor(quantum: number) {
    this.#quantum = quantum
  }

  /** Puts `turn` in line, if it does not stand there. Call when it has become sendable. */
  add(turn: T): void {
    if (turn.listed) return
    turn.listed = true
    turn.deficit = this.#quantum
    this.#fresh.push(turn)
  }

  /** Who sends next; it stays in front until `charge` has used up its turn. Undefined when nobody has anything. */
  next(): T | undefined {
    for (;;) {
      const line = this.#fresh.head !== undefined ? this.#fresh : this.#old
      const turn = line.head
      if (turn === undefined) return undefined
      if (!turn.sendable) {
        line.shift()
        // Who was fresh waits one round before being fresh again, or many small turns would starve the others.
        if (line === this.#fresh) this.#old.push(turn)
        else turn.listed = false
      } else if (turn.deficit <= 0) {
        line.shift()
        turn.deficit += this.#quantum
        this.#old.push(turn)
      } else {
        return turn as T
      }
    }
  }

  charge(turn: T, bytes: number): void {
    turn.deficit -= bytes
  }
}
