/**
 * What speaks for, and against, the peer's groups being as we think they are. d shards give d others under any
 * parameters; whether these are the peer's data, only such evidence can tell.
 *
 * At first it is enough that the ends of groups were seen to be what they should: the last data and the first parity say
 * how much data there is; where groups begin is known of the first, and follows from the first data and the last parity
 * for the others. Once anything has spoken against the parameters more is asked for: a group with a shard more than
 * needed, all of which agree, that was seen to end where the next one begins.
 * @module
 */

/** The ends of a group's data and of its parity, as bits. */
const FIRST_DATA = 1
const LAST_DATA = 2
const FIRST_PARITY = 4
const LAST_PARITY = 8

/**
 * Groups of shards that are all where they belong, and stand for a proof: for when no group ever has a shard more than
 * needed. Under wrong parameters one shard or more of each group is misplaced, and sixteen would have to be lost in a row.
 */
const FITTING_GROUPS = 16

export class Evidence {
  private readonly dataShards: number
  /** Of a group. */
  private readonly shards: number
  /** Whether anything ever spoke against the parameters. */
  private doubted = false

  // All of these since something last spoke against them.
  /** Which ends of groups were seen to be what they should. */
  private ends = 0
  /** How many shards were where they belong. */
  private fits = 0
  /** The latest group whose shards agreed, -1 if none did; whether its last parity came. */
  private agreed = -1
  private agreedEnds = false
  /** Whether the first data of the next group came, too. */
  private aligned = false

  constructor(dataShards: number, parityShards: number) {
    this.dataShards = dataShards
    this.shards = dataShards + parityShards
  }

  /** A shard of the kind that belongs at this place of group `number`. */
  fit(number: number, place: number): void {
    const { dataShards, shards } = this
    this.fits++
    // That seqid 0 is data says nothing: it is so for everybody.
    if (place === 0 && number > 0) this.ends |= FIRST_DATA
    if (place === dataShards - 1) this.ends |= LAST_DATA
    if (place === dataShards) this.ends |= FIRST_PARITY
    if (place === shards - 1) this.ends |= LAST_PARITY
    if (number === this.agreed && place === shards - 1) this.agreedEnds = true
    if (number === this.agreed + 1 && place === 0 && this.agreedEnds) this.aligned = true
  }

  /**
   * Of d + 1 shards of group `number`, d gave the last one. So the peer's group begins where ours does, and has no more
   * data than we think.
   */
  agree(number: number, hasLastParity: boolean): void {
    this.agreed = number
    this.agreedEnds = hasLastParity
  }

  /** Something was not as it is under our parameters. */
  contradict(): void {
    this.doubted = true
    this.ends = 0
    this.fits = 0
    this.agreed = -1
    this.agreedEnds = false
    this.aligned = false
  }

  /** Whether what d + 1 shards of a group agree on is its data: whether it has no less data than we think. */
  get sawLastData(): boolean {
    return (this.ends & LAST_DATA) !== 0
  }

  /** Whether d shards of group `number` are enough to believe in what they give. */
  suffices(number: number): boolean {
    if (this.aligned && this.sawLastData) return true
    if (this.fits >= FITTING_GROUPS * this.shards) return true
    const needed = LAST_DATA | FIRST_PARITY | (number === 0 ? 0 : FIRST_DATA | LAST_PARITY)
    return !this.doubted && (this.ends & needed) === needed
  }
}
