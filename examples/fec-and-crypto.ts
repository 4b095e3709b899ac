/**
 * Sealed datagrams with parity over a path that loses one in ten: what is lost is rebuilt at the other end before anybody
 * has to ask for it. The same options join a kcp-go program. Server and client run in this one process; the loss is a codec.
 *
 *   node build/examples/fec-and-crypto.js
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { aesGcmCipher, connect, type KcpStream, listen, type PacketCodec } from 'kcp-io'

/** Messages each way, and the time between two, ms. */
const MESSAGES = 200
const INTERVAL = 5

/** Both ends need the same of all of these. */
const options = {
  preset: 'kcpGo',
  crypto: aesGcmCipher(randomBytes(16)),
  fec: { data: 3, parity: 1 },
} as const

const server = await listen({ ...options, host: '127.0.0.1' }, echo)
const { port } = server.address()!
const stream = await connect({ ...options, host: '127.0.0.1', port, codec: everyTenthLost() })

stream.on('unreliable', (data) => console.log(`out of band: ${data.toString()}`))
const echoes = (async () => {
  for (let i = 0; i < MESSAGES; i++) await stream.recv()
})()
for (let i = 0; i < MESSAGES; i++) {
  await stream.send(`state ${i}`)
  // The position of a mouse is worth nothing once there is a newer one: no repeats, no order.
  if (i === MESSAGES - 1) for (let copy = 0; copy < 3; copy++) stream.sendUnreliable('mouse at 17,4')
  await sleep(INTERVAL)
}
await echoes
await sleep(20)

const { fec, crypto, fastResends, timeoutResends } = stream.stats()
const theirs = server.stats()
console.log(`${MESSAGES} echoes; ${crypto!.sealed} datagrams sealed, ${fec!.parityOut} of parity sent`)
console.log(`rebuilt from parity: ${theirs.fec.recovered} by the server, ${fec!.recovered} by the client`)
console.log(`sent again: ${fastResends + timeoutResends}`)
stream.destroy()
server.closeAllConnections()
await server.close()

/** Answers each message, and each out-of-band datagram out of band. */
async function echo(peer: KcpStream): Promise<void> {
  peer.on('unreliable', (data) => peer.sendUnreliable(`seen ${data.toString()}`))
  for await (const message of peer) await peer.send(message)
}

/** Stands for a bad path: no change to datagrams, but for those that it swallows. */
function everyTenthLost(): PacketCodec {
  let sent = 0
  let received = 0
  return {
    overhead: 0,
    // The first of a conversation arrive, so that the other end gets to know whose parity this is.
    encode: (datagram) => (++sent % 10 === 0 && sent > 20 ? null : datagram),
    decode: (datagram) => (++received % 10 === 0 && received > 20 ? null : datagram),
  }
}
