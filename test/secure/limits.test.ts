import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { nodePrimitives } from '../../src/node/secure-primitives.ts'
import { isAuthorized } from '../../src/secure/identity.ts'
import { identityOf, resolveSecureLimits, resolveTuning, type SharedKey } from '../../src/secure/index.ts'
import { TokenBucket } from '../../src/secure/limits.ts'
import { CLIENT_PAIR, SERVER_PAIR } from './support.ts'

test('a token bucket holds what a second brings, however long nobody takes', () => {
  const bucket = new TokenBucket(10, 0)
  const taken = (now: number): number => {
    let count = 0
    while (bucket.take(now)) count++
    return count
  }
  deepEqual(
    [taken(0), taken(0), taken(500), taken(3_600_000), taken(3_600_099), taken(3_600_100)],
    [10, 0, 5, 10, 0, 1],
  )
})

test('one host has an eighth of the associations, unless another number is given', () => {
  for (const [limits, most] of [
    [{}, 8_192],
    [{ maxAssociations: 100 }, 13],
    [{ maxAssociations: 1 }, 1],
    [{ maxAssociations: 100, maxAssociationsPerHost: 100 }, 100],
  ] as const) {
    equal(resolveSecureLimits(limits).maxAssociationsPerHost, most)
  }
})

const psk = new Uint8Array(32).fill(0x5a)
const yes = (): boolean => true
/** Options that a role refuses, and the field that is to blame. */
const WRONG: readonly (readonly ['client' | 'server', unknown, string])[] = [
  ...[null, undefined, 0, '', 'ZZZZ', true, [], psk, () => psk].map(
    (security) => ['server', security, 'security'] as const,
  ),
  ...[
    null,
    'ZZZZ',
    5,
    [],
    {},
    new Uint8Array(31),
    new Uint8Array(33),
    new ArrayBuffer(32),
    new Uint16Array(32),
  ].map((key) => ['client', { psk: key }, 'security.psk'] as const),
  ['client', { psk, keyPair: CLIENT_PAIR }, 'security'],
  ['client', { psk, keyPair: null }, 'security'],
  ['client', { psk, remotePublicKey: SERVER_PAIR.publicKey }, 'security.remotePublicKey'],
  ['server', { psk, authorize: yes }, 'security.authorize'],
  ['server', { keyPair: null, authorize: yes }, 'security.keyPair.publicKey'],
  ['server', { keyPair: 'ZZZZ', authorize: yes }, 'security.keyPair.publicKey'],
  [
    'server',
    { keyPair: { ...SERVER_PAIR, privateKey: psk.subarray(1) }, authorize: yes },
    'security.keyPair.privateKey',
  ],
  ['server', { keyPair: SERVER_PAIR }, 'security.authorize'],
  ['server', { keyPair: SERVER_PAIR, authorize: 'ZZZZ' }, 'security.authorize'],
  ['server', { keyPair: SERVER_PAIR, authorize: true }, 'security.authorize'],
  ['server', { keyPair: SERVER_PAIR, authorize: async () => true }, 'security.authorize'],
  ['server', { keyPair: SERVER_PAIR, authorize: yes, remotePublicKey: psk }, 'security.remotePublicKey'],
  ['client', { keyPair: CLIENT_PAIR }, 'security.remotePublicKey'],
  ['client', { keyPair: CLIENT_PAIR, remotePublicKey: 'ZZZZ' }, 'security.remotePublicKey'],
  ['client', { keyPair: CLIENT_PAIR, remotePublicKey: psk, authorize: yes }, 'security.authorize'],
]

test('keys that no end can use are refused, and no message shows them', () => {
  for (const [role, security, field] of WRONG) {
    throws(
      () => identityOf(security as SharedKey, role, nodePrimitives),
      (error: { code: string; message: string; detail: { field: string } }) => {
        equal(error.code, 'ERR_KCP_CONFIG')
        equal(error.detail.field, field, error.message)
        ok(!/ZZZZ|5a5a|90, ?90/i.test(error.message + JSON.stringify(error.detail)), error.message)
        return true
      },
    )
  }
})

test('tuning and limits are numbers within their range, and texts of the list', () => {
  for (const field of ['handshakeTimeout', 'rekeyAfterRecords', 'rekeyAfterMs', 'probeMtu', 'cipher']) {
    for (const value of [null, '1000', Number.NaN, -1, 1.5, {}, Number.POSITIVE_INFINITY]) {
      throws(() => resolveTuning({ [field]: value }), { code: 'ERR_KCP_CONFIG' }, `${field}: ${value}`)
    }
  }
  for (const field of [
    'cookies',
    'handshakesPerSecond',
    'maxHandshakes',
    'maxHandshakesPerHost',
    'maxAssociations',
    'maxAssociationsPerHost',
    'maxRemembered',
  ]) {
    for (const value of [null, '1000', Number.NaN, 0, -1, 1.5, {}, Number.POSITIVE_INFINITY]) {
      throws(() => resolveSecureLimits({ [field]: value }), { code: 'ERR_KCP_CONFIG' }, `${field}: ${value}`)
    }
  }
  for (const value of [null, undefined, 'x', 5, []]) {
    throws(() => resolveTuning(value as never), { code: 'ERR_KCP_CONFIG' })
    throws(() => resolveSecureLimits(value as never), { code: 'ERR_KCP_CONFIG' })
  }
})

test('only true authorizes: neither a promise, nor what counts as true, nor a throw', async () => {
  const unhandled: unknown[] = []
  const onUnhandled = (reason: unknown): void => void unhandled.push(reason)
  process.on('unhandledRejection', onUnhandled)
  const answers: readonly (readonly [unknown, boolean])[] = [
    [() => true, true],
    [() => false, false],
    [() => undefined, false],
    [() => 1, false],
    [() => 'yes', false],
    [() => ({}), false],
    [() => new Boolean(true), false],
    [() => Promise.resolve(true), false],
    [() => Promise.reject(new Error('later')), false],
    [
      () => {
        throw new Error('at once')
      },
      false,
    ],
  ]
  for (const [authorize, expected] of answers) {
    const identity = identityOf(
      { keyPair: SERVER_PAIR, authorize: authorize as never },
      'server',
      nodePrimitives,
    )
    equal(isAuthorized(identity, CLIENT_PAIR.publicKey), expected, String(authorize))
  }
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', onUnhandled)
  deepEqual(unhandled, [])
})

test('keys are copied: what the application does with its arrays later changes nothing', () => {
  const pair = { publicKey: SERVER_PAIR.publicKey.slice(), privateKey: SERVER_PAIR.privateKey.slice() }
  const remote = SERVER_PAIR.publicKey.slice()
  const shared = psk.slice()
  const identities = [
    identityOf({ keyPair: pair, remotePublicKey: remote }, 'client', nodePrimitives),
    identityOf({ psk: shared }, 'client', nodePrimitives),
  ]
  for (const key of [pair.publicKey, pair.privateKey, remote, shared]) key.fill(0)
  deepEqual(identities[0]!.keyPair, SERVER_PAIR)
  deepEqual(identities[0]!.remotePublicKey, SERVER_PAIR.publicKey)
  deepEqual(identities[1]!.psk, psk)
})
