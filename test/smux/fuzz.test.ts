/**
 * Whatever comes from below: no throw, no memory beyond the bounds, and an outcome that is documented. Frames are good,
 * damaged, or noise, in any pieces; readers read or not. `SEEDS=n` runs more of it.
 */
import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Prng } from '../../src/sim/index.ts'
import { SmuxEngine } from '../../src/smux/engine.ts'
import { INITIAL_WINDOW, type SmuxFlow } from '../../src/smux/flow.ts'
import { FRAME_MAX, writeFrameHeader, writeUpdate } from '../../src/smux/frame.ts'

const SEEDS = Number(process.env['SEEDS'] ?? 400)
const FAULTS: ReadonlySet<unknown> = new Set([
  'version',
  'command',
  'length',
  'stream-id',
  'consumed',
  'window',
])
const MAX_STREAMS = 20
const MAX_UNREAD = 100_000

/** A frame that may come, mostly. */
function someFrame(prng: Prng, version: 1 | 2, honest: boolean): Uint8Array {
  const id = prng.chance(0.998) ? 3 + 2 * prng.int(0, 40) : prng.u32()
  const command = prng.chance(0.998) ? prng.int(0, version === 2 ? 4 : 3) : prng.int(0, 255)
  if (command === 4) {
    const bytes = new Uint8Array(16)
    const wild = !honest && prng.chance(0.05)
    writeUpdate(bytes, 0, version, id, wild ? prng.u32() : 0, prng.u32())
    return bytes
  }
  const length = command === 2 ? (prng.chance(0.1) ? prng.int(0, FRAME_MAX) : prng.int(0, 300)) : 0
  const bytes = new Uint8Array(8 + length)
  writeFrameHeader(bytes, 0, version, command as 0, length, id)
  if (prng.chance(0.002)) bytes[prng.int(0, bytes.length - 1)]! ^= 1 << prng.int(0, 7)
  return bytes
}

function run(seed: number): string {
  const prng = new Prng(seed)
  const version = prng.chance(0.5) ? 2 : 1
  let over = 0
  const flows: SmuxFlow[] = []
  const engine = new SmuxEngine(
    'server',
    { version, maxStreams: MAX_STREAMS, maxReceiveBuffer: MAX_UNREAD, maxStreamBuffer: 1000 },
    {
      onStream: (flow) => flows.push(flow),
      onReadable: (flow) => {
        if (prng.chance(0.3)) flow.read(prng.int(1, 10_000))
        if (prng.chance(0.02)) flow.forget()
      },
      onDrained: () => undefined,
      onOver: () => over++,
    },
    0,
  )
  const noise = prng.chance(0.05)
  // What streams that write nothing make of UPDs is one thing; the rest must come to pass too.
  const honest = prng.chance(0.5)
  for (let step = 0; step < 300; step++) {
    let bytes = noise ? Uint8Array.from({ length: 40 }, () => prng.u32()) : someFrame(prng, version, honest)
    while (bytes.length > 0 && engine.wantsInput) {
      const piece = bytes.subarray(0, prng.chance(0.5) ? bytes.length : prng.int(1, 20))
      bytes = bytes.subarray(piece.length)
      engine.receive(piece, step)
    }
    if (engine.reason !== undefined) break
    const flow = flows[prng.int(0, Math.max(0, flows.length - 1))]
    if (flow !== undefined && prng.chance(0.2)) {
      if (prng.chance(0.5)) flow.read()
      else if (prng.chance(0.8)) {
        try {
          flow.write(new Uint8Array(prng.int(0, 3000)))
        } catch {
          // Ended: the caller's mistake, and told so.
        }
      } else flow.end()
    }
    if (prng.chance(0.3)) engine.pull(step)
    engine.tick(step)
    engine.proceed(step)
    const { streams, unread, windowOverruns } = engine.stats()
    ok(streams <= MAX_STREAMS, `seed ${seed}: ${streams} streams`)
    ok(unread <= MAX_UNREAD + FRAME_MAX, `seed ${seed}: ${unread} unread`)
    if (windowOverruns === 0 && version === 2) {
      for (const one of engine.flows()) ok(one.readable <= INITIAL_WINDOW)
    }
  }
  if (engine.reason === undefined) return 'open'
  ok(engine.reason === 'protocol-error' && FAULTS.has(engine.fault), `seed ${seed}: ${engine.reason}`)
  ok(over === 1, `seed ${seed}: over ${over} times`)
  ok(engine.pull(1e6) === undefined && !engine.wantsInput)
  // What came before can be read, and does no harm.
  for (const flow of flows) while (flow.read(1000) !== undefined);
  ok(engine.stats().unread === 0, `seed ${seed}`)
  return engine.fault!
}

test('whatever comes, the outcome is a documented one', () => {
  const outcomes = new Map<string, number>()
  for (let seed = 1; seed <= SEEDS; seed++) {
    const outcome = run(seed)
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }
  // The test reaches what it is about.
  for (const outcome of ['open', 'version', 'command', 'length', 'stream-id', 'consumed']) {
    ok(outcomes.has(outcome), `${outcome} never came: ${[...outcomes]}`)
  }
})
