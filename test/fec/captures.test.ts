import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Kcp } from '../../src/core/index.ts'
import { readU32 } from '../../src/core/segment.ts'
import { FecKind as Kind, readSeqid, seqidLimit } from '../../src/fec/header.ts'
import { FecDecoder, FecEncoder, type FecKind, fecKind, skipFec } from '../../src/fec/index.ts'
import { type Capture, type Captured, captureNames, readCapture } from './captures.ts'
import { hex, taken } from './shards.ts'

/** What is in it is told in test/vectors/kcpgo/README.md. */
const MISALIGNED = 'fec-misaligned-5.6.12'
const HAZARD = 'autotune-hazard'

interface Direction {
  readonly title: string
  readonly capture: Capture
  /** Everything that was sent this way, what the relay dropped included, in the order of seqids. */
  readonly sent: readonly Captured[]
}

/** Both ways of all captures whose two ends have the same FEC. */
function directions(): Direction[] {
  return captureNames().flatMap((name) => {
    const capture = readCapture(name)
    if (name === MISALIGNED || name === HAZARD) return []
    return (['c2s', 's2c'] as const).map((dir) => ({
      title: `${name} ${dir}`,
      capture,
      sent: capture.datagrams.filter((one) => one.dir === dir && isShard(one.bytes)),
    }))
  })
}

function kindOf(bytes: Uint8Array): FecKind {
  return fecKind(bytes, 0, bytes.length)
}

function isShard(bytes: Uint8Array): boolean {
  return kindOf(bytes) === Kind.Data || kindOf(bytes) === Kind.Parity
}

const segmentsOf = (bytes: Uint8Array): Uint8Array => bytes.subarray(8)
const convOf = (sent: readonly Captured[]): number => readU32(sent[0]!.bytes, 8)

/** Sends the data of a capture again. Returns every datagram that our encoder makes of it. */
function encodeAgain({ capture, sent }: Direction, clock: (one: Captured) => number): string[] {
  const encoder = new FecEncoder({
    dataShards: capture.dataShards,
    parityShards: capture.parityShards,
    maxDatagram: 1500,
    firstSeqid: readSeqid(sent[0]!.bytes, 0),
  })
  const made: string[] = []
  for (const one of sent) {
    if (kindOf(one.bytes) !== Kind.Data) continue
    const datagram = one.bytes.slice()
    datagram.fill(0xee, 0, 8)
    const count = encoder.add(datagram, 8, datagram.length, clock(one))
    made.push(hex(datagram))
    made.push(...encoder.parity.slice(0, count).map((parity) => hex(taken(parity))))
  }
  return made
}

test('the captures are there, and each has FEC both ways', () => {
  const all = directions()
  ok(all.length >= 2 * 25, `${all.length} directions`)
  for (const { title, sent } of all) ok(sent.length > 1, title)
})

for (const direction of directions()) {
  const { title, capture, sent } = direction
  const { dataShards, parityShards } = capture
  const shards = dataShards + parityShards

  test(`${title}: our encoder makes the same datagrams, parity included`, () => {
    // Before 5.6.6 parity was always sent, as for an encoder whose clock stands.
    const always = sent.length > 2 && !title.startsWith('fec-skip')
    const made = encodeAgain(direction, (one) => (always ? 0 : one.at))
    deepEqual(
      made.slice(0, sent.length),
      sent.map(({ bytes }) => hex(bytes)),
    )
    // The relay may have ended between a group's parity datagrams.
    ok(made.length - sent.length < parityShards, `${made.length - sent.length} datagrams more`)
  })

  test(`${title}: every loss that parity covers is made good`, () => {
    let patterns = 0
    for (const group of completeGroups(sent, shards)) {
      for (const lost of subsets(shards, parityShards)) {
        patterns++
        const decoder = new FecDecoder({ dataShards, parityShards, conv: convOf(sent) })
        decoder.believe()
        const rebuilt: string[] = []
        for (const [place, { bytes }] of group.entries()) {
          if (lost.includes(place)) continue
          const count = decoder.add(bytes, 0, bytes.length, 0)
          for (const one of decoder.rebuilt.slice(0, count)) {
            rebuilt.push(hex(taken(one)))
          }
        }
        const expected = lost.filter((place) => place < dataShards)
        deepEqual(
          rebuilt,
          expected.map((place) => hex(segmentsOf(group[place]!.bytes))),
          `lost ${lost}`,
        )
      }
    }
    // Some captures are shorter than a group; those with skipped parity have none that is complete.
    if (sent.length >= 2 * shards && !title.startsWith('fec-skip')) ok(patterns > 0)
  })

  test(`${title}: what was dropped on the way comes back through parity`, () => {
    const decoder = new FecDecoder({ dataShards, parityShards, conv: convOf(sent) })
    decoder.believe()
    const came = new Set<string>()
    for (const { bytes, dropped, at } of sent) {
      if (dropped) continue
      if (kindOf(bytes) === Kind.Data) came.add(hex(segmentsOf(bytes)))
      const count = decoder.add(bytes, 0, bytes.length, at)
      for (const one of decoder.rebuilt.slice(0, count)) {
        const segments = hex(taken(one))
        ok(
          sent.some((other) => other.dropped && hex(segmentsOf(other.bytes)) === segments),
          'it was sent, and dropped',
        )
        came.add(segments)
      }
    }
    for (const group of completeGroups(sent, shards)) {
      if (group.filter(({ dropped }) => dropped).length > parityShards) continue
      for (const { bytes } of group.slice(0, dataShards)) ok(came.has(hex(segmentsOf(bytes))))
    }
    const { badSize, badPadding, badSegments, misplaced, unequal, malformed } = decoder.counters
    equal(badSize + badPadding + badSegments + misplaced + unequal + malformed, 0)
  })
}

/** Runs of all shards of a group. */
function completeGroups(sent: readonly Captured[], shards: number): (readonly Captured[])[] {
  const groups = new Map<number, Captured[]>()
  for (const one of sent) {
    const number = Math.floor(readSeqid(one.bytes, 0) / shards)
    groups.set(number, [...(groups.get(number) ?? []), one])
  }
  return [...groups.values()].filter((group) => group.length === shards)
}

/** All subsets of 0 .. n-1 with 1 to `most` members. */
function subsets(n: number, most: number): number[][] {
  const all: number[][] = []
  const grow = (members: readonly number[], from: number): void => {
    for (let next = from; next < n; next++) {
      all.push([...members, next])
      if (members.length + 1 < most) grow([...members, next], next + 1)
    }
  }
  grow([], 0)
  return all
}

test('captures with losses have something to make good', () => {
  for (const name of ['fec-3-1-aes-128-loss', 'aead-aes-128-gcm-fec-3-1-loss', 'kcptun-aes-fec-loss']) {
    let recovered = 0
    for (const { sent, capture } of directions().filter(({ title }) => title.startsWith(name))) {
      const { dataShards, parityShards } = capture
      const decoder = new FecDecoder({ dataShards, parityShards, conv: convOf(sent) })
      for (const { bytes, dropped, at } of sent) {
        if (!dropped) recovered += decoder.add(bytes, 0, bytes.length, at)
      }
    }
    ok(recovered > 0, name)
  }
})

/** What an engine reads of a capture when `each` says which segments reach it. */
function readThrough(
  sent: readonly Captured[],
  each: (datagram: Captured, input: (segments: Uint8Array) => void) => void,
): string[] {
  const engine = new Kcp(convOf(sent.filter(({ bytes }) => skipFec(bytes, 0, bytes.length) >= 0)), () => {}, {
    rcvWnd: 1024,
    // The hardened engine refuses ACKs of what it never sent, as those here are.
    hardening: false,
  })
  const read: string[] = []
  for (const datagram of sent) {
    each(datagram, (segments) => void engine.tryInput(segments, 0))
    for (let message = engine.recv(); message !== undefined; message = engine.recv()) read.push(hex(message))
  }
  return read
}

for (const direction of directions()) {
  const { title, capture, sent } = direction
  const { dataShards, parityShards } = capture
  const expected = title.endsWith('c2s') ? capture.written : capture.read
  if (expected.length === 0) continue
  const shards = dataShards + parityShards

  test(`${title}: the plaintext is read with as many datagrams missing as parity covers`, () => {
    const whole = completeGroups(sent, shards).flat()
    const decoder = new FecDecoder({ dataShards, parityShards, conv: convOf(sent) })
    decoder.believe()
    let lost = 0
    const read = readThrough(sent, ({ bytes }, input) => {
      const seqid = readSeqid(bytes, 0)
      const place = seqid % shards
      // Another run of places in each group.
      const first = Math.floor(seqid / shards) % shards
      const isLost = (place - first + shards) % shards < parityShards
      if (isLost && whole.some((one) => one.bytes === bytes)) {
        lost++
        return
      }
      if (kindOf(bytes) === Kind.Data) input(segmentsOf(bytes))
      const count = decoder.add(bytes, 0, bytes.length, 0)
      for (const one of decoder.rebuilt.slice(0, count)) input(taken(one))
    })
    deepEqual(read, expected.map(hex))
    if (whole.length > 0) ok(lost > 0 && decoder.counters.recovered > 0)
  })
}

test('the seqids of a capture run over their end as ours do', () => {
  const wrap = directions().filter(({ title }) => title.startsWith('fec-wrap'))
  equal(wrap.length, 2)
  for (const { sent } of wrap) {
    const seqids = sent.map(({ bytes }) => readSeqid(bytes, 0))
    ok(seqids.includes(seqidLimit(4) - 1) && seqids.includes(0))
    ok(Math.max(...seqids) < seqidLimit(4))
  }
})

test('a peer that numbers its groups askew: nothing is rebuilt, and its data is good as it comes', () => {
  const { datagrams, written } = readCapture(MISALIGNED)
  const sent = datagrams.filter((one) => one.dir === 'c2s')
  const decoder = new FecDecoder({ dataShards: 3, parityShards: 1, conv: convOf(sent) })
  const read = readThrough(sent, ({ bytes, at }, input) => {
    if (kindOf(bytes) === Kind.Data) input(segmentsOf(bytes))
    equal(decoder.add(bytes, 0, bytes.length, at), 0)
  })
  deepEqual(read, written.map(hex))
  ok(decoder.counters.misplaced > 0)
})

test('a peer that numbers its groups askew: no loss makes anything come out that was not sent', () => {
  const { datagrams } = readCapture(MISALIGNED)
  const sent = datagrams.filter((one) => one.dir === 'c2s')
  for (const lost of subsets(sent.length, 3)) {
    const decoder = new FecDecoder({ dataShards: 3, parityShards: 1, conv: convOf(sent) })
    for (const [i, { bytes }] of sent.entries()) {
      if (!lost.includes(i)) equal(decoder.add(bytes, 0, bytes.length, 0), 0, `lost ${lost}`)
    }
  }
})

test('an end without FEC reads what a peer with FEC says, and makes nothing of its parity', () => {
  const { datagrams, written } = readCapture(HAZARD)
  // The server has FEC 3/1, the client none: kcp-go 5.6.1 read a corrupted message here, without any loss.
  const sent = datagrams.filter((one) => one.dir === 's2c')
  ok(sent.some(({ bytes }) => kindOf(bytes) === Kind.Parity))
  const read = readThrough(sent, ({ bytes }, input) => {
    const skip = skipFec(bytes, 0, bytes.length)
    if (skip >= 0) input(bytes.subarray(skip))
  })
  deepEqual(read, written.map(hex))
})
