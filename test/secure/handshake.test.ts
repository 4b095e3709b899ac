import { deepEqual, equal, notDeepEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { nodePrimitives } from '../../src/node/secure-primitives.ts'
import { mac2Of, openCookie } from '../../src/secure/cookies.ts'
import { macOf } from '../../src/secure/identity.ts'
import { DatagramType, identityOf } from '../../src/secure/index.ts'
import { Bench, bytesOf, fromHex, KEYS, keyPairOf, PSK, SERVER_PAIR, toHex } from './support.ts'

for (const [name, security, size] of [
  ['a shared key', PSK, 86],
  ['X25519 keys', KEYS, 134],
] as const) {
  test(`${name}: one datagram each way, and both ends have keys`, () => {
    const bench = new Bench({ security })
    const client = bench.client()
    deepEqual(
      client.sent.map(({ length }) => length),
      [size],
    )
    bench.server.receive(client.sent.shift()!, client.address, 0)
    equal(bench.fromServer[0]!.datagram.length, 73)
    equal(bench.opened.length, 0, 'nobody has shown that he has the keys')
    client.state.receive(bench.fromServer.shift()!.datagram, 0)
    equal(client.opened, 1)
    client.send('hello')
    bench.settle(client)
    equal(bench.opened.length, 1)
    deepEqual(
      bench.atServer.map(({ plain }) => plain),
      ['hello'],
    )
    bench.send(bench.opened[0]!, 'hello yourself')
    bench.settle(client)
    deepEqual(client.got, ['hello yourself'])
    deepEqual(client.state.hash, bench.opened[0]!.hash)
    equal(bench.opened[0]!.remotePublicKey === undefined, security === PSK)
  })

  test(`${name}: both AEADs do, as the client chooses`, () => {
    const bench = new Bench({ security })
    for (const cipher of ['chacha20-poly1305', 'aes-256-gcm'] as const) {
      const client = bench.connected(`10.0.0.2:${cipher.length}`, { tuning: { cipher } })
      client.send(cipher)
      bench.settle(client)
    }
    deepEqual(
      bench.atServer.map(({ plain }) => plain),
      ['chacha20-poly1305', 'aes-256-gcm'],
    )
  })

  test(`${name}: an answer is never longer than its question`, () => {
    for (const cookies of ['auto', 'always'] as const) {
      const bench = new Bench({ security, limits: { cookies } })
      const client = bench.client()
      for (let i = 0; i < 4; i++) {
        const [question] = client.sent.splice(0)
        if (question === undefined) break
        bench.server.receive(question, client.address, 0)
        const answers = bench.to(client.address)
        ok(answers.reduce((sum, { length }) => sum + length, 0) <= question.length)
        for (const answer of answers) client.state.receive(answer, 0)
      }
      ok(client.state.open, cookies)
    }
  })

  test(`${name}: strangers get no answer`, () => {
    const bench = new Bench({ security })
    const other =
      security === PSK
        ? { client: { psk: new Uint8Array(32) }, server: { psk: new Uint8Array(32) } }
        : {
            ...KEYS,
            client: { keyPair: SERVER_PAIR, remotePublicKey: keyPairOf(fromHex('33'.repeat(32))).publicKey },
          }
    const stranger = bench.client('10.6.6.6:6', { security: other })
    bench.settle(stranger)
    equal(stranger.state.open, false)
    equal(bench.server.counters.strangers, 1)
    equal(bench.fromServer.length, 0)

    // A changed byte anywhere, a cut, an unknown suite.
    const client = bench.client()
    const [initiation] = client.sent
    for (let at = 0; at < initiation!.length - 16; at++) {
      const changed = initiation!.slice()
      changed[at]! ^= 0x01
      bench.server.receive(changed, client.address, 0)
    }
    bench.server.receive(initiation!.subarray(1), client.address, 0)
    equal(bench.fromServer.length, 0)
    equal(bench.server.handshakes, 0)
    bench.settle(client)
    ok(client.state.open, 'the right one is still welcome')
  })

  test(`${name}: a captured initiation opens nothing a second time`, () => {
    const bench = new Bench({ security })
    const client = bench.client()
    const [initiation] = client.sent
    bench.server.receive(initiation!, client.address, 0)
    bench.server.receive(initiation!, '10.6.6.6:6', 0)
    deepEqual(
      bench.fromServer.map(({ to }) => to),
      [client.address, '10.6.6.6:6'],
      'the response is of no use to somebody else, and shorter than the question',
    )
    bench.to('10.6.6.6:6')
    bench.settle(client)
    equal(bench.server.associations, 1)
    for (const address of [client.address, '10.6.6.6:6']) bench.server.receive(initiation!, address, 0)
    equal(bench.fromServer.length, 0)
    equal(bench.server.counters.repeated, 4, 'one of them is the client that settles')
    bench.advance(119_999)
    bench.server.receive(initiation!, '10.6.6.6:6', bench.now)
    equal(bench.to('10.6.6.6:6').length, 0)
    equal(bench.server.handshakes, 0)
  })
}

test('what a peer without security sends is dropped, and counted as that', () => {
  const bench = new Bench()
  const push = new Uint8Array(24)
  push.set(fromHex('44332211 51'))
  bench.server.receive(push, 'a:1', 0)
  bench.server.receive(fromHex('44332211 61070000 04000000 02080000 e8030000'), 'a:1', 0)
  bench.server.receive(bytesOf('what is this?'), 'a:1', 0)
  bench.server.receive(new Uint8Array(), 'a:1', 0)
  equal(bench.server.counters.plain, 2)
  equal(bench.server.counters.foreign, 2)
  equal(bench.fromServer.length, 0)
})

test('no datagram of either end can be taken for one of KCP, a notice or FEC', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const bench = new Bench({ seed: seed * 1_000, limits: { cookies: seed % 2 === 0 ? 'always' : 'auto' } })
    const client = bench.client()
    const seen: Uint8Array[] = [...client.sent]
    for (let i = 0; i < 3; i++) {
      for (const datagram of client.sent.splice(0)) bench.server.receive(datagram, client.address, 0)
      for (const datagram of bench.to(client.address)) {
        seen.push(datagram)
        client.state.receive(datagram, 0)
      }
      if (client.state.open) client.send('x')
      seen.push(...client.sent)
    }
    ok(seen.length >= 3)
    for (const datagram of seen) ok(datagram[4]! >= 0x80 && datagram[4]! <= 0xbf, `seed ${seed}`)
  }
})

test('a key that is not authorized gets silence', () => {
  const asked: string[] = []
  const server = {
    keyPair: SERVER_PAIR,
    authorize: (key: Uint8Array): boolean => {
      asked.push(toHex(key))
      if (asked.length === 2) throw new Error('of the application')
      return false
    },
  }
  const bench = new Bench({ security: { client: KEYS.client, server } })
  const clients = [bench.client('a:1'), bench.client('a:2')]
  bench.settle(...clients)
  equal(bench.fromServer.length, 0)
  equal(bench.server.associations, 0)
  equal(bench.server.counters.unauthorized, 2)
  deepEqual(new Set(asked).size, 1)
})

test('an initiation is repeated as it was, and the handshake fails by time alone', () => {
  const bench = new Bench()
  const client = bench.client()
  const times: number[] = [0]
  const [first] = client.sent.splice(0)
  for (let now = 1; now <= 12_000; now++) {
    bench.advance(now, client)
    for (const datagram of client.sent.splice(0)) {
      times.push(now)
      deepEqual(datagram, first)
    }
  }
  deepEqual(times, [0, 250, 750, 1_750, 3_750, 5_750, 7_750, 9_750])
  equal(client.over, 1)
  equal(client.error?.code, 'ERR_KCP_HANDSHAKE')
  equal(client.error?.detail['timeout'], 10_000)
})

test('a lost answer is sent again, and nothing is computed for it', () => {
  const bench = new Bench()
  const client = bench.client()
  const [initiation] = client.sent.splice(0)
  bench.server.receive(initiation!, client.address, 0)
  const [lost] = bench.to(client.address)
  bench.advance(250, client)
  deepEqual(client.sent, [initiation])
  bench.server.receive(client.sent.shift()!, client.address, bench.now)
  const [again] = bench.to(client.address)
  deepEqual(again, lost)
  client.state.receive(again!, bench.now)
  ok(client.state.open)
  equal(bench.server.handshakes, 1)
})

test('a forged answer ends nothing: the right one still counts', () => {
  const bench = new Bench({ security: KEYS })
  const client = bench.client()
  bench.server.receive(client.sent.shift()!, client.address, 0)
  const [answer] = bench.to(client.address)
  for (let at = 5; at < answer!.length; at++) {
    const forged = answer!.slice()
    forged[at]! ^= 0x80
    client.state.receive(forged, 0)
  }
  equal(client.state.open, false)
  equal(client.state.counters.strangers, 68)
  client.state.receive(answer!, 0)
  ok(client.state.open)
})

test('a handshake that nobody goes on with is forgotten after 5 s', () => {
  const bench = new Bench()
  const client = bench.client()
  bench.server.receive(client.sent.shift()!, client.address, 0)
  equal(bench.server.handshakes, 1)
  bench.advance(4_999)
  equal(bench.server.handshakes, 1)
  bench.advance(5_000)
  equal(bench.server.handshakes, 0)
  equal(bench.server.associations, 0)
  equal(bench.closed.length, 0, 'it was never open')
  // Its client has keys of a late answer, but its server none: it goes on asking, and takes another answer.
  client.state.receive(bench.to(client.address)[0]!, bench.now)
  ok(client.state.open)
  for (let now = bench.now; now <= 8_000; now += 50) {
    bench.advance(now, client)
    bench.settle(client)
  }
  equal(bench.opened.length, 1)
  bench.send(bench.opened[0]!, 'x')
  client.send('y')
  bench.settle(client)
  deepEqual([...client.got, ...bench.atServer.map(({ plain }) => plain)], ['x', 'y'])
})

test('keys that no server has are given up after handshakeTimeout', () => {
  const bench = new Bench()
  const client = bench.client()
  bench.server.receive(client.sent.shift()!, client.address, 0)
  const [answer] = bench.to(client.address)
  client.state.receive(answer!, 0)
  ok(client.state.open)
  bench.advance(20_000, client)
  equal(client.error?.code, 'ERR_KCP_HANDSHAKE')
  equal(client.over, 1)
})

test('a client whose answers were lost for longer than that still gets in', () => {
  const bench = new Bench()
  const client = bench.client()
  for (let now = 0; now <= 9_000; now += 50) {
    bench.advance(now, client)
    for (const datagram of client.sent.splice(0)) bench.server.receive(datagram, client.address, now)
    const answers = bench.to(client.address)
    if (now > 7_000) for (const answer of answers) client.state.receive(answer, now)
  }
  bench.settle(client)
  equal(bench.opened.length, 1)
})

test('a way there and back may take longer than a handshake lives: who goes on asking gets in', () => {
  const bench = new Bench({ tuning: { handshakeTimeout: 30_000 } })
  const client = bench.client()
  bench.delayed(client, 3_500, 20_000)
  deepEqual([bench.opened.length, client.over], [1, 0])
  equal(bench.server.handshakes, 0)
})

test('under load nobody keeps a place by asking again', () => {
  const bench = new Bench({ limits: { maxHandshakes: 2, cookies: 'always' } })
  const client = bench.client()
  bench.server.receive(client.sent.shift()!, client.address, 0)
  client.state.receive(bench.to(client.address)[0]!, 0)
  const [initiation] = client.sent.splice(0)
  bench.server.receive(initiation!, client.address, 0)
  equal(bench.server.handshakes, 1)
  bench.advance(4_000)
  bench.server.receive(initiation!, client.address, 4_000)
  bench.advance(5_000)
  equal(bench.server.handshakes, 0)
})

test('a client that has nothing to say yet is kept as long as it is there', () => {
  const bench = new Bench({ silent: true })
  const client = bench.connected()
  for (let now = 0; now <= 3_600_000; now += 1_000) {
    bench.advance(now, client)
    bench.settle(client)
  }
  deepEqual([bench.server.associations, client.over], [1, 0])
  // A path that is cut for two minutes changes nothing.
  bench.advance(bench.now + 120_000, client)
  client.sent.length = 0
  bench.advance(bench.now + 10_000, client)
  bench.settle(client)
  bench.advance(bench.now + 175_000)
  equal(bench.server.associations, 1)
  client.send('x')
  bench.settle(client)
  equal(bench.atServer.at(-1)?.plain, 'x')
  // Who is not heard for three minutes is gone, whatever was heard of him by others.
  const said = client.state.seal(bytesOf('y'), bench.now)!.slice()
  bench.server.receive(said, client.address, bench.now)
  const since = bench.now
  bench.advance(since + 179_999)
  bench.server.receive(said, client.address, bench.now)
  equal(bench.server.associations, 1)
  bench.advance(since + 180_000)
  equal(bench.server.associations, 0)
})

test('keys that no session uses are forgotten after 30 s, and the client is told', () => {
  const bench = new Bench()
  const [idle, used] = [bench.connected('a:1'), bench.connected('a:2')]
  bench.server.use(bench.opened[0]!, false, 0)
  bench.advance(29_999)
  equal(bench.server.associations, 2)
  bench.advance(30_000)
  bench.settle(idle, used)
  equal(bench.server.associations, 1)
  bench.advance(31_000, idle, used)
  deepEqual([idle.over, used.over], [1, 0])
  bench.server.use(bench.opened[1]!, false, bench.now)
  bench.advance(61_000)
  equal(bench.server.associations, 0)
  equal(bench.closed.length, 2)
})

test('a server that slept gives its silent clients a minute to be heard', () => {
  for (const there of [true, false]) {
    const bench = new Bench({ silent: true })
    const client = bench.connected()
    bench.now = 3_000_000
    bench.server.run(bench.now)
    equal(bench.server.associations, 1)
    bench.advance(bench.now + 59_000)
    if (there) client.send('x')
    bench.settle(client)
    bench.advance(bench.now + 1_000)
    equal(bench.server.associations, there ? 1 : 0)
  }
})

test('keys that are forgotten because nobody uses them, while their client closes, are looked at once', () => {
  for (const silent of [false, true]) {
    const bench = new Bench({ silent })
    const client = bench.connected()
    if (!silent) bench.server.use(bench.opened[0]!, false, 0)
    const over = silent ? 180_000 : 30_000
    bench.advance(over - 500)
    // What says that it is still there would put it off.
    client.state.close(bench.now)
    const close = client.sent.pop()!
    bench.server.receive(close, client.address, bench.now)
    bench.server.run(over)
    ok(bench.server.deadline() > over, `${bench.server.deadline()}`)
    bench.server.run(bench.server.deadline())
    equal(bench.server.associations, 0)
  }
})

test('with cookies: 2 round trips, and nothing is computed for an address that did not answer', () => {
  const bench = new Bench({ limits: { cookies: 'always' } })
  const client = bench.client()
  const [first] = client.sent.splice(0)
  bench.server.receive(first!, client.address, 0)
  const [cookie] = bench.to(client.address)
  equal(cookie![0], DatagramType.Cookie)
  equal(cookie!.length, 53)
  equal(bench.server.handshakes, 0)
  client.state.receive(cookie!, 0)
  const [second] = client.sent.splice(0)
  deepEqual(second!.subarray(0, -16), first!.subarray(0, -16))
  notDeepEqual(second!.subarray(-16), first!.subarray(-16))
  bench.server.receive(second!, '10.6.6.6:6', 0)
  equal(bench.server.handshakes, 0, 'the cookie of another address')
  equal(bench.to('10.6.6.6:6')[0]![0], DatagramType.Cookie)
  client.state.receive(cookie!, 0)
  equal(client.sent.length, 0, 'the same cookie again says nothing')
  bench.server.receive(second!, client.address, 0)
  bench.settle(client)
  ok(client.state.open)
})

test('a cookie that was changed, or answers another initiation, is none', () => {
  const bench = new Bench({ limits: { cookies: 'always' } })
  const [one, two] = [bench.client('a:1'), bench.client('a:2')]
  for (const client of [one, two]) bench.server.receive(client.sent.shift()!, client.address, 0)
  const [cookie] = bench.to('a:1')
  for (let at = 5; at < cookie!.length; at++) {
    const forged = cookie!.slice()
    forged[at]! ^= 1
    one.state.receive(forged, 0)
  }
  equal(one.state.counters.forged, 48)
  const [others] = bench.to('a:2')
  others!.set(cookie!.subarray(1, 5), 1)
  one.state.receive(others!, 0)
  equal(one.state.counters.forged, 49)
  equal(one.sent.length, 0)
})

test('a cookie lives for 2 to 4 minutes', () => {
  for (const [at, good] of [
    [119_999, true],
    [239_999, true],
    [240_000, false],
    [1_000_000, false],
  ] as const) {
    const bench = new Bench({ limits: { cookies: 'always' } })
    const client = bench.client()
    bench.server.receive(client.sent.shift()!, client.address, 0)
    client.state.receive(bench.to(client.address)[0]!, 0)
    // Another handshake in between turns the secrets.
    bench.server.receive(bench.client('b:1').sent[0]!, 'b:1', Math.min(at, 120_000))
    bench.server.receive(client.sent.shift()!, client.address, at)
    const [answer] = bench.to(client.address)
    equal(answer![0] === DatagramType.Response, good, `${at} ms`)
  }
})

test('handshakes faster than allowed need a cookie', () => {
  const bench = new Bench({ limits: { handshakesPerSecond: 10 } })
  const clients = Array.from({ length: 15 }, (_, i) => bench.client(`10.0.${i}.1:1`))
  bench.settle(...clients)
  equal(bench.server.counters.cookies, 5)
  ok(clients.every(({ state }) => state.open))
  bench.advance(300)
  const later = Array.from({ length: 4 }, (_, i) => bench.client(`10.1.${i}.1:1`))
  bench.settle(...later)
  equal(bench.server.counters.cookies, 6, 'three came back')
})

test('the tables have bounds: handshakes, in all and of a host', () => {
  const bench = new Bench({
    limits: { maxHandshakes: 8, maxHandshakesPerHost: 3, handshakesPerSecond: 1_000_000 },
  })
  const ask = (address: string): void => {
    const client = bench.client(address)
    for (let i = 0; i < 2; i++) {
      for (const datagram of client.sent.splice(0)) bench.server.receive(datagram, address, bench.now)
      // The answers to full handshakes are lost, cookies are not.
      for (const datagram of bench.to(address)) {
        if (datagram[0] === DatagramType.Cookie) client.state.receive(datagram, bench.now)
      }
    }
  }
  // Three without a cookie; three with one, which take their places; two too many.
  for (let i = 0; i < 8; i++) ask(`a:${i}`)
  equal(bench.server.handshakes, 3)
  equal(bench.server.counters.full, 2)
  // One without a cookie, then half of the places are taken: four with one, and one that takes its place.
  for (let i = 0; i < 20; i++) ask(`host${i}:1`)
  equal(bench.server.handshakes, 8)
  equal(bench.server.counters.full, 2 + 14)
  bench.advance(5_000)
  equal(bench.server.handshakes, 0)
  ask('a:9')
  equal(bench.server.handshakes, 1)
})

test('the tables have bounds: associations, in all and of a host', () => {
  const bench = new Bench({ limits: { maxAssociations: 5, maxAssociationsPerHost: 3 } })
  const clients = Array.from({ length: 4 }, (_, i) => bench.client(`a:${i}`))
  bench.settle(...clients)
  deepEqual(
    clients.map(({ state }) => state.open),
    [true, true, true, false],
  )
  const others = Array.from({ length: 4 }, (_, i) => bench.client(`b${i}:1`))
  bench.settle(...others)
  deepEqual(
    others.map(({ state }) => state.open),
    [true, true, false, false],
  )
  equal(bench.server.associations, 5)
  equal(bench.server.counters.full, 3)
  clients[0]!.state.close(0)
  bench.settle(clients[0]!)
  bench.advance(1_000)
  equal(bench.server.associations, 4)
  const late = bench.connected('a:7')
  ok(late.state.open)
})

test('the tables have bounds: initiations remembered', () => {
  const bench = new Bench({ limits: { maxRemembered: 4, handshakesPerSecond: 1_000 } })
  const initiations: Uint8Array[] = []
  for (let i = 0; i < 20; i++) {
    const client = bench.client(`h${i}:1`)
    initiations.push(client.sent[0]!)
    bench.settle(client)
    ok(bench.server.remembered <= 8)
  }
  bench.server.receive(initiations[19]!, 'h19:1', 0)
  equal(bench.server.handshakes, 0, 'a late one is still known')
  // One that was forgotten costs a key exchange, and opens nothing: who repeats it has no keys.
  bench.server.receive(initiations[0]!, 'h0:1', 0)
  equal(bench.server.handshakes, 1)
  equal(bench.opened.length, 20)
})

test('a host that has proven itself and has no key gets 64 key exchanges in 5 s, and no more', () => {
  const [own, other] = [keyPairOf(fromHex('44'.repeat(32))), KEYS.client]
  const stranger = { keyPair: own, remotePublicKey: SERVER_PAIR.publicKey }
  const bench = new Bench({ security: { ...KEYS, client: stranger }, limits: { cookies: 'always' } })
  const { counters } = bench.server
  const knock = (host: string, times: number): void => {
    for (let i = 0; i < times; i++) bench.settle(bench.client(`${host}:${i}`))
  }
  knock('evil', 100)
  deepEqual([counters.unauthorized, counters.full], [64, 36])
  // Whoever knows the server's public key can make an initiation that nothing can be read from.
  bench.advance(5_000)
  const identity = identityOf(stranger, 'client', nodePrimitives)
  for (let i = 0; i < 100; i++) {
    const garbage = bench.client(`evil:${i}`).sent[0]!
    garbage.fill(i, 10, 40)
    const mac1 = macOf(nodePrimitives, identity.mac1Key, garbage, garbage.length - 32)
    garbage.set(mac1, garbage.length - 32)
    bench.server.receive(garbage, 'evil:1', bench.now)
    const cookie = openCookie(nodePrimitives, identity.cookieKey, bench.to('evil:1')[0]!, mac1)!
    garbage.set(mac2Of(nodePrimitives, cookie, garbage), garbage.length - 16)
    bench.server.receive(garbage, 'evil:1', bench.now)
  }
  deepEqual([counters.unreadable, counters.full], [64, 36 + 36])
  const friend = bench.connected('good:1', { security: { ...KEYS, client: other } })
  ok(friend.state.open, 'others are served')
  equal(bench.server.handshakes, 0)
})

test('who forges the address of another does not lock that one out', () => {
  const stranger = { keyPair: keyPairOf(fromHex('44'.repeat(32))), remotePublicKey: SERVER_PAIR.publicKey }
  const bench = new Bench({ security: KEYS, limits: { handshakesPerSecond: 1_000 } })
  for (let i = 0; i < 100; i++) {
    const [forged] = bench.client(`victim:${i}`, { security: { ...KEYS, client: stranger } }).sent
    bench.server.receive(forged!, `victim:${i}`, 0)
  }
  equal(bench.server.counters.unauthorized, 100)
  ok(bench.connected('victim:1').state.open)
})

test('a blocked address costs nothing, whatever it knows', () => {
  let asked = 0
  const primitives = {
    ...nodePrimitives,
    hmacSha256: (key: Uint8Array, data: Uint8Array) => {
      asked++
      return nodePrimitives.hmacSha256(key, data)
    },
  }
  const bench = new Bench({ primitives, isBlocked: (path) => path.startsWith('bad') })
  const client = bench.client('bad:1')
  asked = 0
  bench.server.receive(client.sent[0]!, 'bad:1', 0)
  equal(asked, 0)
  deepEqual([bench.server.counters.blocked, bench.fromServer.length], [1, 0])
  ok(bench.connected('good:1').state.open)
})
