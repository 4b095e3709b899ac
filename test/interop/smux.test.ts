/**
 * Live against Go's smux 1.5.16 (Debian's) over TCP: both roles, both versions. That one has no half-close: its Close ends
 * a stream both ways, so it is always us who go on reading after the end.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { describe, test } from 'node:test'
import { SmuxSession, type SmuxSessionOptions, type SmuxStream } from '../../src/index.ts'
import { goPeerBinary } from './go.ts'

const binary = goPeerBinary({
  source: 'test/interop/smux-peer/smux-peer.go',
  binary: 'smux-peer',
  library: 'github.com/xtaci/smux',
  debian: 'golang-github-xtaci-smux-dev',
})
const skip = binary === undefined ? 'no smux on this machine' : false
const LIMIT = 30_000

interface Said {
  readonly event: 'listening' | 'done' | 'over'
  readonly port?: number
  readonly errors?: readonly string[]
  readonly error?: string
}

/** A running smux-peer. */
class Peer implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #said: Said[] = []
  #stderr = ''
  #over = false

  constructor(words: readonly string[]) {
    this.#child = spawn(binary!, words, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      this.#said.push(JSON.parse(line) as Said)
      this.#child.emit('said')
    })
    this.#child.on('close', () => {
      this.#over = true
      this.#child.emit('said')
    })
  }

  async says(event: Said['event']): Promise<Said> {
    for (;;) {
      const at = this.#said.findIndex((one) => one.event === event)
      if (at >= 0) return this.#said.splice(at, 1)[0]!
      if (this.#over) throw new Error(`smux-peer ended before "${event}": ${this.#stderr}`)
      await once(this.#child, 'said')
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over) return
    const closed = once(this.#child, 'close')
    this.#child.stdin!.end()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 2_000)
    await closed
    clearTimeout(timer)
  }
}

/** Content of a stream that the peer makes; smux-peer.go has the same formula. */
function pattern(length: number): Buffer {
  const data = Buffer.alloc(length)
  for (let i = 0; i < length; i++) data[i] = i * 7 + (i >> 8) * 13
  return data
}

function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}

async function all(stream: SmuxStream): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

type Options = Partial<SmuxSessionOptions>

/** We are the client of a peer that listens. */
async function asClient(
  version: 1 | 2,
  words: readonly string[],
  options: Options,
  use: (session: SmuxSession, peer: Peer) => Promise<void>,
): Promise<void> {
  await using peer = new Peer(['-listen', `-version=${version}`, ...words])
  const { port } = await peer.says('listening')
  const session = new SmuxSession(connect(port!, '127.0.0.1'), { role: 'client', version, ...options })
  try {
    await use(session, peer)
  } finally {
    session.destroy()
  }
}

/** We are the server of a peer that dials. */
async function asServer(
  version: 1 | 2,
  words: readonly string[],
  options: Options,
  use: (session: SmuxSession, peer: Peer) => Promise<void>,
): Promise<void> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  await using peer = new Peer([`-dial=127.0.0.1:${port}`, `-version=${version}`, ...words])
  const [socket] = (await once(server, 'connection')) as [Socket]
  server.close()
  const session = new SmuxSession(socket, { role: 'server', version, ...options })
  try {
    await use(session, peer)
  } finally {
    session.destroy()
  }
}

/** A command to the peer, as `smux-peer.go` describes them, with the data for it; its answer. */
async function ask(session: SmuxSession, command: string, data?: Uint8Array): Promise<Buffer> {
  const stream = session.open()
  stream.write(`${command}\n`)
  // Not before there is all of the answer, unless that is short: to a stream that we have ended this smux writes no
  // more than one window.
  if (data !== undefined) stream.end(data)
  return all(stream)
}

for (const version of [1, 2] as const) {
  describe(`smux ${version}`, { skip }, () => {
    test('50 streams of ours at once, both ways', { timeout: LIMIT }, async () => {
      await asClient(version, [], {}, async (session) => {
        const work = Array.from({ length: 50 }, async (_, i) => {
          const size = i * 6_007
          const data = pattern(size)
          // In turns: one that we write and end first, one that the peer writes and closes first.
          if (i % 2 === 0) equal(String(await ask(session, 'hash 0', data)), sha256(data))
          else equal(sha256(await ask(session, `make ${size}`)), sha256(data))
        })
        await Promise.all(work)
        equal(session.streams.size, 0)
        equal(session.stats().streams, 0)
        await session.close()
        equal(session.closeReason, 'local')
      })
    })

    test('50 streams of the peer at once, echoed', { timeout: LIMIT }, async () => {
      await asServer(version, ['-open=50', '-bytes=150001'], {}, async (session, peer) => {
        let streams = 0
        session.on('stream', (stream) => {
          streams++
          equal(stream.id % 2, 1)
          stream.pipe(stream)
        })
        deepEqual((await peer.says('done')).errors, [])
        equal(streams, 50)
        equal(session.stats().bytesIn, 50 * 150_001)
      })
    })

    test('a server opens streams too', { timeout: LIMIT }, async () => {
      await asServer(version, [], {}, async (session) => {
        const data = pattern(100_000)
        equal(String(await ask(session, 'hash 0', data)), sha256(data))
        equal(session.stats().opened, 1)
      })
    })

    test('a reader of ours that stops', { timeout: LIMIT }, async () => {
      const size = 3_000_000
      const limit = 1 << 20
      await asClient(version, ['-streambuf=262144'], { maxReceiveBuffer: limit }, async (session) => {
        const slow = session.open()
        slow.write(`make ${size}\n`)
        if (version === 2) {
          // Its own window holds it back, and nobody else.
          for (let i = 0; i < 20; i++) equal((await ask(session, 'make 100000')).length, 100_000)
          ok(slow.bytesWaiting <= 262_144)
          equal(session.stats().stalls, 0)
        } else {
          // The session stops reading, as it has no other way.
          while (session.stats().stalls === 0) await new Promise(setImmediate)
          ok(session.stats().unread <= limit + 65_536)
        }
        equal(sha256(await all(slow)), sha256(pattern(size)))
      })
    })

    test('a reader of the peer that stops', { timeout: LIMIT }, async () => {
      const data = pattern(3_000_000)
      const buffer = version === 1 ? 4 * data.length : 1 << 20
      await asClient(version, [`-buffer=${buffer}`], {}, async (session) => {
        const answer = ask(session, 'hold 0', data)
        for (let i = 0; i < 20; i++) equal((await ask(session, 'make 100000')).length, 100_000)
        const held = [...session.streams][0]!
        if (version === 2) {
          // What it takes without a UPD, or a window of its first UPD, which may come before all of that is sent.
          const { bytesWritten } = held
          ok(bytesWritten >= 65_536 && bytesWritten <= 262_144, `${bytesWritten}`)
          ok(held.writableLength > 0)
        }
        equal(String(await ask(session, 'release 0')), 'ok')
        equal(String(await answer), sha256(data))
      })
    })

    test('keep-alive keeps both ends alive', { timeout: LIMIT }, async () => {
      const options = { keepAliveInterval: 40, keepAliveTimeout: 800 }
      await asClient(version, ['-interval=40', '-timeout=800'], options, async (session, peer) => {
        // Longer than the timeout.
        while (session.stats().nopsIn < 30) await new Promise((resolve) => setTimeout(resolve, 20))
        ok(session.stats().nopsOut >= 15)
        equal(String(await ask(session, 'hash 0', pattern(10))), sha256(pattern(10)))
        session.destroy()
        await peer.says('over')
      })
    })

    test('a peer that says nothing is given up', { timeout: LIMIT }, async () => {
      const options = { keepAliveInterval: 50, keepAliveTimeout: 300 }
      await asClient(version, ['-interval=0'], options, async (session, peer) => {
        const [reason, error] = await once(session, 'close')
        equal(reason, 'timeout')
        equal(error.code, 'ERR_KCP_TIMEOUT')
        await peer.says('over')
      })
    })

    test('a peer that hears nothing gives us up', { timeout: LIMIT }, async () => {
      const options = { keepAliveInterval: 0 }
      await asClient(version, ['-interval=50', '-timeout=200'], options, async (session, peer) => {
        const stream = session.open()
        stream.resume()
        equal((await once(session, 'close'))[0], 'peer')
        equal((stream.errored as NodeJS.ErrnoException | null)?.code, 'ERR_KCP_CLOSED')
        await peer.says('over')
      })
    })

    test('the other version is told from this one at the first byte', { timeout: LIMIT }, async () => {
      const other = version === 1 ? 2 : 1
      await asServer(version, ['-open=1', '-bytes=1', `-version=${other}`], {}, async (session) => {
        const [reason, error] = await once(session, 'close')
        equal(reason, 'protocol-error')
        equal(error.code, 'ERR_KCP_PROTOCOL')
        deepEqual(error.detail, { fault: 'version' })
      })
    })
  })
}
