/**
 * Two tasks share a stream: a game client writes its player's input in one, and reads the world in the other; neither
 * waits for the other. Server and client run in this one process.
 *
 *   node build/examples/split-halves.js
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type KcpReadHalf, type KcpStream, type KcpWriteHalf, listen } from 'kcp-io'

/** Ticks of the world, and how long one lasts, ms. */
const TICKS = 20
const TICK = 25

const server = await listen({ host: '127.0.0.1', preset: 'turbo' }, (player) => void play(player))
const stream = await connect({ port: server.address()!.port, host: '127.0.0.1', preset: 'turbo' })
const { reader, writer } = stream.split()
const [inputs, snapshots] = await Promise.all([writeInputs(writer), readWorld(reader)])
console.log(`${inputs} inputs sent, ${snapshots} snapshots read`)
await writer.close()
await server.close()
process.exitCode = snapshots === TICKS ? 0 : 1

/** The client's writing task: an input every 10 ms, until the game is over. */
async function writeInputs(writer: KcpWriteHalf): Promise<number> {
  let sent = 0
  for (const until = Date.now() + TICKS * TICK; Date.now() < until; await sleep(10)) {
    // An input that would have to wait is stale by the time it is sent: drop it instead.
    if (writer.trySend(JSON.stringify({ input: sent, pressed: sent % 2 === 0 ? 'left' : 'fire' }))) sent++
  }
  return sent
}

/** The client's reading task: the world as the server tells it. */
async function readWorld(reader: KcpReadHalf): Promise<number> {
  let read = 0
  for await (const message of reader) {
    const { tick, inputs } = JSON.parse(message.toString()) as { tick: number; inputs: number }
    if (++read % 5 === 0) console.log(`tick ${tick}: the server has seen ${inputs} inputs`)
    if (read === TICKS) break
  }
  return read
}

/** The server: the same split, the other way round. */
async function play(player: KcpStream): Promise<void> {
  const { reader, writer } = player.split()
  let inputs = 0
  const counting = (async () => {
    for await (const _input of reader) inputs++
  })()
  for (let tick = 1; tick <= TICKS; tick++) {
    await sleep(TICK)
    await writer.send(JSON.stringify({ tick, inputs }))
  }
  // Ends when the client has closed.
  await counting
}
