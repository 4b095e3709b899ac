/**
 * `kcp-io/fec`: forward error correction as kcp-go does it, pure.
 * @module
 */
export { AutotuneDecoder, type GroupShape, ShapeFinder } from './autotune.ts'
export { FecCounters } from './counters.ts'
export { FecDecoder, type FecDecoderOptions } from './decoder.ts'
export { FecEncoder, type FecEncoderOptions } from './encoder.ts'
export {
  FEC_OVERHEAD,
  FecKind,
  fecKind,
  OUT_OF_BAND_OVERHEAD,
  readOutOfBandConv,
  skipFec,
  writeOutOfBandHeader,
} from './header.ts'
export type { LentDatagram } from './lent.ts'
