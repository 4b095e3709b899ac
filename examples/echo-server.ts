/**
 * Sends back every message that it gets.
 *
 *   node build/examples/echo-server.js [port] [--once]
 *
 * Without a port the system chooses one. Ctrl-C closes every stream gracefully; with `--once` the server ends when its
 * first client has gone.
 */
import { type KcpStream, listen } from 'kcp-io'

const words = process.argv.slice(2)
const once = words.includes('--once')
const port = Number(words.find((word) => !word.startsWith('-')) ?? 0)

const server = await listen({ port, preset: 'fast' }, (stream) => void echo(stream))
process.once('SIGINT', stop)
process.once('SIGTERM', stop)
console.log(`listening on port ${server.address()?.port}`)

async function echo(stream: KcpStream): Promise<void> {
  const who = `${stream.remoteAddress} port ${stream.remotePort}, conv ${stream.conv}`
  console.log(`open: ${who}`)
  stream.on('close', (reason) => {
    console.log(`closed (${reason}): ${who}`)
    if (once) stop()
  })
  try {
    // One chunk is one message. `send` waits while the send queue is full, so a client that does not read slows down
    // its own echo and nothing else.
    for await (const message of stream) await stream.send(message)
  } catch (error) {
    // A client that vanished: 'close' has told its reason already.
    if (stream.closeReason === undefined) throw error
  }
}

/** Says goodbye to every client, then lets go of the port; nothing is left that keeps the process alive. */
function stop(): void {
  void server[Symbol.asyncDispose]()
}
