/**
 * A count for each key, without an entry where it is 0.
 * @module
 */
export class KeyedCounter {
  private readonly counts: Map<string, number> = new Map()

  /** Keys whose count is not 0. */
  get size(): number {
    return this.counts.size
  }

  get(key: string): number {
    return this.counts.get(key) ?? 0
  }

  add(key: string, by: number): void {
    const count = this.get(key) + by
    if (count === 0) this.counts.delete(key)
    else this.counts.set(key, count)
  }

  clear(): void {
    this.counts.clear()
  }
}
