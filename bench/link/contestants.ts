/**
 * Who is measured on the impaired link: how each one's two ends are started, and why it may be missing.
 * @module
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Cell } from './cells.ts'
import type { Child } from './child.ts'
import type { EndOptions, LatencyTask, Task } from './end.ts'
import { goPeer, whyNoGo } from './go-peer.ts'
import { type Congestion, FAR, type ImpairedLink, type Side, whyNotCongestion } from './link.ts'
import { type KcpEndOptions, type ProtocolName, peerPackages } from './protocols.ts'

export interface Contestant<T extends Task> {
  readonly name: string
  /** Its sender says what it counted. */
  readonly tells?: boolean
  /** Takes more than this project, Node and the system. */
  readonly peer?: boolean
  /** Which cells it takes part in. Default: all. */
  readonly where?: (cell: Cell) => boolean
  /** What TCP uses on its link. */
  readonly congestion?: Congestion
  /** Why it cannot take part on this machine; undefined when it can. */
  missing(): string | undefined
  /** Starts one end: the receiver is far. */
  start(link: ImpairedLink, role: EndOptions['role'], task: T): Child
}

const PORT = 9000
const SIDES: Readonly<Record<EndOptions['role'], Side>> = { receive: 'far', send: 'near' }

const END = fileURLToPath(new URL('./end.js', import.meta.url))

function inNode(name: string, protocol: ProtocolName, kcp: KcpEndOptions = {}): Contestant<Task> {
  return {
    name,
    missing: () => undefined,
    start(link, role, task) {
      const options: EndOptions = { role, protocol, at: { host: FAR, port: PORT }, task, kcp }
      return link.start(SIDES[role], process.execPath, [END, JSON.stringify(options)])
    },
  }
}

/** Our own ends. */
export function ours(name: string, kcp: KcpEndOptions): Contestant<Task> {
  return { ...inNode(name, 'kcp', kcp), tells: true }
}

/** Our own sender, and kcp-go at the other end. */
export function toKcpGo(name: string, kcp: KcpEndOptions): Contestant<LatencyTask> {
  const [near, far] = [ours(name, kcp), kcpGo()]
  return {
    ...near,
    peer: true,
    missing: far.missing,
    start: (link, role, task) => (role === 'send' ? near : far).start(link, role, task),
  }
}

/** node:net. */
export function tcp(congestion: Congestion): Contestant<Task> {
  return { ...inNode(`TCP ${congestion}`, 'tcp'), congestion, missing: () => whyNotCongestion(congestion) }
}

export function udx(): Contestant<Task> {
  const installed = fileURLToPath(new URL('node_modules/udx-native', peerPackages))
  return {
    ...inNode('udx-native', 'udx'),
    peer: true,
    missing: () => (existsSync(installed) ? undefined : 'udx-native is not installed in bench/peers'),
  }
}

/** kcp-go with the settings of our preset fast; `fec`: data and parity shards. */
export function kcpGo(fec?: readonly [number, number]): Contestant<LatencyTask> {
  const [data, parity] = fec ?? [0, 0]
  return {
    name: `kcp-go ${fec === undefined ? 'fast' : `FEC ${data}/${parity}`}`,
    peer: true,
    missing: whyNoGo,
    start(link, role, task) {
      const { kind, size, flows, warmUp, count } = task
      return link.start(SIDES[role], goPeer(), [
        `-role=${role}`,
        `-kind=${kind}`,
        `-addr=${FAR}:${PORT}`,
        `-size=${size}`,
        `-flows=${flows}`,
        kind === 'messages' ? `-interval=${task.intervalMs}ms` : `-think=${task.thinkMs}ms`,
        `-warmup=${warmUp}`,
        `-count=${count}`,
        `-data=${data}`,
        `-parity=${parity}`,
      ])
    },
  }
}

/** Those that can take part, and a line for each that cannot. */
export function present<T extends Task>(
  contestants: readonly Contestant<T>[],
): { readonly present: readonly Contestant<T>[]; readonly absent: readonly string[] } {
  const reasons = new Map(contestants.map((contestant) => [contestant, contestant.missing()]))
  return {
    present: contestants.filter((contestant) => reasons.get(contestant) === undefined),
    absent: [...reasons].flatMap(([{ name }, why]) =>
      why === undefined ? [] : [`Without ${name}: ${why}.`],
    ),
  }
}
