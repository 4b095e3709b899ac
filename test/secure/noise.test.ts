import { deepEqual, equal, notDeepEqual, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { nodePrimitives } from '../../src/node/secure-primitives.ts'
import {
  type CipherName,
  CipherState,
  HandshakeState,
  type SecurePrimitives,
} from '../../src/secure/index.ts'
import { noblePrimitives } from './noble.ts'
import { fromHex, keyPairOf, toHex } from './support.ts'

interface Vector {
  readonly protocol_name: string
  readonly init_prologue: string
  readonly init_psks?: readonly string[]
  readonly init_static?: string
  readonly init_ephemeral: string
  readonly init_remote_static?: string
  readonly resp_prologue: string
  readonly resp_psks?: readonly string[]
  readonly resp_static?: string
  readonly resp_ephemeral: string
  readonly handshake_hash: string
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[]
}

const { vectors } = JSON.parse(readFileSync('test/vectors/noise/cacophony.json', 'utf8')) as {
  readonly vectors: readonly Vector[]
}

function withEphemeral(ephemeral: string, primitives: SecurePrimitives): SecurePrimitives {
  return { ...primitives, generateKeyPair: () => keyPairOf(fromHex(ephemeral)) }
}

function bothEnds(
  vector: Vector,
  primitives: SecurePrimitives = nodePrimitives,
): readonly [HandshakeState, HandshakeState] {
  const [, pattern, , cipher] = vector.protocol_name.split('_') as [
    string,
    'NNpsk0' | 'IK',
    string,
    CipherName,
  ]
  const end = (role: 'initiator' | 'responder', side: 'init' | 'resp'): HandshakeState => {
    const psk = vector[`${side}_psks`]?.[0]
    const secret = vector[`${side}_static`]
    const remote = side === 'init' ? vector.init_remote_static : undefined
    return new HandshakeState({
      primitives: withEphemeral(vector[`${side}_ephemeral`], primitives),
      pattern,
      cipher,
      role,
      prologue: fromHex(vector[`${side}_prologue`]),
      psk: psk === undefined ? undefined : fromHex(psk),
      keyPair: secret === undefined ? undefined : keyPairOf(fromHex(secret)),
      remotePublicKey: remote === undefined ? undefined : fromHex(remote),
    })
  }
  return [end('initiator', 'init'), end('responder', 'resp')]
}

equal(vectors.length, 3)
for (const vector of vectors) {
  const cipher = vector.protocol_name.split('_')[3] as CipherName

  for (const [whose, primitives] of [
    ['Node', nodePrimitives],
    ['noble', noblePrimitives],
  ] as const)
    test(`${vector.protocol_name} makes and reads the published messages (${whose})`, () => {
      const [initiator, responder] = bothEnds(vector, primitives)
      const [first, second, ...transport] = vector.messages
      equal(toHex(initiator.write(fromHex(first!.payload))!), first!.ciphertext)
      equal(toHex(responder.read(fromHex(first!.ciphertext))!), first!.payload)
      if (vector.init_static !== undefined) {
        deepEqual(responder.remotePublicKey, keyPairOf(fromHex(vector.init_static)).publicKey)
      }
      // The published hash is the transcript's after the first of the two messages.
      equal(toHex(initiator.hash), vector.handshake_hash)
      equal(toHex(responder.hash), vector.handshake_hash)
      equal(toHex(responder.write(fromHex(second!.payload))!), second!.ciphertext)
      equal(toHex(initiator.read(fromHex(second!.ciphertext))!), second!.payload)
      ok(initiator.finished && responder.finished)

      const [ours, theirs] = [initiator.result(), responder.result()]
      deepEqual(ours.hash, theirs.hash)
      deepEqual(ours.sendKey, theirs.receiveKey)
      deepEqual(ours.receiveKey, theirs.sendKey)
      notDeepEqual(ours.sendKey, ours.receiveKey)

      const none = new Uint8Array()
      const state = (key: Uint8Array): CipherState => {
        const made = new CipherState(primitives, cipher)
        made.initializeKey(key)
        return made
      }
      const senders = [state(ours.sendKey), state(theirs.sendKey)]
      const receivers = [state(theirs.receiveKey), state(ours.receiveKey)]
      for (const [i, { payload, ciphertext }] of transport.entries()) {
        equal(toHex(senders[i % 2]!.encryptWithAd(none, fromHex(payload))), ciphertext)
        equal(toHex(receivers[i % 2]!.decryptWithAd(none, fromHex(ciphertext))!), payload)
      }
    })

  test(`${vector.protocol_name} takes no message of which a bit was turned`, () => {
    const [first, second] = vector.messages.map(({ ciphertext }) => fromHex(ciphertext))
    for (let bit = 0; bit < 8 * first!.length; bit += 13) {
      // The top bit of an X25519 key is ignored (RFC 7748 section 5), but the hash of the transcript knows it.
      const [, responder] = bothEnds(vector)
      const turned = first!.slice()
      turned[bit >> 3]! ^= 1 << (bit & 7)
      equal(responder.read(turned), undefined, `bit ${bit}`)
    }
    for (let bit = 0; bit < 8 * second!.length; bit += 13) {
      const [initiator] = bothEnds(vector)
      initiator.write(new Uint8Array())
      const [again] = bothEnds(vector)
      again.write(fromHex(vector.messages[0]!.payload))
      const turned = second!.slice()
      turned[bit >> 3]! ^= 1 << (bit & 7)
      equal(again.read(turned), undefined, `bit ${bit}`)
      equal(initiator.read(second!), undefined, 'the answer to another first message')
    }
    for (let size = 0; size < first!.length; size++) {
      equal(bothEnds(vector)[1].read(first!.subarray(0, size)), undefined, `cut to ${size}`)
    }
  })
}

test('another prologue, psk or key is another handshake', () => {
  const [psk, keys] = vectors
  const first = (vector: Vector): Uint8Array => fromHex(vector.messages[0]!.ciphertext)
  const wrong = (vector: Vector, change: Partial<Vector>): Uint8Array | undefined =>
    bothEnds({ ...vector, ...change })[1].read(first(vector))
  equal(wrong(psk!, { resp_prologue: '00' }), undefined)
  equal(wrong(psk!, { resp_psks: ['00'.repeat(32)] }), undefined)
  equal(wrong(keys!, { resp_prologue: '' }), undefined)
  equal(wrong(keys!, { resp_static: '11'.repeat(32) }), undefined)
  ok(wrong(keys!, {}) !== undefined)
})

test('a point of low order ends the handshake', () => {
  const [psk] = vectors
  const [initiator, responder] = bothEnds(psk!)
  initiator.write(new Uint8Array())
  const lowOrder = {
    ...nodePrimitives,
    generateKeyPair: () => ({ publicKey: new Uint8Array(32), privateKey: fromHex('22'.repeat(32)) }),
  }
  const evil = new HandshakeState({
    primitives: lowOrder,
    pattern: 'NNpsk0',
    cipher: 'ChaChaPoly',
    role: 'initiator',
    prologue: fromHex(psk!.init_prologue),
    psk: fromHex(psk!.init_psks![0]!),
  })
  ok(responder.read(evil.write(new Uint8Array())!) !== undefined)
  equal(responder.write(new Uint8Array()), undefined)
})
