/**
 * What tests of the addon share: whether it is there, transports whose datagrams are kept, programs in a child process,
 * also in a network of their own.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import { fileURLToPath } from 'node:url'
import { ALL_FEATURES, nativeStatus } from '../../src/node/native.ts'
import { type UdpBatchOptions, UdpBatchTransport } from '../../src/node/udp-batch.ts'
import type { UdpTransport } from '../../src/node/udp-transport.ts'
import type { PeerAddress } from '../../src/session/transport.ts'

/** Why tests of the addon are skipped, or false. */
export const withoutAddon: false | string = nativeStatus().available
  ? false
  : `no addon: ${nativeStatus().detail}`

const hasIPv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
)
export const withoutIPv6: false | string = withoutAddon || (hasIPv6 ? false : 'no ::1 on this machine')

/** Real time: nothing here may take longer. */
export const timely: { readonly timeout: number; readonly skip: false | string } = {
  timeout: 20_000,
  skip: withoutAddon,
}

/** All sums of Feature. */
export const FEATURE_SETS: readonly number[] = Array.from({ length: ALL_FEATURES + 1 }, (_, i) => i)

export interface Heard {
  readonly bytes: Buffer
  readonly from: PeerAddress
}

/** A transport with what it heard. */
export class Ear {
  readonly transport: UdpBatchTransport | UdpTransport
  heard: Heard[] = []
  errors: NodeJS.ErrnoException[] = []
  closed = 0
  #changed: (() => void) | undefined

  constructor(transport: UdpBatchTransport | UdpTransport, onDatagram?: (heard: Heard) => void) {
    this.transport = transport
    transport.start({
      onDatagram: (datagram, from) => {
        const heard = { bytes: Buffer.from(datagram), from }
        this.heard.push(heard)
        this.#changed?.()
        onDatagram?.(heard)
      },
      onError: (error) => {
        this.errors.push(error)
        this.#changed?.()
      },
      onClose: () => {
        this.closed++
      },
    })
  }

  /** A batching transport on 127.0.0.1 unless `options` say otherwise, with a large buffer. */
  static async open(options: UdpBatchOptions = {}): Promise<Ear> {
    return new Ear(
      await UdpBatchTransport.bind({ address: '127.0.0.1', bufferSize: 1024 * 1024, ...options }),
    )
  }

  get address(): PeerAddress {
    return this.transport.localAddress()!
  }

  /** Resolves once that many datagrams were heard, or errors. */
  async hears(datagrams: number, errors = 0): Promise<void> {
    while (this.heard.length < datagrams || this.errors.length < errors) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
    }
  }

  /** What was heard since the last call. */
  take(): Heard[] {
    const { heard } = this
    this.heard = []
    return heard
  }
}

/** The `index`-th datagram of a test: its bytes tell it from all others of the same size. */
export function datagram(index: number, size: number): Buffer {
  const bytes = Buffer.alloc(size, index & 0xff)
  if (size >= 5) bytes.writeUInt32LE(index, 1)
  bytes[size - 1]! ^= 0x5a
  return bytes
}

/** Until the event loop has polled for I/O once more. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Where the compiled library lies. */
const library = new URL('../../src/', import.meta.url)

/**
 * Runs a program in a child process and gives what it prints; fails when it does not end by itself, and well. It has
 * the names of node/native.ts, UdpBatchTransport and UdpTransport.
 */
export async function program(
  body: string,
  options: {
    /** Before node, such as a shell that prepares a network. */
    readonly command?: readonly string[]
    readonly flags?: readonly string[]
    readonly env?: NodeJS.ProcessEnv
    /** Descriptors that the child gets, from 3 on. */
    readonly fds?: readonly number[]
    /** Called with everything printed so far, whenever there is more. */
    readonly onOutput?: (output: string) => void
    readonly limit?: number
  } = {},
): Promise<string> {
  const code = `
    import { native } from ${JSON.stringify(new URL('../test/support/native-names.js', library).href)}
    const { UdpBatchTransport, UdpTransport, nativeUdp, nativeStatus, Row, Feature, sink } = native
    ${body}`
  const words = [
    ...(options.command ?? []),
    process.execPath,
    ...(options.flags ?? []),
    '--input-type=module',
    '--eval',
    code,
  ]
  const child = spawn(words[0]!, words.slice(1), {
    stdio: ['ignore', 'pipe', 'pipe', ...(options.fds ?? [])],
    env: { ...process.env, ...options.env },
  })
  let output = ''
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (chunk) => {
      output += chunk
      options.onOutput?.(output)
    })
  }
  const killer = setTimeout(() => child.kill('SIGKILL'), options.limit ?? 15_000)
  const [status, signal] = await once(child, 'close')
  clearTimeout(killer)
  assert.equal(signal, null, `ended by ${signal}:\n${output}`)
  assert.equal(status, 0, output)
  return output.trim()
}

/** Words that run a program in an empty network of its own, after these commands of ip(8); needs root. */
export function inNetwork(...setup: readonly string[]): readonly string[] {
  const script = [...setup.map((words) => `ip ${words}`), 'exec "$0" "$@"'].join(' && ')
  return ['unshare', '--net', 'sh', '-c', script]
}

/** Why `inNetwork` is out of reach here, or false. */
export function withoutNetworks(): false | string {
  if (withoutAddon !== false) return withoutAddon
  try {
    const [command, ...words] = inNetwork('link set lo up')
    execFileSync(command!, [...words, 'true'], { stdio: 'ignore' })
    return false
  } catch {
    return 'needs root, unshare and ip'
  }
}

/** A compiled test program of test/support. */
export function supportPath(name: string): string {
  return fileURLToPath(new URL(`${name}.js`, import.meta.url))
}
