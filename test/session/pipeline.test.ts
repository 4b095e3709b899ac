/** The pipeline by itself: over transports of both kinds, with every order of what is in it. */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Kcp } from '../../src/core/kcp.ts'
import { aesGcm } from '../../src/crypto/aes-gcm.ts'
import { aeadPackets, classicPackets, type PacketCipher, unscrambled } from '../../src/crypto/index.ts'
import { FecKind, fecKind } from '../../src/fec/header.ts'
import { PeerLink } from '../../src/session/peer-link.ts'
import { Pipeline } from '../../src/session/pipeline.ts'
import type { DatagramTransport, PacketCodec } from '../../src/session/transport.ts'
import { Prng } from '../../src/sim/prng.ts'

const CONV = 5

/** Random bytes of a seed: what is sealed twice by two of these is the same. */
function filler(): (bytes: Uint8Array, start: number, end: number) => void {
  const prng = new Prng(3)
  return (bytes, start, end) => {
    for (let i = start; i < end; i++) bytes[i] = prng.int(0, 255)
  }
}

const CIPHERS: Readonly<Record<string, () => PacketCipher | undefined>> = {
  'no cipher': () => undefined,
  none: () => classicPackets(unscrambled, filler()),
  aead: () => aeadPackets(aesGcm(new Uint8Array(16)), filler()),
}

const codec: PacketCodec<string> = {
  overhead: 2,
  encode: (datagram) => Uint8Array.of(7, ...datagram, 8),
  decode: (datagram) => datagram.slice(1, -1),
}

/** What a pipeline sends of some segments over this transport; `sent` has the copies that it kept. */
function send(
  transport: Partial<DatagramTransport<string>>,
  cipher: PacketCipher | undefined,
  withCodec: boolean,
  fec: boolean,
): void {
  const whole = { send: () => undefined, start: () => undefined, close: () => undefined, ...transport }
  const link = new PeerLink<string>(whole, 'bob', withCodec ? codec : undefined, cipher)
  const pipeline = new Pipeline<string>({
    link,
    conv: CONV,
    channels: 1,
    fec: fec ? { data: 2, parity: 2, autotune: false } : undefined,
    mtu: 500,
    now: () => 0,
    warn: () => undefined,
  })
  const kcp = new Kcp(CONV, pipeline.send, { mtu: 500, nc: true })
  kcp.update(0)
  for (let i = 0; i < 8; i++) kcp.send(new Uint8Array(476 - (i % 3)).fill(i))
  kcp.flush(0)
  pipeline.flushed()
  pipeline.sendNotice(new Uint8Array(20))
  if (fec) pipeline.sendOutOfBand(CONV, new Uint8Array(10))
}

for (const [name, make] of Object.entries(CIPHERS)) {
  for (const withCodec of [false, true]) {
    for (const fec of [false, true]) {
      const title = `${name}${withCodec ? ', a codec' : ''}${fec ? ', FEC' : ''}`
      test(`${title}: a transport that takes batches gets what send would get, to keep`, () => {
        const single: string[] = []
        send(
          { send: (datagram) => void single.push(Buffer.from(datagram).toString('hex')) },
          make(),
          withCodec,
          fec,
        )
        const batches: Uint8Array[] = []
        let calls = 0
        send(
          {
            sendBatch: (batch) => {
              calls++
              for (const { datagram } of batch) batches.push(datagram)
            },
          },
          make(),
          withCodec,
          fec,
        )
        equal(single.length, fec ? 8 + 8 + 2 : 9)
        deepEqual(
          batches.map((datagram) => Buffer.from(datagram).toString('hex')),
          single,
          'though everything was sent when they are looked at',
        )
        equal(calls, fec ? 3 : 2)
      })
    }
  }
}

test('parity follows the last data of its group, all as long as its longest', () => {
  const sent: Uint8Array[] = []
  send({ send: (datagram) => void sent.push(datagram.slice()) }, undefined, false, true)
  deepEqual(
    sent.map((datagram) => fecKind(datagram, 0, datagram.length)),
    [
      ...Array.from({ length: 4 }, () => [FecKind.Data, FecKind.Data, FecKind.Parity, FecKind.Parity]).flat(),
      FecKind.Bare,
      FecKind.OutOfBand,
    ],
  )
  for (let group = 0; group < 4; group++) {
    const sizes = sent.slice(group * 4, group * 4 + 4).map((datagram) => datagram.length)
    deepEqual(sizes.slice(2), [Math.max(sizes[0]!, sizes[1]!), Math.max(sizes[0]!, sizes[1]!)])
  }
})

test('a datagram larger than the groups were made for goes bare', () => {
  const sent: Uint8Array[] = []
  const transport = { send: (datagram: Uint8Array) => void sent.push(datagram.slice()) }
  const whole = { start: () => undefined, close: () => undefined, ...transport }
  const link = new PeerLink<string>(whole, 'bob', undefined)
  const fec = { data: 1, parity: 1, autotune: false }
  const options = { link, conv: CONV, channels: 1, fec, mtu: 500, now: () => 0, warn: () => undefined }
  const pipeline = new Pipeline<string>(options)
  const kcp = new Kcp(CONV, pipeline.send, { mtu: 900, nc: true })
  kcp.update(0)
  kcp.send(new Uint8Array(800))
  kcp.flush(0)
  equal(sent.length, 1)
  equal(fecKind(sent[0]!, 0, sent[0]!.length), FecKind.Bare)
})

test('before the address is proven a peer costs the memory of one group', () => {
  const link = new PeerLink<string>(
    { send: () => undefined, start: () => undefined, close: () => undefined },
    'bob',
    undefined,
  )
  const fec = { data: 4, parity: 2, autotune: false }
  const options = { link, conv: CONV, channels: 1, fec, mtu: 500, now: () => 0, warn: () => undefined }
  const pipeline = new Pipeline<string>(options)
  const shard = (seqid: number): Uint8Array => {
    const datagram = new Uint8Array(8 + 24 + 20)
    const view = new DataView(datagram.buffer)
    view.setUint32(0, seqid, true)
    view.setUint16(4, 0xf1, true)
    view.setUint16(6, 46, true)
    view.setUint32(8, CONV, true)
    datagram[12] = 81
    view.setUint32(28, 20, true)
    return datagram
  }
  for (let group = 0; group < 20; group++)
    pipeline.takeShard(FecKind.Data, shard(group * 6), 0, () => undefined)
  equal(pipeline.stats().fec!.abandoned, 19)
  pipeline.proven = true
  for (let group = 20; group < 25; group++)
    pipeline.takeShard(FecKind.Data, shard(group * 6), 0, () => undefined)
  equal(pipeline.stats().fec!.abandoned, 19, 'now there is room for more')
  ok(pipeline.trimmable)
  pipeline.trim()
  ok(!pipeline.trimmable)
})

test('a transport that answers at once, from inside of what a datagram caused, finds the decoder at work', () => {
  const link = new PeerLink<string>(
    { send: () => undefined, start: () => undefined, close: () => undefined },
    'bob',
    undefined,
  )
  const sent: Uint8Array[] = []
  send({ send: (datagram) => void sent.push(datagram.slice()) }, undefined, false, true)
  const fec = { data: 2, parity: 2, autotune: false }
  const options = { link, conv: CONV, channels: 1, fec, mtu: 500, now: () => 0, warn: () => undefined }
  const pipeline = new Pipeline<string>(options)
  const got: Uint8Array[] = []
  const take = (datagram: Uint8Array, each: (segments: Uint8Array) => void): void => {
    const kind = fecKind(datagram, 0, datagram.length)
    pipeline.takeShard(kind, datagram, 0, each)
  }
  // Two whole groups, then one of which a datagram is lost.
  for (const datagram of sent.slice(0, 8)) take(datagram, () => undefined)
  take(sent[9]!, () => undefined)
  take(sent[10]!, (segments) => {
    got.push(segments.slice())
    take(sent[13]!, () => undefined)
    take(sent[14]!, (inner) => got.push(inner.slice()))
  })
  deepEqual(got, [sent[8]!.slice(8)])
})

test('a codec that makes all datagrams in one Buffer gets along with batches', () => {
  const only = Buffer.alloc(600)
  const reusing: PacketCodec<string> = {
    overhead: 0,
    encode: (datagram) => {
      only.set(datagram)
      return only.subarray(0, datagram.length)
    },
    decode: (datagram) => datagram,
  }
  const batch: Uint8Array[] = []
  const link = new PeerLink<string>(
    {
      send: () => undefined,
      sendBatch: (all) => void batch.push(...all.map(({ datagram }) => datagram)),
      start: () => undefined,
      close: () => undefined,
    },
    'bob',
    reusing,
  )
  for (let i = 1; i <= 3; i++) link.send(new Uint8Array(5).fill(i))
  link.flushed()
  deepEqual(
    batch.map((datagram) => datagram[0]),
    [1, 2, 3],
  )
})

test('an end without FEC counts the parity and the messages out of band that it has no use for', () => {
  const sent: Uint8Array[] = []
  send({ send: (datagram) => void sent.push(datagram.slice()) }, undefined, false, true)
  const link = new PeerLink<string>(
    { send: () => undefined, start: () => undefined, close: () => undefined },
    'bob',
    undefined,
  )
  const options = { link, conv: CONV, channels: 1, mtu: 500, now: () => 0, warn: () => undefined }
  const pipeline = new Pipeline<string>({ ...options, fec: undefined })
  for (const datagram of sent) {
    const kind = fecKind(datagram, 0, datagram.length)
    if (kind === FecKind.OutOfBand) equal(pipeline.takeOutOfBand(datagram), undefined)
    else if (kind !== FecKind.Bare) pipeline.takeShard(kind, datagram, 0, () => undefined)
  }
  const { data, parity, unreliableIn, unused } = pipeline.stats().fec!
  deepEqual({ data, parity, unreliableIn, unused }, { data: 8, parity: 8, unreliableIn: 1, unused: 9 })
})
