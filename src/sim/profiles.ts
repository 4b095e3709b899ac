/**
 * Named paths: one direction each, to be used both ways. Round figures of the right size, not measurements.
 * None corrupts: UDP's checksum would have dropped what a real path corrupts.
 * @module
 */
import type { LinkConditions } from './link.ts'

export type ProfileName = 'lan' | 'wifi' | 'lte' | 'transatlantic' | 'satellite' | 'awful'

export const profiles: Readonly<Record<ProfileName, LinkConditions>> = {
  /** Switched gigabit Ethernet: 125 MB/s, a fraction of a millisecond, loss only when a switch queue overflows. */
  lan: { delayMs: 0.2, jitterMs: 0.1, rateBytesPerSec: 125_000_000 },

  /** A busy flat: retransmissions in the air make jitter, a neighbour's burst takes a few datagrams in a row. */
  wifi: {
    delayMs: 2,
    jitterMs: 8,
    burst: { pEnter: 0.002, pLeave: 0.3, lossGood: 0.001, lossBad: 0.5 },
    rateBytesPerSec: 6_000_000,
  },

  /** 4G, half way from the mast: scheduling grants make the jitter, and a deep queue (0.4 s at 2.5 MB/s) hides loss. */
  lte: { delayMs: 25, jitterMs: 15, loss: 0.002, rateBytesPerSec: 2_500_000, queueBytes: 1_000_000 },

  /** London to New York is 5,600 km; light in glass needs 28 ms one way, cables and routers bring it to some 37. */
  transatlantic: { delayMs: 37, jitterMs: 3, loss: 0.001, reorder: 0.001, rateBytesPerSec: 12_500_000 },

  /** Geostationary: 2 x 35,786 km is 239 ms one way at the least, and the ground stations add some 40; rain loses. */
  satellite: { delayMs: 280, jitterMs: 20, loss: 0.01, rateBytesPerSec: 1_250_000, queueBytes: 500_000 },

  /** Everything wrong at once, about 17 % lost and some of it in bursts: what must still arrive, not what must be fast. */
  awful: {
    delayMs: 80,
    jitterMs: 80,
    loss: 0.1,
    burst: { pEnter: 0.02, pLeave: 0.2, lossGood: 0, lossBad: 0.9 },
    duplicate: 0.02,
    reorder: 0.05,
    reorderMs: 60,
    rateBytesPerSec: 500_000,
    queueBytes: 64_000,
  },
}
