/**
 * What two ends have when a handshake is done: keys, and an address that is proven. It seals and opens records, replaces
 * keys, follows the peer to a new address once that is proven, finds out what the path carries, and ends. Both ends use
 * it; the client asks for new keys and the server follows addresses. Time is an argument; `poll` does what is due.
 *
 *     keys   current ── replaced by next, once a record under next was opened ──► previous ── OVERLAP ──► gone
 *
 * @module
 */
import { KcpError } from '../core/errors.ts'
import { readU32, writeU32 } from '../core/segment.ts'
import { type Identity, isAuthorized, rekeyPrologueOf } from './identity.ts'
import { Keys, RecordResult } from './keys.ts'
import {
  CHALLENGE_INTERVAL,
  CHALLENGES_MAX,
  CLOSING_TIME,
  HANDSHAKE_LIFETIME,
  OVERLAP,
  PING_INTERVAL,
  REJECT_AFTER_RECORDS,
  REKEY_INTERVAL_MIN,
  REKEY_PATIENCE,
  REKEY_PATIENCE_STEP,
  RETRY_INTERVAL,
  RETRY_INTERVAL_MAX,
  type ResolvedTuning,
  type SecureCounters,
  STRANGE_RECORDS_PER_SECOND,
  TokenBucket,
  UNUSED_LIFETIME,
} from './limits.ts'
import { HandshakeState } from './noise.ts'
import { PART_HEAD, PartStore, partOf } from './parts.ts'
import { PathMtu } from './path-mtu.ts'
import { type CipherName, concat, equalBytes, type SecurePrimitives } from './primitives.ts'
import { ControlKind, DatagramType, MESSAGE1_SIZE, MESSAGE2_SIZE, RECORD_OVERHEAD } from './wire.ts'

const NEVER = Number.POSITIVE_INFINITY
const CHALLENGE_SIZE = 8
const EMPTY = new Uint8Array()

export interface AssociationOptions<Path> {
  readonly role: 'client' | 'server'
  readonly primitives: SecurePrimitives
  readonly identity: Identity
  readonly cipher: CipherName
  readonly tuning: ResolvedTuning
  readonly counters: SecureCounters
  readonly keys: Keys
  /** The client's static key, where the server knows one. */
  readonly remotePublicKey: Uint8Array | undefined
  readonly path: Path
  /** Whether `path` is known to be the peer's: by a cookie, or because the client chose it. */
  readonly validated: boolean
  readonly keyOf: (path: Path) => string
  /** What the path is known to carry, bytes. */
  readonly mtu: number
  /** Gets every datagram; lent for the call. */
  readonly send: (datagram: Uint8Array, path: Path) => void
  /** A number that names keys of this association from now on, and that it does not any more. */
  readonly takeIndex: (association: Association<Path>) => number
  readonly dropIndex: (index: number) => void
  /** A datagram of the peer's; lent for the call. */
  readonly onData: (plain: Uint8Array, association: Association<Path>) => void
  /** The first record was opened: the peer has the keys. */
  readonly onConfirmed: (association: Association<Path>, now: number) => void
  /** Larger datagrams fit the path than was known, or only smaller ones do; see `mtu`. */
  readonly onMtu: (association: Association<Path>) => void
  /** A client has asked for a sign of life, and got none before it asks again. */
  readonly onSilence?: (() => void) | undefined
  /** Over: the peer closed (no error), or new keys could not be had. */
  readonly onClosed: (association: Association<Path>, error: KcpError | undefined) => void
}

/** An address that the peer was heard from, but that is not validated. */
interface Candidate<Path> {
  path: Path
  readonly key: string
  challenge: Uint8Array
  sentAt: number
}

/** New keys that the client asks for. */
interface Rekey {
  readonly index: number
  readonly state: HandshakeState
  readonly body: Uint8Array
}

export class Association<Path> {
  /** Where records go. */
  path: Path
  pathKey: string
  readonly remotePublicKey: Uint8Array | undefined
  /** Over, or about to be: nothing is sent any more. */
  closing = false
  closed = false
  private readonly options: AssociationOptions<Path>
  private readonly client: boolean
  private current: Keys
  /** The transcript of the first keys that both ends had. */
  private binding: Uint8Array
  private previous: Keys | undefined
  private previousUntil = NEVER
  private next: Keys | undefined
  /** When the next keys were made: they are given up when nobody uses them. */
  private nextAt = 0
  private candidate: Candidate<Path> | undefined
  /** Addresses challenged of late by their keys, the latest last: a new candidate may be a former one. */
  private readonly challenged: Map<string, Candidate<Path>> = new Map()
  private validated: boolean
  private readonly strange: TokenBucket
  private readonly pathMtu: PathMtu
  /** The size that `onMtu` was called for last. */
  private toldMtu: number
  private movedAt = Number.NEGATIVE_INFINITY
  private readonly parts: PartStore = new PartStore()
  private nextPart = 0
  /** Latest time that a datagram went either way. */
  private usedAt: number
  private closedAt = NEVER

  /** Latest time that a record was opened, and that the client asked for one because it had not heard any. */
  private heardAt: number
  private pingedAt = Number.NEGATIVE_INFINITY

  // The client's questions, one at a time: a handshake message until it is answered, then Pings until a record comes.
  private rekey: Rekey | undefined
  /** For how long records came, but no new keys, and when that was looked at last; undefined: none were asked for. */
  private withheld = 0
  private withheldAt: number | undefined
  private askAt = NEVER
  private askInterval = RETRY_INTERVAL

  // The server's answer to the latest question for keys.
  private answered: { readonly question: Uint8Array; readonly answer: Uint8Array } | undefined
  private answeredAt = Number.NEGATIVE_INFINITY

  constructor(options: AssociationOptions<Path>, now: number) {
    this.options = options
    this.client = options.role === 'client'
    this.current = options.keys
    this.binding = options.keys.hash
    this.path = options.path
    this.pathKey = options.keyOf(options.path)
    this.remotePublicKey = options.remotePublicKey
    this.strange = new TokenBucket(STRANGE_RECORDS_PER_SECOND, now)
    this.validated = options.validated
    this.pathMtu = new PathMtu(options.mtu, options.tuning.probeMtu)
    this.toldMtu = this.pathMtu.size
    this.usedAt = this.heardAt = now
    if (this.client) this.ask(now)
  }

  // ---- reads -----------------------------------------------------------------------------------------------

  /** Whether the peer is known to have our keys. */
  get confirmed(): boolean {
    return this.current.confirmed
  }

  /** The largest datagram that the path is known to carry, bytes. */
  get mtu(): number {
    return this.pathMtu.size
  }

  /**
   * Bound to this peer and the first keys, the same at both ends: for protocols that authenticate something on top. New
   * keys leave it as it is, as the ends go over to them one after the other.
   */
  get hash(): Uint8Array {
    return this.binding
  }

  /** When `poll` has something to do. */
  deadline(): number {
    if (this.closed) return NEVER
    if (this.closing) return this.closedAt
    const probeAt = this.confirmed ? this.pathMtu.deadline : NEVER
    return Math.min(this.askAt, this.previousUntil, probeAt, this.pingAt)
  }

  // ---- sending ---------------------------------------------------------------------------------------------

  /**
   * Hands `emit` the record around a datagram, or several records when the path does not carry it whole. They are borrowed
   * for the call. Without keys for it nothing is sent, and that is counted.
   */
  sealTo(datagram: Uint8Array, now: number, emit: (record: Uint8Array, path: Path) => void): void {
    const most = this.pathMtu.size - RECORD_OVERHEAD
    const partSize = most - 1 - PART_HEAD
    if (datagram.length <= most || partSize <= 0) {
      const record = this.seal(datagram, now)
      if (record !== undefined) emit(record, this.path)
      return
    }
    const id = this.nextPart
    this.nextPart = (id + 1) & 0xffff
    const size = Math.ceil(datagram.length / Math.ceil(datagram.length / partSize))
    const kind = Uint8Array.of(ControlKind.Part)
    for (let at = 0; at < datagram.length; at += size) {
      if (!this.prepareToSeal(now)) return
      const part = concat(kind, partOf(datagram, id, at, size))
      emit(this.current.seal(DatagramType.Control, part), this.path)
    }
  }

  /** One record around a datagram, borrowed until the next; undefined when there are no keys for it. */
  seal(datagram: Uint8Array, now: number): Uint8Array | undefined {
    if (!this.prepareToSeal(now)) return undefined
    if (datagram.length + RECORD_OVERHEAD > this.pathMtu.base) this.pathMtu.use(now)
    return this.current.seal(DatagramType.Data, datagram)
  }

  /** Sends first what is due. false, and counted: nothing can be sealed. */
  private prepareToSeal(now: number): boolean {
    if (this.closing || this.closed) {
      this.options.counters.unsent++
      return false
    }
    this.considerRekey(now)
    if (this.current.sealed >= REJECT_AFTER_RECORDS) {
      this.options.counters.unsent++
      this.fail('the keys are used up, and no new ones could be agreed', 0)
      return false
    }
    // A server has no timer for this, and may hear nothing because all that it sends is too large.
    if (now >= this.pathMtu.deadline && this.confirmed) this.probe(now)
    this.usedAt = now
    return true
  }

  /** Tells the peer that it may forget the keys, and sends nothing any more. */
  close(now: number): void {
    if (this.closing || this.closed) return
    this.control(ControlKind.Close, EMPTY)
    this.closing = true
    this.closedAt = now
    this.poll(now)
  }

  // ---- receiving -------------------------------------------------------------------------------------------

  /** A record that names keys of this association, from `path`. false: it was none of the peer's, or nothing new. */
  receive(index: number, record: Uint8Array, path: Path, now: number): boolean {
    const { counters, keyOf } = this.options
    let keys = this.keysOf(index)
    if (keys === undefined) {
      counters.unknown++
      return false
    }
    const pathKey = keyOf(path)
    if (pathKey !== this.pathKey && pathKey !== this.candidate?.key && !this.strange.take(now)) {
      counters.throttled++
      return false
    }
    let newest = keys.window.newest
    let result = keys.open(record)
    // Two answers to one initiation: only one of them is still the server's.
    if (result === RecordResult.Forged && keys !== this.next && this.next?.localIndex === index) {
      keys = this.next
      newest = keys.window.newest
      result = keys.open(record)
    }
    if (result !== RecordResult.Opened) {
      if (result === RecordResult.Replayed) counters.replayed++
      else counters.forged++
      return false
    }
    if (this.closed) return false
    this.heardAt = now
    if (!keys.confirmed) {
      // A copy of the initiation may have come first, from anywhere. The first record is from a peer with the keys.
      if (!this.validated) {
        this.validated = true
        this.path = path
        this.pathKey = pathKey
      }
      this.confirm(keys, now)
      if (this.closed) return true
    }
    // Of former keys too: the client may not know yet that the present ones are in use.
    if (!this.client && keys.window.newest > newest) this.follow(keys, path, pathKey, now)
    if (record[0] === DatagramType.Data) {
      this.usedAt = now
      this.options.onData(keys.plain, this)
    } else this.heed(keys, record, path, pathKey, now)
    if (this.closed) return true
    this.suspect(now)
    this.poll(now)
    return true
  }

  /** Other keys from the same first handshake: whichever the server uses is it. */
  offer(keys: Keys, now: number): void {
    if (this.current.confirmed || this.closing || this.closed) return
    this.next = keys
    this.nextAt = now
    this.askInterval = RETRY_INTERVAL
    this.ask(now)
  }

  /** Does what is due. */
  poll(now: number): void {
    if (this.closed) return
    if (this.closing) {
      if (now >= this.closedAt) this.end(undefined)
      return
    }
    if (now >= this.previousUntil) this.forgetPrevious()
    // As long as the client may need to use them: there is one pair at most, and a new question replaces it.
    if (!this.client && now >= this.nextAt + OVERLAP) this.forgetNext()
    this.considerRekey(now)
    if (this.closed) return
    if (now >= this.askAt) this.ask(now)
    if (this.confirmed) this.probe(now)
    this.tellMtu()
    if (now >= this.pingAt) {
      const unanswered = this.pingedAt > this.heardAt
      this.pingedAt = now
      if (unanswered) this.options.onSilence?.()
      this.control(ControlKind.Ping, EMPTY)
    }
  }

  /** Frees the indices; nothing is told to anybody. */
  forget(): void {
    this.closed = true
    for (const keys of [this.current, this.previous, this.next]) {
      if (keys !== undefined) this.options.dropIndex(keys.localIndex)
    }
    if (this.rekey !== undefined) this.options.dropIndex(this.rekey.index)
  }

  // ---- keys ------------------------------------------------------------------------------------------------

  private keysOf(index: number): Keys | undefined {
    if (index === this.current.localIndex) return this.current
    if (index === this.next?.localIndex) return this.next
    return index === this.previous?.localIndex ? this.previous : undefined
  }

  /** A record was opened with these keys for the first time. */
  private confirm(keys: Keys, now: number): void {
    keys.confirmed = true
    this.askAt = NEVER
    if (keys === this.next && !this.current.confirmed) {
      this.current = keys
      this.binding = keys.hash
      this.next = undefined
      this.options.onConfirmed(this, now)
    } else if (keys === this.next) {
      this.forgetPrevious()
      this.previous = this.current
      this.previousUntil = now + OVERLAP
      this.current = keys
      this.next = undefined
      this.answered = undefined
      this.withheld = 0
      this.withheldAt = undefined
      if (this.rekey !== undefined) this.options.dropIndex(this.rekey.index)
      this.rekey = undefined
      this.options.counters.rekeys++
    } else if (keys === this.current) this.options.onConfirmed(this, now)
  }

  private forgetPrevious(): void {
    if (this.previous !== undefined) this.options.dropIndex(this.previous.localIndex)
    this.previous = undefined
    this.previousUntil = NEVER
  }

  private forgetNext(): void {
    if (this.next !== undefined) this.options.dropIndex(this.next.localIndex)
    this.next = undefined
    this.answered = undefined
  }

  /** The client asks for new keys when the old ones were used enough, in either direction. */
  private considerRekey(now: number): void {
    const { current } = this
    if (!this.client || this.rekey !== undefined || !current.confirmed) return
    // The server may use keys of which no sign has come here: they are kept, while others are asked for.
    if (this.next !== undefined && now < this.nextAt + HANDSHAKE_LIFETIME) return
    const { rekeyAfterMs, rekeyAfterRecords } = this.options.tuning
    const used = Math.max(current.sealed, current.window.newest + 1)
    // Silent ends keep their keys: there is nothing that newer ones would protect.
    const aged = now - current.bornAt >= rekeyAfterMs && now - this.usedAt < rekeyAfterMs
    if (used < rekeyAfterRecords && !aged) return
    const index = this.options.takeIndex(this)
    const state = this.handshake('initiator', index, current.hash)
    const message = state.write(EMPTY)
    if (message === undefined) {
      this.options.dropIndex(index)
      return
    }
    this.rekey = { index, state, body: concat(u32(index), message) }
    this.withheldAt ??= now
    this.askInterval = RETRY_INTERVAL
    this.ask(now)
  }

  /** A handshake for new keys, bound to the present ones and to the client's index for the new ones. */
  private handshake(role: 'initiator' | 'responder', index: number, hash: Uint8Array): HandshakeState {
    const { primitives, identity, cipher } = this.options
    return new HandshakeState({
      primitives,
      pattern: identity.pattern,
      cipher,
      role,
      prologue: rekeyPrologueOf(hash, u32(index)),
      psk: identity.psk,
      keyPair: identity.keyPair,
      remotePublicKey: role === 'initiator' ? identity.remotePublicKey : undefined,
    })
  }

  /** Who lets records pass, but no handshake, wants the keys to last. */
  private suspect(now: number): void {
    if (this.withheldAt === undefined) return
    // A path that was cut, and a machine that slept, have let nothing pass.
    this.withheld += Math.min(now - this.withheldAt, REKEY_PATIENCE_STEP)
    this.withheldAt = now
    if (this.withheld < REKEY_PATIENCE) return
    this.fail(`no new keys could be agreed for ${REKEY_PATIENCE} ms`, REKEY_PATIENCE)
  }

  /** When a client that hears nothing asks: as long as it does its server knows that it is there. */
  private get pingAt(): number {
    if (!this.client || !this.confirmed) return NEVER
    const { heardAt, pingedAt } = this
    const patient = pingedAt - heardAt >= UNUSED_LIFETIME
    return Math.max(heardAt + PING_INTERVAL, pingedAt + (patient ? PING_INTERVAL : RETRY_INTERVAL_MAX))
  }

  /** Sends the client's question again until it is answered. */
  private ask(now: number): void {
    if (this.rekey !== undefined) this.control(ControlKind.RekeyInitiation, this.rekey.body)
    // Beside it too: the server may use the next keys by now, and know the present ones no more.
    if (this.next !== undefined || !this.current.confirmed) this.control(ControlKind.Ping, EMPTY, this.next)
    this.askAt = now + this.askInterval
    this.askInterval = Math.min(2 * this.askInterval, RETRY_INTERVAL_MAX)
  }

  /** The server makes new keys, and uses them once the client did. */
  private answerRekey(keys: Keys, question: Uint8Array, now: number): void {
    const { pattern } = this.options.identity
    // Former keys too: the client may not know yet that the present ones are in use.
    if (this.client || keys === this.next || question.length !== 4 + MESSAGE1_SIZE[pattern]) {
      this.options.counters.pointless++
      return
    }
    if (this.answered !== undefined && equalBytes(this.answered.question, question)) {
      this.control(ControlKind.RekeyResponse, this.answered.answer, keys)
      return
    }
    if (now - this.answeredAt < REKEY_INTERVAL_MIN) {
      this.options.counters.hasty++
      return
    }
    this.answeredAt = now
    const theirs = readU32(question, 0)
    const state = this.handshake('responder', theirs, keys.hash)
    const { remotePublicKey } = this
    const same =
      state.read(question.subarray(4)) !== undefined &&
      (remotePublicKey === undefined || equalBytes(state.remotePublicKey!, remotePublicKey))
    if (!same) {
      this.options.counters.unreadable++
      return
    }
    // A key may have been revoked since the last time. The application may also have ended this association meanwhile.
    const authorized = remotePublicKey === undefined || isAuthorized(this.options.identity, remotePublicKey)
    if (this.closed || this.closing) return
    if (!authorized) {
      this.options.counters.unauthorized++
      this.fail(
        'security.authorize did not answer true for the key of this peer when it asked for new keys',
        0,
      )
      return
    }
    const ours = this.options.takeIndex(this)
    const answer = state.write(u32(ours))
    if (answer === undefined) {
      this.options.dropIndex(ours)
      this.options.counters.unreadable++
      return
    }
    this.forgetNext()
    this.prepare(state, ours, theirs, now)
    this.answered = { question: new Uint8Array(question), answer }
    this.control(ControlKind.RekeyResponse, answer, keys)
  }

  private takeRekey(answer: Uint8Array, now: number): void {
    // None was asked for, as ever by a server; or this answer was here before.
    if (this.rekey === undefined || answer.length !== MESSAGE2_SIZE) {
      this.options.counters.pointless++
      return
    }
    const { index, state } = this.rekey
    const payload = state.read(answer)
    if (payload === undefined) {
      this.options.counters.unreadable++
      return
    }
    this.rekey = undefined
    this.forgetNext()
    this.prepare(state, index, readU32(payload, 0), now)
    this.askInterval = RETRY_INTERVAL
    this.ask(now)
  }

  private prepare(state: HandshakeState, localIndex: number, remoteIndex: number, now: number): void {
    const { primitives, cipher } = this.options
    this.next = new Keys({ primitives, cipher, result: state.result(), localIndex, remoteIndex, now })
    this.nextAt = now
  }

  // ---- control ---------------------------------------------------------------------------------------------

  private control(kind: number, body: Uint8Array, keys: Keys = this.current, path: Path = this.path): void {
    if (keys.sealed >= REJECT_AFTER_RECORDS) return
    this.options.send(keys.seal(DatagramType.Control, concat(Uint8Array.of(kind), body)), path)
  }

  /** What a Control record asks for. `message` is lent, and gone with the next record opened. */
  private heed(keys: Keys, record: Uint8Array, path: Path, pathKey: string, now: number): void {
    const { counters } = this.options
    const message = keys.plain
    const body = message.subarray(1)
    switch (message[0]) {
      case ControlKind.Pong:
        // That it came is what it says.
        break
      case ControlKind.Ping:
        this.control(ControlKind.Pong, EMPTY, keys)
        break
      case ControlKind.PathChallenge:
        if (body.length !== CHALLENGE_SIZE) counters.pointless++
        else {
          this.control(ControlKind.PathResponse, body, keys)
          // The server has heard this client from another address, so the path is another one.
          if (this.client) this.move(now)
        }
        break
      case ControlKind.PathResponse:
        this.prove(body, pathKey, now)
        break
      case ControlKind.Close:
        // Again: the end does not move, so those that end stay in their order.
        if (this.closing) break
        this.closing = true
        this.closedAt = now + CLOSING_TIME
        break
      case ControlKind.Probe: {
        const size = record.length
        this.control(ControlKind.ProbeAck, Uint8Array.of(size & 0xff, size >> 8, body[0] ?? 0), keys, path)
        break
      }
      case ControlKind.ProbeAck: {
        const size = (body[0] ?? 0) | ((body[1] ?? 0) << 8)
        if (body.length !== 3 || !this.pathMtu.arrived(size, body[2]!, now)) counters.pointless++
        break
      }
      case ControlKind.Part: {
        const datagram = this.parts.add(body)
        this.usedAt = now
        if (datagram === undefined) counters.pointless++
        else if (datagram !== null) this.options.onData(datagram, this)
        break
      }
      case ControlKind.RekeyInitiation:
        this.answerRekey(keys, body, now)
        break
      case ControlKind.RekeyResponse:
        this.takeRekey(body, now)
        break
      default:
        counters.pointless++
    }
  }

  private probe(now: number): void {
    const size = this.pathMtu.probe(now)
    if (size === undefined) return
    const body = new Uint8Array(size - RECORD_OVERHEAD - 1)
    body[0] = this.pathMtu.path
    this.control(ControlKind.Probe, body)
  }

  /** The path is another one. Not more often than this, as each change costs a search. */
  private move(now: number): void {
    if (now - this.movedAt < RETRY_INTERVAL_MAX) return
    this.movedAt = now
    this.pathMtu.restart(now)
  }

  /** Not from inside `seal`: then the session that is told is in the middle of a flush. */
  private tellMtu(): void {
    if (this.toldMtu === this.pathMtu.size) return
    this.toldMtu = this.pathMtu.size
    this.options.onMtu(this)
  }

  // ---- address ---------------------------------------------------------------------------------------------

  /** The newest record came from `path`: if that is new, what comes back from there will tell. */
  private follow(keys: Keys, path: Path, pathKey: string, now: number): void {
    if (pathKey === this.pathKey) {
      this.candidate = undefined
      return
    }
    let candidate = this.candidate?.key === pathKey ? this.candidate : this.challenged.get(pathKey)
    if (candidate === undefined) {
      if (!this.mayChallenge(now)) return
      candidate = { path, key: pathKey, challenge: this.newChallenge(), sentAt: Number.NEGATIVE_INFINITY }
    }
    this.candidate = candidate
    candidate.path = path
    if (now - candidate.sentAt < CHALLENGE_INTERVAL) return
    candidate.sentAt = now
    this.challenged.delete(pathKey)
    this.challenged.set(pathKey, candidate)
    this.options.counters.challenges++
    this.control(ControlKind.PathChallenge, candidate.challenge, keys, path)
  }

  /** Whether one more address may be challenged: somebody who sends copies on can do so from any number of them. */
  private mayChallenge(now: number): boolean {
    if (this.challenged.size < CHALLENGES_MAX) return true
    for (const [key, { sentAt }] of this.challenged) {
      if (now - sentAt < CHALLENGE_INTERVAL) return false
      this.challenged.delete(key)
      break
    }
    return true
  }

  private newChallenge(): Uint8Array {
    const challenge = new Uint8Array(CHALLENGE_SIZE)
    this.options.primitives.random(challenge, 0, CHALLENGE_SIZE)
    return challenge
  }

  private prove(response: Uint8Array, pathKey: string, now: number): void {
    const { candidate } = this
    if (candidate?.key !== pathKey || !equalBytes(candidate.challenge, response)) {
      this.options.counters.pointless++
      return
    }
    this.path = candidate.path
    this.pathKey = candidate.key
    this.candidate = undefined
    // An answer counts once: the peer may come back to this address later.
    candidate.challenge = this.newChallenge()
    this.options.counters.migrations++
    this.pathMtu.restart(now)
  }

  // ---- the end ---------------------------------------------------------------------------------------------

  private fail(why: string, timeout: number): void {
    this.control(ControlKind.Close, EMPTY)
    this.end(new KcpError('ERR_KCP_HANDSHAKE', why, { detail: { timeout } }))
  }

  private end(error: KcpError | undefined): void {
    this.forget()
    this.options.onClosed(this, error)
  }
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  writeU32(bytes, 0, value)
  return bytes
}
