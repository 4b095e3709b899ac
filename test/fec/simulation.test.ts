/** Two engines with FEC between them, over a bad network in virtual time. */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Kcp } from '../../src/core/index.ts'
import { FecDecoder, FecEncoder, FecKind, fecKind } from '../../src/fec/index.ts'
import { Link, type LinkConditions, VirtualClock } from '../../src/sim/index.ts'
import { CONV, taken } from './shards.ts'

interface Shape {
  readonly dataShards: number
  readonly parityShards: number
}

/** One end: an engine, what it sends through FEC, and what comes in through it. */
class End {
  readonly kcp: Kcp
  readonly decoder: FecDecoder | undefined
  /** The only way out. */
  send: (datagram: Uint8Array) => void = () => {}
  private readonly clock: VirtualClock
  private readonly encoder: FecEncoder | undefined
  private readonly buffer = new Uint8Array(1500)

  constructor(clock: VirtualClock, shape: Shape | undefined) {
    this.clock = clock
    this.kcp = new Kcp(CONV, (datagram) => this.output(datagram), {
      nodelay: 1,
      interval: 10,
      resend: 2,
      nc: true,
      mtu: 1392,
      sndWnd: 256,
      rcvWnd: 256,
    })
    if (shape !== undefined) {
      this.encoder = new FecEncoder({ ...shape, maxDatagram: 1400 })
      this.decoder = new FecDecoder({ ...shape, conv: CONV })
    }
  }

  receive(datagram: Uint8Array): void {
    const { kcp, decoder, clock } = this
    const kind = fecKind(datagram, 0, datagram.length)
    if (kind === FecKind.Bare) kcp.tryInput(datagram, clock.now())
    if (kind === FecKind.Data) kcp.tryInput(datagram.subarray(8), clock.now())
    const count = decoder?.add(datagram, 0, datagram.length, clock.now()) ?? 0
    for (const one of decoder?.rebuilt.slice(0, count) ?? []) equal(kcp.tryInput(taken(one), clock.now()), 0)
  }

  private output(datagram: Uint8Array): void {
    const { encoder, buffer, clock } = this
    if (encoder === undefined) {
      this.send(datagram)
      return
    }
    buffer.set(datagram, 8)
    const end = 8 + datagram.length
    const count = encoder.add(buffer, 8, end, clock.now())
    this.send(buffer.subarray(0, end))
    for (const one of encoder.parity.slice(0, count)) this.send(taken(one))
  }
}

interface Outcome {
  /** One-way times of the messages, ascending, ms. */
  readonly latencies: readonly number[]
  readonly resent: number
  readonly decoder: FecDecoder | undefined
}

/** Sends `count` messages of `size` bytes, one each `every` ms, and waits until all have been read in order. */
function run(
  seed: number,
  conditions: LinkConditions,
  shape: Shape | undefined,
  [count, size, every]: readonly [number, number, number],
): Outcome {
  const clock = new VirtualClock()
  const [a, b] = [new End(clock, shape), new End(clock, shape)]
  for (const [from, to, which] of [
    [a, b, 0],
    [b, a, 1],
  ] as const) {
    const link = new Link({ ...conditions, seed: seed * 2 + which })
    from.send = (datagram) =>
      link.transmit(datagram, clock.now(), (copy, afterMs) => {
        clock.setTimeout(() => to.receive(copy), afterMs)
      })
  }
  const latencies: number[] = []
  const message = new Uint8Array(size)
  let sent = 0
  const tick = (): void => {
    const now = clock.now()
    if (sent < count && now >= sent * every) {
      message.fill(sent)
      new DataView(message.buffer).setUint32(0, sent++)
      a.kcp.send(message)
    }
    a.kcp.flush(now)
    b.kcp.flush(now)
    for (let got = b.kcp.recv(); got !== undefined; got = b.kcp.recv()) {
      const number = new DataView(got.buffer, got.byteOffset).getUint32(0)
      equal(number, latencies.length)
      ok(got.subarray(4).every((byte) => byte === (number & 0xff)))
      latencies.push(now - number * every)
    }
    if (latencies.length < count) clock.setTimeout(tick, 10)
  }
  a.kcp.update(0)
  b.kcp.update(0)
  clock.setTimeout(tick, 0)
  clock.advance(count * every + 60_000)
  equal(latencies.length, count, `seed ${seed}`)
  return {
    latencies: latencies.sort((x, y) => x - y),
    resent: a.kcp.counters.segmentsOut - count,
    decoder: b.decoder,
  }
}

const SMALL = [600, 64, 20] as const
const p99 = ({ latencies }: Outcome): number => latencies[Math.floor(latencies.length * 0.99)]!

for (const loss of [0.05, 0.1]) {
  test(`at ${loss * 100} % loss parity carries what a retransmission would have`, () => {
    const conditions = { delayMs: 50, loss }
    let plain = 0
    let protectedBy = 0
    for (let seed = 1; seed <= 5; seed++) {
      const without = run(seed, conditions, undefined, SMALL)
      const with31 = run(seed, conditions, { dataShards: 3, parityShards: 1 }, SMALL)
      ok(with31.decoder!.counters.recovered > 10, `seed ${seed}`)
      plain += p99(without)
      protectedBy += p99(with31)
    }
    ok(protectedBy < plain, `99 % within ${protectedBy / 5} ms with FEC, ${plain / 5} ms without`)
  })
}

for (const [what, conditions] of [
  ['loss in bursts', { delayMs: 30, burst: { pEnter: 0.02, pLeave: 0.4, lossGood: 0, lossBad: 0.8 } }],
  ['reordering and copies', { delayMs: 30, jitterMs: 20, reorder: 0.1, duplicate: 0.1, loss: 0.1 }],
  ['a third lost', { delayMs: 30, loss: 0.33 }],
] as const) {
  test(`full segments arrive complete and in order through ${what}`, () => {
    for (const shape of [
      { dataShards: 10, parityShards: 3 },
      { dataShards: 3, parityShards: 1 },
      { dataShards: 1, parityShards: 1 },
      { dataShards: 4, parityShards: 4 },
    ]) {
      for (let seed = 1; seed <= 3; seed++) {
        const { decoder } = run(seed, conditions, shape, [400, 1300, 5])
        const { badSize, badPadding, badSegments, misplaced, unequal, recovered } = decoder!.counters
        deepEqual([badSize, badPadding, badSegments, misplaced, unequal], [0, 0, 0, 0, 0])
        ok(recovered > 0, `seed ${seed}`)
      }
    }
  })
}

test('a run of a seed is the same every time', () => {
  const once = run(7, { delayMs: 20, loss: 0.1 }, { dataShards: 10, parityShards: 3 }, SMALL)
  const again = run(7, { delayMs: 20, loss: 0.1 }, { dataShards: 10, parityShards: 3 }, SMALL)
  deepEqual(once.latencies, again.latencies)
  deepEqual(once.decoder!.counters, again.decoder!.counters)
})

test('without any retransmission everything arrives, as long as parity covers what is lost', () => {
  for (const [shape, lostPlaces] of [
    [{ dataShards: 3, parityShards: 1 }, [[], [], [1], [3], [0], [2]]],
    [
      { dataShards: 10, parityShards: 3 },
      [
        [0, 4],
        [9, 5, 7],
        [0, 1, 2],
        [10, 11],
        [3, 6, 12],
      ],
    ],
  ] as const) {
    const { dataShards, parityShards } = shape
    const receiver = new End(new VirtualClock(), shape)
    const encoder = new FecEncoder({ ...shape, maxDatagram: 1400 })
    const offered: Uint8Array[] = []
    // One datagram for each message, sent once: the sender's engine never hears an ACK, and is not asked again.
    const sender = new Kcp(CONV, (datagram) => offered.push(datagram.slice()), { nc: true, sndWnd: 256 })
    const messages = dataShards * 12
    sender.update(0)
    for (let i = 0; i < messages; i++) {
      sender.send(new Uint8Array(100 + i).fill(i))
      sender.flush(0)
    }
    equal(offered.length, messages)
    let seqid = 0
    const pass = (datagram: Uint8Array): void => {
      const number = Math.floor(seqid / (dataShards + parityShards))
      const lost: readonly number[] = lostPlaces[number % lostPlaces.length]!
      if (!lost.includes(seqid++ % (dataShards + parityShards))) receiver.receive(datagram)
    }
    const read: number[] = []
    for (const datagram of offered) {
      const buffer = new Uint8Array(8 + datagram.length)
      buffer.set(datagram, 8)
      const count = encoder.add(buffer, 8, buffer.length, 0)
      pass(buffer)
      for (const one of encoder.parity.slice(0, count)) pass(taken(one))
      for (let got = receiver.kcp.recv(); got !== undefined; got = receiver.kcp.recv()) read.push(got[0]!)
    }
    deepEqual(
      read,
      Array.from({ length: messages }, (_, i) => i),
    )
  }
})
