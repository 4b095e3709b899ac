import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { readU32 } from '../../src/core/segment.ts'
import { FecKind, fecKind, seqidLimit } from '../../src/fec/header.ts'
import { AutotuneDecoder, FecEncoder, type GroupShape, ShapeFinder } from '../../src/fec/index.ts'
import { Prng } from '../../src/sim/index.ts'
import { readCapture } from './captures.ts'
import { CONV, encode, hex, push, taken } from './shards.ts'

/** Numbers and kinds as a peer of this shape sends them. */
function* shards(
  d: number,
  p: number,
  from: number = 0,
): Generator<readonly [seqid: number, isData: boolean]> {
  for (let seqid = from; ; seqid = (seqid + 1) % seqidLimit(d + p)) yield [seqid, seqid % (d + p) < d]
}

/** What is found of a peer's shape within so many shards, and after how many. */
function find(
  peer: Iterable<readonly [number, boolean]>,
  most: number,
  isLost: (index: number) => boolean = () => false,
): readonly [shape: string | undefined, after: number] {
  const finder = new ShapeFinder()
  let index = 0
  for (const [seqid, isData] of peer) {
    if (index === most) break
    if (isLost(index++)) continue
    const shape = finder.add(seqid, isData)
    if (shape !== undefined) return [`${shape.dataShards}/${shape.parityShards}`, index]
  }
  return [undefined, index]
}

const SHAPES = [
  [3, 1],
  [10, 3],
  [1, 1],
  [2, 1],
  [1, 5],
  [20, 10],
  [255, 1],
  [1, 255],
  [128, 128],
] as const

test('without loss a shape is known when the third group begins', () => {
  for (const [d, p] of SHAPES)
    deepEqual(find(shards(d, p), 10_000), [`${d}/${p}`, 2 * (d + p) + 1], `${d}/${p}`)
})

test('it does not matter where one starts to listen, nor that the numbers run over their end', () => {
  for (const [d, p] of SHAPES) {
    const n = d + p
    for (const from of [1, d, n - 1, 7 * n + (d >> 1), seqidLimit(n) - n, seqidLimit(n) - 1]) {
      const [shape, after] = find(shards(d, p, from), 10_000)
      equal(shape, `${d}/${p}`, `from ${from}`)
      ok(after <= 4 * n + 1, `from ${from} after ${after}`)
    }
  }
})

test('every twelfth datagram lost from the start does not hide it', () => {
  // kcp-go's own search needs a run without any gap, and found nothing here.
  for (const [d, p] of [
    [3, 1],
    [10, 3],
    [20, 9],
  ] as const) {
    const [shape, after] = find(shards(d, p), 2000, (index) => index % 12 === 5)
    equal(shape, `${d}/${p}`)
    ok(after <= 8 * (d + p), `${after}`)
  }
})

test('whatever is lost, no shape but the right one is found', () => {
  for (const [d, p] of SHAPES) {
    for (const loss of [0.05, 0.2, 0.5]) {
      let found = 0
      for (let seed = 1; seed <= 40; seed++) {
        const prng = new Prng(seed)
        const from = prng.int(0, 5 * (d + p))
        const [shape] = find(shards(d, p, from), 4000, () => prng.chance(loss))
        ok(shape === undefined || shape === `${d}/${p}`, `${d}/${p}, loss ${loss}, seed ${seed}: ${shape}`)
        if (shape !== undefined) found++
      }
      if (loss <= 0.2 && d + p <= 64) equal(found, 40, `${d}/${p}, loss ${loss}`)
    }
  }
})

test('reordering does not mislead it', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const prng = new Prng(seed)
    const peer = [...take(shards(10, 3), 400)]
    for (let i = 0; i + 1 < peer.length; i++) {
      if (prng.chance(0.2)) [peer[i], peer[i + 1]] = [peer[i + 1]!, peer[i]!]
    }
    equal(find(peer, 400)[0], '10/3', `seed ${seed}`)
  }
})

test('a peer that leaves parity out has the shape that its other groups show', () => {
  const skipping = [...take(shards(2, 1), 300)].filter(
    ([seqid, isData]) => isData || Math.floor(seqid / 3) % 4 === 0,
  )
  equal(find(skipping, 300)[0], '2/1')
  const never = [...take(shards(2, 1), 300)].filter(([, isData]) => isData)
  equal(find(never, 300)[0], undefined)
})

test('a peer that numbers its groups askew has no shape', () => {
  // Groups of 3/1 that begin one later each time.
  const askew: [number, boolean][] = []
  for (let seqid = 0; askew.length < 3000; ) {
    for (let i = 0; i < 3; i++) askew.push([seqid++, true])
    if (askew.length % 2 === 0) askew.push([seqid++, false])
  }
  equal(find(askew, 3000)[0], undefined)
})

test('forged shards delay it, and do not lead it astray', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const prng = new Prng(seed)
    const finder = new ShapeFinder()
    let shape: GroupShape | undefined
    // Some forged ones first, then honest ones for as long as it looks at shards together, twice.
    for (let i = 0; i < 30; i++) shape ??= finder.add(prng.u32(), prng.chance(0.5))
    for (let i = 0; i < 3; i++) shape ??= finder.add(100 + 12 * i, true) ?? finder.add(99 + 12 * i, false)
    for (const [seqid, isData] of take(shards(10, 3), 2100)) shape ??= finder.add(seqid, isData)
    deepEqual(shape, { dataShards: 10, parityShards: 3 }, `seed ${seed}`)
  }
})

function* take<T>(from: Iterable<T>, count: number): Generator<T> {
  for (const one of from) {
    if (count-- <= 0) return
    yield one
  }
}

/** What a decoder gives back of what came. */
function giveAll(decoder: AutotuneDecoder, datagrams: readonly Uint8Array[]): string[] {
  return datagrams.flatMap((one) => {
    const count = decoder.add(one, 0, one.length, 0)
    return decoder.rebuilt.slice(0, count).map((each) => hex(taken(each)))
  })
}

const segments = (count: number): Uint8Array[] => Array.from({ length: count }, (_, sn) => push(sn, 30))

test('a decoder that was told nothing gives back what is lost as soon as it knows', () => {
  const sent = segments(300)
  const made = encode(new FecEncoder({ dataShards: 3, parityShards: 1, maxDatagram: 1400 }), sent)
  const decoder = new AutotuneDecoder({ conv: CONV })
  equal(typeof decoder.shape, 'undefined')
  const lost = new Set<string>()
  const came = made.filter((one, i) => {
    if (i % 12 !== 5) return true
    if (one[4] === 0xf1) lost.add(hex(one.subarray(8)))
    return false
  })
  const given = giveAll(decoder, came)
  equal(decoder.shape?.dataShards, 3)
  equal(decoder.shape?.parityShards, 1)
  for (const one of given) ok(lost.has(one))
  ok(given.length >= lost.size - 3, `${given.length} of ${lost.size}`)
  ok(decoder.heldBytes > 0)
  decoder.trim()
  equal(decoder.heldBytes, 0)
})

test('a peer that begins anew with other numbers is followed', () => {
  const decoder = new AutotuneDecoder({ conv: CONV }, { dataShards: 3, parityShards: 1 })
  for (const [d, p] of [
    [10, 3],
    [2, 2],
    [3, 1],
  ] as const) {
    const made = encode(
      new FecEncoder({ dataShards: d, parityShards: p, maxDatagram: 1400 }),
      segments(d * 6),
    )
    const lastGroup = made.length - d - p
    const given = giveAll(
      decoder,
      made.filter((_, i) => i !== lastGroup),
    )
    deepEqual(given, [hex(push(5 * d, 30))])
    deepEqual([decoder.shape?.dataShards, decoder.shape?.parityShards], [d, p])
  }
  equal(decoder.counters.recovered, 3)
})

test('without loss a peer with FEC 3/1 corrupts nothing, whatever we were told', () => {
  const { datagrams } = readCapture('autotune-hazard')
  const shardsSent = datagrams
    .filter((one) => one.dir === 's2c' && fecKind(one.bytes, 0, one.bytes.length) !== FecKind.Bare)
    .map(({ bytes }) => bytes)
  const conv = readU32(shardsSent[0]!, 8)
  for (const shape of [undefined, { dataShards: 1, parityShards: 1 }, { dataShards: 10, parityShards: 3 }]) {
    const decoder = new AutotuneDecoder({ conv }, shape)
    deepEqual(giveAll(decoder, shardsSent), [])
    equal(decoder.shape?.dataShards, 3)
    equal(decoder.shape?.parityShards, 1)
  }
})

test('with losses what comes back of it is what was sent, whatever we were told', () => {
  const { datagrams } = readCapture('autotune-hazard')
  const shardsSent = datagrams
    .filter((one) => one.dir === 's2c' && fecKind(one.bytes, 0, one.bytes.length) !== FecKind.Bare)
    .map(({ bytes }) => bytes)
  const sent = new Set(shardsSent.map((one) => hex(one.subarray(8))))
  const conv = readU32(shardsSent[0]!, 8)
  let recovered = 0
  for (const shape of [undefined, { dataShards: 1, parityShards: 1 }, { dataShards: 10, parityShards: 3 }]) {
    for (let seed = 1; seed <= 100; seed++) {
      const prng = new Prng(seed)
      const decoder = new AutotuneDecoder({ conv }, shape)
      const came = shardsSent.filter(() => !prng.chance(1 / 12))
      for (const one of giveAll(decoder, came)) ok(sent.has(one), `seed ${seed}`)
      recovered += decoder.counters.recovered
    }
  }
  ok(recovered > 100, `${recovered}`)
})

test('what is no shard is counted while searching, too', () => {
  const decoder = new AutotuneDecoder({ conv: CONV })
  deepEqual(giveAll(decoder, [push(1), new Uint8Array(3)]), [])
  equal(decoder.counters.malformed, 2)
})

test('parity that comes before the numbers are known is counted', () => {
  const decoder = new AutotuneDecoder({ conv: CONV })
  const datagrams = encode(
    new FecEncoder({ dataShards: 3, parityShards: 1, maxDatagram: 500 }),
    Array.from({ length: 9 }, (_, sn) => push(sn)),
  )
  giveAll(decoder, datagrams)
  deepEqual(decoder.shape?.dataShards, 3)
  // The third group's is the first that has a decoder.
  deepEqual([decoder.counters.parity, decoder.counters.unused], [3, 2])
})
