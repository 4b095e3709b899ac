/**
 * The parts of the Noise Protocol Framework (revision 34) that two handshakes need: NNpsk0, for ends that share a key of
 * 32 bytes, and IK, for ends with X25519 keys of which the client knows the server's. Section numbers are of that
 * document. Knows nothing of datagrams, retransmission or time.
 * @module
 */
import {
  ascii,
  type CipherName,
  concat,
  KEY_SIZE,
  type KeyPair,
  type RecordCipher,
  type SecurePrimitives,
  TAG_SIZE,
} from './primitives.ts'

/** Section 9 and 7.5: what each message consists of. A `psk` comes first in the message that its digit names. */
const PATTERNS = {
  NNpsk0: {
    responderStatic: false,
    messages: [
      ['psk', 'e'],
      ['e', 'ee'],
    ],
  },
  IK: {
    responderStatic: true,
    messages: [
      ['e', 'es', 's', 'ss'],
      ['e', 'ee', 'se'],
    ],
  },
} as const
export type PatternName = keyof typeof PATTERNS

const EMPTY = new Uint8Array()

/** Bytes of a nonce of either AEAD. */
const NONCE_SIZE = 12

/** Section 12: 32 zero bits, then the counter, little-endian for ChaChaPoly and big-endian for AESGCM. */
export function writeNonce(cipher: CipherName, nonce: Uint8Array, counter: number): void {
  let rest = counter
  for (let i = 0; i < 8; i++) {
    nonce[cipher === 'ChaChaPoly' ? 4 + i : 11 - i] = rest % 256
    rest = Math.floor(rest / 256)
  }
}

export function newNonce(): Uint8Array {
  return new Uint8Array(NONCE_SIZE)
}

/** A CipherState (section 5.1): a key, and how often it was used. Without a key it passes texts as they are. */
export class CipherState {
  private readonly primitives: SecurePrimitives
  private readonly cipher: CipherName
  private key: RecordCipher | undefined
  private n = 0
  private readonly nonce: Uint8Array = newNonce()

  constructor(primitives: SecurePrimitives, cipher: CipherName) {
    this.primitives = primitives
    this.cipher = cipher
  }

  initializeKey(key: Uint8Array): void {
    this.key = this.primitives.aead(this.cipher, key)
    this.n = 0
  }

  /** What takes the state back to where it is now. */
  save(): () => void {
    const { key, n } = this
    return () => {
      this.key = key
      this.n = n
    }
  }

  encryptWithAd(associated: Uint8Array, plain: Uint8Array): Uint8Array {
    if (this.key === undefined) return new Uint8Array(plain)
    const buffer = new Uint8Array(plain.length + TAG_SIZE)
    buffer.set(plain)
    writeNonce(this.cipher, this.nonce, this.n++)
    this.key.seal(this.nonce, associated, buffer, 0, plain.length)
    return buffer
  }

  /** The text, or undefined when it was not made with this key, number and data. */
  decryptWithAd(associated: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
    if (this.key === undefined) return new Uint8Array(sealed)
    const size = sealed.length - TAG_SIZE
    if (size < 0) return undefined
    const buffer = new Uint8Array(sealed)
    writeNonce(this.cipher, this.nonce, this.n)
    if (!this.key.open(this.nonce, associated, buffer, 0, size)) return undefined
    this.n++
    return buffer.subarray(0, size)
  }
}

/** A SymmetricState (section 5.2): chaining key, transcript hash, and the cipher that they lead to. */
class SymmetricState {
  private readonly primitives: SecurePrimitives
  readonly cipherState: CipherState
  private ck: Uint8Array
  h: Uint8Array

  constructor(primitives: SecurePrimitives, cipher: CipherName, protocolName: string) {
    this.primitives = primitives
    this.cipherState = new CipherState(primitives, cipher)
    const name = ascii(protocolName)
    if (name.length > KEY_SIZE) this.h = primitives.sha256(name)
    else {
      this.h = new Uint8Array(KEY_SIZE)
      this.h.set(name)
    }
    this.ck = this.h
  }

  mixKey(input: Uint8Array): void {
    const [ck, key] = this.hkdf(input, 2)
    this.ck = ck!
    this.cipherState.initializeKey(key!)
  }

  mixHash(data: Uint8Array): void {
    this.h = this.primitives.sha256(concat(this.h, data))
  }

  mixKeyAndHash(input: Uint8Array): void {
    const [ck, hash, key] = this.hkdf(input, 3)
    this.ck = ck!
    this.mixHash(hash!)
    this.cipherState.initializeKey(key!)
  }

  encryptAndHash(plain: Uint8Array): Uint8Array {
    const sealed = this.cipherState.encryptWithAd(this.h, plain)
    this.mixHash(sealed)
    return sealed
  }

  decryptAndHash(sealed: Uint8Array): Uint8Array | undefined {
    const plain = this.cipherState.decryptWithAd(this.h, sealed)
    if (plain !== undefined) this.mixHash(sealed)
    return plain
  }

  /** What takes the state back to where it is now. */
  save(): () => void {
    const { ck, h } = this
    const restore = this.cipherState.save()
    return () => {
      this.ck = ck
      this.h = h
      restore()
    }
  }

  /** The key of what the initiator sends, and of what the responder sends. */
  split(): readonly [Uint8Array, Uint8Array] {
    const [first, second] = this.hkdf(EMPTY, 2)
    return [first!, second!]
  }

  /** Section 4.3. */
  private hkdf(input: Uint8Array, outputs: 2 | 3): readonly Uint8Array[] {
    const { hmacSha256 } = this.primitives
    const key = hmacSha256(this.ck, input)
    const results: Uint8Array[] = []
    for (let i = 1; i <= outputs; i++) {
      results.push(hmacSha256(key, concat(results.at(-1) ?? EMPTY, Uint8Array.of(i))))
    }
    return results
  }
}

export interface HandshakeOptions {
  readonly primitives: SecurePrimitives
  readonly pattern: PatternName
  readonly cipher: CipherName
  readonly role: 'initiator' | 'responder'
  /** What both ends must agree about without sending it. */
  readonly prologue: Uint8Array
  /** NNpsk0: 32 bytes. */
  readonly psk?: Uint8Array | undefined
  /** IK: our own key pair. */
  readonly keyPair?: KeyPair | undefined
  /** IK, initiator: the responder's public key. */
  readonly remotePublicKey?: Uint8Array | undefined
}

/** What a finished handshake leaves. */
export interface HandshakeResult {
  readonly sendKey: Uint8Array
  readonly receiveKey: Uint8Array
  /** The hash of the whole transcript: the same at both ends, and of no other handshake (section 11.2). */
  readonly hash: Uint8Array
}

/**
 * A HandshakeState (section 5.3). A `read` that fails leaves it as it was, so that a forged message ends nothing; `readLast`
 * does so in any case.
 */
export class HandshakeState {
  /** IK: the peer's static key, once it is known. */
  remotePublicKey: Uint8Array | undefined
  private readonly options: HandshakeOptions
  private readonly symmetric: SymmetricState
  private readonly initiator: boolean
  private e: KeyPair | undefined
  private re: Uint8Array | undefined
  private step = 0

  constructor(options: HandshakeOptions) {
    const { primitives, pattern, cipher, prologue, keyPair, remotePublicKey } = options
    this.options = options
    this.initiator = options.role === 'initiator'
    this.symmetric = new SymmetricState(primitives, cipher, `Noise_${pattern}_25519_${cipher}_SHA256`)
    this.symmetric.mixHash(prologue)
    this.remotePublicKey = remotePublicKey
    if (PATTERNS[pattern].responderStatic) {
      this.symmetric.mixHash(this.initiator ? remotePublicKey! : keyPair!.publicKey)
    }
  }

  get finished(): boolean {
    return this.step === 2
  }

  /** The hash of the transcript so far. */
  get hash(): Uint8Array {
    return this.symmetric.h
  }

  /** The next message, with `payload`; undefined when the keys of the other end are unusable. */
  write(payload: Uint8Array): Uint8Array | undefined {
    const { options, symmetric } = this
    const parts: Uint8Array[] = []
    for (const token of PATTERNS[options.pattern].messages[this.step]!) {
      if (token === 'psk') symmetric.mixKeyAndHash(options.psk!)
      else if (token === 'e') {
        this.e = options.primitives.generateKeyPair()
        parts.push(this.e.publicKey)
        this.mixEphemeral(this.e.publicKey)
      } else if (token === 's') parts.push(symmetric.encryptAndHash(options.keyPair!.publicKey))
      else if (!this.mixDh(token)) return undefined
    }
    parts.push(symmetric.encryptAndHash(payload))
    this.step++
    return concat(...parts)
  }

  /** The payload of the peer's next message; undefined when it is none. */
  read(message: Uint8Array): Uint8Array | undefined {
    const restore = this.save()
    const payload = this.tryRead(message)
    if (payload === undefined) restore()
    return payload
  }

  /** As if `message` were the last one: its payload, and what is left then. The state stays, for another answer. */
  readLast(
    message: Uint8Array,
  ): { readonly payload: Uint8Array; readonly result: HandshakeResult } | undefined {
    const restore = this.save()
    const payload = this.tryRead(message)
    const read = payload && { payload, result: this.result() }
    restore()
    return read
  }

  private save(): () => void {
    const { remotePublicKey, re, step } = this
    const restore = this.symmetric.save()
    return () => {
      restore()
      this.remotePublicKey = remotePublicKey
      this.re = re
      this.step = step
    }
  }

  private tryRead(message: Uint8Array): Uint8Array | undefined {
    const { options, symmetric } = this
    let at = 0
    const take = (size: number): Uint8Array | undefined => {
      at += size
      return at <= message.length ? message.slice(at - size, at) : undefined
    }
    for (const token of PATTERNS[options.pattern].messages[this.step]!) {
      if (token === 'psk') symmetric.mixKeyAndHash(options.psk!)
      else if (token === 'e') {
        this.re = take(KEY_SIZE)
        if (this.re === undefined) return undefined
        this.mixEphemeral(this.re)
      } else if (token === 's') {
        const sealed = take(KEY_SIZE + TAG_SIZE)
        this.remotePublicKey = sealed && symmetric.decryptAndHash(sealed)
        if (this.remotePublicKey === undefined) return undefined
      } else if (!this.mixDh(token)) return undefined
    }
    const payload = symmetric.decryptAndHash(message.subarray(at))
    if (payload !== undefined) this.step++
    return payload
  }

  /** Section 5.2, Split, by direction. Only when `finished`. */
  result(): HandshakeResult {
    const [first, second] = this.symmetric.split()
    const [sendKey, receiveKey] = this.initiator ? [first, second] : [second, first]
    return { sendKey, receiveKey, hash: this.hash }
  }

  private mixEphemeral(publicKey: Uint8Array): void {
    this.symmetric.mixHash(publicKey)
    // Section 9.2: where a psk takes part, ephemeral keys make the encryption of each handshake different.
    if (this.options.psk !== undefined) this.symmetric.mixKey(publicKey)
  }

  /** `es` is our ephemeral key with their static one for the initiator, and the other way round for the responder. */
  private mixDh(token: 'ee' | 'es' | 'se' | 'ss'): boolean {
    const { primitives, keyPair } = this.options
    const [ours, theirs] = this.initiator ? [token[0], token[1]] : [token[1], token[0]]
    const shared = primitives.x25519(
      (ours === 'e' ? this.e : keyPair)!.privateKey,
      (theirs === 'e' ? this.re : this.remotePublicKey)!,
    )
    if (shared === undefined) return false
    this.symmetric.mixKey(shared)
    return true
  }
}
