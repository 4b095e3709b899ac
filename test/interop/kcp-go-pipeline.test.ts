/**
 * Live against kcp-go 5.6.1 with packet ciphers and FEC: both roles, through a relay that loses 0, 10 and 30 % each way;
 * what parity alone carries; and ends that are configured differently.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { readU32 } from '../../src/core/segment.ts'
import { FEC_OVERHEAD, FecKind, fecKind, readSeqid } from '../../src/fec/header.ts'
import {
  aesCipher,
  blowfishCipher,
  cast5Cipher,
  KcpListener,
  type KcpSessionConfig,
  KcpStream,
  type KcpStreamOptions,
  noneCipher,
  OpenResult,
  type PacketCipher,
  type PacketCodec,
  salsa20Cipher,
  sm4Cipher,
  teaCipher,
  tripleDesCipher,
  twofishCipher,
  xorCipher,
  xteaCipher,
} from '../../src/index.ts'
import { startRelay } from '../support/relay.ts'
import { GoPeer, type GoPeerFlags, goPeerBinary, patternMessages } from './go.ts'

const skip = goPeerBinary() === undefined ? 'no kcp-go on this machine' : false

type Role = 'client' | 'server'

/** nodelay, interval, resend, nc: the quickest that kcp-go's users run. */
const nodelay = [1, 10, 2, 1] as const

interface Wire {
  readonly name: string
  /** kcptun's name of the cipher; absent: no header at all. */
  readonly crypt?: string
  readonly keySize?: number
  readonly make?: (key: Uint8Array) => PacketCipher
  readonly fec?: { readonly data: number; readonly parity: number }
  /** Payload bytes of a full segment at an mtu of 1400. */
  readonly mss: number
}

const nil: Wire = { name: 'nil', mss: 1376 }
const none: Wire = { name: 'none', crypt: 'none', make: noneCipher, mss: 1356 }
const aes: Wire = { name: 'aes', crypt: 'aes', keySize: 32, make: aesCipher, mss: 1356 }
const salsa20: Wire = { name: 'salsa20', crypt: 'salsa20', keySize: 32, make: salsa20Cipher, mss: 1356 }
const twofish: Wire = { name: 'twofish', crypt: 'twofish', keySize: 32, make: twofishCipher, mss: 1356 }
const fec103: Wire = { name: 'FEC 10/3', fec: { data: 10, parity: 3 }, mss: 1368 }
const fec31aes: Wire = {
  ...aes,
  name: 'FEC 3/1 and aes',
  keySize: 16,
  fec: { data: 3, parity: 1 },
  mss: 1348,
}

/** The others: one quiet line each. */
const rest: readonly Wire[] = [
  { name: 'blowfish', crypt: 'blowfish', keySize: 32, make: blowfishCipher, mss: 1356 },
  { name: 'cast5', crypt: 'cast5', keySize: 16, make: cast5Cipher, mss: 1356 },
  { name: '3des', crypt: '3des', keySize: 24, make: tripleDesCipher, mss: 1356 },
  { name: 'tea', crypt: 'tea', keySize: 16, make: teaCipher, mss: 1356 },
  { name: 'xtea', crypt: 'xtea', keySize: 16, make: xteaCipher, mss: 1356 },
  { name: 'sm4', crypt: 'sm4', keySize: 16, make: sm4Cipher, mss: 1356 },
  { name: 'xor', crypt: 'xor', keySize: 24, make: xorCipher, mss: 1356 },
]

function keyOf(wire: Wire, seed: number = 5): Buffer {
  return Buffer.from(Array.from({ length: wire.keySize ?? 0 }, (_, i) => (seed + i * 41) & 0xff))
}

/** The same for us and for the peer. */
function ours(wire: Wire, seed?: number): Pick<KcpStreamOptions, 'crypto' | 'fec'> {
  return {
    ...(wire.make === undefined ? {} : { crypto: wire.make(keyOf(wire, seed)) }),
    ...(wire.fec === undefined ? {} : { fec: wire.fec }),
  }
}
function theirs(wire: Wire, seed?: number): Pick<GoPeerFlags, 'crypt' | 'key' | 'data' | 'parity'> {
  return {
    ...(wire.crypt === undefined ? {} : { crypt: wire.crypt, key: keyOf(wire, seed).toString('hex') }),
    ...(wire.fec ?? {}),
  }
}

interface Line {
  readonly stream: KcpStream
  readonly peer: GoPeer
  readonly lost: () => number
}

type Options = KcpSessionConfig & KcpStreamOptions

interface LineOptions {
  readonly role: Role
  readonly loss?: number
  readonly options: Options
  readonly peer: Omit<GoPeerFlags, 'mode' | 'addr'>
}

/** Opens a connection through a relay, hands it to `use`, and closes everything in the end. */
async function withLine(line: LineOptions, use: (line: Line) => Promise<void>): Promise<void> {
  const { role, loss = 0, options } = line
  const flags = { nodelay, ...line.peer }
  const path = { loss, delayMs: 1, jitterMs: 1 }
  const relayTo = (target: { host: string; port: number }) =>
    startRelay({ target, toServer: path, toClient: path, seed: 77 })
  if (role === 'client') {
    await using peer = await GoPeer.start({ mode: 'server', ...flags })
    await using relay = await relayTo(peer.address)
    await using stream = await KcpStream.connect({ host: relay.address, port: relay.port }, options)
    await use({ stream, peer, lost: () => relay.stats().toServer.lost + relay.stats().toClient.lost })
  } else {
    await using listener = await KcpListener.bind('127.0.0.1:0', options)
    await using relay = await relayTo({ host: '127.0.0.1', port: listener.address()!.port })
    const addr = `${relay.address}:${relay.port}`
    await using peer = await GoPeer.start({ mode: 'client', addr, ...flags })
    await using stream = (await listener.accept())!
    await use({ stream, peer, lost: () => relay.stats().toServer.lost + relay.stats().toClient.lost })
  }
}

const sha256 = (messages: readonly Uint8Array[]): string => {
  const hash = createHash('sha256')
  for (const message of messages) hash.update(message)
  return hash.digest('hex')
}

async function readMessages(stream: KcpStream, count: number): Promise<Buffer[]> {
  const messages: Buffer[] = []
  while (messages.length < count) {
    const message = await stream.recv()
    ok(message !== null, `ended after ${messages.length} of ${count}: ${stream.closeReason}`)
    messages.push(message)
  }
  return messages
}

/** Both ends write at the same time, and must read exactly what the other wrote. */
async function exchange(wire: Wire, role: Role, loss: number, count: number): Promise<void> {
  const sizes = [1, 24, 100, 700, wire.mss - 1, wire.mss]
  const messages = patternMessages(count, sizes)
  const bytes = messages.reduce((sum, message) => sum + message.length, 0)
  const peer = { role: 'duplex', count, sizes, bytes, ...theirs(wire) } as const
  const options = { preset: 'kcpGo', ...ours(wire) } as const
  await withLine({ role, loss, options, peer }, async ({ stream, peer, lost }) => {
    equal(stream.config.mtu - 24, wire.mss)
    const [received, done] = await Promise.all([
      readMessages(stream, count),
      peer.next('done'),
      (async () => {
        for (const message of messages) await stream.send(message)
      })(),
    ])
    equal(done.sha256, sha256(messages), 'what kcp-go read')
    deepEqual(
      done.sizes,
      messages.map((message) => message.length),
    )
    equal(sha256(received), done.sentSha256, 'what we read')
    ok(loss === 0 || lost() > 0, 'the relay lost nothing')
    const { crypto, fec } = stream.stats()
    equal(crypto?.refused ?? 0, 0)
    const counters = await peer.counters()
    equal(counters.checksums, 0)
    if (wire.fec === undefined) return
    const { misplaced, unequal, badSize, badPadding, badSegments, malformed } = fec!
    deepEqual([misplaced, unequal, badSize, badPadding, badSegments, malformed], [0, 0, 0, 0, 0, 0])
    ok(fec!.parity > 0 && fec!.parityOut > 0)
    if (loss === 0.1) {
      ok(fec!.recovered > 0, 'we rebuilt nothing')
      ok(counters.recovered! > 0, 'kcp-go rebuilt nothing')
    }
  })
}

describe('kcp-go 5.6.1 with ciphers and FEC', { skip, concurrency: 4 }, () => {
  for (const role of ['client', 'server'] as const) {
    for (const wire of [nil, none, aes, salsa20, twofish, fec103, fec31aes]) {
      for (const loss of [0, 0.1, 0.3]) {
        test(`we are ${role}, ${wire.name}, ${loss * 100} % loss`, { timeout: 60_000 }, () =>
          exchange(wire, role, loss, wire.fec === undefined ? 100 : 250),
        )
      }
    }
  }
  for (const [i, wire] of rest.entries()) {
    const role = i % 2 === 0 ? 'client' : 'server'
    test(`we are ${role}, ${wire.name}`, { timeout: 60_000 }, () => exchange(wire, role, 0, 30))
  }
})

/** A data datagram of this group and place is left out. The first two groups stay whole, so that both ends trust theirs. */
const isLeftOut = (seqid: number, { data, parity }: { data: number; parity: number }): boolean => {
  const group = Math.floor(seqid / (data + parity))
  return group >= 2 && seqid % (data + parity) === group % data
}

/** Leaves out datagrams, of all that go or of all that come; looks into copies, as what passes is sealed. */
class Gap {
  readonly codec: PacketCodec
  /** Segments of datagrams that were left out, and of those that passed. */
  readonly #left = new Set<number>()
  readonly #passed = new Set<number>()
  readonly #wire: Wire
  readonly #cipher: PacketCipher | undefined

  constructor(wire: Wire, way: 'out' | 'in') {
    this.#wire = wire
    this.#cipher = wire.make?.(keyOf(wire))
    this.codec = {
      overhead: 0,
      encode: (datagram) => (way === 'out' && !this.#passes(datagram) ? null : datagram),
      decode: (datagram) => (way === 'in' && !this.#passes(datagram) ? null : datagram),
    }
  }

  /** Segments that no data datagram ever carried past here, repeats included. */
  get alone(): number {
    return [...this.#left].filter((sn) => !this.#passed.has(sn)).length
  }

  #passes(datagram: Uint8Array): boolean {
    // Not slice: of a Buffer that would be no copy.
    const copy = new Uint8Array(datagram)
    const start = this.#cipher?.headroom ?? 0
    if (this.#cipher !== undefined) equal(this.#cipher.open(copy, 0, copy.length), OpenResult.Opened)
    if (fecKind(copy, start, copy.length) !== FecKind.Data) return true
    const passes = !isLeftOut(readSeqid(copy, start), this.#wire.fec!)
    for (let at = start + FEC_OVERHEAD; at < copy.length; at += 24 + readU32(copy, at + 20)) {
      // An empty one is an address challenge.
      if (copy[at + 4] !== 81 || readU32(copy, at + 20) === 0) continue
      const seen = passes ? this.#passed : this.#left
      seen.add(readU32(copy, at + 12))
    }
    return passes
  }
}

describe('kcp-go 5.6.1: parity alone', { skip, concurrency: 4 }, () => {
  for (const role of ['client', 'server'] as const) {
    for (const wire of [fec103, fec31aes]) {
      test(`we are ${role}, ${wire.name}: ours, never sent and never repeated, reach kcp-go`, {
        timeout: 30_000,
      }, async () => {
        const gap = new Gap(wire, 'out')
        const count = 120
        const messages = patternMessages(count, [300, wire.mss, 50])
        const bytes = messages.reduce((sum, message) => sum + message.length, 0)
        const peer = { role: 'duplex', rcv: 256, count: 1, sizes: [1], bytes, ...theirs(wire) } as const
        const options: Options = {
          preset: 'kcpGo',
          // No RTO ends and no skip is counted while the test lasts.
          kcp: { minRto: 20_000, resend: 0, sndWnd: 256 },
          codec: gap.codec,
          ...ours(wire),
        }
        await withLine({ role, options, peer }, async ({ stream, peer }) => {
          // A turn each, so that each message is a datagram; the last groups fill up with ACKs and repeats of nothing.
          for (const message of messages) {
            await stream.send(message)
            await delay(1)
          }
          // Whole groups: what is left out of the last one comes with its parity.
          const done = peer.next('done', 10_000)
          const { data } = wire.fec!
          for (let i = 0; i < data; i++) {
            stream.kcp.probe.askPending = true
            stream.flush()
            await delay(1)
          }
          equal((await done).sha256, sha256(messages))
          ok(gap.alone >= 5, `${gap.alone} left out`)
          const { timeoutResends, fastResends } = stream.stats()
          equal(timeoutResends + fastResends, 0, 'something was sent again')
          ok((await peer.counters()).recovered! >= gap.alone - 1)
        })
      })

      test(`we are ${role}, ${wire.name}: kcp-go's, never seen, reach us`, {
        timeout: 30_000,
      }, async () => {
        const gap = new Gap(wire, 'in')
        // What a socket of the system's size holds at once: nothing else may be lost.
        const count = 60
        const sizes = [300, wire.mss, 50]
        const peer = {
          role: 'duplex',
          snd: 256,
          count: count + 20,
          sizes,
          bytes: 1,
          ...theirs(wire),
          // An RTO is srtt and an interval at least: none ends while the test lasts.
          nodelay: [0, 5000, 0, 1],
        } as const
        const options: Options = {
          preset: 'kcpGo',
          kcp: { rcvWnd: 256 },
          codec: gap.codec,
          ...ours(wire),
        }
        await withLine({ role, options, peer }, async ({ stream }) => {
          await stream.send('x')
          const messages = patternMessages(count, sizes)
          equal(sha256(await readMessages(stream, count)), sha256(messages))
          ok(gap.alone >= 3, `${gap.alone} left out for good`)
          ok(stream.stats().fec!.recovered >= gap.alone - 1)
        })
      })
    }
  }
})

describe('kcp-go 5.6.1, configured differently', { skip, concurrency: 4 }, () => {
  const warnings: string[] = []
  process.on('warning', (warning) => warnings.push(`${(warning as NodeJS.ErrnoException).code}`))

  const strangers: readonly (readonly [string, Wire, Wire, number?])[] = [
    ['another key', aes, aes, 9],
    ['another cipher', aes, salsa20],
    ['a cipher against none', aes, none],
    ['none against nil', none, nil],
    ['nil against a cipher', nil, twofish],
  ]
  for (const [name, mine, other, seed] of strangers) {
    test(`${name}: a kcp-go client is not heard, and we say why`, { timeout: 30_000 }, async () => {
      await using listener = await KcpListener.bind('127.0.0.1:0', { preset: 'kcpGo', ...ours(mine) })
      const said = warnings.length
      const addr = `127.0.0.1:${listener.address()!.port}`
      const role = { role: 'duplex', count: 1, bytes: 1, nodelay, ...theirs(other, seed) } as const
      await using peer = await GoPeer.start({ mode: 'client', addr, ...role })
      void peer
      const { drops } = await until(listener, (stats) => stats.drops.cipher + stats.drops.foreign >= 5)
      equal(listener.stats().accepted, 0)
      equal(mine.make === undefined ? drops.cipher : drops.foreign, 0)
      await delay(10)
      ok(warnings.slice(said).includes('KCP_CIPHER'))
    })

    test(`${name}: we are not heard by a kcp-go server`, { timeout: 30_000 }, async () => {
      await using peer = await GoPeer.start({ mode: 'server', role: 'echo', nodelay, ...theirs(other, seed) })
      const stream = await KcpStream.connect(peer.address, { preset: 'kcpGo', ...ours(mine) })
      await stream.send('hello?')
      // First transmissions, and the first that are repeated.
      while (stream.stats().datagramsOut < 4) await delay(10)
      const { sndBuf, datagramsIn } = stream.stats()
      deepEqual([sndBuf, datagramsIn], [1, 0], 'it was acknowledged')
      if (other.crypt !== undefined) ok((await peer.counters()).checksums! > 0)
      stream.destroy()
    })
  }

  test("kcp-go's FEC has other numbers: its data arrives, nothing false is rebuilt, and we say why", {
    timeout: 30_000,
  }, async () => {
    const said = warnings.length
    const count = 200
    const sizes = [100, 900]
    const flags = { role: 'duplex', count, sizes, bytes: 1, data: 3, parity: 1 } as const
    const options: Options = { preset: 'kcpGo', fec: { data: 10, parity: 3 } }
    await withLine({ role: 'server', loss: 0.1, options, peer: flags }, async ({ stream }) => {
      equal(sha256(await readMessages(stream, count)), sha256(patternMessages(count, sizes)))
      const { fec } = stream.stats()
      equal(fec!.recovered, 0)
      ok(fec!.misplaced > 8)
      await delay(10)
      ok(warnings.slice(said).includes('KCP_FEC'))
    })
  })

  test('autotune finds the numbers of kcp-go', { timeout: 30_000 }, async () => {
    const count = 400
    const sizes = [100, 900]
    const flags = { role: 'duplex', count, sizes, bytes: 1, data: 3, parity: 1 } as const
    const options: Options = { preset: 'kcpGo', fec: { data: 10, parity: 3, autotune: true } }
    await withLine({ role: 'server', loss: 0.1, options, peer: flags }, async ({ stream }) => {
      equal(sha256(await readMessages(stream, count)), sha256(patternMessages(count, sizes)))
      ok(stream.stats().fec!.recovered > 0)
    })
  })

  test('without FEC we take the data of a kcp-go that has it', { timeout: 30_000 }, async () => {
    const count = 100
    const flags = { role: 'duplex', count, sizes: [500], bytes: 1, data: 10, parity: 3 } as const
    await withLine(
      { role: 'client', loss: 0.1, options: { preset: 'kcpGo' }, peer: flags },
      async ({ stream }) => {
        await stream.send('x')
        equal(sha256(await readMessages(stream, count)), sha256(patternMessages(count, [500])))
        const { fec } = stream.stats()
        ok(fec!.data > 0 && fec!.parity > 0 && fec!.recovered === 0)
      },
    )
  })
})

/** Polls a listener's counters. */
async function until(
  listener: KcpListener,
  enough: (stats: ReturnType<KcpListener['stats']>) => boolean,
): Promise<ReturnType<KcpListener['stats']>> {
  for (;;) {
    const stats = listener.stats()
    if (enough(stats)) return stats
    await delay(20)
  }
}
