import { deepEqual, equal, notEqual, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import * as core from '../../src/core/index.ts'
import { Kcp, KcpConfig, type KcpError, presets } from '../../src/core/index.ts'
import { formatDatagram, parseTrace } from '../../src/sim/trace.ts'
import { CONV, joined, onBoth, Trace, toBytes } from '../support/trace.ts'

const FAST = { nodelay: 1, interval: 10, nc: true } as const

test('kcp-io/core exports these values', () => {
  deepEqual(Object.keys(core).sort(), [
    'Command',
    'HARDENED',
    'InputResult',
    'KCP_LOG',
    'KCP_MAX_FRAGMENTS',
    'KCP_OVERHEAD',
    'Kcp',
    'KcpConfig',
    'KcpError',
    'PARITY',
    'presets',
    'resolveConfig',
  ])
})

test('conv is a u32', () => {
  for (const conv of [0, 1, 0xffff_ffff]) equal(new Kcp(conv, () => {}).conv, conv)
  for (const conv of [-1, 2 ** 32, 1.5, Number.NaN]) {
    throws(() => new Kcp(conv, () => {}), {
      code: 'ERR_KCP_CREATE',
      message: `conv must be a whole number within 0..4294967295, got ${conv}`,
      detail: { conv },
    })
  }
})

test('output is a function, or null for an engine that only listens', () => {
  throws(() => new Kcp(1, 'send' as unknown as null), { code: 'ERR_KCP_CREATE' })
  throws(() => new Kcp(1, undefined as unknown as null), { code: 'ERR_KCP_CREATE' })
  const kcp = new Kcp(CONV, null, FAST)
  kcp.update(0)
  kcp.send(toBytes('a'))
  kcp.flush(0)
  equal(kcp.stats().datagramsOut, 1)
})

test('an engine is made with a preset, settings, or neither', () => {
  deepEqual({ ...new Kcp(1, null).config }, { ...presets.default })
  deepEqual({ ...new Kcp(1, null, 'fast').config }, { ...presets.fast })
  deepEqual({ ...new Kcp(1, null, KcpConfig.turbo({ mtu: 1200 })).config }, { ...presets.turbo, mtu: 1200 })
  equal(new Kcp(1, null, { mtu: 600 }).mss, 576)
  throws(() => new Kcp(1, null, { mtu: 7 }), { code: 'ERR_KCP_CONFIG' })
  throws(() => new Kcp(1, null, 'warp' as 'fast'), { code: 'ERR_KCP_CONFIG' })
})

test('settings take effect on a running engine', () => {
  const { kcp } = new Trace()
  kcp.applyConfig('fast')
  deepEqual({ ...kcp.config }, { ...presets.fast })
  kcp.applyConfig({ minRto: 77, fastLimit: 2, deadLink: 9, probeInterval: 600, maxFragments: 3 })
  deepEqual(
    { ...kcp.config },
    {
      ...presets.fast,
      minRto: 77,
      fastLimit: 2,
      deadLink: 9,
      probeInterval: 600,
      maxFragments: 3,
    },
  )
  deepEqual([kcp.rtt.minRto, kcp.fastLimit, kcp.deadLink, kcp.maxFragments], [77, 2, 9, 3])
  throws(() => kcp.send(new Uint8Array(4 * kcp.mss)), { code: 'ERR_KCP_MESSAGE_TOO_LARGE' })
  throws(() => kcp.applyConfig({ interval: -1 }), { code: 'ERR_KCP_CONFIG' })
  equal(kcp.config.minRto, 77, 'a refused setting changes nothing')
})

test('one call takes back nothing that another one set', () => {
  const { kcp } = new Trace()
  kcp.setMtu(1200)
  kcp.setWindow(77, 300)
  kcp.streamMode = true
  kcp.send(new Uint8Array(5))
  kcp.setNodelay(true, 20, 3, true)
  kcp.applyConfig({ fastLimit: 1 })
  deepEqual(
    { ...kcp.config },
    {
      ...presets.default,
      nodelay: 1,
      interval: 20,
      resend: 3,
      nc: true,
      minRto: 30,
      mtu: 1200,
      sndWnd: 77,
      rcvWnd: 300,
      streamMode: true,
      fastLimit: 1,
    },
  )
  equal(kcp.mss, 1176)
})

test('a preset that would change the mode of an engine that sent is refused whole', () => {
  const { kcp } = new Trace({ streamMode: true, mtu: 900 })
  kcp.send(new Uint8Array(1))
  throws(() => kcp.applyConfig('fast'), { code: 'ERR_KCP_CONFIG', message: /^streamMode must be true/ })
  deepEqual([kcp.config.streamMode, kcp.config.mtu, kcp.config.interval], [true, 900, 100])
})

test('hardening is fixed when the engine is made', () => {
  const { kcp } = Trace.hardened()
  kcp.applyConfig('fast')
  equal(kcp.config.hardening, core.HARDENED)
  kcp.applyConfig({ hardening: false })
  equal(kcp.config.hardening, core.HARDENED)
})

test('windows out of range are named', () => {
  const { kcp } = new Trace()
  throws(() => kcp.setWindow(0, 128), {
    code: 'ERR_KCP_CONFIG',
    message: 'sndWnd must be a whole number within 1..65535, got 0',
  })
  throws(() => kcp.setWindow(77, 65_536), {
    code: 'ERR_KCP_CONFIG',
    detail: { field: 'rcvWnd', value: 65_536, allowed: 'a whole number within 1..65535' },
  })
  equal(kcp.sndWnd, 32, 'a refused pair changes nothing')
  kcp.setWindow(1, 1)
  deepEqual([kcp.sndWnd, kcp.rcvWnd], [1, 128])
})

test('getConv reads the first four bytes, or four at an offset', () => {
  const push = parseTrace('push sn=0', { conv: 0xfedcba98 })
  equal(Kcp.getConv(push), 0xfedcba98)
  equal(Kcp.getConv(push.subarray(0, 4)), 0xfedcba98)
  equal(Kcp.getConv(push.subarray(0, 3)), undefined)
  equal(Kcp.getConv(Uint8Array.from([9, 9, ...push]), 2), 0xfedcba98)
  equal(Kcp.getConv(push, 21), undefined)
})

test('isPacket tells what could be KCP by its length and command', () => {
  const push = parseTrace('push sn=0 "abc"', { conv: 5 })
  ok(Kcp.isPacket(push))
  ok(Kcp.isPacket(parseTrace('wins | ack sn=5', { conv: 5 })))
  ok(Kcp.isPacket(Uint8Array.from([9, 9, ...push]), 2))
  ok(!Kcp.isPacket(push, 1))
  ok(!Kcp.isPacket(push.subarray(0, 26)), 'cut short')
  ok(!Kcp.isPacket(push.subarray(0, 23)))
  for (const cmd of [80, 85]) {
    const other = push.slice()
    other[4] = cmd
    ok(!Kcp.isPacket(other))
  }
})

test('a message is copied: the caller may reuse its bytes, and the reader owns what it gets', () => {
  const bytes = toBytes('aaa')
  const t = new Trace(FAST).at(0).send(bytes)
  bytes.fill(0)
  t.expect('push sn=0 "aaa"').input('push sn=0 "xyz" | push sn=1 "123"')
  const first = t.kcp.recv()!
  const second = t.kcp.recv()!
  first.fill(0)
  equal(String.fromCharCode(...second), '123')
  equal(first.byteOffset, 0)
  equal(first.buffer.byteLength, 3)
})

test('the datagram is lent: the next flush writes over it', () => {
  const views: Uint8Array[] = []
  const kcp = new Kcp(CONV, (datagram) => void views.push(datagram), FAST)
  kcp.update(0)
  kcp.send(toBytes('aaa'))
  kcp.flush()
  const copy = views[0]!.slice()
  kcp.send(toBytes('bbb'))
  kcp.flush()
  notEqual(views[0]!.join(), copy.join())
})

test('full segments go out from where they lie, and again unharmed; shorter ones share datagrams', () => {
  const sent: string[] = []
  const payloads: number[] = []
  const kcp = new Kcp(
    CONV,
    (datagram) => {
      sent.push(formatDatagram(datagram, { conv: CONV }).replace(/ ts=\d+/g, ''))
      payloads.push(datagram.at(-1)!)
    },
    { ...FAST, mtu: 100 },
  )
  kcp.update(0)
  // Of 100 bytes 52 are left when two headers are written.
  const sizes = [76, 53, 52, 0, 10, 28, 75, 76, 1]
  for (const [i, size] of sizes.entries()) kcp.send(new Uint8Array(size).fill(100 + i))
  kcp.flush(0)
  deepEqual(
    sent.map((line) => line.split(' | ').length),
    [1, 1, 2, 2, 1, 1, 1],
  )
  deepEqual(payloads, [100, 101, 0, 105, 106, 107, 108])
  kcp.flush(1000)
  deepEqual(sent.slice(7), sent.slice(0, 7))
  deepEqual(payloads.slice(7), payloads.slice(0, 7))
})

test('engines with different mtus may flush inside each other', () => {
  const received = new Trace({ ...FAST, rcvWnd: 500 }).at(0)
  const large = new Kcp(CONV, (datagram) => void received.input(datagram), {
    ...FAST,
    mtu: 9000,
    sndWnd: 500,
  })
  const small = new Kcp(CONV, () => large.flush(0), { ...FAST, mtu: 50 })
  large.update(0)
  small.update(0)
  for (let i = 0; i < 20; i++) {
    large.send(new Uint8Array(8000).fill(i))
    small.send(new Uint8Array(26))
    small.flush(0)
    const message = received.kcp.recv()
    equal(message?.length, 8000)
    ok(message!.every((byte) => byte === i))
    received.skip()
  }
})

test('a stream fills its segments with small writes', () => {
  const t = new Trace({ ...FAST, streamMode: true, mtu: 50 }).at(0)
  for (let i = 0; i < 10; i++) t.send('abcdefg')
  t.expect('push sn=0 frg=0 <26 B>', 'push sn=1 frg=0 <26 B>', 'push sn=2 frg=0 "defgabcdefgabcdefg"')
})

test('a message is cut into fragments that count down', () => {
  const t = new Trace({ ...FAST, mtu: 50 }).at(0).send(26 * 3, 26 * 2 + 1)
  t.expect(
    'push sn=0 frg=2 <26 B>',
    'push sn=1 frg=1 <26 B>',
    'push sn=2 frg=0 <26 B>',
    'push sn=3 frg=2 <26 B>',
    'push sn=4 frg=1 <26 B>',
    'push sn=5 frg=0 <1 B>',
  )
})

onBoth("what may be in flight is the least of the windows: ours, the peer's, and cwnd", (make) => {
  for (const [sndWnd, rmtWnd, cwnd, least] of [
    [3, 9, 9, 3],
    [9, 4, 9, 4],
    [9, 9, 5, 5],
  ] as const) {
    const t = make({ interval: 10, sndWnd }).at(0).input(`wins wnd=${rmtWnd}`)
    t.kcp.cwnd = cwnd
    for (let i = 0; i < 20; i++) t.send('x')
    t.expect(joined(least, (i) => `push sn=${i}`))
  }
})

test('stats count what went on, and show the state', () => {
  const t = Trace.hardened({ ...FAST, resend: 1 })
    .at(0)
    .send('aaa', 'bbb', 'cc')
    .skip()
    .at(20)
  t.input('ack sn=1 ts=0 wnd=99 | push sn=0 "x" | push sn=2 "zz"', 'push sn=0 "x"', new Uint8Array(3))
  t.flush()
  deepEqual(t.kcp.stats(), {
    srtt: 20,
    rttvar: 10,
    rto: 60,
    cwnd: 3,
    ssthresh: 2,
    repeats: 0,
    tailProbes: 0,
    spuriousResends: 0,
    expired: 0,
    loss: 0,
    redundancy: 0,
    sndWnd: 32,
    rcvWnd: 128,
    rmtWnd: 128,
    sndQueue: 0,
    sndBuf: 2,
    sndBytes: 5,
    rcvQueue: 1,
    rcvBuf: 1,
    rcvBytes: 3,
    sndUna: 0,
    sndNxt: 3,
    rcvNxt: 1,
    datagramsOut: 2,
    bytesOut: 80 + 24 * 3 + 3,
    datagramsIn: 3,
    bytesIn: 75 + 25 + 3,
    segmentsOut: 4,
    segmentsIn: 2,
    acksOut: 2,
    timeoutResends: 0,
    fastResends: 1,
    duplicates: 1,
    outOfWindow: 0,
    overLimit: 0,
    forgedUna: 0,
    staleAcks: 0,
    inputErrors: 1,
    outputErrors: 0,
  })
  const snapshot = t.kcp.stats()
  t.send('more')
  equal(snapshot.sndQueue, 0, 'a snapshot does not change')
})

test('log lines are built for the bits of the mask, and for no others', () => {
  const { KCP_LOG } = core
  const run = (mask: number): string[] => {
    const lines: string[] = []
    const t = new Trace({ ...FAST, mtu: 50 }).at(0)
    t.kcp.setLog(mask, (line, kcp) => {
      equal(kcp, t.kcp)
      lines.push(line)
    })
    t.send('a').flush().clock(20)
    t.input('ack sn=0 una=1 ts=0 | push sn=0 ts=5 "x"', 'wask', 'wins wnd=7').recv()
    return lines
  }
  deepEqual(run(0), [])
  deepEqual(run(KCP_LOG.OUTPUT), ['[RO] 25 bytes'])
  deepEqual(run(KCP_LOG.INPUT), ['[RI] 49 bytes', '[RI] 24 bytes', '[RI] 24 bytes'])
  deepEqual(run(KCP_LOG.IN_ACK), ['input ack: sn=0 rtt=20 rto=60'])
  deepEqual(run(KCP_LOG.IN_DATA), ['input psh: sn=0 ts=5'])
  deepEqual(run(KCP_LOG.IN_PROBE), ['input probe'])
  deepEqual(run(KCP_LOG.IN_WINS), ['input wins: 7'])
  deepEqual(run(KCP_LOG.RECV), ['recv sn=0'])
  equal(run(KCP_LOG.RECV | KCP_LOG.INPUT).length, 4)
  const { kcp } = new Trace()
  kcp.setLog(0xffff, null)
  kcp.log(KCP_LOG.SEND, 'nobody listens')
})

test('the bits of the log are upstream', () => {
  deepEqual(
    { ...core.KCP_LOG },
    {
      OUTPUT: 1,
      INPUT: 2,
      SEND: 4,
      RECV: 8,
      IN_DATA: 16,
      IN_ACK: 32,
      IN_PROBE: 64,
      IN_WINS: 128,
      OUT_DATA: 256,
      OUT_ACK: 512,
      OUT_PROBE: 1024,
      OUT_WINS: 2048,
    },
  )
})

for (const [name, call] of [
  ['send', (kcp: Kcp) => kcp.send(new Uint8Array(1))],
  ['sendRaw', (kcp: Kcp) => kcp.sendRaw(null, 0, 1)],
  ['recv', (kcp: Kcp) => kcp.recv()],
  ['recvInto', (kcp: Kcp) => kcp.recvInto(new Uint8Array(9))],
  ['recvRaw', (kcp: Kcp) => kcp.recvRaw(null, 1, false)],
  ['input', (kcp: Kcp) => kcp.input(new Uint8Array(24), 0)],
  ['tryInput', (kcp: Kcp) => kcp.tryInput(new Uint8Array(24), 0)],
  ['update', (kcp: Kcp) => kcp.update(0)],
  ['flush', (kcp: Kcp) => kcp.flush(0)],
] as const) {
  test(`${name} on a released engine is an error`, () => {
    const { kcp } = new Trace(FAST).at(0).send('a').input('push sn=0 "x"')
    kcp.release()
    throws(() => call(kcp), { code: 'ERR_KCP_RELEASED', message: /conv 287454020/ })
  })
}

test('release gives up everything that was held, and may be called again', () => {
  const t = new Trace(FAST).at(0).send(5000).flush().input('push sn=0 "x" | push sn=7 "y"').send(100)
  t.kcp.release()
  t.kcp.release()
  const { sndQueue, sndBuf, sndBytes, rcvQueue, rcvBuf, rcvBytes } = t.kcp.stats()
  deepEqual([sndQueue, sndBuf, sndBytes, rcvQueue, rcvBuf, rcvBytes], [0, 0, 0, 0, 0, 0])
  equal(t.kcp.waitSnd(), 0)
  equal(t.kcp.peekSize(), undefined)
})

test('an engine can be disposed of', () => {
  const { kcp } = new Trace()
  kcp[Symbol.dispose]()
  throws(() => kcp.update(0), { code: 'ERR_KCP_RELEASED' })
})

test('trim between bursts changes nothing that can be seen', () => {
  const [a, b] = [new Trace({ ...FAST, sndWnd: 64 }), new Trace(FAST)]
  let got = 0
  for (let round = 0; round < 20; round++) {
    const now = round * 100
    a.at(now)
    b.at(now)
    for (let i = 0; i < 40; i++) a.send(`${round}.${i}`)
    for (const datagram of a.flush().take()) b.input(datagram)
    for (const datagram of b.flush().take()) a.input(datagram)
    for (let i = 0; i < 40; i++, got++) equal(b.recv(), `${round}.${i}`)
    a.kcp.trim()
    b.kcp.trim()
  }
  equal(got, 800)
  equal(a.kcp.sndUna, 800)
})

test('numbers for the clock are taken as u32, whatever they are', () => {
  const t = new Trace(FAST)
  t.kcp.update(2 ** 32 + 5)
  equal(t.kcp.now, 5)
  t.kcp.update(-1)
  equal(t.kcp.now, 2 ** 32 - 1)
  t.kcp.flush(10.9)
  equal(t.kcp.now, 10)
})

test('the mtu cannot change while a datagram is being written', () => {
  const codes: unknown[] = []
  const kcp: Kcp = new Kcp(
    1,
    () => {
      try {
        kcp.setMtu(1400)
      } catch (error) {
        codes.push((error as KcpError).code)
      }
    },
    { mtu: 100, nc: true, sndWnd: 8 },
  )
  kcp.update(0)
  kcp.send(new Uint8Array(500))
  kcp.flush(0)
  equal(codes.length, 7)
  equal(new Set(codes).size, 1)
  equal(kcp.mtu, 100)
})

test('isPacket takes what fits to the byte, at an offset too, and nothing longer', () => {
  const empty = parseTrace('push sn=0 ""', { conv: CONV })
  equal(empty.length, 24)
  equal(Kcp.isPacket(empty), true)
  equal(Kcp.isPacket(empty.subarray(0, 23)), false)
  for (const offset of [0, 2, 30]) {
    const datagram = new Uint8Array(offset + 24 + 5)
    datagram.set(parseTrace('push sn=0 "12345"', { conv: CONV }), offset)
    equal(Kcp.isPacket(datagram, offset), true)
    equal(Kcp.isPacket(datagram.subarray(0, -1), offset), false, `${offset}: a byte is missing`)
  }
})

test('the ends of the ranges are in them', () => {
  const { kcp } = new Trace({ maxInFlight: 7 })
  kcp.setMtu(65_507)
  deepEqual([kcp.mtu, kcp.mss], [65_507, 65_483])
  equal(kcp.config.maxInFlight, 7)
  kcp.setNodelayRaw(3, -1, -1, -1)
  equal(kcp.config.nodelay, 2, 'more than 2 means the same')
})

test('no more than maxInFlight are in flight', () => {
  const t = new Trace({ ...FAST, maxInFlight: 2 }).at(0).send('0', '1', '2', '3')
  t.expect('push sn=0 | push sn=1').input('wins una=1').expect('push sn=2')
})

test('a message may expire at any time, and has ticket 0 unless told otherwise', () => {
  const t = new Trace({ ...FAST, sndWnd: 1 })
    .at(2 ** 32 - 20)
    .send('0')
    .skip()
  const told: unknown[] = []
  t.kcp.onOutcome = (...outcome) => void told.push(outcome)
  t.kcp.send(toBytes('a'), 0)
  t.at(2 ** 32 - 10).expect()
  t.at(0).expect()
  deepEqual(told, [[0, false]])
})

test('messages are read at once past an empty one', () => {
  const t = new Trace(FAST).at(0).input('push sn=0 "a" | push sn=1 "" | push sn=2 "b" | push sn=3 ""')
  equal(t.kcp.recvRun(new Uint8Array(9)), 2)
  equal(t.kcp.peekSize(), undefined)
})
