/**
 * What speaks for, and against, the peer's groups being as we think they are. d shards give d others under any
 * parameters, and what the rows of a matrix have in common makes many of them look right; so only where data and parity
 * were seen can tell.
 *
 * A group begins where parity is followed by data: for the peer at multiples of its n, from seqid 0 on. Where this was
 * seen at multiples of ours with no other divisor in common, n of the peer divides ours. Of a smaller n, or with another
 * d, some place of our group would hold the other kind. So when every place was seen with what belongs there, and
 * nothing to the contrary since, no other parameters are left.
 *
 * What contradicts makes all of it begin anew. From then on nobody says that the peer counts from 0 (kcp-go 5.6.6 to
 * 5.6.15 does not after a parity that it left out), so the first beginning seen is what the others are counted from.
 * @module
 */
import { greatestCommonDivisor } from './divisor.ts'

export class Evidence {
  /** Of a group. */
  private readonly shards: number

  // All of these since something last spoke against the parameters.
  /** Which places were seen, each with what belongs there, and how many. */
  private readonly seen: Uint8Array
  private places = 0
  /** The latest groups of which the first data, and the last parity, came; -1 if none. */
  private begun = -1
  private ended = -1
  /** A group where one of the peer's begins, too; -1: none is known. */
  private origin = 0
  /** What the distances of others like it from that one have for divisor; 0: there is none. */
  private divisor = 0

  constructor(dataShards: number, parityShards: number) {
    this.shards = dataShards + parityShards
    this.seen = new Uint8Array(this.shards)
  }

  /** Whether the peer's first group is known to begin with seqid 0. */
  get fromZero(): boolean {
    return this.origin === 0
  }

  /** Whether no other parameters are left. */
  get suffices(): boolean {
    return this.divisor === 1 && this.places === this.shards
  }

  /** A shard of the kind that belongs at this place of group `number`. */
  fit(number: number, place: number): void {
    const { seen, shards } = this
    if (seen[place] === 0) {
      seen[place] = 1
      this.places++
    }
    if (place === 0) {
      this.begun = number
      if (number === this.ended + 1 && number > 0) this.begins(number)
    }
    if (place === shards - 1) {
      this.ended = number
      if (number + 1 === this.begun) this.begins(this.begun)
    }
  }

  /** Somebody else has seen that no other parameters are left. */
  settle(): void {
    this.seen.fill(1)
    this.places = this.shards
    this.divisor = 1
  }

  /** Something was not as it is under our parameters. */
  contradict(): void {
    this.seen.fill(0)
    this.places = 0
    this.begun = this.ended = this.origin = -1
    this.divisor = 0
  }

  /** Parity was followed by data, where group `number` begins for us. */
  private begins(number: number): void {
    if (this.origin < 0) this.origin = number
    this.divisor = greatestCommonDivisor(Math.abs(number - this.origin), this.divisor)
  }
}
