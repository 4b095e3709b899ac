/**
 * Packet stories: one engine, a clock that the story moves, and what comes out compared as text (sim/trace).
 *
 *     const t = new Trace({ resend: 2 })
 *     t.at(0).send('aaa', 'bbb').expect('push sn=0 "aaa" | push sn=1 "bbb"')
 *     t.at(40).input('ack sn=1 una=0 ts=0').expect()
 *
 * A line of `expect` is a datagram and names only the fields that the story is about; what it leaves out may be
 * anything. `Trace.sys` drives the same engine through the C names, `Trace.hardened` with every hardening switch on,
 * and `onBoth` tells one story to the two of them.
 * @module
 */
import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import type { KcpConfig } from '../../src/core/config.ts'
import { Kcp } from '../../src/core/kcp.ts'
import { formatDatagram, parseTrace } from '../../src/sim/trace.ts'
import {
  IKCPCB,
  ikcp_create,
  ikcp_flush,
  ikcp_input,
  ikcp_nodelay,
  ikcp_peeksize,
  ikcp_recv,
  ikcp_send,
  ikcp_setmtu,
  ikcp_setoutput,
  ikcp_update,
  ikcp_wndsize,
} from '../../src/sys.ts'

/** Every story's conversation. */
export const CONV = 0x11223344

/** What a story drives: the calls that the engine and the C names have in common. */
interface Face {
  readonly kcp: Kcp
  readonly block: IKCPCB | null
  send(data: Uint8Array): number
  /** A message, or a negative number when there is none to read. */
  recv(): Uint8Array | number
  peekSize(): number
  input(datagram: Uint8Array, now: number): number
  update(now: number): void
  flush(now: number): void
}

export class Trace {
  readonly #face: Face
  readonly #out: Uint8Array[] = []
  /** The story's time, u32 ms. */
  now = 0
  /** What the latest `send` or `input` returned. */
  code = 0

  /** A story about `Kcp`. */
  constructor(config: KcpConfig = {}, face: (output: Output, config: KcpConfig) => Face = engineFace) {
    this.#face = face((datagram) => void this.#out.push(datagram.slice()), config)
  }

  /** A story about the C names: the engine in its parity profile. */
  static sys(config: KcpConfig = {}): Trace {
    return new Trace(config, sysFace)
  }

  /** A story about the engine as sessions use it: everything hardened. */
  static hardened(config: KcpConfig = {}): Trace {
    return new Trace({ ...config, hardening: true })
  }

  get kcp(): Kcp {
    return this.#face.kcp
  }

  /** The control block; only in a story about the C names. */
  get block(): IKCPCB {
    const { block } = this.#face
    if (block === null) throw new Error('this story has no control block: start it with Trace.sys')
    return block
  }

  /** Moves the clock, and has `update` see it. */
  at(ms: number): this {
    this.clock(ms)
    this.#face.update(this.now)
    return this
  }

  /** Moves the clock; the engine hears of it with the next call that takes a time. */
  clock(ms: number): this {
    this.now = ms >>> 0
    return this
  }

  /** Sends messages: text, bytes, or a number of zero bytes. */
  send(...messages: (string | number | Uint8Array)[]): this {
    for (const message of messages) this.code = this.#face.send(toBytes(message))
    return this
  }

  /** Feeds datagrams: lines of text, or bytes. */
  input(...datagrams: (string | Uint8Array)[]): this {
    for (const datagram of datagrams) {
      const bytes = typeof datagram === 'string' ? parseTrace(datagram, { conv: CONV }) : datagram
      this.code = this.#face.input(bytes, this.now)
    }
    return this
  }

  /** The next message as text, or its number of bytes when it is long; a negative number when there is none. */
  recv(): string | number {
    const message = this.#face.recv()
    if (typeof message === 'number') return message
    return message.length > 100 ? message.length : String.fromCharCode(...message)
  }

  /** Bytes of the next message, -1 for none. */
  peekSize(): number {
    return this.#face.peekSize()
  }

  flush(): this {
    this.#face.flush(this.now)
    return this
  }

  /** Flushes; then exactly these datagrams must have come out since the last look. */
  expect(...lines: string[]): this {
    return this.flush().sent(...lines)
  }

  /** As `expect`, without a flush. */
  sent(...lines: string[]): this {
    const actual = this.lines()
    deepEqual(
      actual.map((line, i) => reduced(line, lines[i])),
      lines,
    )
    return this
  }

  /** Flushes, and forgets what came out so far. */
  skip(): this {
    this.flush().take()
    return this
  }

  /** What came out since the last look, as bytes. */
  take(): Uint8Array[] {
    return this.#out.splice(0)
  }

  /** What came out since the last look, as text. */
  lines(): string[] {
    return this.take().map((datagram) => formatDatagram(datagram, { conv: CONV }))
  }

  /** Numbers of the segments in flight that are not acknowledged. */
  get inFlight(): number[] {
    const { snd } = this.kcp
    const numbers: number[] = []
    for (let sn = snd.base; sn !== snd.sndNxt; sn = (sn + 1) >>> 0) if (snd.has(sn)) numbers.push(sn)
    return numbers
  }

  /** How often each of them was skipped; C's fastack. */
  get skips(): number[] {
    return this.inFlight.map((sn) => this.kcp.snd.skipsOf(sn))
  }
}

/** Tells a story to both profiles: what C does and we keep. */
export function onBoth(name: string, story: (make: (config?: KcpConfig) => Trace) => void): void {
  test(`${name} (sys)`, () => story((config) => Trace.sys(config)))
  test(`${name} (hardened)`, () => story((config) => Trace.hardened(config)))
}

type Output = (datagram: Uint8Array) => void

function engineFace(output: Output, config: KcpConfig): Face {
  const kcp = new Kcp(CONV, output, config)
  return {
    kcp,
    block: null,
    send: (data) => kcp.send(data),
    recv: () => kcp.recv() ?? -1,
    peekSize: () => kcp.peekSize() ?? -1,
    input: (datagram, now) => kcp.tryInput(datagram, now),
    update: (now) => kcp.update(now),
    flush: (now) => kcp.flush(now),
  }
}

function sysFace(output: Output, config: KcpConfig): Face {
  const block = ikcp_create(CONV)
  ikcp_setoutput(block, (buf) => {
    output(buf)
    return 0
  })
  const { nodelay, interval = -1, resend = -1, nc, mtu, sndWnd = 0, rcvWnd = 0, ...rest } = config
  ikcp_nodelay(
    block,
    nodelay === undefined ? -1 : Number(nodelay),
    interval,
    resend,
    nc === undefined ? -1 : Number(nc),
  )
  ikcp_wndsize(block, sndWnd, rcvWnd)
  if (mtu !== undefined) ikcp_setmtu(block, mtu)
  for (const [field, value] of Object.entries(rest)) {
    if (!Object.hasOwn(C_NAMES, field)) throw new Error(`the C names have no ${field}`)
    block[C_NAMES[field as keyof typeof C_NAMES]] = Number(value)
  }
  return {
    // Stories told through the C names use only the engine's part of it.
    kcp: IKCPCB.engine(block) as Kcp,
    block,
    send: (data) => ikcp_send(block, data, data.length),
    recv: () => {
      const size = ikcp_peeksize(block)
      const buffer = new Uint8Array(Math.max(0, size))
      const code = ikcp_recv(block, buffer, buffer.length)
      return code < 0 ? code : buffer
    },
    peekSize: () => ikcp_peeksize(block),
    input: (datagram, now) => {
      // What a C program does that wants exact round-trip times.
      if (block.updated !== 0) block.current = now
      return ikcp_input(block, datagram)
    },
    update: (now) => ikcp_update(block, now),
    flush: () => ikcp_flush(block),
  }
}

/** Settings that C has as fields of the control block only. */
const C_NAMES = {
  streamMode: 'stream',
  minRto: 'rx_minrto',
  deadLink: 'dead_link',
  fastLimit: 'fastlimit',
} as const

/** `count` lines made one after another, as one datagram. */
export function joined(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join(' | ')
}

export function toBytes(message: string | number | Uint8Array): Uint8Array {
  if (typeof message === 'number') return new Uint8Array(message)
  return typeof message === 'string'
    ? Uint8Array.from(message, (character) => character.charCodeAt(0))
    : message
}

/** `actual` with only the fields that `expected` names, so that a difference shows only what matters. */
function reduced(actual: string, expected: string | undefined): string {
  if (expected === undefined) return actual
  const segments = actual.split(' | ')
  const wanted = expected.split(' | ')
  if (segments.length !== wanted.length) return actual
  return segments.map((segment, i) => reducedSegment(segment, wanted[i]!)).join(' | ')
}

function reducedSegment(actual: string, expected: string): string {
  const keys = new Set(words(expected).map(keyOf))
  return words(actual)
    .filter((word, i) => i === 0 || keys.has(keyOf(word)))
    .join(' ')
}

function words(segment: string): string[] {
  return segment.match(/"(?:[^"\\]|\\.)*"|<\d+ B>|\S+/g) ?? []
}

/** `sn=3` is about sn; a text or a length about the payload. */
function keyOf(word: string): string {
  return /^[a-z]+(?==)/.exec(word)?.[0] ?? (/^["<]/.test(word) ? 'payload' : word)
}
