/**
 * Replays a recorded schedule on two control blocks and finds the first place where they answer otherwise than
 * the reference engine did. Knows the format of test/vectors (read its README) and the C API, nothing of KCP.
 * The control blocks are those of `kcp-io/sys`, or anything else that takes the calls (`ControlBlock`).
 * @module
 */
import { crc32 } from 'node:zlib'
import {
  IKCP_OVERHEAD,
  type IKCPCB,
  type IKCPOPS,
  ikcp_check,
  ikcp_create,
  ikcp_flush,
  ikcp_input,
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

export interface Schedule {
  readonly name: string
  readonly description: string
  readonly steps: readonly Step[]
}

/** One call and what the reference engine made of it. */
export interface Step {
  readonly op: string
  readonly ep: 0 | 1
  /** Numbers, mostly; strings, lists and objects for `set`, `input`, `inputraw` and `setcc`. */
  readonly args?: readonly unknown[]
  readonly ret?: number
  readonly out?: readonly string[]
  readonly data?: string
  readonly state?: readonly number[]
  readonly cc?: readonly CcCall[]
}

/** A congestion callback: its name, then its arguments. */
export type CcCall = readonly [name: string, ...args: number[]]

/** Where a replay left the recording. */
export interface Difference {
  readonly schedule: string
  readonly index: number
  readonly step: Step
  /** What differs: `ret`, `out`, `data`, `cc`, or a field of the control block. */
  readonly field: string
  readonly expected: unknown
  readonly actual: unknown
}

/** The calls that a schedule makes, named and answering as in C. */
export interface ControlBlock {
  nodelay(nodelay: number, interval: number, resend: number, nc: number): number
  wndsize(sndwnd: number, rcvwnd: number): number
  setmtu(mtu: number): number
  /** Writes a field, under the name that the recordings have for it. */
  set(field: string, value: number): void
  send(data: Uint8Array, len: number): number
  recv(into: Uint8Array, len: number): number
  input(datagram: Uint8Array): number
  update(now: number): void
  check(now: number): number
  flush(): void
  peeksize(): number
  waitsnd(): number
  setcc(ops: IKCPOPS | null): number
  release(): void
  /** The fields that were recorded. */
  readonly state: BlockState
}

export type BlockState = { readonly [Field in keyof IKCPCB]?: unknown }

/** Makes a control block that hands its datagrams to `output`; they are lent for the call. */
export type MakeBlock = (conv: number, output: (datagram: Uint8Array) => void) => ControlBlock

/** The recorded fields of the control block, in the order of `Step.state`. */
const STATE_FIELDS = [
  'snd_una',
  'snd_nxt',
  'rcv_nxt',
  'rmt_wnd',
  'cwnd',
  'ssthresh',
  'incr',
  'rx_srtt',
  'rx_rttval',
  'rx_rto',
  'probe',
  'nsnd_buf',
  'nsnd_que',
  'nrcv_buf',
  'nrcv_que',
  'xmit',
  'state',
] as const satisfies readonly (keyof IKCPCB)[]

/** Replays `schedule` from its beginning; null when everything came out as recorded. */
export function replay(schedule: Schedule, make: MakeBlock = sysBlock): Difference | null {
  const endpoints: Endpoint[] = []
  let difference: Difference | null = null
  for (const [index, step] of schedule.steps.entries()) {
    if (step.op === 'create') endpoints[step.ep] = new Endpoint(numberAt(step, 0), make)
    const differing = compare(step, endpoints[step.ep]!, endpoints)
    if (differing === null) continue
    difference = { schedule: schedule.name, index, step, ...differing }
    break
  }
  for (const { block } of endpoints) block.release()
  return difference
}

/** A difference as a person wants to read it. */
export function describe(difference: Difference): string {
  const { schedule, index, step, field, expected, actual } = difference
  const { op, ep, args = [] } = step
  return [
    `${schedule}: step ${index}, ${op}(${args.map((arg) => JSON.stringify(arg)).join(', ')}) on endpoint ${ep}`,
    `  ${field} expected ${JSON.stringify(expected)}`,
    `  ${' '.repeat(field.length)}   actual ${JSON.stringify(actual)}`,
  ].join('\n')
}

type Differing = Pick<Difference, 'field' | 'expected' | 'actual'>

/** Makes the call of one step and holds the outcome against what was recorded. */
function compare(step: Step, endpoint: Endpoint, endpoints: readonly Endpoint[]): Differing | null {
  const outBefore = endpoint.sent.length
  const ccBefore = endpoint.cc.length
  const ret = perform(step, endpoint, endpoints)
  if (step.ret !== undefined && ret !== step.ret) return { field: 'ret', expected: step.ret, actual: ret }

  const out = endpoint.sent.slice(outBefore).map(digest)
  const expectedOut = step.out ?? []
  if (!sameList(out, expectedOut)) return { field: 'out', expected: expectedOut, actual: out }

  if (step.op === 'recv') {
    const data = ret < 0 ? undefined : digest(scratch.subarray(0, ret))
    if (data !== step.data) return { field: 'data', expected: step.data, actual: data }
  }

  const cc = endpoint.cc.slice(ccBefore)
  const expectedCc = step.cc ?? []
  const sameCc = cc.length === expectedCc.length && cc.every((call, i) => sameList(call, expectedCc[i]!))
  if (!sameCc) return { field: 'cc', expected: expectedCc, actual: cc }

  if (step.state !== undefined) {
    for (const [i, field] of STATE_FIELDS.entries()) {
      const expected = step.state[i]
      const actual = endpoint.block.state[field]
      if (actual !== expected) return { field, expected, actual }
    }
  }
  return null
}

/** Makes the call; 0 for the ones that return nothing. */
function perform(step: Step, endpoint: Endpoint, endpoints: readonly Endpoint[]): number {
  const { block } = endpoint
  const num = (at: number): number => numberAt(step, at)
  switch (step.op) {
    case 'create':
      return 0
    case 'nodelay':
      return block.nodelay(num(0), num(1), num(2), num(3))
    case 'wndsize':
      return block.wndsize(num(0), num(1))
    case 'setmtu':
      return block.setmtu(num(0))
    case 'set':
      block.set(String(step.args?.[0]), num(1))
      return 0
    case 'send':
      return block.send(payload(num(0), Math.max(0, num(1))), num(1))
    case 'recv': {
      const size = Math.abs(num(0))
      if (scratch.length < size) scratch = new Uint8Array(size)
      return block.recv(scratch.subarray(0, size), num(0))
    }
    case 'input': {
      const datagram = endpoints[num(0)]!.sent[num(1)]!
      return block.input(changed(datagram, step.args?.[2]))
    }
    case 'inputraw':
      return block.input(fromHex(step.args?.[0]))
    case 'update':
      block.update(num(0))
      return 0
    case 'check':
      return block.check(num(0))
    case 'flush':
      block.flush()
      return 0
    case 'peeksize':
      return block.peeksize()
    case 'waitsnd':
      return block.waitsnd()
    case 'setcc':
      return block.setcc(step.args?.[0] === null ? null : controller(step, endpoint.cc))
    default:
      throw new RangeError(`no such op: ${step.op}`)
  }
}

/** `kcp-io/sys`. */
function sysBlock(conv: number, output: (datagram: Uint8Array) => void): ControlBlock {
  const kcp = ikcp_create(conv)
  ikcp_setoutput(kcp, (buf, len) => {
    output(buf)
    return len
  })
  return {
    nodelay: (nodelay, interval, resend, nc) => ikcp_nodelay(kcp, nodelay, interval, resend, nc),
    wndsize: (sndwnd, rcvwnd) => ikcp_wndsize(kcp, sndwnd, rcvwnd),
    setmtu: (mtu) => ikcp_setmtu(kcp, mtu),
    set: (field, value) => {
      kcp[settable(field)] = value
    },
    send: (data, len) => ikcp_send(kcp, data, len),
    recv: (into, len) => ikcp_recv(kcp, into, len),
    input: (datagram) => ikcp_input(kcp, datagram),
    update: (now) => ikcp_update(kcp, now),
    check: (now) => ikcp_check(kcp, now),
    flush: () => ikcp_flush(kcp),
    peeksize: () => ikcp_peeksize(kcp),
    waitsnd: () => ikcp_waitsnd(kcp),
    setcc: (ops) => ikcp_setcc(kcp, ops),
    release: () => ikcp_release(kcp),
    state: kcp,
  }
}

/** A control block, and what it handed to the outside so far. */
class Endpoint {
  readonly block: ControlBlock
  /** Every datagram, in the order of emission: `input` refers to them by index. */
  readonly sent: Uint8Array[] = []
  readonly cc: CcCall[] = []

  constructor(conv: number, make: MakeBlock) {
    this.block = make(conv, (datagram) => void this.sent.push(datagram.slice()))
  }
}

/** The controller of the README, which writes every callback to `log`. */
function controller(step: Step, log: CcCall[]): IKCPOPS {
  // As the README's table has it; a recording that breaks it shows as a difference at once.
  const [name, limits, leftOut = []] = step.args as [
    string,
    { init: number; max: number; fail?: number },
    string[]?,
  ]
  const ops: IKCPOPS = {
    name,
    init: (kcp) => {
      log.push(['init'])
      kcp.cwnd = limits.init
      return limits.fail ?? 0
    },
    release: () => void log.push(['release']),
    on_ack: (kcp, ackedSegs, ackedBytes, priorInFlight) => {
      log.push(['on_ack', ackedSegs, ackedBytes, priorInFlight])
      kcp.cwnd = Math.min(kcp.cwnd + ackedSegs, limits.max)
    },
    on_fast_retransmit: (kcp, fastRetrans, inflight, priorCwnd) => {
      log.push(['on_fast_retransmit', fastRetrans, inflight, priorCwnd])
      kcp.cwnd = Math.max(2, Math.floor((priorCwnd * 7) / 8))
    },
    on_timeout: (kcp, priorCwnd) => {
      log.push(['on_timeout', priorCwnd])
      kcp.cwnd = Math.max(2, Math.floor(priorCwnd / 2))
    },
    on_tick: () => void log.push(['on_tick']),
    on_app_limited: (_kcp, inflight) => void log.push(['on_app_limited', inflight]),
    on_rtt: (_kcp, rtt) => void log.push(['on_rtt', rtt]),
    on_pkt_sent: (_kcp, sn, ts, len, inflight, xmit) =>
      void log.push(['on_pkt_sent', sn, ts, len, inflight, xmit]),
    on_pkt_acked: (_kcp, sn, ts, len, rtt, xmit) => void log.push(['on_pkt_acked', sn, ts, len, rtt, xmit]),
  }
  for (const callback of leftOut) delete ops[callback as keyof IKCPOPS]
  return ops
}

/** `set` speaks the C headers' names, two of them without their prefix. */
function settable(
  name: string,
): 'stream' | 'rx_minrto' | 'fastlimit' | 'dead_link' | 'snd_una' | 'snd_nxt' | 'rcv_nxt' {
  switch (name) {
    case 'minrto':
      return 'rx_minrto'
    case 'deadlink':
      return 'dead_link'
    case 'stream':
    case 'fastlimit':
    case 'snd_una':
    case 'snd_nxt':
    case 'rcv_nxt':
      return name
    default:
      throw new RangeError(`no such field: ${name}`)
  }
}

function payload(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = seed * 31 + i * 7 + (i >> 8) * 13
  return bytes
}

/** A copy of `datagram`, damaged as `change` says. */
function changed(datagram: Uint8Array, change: unknown): Uint8Array {
  if (change === undefined) return datagram
  const [how, value, mask] = change as [string, unknown, number?]
  switch (how) {
    case 'trunc':
      return datagram.slice(0, Number(value))
    case 'flip': {
      const copy = datagram.slice()
      copy[Number(value) % copy.length]! ^= mask!
      return copy
    }
    case 'append':
      return Uint8Array.from([...datagram, ...fromHex(value)])
    default:
      throw new RangeError(`no such change: ${how}`)
  }
}

/** Longest run of bytes that the recordings write out in full: three headers. */
const FULL_HEX_MAX = 3 * IKCP_OVERHEAD

function digest(bytes: Uint8Array): string {
  if (bytes.length <= FULL_HEX_MAX) return toHex(bytes)
  const crc = crc32(bytes).toString(16).padStart(8, '0')
  return `${toHex(bytes.subarray(0, IKCP_OVERHEAD))}:${bytes.length}:${crc}`
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}

function fromHex(hex: unknown): Uint8Array {
  return Uint8Array.from(Buffer.from(String(hex), 'hex'))
}

function numberAt(step: Step, at: number): number {
  const value = step.args?.[at]
  if (typeof value !== 'number') throw new TypeError(`${step.op}: argument ${at} is ${JSON.stringify(value)}`)
  return value
}

function sameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i])
}

/** What `recv` reads into: the recordings ask with 200,000 bytes twenty thousand times. */
let scratch = new Uint8Array(0)
