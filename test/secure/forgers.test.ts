/**
 * Attacks without a key: initiations are recorded and sent again, and source addresses are forged.
 * @module
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { nodePrimitives } from '../../src/node/secure-primitives.ts'
import { CookieJar } from '../../src/secure/cookies.ts'
import { ControlKind, DatagramType, identityOf } from '../../src/secure/index.ts'
import { ANSWERS_PER_SECOND } from '../../src/secure/limits.ts'
import { Bench, KEYS, PSK, type TestClient } from './support.ts'

/** Initiations of honest clients that never got further, as somebody on the path has recorded them. */
function recorded(bench: Bench, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => bench.client(`recorded${i}:1`).sent[0]!)
}

/** Until the client is connected, or for `ms`; each 40 ms `attack` has its turn first. */
function connect(bench: Bench, client: TestClient, ms: number, attack: () => void): boolean {
  const end = bench.now + ms
  for (let now = bench.now; now <= end; now += 40) {
    bench.advance(now, client)
    attack()
    bench.settle(client)
    if (bench.opened.some(({ path }) => path === client.address)) return true
  }
  return false
}

for (const [name, security] of [
  ['a shared key', PSK],
  ['X25519 keys', KEYS],
] as const) {
  test(`${name}: initiations sent again in the name of a host do not lock it out`, () => {
    const bench = new Bench({ security })
    const copies = recorded(bench, 64)
    const attack = (): void => {
      for (const [i, copy] of copies.entries()) bench.server.receive(copy, `victim:${i}`, bench.now)
    }
    attack()
    equal(bench.server.handshakes, 64, 'the host is at its limit')
    const client = bench.client('victim:9999')
    ok(connect(bench, client, 1_000, attack), 'the client has shown that it is there')
    ok(client.state.counters.cookies > 0)
    ok(bench.server.handshakes <= 64)
    equal(bench.server.counters.full, 0)
  })
}

test('initiations sent again in the name of many hosts lock nobody out', () => {
  const limits = { maxHandshakes: 32, maxAssociations: 20, maxAssociationsPerHost: 4 }
  const bench = new Bench({ limits: { ...limits, handshakesPerSecond: 1_000_000 } })
  const copies = recorded(bench, 40)
  const attack = (): void => {
    for (const [i, copy] of copies.entries()) bench.server.receive(copy, `host${i % 10}:${i}`, bench.now)
  }
  for (let i = 0; i < 20; i++) {
    const client = bench.client(`host${i % 10}:${1_000 + i}`)
    attack()
    ok(connect(bench, client, 3_000, attack), `client ${i}`)
    ok(bench.server.handshakes <= 32)
    ok(bench.server.associations <= 20)
  }
  equal(bench.opened.length, 20)
  // Only handshakes without a cookie give way.
  const late = bench.client('host3:5')
  equal(connect(bench, late, 3_000, attack), false)
  ok(bench.server.counters.full > 0)
})

test('handshakes of validated addresses keep their places', () => {
  const limits = { maxHandshakes: 1_024, maxHandshakesPerHost: 4, handshakesPerSecond: 1_000_000 }
  const bench = new Bench({ limits })
  const forged = recorded(bench, 20)
  for (const copy of forged.slice(0, 4)) bench.server.receive(copy, 'host:1', 0)
  equal(bench.server.handshakes, 4)
  const clients = Array.from({ length: 4 }, (_, i) => bench.client(`host:${10 + i}`))
  for (const client of clients) {
    for (let i = 0; i < 2; i++) {
      for (const datagram of client.sent.splice(0)) bench.server.receive(datagram, client.address, 0)
      for (const datagram of bench.to(client.address)) {
        // The responses are late.
        if (datagram[0] === DatagramType.Cookie) client.state.receive(datagram, 0)
        else bench.fromServer.push({ datagram, to: `late ${client.address}` })
      }
    }
    equal(bench.server.handshakes, 4)
  }
  for (const copy of forged) bench.server.receive(copy, 'host:2', 0)
  equal(bench.server.handshakes, 4)
  for (const client of clients) {
    for (const datagram of bench.to(`late ${client.address}`)) client.state.receive(datagram, 0)
  }
  bench.settle(...clients)
  deepEqual(
    bench.opened.map(({ path }) => path),
    clients.map(({ address }) => address),
  )
})

test('a copy of an initiation that comes first, from elsewhere, denies nothing to its client', () => {
  for (const cookies of ['auto', 'always'] as const) {
    const bench = new Bench({ limits: { cookies } })
    const client = bench.client('honest:1')
    for (let i = 0; i < 100; i++) bench.server.receive(client.sent[0]!, 'thief:9', 0)
    bench.settle(client)
    ok(client.state.open, cookies)
    equal(bench.opened[0]!.path, 'honest:1', 'the first record is from the client')
    client.send('hello')
    bench.send(bench.opened[0]!, 'hello yourself')
    bench.settle(client)
    deepEqual([bench.atServer.at(-1)!.plain, client.got], ['hello', ['hello yourself']])
    equal(bench.server.associations, 1)
    // Nor does it count for the host that was named.
    equal(bench.server['countByHost'].get('thief'), 0)
  }
})

test('a copy of the first record that comes first, from elsewhere, holds for a round trip only', () => {
  const bench = new Bench()
  const client = bench.client('honest:1')
  bench.server.receive(client.sent[0]!, 'thief:9', 0)
  bench.server.receive(client.sent.shift()!, 'honest:1', 0)
  client.state.receive(bench.to('honest:1')[0]!, 0)
  const [ping] = client.sent
  bench.server.receive(ping!, 'thief:9', 0)
  equal(bench.opened[0]!.path, 'thief:9')
  client.send('next')
  bench.settle(client)
  equal(bench.opened[0]!.path, 'honest:1')
})

test('an address that a cookie has validated does not give way to that of the first record', () => {
  const bench = new Bench({ limits: { cookies: 'always' } })
  const client = bench.client('honest:1')
  for (let i = 0; i < 2; i++) {
    for (const datagram of client.sent.splice(0)) bench.server.receive(datagram, 'honest:1', 0)
    for (const datagram of bench.to('honest:1')) client.state.receive(datagram, 0)
  }
  const [ping] = client.sent
  bench.server.receive(ping!, 'thief:9', 0)
  deepEqual([bench.opened.length, bench.opened[0]!.path], [1, 'honest:1'])
})

test('a copy in the name of a host does not use up its associations', () => {
  const bench = new Bench({ limits: { maxAssociationsPerHost: 2 } })
  for (let i = 0; i < 6; i++) {
    const client = bench.client(`honest${i}:1`)
    bench.server.receive(client.sent[0]!, 'victim:9', 0)
    bench.settle(client)
  }
  equal(bench.opened.length, 6)
  ok(bench.connected('victim:1').state.open)
  // And an association does not slip past the limit of its client's host that way.
  const many = Array.from({ length: 4 }, (_, i) => bench.client(`busy:${i}`))
  for (const [i, client] of many.entries()) bench.server.receive(client.sent[0]!, `name${i}:9`, 0)
  bench.settle(...many)
  equal(bench.opened.filter(({ path }) => path.startsWith('busy')).length, 2)
  equal(bench.server.counters.full, 2)
})

test('cookies and responses sent again are bounded in all, and never longer than what they answer', () => {
  const bench = new Bench({ limits: { cookies: 'always' } })
  const [initiation] = bench.client('a:1').sent
  for (let i = 0; i < ANSWERS_PER_SECOND + 500; i++) bench.server.receive(initiation!, `v:${i}`, 0)
  deepEqual(
    [bench.server.counters.cookies, bench.server.counters.throttled, bench.fromServer.length],
    [ANSWERS_PER_SECOND, 500, ANSWERS_PER_SECOND],
  )
  bench.fromServer.length = 0
  ok(
    connect(bench, bench.client('late:1'), 1_000, () => undefined),
    'they are there again',
  )

  const other = new Bench()
  const [question] = other.client('a:1').sent
  for (let i = 0; i < ANSWERS_PER_SECOND + 500; i++) other.server.receive(question!, `v:${i}`, 0)
  equal(other.fromServer.length, ANSWERS_PER_SECOND + 1)
  ok(other.fromServer.every(({ datagram }) => datagram.length < question!.length))
})

test('a mac2 of zeros costs no HMAC', () => {
  let hmacs = 0
  const primitives = {
    ...nodePrimitives,
    hmacSha256: (key: Uint8Array, data: Uint8Array) => {
      hmacs++
      return nodePrimitives.hmacSha256(key, data)
    },
  }
  const identity = identityOf(PSK.client, 'client', primitives)
  const jar = new CookieJar(primitives, identity.cookieKey, 0)
  const initiation = new Uint8Array(86).fill(7, 0, 70)
  hmacs = 0
  equal(jar.proves(initiation, 'a:1', 0), false)
  equal(hmacs, 0)
})

test('a client answers one cookie at once for each time that it asks', () => {
  const bench = new Bench()
  const client = bench.client('a:1')
  const [initiation] = client.sent.splice(0)
  // Cookies by somebody who knows the key under which they travel.
  const forge = (now: number): void => {
    const jar = new CookieJar(nodePrimitives, identityOf(PSK.server, 'server', nodePrimitives).cookieKey, now)
    const view = new DataView(initiation!.buffer)
    const mac1 = initiation!.subarray(-32, -16)
    client.state.receive(jar.reply(view.getUint32(1, true), mac1, 'a:1', now), now)
  }
  let sent = 0
  for (let now = 0; now < 10_000; now += 10) {
    bench.advance(now, client)
    forge(now)
    sent += client.sent.splice(0).length
  }
  ok(client.state.counters.cookies > 900)
  // Eight by time, and one more for each of these.
  ok(sent <= 16, `${sent}`)
})

test('an initiation that opened an association is remembered for a second generation', () => {
  const bench = new Bench()
  const client = bench.client('a:1')
  const initiation = client.sent[0]!.slice()
  bench.settle(client)
  equal(bench.opened.length, 1)
  for (const [at, known] of [
    [119_999, true],
    [120_000, true],
    [239_999, true],
    [240_000, false],
  ] as const) {
    bench.now = at
    bench.server.run(at)
    const { repeated } = bench.server.counters
    bench.server.receive(initiation, 'thief:9', at)
    equal(bench.server.counters.repeated - repeated, known ? 1 : 0, `${at} ms`)
    equal(bench.server.handshakes, known ? 0 : 1, `${at} ms`)
  }
})

test('a cookie is over after 4 minutes, though no handshake came in between', () => {
  for (const [at, good] of [
    [239_999, true],
    [240_000, false],
    [3_600_000, false],
  ] as const) {
    const bench = new Bench({ limits: { cookies: 'always' } })
    const client = bench.client()
    bench.server.receive(client.sent.shift()!, client.address, 0)
    client.state.receive(bench.to(client.address)[0]!, 0)
    bench.server.receive(client.sent.shift()!, client.address, at)
    equal(bench.to(client.address)[0]![0] === DatagramType.Response, good, `${at} ms`)
  }
})

test('three thousand clients that close cost each datagram the same as one', () => {
  const bench = new Bench({ limits: { handshakesPerSecond: 1_000_000, maxHandshakes: 1_000_000 } })
  const clients = Array.from({ length: 3_000 }, (_, i) => bench.connected(`h${i >> 5}:${i}`))
  for (const client of clients) {
    client.state.close(0)
    bench.settle(client)
  }
  equal(bench.server['closing'].size, 3_000)
  let looks = 0
  for (const association of bench.server['closing']) {
    const { deadline } = association
    association.deadline = () => {
      looks++
      return deadline.call(association)
    }
  }
  for (let i = 0; i < 1_000; i++) {
    bench.server.run(0)
    bench.server.deadline()
  }
  equal(looks, 2_000, 'only the first one is looked at')
  // A second Close does not put the end off, so those that end stay in their order.
  bench.now = 500
  clients[0]!.state['association']!['control'](ControlKind.Close, new Uint8Array())
  bench.server.receive(clients[0]!.sent.pop()!, clients[0]!.address, 500)
  bench.server.run(999)
  equal(bench.server.associations, 3_000)
  bench.server.run(1_000)
  equal(bench.server.associations, 0)
})
