/**
 * `kcp-io tunnel client|server`: settings, log, signals, and the end.
 * @module
 */
import { nodeClock } from '../../node/clock.ts'
import { type Command, ExitCode, type Io, UsageError } from '../command.ts'
import { describeFlags, type FlagTable } from '../flags.ts'
import { version } from '../version.ts'
import { showAddress } from './address.ts'
import { listenTcp, TunnelClient } from './client.ts'
import { Counters } from './counters.ts'
import { dialer, listenKcp } from './kcp-link.ts'
import { Log, openLog } from './log.ts'
import { CLIENT_FLAGS, SERVER_FLAGS } from './options.ts'
import { connectTcp, TunnelServer } from './server.ts'
import {
  type ClientSettings,
  clientSettings,
  type ServerSettings,
  serverSettings,
  type TunnelSettings,
} from './settings.ts'

const SIDES: Readonly<
  Record<string, { readonly flags: FlagTable; readonly job: string; readonly run: Runner }>
> = {
  client: {
    flags: CLIENT_FLAGS,
    job: 'takes TCP connections and sends them through KCP sessions to a server',
    run: async (words, io) => runClient(clientSettings(words, io.env), io),
  },
  server: {
    flags: SERVER_FLAGS,
    job: "takes KCP sessions and makes a TCP connection to the target for each of a client's",
    run: async (words, io) => runServer(serverSettings(words, io.env), io),
  },
}

type Runner = (words: readonly string[], io: Io) => Promise<number>

export const tunnel: Command = {
  summary: 'TCP through KCP, as kcptun: tunnel client, tunnel server',
  run: async (words, io) => {
    const [name, ...rest] = words
    if (name === '--help' || name === '-h' || name === undefined) {
      const text = `${Object.entries(SIDES)
        .map(([side, { job }]) => `Usage: kcp-io tunnel ${side} [OPTIONS]\n  ${job}\n`)
        .join('\n')}\nkcp-io tunnel client --help and kcp-io tunnel server --help list the options.\n`
      name === undefined ? io.err(text) : io.out(text)
      return name === undefined ? ExitCode.Usage : ExitCode.Good
    }
    const side = Object.hasOwn(SIDES, name) ? SIDES[name] : undefined
    if (side === undefined)
      throw new UsageError(`tunnel is a client or a server, not ${JSON.stringify(name)}`)
    if (rest.some((word) => /^--?(help|h)$/.test(word))) {
      io.out(
        `Usage: kcp-io tunnel ${name} [OPTIONS]\n  ${side.job}\n\nOptions, by the names of kcptun:\n${describeFlags(side.flags)}`,
      )
      return ExitCode.Good
    }
    if (rest.some((word) => /^--?(version|v)$/.test(word))) {
      io.out(`${version()}\n`)
      return ExitCode.Good
    }
    return side.run(rest, io)
  },
}

async function runClient(settings: ClientSettings, io: Io): Promise<number> {
  const log = openTunnelLog(settings, io)
  const counters = new Counters()
  const { sessions, autoExpire, scavenge, closeWait, smux, stopWait } = settings
  const client = new TunnelClient({
    dial: dialer(settings, counters),
    sessions,
    autoExpire,
    scavenge,
    closeWait,
    clock: nodeClock,
    log,
  })
  return running(log, counters, async () => {
    const server = await listenTcp(settings.local, client, sessions * (smux.maxStreams ?? 1))
    const address = server.address()
    const shown = typeof address === 'string' ? address : showAddress(address?.address, address?.port)
    log.info(`listening on ${shown}, server ${settings.remote.host}, ${about(settings)}`)
    client.start()
    return async () => {
      server.close()
      await client.stop(stopWait)
    }
  })
}

async function runServer(settings: ServerSettings, io: Io): Promise<number> {
  const log = openTunnelLog(settings, io)
  const counters = new Counters()
  const { target, proxyProtocol, closeWait, stopWait } = settings
  const server = new TunnelServer({
    connect: () => connectTcp(target),
    proxyProtocol,
    closeWait,
    clock: nodeClock,
    log,
  })
  return running(log, counters, async () => {
    const listeners = await listenKcp(settings, counters, (link) => server.add(link))
    const [first, last] = [listeners[0]!.address()!, listeners.at(-1)!.address()!]
    const ports = first.port === last.port ? '' : `-${last.port}`
    const to = 'path' in target ? target.path : showAddress(target.host, target.port)
    log.info(
      `listening on ${showAddress(first.address, first.port)}${ports}, target ${to}, ${about(settings)}`,
    )
    return async () => {
      const closed = Promise.all(listeners.map((listener) => listener.close()))
      await server.stop(stopWait)
      for (const listener of listeners) listener.closeAllConnections()
      await closed
    }
  })
}

/** Starts, and runs until a signal ends it. A second one ends it at once. */
async function running(
  log: Log,
  counters: Counters,
  start: () => Promise<() => Promise<void>>,
): Promise<number> {
  let stop: () => Promise<void>
  try {
    stop = await start()
  } catch (error) {
    const { message, cause } = error as Error
    log.error(cause instanceof Error ? `${message}: ${cause.message}` : message)
    return ExitCode.Failed
  }
  const tell = (): void => log.info(`counters ${counters.line()}`)
  // Windows has no such signal.
  if (process.platform !== 'win32') process.on('SIGUSR1', tell)
  const signal = await new Promise<string>((resolve) => {
    let signals = 0
    const onSignal = (name: string): void => {
      if (signals++ > 0) process.exit(ExitCode.Failed)
      resolve(name)
    }
    process.on('SIGINT', onSignal)
    process.on('SIGTERM', onSignal)
  })
  log.info(`stopping (${signal})`)
  await stop()
  tell()
  return ExitCode.Good
}

function openTunnelLog({ log: { file, level, quiet }, warnings }: TunnelSettings, io: Io): Log {
  const log = new Log({ level, quiet, write: openLog(file, io.err), now: Date.now })
  // Node's own words about warnings would come beside the log's.
  process.removeAllListeners('warning')
  process.on('warning', (warning) => log.warn(warning.message))
  for (const warning of warnings) log.warn(warning)
  return log
}

function about({ session, smux, compress }: TunnelSettings): string {
  const { fec } = session
  return [
    `mtu ${session.kcp?.mtu}`,
    `windows ${session.kcp?.sndWnd}/${session.kcp?.rcvWnd}`,
    fec === undefined ? 'no FEC' : `FEC ${fec.data}/${fec.parity}`,
    `smux ${smux.version}`,
    compress ? 'compressed' : 'not compressed',
  ].join(', ')
}
