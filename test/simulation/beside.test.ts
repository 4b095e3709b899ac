/**
 * What a talkative session costs the transfer beside it: both share a path with a rate, a queue and some loss. The same
 * seeds, once with repeats and once without.
 */
import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import type { KcpConfig } from '../../src/core/config.ts'
import { Acceptor } from '../../src/session/acceptor.ts'
import { resolveSessionConfig } from '../../src/session/config.ts'
import { connectTo } from '../../src/session/connection.ts'
import { resolveLimits } from '../../src/session/listener-limits.ts'
import { Scheduler } from '../../src/session/scheduler.ts'
import type { KcpSession } from '../../src/session/session.ts'
import type { PeerAddress } from '../../src/session/transport.ts'
import { VirtualClock } from '../../src/sim/clock.ts'
import { createMemoryNetwork } from '../../src/sim/memory.ts'
import { Prng } from '../../src/sim/prng.ts'

const SEEDS = Number(process.env['SEEDS'] ?? 3)
/** How long, ms of virtual time; a message of 64 bytes each 20 ms beside a transfer that never waits for its writer. */
const DURATION = 20_000
const EVERY = 20
const MESSAGE = 64
/** What a transfer may lose beside repeats. */
const LOSS_MAX = 0.03

/** Bytes of the transfer that arrived. */
function goodput(seed: number, talk: KcpConfig): number {
  const clock = new VirtualClock()
  const scheduler = new Scheduler(clock)
  const prng = new Prng(seed)
  const path = { delayMs: 30, rateBytesPerSec: 1_000_000, queueBytes: 100_000, loss: 0.01 }
  const network = createMemoryNetwork({ clock, seed, link: path })
  const far = network.transport('server')
  const config = resolveSessionConfig({ preset: 'turbo', kcp: { ...talk, sndWnd: 256 } })
  let bytes = 0
  const acceptor = new Acceptor<PeerAddress>({
    transport: far,
    config,
    limits: resolveLimits({}),
    codec: undefined,
    scheduler,
    random: () => prng.u32(),
    hasBacklog: () => true,
    onSessions: ([session], { port }) => {
      session!.onChange = () => {
        for (let got = session!.recv(); got !== undefined; got = session!.recv())
          if (port === 1) bytes += got.length
      }
    },
  })
  far.start({
    onDatagram: (datagram, peer) => acceptor.receive(datagram, peer, clock.now()),
    onError: () => undefined,
    onClose: () => undefined,
  })
  const client = (conv: number, kcp: KcpConfig): KcpSession => {
    const transport = network.transport('client')
    const { kcp: settings, ...rest } = resolveSessionConfig({ preset: 'turbo', kcp: { ...kcp, sndWnd: 256 } })
    const way = connectTo<PeerAddress>({
      transport,
      peer: far.localAddress(),
      codec: undefined,
      cipher: undefined,
      fec: undefined,
      config: { ...rest, kcp: settings },
      mtu: settings.mtu,
      conv,
      channels: 1,
      clockOffset: prng.u32(),
      clock,
      touch: (one) => scheduler.touch(one),
      warn: () => undefined,
    })
    const session = way.sessions[0]!
    scheduler.add(session)
    transport.start({
      onDatagram: (datagram) => way.receiveSealed(datagram),
      onError: () => undefined,
      onClose: () => undefined,
    })
    return session
  }
  const bulk = client(1, { maxInFlight: 60 })
  const talker = client(2, talk)
  const piece = new Uint8Array(1376)
  const fill = (): void => {
    while (bulk.writable) bulk.write(piece, clock.now())
    scheduler.touch(bulk)
  }
  bulk.onChange = () => {
    while (bulk.writable) bulk.write(piece, clock.now())
  }
  fill()
  const speak = (): void => {
    talker.write(piece.subarray(0, MESSAGE), clock.now())
    scheduler.touch(talker)
    clock.setTimeout(speak, EVERY)
  }
  speak()
  clock.advance(DURATION)
  return bytes
}

for (const talk of [
  { redundancy: 1 },
  { redundancy: 2 },
  { redundancy: 'auto' },
  { redundancy: 'auto', lossDetection: 'time' },
] as const) {
  test(`a transfer beside ${JSON.stringify(talk)} loses next to nothing: ${SEEDS} seeds`, () => {
    let [without, beside] = [0, 0]
    for (let seed = 1; seed <= SEEDS; seed++) {
      without += goodput(seed, {})
      beside += goodput(seed, talk)
    }
    const lost = 1 - beside / without
    ok(without / SEEDS > 0.5 * 1000 * DURATION, `the transfer is one: ${without / SEEDS} bytes`)
    ok(lost <= LOSS_MAX, `${(lost * 100).toFixed(1)} % lost`)
    if (SEEDS > 3) console.log(`${JSON.stringify(talk)}: ${(lost * 100).toFixed(2)} % of ${without} bytes`)
  })
}
