/**
 * Sends messages at an even pace over one stream and times their way to the peer and back. A message that has to wait
 * for the ones before it waits in its own time: the clock runs from the moment that it was due.
 * @module
 */
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type KcpPresetName, type KcpStream } from '../src/index.ts'
import { Prng } from '../src/sim/index.ts'
import { countOf } from './count.ts'
import type { EndStats } from './messages.ts'

export interface EchoJob {
  readonly port: number
  readonly preset: KcpPresetName
  readonly messages: number
  /** Between two messages, ms. */
  readonly interval: number
  /** Of the messages' bytes. */
  readonly seed: number
  readonly onEcho: () => void
}

export interface EchoResult {
  readonly times: readonly number[]
  readonly wrong: number
  readonly stats: EndStats
}

/** A game's input, a voice frame's quarter. */
export const ECHO_SIZE = 64

export async function sendEchoes(job: EchoJob): Promise<EchoResult> {
  const { port, preset, interval, onEcho } = job
  const messages = randomMessages(job.messages, job.seed)
  const stream = await connect({ host: '127.0.0.1', port, preset })
  const startAt = performance.now()
  const dueAt = (index: number): number => startAt + index * interval
  const [received] = await Promise.all([
    collect(stream, messages, dueAt, onEcho),
    pace(stream, messages, dueAt),
  ])
  const stats = countOf(stream)
  stream.end()
  const extra = await stream.recv()
  await stream.close()
  return { ...received, wrong: received.wrong + (extra === null ? 0 : 1), stats }
}

async function pace(
  stream: KcpStream,
  messages: readonly Uint8Array[],
  dueAt: (index: number) => number,
): Promise<void> {
  for (const [index, message] of messages.entries()) {
    const wait = dueAt(index) - performance.now()
    if (wait > 0) await sleep(wait)
    await stream.send(message)
  }
}

/** Reads as many messages as were sent: all of them, in order, unchanged. */
async function collect(
  stream: KcpStream,
  messages: readonly Uint8Array[],
  dueAt: (index: number) => number,
  onEcho: () => void,
): Promise<{ readonly times: number[]; readonly wrong: number }> {
  const times: number[] = []
  let wrong = 0
  for (const [index, message] of messages.entries()) {
    const echo = await stream.recv()
    if (echo === null) throw new Error(`the echo of message ${index} never came`)
    times.push(performance.now() - dueAt(index))
    if (!echo.equals(message)) wrong++
    onEcho()
  }
  return { times, wrong }
}

function randomMessages(count: number, seed: number): Uint8Array[] {
  const prng = new Prng(seed)
  return Array.from({ length: count }, () => Uint8Array.from({ length: ECHO_SIZE }, () => prng.u32() & 255))
}
