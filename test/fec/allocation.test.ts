/** A steady flow through FEC allocates nothing for each datagram, and what was trimmed holds nothing. */
import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { FecDecoder, FecEncoder } from '../../src/fec/index.ts'
import { CONV, push } from './shards.ts'

setFlagsFromString('--expose-gc')
const gc: () => void = runInNewContext('gc')

/** An encoder and a decoder; nothing here allocates but they. */
class Flow {
  readonly encoder: FecEncoder
  readonly decoder: FecDecoder
  private readonly buffer: Uint8Array
  private readonly lossEvery: number
  private sent = 0

  constructor(size: number, dataShards: number, parityShards: number, lossEvery: number) {
    const segment = push(1, size)
    this.buffer = new Uint8Array(8 + segment.length)
    this.buffer.set(segment, 8)
    this.lossEvery = lossEvery
    this.encoder = new FecEncoder({ dataShards, parityShards, maxDatagram: 1400 })
    this.decoder = new FecDecoder({ dataShards, parityShards, conv: CONV })
  }

  run(datagrams: number): void {
    const { encoder, decoder, buffer } = this
    for (let i = 0; i < datagrams; i++) {
      const count = encoder.add(buffer, 8, buffer.length, 0)
      if (!this.isLost()) decoder.add(buffer, 0, buffer.length, 0)
      for (let k = 0; k < count; k++) {
        const { buffer: parity, start, end } = encoder.parity[k]!
        if (!this.isLost()) decoder.add(parity, start, end, 0)
      }
    }
  }

  private isLost(): boolean {
    return this.lossEvery > 0 && ++this.sent % this.lossEvery === 0
  }
}

function heapNow(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** Bytes allocated for each datagram, garbage included: the sum of what the heap grew by between two looks. */
function allocated(flow: Flow): number {
  const ROUNDS = 100
  const ROUND = 1000
  let sum = 0
  let before = heapNow()
  for (let round = 0; round < ROUNDS; round++) {
    flow.run(ROUND)
    const now = heapNow()
    // Where it shrank the collector ran in between; what was allocated in that round is lost to us.
    if (now > before) sum += now - before
    before = now
  }
  return sum / (ROUNDS * ROUND)
}

/** Bytes allocated per datagram, at most: V8's own, and with losses the coefficients of one group in some. */
const GARBAGE = 16
const GARBAGE_WITH_LOSS = 64

for (const [what, size, d, p, lossEvery] of [
  ['full segments, 10/3', 1340, 10, 3, 0],
  ['small segments, 10/3', 40, 10, 3, 0],
  ['full segments, 3/1', 1340, 3, 1, 0],
  ['full segments, 10/3, every eleventh datagram lost', 1340, 10, 3, 11],
] as const) {
  test(`steady state makes hardly any garbage: ${what}`, () => {
    const flow = new Flow(size, d, p, lossEvery)
    // Code gets optimised in the background, which takes long on a busy machine; until then numbers are garbage, too.
    flow.run(150_000)
    const { recovered } = flow.decoder.counters
    if (lossEvery > 0) ok(recovered > 500, `${recovered} recovered`)
    const made = allocated(flow)
    ok(made < (lossEvery > 0 ? GARBAGE_WITH_LOSS : GARBAGE), `${made.toFixed(2)} bytes for each datagram`)
  })
}

test('what was trimmed holds little', () => {
  const COUNT = 300
  const flows: Flow[] = []
  // The kernel and its tables are there once for all.
  new Flow(1000, 10, 3, 11).run(1000)
  gc()
  gc()
  const before = heapNow()
  for (let i = 0; i < COUNT; i++) {
    const flow = new Flow(1000, 10, 3, 11)
    flow.run(45)
    flow.encoder.trim()
    flow.decoder.trim()
    flows.push(flow)
  }
  gc()
  gc()
  const each = (heapNow() - before) / COUNT
  // Of which some 1 KB is this test's own buffer.
  ok(each < 8_000, `${each.toFixed(0)} bytes for each pair`)
  for (const flow of flows) flow.run(1)
})
