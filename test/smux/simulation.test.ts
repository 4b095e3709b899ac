/**
 * Two engines joined by pipes that cut and hold back as they like, readers that stop, streams that end and break off at
 * any time: nothing is lost, doubled or stuck, and no bound is passed. `SEEDS=n` runs more of it.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Prng } from '../../src/sim/index.ts'
import type { ResolvedSmuxConfig, SmuxConfig } from '../../src/smux/config.ts'
import { SmuxEngine, type SmuxRole } from '../../src/smux/engine.ts'
import { INITIAL_WINDOW, type SmuxFlow } from '../../src/smux/flow.ts'
import { FRAME_MAX } from '../../src/smux/frame.ts'

const SEEDS = Number(process.env['SEEDS'] ?? 60)

/** Byte `i` of what the end `role` writes to stream `id`. */
function byteAt(role: SmuxRole, id: number, i: number): number {
  return (Math.imul(i, 31) + (i >>> 8) * 13 + id * 7 + (role === 'client' ? 0 : 101)) & 0xff
}

/** One direction below: bytes on their way, at most `capacity` of them. */
class Pipe {
  readonly capacity: number
  #pieces: Uint8Array[] = []
  size = 0

  constructor(capacity: number) {
    this.capacity = capacity
  }
  push(bytes: Uint8Array): void {
    this.#pieces.push(bytes)
    this.size += bytes.length
  }
  /** The next bytes, at most `max`, cut anywhere. */
  take(max: number): Uint8Array {
    const piece = this.#pieces[0]!
    const part = piece.subarray(0, max)
    if (part.length === piece.length) this.#pieces.shift()
    else this.#pieces[0] = piece.subarray(max)
    this.size -= part.length
    // A buffer of its own, as a socket gives, or a view of a larger one.
    return max % 2 === 0 ? part.slice() : part
  }
}

interface Life {
  readonly flow: SmuxFlow
  /** Bytes that will be written, and that are. */
  readonly toWrite: number
  written: number
  read: number
  /** The reader stops for a while, or for ever. */
  asleep: boolean
  /** Broken off by this end. */
  broken: boolean
}

class Side {
  readonly engine: SmuxEngine
  readonly lives = new Map<number, Life>()
  readonly role: SmuxRole
  readonly #prng: Prng

  constructor(role: SmuxRole, config: SmuxConfig, prng: Prng) {
    this.role = role
    this.#prng = prng
    const handler = {
      onStream: (flow: SmuxFlow) => this.#begin(flow),
      onReadable: () => undefined,
      onDrained: () => undefined,
      onOver: () => undefined,
    }
    this.engine = new SmuxEngine(role, config, handler, 0)
  }

  open(): void {
    this.#begin(this.engine.open())
  }

  #begin(flow: SmuxFlow): void {
    const prng = this.#prng
    const toWrite = prng.chance(0.2) ? prng.int(0, 700_000) : prng.int(0, 5000)
    this.lives.set(flow.id, { flow, toWrite, written: 0, read: 0, asleep: false, broken: false })
  }

  write(life: Life): void {
    const { flow, toWrite } = life
    if (life.broken || flow.queued > 0) return
    const size = Math.min(toWrite - life.written, this.#prng.int(0, 100_000))
    const bytes = new Uint8Array(size)
    for (let i = 0; i < size; i++) bytes[i] = byteAt(this.role, flow.id, life.written + i)
    if (size > 0) flow.write(bytes)
    life.written += size
    if (life.written === toWrite) flow.end()
  }

  read(life: Life, seed: number): void {
    if (life.broken) return
    const peer = this.role === 'client' ? 'server' : 'client'
    const bytes = life.flow.read(this.#prng.int(1, 70_000))
    if (bytes === undefined) return
    for (const byte of bytes) {
      if (byte !== byteAt(peer, life.flow.id, life.read++)) {
        throw new Error(`seed ${seed}: byte ${life.read - 1} of stream ${life.flow.id} is wrong`)
      }
    }
  }
}

function checkBounds({ engine }: Side, { maxReceiveBuffer, maxStreamBuffer }: ResolvedSmuxConfig): void {
  let unread = 0
  for (const flow of engine.flows()) {
    unread += flow.readable
    if (engine.config.version === 2) ok(flow.readable <= Math.max(INITIAL_WINDOW, maxStreamBuffer))
  }
  equal(engine.stats().unread, unread)
  ok(unread <= maxReceiveBuffer + FRAME_MAX, `${unread} unread`)
  equal(engine.stats().windowOverruns, 0)
}

function run(seed: number): void {
  const prng = new Prng(seed)
  const version = prng.chance(0.5) ? 2 : 1
  const maxReceiveBuffer = prng.int(1, 3) ** 4 * 10_000
  const config: SmuxConfig = {
    version,
    maxReceiveBuffer,
    maxStreamBuffer: prng.int(1, maxReceiveBuffer),
    maxFrameSize: prng.chance(0.5) ? 32_768 : prng.int(1, FRAME_MAX),
    // Some during a run, and none while it is watched for its end.
    keepAliveInterval: 1000,
    keepAliveTimeout: 0,
  }
  const sides = [new Side('client', config, prng.fork()), new Side('server', config, prng.fork())] as const
  const pipes = [new Pipe(prng.int(1, 200_000)), new Pipe(prng.int(1, 200_000))] as const
  // Half of the runs break streams off; the others compare everything.
  const breaks = prng.chance(0.5)
  const toOpen = prng.int(1, 30)
  let opened = 0
  let now = 0
  let quiet = 0
  for (let step = 0; ; step++) {
    now += prng.int(0, 5)
    // In the end nobody sleeps, and everything must come to its end.
    const late = step > 3000
    if (opened < toOpen && prng.chance(0.1)) {
      opened++
      sides[prng.int(0, 1) as 0 | 1].open()
    }
    let moved = false
    for (const i of [0, 1] as const) {
      const side = sides[i]
      const [out, inward] = [pipes[i], pipes[1 - i]!]
      side.engine.tick(now)
      for (const life of side.lives.values()) {
        if (late || prng.chance(0.02)) life.asleep = !late && !life.asleep
        if (prng.chance(0.3) || late) side.write(life)
        if (!life.asleep && (prng.chance(0.3) || late)) side.read(life, seed)
        if (breaks && !late && prng.chance(0.0005)) {
          life.broken = true
          life.flow.forget()
        }
      }
      side.engine.proceed(now)
      while (out.size < out.capacity && (late || prng.chance(0.7))) {
        const bytes = side.engine.pull(now, prng.int(2000, 70_000))
        if (bytes === undefined) break
        moved = true
        out.push(bytes)
      }
      while (inward.size > 0 && side.engine.wantsInput && (late || prng.chance(0.7))) {
        moved = true
        const small = prng.chance(0.02)
        side.engine.receive(inward.take(small ? prng.int(1, 10) : prng.int(1, 65_536)), now)
      }
      if (step % 20 === 0) checkBounds(side, side.engine.config)
      equal(side.engine.reason, undefined, `seed ${seed}: ${side.engine.fault}`)
    }
    quiet = moved ? 0 : quiet + 1
    if (late && quiet > 150) break
    ok(step < 60_000, `seed ${seed} comes to no end`)
  }
  const [client, server] = sides
  for (const { engine } of sides) {
    const { streams, unread } = engine.stats()
    // A stream whose peer broke off may wait for a window that no one opens: STUCK_TIMEOUT is not simulated here.
    const waiting = [...engine.flows()].filter((flow) => flow.blocked && flow.finReceived).length
    deepEqual([streams - waiting, unread], [0, 0], `seed ${seed}, ${engine.role}`)
    ok(waiting === 0 || breaks)
  }
  for (const [id, life] of client.lives) {
    const other = server.lives.get(id)
    if (life.broken || other?.broken) continue
    ok(other !== undefined, `seed ${seed}: stream ${id} never arrived`)
    deepEqual([life.read, other.read], [other.toWrite, life.toWrite], `seed ${seed}, stream ${id}`)
    ok(life.flow.ended && life.flow.finished && other.flow.ended && other.flow.finished)
  }
  for (const id of server.lives.keys()) ok(client.lives.has(id) || server.lives.get(id)!.broken)
}

test('whatever the pieces and the readers: complete, once, in order, bounded, and never stuck', () => {
  for (let seed = 1; seed <= SEEDS; seed++) run(seed)
})
