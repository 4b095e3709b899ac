/**
 * Small integer ids ordered by a u32 deadline that wraps: the earliest in O(1), set and delete in O(log n), no
 * allocation but when it grows. An indexed binary heap; the send window keeps its segments' RTOs in one, the
 * scheduler its sessions.
 *
 * Deadlines compare by `seqDiff`, so all of them must lie within 2^31 ms of one another.
 * @module
 */

const EMPTY = new Int32Array(0)

export class DeadlineHeap {
  /** Ids held. */
  size = 0
  /** One array, three parts of `capacity`: ids in heap order · position + 1 of each id (0: absent) · deadlines by id. */
  private cells: Int32Array = EMPTY
  private capacity = 0

  /** Makes room for ids below `capacity`, keeping what is held. */
  reserve(capacity: number): void {
    if (capacity <= this.capacity) return
    const cells = new Int32Array(capacity * 3)
    for (let part = 0; part < 3; part++) {
      cells.set(this.cells.subarray(part * this.capacity, (part + 1) * this.capacity), part * capacity)
    }
    this.cells = cells
    this.capacity = capacity
  }

  has(id: number): boolean {
    return id < this.capacity && this.cells[this.capacity + id] !== 0
  }

  /** Deadline of an id that is held, u32. */
  at(id: number): number {
    return this.cells[this.capacity * 2 + id]! >>> 0
  }

  /** The id with the earliest deadline. Only while `size > 0`. */
  first(): number {
    return this.cells[0]!
  }

  /** The earliest deadline, u32. Only while `size > 0`. */
  firstAt(): number {
    return this.cells[this.capacity * 2 + this.cells[0]!]! >>> 0
  }

  /** Adds an id, or moves its deadline. */
  set(id: number, at: number): void {
    const { cells, capacity } = this
    let position = cells[capacity + id]! - 1
    if (position < 0) position = this.size++
    cells[capacity * 2 + id] = at
    if (!this.up(id, position)) this.down(id, position)
  }

  /** Lets `id`, which is absent, take the place of `old`, with the same deadline. */
  replace(old: number, id: number): void {
    const { cells, capacity } = this
    const position = cells[capacity + old]!
    cells[capacity + old] = 0
    cells[capacity + id] = position
    cells[capacity * 2 + id] = cells[capacity * 2 + old]!
    cells[position - 1] = id
  }

  delete(id: number): void {
    const { cells, capacity } = this
    const position = cells[capacity + id]! - 1
    if (position < 0) return
    cells[capacity + id] = 0
    const last = cells[--this.size]!
    if (last === id) return
    if (!this.up(last, position)) this.down(last, position)
  }

  /** Forgets everything and gives the memory back. */
  clear(): void {
    this.size = 0
    this.capacity = 0
    this.cells = EMPTY
  }

  /** Moves `id` from `position` towards the root; false when it is in place already. */
  private up(id: number, position: number): boolean {
    const { cells, capacity } = this
    const at = cells[capacity * 2 + id]!
    const start = position
    while (position > 0) {
      const parent = (position - 1) >>> 1
      const other = cells[parent]!
      if (((at - cells[capacity * 2 + other]!) | 0) >= 0) break
      cells[position] = other
      cells[capacity + other] = position + 1
      position = parent
    }
    cells[position] = id
    cells[capacity + id] = position + 1
    return position !== start
  }

  private down(id: number, position: number): void {
    const { cells, capacity, size } = this
    const at = cells[capacity * 2 + id]!
    for (;;) {
      let child = position * 2 + 1
      if (child >= size) break
      let other = cells[child]!
      let otherAt = cells[capacity * 2 + other]!
      if (child + 1 < size) {
        const right = cells[child + 1]!
        const rightAt = cells[capacity * 2 + right]!
        if (((rightAt - otherAt) | 0) < 0) {
          child++
          other = right
          otherAt = rightAt
        }
      }
      if (((at - otherAt) | 0) <= 0) break
      cells[position] = other
      cells[capacity + other] = position + 1
      position = child
    }
    cells[position] = id
    cells[capacity + id] = position + 1
  }
}
