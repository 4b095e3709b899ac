import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { nodePrimitives } from '../../src/node/secure-primitives.ts'
import { TAG_SIZE } from '../../src/secure/index.ts'
import { Prng } from '../../src/sim/prng.ts'
import { noblePrimitives } from './noble.ts'
import { Bench, KEYS, keyPairOf, PSK } from './support.ts'

test('a pure library and OpenSSL make the same bytes', () => {
  const prng = new Prng(20)
  const bytes = (size: number): Uint8Array => Uint8Array.from({ length: size }, () => prng.int(0, 255))
  for (let round = 0; round < 40; round++) {
    const [key, nonce, associated, text] = [bytes(32), bytes(12), bytes(5), bytes(prng.int(0, 1_400))]
    deepEqual(new Uint8Array(noblePrimitives.sha256(text)), new Uint8Array(nodePrimitives.sha256(text)))
    deepEqual(
      new Uint8Array(noblePrimitives.hmacSha256(key, text)),
      new Uint8Array(nodePrimitives.hmacSha256(key, text)),
    )
    const { publicKey } = keyPairOf(bytes(32))
    deepEqual(
      new Uint8Array(noblePrimitives.x25519(key, publicKey)!),
      new Uint8Array(nodePrimitives.x25519(key, publicKey)!),
    )
    for (const name of ['ChaChaPoly', 'AESGCM'] as const) {
      const [sealed, other] = [
        new Uint8Array(3 + text.length + TAG_SIZE),
        new Uint8Array(3 + text.length + TAG_SIZE),
      ]
      for (const [into, primitives] of [
        [sealed, noblePrimitives],
        [other, nodePrimitives],
      ] as const) {
        into.set(text, 3)
        primitives.aead(name, key).seal(nonce, associated, into, 3, 3 + text.length)
      }
      deepEqual(sealed, other, name)
      const open = (): boolean =>
        noblePrimitives.aead(name, key).open(nonce, associated, sealed, 3, 3 + text.length)
      equal(open(), true)
      deepEqual(sealed.subarray(3, 3 + text.length), text)
      equal(open(), false, 'what is open already is not sealed')
    }
  }
})

test('a point of low order yields nothing', () => {
  for (const primitives of [nodePrimitives, noblePrimitives]) {
    equal(primitives.x25519(new Uint8Array(32).fill(7), new Uint8Array(32)), undefined)
  }
})

test('random bytes fill what they are asked to fill', () => {
  const bytes = new Uint8Array(200_000)
  noblePrimitives.random(bytes, 1, 199_999)
  equal(bytes[0], 0)
  equal(bytes[199_999], 0)
  for (let at = 1; at < 199_000; at += 1_000) ok(bytes.subarray(at, at + 900).some((byte) => byte !== 0))
})

for (const [ways, security] of [
  ['a shared key', PSK],
  ['key pairs', KEYS],
] as const) {
  for (const cipher of ['chacha20-poly1305', 'aes-256-gcm'] as const) {
    test(`a browser's end and Node's understand each other: ${ways}, ${cipher}`, () => {
      for (const [server, client] of [
        [nodePrimitives, noblePrimitives],
        [noblePrimitives, nodePrimitives],
      ] as const) {
        const bench = new Bench({ security, tuning: { cipher, rekeyAfterRecords: 5 }, primitives: server })
        const end = bench.connected('10.0.0.1:1000', { primitives: client })
        for (let i = 0; i < 20; i++) {
          end.send(`up ${i}`)
          bench.send(bench.opened[0]!, `down ${i}`)
          bench.settle(end)
          bench.advance(bench.now + 1_500, end)
          bench.settle(end)
        }
        deepEqual(
          bench.atServer.map(({ plain }) => plain),
          Array.from({ length: 20 }, (_, i) => `up ${i}`),
        )
        deepEqual(
          end.got,
          Array.from({ length: 20 }, (_, i) => `down ${i}`),
        )
        // What was changed on the way is not read.
        end.sent.length = 0
        end.send('changed')
        end.sent[0]![20]! ^= 1
        bench.settle(end)
        equal(bench.atServer.length, 20)
      }
    })
  }
}
