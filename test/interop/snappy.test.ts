/**
 * Beside Go's snappy, the library in kcptun: what one writes the other reads, blocks and framing; and what is broken is
 * refused by both.
 */
import { equal, ok } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { Prng } from '../../src/sim/prng.ts'
import {
  decodeBlock,
  decodedSize,
  encodeBlock,
  encodedBound,
  SnappyDecoder,
  SnappyEncoder,
} from '../../src/snappy/index.ts'
import { noise, patchwork, prose } from '../snappy/data.ts'
import { goPeerBinary } from './go.ts'

const binary = goPeerBinary({
  source: 'test/interop/snappy-peer/snappy-peer.go',
  binary: 'snappy-peer',
  library: 'github.com/golang/snappy',
  debian: 'golang-github-golang-snappy-dev',
})
const skip = binary === undefined ? 'no snappy for Go on this machine' : false

/** What Go makes of `input`; undefined when it refuses. */
function go(job: 'encode' | 'decode' | 'block' | 'unblock', input: Uint8Array): Buffer | undefined {
  const { status, stdout } = spawnSync(binary!, [job], { input, maxBuffer: 64 * 1024 * 1024 })
  return status === 0 ? stdout : undefined
}

function ours(bytes: Uint8Array): Uint8Array {
  const output = new Uint8Array(encodedBound(bytes.length))
  return output.subarray(0, encodeBlock(bytes, 0, bytes.length, output, 0))
}

function undone(block: Uint8Array): Uint8Array | undefined {
  const size = decodedSize(block, 0, block.length)
  if (size < 0 || size > 65_536) return undefined
  const output = new Uint8Array(size)
  return decodeBlock(block, 0, block.length, output) ? output : undefined
}

describe("Go's snappy", { skip }, () => {
  test('reads our blocks, and we read its', () => {
    const prng = new Prng(11)
    for (const make of [noise, prose, patchwork]) {
      for (const size of [0, 1, 17, 300, 4104, 65_535, 65_536]) {
        const bytes = Buffer.from(make(size, prng))
        const what = `${make.name}, ${size} bytes`
        ok(bytes.equals(go('unblock', ours(bytes))!), `${what}, ours`)
        const theirs = go('block', bytes)!
        ok(bytes.equals(undone(theirs)!), `${what}, theirs`)
        ok(
          ours(bytes).length < theirs.length * 1.05 + 8,
          `${what}: ${ours(bytes).length} and ${theirs.length} bytes`,
        )
      }
    }
  })

  test('reads our framing, and we read its', () => {
    for (let seed = 1; seed <= 5; seed++) {
      const prng = new Prng(seed)
      const bytes = Buffer.concat([patchwork(90_000, prng), noise(70_000, prng), prose(200_000, prng)])
      const encoder = new SnappyEncoder()
      const wire: Uint8Array[] = []
      for (let at = 0; at < bytes.length; ) {
        const size = prng.int(1, prng.chance(0.2) ? 100_000 : 5_000)
        wire.push(encoder.encode(bytes.subarray(at, at + size)))
        at += size
      }
      ok(bytes.equals(go('decode', Buffer.concat(wire))!), `seed ${seed}, ours`)
      const theirs = go('encode', bytes)!
      const decoder = new SnappyDecoder()
      const parts: Uint8Array[] = []
      for (let at = 0; at < theirs.length; at += 1300)
        parts.push(...decoder.decode(theirs.subarray(at, at + 1300)))
      ok(bytes.equals(Buffer.concat(parts)), `seed ${seed}, theirs`)
    }
  })

  test('takes and refuses the same damaged blocks', () => {
    let refused = 0
    for (let seed = 1; seed <= 60; seed++) {
      const prng = new Prng(seed)
      const block = ours(patchwork(prng.int(20, 500), prng))
      block[prng.int(0, block.length - 1)]! ^= 1 << prng.int(0, 7)
      const [mine, theirs] = [undone(block), go('unblock', block)]
      // A size beyond 64 KiB is a block for Go, and not for the framing.
      if (decodedSize(block, 0, block.length) > 65_536) continue
      equal(
        mine === undefined ? undefined : Buffer.from(mine).toString('hex'),
        theirs?.toString('hex'),
        `seed ${seed}`,
      )
      if (mine === undefined) refused++
    }
    ok(refused > 5, `${refused} refused`)
  })
})
