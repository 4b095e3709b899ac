/**
 * Long and many lives: last bytes on a bad path, connects and closes by the thousand, sessions that go on for an hour.
 * @module
 */
import { equal, ok } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, type KcpStream } from '../../src/index.ts'
import { SessionPair } from '../../src/sim/pair.ts'
import { Prng } from '../../src/sim/prng.ts'
import { startRelay } from '../support/relay.ts'
import {
  MB,
  type Part,
  quantile,
  type Resources,
  type Said,
  type Scale,
  sleep,
  until,
  within,
} from './part.ts'
import type { ServerReport } from './server.ts'

type Outcome = Promise<{ count: number; findings: string }>

/** Real sockets for each of these among the runs on a virtual clock. */
const REAL_EVERY = 50

/** 1 MB and an end at 30 % loss each way: all of it arrives. */
async function lastBytes({ count }: Scale, use: Resources): Outcome {
  const times: number[] = []
  let real = 0
  for (let i = 0; i < count; i++) {
    if (i % REAL_EVERY === REAL_EVERY - 1) {
      await overSockets(i, use)
      real++
    } else times.push(onVirtualClock(i))
  }
  return {
    count,
    findings: `all delivered and ended orderly, ${real} of them over real sockets; virtual time ${(quantile(times, 0.5) / 1_000).toFixed(1)} s, at most ${(Math.max(...times) / 1_000).toFixed(1)} s`,
  }
}

function onVirtualClock(seed: number): number {
  const pair = new SessionPair({
    seed,
    config: { preset: 'turbo', kcp: { streamMode: true } },
    link: { delayMs: 20, jitterMs: 5, loss: 0.3 },
  })
  const { clock, client } = pair
  const prng = new Prng(seed)
  const sent = createHash('sha256')
  const read = createHash('sha256')
  let left = MB
  let received = 0
  pair.onChange = (session) => {
    if (session !== client) {
      for (let part = pair.read(session); part !== undefined; part = pair.read(session)) {
        read.update(part)
        received += part.length
      }
      if (session.ended && session.open) pair.end(session)
      return
    }
    while (left > 0 && client.open && client.writable) {
      const chunk = Buffer.alloc(Math.min(left, prng.int(1, 40_000)))
      for (let at = 0; at + 4 <= chunk.length; at += 4) chunk.writeUInt32LE(prng.u32(), at)
      sent.update(chunk)
      left -= chunk.length
      pair.write(client, chunk)
    }
    if (left === 0 && client.open) pair.end(client)
  }
  pair.onChange(client)
  const began = clock.now()
  while (!client.closed || pair.server?.closed !== true) {
    ok(clock.now() - began < 300_000, `seed ${seed}: not over in 300 s; ${received} bytes arrived`)
    clock.advance(50)
  }
  equal(received, MB, `seed ${seed}: ${client.closeReason}, ${pair.server.closeReason}`)
  equal(read.digest('hex'), sent.digest('hex'), `seed ${seed}`)
  ok(client.closeReason === 'local' || client.closeReason === 'peer', `seed ${seed}: ${client.closeReason}`)
  return clock.now() - began
}

async function overSockets(seed: number, use: Resources): Promise<void> {
  const server = use.start('server.js', { preset: 'turbo', kcp: { streamMode: true } })
  const { port } = await server.next<{ port: number }>('listening')
  const path = { loss: 0.3, delayMs: 5 }
  const relay = await startRelay({
    target: { host: '127.0.0.1', port },
    toServer: path,
    toClient: path,
    seed,
  })
  const stream = await connect({
    host: '127.0.0.1',
    port: relay.port,
    preset: 'turbo',
    kcp: { streamMode: true },
  })
  try {
    // In stream mode the word has to come alone: how long it is under way depends on losses and on the machine.
    await stream.send('hash')
    await within(stream.flushed(), 60_000, 'the word')
    const bytes = Buffer.alloc(MB, seed)
    stream.end(bytes)
    const { bytes: size, sha256 } = await within(
      server.next<Said & { bytes: number; sha256: string }>('hash'),
      120_000,
      'a megabyte',
    ).catch((error: Error) => {
      throw new Error(`seed ${seed}, ${error.message}: ${JSON.stringify(stream.stats())}`)
    })
    equal(size, MB)
    equal(sha256, createHash('sha256').update(bytes).digest('hex'))
  } finally {
    stream.on('error', () => undefined)
    stream.destroy()
    await relay.close()
    await new Promise((resolve) => {
      server.process.once('exit', resolve)
      server.process.kill('SIGKILL')
    })
  }
}

export const last: Part = {
  name: 'last-bytes',
  what: '1 MB and end() at 30 % loss each way: all of it arrives, and both ends close in order',
  unit: 'transfers',
  short: { count: 8 },
  long: { count: 1_000 },
  run: lastBytes,
}

/** Connects and closes a second that are aimed at. */
const CHURN = 1_000

async function churning({ seconds, short }: Scale, use: Resources): Outcome {
  // Tombstones are wanted for a second: at this rate their table would be full, and nothing more, after a minute.
  const server = use.start('server.js', { preset: 'fast', tombstoneTtl: short ? 1_000 : 10_000 })
  const { port } = await server.next<{ port: number }>('listening')
  const live = async (i: number): Promise<void> => {
    const stream = await connect({ host: '127.0.0.1', port, preset: 'fast' })
    stream.on('error', () => undefined)
    try {
      await stream.send(`life ${i}`)
      equal(String(await within(stream.recv(), 15_000, 'an echo')), `life ${i}`)
      await within(stream.close(), 15_000, 'a close')
    } finally {
      stream.destroy()
    }
  }
  let lives = 0
  let active = 0
  let fault: unknown
  const heaps: { readonly at: number; readonly used: number }[] = []
  const own: { readonly at: number; readonly used: number }[] = []
  const began = performance.now()
  const passed = (): number => (performance.now() - began) / 1_000
  let lookAt = seconds / 4
  await live(0)
  const handles = process.getActiveResourcesInfo().length
  const { handles: serverHandles } = await server.ask<ServerReport>('gc')
  while (passed() < seconds && fault === undefined) {
    // As many as the clock says, but not more than fit: a slow machine makes fewer.
    while (lives < passed() * CHURN && active < 200) {
      lives++
      active++
      live(lives)
        .catch((error) => {
          fault ??= error
        })
        .finally(() => active--)
    }
    if (passed() >= lookAt) {
      lookAt += seconds / 16
      const { heapUsed } = await server.ask<ServerReport>('gc')
      heaps.push({ at: passed(), used: heapUsed })
      globalThis.gc?.()
      own.push({ at: passed(), used: process.memoryUsage().heapUsed })
    }
    await sleep(5)
  }
  const rate = lives / passed()
  await until(() => active === 0, 30_000, 'the last lives')
  if (fault !== undefined) throw fault
  await until(
    async () => {
      const { stats } = await server.ask<ServerReport>('gc')
      return stats.sessions === 0 && stats.pending === 0 && stats.tombstones === 0
    },
    30_000,
    'empty tables',
  )
  await until(() => process.getActiveResourcesInfo().length <= handles, 10_000, 'no handles left')
  const slope = growth(heaps)
  const report = await server.ask<ServerReport>('gc')
  equal(report.stats.accepted, lives + 1)
  ok(report.handles <= serverHandles, `${serverHandles} to ${report.handles} handles in the server`)
  // Within the minutes of a run the tables of V8 itself still settle: 1 KB in a life would be 60 MB a minute.
  if (!short) ok(slope < MB, `the server's heap grows by ${(slope / MB).toFixed(2)} MB a minute`)
  return {
    count: lives,
    findings: `${rate.toFixed(0)} a second; heap after a collection ${(heaps[0]!.used / MB).toFixed(1)} to ${(report.heapUsed / MB).toFixed(1)} MB, ${(slope / MB).toFixed(2)} MB a minute; no session, handle or table entry left`,
  }
}

/** Slope of a line through the points, bytes a minute. */
function growth(points: readonly { readonly at: number; readonly used: number }[]): number {
  const n = points.length
  const meanAt = points.reduce((sum, { at }) => sum + at, 0) / n
  const meanUsed = points.reduce((sum, { used }) => sum + used, 0) / n
  const over = points.reduce((sum, { at, used }) => sum + (at - meanAt) * (used - meanUsed), 0)
  return (over / points.reduce((sum, { at }) => sum + (at - meanAt) ** 2, 0)) * 60
}

export const churn: Part = {
  name: 'churn',
  what: '1,000 connects, echoes and closes a second, as far as the machine goes: flat heap, nothing left',
  unit: 'lives',
  short: { seconds: 4 },
  long: { seconds: 600 },
  run: churning,
}

/** Sessions that send all the time through a lossy relay, hashed at both ends. */
async function soaking({ seconds, count, short }: Scale, use: Resources): Outcome {
  const config = { preset: 'fast' } as const
  const server = use.start('server.js', { ...config, maxPendingPerHost: 512 })
  const { port } = await server.next<{ port: number }>('listening')
  const path = { loss: 0.01, delayMs: 10 }
  const relay = await startRelay({
    target: { host: '127.0.0.1', port },
    toServer: path,
    toClient: path,
    seed: 1,
  })
  use.defer(() => relay.close())
  const prng = new Prng(31)
  const hashes = new Map<number, ReturnType<typeof createHash>>()
  const streams: KcpStream[] = []
  let bytes = 0
  const end = performance.now() + seconds * 1_000
  const talk = async (): Promise<void> => {
    const stream = await connect({ host: '127.0.0.1', port: relay.port, ...config })
    streams.push(stream)
    const sum = createHash('sha256')
    hashes.set(stream.conv, sum)
    await stream.send('hash')
    while (performance.now() < end) {
      const message = Buffer.alloc(prng.int(1, 4_000), prng.int(0, 255))
      sum.update(message)
      bytes += message.length
      if (!stream.write(message)) await once(stream, 'drain')
      await sleep(prng.int(20, 200))
    }
    stream.end()
    await new Promise((resolve) => stream.resume().once('close', resolve))
    equal(stream.errored, null)
  }
  const levels: number[] = []
  const warm = performance.now() + seconds * 250
  const watch = setInterval(
    async () => {
      const { rss } = await server.ask<ServerReport>('stats')
      if (performance.now() > warm) levels.push(rss)
    },
    Math.max(200, seconds * 10),
  )
  try {
    await Promise.all(Array.from({ length: count }, talk))
  } finally {
    clearInterval(watch)
  }
  for (let i = 0; i < count; i++) {
    const { conv, sha256 } = await within(
      server.next<Said & { conv: number; sha256: string }>('hash'),
      30_000,
      'a hash',
    )
    equal(sha256, hashes.get(conv)!.digest('hex'), `conversation ${conv}`)
  }
  await until(
    async () => (await server.ask<ServerReport>('stats')).stats.sessions === 0,
    30_000,
    'the sessions closed at the server too',
  )
  const spread = (Math.max(...levels) - Math.min(...levels)) / MB
  if (!short) ok(spread <= 20, `resident memory moved by ${spread.toFixed(1)} MB`)
  const lost = relay.stats().toServer
  return {
    count,
    findings: `${(bytes / MB).toFixed(0)} MB in ${seconds} s, hashes equal at both ends; ${lost.lost} of ${lost.offered} datagrams to the server lost; resident memory within ${spread.toFixed(1)} MB`,
  }
}

export const soak: Part = {
  name: 'soak',
  what: 'sessions that send through 1 % loss each way, hashed at both ends: nothing lost or changed, resident memory within 20 MB once warm',
  unit: 'sessions',
  short: { seconds: 3, count: 20 },
  long: { seconds: 3_600, count: 100 },
  run: soaking,
}
