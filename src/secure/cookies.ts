/**
 * Proof of an address without remembering it. A server under load answers an initiation with a cookie, a mac of the
 * sender's address under a secret of its own; an initiation that carries a mac made with it (mac2) comes from who receives
 * there. The cookie travels sealed, bound to the initiation that it answers.
 * @module
 */
import { writeU32 } from '../core/segment.ts'
import { newNonce } from './noise.ts'
import { ascii, concat, equalBytes, KEY_SIZE, type SecurePrimitives, TAG_SIZE } from './primitives.ts'
import { COOKIE_REPLY_SIZE, DatagramType, MAC_SIZE } from './wire.ts'

/** A secret lives for this long, and its cookies for as long again, ms. WireGuard's two minutes. */
export const COOKIE_SECRET_AGE = 120_000

const NONCE_AT = 5
const NO_MAC = new Uint8Array(MAC_SIZE)
const COOKIE_AT: number = NONCE_AT + 16

/** The server's side: two secrets. */
export class CookieJar {
  private readonly primitives: SecurePrimitives
  private readonly cookieKey: Uint8Array
  private secret: Uint8Array
  private former: Uint8Array
  private bornAt: number

  constructor(primitives: SecurePrimitives, cookieKey: Uint8Array, now: number) {
    this.primitives = primitives
    this.cookieKey = cookieKey
    this.secret = this.newSecret()
    this.former = this.newSecret()
    this.bornAt = now
  }

  /** The answer to an initiation from `address`, whose mac1 is given. */
  reply(receiver: number, mac1: Uint8Array, address: string, now: number): Uint8Array {
    this.rotate(now)
    const datagram = new Uint8Array(COOKIE_REPLY_SIZE)
    datagram[0] = DatagramType.Cookie
    writeU32(datagram, 1, receiver)
    this.primitives.random(datagram, NONCE_AT, COOKIE_AT)
    datagram.set(this.cookie(this.secret, address), COOKIE_AT)
    replyCipher(this.primitives, this.cookieKey, datagram).seal(
      newNonce(),
      mac1,
      datagram,
      COOKIE_AT,
      COOKIE_AT + MAC_SIZE,
    )
    return datagram
  }

  /** Whether mac2 of an initiation (its last 16 bytes) was made with a cookie for `address`. */
  proves(initiation: Uint8Array, address: string, now: number): boolean {
    const mac2 = initiation.subarray(initiation.length - MAC_SIZE)
    // A client without a cookie sends zeros: they are no mac, and cost no HMAC.
    if (equalBytes(mac2, NO_MAC)) return false
    this.rotate(now)
    const fits = (secret: Uint8Array): boolean =>
      equalBytes(mac2Of(this.primitives, this.cookie(secret, address), initiation), mac2)
    return fits(this.secret) || fits(this.former)
  }

  private cookie(secret: Uint8Array, address: string): Uint8Array {
    return this.primitives.hmacSha256(secret, ascii(address)).subarray(0, MAC_SIZE)
  }

  private rotate(now: number): void {
    const age = now - this.bornAt
    if (age < COOKIE_SECRET_AGE) return
    this.former = age < 2 * COOKIE_SECRET_AGE ? this.secret : this.newSecret()
    this.secret = this.newSecret()
    this.bornAt = now
  }

  private newSecret(): Uint8Array {
    const secret = new Uint8Array(KEY_SIZE)
    this.primitives.random(secret, 0, KEY_SIZE)
    return secret
  }
}

/** The client's side: the cookie in a reply to the initiation with this mac1; undefined when it is none. */
export function openCookie(
  primitives: SecurePrimitives,
  cookieKey: Uint8Array,
  reply: Uint8Array,
  mac1: Uint8Array,
): Uint8Array | undefined {
  const buffer = new Uint8Array(reply)
  const end = COOKIE_AT + MAC_SIZE
  if (buffer.length !== end + TAG_SIZE) return undefined
  if (!replyCipher(primitives, cookieKey, buffer).open(newNonce(), mac1, buffer, COOKIE_AT, end))
    return undefined
  return buffer.subarray(COOKIE_AT, end)
}

/** mac2: of the initiation up to where mac2 lies. */
export function mac2Of(primitives: SecurePrimitives, cookie: Uint8Array, initiation: Uint8Array): Uint8Array {
  return primitives
    .hmacSha256(cookie, initiation.subarray(0, initiation.length - MAC_SIZE))
    .subarray(0, MAC_SIZE)
}

/**
 * A key for this one reply, from its random nonce: neither AEAD has nonces long enough to be drawn by chance under one
 * key. Zero is then as good a nonce as any.
 */
function replyCipher(
  primitives: SecurePrimitives,
  cookieKey: Uint8Array,
  reply: Uint8Array,
): ReturnType<SecurePrimitives['aead']> {
  const key = primitives.hmacSha256(cookieKey, concat(ascii('reply'), reply.subarray(NONCE_AT, COOKIE_AT)))
  return primitives.aead('ChaChaPoly', key)
}
