/**
 * Sends a few messages to an echo server and prints how long each took to come back.
 *
 *   node build/examples/echo-client.js port [host] [count]
 */
import { connect, KcpError } from 'kcp-io'

const [port = '9000', host = '127.0.0.1', count = '5'] = process.argv.slice(2)

try {
  // KCP has no handshake; `waitForPeer` asks until somebody answers, so a wrong port is an error here and not silence.
  const stream = await connect({ port: Number(port), host, preset: 'fast', waitForPeer: 3_000 })
  for (let i = 1; i <= Number(count); i++) {
    const sentAt = performance.now()
    await stream.send(`message ${i}`)
    const answer = await stream.recv()
    if (answer === null) throw new Error('the server closed the stream')
    console.log(`${answer} came back after ${(performance.now() - sentAt).toFixed(1)} ms`)
  }
  const { srtt, rto, datagramsOut, bytesOut } = stream.stats()
  console.log(`srtt ${srtt} ms, rto ${rto} ms; ${datagramsOut} datagrams out, ${bytesOut} bytes`)
  await stream.close()
} catch (error) {
  if (!KcpError.is(error)) throw error
  console.error(`${error.code}: ${error.message}`)
  process.exitCode = 1
}
