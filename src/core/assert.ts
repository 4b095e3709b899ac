/**
 * A bug of ours stops here, loudly. Never used for what a caller or a peer may do.
 * @module
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`kcp-io bug: ${message}`)
}
