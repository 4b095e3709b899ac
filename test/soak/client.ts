/**
 * Clients as a helper process.
 *
 *     silent  `count` of them, half of which ask for data and never read it, half of which send to one who never reads
 *     stay    one that has an echo every 20 ms, until it is killed
 * @module
 */
import { connect, type KcpSessionConfig, type KcpStream } from '../../src/index.ts'
import { sleep } from './part.ts'

interface ClientOptions {
  readonly role: 'silent' | 'stay'
  readonly port: number
  readonly count: number
  readonly localPort?: number
  readonly conv?: number
  readonly config: KcpSessionConfig
}

const { role, port, count, localPort, conv, config } = JSON.parse(process.argv[2]!) as ClientOptions
const tell = (message: object): void => void process.send?.(message)
const closed: Record<string, number> = {}
const open = async (own: object = {}): Promise<KcpStream> => {
  const stream = await connect({ host: '127.0.0.1', port, ...config, ...own })
  stream.on('error', () => undefined)
  stream.once('close', (reason) => {
    closed[reason] = (closed[reason] ?? 0) + 1
    tell({ event: 'closed', conv: stream.conv, reason })
  })
  return stream
}

async function fill(stream: KcpStream): Promise<void> {
  const chunk = Buffer.alloc(1_000)
  for (;;) await stream.send(chunk)
}

process.on('disconnect', () => process.exit())
if (role === 'silent') {
  const streams: KcpStream[] = []
  for (let i = 0; i < count; i++) {
    const stream = await open()
    const pours = i % 2 === 0
    await stream.send(pours ? 'pour' : 'ignore')
    if (!pours) fill(stream).catch(() => undefined)
    streams.push(stream)
    // As fast as a slow machine takes them in: who is not proven within 5 s is forgotten, and tries no more.
    if (i % 10 === 9) await sleep(20)
  }
  process.on('message', (question: string) => {
    const open = streams.filter((stream) => stream.closeReason === undefined).length
    tell({ event: question, open, closed })
  })
  tell({ event: 'silent' })
} else {
  const stream = await open({
    ...(localPort === undefined ? {} : { localPort }),
    ...(conv === undefined ? {} : { conv }),
  })
  await stream.send('echo')
  await stream.recv()
  tell({ event: 'connected', conv: stream.conv, port: stream.localPort })
  try {
    for (let i = 0; ; i++) {
      await stream.send(`echo ${i}`)
      if ((await stream.recv()) === null) break
      await sleep(20)
    }
  } catch {
    // The end was told above.
  }
}
