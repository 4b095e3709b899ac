import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { PeerLink } from '../../src/session/peer-link.ts'
import { composeCodecs, type DatagramTransport, type PacketCodec } from '../../src/session/transport.ts'

interface Sink {
  readonly transport: DatagramTransport<string>
  readonly sent: string[]
}

function sink(maxDatagramSize?: number): Sink {
  const sent: string[] = []
  return {
    sent,
    transport: {
      ...(maxDatagramSize === undefined ? {} : { maxDatagramSize }),
      send: (datagram, peer) => void sent.push(`${peer} ${Buffer.from(datagram)}`),
      start: () => undefined,
      close: () => undefined,
    },
  }
}

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))
const text = (datagram: Uint8Array): string => Buffer.from(datagram).toString()

/** Writes a letter in front, and takes it off again. */
function letter(mark: string): PacketCodec<string> {
  return {
    overhead: 1,
    encode: (datagram) => bytes(mark + text(datagram)),
    decode: (datagram) => (text(datagram).startsWith(mark) ? datagram.subarray(1) : null),
  }
}

function opened(link: PeerLink<string>, datagram: string): string[] {
  const plain: string[] = []
  link.open(bytes(datagram), (one) => plain.push(text(one)))
  return plain
}

test('without a codec datagrams pass as they are, and are counted', () => {
  const { transport, sent } = sink()
  const link = new PeerLink(transport, 'bob', undefined)
  link.send(bytes('hello'))
  link.send(bytes('you'))
  deepEqual(sent, ['bob hello', 'bob you'])
  deepEqual(
    [link.traffic.datagramsOut, link.traffic.bytesOut, link.traffic.codecDrops, link.overhead],
    [2, 8, 0, 0],
  )
  deepEqual(opened(link, 'back'), ['back'])
})

test('a codec is applied on the way out and undone on the way in', () => {
  const { transport, sent } = sink()
  const link = new PeerLink(transport, 'bob', letter('x'))
  link.send(bytes('hello'))
  deepEqual(sent, ['bob xhello'])
  equal(link.traffic.bytesOut, 6)
  deepEqual(opened(link, 'xback'), ['back'])
  deepEqual(opened(link, 'back'), [])
  equal(link.traffic.codecDrops, 1)
})

test('the mtu is the wish, the path, less what the codec adds', () => {
  equal(new PeerLink(sink().transport, 'bob', undefined).mtu(1_400), 1_400)
  equal(new PeerLink(sink(1_000).transport, 'bob', undefined).mtu(1_400), 1_000)
  equal(new PeerLink(sink(1_000).transport, 'bob', letter('x')).mtu(1_400), 999)
  equal(new PeerLink(sink(2_000).transport, 'bob', letter('x')).mtu(1_400), 1_399)
})

test('a codec may drop, multiply, or throw: none of it reaches who sends or receives', () => {
  const { transport, sent } = sink()
  let mood: 'drop' | 'twice' | 'none' | 'throw' = 'drop'
  const act = (datagram: Uint8Array): Uint8Array | readonly Uint8Array[] | null => {
    if (mood === 'throw') throw new Error('mood')
    return mood === 'drop' ? null : mood === 'none' ? [] : [datagram, datagram]
  }
  const link = new PeerLink(transport, 'bob', { overhead: 0, encode: act, decode: act })
  link.send(bytes('a'))
  mood = 'twice'
  link.send(bytes('b'))
  deepEqual(opened(link, 'c'), ['c', 'c'])
  mood = 'none'
  link.send(bytes('d'))
  deepEqual(opened(link, 'd'), [])
  mood = 'throw'
  link.send(bytes('e'))
  deepEqual(opened(link, 'f'), [])
  deepEqual(sent, ['bob b', 'bob b'])
  equal(link.traffic.codecDrops, 3)
})

test('what a receiver throws is not taken for the codec s fault', () => {
  const link = new PeerLink(sink().transport, 'bob', letter('x'))
  let thrown: unknown
  try {
    link.open(bytes('xhello'), () => {
      throw new Error('mine')
    })
  } catch (error) {
    thrown = error
  }
  equal((thrown as Error).message, 'mine')
  equal(link.traffic.codecDrops, 0)
})

test('a link uses a fork of its own where the codec has one', () => {
  let forks = 0
  const codec: PacketCodec<string> = {
    ...letter('x'),
    fork: () => {
      forks++
      return letter('y')
    },
  }
  const { transport, sent } = sink()
  new PeerLink(transport, 'a', codec).send(bytes('1'))
  new PeerLink(transport, 'b', codec).send(bytes('2'))
  equal(forks, 2)
  deepEqual(sent, ['a y1', 'b y2'])
})

test('composed codecs: the first is innermost, overheads add up, forks are forks of each', () => {
  const both = composeCodecs(letter('a'), letter('b'))
  equal(both.overhead, 2)
  equal(text((both.encode(bytes('x'), 'bob') as readonly Uint8Array[])[0]!), 'bax')
  deepEqual((both.decode(bytes('bax'), 'bob') as readonly Uint8Array[]).map(text), ['x'])
  equal(both.decode(bytes('abx'), 'bob'), null)
  let forks = 0
  const forking: PacketCodec<string> = {
    ...letter('b'),
    fork: () => {
      forks++
      return letter('c')
    },
  }
  const counted = composeCodecs(letter('a'), forking)
  const fork = counted.fork!()
  equal(forks, 1)
  equal(text((fork.encode(bytes('x'), 'bob') as readonly Uint8Array[])[0]!), 'cax')
})

test('composed codecs that multiply and drop', () => {
  const twice: PacketCodec<string> = {
    overhead: 0,
    encode: (datagram) => [datagram, datagram],
    decode: (datagram) => datagram,
  }
  let count = 0
  const everySecond: PacketCodec<string> = {
    overhead: 0,
    encode: (datagram) => (count++ % 2 === 0 ? datagram : null),
    decode: () => null,
  }
  const chain = composeCodecs(twice, twice, everySecond)
  equal((chain.encode(bytes('x'), 'bob') as readonly Uint8Array[]).length, 2)
  equal(chain.decode(bytes('x'), 'bob'), null)
})

test('no codecs composed change nothing', () => {
  const none = composeCodecs<string>()
  equal(none.overhead, 0)
  const [same] = none.encode(bytes('x'), 'bob') as readonly Uint8Array[]
  ok(same)
  equal(text(same), 'x')
})
