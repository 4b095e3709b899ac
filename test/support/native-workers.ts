/**
 * A program whose threads load the addon and end with open sockets in the middle of traffic:
 * `node --expose-gc build/test/support/native-workers.js SEED THREADS`. The main thread has the addon in every second
 * run only, so that in the others it is unloaded and loaded again.
 */
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { nativeUdp } from '../../src/node/native.ts'
import { UdpBatchTransport } from '../../src/node/udp-batch.ts'
import { Prng } from '../../src/sim/prng.ts'

if (isMainThread) await supervise(Number(process.argv[2]), Number(process.argv[3]))
else await work()

async function supervise(seed: number, threads: number): Promise<void> {
  const prng = new Prng(seed)
  if (seed % 2 === 0 && nativeUdp() === undefined) throw new Error('no addon')
  const ends: Record<string, number> = {}
  for (let i = 0; i < threads; i++) {
    const mode = ['terminate', 'terminate', 'exit', 'throw', 'close'][prng.int(0, 4)]!
    const worker = new Worker(fileURLToPath(import.meta.url), {
      workerData: { mode, after: prng.int(1, 400) },
    })
    worker.on('error', (error) => {
      if (error.message !== 'in a callback') throw error
    })
    const exit = new Promise((resolve) => worker.once('exit', resolve))
    await Promise.race([new Promise((resolve) => worker.once('message', resolve)), exit])
    // Somewhere in the middle.
    for (let turns = prng.int(0, 30); turns > 0; turns--)
      await new Promise((resolve) => setImmediate(resolve))
    if (mode === 'terminate') await worker.terminate()
    await exit
    ends[mode] = (ends[mode] ?? 0) + 1
    if (i % 10 === 0) globalThis.gc!()
  }
  console.log(JSON.stringify(ends))
}

async function work(): Promise<void> {
  const { mode, after } = workerData as { mode: string; after: number }
  const open = (): Promise<UdpBatchTransport> => UdpBatchTransport.bind({ address: '127.0.0.1' })
  const [a, b, idle] = [await open(), await open(), await open()]
  let heard = 0
  const end = (): void => {
    if (mode === 'exit') process.exit()
    if (mode === 'throw') throw new Error('in a callback')
    if (mode === 'close') for (const transport of [a, b, idle]) void transport.close()
  }
  for (const transport of [a, b]) {
    transport.start({
      onDatagram: (datagram, peer) => {
        transport.send(datagram, peer)
        if (++heard === after) end()
      },
      onError: () => undefined,
      onClose: () => undefined,
    })
  }
  idle.start({ onDatagram: () => undefined, onError: () => undefined, onClose: () => undefined })
  for (let i = 0; i < 64; i++) a.send(new Uint8Array(200 + (i >> 3)), b.localAddress()!)
  parentPort!.postMessage('running')
}
