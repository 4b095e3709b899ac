/**
 * One hand-driven end of a conversation: says exactly the segments that it is told to, keeps everything that it hears.
 * It has no engine, so it can say what no engine would.
 * @module
 */
import { randomInt } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
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
} from '../../core/segment.ts'
import { seqAdd, seqDiff } from '../../core/seq.ts'
import { formatDatagram, parseTrace } from '../../sim/index.ts'
import { CommandFailure } from '../command.ts'

/** One segment that came back. */
export interface Heard {
  /** ms since the probe was opened. */
  readonly at: number
  /** Which datagram it came in, and how large that was. */
  readonly datagram: number
  readonly size: number
  readonly conv: number
  readonly cmd: number
  readonly frg: number
  readonly wnd: number
  readonly ts: number
  readonly sn: number
  readonly una: number
  readonly data: Uint8Array
}

/** A sentence of what should have happened and did not. */
export class SpecFailure extends CommandFailure {
  override readonly name = 'SpecFailure'
}

export interface ProbeOptions {
  readonly host: string
  readonly port: number
  readonly family: 'IPv4' | 'IPv6'
  readonly conv?: number
  /** Longest wait for an answer, ms. */
  readonly patience: number
}

/** Longer traces than this are cut in the middle: a failure is told by its beginning and its end. */
const TRACE_LINES = 400
/** What is heard is kept, up to this much: the endpoint must not fill our memory. */
const HEARD_MAX = 20_000

export class Probe {
  readonly conv: number
  readonly patience: number
  readonly heard: Heard[] = []
  readonly trace: string[] = []
  /** Datagrams and bytes both ways, of UDP payload. */
  bytesOut = 0
  bytesIn = 0
  /** Whether every PUSH is acknowledged at once, as a KCP would. */
  answering = true
  /** The window that is told. */
  wnd = 128
  /** Next sn that we expect: what our `una` says. */
  rcvNxt = 0
  /** Next sn that `say` uses. */
  sndNxt = 0
  private readonly early = new Map<number, Uint8Array>()
  private readonly delivered: Uint8Array[] = []
  private readonly waiting = new Set<() => void>()
  private readonly startedAt = performance.now()
  private readonly socket: Socket
  private datagrams = 0

  private constructor(socket: Socket, options: ProbeOptions) {
    this.socket = socket
    this.patience = options.patience
    // Below 2^31 and never 0: what every implementation takes.
    this.conv = options.conv ?? randomInt(1, 0x7fff_ffff)
    socket.on('message', (datagram) => this.take(datagram))
    // ECONNREFUSED and its like: the endpoint is silent, which is what the case will say.
    socket.on('error', (error) => this.note(`-- ${error.message}`))
  }

  static async open(options: ProbeOptions): Promise<Probe> {
    const socket = createSocket(options.family === 'IPv6' ? 'udp6' : 'udp4')
    const probe = new Probe(socket, options)
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.connect(options.port, options.host, () => {
        socket.off('error', reject)
        resolve()
      })
    })
    return probe
  }

  close(): void {
    this.socket.close()
  }

  /** ms since the probe was opened. */
  now(): number {
    return performance.now() - this.startedAt
  }

  /** One datagram in the words of `kcp-io/sim`'s traces: `push sn=0 ts=5 "a" | wask`. */
  send(line: string): void {
    this.sendRaw(parseTrace(line, { conv: this.conv }))
  }

  sendRaw(datagram: Uint8Array): void {
    this.note(`> ${formatDatagram(datagram, { conv: this.conv })}`)
    this.bytesOut += datagram.length
    this.socket.send(datagram)
  }

  /** Says the next message of one segment, as a KCP would. Returns its sn. */
  say(text: string): number {
    const sn = this.sndNxt++
    this.send(`push sn=${sn} una=${this.rcvNxt} wnd=${this.wnd} ts=${this.clock()} ${JSON.stringify(text)}`)
    return sn
  }

  /** Acknowledges one PUSH, as a KCP would. */
  acknowledge(push: Heard): void {
    this.send(`ack sn=${push.sn} una=${this.rcvNxt} wnd=${this.wnd} ts=${push.ts}`)
  }

  /** A clock as engines have one: ms. */
  clock(): number {
    return Math.trunc(this.now()) + 1
  }

  /** The first segment from `heard[from]` on that fits, or undefined after the wait. */
  async hear(
    fits: (segment: Heard) => boolean,
    within: number = this.patience,
    from = 0,
  ): Promise<Heard | undefined> {
    let next = from
    let found: Heard | undefined
    await this.until(() => {
      while (found === undefined && next < this.heard.length) {
        const segment = this.heard[next++]!
        if (fits(segment)) found = segment
      }
      return found !== undefined
    }, within)
    return found
  }

  /** As `hear`; fails the case when it does not come. */
  async expect(
    what: string,
    fits: (segment: Heard) => boolean,
    within: number = this.patience,
    from = 0,
  ): Promise<Heard> {
    const found = await this.hear(fits, within, from)
    if (found === undefined) throw new SpecFailure(`expected ${what} within ${within} ms`)
    return found
  }

  /** Fails the case when something that fits comes within `ms`; what was heard before does not count. */
  async refuse(what: string, fits: (segment: Heard) => boolean, ms: number): Promise<void> {
    const found = await this.hear(fits, ms, this.heard.length)
    if (found !== undefined) throw new SpecFailure(`expected no ${what}`)
  }

  /** Lets `ms` pass; what comes meanwhile is kept. */
  async pause(ms: number): Promise<void> {
    await this.until(() => false, ms)
  }

  /** Everything that arrived in order. */
  text(): string {
    return this.delivered.map((bytes) => Buffer.from(bytes).toString('latin1')).join('')
  }

  /** Payloads in order, one for each segment. */
  payloads(): readonly Uint8Array[] {
    return this.delivered
  }

  /** Waits for exactly this text to have come back, from the beginning of the conversation. */
  async expectText(text: string, within: number = this.patience): Promise<void> {
    await this.until(() => this.text().length >= text.length, within)
    if (this.text() !== text) {
      const got = this.text()
      throw new SpecFailure(`expected the echo ${cut(text)} within ${within} ms, got ${cut(got)}`)
    }
  }

  /** Resolves to whether `done` became true in time. */
  private async until(done: () => boolean, within: number): Promise<boolean> {
    if (done()) return true
    return await new Promise((resolve) => {
      const finish = (result: boolean): void => {
        clearTimeout(timer)
        this.waiting.delete(look)
        resolve(result)
      }
      const look = (): void => {
        if (done()) finish(true)
      }
      const timer = setTimeout(() => finish(done()), within)
      this.waiting.add(look)
    })
  }

  private take(datagram: Uint8Array): void {
    this.note(`< ${formatDatagram(datagram, { conv: this.conv })}`)
    this.bytesIn += datagram.length
    const number = this.datagrams++
    for (let at = 0; datagram.length - at >= KCP_OVERHEAD; ) {
      const len = readU32(datagram, at + LEN_AT)
      if (len > datagram.length - at - KCP_OVERHEAD) break
      const segment: Heard = {
        at: this.now(),
        datagram: number,
        size: datagram.length,
        conv: readU32(datagram, at),
        cmd: datagram[at + CMD_AT]!,
        frg: datagram[at + FRG_AT]!,
        wnd: readU16(datagram, at + WND_AT),
        ts: readU32(datagram, at + TS_AT),
        sn: readU32(datagram, at + SN_AT),
        una: readU32(datagram, at + UNA_AT),
        data: datagram.slice(at + KCP_OVERHEAD, at + KCP_OVERHEAD + len),
      }
      if (this.heard.length < HEARD_MAX) this.heard.push(segment)
      if (segment.cmd === Command.Push && segment.conv === this.conv) this.takePush(segment)
      at += KCP_OVERHEAD + len
    }
    for (const look of [...this.waiting]) look()
  }

  private takePush(push: Heard): void {
    if (!this.answering) return
    const ahead = seqDiff(push.sn, this.rcvNxt)
    if (ahead >= 0 && ahead < this.wnd) this.early.set(push.sn, push.data)
    for (let data = this.early.get(this.rcvNxt); data !== undefined; data = this.early.get(this.rcvNxt)) {
      this.early.delete(this.rcvNxt)
      this.delivered.push(data)
      this.rcvNxt = seqAdd(this.rcvNxt, 1)
    }
    this.acknowledge(push)
  }

  private note(line: string): void {
    if (this.trace.length === TRACE_LINES) this.trace.splice(TRACE_LINES / 2, 1)
    this.trace.push(`${this.now().toFixed(0).padStart(6)} ${line}`)
  }
}

function cut(text: string): string {
  return text.length <= 60
    ? JSON.stringify(text)
    : `${JSON.stringify(text.slice(0, 50))}… (${text.length} bytes)`
}

/** What to look for among what was heard. */
export const isPush =
  (sn?: number) =>
  ({ cmd, sn: got }: Heard): boolean =>
    cmd === Command.Push && (sn === undefined || got === sn)
export const isAck =
  (sn?: number, ts?: number) =>
  (segment: Heard): boolean =>
    segment.cmd === Command.Ack &&
    (sn === undefined || segment.sn === sn) &&
    (ts === undefined || segment.ts === ts)
export const isWindowAsk = ({ cmd }: Heard): boolean => cmd === Command.WindowAsk
export const isWindowTell = ({ cmd }: Heard): boolean => cmd === Command.WindowTell
export const isAnything = (): boolean => true
