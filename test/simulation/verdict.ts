/**
 * What is said of the ends of a run: whether their counters agree, and where they stand when something is wrong.
 * @module
 */
import { seqDiff } from '../../src/core/seq.ts'
import { require } from './oracle.ts'
import type { End } from './parts.ts'

/** Throws a Failure unless the two ends of a channel, whose numbers begin at `first`, counted the same. */
export function compareCounts(end: End, ends: readonly End[], first: number): void {
  const peer = ends.find(({ name, session }) => name !== end.name && session.conv === end.session.conv)
  if (peer === undefined) {
    require(end.written === 0, () => `${end.name}: nobody heard it`)
    return
  }
  const { counters: out, sndNxt } = end.session.kcp
  const { counters: into } = peer.session.kcp
  const segments = seqDiff(sndNxt, first)
  require(into.segmentsIn === segments, () =>
    `${end.name}: sent ${segments} segments, arrived ${into.segmentsIn}`)
  const resent = out.timeoutResends + out.fastResends + out.tailProbes
  require(out.segmentsOut === segments + resent, () =>
    `${end.name}: ${out.segmentsOut} PUSHes, ${segments} and ${resent} again`)
  require(into.duplicates + into.segmentsIn <= 2 * (out.segmentsOut + out.repeats + end.challenges), () =>
    `${end.name}: ${into.duplicates} duplicates of ${out.segmentsOut} PUSHes`)
  // An end without close notices takes one for noise.
  const noise = peer.session.config.lifecycle === 'none' ? 0 : into.inputErrors
  require(into.forgedUna === 0 && noise === 0, () =>
    `${end.name}: of honest datagrams ${into.inputErrors} and ${into.forgedUna} were refused`)
  require(peer.session.bytesRead === end.session.bytesWritten - end.flow.droppedBytes, () =>
    `${end.name}: bytes were not counted`)
}

/** Where every end stands. */
export function describeEnds(ends: readonly End[]): string {
  return ends
    .map(({ name, session, written, traffic, host }) => {
      const { kcp, closeReason } = session
      const { snd, rcv } = kcp
      return (
        `\n    ${name}: wrote ${written} of ${traffic.sizes.length}, read ${session.bytesRead} B, ` +
        `${snd.queued}+${snd.inFlight} to send, ${rcv.queued}+${rcv.early} received, rto ${kcp.rtt.rto}, ` +
        `wnd ${kcp.rmtWnd}, cwnd ${kcp.cwnd}, ${closeReason ?? session.stats(host.clock.now()).state}` +
        `, next in ${Math.round(session.deadline() - host.clock.now())} ms${host.alive ? '' : ', killed'}`
      )
    })
    .join('')
}
