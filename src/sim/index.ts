/**
 * The network in a box: seeded chance, virtual time, impaired links, memory transports, datagrams as text.
 * @module
 */
export { VirtualClock, type VirtualClockOptions } from './clock.ts'
export {
  type BurstLoss,
  type Delivery,
  Link,
  type LinkConditions,
  type LinkCounters,
  type LinkOptions,
} from './link.ts'
export {
  createMemoryLink,
  createMemoryNetwork,
  type Filter,
  type Hop,
  type MemoryLinkOptions,
  type MemoryNetwork,
  type MemoryNetworkOptions,
  type MemoryTransport,
  type MemoryTransportOptions,
  type NetworkCounters,
  type Tap,
} from './memory.ts'
export { SessionPair, type SessionPairOptions } from './pair.ts'
export { Prng } from './prng.ts'
export { type ProfileName, profiles } from './profiles.ts'
export { formatDatagram, parseTrace } from './trace.ts'
