import { deepEqual, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { Prng } from '../../src/sim/prng.ts'
import { formatDatagram, parseTrace } from '../../src/sim/trace.ts'

const conv = 0x11223344
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))

test('a line is the bytes that KCP puts on the wire', () => {
  equal(
    hex(parseTrace('push sn=3 una=1 wnd=128 ts=40 frg=2 "ccc"', { conv })),
    '44332211' + '51' + '02' + '8000' + '28000000' + '03000000' + '01000000' + '03000000' + '636363',
  )
  equal(
    hex(parseTrace('ack sn=1 ts=40 una=1 wnd=128', { conv })),
    '44332211' + '52' + '00' + '8000' + '28000000' + '01000000' + '01000000' + '00000000',
  )
})

test('a datagram is a line', () => {
  const datagram = unhex(
    '44332211 51 00 2000 ffffffff feffffff 07000000 02000000 6869' +
      '44332211 54 00 0000 00000000 00000000 08000000 00000000',
  )
  equal(
    formatDatagram(datagram),
    'push sn=4294967294 una=7 wnd=32 ts=4294967295 frg=0 "hi" | wins una=8 wnd=0',
  )
})

test('what is not given is 0, and the window 128', () => {
  equal(format('push "x"'), 'push sn=0 una=0 wnd=128 ts=0 frg=0 "x"')
  equal(format('push'), 'push sn=0 una=0 wnd=128 ts=0 frg=0 ""')
  equal(format('ack'), 'ack sn=0 una=0 wnd=128 ts=0')
  equal(format('wask | wins'), 'wask una=0 wnd=128 | wins una=0 wnd=128')
})

test('lines survive the way there and back', () => {
  const lines = [
    'push sn=3 una=1 wnd=128 ts=40 frg=0 "ccc" | ack sn=2 una=1 wnd=128 ts=12',
    'push sn=0 una=0 wnd=128 ts=0 frg=127 "a | \\"quoted\\" back\\\\slash"',
    'push sn=1 una=0 wnd=65535 ts=1 frg=255 <1376 B>',
    'push sn=1 una=0 wnd=1 ts=1 frg=0 <3 B>',
    'push sn=1 una=0 wnd=1 ts=1 frg=0 ""',
    'wask una=5 wnd=0 | wins una=5 wnd=9 | wins sn=1 una=5 wnd=9 ts=2 frg=3 "odd"',
    'ack sn=2 una=1 wnd=128 ts=12 | ack conv=7 sn=3 una=1 wnd=128 ts=12',
    'ack sn=2 una=1 wnd=128 ts=12 | ? <5 B>',
    'ack sn=2 una=1 wnd=128 ts=12 | ? <50 B>',
    '? <24 B>',
    'control <16 B> 000102030405060708090a0b0c0d0e0f',
    'control <0 B>',
  ]
  for (const line of lines) equal(format(line), line)
})

test('datagrams of valid segments survive the way to text and back, if their payloads are printable', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const prng = new Prng(seed)
    const parts: number[] = []
    for (let n = prng.int(1, 5); n > 0; n--) {
      const length = prng.chance(0.5) ? prng.int(0, 24) : 0
      parts.push(...u32(conv), prng.int(81, 84), prng.int(0, 255), prng.int(0, 255), prng.int(0, 255))
      for (let field = 0; field < 3; field++) parts.push(...u32(prng.u32()))
      parts.push(...u32(length), ...Array.from({ length }, () => prng.int(0x20, 0x7e)))
    }
    const datagram = Uint8Array.from(parts)
    deepEqual(
      parseTrace(formatDatagram(datagram), { conv }),
      datagram,
      `seed=${seed} ${formatDatagram(datagram)}`,
    )
  }
})

test('any bytes make a line that can be read again', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const prng = new Prng(seed)
    const datagram = parseTrace('push sn=1 "some text" | ack sn=4 | push sn=2 <40 B>', { conv }).slice(
      0,
      prng.int(0, 145),
    )
    for (let flips = prng.int(0, 4); flips > 0 && datagram.length > 0; flips--) {
      datagram[prng.int(0, datagram.length - 1)]! ^= 1 << prng.int(0, 7)
    }
    const line = formatDatagram(datagram)
    equal(parseTrace(line, { conv }).length, datagram.length, `seed=${seed} ${line}`)
  }
})

test('what no engine could read is said to be so', () => {
  const push = parseTrace('push sn=1 "abc"', { conv })
  const line = formatDatagram(push)
  equal(formatDatagram(push.subarray(0, 26)), '? <26 B>', 'payload cut')
  equal(formatDatagram(Uint8Array.of(...push, 1, 2)), `${line} | ? <2 B>`, 'trailing bytes')
  const unknown = push.slice()
  unknown[4] = 85
  equal(formatDatagram(unknown), '? <27 B>')
  equal(formatDatagram(Uint8Array.of(...push, ...unknown)), `${line} | ? <27 B>`)
  const huge = push.slice()
  huge.fill(0xff, 20, 24)
  equal(formatDatagram(huge), '? <27 B>')
})

test('another conversation shows', () => {
  const ack = parseTrace('ack sn=1', { conv })
  equal(formatDatagram(ack), 'ack sn=1 una=0 wnd=128 ts=0')
  equal(formatDatagram(ack, { conv }), 'ack sn=1 una=0 wnd=128 ts=0')
  equal(formatDatagram(ack, { conv: 5 }), `ack conv=${conv} sn=1 una=0 wnd=128 ts=0`)
})

test('payloads are quoted up to 24 printable characters', () => {
  equal(format(`push "${'x'.repeat(24)}"`), `push sn=0 una=0 wnd=128 ts=0 frg=0 "${'x'.repeat(24)}"`)
  equal(format(`push "${'x'.repeat(25)}"`), 'push sn=0 una=0 wnd=128 ts=0 frg=0 <25 B>')
  equal(format('push "tab\\there"'), 'push sn=0 una=0 wnd=128 ts=0 frg=0 <8 B>')
})

test('a line that makes no sense is refused with the word that does not', () => {
  const bad: [string, RegExp][] = [
    ['', /unknown word ""/],
    ['psh sn=1', /unknown word "psh"/],
    ['toString', /unknown word "toString"/],
    ['push sm=1', /unknown word "sm=1"/],
    ['push constructor=1', /unknown word "constructor=1"/],
    ['push sn=4294967296', /unknown word "sn=4294967296"/],
    ['push wnd=65536', /unknown word "wnd=65536"/],
    ['push frg=256', /unknown word "frg=256"/],
    ['push sn=-1', /unknown word "sn=-1"/],
    ['ack |', /unknown word ""/],
    ['push "open', /cannot read/],
    ['push "日本"', /unknown word/],
    ['control <2 B> 0a', /unknown word "0a"/],
  ]
  for (const [line, message] of bad)
    throws(() => parseTrace(line, { conv }), { name: 'SyntaxError', message }, line)
})

function format(line: string): string {
  return formatDatagram(parseTrace(line, { conv }), { conv })
}

function u32(value: number): number[] {
  return [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24]
}
