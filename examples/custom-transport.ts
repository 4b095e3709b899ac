/**
 * KCP over a transport of your own, with every datagram encrypted. The transport here is a UDP socket that loses one
 * datagram in ten on purpose; anything that moves datagrams fits the same shape. The encryption is a PacketCodec.
 *
 *   node build/examples/custom-transport.js
 *
 * What this codec gives: nobody without the key can read, change or make a datagram, or send one of yours back to you.
 * What it does not: datagrams can be recorded and played again (the engine drops what it has seen, but a whole
 * conversation can be repeated to a server), and whoever gets the key can read what was recorded. Systems that need
 * more need a handshake that agrees on fresh keys.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import {
  connect,
  type DatagramHandler,
  type DatagramTransport,
  KcpError,
  listen,
  type PacketCodec,
  type PeerAddress,
} from 'kcp-io'

/** Everything that a transport must do: send and forget, hand up what arrives, and close. */
class LossyUdp implements DatagramTransport {
  /** Bytes of the last datagram on the wire, for the curious. */
  last: Uint8Array = new Uint8Array(0)
  sent = 0
  lost = 0
  readonly #socket: Socket

  constructor(socket: Socket) {
    this.#socket = socket
  }

  static async bind(): Promise<LossyUdp> {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    return new LossyUdp(socket)
  }

  send(datagram: Uint8Array, peer: PeerAddress): void {
    if (++this.sent % 10 === 0) {
      this.lost++
      return
    }
    // The bytes are lent for this call, and a socket may hold what it is given: copy.
    this.last = Uint8Array.from(datagram)
    this.#socket.send(this.last, peer.port, peer.address, () => undefined)
  }

  start(handler: DatagramHandler): void {
    this.#socket.on('message', (datagram, peer) => handler.onDatagram(datagram, peer))
    this.#socket.on('error', (error) => handler.onError(error))
    this.#socket.on('close', () => handler.onClose())
  }

  close(): void {
    this.#socket.close()
  }

  localAddress(): PeerAddress {
    return this.#socket.address() as PeerAddress & { family: 'IPv4' }
  }
}

const NONCE = 12
const TAG = 16

/**
 * nonce 12 | ciphertext | tag 16, AES-256-GCM. Each direction has a key of its own, or a datagram could be sent back
 * to its sender as the peer's. Nonces are random: change the secret long before 2^32 datagrams.
 */
function sealed(secret: Uint8Array, role: 'client' | 'server'): PacketCodec {
  const keyOf = (from: string): Uint8Array =>
    new Uint8Array(hkdfSync('sha256', secret, '', `from ${from}`, 32))
  const sendKey = keyOf(role)
  const receiveKey = keyOf(role === 'client' ? 'server' : 'client')
  return {
    // Taken off the mtu, so that sealed datagrams are no longer than plain ones would be.
    overhead: NONCE + TAG,
    encode(datagram) {
      const nonce = randomBytes(NONCE)
      const cipher = createCipheriv('aes-256-gcm', sendKey, nonce)
      return Buffer.concat([nonce, cipher.update(datagram), cipher.final(), cipher.getAuthTag()])
    },
    decode(datagram) {
      if (datagram.length < NONCE + TAG) return null
      const nonce = datagram.subarray(0, NONCE)
      const decipher = createDecipheriv('aes-256-gcm', receiveKey, nonce)
      decipher.setAuthTag(datagram.subarray(-TAG))
      const plain = decipher.update(datagram.subarray(NONCE, -TAG))
      try {
        decipher.final()
      } catch {
        // Forged, damaged, or another key: dropped without an answer, and counted.
        return null
      }
      return plain
    },
  }
}

const secret = randomBytes(32)
const serverSide = await LossyUdp.bind()
const server = await listen(
  { transport: serverSide, ownsTransport: true, codec: sealed(secret, 'server'), preset: 'fast' },
  async (stream) => {
    for await (const message of stream) await stream.send(`echo of ${message}`)
  },
)
const { address: host, port } = serverSide.localAddress()

const clientSide = await LossyUdp.bind()
const stream = await connect({
  host,
  port,
  transport: clientSide,
  ownsTransport: true,
  codec: sealed(secret, 'client'),
  preset: 'fast',
})
for (let i = 1; i <= 50; i++) {
  await stream.send(`secret ${i}`)
  const answer = String(await stream.recv())
  if (answer !== `echo of secret ${i}`) throw new Error(`expected the echo of ${i}, got ${answer}`)
}
console.log(`50 echoes; the client sent ${clientSide.sent} datagrams, of which ${clientSide.lost} were lost`)
console.log(`on the wire: ${Buffer.from(clientSide.last).toString('hex').slice(0, 48)}…`)
await stream.close()

// Without the secret there is nobody to talk to.
const stranger = await LossyUdp.bind()
try {
  await connect({
    host,
    port,
    transport: stranger,
    ownsTransport: true,
    codec: sealed(randomBytes(32), 'client'),
    waitForPeer: 500,
  })
} catch (error) {
  if (!KcpError.is(error, 'ERR_KCP_TIMEOUT')) throw error
  console.log(
    `a stranger: ${error.message}; the server dropped ${server.stats().drops.codec} of its datagrams`,
  )
}
await server.close()
