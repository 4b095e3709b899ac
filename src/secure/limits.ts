/**
 * The numbers of the authenticated mode, each with its origin, and the counters of what was refused.
 * @module
 */
import { configError, requireInteger } from '../core/config.ts'
import type { CipherName } from './primitives.ts'

/** What both ends may be told. Times in ms. */
export interface SecureTuning {
  /**
   * The AEAD of the records, which the client chooses: 'chacha20-poly1305' (default) or 'aes-256-gcm', faster where the
   * processor has AES. A server takes both.
   */
  readonly cipher?: 'chacha20-poly1305' | 'aes-256-gcm' | undefined
  /** How long a client waits for the handshake. Default 10 s. */
  readonly handshakeTimeout?: number | undefined
  /** New keys after so many records with the old ones. Default 2^22, half of what RFC 9001 §6.6 allows AES-GCM. */
  readonly rekeyAfterRecords?: number | undefined
  /** And after so much time in use. Default 120 s, WireGuard's. */
  readonly rekeyAfterMs?: number | undefined
  /** The largest datagram to try on the path, bytes; sessions grow their mtu to what arrives. Default: none is tried. */
  readonly probeMtu?: number | undefined
}

/** What a server may be told beside that. */
export interface SecureLimits {
  /**
   * When a client has to prove its address before anything is computed for it: 'auto' (default), when handshakes come in
   * faster than `handshakesPerSecond`, half of `maxHandshakes` are under way, or its host is at one of its limits; or
   * 'always'. A handshake with a proof takes the place of one without when a limit is reached.
   */
  readonly cookies?: 'auto' | 'always' | undefined
  /** Handshakes a second without a cookie. Default 200: a twentieth of what a processor core can do. */
  readonly handshakesPerSecond?: number | undefined
  /** Handshakes under way at once. Default 1024. */
  readonly maxHandshakes?: number | undefined
  /**
   * Of these, from one host (IPv6: one /64), those of the last 5 s included that came to nothing though the host had a
   * cookie. Default 64.
   */
  readonly maxHandshakesPerHost?: number | undefined
  /** Peers with keys at once. Default 65536. */
  readonly maxAssociations?: number | undefined
  /** Of these, from one host (IPv6: one /64). Default: an eighth of `maxAssociations`, so 8192. */
  readonly maxAssociationsPerHost?: number | undefined
  /** Initiations remembered, so that none counts twice, in each of two generations. Default 65536. */
  readonly maxRemembered?: number | undefined
}

export interface ResolvedTuning {
  readonly cipher: CipherName
  readonly handshakeTimeout: number
  readonly rekeyAfterRecords: number
  readonly rekeyAfterMs: number
  readonly probeMtu: number
}

export type ResolvedLimits = { readonly [K in Exclude<keyof SecureLimits, 'cookies'>]-?: number } & {
  readonly cookies: 'auto' | 'always'
}

/** Keys take no more records than this: the limit of AES-GCM, RFC 9001 §6.6. */
export const REJECT_AFTER_RECORDS: number = 2 ** 23
/** Former keys open what is late for so long, ms: longer than any path holds a datagram back. */
export const OVERLAP = 60_000
/** A handshake that is under way is forgotten after this much silence, ms. As unproven sessions are. */
export const HANDSHAKE_LIFETIME = 5_000
/** First time between two copies of a handshake message, ms; doubles up to the last. */
export const RETRY_INTERVAL = 250
export const RETRY_INTERVAL_MAX = 2_000
/** New keys that are not to be had for this long, while records come and go, are withheld by somebody, ms. */
export const REKEY_PATIENCE = 180_000
/** A peer gets new keys at most this often, ms: each costs a key exchange. */
export const REKEY_INTERVAL_MIN = 1_000
/** Challenges to one address are this far apart at least, ms. */
export const CHALLENGE_INTERVAL = 100
/** An association challenges at most this many addresses within CHALLENGE_INTERVAL; it remembers no more of them. */
export const CHALLENGES_MAX = 10
/**
 * Cookies, and responses sent again, a second: the server keeps no state for them, and all of them together take a sixth
 * of a processor core. There is no limit for each host: a forger could use it up in the name of the host, which would then
 * be locked out.
 */
export const ANSWERS_PER_SECOND = 10_000
/** Records a second that are tried for a peer from addresses that are not its own. */
export const STRANGE_RECORDS_PER_SECOND = 100
/** Of the time between two records no more than this counts for that, ms: a path that is cut withholds nothing. */
export const REKEY_PATIENCE_STEP = 10_000
/** Keys that nothing is done with any more are forgotten after this long, ms; half of tombstoneTtl's default. */
export const UNUSED_LIFETIME = 30_000
/** The same for a client that has not begun to talk, after it was heard last, ms. WireGuard's REJECT_AFTER_TIME. */
export const SILENT_LIFETIME = 180_000
/** A server that looks later than this after it wanted to has stood still; then clients get so much more time, ms. */
export const LATE_MAX = 1_000
export const LATE_GRACE = 60_000
/** A client that heard nothing for this long asks for a sign of life, ms; again at RETRY_INTERVAL_MAX, and later at this. */
export const PING_INTERVAL = 10_000
/** From a Close until the keys are forgotten, ms: what it overtook still comes in. */
export const CLOSING_TIME = 1_000
/** Life of a generation of them, ms. */
export const INITIATION_MEMORY = 120_000

/** Complete tuning. Throws ERR_KCP_CONFIG. */
export function resolveTuning(tuning: SecureTuning): ResolvedTuning {
  requireObject(tuning)
  const { cipher = 'chacha20-poly1305' } = tuning
  if (cipher !== 'chacha20-poly1305' && cipher !== 'aes-256-gcm') {
    throw configError('security.cipher', cipher, "'chacha20-poly1305' or 'aes-256-gcm'")
  }
  const probeMtu = take(tuning, 'probeMtu', 0, 0, 65_507)
  return {
    cipher: cipher === 'aes-256-gcm' ? 'AESGCM' : 'ChaChaPoly',
    handshakeTimeout: take(tuning, 'handshakeTimeout', 10_000, 1, 0x7fff_ffff),
    rekeyAfterRecords: take(tuning, 'rekeyAfterRecords', 2 ** 22, 1, REJECT_AFTER_RECORDS / 2),
    rekeyAfterMs: take(tuning, 'rekeyAfterMs', 120_000, REKEY_INTERVAL_MIN, 0x7fff_ffff),
    probeMtu,
  }
}

/** Complete limits. Throws ERR_KCP_CONFIG. */
export function resolveSecureLimits(limits: SecureLimits): ResolvedLimits {
  requireObject(limits)
  const { cookies = 'auto' } = limits
  if (cookies !== 'auto' && cookies !== 'always') {
    throw configError('security.cookies', cookies, "'auto' or 'always'")
  }
  const most = Number.MAX_SAFE_INTEGER
  const maxAssociations = take(limits, 'maxAssociations', 65_536, 1, most)
  const share = Math.ceil(maxAssociations / 8)
  return {
    cookies,
    handshakesPerSecond: take(limits, 'handshakesPerSecond', 200, 1, 1_000_000),
    maxHandshakes: take(limits, 'maxHandshakes', 1_024, 1, most),
    maxHandshakesPerHost: take(limits, 'maxHandshakesPerHost', 64, 1, most),
    maxAssociations,
    maxAssociationsPerHost: take(limits, 'maxAssociationsPerHost', share, 1, most),
    maxRemembered: take(limits, 'maxRemembered', 65_536, 1, most),
  }
}

/** Throws ERR_KCP_CONFIG unless `security` is an object of options. The message does not show a value that may be a key. */
export function requireObject(security: unknown): asserts security is object {
  if (
    typeof security !== 'object' ||
    security === null ||
    Array.isArray(security) ||
    ArrayBuffer.isView(security)
  ) {
    throw configError('security', typeName(security), 'an object with psk or keyPair')
  }
}

/** What a value that may be a secret is, without the value. */
export function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return Array.isArray(value) ? 'an array' : typeof value
}

function take(from: object, field: string, otherwise: number, low: number, high: number): number {
  const value = (from as Record<string, unknown>)[field]
  return value === undefined ? otherwise : requireInteger(`security.${field}`, value, low, high)
}

/** What came in, and what of it was refused, by its reason. */
export class SecureCounters {
  /** Handshakes completed, and keys replaced. */
  handshakes = 0
  rekeys = 0
  /** Addresses changed, and challenges sent to prove them. */
  migrations = 0
  challenges = 0
  /** Cookies sent instead of an answer. */
  cookies = 0
  /** Dropped: what a peer without security sends. */
  plain = 0
  /** Dropped: nothing that is known here. */
  foreign = 0
  /** Dropped unread: a handshake from an address on the block list. */
  blocked = 0
  /** Dropped: a handshake by who knows neither psk nor public key. */
  strangers = 0
  /** A handshake that was here before: it is answered again while it is under way, and else dropped. */
  repeated = 0
  /** Dropped: a handshake that fits no key, or whose keys are unusable. */
  unreadable = 0
  /** Dropped: `authorize` did not answer true, to a handshake or to a request for new keys, which ends the peer. */
  unauthorized = 0
  /** Dropped: `maxHandshakes`, `maxHandshakesPerHost`, `maxAssociations` or `maxAssociationsPerHost` is reached. */
  full = 0
  /** Dropped: a record for keys that are not known (any more). */
  unknown = 0
  /** Dropped: a record seen before, or older than the window. */
  replayed = 0
  /** Dropped: a record that was not sealed with its keys. */
  forged = 0
  /**
   * Dropped unread: too many records for one peer from other addresses than its own. Dropped unanswered: an initiation
   * that needs a cookie, while more of them come in than are answered.
   */
  throttled = 0
  /** Dropped: new keys asked for too soon. */
  hasty = 0
  /** Of a peer with keys: a control record that means nothing, or comes too late to; honest repeats are some. */
  pointless = 0
  /** Not sent: keys are missing, used up, or gone. */
  unsent = 0
}

/** Events at a steady rate, with a second's worth of them at once. */
export class TokenBucket {
  private tokens: number
  private at: number
  private readonly rate: number

  constructor(perSecond: number, now: number) {
    this.rate = perSecond
    this.tokens = perSecond
    this.at = now
  }

  take(now: number): boolean {
    this.tokens = Math.min(this.rate, this.tokens + ((now - this.at) * this.rate) / 1_000)
    this.at = now
    if (this.tokens < 1) return false
    this.tokens--
    return true
  }
}
