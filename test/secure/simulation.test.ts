import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import {
  identityOf,
  resolveSecureLimits,
  resolveTuning,
  SecureClientTransport,
  SecureServerTransport,
} from '../../src/secure/index.ts'
import type { PeerAddress } from '../../src/session/transport.ts'
import { createMemoryNetwork, Prng, VirtualClock } from '../../src/sim/index.ts'
import { Roaming } from './roaming.ts'
import { bytesOf, KEYS, PSK, seededPrimitives, textOf } from './support.ts'

/** Seeds of this run; each takes some milliseconds. SEED=n runs one of them, SEEDS=n more. */
const SEEDS = Number(process.env['SEEDS'] ?? 100)

/** Two ends on a bad network with somebody on the path who repeats, changes and invents what he likes. */
function run(seed: number): number {
  const prng = new Prng(seed)
  const clock = new VirtualClock(prng.int(0, 1_000_000))
  const network = createMemoryNetwork({
    clock,
    seed,
    poison: true,
    link: {
      delayMs: prng.int(0, 100),
      jitterMs: prng.int(0, 100),
      loss: prng.int(0, 30) / 100,
      duplicate: prng.int(0, 20) / 100,
      reorder: prng.int(0, 20) / 100,
      reorderMs: prng.int(1, 1_000),
      corrupt: prng.int(0, 20) / 100,
    },
  })
  const security = prng.chance(0.5) ? PSK : KEYS
  const tuning = resolveTuning({
    cipher: prng.chance(0.5) ? 'aes-256-gcm' : 'chacha20-poly1305',
    rekeyAfterRecords: prng.int(20, 200),
    probeMtu: prng.chance(0.5) ? 1_500 : 0,
    handshakeTimeout: 60_000,
  })
  const primitives = seededPrimitives(seed)
  const common = { clock, tuning, mtu: 1_200 }
  const listening = network.transport('server')
  const at = listening.localAddress()
  const server = new SecureServerTransport<PeerAddress>(
    {
      ...common,
      transport: listening,
      primitives,
      identity: identityOf(security.server, 'server', primitives),
    },
    resolveSecureLimits({ cookies: prng.chance(0.3) ? 'always' : 'auto' }),
    ({ address, port }) => `${address}|${port}`,
    ({ address }) => address,
  )
  const atServer: string[] = []
  const atClient: string[] = []
  let peer: PeerAddress | undefined
  const peers = new Set<PeerAddress>()
  let over = 0
  server.start({
    onDatagram: (plain, from) => {
      peers.add(from)
      peer = from
      server.use(from, true)
      atServer.push(textOf(plain))
    },
    onError: () => undefined,
    onClose: () => undefined,
    onPeerClosed: () => over++,
  })
  const roaming = new Roaming(network, 'client')
  const events = { onOpen: () => opened++, onFailed: () => over++, onError: () => undefined }
  let opened = 0
  const clientPrimitives = seededPrimitives(seed + 1_000_000)
  const client = new SecureClientTransport<PeerAddress>(
    {
      ...common,
      transport: roaming,
      primitives: clientPrimitives,
      identity: identityOf(security.client, 'client', clientPrimitives),
    },
    at,
    ({ address, port }) => address === at.address && port === at.port,
    events,
  )
  const captured: { datagram: Uint8Array; to: PeerAddress }[] = []
  network.tap = ({ event, to }, datagram) => {
    if (event === 'send' && datagram.length > 0 && captured.length < 500)
      captured.push({ datagram: datagram.slice(), to })
  }
  const attack = (): void => {
    const { datagram, to } = captured[prng.int(0, captured.length - 1)]!
    const forged = datagram.slice()
    if (prng.chance(0.7)) forged[prng.int(0, forged.length - 1)]! ^= prng.int(1, 255)
    const from = prng.chance(0.5)
      ? { address: 'thief', port: prng.int(1, 60_000) }
      : to === at
        ? roaming.localAddress()
        : at
    network.inject(prng.chance(0.1) ? forged.subarray(0, prng.int(0, forged.length)) : forged, from, to)
  }

  void client.open()
  client.start({
    onDatagram: (plain) => atClient.push(textOf(plain)),
    onError: () => undefined,
    onClose: () => undefined,
    onPeerClosed: () => over++,
  })
  const why = `seed ${seed}`
  for (let i = 0; i < 600 && opened === 0; i++) clock.advance(100)
  equal(opened, 1, why)
  const sent: string[] = []
  const answers: string[] = []
  for (let i = 0; i < 300; i++) {
    clock.advance(prng.int(0, 60))
    if (prng.chance(0.02)) roaming.move()
    if (captured.length > 0 && prng.chance(0.3)) attack()
    const text = `c${i} ${'x'.repeat(prng.int(0, 300))}`
    sent.push(text)
    client.send(bytesOf(text), at)
    if (peer !== undefined && prng.chance(0.8)) {
      const answer = `s${i} ${'y'.repeat(prng.int(0, 300))}`
      answers.push(answer)
      server.send(bytesOf(answer), peer)
    }
  }
  // The network heals, and what is sent now arrives, after new keys and a new address too.
  network.set({ loss: 0, duplicate: 0, reorder: 0, corrupt: 0 })
  clock.advance(5_000)
  const before = [atServer.length, atClient.length]
  for (let i = 0; i < 50; i++) {
    client.send(bytesOf(`healed ${i}`), at)
    clock.advance(300)
    server.send(bytesOf(`healed ${i}`), peer!)
    clock.advance(300)
  }
  const healed = Array.from({ length: 50 }, (_, i) => `healed ${i}`)
  deepEqual(atServer.slice(before[0]).sort(), [...healed].sort(), why)
  deepEqual(atClient.slice(before[1]).sort(), [...healed].sort(), why)
  for (const [got, all] of [
    [atServer.slice(0, before[0]), sent],
    [atClient.slice(0, before[1]), answers],
  ] as const) {
    equal(new Set(got).size, got.length, `${why}: something came twice`)
    const known = new Set(all)
    ok(
      got.every((text) => known.has(text)),
      `${why}: something came that was never sent`,
    )
  }
  equal(peers.size, 1, why)
  equal(over, 0, why)
  deepEqual([peer!.address, peer!.port], [roaming.localAddress().address, roaming.localAddress().port], why)
  return client.counters.rekeys
}

test('whatever a network and a forger do, what arrives was sent, and once', () => {
  const only = process.env['SEED']
  if (only !== undefined) {
    run(Number(only))
    return
  }
  let rekeys = 0
  for (let seed = 1; seed <= SEEDS; seed++) rekeys += run(seed)
  ok(rekeys > SEEDS, `new keys ${rekeys} times only`)
})
