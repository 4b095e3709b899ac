/**
 * One end of a measured conversation, as a program: link.ts starts it in a namespace. It receives or sends either
 * messages at an interval, each with the time at which it was sent, or as many bytes as fast as they go.
 *
 * Both ends are on one machine and share its monotonic clock, so one-way times need no synchronisation.
 * peer.go plays the same two parts with kcp-go; what both say and are told is below.
 * @module
 */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Address,
  type KcpEndOptions,
  openProtocol,
  type ProtocolName,
  type Sender,
} from './protocols.ts'

export interface MessagesTask {
  readonly kind: 'messages'
  /** Bytes of one, 16 or more. */
  readonly size: number
  readonly intervalMs: number
  /** Sent first, and not counted. */
  readonly warmUp: number
  readonly count: number
}

export interface BulkTask {
  readonly kind: 'bulk'
  readonly bytes: number
  /** Longest that it takes: what has arrived by then counts. */
  readonly limitMs: number
}

export interface EndOptions {
  readonly role: 'receive' | 'send'
  readonly protocol: ProtocolName
  readonly at: Address
  readonly task: MessagesTask | BulkTask
  readonly kcp: KcpEndOptions
}

/*
 * Events: "ready", listening or connected. A sender then waits for a line on its stdin, and says "measuring" when it
 * sends what counts, and what its protocol counted as "stats" when told to; a receiver says "done" with:
 */
export interface MessagesDone {
  /** ms from the call that sent a message to the call that delivered it, by message. */
  readonly latencies: readonly number[]
}
export interface BulkDone {
  readonly bytes: number
  /** From the sender's first call to the arrival of the last of them. */
  readonly seconds: number
}

/** A message starts with the time (ns, u64) and its number (u32); a bulk with the time. */
const STAMP = 8
const NS_PER_MS = 1e6
/** What a bulk is written in. */
const CHUNK = 64 * 1024

const { role, protocol, at, task, kcp } = JSON.parse(process.argv[2]!) as EndOptions
const { receive, dial } = await openProtocol(protocol, kcp)
process.stdin.on('end', () => process.exit())

if (role === 'receive') {
  process.stdin.resume()
  await receive(at, task.kind === 'messages' ? receiveMessages(task) : receiveBulk(task))
  say('ready')
} else {
  const sender = await dial(at)
  const input = createInterface({ input: process.stdin })
  say('ready')
  await once(input, 'line')
  input.on('line', () => say('stats', { stats: sender.stats() }))
  if (task.kind === 'messages') await sendMessages(sender, task)
  else await sendBulk(sender, task)
}

function receiveMessages({ size, warmUp, count }: MessagesTask): (data: Uint8Array) => void {
  const latencies: number[] = []
  let number = 0
  return inPieces(size, (message) => {
    const sentAt = message.readBigUInt64LE(0)
    if (message.readUInt32LE(STAMP) !== number) throw new Error(`message ${number} is missing`)
    if (number++ >= warmUp) latencies.push(Number(process.hrtime.bigint() - sentAt) / NS_PER_MS)
    if (number === warmUp + count) say('done', { latencies } satisfies MessagesDone)
  })
}

async function sendMessages(
  sender: Sender,
  { size, intervalMs, warmUp, count }: MessagesTask,
): Promise<void> {
  const startedAt = performance.now()
  for (let number = 0; number < warmUp + count; number++) {
    const wait = startedAt + number * intervalMs - performance.now()
    if (wait > 0) await sleep(wait)
    if (number === warmUp) say('measuring')
    const message = Buffer.alloc(size)
    message.writeUInt32LE(number, STAMP)
    message.writeBigUInt64LE(process.hrtime.bigint(), 0)
    sender.send(message)
  }
}

function receiveBulk({ bytes, limitMs }: BulkTask): (data: Uint8Array) => void {
  let received = 0
  let startedAt = 0n
  let limit: NodeJS.Timeout | undefined
  const done = (): void => {
    const seconds = Number(process.hrtime.bigint() - startedAt) / NS_PER_MS / 1e3
    clearTimeout(limit)
    say('done', { bytes: received, seconds } satisfies BulkDone)
  }
  const head = inPieces(STAMP, (stamp) => (startedAt ||= stamp.readBigUInt64LE(0)))
  return (data) => {
    if (received < STAMP) head(data.subarray(0, STAMP))
    limit ??= setTimeout(done, limitMs)
    received += data.length
    if (received >= bytes) done()
  }
}

async function sendBulk(sender: Sender, { bytes }: BulkTask): Promise<void> {
  const chunk = Buffer.alloc(CHUNK, 0x5a)
  const first = Buffer.from(chunk)
  first.writeBigUInt64LE(process.hrtime.bigint(), 0)
  say('measuring')
  for (let left = bytes; left > 0; left -= CHUNK) {
    const from = left === bytes ? first : chunk
    await sender.write(left < CHUNK ? from.subarray(0, left) : from)
  }
}

/** Cuts what arrives, however it is cut already, into pieces of `size` bytes. */
function inPieces(size: number, onPiece: (piece: Buffer) => void): (data: Uint8Array) => void {
  let rest = Buffer.alloc(0)
  return (data) => {
    rest = rest.length === 0 ? Buffer.from(data) : Buffer.concat([rest, data])
    for (; rest.length >= size; rest = rest.subarray(size)) onPiece(rest.subarray(0, size))
  }
}

function say(event: string, more: object = {}): void {
  console.log(JSON.stringify({ event, ...more }))
}
