/** The framing around ciphers: bounds, counters, refusals; and every recorded conversation, opened and sealed again. */
import { deepEqual, equal, notEqual, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { OpenResult, type PacketCipher, plainPackets } from '../../src/crypto/index.ts'
import { Prng } from '../../src/sim/prng.ts'
import { Chosen, captures, fromHex, pattern, purePackets, Reassembly, Slab, toHex } from './support.ts'

test('every recorded conversation is opened, read, and sealed again to the same bytes', () => {
  const all = captures()
  equal(all.length, 39)
  let datagrams = 0
  for (const { name, crypt, keyHex, sent, datagrams: recorded } of all) {
    const chosen = new Chosen()
    const cipher = purePackets(crypt === 'aes-gcm' ? 'aes-gcm' : crypt, fromHex(keyHex), chosen.fill)
    const texts = { c2s: new Reassembly(), s2c: new Reassembly() }
    for (const { dir, hex, nonce, crc32 } of recorded) {
      const slab = new Slab(fromHex(hex))
      equal(cipher.open(slab.buffer, slab.start, slab.end), OpenResult.Opened, name)
      ok(slab.isCleanAround(slab.start, slab.end), name)
      const [start, end] = [slab.start + cipher.headroom, slab.end - cipher.tailroom]
      chosen.bytes = slab.slice(slab.start, start)
      if (nonce !== undefined) equal(toHex(chosen.bytes).slice(0, nonce.length), nonce)
      if (crc32 !== undefined) equal(new DataView(chosen.bytes.buffer).getUint32(16, true), crc32)
      texts[dir].add(slab.slice(start, end))
      cipher.seal(slab.buffer, start, end)
      equal(toHex(slab.slice(slab.start, slab.end)), hex, name)
      ok(slab.isCleanAround(slab.start, slab.end), name)
      datagrams++
    }
    const streams = { c2s: texts.c2s.text(), s2c: texts.s2c.text() }
    if (sent !== undefined) deepEqual(streams, sent, name)
    deepEqual(
      { ...cipher.counters },
      { sealed: recorded.length, opened: recorded.length, tooShort: 0, refused: 0 },
    )
  }
  ok(datagrams > 900, String(datagrams))
})

const CIPHERS: readonly (readonly [crypt: string, keySize: number])[] = [
  ['none', 32],
  ['aes', 16],
  ['sm4', 16],
  ['3des', 24],
  ['tea', 16],
  ['xtea', 16],
  ['blowfish', 32],
  ['twofish', 32],
  ['cast5', 16],
  ['salsa20', 32],
  ['xor', 32],
  ['aes-gcm', 32],
  ['chacha20-poly1305', 32],
]

/** A text sealed in the middle of a slab; gives the whole datagram. */
function seal(cipher: PacketCipher, text: Uint8Array): Uint8Array {
  const slab = new Slab(text)
  cipher.seal(slab.buffer, slab.start, slab.end)
  const [start, end] = [slab.start - cipher.headroom, slab.end + cipher.tailroom]
  ok(slab.isCleanAround(start, end))
  return slab.slice(start, end)
}

test('the sizes are those of the wire: 20 in front, or 12 in front and 16 behind', () => {
  for (const [crypt, keySize] of CIPHERS) {
    const cipher = purePackets(crypt, pattern(keySize), new Chosen().fill)
    const aead = crypt === 'aes-gcm' || crypt === 'chacha20-poly1305'
    deepEqual([cipher.headroom, cipher.tailroom], aead ? [12, 16] : [20, 0], crypt)
  }
  const { headroom, tailroom } = plainPackets()
  deepEqual([headroom, tailroom], [0, 0])
})

test('a text of any size, an empty one too, comes out as it went in', () => {
  for (const [crypt, keySize] of CIPHERS) {
    const chosen = new Chosen()
    const cipher = purePackets(crypt, pattern(keySize), chosen.fill)
    for (const size of [0, 1, 7, 8, 24, 100, 1380, 1480]) {
      chosen.bytes = pattern(16, size + 1)
      const datagram = seal(cipher, pattern(size))
      equal(cipher.open(datagram, 0, datagram.length), OpenResult.Opened, `${crypt} ${size}`)
      equal(
        toHex(datagram.subarray(cipher.headroom, datagram.length - cipher.tailroom)),
        toHex(pattern(size)),
      )
    }
  }
})

test('another nonce makes another datagram of the same text', () => {
  for (const [crypt, keySize] of CIPHERS) {
    const chosen = new Chosen()
    const cipher = purePackets(crypt, pattern(keySize), chosen.fill)
    const first = toHex(seal(cipher, pattern(50)))
    equal(toHex(seal(cipher, pattern(50))), first)
    chosen.bytes = pattern(16, 99)
    notEqual(toHex(seal(cipher, pattern(50))), first)
  }
})

test('too short, cut, damaged, or under another key: refused, and counted', () => {
  const prng = new Prng(5)
  for (const [crypt, keySize] of CIPHERS) {
    const cipher = purePackets(crypt, pattern(keySize), new Chosen().fill)
    const overhead = cipher.headroom + cipher.tailroom
    const sealed = seal(cipher, pattern(200))
    for (let size = 0; size < overhead; size++) {
      equal(cipher.open(sealed.slice(), 0, size), OpenResult.TooShort, `${crypt} ${size}`)
    }
    equal(cipher.counters.tooShort, overhead)
    const other = purePackets(crypt, pattern(keySize, 77), new Chosen().fill)
    let wrong = 0
    const refuse = (who: PacketCipher, datagram: Uint8Array, how: string) => {
      const slab = new Slab(datagram)
      equal(who.open(slab.buffer, slab.start, slab.end), OpenResult.Refused, `${crypt} ${how}`)
      ok(slab.isCleanAround(slab.start, slab.end))
      wrong++
    }
    for (let size = overhead; size < sealed.length; size += 13)
      refuse(cipher, sealed.slice(0, size), `cut to ${size}`)
    for (let i = 0; i < 50; i++) {
      // The nonce of a classic datagram is covered by nothing.
      const at = cipher.tailroom > 0 ? prng.int(0, sealed.length - 1) : 16 + prng.int(0, sealed.length - 17)
      const damaged = sealed.slice()
      damaged[at] = damaged[at]! ^ (1 << prng.int(0, 7))
      refuse(cipher, damaged, `damaged at ${at}`)
    }
    equal(cipher.counters.refused, wrong)
    equal(cipher.counters.opened, 0)
    if (crypt !== 'none') refuse(other, sealed, 'under another key')
    equal(cipher.open(sealed, 0, sealed.length), OpenResult.Opened)
  }
})

test('a datagram of one cipher is refused by every other', () => {
  const ciphers = CIPHERS.map(([crypt, keySize]) => purePackets(crypt, pattern(keySize), new Chosen().fill))
  for (const [i, from] of ciphers.entries()) {
    const datagram = seal(from, pattern(300))
    for (const [j, to] of ciphers.entries()) {
      const expected = i === j ? OpenResult.Opened : OpenResult.Refused
      equal(to.open(datagram.slice(), 0, datagram.length), expected, `${CIPHERS[i]![0]} to ${CIPHERS[j]![0]}`)
    }
  }
})

test('random bytes never open anything and never throw', () => {
  const prng = new Prng(11)
  const ciphers = CIPHERS.map(([crypt, keySize]) => purePackets(crypt, pattern(keySize), new Chosen().fill))
  for (let i = 0; i < 300; i++) {
    const junk = Uint8Array.from({ length: prng.int(0, 119) }, () => prng.int(0, 255))
    for (const cipher of ciphers) notEqual(cipher.open(junk.slice(), 0, junk.length), OpenResult.Opened)
  }
})

test('sealing where there is no room is the caller’s mistake', () => {
  for (const crypt of ['none', 'aes-gcm']) {
    const cipher = purePackets(crypt, pattern(16), new Chosen().fill)
    const buffer = new Uint8Array(100)
    throws(() => cipher.seal(buffer, cipher.headroom - 1, 50), /no room to seal/)
    throws(() => cipher.seal(buffer, 40, 101 - cipher.tailroom), /no room to seal/)
    throws(() => cipher.seal(buffer, 60, 50), /no room to seal/)
    ok(buffer.every((byte) => byte === 0))
    cipher.seal(buffer, cipher.headroom, 100 - cipher.tailroom)
    equal(cipher.counters.sealed, 1)
  }
})

test('opening outside of the buffer is the caller’s mistake, though its memory may go on there', () => {
  for (const crypt of ['none', 'aes-gcm']) {
    const cipher = purePackets(crypt, pattern(16), new Chosen().fill)
    const memory = new Uint8Array(200).fill(7)
    const view = memory.subarray(50, 150)
    throws(() => cipher.open(view, 0, 101), /no datagram at 0\.\.101 of 100 bytes/)
    throws(() => cipher.open(view, -1, 60), RangeError)
    ok(memory.every((byte) => byte === 7))
  }
})

test('without cipher and header everything passes, and is counted', () => {
  const cipher = plainPackets()
  const bytes = pattern(30)
  cipher.seal(bytes, 0, 30)
  equal(cipher.open(bytes, 0, 0), OpenResult.Opened)
  equal(toHex(bytes), toHex(pattern(30)))
  deepEqual({ ...cipher.counters }, { sealed: 1, opened: 1, tooShort: 0, refused: 0 })
})
