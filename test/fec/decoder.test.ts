import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KcpError } from '../../src/core/index.ts'
import { writeU32 } from '../../src/core/segment.ts'
import { seqidLimit } from '../../src/fec/header.ts'
import { FecDecoder, type FecDecoderOptions, FecEncoder } from '../../src/fec/index.ts'
import { ReedSolomon } from '../../src/fec/reed-solomon.ts'
import { Prng } from '../../src/sim/index.ts'
import { CONV, encode, hex, push, taken } from './shards.ts'

/** A decoder that has seen nothing yet. */
const fresh = (options: Partial<FecDecoderOptions> = {}): FecDecoder =>
  new FecDecoder({ dataShards: 3, parityShards: 2, conv: CONV, ...options })

/** One that believes in its parameters. */
function make(options: Partial<FecDecoderOptions> = {}): FecDecoder {
  const decoder = fresh(options)
  decoder.believe()
  return decoder
}

/** One that has seen a shard that is not where it belongs. */
function doubting(): FecDecoder {
  const decoder = fresh()
  const [zero] = group(50_000) as [Uint8Array]
  zero[4] = 0xf2
  give(decoder, zero)
  equal(decoder.counters.misplaced, 1)
  return decoder
}

const encoder = (
  options: { dataShards?: number; parityShards?: number; firstSeqid?: number } = {},
): FecEncoder => new FecEncoder({ dataShards: 3, parityShards: 2, maxDatagram: 1400, ...options })

/** Segments that the decoder gives back for this datagram, in hex. */
function give(decoder: FecDecoder, datagram: Uint8Array, now: number = 0): string[] {
  const count = decoder.add(datagram, 0, datagram.length, now)
  return decoder.rebuilt.slice(0, count).map((one) => hex(taken(one)))
}

const giveAll = (decoder: FecDecoder, datagrams: readonly Uint8Array[], now: number = 0): string[] =>
  datagrams.flatMap((one) => give(decoder, one, now))

/** The counters that are not 0. */
const counted = ({ counters }: FecDecoder): object =>
  Object.fromEntries(Object.entries(counters).filter(([, count]) => count !== 0))

/** A group of the shape 3/2: three data, two parity. */
const group = (number: number = 0, size: number = 20): Uint8Array[] =>
  encode(encoder({ firstSeqid: number * 5 }), [push(0, size), push(1, size + 3), push(2, size)])

test('two lost datagrams come back with the second parity datagram, in order', () => {
  const [, one, , first, second] = group() as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array]
  const decoder = make()
  deepEqual(giveAll(decoder, [one, first]), [])
  deepEqual(give(decoder, second), [hex(push(0)), hex(push(2))])
  deepEqual(counted(decoder), { data: 1, parity: 2, recovered: 2 })
})

test('shards may come in any order, and the group may begin with its parity', () => {
  const [zero, , , first, second] = group() as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array]
  deepEqual(giveAll(make(), [second, zero, first]), [hex(push(1, 23)), hex(push(2))])
})

test('a group whose data is there needs no parity, and what comes of it later is late', () => {
  const shards = group()
  const decoder = make()
  deepEqual(giveAll(decoder, [...shards, shards[0]!, shards[3]!]), [])
  deepEqual(counted(decoder), { data: 4, parity: 3, late: 2, duplicate: 2 })
  equal(decoder.heldBytes, 3 * 1536)
})

test('nothing is given back twice: data that comes after all is late', () => {
  const [zero, one, two, first, second] = group() as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ]
  const decoder = make()
  deepEqual(giveAll(decoder, [one, two, first]), [hex(push(0))])
  deepEqual(giveAll(decoder, [zero, second]), [])
  deepEqual(counted(decoder), { data: 3, parity: 2, recovered: 1, late: 2 })
})

test('with as much parity as data, parity of data that is there gives nothing back', () => {
  const made = encode(encoder({ dataShards: 1, parityShards: 1 }), [push(0), push(1), push(2)])
  const decoder = make({ dataShards: 1, parityShards: 1 })
  deepEqual(giveAll(decoder, made), [])
  deepEqual(giveAll(decoder, [made[4]!]), [])
  deepEqual(counted(decoder), { data: 4, parity: 3, late: 3, duplicate: 1 })
})

test('copies of one shard do not stand for others', () => {
  const [zero, , , first] = group() as [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
  const decoder = make()
  deepEqual(giveAll(decoder, [zero, first, zero, first, zero]), [])
  deepEqual(counted(decoder), { data: 3, parity: 2, duplicate: 3 })
})

test('groups overlap', () => {
  const [a, b] = [group(0), group(1)] as [Uint8Array[], Uint8Array[]]
  const decoder = make()
  const mixed = [a[0]!, b[3]!, a[4]!, b[1]!, a[1]!, b[2]!]
  deepEqual(giveAll(decoder, mixed), [hex(push(2)), hex(push(0))])
})

test('the numbers may run over their end', () => {
  const limit = seqidLimit(5)
  const sender = encoder({ firstSeqid: limit - 5 })
  const made = encode(sender, [push(0), push(1), push(2), push(3), push(4), push(5)])
  const lost = new Set([0, 4, 6, 7])
  const decoder = make()
  deepEqual(
    giveAll(
      decoder,
      made.filter((_, i) => !lost.has(i)),
    ),
    [hex(push(0)), hex(push(4)), hex(push(5))],
  )
})

test('a number that our peer does not use belongs to no group', () => {
  const decoder = make()
  for (const seqid of [seqidLimit(5), 0xffff_ffff]) {
    const [zero] = group() as [Uint8Array]
    writeU32(zero, 0, seqid)
    deepEqual(give(decoder, zero), [])
  }
  deepEqual(counted(decoder), { data: 2, outOfRange: 2 })
})

test('data where parity belongs, or parity where data belongs, spoils its group for good', () => {
  for (const wrong of [0, 3]) {
    const shards = group()
    const forged = shards[wrong]!.slice()
    if (wrong === 0) forged[4] = 0xf2
    else {
      forged.set(shards[0]!.subarray(4, 8), 4)
      forged[6] = forged.length - 6
      writeU32(forged, 8, CONV)
    }
    const decoder = make()
    const rest = shards.filter((_, place) => place !== 1)
    deepEqual(giveAll(decoder, [rest[0]!, forged, ...rest.slice(1)]), [])
    equal(decoder.counters.misplaced, 1)
    equal(decoder.counters.recovered, 0)
  }
})

test('data of another conversation does not enter a group', () => {
  const [zero, one, , first] = group() as [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
  const decoder = make()
  const foreign = zero.slice()
  writeU32(foreign, 8, CONV + 1)
  deepEqual(giveAll(decoder, [foreign, one, first]), [])
  deepEqual(give(decoder, zero), [hex(push(2))])
  equal(decoder.counters.foreign, 1)
})

test('a group of another conversation gives nothing', () => {
  const sender = encoder({ dataShards: 1, parityShards: 2 })
  const decoder = make({ dataShards: 1, parityShards: 2 })
  giveAll(decoder, encode(sender, [push(0)]))
  const other = encode(sender, [push(1, 20, CONV + 1)])
  deepEqual(giveAll(decoder, other), [])
  equal(decoder.counters.foreign, 1)
  equal(decoder.counters.badSegments, 1)
})

test('parity of two sizes, or shorter than data, spoils its group', () => {
  const short = group(0, 10)
  const long = group(0, 40)
  const one = make()
  deepEqual(giveAll(one, [long[0]!, long[3]!, short[4]!, long[4]!]), [])
  deepEqual(counted(one), { data: 1, parity: 3, unequal: 1, duplicate: 1 })
  const two = make()
  deepEqual(giveAll(two, [long[0]!, short[3]!, long[4]!, long[1]!]), [])
  deepEqual(counted(two), { data: 2, parity: 2, unequal: 1, late: 2 })
  const three = make()
  deepEqual(giveAll(three, [short[3]!, long[0]!, long[4]!, long[1]!]), [])
  deepEqual(counted(three), { data: 2, parity: 2, unequal: 1, late: 2 })
})

/** What our decoder says of the first shard of a group, if it has these bytes from the size field on, and is lost. */
function judge(shard: Uint8Array): object {
  const length = 64
  const data = new Uint8Array(3 * length)
  data.set(shard, 0)
  for (const place of [1, 2]) {
    const segment = push(place, 10)
    data.set([segment.length + 2, 0], place * length)
    data.set(segment, place * length + 2)
  }
  const parity = new Uint8Array(2 * length)
  const size = Math.max(shard.length, 36)
  new ReedSolomon(3, 2).encode(data, length, size, parity, 0, length)
  const header = (seqid: number, type: number): number[] => [seqid, 0, 0, 0, type, 0]
  const decoder = make()
  const rebuilt = giveAll(decoder, [
    Uint8Array.from([...header(1, 0xf1), ...data.subarray(length, length + 36)]),
    Uint8Array.from([...header(2, 0xf1), ...data.subarray(2 * length, 2 * length + 36)]),
    Uint8Array.from([...header(3, 0xf2), ...parity.subarray(0, size)]),
  ])
  const { badSize, badPadding, badSegments, recovered } = decoder.counters
  equal(recovered, rebuilt.length)
  return { badSize, badPadding, badSegments, rebuilt }
}

test('what was rebuilt must be a shard in every respect', () => {
  const segment = push(0, 10)
  const shard = (size: number, ...rest: number[]): Uint8Array =>
    Uint8Array.from([size, 0, ...segment, ...rest])
  const good = { badSize: 0, badPadding: 0, badSegments: 0, rebuilt: [hex(segment)] }
  const bad = { ...good, rebuilt: [] }
  deepEqual(judge(shard(36)), good)
  deepEqual(judge(shard(36, 0, 0, 0)), good)
  deepEqual(judge(shard(0)), { ...bad, badSize: 1 })
  deepEqual(judge(shard(1)), { ...bad, badSize: 1 })
  deepEqual(judge(shard(37)), { ...bad, badSize: 1 })
  deepEqual(judge(shard(36, 0, 0, 1)), { ...bad, badPadding: 1 })
  deepEqual(judge(Uint8Array.of(2, 0)), { ...bad, badSegments: 1 })
  deepEqual(judge(shard(37, 0)), { ...bad, badSegments: 1 })
  for (const [at, value] of [
    [0, 0],
    [4, 80],
    [4, 85],
    [20, 11],
    [20, 9],
    [22, 1],
  ] as const) {
    const changed = shard(36)
    changed[2 + at] = value
    deepEqual(judge(changed), { ...bad, badSegments: 1 }, `byte ${at}`)
  }
})

test('what is longer than the largest datagram is left out', () => {
  const decoder = make({ maxDatagram: 100 })
  const shards = group(0, 66)
  equal(shards[0]!.length, 98)
  equal(shards[1]!.length, 101)
  deepEqual(giveAll(decoder, shards), [])
  deepEqual(counted(decoder), { data: 3, parity: 2, oversize: 3 })
})

test('what is no shard is counted, and that is all', () => {
  const decoder = make()
  const parts = [push(1), new Uint8Array(0), Uint8Array.of(0, 0, 0, 0, 0xf1, 0, 3, 0), new Uint8Array(12)]
  deepEqual(giveAll(decoder, parts), [])
  deepEqual(counted(decoder), { malformed: 4 })
})

test('groups are given up when they are too old', () => {
  const [zero, one, , first] = group() as [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
  const decoder = make({ maxAge: 1000 })
  give(decoder, zero, 0xffff_ff00)
  give(decoder, one, 0x200)
  decoder.expire(0x2e7)
  equal(decoder.counters.abandoned, 0)
  decoder.expire(0x2e8)
  equal(decoder.counters.abandoned, 1)
  deepEqual(give(decoder, first, 0x2e9), [])
  equal(decoder.counters.late, 1)
})

test('a later group ends the wait for one that is too old', () => {
  const decoder = make({ maxAge: 1000 })
  give(decoder, group(0)[0]!, 0)
  give(decoder, group(1)[0]!, 999)
  equal(decoder.counters.abandoned, 0)
  give(decoder, group(2)[0]!, 1000)
  equal(decoder.counters.abandoned, 1)
})

test('a flood of groups reaches the bounds and stays there', () => {
  const shards = 3 * 1536
  const decoder = make({ maxGroups: 8, maxBytes: 5 * shards + 100 })
  const before = group(1_000_000)
  giveAll(decoder, before.slice(0, 2))
  for (let i = 0; i < 1000; i++) {
    // Numbers near and far, forwards and back.
    const number = Math.imul(i, 0x9e37_79b1) >>> 4
    const [zero] = group() as [Uint8Array]
    writeU32(zero, 0, number * 5)
    give(decoder, zero)
    ok(decoder.heldBytes <= 5 * shards)
  }
  equal(decoder.heldBytes, 5 * shards)
  equal(decoder.counters.abandoned, 1001 - 5)
  // An honest group works all the same.
  deepEqual(giveAll(decoder, group(7).slice(1, 4)), [hex(push(0))])
})

test('one forged number far ahead costs one group, not those of today', () => {
  const decoder = make()
  const [, one, two, first] = group(10) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
  give(decoder, one)
  for (const number of [800_000_000, 3, 11]) give(decoder, group(number)[0]!)
  deepEqual(giveAll(decoder, [two, first]), [hex(push(0))])
})

test('trim gives everything back, and the next group works', () => {
  const decoder = make()
  give(decoder, group(0)[0]!)
  ok(decoder.heldBytes > 0)
  decoder.trim()
  equal(decoder.heldBytes, 0)
  equal(decoder.counters.abandoned, 1)
  deepEqual(giveAll(decoder, group(1).slice(1, 4)), [hex(push(0))])
})

test('what the caller does wrong is thrown', () => {
  for (const wrong of [
    { dataShards: 0 },
    { parityShards: 0 },
    { dataShards: 200, parityShards: 57 },
    { conv: -1 },
    { maxDatagram: 7 },
    { maxGroups: 0 },
    { maxBytes: 3 * 1536 - 1 },
    { maxAge: 0 },
  ]) {
    throws(
      () => make(wrong),
      (error) => KcpError.is(error, 'ERR_KCP_CONFIG'),
      JSON.stringify(wrong),
    )
  }
  equal(fresh({ maxBytes: 3 * 1536 }).heldBytes, 0)
})

test('any shape, sizes and losses: what comes back is what was sent, and as much as parity covers', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 1, max: 12 }),
      fc.integer(),
      fc.integer({ min: 0, max: 60 }),
      (dataShards, parityShards, seed, lossPercent) => {
        const prng = new Prng(seed)
        const sender = encoder({ dataShards, parityShards })
        const decoder = make({ dataShards, parityShards })
        const sent = new Set<string>()
        for (let number = 0; number < 6; number++) {
          const segments = Array.from({ length: dataShards }, (_, i) =>
            push(number * 100 + i, prng.int(0, 400)),
          )
          for (const one of segments) sent.add(hex(one))
          const made = encode(sender, segments)
          const came = made.filter(() => !prng.chance(lossPercent / 100))
          const lost = segments.filter((_, place) => !came.includes(made[place]!))
          came.sort(() => prng.u32() - 0x8000_0000)
          const rebuilt = giveAll(decoder, came)
          for (const one of rebuilt) ok(sent.has(one))
          if (came.length >= dataShards) for (const one of lost) ok(rebuilt.includes(hex(one)))
          else deepEqual(rebuilt, [])
        }
      },
    ),
    { numRuns: 150 },
  )
})

/**
 * What each of these groups gave back in the end, given one after another. A group is the places that came: `-` is lost,
 * `!` came as the other kind.
 */
function story(decoder: FecDecoder, first: number, ...groups: readonly string[]): string {
  return groups
    .map((came, i) => {
      const shards = group(first + i).map((shard, place) => {
        if (came[place] !== '!') return shard
        // Parity as data looks like a shard of ours, sizes included.
        const other = group(first + i)[0]!
        writeU32(other, 0, (first + i) * 5 + place)
        if (place < 3) other[4] = 0xf2
        return other
      })
      return giveAll(
        decoder,
        shards.filter((_, place) => came[place] !== '-'),
      ).length
    })
    .join(' ')
}

test('the first group shows by itself how it is made', () => {
  equal(story(fresh(), 0, '--234'), '2')
  equal(story(fresh(), 0, '-123-'), '1')
  equal(story(fresh(), 0, '01-34'), '0', 'the last data was not seen: it might be parity')
  equal(story(fresh(), 0, '-12-4'), '0', 'the first parity was not seen: it might be data')
})

test('parity behind a gap may be that of the next group', () => {
  // Two groups of 2/1: data 0, 1, 3, 4 and parity 2, 5. For a decoder of 2/4 all of it is one group.
  const made = encode(encoder({ dataShards: 2, parityShards: 1 }), [push(0), push(1), push(2), push(3)])
  const decoder = fresh({ dataShards: 2, parityShards: 4 })
  deepEqual(giveAll(decoder, [made[5]!, made[1]!, made[2]!]), [])
  equal(decoder.counters.misplaced, 0)
  // Without it there is no doubt whose the parity is.
  const other = fresh({ dataShards: 2, parityShards: 4 })
  deepEqual(giveAll(other, [made[1]!, made[2]!]), [hex(push(0))])
})

test("others wait until no other numbers can be the peer's", () => {
  equal(story(fresh(), 0, '01234', '0-234'), '0 1')
  equal(story(fresh(), 0, '01234', '--234'), '0 0', 'that the very first shard is data says nothing')
  equal(story(fresh(), 0, '0123-', '0-234'), '0 0', 'no parity was seen before the second group')
  equal(story(fresh(), 0, '01-34', '0-234', '0-2-4'), '0 1 1', 'the last data came in the second group')
  equal(story(fresh(), 0, '0-234', '0-234', '01234', '-1-34'), '1 0 0 2', 'place 1 came in the third group')
  // Where somebody comes in later, one beginning is a multiple of too much.
  equal(story(fresh(), 7, '01234', '01234', '-1234'), '0 0 0')
  equal(story(fresh(), 7, '01234', '01234', '0-234'), '0 0 1')
  const far = ['01234', '0123-', '0123-', '0123-', '0123-', '01234', '0-234']
  equal(story(fresh(), 4, ...far), '0 0 0 0 0 0 0', 'groups of 25 begin at 25 and 50, too')
  equal(story(fresh(), 4, ...far, '0-2-4'), '0 0 0 0 0 0 0 1')
})

test('shards may be seen in any order', () => {
  const [a, b] = [group(0), group(1)] as [Uint8Array[], Uint8Array[]]
  const decoder = fresh()
  deepEqual(giveAll(decoder, [b[0]!, b[3]!, a[4]!, a[3]!, a[0]!, a[1]!, a[2]!]), [])
  deepEqual(give(decoder, b[4]!), [hex(push(1, 23)), hex(push(2))])
})

test('what speaks against the parameters takes back all that spoke for them', () => {
  equal(story(doubting(), 0, '--234'), '0', 'who left parity out does not begin at 0')
  equal(story(doubting(), 0, '01234', '0-234'), '0 0', 'nor at a multiple')
  equal(story(doubting(), 7, '01234', '01234', '0-234'), '0 0 1')
  for (const against of ['!1234', '012!4', '!----', '---!-']) {
    equal(story(make(), 7, '--234', against, '--234'), '2 0 0', against)
    equal(story(make(), 7, '--234', against, '01234', '01234', '0-2-4'), '2 0 0 0 1', against)
  }
})

test('so does what was rebuilt and is no shard', () => {
  const sender = encoder({ firstSeqid: 35 })
  const decoder = make()
  // Of one conversation by its first shards; what is lost is of another.
  const made = encode(sender, [push(0), push(1), push(2, 20, CONV + 1)])
  deepEqual(giveAll(decoder, [made[0]!, made[1]!, made[3]!]), [])
  equal(decoder.counters.badSegments, 1)
  equal(story(decoder, 8, '--234', '01234', '0-2-4'), '0 0 1')
})

test('a group that could not be proven is counted as that when it is given up', () => {
  const decoder = fresh({ maxAge: 1000 })
  giveAll(decoder, group(7).slice(0, 2))
  giveAll(decoder, group(8).slice(1, 4))
  giveAll(decoder, group(9).slice(0, 3))
  decoder.expire(1000)
  const { abandoned, unproven } = decoder.counters
  deepEqual({ abandoned, unproven }, { abandoned: 1, unproven: 1 })
})

test('a peer with other numbers: whatever is lost, nothing comes out that was not sent', () => {
  const shapes = [
    [10, 1],
    [9, 2],
    [10, 3],
    [3, 1],
    [2, 1],
    [2, 2],
    [1, 1],
    [4, 4],
    [5, 3],
    [11, 2],
  ] as const
  let unproven = 0
  for (const [d1, p1] of shapes) {
    for (const [d2, p2] of shapes) {
      if (d1 === d2 && p1 === p2) continue
      for (let seed = 1; seed <= 10; seed++) {
        const prng = new Prng(seed)
        // Alike but for their numbers, as KCP's segments are: only these tell right from wrong.
        const segments = Array.from({ length: d1 * 20 }, (_, sn) => push(sn, 30))
        const sent = new Set(segments.map(hex))
        const decoder = fresh({ dataShards: d2, parityShards: p2 })
        for (const one of encode(encoder({ dataShards: d1, parityShards: p1 }), segments)) {
          if (prng.chance(0.15)) continue
          for (const segment of give(decoder, one)) {
            ok(sent.has(segment), `sent ${d1}/${p1}, received ${d2}/${p2}, seed ${seed}`)
          }
        }
        ok(decoder.counters.misplaced > 0)
        decoder.trim()
        unproven += decoder.counters.unproven
      }
    }
  }
  ok(unproven > 0)
})

test('nor does it where groups meet often, and segments are nearly alike', () => {
  for (let seed = 1; seed <= 3000; seed++) {
    const prng = new Prng(seed)
    const [d1, p1] = [prng.int(1, 8), prng.int(1, 6)]
    // Groups of the same size, or of a multiple.
    const n2 = (d1 + p1) * prng.int(1, 3)
    const d2 = prng.int(1, n2 - 1)
    if (d1 === d2 && d1 + p1 === n2) continue
    const loss = prng.next() / 2
    // Questions and answers of an idle end differ by una, now and then.
    let una = 0
    const segments = Array.from({ length: d1 * 40 }, (_, i) => push(prng.chance(0.2) ? una++ : i & 1, 0))
    const sent = new Set(segments.map(hex))
    const decoder = fresh({ dataShards: d2, parityShards: n2 - d2 })
    for (const one of encode(encoder({ dataShards: d1, parityShards: p1 }), segments)) {
      if (prng.chance(loss)) continue
      for (const segment of give(decoder, one)) {
        ok(sent.has(segment), `sent ${d1}/${p1}, received ${d2}/${n2 - d2}, seed ${seed}`)
      }
    }
  }
})

test('whatever arrives, nothing is thrown, bounds hold, and what comes out is segments of ours', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const prng = new Prng(seed)
      const decoder = make({ maxGroups: 4, maxBytes: 4 * 3 * 1536 })
      const honest = [0, 1, 2, 3].flatMap((number) => group(number, prng.int(0, 60)))
      for (let i = 0; i < 200; i++) {
        const bytes = honest[prng.int(0, honest.length - 1)]!.slice()
        for (let changes = prng.int(0, 3); changes > 0; changes--) {
          bytes[prng.int(0, bytes.length - 1)]! ^= 1 << prng.int(0, 7)
        }
        const size = prng.chance(0.1) ? prng.int(0, bytes.length) : bytes.length
        const count = decoder.add(bytes, 0, size, i * 10)
        for (const one of decoder.rebuilt.slice(0, count)) {
          const segment = taken(one)
          ok(segment.length >= 24 && segment[4]! >= 81 && segment[4]! <= 84)
        }
        ok(decoder.heldBytes <= 4 * 3 * 1536)
      }
    }),
    { numRuns: 100 },
  )
})

test('channels: data of each of them is taken in and given back, that of others is not', () => {
  const shards = encode(encoder(), [push(0, 20, CONV), push(1, 20, CONV + 1), push(2, 20, CONV + 2)])
  const decoder = make({ channels: 3 })
  deepEqual(giveAll(decoder, [shards[0]!, shards[3]!, shards[4]!]), [
    hex(push(1, 20, CONV + 1)),
    hex(push(2, 20, CONV + 2)),
  ])
  const narrow = make({ channels: 2 })
  deepEqual(giveAll(narrow, [shards[0]!, shards[1]!, shards[3]!]), [])
  equal(narrow.counters.badSegments, 1)
  give(narrow, shards[2]!)
  equal(narrow.counters.foreign, 1)
})

test('a frugal decoder has memory for the latest group only', () => {
  const decoder = fresh()
  decoder.frugal = true
  for (let number = 0; number < 10; number++) {
    give(decoder, group(number)[0]!)
    equal(decoder.heldBytes, 3 * 1536)
  }
  equal(decoder.counters.abandoned, 9)
  decoder.frugal = false
  for (let number = 10; number < 13; number++) give(decoder, group(number)[0]!)
  equal(decoder.heldBytes, 4 * 3 * 1536)
})
