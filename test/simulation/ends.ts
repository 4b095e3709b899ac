/**
 * What must hold of the ends of every story, however it went: each session ends once, what was acknowledged is there to be
 * read, and nobody is told of an end that the peer did not reach, or reads what another one was told.
 * @module
 */
import { seqDiff } from '../../src/core/seq.ts'
import { Failure, require } from './oracle.ts'
import type { End } from './parts.ts'
import type { Plan } from './plan.ts'

/** By so much a clock may jump before its owner is taken for somebody else, ms. */
const SAME_CLOCK = 3_500_000

/** Whether the clock of an end jumps by so much that its peer takes it for another one. */
export function hasStrangeClock({ faults }: Plan): boolean {
  return faults.some((one) => one.kind === 'step' && one.ms > SAME_CLOCK)
}

/** Throws a Failure unless this end, whose run is over, may stand where it does. */
export function judgeEnd({ name, host, session, closes, destroyed }: End, unsure: boolean): void {
  require(closes <= 1, () => `${name}: it ended ${closes} times`)
  if (!host.alive) return
  require(session.closed && closes === 1, () => `${name}: it did not end`)
  require(session.drained ||
    session.closeError !== undefined ||
    destroyed !== 'no' ||
    unsure ||
    gaveUp(session), () =>
    `${name}: ended by ${session.closeReason} with ${session.kcp.snd.bytes} bytes not acknowledged, and no error`)
}

/** A peer that reads no more ends a session in peace, whatever is on its way to it. */
function gaveUp(session: End['session']): boolean {
  return session['closing'].peerFinal !== undefined
}

/** Whether an end cannot hear of the peer's end: one of the two sends no notices, and heeds none. */
export function isMute(end: End, ends: readonly End[]): boolean {
  return [end, ...peersOf(end, ends)].some(({ session }) => session.config.lifecycle === 'none')
}

/** Those that the end of a conversation may have spoken to: more than one where a process had a successor. */
export function peersOf({ host, session }: End, ends: readonly End[]): readonly End[] {
  return ends.filter((one) => one.host.side !== host.side && one.session.conv === session.conv)
}

/** Throws a Failure where two ends do not agree on what was said. */
export function judgePairs(ends: readonly End[], plan: Plan, unsure: boolean): void {
  for (const end of ends) {
    const peers = peersOf(end, ends)
    judgeDelivery(end, peers, plan)
    judgeEndSaid(end, peers)
    if (!isForgotten(end) && !hasStrangeClock(plan)) judgeMixture(end, peers, ends)
    judgeOnce(end, peers, unsure)
  }
}

/** Whether a server has forgotten a peer that never proved its address: the next datagram begins a conversation anew. */
function isForgotten({ session }: End): boolean {
  return !session.proven && session.closeReason === 'timeout'
}

/** What was acknowledged is at one of the peers, all of it. */
function judgeDelivery(end: End, peers: readonly End[], { startSn }: Plan): void {
  const { host, session, name } = end
  const first = startSn?.[host.side] ?? 0
  const acked = seqDiff(session.kcp.sndUna, first)
  if (!host.alive || acked === 0) return
  // Those who tell of an error say that something may be missing.
  if (peers.length > 1 && session.closeError !== undefined) return
  // Without the check that tells a successor by its una, as the reference engine is, nobody learns what it lacks.
  if (peers.length > 1 && !session.kcp.config.hardening.strictAck) return
  const has = (peer: End): boolean => seqDiff(peer.session.kcp.rcvNxt, session.kcp.sndUna) >= 0
  require(peers.some(has), () => {
    const got = peers.map((peer) => `${seqDiff(peer.session.kcp.rcvNxt, first)}`).join(' and ')
    return `${name}: ${acked} segments are acknowledged, and the peer has ${got}`
  })
  const alone = peers.length === 1 ? peers[0]! : undefined
  if (alone === undefined || !alone.host.alive || alone.destroyed !== 'no') return
  require(!alone.session.readable, () => `${alone.name}: something was left unread`)
  const { flow } = end
  const bytes = session.bytesWritten - session.kcp.snd.bytes - flow.droppedBytes
  // In a stream, and of whole messages: what is acknowledged beyond a gap cannot be read.
  if (session.kcp.waitSnd() === 0 && session.drained)
    require(alone.session.bytesRead >= bytes, () =>
      `${alone.name}: read ${alone.session.bytesRead} of ${bytes} acknowledged bytes`)
}

/** The reader is told "the end" only where a peer has said all, and everything of it was read. */
function judgeEndSaid({ session, reader, name, destroyed, host }: End, peers: readonly End[]): void {
  if (!host.alive || destroyed !== 'no' || reader === undefined || peers.length === 0) return
  const said = session.ended || (session.closeError === undefined && !session.readable)
  if (!said) return
  const whole = peers.some((peer) => {
    const finished = peer.saidAll || peer.destroyed === 'kindly'
    return finished && (reader.source === undefined || reader.source === peer.flow)
  })
  require(whole && reader.done, () =>
    `${name}: was told the end after ${reader.messages} messages (${session.closeReason}), and that was not all`)
}

/** Who is read from reads from nobody else. */
function judgeMixture(end: End, peers: readonly End[], ends: readonly End[]): void {
  const source = end.reader?.source
  const peer = source === undefined ? undefined : peers.find(({ flow }) => flow === source)
  const heard = peer?.reader?.source
  if (heard === undefined || heard === end.flow || isForgotten(peer!)) return
  const other = ends.find(({ flow }) => flow === heard)
  throw new Failure(
    `${end.name} (${end.reader!.bytes} B) reads what ${peer!.name} wrote, which reads from ${other?.name} ` +
      `of another life (${peer!.reader!.bytes} B)`,
  )
}

/** A message reaches one application, unless its peer was forgotten before it proved its address. */
function judgeOnce({ flow, name }: End, peers: readonly End[], unsure: boolean): void {
  if (unsure) return
  const readers = peers.filter(
    (peer) => peer.reader?.hasRead(flow) === true && peer.host.alive && !isForgotten(peer),
  )
  require(readers.length <= 1, () => `${name}: ${readers.length} sessions were given what it wrote`)
}
