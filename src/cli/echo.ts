/**
 * `kcp-io echo`: a server that sends back what it gets, for trying out a client and for `kcp-io spec`.
 * @module
 */
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { KcpError } from '../core/errors.ts'
import { parseAddress } from '../node/address.ts'
import { listen } from '../node/kcp-listener.ts'
import type { KcpStream } from '../node/kcp-stream.ts'
import type { KcpSessionConfig } from '../session/config.ts'
import { type Command, ExitCode, UsageError } from './command.ts'

const HELP = `Sends back every message that it gets.

Usage: kcp-io echo [HOST:]PORT [--preset default|normal|fast|turbo|kcpGo]

HOST is 127.0.0.1 unless told otherwise. Ends on SIGINT or SIGTERM.
`

export const echo: Command = {
  summary: 'a server that sends back what it gets',
  async run(words, io) {
    const { values, positionals } = parse(words)
    if (values.help) {
      io.out(HELP)
      return ExitCode.Good
    }
    const [at, ...more] = positionals
    if (at === undefined || more.length > 0) throw new UsageError('echo takes one PORT or HOST:PORT')
    try {
      const { host, port } = parseAddress(at.includes(':') ? at : `127.0.0.1:${at}`)
      const preset = (values.preset ?? 'fast') as NonNullable<KcpSessionConfig['preset']>
      await using server = await listen({ host: host ?? '127.0.0.1', port, preset })
      server.on('connection', (stream) => void sendBack(stream))
      io.err(`listening on ${server.address()!.address}:${server.address()!.port}, preset ${preset}\n`)
      await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
      return ExitCode.Good
    } catch (error) {
      if (KcpError.is(error, 'ERR_KCP_CONFIG')) throw new UsageError(error.message)
      if (!KcpError.is(error)) throw error
      io.err(`kcp-io: ${error.message}\n`)
      return ExitCode.Failed
    }
  },
}

async function sendBack(stream: KcpStream): Promise<void> {
  try {
    for await (const message of stream) await stream.send(message as Uint8Array)
    await stream.close()
  } catch {
    // The peer is gone, which is its own affair.
  }
}

function parse(words: readonly string[]): {
  readonly values: { readonly help?: boolean; readonly preset?: string }
  readonly positionals: readonly string[]
} {
  try {
    return parseArgs({
      args: [...words],
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h' }, preset: { type: 'string' } },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
