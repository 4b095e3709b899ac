/**
 * First datagrams in the name of an address that never asked, over a cable between two network namespaces.
 * @module
 */
import { equal, ok } from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Command, KCP_OVERHEAD, writeHeader } from '../../src/core/segment.ts'
import { nodePrimitives } from '../../src/index.ts'
import { SecureClient } from '../../src/secure/client.ts'
import { identityOf } from '../../src/secure/identity.ts'
import { resolveTuning } from '../../src/secure/limits.ts'
import { Helper, type Part, type Resources, type Scale } from './part.ts'
import { compile } from './programs.ts'
import type { ServerReport } from './server.ts'

const SERVER = '10.78.0.1'
const PSK = Buffer.alloc(32, 0x5a)
const PSK_HEX = PSK.toString('hex')
const RATE = 2_000
/** Most bytes to an address for each byte that came from it. */
const AMPLIFICATION = 3
/** A session is forgotten 5 s after the last datagram of an address that answered nothing; ms. */
const ALL_SAID = 7_000

interface Spoofed {
  readonly sent: number
  readonly sentBytes: number
  readonly heard: number
  readonly heardBytes: number
}

function ip(...words: readonly string[]): string {
  return execFileSync('ip', words, { stdio: 'pipe', encoding: 'utf8' })
}

/** The server's namespace with 10.78.0.1, and one beside it for all others: they are on one device, and answer nothing. */
function namespaces(
  use: Resources,
  victims: readonly string[],
): { server: string; outside: string } | undefined {
  const [server, outside] = [`kcp-s-${process.pid}`, `kcp-o-${process.pid}`]
  try {
    for (const name of [server, outside]) {
      ip('netns', 'add', name)
      use.defer(() => ip('netns', 'del', name))
    }
  } catch {
    return undefined
  }
  ip('-n', server, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1', 'netns', outside)
  ip('-n', server, 'addr', 'add', `${SERVER}/24`, 'dev', 'v0')
  ip('-n', outside, 'addr', 'add', '10.78.0.2/24', 'dev', 'v1')
  ip('-n', server, 'link', 'set', 'v0', 'up')
  ip('-n', outside, 'link', 'set', 'v1', 'up')
  const { address } = JSON.parse(ip('-j', '-n', outside, 'link', 'show', 'v1'))[0] as { address: string }
  for (const victim of victims) ip('-n', server, 'neigh', 'add', victim, 'lladdr', address, 'dev', 'v0')
  return { server, outside }
}

/** An initiation as somebody on the path recorded it. */
function initiation(): Buffer {
  let recorded: Buffer | undefined
  const client = new SecureClient(
    {
      primitives: nodePrimitives,
      identity: identityOf({ psk: PSK }, 'client', nodePrimitives),
      tuning: resolveTuning({}),
      mtu: 1_400,
      send: (datagram) => {
        recorded ??= Buffer.from(datagram)
      },
      onData: () => undefined,
      onOpen: () => undefined,
      onMtu: () => undefined,
      onClosed: () => undefined,
    },
    0,
  )
  client.run(0)
  ok(recorded !== undefined)
  return recorded
}

function push(length: number): Buffer {
  const bytes = Buffer.alloc(KCP_OVERHEAD + length, 'x')
  writeHeader(bytes, 0, 1, Command.Push, 0, 128, 1, 0, 0, length)
  return bytes
}

async function spoofing(
  { count, short }: Scale,
  use: Resources,
): Promise<{ count: number; findings: string }> {
  const skipped = (why: string) => ({ count: 0, findings: `skipped: ${why}` })
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return skipped('needs root on Linux')
  const program = compile(use, 'spoof')
  if (program === undefined) return skipped('no C compiler')
  const attacks = [
    { what: 'PUSHes without data', datagram: push(0), secure: false },
    { what: 'PUSHes of 1,200 bytes', datagram: push(1_200), secure: false },
    { what: 'initiations', datagram: initiation(), secure: true },
  ].map((attack, i) => ({ ...attack, victim: `10.78.0.${100 + i}` }))
  const worlds = namespaces(
    use,
    attacks.map(({ victim }) => victim),
  )
  if (worlds === undefined) return skipped('no network namespaces')

  const run = async ({ what, datagram, secure, victim }: (typeof attacks)[number]): Promise<string> => {
    const script = fileURLToPath(new URL('./server.js', import.meta.url))
    const options = { host: SERVER, preset: 'fast', ...(secure ? { psk: PSK_HEX } : {}) }
    const words = ['netns', 'exec', worlds.server, process.execPath, script, JSON.stringify(options)]
    const child = spawn('ip', words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    use.adopt(child)
    const server = new Helper(child)
    const { port } = await server.next<{ port: number }>('listening')
    const wait = short ? 1_500 : ALL_SAID
    const args = ['v1', victim, SERVER, port, count, RATE, wait, secure ? 0 : 1, datagram.toString('hex')]
    const spoofer = spawn('ip', ['netns', 'exec', worlds.outside, program, ...args.map(String)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    use.adopt(spoofer)
    let said = ''
    spoofer.stdout.on('data', (text) => {
      said += text
    })
    const [code] = (await once(spoofer, 'close')) as [number | null]
    equal(code, 0, 'the spoofer')
    const { sent, sentBytes, heard, heardBytes } = JSON.parse(said) as Spoofed
    const { stats } = await server.ask<ServerReport>('stats')
    const arrived = secure ? heard : stats.datagramsIn
    ok(arrived > 0, `${what}: nothing arrived`)
    const ratio = heardBytes / sentBytes
    ok(
      heardBytes <= AMPLIFICATION * sentBytes,
      `${what}: a victim got ${heardBytes} bytes for ${sentBytes}, ${ratio.toFixed(1)} times`,
    )
    return `${sent} ${what}: ${ratio.toFixed(2)} bytes and ${(heard / sent).toFixed(2)} datagrams for each sent`
  }
  const findings = await Promise.all(attacks.map(run))
  return { count: count * attacks.length, findings: `to the victim ${findings.join('; ')}` }
}

export const spoofed: Part = {
  name: 'spoofed',
  what: 'first PUSHes, small and large, and recorded initiations in the name of an address that never asked: it gets at most 3x the bytes',
  unit: 'spoofed datagrams',
  short: { count: 2_000 },
  long: { count: 50_000 },
  run: spoofing,
}
