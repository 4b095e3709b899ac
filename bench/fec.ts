/**
 * What FEC costs: making parity and rebuilding data, in WebAssembly and in plain TypeScript, beside the Go library that
 * kcp-go has (`peers/reed-solomon`, when this machine can build it); and a datagram's way through encoder and decoder.
 *
 *     node build/bench/fec.js
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Command, writeHeader } from '../src/core/segment.ts'
import { FecDecoder, FecEncoder } from '../src/fec/index.ts'
import { plainKernel, wholeBlocks } from '../src/fec/kernel.ts'
import { bestKernel } from '../src/fec/kernel-wasm.ts'
import { ReedSolomon } from '../src/fec/reed-solomon.ts'
import { root } from './root.ts'
import { asText, type Effort, type Figure, FULL, figureOf, type Report, show, showRange } from './rounds.ts'

const SHAPES = [
  [3, 1],
  [10, 3],
  [20, 10],
] as const
/** Bytes of a shard: a full datagram of kcptun. */
const SIZE = 1350
/** Groups between two looks at the clock. */
const BATCH = 50

type Work = 'encode' | 'decode'

export async function benchFec(effort: Effort): Promise<Report> {
  const binary = buildGo()
  const go = binary === undefined ? undefined : new GoLibrary(binary)
  const lines: string[][] = []
  const groups: object[] = []
  try {
    for (const [d, p] of SHAPES) {
      for (const work of ['encode', 'decode'] as const) {
        const ns = await compare(work, d, p, effort, go)
        const megabytes = (who: keyof typeof ns): Figure | undefined =>
          ns[who].length === 0 ? undefined : figureOf(ns[who].map((one) => (d * SIZE * 1e3) / one))
        const perGo = ns.go.length === 0 ? undefined : figureOf(ns.go.map((one, i) => ns.ours[i]! / one))
        lines.push([
          `${d}/${p} ${work}`,
          cell(megabytes('ours')),
          cell(megabytes('go')),
          perGo === undefined ? '–' : showRange(perGo),
          cell(megabytes('plain')),
        ])
        groups.push({
          dataShards: d,
          parityShards: p,
          work,
          ours: megabytes('ours'),
          go: megabytes('go'),
          perGo,
          plain: megabytes('plain'),
        })
      }
    }
  } finally {
    go?.stop()
  }
  const datagram = perDatagram(effort)
  return {
    name: 'fec',
    what: [
      `MB of data per second, in groups of shards of ${SIZE} bytes; decoding rebuilds as many as parity can.`,
      `Ours is ${bestKernel().name === 'plain' ? 'plain TypeScript' : 'WebAssembly with SIMD'} here.`,
      `A datagram through an encoder of 10/3 takes ${show(datagram.encode)} ns, its parity included; through a decoder`,
      `${show(datagram.receive)} ns when nothing is lost, ${show(datagram.recover)} ns when every eleventh is.`,
      ...(go === undefined
        ? ["Go's library is missing: apt-get install golang-go golang-github-klauspost-reedsolomon-dev"]
        : []),
    ],
    header: ['', 'kcp-io', 'Go', 'time / Go', 'plain'],
    lines,
    figures: { groups, nsPerDatagram: datagram },
  }
}

function cell(figure: Figure | undefined): string {
  return figure === undefined ? '–' : show(figure.median)
}

/** ns for one group, of everybody in turn within each round; the first round warms up. */
async function compare(
  work: Work,
  d: number,
  p: number,
  { rounds, roundMs }: Effort,
  go: GoLibrary | undefined,
): Promise<Record<'ours' | 'plain' | 'go', number[]>> {
  const ours = group(work, new ReedSolomon(d, p, bestKernel()))
  const plain = group(work, new ReedSolomon(d, p, plainKernel))
  const ns = { ours: [] as number[], plain: [] as number[], go: [] as number[] }
  for (let round = 0; round <= rounds; round++) {
    const each = {
      ours: timed(ours, roundMs),
      plain: timed(plain, roundMs),
      go: await go?.run(work, d, p, roundMs),
    }
    if (round === 0) continue
    ns.ours.push(each.ours)
    ns.plain.push(each.plain)
    if (each.go !== undefined) ns.go.push(each.go)
  }
  return ns
}

/** Codes one group. */
function group(work: Work, code: ReedSolomon): () => void {
  const { dataShards, parityShards } = code
  const stride = wholeBlocks(SIZE)
  const data = new Uint8Array(dataShards * stride)
  for (let i = 0; i < dataShards; i++) {
    for (let k = 0; k < SIZE; k++) data[i * stride + k] = i * 31 + k * 7 + (k >> 8) * 13
  }
  const parity = new Uint8Array(parityShards * stride)
  const encode = (): void => code.encode(data, stride, SIZE, parity, 0, stride)
  encode()
  if (work === 'encode') return encode
  const lost = Math.min(dataShards, parityShards)
  const wanted = Array.from({ length: lost }, (_, place) => place)
  const places = Array.from({ length: dataShards }, (_, i) => (i < lost ? dataShards + i : i))
  const present = data.slice()
  present.set(parity.subarray(0, lost * stride))
  const rebuilt = new Uint8Array(lost * stride)
  return () => code.reconstruct(places, present, stride, SIZE, wanted, lost, rebuilt, 0, stride)
}

/** ns for one `step`, over some `ms`. */
function timed(step: () => void, ms: number): number {
  let count = 0
  const began = performance.now()
  let elapsed = 0
  for (; elapsed < ms; elapsed = performance.now() - began) {
    for (let i = 0; i < BATCH; i++) step()
    count += BATCH
  }
  return (elapsed * 1e6) / count
}

/** ns for each datagram of 10/3, parity included in the count of what is received but not of what is sent. */
function perDatagram({ rounds, roundMs }: Effort): Record<'encode' | 'receive' | 'recover', number> {
  const [dataShards, parityShards, conv] = [10, 3, 1]
  const maxDatagram = SIZE + 6
  const buffer = new Uint8Array(maxDatagram)
  writeHeader(buffer, 8, conv, Command.Push, 0, 128, 0, 0, 0, SIZE - 26)
  const make = (): FecEncoder => new FecEncoder({ dataShards, parityShards, maxDatagram })
  const sender = make()
  const encode = (): void => void sender.add(buffer, 8, maxDatagram, 0)
  // Some groups that are sent again and again, under numbers that go on.
  const recorded: Uint8Array[] = []
  const recorder = make()
  while (recorded.length < 13 * 8) {
    const count = recorder.add(buffer, 8, maxDatagram, 0)
    recorded.push(buffer.slice())
    for (const { buffer: lent, start, end } of recorder.parity.slice(0, count))
      recorded.push(lent.slice(start, end))
  }
  const receive = (lostEvery: number): (() => void) => {
    const decoder = new FecDecoder({ dataShards, parityShards, conv })
    let seqid = 0
    return () => {
      const datagram = recorded[seqid % recorded.length]!
      datagram[0] = seqid
      datagram[1] = seqid >>> 8
      datagram[2] = seqid >>> 16
      datagram[3] = seqid >>> 24
      seqid++
      if (lostEvery === 0 || seqid % lostEvery !== 0) decoder.add(datagram, 0, datagram.length, 0)
    }
  }
  const steps = { encode, receive: receive(0), recover: receive(11) }
  const ns = { encode: [] as number[], receive: [] as number[], recover: [] as number[] }
  for (let round = 0; round <= rounds; round++) {
    for (const name of ['encode', 'receive', 'recover'] as const) {
      const one = timed(steps[name], roundMs)
      if (round > 0) ns[name].push(one)
    }
  }
  return {
    encode: figureOf(ns.encode).median,
    receive: figureOf(ns.receive).median,
    recover: figureOf(ns.recover).median,
  }
}

/** The Go program, while it runs. */
class GoLibrary {
  readonly #child: ChildProcess
  readonly #failed: Promise<never>
  readonly #lines: NodeJS.EventEmitter

  constructor(binary: string) {
    this.#child = spawn(binary, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.#child.stdout! })
    this.#failed = once(this.#child, 'exit').then(([code, signal]) => {
      throw new Error(`${binary} ended with ${signal ?? code}`)
    })
    // It ends in any case, mostly when nobody waits any more.
    this.#failed.catch(() => {})
  }

  async run(work: Work, d: number, p: number, ms: number): Promise<number> {
    this.#child.stdin!.write(`${work} ${d} ${p} ${SIZE} ${ms}\n`)
    const [line] = (await Promise.race([once(this.#lines, 'line'), this.#failed])) as [string]
    return Number(line)
  }

  stop(): void {
    this.#child.kill()
  }
}

/** Where Debian keeps the sources of Go packages. */
const GOPATH = '/usr/share/gocode'

/** The Go program, built if need be; undefined where it cannot be built. */
function buildGo(): string | undefined {
  if (!existsSync(join(GOPATH, 'src/github.com/klauspost/reedsolomon'))) return undefined
  const source = join(root, 'bench/peers/reed-solomon')
  const binary = join(root, 'build/bench/peers/go-reed-solomon')
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

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(asText(await benchFec(FULL)))
