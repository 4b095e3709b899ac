/**
 * `kcp-io keygen`: keys for the authenticated mode, in base64. The secret part goes into a file that nobody else can read.
 * @module
 */
import { writeFileSync } from 'node:fs'
import { generateKeyPair, nodePrimitives } from '../node/secure-primitives.ts'
import { type Command, CommandFailure, ExitCode, parseWords, UsageError } from './command.ts'

const HELP = `Makes keys for the authenticated mode (docs/SECURE.md), in base64.

Usage: kcp-io keygen FILE          an X25519 pair: the private key into FILE, the public key on standard output
       kcp-io keygen --psk FILE    a key of 32 random bytes that both ends share, into FILE

FILE is made readable by its owner alone (mode 0600); one that is there already is not overwritten.
`

export const keygen: Command = {
  summary: 'make keys for the authenticated mode',
  async run(words, io) {
    const { values, positionals } = parseWords(words, {
      help: { type: 'boolean', short: 'h' },
      psk: { type: 'boolean' },
    })
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
      throw new CommandFailure((error as Error).message)
    }
    if (!values.psk) io.out(`${base64(pair.publicKey)}\n`)
    return ExitCode.Good
  },
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
