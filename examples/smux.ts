/**
 * Many streams in one conversation: a large transfer and small questions side by side, as kcptun carries TCP connections.
 *
 *   node build/examples/smux.js
 *
 * Server and client run in this process, over UDP on this machine. A KCP channel each (`channels`) would do for a few
 * streams that are known beforehand; these come and go.
 */
import { once } from 'node:events'
import { connect, KcpSessionConfig, listen, SmuxSession } from 'kcp-io'

// What is multiplexed is a stream of bytes. Version 2 gives each stream a window, so that an unread one holds no other.
const config = KcpSessionConfig.turbo({ kcp: { streamMode: true } })
const smux = { version: 2 } as const

const server = await listen({ ...config, host: '127.0.0.1' }, async (below) => {
  const session = new SmuxSession(below, { role: 'server', ...smux })
  session.on('close', (reason) => console.log(`closed (${reason}) after ${session.stats().accepted} streams`))
  for await (const stream of session) {
    stream.once('data', (command) => {
      if (String(command) === 'everything') stream.end(Buffer.alloc(8_000_000))
      else stream.end(`answer to ${command}`)
    })
  }
})

const below = await connect({ ...config, host: '127.0.0.1', port: server.address()!.port })
const session = new SmuxSession(below, { role: 'client', ...smux })

const bulk = session.open()
bulk.write('everything')
let arrived = 0
bulk.on('data', (bytes) => {
  arrived += bytes.length
})
const whole = once(bulk, 'end')

let answers = 0
for (let i = 0; i < 20; i++) {
  const stream = session.open()
  stream.write(`question ${i}`)
  let answer = ''
  for await (const bytes of stream) answer += String(bytes)
  if (answer === `answer to question ${i}`) answers++
}
await whole
console.log(`${answers} answers while ${arrived} bytes were on their way`)
await session.close()
await server.close()
