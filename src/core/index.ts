/**
 * `kcp-io/core`: the protocol as a pure engine. Runs wherever JavaScript runs.
 * @module
 */
export {
  HARDENED,
  KCP_MAX_FRAGMENTS,
  KcpConfig,
  type KcpHardening,
  type KcpPresetName,
  PARITY,
  presets,
  type ResolvedKcpConfig,
  resolveConfig,
} from './config.ts'
export type { CongestionControl, CongestionState } from './congestion/controller.ts'
export { InputResult } from './engine.ts'
export { KcpError, type KcpErrorCode, type KcpErrorDetail } from './errors.ts'
export { Kcp, type KcpOutput } from './kcp.ts'
export { KCP_LOG } from './log.ts'
export { Command, KCP_OVERHEAD } from './segment.ts'
export type { KcpCounters, KcpStats } from './stats.ts'
