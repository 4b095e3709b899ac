/**
 * Proof of an address before there is a session: when no place for an unproven peer is free, its first PUSH is answered
 * by a challenge (docs/decisions/0004) that nothing is kept of. The `ts` that the peer has to echo is the clock that its
 * session will have, and that starts at a keyed hash of address, conv and time, as TCP's initial sequence numbers do
 * (RFC 6528) and its SYN cookies.
 *
 * Who echoed it is remembered for a few seconds, until the PUSH comes again and finds its place without waiting.
 * Only addresses that receive get into that table, a bounded number of each host.
 * @module
 */
import { Command, KCP_OVERHEAD, readU32, writeHeader, writeU32 } from '../core/segment.ts'
import { seqAdd } from '../core/seq.ts'
import { KeyedCounter } from './keyed-counter.ts'
import { SipHash } from './siphash.ts'

/**
 * A challenge names a time that is a multiple of this, ms: so a forger who knows all but the key can hit not 5,000 of
 * the 2^32 values of ts but five.
 */
const TICK = 1_024
/** Ticks that a challenge stays good, and so does the proof that came of it; together some five seconds. */
const LIFE = 5
/** The hash changes with every so many ms, so that an address says nothing about its next owner's. 64 ticks. */
const EPOCH = 64 * TICK
/** The number that a peer at the start of a conversation has passed. */
const CHALLENGE_SN = 0xffff_ffff
/** Proofs remembered for each place that unproven sessions have: those wait for one repeat, not for five seconds. */
const PROOFS_PER_PLACE = 4

interface Proof {
  readonly host: string
  readonly until: number
  /** Where the clock of the session begins: its ts at time 0 of ours. */
  readonly origin: number
}

export class StatelessChallenges {
  /** Challenges made, and those that were answered. */
  sent = 0
  answered = 0
  /** Of the answers, those that the host had no room for, and those that newer ones pushed out. */
  dropped = 0
  private readonly hash: SipHash
  private readonly capacity: number
  private readonly perHost: number
  /** By conversation, in order of time, so the first to expire come first. */
  private readonly proofs: Map<string, Proof> = new Map()
  private readonly proofsByHost: KeyedCounter = new KeyedCounter()
  private sentAt: number = Number.NEGATIVE_INFINITY
  /** What is hashed: conv, epoch, and the peer's key in UTF-16. */
  private text: Uint8Array = new Uint8Array(8 + 2 * 64)

  /**
   * @param random u32 from a CSPRNG.
   * @param places unproven sessions that there may be, and of these from one host.
   */
  constructor(random: () => number, places: number, perHost: number) {
    this.hash = new SipHash([random(), random(), random(), random()])
    this.capacity = places * PROOFS_PER_PLACE
    this.perHost = perHost
  }

  /** Proofs remembered. */
  get size(): number {
    return this.proofs.size
  }

  /** A challenge for a peer whose PUSH found no place. `wnd`: the window to tell. */
  challenge(key: string, conv: number, wnd: number, now: number): Uint8Array {
    const at = Math.floor(now / TICK) * TICK
    const bytes = new Uint8Array(KCP_OVERHEAD)
    writeHeader(bytes, 0, conv, Command.Push, 0, wnd, this.tsAt(key, conv, at), CHALLENGE_SN, 0, 0)
    this.sent++
    this.sentAt = now
    return bytes
  }

  /** Whether the ACK at `at` of a stranger's datagram answers a challenge; then the address is remembered. */
  hear(
    datagram: Uint8Array,
    at: number,
    key: string,
    host: string,
    conv: number,
    name: string,
    now: number,
  ): boolean {
    if (now - this.sentAt > TICK * (LIFE + 1) || readU32(datagram, at + 12) !== CHALLENGE_SN) return false
    const ts = readU32(datagram, at + 8)
    const newest = Math.floor(now / TICK) * TICK
    for (const origin of this.originsFor(key, conv, newest)) {
      // The time that it names, and how long ago that was.
      const age = (seqAdd(origin, newest) - ts) >>> 0
      if (age % TICK !== 0 || age >= TICK * LIFE) continue
      if (this.origin(key, conv, newest - age) !== origin) continue
      this.remember(name, { host, until: now + TICK * LIFE, origin }, now)
      return true
    }
    return false
  }

  /** Where the clock of a proven conversation begins; undefined when it is not proven. */
  find(name: string, now: number): number | undefined {
    if (this.proofs.size === 0) return undefined
    this.expire(now)
    return this.proofs.get(name)?.origin
  }

  /** It has its session. */
  forget(name: string): void {
    const proof = this.proofs.get(name)
    if (proof === undefined) return
    this.proofs.delete(name)
    this.proofsByHost.add(proof.host, -1)
  }

  private remember(name: string, proof: Proof, now: number): void {
    this.expire(now)
    // A challenge may be answered twice.
    this.forget(name)
    const ofHost = this.proofsByHost.get(proof.host)
    if (ofHost >= this.perHost) {
      this.dropped++
      return
    }
    if (this.proofs.size >= this.capacity) {
      for (const oldest of this.proofs.keys()) {
        this.forget(oldest)
        this.dropped++
        break
      }
    }
    this.answered++
    this.proofs.set(name, proof)
    this.proofsByHost.add(proof.host, 1)
  }

  private expire(now: number): void {
    for (const [name, { until }] of this.proofs) {
      if (until > now) break
      this.forget(name)
    }
  }

  private tsAt(key: string, conv: number, at: number): number {
    return seqAdd(this.origin(key, conv, at), at)
  }

  /** The origins of the epochs in which a challenge that is answered now may have been made. */
  private originsFor(key: string, conv: number, newest: number): number[] {
    const origins = [this.origin(key, conv, newest)]
    const oldest = newest - TICK * (LIFE - 1)
    if (Math.floor(oldest / EPOCH) !== Math.floor(newest / EPOCH))
      origins.push(this.origin(key, conv, oldest))
    return origins
  }

  private origin(key: string, conv: number, at: number): number {
    const size = 8 + 2 * key.length
    if (size > this.text.length) this.text = new Uint8Array(2 * size)
    const { text } = this
    writeU32(text, 0, conv)
    writeU32(text, 4, Math.floor(at / EPOCH))
    for (let i = 0; i < key.length; i++) {
      const code = key.charCodeAt(i)
      text[8 + 2 * i] = code
      text[9 + 2 * i] = code >>> 8
    }
    return this.hash.hash(text, size)
  }
}
