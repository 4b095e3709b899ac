/** The C API: every name is there, and does what the C header promises to people who port C code. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { parseTrace } from '../../src/sim/trace.ts'
import * as sys from '../../src/sys.ts'
import {
  type IKCPCB,
  type IKCPOPS,
  ikcp_allocator,
  ikcp_create,
  ikcp_flush,
  ikcp_getconv,
  ikcp_input,
  ikcp_log,
  ikcp_nodelay,
  ikcp_peeksize,
  ikcp_recv,
  ikcp_release,
  ikcp_send,
  ikcp_setcc,
  ikcp_setmtu,
  ikcp_setoutput,
  ikcp_update,
  ikcp_waitsnd,
  ikcp_wndsize,
} from '../../src/sys.ts'
import { CONV, Trace, toBytes } from '../support/trace.ts'

afterEach(() => ikcp_allocator())

const FAST = { nodelay: 1, interval: 10, nc: true } as const

/** The functions, with the number of parameters that must be given. */
const FUNCTIONS: Readonly<Record<string, number>> = {
  ikcp_allocator: 2,
  ikcp_check: 2,
  ikcp_create: 2,
  ikcp_flush: 1,
  ikcp_getconv: 1,
  // The length of the datagram may be left out.
  ikcp_input: 2,
  ikcp_log: 3,
  ikcp_nodelay: 5,
  ikcp_peeksize: 1,
  ikcp_recv: 3,
  ikcp_release: 1,
  ikcp_send: 3,
  ikcp_setcc: 2,
  ikcp_setmtu: 2,
  ikcp_setoutput: 2,
  ikcp_update: 2,
  ikcp_waitsnd: 1,
  ikcp_wndsize: 3,
}

const CONSTANTS: Readonly<Record<string, number>> = {
  IKCP_OVERHEAD: 24,
  IKCP_LOG_OUTPUT: 1,
  IKCP_LOG_INPUT: 2,
  IKCP_LOG_SEND: 4,
  IKCP_LOG_RECV: 8,
  IKCP_LOG_IN_DATA: 16,
  IKCP_LOG_IN_ACK: 32,
  IKCP_LOG_IN_PROBE: 64,
  IKCP_LOG_IN_WINS: 128,
  IKCP_LOG_OUT_DATA: 256,
  IKCP_LOG_OUT_ACK: 512,
  IKCP_LOG_OUT_PROBE: 1024,
  IKCP_LOG_OUT_WINS: 2048,
}

test('kcp-io/sys exports every function and constant of the header, and the control block', () => {
  deepEqual(Object.keys(sys).sort(), [...Object.keys(FUNCTIONS), ...Object.keys(CONSTANTS), 'IKCPCB'].sort())
  const exported: Readonly<Record<string, unknown>> = sys
  for (const [name, parameters] of Object.entries(FUNCTIONS)) {
    const value = exported[name]
    ok(typeof value === 'function', name)
    equal(value.length, parameters, name)
  }
  for (const [name, value] of Object.entries(CONSTANTS)) equal(exported[name], value, name)
})

/** Fields that can be assigned: what a new block holds, and another value. */
const WRITABLE = {
  conv: [CONV, 5],
  mtu: [1400, 1200],
  mss: [1376, 1176],
  state: [0, 0xffff_ffff],
  snd_una: [0, 9],
  snd_nxt: [0, 9],
  rcv_nxt: [0, 9],
  ts_recent: [0, 9],
  ts_lastack: [0, 9],
  ssthresh: [2, 9],
  rx_rttval: [0, 9],
  rx_srtt: [0, 9],
  rx_rto: [200, 9],
  rx_minrto: [100, 9],
  snd_wnd: [32, 9],
  rcv_wnd: [128, 9],
  rmt_wnd: [128, 9],
  cwnd: [0, 9],
  incr: [0, 9],
  probe: [0, 3],
  current: [0, 0xffff_fff0],
  interval: [100, 9],
  ts_flush: [100, 0xffff_fff0],
  xmit: [0, 9],
  nodelay: [0, 2],
  updated: [0, 1],
  ts_probe: [0, 9],
  probe_wait: [0, 9],
  dead_link: [20, 9],
  fastresend: [0, 9],
  fastlimit: [5, 9],
  nocwnd: [0, 1],
  stream: [0, 1],
  logmask: [0, 9],
} as const satisfies Partial<Record<keyof IKCPCB, readonly [number, number]>>

for (const [field, [initial, other]] of Object.entries(WRITABLE) as [
  keyof typeof WRITABLE,
  readonly [number, number],
][]) {
  test(`the field ${field} is ${initial} in a new block, and can be set`, () => {
    const block = ikcp_create(CONV)
    equal(block[field], initial)
    block[field] = other
    equal(block[field], other)
    block[field] = initial
    equal(block[field], initial)
  })
}

test('u32 fields take any number as C would', () => {
  const block = ikcp_create(-1)
  equal(block.conv, 0xffff_ffff)
  block.snd_una = -1
  block.cwnd = 2 ** 32 + 7
  deepEqual([block.snd_una, block.cwnd], [0xffff_ffff, 7])
})

test('counters of queues, lists and buffers can be read, and not assigned', () => {
  const t = Trace.sys({ nc: true, sndWnd: 2, mtu: 50 }).at(0).send('a', 'b', 'c').skip()
  t.input('push sn=0 "x"', 'push sn=2 "z"', 'push sn=3 "zz"', 'wins una=1 wnd=0')
  const { block } = t
  const read = {
    nsnd_buf: block.nsnd_buf,
    nsnd_que: block.nsnd_que,
    nrcv_buf: block.nrcv_buf,
    nrcv_que: block.nrcv_que,
    ackcount: block.ackcount,
    ackblock: block.ackblock,
    ackedlen: block.ackedlen,
    acklist: [...block.acklist.subarray(0, 6)],
    buffer: block.buffer.length,
  }
  deepEqual(read, {
    nsnd_buf: 1,
    nsnd_que: 1,
    nrcv_buf: 2,
    nrcv_que: 1,
    ackcount: 3,
    ackblock: 8,
    ackedlen: 1,
    acklist: [0, 0, 2, 0, 3, 0],
    buffer: 0,
  })
  for (const field of [...Object.keys(read), 'snd_queue', 'snd_buf', 'rcv_queue', 'rcv_buf']) {
    if (field === 'ackcount') continue
    throws(
      () => {
        Object.assign(block, { [field]: 0 })
      },
      TypeError,
      field,
    )
  }
  block.ackcount = 1
  t.expect('ack sn=0')
})

test('a program may keep things of its own on a block', () => {
  const user = { name: 'mine' }
  const block = ikcp_create(1, user)
  equal(block.user, user)
  block.user = 7
  equal(block.user, 7)
  block.congest = user
  equal(block.congest, user)
})

test('queues can be walked: the segments are snapshots with the fields of IKCPSEG', () => {
  const t = Trace.sys({ ...FAST, mtu: 50, sndWnd: 2, resend: 9 })
    .at(100)
    .send(30, 'queued')
    .flush()
    .clock(120)
  t.input('ack sn=1 ts=100', 'push sn=0 frg=1 "he"', 'push sn=2 ts=7 "early"')
  const { block } = t
  deepEqual(
    [block.snd_buf.length, block.snd_queue.length, block.rcv_queue.length, block.rcv_buf.length],
    [1, 1, 1, 1],
  )
  const [flying] = [...block.snd_buf]
  deepEqual(flying, {
    conv: CONV,
    cmd: 81,
    frg: 1,
    wnd: 0,
    ts: 100,
    sn: 0,
    una: 0,
    len: 26,
    resendts: 300,
    rto: 200,
    fastack: 1,
    xmit: 1,
    data: new Uint8Array(26),
  })
  const [queued] = [...block.snd_queue]
  deepEqual([queued?.frg, queued?.len, queued?.xmit, queued?.data], [0, 6, 0, toBytes('queued')])
  const [readable] = [...block.rcv_queue]
  deepEqual([readable?.sn, readable?.frg, readable?.data], [0, 1, toBytes('he')])
  const [early] = [...block.rcv_buf]
  deepEqual([early?.sn, early?.frg, early?.len, early?.data], [2, 0, 5, toBytes('early')])
  flying!.data.fill(9)
  equal([...block.snd_buf][0]?.data[0], 0, 'a copy')
})

test('output gets the datagram, its length, the block and the user', () => {
  const calls: unknown[][] = []
  const block = ikcp_create(CONV, 'me')
  ikcp_setoutput(block, (buf, len, kcp, user) => {
    calls.push([buf.length, len, kcp === block, user])
    return 0
  })
  ok(block.output !== null)
  ikcp_nodelay(block, 1, 10, 2, 1)
  ikcp_update(block, 0)
  equal(ikcp_send(block, toBytes('hello'), 3), 3)
  ikcp_flush(block)
  deepEqual(calls, [[27, 27, true, 'me']])
  block.output = null
  ikcp_send(block, null, 5)
  ikcp_flush(block)
  equal(calls.length, 1)
  equal(ikcp_waitsnd(block), 2)
})

test('send without a buffer sends zeros', () => {
  const t = Trace.sys(FAST).at(0)
  equal(ikcp_send(t.block, null, 3), 3)
  t.expect('push sn=0 <3 B>')
})

test('peeksize and recv agree, and a received message is counted down', () => {
  const t = Trace.sys().at(0).input('push sn=0 frg=1 "ab" | push sn=1 frg=0 "c" | push sn=2 "d"')
  equal(ikcp_peeksize(t.block), 3)
  equal(t.block.nrcv_que, 3)
  const buffer = new Uint8Array(10)
  equal(ikcp_recv(t.block, buffer, 10), 3)
  deepEqual(buffer.subarray(0, 4), toBytes('abc\0'))
  equal(t.block.nrcv_que, 1)
  equal(ikcp_recv(t.block, buffer.subarray(0, 0), 10), -3, 'the buffer is shorter than len says')
})

test('getconv reads a little-endian u32, and 0 from less', () => {
  equal(ikcp_getconv(parseTrace('wins', { conv: 0xfedcba98 })), 0xfedcba98)
  equal(ikcp_getconv(Uint8Array.of(1, 2, 3)), 0)
  equal(ikcp_getconv(Uint8Array.of(1, 2, 3, 4)), 0x04030201)
})

test('log lines go to writelog, chosen by logmask, with the block and the user', () => {
  const block = ikcp_create(CONV, 'me')
  const lines: unknown[][] = []
  ikcp_log(block, 1, 'nobody there')
  block.writelog = (line, kcp, user) => void lines.push([line, kcp === block, user])
  ikcp_log(block, 1, 'not chosen')
  block.logmask = sys.IKCP_LOG_INPUT | sys.IKCP_LOG_IN_DATA
  ikcp_input(block, parseTrace('push sn=4 ts=9 "x"', { conv: CONV }))
  ikcp_log(block, sys.IKCP_LOG_INPUT, 'mine')
  ikcp_log(block, sys.IKCP_LOG_OUTPUT, 'not chosen')
  deepEqual(lines, [
    ['[RI] 25 bytes', true, 'me'],
    ['input psh: sn=4 ts=9', true, 'me'],
    ['mine', true, 'me'],
  ])
})

test('the allocator is asked for every block, and gets each back once when the engine is released', () => {
  const out = new Set<Uint8Array>()
  let blocks = 0
  ikcp_allocator(
    (size) => {
      const block = new Uint8Array(size)
      out.add(block)
      blocks++
      return block
    },
    (block) => ok(out.delete(block), 'not one of ours, or given back twice'),
  )
  const t = Trace.sys({ ...FAST, sndWnd: 300, rcvWnd: 300 }).at(0)
  for (let i = 0; i < 200; i++) t.send(1000).input(`push sn=${i * 2} <${1400 - i} B>`)
  t.flush().input('wins una=100')
  ok(blocks > 10 && out.size > 1)
  ikcp_release(t.block)
  equal(out.size, 0)
})

test('a released block refuses every call that does something', () => {
  const { block } = Trace.sys(FAST).at(0).send('a').input('push sn=0 "x"')
  ikcp_release(block)
  ikcp_release(block)
  for (const call of [
    () => ikcp_send(block, null, 1),
    () => ikcp_recv(block, null, 1),
    () => ikcp_input(block, new Uint8Array(24)),
    () => ikcp_update(block, 1),
    () => ikcp_flush(block),
  ]) {
    throws(call, { code: 'ERR_KCP_RELEASED' })
  }
  equal(ikcp_peeksize(block), -1)
  equal(ikcp_waitsnd(block), 0)
})

test('an mtu lowered under queued segments: each of them goes out alone', () => {
  const t = Trace.sys(FAST).at(0).send(1376, 1376, 5)
  equal(ikcp_setmtu(t.block, 60), 0)
  t.send('small', 36)
  t.input('push sn=0 "x"').expect(
    'ack sn=0',
    'push sn=0 <1376 B>',
    'push sn=1 <1376 B>',
    'push sn=2 <5 B> | push sn=3 "small"',
    'push sn=4 <36 B>',
  )
  t.at(200)
  equal(Math.max(...t.take().map(({ length }) => length)), 1400, 'they keep their size when resent')
})

test('segments that pacing_rate keeps back stay untouched, and the next flush sends them', () => {
  const t = Trace.sys({ ...FAST, mtu: 50 }).at(0)
  let budget = 52
  const ops: IKCPOPS = {
    name: 'paced',
    init: (kcp) => {
      kcp.cwnd = 10
      return 0
    },
    pacing_rate: () => budget,
  }
  equal(ikcp_setcc(t.block, ops), 0)
  equal(t.block.ccops, ops)
  t.send(26, 26, 26, 26).expect('push sn=0', 'push sn=1')
  deepEqual(
    [...t.block.snd_buf].map(({ sn, xmit, rto, resendts }) => [sn, xmit, rto, resendts]),
    [
      [0, 1, 200, 200],
      [1, 1, 200, 200],
      [2, 0, 200, 0],
      [3, 0, 200, 0],
    ],
  )
  budget = 0
  for (let now = 10; now < 200; now += 10) t.at(now).sent()
  t.at(250).sent()
  equal(t.block.xmit, 0, 'nothing timed out that was not sent, nor could it be sent')
  budget = -1
  t.at(260).sent('push sn=0', 'push sn=1', 'push sn=2 ts=260', 'push sn=3 ts=260')
  equal(t.block.xmit, 2)
  deepEqual(
    [...t.block.snd_buf].map(({ xmit, rto }) => [xmit, rto]),
    [
      [2, 300],
      [2, 300],
      [1, 200],
      [1, 200],
    ],
  )
})

test('setcc: every callback gets the block first', () => {
  const t = Trace.sys({ nodelay: 1, interval: 10, resend: 1 }).at(0)
  const calls: unknown[][] = []
  const note =
    (name: string) =>
    (kcp: IKCPCB, ...args: unknown[]): number => {
      ok(kcp === t.block, name)
      calls.push([name, ...args])
      return 0
    }
  const ops: IKCPOPS = {
    name: 'listener',
    init: note('init'),
    release: note('release'),
    on_ack: note('on_ack'),
    on_fast_retransmit: note('on_fast_retransmit'),
    on_timeout: note('on_timeout'),
    on_tick: note('on_tick'),
    on_app_limited: note('on_app_limited'),
    on_rtt: note('on_rtt'),
    on_pkt_sent: note('on_pkt_sent'),
    on_pkt_acked: note('on_pkt_acked'),
    get_info: note('get_info'),
  }
  equal(ikcp_setcc(t.block, ops), 0)
  t.block.cwnd = 2
  t.send('0', '1').flush().clock(20).input('ack sn=1 ts=0').flush().clock(30).input('wins una=1')
  t.send('2').flush().at(400)
  equal(ikcp_setcc(t.block, null), 0)
  deepEqual(calls, [
    ['init'],
    ['on_tick'],
    ['on_pkt_sent', 0, 0, 1, 2, 1],
    ['on_pkt_sent', 1, 0, 1, 2, 1],
    ['on_rtt', 20],
    ['on_pkt_acked', 1, 0, 1, 20, 1],
    ['on_tick'],
    ['on_app_limited', 1],
    ['on_pkt_sent', 0, 20, 1, 1, 2],
    ['on_fast_retransmit', 1, 1, 2],
    ['on_pkt_acked', 0, 20, 1, -1, 2],
    ['on_ack', 2, 1, 1],
    ['on_tick'],
    ['on_app_limited', 1],
    ['on_pkt_sent', 2, 30, 1, 1, 1],
    ['on_tick'],
    ['on_app_limited', 1],
    ['on_pkt_sent', 2, 400, 1, 1, 2],
    ['on_timeout', 2],
    ['release'],
  ])
  equal(t.block.ccops, null)
})

test('setcc: an init below 0 refuses, and the built-in rules are back', () => {
  const { block } = Trace.sys()
  block.congest = 'old'
  equal(ikcp_setcc(block, { init: () => -1 }), -1)
  deepEqual([block.ccops, block.congest, block.cwnd], [null, null, 1])
  throws(
    () =>
      ikcp_setcc(block, {
        init: () => {
          throw new Error('a bug')
        },
      }),
    /a bug/,
  )
  equal(block.ccops, null)
})

test('setcc: with a controller nocwnd is ignored, as KCP 2.x does', () => {
  const t = Trace.sys({ ...FAST }).at(0)
  ikcp_setcc(t.block, {
    on_tick: (kcp) => {
      kcp.cwnd = 1
    },
  })
  t.send('a', 'b').expect('push sn=0')
})

test('two blocks talk: the loop of a C program, by its names only', () => {
  const wire: [to: IKCPCB, datagram: Uint8Array][] = []
  const [a, b] = [ikcp_create(9, 'a'), ikcp_create(9, 'b')]
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    ikcp_setoutput(from, (buf, len) => {
      wire.push([to, buf.slice(0, len)])
      return len
    })
    ikcp_wndsize(from, 128, 128)
    ikcp_nodelay(from, 1, 10, 2, 1)
  }
  const buffer = new Uint8Array(4000)
  let got = 0
  for (let now = 0; now < 5000 && got < 100; now += 10) {
    if (now < 1000) ikcp_send(a, buffer.fill(now / 10), 3000)
    ikcp_update(a, now)
    ikcp_update(b, now)
    for (const [to, datagram] of wire.splice(0)) equal(ikcp_input(to, datagram, datagram.length), 0)
    for (;;) {
      const size = ikcp_recv(b, buffer, buffer.length)
      if (size < 0) break
      equal(size, 3000)
      equal(buffer[2999], got++)
    }
  }
  equal(got, 100)
})
