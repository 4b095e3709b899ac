/**
 * Somebody on the path who has no key and sends an end's own datagrams back to it.
 * @module
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import {
  aesCipher,
  aesGcmCipher,
  chacha20Poly1305Cipher,
  connect,
  KcpError,
  type KcpSessionConfig,
  listen,
  type PacketCipher,
  salsa20Cipher,
} from '../../src/index.ts'
import { type Part, type Resources, type Scale, sleep, within } from './part.ts'
import { silentSocket } from './sockets.ts'

const HOST = '127.0.0.1'
const CONFIG: KcpSessionConfig = { preset: 'fast' }
/** A wait for a server that is not there, ms. */
const WAIT = 700
const PATIENCE = 15_000
const KEY = Buffer.alloc(32, 0x5a)
const CIPHERS: Readonly<Record<string, () => PacketCipher>> = {
  'aes-256-gcm': () => aesGcmCipher(KEY),
  'chacha20-poly1305': () => chacha20Poly1305Cipher(KEY),
  aes: () => aesCipher(KEY),
  salsa20: () => salsa20Cipher(KEY),
}

/** A client whose server is a mirror: it must believe nothing. How many datagrams came back to it. */
async function alone(use: Resources, name: string, cipher: () => PacketCipher): Promise<number> {
  const mirror = await silentSocket(use, HOST)
  let reflected = 0
  mirror.on('message', (datagram, { port, address }) => {
    reflected++
    mirror.send(datagram, port, address)
  })
  const options = { ...CONFIG, host: HOST, port: mirror.address().port, crypto: cipher() }
  const error: unknown = await connect({ ...options, waitForPeer: WAIT }).then(
    (stream) => {
      stream.destroy()
      throw new Error(`${name}: a mirror passed for the server`)
    },
    (reason: unknown) => reason,
  )
  ok(error instanceof KcpError && error.code === 'ERR_KCP_TIMEOUT', `${name}: ${error}`)

  const stream = await connect(options)
  use.defer(() => stream.destroy())
  const got: string[] = []
  stream.on('error', () => undefined)
  stream.on('data', (data) => got.push(String(data)))
  for (let i = 0; i < 5; i++) await stream.send(`message ${i}`)
  const flushed = stream.flushed().then(
    () => 'resolved',
    () => 'rejected',
  )
  equal(await Promise.race([flushed, sleep(WAIT)]), undefined, `${name}: flushed()`)
  deepEqual(got, [], `${name}: messages of its own`)
  ok(reflected > 5, `${name}: ${reflected} datagrams reflected: no attack`)
  stream.destroy()
  return reflected
}

/** A path on which each end gets its own datagrams back beside the peer's: the conversation goes on as if nothing were. */
async function beside(
  use: Resources,
  name: string,
  cipher: () => PacketCipher,
  count: number,
): Promise<number> {
  const seen: string[] = []
  const listener = await listen({ ...CONFIG, host: HOST, port: 0, crypto: cipher() }, (stream) => {
    stream.on('error', () => undefined)
    stream.on('data', (data) => {
      seen.push(String(data))
      stream.send(`answer to ${data}`).catch(() => undefined)
    })
  })
  use.defer(async () => {
    listener.closeAllConnections()
    await listener.close()
  })
  const { port } = listener.address()!
  const path = await silentSocket(use, HOST)
  let client: number | undefined
  let reflected = 0
  path.on('message', (datagram, from) => {
    const fromServer = from.port === port
    if (!fromServer) client = from.port
    path.send(datagram, fromServer ? client! : port, HOST)
    // And back, now before and now after it is needed; once, or every mirrored answer would be mirrored.
    reflected++
    path.send(datagram, from.port, HOST)
  })
  const options = { ...CONFIG, host: HOST, port: path.address().port, crypto: cipher() }
  const stream = await connect({ ...options, waitForPeer: PATIENCE })
  use.defer(() => stream.destroy())
  stream.on('error', () => undefined)
  const wanted = Array.from({ length: count }, (_, i) => `question ${i}`)
  for (const question of wanted) {
    await stream.send(question)
    equal(String(await within(stream.recv(), PATIENCE, `${name}: ${question}`)), `answer to ${question}`)
  }
  await within(stream.flushed(), PATIENCE, `${name}: flushed()`)
  deepEqual(seen, wanted, `${name}: what the server got`)
  const { sessions, drops } = listener.stats()
  equal(sessions, 1, `${name}: sessions`)
  ok(drops.cipher >= count / 2, `${name}: the listener refused ${drops.cipher} datagrams of its own`)
  stream.destroy()
  return reflected
}

async function mirroring({ count }: Scale, use: Resources): Promise<{ count: number; findings: string }> {
  const results = await Promise.all(
    Object.entries(CIPHERS).flatMap(([name, cipher]) => [
      alone(use, name, cipher),
      beside(use, name, cipher, count),
    ]),
  )
  return {
    count: results.reduce((sum, reflected) => sum + reflected, 0),
    findings: `${Object.keys(CIPHERS).join(', ')}: no message, no acknowledgement and no waitForPeer from a mirror; ${count} echoes each beside one`,
  }
}

export const mirror: Part = {
  name: 'mirror',
  what: "a mirror without the key, in place of the server and beside it, for four ciphers of crypto: waitForPeer rejects, flushed() waits, no end takes its own datagrams for the peer's",
  unit: 'reflected datagrams',
  short: { count: 50 },
  long: { count: 5_000 },
  run: mirroring,
}
