/**
 * One end of a measured conversation, as a program: link.ts starts it in a namespace. One end sends messages at an
 * interval, each with the time at which it was sent, or asks and waits for the answer, or sends as many bytes as fast as
 * they go; the other receives, or answers.
 *
 * Both ends are on one machine and share its monotonic clock, so one-way times need no synchronisation.
 * peer.go plays the same parts with kcp-go, but for bulk; what both say and are told is below.
 * @module
 */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Address,
  type Conversation,
  type KcpEndOptions,
  openProtocol,
  type ProtocolName,
} from './protocols.ts'

interface SmallTask {
  /** Bytes of a message, 16 or more. */
  readonly size: number
  /** Conversations side by side on the one link, evenly out of step. */
  readonly flows: number
  /** Messages of a flow that are sent first, and not counted. */
  readonly warmUp: number
  readonly count: number
}

/** One way: a message each interval. */
export interface MessagesTask extends SmallTask {
  readonly kind: 'messages'
  readonly intervalMs: number
}

/** There and back: a message, its answer, a pause, and again. */
export interface RequestsTask extends SmallTask {
  readonly kind: 'requests'
  readonly thinkMs: number
}

export interface BulkTask {
  readonly kind: 'bulk'
  readonly bytes: number
  /** Longest that it takes: what has arrived by then counts. */
  readonly limitMs: number
}

export type LatencyTask = MessagesTask | RequestsTask
export type Task = LatencyTask | BulkTask

export interface EndOptions {
  readonly role: 'receive' | 'send'
  readonly protocol: ProtocolName
  readonly at: Address
  readonly task: Task
  readonly kcp: KcpEndOptions
}

/*
 * Events: "ready", listening or connected. A sender then waits for a line on its stdin: "go", or "go NS" for the time
 * at which it is to start (ns of CLOCK_MONOTONIC). It says "measuring" when it sends what counts, and what its protocol
 * counted as "stats" when told "stats". The receiver of messages or bytes and the sender of requests say "done", when
 * all has come or they are told "enough", with:
 */
export interface LatencyDone {
  /** ms from the call that sent a message to the call that delivered it or its answer. */
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
const flows = task.kind === 'bulk' ? 1 : task.flows
const input = createInterface({ input: process.stdin }).on('close', () => process.exit())

if (role === 'receive') {
  await receive(at, flows, onConversation(task))
  say('ready')
} else {
  const conversations: Conversation[] = []
  for (let flow = 0; flow < flows; flow++) conversations.push(await dial(at, flow))
  const told = once(input, 'line') as Promise<[string]>
  say('ready')
  const [, startAt] = (await told)[0].split(' ')
  if (startAt !== undefined) await sleep(Number(BigInt(startAt) - process.hrtime.bigint()) / NS_PER_MS)
  onWord('stats', () => say('stats', { stats: conversations[0]!.stats() }))
  if (task.kind === 'bulk') await sendBulk(conversations[0]!, task)
  else if (task.kind === 'messages') await sendMessages(conversations, task)
  else await sendRequests(conversations, task)
}

function onConversation(task: Task): (conversation: Conversation) => void {
  if (task.kind === 'bulk') return (conversation) => conversation.onData(receiveBulk(task))
  if (task.kind === 'messages') return receiveMessages(task)
  return (conversation) => {
    conversation.onData(inPieces(task.size, (message) => conversation.send(Buffer.from(message))))
  }
}

/** Gathers what came of the messages of all flows, by the time at which each was sent; to the microsecond. */
function collector({ flows, count }: SmallTask): (sentAt: bigint) => void {
  const latencies: number[] = []
  const done = (): void => say('done', { latencies } satisfies LatencyDone)
  onWord('enough', done)
  return (sentAt) => {
    latencies.push(Number((process.hrtime.bigint() - sentAt) / 1000n) / 1000)
    if (latencies.length === flows * count) done()
  }
}

function receiveMessages(task: MessagesTask): (conversation: Conversation) => void {
  const collect = collector(task)
  return (conversation) => {
    let number = 0
    const onMessage = (message: Buffer): void => {
      expect(message, number)
      if (number++ >= task.warmUp) collect(message.readBigUInt64LE(0))
    }
    conversation.onData(inPieces(task.size, onMessage))
  }
}

async function sendMessages(
  conversations: readonly Conversation[],
  { size, intervalMs, warmUp, count }: MessagesTask,
): Promise<void> {
  const startedAt = performance.now()
  const step = intervalMs / conversations.length
  for (let number = 0; number < warmUp + count; number++) {
    for (const [flow, conversation] of conversations.entries()) {
      const wait = startedAt + number * intervalMs + flow * step - performance.now()
      if (wait > 0) await sleep(wait)
      if (number === warmUp && flow === 0) say('measuring')
      conversation.send(stamped(size, number))
    }
  }
}

async function sendRequests(conversations: readonly Conversation[], task: RequestsTask): Promise<void> {
  const { size, thinkMs, warmUp, count } = task
  const collect = collector(task)
  await Promise.all(
    conversations.map(async (conversation, flow) => {
      let onAnswer: (message: Buffer) => void = () => undefined
      conversation.onData(inPieces(size, (message) => onAnswer(message)))
      // Out of step at the start; later each goes by its own round trips.
      await sleep((flow * thinkMs) / conversations.length)
      for (let number = 0; number < warmUp + count; number++) {
        if (number === warmUp && flow === 0) say('measuring')
        const answered = new Promise<Buffer>((resolve) => (onAnswer = resolve))
        conversation.send(stamped(size, number))
        const answer = await answered
        expect(answer, number)
        if (number >= warmUp) collect(answer.readBigUInt64LE(0))
        await sleep(thinkMs)
      }
    }),
  )
}

function stamped(size: number, number: number): Buffer {
  const message = Buffer.alloc(size)
  message.writeUInt32LE(number, STAMP)
  message.writeBigUInt64LE(process.hrtime.bigint(), 0)
  return message
}

function expect(message: Buffer, number: number): void {
  if (message.readUInt32LE(STAMP) !== number) throw new Error(`message ${number} is missing`)
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

async function sendBulk(conversation: Conversation, { bytes }: BulkTask): Promise<void> {
  const chunk = Buffer.alloc(CHUNK, 0x5a)
  const first = Buffer.from(chunk)
  first.writeBigUInt64LE(process.hrtime.bigint(), 0)
  say('measuring')
  for (let left = bytes; left > 0; left -= CHUNK) {
    const from = left === bytes ? first : chunk
    await conversation.write(left < CHUNK ? from.subarray(0, left) : from)
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

function onWord(word: string, act: () => void): void {
  input.on('line', (line) => {
    if (line === word) act()
  })
}

function say(event: string, more: object = {}): void {
  console.log(JSON.stringify({ event, ...more }))
}
