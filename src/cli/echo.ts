/**
 * `kcp-io echo`: a server that sends back what it gets, for trying out a client and for `kcp-io spec`.
 * @module
 */
import { once } from 'node:events'
import { parseAddress } from '../node/address.ts'
import { listen } from '../node/kcp-listener.ts'
import type { KcpStream } from '../node/kcp-stream.ts'
import type { KcpSessionConfig } from '../session/config.ts'
import { type Command, ExitCode, parseWords, UsageError } from './command.ts'

const HELP = `Sends back every message that it gets.

Usage: kcp-io echo [HOST:]PORT [--preset default|normal|fast|turbo|kcpGo]

HOST is 127.0.0.1 unless told otherwise. Ends on SIGINT or SIGTERM.
`

export const echo: Command = {
  summary: 'a server that sends back what it gets',
  async run(words, io) {
    const { values, positionals } = parseWords(words, {
      help: { type: 'boolean', short: 'h' },
      preset: { type: 'string' },
    })
    if (values.help) {
      io.out(HELP)
      return ExitCode.Good
    }
    const [at, ...more] = positionals
    if (at === undefined || more.length > 0) throw new UsageError('echo takes one PORT or HOST:PORT')
    const { host, port } = parseAddress(at.includes(':') ? at : `127.0.0.1:${at}`)
    const preset = (values.preset ?? 'fast') as NonNullable<KcpSessionConfig['preset']>
    await using server = await listen({ host: host ?? '127.0.0.1', port, preset })
    server.on('connection', (stream) => void sendBack(stream))
    io.err(`listening on ${server.address()!.address}:${server.address()!.port}, preset ${preset}\n`)
    await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
    return ExitCode.Good
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
