/**
 * The client's end of the authenticated mode, without I/O: asks for a handshake until it is answered, and has an
 * association then. What a stranger sends is dropped and counted; the handshake ends by time alone.
 * @module
 */
import { KcpError } from '../core/errors.ts'
import { readU32, writeU32 } from '../core/segment.ts'
import { Association } from './association.ts'
import { mac2Of, openCookie } from './cookies.ts'
import { type Identity, macOf, prologueOf } from './identity.ts'
import { Keys } from './keys.ts'
import { RETRY_INTERVAL, RETRY_INTERVAL_MAX, type ResolvedTuning, SecureCounters } from './limits.ts'
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
  suiteOf,
} from './wire.ts'

const NEVER = Number.POSITIVE_INFINITY
const EMPTY = new Uint8Array()

export interface SecureClientOptions {
  readonly primitives: SecurePrimitives
  readonly identity: Identity
  readonly tuning: ResolvedTuning
  /** The largest datagram that the path is known to carry, bytes. */
  readonly mtu: number
  /** Gets every datagram; lent for the call. */
  readonly send: (datagram: Uint8Array) => void
  /** A datagram of the server's; lent for the call. */
  readonly onData: (plain: Uint8Array) => void
  /** The handshake was answered: there are keys. */
  readonly onOpen: () => void
  /** Larger datagrams fit the path than was known, or only smaller ones do. */
  readonly onMtu: (mtu: number) => void
  /** Asked for a sign of life, the server gave none: the way to it may be another one by now. */
  readonly onSilence?: (() => void) | undefined
  /** Over: the server closed (no error), or the handshake failed (ERR_KCP_HANDSHAKE). */
  readonly onClosed: (error: KcpError | undefined) => void
}

export class SecureClient {
  readonly counters: SecureCounters = new SecureCounters()
  private readonly options: SecureClientOptions
  private readonly indices: Set<number> = new Set()
  private readonly initiation: Uint8Array
  private readonly mac1: Uint8Array
  private readonly handshake: HandshakeState
  private readonly index: number
  private cookie: Uint8Array | undefined
  /** Whether a cookie was answered since the initiation was last sent by time. */
  private cookieAnswered = false
  /** The latest answer. */
  private response: Uint8Array | undefined
  private association: Association<undefined> | undefined
  private over = false
  private failAt: number
  private askAt: number
  private askInterval = RETRY_INTERVAL

  /** Makes the initiation; the first `run` sends it. Throws ERR_KCP_CONFIG when the server's public key is unusable. */
  constructor(options: SecureClientOptions, now: number) {
    const { primitives, identity, tuning } = options
    this.options = options
    this.index = this.takeIndex()
    this.failAt = now + tuning.handshakeTimeout
    this.askAt = now
    const size = initiationSize(identity.pattern)
    this.initiation = new Uint8Array(size)
    this.initiation[0] = DatagramType.Initiation
    writeU32(this.initiation, 1, this.index)
    this.initiation[5] = suiteOf(tuning.cipher)
    this.handshake = new HandshakeState({
      primitives,
      pattern: identity.pattern,
      cipher: tuning.cipher,
      role: 'initiator',
      prologue: prologueOf(this.initiation.subarray(0, INITIATION_HEAD)),
      psk: identity.psk,
      keyPair: identity.keyPair,
      remotePublicKey: identity.remotePublicKey,
    })
    const message = this.handshake.write(EMPTY)
    if (message === undefined) {
      throw new KcpError('ERR_KCP_CONFIG', "security.remotePublicKey is no one's public key")
    }
    this.initiation.set(message, INITIATION_HEAD)
    this.mac1 = macOf(primitives, identity.mac1Key, this.initiation, size - 2 * MAC_SIZE)
    this.initiation.set(this.mac1, size - 2 * MAC_SIZE)
  }

  /** Whether there are keys. */
  get open(): boolean {
    return this.association !== undefined && !this.over
  }

  /** Whether the server has sent anything that only it can: a cookie, a response, records. */
  get heard(): boolean {
    return this.cookie !== undefined || this.association !== undefined
  }

  /** The transcript's hash: the same at both ends, and of no other association. */
  get hash(): Uint8Array | undefined {
    return this.association?.hash
  }

  /** Hands `emit` the record around a datagram, or several: see `Association.sealTo`. */
  sealTo(datagram: Uint8Array, now: number, emit: (record: Uint8Array) => void): void {
    if (this.association === undefined) this.counters.unsent++
    else this.association.sealTo(datagram, now, emit)
  }

  /** One record around a datagram, borrowed until the next; undefined (and counted) without keys. */
  seal(datagram: Uint8Array, now: number): Uint8Array | undefined {
    if (this.association === undefined) {
      this.counters.unsent++
      return undefined
    }
    return this.association.seal(datagram, now)
  }

  /** One datagram from the server's address. */
  receive(datagram: Uint8Array, now: number): void {
    if (this.over) return
    if (!looksSecure(datagram)) {
      if (looksPlain(datagram)) this.counters.plain++
      else this.counters.foreign++
      return
    }
    const type = datagram[0]
    const receiver = readU32(datagram, 1)
    if (type === DatagramType.Data || type === DatagramType.Control) {
      if (datagram.length < RECORD_OVERHEAD) this.counters.foreign++
      else if (!this.indices.has(receiver) || this.association === undefined) this.counters.unknown++
      else this.association.receive(receiver, datagram, undefined, now)
    } else if (this.association?.confirmed === true || receiver !== this.index) this.counters.foreign++
    else if (type === DatagramType.Response && datagram.length === RESPONSE_SIZE)
      this.takeResponse(datagram, now)
    else if (type === DatagramType.Cookie) this.takeCookie(datagram, now)
    else this.counters.foreign++
  }

  /** Does what is due. */
  run(now: number): void {
    if (this.over) return
    const { association } = this
    if (association?.confirmed !== true && now >= this.failAt) {
      const { handshakeTimeout } = this.options.tuning
      const why =
        association === undefined ? 'nobody answered the handshake' : 'the server has lost the handshake'
      association?.forget()
      this.finish(
        new KcpError(
          'ERR_KCP_HANDSHAKE',
          `${why} within ${handshakeTimeout} ms: another key, or nobody there`,
          {
            detail: { timeout: handshakeTimeout },
          },
        ),
      )
      return
    }
    association?.poll(now)
    // Until there is a sign that the server has the same keys: it may have forgotten those of a late answer.
    if (association?.confirmed === true || now < this.askAt) return
    this.cookieAnswered = false
    this.ask(now)
  }

  /** When `run` has something to do. */
  deadline(): number {
    if (this.over) return NEVER
    const waiting = this.association?.confirmed === true ? NEVER : Math.min(this.askAt, this.failAt)
    return Math.min(waiting, this.association?.deadline() ?? NEVER)
  }

  /** Tells the server, and is over. */
  close(now: number): void {
    if (this.over) return
    if (this.association === undefined) this.finish(undefined)
    else this.association.close(now)
  }

  private ask(now: number): void {
    const { primitives, send } = this.options
    const mac2At = this.initiation.length - MAC_SIZE
    if (this.cookie === undefined) this.initiation.fill(0, mac2At)
    else this.initiation.set(mac2Of(primitives, this.cookie, this.initiation), mac2At)
    send(this.initiation)
    this.askAt = now + this.askInterval
    this.askInterval = Math.min(2 * this.askInterval, RETRY_INTERVAL_MAX)
  }

  private takeCookie(datagram: Uint8Array, now: number): void {
    const { primitives, identity } = this.options
    const cookie = openCookie(primitives, identity.cookieKey, datagram, this.mac1)
    if (cookie === undefined) {
      this.counters.forged++
      return
    }
    // The same cookie again says nothing new, and answering each copy would be a loop.
    if (this.cookie !== undefined && equalBytes(cookie, this.cookie)) {
      this.counters.repeated++
      return
    }
    this.cookie = new Uint8Array(cookie)
    this.counters.cookies++
    // Everybody who knows the server's public key can make cookies. The next initiation carries the latest one anyway.
    if (this.cookieAnswered) return
    this.cookieAnswered = true
    this.ask(now)
  }

  private takeResponse(datagram: Uint8Array, now: number): void {
    const { primitives, identity, tuning } = this.options
    const mac1At = datagram.length - MAC_SIZE
    if (!equalBytes(macOf(primitives, identity.mac1Key, datagram, mac1At), datagram.subarray(mac1At))) {
      this.counters.strangers++
      return
    }
    if (this.response !== undefined && equalBytes(this.response, datagram)) {
      this.counters.repeated++
      return
    }
    const read = this.handshake.readLast(datagram.subarray(5, mac1At))
    if (read === undefined) {
      this.counters.unreadable++
      return
    }
    this.response = new Uint8Array(datagram)
    const keys = new Keys({
      primitives,
      cipher: tuning.cipher,
      result: read.result,
      localIndex: this.index,
      remoteIndex: readU32(read.payload, 0),
      now,
    })
    // The server may have forgotten the handshake of an answer that was late, and have made another.
    if (this.association !== undefined) {
      this.association.offer(keys, now)
      return
    }
    this.counters.handshakes++
    this.failAt = now + tuning.handshakeTimeout
    this.association = new Association<undefined>(
      {
        role: 'client',
        primitives,
        identity,
        cipher: tuning.cipher,
        tuning,
        counters: this.counters,
        keys,
        remotePublicKey: identity.remotePublicKey,
        path: undefined,
        validated: true,
        // A client's server stays where it is.
        keyOf: () => '',
        mtu: this.options.mtu,
        send: this.options.send,
        takeIndex: () => this.takeIndex(),
        dropIndex: (index) => this.indices.delete(index),
        onData: this.options.onData,
        onConfirmed: () => undefined,
        onMtu: (association) => this.options.onMtu(association.mtu),
        onSilence: this.options.onSilence,
        onClosed: (_, error) => this.finish(error),
      },
      now,
    )
    this.options.onOpen()
  }

  private takeIndex(): number {
    const bytes = new Uint8Array(4)
    for (;;) {
      this.options.primitives.random(bytes, 0, 4)
      const index = indexOf(readU32(bytes, 0))
      if (this.indices.has(index)) continue
      this.indices.add(index)
      return index
    }
  }

  private finish(error: KcpError | undefined): void {
    if (this.over) return
    this.over = true
    this.options.onClosed(error)
  }
}
