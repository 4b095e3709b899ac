/**
 * What became of the shards that arrived, and why. Plain numbers; a peer's faults end here.
 * @module
 */
import { FecKind } from './header.ts'

export class FecCounters {
  /** Data and parity datagrams that arrived, whatever became of them. */
  data = 0
  parity = 0
  /** Data datagrams that parity gave back. */
  recovered = 0
  /** Groups given up while data was missing: too much was lost, or memory ran out. */
  abandoned = 0

  // Ignored, as happens on any network.
  /** A second copy. */
  duplicate = 0
  /** Its group was finished. Parity that was not needed, mostly. */
  late = 0
  /** For an end without FEC, or one that does not know the peer's numbers yet: parity, and messages out of band. */
  unused = 0

  // Ignored, as it does not fit. Many of these: the peer's FEC differs from ours, or somebody forges.
  malformed = 0
  /** Larger than `maxDatagram`. */
  oversize = 0
  /** A number that a peer with our parameters does not use. */
  outOfRange = 0
  /** Data of another conversation. */
  foreign = 0
  /** Data where a group has parity, or the reverse. */
  misplaced = 0
  /** Parity shards of different sizes in one group, or data longer than the parity over it. */
  unequal = 0

  // Groups that were not rebuilt though there were shards enough.
  /** It was not certain that the peer's parameters are ours: at the beginning, or after something that did not fit. */
  unproven = 0
  /** What came out has a size field that cannot be. */
  badSize = 0
  /** What came out is not zero behind its end. */
  badPadding = 0
  /** What came out is not whole segments of this conversation. */
  badSegments = 0
}

/** Counts an arrival. Whether it is a shard, and to be looked at further. */
export function countKind(counters: FecCounters, kind: FecKind): boolean {
  if (kind === FecKind.Data) counters.data++
  else if (kind === FecKind.Parity) counters.parity++
  else {
    counters.malformed++
    return false
  }
  return true
}
