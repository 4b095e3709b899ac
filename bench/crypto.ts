/**
 * What packet ciphers cost per datagram: ours as Node has them, ours without OpenSSL as a browser has them, kcp-go's
 * (`peers/crypto`, when this machine can build it), and what OpenSSL alone takes for as many bytes of a long text.
 *
 * Each cipher has processes of its own, because a program has one cipher, and V8 optimises code for what it sees.
 * @module
 */
import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process'
import { type CipherGCMTypes, createCipheriv } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import {
  Aes,
  aeadPackets,
  aesGcm,
  cfb,
  chacha20Poly1305,
  classicPackets,
  type FillRandom,
  OpenResult,
  type PacketCipher,
  Sm4,
  TripleDes,
} from '../src/crypto/index.ts'
import {
  aesCipher,
  aesGcmCipher,
  blowfishCipher,
  cast5Cipher,
  chacha20Poly1305Cipher,
  noneCipher,
  salsa20Cipher,
  sm4Cipher,
  teaCipher,
  tripleDesCipher,
  twofishCipher,
  xorCipher,
  xteaCipher,
} from '../src/node/ciphers.ts'
import { root } from './root.ts'
import { type Effort, type Figure, figureOf, type Report, show } from './rounds.ts'

/** Bytes of a datagram, overhead included. */
const SIZE = 1400
/** Datagrams sealed one after another, and then opened. */
const RING = 64

/** Datagrams' worth of text for OpenSSL at once: a call hardly counts, and the result is no burden to the allocator. */
const BULK = 8

const KEY = Uint8Array.from({ length: 32 }, (_, i) => 31 * i + 7)
const key = (size: number): Uint8Array => KEY.subarray(0, size)

interface Subject {
  readonly node: () => PacketCipher
  /** The same in pure TypeScript, where Node's is OpenSSL. */
  readonly pure?: () => PacketCipher
  /** OpenSSL's name. */
  readonly openssl?: string
}

const aead = (
  make: (own: Uint8Array) => PacketCipher,
  pure: typeof aesGcm,
  size: number,
  name: string,
): Subject => ({
  node: () => make(key(size)),
  pure: () => aeadPackets(pure(key(size)), pseudoRandom),
  openssl: name,
})

const SUBJECTS: Readonly<Record<string, Subject>> = {
  none: { node: noneCipher },
  'aes-128': {
    node: () => aesCipher(key(16)),
    pure: () => classicPackets(cfb(new Aes(key(16))), pseudoRandom),
    openssl: 'aes-128-cfb',
  },
  'aes-256': {
    node: () => aesCipher(key(32)),
    pure: () => classicPackets(cfb(new Aes(key(32))), pseudoRandom),
    openssl: 'aes-256-cfb',
  },
  sm4: {
    node: () => sm4Cipher(key(16)),
    pure: () => classicPackets(cfb(new Sm4(key(16))), pseudoRandom),
    openssl: 'sm4-cfb',
  },
  '3des': {
    node: () => tripleDesCipher(key(24)),
    pure: () => classicPackets(cfb(new TripleDes(key(24))), pseudoRandom),
    openssl: 'des-ede3-cfb',
  },
  salsa20: { node: () => salsa20Cipher(key(32)) },
  xor: { node: () => xorCipher(key(32)) },
  tea: { node: () => teaCipher(key(16)) },
  xtea: { node: () => xteaCipher(key(16)) },
  blowfish: { node: () => blowfishCipher(key(32)) },
  twofish: { node: () => twofishCipher(key(32)) },
  cast5: { node: () => cast5Cipher(key(16)) },
  'aes-128-gcm': aead(aesGcmCipher, aesGcm, 16, 'aes-128-gcm'),
  'aes-256-gcm': aead(aesGcmCipher, aesGcm, 32, 'aes-256-gcm'),
  'chacha20-poly1305': aead(chacha20Poly1305Cipher, chacha20Poly1305, 32, 'chacha20-poly1305'),
}

/** Stands in for a browser's pool of randomness: costs what copying from one costs. */
const pseudoRandom: FillRandom = (bytes, start, end) => {
  for (let i = start; i < end; i++) bytes[i] = KEY[i & 31]!
}

/** µs for one datagram. */
interface Cost {
  readonly seal: number
  readonly open: number
}

type Rounds = Readonly<Record<string, readonly Cost[]>>

export async function benchCrypto(
  effort: Effort,
  names: readonly string[] = Object.keys(SUBJECTS),
): Promise<Report> {
  const go = buildGo()
  const lines: string[][] = []
  const figures: object[] = []
  for (const name of names) {
    const rounds = await compare(name, effort, go)
    const openssl = opensslAlone(SUBJECTS[name]!.openssl, effort)
    const figure = (who: string, what: keyof Cost): Figure | undefined =>
      rounds[who] && figureOf(rounds[who].map((cost) => cost[what]))
    const ratio = (what: keyof Cost): Figure | undefined =>
      rounds['go'] && figureOf(rounds['go'].map((cost, i) => rounds['node']![i]![what] / cost[what]))
    const both = (who: string): string[] => [cell(figure(who, 'seal')), cell(figure(who, 'open'))]
    lines.push([
      name,
      ...both('node'),
      openssl === undefined ? '–' : show(openssl),
      ...both('go'),
      cell(ratio('seal')),
      cell(ratio('open')),
      ...both('pure'),
    ])
    figures.push({
      cipher: name,
      node: { seal: figure('node', 'seal'), open: figure('node', 'open') },
      go: { seal: figure('go', 'seal'), open: figure('go', 'open') },
      perGo: { seal: ratio('seal'), open: ratio('open') },
      pure: { seal: figure('pure', 'seal'), open: figure('pure', 'open') },
      openssl,
    })
  }
  return {
    name: 'crypto',
    what: [
      `µs to seal and to open one datagram of ${SIZE} bytes: nonce, checksum or tag, and cipher; medians.`,
      'OpenSSL alone: as many bytes of a long text, encrypted with one object. Pure: without OpenSSL; where that',
      "column is empty, ours always is. The AEADs of the column kcp-go are those of Go, as Debian's kcp-go has none.",
      ...(go === undefined
        ? ['kcp-go is missing: apt-get install golang-go golang-github-xtaci-kcp-dev']
        : []),
    ],
    header: [
      ...['cipher', 'seal', 'open', 'OpenSSL alone', 'kcp-go seal', 'open', 'seal / kcp-go', 'open / kcp-go'],
      ...['pure seal', 'open'],
    ],
    lines,
    figures,
  }
}

function cell(figure: Figure | undefined): string {
  return figure === undefined ? '–' : show(figure.median)
}

/** All that seal and open this cipher, in turn within each round; the first round warms up. */
async function compare(name: string, { rounds, roundMs }: Effort, go: string | undefined): Promise<Rounds> {
  const runners = new Map<string, Runner>()
  try {
    runners.set('node', new ChildRunner('node', name))
    if (SUBJECTS[name]!.pure !== undefined) runners.set('pure', new ChildRunner('pure', name))
    if (go !== undefined) runners.set('go', new GoRunner(go, name))
    const costs: Record<string, Cost[]> = {}
    for (let round = 0; round <= rounds; round++) {
      for (const [who, runner] of runners) {
        const cost = await runner.run(roundMs)
        if (round > 0) (costs[who] ??= []).push(cost)
      }
    }
    return costs
  } finally {
    for (const runner of runners.values()) runner.stop()
  }
}

interface Runner {
  run(ms: number): Promise<Cost>
  stop(): void
}

/** This file again, in a process of its own. */
class ChildRunner implements Runner {
  readonly #child: ChildProcess
  readonly #failed: Promise<never>

  constructor(how: string, name: string) {
    this.#child = fork(fileURLToPath(import.meta.url), [how, name], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#failed = failed(this.#child)
  }

  async run(ms: number): Promise<Cost> {
    this.#child.send(ms)
    const [cost] = (await Promise.race([once(this.#child, 'message'), this.#failed])) as [Cost]
    return cost
  }

  stop(): void {
    this.#child.kill()
  }
}

class GoRunner implements Runner {
  readonly #child: ChildProcess
  readonly #failed: Promise<never>
  readonly #lines: NodeJS.EventEmitter

  constructor(binary: string, name: string) {
    this.#child = spawn(binary, [name, String(SIZE)], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#failed = failed(this.#child)
    this.#lines = createInterface({ input: this.#child.stdout! })
  }

  async run(ms: number): Promise<Cost> {
    this.#child.stdin!.write(`${ms}\n`)
    const [line] = (await Promise.race([once(this.#lines, 'line'), this.#failed])) as [string]
    return JSON.parse(line) as Cost
  }

  stop(): void {
    this.#child.kill()
  }
}

/** Rejects when the process ends. */
function failed(child: ChildProcess): Promise<never> {
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`${child.spawnargs.join(' ')} ended with ${signal ?? code}`)
  })
  // It ends in any case, mostly when nobody waits any more.
  ended.catch(() => {})
  return ended
}

/** Seals a ring of datagrams and opens it again, for `ms`. */
function measure(cipher: PacketCipher, ms: number): Cost {
  const { headroom, tailroom } = cipher
  const ring = Array.from({ length: RING }, () => new Uint8Array(SIZE).fill(0x5a))
  let seal = 0
  let open = 0
  let count = 0
  while (seal + open < ms) {
    const began = performance.now()
    for (const datagram of ring) cipher.seal(datagram, headroom, SIZE - tailroom)
    const between = performance.now()
    for (const datagram of ring) {
      if (cipher.open(datagram, 0, SIZE) !== OpenResult.Opened) throw new Error('not opened')
    }
    seal += between - began
    open += performance.now() - between
    count += RING
  }
  return { seal: (seal * 1e3) / count, open: (open * 1e3) / count }
}

/** µs that OpenSSL takes for a datagram's bytes when it gets some at once; undefined when it lacks the cipher. */
function opensslAlone(name: string | undefined, { rounds, roundMs }: Effort): number | undefined {
  if (name === undefined) return undefined
  const text = new Uint8Array(BULK * SIZE)
  const size = /128|sm4/.test(name) ? 16 : name.includes('des') ? 24 : 32
  const ivSize = /gcm|poly/.test(name) ? 12 : name.includes('des') ? 8 : 16
  try {
    // The same call for all of them; Node's types tell AEADs apart.
    const cipher = createCipheriv(name as CipherGCMTypes, key(size), new Uint8Array(ivSize), {
      authTagLength: 16,
    })
    const values: number[] = []
    for (let round = 0; round <= rounds; round++) {
      let count = 0
      const began = performance.now()
      let elapsed = 0
      for (; elapsed < roundMs / 4; elapsed = performance.now() - began) {
        cipher.update(text)
        count += BULK
      }
      values.push((elapsed * 1e3) / count)
    }
    return figureOf(values.slice(1)).median
  } catch {
    return undefined
  }
}

/** Where Debian keeps the sources of Go packages. */
const GOPATH = '/usr/share/gocode'

/** The Go program, built if need be; undefined where it cannot be built. */
function buildGo(): string | undefined {
  if (!existsSync(join(GOPATH, 'src/github.com/xtaci/kcp-go'))) return undefined
  const source = join(root, 'bench/peers/crypto')
  const binary = join(root, 'build/bench/peers/kcp-go-crypto')
  if (existsSync(binary) && statSync(join(source, 'main.go')).mtimeMs < statSync(binary).mtimeMs)
    return binary
  mkdirSync(dirname(binary), { recursive: true })
  const { error, status, stderr } = spawnSync('go', ['build', '-o', binary, '.'], {
    cwd: source,
    encoding: 'utf8',
    env: { ...process.env, CGO_ENABLED: '0', GO111MODULE: 'off', GOPATH },
  })
  if (error !== undefined) return undefined
  if (status !== 0) throw new Error(`go build failed:\n${stderr}`)
  return binary
}

if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) {
  const [how, name] = process.argv.slice(2) as ['node' | 'pure', string]
  const cipher = SUBJECTS[name]![how]!()
  process.on('message', (ms: number) => process.send!(measure(cipher, ms)))
}
