/**
 * For the tests of the authenticated mode: hex, and primitives whose key pairs and random bytes come from a seed.
 * @module
 */
import type { KcpError } from '../../src/core/errors.ts'
import { nodePrimitives, publicKeyOf } from '../../src/node/secure-primitives.ts'
import {
  type Association,
  type ClientKeys,
  identityOf,
  type KeyPair,
  resolveSecureLimits,
  resolveTuning,
  SecureClient,
  type SecureLimits,
  type SecurePrimitives,
  SecureServer,
  type SecureTuning,
  type ServerKeys,
  type SharedKey,
} from '../../src/secure/index.ts'
import { Prng } from '../../src/sim/index.ts'

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.replace(/\s/g, '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export function keyPairOf(privateKey: Uint8Array): KeyPair {
  return { privateKey, publicKey: publicKeyOf(privateKey) }
}

/** Node's primitives, with chance from a seed: two runs make the same bytes. */
export function seededPrimitives(seed: number, base: SecurePrimitives = nodePrimitives): SecurePrimitives {
  const prng = new Prng(seed)
  const fill = (bytes: Uint8Array, start: number, end: number): void => {
    for (let i = start; i < end; i++) bytes[i] = prng.int(0, 255)
  }
  return {
    ...base,
    random: fill,
    generateKeyPair: () => {
      const privateKey = new Uint8Array(32)
      fill(privateKey, 0, 32)
      return keyPairOf(privateKey)
    },
  }
}

/** What `SecureServer` knows addresses by here: 'host:port'. */
export type Address = string

/** One server and any number of clients, with the wire in the test's hands. */
export class Bench {
  readonly server: SecureServer<Address>
  /** What the server sent and nobody took yet. */
  readonly fromServer: { readonly datagram: Uint8Array; readonly to: Address }[] = []
  readonly opened: Association<Address>[] = []
  readonly closed: { readonly association: Association<Address>; readonly error: KcpError | undefined }[] = []
  readonly atServer: { readonly plain: string; readonly association: Association<Address> }[] = []
  readonly security: { readonly client: SharedKey | ClientKeys; readonly server: SharedKey | ServerKeys }
  readonly tuning: SecureTuning
  now = 0
  /** Larger datagrams of clients are lost. */
  limit: number = Number.POSITIVE_INFINITY
  private readonly primitives: SecurePrimitives
  private seed: number

  constructor(options: BenchOptions = {}) {
    this.seed = options.seed ?? 1
    this.tuning = options.tuning ?? {}
    this.primitives = options.primitives ?? nodePrimitives
    const primitives = seededPrimitives(this.seed, this.primitives)
    this.security = options.security ?? PSK
    this.server = new SecureServer<Address>(
      {
        primitives,
        identity: identityOf(this.security.server, 'server', primitives),
        tuning: resolveTuning(this.tuning),
        limits: resolveSecureLimits(options.limits ?? {}),
        keyOf: (path) => path,
        hostOf: (path) => path.split(':')[0]!,
        isBlocked: options.isBlocked,
        mtu: options.mtu ?? 1_400,
        send: (datagram, to) => this.fromServer.push({ datagram: datagram.slice(), to }),
        onOpen: (association) => {
          this.opened.push(association)
          if (options.silent !== true) this.server.use(association, true, this.now)
        },
        onData: (plain, association) => this.atServer.push({ plain: textOf(plain), association }),
        onMtu: () => undefined,
        onClosed: (association, error) => this.closed.push({ association, error }),
      },
      0,
    )
  }

  /** A client whose first datagram is on the wire. */
  client(address: Address = '10.0.0.1:1000', options: BenchOptions = {}): TestClient {
    const primitives = seededPrimitives(++this.seed, options.primitives ?? this.primitives)
    return new TestClient(this, address, primitives, {
      ...options,
      security: options.security ?? this.security,
      tuning: options.tuning ?? this.tuning,
    })
  }

  /** A client that is connected. */
  connected(address?: Address, options: BenchOptions = {}): TestClient {
    const client = this.client(address, options)
    this.settle(client)
    if (!client.state.open) throw new Error('not connected')
    return client
  }

  /** Carries what is on the wire, at once and without fault, until nothing is. */
  settle(...clients: readonly TestClient[]): void {
    for (let moved = true; moved; ) {
      moved = false
      for (const client of clients) {
        for (const datagram of client.sent.splice(0)) {
          if (datagram.length <= this.limit) this.server.receive(datagram, client.address, this.now)
          moved = true
        }
        for (const datagram of this.to(client.address)) {
          client.state.receive(datagram, this.now)
          moved = true
        }
      }
    }
  }

  /** Until `to`: each datagram arrives `delay` ms after it was sent. */
  delayed(client: TestClient, delay: number, to: number): void {
    const wire: { readonly at: number; readonly arrive: () => void }[] = []
    for (let now = this.now; now <= to; now += 50) {
      this.advance(now, client)
      while (wire.length > 0 && wire[0]!.at <= now) wire.shift()!.arrive()
      const at = now + delay
      const { address } = client
      for (const datagram of client.sent.splice(0))
        wire.push({ at, arrive: () => this.server.receive(datagram, address, this.now) })
      for (const datagram of this.to(address))
        wire.push({ at, arrive: () => client.state.receive(datagram, this.now) })
    }
  }

  /** Takes off the wire what the server sent to an address. */
  to(address: Address): Uint8Array[] {
    const taken: Uint8Array[] = []
    for (let i = 0; i < this.fromServer.length; ) {
      if (this.fromServer[i]!.to === address) taken.push(this.fromServer.splice(i, 1)[0]!.datagram)
      else i++
    }
    return taken
  }

  /** Moves the time, and runs what becomes due on the way. */
  advance(to: number, ...clients: readonly TestClient[]): void {
    for (;;) {
      const at = Math.min(this.server.deadline(), ...clients.map(({ state }) => state.deadline()))
      if (at > to) break
      this.now = Math.max(this.now, at)
      this.server.run(this.now)
      for (const { state } of clients) state.run(this.now)
    }
    this.now = to
  }

  send(association: Association<Address>, text: string): void {
    association.sealTo(bytesOf(text), this.now, (record, to) =>
      this.fromServer.push({ datagram: record.slice(), to }),
    )
  }
}

export interface BenchOptions {
  /** Clients connect, and no session begins. */
  readonly silent?: boolean
  readonly security?: { readonly client: SharedKey | ClientKeys; readonly server: SharedKey | ServerKeys }
  readonly tuning?: SecureTuning
  readonly limits?: SecureLimits
  readonly mtu?: number
  readonly seed?: number
  readonly primitives?: SecurePrimitives
  readonly isBlocked?: (path: Address) => boolean
}

export class TestClient {
  readonly state: SecureClient
  /** What it sent and nobody took yet. */
  readonly sent: Uint8Array[] = []
  readonly got: string[] = []
  readonly mtus: number[] = []
  silences = 0
  opened = 0
  over = 0
  error: KcpError | undefined
  address: Address
  private readonly bench: Bench

  constructor(bench: Bench, address: Address, primitives: SecurePrimitives, options: BenchOptions) {
    this.bench = bench
    this.address = address
    this.state = new SecureClient(
      {
        primitives,
        identity: identityOf(options.security!.client, 'client', primitives),
        tuning: resolveTuning(options.tuning!),
        mtu: options.mtu ?? 1_400,
        send: (datagram) => this.sent.push(datagram.slice()),
        onData: (plain) => this.got.push(textOf(plain)),
        onOpen: () => this.opened++,
        onMtu: (mtu) => this.mtus.push(mtu),
        onSilence: () => this.silences++,
        onClosed: (error) => {
          this.over++
          this.error = error
        },
      },
      bench.now,
    )
    this.state.run(bench.now)
  }

  send(text: string): void {
    this.state.sealTo(bytesOf(text), this.bench.now, (record) => this.sent.push(record.slice()))
  }
}

export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

export function textOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}

const SHARED = { psk: Uint8Array.from({ length: 32 }, (_, i) => i + 1) }
/** The two ways of knowing each other. */
export const PSK: NonNullable<BenchOptions['security']> = { client: SHARED, server: SHARED }
export const CLIENT_PAIR: KeyPair = keyPairOf(new Uint8Array(32).fill(0x0c))
export const SERVER_PAIR: KeyPair = keyPairOf(new Uint8Array(32).fill(0x05))
export const KEYS: NonNullable<BenchOptions['security']> = {
  client: { keyPair: CLIENT_PAIR, remotePublicKey: SERVER_PAIR.publicKey },
  server: { keyPair: SERVER_PAIR, authorize: (key) => toHex(key) === toHex(CLIENT_PAIR.publicKey) },
}
