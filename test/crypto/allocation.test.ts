/** Sealing and opening allocate nothing for each datagram, whichever cipher, as long as datagrams share their memory. */
import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import { type FillRandom, OpenResult } from '../../src/crypto/index.ts'
import { pattern, purePackets } from './support.ts'

/** Datagrams between two looks at the heap, which cost 1 KB each. */
const BURST = 500
const ATTEMPTS = 40
const SIZE = 1376

/** Bytes of garbage per datagram, at most: V8's own, spread over all. A view would be 50 and more. */
const GARBAGE = 8

let chance = 7
const fill: FillRandom = (bytes, start, end) => bytes.fill(chance, start, end)

for (const [crypt, keySize] of [
  ['none', 32],
  ['aes', 32],
  ['sm4', 16],
  ['3des', 24],
  ['tea', 16],
  ['xtea', 16],
  ['blowfish', 32],
  ['twofish', 32],
  ['cast5', 16],
  ['salsa20', 32],
  ['xor', 32],
  ['aes-gcm', 16],
  ['chacha20-poly1305', 32],
] as const) {
  test(`${crypt} allocates nothing per datagram`, () => {
    const cipher = purePackets(crypt, pattern(keySize), fill)
    // Of two ends, as in a connection.
    chance = 7
    const near = cipher.fork!()
    chance = 8
    const far = cipher.fork!()
    // Two memories, as one to send from and one to receive into.
    const outgoing = new Uint8Array(1500)
    const incoming = new Uint8Array(1500)
    const burst = () => {
      for (let i = 0; i < BURST; i++) {
        near.seal(outgoing, 40, 40 + SIZE)
        incoming.set(outgoing)
        const start = 40 - cipher.headroom
        const end = 40 + SIZE + cipher.tailroom
        if (far.open(incoming, start, end) !== OpenResult.Opened) throw new Error('not opened')
      }
    }
    // Once all code is optimised nothing is allocated any more; that takes a while, on a busy machine longer. Three
    // quiet bursts in a row are no accident of the collector, which makes the heap shrink by far more than it grows here.
    let quiet = 0
    let each = 0
    for (let attempt = 0; quiet < 3 && attempt < ATTEMPTS; attempt++) {
      const before = heapNow()
      burst()
      each = (heapNow() - before) / BURST
      quiet = each >= 0 && each < GARBAGE ? quiet + 1 : 0
    }
    ok(quiet === 3, `${each.toFixed(2)} bytes per datagram`)
  })
}

function heapNow(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
