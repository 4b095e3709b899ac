/** Somebody on the path without the key, who sends datagrams back to whom they came from. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpError } from '../../src/core/errors.ts'
import {
  aeadPackets,
  aesGcm,
  classicPackets,
  OpenResult,
  type PacketCipher,
  unscrambled,
} from '../../src/crypto/index.ts'
import { Acceptor } from '../../src/session/acceptor.ts'
import { resolveSessionConfig } from '../../src/session/config.ts'
import { connectTo } from '../../src/session/connection.ts'
import { type FecOptions, ownCipher, requireCipher, requireFec } from '../../src/session/fec-options.ts'
import { resolveLimits } from '../../src/session/listener-limits.ts'
import { PeerLink } from '../../src/session/peer-link.ts'
import { Scheduler } from '../../src/session/scheduler.ts'
import type { KcpSession } from '../../src/session/session.ts'
import type { DatagramTransport } from '../../src/session/transport.ts'
import { VirtualClock } from '../../src/sim/clock.ts'
import { Prng } from '../../src/sim/prng.ts'

const prng = new Prng(9)
const random = (bytes: Uint8Array, start: number, end: number): void => {
  for (let i = start; i < end; i++) bytes[i] = prng.int(0, 255)
}
const CIPHERS: Readonly<Record<string, () => PacketCipher>> = {
  aead: () => aeadPackets(aesGcm(new Uint8Array(16)), random),
  classic: () => classicPackets(unscrambled, random),
}
const config = resolveSessionConfig({ preset: 'fast' })

interface Wire {
  readonly sent: Uint8Array[]
  readonly transport: DatagramTransport<string>
}

function wire(): Wire {
  const sent: Uint8Array[] = []
  const transport: DatagramTransport<string> = {
    send: (datagram) => void sent.push(datagram.slice()),
    start: () => undefined,
    close: () => undefined,
    peerKey: (peer) => peer,
  }
  return { sent, transport }
}

function client(cipher: PacketCipher, clock: VirtualClock, { transport }: Wire) {
  const scheduler = new Scheduler(clock)
  const path = connectTo<string>({
    transport,
    peer: 'server',
    codec: undefined,
    cipher,
    fec: undefined,
    config,
    mtu: config.kcp.mtu,
    conv: 5,
    channels: 1,
    clockOffset: 77,
    clock,
    touch: (one) => scheduler.touch(one),
    warn: () => undefined,
  })
  const session = path.sessions[0]!
  scheduler.add(session)
  return { path, session, scheduler }
}

for (const [name, make] of Object.entries(CIPHERS)) {
  test(`a client does not take its own datagrams for the server's (${name})`, () => {
    const clock = new VirtualClock(0)
    const way = wire()
    const { path, session, scheduler } = client(make(), clock, way)
    session.write(Uint8Array.of(1, 2, 3), 0)
    session.ask(0)
    scheduler.touch(session)
    for (let i = 0; i < 20; i++) {
      clock.advance(100)
      for (const datagram of way.sent.splice(0)) path.receiveSealed(datagram)
    }
    ok(session.kcp.counters.datagramsOut > 3)
    deepEqual(
      [session.heard, session.readable, session.drained, session.kcp.counters.datagramsIn],
      [false, false, false, 0],
    )
    const { crypto } = session.stats(clock.now())
    deepEqual([crypto?.opened, crypto!.refused >= 3], [0, true])
  })

  test(`a listener refuses what it sealed, whichever peer's address it comes from; one cipher serves both ends (${name})`, () => {
    const clock = new VirtualClock(0)
    const [near, far] = [wire(), wire()]
    const cipher = make()
    const scheduler = new Scheduler(clock)
    const served: KcpSession[] = []
    const acceptor = new Acceptor<string>({
      transport: far.transport,
      config,
      limits: resolveLimits({}),
      codec: undefined,
      cipher,
      scheduler,
      random: () => prng.u32(),
      hasBacklog: () => true,
      onSessions: ([session]) => void served.push(session!),
    })
    const one = client(cipher, clock, near)
    one.session.write(Uint8Array.of(1, 2, 3), 0)
    one.scheduler.touch(one.session)
    let back: Uint8Array[] = []
    for (let i = 0; i < 10; i++) {
      clock.advance(50)
      for (const datagram of near.sent.splice(0)) acceptor.receive(datagram, 'client', clock.now())
      clock.advance(0)
      back = back.concat(far.sent)
      for (const datagram of far.sent.splice(0)) one.path.receiveSealed(datagram)
    }
    deepEqual([served.length, one.session.drained], [1, true])
    const { datagramsIn } = served[0]!.kcp.counters
    const { cipher: refused } = acceptor.drops
    for (const datagram of back) {
      acceptor.receive(datagram.slice(), 'client', clock.now())
      acceptor.receive(datagram.slice(), 'somebody', clock.now())
    }
    equal(served[0]!.kcp.counters.datagramsIn, datagramsIn)
    equal(acceptor.drops.cipher - refused, 2 * back.length)
    ok(back.length > 0)
  })
}

test('a cipher that throws or is late opens nothing and lets nothing out', () => {
  const { sent, transport } = wire()
  for (const hooks of [
    {
      seal: () => {
        throw new Error('seal')
      },
      open: () => {
        throw new Error('open')
      },
    },
    { seal: () => Promise.reject(new Error('seal')), open: () => Promise.reject(new Error('open')) },
    { seal: () => Promise.resolve(), open: () => Promise.resolve(0) },
    { seal: () => Promise.resolve(), open: () => true },
  ]) {
    const cipher = { headroom: 4, tailroom: 4, ...hooks } as unknown as PacketCipher
    requireCipher(cipher)
    const link = new PeerLink(transport, 'peer', undefined, cipher)
    link.send(Uint8Array.of(1, 2, 3))
    link.open(new Uint8Array(30), () => ok(false, 'opened'))
    const { sealed, sendErrors, refused } = link.traffic
    deepEqual([sent.length, sealed, sendErrors, refused], [0, 0, 1, 1])
  }
})

test('what is no cipher, or no FEC, is refused by name, without a character of what may be a key', () => {
  const hook = (): undefined => undefined
  const whole = { headroom: 0, tailroom: 0, counters: {}, seal: hook, open: hook }
  const { seal: _, ...withoutSeal } = whole
  const secret = 'correct horse battery staple'
  for (const wrong of [
    null,
    false,
    0,
    7n,
    Symbol('x'),
    '',
    secret,
    new TextEncoder().encode(secret),
    [],
    {},
    Object.create(null),
    Promise.resolve(whole),
    Promise.reject(new Error('no')),
    () => whole,
    withoutSeal,
    { ...whole, open: secret },
    { ...whole, seal: async () => undefined },
    { ...whole, open: async () => OpenResult.Opened },
    { ...whole, headroom: undefined },
    { ...whole, headroom: secret },
    { ...whole, tailroom: -1 },
    { ...whole, tailroom: 1.5 },
    { ...whole, headroom: Number.NaN },
    { ...whole, headroom: 1025 },
    { ...whole, fork: 1 },
    {
      get seal() {
        throw new Error('read')
      },
    },
  ]) {
    throws(
      () => requireCipher(wrong as PacketCipher),
      (error: unknown) =>
        KcpError.is(error, 'ERR_KCP_CONFIG') &&
        error.message.startsWith('crypto') &&
        !error.message.includes('horse') &&
        !JSON.stringify(error.detail).includes('horse'),
    )
  }
  requireCipher(whole as unknown as PacketCipher)
  for (const fork of [
    () => undefined,
    () => null,
    () => secret,
    async () => whole,
    () => ({ ...whole, headroom: 1 }),
  ]) {
    throws(
      () => ownCipher({ ...whole, fork } as unknown as PacketCipher),
      (error: unknown) => KcpError.is(error, 'ERR_KCP_CONFIG'),
    )
  }
  for (const wrong of [
    null,
    1,
    'fec',
    [],
    [3, 1],
    Promise.resolve({ data: 3, parity: 1 }),
    { data: 3 },
    { data: '3', parity: 1 },
  ]) {
    throws(
      () => requireFec(wrong as unknown as FecOptions),
      (error: unknown) => KcpError.is(error, 'ERR_KCP_CONFIG'),
    )
  }
})
