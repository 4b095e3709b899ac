/**
 * The door of a server: which session a datagram belongs to, and whether a stranger's datagram may open one. Keeps
 * every table that a stranger can fill within its bound, and never answers with more than it was sent.
 *
 * Checks go from cheap to dear: length · known (address, conv)? · a first PUSH? · tombstone · limits. A datagram that
 * fails one is counted by its reason and dropped. When no place for an unproven peer is left, the peer may prove itself
 * without one (stateless-challenge.ts): so a flood of forged addresses keeps nobody out.
 * @module
 */
import { KcpError } from '../core/errors.ts'
import type { MemoryBudget } from '../core/memory-budget.ts'
import { Command, KCP_OVERHEAD, readU32, SN_AT, TS_AT, writeHeader } from '../core/segment.ts'
import { seqAdd } from '../core/seq.ts'
import type { PacketCipher } from '../crypto/packet-cipher.ts'
import { FEC_OVERHEAD, FecKind, fecKind, readOutOfBandConv } from '../fec/header.ts'
import { CloseCode, decodeNotice, encodeNotice, NoticeKind } from './close-notice.ts'
import type { ResolvedSessionConfig } from './config.ts'
import { Connection } from './connection.ts'
import { ownCipher, type ResolvedFec } from './fec-options.ts'
import { KeyedCounter } from './keyed-counter.ts'
import type { AcceptorLimits } from './listener-limits.ts'
import { ListenerMemory } from './listener-memory.ts'
import { hostOf, peerKey } from './peer.ts'
import { linkMtu, PeerLink, Traffic } from './peer-link.ts'
import { addFecStats, FecStats, type Warn } from './pipeline.ts'
import type { Scheduler } from './scheduler.ts'
import type { KcpSession } from './session.ts'
import { StatelessChallenges } from './stateless-challenge.ts'
import { Suspicion, unreadable } from './suspicion.ts'
import { TimeWait } from './time-wait.ts'
import type { DatagramTransport, PacketCodec } from './transport.ts'

/**
 * Most conversations of one address and port, or of one association of the authenticated mode. One socket of an honest
 * peer has a few; each of its datagrams is looked up among them, and its end ends them all.
 */
const CONVERSATIONS_PER_PEER = 1_024

/** Why datagrams, and segments of them, were dropped. */
export class DropCounters {
  /** Of strangers: neither KCP nor a notice of ours. */
  foreign = 0
  /** Of no conversation here, and no beginning of one. */
  unknown = 0
  /** Of a conversation that ended a while ago; its Fin is answered again, and its PUSH with a Reset. */
  tombstone = 0
  /** `maxConnections` is reached. */
  connections = 0
  /** `maxConnectionsPerHost` is reached, or one address has as many conversations as it may have. */
  connectionsPerHost = 0
  /** `maxPending` is reached. The peer gets a stateless challenge; once it has answered, its next PUSH is let in. */
  pending = 0
  /** `maxPendingPerHost` is reached. The same. */
  pendingPerHost = 0
  /** Answers to such challenges that were not kept: their host has enough that wait for a place, or newer ones came. */
  proofs = 0
  /** Too many streams wait to be accepted. */
  backlog = 0
  /** The application does not want this peer: it said so, or closed the session before its first segment was in. */
  refused = 0
  /** First PUSHes after the listener was told to close. */
  closing = 0
  /** The codec refused it. */
  codec = 0
  /** The cipher could not open it: another key, another cipher, or noise. */
  cipher = 0
  /** Of a session: no segments, from some segment on, or at the end. */
  malformed = 0
  /** Segments whose una is beyond what was sent. */
  forgedUna = 0
  /** ACKs that name no transmission in flight: late, repeated or forged. */
  staleAcks = 0
  /** PUSHes that were here already. */
  duplicates = 0
  /** PUSHes beyond the receive window, or too far behind it. */
  outOfWindow = 0
  /** PUSHes for which `maxRecvBytes` or `maxMemory` left no room. */
  overLimit = 0
  /** Close notices that proved nothing. */
  forgedNotices = 0
}

export interface AcceptorOptions<Peer> {
  readonly transport: DatagramTransport<Peer>
  readonly config: ResolvedSessionConfig
  readonly limits: AcceptorLimits
  readonly codec: PacketCodec<Peer> | undefined
  readonly cipher?: PacketCipher | undefined
  readonly fec?: ResolvedFec | undefined
  /** What a developer should know is said here. */
  readonly warn?: Warn
  readonly scheduler: Scheduler
  /** Random u32 from a CSPRNG. */
  readonly random: () => number
  /** Whether the application wants this peer; asked last, for a datagram that may open a session. */
  readonly admit?: ((peer: Peer, conv: number, datagram: Uint8Array) => boolean) | undefined
  /** Whether one more session may wait to be accepted. */
  readonly hasBacklog: () => boolean
  /** Channels of each peer; see KcpListenerOptions. Default 1. */
  readonly channels?: number
  /** A new peer's sessions, one for each channel; set their callbacks here. */
  readonly onSessions: (sessions: readonly KcpSession[], peer: Peer) => void
}

interface PeerEntry<Peer> {
  readonly key: string
  readonly host: string
  readonly link: PeerLink<Peer>
  /** By the conv of each channel that is alive. */
  readonly connections: Map<number, Connection<Peer>>
  /** The latest one: parity does not tell its conv. */
  latest: Connection<Peer> | undefined
}

/** Segments before a first PUSH: answers to two or three repeats of it, and a question. */
const PREFACE_MAX = 4

export class Acceptor<Peer> {
  /** Of strangers, and of sessions that are over; see `totalDrops`. */
  readonly drops: DropCounters = new DropCounters()
  /** Sessions opened so far. */
  accepted = 0
  datagramsIn = 0
  bytesIn = 0
  /** What left, and what the cipher did, of all peers and strangers. */
  readonly traffic: Traffic = new Traffic()
  private readonly options: AcceptorOptions<Peer>
  private readonly mtu: number
  /** The transport knows who its peers are: no session is pending. */
  private readonly provesPeers: boolean
  private readonly warn: Warn
  private readonly suspicion: Suspicion = new Suspicion()
  /** Of conversations that are over. */
  private readonly pastFec: FecStats = new FecStats()
  private readonly channels: number
  private readonly memory: ListenerMemory
  private readonly timeWait: TimeWait
  private readonly challenges: StatelessChallenges
  /** Peers with at least one session, by address. */
  private readonly peers: Map<string, PeerEntry<Peer>> = new Map()
  /** Unproven sessions by host. */
  private readonly pendingByHost: KeyedCounter = new KeyedCounter()
  private pending = 0
  private count = 0
  /** Sessions that are over, and not released: their data is not read yet. */
  private unreleased = 0
  /** Both, by host. */
  private readonly countByHost: KeyedCounter = new KeyedCounter()
  /** false: known sessions go on, new ones are refused. */
  accepting = true

  /** Throws ERR_KCP_CONFIG when codec, cipher and FEC leave no mtu. */
  constructor(options: AcceptorOptions<Peer>) {
    // Its own for all peers: what comes back to it from any of them is not the peer's.
    this.options = { ...options, cipher: ownCipher(options.cipher) }
    const { codec, cipher, fec } = options
    const overhead =
      (codec?.overhead ?? 0) +
      (cipher === undefined ? 0 : cipher.headroom + cipher.tailroom) +
      (fec === undefined ? 0 : FEC_OVERHEAD)
    this.mtu = linkMtu(options.transport, options.config.kcp.mtu, overhead)
    this.provesPeers = options.transport.provesPeers === true
    this.warn = once(options.warn)
    this.channels = options.channels ?? 1
    this.memory = new ListenerMemory(options.limits.maxMemory, options.limits.maxMemoryPerHost)
    this.timeWait = new TimeWait(options.limits.tombstoneTtl)
    const { maxPending, maxPendingPerHost } = options.limits
    this.challenges = new StatelessChallenges(options.random, maxPending, maxPendingPerHost)
  }

  /** Sessions alive, and of these the unproven ones. */
  get sessions(): number {
    return this.count
  }
  get pendingSessions(): number {
    return this.pending
  }
  /** Payload bytes kept for readers, and bytes of shards. */
  get memoryUsed(): number {
    return this.memory.total.used
  }
  /** Challenges to peers for which no place was free, and how many of them were answered. */
  get challenged(): number {
    return this.challenges.sent
  }
  get challengesAnswered(): number {
    return this.challenges.answered
  }
  /** Ended conversations still remembered. */
  get tombstones(): number {
    return this.timeWait.size(this.options.scheduler.clock.now())
  }

  /** What was dropped so far, and why; adds the living sessions up. */
  totalDrops(): DropCounters {
    const total = Object.assign(new DropCounters(), this.drops)
    total.proofs = this.challenges.dropped
    for (const session of this.living()) addDrops(total, session)
    return total
  }

  /** One datagram from anybody. The session that it belongs to has its turn at the end of this one. */
  receive(datagram: Uint8Array, peer: Peer, now: number): void {
    this.datagramsIn++
    this.bytesIn += datagram.length
    const { transport, codec, cipher } = this.options
    const key = peerKey(transport, peer)
    const known = this.peers.get(key)
    const entry: PeerEntry<Peer> = known ?? {
      key,
      host: hostOf(peer, key),
      link: new PeerLink(transport, peer, codec, cipher, this.traffic),
      connections: new Map(),
      latest: undefined,
    }
    if (codec === undefined && cipher === undefined) {
      this.dispatch(datagram, datagram.length, entry, now)
      return
    }
    const { traffic } = entry.link
    const { codecDrops, refused } = traffic
    entry.link.open(datagram, (plain) => this.dispatch(plain, datagram.length, entry, now))
    this.drops.codec += traffic.codecDrops - codecDrops
    if (traffic.refused === refused) return
    // A codec may have made several of one.
    this.drops.cipher += traffic.refused - refused
    // Who is inside has the key: what else comes from there is noise.
    if (known === undefined && this.suspicion.add(key))
      this.warn('KCP_CIPHER', unreadable(nameOfPeer(key), true))
  }

  /** What FEC did for all conversations so far. */
  fecStats(): FecStats {
    const sum = Object.assign(new FecStats(), this.pastFec)
    for (const { connections } of this.peers.values()) {
      for (const { pipeline } of new Set(connections.values())) addFecStats(sum, pipeline.stats().fec)
    }
    return sum
  }

  /** Room is needed in which nothing is readable: some conversation may have to end for it. */
  private makeRoom(budget: MemoryBudget): void {
    const now = this.options.scheduler.clock.now()
    const victim = this.memory.victim(budget, this.mtu, now)
    if (victim === undefined) return
    victim.session.exceed(now, victim.option, victim.limit)
    victim.session.onChange?.()
  }

  /** The transport is gone: every session is over. */
  fail(error: KcpError): void {
    for (const session of [...this.living()]) {
      session.fail('reset', error)
      session.onChange?.()
    }
  }

  /** The transport has lost this peer, or the peer has left. */
  peerClosed(peer: Peer, error: KcpError | undefined): void {
    const entry = this.peers.get(peerKey(this.options.transport, peer))
    if (entry === undefined) return
    const left = new KcpError('ERR_KCP_RESET', 'the peer has left')
    for (const session of [...livingOf(entry)]) {
      if (error === undefined) session.peerLeft(left)
      else session.fail('reset', error)
      session.onChange?.()
    }
  }

  /** Datagrams of `size` bytes, the transport's part included, fit the path to this peer: larger or smaller than before. */
  largerDatagrams(peer: Peer, size: number): void {
    const entry = this.peers.get(peerKey(this.options.transport, peer))
    for (const connection of new Set(entry?.connections.values())) connection.largerDatagrams(size)
  }

  private *living(): Generator<KcpSession> {
    for (const entry of this.peers.values()) yield* livingOf(entry)
  }

  /** One plain datagram of a peer or a stranger: to its connection, which may be born by it. */
  private dispatch(datagram: Uint8Array, wireSize: number, entry: PeerEntry<Peer>, now: number): void {
    const kind = fecKind(datagram, 0, datagram.length)
    let connection: Connection<Peer> | undefined
    if (kind === FecKind.Bare) connection = this.connectionFor(datagram, entry, now)
    else if (kind === FecKind.Data)
      connection = this.connectionFor(datagram.subarray(FEC_OVERHEAD), entry, now)
    else {
      connection =
        kind === FecKind.OutOfBand ? entry.connections.get(readOutOfBandConv(datagram, 0)) : entry.latest
      if (connection === undefined) {
        if (kind === FecKind.Malformed) this.strange(entry)
        else this.drops.unknown++
      }
    }
    connection?.receive(kind, datagram, wireSize, now)
  }

  /** Whose these segments are: a connection that is there, or that they open. Otherwise they are counted, and answered. */
  private connectionFor(
    segments: Uint8Array,
    entry: PeerEntry<Peer>,
    now: number,
  ): Connection<Peer> | undefined {
    const conv = segments.length < 4 ? -1 : readU32(segments, 0)
    const known = entry.connections.get(conv)
    if (known !== undefined) return known
    if (!this.mayOpen(segments, conv, entry, now)) return undefined
    const connection = this.open(conv, entry, now)
    if (!connection.session(conv)!.closed) return connection
    // Refused by the application: its client must hear it, or it would knock again and again.
    this.drops.refused++
    this.reset(segments, conv, entry, CloseCode.Rejected)
    return undefined
  }

  /** A stranger's datagram that is none of ours. */
  private strange(entry: PeerEntry<Peer>): void {
    this.drops.foreign++
    if (this.options.cipher === undefined && this.suspicion.add(entry.key)) {
      this.warn('KCP_CIPHER', unreadable(nameOfPeer(entry.key), false))
    }
  }

  /** Whether a stranger's datagram opens a session; if not it is counted, and answered where that helps. */
  private mayOpen(datagram: Uint8Array, conv: number, entry: PeerEntry<Peer>, now: number): boolean {
    const { drops } = this
    const { limits } = this.options
    const tombstone = conv < 0 ? undefined : this.timeWait.find(`${entry.key}|${conv}`, now)
    if (datagram.length < KCP_OVERHEAD) {
      const notice = decodeNotice(datagram)
      if (notice === undefined) this.strange(entry)
      else if (tombstone === undefined) drops.unknown++
      else drops.tombstone++
      if (notice?.kind === NoticeKind.Fin && tombstone?.finAck !== undefined) reply(entry, tombstone.finAck)
      return false
    }
    const cmd = datagram[4]!
    if (
      cmd < Command.Push ||
      cmd > Command.WindowTell ||
      readU32(datagram, 20) > datagram.length - KCP_OVERHEAD
    ) {
      this.strange(entry)
      return false
    }
    const name = this.nameOf(conv, entry)
    const { host } = entry
    const { at, answers, asks } = this.preface(datagram, conv, entry, name, now)
    const first = this.isFirst(datagram, at, conv)
    // A peer that is gone may have a successor at its address, which has another clock.
    if (tombstone !== undefined && !(first && !tombstone.clock.covers(readU32(datagram, at + TS_AT), now))) {
      if (answers && !asks && at === datagram.length) return false
      drops.tombstone++
      if (cmd === Command.Push) this.reset(datagram, conv, entry)
      return false
    }
    if (!first || !this.accepting || !this.isGroupFree(conv, entry)) {
      if (answers && !asks && at === datagram.length) return false
      if (first && !this.accepting) drops.closing++
      else drops.unknown++
      if (cmd === Command.Push) {
        this.reset(datagram, conv, entry, first && !this.accepting ? CloseCode.Draining : CloseCode.Unknown)
      } else if (asks) this.answer(conv, entry)
      return false
    }
    const proven = this.provesPeers || this.challenges.find(name, now) !== undefined
    const full = this.fullness(entry)
    if (full !== undefined) {
      drops[full]++
      this.reset(datagram, conv, entry, CloseCode.Full, at)
    } else if (!proven && this.pending >= limits.maxPending * this.channels) {
      drops.pending++
      this.challenge(conv, entry, now)
    } else if (!proven && this.pendingByHost.get(host) >= limits.maxPendingPerHost * this.channels) {
      drops.pendingPerHost++
      this.challenge(conv, entry, now)
    } else if (!this.options.hasBacklog()) {
      drops.backlog++
      this.reset(datagram, conv, entry, CloseCode.Full, at)
    } else if (this.options.admit?.(entry.link.peer, conv, datagram) === false) {
      drops.refused++
      this.reset(datagram, conv, entry, CloseCode.Rejected, at)
    } else {
      if (tombstone !== undefined) this.timeWait.forget(`${entry.key}|${conv}`)
      return true
    }
    return false
  }

  /** Which limit keeps one more conversation of this peer out; undefined: none. */
  private fullness(entry: PeerEntry<Peer>): 'connections' | 'connectionsPerHost' | undefined {
    const { channels } = this
    const { limits } = this.options
    // Limits are of conversations, and each has all its channels.
    if (this.count + this.unreleased >= limits.maxConnections * channels) return 'connections'
    if (this.countByHost.get(entry.host) >= limits.maxConnectionsPerHost * channels)
      return 'connectionsPerHost'
    return entry.connections.size >= CONVERSATIONS_PER_PEER * channels ? 'connectionsPerHost' : undefined
  }

  /** "Is anybody there?" 24 bytes, or 20, for 24 or more, and nothing to remember. */
  private answer(conv: number, entry: PeerEntry<Peer>): void {
    const code = !this.accepting ? CloseCode.Draining : CloseCode.Full
    const closed = !this.accepting || this.fullness(entry) !== undefined || !this.options.hasBacklog()
    if (!closed) reply(entry, windowTell(conv, this.wnd))
    else if (this.options.config.lifecycle === 'fin') {
      const refusal = { conv, kind: NoticeKind.Reset, sn: 0, done: true, code } as const
      reply(entry, encodeNotice({ ...refusal, ts: undefined, echo: undefined }))
    }
  }

  /**
   * What may stand before a first PUSH: answers to our challenges, and questions about the window, as a client asks that
   * closes and whose first datagrams were lost. `at`: where they end.
   */
  private preface(
    datagram: Uint8Array,
    conv: number,
    { key, host }: PeerEntry<Peer>,
    name: string,
    now: number,
  ): { at: number; answers: boolean; asks: boolean } {
    let at = 0
    let answers = false
    let asks = false
    // A repeated PUSH is challenged again, so its answers can be several; each costs a keyed hash.
    for (let i = 0; i < PREFACE_MAX && at + KCP_OVERHEAD <= datagram.length; i++) {
      if (readU32(datagram, at) !== conv || readU32(datagram, at + 20) !== 0) break
      const cmd = datagram[at + 4]!
      if (cmd === Command.WindowAsk) asks = true
      else if (cmd === Command.Ack && this.challenges.hear(datagram, at, key, host, conv, name, now))
        answers = true
      else break
      at += KCP_OVERHEAD
    }
    return { at, answers, asks }
  }

  /** Whether the segment at `at` begins a conversation: a PUSH of the first window, of a peer that has received nothing. */
  private isFirst(datagram: Uint8Array, at: number, conv: number): boolean {
    const room = datagram.length - at - KCP_OVERHEAD
    return (
      room >= 0 &&
      datagram[at + 4] === Command.Push &&
      readU32(datagram, at) === conv &&
      readU32(datagram, at + 12) < this.options.config.kcp.rcvWnd &&
      readU32(datagram, at + 16) === 0 &&
      readU32(datagram, at + 20) <= room
    )
  }

  /** Has a peer for which no place is free prove its address before it gets one. Nothing is kept of it. */
  private challenge(conv: number, entry: PeerEntry<Peer>, now: number): void {
    reply(entry, this.challenges.challenge(entry.key, conv, this.wnd, now))
  }

  /** What all channels of a peer have in common. */
  private nameOf(conv: number, entry: PeerEntry<Peer>): string {
    return `${entry.key}|${conv - (conv % this.channels)}`
  }

  /** The window that answers without a session tell: what one that holds nothing yet would. */
  private get wnd(): number {
    const { kcp, maxRecvBytes } = this.options.config
    const fit = Math.floor(maxRecvBytes / (this.mtu - KCP_OVERHEAD))
    return Math.min(kcp.rcvWnd, 65_535, Math.max(1, fit))
  }

  /** Whether `conv` can be a channel of a new peer: its group has no conv 0, and no channel that is alive. */
  private isGroupFree(conv: number, entry: PeerEntry<Peer>): boolean {
    if (this.channels === 1) return true
    const base = conv - (conv % this.channels)
    if (base === 0 || base + this.channels > 2 ** 32) return false
    for (let i = 0; i < this.channels; i++) if (entry.connections.has(base + i)) return false
    return true
  }

  /** Opens a connection for the peer that sent `conv`, with all its channels. */
  private open(conv: number, entry: PeerEntry<Peer>, now: number): Connection<Peer> {
    const { channels, mtu, warn } = this
    const { config, fec, scheduler, transport } = this.options
    const { clock } = scheduler
    const memory = this.memory.enter(entry.host)
    // Each channel leaves it for itself.
    for (let i = 1; i < channels; i++) this.memory.enter(entry.host)
    const name = this.nameOf(conv, entry)
    const origin = this.challenges.find(name, now)
    this.challenges.forget(name)
    const connection = new Connection<Peer>({
      role: 'server',
      link: entry.link,
      config,
      conv: conv - (conv % channels),
      channels,
      fec,
      mtu,
      // A stateless challenge may have told the peer already where the clock begins.
      clockOffset: origin === undefined ? this.options.random() >>> 0 : seqAdd(origin, Math.floor(now)),
      clock,
      touch: (session) => scheduler.touch(session),
      warn,
      memory,
      // Whose first segment is late has not begun with another server where the transport would know.
      begun: transport.knowsPeers === true ? undefined : conv,
      onStray: () => {
        this.drops.unknown++
      },
    })
    if (entry.connections.size === 0) {
      this.peers.set(entry.key, entry)
      transport.use?.(entry.link.peer, true)
    }
    entry.latest = connection
    for (const session of connection.sessions) this.enter(session, connection, entry, memory)
    // Before the application may do anything, such as end them.
    if (origin !== undefined || this.provesPeers) connection.sessions[0]!.trust()
    this.options.onSessions(connection.sessions, entry.link.peer)
    // The channels that nothing came for have their deadlines too.
    for (const session of connection.sessions) if (session.conv !== conv) scheduler.touch(session)
    return connection
  }

  private enter(
    session: KcpSession,
    connection: Connection<Peer>,
    entry: PeerEntry<Peer>,
    memory: MemoryBudget,
  ): void {
    entry.connections.set(session.conv, connection)
    this.count++
    this.countByHost.add(entry.host, 1)
    this.accepted++
    this.changePending(entry, 1)
    const { onProven } = session
    session.onProven = () => {
      this.changePending(entry, -1)
      onProven?.()
    }
    this.memory.add(session)
    session.onStarved = () => this.makeRoom(memory)
    session.onClosed = () => this.forget(session, connection, entry)
    this.options.scheduler.add(session)
  }

  private changePending(entry: PeerEntry<Peer>, by: 1 | -1): void {
    this.pending += by
    this.pendingByHost.add(entry.host, by)
  }

  private forget(session: KcpSession, connection: Connection<Peer>, entry: PeerEntry<Peer>): void {
    const { host } = entry
    if (!session.proven) this.changePending(entry, -1)
    addDrops(this.drops, session)
    entry.connections.delete(session.conv)
    if (entry.connections.size === 0) {
      this.peers.delete(entry.key)
      this.options.transport.use?.(entry.link.peer, false)
    }
    if (connection.releaseIfOver()) {
      addFecStats(this.pastFec, connection.pipeline.stats().fec)
      if (entry.latest === connection) entry.latest = undefined
    }
    this.count--
    this.memory.delete(session)
    // What its reader has not taken yet keeps its memory, and so its place.
    this.unreleased++
    session.onReleased = () => {
      this.unreleased--
      this.countByHost.add(host, -1)
      this.memory.leave(host)
    }
    // A peer that proved nothing and fell silent may never have been there: that is not worth remembering.
    if (!session.proven && session.closeReason === 'timeout') return
    const key = `${entry.key}|${session.conv}`
    const finAck = session.farewell()
    const { proven, peerClock: clock } = session
    this.timeWait.bury({ key, host, proven, finAck, clock }, this.options.scheduler.clock.now())
  }

  /** Tells one of our own ends that its conversation is unknown here: it alone knows the ts that this echoes. */
  private reset(
    datagram: Uint8Array,
    conv: number,
    entry: PeerEntry<Peer>,
    code: number = CloseCode.Unknown,
    at = 0,
  ): void {
    if (this.options.config.lifecycle !== 'fin') return
    const sn = readU32(datagram, at + SN_AT)
    const echo = readU32(datagram, at + TS_AT)
    reply(entry, encodeNotice({ conv, kind: NoticeKind.Reset, sn, done: true, code, ts: undefined, echo }))
  }
}

/** Says each thing once for all peers: forged addresses are as many as anybody likes, and must not fill a log. */
function once(warn: Warn = () => undefined): Warn {
  const said = new Set<string>()
  return (code, message) => {
    if (said.has(code)) return
    said.add(code)
    warn(code, message)
  }
}

/** An address as people write it. */
function nameOfPeer(key: string): string {
  const [address, port] = key.split('|')
  return port === undefined ? key : `${address} port ${port}`
}

function* livingOf<Peer>({ connections }: PeerEntry<Peer>): Generator<KcpSession> {
  for (const [conv, connection] of connections) yield connection.session(conv)!
}

/** Answers a stranger at once, and keeps nothing. */
function reply<Peer>({ link }: PeerEntry<Peer>, datagram: Uint8Array): void {
  link.send(datagram)
  link.flushed()
}

function addDrops(to: DropCounters, { kcp, forgedNotices }: KcpSession): void {
  const { counters } = kcp
  to.malformed += counters.inputErrors
  to.forgedUna += counters.forgedUna
  to.staleAcks += counters.staleAcks
  to.duplicates += counters.duplicates
  to.outOfWindow += counters.outOfWindow
  to.overLimit += counters.overLimit
  to.forgedNotices += forgedNotices
}

function windowTell(conv: number, wnd: number): Uint8Array {
  const bytes = new Uint8Array(KCP_OVERHEAD)
  writeHeader(bytes, 0, conv, Command.WindowTell, 0, wnd, 0, 0, 0, 0)
  return bytes
}
