/**
 * SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash that is fast for short inputs and cannot be predicted
 * without the key. The words of 64 bits are pairs of 32, low half first.
 * @module
 */

/** A key of 128 bits as four u32, lowest first, and hashes under it. */
export class SipHash {
  private readonly key: Int32Array
  /** v0 .. v3, each low half, high half. */
  private readonly v: Int32Array = new Int32Array(8)

  /** @param key four u32 from a CSPRNG. */
  constructor(key: ArrayLike<number>) {
    this.key = Int32Array.from({ length: 4 }, (_, i) => key[i]! | 0)
  }

  /** The low 32 bits of the hash of `length` bytes, u32. `length` is at most that of `bytes`. */
  hash(bytes: Uint8Array, length: number = bytes.length): number {
    const { key, v } = this
    // "somepseudorandomlygeneratedbytes", as the paper has it.
    for (let i = 0; i < 8; i++) v[i] = START[i]! ^ key[i & 3]!
    const whole = length & ~7
    for (let at = 0; at < whole; at += 8) this.take(word(bytes, at, at + 4), word(bytes, at + 4, at + 8))
    // The rest, and the length in the highest byte.
    this.take(word(bytes, whole, length), word(bytes, whole + 4, length) | (length << 24))
    v[4]! ^= 0xff
    for (let i = 0; i < 4; i++) this.round()
    return (v[0]! ^ v[2]! ^ v[4]! ^ v[6]!) >>> 0
  }

  private take(low: number, high: number): void {
    const { v } = this
    v[6]! ^= low
    v[7]! ^= high
    this.round()
    this.round()
    v[0]! ^= low
    v[1]! ^= high
  }

  private round(): void {
    const { v } = this
    let v0 = v[0]!
    let w0 = v[1]!
    let v1 = v[2]!
    let w1 = v[3]!
    let v2 = v[4]!
    let w2 = v[5]!
    let v3 = v[6]!
    let w3 = v[7]!
    let sum = 0
    let t = 0
    // v0 += v1; v1 = (v1 <<< 13) ^ v0; v0 <<<= 32
    sum = (v0 >>> 0) + (v1 >>> 0)
    w0 = (w0 + w1 + (sum > U32 ? 1 : 0)) | 0
    v0 = sum | 0
    t = (v1 << 13) | (w1 >>> 19)
    w1 = ((w1 << 13) | (v1 >>> 19)) ^ w0
    v1 = t ^ v0
    t = v0
    v0 = w0
    w0 = t
    // v2 += v3; v3 = (v3 <<< 16) ^ v2
    sum = (v2 >>> 0) + (v3 >>> 0)
    w2 = (w2 + w3 + (sum > U32 ? 1 : 0)) | 0
    v2 = sum | 0
    t = (v3 << 16) | (w3 >>> 16)
    w3 = ((w3 << 16) | (v3 >>> 16)) ^ w2
    v3 = t ^ v2
    // v0 += v3; v3 = (v3 <<< 21) ^ v0
    sum = (v0 >>> 0) + (v3 >>> 0)
    w0 = (w0 + w3 + (sum > U32 ? 1 : 0)) | 0
    v0 = sum | 0
    t = (v3 << 21) | (w3 >>> 11)
    w3 = ((w3 << 21) | (v3 >>> 11)) ^ w0
    v3 = t ^ v0
    // v2 += v1; v1 = (v1 <<< 17) ^ v2; v2 <<<= 32
    sum = (v2 >>> 0) + (v1 >>> 0)
    w2 = (w2 + w1 + (sum > U32 ? 1 : 0)) | 0
    v2 = sum | 0
    t = (v1 << 17) | (w1 >>> 15)
    w1 = ((w1 << 17) | (v1 >>> 15)) ^ w2
    v1 = t ^ v2
    t = v2
    v2 = w2
    w2 = t
    v[0] = v0
    v[1] = w0
    v[2] = v1
    v[3] = w1
    v[4] = v2
    v[5] = w2
    v[6] = v3
    v[7] = w3
  }
}

const U32 = 0xffff_ffff
const START: readonly number[] = [
  0x70736575, 0x736f6d65, 0x6e646f6d, 0x646f7261, 0x6e657261, 0x6c796765, 0x79746573, 0x74656462,
]

/** Four bytes from `at`, little-endian; zeros from `end` on. */
function word(bytes: Uint8Array, at: number, end: number): number {
  let value = 0
  for (let i = Math.min(end, at + 4) - 1; i >= at; i--) value = (value << 8) | bytes[i]!
  return value
}
