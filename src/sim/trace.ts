/**
 * A datagram as one line of text, and back: what packet stories are told in.
 *
 *     push sn=3 una=1 wnd=128 ts=40 frg=0 "ccc" | ack sn=2 una=1 wnd=128 ts=12
 *
 * Segments are separated by ` | `. A payload is quoted when it is short and printable, else `<1376 B>`.
 * What cannot be read as segments is `? <30 B>`; a whole datagram too short for any is `control <4 B> 01020304`.
 * This file knows the layout and nothing of its meaning: it prints what an engine would refuse.
 * @module
 */
import {
  CMD_AT,
  Command,
  FRG_AT,
  KCP_OVERHEAD,
  LEN_AT,
  readU16,
  readU32,
  SN_AT,
  TS_AT,
  UNA_AT,
  WND_AT,
  writeHeader,
} from '../core/segment.ts'

/** The longest payload that is quoted: a line stays readable. */
const QUOTED_MAX = 24

const commandOf: Readonly<Record<string, number>> = {
  push: Command.Push,
  ack: Command.Ack,
  wask: Command.WindowAsk,
  wins: Command.WindowTell,
}
const wordOf: ReadonlyMap<number, string> = new Map(
  Object.entries(commandOf).map(([word, command]) => [command, word]),
)

/** Largest value of each field, by the width of the field. */
const fieldMax: Readonly<Record<string, number>> = {
  conv: 0xffff_ffff,
  sn: 0xffff_ffff,
  una: 0xffff_ffff,
  wnd: 0xffff,
  ts: 0xffff_ffff,
  frg: 0xff,
}

/**
 * One line for one datagram. `conv` is printed only where it differs from `options.conv`, or without that from the
 * first segment's.
 */
export function formatDatagram(datagram: Uint8Array, options: { readonly conv?: number } = {}): string {
  if (datagram.length < KCP_OVERHEAD) return `control <${datagram.length} B> ${toHex(datagram)}`.trimEnd()
  const parts: string[] = []
  const expectedConv = options.conv ?? readU32(datagram, 0)
  let at = 0
  while (at < datagram.length) {
    const size = segmentSize(datagram, at)
    if (size === 0) {
      parts.push(`? <${datagram.length - at} B>`)
      break
    }
    parts.push(formatSegment(datagram.subarray(at, at + size), expectedConv))
    at += size
  }
  return parts.join(' | ')
}

/**
 * The datagram of such a line. Fields not given are una=0 wnd=128 and otherwise 0; a payload not given is empty, and
 * `<n B>` stands for n zero bytes. Throws a SyntaxError that names the word it does not know.
 */
export function parseTrace(line: string, options: { readonly conv: number }): Uint8Array {
  const words = splitWords(line)
  const parts: Uint8Array[] = []
  let start = 0
  for (let i = 0; i <= words.length; i++) {
    if (i < words.length && words[i] !== '|') continue
    parts.push(parsePart(words.slice(start, i), options.conv, line))
    start = i + 1
  }
  const datagram = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    datagram.set(part, at)
    at += part.length
  }
  return datagram
}

/** Bytes of the segment at `at`; 0 when there is none that can be read. */
function segmentSize(datagram: Uint8Array, at: number): number {
  if (datagram.length - at < KCP_OVERHEAD || !wordOf.has(datagram[at + CMD_AT]!)) return 0
  const size = KCP_OVERHEAD + readU32(datagram, at + LEN_AT)
  return size <= datagram.length - at ? size : 0
}

function formatSegment(segment: Uint8Array, expectedConv: number): string {
  const cmd = segment[CMD_AT]!
  const conv = readU32(segment, 0)
  const sn = readU32(segment, SN_AT)
  const ts = readU32(segment, TS_AT)
  const frg = segment[FRG_AT]!
  const payload = segment.subarray(KCP_OVERHEAD)
  const isPush = cmd === Command.Push
  // sn and ts mean nothing in a window probe, frg nothing outside a PUSH: shown only when someone set them.
  const numbered = isPush || cmd === Command.Ack
  const words = [wordOf.get(cmd)!]
  if (conv !== expectedConv) words.push(`conv=${conv}`)
  if (numbered || sn !== 0) words.push(`sn=${sn}`)
  words.push(`una=${readU32(segment, UNA_AT)}`, `wnd=${readU16(segment, WND_AT)}`)
  if (numbered || ts !== 0) words.push(`ts=${ts}`)
  if (isPush || frg !== 0) words.push(`frg=${frg}`)
  if (isPush || payload.length > 0) words.push(formatPayload(payload))
  return words.join(' ')
}

function formatPayload(payload: Uint8Array): string {
  const printable = payload.length <= QUOTED_MAX && payload.every((byte) => byte >= 0x20 && byte < 0x7f)
  // JSON escapes quotes and backslashes, which is all that printable ASCII needs.
  return printable ? JSON.stringify(String.fromCharCode(...payload)) : `<${payload.length} B>`
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function splitWords(line: string): string[] {
  const words: string[] = []
  const word = /\s*(?:(\||"(?:[^"\\]|\\.)*"|<\d+ B>|[^\s|"<]+)|$)/y
  while (word.lastIndex < line.length) {
    const from = word.lastIndex
    const match = word.exec(line)
    if (!match) throw new SyntaxError(`trace: cannot read ${line.slice(from)} in: ${line}`)
    if (match[1] !== undefined) words.push(match[1])
  }
  return words
}

function parsePart(words: readonly string[], conv: number, line: string): Uint8Array {
  const [kind, ...rest] = words
  if (kind === '?') return readPayload(rest[0] ?? '', line)
  if (kind === 'control') return parseControl(rest, line)
  const cmd = Object.hasOwn(commandOf, kind ?? '') ? commandOf[kind!]! : unknownWord(kind ?? '', line)
  const fields: Record<string, number> = { conv, sn: 0, una: 0, wnd: 128, ts: 0, frg: 0 }
  let payload = new Uint8Array(0)
  for (const word of rest) {
    const [, name, digits] = /^([a-z]+)=(\d+)$/.exec(word) ?? []
    if (name === undefined) payload = readPayload(word, line)
    else if (!Object.hasOwn(fieldMax, name) || Number(digits) > fieldMax[name]!) unknownWord(word, line)
    else fields[name] = Number(digits)
  }
  const { sn, una, wnd, ts, frg } = fields
  const segment = new Uint8Array(KCP_OVERHEAD + payload.length)
  writeHeader(segment, 0, fields['conv']!, cmd, frg!, wnd!, ts!, sn!, una!, payload.length)
  segment.set(payload, KCP_OVERHEAD)
  return segment
}

function parseControl([size, hex = '', ...more]: readonly string[], line: string): Uint8Array {
  const bytes = readPayload(size ?? '', line)
  if (more.length > 0 || !/^[0-9a-f]*$/.test(hex) || hex.length !== 2 * bytes.length) unknownWord(hex, line)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16)
  return bytes
}

/** The bytes of `"text"` or `<n B>`. */
function readPayload(word: string, line: string): Uint8Array<ArrayBuffer> {
  const size = /^<(\d+) B>$/.exec(word)?.[1]
  if (size !== undefined) return new Uint8Array(Number(size))
  if (!word.startsWith('"')) unknownWord(word, line)
  const text: string = JSON.parse(word)
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0xff) unknownWord(word, line)
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

function unknownWord(word: string, line: string): never {
  throw new SyntaxError(`trace: unknown word ${JSON.stringify(word)} in: ${line}`)
}
