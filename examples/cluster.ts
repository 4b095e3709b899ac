/**
 * One port, several processes: each client stays with one worker, and a worker that dies takes only its own clients
 * with it. Needs the addon (Linux).
 *
 *   node build/examples/cluster.js [port] [workers]
 *
 * Every message comes back with the number of the process that answered. Ctrl-C stops all of them.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { type KcpListenerStats, type KcpStream, listen, PortGroup, totalStats } from 'kcp-io'

/** The descriptor that a worker finds its socket at: behind stdin, stdout, stderr and the channel to its parent. */
const SOCKET_FD = 4
/** How often a worker tells its figures, ms. */
const REPORT_EVERY = 200

if (process.send === undefined) await supervise(Number(process.argv[2] ?? 0), Number(process.argv[3] ?? 0))
else await work()

async function supervise(port: number, wished: number): Promise<void> {
  const workers = wished > 0 ? wished : availableParallelism()
  // The sockets belong to this process, which only watches: they outlive every worker.
  const group = await PortGroup.open({ port, size: workers })
  const reports = new Map<number, KcpListenerStats>()
  const children = new Map<number, ChildProcess>()
  let stopping = false
  let told = ''

  const start = (fd: number): void => {
    const child = fork(fileURLToPath(import.meta.url), [], {
      stdio: ['inherit', 'inherit', 'inherit', 'ipc', fd],
    })
    children.set(fd, child)
    child.on('message', (stats) => {
      reports.set(fd, stats as KcpListenerStats)
      const { sessions, accepted } = totalStats(reports.values())
      const line = `all workers: ${sessions} sessions, ${accepted} accepted`
      if (line !== told) console.log((told = line))
    })
    child.on('exit', (code, signal) => {
      reports.delete(fd)
      children.delete(fd)
      if (stopping) return
      console.log(`worker ${child.pid} ended (${signal ?? code}); another takes its socket over`)
      start(fd)
    })
    console.log(`worker ${child.pid} started`)
  }
  for (const fd of group.fds) start(fd)

  const stop = (): void => {
    stopping = true
    for (const child of children.values()) child.kill('SIGTERM')
    void group.close()
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  console.log(`listening on port ${group.address()?.port} with ${workers} workers`)
}

async function work(): Promise<void> {
  const listener = await listen({ fd: SOCKET_FD, preset: 'fast' }, (stream) => void echo(stream))
  const timer = setInterval(() => process.send?.(listener.stats()), REPORT_EVERY)
  const stop = (): void => {
    clearInterval(timer)
    void listener[Symbol.asyncDispose]().then(() => process.disconnect())
  }
  process.once('SIGTERM', stop)
  // Ctrl-C reaches the whole group of processes; the supervisor says when to stop.
  process.on('SIGINT', () => undefined)
  process.once('disconnect', () => process.exit())
}

async function echo(stream: KcpStream): Promise<void> {
  try {
    for await (const message of stream) await stream.send(`${process.pid}: ${message}`)
  } catch (error) {
    // A client that vanished: 'close' tells the reason.
    if (stream.closeReason === undefined) throw error
  }
}
