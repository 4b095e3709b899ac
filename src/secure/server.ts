/**
 * The server's end of the authenticated mode, without I/O: one door for all clients. Strangers get no answer at all, an
 * answer is never longer than the question, and every table that a client can fill has a bound.
 *
 * An initiation passes, from cheap to dear: its form · the block list · mac1 · was it here before? · under load: mac2 · the
 * limits · the key exchange · `authorize`. A datagram that fails one is counted by its reason and dropped.
 *
 * An initiation can be recorded and sent again from a forged address. So the ones whose address a cookie has validated and
 * the others are counted apart: the others never keep a validated one out.
 * @module
 */
import type { KcpError } from '../core/errors.ts'
import { readU32, writeU32 } from '../core/segment.ts'
import { KeyedCounter } from '../session/keyed-counter.ts'
import { Association } from './association.ts'
import { CookieJar } from './cookies.ts'
import { type Identity, isAuthorized, macOf, prologueOf } from './identity.ts'
import { Keys } from './keys.ts'
import {
  ANSWERS_PER_SECOND,
  HANDSHAKE_LIFETIME,
  INITIATION_MEMORY,
  LATE_GRACE,
  LATE_MAX,
  type ResolvedLimits,
  type ResolvedTuning,
  SecureCounters,
  SILENT_LIFETIME,
  TokenBucket,
  UNUSED_LIFETIME,
} from './limits.ts'
import { HandshakeState } from './noise.ts'
import { equalBytes, type SecurePrimitives } from './primitives.ts'
import {
  DatagramType,
  INITIATION_HEAD,
  indexOf,
  initiationSize,
  looksPlain,
  looksSecure,
  MAC_SIZE,
  RECORD_OVERHEAD,
  RESPONSE_SIZE,
  SUITES,
} from './wire.ts'

const NEVER = Number.POSITIVE_INFINITY

export interface SecureServerOptions<Path> {
  readonly primitives: SecurePrimitives
  readonly identity: Identity
  readonly tuning: ResolvedTuning
  readonly limits: ResolvedLimits
  /** What tells one address from another, in ASCII. */
  readonly keyOf: (path: Path) => string
  /** What one attacker has plenty of addresses of. */
  readonly hostOf: (path: Path) => string
  /** Whether no handshake is taken from there. */
  readonly isBlocked?: ((path: Path) => boolean) | undefined
  /** The largest datagram that a path is known to carry, bytes. */
  readonly mtu: number
  /** Gets every datagram; lent for the call. */
  readonly send: (datagram: Uint8Array, path: Path) => void
  /** A client has the keys. */
  readonly onOpen: (association: Association<Path>) => void
  /** A datagram of a client's; lent for the call. */
  readonly onData: (plain: Uint8Array, association: Association<Path>) => void
  /** Larger datagrams fit this client's path than was known. */
  readonly onMtu: (association: Association<Path>) => void
  /** Over: the client closed (no error), its keys failed, or nobody used them. */
  readonly onClosed: (association: Association<Path>, error: KcpError | undefined) => void
}

/** A client that has not shown that it has the keys. */
interface Pending<Path> {
  readonly association: Association<Path>
  readonly mac1: string
  readonly response: Uint8Array
  /** Whether a cookie has validated the address of its initiation. */
  readonly validated: boolean
  /** When its client asked last. */
  heardAt: number
}

export class SecureServer<Path> {
  readonly counters: SecureCounters = new SecureCounters()
  private readonly options: SecureServerOptions<Path>
  private readonly cookies: CookieJar
  private readonly bucket: TokenBucket
  /** Answers that cost no state. */
  private readonly answers: TokenBucket
  /** Associations by the numbers of their keys. */
  private readonly byIndex: Map<number, Association<Path>> = new Map()
  /** Every association, with the host that it came from. */
  private readonly hosts: Map<Association<Path>, string> = new Map()
  private readonly countByHost: KeyedCounter = new KeyedCounter()
  /** Handshakes under way by mac1, the one heard of longest ago first. */
  private readonly pending: Map<string, Pending<Path>> = new Map()
  private readonly pendingOf: Map<Association<Path>, Pending<Path>> = new Map()
  private readonly pendingByHost: KeyedCounter = new KeyedCounter()
  /** Of these, the ones whose address is not validated, in the same order. */
  private readonly unvalidated: Set<Pending<Path>> = new Set()
  private readonly unvalidatedByHost: KeyedCounter = new KeyedCounter()
  /** Key exchanges of late that came to nothing, by hosts that had proven themselves; since when they are counted. */
  private readonly vain: KeyedCounter = new KeyedCounter()
  private vainSince: number
  /** Associations that nobody uses any more, since when; oldest first. */
  private readonly unused: Map<Association<Path>, number> = new Map()
  /** Those that nobody has used yet, and when their client was heard last; the one heard of longest ago first. */
  private readonly silent: Map<Association<Path>, number> = new Map()
  /** Associations whose peer has closed, in the order in which they end. */
  private readonly closing: Set<Association<Path>> = new Set()
  /** mac1 of initiations of late, in two generations. */
  private recent: Set<string> = new Set()
  private former: Set<string> = new Set()
  private recentSince: number

  constructor(options: SecureServerOptions<Path>, now: number) {
    this.options = options
    this.cookies = new CookieJar(options.primitives, options.identity.cookieKey, now)
    this.bucket = new TokenBucket(options.limits.handshakesPerSecond, now)
    this.answers = new TokenBucket(ANSWERS_PER_SECOND, now)
    this.recentSince = now
    this.vainSince = now
  }

  /** Clients with keys; of these, in the middle of the handshake. */
  get associations(): number {
    return this.hosts.size
  }
  get handshakes(): number {
    return this.pending.size
  }
  /** Initiations remembered. */
  get remembered(): number {
    return this.recent.size + this.former.size
  }

  /** One datagram from anybody. */
  receive(datagram: Uint8Array, path: Path, now: number): void {
    if (!looksSecure(datagram)) {
      if (looksPlain(datagram)) this.counters.plain++
      else this.counters.foreign++
      return
    }
    const type = datagram[0]
    if (type === DatagramType.Data || type === DatagramType.Control) {
      const index = readU32(datagram, 1)
      const association = this.byIndex.get(index)
      if (datagram.length < RECORD_OVERHEAD) this.counters.foreign++
      else if (association === undefined) this.counters.unknown++
      else {
        if (association.receive(index, datagram, path, now)) this.renew(association, now)
        if (association.closing && !association.closed) this.closing.add(association)
      }
    } else if (type === DatagramType.Initiation) this.admit(datagram, path, now)
    else this.counters.foreign++
  }

  /** Whether sessions use this association: when none does, it is forgotten after a while. */
  use(association: Association<Path>, used: boolean, now: number): void {
    this.unused.delete(association)
    this.silent.delete(association)
    if (!used && this.hosts.has(association)) this.unused.set(association, now)
  }

  /** Forgets what is over. */
  run(now: number): void {
    for (const pending of this.pending.values()) {
      if (now < pending.heardAt + HANDSHAKE_LIFETIME) break
      this.drop(pending.association, undefined)
    }
    for (const [association, since] of this.unused) {
      if (now < since + UNUSED_LIFETIME) break
      // One that is about to close anyway does not hear of it, and would be looked at over and over.
      this.unused.delete(association)
      association.close(now)
    }
    for (const [association, heardAt] of this.silent) {
      const late = now - heardAt - SILENT_LIFETIME
      if (late < 0) break
      this.silent.delete(association)
      // A machine that slept, or a process that stood still, has heard nobody: whoever is there says so soon.
      if (late > LATE_MAX) this.silent.set(association, heardAt + late + LATE_GRACE)
      else association.close(now)
    }
    for (const association of this.closing) {
      if (now < association.deadline()) break
      association.poll(now)
    }
    if (now >= this.recentSince + INITIATION_MEMORY) this.turnMemory(now)
  }

  /** When `run` has something to do. */
  deadline(): number {
    let at = NEVER
    for (const pending of this.pending.values()) {
      at = pending.heardAt + HANDSHAKE_LIFETIME
      break
    }
    for (const since of this.unused.values()) {
      at = Math.min(at, since + UNUSED_LIFETIME)
      break
    }
    for (const heardAt of this.silent.values()) {
      at = Math.min(at, heardAt + SILENT_LIFETIME)
      break
    }
    for (const association of this.closing) {
      at = Math.min(at, association.deadline())
      break
    }
    return at
  }

  /** Tells every client, and forgets all. */
  close(now: number): void {
    for (const association of [...this.hosts.keys()]) association.close(now)
  }

  // ---- the handshake ---------------------------------------------------------------------------------------

  private admit(initiation: Uint8Array, path: Path, now: number): void {
    const { counters, cookies } = this
    const { identity, primitives, limits, keyOf, hostOf, isBlocked, send } = this.options
    const size = initiation.length
    const cipher = SUITES[initiation[5] ?? 0]
    if (size !== initiationSize(identity.pattern) || cipher === undefined) {
      counters.foreign++
      return
    }
    if (isBlocked?.(path) === true) {
      counters.blocked++
      return
    }
    const mac1At = size - 2 * MAC_SIZE
    const mac1 = initiation.subarray(mac1At, mac1At + MAC_SIZE)
    if (!equalBytes(macOf(primitives, identity.mac1Key, initiation, mac1At), mac1)) {
      counters.strangers++
      return
    }
    const name = String.fromCharCode(...mac1)
    const known = this.pending.get(name)
    if (known !== undefined || this.recent.has(name) || this.former.has(name)) {
      counters.repeated++
      if (known !== undefined) this.answerAgain(known, path, now)
      return
    }
    const pathKey = keyOf(path)
    const host = hostOf(path)
    this.forgive(now)
    const spare = this.bucket.take(now)
    const loaded =
      limits.cookies === 'always' ||
      !spare ||
      2 * this.pending.size >= limits.maxHandshakes ||
      this.isFull(host, false)
    const validated = cookies.proves(initiation, pathKey, now)
    if (loaded && !validated) {
      if (!this.answers.take(now)) {
        counters.throttled++
        return
      }
      counters.cookies++
      send(cookies.reply(readU32(initiation, 1), mac1, pathKey, now), path)
      return
    }
    if (validated && this.isFull(host, true)) {
      counters.full++
      return
    }
    if (validated) this.displace(host)
    // Without a cookie the source may be forged, and nobody is to blame; then the bucket is the limit.
    if (!this.answer(initiation, name, path, host, validated, now) && validated) this.vain.add(host, 1)
  }

  /**
   * The answer was lost, or somebody else sent a copy of the initiation first. It goes to every address that asks: it is
   * shorter than the question, and of no use without the client's ephemeral key. Records decide which address counts.
   */
  private answerAgain(known: Pending<Path>, path: Path, now: number): void {
    // A round trip may be longer than a handshake's life. Under load nobody keeps a place by asking again.
    if (2 * this.pending.size < this.options.limits.maxHandshakes) {
      known.heardAt = now
      this.pending.delete(known.mac1)
      this.pending.set(known.mac1, known)
      if (this.unvalidated.delete(known)) this.unvalidated.add(known)
    }
    if (this.answers.take(now)) this.options.send(known.response, path)
  }

  /** Whether a limit is reached, in all or by this host. `validatedOnly`: by those that a validated one may not displace. */
  private isFull(host: string, validatedOnly: boolean): boolean {
    const { limits } = this.options
    const [all, here] = validatedOnly ? [this.unvalidated.size, this.unvalidatedByHost.get(host)] : [0, 0]
    return (
      this.pending.size - all >= limits.maxHandshakes ||
      this.pendingByHost.get(host) - here + this.vain.get(host) >= limits.maxHandshakesPerHost ||
      this.hosts.size - all >= limits.maxAssociations ||
      this.countByHost.get(host) - here >= limits.maxAssociationsPerHost
    )
  }

  /**
   * Makes a place for a handshake from a validated address: the oldest ones from addresses that are not go, those of the
   * same host first. A client that loses its place so asks again, and gets a cookie then.
   */
  private displace(host: string): void {
    while (this.isFull(host, false)) {
      let oldest: Pending<Path> | undefined
      for (const pending of this.unvalidated) {
        // There are maxHandshakes / 2 of them at most, and the key exchange that follows takes longer than this walk.
        if (this.unvalidatedByHost.get(host) === 0 || this.hosts.get(pending.association) === host) {
          oldest = pending
          break
        }
      }
      this.drop(oldest!.association, undefined)
    }
  }

  /** false: the key exchange came to nothing. */
  private answer(
    initiation: Uint8Array,
    name: string,
    path: Path,
    host: string,
    validated: boolean,
    now: number,
  ): boolean {
    const { counters } = this
    const { identity, primitives, tuning, keyOf, send } = this.options
    const cipher = SUITES[initiation[5]!]!
    const state = new HandshakeState({
      primitives,
      pattern: identity.pattern,
      cipher,
      role: 'responder',
      prologue: prologueOf(initiation.subarray(0, INITIATION_HEAD)),
      psk: identity.psk,
      keyPair: identity.keyPair,
    })
    if (state.read(initiation.subarray(INITIATION_HEAD, initiation.length - 2 * MAC_SIZE)) === undefined) {
      counters.unreadable++
      return false
    }
    const { remotePublicKey } = state
    if (remotePublicKey !== undefined && !isAuthorized(identity, remotePublicKey)) {
      counters.unauthorized++
      this.remember(name, now)
      return false
    }
    const localIndex = this.freeIndex()
    const remoteIndex = readU32(initiation, 1)
    const index = new Uint8Array(4)
    writeU32(index, 0, localIndex)
    const message = state.write(index)
    if (message === undefined) {
      counters.unreadable++
      return false
    }
    const response = new Uint8Array(RESPONSE_SIZE)
    response[0] = DatagramType.Response
    writeU32(response, 1, remoteIndex)
    response.set(message, 5)
    const mac1At = RESPONSE_SIZE - MAC_SIZE
    response.set(macOf(primitives, identity.mac1Key, response, mac1At), mac1At)

    const association = new Association<Path>(
      {
        role: 'server',
        primitives,
        identity,
        cipher,
        tuning,
        counters,
        keys: new Keys({ primitives, cipher, result: state.result(), localIndex, remoteIndex, now }),
        remotePublicKey,
        path,
        validated,
        keyOf,
        mtu: this.options.mtu,
        send,
        takeIndex: (association) => {
          const free = this.freeIndex()
          this.byIndex.set(free, association)
          return free
        },
        dropIndex: (free) => this.byIndex.delete(free),
        onData: this.options.onData,
        onConfirmed: (association, at) => this.open(association, at),
        onMtu: this.options.onMtu,
        onClosed: (association, error) => this.drop(association, error),
      },
      now,
    )
    this.byIndex.set(localIndex, association)
    this.hosts.set(association, host)
    this.countByHost.add(host, 1)
    const pending = { association, mac1: name, response, validated, heardAt: now }
    this.pending.set(name, pending)
    this.pendingOf.set(association, pending)
    this.pendingByHost.add(host, 1)
    if (!validated) {
      this.unvalidated.add(pending)
      this.unvalidatedByHost.add(host, 1)
    }
    send(response, path)
    return true
  }

  /** Counts anew what hosts tried in vain, after as long as a handshake may be under way. */
  private forgive(now: number): void {
    if (now < this.vainSince + HANDSHAKE_LIFETIME && this.vain.size < this.options.limits.maxRemembered)
      return
    this.vain.clear()
    this.vainSince = now
  }

  private open(association: Association<Path>, now: number): void {
    // Somebody else may have sent a copy of the initiation in the name of another host, whose places it must not take.
    const [from, to] = [this.hosts.get(association)!, this.options.hostOf(association.path)]
    if (from !== to && this.countByHost.get(to) >= this.options.limits.maxAssociationsPerHost) {
      this.counters.full++
      association.close(now)
      return
    }
    // Not before: a client whose answers were lost asks again after its handshake was forgotten here.
    this.remember(this.pendingOf.get(association)!.mac1, now)
    this.settle(association)
    if (from !== to) {
      this.countByHost.add(from, -1)
      this.countByHost.add(to, 1)
      this.hosts.set(association, to)
    }
    this.counters.handshakes++
    this.silent.set(association, now)
    this.options.onOpen(association)
  }

  /** A client that has not begun to talk is still there. */
  private renew(association: Association<Path>, now: number): void {
    if (this.silent.delete(association)) this.silent.set(association, now)
  }

  /** The handshake is not under way any more. */
  private settle(association: Association<Path>): boolean {
    const pending = this.pendingOf.get(association)
    if (pending === undefined) return false
    this.pendingOf.delete(association)
    this.pending.delete(pending.mac1)
    const host = this.hosts.get(association)!
    this.pendingByHost.add(host, -1)
    if (this.unvalidated.delete(pending)) this.unvalidatedByHost.add(host, -1)
    return true
  }

  private drop(association: Association<Path>, error: KcpError | undefined): void {
    const unheard = this.settle(association)
    association.forget()
    const host = this.hosts.get(association)
    if (host === undefined) return
    this.countByHost.add(host, -1)
    this.hosts.delete(association)
    this.unused.delete(association)
    this.silent.delete(association)
    this.closing.delete(association)
    if (!unheard) this.options.onClosed(association, error)
  }

  private remember(mac1: string, now: number): void {
    if (this.recent.size >= this.options.limits.maxRemembered) this.turnMemory(now)
    this.recent.add(mac1)
  }

  private turnMemory(now: number): void {
    this.former = this.recent
    this.recent = new Set()
    this.recentSince = now
  }

  private freeIndex(): number {
    const bytes = new Uint8Array(4)
    for (;;) {
      this.options.primitives.random(bytes, 0, 4)
      const index = indexOf(readU32(bytes, 0))
      if (!this.byIndex.has(index)) return index
    }
  }
}
