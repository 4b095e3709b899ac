/**
 * Datagrams of real kcp-go and kcptun, as test/vectors/kcpgo holds them, with their encryption taken off.
 * @module
 */
import { equal } from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { OpenResult, type PacketCipher, plainPackets } from '../../src/crypto/index.ts'
import { purePackets } from '../crypto/support.ts'
import { fromHex } from './shards.ts'

const FOLDER = 'test/vectors/kcpgo'

export interface Captured {
  readonly dir: 'c2s' | 's2c'
  /** When the relay saw it, ms. */
  readonly at: number
  /** Whether the relay kept it. */
  readonly dropped: boolean
  /** Without encryption. */
  readonly bytes: Uint8Array
}

export interface Capture {
  readonly name: string
  /** NaN when the two ends differ. */
  readonly dataShards: number
  readonly parityShards: number
  /** What the client's program wrote, and what it read back, where that is recorded. */
  readonly written: readonly Uint8Array[]
  readonly read: readonly Uint8Array[]
  readonly datagrams: readonly Captured[]
}

/** The names of all captures. */
export function captureNames(): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json.gz') && !file.startsWith('rs-vectors'))
    .map((file) => file.replace('.json.gz', ''))
}

/** Reed-Solomon as Go's library does it. */
export interface RsVectors {
  readonly parityMatrix: Readonly<Record<string, readonly string[]>>
  readonly vectors: readonly {
    readonly D: number
    readonly P: number
    readonly Name: string
    readonly Data: readonly string[]
    readonly Parity: readonly string[]
  }[]
}

export function rsVectors(): RsVectors {
  return readJson('rs-vectors') as RsVectors
}

interface Params {
  readonly crypt?: string
  readonly keyHex?: string
  /** As kcptun's captures call these two. */
  readonly cipher?: string
  readonly cipherKeyHex?: string
  readonly dataShards: number | string
  readonly parityShards: number | string
}

interface File extends Params {
  readonly params?: Params
  readonly plaintext?: Readonly<Record<'c2sWrites' | 's2cReads', readonly string[] | null>>
  readonly datagrams: readonly {
    readonly dir: 'c2s' | 's2c'
    readonly t_ms: number
    readonly dropped?: boolean
    readonly hex: string
  }[]
}

export function readCapture(name: string): Capture {
  const file = readJson(name) as File
  const { params = file, plaintext } = file
  const cipher = cipherOf(params)
  return {
    name,
    dataShards: Number(params.dataShards),
    parityShards: Number(params.parityShards),
    written: (plaintext?.c2sWrites ?? []).map(fromHex),
    read: (plaintext?.s2cReads ?? []).map(fromHex),
    datagrams: file.datagrams.map(({ dir, t_ms, dropped = false, hex }) => ({
      dir,
      at: t_ms,
      dropped,
      bytes: open(cipher, fromHex(hex)),
    })),
  }
}

function readJson(name: string): unknown {
  return JSON.parse(gunzipSync(readFileSync(`${FOLDER}/${name}.json.gz`)).toString())
}

function cipherOf(params: Params): PacketCipher {
  const crypt = params.crypt ?? params.cipher!
  if (crypt === 'nil') return plainPackets()
  const key = fromHex(params.keyHex ?? params.cipherKeyHex!)
  return purePackets(crypt, key, () => {
    throw new Error('nothing is sealed here')
  })
}

function open(cipher: PacketCipher, datagram: Uint8Array): Uint8Array {
  equal(cipher.open(datagram, 0, datagram.length), OpenResult.Opened)
  return datagram.slice(cipher.headroom, datagram.length - cipher.tailroom)
}
