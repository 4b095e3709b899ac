/**
 * From options to what sessions are made of: kcptun's modes, its key rule, and its numbers by our names.
 * @module
 */
import { readFileSync } from 'node:fs'
import type { KcpConfig } from '../../core/config.ts'
import type { PacketCipher } from '../../crypto/index.ts'
import { type KcptunCrypt, kcptunCipher } from '../../node/ciphers.ts'
import type { KcpSessionConfig } from '../../session/config.ts'
import type { FecOptions } from '../../session/fec-options.ts'
import type { SmuxConfig } from '../../smux/config.ts'
import { UsageError } from '../command.ts'
import { type Flags, type FlagTable, type FlagValue, parseFlags } from '../flags.ts'
import { type PortRange, parsePortRange, parseTcpAddress, type TcpAddress } from './address.ts'
import type { Level } from './log.ts'
import { CLIENT_FLAGS, PUBLIC_KEY, SERVER_FLAGS } from './options.ts'

/** What both ends have. Times in ms. */
export interface TunnelSettings {
  /** For `connect` and `listen`. */
  readonly session: KcpSessionConfig & { readonly crypto: PacketCipher; readonly fec?: FecOptions }
  readonly smux: SmuxConfig
  readonly compress: boolean
  /** Once the other end has closed a TCP connection, this end does after so long. */
  readonly closeWait: number
  readonly stopWait: number
  readonly log: { readonly file: string; readonly level: Level; readonly quiet: boolean }
  /** To be logged first. */
  readonly warnings: readonly string[]
}

export interface ClientSettings extends TunnelSettings {
  readonly local: TcpAddress
  readonly remote: PortRange & { readonly host: string }
  readonly sessions: number
  /** Age at which a session gets no new streams; 0: never. */
  readonly autoExpire: number
  /** How long it may live then; 0: while it has streams. */
  readonly scavenge: number
}

export interface ServerSettings extends TunnelSettings {
  readonly listen: PortRange
  readonly target: TcpAddress
  readonly maxSessions: number
  readonly proxyProtocol: boolean
  /** Take the version that a client speaks. */
  readonly anySmuxVersion: boolean
}

/** kcptun's modes: nodelay, interval, resend, nc. */
const MODES: Readonly<Record<string, readonly [number, number, number, number]>> = {
  normal: [0, 40, 2, 1],
  fast: [0, 30, 2, 1],
  fast2: [1, 20, 2, 1],
  fast3: [1, 10, 2, 1],
}

/** Most ports of a range that a server listens at: each is a socket. */
const PORTS_MAX = 1024

/** kcptun gives a silent session up after this long, fixed, ms. */
const SILENCE_MAX = 30_000

type Env = Readonly<Record<string, string | undefined>>

/** Throws UsageError. */
export function clientSettings(words: readonly string[], env: Env): ClientSettings {
  const flags = parse(CLIENT_FLAGS, words, env)
  const { text, number } = reader(flags)
  const remote = parsePortRange('remoteaddr', text('remoteaddr'), 1)
  if (remote.host === undefined) throw new UsageError('--remoteaddr needs a host')
  return {
    ...common(flags),
    local: parseTcpAddress('localaddr', text('localaddr'), 0),
    remote: { ...remote, host: remote.host },
    sessions: number('conn'),
    autoExpire: number('autoexpire') * 1000,
    scavenge: number('scavengettl') * 1000,
  }
}

/** Throws UsageError. */
export function serverSettings(words: readonly string[], env: Env): ServerSettings {
  const flags = parse(SERVER_FLAGS, words, env)
  const { text, number } = reader(flags)
  const listen = parsePortRange('listen', text('listen'), 0)
  if (listen.high - listen.low >= PORTS_MAX) throw new UsageError(`--listen takes ${PORTS_MAX} ports at most`)
  return {
    ...common(flags),
    listen,
    target: parseTcpAddress('target', text('target'), 1),
    maxSessions: number('maxsessions'),
    proxyProtocol: text('proxy-protocol') === 'v2',
    anySmuxVersion: !flags.given.has('smuxver'),
  }
}

function parse(table: FlagTable, words: readonly string[], env: Env): Flags {
  return parseFlags(table, words, env, (path) => readFileSync(path, 'utf8'))
}

function reader({ values }: Flags): {
  text: (name: string) => string
  number: (name: string) => number
  is: (name: string) => boolean
} {
  const value = (name: string): FlagValue => values[name]!
  return {
    text: (name) => value(name) as string,
    number: (name) => value(name) as number,
    is: (name) => value(name) as boolean,
  }
}

function common(flags: Flags): TunnelSettings {
  const { text, number, is } = reader(flags)
  const warnings = [...flags.warnings]
  const key = text('key')
  const crypt = text('crypt') as KcptunCrypt
  if (crypt === 'none' || crypt === 'null')
    warnings.push(`--crypt ${crypt} protects nothing: anybody can read and use this tunnel`)
  else if (key === PUBLIC_KEY) warnings.push('the key is the public default: set --key or KCPTUN_KEY')
  const [data, parity] = [number('datashard'), number('parityshard')]
  if (data + parity > 256)
    throw new UsageError(`--datashard and --parityshard are 256 together at most, got ${data} and ${parity}`)
  const [streambuf, smuxbuf] = [number('streambuf'), number('smuxbuf')]
  if (streambuf > smuxbuf) throw new UsageError(`--streambuf ${streambuf} is more than --smuxbuf ${smuxbuf}`)
  return {
    session: {
      preset: 'kcpGo',
      kcp: kcpOf(flags),
      socketBufferSize: number('sockbuf'),
      // kcptun takes no notice of it; one of ours makes a new session at once.
      lifecycle: 'fin',
      // smux asks for signs of life; below it, as below kcptun's, nobody does.
      idleTimeout: 0,
      stallTimeout: SILENCE_MAX,
      crypto: kcptunCipher(crypt, key),
      ...(data > 0 && parity > 0 ? { fec: { data, parity } } : {}),
    },
    smux: {
      version: number('smuxver') as 1 | 2,
      keepAliveInterval: number('keepalive') * 1000,
      keepAliveTimeout: Math.max(SILENCE_MAX, number('keepalive') * 1000),
      maxFrameSize: number('framesize'),
      maxReceiveBuffer: smuxbuf,
      maxStreamBuffer: streambuf,
      maxStreams: number('maxstreams'),
    },
    compress: !is('nocomp'),
    closeWait: number('closewait') * 1000,
    stopWait: number('stopwait') * 1000,
    log: { file: text('log'), level: text('loglevel') as Level, quiet: is('quiet') },
    warnings,
  }
}

function kcpOf(flags: Flags): KcpConfig {
  const { text, number } = reader(flags)
  const manual = ['nodelay', 'interval', 'resend', 'nc'].map(number) as [number, number, number, number]
  const [nodelay, interval, resend, nc] = MODES[text('mode')] ?? manual
  return {
    // kcp-go's nodelay 1: an RTO grows by half of the estimate.
    nodelay: nodelay === 0 ? 0 : 2,
    interval,
    resend,
    nc: nc === 1,
    mtu: number('mtu'),
    sndWnd: number('sndwnd'),
    rcvWnd: number('rcvwnd'),
    streamMode: true,
  }
}
