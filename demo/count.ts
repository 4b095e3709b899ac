/**
 * The few numbers of a stream that the demo shows.
 * @module
 */
import type { KcpStream } from '../src/index.ts'
import type { EndStats } from './messages.ts'

export function countOf(stream: KcpStream): EndStats {
  const { srtt, segmentsOut, timeoutResends, fastResends } = stream.stats()
  return { srtt, segments: segmentsOut, resends: timeoutResends + fastResends }
}
