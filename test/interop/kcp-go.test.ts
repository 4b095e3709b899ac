/**
 * Live against kcp-go 5.6.1 over real UDP, plain (no FEC, no encryption): both roles, both modes, sizes from 1 byte
 * to 127 fragments, through a relay that loses 0, 10 and 30 % each way. kcp-go keeps its default windows of 32
 * wherever that is possible at all: it can never read a message of more fragments than its receive window holds.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { KcpListener, type KcpSessionConfig, KcpStream } from '../../src/index.ts'
import { type Relay, startRelay } from '../support/relay.ts'
import { GoPeer, type GoPeerFlags, goPeerBinary, patternMessages } from './go.ts'

const skip = goPeerBinary() === undefined ? 'no kcp-go on this machine' : false

/** kcp-go's mss at its default mtu of 1400, without FEC and encryption. */
const MSS = 1376

/** Nodelay, interval, resend, no congestion window: the quickest that kcp-go's users run. */
const nodelay = [1, 10, 2, 1] as const

/**
 * On top of our `fast`: at 30 % loss each way its RTO, which grows by half with each try, makes a segment that was lost
 * ten times wait for seconds; and kcp-go tells an opened window once only. Both would be a matter of patience, not
 * of right or wrong: here the RTO grows linearly, as kcp-go's own does, and a closed window is asked for soon.
 */
const patience = { nodelay: 2, probeInterval: 500 } as const

type Role = 'client' | 'server'
type Mode = 'message' | 'stream'

/** What both ends write in one cell of the matrix. */
interface Load {
  readonly name: string
  readonly count: number
  readonly sizes: readonly number[]
  /** Receive window of kcp-go; absent where its default does. */
  readonly rcv?: number
}

const loads: readonly Load[] = [
  { name: '1,000 messages of up to a segment', count: 1000, sizes: [1, 2, 24, 100, 333, 700, MSS - 1, MSS] },
  {
    name: 'messages of 2 to 32 fragments into the default window of 32',
    count: 12,
    sizes: [MSS + 1, 2 * MSS, 2 * MSS + 1, 31 * MSS, 32 * MSS - 1, 32 * MSS],
  },
  {
    name: 'messages of 33 to 127 fragments into a window of 128',
    count: 5,
    // The small one first: a kcp-go server gets its settings only after accept, so its first ACK still tells 32.
    sizes: [1, 32 * MSS + 1, 64 * MSS, 126 * MSS + 1, 127 * MSS],
    rcv: 128,
  },
]

/** A connection through the relay, whoever dialled. */
interface Line {
  readonly stream: KcpStream
  readonly peer: GoPeer
  readonly relay: Relay
}

interface LineOptions {
  readonly ours: Role
  readonly mode: Mode
  readonly loss?: number
  readonly peer: Omit<GoPeerFlags, 'mode' | 'addr'>
  /** Instead of our `fast` and `patience`. */
  readonly config?: KcpSessionConfig
}

/** Opens a connection, hands it to `use`, and closes everything in the end. */
async function withLine(options: LineOptions, use: (line: Line) => Promise<void>): Promise<void> {
  const { ours, mode, loss = 0 } = options
  const streamMode = mode === 'stream'
  const { kcp = patience, ...session } = options.config ?? { preset: 'fast' }
  const config: KcpSessionConfig = { ...session, kcp: { ...kcp, streamMode } }
  const flags = { stream: streamMode, nodelay, ...options.peer }
  const path = { loss, delayMs: 1, jitterMs: 1 }
  const relayTo = (target: { host: string; port: number }) =>
    startRelay({ target, toServer: path, toClient: path, seed: 2026 })

  if (ours === 'client') {
    await using peer = await GoPeer.start({ mode: 'server', ...flags })
    await using relay = await relayTo(peer.address)
    await using stream = await KcpStream.connect({ host: relay.address, port: relay.port }, config)
    await use({ stream, peer, relay })
  } else {
    await using listener = await KcpListener.bind('127.0.0.1:0', config)
    await using relay = await relayTo({ host: '127.0.0.1', port: listener.address()!.port })
    await using peer = await GoPeer.start({
      mode: 'client',
      addr: `${relay.address}:${relay.port}`,
      ...flags,
    })
    await using stream = (await listener.accept())!
    await use({ stream, peer, relay })
  }
}

/** Reads until `bytes` have come. */
async function readBytes(stream: KcpStream, bytes: number): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = []
  let got = 0
  while (got < bytes) {
    const chunk = await stream.recv()
    ok(chunk !== null, `ended after ${got} of ${bytes} bytes: ${stream.closeReason}`)
    chunks.push(chunk)
    got += chunk.length
  }
  return chunks
}

async function writeAll(stream: KcpStream, messages: readonly Uint8Array[]): Promise<void> {
  for (const message of messages) {
    while (stream.mode === 'message' && message.length > stream.maxMessageSize) await delay(5)
    await stream.send(message)
  }
}

/** The pieces into which kcp-go cuts what it is given. */
function cutAtMss(messages: readonly Uint8Array[]): Uint8Array[] {
  return messages.flatMap((message) =>
    Array.from({ length: Math.ceil(message.length / MSS) }, (_, i) =>
      message.subarray(i * MSS, (i + 1) * MSS),
    ),
  )
}

function lengths(messages: readonly Uint8Array[]): number[] {
  return messages.map((message) => message.length)
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0)
}

function sha256(messages: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const message of messages) hash.update(message)
  return hash.digest('hex')
}

describe('kcp-go 5.6.1', { skip, concurrency: 3 }, () => {
  for (const ours of ['client', 'server'] as const) {
    for (const mode of ['message', 'stream'] as const) {
      for (const load of loads) {
        for (const loss of [0, 0.1, 0.3]) {
          test(`we are ${ours}, ${mode} mode, ${loss * 100} % loss: ${load.name}`, { timeout: 60_000 }, () =>
            exchange(ours, mode, loss, load),
          )
        }
      }
    }
  }
})

/** Both ends write the whole load at the same time, and must read exactly what the other wrote. */
async function exchange(ours: Role, mode: Mode, loss: number, load: Load): Promise<void> {
  const { count, sizes } = load
  const messages = patternMessages(count, sizes)
  const bytes = sum(lengths(messages))
  const peer = {
    role: 'duplex',
    count,
    sizes,
    bytes,
    ...(load.rcv !== undefined && { rcv: load.rcv }),
  } as const
  await withLine({ ours, mode, loss, peer }, async ({ stream, peer, relay }) => {
    const [received, done] = await Promise.all([
      readBytes(stream, bytes),
      peer.next('done'),
      writeAll(stream, messages),
    ])
    equal(done.sha256, sha256(messages), 'what kcp-go read')
    equal(sha256(received), done.sentSha256, 'what we read')
    if (mode === 'message') {
      deepEqual(done.sizes, lengths(messages))
      deepEqual(lengths(received), lengths(cutAtMss(messages)))
    }
    equal(done.conv, stream.conv)
    ok(stream.stats().proven, 'kcp-go echoes the ts that proves its address')
    const { toServer, toClient } = relay.stats()
    if (loss > 0) ok(toServer.lost > 0 && toClient.lost > 0, 'the relay lost nothing')
  })
}

describe('kcp-go 5.6.1, lifetime', { skip, concurrency: 3 }, () => {
  for (const ours of ['client', 'server'] as const) {
    test(`we are ${ours} and nobody tuned anything`, { timeout: 30_000 }, async () => {
      const count = 200
      const sizes = [1, 500, MSS]
      const messages = patternMessages(count, sizes)
      const bytes = sum(lengths(messages))
      // nodelay undefined: kcp-go's own 0,100,0,0.
      const peer = { role: 'duplex', nodelay: undefined, count, sizes, bytes } as const
      await withLine({ ours, mode: 'message', peer, config: { kcp: {} } }, async ({ stream, peer }) => {
        const [received, done] = await Promise.all([
          readBytes(stream, bytes),
          peer.next('done'),
          writeAll(stream, messages),
        ])
        equal(sha256(received), done.sentSha256)
        deepEqual(done.sizes, lengths(messages))
      })
    })

    test(`we are ${ours} and read late: kcp-go waits for our window and loses nothing`, {
      timeout: 30_000,
    }, async () => {
      const count = 600
      const sizes = [MSS]
      const messages = patternMessages(count, sizes)
      const peer = { role: 'duplex', count, sizes, bytes: 1 } as const
      await withLine({ ours, mode: 'message', peer }, async ({ stream }) => {
        await stream.send('x')
        await delay(500)
        const received = await readBytes(stream, count * MSS)
        equal(sha256(received), sha256(messages))
      })
    })

    test(`we are ${ours} and kcp-go reads late: we wait for its window and lose nothing`, {
      timeout: 30_000,
    }, async () => {
      const messages = patternMessages(600, [MSS])
      const bytes = 600 * MSS
      const peer = { role: 'duplex', count: 1, bytes, pauseMs: 500 } as const
      await withLine({ ours, mode: 'message', peer }, async ({ stream, peer }) => {
        const [done] = await Promise.all([peer.next('done'), writeAll(stream, messages)])
        equal(done.sha256, sha256(messages))
        deepEqual(done.sizes, lengths(messages))
      })
    })

    test(`we are ${ours}: keep-alive holds an idle line, and its silence ends it with a reason`, {
      timeout: 30_000,
    }, async () => {
      const peer = { role: 'duplex', count: 1, bytes: 1 } as const
      const config = { preset: 'fast', keepAlive: 100, idleTimeout: 600 } as const
      await withLine({ ours, mode: 'message', peer, config }, async ({ stream, peer }) => {
        await stream.send('x')
        await Promise.all([stream.recv(), peer.next('done')])
        await delay(1500)
        equal(stream.closeReason, undefined)
        const closed = new Promise((resolve) => stream.once('close', resolve))
        peer.kill()
        equal(await closed, 'timeout')
      })
    })
  }

  test('conv 0 and the largest conv of a kcp-go client are taken as they are', {
    timeout: 30_000,
  }, async () => {
    for (const conv of [0, 1, 0xffffffff]) {
      const peer = { role: 'duplex', conv, count: 1, bytes: 1 } as const
      await withLine({ ours: 'server', mode: 'message', peer }, async ({ stream, peer }) => {
        equal(stream.conv, conv)
        await stream.send('x')
        await Promise.all([stream.recv(), peer.next('done')])
      })
    }
  })
})
