/** What real kcptun sent: its frames are found, and an engine in the place of either end gives out what was sent. */
import { deepEqual, equal } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import type { SmuxFlow } from '../../src/smux/flow.ts'
import { SnappyDecoder } from '../../src/snappy/index.ts'
import { captureNames, readCapture } from '../fec/captures.ts'
import { End, framesOf, hexOf } from './support.ts'

interface Recorded {
  readonly smuxVersion: 1 | 2
  readonly compression: boolean
  readonly dataShards: number
  readonly tcpPlaintextBothWays: readonly string[] | string
  readonly smux: Readonly<
    Record<
      'c2s' | 's2c',
      { readonly smuxFrames: readonly { cmd: string; sid: number; len: number; size?: string }[] }
    >
  >
}

function recorded(name: string): Recorded {
  return JSON.parse(gunzipSync(readFileSync(`test/vectors/kcpgo/${name}.json.gz`)).toString()) as Recorded
}

/** The bytes of one direction above KCP: the payloads of its PUSHes by their numbers, decompressed. */
function bytesAbove(name: string, dir: 'c2s' | 's2c'): Uint8Array[] {
  const { compression, dataShards } = recorded(name)
  const payloads = new Map<number, Uint8Array>()
  for (const datagram of readCapture(name).datagrams) {
    if (datagram.dir !== dir) continue
    const { bytes } = datagram
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    // FEC: parity is of no interest, as what the relay dropped was recorded too.
    if (dataShards > 0 && view.getUint16(4, true) !== 0xf1) continue
    for (let at = dataShards > 0 ? 8 : 0; at + 24 <= bytes.length; ) {
      const length = view.getUint32(at + 20, true)
      if (bytes[at + 4] === 81)
        payloads.set(view.getUint32(at + 12, true), bytes.subarray(at + 24, at + 24 + length))
      at += 24 + length
    }
  }
  const inOrder = [...payloads.keys()].sort((a, b) => a - b).map((sn) => payloads.get(sn)!)
  if (!compression) return inOrder
  const decoder = new SnappyDecoder()
  return inOrder.flatMap((bytes) => decoder.decode(bytes))
}

/** What the capture's own notes say, in the words of `framesOf`. */
function noted(name: string, dir: 'c2s' | 's2c'): string[] {
  return recorded(name).smux[dir].smuxFrames.map(({ cmd, sid, len, size }) => {
    if (cmd === 'NOP') return 'NOP'
    if (cmd === 'PSH') return `PSH ${sid} ${len}`
    if (cmd !== 'UPD') return `${cmd} ${sid}`
    const [, consumed, window] = /^(\d+) consumed, window (\d+)$/.exec(size!)!
    return `UPD ${sid} ${consumed}/${window}`
  })
}

describe('captures of kcptun', () => {
  const names = captureNames().filter((name) => name.startsWith('kcptun-'))
  test('there are some of each kind', () => {
    equal(names.length >= 15, true)
    deepEqual([...new Set(names.map((name) => recorded(name).smuxVersion))].sort(), [1, 2])
  })

  for (const name of names) {
    test(name, () => {
      const { smuxVersion: version, tcpPlaintextBothWays } = recorded(name)
      const plain = [tcpPlaintextBothWays].flat().join('')
      const [up, down] = [bytesAbove(name, 'c2s'), bytesAbove(name, 's2c')]
      const sizes = (lines: readonly string[]): string[] =>
        lines.map((line) => line.replace(/"(.*)"$/s, (_, text: string) => String(text.length)))
      deepEqual(sizes(framesOf(version, ...up)), noted(name, 'c2s'))
      deepEqual(sizes(framesOf(version, ...down)), noted(name, 's2c'))

      /** Feeds an end, which reads all; what its streams gave. */
      const feed = (end: End, pieces: readonly Uint8Array[], flows: () => readonly SmuxFlow[]): string[] => {
        const got = new Map<number, string>()
        for (const piece of pieces) {
          end.engine.receive(piece, 0)
          for (const flow of flows()) {
            // As much as the other end will say that it read.
            if (flow.bytesWritten === 0) flow.write(new Uint8Array(1 << 16))
            end.engine.pull(0, 1 << 18)
            for (let bytes = flow.read(); bytes !== undefined; bytes = flow.read()) {
              got.set(flow.id, (got.get(flow.id) ?? '') + hexOf(bytes))
            }
          }
        }
        equal(end.engine.reason, undefined, end.engine.fault)
        for (const flow of flows()) equal(flow.ended, true)
        return [...got.values()]
      }
      const config = { version, maxStreamBuffer: 2_097_152 }
      const server = new End('server', config)
      const client = new End('client', config)
      const streams = noted(name, 'c2s').filter((line) => line.startsWith('SYN')).length
      const opened = Array.from({ length: streams }, () => {
        const flow = client.engine.open()
        flow.write(new Uint8Array(1 << 16))
        return flow
      })
      client.sends()
      const [sent, back] = [feed(server, up, () => server.opened), feed(client, down, () => opened)]
      equal(sent.length, streams)
      deepEqual(sent, back, 'the service was an echo')
      equal(sent.join(''), plain)
    })
  }
})
