/**
 * The authenticated mode: a server, clients of it, and somebody on the path who repeats, changes, cuts, sends on and
 * invents; some clients and their server also say what no honest end would, under the right keys. An input is an
 * operation, two numbers for it, ms to pass, and bytes. Most cases run with toy primitives, as what is read here does not
 * depend on the ciphers; one in eight with Node's.
 * @module
 */
import { readU32, writeU32 } from '../../src/core/segment.ts'
import { macOf } from '../../src/secure/identity.ts'
import {
  type Association,
  identityOf,
  resolveSecureLimits,
  resolveTuning,
  SecureClient,
  type SecureCounters,
  type SecurePrimitives,
  SecureServer,
} from '../../src/secure/index.ts'
import type { Keys } from '../../src/secure/keys.ts'
import { CHALLENGES_MAX, REJECT_AFTER_RECORDS, STRANGE_RECORDS_PER_SECOND } from '../../src/secure/limits.ts'
import { ControlKind, DatagramType, MAC_SIZE, RECORD_OVERHEAD } from '../../src/secure/wire.ts'
import type { KeyedCounter } from '../../src/session/keyed-counter.ts'
import type { Prng } from '../../src/sim/prng.ts'
import { keyPairOf, seededPrimitives } from '../secure/support.ts'
import { mutated, noise } from './mutate.ts'
import { require, type Subject } from './subject.ts'
import { toyPair, toyPrimitives } from './toy-primitives.ts'

/** Clients at once; each slot may be taken anew. */
const CLIENTS = 5
/** Clients of a case in all: handshakes are dear. */
const MOST_CLIENTS = 40
/** Datagrams under way, and those of the past that are kept to be repeated. */
const QUEUE = 64
const KEPT = 64
/** Eight hosts, the last of them blocked, with two ports each. */
const ADDRESSES: readonly string[] = Array.from({ length: 16 }, (_, i) => `h${i >> 1}:${i & 1}`)
const MTU = 1_200

export const Op = {
  Write: 0,
  Answer: 1,
  Settle: 2,
  Carry: 3,
  Lose: 4,
  Repeat: 5,
  SendOn: 6,
  Change: 7,
  Cut: 8,
  Splice: 9,
  Raw: 10,
  Head: 11,
  ClientControl: 12,
  ServerControl: 13,
  Roam: 14,
  Close: 15,
  Connect: 16,
  Use: 17,
  Stranger: 18,
  Wait: 19,
  WrongEnd: 20,
  WearOut: 21,
  CloseServer: 22,
  Flood: 23,
} as const
const OPS = 24
/** How often each is made, of their sum. */
const WEIGHTS = [20, 12, 16, 10, 3, 8, 6, 10, 2, 3, 3, 5, 6, 4, 2, 0.5, 1, 2, 4, 3, 2, 0.3, 0.05, 0.1]
const WEIGHT = WEIGHTS.reduce((sum, one) => sum + one, 0)

/** Reasons to drop a datagram: each that comes in has one at most. */
const DROPS = [
  'plain',
  'foreign',
  'blocked',
  'strangers',
  'repeated',
  'unreadable',
  'unauthorized',
  'full',
  'unknown',
  'replayed',
  'forged',
  'throttled',
  'hasty',
  'pointless',
] as const satisfies readonly (keyof SecureCounters)[]

interface Wire {
  readonly datagram: Uint8Array
  /** undefined: to the server. */
  readonly to: Client | undefined
  readonly from: string
}

interface Client {
  readonly name: string
  readonly state: SecureClient
  address: string
  /** What was sealed for it, and for the server by it, and did not arrive yet. */
  readonly forClient: Set<string>
  readonly forServer: Set<string>
  association: Association<string> | undefined
  /** It had keys that nobody has confirmed, and was answered once more: by a server that had forgotten the first time. */
  answeredAgain: boolean
  got: number
  over: number
}

function keyOf(datagram: Uint8Array): string {
  return Buffer.from(datagram).toString('latin1')
}

function dropsOf(counters: SecureCounters): number {
  let sum = 0
  for (const name of DROPS) sum += counters[name]
  return sum
}

/** What a forged datagram must not change. */
function digestOf<Path>(association: Association<Path>): string {
  const { pathKey, mtu, closing, closed, confirmed } = association
  const keys = (['current', 'previous', 'next'] as const).map((name) => {
    const { localIndex, sealed, window } = association[name] ?? {}
    return `${localIndex} ${sealed} ${window?.newest}`
  })
  return `${pathKey} ${mtu} ${closing} ${closed} ${confirmed} ${keys} ${association['candidate']?.key}`
}

export function secure(prng: Prng): Subject {
  const real = prng.chance(0.125)
  const primitives: SecurePrimitives = real ? seededPrimitives(prng.u32()) : toyPrimitives(prng.fork())
  const pair = (byte: number) => (real ? keyPairOf : toyPair)(new Uint8Array(32).fill(byte))
  const psk = new Uint8Array(32).fill(7)
  const withPairs = prng.chance(0.5)
  const serverPair = pair(5)
  // The fourth client's key is not let in, the fifth makes `authorize` throw.
  const pairs = Array.from({ length: CLIENTS }, (_, i) => pair(0x10 + i))
  const authorize = (key: Uint8Array): boolean => {
    const slot = pairs.findIndex(({ publicKey }) => keyOf(publicKey) === keyOf(key))
    if (slot === 4) throw new Error('the application fails')
    return slot >= 0 && slot < 3
  }
  const limits = resolveSecureLimits({
    cookies: prng.chance(0.3) ? 'always' : 'auto',
    handshakesPerSecond: prng.int(1, 10),
    maxHandshakes: prng.int(1, 6),
    maxHandshakesPerHost: prng.int(1, 4),
    maxAssociations: prng.int(2, 6),
    maxAssociationsPerHost: prng.int(1, 4),
    maxRemembered: prng.int(1, 8),
  })
  const tuning = resolveTuning({
    cipher: prng.chance(0.5) ? 'aes-256-gcm' : 'chacha20-poly1305',
    rekeyAfterRecords: prng.chance(0.5) ? prng.int(3, 30) : 100_000,
    rekeyAfterMs: prng.int(1_000, 120_000),
    probeMtu: prng.chance(0.5) ? 1_500 : 0,
    handshakeTimeout: 60_000,
  })
  const identity = identityOf(withPairs ? { keyPair: serverPair, authorize } : { psk }, 'server', primitives)

  let now = prng.int(0, 1_000_000)
  const queue: Wire[] = []
  const kept: Wire[] = []
  let keptAt = 0
  /** What holders of the keys have sent, initiations without mac2: nothing else may do anything. */
  const genuine = new Set<string>()
  let clientsMade = 0
  let texts = 0
  /** Of these, what answers a challenge that the server never made. */
  const invented = new Set<string>()
  /** What the server sent during the call at hand, bytes. */
  let answered = 0
  let delivered = 0

  const put = (datagram: Uint8Array, to: Client | undefined, from: string): void => {
    const copy = datagram.slice()
    const initiation = to === undefined && copy[0] === DatagramType.Initiation
    genuine.add(keyOf(initiation ? copy.subarray(0, copy.length - MAC_SIZE) : copy))
    const wire = { datagram: copy, to, from }
    kept[keptAt++ % KEPT] = wire
    queue.push(wire)
    if (queue.length > QUEUE) queue.shift()
  }

  const server: SecureServer<string> = new SecureServer<string>(
    {
      primitives,
      identity,
      tuning,
      limits,
      keyOf: (path) => path,
      hostOf: (path) => path.slice(0, path.indexOf(':')),
      isBlocked: (path) => path.startsWith('h7'),
      mtu: MTU,
      send: (datagram, path) => {
        answered += datagram.length
        // To where nobody is as well: for the one that was there last.
        const index = datagram[0] === DatagramType.Cookie ? 0 : readU32(datagram, 1)
        const to =
          clients.find(({ address }) => address === path) ??
          clients.find(({ state }) => state['indices'].has(index)) ??
          clients[0]!
        put(datagram, to, 'server')
      },
      onOpen: (association) => server.use(association, true, now),
      onData: (plain, association) => {
        delivered++
        const text = keyOf(plain)
        const client = everyClient.get(text.slice(0, text.indexOf(' ')))
        require(client?.forServer.delete(text) === true, `"${text}" came, and was not sent, or before`)
        const { association: first = association, answeredAgain } = client!
        require(first === association || answeredAgain, 'text of a client came with the keys of another')
        client!.association = association
        if (text.endsWith('7')) answer(client!)
        else if (text.endsWith('77')) association.close(now)
      },
      onMtu: () => undefined,
      onClosed: () => undefined,
    },
    now,
  )
  const everyClient = new Map<string, Client>()
  const clients: Client[] = []

  const connect = (slot: number, address: string): void => {
    if (clientsMade++ >= MOST_CLIENTS) return
    const client: Client = {
      name: `c${clientsMade}`,
      address,
      forClient: new Set(),
      forServer: new Set(),
      association: undefined,
      answeredAgain: false,
      got: 0,
      over: 0,
      state: new SecureClient(
        {
          primitives,
          identity: identityOf(
            withPairs ? { keyPair: pairs[slot]!, remotePublicKey: serverPair.publicKey } : { psk },
            'client',
            primitives,
          ),
          tuning,
          mtu: MTU,
          send: (datagram) => put(datagram, undefined, client.address),
          onData: (plain) => {
            client.got++
            require(client.forClient.delete(
              keyOf(plain),
            ), `"${keyOf(plain)}" came, and was not sent, or before`)
          },
          onOpen: () => undefined,
          onMtu: () => undefined,
          onClosed: () => {
            client.over++
            require(client.over === 1, 'a client ended twice')
          },
        },
        now,
      ),
    }
    clients[slot] = client
    everyClient.set(client.name, client)
    client.state.run(now)
  }
  for (let slot = 0; slot < CLIENTS; slot++) connect(slot, ADDRESSES[prng.int(0, 13)]!)

  const write = (client: Client): void => {
    const text = `${client.name} ${texts++}`
    const record = client.state.seal(Buffer.from(text), now)
    if (record === undefined) return
    client.forServer.add(text)
    put(record, undefined, client.address)
  }
  const answer = (client: Client): void => {
    const { association } = client
    if (association === undefined) return
    const text = `${client.name} ${texts++}`
    const record = association.seal(Buffer.from(text), now)
    if (record === undefined) return
    client.forClient.add(text)
    put(record, client, 'server')
  }

  /** How much a server keeps, and what of it no forged datagram may change. */
  const digest = (): string =>
    [...server['hosts'].keys()].map(digestOf).join('|') +
    `${server.handshakes} ${server['closing'].size} ${server['unused'].size}`

  const keysAtServer = (record: Uint8Array): Keys | undefined => {
    if (record.length < RECORD_OVERHEAD) return undefined
    const index = readU32(record, 1)
    return server['byIndex'].get(index)?.['keysOf'](index)
  }

  const toServer = (datagram: Uint8Array, from: string): void => {
    const initiation = datagram[0] === DatagramType.Initiation
    const honest = genuine.has(
      keyOf(initiation ? datagram.subarray(0, datagram.length - MAC_SIZE) : datagram),
    )
    const { counters } = server
    const before = dropsOf(counters) + counters.cookies
    const state = honest ? '' : digest()
    const { challenges, migrations } = counters
    const keys = initiation ? undefined : keysAtServer(datagram)
    const newest = keys?.window.newest
    answered = delivered = 0
    server.receive(datagram.slice(), from, now)
    require(challenges === counters.challenges ||
      newest !== keys?.window.newest, 'an old record made a challenge')
    require(migrations === counters.migrations ||
      !invented.has(keyOf(datagram)), 'an address was proven by nothing')
    const drops = dropsOf(counters) + counters.cookies - before
    require(drops === 0 || drops === 1, `${drops} reasons to drop one datagram`)
    require(honest || drops === 1, 'what nobody sealed was taken')
    const data = datagram[0] === DatagramType.Data && drops === 0 ? 1 : 0
    require(delivered === data, `${delivered} datagrams out of one, ${drops} drops`)
    if (initiation) require(answered <= datagram.length, `${answered} bytes for ${datagram.length}`)
    if (honest) return
    require(initiation || answered === 0, `${answered} bytes for a forged record`)
    require(digest() === state, 'a forged datagram changed something')
  }

  const toClient = (datagram: Uint8Array, client: Client): void => {
    const { state } = client
    const honest = genuine.has(keyOf(datagram))
    const association = state['association']
    const before = dropsOf(state.counters)
    const { cookies } = state.counters
    const digested = association === undefined ? '' : digestOf(association)
    const { got } = client
    const dead = client.over > 0
    const sent = keptAt
    if (honest && datagram[0] === DatagramType.Response && association?.confirmed === false)
      client.answeredAgain = true
    state.receive(datagram.slice(), now)
    const drops = dropsOf(state.counters) - before
    require(drops === 0 || drops === 1, `${drops} reasons to drop one datagram`)
    if (drops === 0 && datagram[0] === DatagramType.Cookie && !dead)
      require(cookies < state.counters.cookies, 'a cookie was dropped uncounted')
    const data = datagram[0] === DatagramType.Data && drops === 0 && !dead ? 1 : 0
    require(client.got - got === data, `${client.got - got} datagrams out of one, ${drops} drops`)
    if (dead) require(drops === 0, 'a client that is over counted something')
    if (honest || dead) return
    require(drops === 1, 'what nobody sealed was taken')
    require(keptAt === sent, 'a forged datagram was answered')
    require(state['association'] === association, 'a forged datagram made keys')
    if (association === undefined) return
    require(digestOf(association) === digested, 'a forged datagram changed something')
  }

  const deliver = ({ datagram, to, from }: Wire): void => {
    if (to === undefined) toServer(datagram, from)
    else toClient(datagram, to)
  }
  /** Where `one` went, from there; or from somewhere else. */
  const redeliver = (datagram: Uint8Array, one: Wire, from = one.from): void =>
    deliver({ ...one, datagram, from })

  const keptOf = (x: number): Wire => kept[x % kept.length]!

  const act = (op: number, x: number, y: number, rest: Uint8Array): void => {
    const client = clients[x % CLIENTS]!
    const address = ADDRESSES[y % ADDRESSES.length]!
    switch (op % OPS) {
      case Op.Write:
        write(client)
        break
      case Op.Answer:
        answer(client)
        break
      case Op.Settle:
        for (let i = 0; i < 16 && queue.length > 0; i++) deliver(queue.shift()!)
        break
      case Op.Carry:
        if (queue.length > 0) deliver(queue.splice(x % queue.length, 1)[0]!)
        break
      case Op.Lose:
        queue.splice(0, 1 + (x & 3))
        break
      case Op.Repeat:
        deliver(keptOf(x))
        break
      case Op.SendOn:
        redeliver(keptOf(x).datagram, keptOf(x), address)
        break
      case Op.Change: {
        const copy = keptOf(x).datagram.slice()
        for (let i = 0; i + 1 < rest.length; i += 2) copy[rest[i]! % copy.length]! ^= rest[i + 1]!
        redeliver(copy, keptOf(x), y & 0x80 ? address : undefined)
        break
      }
      case Op.Cut:
        redeliver(keptOf(x).datagram.subarray(0, y), keptOf(x))
        break
      case Op.Splice: {
        const [head, tail] = [keptOf(x).datagram, keptOf(y).datagram]
        const at = rest.length > 0 ? rest[0]! : 13
        redeliver(Buffer.concat([head.subarray(0, at), tail.subarray(at)]), keptOf(x))
        break
      }
      case Op.Raw:
        if (y & 0x80) toClient(rest, client)
        else toServer(rest, address)
        break
      case Op.Head: {
        // A record for keys that are there: the server's, or the client's.
        const target = y & 0x80 ? client.state['association'] : client.association
        const forged = new Uint8Array(RECORD_OVERHEAD + rest.length)
        forged[0] = x & 0x80 ? DatagramType.Control : DatagramType.Data
        writeU32(forged, 1, target?.['current'].localIndex ?? 0x8000_0000)
        forged.set(rest, y & 0x40 ? RECORD_OVERHEAD : 5)
        if (y & 0x80) toClient(forged, client)
        else toServer(forged, address)
        break
      }
      case Op.ClientControl: {
        const sent = keptAt
        client.state['association']?.['control'](rest[0] ?? 0, rest.subarray(1))
        // Nothing is sent without keys, and then the latest datagram is an honest one.
        if (rest[0] === ControlKind.PathResponse && keptAt > sent) {
          invented.add(keyOf(queue.at(-1)!.datagram))
        }
        break
      }
      case Op.ServerControl:
        client.association?.['control'](rest[0] ?? 0, rest.subarray(1))
        break
      case Op.Roam:
        client.address = address
        break
      case Op.Close:
        if (y & 1) client.association?.close(now)
        else client.state.close(now)
        break
      case Op.Connect:
        connect(x % CLIENTS, address)
        break
      case Op.Use:
        if (client.association !== undefined) server.use(client.association, (y & 1) === 0, now)
        break
      case Op.Stranger: {
        // With keys like these everybody can make mac1 who knows the server's public key; here with a psk too.
        const copy = client.state['initiation'].slice()
        for (let i = 0; i + 1 < rest.length; i += 2) copy[rest[i]! % copy.length]! ^= rest[i + 1]!
        const mac1At = copy.length - 2 * MAC_SIZE
        copy.set(macOf(primitives, identity.mac1Key, copy, mac1At), mac1At)
        toServer(copy, address)
        break
      }
      case Op.Wait:
        now += 2 ** (x % 18)
        break
      case Op.WrongEnd:
        if (keptOf(x).to === undefined) toClient(keptOf(x).datagram, clients[y % CLIENTS]!)
        else toServer(keptOf(x).datagram, address)
        break
      case Op.WearOut: {
        const association = y & 1 ? client.association : client.state['association']
        const keys: Keys | undefined = association?.['current']
        if (keys !== undefined) keys.sealed = Math.max(keys.sealed, REJECT_AFTER_RECORDS - (y >> 1))
        break
      }
      case Op.CloseServer:
        server.close(now)
        break
      default: {
        // Op.Flood: more than are tried of one peer from other addresses in a second.
        const forged = new Uint8Array(RECORD_OVERHEAD)
        forged[0] = DatagramType.Data
        writeU32(forged, 1, client.association?.['current'].localIndex ?? 0x8000_0000)
        for (let i = 0; i <= STRANGE_RECORDS_PER_SECOND; i++) toServer(forged, address)
      }
    }
  }

  const bounded = (): void => {
    const { associations, handshakes, remembered } = server
    require(associations <= limits.maxAssociations, `${associations} associations`)
    require(handshakes <= limits.maxHandshakes, `${handshakes} handshakes`)
    require(remembered <= 2 * limits.maxRemembered, `${remembered} initiations remembered`)
    // Present, former and next keys.
    require(server['byIndex'].size <= 3 * associations, `${server['byIndex'].size} numbers of keys`)
    require(server['closing'].size <= associations, 'closing')
    require(server['unused'].size <= associations, 'unused')
    require(server['pendingOf'].size === handshakes, 'handshakes by association')
    require(server['unvalidated'].size <= handshakes, 'handshakes without a cookie')
    require(server['vain'].size <= limits.maxRemembered, 'hosts that tried in vain')
    const sum = (counts: KeyedCounter, most: number): number => {
      let all = 0
      for (const [host, count] of counts['counts']) {
        require(count > 0 && count <= most, `${count} of ${host}`)
        all += count
      }
      return all
    }
    require(sum(server['countByHost'], limits.maxAssociationsPerHost) === associations, 'counts by host')
    require(sum(server['pendingByHost'], limits.maxHandshakesPerHost) === handshakes, 'handshakes by host')
    require(sum(server['unvalidatedByHost'], limits.maxHandshakesPerHost) ===
      server['unvalidated'].size, 'by host')
    for (const association of server['hosts'].keys()) {
      require(association['challenged'].size <= CHALLENGES_MAX, 'addresses challenged')
      require(association['parts'].size <= 16 && association['parts'].bytes <= 65_536, 'parts')
      require(association.mtu <= Math.max(MTU, tuning.probeMtu), `an mtu of ${association.mtu}`)
      require(!association.closed, 'an association that is over was kept')
    }
    for (const { state } of clients) {
      // The first, present, former and next keys, and those that are asked for.
      require(state['indices'].size <= 5, `${state['indices'].size} numbers of keys`)
    }
  }

  return {
    make() {
      let draw = prng.next() * WEIGHT
      let op = 0
      while (op < OPS - 1 && draw >= WEIGHTS[op]!) draw -= WEIGHTS[op++]!
      let rest: Uint8Array = new Uint8Array()
      if (op === Op.Change || op === Op.Stranger) {
        rest = noise(prng, 4)
        // The head is where the fields are.
        if (rest.length > 0 && prng.chance(0.5)) rest[0] = prng.int(0, 16)
      } else if (op === Op.Splice) rest = Uint8Array.of(prng.int(0, 60))
      else if (op === Op.Raw) {
        rest =
          kept.length > 0 && prng.chance(0.5) ? mutated(prng, keptOf(prng.u32()).datagram) : noise(prng, 150)
      } else if (op === Op.Head) rest = noise(prng, 60)
      else if (op === Op.ClientControl || op === Op.ServerControl) {
        const kind = prng.chance(0.9) ? prng.int(1, 9) : prng.int(0, 255)
        const size =
          kind === ControlKind.RekeyInitiation
            ? withPairs
              ? 100
              : 52
            : kind === ControlKind.RekeyResponse
              ? 52
              : 8
        rest = new Uint8Array(1 + (prng.chance(0.8) ? size : prng.int(0, 120)))
        for (let i = 1; i < rest.length; i++) rest[i] = prng.u32()
        rest[0] = kind
        if (kind === ControlKind.ProbeAck) rest = Uint8Array.of(kind, prng.u32(), prng.int(0, 6))
      }
      const input = new Uint8Array(4 + rest.length)
      const ms = prng.chance(0.8) ? prng.int(0, 30) : prng.int(0, 255)
      input.set([op, prng.u32(), prng.u32(), ms])
      input.set(rest, 4)
      return input
    },
    feed(input) {
      const [op = 0, x = 0, y = 0, ms = 0] = input
      now += ms
      if (now >= server.deadline()) server.run(now)
      for (const { state } of clients) if (now >= state.deadline()) state.run(now)
      act(op, x, y, input.slice(4))
      bounded()
    },
  }
}
