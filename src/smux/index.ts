/**
 * `kcp-io/smux`: many streams inside one, as smux 1 and 2 frame them, without I/O. On Node `SmuxSession` of `kcp-io` is
 * this with streams.
 * @module
 */
export {
  type ResolvedSmuxConfig,
  resolveSmuxConfig,
  SMUX_DEFAULTS,
  type SmuxConfig,
} from './config.ts'
export {
  type SmuxCloseReason,
  SmuxEngine,
  type SmuxEngineOptions,
  type SmuxHandler,
  type SmuxRole,
  type SmuxStats,
} from './engine.ts'
export { INITIAL_WINDOW, SmuxFlow } from './flow.ts'
export {
  FRAME_HEADER,
  FRAME_MAX,
  FrameCommand,
  FrameParser,
  type FrameSink,
  type SmuxFault,
  type SmuxVersion,
  UPDATE_LENGTH,
  writeFrameHeader,
  writeUpdate,
} from './frame.ts'
