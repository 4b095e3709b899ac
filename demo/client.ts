/**
 * The demo's client process: first the file, then the echoes of all presets side by side.
 * @module
 */

import type { KcpPresetName } from '../src/index.ts'
import { type EchoJob, sendEchoes } from './echo.ts'
import { sendFile } from './file.ts'
import { type Lane, progress, type Start, serve } from './messages.ts'

let job: Start | undefined

const report = serve(async (message) => {
  if (message.kind === 'start') job = message
  else if (message.kind === 'transfer') await transfer(job!)
  else if (message.kind === 'echo') await echo(job!)
  else if (message.kind === 'stop') process.exit(0)
})

async function transfer({ file, bytes, lanes, ports }: Start): Promise<void> {
  const result = await sendFile(file, bytes, { port: ports.file!, preset: lanes.file! })
  report({ kind: 'transferred', ...result })
}

async function echo({ lanes, ports, echoes, echoInterval, seed }: Start): Promise<void> {
  const onProgress = progress(report)
  let done = 0
  const one = async (lane: Lane, preset: KcpPresetName, index: number): Promise<void> => {
    const job: EchoJob = {
      port: ports[lane]!,
      preset,
      messages: echoes,
      interval: echoInterval,
      seed: seed + index,
      onEcho: () => onProgress(++done),
    }
    report({ kind: 'echoed', lane, ...(await sendEchoes(job)) })
  }
  const presets = Object.entries(lanes).filter(([lane]) => lane !== 'file') as [Lane, KcpPresetName][]
  await Promise.all(presets.map(([lane, preset], index) => one(lane, preset, index)))
}
