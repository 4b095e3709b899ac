import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { PathMtu, RECORD_OVERHEAD } from '../../src/secure/index.ts'
import { World } from '../support/pair.ts'
import { Roaming } from './roaming.ts'
import { Bench } from './support.ts'

/** Answers what is probed as a path of `carries` bytes does, from `from` to `to`. */
function search(mtu: PathMtu, carries: number, from: number, to: number): number[] {
  const probes: number[] = []
  for (let now = from; now < to; now += 100) {
    for (let size = mtu.probe(now); size !== undefined; size = mtu.probe(now)) {
      probes.push(size)
      if (size > carries) break
      mtu.arrived(size, mtu.path, now)
    }
  }
  return probes
}

test('a search finds what the path carries, and is over then', () => {
  const mtu = new PathMtu(1_200, 1_500)
  search(mtu, 1_400, 0, 30_000)
  ok(mtu.size <= 1_400 && mtu.size > 1_400 - 16, `${mtu.size}`)
  equal(mtu.deadline, Number.POSITIVE_INFINITY)
  deepEqual(search(mtu, 1_400, 30_000, 600_000), [])
})

test('while larger datagrams than the base are sent, their size is confirmed every 5 s', () => {
  const mtu = new PathMtu(1_200, 1_500)
  search(mtu, 1_500, 0, 1_000)
  equal(mtu.size, 1_500)
  let probes = 0
  for (let now = 1_000; now < 61_000; now += 100) {
    mtu.use(now)
    for (const size of search(mtu, 1_500, now, now + 100)) {
      equal(size, 1_500)
      probes++
    }
  }
  ok(probes >= 11 && probes <= 12, `${probes}`)
  deepEqual([mtu.size, mtu.path], [1_500, 0])
})

test('a black hole is found within 8 s, and the smaller size is searched', () => {
  const mtu = new PathMtu(1_200, 1_500)
  search(mtu, 1_500, 0, 1_000)
  for (let now = 1_000; now < 9_200; now += 100) {
    mtu.use(now)
    search(mtu, 1_400, now, now + 100)
  }
  ok(mtu.size <= 1_400, `${mtu.size}`)
  search(mtu, 1_400, 9_200, 40_000)
  ok(mtu.size <= 1_400 && mtu.size > 1_400 - 16, `${mtu.size}`)
})

test('an answer from a former path says nothing about the present one', () => {
  const mtu = new PathMtu(1_200, 1_500)
  equal(mtu.probe(0), 1_500)
  const former = mtu.path
  mtu.restart(10)
  equal(mtu.arrived(1_500, former, 20), false)
  equal(mtu.size, 1_200)
  equal(mtu.probe(20), 1_500)
  ok(mtu.arrived(1_500, mtu.path, 30))
  equal(mtu.size, 1_500)
})

test('a size below the limit is searched anew after ten minutes', () => {
  const mtu = new PathMtu(1_200, 1_500)
  search(mtu, 1_250, 0, 30_000)
  const { size } = mtu
  ok(size <= 1_250)
  search(mtu, 1_500, 30_000, 600_000)
  equal(mtu.size, size)
  search(mtu, 1_500, 600_000, 640_000)
  equal(mtu.size, 1_500)
})

test('without a limit above the base nothing is probed', () => {
  for (const limit of [0, 1_200]) {
    const mtu = new PathMtu(1_200, limit)
    mtu.use(0)
    equal(mtu.probe(0), undefined)
    mtu.restart(5)
    mtu.use(5)
    equal(mtu.probe(1_000_000), undefined)
  }
})

const TUNING = { probeMtu: 1_500 }
const FULL = 'x'.repeat(1_440)

/** Both ends know that the path carries 1,500 bytes. */
function grown(): { readonly bench: Bench; readonly client: ReturnType<Bench['client']> } {
  const bench = new Bench({ tuning: TUNING, mtu: 1_200 })
  bench.limit = 1_500
  const client = bench.connected('wifi:1', { mtu: 1_200 })
  for (let now = 0; now < 10_000; now += 100) {
    bench.advance(now, client)
    bench.settle(client)
  }
  deepEqual([client.mtus.at(-1), bench.opened[0]!.mtu], [1_500, 1_500])
  return { bench, client }
}

test('a client that moves to a path of 1,400 bytes loses no datagram that was cut for 1,500', () => {
  const { bench, client } = grown()
  client.address = 'lte:2'
  bench.limit = 1_400
  client.send('I moved')
  bench.settle(client)
  equal(client.mtus.at(-1), 1_200, 'back to the base')
  for (let now = 10_000; now < 60_000; now += 1_000) {
    bench.advance(now, client)
    const before = bench.atServer.length
    client.send(FULL)
    bench.settle(client)
    equal(bench.atServer.length, before + 1, `${now} ms`)
    equal(bench.atServer.at(-1)!.plain, FULL)
  }
  const found = client.mtus.at(-1)!
  ok(found <= 1_400 && found > 1_400 - 16, `${found}`)
})

test('a path that shrinks without a move is found, and full datagrams pass again within 8 s', () => {
  const { bench, client } = grown()
  bench.limit = 1_400
  let lastLoss = 0
  for (let now = 10_000; now < 60_000; now += 100) {
    bench.advance(now, client)
    const before = bench.atServer.length
    client.send(FULL)
    bench.settle(client)
    if (bench.atServer.length === before) lastLoss = now
  }
  ok(lastLoss > 10_000 && lastLoss < 18_500, `${lastLoss}`)
  const found = client.mtus.at(-1)!
  ok(found <= 1_400 && found > 1_400 - 16, `${found}`)
})

test('a server finds that too, though it has no timer and hears nothing', () => {
  const { bench, client } = grown()
  const [association] = bench.opened
  const carries = 1_400
  let lastLoss = 0
  for (let now = 10_000; now < 60_000; now += 100) {
    bench.advance(now, client)
    bench.send(association!, FULL)
    const before = client.got.length
    for (const datagram of bench.to(client.address)) {
      if (datagram.length <= carries) client.state.receive(datagram, now)
    }
    if (client.got.length === before) lastLoss = now
    // Its answers, but nothing else.
    for (const datagram of client.sent.splice(0)) bench.server.receive(datagram, client.address, now)
  }
  ok(lastLoss > 10_000 && lastLoss < 18_500, `${lastLoss}`)
  const { mtu } = association!
  ok(mtu <= carries && mtu > carries - 16, `${mtu}`)
})

test('a conversation that has grown goes on over a path that shrinks, with and without a move', async () => {
  for (const move of [true, false]) {
    const world = new World({ link: { delayMs: 10, mtu: 1_500 } })
    const options = {
      preset: 'fast',
      kcp: { mtu: 1_200 },
      security: { psk: new Uint8Array(32).fill(9), ...TUNING },
    } as const
    const listener = await world.listen(options)
    const transport = new Roaming(world.network, 'client')
    const client = await world.within(world.connect({ ...options, transport }))
    client.write(Buffer.alloc(100_000, 1))
    const server = (await world.within(listener.accept()))!
    let got = 0
    let back = 0
    server.on('data', (chunk: Buffer) => {
      got += chunk.length
    })
    client.on('data', (chunk: Buffer) => {
      back += chunk.length
    })
    await world.run(20_000)
    equal(got, 100_000)
    // Cut for 1,500 bytes, and then the path is another one.
    for (let i = 0; i < 5; i++) {
      client.write(Buffer.alloc(100_000, 2))
      server.write(Buffer.alloc(100_000, 3))
    }
    await world.run(15)
    world.network.set({ mtu: 1_300 })
    if (move) transport.move()
    await world.until(() => got === 600_000 && back === 500_000, 60_000)
    await world.run(30_000)
    // What is cut from now on fits one record.
    const fits = 1_300 - RECORD_OVERHEAD
    ok(client.config.mtu <= fits && client.config.mtu > fits - 16, `${client.config.mtu}`)
    // A server searches while it is heard.
    ok(server.config.mtu <= fits, `${server.config.mtu}`)
    let largest = 0
    world.network.tap = ({ event }, datagram) => {
      if (event === 'send') largest = Math.max(largest, datagram.length)
    }
    await world.run(60_000)
    largest = 0
    client.write(Buffer.alloc(100_000, 4))
    await world.until(() => got === 700_000, 10_000)
    ok(largest > 1_300 - 16 && largest <= 1_500, `${largest}`)
  }
})
