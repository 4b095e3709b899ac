/**
 * Peers that keep their windows shut, and peers whose application does not read: what they cost the others.
 * @module
 */
import { ok } from 'node:assert/strict'
import { connect } from '../../src/index.ts'
import { MB, type Part, quantile, type Resources, type Scale, sleep, until } from './part.ts'
import type { ServerReport } from './server.ts'

/** Echoes of the honest sessions, ms. */
async function measure(port: number, seconds: number): Promise<number[]> {
  const times: number[] = []
  const streams = await Promise.all(
    Array.from({ length: 20 }, () => connect({ host: '127.0.0.1', port, preset: 'fast' })),
  )
  const end = performance.now() + seconds * 1_000
  await Promise.all(
    streams.map(async (stream) => {
      stream.on('error', () => undefined)
      while (performance.now() < end) {
        const began = performance.now()
        await stream.send('how long?')
        ok((await stream.recv()) !== null, 'an honest session ended')
        times.push(performance.now() - began)
        await sleep(20)
      }
      await stream.close()
    }),
  )
  return times
}

async function silence(
  { count, short }: Scale,
  use: Resources,
): Promise<{ count: number; findings: string }> {
  // In the short form, which does not wait a minute, and has not the time to let them all fill up at full size.
  const stallTimeout = short ? 4_000 : 60_000
  const config = { preset: 'fast', stallTimeout } as const
  const server = use.start('server.js', { ...config, maxPendingPerHost: 512 })
  const { port } = await server.next<{ port: number }>('listening')
  await measure(port, 1)
  const seconds = short ? 1 : 10
  const alone: number[][] = []
  const beside: number[][] = []
  const before = await server.ask<ServerReport>('baseline')
  for (let i = 0; i < (short ? 1 : 3); i++) alone.push(await measure(port, seconds))

  const attackers = use.start('client.js', { role: 'silent', port, count, config })
  await attackers.next('silent')
  // Until the windows are shut.
  await until(
    async () => (await server.ask<ServerReport>('stats')).stats.sessions >= count * 0.99,
    20_000,
    `${count} sessions`,
  ).catch((error) => {
    // Where the machine is so slow that the first of them stall before the last is there.
    if (!short) throw error
  })
  await sleep(short ? 500 : 5_000)
  for (let i = 0; i < (short ? 1 : 3); i++) beside.push(await measure(port, seconds))
  const during = await server.ask<ServerReport>('stats')
  // Of who ignores, at most 2 windows of segments; of who pours, at most maxSendBytes, and what Node's streams keep.
  ok(during.stats.memoryUsed <= 256 * MB, `${during.stats.memoryUsed} bytes kept for readers`)
  const each = 2 * 256 * 1_376
  ok(
    during.stats.memoryUsed <= (count / 2) * each,
    `${during.stats.memoryUsed} bytes for ${count / 2} unread sessions`,
  )

  await until(
    async () => {
      const { stats, closeEvents } = await server.ask<ServerReport>('stats')
      return stats.sessions === 0 && (closeEvents['dead-link'] ?? 0) >= count * 0.45
    },
    stallTimeout * 2 + 30_000,
    'the stalled sessions dropped',
  )
  const after = await server.ask<ServerReport>('gc')
  const p99 = (all: number[][]): number =>
    quantile(
      all.map((times) => quantile(times, 0.99)),
      0.5,
    )
  const [calm, busy] = [p99(alone), p99(beside)]
  if (!short)
    ok(busy <= calm * 1.1 + 1, `p99 of the others: ${calm.toFixed(1)} ms alone, ${busy.toFixed(1)} ms beside`)
  return {
    count,
    findings:
      `p99 of 20 others ${calm.toFixed(1)} ms alone, ${busy.toFixed(1)} ms beside; ` +
      `${(during.stats.memoryUsed / MB).toFixed(0)} MB kept for readers, memory ${(before.rss / MB).toFixed(0)} to ` +
      `${(during.peakRss / MB).toFixed(0)} MB; closed: ${JSON.stringify(after.closeEvents)}`,
  }
}

export const silent: Part = {
  name: 'silent',
  what: 'sessions, half of which never read what they asked for, half of which fill one that is not read: memory within the caps, dropped at stallTimeout, p99 of others within 10 %',
  unit: 'sessions',
  short: { count: 100 },
  long: { count: 1_000 },
  run: silence,
}
