/**
 * What real kcp-go and kcptun sent, given to streams of ours as if the network did: each way of each capture, with the
 * ciphers and the FEC that it was recorded with, must come out as the text that was written.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { readU32 } from '../../src/core/segment.ts'
import { FEC_OVERHEAD, FecKind, fecKind } from '../../src/fec/header.ts'
import {
  aesCipher,
  aesGcmCipher,
  blowfishCipher,
  cast5Cipher,
  chacha20Poly1305Cipher,
  type KcpStream,
  noneCipher,
  OpenResult,
  type PacketCipher,
  salsa20Cipher,
  sm4Cipher,
  teaCipher,
  tripleDesCipher,
  twofishCipher,
  xorCipher,
  xteaCipher,
} from '../../src/index.ts'
import { SERVER, World } from '../support/pair.ts'

const FOLDERS = ['kcpgo', 'kcpgo-crypto', 'kcpgo-plain'].map((name) => `test/vectors/${name}`)

/** Its numbers lie askew on purpose. */
const MISALIGNED = 'fec-misaligned-5.6.12'
/** One end has no FEC, and kcp-go's read what nobody wrote. */
const HAZARD = 'autotune-hazard'

/**
 * The second datagram was lost, and kcp-go rebuilt it at once. Ours does not believe so early, does not acknowledge, and
 * would get it again; a recording cannot send again.
 */
const EARLY = 'kcpgo/fec-3-1-aes-128-loss'

const CIPHERS: Readonly<Record<string, (key: Uint8Array) => PacketCipher>> = {
  aes: aesCipher,
  'aes-gcm': aesGcmCipher,
  'chacha20-poly1305': chacha20Poly1305Cipher,
  sm4: sm4Cipher,
  '3des': tripleDesCipher,
  salsa20: salsa20Cipher,
  xor: xorCipher,
  tea: teaCipher,
  xtea: xteaCipher,
  blowfish: blowfishCipher,
  twofish: twofishCipher,
  cast5: cast5Cipher,
  none: noneCipher,
}

type Way = 'c2s' | 's2c'

interface File {
  readonly params?: { readonly crypt: string; readonly keyHex: string | null }
  readonly crypt?: string
  readonly cipher?: string
  readonly keyHex?: string
  readonly cipherKeyHex?: string
  readonly plaintext?: { readonly c2sWrites: readonly string[]; readonly s2cReads?: readonly string[] | null }
  readonly sent?: Readonly<Record<Way, string>>
  readonly datagrams?: readonly { readonly dir: Way; readonly hex: string; readonly dropped?: boolean }[]
}

interface Replay {
  readonly name: string
  readonly way: Way
  readonly cipher: PacketCipher | undefined
  readonly datagrams: readonly Buffer[]
  /** What was written that way; undefined where it was not recorded. */
  readonly text: Buffer | undefined
}

function replays(): Replay[] {
  const all: Replay[] = []
  for (const folder of FOLDERS) {
    for (const file of readdirSync(folder).filter((one) => one.endsWith('.gz'))) {
      const recorded = JSON.parse(gunzipSync(readFileSync(`${folder}/${file}`)).toString()) as File
      if (recorded.datagrams === undefined) continue
      for (const way of ['c2s', 's2c'] as const) {
        const datagrams = recorded.datagrams
          .filter((one) => one.dir === way && one.dropped !== true)
          .map(({ hex }) => Buffer.from(hex, 'hex'))
        // No client of ours has the conv 0.
        if (datagrams.length === 0 || (way === 's2c' && file.startsWith('c-ikcp'))) continue
        const name = `${folder.replace(/.*\//, '')}/${file.replace('.json.gz', '')}`
        all.push({ name, way, cipher: cipherOf(recorded), datagrams, text: textOf(recorded, way) })
      }
    }
  }
  return all
}

function cipherOf(file: File): PacketCipher | undefined {
  const crypt = file.params?.crypt ?? file.crypt ?? file.cipher!
  if (crypt === 'nil') return undefined
  const key = file.params?.keyHex ?? file.cipherKeyHex ?? file.keyHex ?? ''
  // kcptun's names imply a size, which the recorded key has.
  return CIPHERS[crypt.replace(/^aes-\d+$/, 'aes')]!(Buffer.from(key, 'hex'))
}

/** All of these were echoes, but for those without reads. */
function textOf(file: File, way: Way): Buffer | undefined {
  if (file.sent !== undefined) return Buffer.from(file.sent[way], 'hex')
  const { plaintext } = file
  if (plaintext === undefined || (way === 's2c' && plaintext.s2cReads == null)) return undefined
  return Buffer.from(plaintext.c2sWrites.join(''), 'hex')
}

/** The first conversation that a datagram with segments names. */
function convOf({ cipher, datagrams }: Replay): number {
  for (const datagram of datagrams) {
    const copy = new Uint8Array(datagram)
    const start = cipher?.headroom ?? 0
    if (cipher !== undefined) equal(cipher.open(copy, 0, copy.length), OpenResult.Opened)
    const kind = fecKind(copy, start, copy.length - (cipher?.tailroom ?? 0))
    if (kind === FecKind.Bare) return readU32(copy, start)
    if (kind === FecKind.Data) return readU32(copy, start + FEC_OVERHEAD)
  }
  throw new Error('no segments')
}

/** Its numbers as the name tells them; kcptun's are 10 and 3 unless it had none. */
function fecOf(name: string): { readonly data: number; readonly parity: number } | undefined {
  const numbers = /fec-(\d+)-(\d+)|parity-(\d)-(\d)|wrap-(\d)-(\d)/.exec(name)?.slice(1).filter(Boolean)
  if (numbers !== undefined) return { data: Number(numbers[0]), parity: Number(numbers[1]) }
  if (name.includes('kcptun') && !name.includes('nofec')) return { data: 10, parity: 3 }
  if (name.includes('oob')) return { data: 3, parity: 1 }
  return name.includes(MISALIGNED) ? { data: 2, parity: 1 } : undefined
}

/** Everything that a stream of ours makes of a capture. */
async function replay(one: Replay): Promise<{ stream: KcpStream; text: Buffer; unreliable: Buffer[] }> {
  const world = new World()
  const fec = fecOf(one.name)
  const options = {
    preset: 'kcpGo',
    // Their peer had sent what una acknowledges; ours did not.
    kcp: { rcvWnd: 1024, hardening: { strictUna: false } },
    maxRecvBytes: 2 ** 24,
    idleTimeout: 0,
    ...(one.cipher === undefined ? {} : { crypto: one.cipher }),
    ...(fec === undefined ? {} : { fec }),
  } as const
  let stream: KcpStream
  const chunks: Buffer[] = []
  const unreliable: Buffer[] = []
  const listen = (made: KcpStream): void => {
    stream = made
    made.on('data', (chunk: Buffer) => void chunks.push(chunk))
    made.on('unreliable', (payload) => void unreliable.push(payload))
  }
  let to = SERVER
  let from = { address: 'client', port: 1 }
  if (one.way === 'c2s') await world.listen(options, listen)
  else {
    world.endpoint(SERVER.address, SERVER.port)
    const client = await world.connect({ ...options, conv: convOf(one) })
    listen(client)
    from = SERVER
    to = { address: 'client', port: client.localPort! }
  }
  for (const datagram of one.datagrams) {
    world.network.inject(new Uint8Array(datagram), from, to)
    await world.run(5)
  }
  await world.run(100)
  return { stream: stream!, text: Buffer.concat(chunks), unreliable }
}

const all = replays()
let recovered = 0

test('the captures are there', () => {
  ok(all.length >= 2 * 60, `${all.length} ways`)
  ok(all.filter(({ text }) => text !== undefined).length >= 45)
})

for (const one of all) {
  test(`${one.name} ${one.way}`, async () => {
    const { stream, text, unreliable } = await replay(one)
    equal(stream.closeReason, undefined)
    if (one.name === EARLY && one.way === 's2c') ok(one.text!.subarray(0, text.length).equals(text))
    else if (one.text !== undefined) {
      ok(text.equals(one.text), `${text.length} of ${one.text.length} bytes, or others`)
    }
    const { crypto, fec, inputErrors } = stream.stats()
    equal(inputErrors, 0)
    equal(crypto?.opened ?? one.datagrams.length, one.datagrams.length)
    equal(crypto?.refused ?? 0, 0)
    if (fec !== undefined) {
      const { misplaced, malformed, badSize, badPadding, badSegments, unequal } = fec
      const unfit = [misplaced, badSize, badPadding, badSegments, unequal]
      equal(malformed, 0)
      if (!one.name.includes(MISALIGNED)) deepEqual(unfit, [0, 0, 0, 0, 0])
      recovered += fec.recovered
    }
    if (one.name.includes('kcptun')) {
      // Snappy's identifier, or the version and the command of a smux frame.
      const begins = ['ff060000734e61507059', '0100', '0102', '0200', '0202', '0204']
      ok(begins.some((hex) => text.toString('hex').startsWith(hex)))
    }
    if (one.name.includes(HAZARD) && one.way === 's2c') ok(fec!.parity > 0, 'parity came, and was left alone')
    if (one.name.includes('oob') && one.way === 'c2s') {
      equal(text.toString(), 'reliable')
      deepEqual(
        unreliable.map((payload) => payload.length),
        [5, 0, stream.maxUnreliableSize],
      )
      equal(unreliable[0]!.toString(), 'hello')
    }
  })
}

test('what the network had lost was rebuilt from parity', () => {
  ok(recovered > 0, 'nothing was')
})
