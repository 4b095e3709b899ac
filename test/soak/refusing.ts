/**
 * ICMP "port unreachable", forged by somebody who knows addresses and ports but sees no packet.
 * @module
 */
import { equal, ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type KcpConnectOptions, type KcpStream } from '../../src/index.ts'
import { HonestClients, tellServed } from './honest.ts'
import { type Part, type Resources, type Scale, within } from './part.ts'
import { compile } from './programs.ts'
import { silentSocket } from './sockets.ts'

const HOST = '127.0.0.1'
const PSK = '5a'.repeat(32)
/** Forged refusals a second. Eight in a row, 100 ms apart, without an answer would do. */
const RATE = 2_000
/** A server that is gone is noticed by its host's refusals, or by silence; ms. */
const IDLE = 3_000
/** Beyond that time on a busy machine, ms. */
const GRACE = 10_000

interface Forger {
  readonly program: string
  readonly use: Resources
  sent: number
}

/** Forges refusals of the server's port to one of the client's for so many seconds. */
async function refuse(
  forger: Forger,
  server: number,
  client: number,
  seconds: number,
  rate = RATE,
): Promise<void> {
  const words = [HOST, server, HOST, client, Math.ceil(seconds * rate), rate].map(String)
  const child = spawn(forger.program, words, { stdio: ['ignore', 'pipe', 'inherit'] })
  forger.use.adopt(child)
  let said = ''
  child.stdout.on('data', (text) => {
    said += text
  })
  const [code] = (await once(child, 'close')) as [number | null]
  equal(code, 0, 'the forger')
  forger.sent += Number(said)
}

/** Whether forged refusals reach sockets here at all: a connect that nobody has answered fails by one. */
async function arrives(forger: Forger): Promise<boolean> {
  const silent = await silentSocket(forger.use, HOST)
  const { port } = silent.address()
  const heard = once(silent, 'message') as Promise<[Buffer, { port: number }]>
  const outcome = connect({ host: HOST, port, waitForPeer: 5_000 }).then(
    (stream) => {
      stream.destroy()
      return 'connected'
    },
    (error: { code?: string }) => error.code,
  )
  const [, from] = await heard
  await refuse(forger, port, from.port, 0.1, 50)
  return (await outcome) === 'ERR_KCP_CONNECT'
}

async function attack(forger: Forger, secure: boolean, seconds: number): Promise<string> {
  const { use } = forger
  const config = { preset: 'fast', idleTimeout: IDLE, keepAlive: 1_000 } as const
  const server = use.start('server.js', { ...config, ...(secure ? { psk: PSK } : {}) })
  const { port } = await server.next<{ port: number }>('listening')
  const options: KcpConnectOptions = {
    ...config,
    host: HOST,
    port,
    ...(secure ? { security: { psk: Buffer.from(PSK, 'hex') } } : {}),
  }
  // One that asks all the time, and one with nothing to say, which is asked whether its peer is there.
  const honest = await HonestClients.start(use, [options, options])
  const quiet = await connect({ ...options, waitForPeer: GRACE })
  quiet.on('error', () => undefined)
  use.defer(() => quiet.destroy())
  await quiet.send('hello')
  equal(String(await quiet.recv()), 'hello')
  const [busy] = honest.streams as [KcpStream]
  await Promise.all([busy, quiet].map((stream) => refuse(forger, port, stream.localPort!, seconds)))
  const served = await honest.stop()
  equal(quiet.closeReason, undefined, 'a client with nothing to say lives on')
  await quiet.send('still here')
  equal(String(await within(quiet.recv(), GRACE, 'an echo after the attack')), 'still here')

  // The same refusals from the server's host, when it is gone, are the truth.
  const ends = [busy, quiet].map(async (stream) => {
    const began = performance.now()
    const closed = new Promise<string>((resolve) => stream.once('close', resolve))
    const reason = await within(closed, IDLE + GRACE, 'a dead server')
    ok(secure ? reason === 'timeout' : reason === 'reset' || reason === 'timeout', reason)
    return `${reason} after ${(performance.now() - began).toFixed(0)} ms`
  })
  server.process.kill('SIGKILL')
  busy.send('anybody?').catch(() => undefined)
  return `${secure ? 'with security' : 'plain'}: ${tellServed(served)}; a server killed: ${(await Promise.all(ends)).join(', ')}`
}

async function refusing({ seconds }: Scale, use: Resources): Promise<{ count: number; findings: string }> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    return { count: 0, findings: 'skipped: needs root on Linux' }
  }
  const program = compile(use, 'icmp')
  if (program === undefined) return { count: 0, findings: 'skipped: no C compiler' }
  const forger: Forger = { program, use, sent: 0 }
  if (!(await arrives(forger))) return { count: 0, findings: 'skipped: no raw sockets here' }
  const findings = await Promise.all([attack(forger, false, seconds), attack(forger, true, seconds)])
  return { count: forger.sent, findings: findings.join('; ') }
}

export const icmp: Part = {
  name: 'icmp',
  what: 'ICMP port unreachable forged against live clients, plain and with security: nobody notices; a server that is killed is noticed',
  unit: 'forged refusals',
  short: { seconds: 1.2 },
  long: { seconds: 60 },
  run: refusing,
}
