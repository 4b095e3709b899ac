/**
 * What stands between an engine's datagram and the transport, per datagram: nothing, the copy that sealing in place
 * needs, FEC with its parity, ciphers; and the same on the way in. Beside the copy the rest is what `fec` and `crypto`
 * measure alone.
 * @module
 */
import { Kcp } from '../src/core/index.ts'
import type { PacketCipher } from '../src/crypto/index.ts'
import { FecKind, fecKind } from '../src/fec/index.ts'
import { aesCipher, aesGcmCipher, nullCipher } from '../src/node/ciphers.ts'
import { type FecOptions, PeerLink, Pipeline, requireFec } from '../src/session/index.ts'
import { type Effort, type Figure, inRounds, type Report, show } from './rounds.ts'

const SIZE = 1376
/** Datagrams between two looks at the clock, and kept for the way in. */
const BATCH = 130

const KEY = new Uint8Array(16).fill(7)
const FEC: FecOptions = { data: 10, parity: 3 }

interface Subject {
  readonly cipher?: PacketCipher
  readonly fec?: FecOptions
}

const SUBJECTS = {
  'as they are': {},
  'a copy': { cipher: nullCipher() },
  'FEC 10/3': { fec: FEC },
  'aes-128': { cipher: aesCipher(KEY) },
  'aes-128-gcm': { cipher: aesGcmCipher(KEY) },
  'FEC 10/3, aes-128': { fec: FEC, cipher: aesCipher(KEY) },
} as const satisfies Readonly<Record<string, Subject>>

export async function benchPipeline(effort: Effort): Promise<Report> {
  const measured = await inRounds(effort, () => {
    const all: Record<string, number> = {}
    for (const [name, subject] of Object.entries<Subject>(SUBJECTS)) {
      const { out, into } = measure(subject, effort.roundMs)
      all[`${name} out`] = out
      all[`${name} in`] = into
    }
    return all
  })
  const lines = Object.keys(SUBJECTS).map((name) => [
    name,
    show(measured[`${name} out`]!.median),
    show(measured[`${name} in`]!.median),
  ])
  return {
    name: 'pipeline',
    what: [
      `ns for a datagram of ${SIZE} bytes from the engine to the transport, and from there to the session: without the`,
      'engine, the session and the system. FEC is counted per data datagram, its parity included.',
    ],
    header: ['', 'out', 'in'],
    lines,
    figures: measured satisfies Readonly<Record<string, Figure>>,
  }
}

function measure({ cipher, fec }: Subject, roundMs: number): { readonly out: number; readonly into: number } {
  let kept: Uint8Array[] | undefined = []
  const link = new PeerLink<string>(
    {
      send: (datagram) => void kept?.push(datagram.slice()),
      start: () => undefined,
      close: () => undefined,
    },
    'bob',
    undefined,
    cipher,
  )
  const pipeline = new Pipeline<string>({
    link,
    conv: 1,
    channels: 1,
    fec: requireFec(fec),
    mtu: SIZE,
    now: () => 0,
    warn: () => undefined,
  })
  pipeline.proven = true
  const kcp = new Kcp(1, null)
  const datagram = new Uint8Array(SIZE)
  datagram[0] = 1
  datagram[4] = 81
  new DataView(datagram.buffer).setUint32(20, SIZE - 24, true)
  const { send } = pipeline
  for (let i = 0; i < BATCH; i++) send(datagram, kcp)
  const wire = kept
  kept = undefined
  const out = timed(roundMs, () => {
    for (let i = 0; i < BATCH; i++) send(datagram, kcp)
    return BATCH
  })

  let taken = 0
  const each = (): void => void taken++
  const take = (plain: Uint8Array): void => {
    const kind = fecKind(plain, 0, plain.length)
    taken++
    if (kind !== FecKind.Bare) pipeline.takeShard(kind, plain, 0, each)
  }
  // Opened where they lie: from a copy each time, which is taken off again.
  const copies = wire.map((one) => one.slice())
  const copying = timed(roundMs, () => {
    for (const [i, one] of wire.entries()) copies[i]!.set(one)
    return BATCH
  })
  const into = timed(roundMs, () => {
    for (const [i, one] of wire.entries()) {
      copies[i]!.set(one)
      link.open(copies[i]!, take)
    }
    return BATCH
  })
  return { out, into: Math.max(0, into - copying) }
}

/** ns for each of what `run` does so many of. */
function timed(ms: number, run: () => number): number {
  let done = 0
  const start = performance.now()
  let now = start
  do {
    done += run()
    now = performance.now()
  } while (now - start < ms)
  return ((now - start) * 1e6) / done
}
