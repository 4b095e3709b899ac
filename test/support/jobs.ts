/**
 * Long runs in parts, which worker threads do. A program that has workers is also what they run.
 * @module
 */
import { Worker } from 'node:worker_threads'

/** Has `jobs` workers that run `program` take the parts in order, and tells what each part came to. */
export async function each<Part, Result>(
  program: string,
  workerData: unknown,
  parts: readonly Part[],
  jobs: number,
  done: (part: Part, result: Result) => void,
): Promise<void> {
  let next = 0
  const one = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL(program), { workerData })
      let part: Part | undefined
      const go = (): void => {
        part = parts[next++]
        if (part === undefined) void worker.terminate().then(() => resolve())
        else worker.postMessage(part)
      }
      worker.on('message', (result: Result) => {
        done(part!, result)
        go()
      })
      worker.on('error', reject)
      go()
    })
  await Promise.all(Array.from({ length: Math.min(Math.max(1, jobs), parts.length) }, one))
}
