/**
 * What the engine can log: a mask of these chooses the lines that are built. Upstream's IKCP_LOG_*.
 * @module
 */
import { Command } from './segment.ts'
import { seqDiff } from './seq.ts'
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

/** What a line about a segment needs of its engine. */
export interface Logging {
  readonly now: number
  readonly rtt: { readonly rto: number }
  log(mask: number, line: string): void
}

/** Writes the line of a segment that came in. */
export function logInput(engine: Logging, cmd: number, sn: number, ts: number, wnd: number): void {
  if (cmd === Command.Push) engine.log(KCP_LOG.IN_DATA, `input psh: sn=${sn >>> 0} ts=${ts >>> 0}`)
  else if (cmd === Command.WindowAsk) engine.log(KCP_LOG.IN_PROBE, 'input probe')
  else if (cmd === Command.WindowTell) engine.log(KCP_LOG.IN_WINS, `input wins: ${wnd}`)
  else {
    const rtt = seqDiff(engine.now, ts)
    engine.log(KCP_LOG.IN_ACK, `input ack: sn=${sn >>> 0} rtt=${rtt} rto=${engine.rtt.rto}`)
  }
}
