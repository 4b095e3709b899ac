/**
 * One generation of an association's keys: a cipher and a counter for what is sent, a cipher and a replay window for what
 * is received. Records are sealed and opened in two buffers that all share, so what these give out is lent until the next
 * call.
 * @module
 */
import { writeU32 } from '../core/segment.ts'
import { type HandshakeResult, newNonce, writeNonce } from './noise.ts'
import type { CipherName, RecordCipher, SecurePrimitives } from './primitives.ts'
import { ReplayWindow } from './replay-window.ts'
import {
  DatagramType,
  RECORD_HEAD,
  RECORD_OVERHEAD,
  RECORD_PREFIX,
  readCounter,
  writeRecordHead,
} from './wire.ts'

/** What came of a record. */
export const RecordResult = {
  Opened: 0,
  /** Seen before, or too old to tell. */
  Replayed: -1,
  /** Not sealed with these keys. */
  Forged: -2,
} as const
export type RecordResult = (typeof RecordResult)[keyof typeof RecordResult]

/** Grow to the largest record so far. One for each direction: what was opened may be read while an answer is sealed. */
let sealing = new Uint8Array(2_048)
let opening = new Uint8Array(2_048)

export interface KeysOptions {
  readonly primitives: SecurePrimitives
  readonly cipher: CipherName
  readonly result: HandshakeResult
  /** By which the peer's records name these keys, and by which ours do. */
  readonly localIndex: number
  readonly remoteIndex: number
  readonly now: number
}

export class Keys {
  readonly localIndex: number
  readonly bornAt: number
  /** The transcript that these keys come from. */
  readonly hash: Uint8Array
  /** Records sealed so far: the next one's counter. */
  sealed = 0
  readonly window: ReplayWindow = new ReplayWindow()
  /** Whether a record of the peer's was opened with them: only then it is sure that it has them. */
  confirmed = false
  /** The text of the record opened last; lent. */
  plain: Uint8Array = opening.subarray(0, 0)
  private readonly remoteIndex: number
  private readonly cipher: CipherName
  private readonly sendCipher: RecordCipher
  private readonly receiveCipher: RecordCipher
  private readonly nonce: Uint8Array = newNonce()
  /** Associated data: type and index, by type. The counter is in the nonce. */
  private readonly sendHeads: ReadonlyMap<number, Uint8Array>
  private readonly receiveHeads: ReadonlyMap<number, Uint8Array>

  constructor(options: KeysOptions) {
    const { primitives, cipher, result } = options
    this.localIndex = options.localIndex
    this.remoteIndex = options.remoteIndex
    this.bornAt = options.now
    this.hash = result.hash
    this.cipher = cipher
    this.sendCipher = primitives.aead(cipher, result.sendKey)
    this.receiveCipher = primitives.aead(cipher, result.receiveKey)
    this.sendHeads = headsOf(options.remoteIndex)
    this.receiveHeads = headsOf(options.localIndex)
  }

  /** A record of this type around `plain`; lent. */
  seal(type: number, plain: Uint8Array): Uint8Array {
    const size = plain.length + RECORD_OVERHEAD
    if (sealing.length < size) sealing = new Uint8Array(size)
    const counter = this.sealed++
    writeRecordHead(sealing, 0, type, this.remoteIndex, counter)
    sealing.set(plain, RECORD_HEAD)
    writeNonce(this.cipher, this.nonce, counter)
    const end = RECORD_HEAD + plain.length
    this.sendCipher.seal(this.nonce, this.sendHeads.get(type)!, sealing, RECORD_HEAD, end)
    return sealing.subarray(0, size)
  }

  /** Opens a record for `localIndex`, of RECORD_OVERHEAD bytes or more; `plain` is then what was in it. */
  open(record: Uint8Array): RecordResult {
    const counter = readCounter(record)
    if (counter === Number.POSITIVE_INFINITY) return RecordResult.Forged
    if (!this.window.isFresh(counter)) return RecordResult.Replayed
    const end = record.length - RECORD_OVERHEAD
    if (opening.length < record.length) opening = new Uint8Array(record.length)
    opening.set(record.subarray(RECORD_HEAD))
    writeNonce(this.cipher, this.nonce, counter)
    const head = this.receiveHeads.get(record[0]!)!
    if (!this.receiveCipher.open(this.nonce, head, opening, 0, end)) return RecordResult.Forged
    this.window.mark(counter)
    this.plain = opening.subarray(0, end)
    return RecordResult.Opened
  }
}

function headsOf(index: number): ReadonlyMap<number, Uint8Array> {
  return new Map(
    [DatagramType.Data, DatagramType.Control].map((type) => {
      const head = new Uint8Array(RECORD_PREFIX)
      head[0] = type
      writeU32(head, 1, index)
      return [type, head] as const
    }),
  )
}
