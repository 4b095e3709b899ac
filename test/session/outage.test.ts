/** A path that is cut for a while: how soon what waits goes on once it is there again, and what is asked meanwhile. */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import type { KcpSessionConfig } from '../../src/session/config.ts'
import { SessionPair } from '../../src/sim/pair.ts'
import { formatDatagram } from '../../src/sim/trace.ts'

const OUTAGE = 20_000

interface Story {
  readonly config: KcpSessionConfig
  readonly seed: number
  /** Whether the client writes a message each 50 ms, or one just before the path is cut. */
  readonly busy: boolean
}

/** Times of WASKs in the outage; ms from its end until the first message came, and until all that were written by then. */
function cut({ config, seed, busy }: Story): { asked: number[]; first: number; all: number } {
  const pair = new SessionPair({ seed, config: { ...config, idleTimeout: 0 }, link: { delayMs: 25 } })
  const { client, clock, network } = pair
  const links = [network.link('client', 'server'), network.link('server', 'client')]
  const asked: number[] = []
  let [written, read, cutAt] = [0, 0, Number.NaN]
  network.tap = ({ event, from }, datagram, now) => {
    const asks = formatDatagram(datagram).includes('wask')
    if (event === 'send' && from.address === 'client' && asks && now - cutAt <= OUTAGE)
      asked.push(now - cutAt)
  }
  pair.onChange = (session) => {
    while (pair.read(session) !== undefined) read++
  }
  const write = (): void => {
    if (client.writable) {
      pair.write(client, new Uint8Array(60))
      written++
    }
    if (busy) clock.setTimeout(write, 50)
  }
  write()
  clock.advance(1_000 + 37 * seed)
  cutAt = clock.now()
  if (!busy) write()
  for (const link of links) link.set({ loss: 1 })
  clock.advance(OUTAGE)
  for (const link of links) link.set({ loss: 0 })
  const [due, before] = [written, read]
  const until = (holds: () => boolean): number => {
    const from = clock.now()
    while (!holds()) clock.advance(5)
    return clock.now() - from
  }
  const first = until(() => read > before)
  return { asked, first, all: first + until(() => read >= due) }
}

test('after an outage nothing waits for an RTO that grew in it', () => {
  for (const preset of ['fast', 'turbo'] as const) {
    for (const lossDetection of ['count', 'time'] as const) {
      for (let seed = 1; seed <= 20; seed++) {
        const { first, all } = cut({
          config: { preset, kcp: { lossDetection }, keepAlive: 10_000 },
          seed,
          busy: true,
        })
        // What is written each 50 ms is heard after one way, and its ACK after another; then an RTO of some 60 ms.
        ok(first <= 150 && all <= 350, `${preset} ${lossDetection}, seed ${seed}: ${first} and ${all} ms`)
      }
    }
  }
})

test('who waits for an acknowledgement asks each second, and goes on with the answer', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { asked, first } = cut({ config: { preset: 'normal', keepAlive: 15_000 }, seed, busy: false })
    ok(asked[0]! >= 1_000 && asked.length >= 19, `seed ${seed}: ${asked}`)
    ok(
      asked.slice(1).every((at, i) => at - asked[i]! >= 1_000),
      `seed ${seed}: ${asked}`,
    )
    ok(first <= 1_300, `seed ${seed}: ${first} ms`)
  }
})

test('nobody is asked by an end that never asks', () => {
  const { asked, first } = cut({ config: { preset: 'default' }, seed: 1, busy: false })
  deepEqual(asked, [])
  ok(first > 1_300)
})

test('a path that is cut one way only: who hears the peer does not take that for a sign of being heard', () => {
  for (const keepAlive of [0, 10_000]) {
    const pair = new SessionPair({
      seed: 1,
      config: { preset: 'fast', keepAlive, idleTimeout: 0 },
      link: { delayMs: 25 },
    })
    const { client, clock, network } = pair
    pair.onChange = (session) => {
      while (pair.read(session) !== undefined);
    }
    pair.write(client, new Uint8Array(60))
    clock.advance(1_000)
    network.link('client', 'server').set({ loss: 1 })
    pair.write(client, new Uint8Array(60))
    const before = client.kcp.counters.segmentsOut
    for (let i = 0; i < 10; i++) {
      pair.write(pair.server!, new Uint8Array(60))
      clock.advance(2_000)
    }
    // RTOs of 100 ms and more, each half as long again as the one before.
    const sent = client.kcp.counters.segmentsOut - before
    ok(sent <= 14, `${sent} transmissions`)
    network.link('client', 'server').set({ loss: 0 })
    clock.advance(1_200)
    if (keepAlive > 0) equal(client.kcp.waitSnd(), 0)
  }
})

test('a peer that answers questions, and acknowledges nothing, draws ever fewer resends', () => {
  const pair = new SessionPair({
    seed: 1,
    config: { preset: 'fast', keepAlive: 10_000, idleTimeout: 0, stallTimeout: 0 },
    link: { delayMs: 25 },
  })
  const { client, clock, network } = pair
  pair.write(client, new Uint8Array(60))
  clock.advance(1_000)
  // PUSHes are larger than questions: these alone get through.
  network.link('client', 'server').set({ mtu: 50 })
  pair.write(client, new Uint8Array(60))
  const before = client.kcp.counters.segmentsOut
  clock.advance(60_000)
  const { segmentsOut, datagramsIn } = client.kcp.counters
  ok(datagramsIn >= 50, `${datagramsIn} answers`)
  // Back-offs begin anew after 1, 4, 16 and 64 s.
  ok(segmentsOut - before <= 40, `${segmentsOut - before} transmissions`)
})
