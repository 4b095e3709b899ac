/**
 * An impaired link for TCP and UDP alike: two network namespaces, each with a TUN device, and a relay in user space
 * between them that delays, loses, limits and queues IP packets as the simulator's `Link` does (src/sim/link.ts).
 *
 *     near 198.18.0.1 ═ TUN ═ relay ═ TUN ═ 198.18.0.2 far
 *
 * Whatever runs in a namespace has nothing but this link. Needs Linux, root, iproute2 and python3.
 * @module
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { BurstLoss, LinkConditions } from '../../src/sim/index.ts'
import { Child } from './child.ts'
import type { RelayCounters, RelayOptions } from './counters.ts'

/** RFC 2544 sets 198.18.0.0/15 aside for benchmarks. */
export const NEAR = '198.18.0.1'
export const FAR = '198.18.0.2'

export type Side = 'near' | 'far'
export type Congestion = 'cubic' | 'bbr'

export interface ImpairedLinkOptions {
  readonly toFar: LinkConditions
  readonly toNear: LinkConditions
  readonly seed: number
  /** What TCP uses on it. Default: what the system says. */
  readonly congestion?: Congestion | undefined
  /** Packets under way at most; see relay.ts. */
  readonly slots?: number | undefined
}

/** The project's own folder; this file runs compiled, from build/bench/link. */
export const projectRoot: URL = new URL('../../../', import.meta.url)

/** Packets that a device queues towards the relay: none are to be lost that the link did not lose. */
const DEVICE_QUEUE = 10_000
const MTU = 1500
/** Of the ends, above all that runs at the usual 0 and below the relay: what else the machine does is not measured. */
const END_NICENESS = -10
/** TCP's buffers grow up to this, bytes: the largest path measured holds 4 MB, and a kernel counts its overhead too. */
const TCP_BUFFER = 64 * 1024 * 1024

/** Why no link can be made on this machine; undefined when it can. */
export function whyNoLink(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces need Linux'
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun'
  for (const [command, word] of [
    ['ip', '-V'],
    ['python3', '-V'],
  ] as const) {
    if (spawnSync(command, [word]).error !== undefined) return `${command} cannot be started`
  }
  return undefined
}

/** Why TCP cannot use this congestion control here; undefined when it can. */
export function whyNotCongestion(name: Congestion): string | undefined {
  const available = readFileSync('/proc/sys/net/ipv4/tcp_available_congestion_control', 'utf8')
  return available.split(/\s+/).includes(name) ? undefined : `this kernel has no TCP ${name}`
}

/** Loss of that many packets in all, in bursts of `length` packets on average (Gilbert's model). */
export function burstLoss(loss: number, length: number): BurstLoss {
  const pLeave = 1 / length
  return { pEnter: (pLeave * loss) / (1 - loss), pLeave, lossGood: 0, lossBad: 1 }
}

/** Set up by this process and not taken down yet. */
const namespaces = new Set<string>()
const PREFIX = 'kcp-io-'
let links = 0

/** Takes down what this process has set up; exits and signals come here too. */
function takeDown(): void {
  for (const name of namespaces) spawnSync('ip', ['netns', 'del', name])
  namespaces.clear()
}

function beforeTheFirst(): void {
  process.once('exit', takeDown)
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => process.exit(code))
  }
  // A run that was killed leaves its namespaces behind; their names tell whose they were.
  for (const line of ip('netns', 'list').split('\n')) {
    const [name = ''] = line.split(' ')
    if (!name.startsWith(PREFIX)) continue
    const [pid] = name.slice(PREFIX.length).split('-')
    if (!existsSync(`/proc/${pid}`)) ip('netns', 'del', name)
  }
}

function ip(...words: readonly string[]): string {
  return run('ip', words)
}

function run(command: string, words: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, words, { encoding: 'utf8' })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} ${words.join(' ')}: ${stderr.trim()}`)
  return stdout
}

const HASTE = fileURLToPath(new URL('bench/link/haste.py', projectRoot))

export class ImpairedLink {
  readonly #names: Readonly<Record<Side, string>>
  readonly #relay: Child
  readonly #children: Child[] = []

  private constructor(names: Readonly<Record<Side, string>>, relay: Child) {
    this.#names = names
    this.#relay = relay
  }

  static async open({ toFar, toNear, seed, congestion, slots }: ImpairedLinkOptions): Promise<ImpairedLink> {
    if (links === 0) beforeTheFirst()
    const number = links++
    const stem = `${PREFIX}${process.pid}-${number}-`
    const names = { near: `${stem}near`, far: `${stem}far` }
    // Names of devices have 15 characters; these are in the root namespace for a moment.
    const devices = { near: `kio${process.pid}n${number % 1000}`, far: `kio${process.pid}f${number % 1000}` }
    // Two directions of one seed would lose alike.
    const options: RelayOptions = {
      toFar: { ...toFar, seed: seed * 2 },
      toNear: { ...toNear, seed: seed * 2 + 1 },
      slots,
    }
    const relay = new Child('python3', [
      fileURLToPath(new URL('bench/link/open-tun.py', projectRoot)),
      devices.near,
      devices.far,
      '--',
      process.execPath,
      fileURLToPath(new URL('./relay.js', import.meta.url)),
      JSON.stringify(options),
    ])
    const link = new ImpairedLink(names, relay)
    try {
      await relay.next('ready')
      for (const [side, address, peer] of [
        ['near', NEAR, FAR],
        ['far', FAR, NEAR],
      ] as const) {
        setUp(names[side], devices[side], address, peer, congestion)
      }
    } catch (error) {
      await link.close()
      throw error
    }
    return link
  }

  /** Starts a program at one end, in some haste; it ends with the link. */
  start(side: Side, command: string, words: readonly string[]): Child {
    const hasten = ['python3', HASTE, String(END_NICENESS)]
    const child = new Child('ip', ['netns', 'exec', this.#names[side], ...hasten, command, ...words])
    this.#children.push(child)
    return child
  }

  /** What the relay counted so far. */
  counters(): Promise<RelayCounters> {
    this.#relay.tell('counters')
    return this.#relay.next<RelayCounters>('counters')
  }

  async close(): Promise<void> {
    await Promise.all([...this.#children, this.#relay].map((child) => child.kill()))
    for (const name of Object.values(this.#names)) {
      if (namespaces.delete(name)) ip('netns', 'del', name)
    }
  }
}

function setUp(
  namespace: string,
  device: string,
  address: string,
  peer: string,
  congestion: Congestion | undefined,
): void {
  ip('netns', 'add', namespace)
  namespaces.add(namespace)
  ip('link', 'set', device, 'netns', namespace)
  const inside = ['-n', namespace] as const
  const sysctl = (name: string, value: string): string =>
    ip('netns', 'exec', namespace, 'sysctl', '-qw', `${name}=${value}`)
  // Nothing but what is measured: no neighbour discovery of IPv6.
  sysctl('net.ipv6.conf.all.disable_ipv6', '1')
  sysctl('net.ipv4.tcp_rmem', `4096 131072 ${TCP_BUFFER}`)
  sysctl('net.ipv4.tcp_wmem', `4096 16384 ${TCP_BUFFER}`)
  ip(...inside, 'link', 'set', 'lo', 'up')
  ip(...inside, 'address', 'add', address, 'dev', device)
  ip(...inside, 'link', 'set', device, 'up', 'mtu', String(MTU), 'txqueuelen', String(DEVICE_QUEUE))
  // By route, as a namespace's sysctl takes only what the whole machine allows its users.
  ip(
    ...inside,
    'route',
    'add',
    peer,
    'dev',
    device,
    ...(congestion === undefined ? [] : ['congctl', congestion]),
  )
}
