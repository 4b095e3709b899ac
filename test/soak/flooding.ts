/**
 * Forged first datagrams from a million addresses, on real sockets, while honest clients connect.
 * @module
 */
import { ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { connect } from '../../src/index.ts'
import { MB, type Part, quantile, type Resources, type Scale, sleep, until, within } from './part.ts'
import { compile } from './programs.ts'
import type { ServerReport } from './server.ts'

/**
 * Forged datagrams a second: some hundred times what keeps the places filled, and what two slow cores can take in. A
 * flood that they cannot is not told from a line that is full.
 */
const RATE = 20_000
/** What an honest client waits for its first answer, ms. */
const PATIENCE = 20_000
/** Bytes beyond three times what came that one unproven session may send: challenges, and one notice. */
const REPEATS = 8 * 24 + 20

/** Honest clients at once, each connecting, asking and closing over and over. */
const CLIENTS = 4
/** Between two visits of one of them, ms: their own garbage is not what is measured. */
const PAUSE = 20
/** How long they have the server for themselves, ms. */
const CALM = 3_000

interface Flooded {
  readonly sent: number
  readonly sentBytes: number
  readonly seconds: number
  readonly heard: number
  readonly heardBytes: number
}

/** Floods; `onSent` is called when the last datagram is on its way, six seconds before the end. */
function run(
  program: string,
  use: Resources,
  words: readonly (string | number)[],
  onSent: () => void,
): Promise<Flooded> {
  const child = spawn(program, words.map(String), { stdio: ['ignore', 'pipe', 'inherit'] })
  use.adopt(child)
  let said = ''
  child.stdout.on('data', (text) => {
    said += text
    if (said.startsWith('sent')) onSent()
  })
  child.once('close', onSent)
  return new Promise((resolve, reject) => {
    child.once('close', (code) =>
      code === 0
        ? resolve(JSON.parse(said.slice(4)) as Flooded)
        : reject(new Error(`flood ended with ${code}`)),
    )
  })
}

async function flood({ count, short }: Scale, use: Resources): Promise<{ count: number; findings: string }> {
  const program = compile(use, 'flood')
  if (program === undefined) return { count: 0, findings: 'skipped: no C compiler' }
  const server = use.start('server.js', { preset: 'fast' })
  const { port } = await server.next<{ port: number }>('listening')
  const waits: number[] = []
  let failed = 0
  const visit = async (): Promise<void> => {
    const began = performance.now()
    try {
      const stream = await connect({ host: '127.0.0.1', port, preset: 'fast' })
      stream.on('error', () => undefined)
      try {
        await stream.send('hello')
        const answer = await within(stream.recv(), PATIENCE, 'an echo')
        ok(String(answer) === 'hello', `the answer was ${answer}`)
        waits.push(performance.now() - began)
        await stream.close()
      } finally {
        stream.destroy()
      }
    } catch {
      failed++
    }
  }
  // The working set of a server with that many clients, which is not the flood's.
  let over = false
  const clients = (): Promise<unknown> =>
    Promise.all(
      Array.from({ length: CLIENTS }, async () => {
        while (!over) {
          await visit()
          await sleep(PAUSE)
        }
      }),
    )
  const calmTime = setTimeout(() => {
    over = true
  }, CALM)
  await clients()
  clearTimeout(calmTime)
  ok(failed === 0, 'without a flood every client is served')
  const calm = quantile(waits.splice(0), 0.5)
  const before = await server.ask<ServerReport>('baseline')

  over = false
  const flooding = run(program, use, [port, count, RATE], () => {
    over = true
  })
  // The places have to be taken first.
  await until(
    async () => (await server.ask<ServerReport>('stats')).stats.pending >= 500 || over,
    20_000,
    'a flood',
  )
  await Promise.all([flooding, clients()])
  const { sent, sentBytes, seconds, heard, heardBytes } = await flooding
  const after = await server.ask<ServerReport>('stats')
  const growth = (after.peakRss - before.rss) / MB
  const tries = waits.length + failed
  const share = waits.length / tries
  ok(after.peakSessions <= 65_536 && after.peakPending <= 512, `${after.peakPending} pending`)
  ok(growth <= 64, `resident memory grew by ${growth.toFixed(1)} MB`)
  ok(share >= 0.99, `${failed} of ${tries} honest clients failed`)
  const sessions = after.stats.accepted
  ok(heardBytes <= 3 * sentBytes + REPEATS * sessions, `${heardBytes} bytes for ${sentBytes}`)
  const { drops, challenged } = after.stats
  const datagramsIn = after.stats.datagramsIn - before.stats.datagramsIn
  const cost = ((after.cpu - before.cpu) * 1_000) / datagramsIn
  ok(drops.pending === challenged && drops.pending > 0)
  const ended = performance.now()
  await until(
    async () => {
      const { stats } = await server.ask<ServerReport>('stats')
      return (
        stats.sessions === 0 &&
        stats.pending === 0 &&
        stats.memoryUsed === 0 &&
        (short || stats.tombstones === 0)
      )
    },
    60_000,
    'all state gone',
  )
  const forgotten = (performance.now() - ended) / 1_000
  return {
    count: sent,
    findings:
      `${Math.round(sent / seconds)}/s, ${datagramsIn} reached the server, at ${cost.toFixed(1)} us of processor time each, answers and clients included; at most ${after.peakPending} unproven sessions; ` +
      `memory ${(before.rss / MB).toFixed(0)} + ${growth.toFixed(0)} MB; ${waits.length} of ${tries} honest connects served, ` +
      `median ${quantile(waits, 0.5).toFixed(0)} ms (${calm.toFixed(0)} without a flood); ` +
      `${(heardBytes / sentBytes).toFixed(2)} bytes and ${(heard / sent).toFixed(2)} datagrams back for each sent; ` +
      `all state gone ${forgotten.toFixed(0)} s after the last`,
  }
}

export const flooding: Part = {
  name: 'flood',
  what: 'first datagrams from as many forged addresses; sessions within the limit, memory + 64 MB at most, 99 % of honest connects served, at most 3x back, all state gone within 60 s',
  unit: 'forged first datagrams',
  short: { count: 80_000 },
  long: { count: 1_000_000 },
  run: flood,
}
