/**
 * The relay: a process that holds the TUN devices of two network namespaces and carries raw IP packets between them as
 * a `Link` of the simulator says. Started by link.ts through open-tun.py.
 *
 *     near's TUN ─► enter ─► Link.plan: lost? due when? ─► under way ─► leave ─► far's TUN      and the same back
 *
 * Four threads, because reading a packet and waiting for a packet's time both block: so a packet's arrival is known,
 * and its time is met, to some 0.1 ms without a thread that spins.
 * @module
 */
import { readSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { Link, type LinkCounters, type LinkOptions } from '../../src/sim/index.ts'
import { type DirectionCounters, LATE_STEP, LATE_STEPS, type RelayOptions } from './counters.ts'
import { Entrance, Exit, SLOT_BYTES, type UnderWayMemory, underWayMemory } from './under-way.ts'

/** Under way at most unless told otherwise: at 1500 bytes 24 MB, twice what 100 MB/s puts into a path of 100 ms. */
const SLOTS = 16_384
const LINK_COUNTERS: readonly (keyof LinkCounters)[] = Object.keys(
  new Link().counters,
) as (keyof LinkCounters)[]
const REFUSED = LINK_COUNTERS.length

interface Direction {
  readonly from: number
  readonly to: number
  readonly link: LinkOptions
  readonly memory: UnderWayMemory
  /** LINK_COUNTERS, then refused. */
  readonly counters: SharedArrayBuffer
  readonly late: SharedArrayBuffer
  /** CLOCK_MONOTONIC at which times begin, s: they fit 32 bits then. */
  readonly epoch: number
}

interface Task extends Direction {
  readonly role: 'enter' | 'leave'
}

function clockSince(epoch: number): () => number {
  return () => {
    const [seconds, nanoseconds] = process.hrtime()
    return (seconds - epoch) * 1e3 + nanoseconds / 1e6
  }
}

/** Reads packets for ever, plans their way, and puts those that arrive on it. */
function enter({ from, link: options, memory, counters: shared, epoch }: Direction): void {
  const now = clockSince(epoch)
  const link = new Link(options)
  const entrance = new Entrance(memory)
  const counters = new Float64Array(shared)
  for (;;) {
    const { offset } = entrance
    const size = readSync(from, entrance.packets, offset, SLOT_BYTES, null)
    const arrivedAt = now()
    let copies = 0
    for (const { afterMs, flippedBit } of link.plan(size, arrivedAt)) {
      if (flippedBit >= 0) entrance.packets[offset + (flippedBit >>> 3)]! ^= 1 << (flippedBit & 7)
      const dueAt = arrivedAt + afterMs
      const taken = copies++ === 0 ? entrance.put(size, dueAt) : entrance.putAgain(size, dueAt)
      if (!taken) counters[REFUSED]!++
    }
    LINK_COUNTERS.forEach((name, i) => {
      counters[i] = link.counters[name]
    })
  }
}

/** Hands packets over when they are due, for ever. */
function leave({ to, memory, counters: shared, late: sharedLate, epoch }: Direction): void {
  const now = clockSince(epoch)
  const exit = new Exit(memory)
  const counters = new Float64Array(shared)
  const late = new Int32Array(sharedLate)
  for (;;) {
    const dueAt = exit.nextAt()
    const at = now()
    if (at < dueAt) {
      exit.sleep(at, dueAt)
      continue
    }
    late[Math.min(Math.floor((at - dueAt) / LATE_STEP), LATE_STEPS - 1)]!++
    exit.take((offset, size) => {
      try {
        writeSync(to, exit.packets, offset, size)
      } catch {
        // The device is down, or what was corrupted is no IP packet any more.
        counters[REFUSED]!++
      }
    })
  }
}

function readCounters({ counters, late }: Direction): DirectionCounters {
  const values = new Float64Array(counters)
  const link = Object.fromEntries(
    LINK_COUNTERS.map((name, i) => [name, values[i]]),
  ) as unknown as LinkCounters
  return { ...link, refused: values[REFUSED]!, late: [...new Int32Array(late)] }
}

async function main(options: RelayOptions, near: number, far: number): Promise<void> {
  const epoch = process.hrtime()[0]
  const direction = (link: LinkOptions, from: number, to: number): Direction => ({
    from,
    to,
    link,
    memory: underWayMemory(options.slots ?? SLOTS),
    counters: new SharedArrayBuffer((REFUSED + 1) * 8),
    late: new SharedArrayBuffer(LATE_STEPS * 4),
    epoch,
  })
  const toFar = direction(options.toFar, near, far)
  const toNear = direction(options.toNear, far, near)
  for (const each of [toFar, toNear]) {
    for (const role of ['enter', 'leave'] as const) {
      const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { ...each, role } })
      await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    }
  }
  const say = (event: string, more: object = {}): void => console.log(JSON.stringify({ event, ...more }))
  say('ready')
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'counters') say('counters', { toFar: readCounters(toFar), toNear: readCounters(toNear) })
  }
  end()
}

/** A thread that blocks in a system call cannot be asked to end, and the process would wait for it. */
function end(): void {
  process.kill(process.pid, 'SIGKILL')
}

if (isMainThread) {
  // Also that nobody reads any more what it says.
  process.on('uncaughtException', (error) => {
    console.error(error)
    end()
  })
  const [options, near, far] = process.argv.slice(2)
  await main(JSON.parse(options!) as RelayOptions, Number(near), Number(far))
} else {
  const task = workerData as Task
  parentPort!.postMessage('up')
  // After the message has left.
  setImmediate(() => (task.role === 'enter' ? enter(task) : leave(task)))
}
