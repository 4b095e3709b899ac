import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { ControlKind, DatagramType, type Identity, RECORD_OVERHEAD } from '../../src/secure/index.ts'
import { Prng } from '../../src/sim/index.ts'
import {
  Bench,
  bytesOf,
  CLIENT_PAIR,
  fromHex,
  KEYS,
  keyPairOf,
  SERVER_PAIR,
  type TestClient,
  toHex,
} from './support.ts'

/** Keys and their counters, which nothing but a test looks at. */
interface Inside {
  current: { sealed: number; localIndex: number }
  association: Inside
  options: { identity: Identity }
  control(kind: number, body: Uint8Array): void
}
function inside(state: unknown): Inside {
  return state as Inside
}

/** What has been sealed for the server so far, one by one. */
function sealed(client: TestClient, ...texts: readonly string[]): Uint8Array[] {
  client.sent.length = 0
  for (const text of texts) client.send(text)
  return client.sent.splice(0)
}

/** What goes over the wire first, byte for byte; with chance from seed 7. */
const WIRE = {
  sharedKey: [
    // type, sender, suite · e · sealed nothing · mac1 · mac2
    `01 124df480 01 e645f38178f538fb1cba3a6f60e8f3a9409d6dc221e0f6bddfcde65a803b6845
     68bf17afceacd394f592777b083f02c8 a29834d5bfebd19a124f4f6bee14bffa 00000000000000000000000000000000`,
    // type, receiver · e · sealed sender · mac1
    `02 124df480 7f45787d8e4217a562fcf8c0d8e7c3559332d924ebce58131a26a2d899764200
     76a8e4cdca42da479a01eb17fd2802703187d107 9ce605adab6682736c0aac2c5fc0d6b3`,
    // type, receiver · counter · sealed 'hello'
    '04 21c342ba 0100000000000000 38b1ce1109 660fa3a3b2de412cc5fdc6eef438391b',
  ],
  keys: [
    // type, sender, suite · e · sealed s · sealed nothing · mac1 · mac2
    `01 124df480 01 e645f38178f538fb1cba3a6f60e8f3a9409d6dc221e0f6bddfcde65a803b6845
     687f2da448fcca3b2116de40e1284c503f9b47e4f0c15e6cb05afc46d733d266af1875b08c79ef74ad7e8beff25d764c
     c514af393ced8f295000f8ce98b195f2 c474a253c054571c5c241f703522bd6b 00000000000000000000000000000000`,
    `02 124df480 7f45787d8e4217a562fcf8c0d8e7c3559332d924ebce58131a26a2d899764200
     b38467caae6d6a6911b39a27dbd6e95dd5bebc4f 276885882ae354d226a17e99f8bc49b2`,
    '04 21c342ba 0100000000000000 f705934ede 25ecfb0599775d15a1d5f7f392a13652',
  ],
  // type, receiver · nonce · sealed cookie
  cookie: `03 124df480 21c342baa2af8ae8e8a99a24d0727815
           1950ee08ccd3affe85306100c587fd7fa9357fde2811c1ac06753ef1280d8f58`,
}

test('these bytes go over the wire, and a record has 29 more than what it carries', () => {
  for (const [expected, security] of [
    [WIRE.sharedKey, undefined],
    [WIRE.keys, KEYS],
  ] as const) {
    const bench = new Bench({ seed: 7, ...(security && { security }) })
    const client = bench.client()
    const seen = [client.sent[0]!]
    bench.server.receive(client.sent.shift()!, client.address, 0)
    seen.push(bench.fromServer[0]!.datagram)
    bench.settle(client)
    seen.push(...sealed(client, 'hello'))
    deepEqual(
      seen.map(toHex),
      expected.map((hex) => hex.replace(/\s/g, '')),
    )
    equal(seen[2]!.length, 'hello'.length + RECORD_OVERHEAD)
  }
  equal(RECORD_OVERHEAD, 29)
  const bench = new Bench({ seed: 7, limits: { cookies: 'always' } })
  const client = bench.client()
  bench.server.receive(client.sent[0]!, client.address, 0)
  equal(toHex(bench.fromServer[0]!.datagram), WIRE.cookie.replace(/\s/g, ''))
})

test('a record counts once', () => {
  const bench = new Bench()
  const client = bench.connected()
  const records = sealed(client, 'a', 'b', 'c')
  for (const i of [2, 0, 2, 1, 0, 1, 2]) bench.server.receive(records[i]!, client.address, 0)
  deepEqual(
    bench.atServer.map(({ plain }) => plain),
    ['c', 'a', 'b'],
  )
  equal(bench.server.counters.replayed, 4)
})

test('a record older than the window is dropped, though it was never seen', () => {
  const bench = new Bench()
  const client = bench.connected()
  const texts = Array.from({ length: 2_050 }, (_, i) => String(i))
  const records = sealed(client, ...texts)
  bench.server.receive(records[2_049]!, client.address, 0)
  for (const i of [0, 1, 2, 3]) bench.server.receive(records[i]!, client.address, 0)
  deepEqual(
    bench.atServer.map(({ plain }) => plain),
    ['2049', '2', '3'],
  )
  equal(bench.server.counters.replayed, 2)
})

test('whatever is changed about a record, it is dropped, and nothing else happens', () => {
  const bench = new Bench()
  const client = bench.connected()
  const [record] = sealed(client, 'text')
  for (let bit = 0; bit < 8 * record!.length; bit++) {
    const changed = record!.slice()
    changed[bit >> 3]! ^= 1 << (bit & 7)
    bench.server.receive(changed, client.address, 0)
  }
  for (let size = 0; size < record!.length; size++) {
    bench.server.receive(record!.subarray(0, size), client.address, 0)
  }
  equal(bench.atServer.length, 0)
  equal(bench.fromServer.length, 0)
  bench.server.receive(record!, client.address, 0)
  deepEqual(
    bench.atServer.map(({ plain }) => plain),
    ['text'],
    'counters of forged records are not marked',
  )
})

test('what an end sent is nothing to itself, and a datagram is no control message', () => {
  const bench = new Bench()
  const client = bench.connected()
  const [record] = sealed(client, 'text')
  // Its own record, addressed to itself.
  const mirrored = record!.slice()
  new DataView(mirrored.buffer).setUint32(
    1,
    inside(inside(client.state).association).current.localIndex,
    true,
  )
  client.state.receive(mirrored, 0)
  equal(client.state.counters.forged, 1)
  const close = sealed(client, String.fromCharCode(ControlKind.Close))[0]!
  close[0] = DatagramType.Control
  bench.server.receive(close, client.address, 0)
  equal(bench.server.counters.forged, 1)
})

test("counters beyond 2^48 are nobody's", () => {
  const bench = new Bench()
  const client = bench.connected()
  const [record] = sealed(client, 'text')
  record!.set(fromHex('0000000000000100'), 5)
  bench.server.receive(record!, client.address, 0)
  record!.set(fromHex('ffffffffffffffff'), 5)
  bench.server.receive(record!, client.address, 0)
  equal(bench.server.counters.forged, 2)
  client.send('more')
  bench.settle(client)
  equal(bench.atServer.length, 1)
})

test('2^20 guesses of a close end nothing', () => {
  const bench = new Bench()
  const client = bench.connected()
  const [real] = sealed(client, 'x')
  const guess = real!.slice(0, RECORD_OVERHEAD + 1)
  guess[0] = DatagramType.Control
  const prng = new Prng(20)
  const view = new DataView(guess.buffer)
  let tried = 0
  for (let i = 0; i < 2 ** 20; i++) {
    view.setUint32(5, prng.int(0, 4_000), true)
    view.setUint32(13, prng.u32(), true)
    view.setUint32(17, prng.u32(), true)
    view.setUint32(21, prng.u32(), true)
    view.setUint32(25, prng.u32(), true)
    // One in 256 from the client's own address, which is always tried; the rest from a forger's.
    const own = i % 256 === 0
    if (own) tried++
    bench.server.receive(guess, own ? client.address : '10.6.6.6:6', i / 1_000)
  }
  const { counters } = bench.server
  equal(counters.forged + counters.throttled + counters.replayed, 2 ** 20)
  ok(counters.throttled > 2 ** 20 - tried - 300, 'a forger costs no more than 100 tries a second')
  equal(bench.server.associations, 1)
  client.send('still here')
  bench.settle(client)
  deepEqual(
    bench.atServer.map(({ plain }) => plain),
    ['still here'],
  )
})

test('a close is believed, and what it overtook is still read', () => {
  const bench = new Bench()
  const client = bench.connected()
  const [late] = sealed(client, 'late')
  client.state.close(0)
  equal(client.over, 1)
  bench.settle(client)
  equal(bench.server.associations, 1)
  bench.now = 500
  bench.server.receive(late!, client.address, 500)
  deepEqual(
    bench.atServer.map(({ plain }) => plain),
    ['late'],
  )
  bench.advance(999)
  equal(bench.closed.length, 0)
  bench.advance(1_000)
  equal(bench.server.associations, 0)
  deepEqual(
    bench.closed.map(({ error }) => error),
    [undefined],
  )
  bench.server.receive(late!, client.address, 1_000)
  equal(bench.server.counters.unknown, 1)
})

test('a server that closes tells every client', () => {
  const bench = new Bench()
  const clients = [bench.connected('a:1'), bench.connected('a:2')]
  bench.server.close(0)
  bench.settle(...clients)
  bench.advance(1_000, ...clients)
  deepEqual(
    clients.map(({ over, error }) => [over, error]),
    [
      [1, undefined],
      [1, undefined],
    ],
  )
  equal(bench.server.associations, 0)
  equal(clients[0]!.state.seal(bytesOf('x'), bench.now), undefined)
})

// ---- keys ------------------------------------------------------------------------------------------------------

for (const security of [undefined, KEYS]) {
  const name = security === undefined ? 'a shared key' : 'X25519 keys'
  test(`${name}: new keys after so many records, and nothing is lost meanwhile`, () => {
    const bench = new Bench({ tuning: { rekeyAfterRecords: 10 }, ...(security && { security }) })
    const client = bench.connected()
    const binding = client.state.hash
    for (let i = 0; i < 100; i++) {
      bench.now += 200
      client.send(`c${i}`)
      bench.send(bench.opened[0]!, `s${i}`)
      bench.settle(client)
    }
    deepEqual(
      bench.atServer.map(({ plain }) => plain),
      Array.from({ length: 100 }, (_, i) => `c${i}`),
    )
    deepEqual(
      client.got,
      Array.from({ length: 100 }, (_, i) => `s${i}`),
    )
    ok(client.state.counters.rekeys >= 8, `${client.state.counters.rekeys}`)
    equal(client.state.counters.rekeys, bench.server.counters.rekeys)
    equal(client.state.hash, binding, 'what is bound to the association stays so')
    deepEqual(bench.opened[0]!.hash, binding)
  })
}

test('the records of the other direction count too', () => {
  const bench = new Bench({ tuning: { rekeyAfterRecords: 10 } })
  const client = bench.connected()
  for (let i = 0; i < 12; i++) {
    bench.send(bench.opened[0]!, `s${i}`)
    bench.settle(client)
  }
  equal(client.state.counters.rekeys, 1)
})

test('new keys after two minutes in use; silence keeps the old ones', () => {
  const bench = new Bench()
  const client = bench.connected()
  const say = (at: number): void => {
    bench.advance(at, client)
    client.send('.')
    bench.settle(client)
  }
  for (let at = 10_000; at < 120_000; at += 10_000) say(at)
  equal(client.state.counters.rekeys, 0)
  say(120_000)
  equal(client.state.counters.rekeys, 1)
  bench.advance(3_600_000, client)
  bench.settle(client)
  equal(client.state.counters.rekeys, 1)
  say(3_600_001)
  say(3_600_002)
  equal(client.state.counters.rekeys, 2)
})

test('what was sealed with former keys is read for a minute', () => {
  const bench = new Bench({ tuning: { rekeyAfterRecords: 4 } })
  const client = bench.connected()
  const late = sealed(client, 'late', 'later')
  for (let i = 0; i < 4; i++) {
    client.send('.')
    bench.settle(client)
  }
  equal(client.state.counters.rekeys, 1)
  const at = bench.now
  bench.server.receive(late[0]!, client.address, at)
  bench.now = at + 60_000
  client.send('.')
  bench.settle(client)
  bench.server.receive(late[1]!, client.address, bench.now)
  deepEqual(
    bench.atServer.map(({ plain }) => plain).filter((text) => text !== '.'),
    ['late'],
  )
})

test('each message of a key exchange may be lost', () => {
  for (let lost = 0; lost < 8; lost++) {
    const bench = new Bench({ tuning: { rekeyAfterRecords: 5 } })
    const client = bench.connected()
    for (let i = 0; i < 5; i++) {
      client.send('.')
      bench.settle(client)
    }
    // From here on the datagrams, of both ends, in turn; one is lost.
    let passing = 0
    for (let now = 0; now < 10_000; now += 50) {
      bench.advance(now, client)
      for (let i = 0; i < 4; i++) {
        for (const datagram of client.sent.splice(0)) {
          if (passing++ !== lost) bench.server.receive(datagram, client.address, now)
        }
        for (const datagram of bench.to(client.address)) {
          if (passing++ !== lost) client.state.receive(datagram, now)
        }
      }
      client.send('.')
    }
    ok(client.state.counters.rekeys >= 1, `lost ${lost}`)
    equal(client.over, 0)
    bench.send(bench.opened[0]!, 'x')
    bench.settle(client)
    deepEqual(client.got, ['x'], `lost ${lost}`)
  }
})

test('a server that goes over while its answers are lost for more than a minute is followed', () => {
  const bench = new Bench({ tuning: { rekeyAfterRecords: 5 } })
  const client = bench.connected()
  for (let i = 0; i < 5; i++) client.send('.')
  for (let now = 0; now <= 90_000; now += 250) {
    bench.advance(now, client)
    for (const datagram of client.sent.splice(0)) {
      // What the server hears: the beginning, and the first datagram after the blackout.
      if (now < 3_000 || now > 80_000) bench.server.receive(datagram, client.address, now)
    }
    const answers = bench.to(client.address)
    // The answer to the question arrives, the one to the first use of the keys does not.
    const arrive = now > 85_000 ? answers : bench.server.counters.rekeys === 0 ? answers : []
    for (const datagram of arrive) client.state.receive(datagram, now)
  }
  ok(client.state.counters.rekeys >= 1)
  client.send('at last')
  bench.settle(client)
  equal(bench.atServer.at(-1)?.plain, 'at last')
})

test('a peer gets new keys once a second at most', () => {
  const bench = new Bench({ tuning: { rekeyAfterRecords: 1 } })
  const client = bench.connected()
  for (let now = 0; now <= 3_000; now += 10) {
    bench.advance(now, client)
    client.send('.')
    bench.settle(client)
  }
  ok(
    bench.server.counters.rekeys >= 2 && bench.server.counters.rekeys <= 4,
    `${bench.server.counters.rekeys}`,
  )
  ok(bench.server.counters.hasty > 0)
})

test('who lets records pass but no new keys ends the association, after 3 minutes', () => {
  const bench = new Bench({ tuning: { rekeyAfterMs: 10_000 } })
  const client = bench.connected()
  const exchange = 4 + 48 + 1 + RECORD_OVERHEAD
  for (let now = 0; now <= 200_000 && client.over === 0; now += 1_000) {
    bench.advance(now, client)
    client.send('.')
    for (const datagram of client.sent.splice(0)) {
      if (datagram.length !== exchange) bench.server.receive(datagram, client.address, now)
    }
    bench.send(bench.opened[0]!, '.')
    for (const datagram of bench.to(client.address)) client.state.receive(datagram, now)
  }
  equal(client.error?.code, 'ERR_KCP_HANDSHAKE')
  equal(bench.now, 190_000)
})

test('a path that was cut and a machine that slept withhold nothing: new keys come afterwards', () => {
  const bench = new Bench({ tuning: { rekeyAfterMs: 10_000 } })
  const client = bench.connected()
  bench.advance(5_000, client)
  client.send('.')
  bench.settle(client)
  bench.advance(10_000, client)
  client.send('.')
  // The question for new keys, and its repeats for ten minutes.
  bench.advance(600_000, client)
  client.sent.length = 0
  equal(client.state.counters.rekeys, 0)
  bench.send(bench.opened[0]!, 'x')
  client.state.receive(bench.to(client.address)[0]!, bench.now)
  deepEqual([client.got, client.over], [['x'], 0])
  bench.advance(603_000, client)
  bench.settle(client)
  deepEqual([client.state.counters.rekeys, client.over], [1, 0])
})

test('new keys are agreed on a path that takes longer than a handshake may', () => {
  const bench = new Bench({ tuning: { rekeyAfterRecords: 5 } })
  const client = bench.connected()
  for (let i = 0; i < 5; i++) client.send('.')
  // 4 s each way.
  bench.delayed(client, 4_000, 60_000)
  // The server goes over first.
  ok(client.state.counters.rekeys >= 3, `${client.state.counters.rekeys}`)
  ok(bench.server.counters.rekeys - client.state.counters.rekeys <= 1)
  equal(bench.server.counters.unknown, 0)
})

test('a client that asks for new keys with another static key gets none', () => {
  const other = keyPairOf(new Uint8Array(32).fill(0x44))
  const asked: string[] = []
  const authorize = (key: Uint8Array): boolean => asked.push(toHex(key)) > 0
  const security = { client: KEYS.client, server: { keyPair: SERVER_PAIR, authorize } }
  const bench = new Bench({ security, tuning: { rekeyAfterRecords: 5 } })
  const client = bench.connected()
  const { association } = inside(client.state)
  const { identity } = association.options
  association.options.identity = { ...identity, keyPair: other }
  for (let i = 0; i < 6; i++) client.send('.')
  bench.settle(client)
  deepEqual([bench.server.counters.unreadable, bench.server.counters.rekeys], [1, 0])
  equal(toHex(bench.opened[0]!.remotePublicKey!), toHex(CLIENT_PAIR.publicKey))
  deepEqual(asked, [toHex(CLIENT_PAIR.publicKey)], 'the other key is nobody here')
})

test('authorize is asked again for new keys, and anything but true ends the association', () => {
  const refusals: readonly (readonly [string, () => unknown])[] = [
    ['false', () => false],
    ['a promise', () => Promise.resolve(true)],
    [
      'a throw',
      () => {
        throw new Error('of the application')
      },
    ],
  ]
  for (const [name, refusal] of refusals) {
    const asked: string[] = []
    let answer: () => unknown = () => true
    const authorize = (key: Uint8Array): boolean => {
      asked.push(toHex(key))
      return answer() as boolean
    }
    const security = { client: KEYS.client, server: { keyPair: SERVER_PAIR, authorize } }
    const bench = new Bench({ security, tuning: { rekeyAfterRecords: 10 } })
    const client = bench.connected()
    const say = (times: number): void => {
      for (let i = 0; i < times; i++) {
        bench.now += 200
        client.send('.')
        bench.settle(client)
      }
    }
    say(11)
    deepEqual([asked.length, bench.server.counters.rekeys], [2, 1], name)
    answer = refusal
    say(11)
    deepEqual(new Set(asked), new Set([toHex(CLIENT_PAIR.publicKey)]))
    equal(bench.server.counters.unauthorized, 1, name)
    equal(bench.server.associations, 0, name)
    equal(bench.closed[0]?.error?.code, 'ERR_KCP_HANDSHAKE', name)
    bench.advance(bench.now + 1_000, client)
    equal(client.over, 1, `${name}: the client is told`)
  }
})

test('keys that are used up seal nothing any more', () => {
  const bench = new Bench()
  const client = bench.connected()
  inside(inside(client.state).association).current.sealed = 2 ** 23
  client.send('x')
  equal(client.sent.length, 0)
  equal(client.error?.code, 'ERR_KCP_HANDSHAKE')
  equal(client.state.counters.unsent, 1)
})

// ---- addresses -------------------------------------------------------------------------------------------------

test('a client that has a new address is followed once it has shown that it is there', () => {
  const bench = new Bench()
  const client = bench.connected('old:1')
  const [association] = bench.opened
  client.address = 'new:2'
  client.send('moved')
  bench.server.receive(client.sent.shift()!, client.address, 0)
  equal(bench.atServer.at(-1)!.plain, 'moved', 'what it says is read at once')
  const [challenge] = bench.to('new:2')
  equal(challenge!.length, RECORD_OVERHEAD + 9)
  bench.send(association!, 'to the old address')
  equal(bench.to('old:1').length, 1)
  client.state.receive(challenge!, 0)
  bench.server.receive(client.sent.shift()!, client.address, 0)
  equal(association!.path, 'new:2')
  equal(bench.server.counters.migrations, 1)
  bench.send(association!, 'to the new one')
  bench.settle(client)
  deepEqual(client.got, ['to the new one'])
})

test('a thousand new ports, and nothing is lost that was sent', () => {
  const bench = new Bench()
  const client = bench.connected('host:1')
  for (let i = 0; i < 1_000; i++) {
    bench.now += 50
    client.address = `host:${1_000 + i}`
    client.send(String(i))
    bench.settle(client)
    equal(bench.opened[0]!.path, client.address)
  }
  equal(bench.server.counters.migrations, 1_000)
  equal(bench.atServer.length, 1_000)
  deepEqual([bench.server.associations, client.over, bench.closed.length], [1, 0, 0])
})

test('who sends on a record from his own address gets a challenge, and no more', () => {
  const bench = new Bench()
  const client = bench.connected('home:1')
  let toThief = 0
  let fromThief = 0
  for (let i = 0; i < 500; i++) {
    bench.now += 10
    const [record] = sealed(client, `${i}`)
    // The thief is faster than the client, and forges the source.
    bench.server.receive(record!, 'victim:9', bench.now)
    fromThief += record!.length
    bench.server.receive(record!, client.address, bench.now)
    bench.send(bench.opened[0]!, 'x'.repeat(1_000))
    bench.settle(client)
    for (const datagram of bench.to('victim:9')) toThief += datagram.length
  }
  equal(bench.opened[0]!.path, 'home:1')
  equal(client.got.length, 500)
  ok(toThief <= 3 * fromThief, `${toThief} for ${fromThief}`)
  ok(toThief <= 50 * (RECORD_OVERHEAD + 9), 'one challenge in 100 ms')
})

test('an address is challenged every 100 ms at most, and ten addresses in that time', () => {
  const bench = new Bench()
  const client = bench.connected('home:1')
  const at: Map<string, number[]> = new Map()
  const step = (now: number, thief: string): void => {
    bench.advance(now, client)
    const [copy] = sealed(client, 'x')
    bench.server.receive(copy!, thief, now)
    // Then a newer one from the client's own address, as it is still there.
    client.send('y')
    bench.server.receive(client.sent.shift()!, 'home:1', now)
    for (const { to } of bench.fromServer.splice(0)) at.set(to, [...(at.get(to) ?? []), now])
  }
  for (let now = 0; now < 5_000; now += 6) step(now, 'thief:1')
  const times = at.get('thief:1')!
  ok(times.length >= 45 && times.length <= 50, `${times.length} challenges in 5 s`)
  for (let i = 1; i < times.length; i++) ok(times[i]! - times[i - 1]! >= 100, `${times[i]}`)

  at.clear()
  for (let now = 10_000; now < 15_000; now += 6) step(now, `thief:${now}`)
  const all = [...at.values()].flat()
  ok(all.length <= 10 * 51, `${all.length} challenges`)
  for (let from = 10_000; from < 15_000; from += 100) {
    const count = all.filter((time) => time >= from && time < from + 100).length
    ok(count <= 10 + 1, `${count} challenges in 100 ms`)
  }
  // The client is followed all the same.
  bench.now = 16_000
  client.address = 'new:2'
  client.send('moved')
  bench.settle(client)
  equal(bench.opened[0]!.path, 'new:2')
})

test('a challenge is answered late, after records from the former address: it still counts', () => {
  const bench = new Bench()
  const client = bench.connected('a:1')
  client.send('1')
  bench.server.receive(client.sent.shift()!, 'b:2', 0)
  const [challenge] = bench.to('b:2')
  client.send('2')
  bench.server.receive(client.sent.shift()!, 'a:1', 10)
  client.send('3')
  bench.server.receive(client.sent.shift()!, 'b:2', 20)
  equal(bench.to('b:2').length, 0)
  client.state.receive(challenge!, 300)
  bench.server.receive(client.sent.pop()!, 'b:2', 300)
  equal(bench.opened[0]!.path, 'b:2')
  // The answer counts once.
  const answer = bench.server.counters.migrations
  client.state.receive(challenge!, 310)
  equal(bench.server.counters.migrations, answer)
})

test('an answer from elsewhere, or with other bytes, proves nothing; an old record is no move', () => {
  const bench = new Bench()
  const client = bench.connected('a:1')
  const [old] = sealed(client, 'old')
  client.send('new')
  bench.settle(client)
  bench.server.receive(old!, 'b:2', 0)
  equal(bench.to('b:2').length, 0)
  client.address = 'b:2'
  client.send('moved')
  bench.server.receive(client.sent.shift()!, 'b:2', 0)
  client.state.receive(bench.to('b:2')[0]!, 0)
  bench.server.receive(client.sent.shift()!, 'c:3', 0)
  equal(bench.opened[0]!.path, 'a:1')
  inside(inside(client.state).association).control(ControlKind.PathResponse, new Uint8Array(8))
  bench.server.receive(client.sent.shift()!, 'b:2', 0)
  equal(bench.opened[0]!.path, 'a:1')
})

test('a control record that means nothing is counted, and answered by nothing', () => {
  for (const side of ['client', 'server'] as const) {
    const bench = new Bench()
    const client = bench.connected()
    const { association } = inside(client.state)
    const [sender, counters] =
      side === 'server' ? [association, bench.server.counters] : [bench.opened[0]!, client.state.counters]
    const control = (kind: number, size: number): void => inside(sender).control(kind, new Uint8Array(size))
    let count = 0
    for (const [kind, size] of [
      [0, 0],
      [77, 5],
      [ControlKind.PathChallenge, 7],
      [ControlKind.PathResponse, 8],
      [ControlKind.ProbeAck, 2],
      [ControlKind.ProbeAck, 3],
      [ControlKind.RekeyInitiation, 3],
      [ControlKind.RekeyResponse, 52],
    ] as const) {
      control(kind, size)
      bench.settle(client)
      equal(counters.pointless, ++count, `${kind} to the ${side}`)
    }
    control(ControlKind.Pong, 0)
    control(ControlKind.Ping, 0)
    control(ControlKind.PathChallenge, 8)
    bench.settle(client)
    equal(counters.pointless, count)
    deepEqual([bench.closed.length, client.over], [0, 0])
  }
})

// ---- path mtu --------------------------------------------------------------------------------------------------

test('the largest datagram that arrives is found', () => {
  for (const limit of [1_200, 1_201, 1_280, 1_399, 1_452, 1_500, 9_000]) {
    const bench = new Bench({ tuning: { probeMtu: 1_500 }, mtu: 1_200 })
    bench.limit = limit
    const client = bench.connected(undefined, { mtu: 1_200 })
    for (let now = 0; now < 60_000; now += 100) {
      bench.advance(now, client)
      bench.settle(client)
    }
    const found = client.mtus.at(-1) ?? 1_200
    const best = Math.min(limit, 1_500)
    ok(found <= best && found > best - 16, `${found} of ${best}`)
    client.send('y'.repeat(1_000))
    bench.settle(client)
    equal(bench.atServer.length, 1)
  }
})

test('a peer cannot say that more fits than was tried', () => {
  const bench = new Bench({ tuning: { probeMtu: 1_400 }, mtu: 1_200 })
  const client = bench.connected()
  const { control } = inside(inside(client.state).association)
  control.call(inside(client.state).association, ControlKind.ProbeAck, fromHex('ffff'))
  bench.settle(client)
  equal(bench.opened[0]!.mtu <= 1_400, true)
})
