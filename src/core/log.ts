/**
 * What the engine can log: a mask of these chooses the lines that are built. Upstream's IKCP_LOG_*.
 * @module
 */
export const KCP_LOG = {
  OUTPUT: 1,
  INPUT: 2,
  SEND: 4,
  RECV: 8,
  IN_DATA: 16,
  IN_ACK: 32,
  IN_PROBE: 64,
  IN_WINS: 128,
  OUT_DATA: 256,
  OUT_ACK: 512,
  OUT_PROBE: 1024,
  OUT_WINS: 2048,
} as const
