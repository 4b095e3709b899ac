/** The edge cases of `recv` and of peeking (docs/EDGE-CASES.md). */
import { deepEqual, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpError } from '../../src/core/errors.ts'
import { parseTrace } from '../../src/sim/trace.ts'
import { ikcp_peeksize, ikcp_recv, ikcp_wndsize } from '../../src/sys.ts'
import { CONV, joined, onBoth, Trace } from '../support/trace.ts'

/** Reads a block as C programs do: the return code, and the text that was copied. */
function recvInto(t: Trace, len: number): [code: number, text: string] {
  const buffer = new Uint8Array(Math.abs(len))
  const code = ikcp_recv(t.block, buffer, len)
  return [code, String.fromCharCode(...buffer.subarray(0, Math.max(0, code)))]
}

/** One PUSH for each of `frgs`, with its position as payload. */
function fragments(t: Trace, ...frgs: number[]): Trace {
  return t.at(0).input(joined(frgs.length, (i) => `push sn=${i} frg=${frgs[i]} "${i}"`))
}

onBoth('without a message recv and peek return -1', (make) => {
  const t = make().at(0)
  equal(t.recv(), -1)
  equal(t.peekSize(), -1)
})

test('without a message recv, recvInto and peekSize return undefined, not an error', () => {
  const { kcp } = new Trace()
  equal(kcp.recv(), undefined)
  equal(kcp.recvInto(new Uint8Array(9)), undefined)
  equal(kcp.peekSize(), undefined)
})

test('with only the first fragment of a message peek returns -1 and recv -2 (sys)', () => {
  const t = fragments(Trace.sys(), 1)
  equal(ikcp_peeksize(t.block), -1)
  deepEqual(recvInto(t, 100), [-2, ''])
  t.input('push sn=1 frg=0 "z"')
  deepEqual(recvInto(t, 100), [2, '0z'])
})

onBoth('a message is readable once its last fragment is here', (make) => {
  const t = fragments(make(), 2)
  equal(t.kcp.rcv.peekSize(), -1)
  t.input('push sn=2 frg=0 "c"')
  equal(t.kcp.rcv.peekSize(), -1)
  t.input('push sn=1 frg=1 "b"')
  equal(t.recv(), '0bc')
})

test('a buffer that is too small returns -3, and the message stays (sys)', () => {
  const t = Trace.sys().at(0).input('push sn=0 "hello"')
  deepEqual(recvInto(t, 4), [-3, ''])
  deepEqual(recvInto(t, 0), [-3, ''])
  equal(ikcp_peeksize(t.block), 5)
  deepEqual(recvInto(t, 5), [5, 'hello'])
})

test('the error of recvInto names the bytes needed and given, and the message stays', () => {
  const { kcp } = new Trace().at(0).input('push sn=0 "hello"')
  throws(
    () => kcp.recvInto(new Uint8Array(4)),
    (error) =>
      KcpError.is(error, 'ERR_KCP_RECV_BUFFER_TOO_SMALL') &&
      error.detail['need'] === 5 &&
      error.detail['got'] === 4,
  )
  const target = new Uint8Array(8)
  equal(kcp.recvInto(target), 5)
  kcp.input(parseTrace('push sn=1 "world"', { conv: CONV }))
  equal(kcp.recvInto(new Uint8Array(5)), 5, 'just large enough')
  equal(String.fromCharCode(...target), 'hello\0\0\0')
  equal(kcp.recvInto(target), undefined)
})

test('a negative length copies the message and keeps it (sys)', () => {
  const t = Trace.sys().at(0).input('push sn=0 frg=1 "he" | push sn=1 frg=0 "llo"')
  deepEqual(recvInto(t, -5), [5, 'hello'])
  deepEqual(recvInto(t, -4), [-3, ''])
  deepEqual(recvInto(t, 5), [5, 'hello'])
  deepEqual(recvInto(t, -5), [-1, ''])
})

test('a peek still moves early segments into the queue when a larger window has space for them (sys)', () => {
  const t = Trace.sys().at(0)
  for (let sn = 0; sn < 200; sn++) t.input(`push sn=${sn} "x"`)
  ikcp_wndsize(t.block, 0, 256)
  deepEqual([t.block.nrcv_que, t.block.nrcv_buf], [128, 72])
  deepEqual(recvInto(t, -1), [1, 'x'])
  deepEqual([t.block.nrcv_que, t.block.nrcv_buf], [200, 0])
})

test('without a buffer the message is dropped, or with a negative length only measured (sys)', () => {
  const t = Trace.sys().at(0).input('push sn=0 "one" | push sn=1 "two"')
  equal(ikcp_recv(t.block, null, -100), 3)
  equal(ikcp_recv(t.block, null, 100), 3)
  deepEqual(recvInto(t, 100), [3, 'two'])
})

onBoth('an empty message at the head is 0 bytes long, and is consumed by recv', (make) => {
  const t = make().at(0).input('push sn=0 "" | push sn=1 "next"')
  equal(t.peekSize(), 0)
  equal(t.recv(), '')
  equal(t.recv(), 'next')
  equal(t.recv(), -1)
})

for (const frg of [255, 128] as const) {
  test(`a message of ${frg + 1} fragments fills a window of 128 and can never be read (sys)`, () => {
    const t = Trace.sys().at(0)
    for (let sn = 0; sn <= frg; sn++) t.input(`push sn=${sn} frg=${frg - sn} "x"`)
    deepEqual([t.block.nrcv_que, t.block.nrcv_buf], [128, frg + 1 - 128])
    deepEqual(recvInto(t, 1000), [-2, ''])
    equal(t.flush().lines().at(-1)?.split(' | ').at(-1), `ack sn=${frg} una=128 wnd=0 ts=0`)
  })

  test(`the first fragment of a message of ${frg + 1} is a protocol error at once (hardened)`, () => {
    const t = fragments(Trace.hardened(), frg)
    equal(t.kcp.protocolError, true)
    equal(t.recv(), -1)
    for (let sn = 1; sn <= frg; sn++) t.input(`push sn=${sn} frg=${frg - sn} "x"`)
    equal(t.kcp.rcv.queued, 0)
  })
}

onBoth('a message of 128 fragments fills a window of 128 and is readable', (make) => {
  const t = make().at(0)
  for (let sn = 0; sn <= 127; sn++) t.input(`push sn=${sn} frg=${127 - sn} "x"`)
  equal(t.peekSize(), 128)
  equal(t.recv(), 128)
  equal(t.kcp.protocolError, false)
})

// What a peer that numbers its fragments wrongly gets from C.
for (const [frgs, messages, then] of [
  [[1, 1, 0], ['012'], -1],
  [[2, 0, 0], ['01', '2'], -1],
  [[1, 1], ['01'], -1],
  [[0, 5, 0], ['0'], -2],
] as const) {
  test(`fragments numbered ${frgs} are read as ${messages.map((text) => `"${text}"`).join(', ')} (sys)`, () => {
    const t = fragments(Trace.sys(), ...frgs)
    for (const message of messages) deepEqual(recvInto(t, 100), [message.length, message])
    deepEqual(recvInto(t, 100), [then, ''])
  })

  test(`fragments numbered ${frgs} are a protocol error (hardened)`, () => {
    const t = fragments(Trace.hardened(), ...frgs)
    const [first] = frgs
    // What is whole before the breach is still delivered.
    if (first === 0) equal(t.recv(), '0')
    equal(t.kcp.protocolError, true)
    equal(t.recv(), -1)
  })
}

test('a wrongly numbered message ends when as many segments as it announced are there (sys)', () => {
  const t = fragments(Trace.sys(), 0, 5, 0, 0, 0, 0, 0)
  equal(t.recv(), '0')
  equal(t.recv(), '12')
  equal(t.recv(), '3')
})

onBoth('when reading frees a full queue, the next flush advertises the window once', (make) => {
  const t = make().at(0)
  for (let sn = 0; sn < 128; sn++) t.input(`push sn=${sn} "x"`)
  const [, , last] = t.flush().lines()
  equal(last?.split(' | ').at(-1), 'ack sn=127 una=128 wnd=0 ts=0')
  equal(t.recv(), 'x')
  equal(t.recv(), 'x')
  t.expect('wins una=128 wnd=2')
  equal(t.recv(), 'x')
  t.expect()
})

onBoth('while the application does not read, two windows of segments are kept and acknowledged', (make) => {
  const t = make().at(0)
  for (let sn = 0; sn < 300; sn++) t.input(`push sn=${sn} <1000 B>`)
  deepEqual([t.kcp.rcv.queued, t.kcp.rcv.early], [128, 128])
  equal(t.kcp.stats().rcvBytes, 256_000)
  t.flush()
  equal(t.kcp.stats().acksOut, 256)
  equal(t.kcp.stats().outOfWindow, 300 - 256)
  for (let i = 0; i < 256; i++) equal(t.recv(), 1000)
  equal(t.recv(), -1)
})

test('a byte limit counts both windows, and early segments leave space for all that are missing before them', () => {
  const t = Trace.hardened().at(0)
  t.kcp.rcv.maxBytes = 10_000
  for (let sn = 0; sn < 50; sn++) t.input(`push sn=${49 - sn} <1000 B>`)
  // Those from 7 on would have had to leave room for seven full segments or more.
  equal(t.kcp.stats().rcvBytes, 7_000)
  equal(t.kcp.stats().overLimit, 43)
  equal(t.kcp.rcv.queued, 7)
  for (let sn = 7; sn < 50; sn++) t.input(`push sn=${sn} <1000 B>`)
  equal(t.kcp.stats().rcvBytes, 10_000, 'in order the limit is reached, and not passed')
  t.flush()
  equal(t.lines().at(-1)?.split(' | ').at(-1), 'ack sn=9 una=10 wnd=0 ts=0')
})
