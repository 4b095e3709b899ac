/**
 * Every way to end, in every state that a stream can be in, by everybody who can do it: one 'close' event at each end,
 * with a reason; no end waits for ever.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import type { KcpListener, KcpStream } from '../../src/node/index.ts'
import { pattern, World } from '../support/pair.ts'

interface Ends {
  readonly world: World
  readonly listener: KcpListener
  readonly client: KcpStream
  readonly server: KcpStream
}

/** What has happened before. */
const STATES: Readonly<Record<string, (ends: Ends) => Promise<void>>> = {
  idle: async () => undefined,
  'data in flight': async ({ client, server }) => {
    client.write(pattern(60_000))
    server.write(pattern(60_000))
  },
  'unread data': async ({ world, client, server }) => {
    client.write(pattern(200))
    server.write(pattern(200))
    await world.run(100)
  },
  'a full send queue': async ({ client }) => {
    for (let i = 0; i < 400; i++) client.write(pattern(1_000))
  },
  'ended here': async ({ world, client }) => {
    client.end('bye')
    await world.run(100)
  },
  'ended there': async ({ world, server }) => {
    server.end('bye')
    await world.run(100)
  },
  closing: async ({ client }) => {
    client.write(pattern(5_000))
    client.close().catch(() => undefined)
  },
  'the path is dead': async ({ world, client }) => {
    world.network.filter = () => false
    client.write(pattern(200))
    await world.run(300)
  },
}

/** Who acts. */
const ACTORS = ['client', 'server', 'both', 'the listener'] as const

/** What is called. */
const CALLS: Readonly<Record<string, (stream: KcpStream) => void>> = {
  end: (stream) => void stream.end(),
  close: (stream) => void stream.close().catch(() => undefined),
  destroy: (stream) => void stream.destroy(),
}

for (const [state, prepare] of Object.entries(STATES)) {
  test(`${state}: each actor, each call`, async () => {
    for (const actor of ACTORS) {
      for (const [call, run] of Object.entries(CALLS)) {
        const what = `${state}, ${actor}, ${call}`
        const world = new World({ link: { delayMs: 10 } })
        const { listener, client, server } = await world.pair({
          preset: 'fast',
          idleTimeout: 3_000,
          keepAlive: 1_000,
          lingerTimeout: 1_000,
        })
        const ends = { client, server }
        const closes: Record<string, unknown[]> = { client: [], server: [] }
        for (const [name, stream] of Object.entries(ends)) {
          stream.on('error', () => undefined)
          stream.on('close', (reason: unknown) => closes[name]!.push(reason))
        }
        await prepare({ world, listener, client, server })
        if (actor === 'the listener') {
          if (call === 'destroy') listener.closeAllConnections()
          void listener.close()
          if (call !== 'destroy') run(server)
        } else {
          if (actor !== 'server') run(client)
          if (actor !== 'client') run(server)
        }
        await world.run(20)
        // Whoever is left reads, and is done when the other is.
        for (const stream of [client, server]) if (!stream.destroyed) stream.resume()
        await world.until(() => client.closed && server.closed, 30_000).catch(() => undefined)
        deepEqual([client.closed, server.closed], [true, true], `${what}: both are over`)
        await world.run(10_000)
        for (const [name, reasons] of Object.entries(closes)) {
          equal(reasons.length, 1, `${what}: ${name} closed ${reasons.length} times`)
          ok(typeof reasons[0] === 'string', `${what}: ${name}'s reason is ${String(reasons[0])}`)
        }
        deepEqual([listener.stats().sessions, listener.connections.size], [0, 0], what)
        listener.closeAllConnections()
        await world.within(listener.close(), 1_000)
      }
    }
  })
}
