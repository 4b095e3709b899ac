/**
 * `kcp-io keygen`: keys for the authenticated mode, in base64. The secret part goes into a file that nobody else can read.
 * @module
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { generateKeyPair, nodePrimitives } from '../node/secure-primitives.ts'
import { type Command, ExitCode, UsageError } from './command.ts'

const HELP = `Makes keys for the authenticated mode (docs/SECURE.md), in base64.

Usage: kcp-io keygen FILE          an X25519 pair: the private key into FILE, the public key on standard output
       kcp-io keygen --psk FILE    a key of 32 random bytes that both ends share, into FILE

FILE is made readable by its owner alone (mode 0600); one that is there already is not overwritten.
`

export const keygen: Command = {
  summary: 'make keys for the authenticated mode',
  async run(words, io) {
    const { values, positionals } = parse(words)
    if (values.help) {
      io.out(HELP)
      return ExitCode.Good
    }
    const [file, ...more] = positionals
    if (file === undefined || more.length > 0) throw new UsageError('keygen takes one FILE')
    const psk = new Uint8Array(32)
    nodePrimitives.random(psk, 0, psk.length)
    const pair = generateKeyPair()
    const secret = values.psk ? psk : pair.privateKey
    try {
      writeFileSync(file, `${base64(secret)}\n`, { mode: 0o600, flag: 'wx' })
    } catch (error) {
      io.err(`kcp-io: ${(error as Error).message}\n`)
      return ExitCode.Failed
    }
    if (!values.psk) io.out(`${base64(pair.publicKey)}\n`)
    return ExitCode.Good
  },
}

function parse(words: readonly string[]): {
  readonly values: { readonly help?: boolean; readonly psk?: boolean }
  readonly positionals: readonly string[]
} {
  try {
    return parseArgs({
      args: [...words],
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h' }, psk: { type: 'boolean' } },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
