/**
 * What the authenticated mode costs: a record each way beside the same datagram without, and a handshake. Medians of
 * several rounds in turn, so that a neighbour's load falls on all alike.
 *
 *     npm run bench -- --only secure
 *
 * @module
 */
import { aesGcmCipher } from '../src/node/ciphers.ts'
import { generateKeyPair, nodePrimitives } from '../src/node/secure-primitives.ts'
import {
  type ClientKeys,
  identityOf,
  resolveSecureLimits,
  resolveTuning,
  SecureClient,
  type SecurePrimitives,
  SecureServer,
  type SecureTuning,
  type ServerKeys,
  type SharedKey,
} from '../src/secure/index.ts'
import { noblePrimitives } from '../test/secure/noble.ts'
import { type Effort, FULL, figureOf, type Report, show } from './rounds.ts'

const SIZE = 1_200
/** Node's OpenSSL, and the libraries in JavaScript that a browser would use. */
const LIBRARIES = [
  ['node', nodePrimitives],
  ['noble', noblePrimitives],
] as const

interface Ends {
  readonly client: SharedKey | ClientKeys
  readonly server: SharedKey | ServerKeys
}

function sharedKey(): Ends {
  const psk = new Uint8Array(32)
  nodePrimitives.random(psk, 0, 32)
  return { client: { psk }, server: { psk } }
}

function keyPairs(): Ends {
  const [home, guest] = [generateKeyPair(), generateKeyPair()]
  return {
    client: { keyPair: guest, remotePublicKey: home.publicKey },
    server: { keyPair: home, authorize: () => true },
  }
}

/** Two ends in memory; the clock stands still. */
class Pair {
  readonly client: SecureClient
  private readonly primitives: SecurePrimitives
  readonly server: SecureServer<string>
  private readonly toServer: Uint8Array[] = []
  private readonly toClient: Uint8Array[] = []
  delivered = 0

  constructor(ends: Ends, tuning: SecureTuning, primitives: SecurePrimitives = nodePrimitives) {
    this.primitives = primitives
    this.server = this.makeServer(ends)
    this.client = new SecureClient(
      {
        primitives,
        identity: identityOf(ends.client, 'client', primitives),
        tuning: resolveTuning(tuning),
        mtu: 1_400,
        send: (datagram) => this.toServer.push(datagram.slice()),
        onData: () => undefined,
        onOpen: () => undefined,
        onMtu: () => undefined,
        onClosed: () => undefined,
      },
      0,
    )
    this.client.run(0)
    while (this.toServer.length + this.toClient.length > 0) {
      for (const datagram of this.toServer.splice(0)) this.server.receive(datagram, 'client', 0)
      for (const datagram of this.toClient.splice(0)) this.client.receive(datagram, 0)
    }
  }

  private makeServer(ends: Ends): SecureServer<string> {
    const { primitives } = this
    return new SecureServer<string>(
      {
        primitives,
        identity: identityOf(ends.server, 'server', primitives),
        tuning: resolveTuning({}),
        limits: resolveSecureLimits({ handshakesPerSecond: 1_000_000 }),
        keyOf: (path) => path,
        hostOf: (path) => path,
        mtu: 1_400,
        send: (datagram) => this.toClient.push(datagram.slice()),
        onOpen: () => undefined,
        onData: () => this.delivered++,
        onMtu: () => undefined,
        onClosed: () => undefined,
      },
      0,
    )
  }
}

interface Contestant {
  readonly what: string
  /** Does it `times`; µs for each. */
  readonly run: (times: number) => number
  readonly times: number
}

function timed(times: number, work: () => void): number {
  const start = performance.now()
  for (let i = 0; i < times; i++) work()
  return ((performance.now() - start) * 1_000) / times
}

/** A record each way, and one that somebody invented. */
function recordsOf(name: string, pair: Pair): Contestant[] {
  const datagram = new Uint8Array(SIZE).fill(7)
  const records: Uint8Array[] = []
  const forged = pair.client.seal(datagram, 0)!.slice()
  // Ahead of all others, or it would be dropped for its counter.
  forged[10] = 1
  return [
    {
      what: `${name}, seal`,
      times: 3_000,
      run: (times) => timed(times, () => records.push(pair.client.seal(datagram, 0)!.slice())),
    },
    {
      what: `${name}, open`,
      times: 3_000,
      run: (times) => {
        const taken = records.splice(0, times)
        let i = 0
        return timed(taken.length, () => pair.server.receive(taken[i++]!, 'client', 0))
      },
    },
    {
      what: `${name}, a forged record`,
      times: 2_000,
      run: (times) => timed(times, () => pair.server.receive(forged, 'client', 0)),
    },
  ]
}

function contestants(): Contestant[] {
  const datagram = new Uint8Array(SIZE).fill(7)
  const list: Contestant[] = []
  const buffer = new Uint8Array(SIZE + 64)
  list.push({
    what: 'plain: a copy of 1,200 bytes',
    times: 20_000,
    run: (times) => timed(times, () => buffer.set(datagram, 16)),
  })
  const kcpGo = aesGcmCipher(new Uint8Array(16).fill(1))
  list.push({
    what: "crypto: kcp-go's AES-128-GCM, seal",
    times: 3_000,
    run: (times) => timed(times, () => kcpGo.seal(buffer, kcpGo.headroom, kcpGo.headroom + SIZE)),
  })
  for (const [library, primitives] of LIBRARIES) {
    for (const cipher of ['chacha20-poly1305', 'aes-256-gcm'] as const) {
      list.push(...recordsOf(`${library}, ${cipher}`, new Pair(sharedKey(), { cipher }, primitives)))
    }
  }
  const stranger = new Uint8Array(86)
  stranger.set([1, 0, 0, 0, 0x80, 1])
  const known = new Pair(sharedKey(), {})
  list.push({
    what: "a stranger's initiation",
    times: 3_000,
    run: (times) => timed(times, () => known.server.receive(stranger, 'stranger', 0)),
  })
  for (const [library, primitives] of LIBRARIES) {
    for (const [name, ends] of [
      ['a shared key', sharedKey()],
      ['key pairs', keyPairs()],
    ] as const) {
      list.push({
        what: `${library}, a handshake, ${name}, both ends`,
        times: 60,
        run: (times) => timed(times, () => void new Pair(ends, {}, primitives)),
      })
    }
  }
  return list
}

/** Every cost, the median of several rounds. */
export async function benchSecure(effort: Effort): Promise<Report> {
  const all = contestants().map((one) => ({ ...one, seen: [] as number[] }))
  for (let round = 0; round <= effort.rounds; round++) {
    for (const { run, times, seen } of all) {
      const us = run(Math.max(10, Math.round((times * effort.roundMs) / FULL.roundMs)))
      // The first round warms up.
      if (round > 0) seen.push(us)
    }
  }
  const figures = all.map(({ what, seen }) => ({ what, us: figureOf(seen) }))
  return {
    name: 'secure',
    what: [`µs for a datagram of ${SIZE} bytes, or for a handshake: what the authenticated mode costs.`],
    header: ['', 'µs'],
    lines: figures.map(({ what, us }) => [what, show(us.median)]),
    figures,
  }
}
