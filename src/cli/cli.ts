/**
 * The command `kcp-io`: finds the subcommand and tells who asks how. A new one is a row in `COMMANDS` and a module.
 * @module
 */
import { KcpError } from '../core/errors.ts'
import { type Command, CommandFailure, ExitCode, type Io, UsageError } from './command.ts'
import { version } from './version.ts'

/** Loaded when used: asking for the version should not start an engine. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  echo: async () => (await import('./echo.ts')).echo,
  keygen: async () => (await import('./keygen.ts')).keygen,
  spec: async () => (await import('./spec/command.ts')).spec,
  tunnel: async () => (await import('./tunnel/command.ts')).tunnel,
}

/** Runs a command line, without the names of Node and the script. Resolves with the exit code. */
export async function runCli(words: readonly string[], io: Io): Promise<number> {
  const [name, ...rest] = words
  try {
    if (name === undefined) {
      io.err(await overview())
      return ExitCode.Usage
    }
    if (name === '--version' || name === '-v') {
      io.out(`${version()}\n`)
      return ExitCode.Good
    }
    if (name === '--help' || name === '-h') {
      io.out(await overview())
      return ExitCode.Good
    }
    if (name === 'help') {
      if (rest.length === 0) io.out(await overview())
      else await (await find(rest[0]!)).run([...rest.slice(1), '--help'], io)
      return ExitCode.Good
    }
    return await (await find(name)).run(rest, io)
  } catch (error) {
    const usage = error instanceof UsageError || KcpError.is(error, 'ERR_KCP_CONFIG')
    if (!(usage || error instanceof CommandFailure || KcpError.is(error))) throw error
    io.err(`kcp-io: ${error.message}\n`)
    return usage ? ExitCode.Usage : ExitCode.Failed
  }
}

async function find(name: string): Promise<Command> {
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (load === undefined) {
    throw new UsageError(`there is no command ${JSON.stringify(name)}; kcp-io --help lists them`)
  }
  return load()
}

async function overview(): Promise<string> {
  const rows: string[] = []
  for (const [name, load] of Object.entries(COMMANDS))
    rows.push(`  ${name.padEnd(10)} ${(await load()).summary}`)
  return [
    'kcp-io: KCP, reliable UDP, on the command line',
    '',
    'Usage: kcp-io COMMAND [OPTIONS]',
    '',
    'Commands:',
    ...rows,
    '',
    'kcp-io COMMAND --help tells its options, kcp-io --version the version.',
    '',
  ].join('\n')
}
