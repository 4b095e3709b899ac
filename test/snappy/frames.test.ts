import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpError } from '../../src/core/errors.ts'
import { Prng } from '../../src/sim/prng.ts'
import { SnappyDecoder, SnappyEncoder } from '../../src/snappy/frames.ts'
import { noise, patchwork, prose } from './data.ts'

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const join = (parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))

const IDENTIFIER = 'ff060000734e61507059'
/** 'abc' as it is. Its CRC-32C is 364b3fb7, and a282ead8 more than that turned right by 15 bits is 21f1576e. */
const ABC = '01 070000 6e57f121 616263'

function refusal(stream: string): string {
  const decoder = new SnappyDecoder()
  try {
    decoder.decode(bytesOf(stream))
  } catch (error) {
    ok(KcpError.is(error, 'ERR_KCP_PROTOCOL'))
    throws(
      () => decoder.decode(bytesOf(ABC)),
      (again) => again === error,
      'it stays broken',
    )
    return error.message.replace('the compressed stream is broken: ', '')
  }
  return 'none'
}

test('a stream begins with its identifier, once; short chunks go as they are', () => {
  const encoder = new SnappyEncoder()
  const abc = bytesOf('616263')
  equal(hexOf(encoder.encode(abc)), IDENTIFIER + ABC.replaceAll(' ', ''))
  equal(hexOf(encoder.encode(abc)), ABC.replaceAll(' ', ''))
  equal(encoder.encode(new Uint8Array(0)).length, 0)
})

test('what shrinks by an eighth is compressed', () => {
  const encoder = new SnappyEncoder()
  const plain = new Uint8Array(100).fill(0x61)
  const stream = encoder.encode(plain)
  // One byte as it is, then copies of 64 and 35 bytes from one back.
  equal(hexOf(stream.subarray(10, 14)), '000d0000')
  equal(hexOf(stream.subarray(18)), '64' + '0061' + 'fe0100' + '8a0100')
  deepEqual(new SnappyDecoder().decode(stream), [plain])
})

test('a chunk holds 65536 bytes at most', () => {
  const encoder = new SnappyEncoder()
  const bytes = noise(65_536 + 1, new Prng(5))
  const stream = encoder.encode(bytes)
  equal(stream.length, 10 + 8 + 65_536 + 8 + 1)
  equal(hexOf(stream.subarray(10, 14)), '01040001')
  deepEqual(
    new SnappyDecoder().decode(stream).map((part) => part.length),
    [65_536, 1],
  )
})

test('noise is soon no longer tried, and prose behind it compressed again', () => {
  const encoder = new SnappyEncoder()
  const prng = new Prng(6)
  const typeOf = (stream: Uint8Array): number => stream[hexOf(stream).startsWith(IDENTIFIER) ? 10 : 0]!
  for (let i = 0; i < 100; i++) equal(typeOf(encoder.encode(noise(4104, prng))), 1)
  const types = Array.from({ length: 40 }, () => typeOf(encoder.encode(prose(4104, prng))))
  ok(types.indexOf(0) > 0 && types.indexOf(0) <= 32, `first compressed chunk: ${types.indexOf(0)}`)
  equal(types.lastIndexOf(1), types.indexOf(0) - 1, 'then all of them')
})

test('chunks to be skipped, padding, empty ones and another identifier are passed over', () => {
  const stream = `${IDENTIFIER} 80 030000 010203 ${ABC} fe 000000 fd 010000 00 00 050000 d8ea82a2 00 01 040000 d8ea82a2 ${IDENTIFIER} ${ABC}`
  for (const size of [1, 2, 3, 7, 1000]) {
    const decoder = new SnappyDecoder()
    const bytes = bytesOf(stream)
    const parts: Uint8Array[] = []
    for (let at = 0; at < bytes.length; at += size)
      parts.push(...decoder.decode(bytes.subarray(at, at + size)))
    equal(hexOf(join(parts)), '616263616263', `in pieces of ${size}`)
  }
})

test('a breach of the format ends the stream, before anything is allocated for it', () => {
  equal(refusal(ABC), "it does not begin with the identifier of snappy's framing, but with a byte 1")
  equal(
    refusal('80 010000 00'),
    "it does not begin with the identifier of snappy's framing, but with a byte 128",
  )
  equal(refusal('ff 070000 734e6150705900'), 'an identifier of 7 bytes')
  equal(refusal('ff 060000 734e61507058'), 'an identifier that is not sNaPpY')
  equal(refusal(`${IDENTIFIER} 02 010000 00`), 'a chunk of type 2, which cannot be skipped')
  equal(refusal(`${IDENTIFIER} 7f 010000 00`), 'a chunk of type 127, which cannot be skipped')
  equal(refusal(`${IDENTIFIER} 01 030000`), 'a chunk of type 1 with 3 bytes')
  // 65536 bytes and a checksum are the most; the header alone is refused.
  equal(refusal(`${IDENTIFIER} 01 050001`), 'a chunk of type 1 with 65541 bytes')
  equal(refusal(`${IDENTIFIER} 00 ffffff`), 'a chunk of type 0 with 16777215 bytes')
  equal(refusal(`${IDENTIFIER} 00 070000 00000000 81 80 04`), 'a compressed chunk of 65537 bytes')
  equal(refusal(`${IDENTIFIER} 00 090000 00000000 ffffffff0f`), 'a compressed chunk of 4294967295 bytes')
  equal(refusal(`${IDENTIFIER} 00 070000 00000000 05 00 61`), 'a compressed chunk that is no block')
  equal(refusal(`${IDENTIFIER} 01 070000 6f57f121 616263`), 'a chunk with a wrong checksum')
})

test('everything comes back, in pieces of any size', () => {
  for (let seed = 1; seed <= 30; seed++) {
    const prng = new Prng(seed)
    const [encoder, decoder] = [new SnappyEncoder(), new SnappyDecoder()]
    const plain: Uint8Array[] = []
    const wire: Uint8Array[] = []
    for (let i = prng.int(1, 12); i > 0; i--) {
      const make = [noise, prose, patchwork][prng.int(0, 2)]!
      const bytes = make(prng.chance(0.1) ? prng.int(1, 150_000) : prng.int(0, 9000), prng)
      plain.push(bytes)
      wire.push(encoder.encode(bytes))
    }
    const stream = join(wire)
    const parts: Uint8Array[] = []
    for (let at = 0; at < stream.length; ) {
      const size = prng.chance(0.3) ? prng.int(1, 9) : prng.int(1, 20_000)
      // A buffer of its own, destroyed afterwards but for what was handed out of it.
      parts.push(...decoder.decode(stream.slice(at, at + size)))
      at += size
    }
    ok(Buffer.from(join(parts)).equals(join(plain)), `seed ${seed}`)
  }
})

test('damaged streams end in one error, and nothing that was damaged is handed out', () => {
  let errors = 0
  for (let seed = 1; seed <= 300; seed++) {
    const prng = new Prng(seed)
    const plain = patchwork(prng.int(1, 30_000), prng)
    const stream = new SnappyEncoder().encode(plain)
    stream[prng.int(0, stream.length - 1)]! ^= 1 << prng.int(0, 7)
    const decoder = new SnappyDecoder()
    const parts: Uint8Array[] = []
    try {
      for (let at = 0; at < stream.length; at += 1000)
        parts.push(...decoder.decode(stream.subarray(at, at + 1000)))
    } catch (error) {
      ok(KcpError.is(error, 'ERR_KCP_PROTOCOL'), `seed ${seed}: ${error}`)
      errors++
    }
    const got = join(parts)
    ok(Buffer.from(got).equals(plain.subarray(0, got.length)), `seed ${seed}`)
  }
  // The others: a longer size that waits for more, a type to be skipped.
  ok(errors > 270, `${errors} errors`)
})

test('any bytes behind the identifier: bounded work, no crash', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const prng = new Prng(seed)
    const decoder = new SnappyDecoder()
    decoder.decode(bytesOf(IDENTIFIER))
    try {
      for (let i = 0; i < 10; i++) decoder.decode(noise(prng.int(1, 500), prng))
    } catch (error) {
      ok(KcpError.is(error, 'ERR_KCP_PROTOCOL'), `seed ${seed}: ${error}`)
    }
  }
})
