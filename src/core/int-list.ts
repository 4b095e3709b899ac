/**
 * A list of small integers that keeps its memory when it is cleared, for work that is collected and done at once.
 * @module
 */
const EMPTY = new Int32Array(0)
/** Places of the first block; doubles from there. */
const FIRST_CAPACITY = 4

export class IntList {
  length = 0
  private values: Int32Array = EMPTY

  push(value: number): void {
    if (this.length === this.values.length) {
      const grown = new Int32Array(Math.max(FIRST_CAPACITY, this.length * 2))
      grown.set(this.values)
      this.values = grown
    }
    this.values[this.length++] = value
  }

  at(index: number): number {
    return this.values[index]!
  }

  /** Sorts from the least up. */
  sort(): void {
    if (this.length > 1) this.values.subarray(0, this.length).sort()
  }

  clear(): void {
    this.length = 0
  }

  /** Forgets everything and gives the memory back. */
  drop(): void {
    this.length = 0
    this.values = EMPTY
  }
}
