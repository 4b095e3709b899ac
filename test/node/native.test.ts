/**
 * UDP through the addon: what is sent arrives, once, whole, in order and from the right address, whatever of the kernel
 * is in use; and its plain twin over dgram hears and sends the same.
 */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpError } from '../../src/core/errors.ts'
import { Feature, nativeStatus } from '../../src/node/native.ts'
import { UdpBatchTransport } from '../../src/node/udp-batch.ts'
import { UdpTransport } from '../../src/node/udp-transport.ts'
import type { PeerAddress } from '../../src/session/transport.ts'
import { Prng } from '../../src/sim/prng.ts'
import { datagram, Ear, FEATURE_SETS, timely, turn, withoutIPv6 } from '../support/native.ts'

const timelyIPv6 = { ...timely, skip: withoutIPv6 }

/** Largest UDP payload over IPv4. */
const MAX_DATAGRAM = 65_507

/** A run's most datagrams (see udp.c); and a run of more, of less, and with a shorter last one. */
const RUNS: readonly (readonly number[])[] = [
  Array(10).fill(1_400),
  [...Array(10).fill(1_400), 700],
  Array(64).fill(100),
  Array(65).fill(100),
  [...Array(100).fill(200), 1],
  // One run must not be longer than one datagram may be.
  [30_000, 30_000, 30_000],
  [1_400, 1_399, 1_400, 1_400, 1, 1, 1, 2, 1],
  [1, 2, 3, 4, 5, 4, 3, 2, 1],
]

const SIZES = [
  1,
  2,
  100,
  576,
  1_399,
  1_400,
  1_472,
  1_473,
  9_000,
  16_384,
  32_768,
  65_506,
  MAX_DATAGRAM,
] as const

test('the addon is there where it is required', () => {
  if (process.env['KCP_REQUIRE_NATIVE'] === '1') equal(nativeStatus().available, true, nativeStatus().detail)
})

for (const features of FEATURE_SETS) {
  test(`every size and every run arrives as it was sent, features ${features}`, timely, async () => {
    const [a, b] = [await Ear.open({ features }), await Ear.open({ features })]
    let index = 0
    for (const sizes of [...SIZES.map((size) => [size]), ...RUNS]) {
      const sent = sizes.map((size) => datagram(index++, size))
      for (const each of sent) a.transport.send(each, b.address)
      await b.hears(sent.length)
      const heard = b.take()
      deepEqual(
        heard.map(({ bytes }) => bytes),
        sent,
        `sizes ${sizes.slice(0, 12)}`,
      )
      for (const { from } of heard) deepEqual({ ...from }, { ...a.address })
    }
    equal(a.transport.sendErrors, 0)
    await Promise.all([a.transport.close(), b.transport.close()])
    deepEqual([a.closed, b.closed], [1, 1])
  })

  test(
    `peers in turn, and more in one turn than the outbox holds, features ${features}`,
    timely,
    async () => {
      const sender = await Ear.open({ features })
      const ears = await Promise.all(Array.from({ length: 5 }, () => Ear.open({ features })))
      const wanted: Buffer[][] = ears.map(() => [])
      let index = 0
      const send = (to: number, size: number): void => {
        const bytes = datagram(index++, size)
        wanted[to]!.push(bytes)
        sender.transport.send(bytes, ears[to]!.address)
      }
      // One each, then in groups; 5 × 64 × 1,200 bytes are more than the outbox' 256 KiB, and 400 runs more than its 256.
      for (let i = 0; i < 200; i++) send(i % 5, 50)
      for (let round = 0; round < 2; round++) {
        for (let to = 0; to < 5; to++) for (let i = 0; i < 32; i++) send(to, 1_200)
      }
      for (let i = 0; i < 200; i++) send(i % 5, i % 7 === 0 ? 20 : 40)
      for (const [to, ear] of ears.entries()) {
        await ear.hears(wanted[to]!.length)
        deepEqual(
          ear.take().map(({ bytes }) => bytes),
          wanted[to],
        )
      }
      equal(sender.transport.sendErrors, 0)
      await Promise.all([sender, ...ears].map(({ transport }) => transport.close()))
    },
  )
}

test('runs are messages, and messages share calls, as far as features go', timely, async () => {
  const calls: number[][] = []
  for (const features of [0, Feature.Gso, Feature.Mmsg, Feature.Gso | Feature.Mmsg]) {
    const a = await UdpBatchTransport.bind({ address: '127.0.0.1', features })
    const b = await Ear.open()
    for (let i = 0; i < 100; i++) a.send(datagram(i, 500), b.address)
    equal(a.stats().callsOut, 0, 'nothing leaves before the turn ends')
    await b.hears(100)
    const { callsOut, messagesOut, datagramsOut } = a.stats()
    calls.push([callsOut, messagesOut, datagramsOut])
    await Promise.all([a.close(), b.transport.close()])
  }
  // 64 and 36 datagrams make two runs.
  deepEqual(calls, [
    [100, 100, 100],
    [2, 2, 100],
    [1, 100, 100],
    [1, 2, 100],
  ])
})

test('with UDP_GRO and recvmmsg fewer messages and calls than datagrams come in', timely, async () => {
  const a = await UdpBatchTransport.bind({ address: '127.0.0.1' })
  const b = await Ear.open()
  for (let i = 0; i < 128; i++) a.send(datagram(i, 500), b.address)
  await b.hears(128)
  const { messagesIn, callsIn } = (b.transport as UdpBatchTransport).stats()
  ok(messagesIn < 64, `${messagesIn} messages`)
  ok(callsIn < 64, `${callsIn} calls`)
  await Promise.all([a.close(), b.transport.close()])
})

test('IPv6, and IPv4 through an IPv6 socket', timelyIPv6, async () => {
  for (const features of FEATURE_SETS) {
    const six = await Ear.open({ address: '::1', features })
    const four = await Ear.open({ features })
    const both = await Ear.open({ address: '::', features })
    const { port } = both.address
    deepEqual([both.address.address, both.address.family], ['::', 'IPv6'])
    for (let i = 0; i < 5; i++) {
      six.transport.send(datagram(i, 900), { address: '::1', port })
      four.transport.send(datagram(i, 900), { address: '127.0.0.1', port })
    }
    await both.hears(10)
    const heard = both.take()
    const from = (name: string): PeerAddress => heard.find((one) => one.from.address === name)!.from
    deepEqual(
      [{ ...from('::1') }, { ...from('::ffff:127.0.0.1') }],
      [
        { address: '::1', port: six.address.port, family: 'IPv6' },
        { address: '::ffff:127.0.0.1', port: four.address.port, family: 'IPv6' },
      ],
    )
    // Answers, by the address heard, by one written in full, and by a plain IPv4 one.
    for (const [ear, names] of [
      [six, ['::1', '0:0:0:0:0:0:0:1']],
      [four, ['::ffff:127.0.0.1', '127.0.0.1']],
    ] as const) {
      const { port: to } = ear.address
      both.transport.send(datagram(1, 300), from(names[0]))
      for (const name of names) both.transport.send(datagram(2, 300), { address: name, port: to })
      await ear.hears(3)
      deepEqual(
        ear.take().map(({ bytes }) => bytes),
        [datagram(1, 300), datagram(2, 300), datagram(2, 300)],
      )
    }
    equal(both.transport.sendErrors, 0)
    await Promise.all([six, four, both].map(({ transport }) => transport.close()))
  }
})

test('an address heard on one socket serves on another, of either family', timelyIPv6, async () => {
  const [four, six] = [await Ear.open(), await Ear.open({ address: '::' })]
  const peer = await Ear.open()
  peer.transport.send(datagram(1, 10), four.address)
  await four.hears(1)
  const { from } = four.take()[0]!
  six.transport.send(datagram(2, 10), from)
  await peer.hears(1)
  deepEqual(peer.take()[0]!.bytes, datagram(2, 10))
  // The other way there is no IPv4 address to be had from an IPv6 one.
  peer.transport.send(datagram(3, 10), { address: '127.0.0.1', port: six.address.port })
  await six.hears(1)
  four.transport.send(datagram(4, 10), six.take()[0]!.from)
  equal(four.transport.sendErrors, 1)
  await Promise.all([four, six, peer].map(({ transport }) => transport.close()))
})

test(
  'connected: the peer of a send is ignored, also when it is an address of another kind',
  timely,
  async () => {
    for (const features of FEATURE_SETS) {
      const [a, b] = [await Ear.open({ features }), await Ear.open({ features })]
      const peer = await (a.transport as UdpBatchTransport).connect(b.address)
      deepEqual({ ...peer }, { ...b.address })
      const sizes = [...Array(70).fill(300), 20, 1_000]
      const sent = sizes.map((size, i) => datagram(i, size))
      for (const each of sent) a.transport.send(each, { address: 'ignored', port: -1 })
      await b.hears(sent.length)
      deepEqual(
        b.take().map(({ bytes }) => bytes),
        sent,
      )
      b.transport.send(datagram(5, 33), a.address)
      await a.hears(1)
      const { bytes, from } = a.take()[0]!
      deepEqual(bytes, datagram(5, 33))
      equal(from, peer, 'one object for the one peer')
      await Promise.all([a.transport.close(), b.transport.close()])
    }
  },
)

test('the peer of a connected socket is an address that serves on other sockets too', timely, async () => {
  const [a, b, other] = [await Ear.open(), await Ear.open(), await Ear.open()]
  const peer = await (a.transport as UdpBatchTransport).connect(b.address)
  // Leaves another address in the table's row.
  other.transport.send(datagram(1, 10), { address: '127.0.0.2', port: 9 })
  await turn()
  other.transport.send(datagram(2, 10), peer)
  await b.hears(1)
  deepEqual(b.take()[0]!.bytes, datagram(2, 10))
  await Promise.all([a, b, other].map(({ transport }) => transport.close()))
})

test('what strangers sent before a socket was connected is not taken for its peer’s', timely, async () => {
  const [stranger, peer] = [await Ear.open(), await Ear.open()]
  const transport = await UdpBatchTransport.bind({ address: '127.0.0.1' })
  for (let i = 0; i < 3; i++) stranger.transport.send(datagram(i, 20), transport.localAddress()!)
  await turn()
  await transport.connect(peer.address)
  const ear = new Ear(transport)
  peer.transport.send(datagram(7, 20), transport.localAddress()!)
  await ear.hears(1)
  await turn()
  deepEqual(
    ear.take().map(({ bytes }) => bytes),
    [datagram(7, 20)],
  )
  await Promise.all([stranger, peer, ear].map((one) => one.transport.close()))
})

test('nobody listens there: told as ECONNREFUSED, and the transport lives on', timely, async () => {
  for (const features of FEATURE_SETS) {
    const first = await Ear.open()
    const { address, port } = first.address
    const a = await Ear.open({ features })
    await (a.transport as UdpBatchTransport).connect(first.address)
    await first.transport.close()
    for (let i = 0; i < 20; i++) a.transport.send(datagram(i, 400), first.address)
    await a.hears(0, 1)
    await turn()
    for (const error of a.errors) {
      deepEqual([error.code, error.syscall], ['ECONNREFUSED', 'recvmsg'])
      ok(error instanceof Error && /ECONNREFUSED/.test(error.message))
    }
    // Each call without sendmmsg and UDP_SEGMENT has its own answer, but a turn tells it once, and its end once.
    ok(a.errors.length <= 2, `${a.errors.length} errors`)
    if (features & Feature.Gso) equal(a.errors.length, 1)
    equal(a.transport.socketErrors, a.errors.length)
    // What met the answer to something before was tried again: nothing was lost on this side.
    equal(a.transport.sendErrors, 0)
    const second = await Ear.open({ address, port })
    for (let i = 0; i < 20; i++) a.transport.send(datagram(i, 400), second.address)
    await second.hears(20)
    equal(second.take().length, 20)
    await Promise.all([a.transport.close(), second.transport.close()])
  }
})

test('an unconnected socket hears of no refusal', timely, async () => {
  const dead = await UdpBatchTransport.bind({ address: '127.0.0.1' })
  const nobody = dead.localAddress()!
  await dead.close()
  const [a, b] = [await Ear.open(), await Ear.open()]
  a.transport.send(datagram(1, 10), nobody)
  a.transport.send(datagram(2, 10), b.address)
  await b.hears(1)
  await turn()
  deepEqual([a.errors, a.transport.sendErrors], [[], 0])
  await Promise.all([a.transport.close(), b.transport.close()])
})

test('what cannot be sent is counted as loss, and takes nothing else with it', timely, async () => {
  const [a, b] = [await Ear.open(), await Ear.open()]
  const wrong: readonly (readonly [Uint8Array, PeerAddress])[] = [
    [Buffer.alloc(0), b.address],
    [Buffer.alloc(MAX_DATAGRAM + 1), b.address],
    [Buffer.alloc(10), { address: '::1', port: 9 }],
    [Buffer.alloc(10), { address: 'localhost', port: 9 }],
    [Buffer.alloc(10), { address: '127.0.0.1\0', port: 9 }],
    [Buffer.alloc(10), { address: `${'0'.repeat(80)}1`, port: 9 }],
    [Buffer.alloc(10), { address: '127.0.0.1', port: 0 }],
    [Buffer.alloc(10), { address: '127.0.0.1', port: 70_000 }],
    [Buffer.alloc(10), { address: '127.0.0.1', port: -1 }],
    [Buffer.alloc(10), { address: '127.0.0.1', port: 1.5 }],
    [Buffer.alloc(10), { address: 7 as unknown as string, port: 9 }],
    [Buffer.alloc(10), undefined as unknown as PeerAddress],
    // A broadcast that was not asked for: EACCES.
    [Buffer.alloc(10), { address: '255.255.255.255', port: 9 }],
  ]
  for (const [i, [bytes, peer]] of wrong.entries()) {
    a.transport.send(datagram(i, 50), b.address)
    a.transport.send(bytes, peer)
  }
  await b.hears(wrong.length)
  deepEqual(
    b.take().map(({ bytes }) => bytes),
    wrong.map((_, i) => datagram(i, 50)),
  )
  equal(a.transport.sendErrors, wrong.length)
  equal((a.transport as UdpBatchTransport).stats().lostOther, 2)
  await Promise.all([a.transport.close(), b.transport.close()])
})

test('a socket for IPv6 only has no way to IPv4: loss', timelyIPv6, async () => {
  const a = await UdpBatchTransport.bind({ address: '::', ipv6Only: true })
  a.send(Buffer.alloc(10), { address: '127.0.0.1', port: 9 })
  await turn()
  equal(a.sendErrors, 1)
  await a.close()
})

test('what is no datagram throws at the sender, and spoils nothing', timely, async () => {
  const [a, b] = [await Ear.open(), await Ear.open()]
  a.transport.send(datagram(1, 10), b.address)
  const odd = { length: 5, get 0(): never { throw new RangeError('mine') } } // biome-ignore format: one thing
  try {
    a.transport.send(odd as unknown as Uint8Array, b.address)
    ok(false)
  } catch (error) {
    equal((error as Error).message, 'mine')
  }
  a.transport.send(datagram(2, 10), b.address)
  await b.hears(2)
  deepEqual(
    b.take().map(({ bytes }) => bytes),
    [datagram(1, 10), datagram(2, 10)],
  )
  await Promise.all([a.transport.close(), b.transport.close()])
})

test('a lent datagram may be reused at once', timely, async () => {
  const [a, b] = [await Ear.open(), await Ear.open()]
  const scratch = Buffer.alloc(6)
  for (const word of ['first ', 'second', 'third ']) {
    scratch.write(word)
    a.transport.send(scratch, b.address)
  }
  scratch.fill(0)
  await b.hears(3)
  deepEqual(
    b.take().map(({ bytes }) => String(bytes)),
    ['first ', 'second', 'third '],
  )
  await Promise.all([a.transport.close(), b.transport.close()])
})

test('sockets that send in the same turn do not mix', timely, async () => {
  const senders = await Promise.all([1, 2, 3].map(() => Ear.open()))
  const b = await Ear.open()
  for (let i = 0; i < 30; i++) senders[i % 3]!.transport.send(datagram(i, 100), b.address)
  await b.hears(30)
  const heard = b.take()
  for (const [k, { transport }] of senders.entries()) {
    const { port } = transport.localAddress()!
    deepEqual(
      heard.filter(({ from }) => from.port === port).map(({ bytes }) => bytes[0]),
      Array.from({ length: 10 }, (_, i) => datagram(3 * i + k, 100)[0]),
    )
  }
  await Promise.all([...senders, b].map(({ transport }) => transport.close()))
})

test('close sends what waits, resolves every caller, and makes the rest silent', timely, async () => {
  for (const features of FEATURE_SETS) {
    const [a, b] = [await Ear.open({ features }), await Ear.open()]
    for (let i = 0; i < 10; i++) a.transport.send(datagram(i, 700), b.address)
    const batch = a.transport as UdpBatchTransport
    const closing = [batch.close(), batch.close()]
    a.transport.send(datagram(11, 10), b.address)
    await Promise.all(closing)
    await batch.close()
    await b.hears(10)
    await turn()
    equal(b.take().length, 10)
    equal(a.closed, 1)
    equal(batch.localAddress(), undefined)
    equal(batch.stats().datagramsOut, 10)
    equal(batch.sendErrors, 0)
    batch.ref()
    batch.unref()
    await b.transport.close()
  }
})

test('close in the middle of a batch: nothing more is handed up', timely, async () => {
  const a = await UdpBatchTransport.bind({ address: '127.0.0.1' })
  const b = await UdpBatchTransport.bind({ address: '127.0.0.1' })
  for (let i = 0; i < 50; i++) a.send(datagram(i, i < 25 ? 100 : 200), b.localAddress()!)
  await turn()
  let closed: Promise<void> | undefined
  const ear: Ear = new Ear(b, () => {
    if (ear.heard.length === 3) closed = b.close()
  })
  await ear.hears(3)
  await closed
  equal(ear.take().length, 3)
  equal(ear.closed, 1)
  await a.close()
})

test('a flood of addresses is forgotten, and those who stay are served', timely, async () => {
  const [a, b] = [await Ear.open({ address: '0.0.0.0' }), await Ear.open()]
  const { port } = b.address
  const { peers, strangers } = a.transport as UdpBatchTransport as unknown as Record<
    string,
    Map<string, object>
  >
  const write = (i: number): void => {
    // Nobody has them: each is of this machine, and refused.
    a.transport.send(Buffer.alloc(1), {
      address: `127.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`,
      port: 9,
    })
  }
  for (let i = 0; i < 3_000; i++) write(i)
  equal(peers!.size, 0, 'who is seen once stays a stranger')
  ok(strangers!.size > 0 && strangers!.size <= 1_024, `${strangers!.size} strangers`)
  for (let i = 0; i < 66_000; i++) {
    write(i)
    write(i)
  }
  ok(peers!.size > 0 && peers!.size <= 65_536, `${peers!.size} peers`)
  ok(strangers!.size <= 1_024, `${strangers!.size} strangers`)
  a.transport.send(datagram(1, 10), { address: '127.0.0.1', port })
  await b.hears(1)
  await Promise.all([a.transport.close(), b.transport.close()])
})

test('buffer sizes are asked for, and what was granted is told', timely, async () => {
  const small = await UdpBatchTransport.bind({ address: '127.0.0.1', bufferSize: 100_000 })
  const plain = await UdpTransport.bind({ address: '127.0.0.1', bufferSize: 100_000 })
  deepEqual(small.bufferSizes(), plain.bufferSizes())
  const byDefault = await UdpBatchTransport.bind({ address: '127.0.0.1' })
  ok(byDefault.bufferSizes().recv > 0)
  await rejects(UdpBatchTransport.bind({ bufferSize: -1 }), { code: 'ERR_KCP_IO' })
  await Promise.all([small.close(), plain.close(), byDefault.close()])
})

test('a pacing rate is taken, changed and taken away', timely, async () => {
  const a = await UdpBatchTransport.bind({ address: '127.0.0.1' })
  for (const rate of [1_000_000, 2_147_483_647, 0]) equal(a.setMaxPacingRate(rate), true)
  for (const rate of [-1, 0.5, Number.NaN, '1' as unknown as number]) {
    try {
      a.setMaxPacingRate(rate)
      ok(false, String(rate))
    } catch (error) {
      ok(error instanceof TypeError)
    }
  }
  await a.close()
})

test('several sockets share a port with reusePort, and without it the second fails', timely, async () => {
  const first = await Ear.open({ reusePort: true })
  const { port } = first.address
  const second = await Ear.open({ reusePort: true, port })
  const sender = await Ear.open()
  const other = await Ear.open()
  for (let i = 0; i < 20; i++) {
    sender.transport.send(datagram(i, 10), first.address)
    other.transport.send(datagram(i, 10), first.address)
  }
  await turn()
  while (first.heard.length + second.heard.length < 40) await turn()
  // Each peer stays with one of them.
  for (const { address } of [sender, other]) {
    const count = (ear: Ear): number => ear.heard.filter(({ from }) => from.port === address.port).length
    deepEqual([count(first), count(second)].sort(), [0, 20])
  }
  await rejects(UdpBatchTransport.bind({ address: '127.0.0.1', port }), (error) => {
    ok(KcpError.is(error, 'ERR_KCP_IO'))
    const { code, syscall, errno } = error.cause as NodeJS.ErrnoException
    deepEqual([code, syscall], ['EADDRINUSE', 'bind'])
    ok(typeof errno === 'number' && errno < 0)
    ok(error.message.includes(`127.0.0.1:${port}`))
    return true
  })
  await Promise.all([first, second, sender, other].map(({ transport }) => transport.close()))
})

test('what cannot be bound or reached is a typed error with its cause', timely, async () => {
  const causes = [
    [{ address: '192.0.2.1' }, 'EADDRNOTAVAIL'],
    [{ address: '127.0.0.1', family: 6 }, 'EINVAL'],
    [{ address: 'localhost' }, 'EINVAL'],
    [{ port: 70_000 }, 'ERR_INVALID_ARG_TYPE'],
    [{ features: 8 }, 'ERR_INVALID_ARG_TYPE'],
  ] as const
  for (const [options, code] of causes) {
    await rejects(UdpBatchTransport.bind(options), (error) => {
      ok(KcpError.is(error, 'ERR_KCP_IO'), String(error))
      equal((error.cause as NodeJS.ErrnoException).code, code)
      return true
    })
  }
  const a = await UdpBatchTransport.bind({ address: '127.0.0.1' })
  await rejects(a.connect({ address: '::1', port: 9 }), { code: 'ERR_KCP_IO' })
  await rejects(a.connect({ address: '127.0.0.1', port: -1 }), { code: 'ERR_KCP_IO' })
  await a.close()
  await rejects(a.connect({ address: '127.0.0.1', port: 9 }), (error) => {
    ok(KcpError.is(error, 'ERR_KCP_IO'))
    equal((error.cause as NodeJS.ErrnoException).code, 'EBADF')
    return true
  })
  const reason = new Error('never mind')
  await rejects(UdpBatchTransport.bind({ signal: AbortSignal.abort(reason) }), reason)
})

/** What one sender hands three listeners, by a seed. */
function script(seed: number): { readonly to: number; readonly bytes: Buffer }[] {
  const prng = new Prng(seed)
  const sends: { to: number; bytes: Buffer }[] = []
  while (sends.length < 120) {
    const to = prng.int(0, 2)
    const size = prng.chance(0.5) ? 1_200 : prng.int(1, prng.chance(0.1) ? 9_000 : 1_500)
    for (let run = prng.chance(0.3) ? prng.int(1, 30) : 1; run > 0; run--) {
      sends.push({ to, bytes: datagram(sends.length, size) })
    }
  }
  return sends
}

test('the twin over dgram hears and sends the same datagrams', timely, async () => {
  type Bind = (features: number) => Promise<UdpBatchTransport | UdpTransport>
  const address = '127.0.0.1'
  const bufferSize = 1024 * 1024
  const plain: Bind = () => UdpTransport.bind({ address, bufferSize })
  const batch: Bind = (features) => UdpBatchTransport.bind({ address, bufferSize, features })
  for (let seed = 1; seed <= 6; seed++) {
    const features = FEATURE_SETS[(seed * 5) % FEATURE_SETS.length]!
    const sends = script(seed)
    for (const [send, hear] of [
      [plain, plain],
      [batch, plain],
      [plain, batch],
      [batch, batch],
    ] as const) {
      const from = await send(features)
      const ears = await Promise.all([0, 1, 2].map(async () => new Ear(await hear(features))))
      for (const { to, bytes } of sends) from.send(bytes, ears[to]!.address)
      for (const [i, ear] of ears.entries()) {
        const wanted = sends.filter(({ to }) => to === i).map(({ bytes }) => bytes)
        await ear.hears(wanted.length)
        deepEqual(
          ear.take().map(({ bytes }) => bytes),
          wanted,
          `seed=${seed} features=${features} ${send.name} to ${hear.name}`,
        )
      }
      equal(from.sendErrors, 0)
      await Promise.all([from.close(), ...ears.map(({ transport }) => transport.close())])
    }
  }
})
