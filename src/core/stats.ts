/**
 * What an engine counts. Plain numbers, never reset.
 * @module
 */
export class KcpCounters {
  /** Datagrams handed to `output`, and their bytes. */
  datagramsOut = 0
  bytesOut = 0
  /** Datagrams given to `input`, and their bytes. */
  datagramsIn = 0
  bytesIn = 0
  /** PUSH transmissions, resends included. */
  segmentsOut = 0
  /** PUSHes stored: each one once. */
  segmentsIn = 0
  acksOut = 0
  /** Resends because an RTO was over. */
  timeoutResends = 0
  /** Resends because later segments were acknowledged. */
  fastResends = 0
  /** Repeats of segments that were not known to be lost (`redundancy`). */
  repeats = 0
  /** Resends because nothing was heard for two round trips (`lossDetection: 'time'`). */
  tailProbes = 0
  /** Transmissions that turned out not to have been needed: an earlier one was acknowledged (`lossDetection: 'time'`). */
  spuriousResends = 0
  /** Messages dropped because their time was over before they were sent (`ttl`). */
  expired = 0
  /** PUSHes that were here already. */
  duplicates = 0
  /** PUSHes beyond the receive window, or too far behind it. */
  outOfWindow = 0
  /** PUSHes dropped, unacknowledged, because a byte limit was reached. */
  overLimit = 0
  /** Segments dropped because their una is beyond what was sent. */
  forgedUna = 0
  /** ACKs that name no transmission in flight: late, repeated or forged. */
  staleAcks = 0
  /** Datagrams refused, in whole or from some segment on, be it that the rest is too short for one. */
  inputErrors = 0
  /** Times that `output` threw. */
  outputErrors = 0
}

/** A snapshot of an engine: the counters, and the state that they led to. Windows are in segments, times in ms. */
export interface KcpStats extends Readonly<KcpCounters> {
  readonly srtt: number
  readonly rttvar: number
  readonly rto: number
  readonly cwnd: number
  readonly ssthresh: number
  readonly sndWnd: number
  readonly rcvWnd: number
  /** The peer's window as it told last. */
  readonly rmtWnd: number
  /** Segments queued, and in flight. */
  readonly sndQueue: number
  readonly sndBuf: number
  /** Payload bytes of both. */
  readonly sndBytes: number
  /** Segments readable in order, and early. */
  readonly rcvQueue: number
  readonly rcvBuf: number
  /** Payload bytes of both. */
  readonly rcvBytes: number
  /** Share of first transmissions that did not arrive, 0 .. 1, and what `redundancy` came to; 0 where not measured. */
  readonly loss: number
  readonly redundancy: number
  readonly sndUna: number
  readonly sndNxt: number
  readonly rcvNxt: number
}

/** What a snapshot is taken of: an engine. */
type Measured = Pick<KcpStats, 'cwnd' | 'ssthresh' | 'sndWnd' | 'rmtWnd' | 'sndUna'> & {
  readonly snd: {
    readonly queued: number
    readonly inFlight: number
    readonly bytes: number
    readonly sndNxt: number
  }
  readonly rcv: { readonly queued: number; readonly early: number; readonly bytes: number } & Pick<
    KcpStats,
    'rcvWnd' | 'rcvNxt'
  >
  readonly rtt: Pick<KcpStats, 'srtt' | 'rttvar' | 'rto'>
  readonly counters: KcpCounters
}

export function snapshot(engine: Measured): Omit<KcpStats, 'loss' | 'redundancy'> {
  const { snd, rcv, rtt } = engine
  return {
    srtt: rtt.srtt,
    rttvar: rtt.rttvar,
    rto: rtt.rto,
    cwnd: engine.cwnd,
    ssthresh: engine.ssthresh,
    sndWnd: engine.sndWnd,
    rcvWnd: rcv.rcvWnd,
    rmtWnd: engine.rmtWnd,
    sndQueue: snd.queued,
    sndBuf: snd.inFlight,
    sndBytes: snd.bytes,
    rcvQueue: rcv.queued,
    rcvBuf: rcv.early,
    rcvBytes: rcv.bytes,
    sndUna: engine.sndUna,
    sndNxt: snd.sndNxt,
    rcvNxt: rcv.rcvNxt,
    ...engine.counters,
  }
}
