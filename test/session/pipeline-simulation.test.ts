/**
 * Conversations with random FEC, ciphers, codecs and channels over bad links: what is written must arrive, once and in
 * order, whatever the two ends have in common beyond cipher and codec. A seed in a failure's name repeats it.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import {
  aesCipher,
  aesGcmCipher,
  chacha20Poly1305Cipher,
  type FecOptions,
  type KcpStream,
  noneCipher,
  nullCipher,
  type PacketCipher,
  type PacketCodec,
  salsa20Cipher,
} from '../../src/index.ts'
import { Prng } from '../../src/sim/index.ts'
import { type PairOptions, pattern, World } from '../support/pair.ts'

const SEEDS = 40
const KEY = pattern(32, 1)

const CIPHERS: readonly (() => PacketCipher | undefined)[] = [
  () => undefined,
  noneCipher,
  nullCipher,
  () => aesCipher(KEY),
  () => salsa20Cipher(KEY),
  () => aesGcmCipher(KEY),
  () => chacha20Poly1305Cipher(KEY),
]

/** A codec that adds a byte and now and then loses a datagram. */
function lossy(prng: Prng): PacketCodec {
  return {
    overhead: 1,
    encode: (datagram) => (prng.chance(0.02) ? null : Uint8Array.of(1, ...datagram)),
    decode: (datagram) => (datagram[0] === 1 ? datagram.slice(1) : null),
  }
}

function anyFec(prng: Prng): FecOptions | undefined {
  if (prng.chance(0.25)) return undefined
  const data = prng.int(1, 12)
  return { data, parity: prng.int(1, 4), autotune: prng.chance(0.3) }
}

interface Story {
  readonly told: string
  readonly world: World
  readonly options: PairOptions
  readonly sameFec: boolean
}

function invent(seed: number): Story {
  const prng = new Prng(seed)
  const loss = prng.int(0, 30) / 100
  const delayMs = prng.int(1, 60)
  const cipher = CIPHERS[prng.int(0, CIPHERS.length - 1)]!()
  const mine = anyFec(prng)
  // Mostly both ends have the same numbers.
  const theirs = prng.chance(0.7) ? mine : anyFec(prng)
  const channels = prng.chance(0.3) ? prng.int(2, 4) : 1
  const mtu = prng.int(200, 1500)
  const codec = prng.chance(0.3) ? lossy(prng) : undefined
  const lossDetection = prng.chance(0.5) ? 'time' : 'count'
  const both = {
    preset: prng.chance(0.5) ? 'kcpGo' : 'fast',
    channels,
    idleTimeout: 0,
    lifecycle: 'fin',
    kcp: { mtu, lossDetection },
    ...(cipher === undefined ? {} : { crypto: cipher }),
    ...(codec === undefined ? {} : { codec }),
  } as const
  const duplicate = prng.int(0, 5) / 100
  const link = { delayMs, jitterMs: prng.int(0, delayMs), loss, duplicate }
  return {
    told: `seed ${seed}: ${JSON.stringify({ loss, delayMs, mine, theirs, channels, mtu, headroom: cipher?.headroom })}`,
    world: new World({ link, seed }),
    options: {
      ...both,
      client: mine === undefined ? {} : { fec: mine },
      server: theirs === undefined ? {} : { fec: theirs },
    },
    sameFec: JSON.stringify(mine) === JSON.stringify(theirs),
  }
}

async function write(stream: KcpStream, salt: number, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await stream.send(pattern(1 + ((i * 131) % 2500), salt + i))
}

async function read(stream: KcpStream, salt: number, count: number, told: string): Promise<void> {
  for (let i = 0; i < count; i++) {
    const message = await stream.recv()
    ok(message?.equals(pattern(1 + ((i * 131) % 2500), salt + i)), `message ${i} of ${told}`)
  }
}

const recovered = { same: 0, others: 0 }

// Ends with other numbers say so, which is no news here.
process.removeAllListeners('warning')
process.on('warning', () => undefined)

test(`${SEEDS} conversations`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { told, world, options, sameFec } = invent(seed)
    try {
      const { client, server } = await world.pair(options)
      const unreliable: string[] = []
      for (const stream of [client, server]) {
        stream.on('unreliable', (data) => void unreliable.push(data.toString()))
        if (stream.maxUnreliableSize >= 0) stream.sendUnreliable(`seed ${seed}`)
      }
      const count = 40
      const work: Promise<void>[] = []
      for (const [i, near] of client.channels.entries()) {
        const far = server.channels[i]!
        work.push(write(near, i, count), read(far, i, count, told))
        work.push(write(far, 9 * i, count), read(near, 9 * i, count, told))
      }
      await world.within(Promise.all(work), 300_000)
      for (const text of unreliable) equal(text, `seed ${seed}`)
      for (const { fec } of [client.stats(), server.stats()]) {
        if (fec === undefined) continue
        recovered[sameFec ? 'same' : 'others'] += fec.recovered
        if (sameFec) {
          const { misplaced, unequal, badSize, badPadding, badSegments, malformed } = fec
          deepEqual([misplaced, unequal, badSize, badPadding, badSegments, malformed], [0, 0, 0, 0, 0, 0])
        }
      }
      await world.within(client.close())
    } catch (error) {
      throw new Error(told, { cause: error })
    }
  }
  ok(recovered.same > 300, JSON.stringify(recovered))
})
